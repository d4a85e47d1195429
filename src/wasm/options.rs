//! Options: conversion of plain objects that JavaScript passes or gets.

use js_sys::{Reflect, Uint8Array};
use wasm_bindgen::prelude::*;

use super::convert::{table, write_table};
use super::type_error;
use crate::broker::QueueReport;
use crate::limits::Limits;
use crate::server::{JournalSize, Server};
use crate::table::{Table, Value};

/// The fields of a plain object, checked for their types. Without an object all have their defaults.
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
        let Some(number) = self.whole(name)? else { return Ok(None) };
        T::try_from(number).map(Some).map_err(|_| out_of_range(name))
    }

    // Shared by all types of numbers: there are many, and each copy would add to the size.
    #[inline(never)]
    fn whole(&self, name: &str) -> Result<Option<u64>, JsValue> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let number =
            value.as_f64().filter(|number| number.fract() == 0.0 && *number >= 0.0).map(|number| number as u64);
        let number = number.or_else(|| u64::try_from(value).ok());
        number.map(Some).ok_or_else(|| out_of_range(name))
    }

    pub(super) fn table(&self, name: &str) -> Result<Table, JsValue> {
        self.value(name).map_or_else(|| Ok(Table::new()), |value| table(&value))
    }
}

#[inline(never)]
fn out_of_range(name: &str) -> JsValue {
    type_error(&format!("'{name}' must be a whole number in its range"))
}

/// With the memory of deliveries of small messages, and half as much for everything else, this fits into the memory
/// that wasm can address.
const MEMORY_MAX_BYTES: usize = 1 << 30;

/// Reads the limits from a server's options.
pub(super) fn limits(options: &JsValue) -> Result<Limits, JsValue> {
    let options = Fields(options);
    let usual = Limits::default();
    let limits = Limits {
        memory_max_bytes: options.number("memoryMaxBytes")?.unwrap_or(usual.memory_max_bytes),
        message_max_bytes: options.number("messageMaxBytes")?.unwrap_or(usual.message_max_bytes),
        frame_max_bytes: options.number("frameMaxBytes")?.unwrap_or(usual.frame_max_bytes),
        channel_max: options.number("channelMax")?.unwrap_or(usual.channel_max),
        heartbeat_s: options.number("heartbeatSeconds")?.unwrap_or(usual.heartbeat_s),
        memory_high_bytes: 0,
        memory_page_bytes: 0,
        ..usual
    };
    // With little memory the default marks would be above the limit.
    let high_bytes = options.number("memoryHighBytes")?.unwrap_or(limits.memory_max_bytes / 5 * 4);
    let page_bytes = options.number("memoryPageBytes")?.unwrap_or(limits.memory_max_bytes / 2);
    let limits = Limits { memory_high_bytes: high_bytes, memory_page_bytes: page_bytes, ..limits };
    if high_bytes > limits.memory_max_bytes {
        let ends = limits.memory_max_bytes;
        let text =
            format!("Memory for messages ends at {ends} bytes; the option memoryHighBytes must not be above that.");
        return Err(type_error(&text));
    }
    if limits.memory_max_bytes > MEMORY_MAX_BYTES {
        return Err(type_error(
            "'memoryMaxBytes' must be at most 1073741824, as all that a broker holds must fit in 4 GB",
        ));
    }
    if limits.frame_max_bytes < 8192 {
        return Err(type_error("'frameMaxBytes' must be at least 8192"));
    }
    if limits.channel_max == 0 {
        return Err(type_error("'channelMax' must be at least 1"));
    }
    Ok(limits)
}

/// Reads the seed from a server's options.
pub(super) fn seed(options: &JsValue) -> Result<[u8; 32], JsValue> {
    let seed = Fields(options).value("seed").and_then(|seed| seed.dyn_into::<Uint8Array>().ok());
    let seed = seed.and_then(|seed| seed.to_vec().try_into().ok());
    seed.ok_or_else(|| type_error("'seed' must be a Uint8Array of 32 random bytes"))
}

/// Returns the state of a server as a plain object.
pub(super) fn stats(server: &Server) -> JsValue {
    let size = server.journal_size();
    let report = server.broker().report();
    let counts = [
        ("memoryBytes", report.memory_bytes),
        ("publishers", report.publishers),
        ("droppedDeadLetters", report.dropped_dead_letters),
        ("connections", report.connections),
        ("channels", report.channels),
        ("exchanges", report.exchanges),
    ];
    let mut stats: Table = counts.into_iter().map(|(name, count)| (name, count as i64)).collect();
    stats.insert("queues", Value::Array(report.queues.iter().map(queue_stats).collect()));
    if let Some(JournalSize { bytes, live_bytes, segments }) = size {
        let counts = [("bytes", bytes), ("liveBytes", live_bytes), ("segments", segments as u64)];
        let mut known: Table = counts.into_iter().map(|(name, count)| (name, count as i64)).collect();
        if let Some(failure) = server.store_failure() {
            known.insert("failure", failure);
        }
        stats.insert("journal", Value::Table(known));
    }
    write_table(&stats)
}

fn queue_stats(queue: &QueueReport) -> Value {
    let mut stats = Table::new();
    stats.insert("name", &*queue.name);
    let counts = [
        ("ready", queue.ready as u64),
        ("unacked", queue.unacked as u64),
        ("consumers", queue.consumers as u64),
        ("published", queue.counters.published),
        ("delivered", queue.counters.delivered),
        ("redelivered", queue.counters.redelivered),
        ("acked", queue.counters.acked),
    ];
    for (name, count) in counts {
        stats.insert(name, count as i64);
    }
    Value::Table(stats)
}
