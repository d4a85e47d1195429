//! Message: a published message, shared by its queues.
//!
//! One allocation holds everything, so a queued message costs little beyond its body, and a copy for another queue
//! costs a reference count:
//!
//! ```text
//! +----------+----------+------------+-----------+---------+---------+----------+-------------+------------+------+
//! | u8       | u8       | u32        | u64       | u64     | u8      |          |             |            |      |
//! | exchange | routing  | properties | published | expires | flags   | exchange | routing key | properties | body |
//! | length   | key len. | length     | ms        | ms      |         |          |             |            |      |
//! +----------+----------+------------+-----------+---------+---------+----------+-------------+------------+------+
//! flags: 1 has headers that mean something to the broker, 2 is kept, 4 has an x-death that its publisher wrote
//! ```
//!
//! It never changes. Its state in a queue (position, redeliveries) is stored in the queue. It *expires* at the time
//! that its own property `expiration` sets; a queue may set a shorter time.
//!
//! A message that is *kept* was written down, or will be in this turn. When memory is short, it is replaced in its
//! queues by a *stub*, which contains its location:
//!
//! ```text
//! +---------+--------+--------+-------+-------+------+
//! | u32     | u32    | u32    | u32   | u32   | u16  |
//! | segment | offset | length | kept  | body  | slot |
//! |         |        |        | bytes | bytes |      |
//! +---------+--------+--------+-------+-------+------+
//! ```
//! The message is fetched before it is at the head of its queue; once it is delivered, a stub replaces it again.

use std::fmt;
use std::rc::Rc;

use super::names::{self, Told};
use super::pager::Location;
use super::place::CONTENT_BYTES;
use super::slot;
use crate::properties::Properties;

const HEADER_BYTES: usize = 23;
/// Length of a stub, which is shorter than any message.
const STUB_BYTES: usize = 22;
/// The delivery mode of a message that is to outlive the broker.
const PERSISTENT: u8 = 2;
const TELLS_BROKER: u8 = 1;
const KEPT: u8 = 2;
const CLAIMS_DEATHS: u8 = 4;
/// Expiry time of a message without `expiration`.
pub(crate) const NEVER_MS: u64 = u64::MAX;
/// Memory of a message beyond its parts and its places, for its allocation. `benches/core.rs` measures it. It is
/// counted so that a flood of empty messages reaches the memory limit, too.
const OVERHEAD_BYTES: usize = 32;
/// Memory of a stub beyond its bytes.
const STUB_OVERHEAD_BYTES: usize = 16;
/// Memory of each place: an entry of a queue, and its share of the queue's spare capacity.
pub(crate) const PLACE_MEMORY_BYTES: usize = 32;

/// Additional memory of a delivered message: its entries among the unacked ones of its queue and of its channel.
pub(crate) const UNACKED_MEMORY_BYTES: usize = 128;

/// A published message. Only queues share it, so that the broker knows when the last of them drops it.
#[derive(PartialEq, Eq)]
pub struct Message(Rc<[u8]>);

/// Parts of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) exchange: &'a str,
    pub(crate) routing_key: &'a str,
    pub(crate) properties: Properties<'a>,
    pub(crate) body: &'a [u8],
    /// Time of its arrival.
    pub(crate) published_ms: u64,
    /// Whether it has an `x-death` header that its publisher wrote.
    pub(crate) claims_deaths: bool,
}

impl Message {
    /// Copies the parts into one allocation; `scratch` is reused for each message.
    ///
    /// The callers of the broker have checked that the names are short strings and `expiration` is a number.
    pub(crate) fn new(parts: &Parts<'_>, scratch: &mut Vec<u8>) -> Self {
        let Parts { exchange, routing_key, properties, body, published_ms, claims_deaths } = *parts;
        let lifetime_ms = properties.expiration().and_then(|text| text.parse().ok());
        let expires_ms = lifetime_ms.map_or(NEVER_MS, |lifetime_ms: u64| published_ms.saturating_add(lifetime_ms));
        let Told { tells_broker, has_deaths } = names::told(properties);
        let properties = properties.raw();
        let properties_length = u32::try_from(properties.len()).expect("properties fit in a frame");
        let mut header = [0; HEADER_BYTES];
        (header[0], header[1]) = (short_length(exchange), short_length(routing_key));
        header[2..6].copy_from_slice(&properties_length.to_le_bytes());
        header[6..14].copy_from_slice(&published_ms.to_le_bytes());
        header[14..22].copy_from_slice(&expires_ms.to_le_bytes());
        header[22] = (u8::from(tells_broker) * TELLS_BROKER) | (u8::from(claims_deaths && has_deaths) * CLAIMS_DEATHS);
        scratch.clear();
        scratch.extend_from_slice(&header);
        scratch.extend_from_slice(exchange.as_bytes());
        scratch.extend_from_slice(routing_key.as_bytes());
        scratch.extend_from_slice(properties);
        scratch.extend_from_slice(body);
        Self(Rc::from(&scratch[..]))
    }

