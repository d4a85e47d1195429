//! Options: the plain objects that JavaScript passes.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use super::type_error;
use crate::broker::{QueueReport, Report};
use crate::limits::Limits;

/// What a server is made from.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ServerOptions {
    pub(super) seed: Vec<u8>,
    memory_max_bytes: Option<usize>,
    message_max_bytes: Option<usize>,
    frame_max_bytes: Option<u32>,
    channel_max: Option<u16>,
    heartbeat_seconds: Option<u16>,
}

impl ServerOptions {
    pub(super) fn limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            memory_max_bytes: self.memory_max_bytes.unwrap_or(usual.memory_max_bytes),
            message_max_bytes: self.message_max_bytes.unwrap_or(usual.message_max_bytes),
            frame_max_bytes: self.frame_max_bytes.unwrap_or(usual.frame_max_bytes),
            channel_max: self.channel_max.unwrap_or(usual.channel_max),
            heartbeat_s: self.heartbeat_seconds.unwrap_or(usual.heartbeat_s),
            ..usual
        }
    }

    pub(super) fn check(&self) -> Result<(), JsValue> {
        if self.seed.len() != 32 {
            return Err(type_error("the option 'seed' must be a Uint8Array of 32 random bytes"));
        }
        if self.frame_max_bytes.is_some_and(|bytes| bytes < 8192) {
            return Err(type_error("the option 'frameMaxBytes' must be at least 8192"));
        }
        if self.channel_max == Some(0) {
            return Err(type_error("the option 'channelMax' must be at least 1"));
        }
        Ok(())
    }

    pub(super) fn seed_array(&self) -> [u8; 32] {
        self.seed.as_slice().try_into().expect("the seed's length was checked")
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ExchangeOptions {
    pub(super) passive: bool,
    pub(super) durable: bool,
    pub(super) auto_delete: bool,
    pub(super) internal: bool,
    #[serde(with = "serde_wasm_bindgen::preserve")]
    pub(super) arguments: JsValue,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct QueueOptions {
    pub(super) passive: bool,
    pub(super) durable: bool,
    pub(super) exclusive: bool,
    pub(super) auto_delete: bool,
    #[serde(with = "serde_wasm_bindgen::preserve")]
    pub(super) arguments: JsValue,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ConsumeOptions {
    pub(super) no_ack: bool,
    pub(super) exclusive: bool,
    pub(super) prefetch: u16,
    #[serde(with = "serde_wasm_bindgen::preserve")]
    pub(super) arguments: JsValue,
}

/// Reads a plain object; none at all has every option at its default.
pub(super) fn read<T: DeserializeOwned + Default>(options: JsValue) -> Result<T, JsValue> {
    if options.is_undefined() || options.is_null() {
        return Ok(T::default());
    }
    serde_wasm_bindgen::from_value(options).map_err(|error| type_error(&format!("bad options: {error}")))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stats<'a> {
    memory_bytes: usize,
    connections: usize,
    channels: usize,
    exchanges: usize,
    queues: Vec<QueueStats<'a>>,
}

#[derive(Serialize)]
struct QueueStats<'a> {
    name: &'a str,
    ready: usize,
    unacked: usize,
    consumers: usize,
    published: u64,
    delivered: u64,
    redelivered: u64,
    acked: u64,
}

/// The broker's report as a plain object.
pub(super) fn stats(report: &Report) -> JsValue {
    let queues = report.queues.iter().map(queue_stats).collect();
    let &Report { memory_bytes, connections, channels, exchanges, .. } = report;
    let stats = Stats { memory_bytes, connections, channels, exchanges, queues };
    serde_wasm_bindgen::to_value(&stats).expect("a report is plain data")
}

fn queue_stats(queue: &QueueReport) -> QueueStats<'_> {
    QueueStats {
        name: &queue.name,
        ready: queue.ready,
        unacked: queue.unacked,
        consumers: queue.consumers,
        published: queue.counters.published,
        delivered: queue.counters.delivered,
        redelivered: queue.counters.redelivered,
        acked: queue.counters.acked,
    }
}
