//! Message: what a publisher sent, as the queues share it.
//!
//! One allocation holds everything, so a queued message costs little beside its body and a copy for another queue
//! costs a reference count:
//!
//! ```text
//! +----------+----------+-----------------+----------+-------------+------------+------+
//! | u8       | u8       | u32             |          |             |            |      |
//! | exchange | routing  | properties      | exchange | routing key | properties | body |
//! | length   | key len. | length          |          |             |            |      |
//! +----------+----------+-----------------+----------+-------------+------------+------+
//! ```
//!
//! It never changes. What happened to it in a queue (position, redeliveries) is the queue's to know.

use std::fmt;
use std::sync::Arc;

use crate::properties::Properties;

const HEADER_BYTES: usize = 6;
/// What a message takes beside its parts: the allocation's own needs and its place in a queue. `benches/core.rs` measures
/// it. Counted so that a flood of empty messages meets the memory limit too.
const OVERHEAD_BYTES: usize = 64;

/// A published message. Only queues share it, so that the broker knows when the last of them lets go.
#[derive(PartialEq, Eq)]
pub struct Message(Arc<[u8]>);

impl Message {
    /// Copies the parts into one allocation; `scratch` is reused from message to message.
    ///
    /// The names are short strings, which the callers of the broker have checked.
    pub(crate) fn new(
        exchange: &str,
        routing_key: &str,
        properties: Properties<'_>,
        body: &[u8],
        scratch: &mut Vec<u8>,
    ) -> Self {
        let properties = properties.raw();
        let properties_length = u32::try_from(properties.len()).expect("properties fit in a frame");
        scratch.clear();
        scratch.push(short_length(exchange));
        scratch.push(short_length(routing_key));
        scratch.extend_from_slice(&properties_length.to_le_bytes());
        scratch.extend_from_slice(exchange.as_bytes());
        scratch.extend_from_slice(routing_key.as_bytes());
        scratch.extend_from_slice(properties);
        scratch.extend_from_slice(body);
        Self(Arc::from(&scratch[..]))
    }

    /// The same message for another queue.
    pub(crate) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }

    /// An equal message that shares nothing with this one.
    pub(crate) fn copied(&self) -> Self {
        Self(Arc::from(&self.0[..]))
    }

    /// The exchange that it was published to.
    #[must_use]
    pub fn exchange(&self) -> &str {
        self.text(HEADER_BYTES, self.routing_key_start())
    }

    /// The routing key that it was published with.
    #[must_use]
    pub fn routing_key(&self) -> &str {
        self.text(self.routing_key_start(), self.properties_start())
    }

    /// Its properties, as they came.
    #[must_use]
    pub fn properties(&self) -> Properties<'_> {
        Properties::trusted(&self.0[self.properties_start()..self.body_start()])
    }

    /// Its body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.0[self.body_start()..]
    }

    /// What it takes in memory, however many queues share it.
    pub(crate) fn memory_bytes(&self) -> usize {
        OVERHEAD_BYTES + self.0.len()
    }

    /// What a message of these parts takes.
    pub(crate) fn memory_bytes_of(exchange: &str, routing_key: &str, properties: Properties<'_>, body: &[u8]) -> usize {
        OVERHEAD_BYTES + HEADER_BYTES + exchange.len() + routing_key.len() + properties.raw().len() + body.len()
    }

    /// Whether no other queue holds it.
    pub(crate) fn is_last(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    fn routing_key_start(&self) -> usize {
        HEADER_BYTES + usize::from(self.0[0])
    }

    fn properties_start(&self) -> usize {
        self.routing_key_start() + usize::from(self.0[1])
    }

    fn body_start(&self) -> usize {
        let length = [self.0[2], self.0[3], self.0[4], self.0[5]];
        self.properties_start() + u32::from_le_bytes(length) as usize
    }

    fn text(&self, start: usize, end: usize) -> &str {
        std::str::from_utf8(&self.0[start..end]).expect("names were text when the message was made")
    }
}

fn short_length(name: &str) -> u8 {
    u8::try_from(name.len()).expect("a name is at most 255 bytes")
}

impl fmt::Debug for Message {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Message")
            .field("exchange", &self.exchange())
            .field("routing_key", &self.routing_key())
            .field("body", &String::from_utf8_lossy(self.body()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_come_back_as_they_went_in() {
        let mut scratch = vec![1, 2, 3];
        let message = Message::new("logs", "a.b", Properties::EMPTY, b"body", &mut scratch);
        assert_eq!(message.exchange(), "logs");
        assert_eq!(message.routing_key(), "a.b");
        assert_eq!(message.properties().raw(), Properties::EMPTY.raw());
        assert_eq!(message.body(), b"body");
    }

    #[test]
    fn empty_parts_are_parts_too() {
        let message = Message::new("", "", Properties::EMPTY, b"", &mut Vec::new());
        assert_eq!((message.exchange(), message.routing_key(), message.body()), ("", "", &b""[..]));
    }
}
