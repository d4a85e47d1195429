//! Options: the plain objects that JavaScript passes, and those that it gets.

use js_sys::Reflect;
use serde::Serialize;
use wasm_bindgen::prelude::*;

use super::convert::table;
use super::type_error;
use crate::broker::{QueueReport, Report};
use crate::limits::Limits;
use crate::table::Table;

/// A plain object's fields, each of the type that it must have. None at all have their defaults.
pub(super) struct Fields<'a>(pub(super) &'a JsValue);

impl Fields<'_> {
    pub(super) fn value(&self, name: &str) -> Option<JsValue> {
        let value = Reflect::get(self.0, &name.into()).ok()?;
        (!value.is_undefined() && !value.is_null()).then_some(value)
    }

    pub(super) fn flag(&self, name: &str) -> Result<bool, JsValue> {
        let Some(value) = self.value(name) else { return Ok(false) };
        value.as_bool().ok_or_else(|| type_error(&format!("'{name}' must be a boolean")))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<Box<str>>, JsValue> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let text = value.as_string().ok_or_else(|| type_error(&format!("'{name}' must be a string")))?;
        Ok(Some(text.into()))
    }

    pub(super) fn number<T: TryFrom<u64>>(&self, name: &str) -> Result<Option<T>, JsValue> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number = value.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0);
        let number = number.and_then(|number| T::try_from(number as u64).ok());
        number.map(Some).ok_or_else(|| type_error(&format!("'{name}' must be a whole number in its range")))
    }

    pub(super) fn table(&self, name: &str) -> Result<Table, JsValue> {
        self.value(name).map_or_else(|| Ok(Table::new()), |value| table(&value))
    }
}

/// What peers are granted, by a server's options.
pub(super) fn limits(options: &JsValue) -> Result<Limits, JsValue> {
    let options = Fields(options);
    let usual = Limits::default();
    let limits = Limits {
        memory_max_bytes: options.number("memoryMaxBytes")?.unwrap_or(usual.memory_max_bytes),
        message_max_bytes: options.number("messageMaxBytes")?.unwrap_or(usual.message_max_bytes),
        frame_max_bytes: options.number("frameMaxBytes")?.unwrap_or(usual.frame_max_bytes),
        channel_max: options.number("channelMax")?.unwrap_or(usual.channel_max),
        heartbeat_s: options.number("heartbeatSeconds")?.unwrap_or(usual.heartbeat_s),
        ..usual
    };
    if limits.frame_max_bytes < 8192 {
        return Err(type_error("'frameMaxBytes' must be at least 8192"));
    }
    if limits.channel_max == 0 {
        return Err(type_error("'channelMax' must be at least 1"));
    }
    Ok(limits)
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
    plain(&Stats { memory_bytes, connections, channels, exchanges, queues })
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

/// Plain data as a plain object.
pub(super) fn plain(value: &impl Serialize) -> JsValue {
    serde_wasm_bindgen::to_value(value).unwrap_or_else(|_| unreachable!("plain data becomes a plain object"))
}