    /// Returns the same message with other properties.
    pub(crate) fn with_properties(&self, properties: Properties<'_>, scratch: &mut Vec<u8>) -> Self {
        Self::new(&Parts { properties, ..self.parts() }, scratch)
    }

    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts {
            exchange: self.exchange(),
            routing_key: self.routing_key(),
            properties: self.properties(),
            body: self.body(),
            published_ms: self.published_ms(),
            claims_deaths: self.claims_deaths(),
        }
    }

    /// Makes the stub of this message, which was written down at this location. Only partitions need its slot.
    pub(crate) fn stub(&self, at: Location, length: u32, has_slot: bool) -> Self {
        let numbers = [at.segment, at.offset, length, self.kept_bytes() as u32, self.body_bytes() as u32];
        let mut bytes = [0; STUB_BYTES];
        let (start, slot) = bytes.split_at_mut(STUB_BYTES - 2);
        start.copy_from_slice(numbers.map(u32::to_le_bytes).as_flattened());
        if has_slot {
            slot.copy_from_slice(&self.slot().to_le_bytes());
        }
        Self(Rc::from(bytes))
    }

    /// Returns the location and length of the written message, if this is a stub.
    pub(crate) fn as_stub(&self) -> Option<(Location, u32)> {
        self.is_stub().then(|| {
            let [segment, offset, length] = [0, 4, 8].map(|start| self.small_number(start));
            (Location { segment, offset }, length)
        })
    }

    pub(crate) fn is_stub(&self) -> bool {
        self.0.len() == STUB_BYTES
    }

    /// Returns its address in memory, which is the same for all shares.
    pub(crate) fn address(&self) -> *const u8 {
        self.0.as_ptr()
    }

    /// Returns the same message for another queue.
    pub(crate) fn share(&self) -> Self {
        Self(Rc::clone(&self.0))
    }

    /// Returns an equal message that shares nothing with this one.
    pub(crate) fn copied(&self) -> Self {
        Self(Rc::from(&self.0[..]))
    }

    /// Returns the exchange that it was published to.
    #[must_use]
    pub fn exchange(&self) -> &str {
        self.text(HEADER_BYTES, self.routing_key_start())
    }

    /// Returns the routing key that it was published with.
    #[must_use]
    pub fn routing_key(&self) -> &str {
        self.text(self.routing_key_start(), self.properties_start())
    }

    /// Returns its properties, as the publisher sent them.
    #[must_use]
    pub fn properties(&self) -> Properties<'_> {
        Properties::trusted(&self.0[self.properties_start()..self.body_start()])
    }

    /// Returns whether it has headers that mean something to the broker, without searching for them.
    pub(crate) fn tells_broker(&self) -> bool {
        self.0[22] & TELLS_BROKER != 0
    }

    /// Returns whether it has an `x-death` header that its publisher wrote.
    pub(crate) fn claims_deaths(&self) -> bool {
        self.0[22] & CLAIMS_DEATHS != 0
    }

    /// Returns whether it outlives the broker.
    pub(crate) fn is_kept(&self) -> bool {
        self.is_stub() || self.0[22] & KEPT != 0
    }

    /// Sets whether it outlives the broker. A shared message is copied first.
    pub(crate) fn set_kept(&mut self, is_kept: bool) {
        if self.is_kept() == is_kept {
            return;
        }
        if Rc::get_mut(&mut self.0).is_none() {
            self.0 = Rc::from(&self.0[..]);
        }
        let bytes = Rc::get_mut(&mut self.0).expect("a copy is shared with nobody");
        bytes[22] = (bytes[22] & !KEPT) | (u8::from(is_kept) * KEPT);
    }

    /// Returns whether its publisher wants it to outlive the broker.
    pub(crate) fn is_persistent(&self) -> bool {
        self.properties().delivery_mode() == Some(PERSISTENT)
    }

    /// Returns the bytes that a kept message takes in the store, without its places.
    pub(crate) fn kept_bytes(&self) -> usize {
        if self.is_stub() { self.small_number(12) as usize } else { CONTENT_BYTES + self.0.len() - HEADER_BYTES }
    }

    /// Returns its body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.0[self.body_start()..]
    }

    /// Returns the length of its body.
    pub(crate) fn body_bytes(&self) -> usize {
        if self.is_stub() { self.small_number(16) as usize } else { self.body().len() }
    }

    /// Returns its slot, which determines its partition.
    pub(crate) fn slot(&self) -> u16 {
        match self.0.last_chunk().filter(|_| self.is_stub()) {
            Some(slot) => u16::from_le_bytes(*slot),
            None => slot::of(self.routing_key(), self.properties()),
        }
    }

    /// Returns the time of its arrival.
    pub(crate) fn published_ms(&self) -> u64 {
        self.number(6)
    }

    /// Returns the time at which it expires by its own property, or [`NEVER_MS`].
    pub(crate) fn expires_ms(&self) -> u64 {
        self.number(14)
    }

    /// Returns its memory, which its queues share, without its places.
    pub(crate) fn memory_bytes(&self) -> usize {
        if self.is_stub() { STUB_OVERHEAD_BYTES + STUB_BYTES } else { OVERHEAD_BYTES + self.0.len() }
    }

    /// Returns its memory with one place, before it has one.
    pub(crate) fn placed_bytes(&self) -> usize {
        self.memory_bytes() + PLACE_MEMORY_BYTES
    }

    /// Returns the memory of a message of these parts with one place.
    pub(crate) fn memory_bytes_of(exchange: &str, routing_key: &str, properties: Properties<'_>, body: &[u8]) -> usize {
        let fixed_bytes = OVERHEAD_BYTES + PLACE_MEMORY_BYTES + HEADER_BYTES;
        fixed_bytes + exchange.len() + routing_key.len() + properties.raw().len() + body.len()
    }

    /// Returns whether queues other than the one that shared it just now hold it.
    pub(crate) fn is_elsewhere(&self) -> bool {
        Rc::strong_count(&self.0) > 2
    }

    /// Returns whether no other queue holds it.
    pub(crate) fn is_last(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }

    fn routing_key_start(&self) -> usize {
        HEADER_BYTES + usize::from(self.0[0])
    }

    fn properties_start(&self) -> usize {
        self.routing_key_start() + usize::from(self.0[1])
    }

    fn body_start(&self) -> usize {
        self.properties_start() + self.small_number(2) as usize
    }

    fn small_number(&self, start: usize) -> u32 {
        u32::from_le_bytes(*self.0[start..].first_chunk().expect("the header is longer"))
    }

    fn number(&self, start: usize) -> u64 {
        u64::from_le_bytes(*self.0[start..].first_chunk().expect("the header is longer"))
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
    use crate::properties::PropertyValues;

    #[test]
    fn the_parts_come_back_as_they_went_in() {
        let mut scratch = vec![1, 2, 3];
        let mut encoded = Vec::new();
        let headers = Some([("x-death", 1)].into_iter().collect());
        PropertyValues { headers, ..PropertyValues::default() }.encode(&mut encoded).unwrap();
        let (properties, published_ms, claims_deaths) = (Properties::trusted(&encoded), 7, true);
        let parts =
            Parts { exchange: "logs", routing_key: "a.b", properties, body: b"body", published_ms, claims_deaths };
        let message = Message::new(&parts, &mut scratch);
        assert_eq!((message.exchange(), message.routing_key(), message.body()), ("logs", "a.b", &b"body"[..]));
        assert_eq!(message.properties(), properties);
        assert_eq!((message.published_ms(), message.expires_ms()), (7, NEVER_MS));
        assert!(message.with_properties(properties, &mut scratch).claims_deaths());
        assert!(!message.with_properties(Properties::EMPTY, &mut scratch).claims_deaths());
    }

    #[test]
    fn empty_parts_are_parts_too() {
        let (properties, published_ms) = (Properties::EMPTY, 0);
        let claims_deaths = false;
        let parts = Parts { exchange: "", routing_key: "", properties, body: b"", published_ms, claims_deaths };
        let message = Message::new(&parts, &mut Vec::new());
        assert_eq!((message.exchange(), message.routing_key(), message.body()), ("", "", &b""[..]));
    }

    #[test]
    fn it_expires_so_long_after_its_arrival() {
        let mut encoded = Vec::new();
        PropertyValues { expiration: Some("250".into()), ..PropertyValues::default() }.encode(&mut encoded).unwrap();
        let properties = Properties::trusted(&encoded);
        let (published_ms, claims_deaths) = (1000, false);
        let parts = Parts { exchange: "", routing_key: "q", properties, body: b"", published_ms, claims_deaths };
        let message = Message::new(&parts, &mut Vec::new());
        assert_eq!(message.expires_ms(), 1250);
        assert_eq!(message.with_properties(Properties::EMPTY, &mut Vec::new()).expires_ms(), NEVER_MS);
    }
}
