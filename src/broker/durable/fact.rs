//! Fact: a change that outlives the broker, as bytes.
//!
//! A record is a change of the whole state; a fact is the part of it that concerns things that are *kept*: durable
//! exchanges, durable queues that are not exclusive, bindings between them, persistent messages in them. It states the
//! places of a message explicitly, as the neighbours there may not be kept, or may have been written down again
//! elsewhere. So only facts about the same thing need to be in order.
//!
//! A fact is an octet for its kind, and its fields in AMQP's elementary types:
//!
//! ```text
//!  1 virtual host   | name: short string
//!  2 its end        |
//!  3 exchange       | name: short string | type: short string | flags: octet | arguments: table
//!  4 its end        | name: short string
//!  5 queue          | queue: longlong | name: short string | flags: octet | arguments: table
//!  6 its end        | queue: longlong
//!  7 partitions     | front: longlong | how many there were before: short | count: short | count x queue: longlong
//!  8 binding        | source: short string | destination | routing key: short string | arguments: table
//!  9 its end        | the same
//! 10 policy         | name, pattern: short strings | applies to: short string | priority: long | definition: table
//! 11 its end        | name: short string
//! 12 message        | count: short | count x (queue: longlong | position: longlong) | content
//! 13 delayed        | number: longlong | due: longlong | content
//! 14 gone           | queue: longlong | first position: longlong | count: long
//! 15 returned       | queue: longlong | position: longlong | how often: long
//! 16 delivered      | queue: longlong | position: longlong             all below it have been
//! 17 publisher      | id: short string | sequence: longlong                as earlier versions wrote it
//! 18 era            | queue: longlong | position: longlong | time to live: longlong, or all ones: none
//! 19 publisher      | id: short string | sequence: longlong | when its last message came: longlong
//!
//! content     = published: longlong | exchange, routing key: short strings | properties, body: long strings
//! destination = 0: octet | queue: longlong, or 1: octet | exchange: short string
//! flags       = 1: auto-delete, 2: internal
//! ```
//!
//! Times are in milliseconds; the highest bit of `published` means that the message has an `x-death` from its
//! publisher. A *place* is a queue and a position in it. There are two more kinds of place: messages of a partition
//! that wait for their slot have [`SEALED`] added to the queue and a number of their own, and delayed messages are at
//! queue 0, under their number.

use crate::broker::model::exchange::{Destination, ExchangeKind};
use crate::broker::model::message::{Message, Parts};
use crate::broker::model::place::{PLACE_BYTES, Place};
use crate::broker::model::policy::{ApplyTo, Policy};
use crate::broker::model::publisher;
use crate::broker::model::queue::tier::Era;
use crate::id::QueueId;
use crate::properties::Properties;
use crate::table::Table;
use crate::wire::{Malformed, Reader, put_long_string, put_name, put_sized};

/// Added to a queue's number for messages that wait for their slot.
const SEALED: u64 = 1 << 63;
/// Added to the publication time of a message that has an `x-death` from its publisher.
const CLAIMS_DEATHS: u64 = 1 << 63;
const NONE: u64 = u64::MAX;
const AUTO_DELETE: u8 = 1;
const INTERNAL: u8 = 2;

/// The places of a message that was written down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'a>(&'a [u8]);

/// A fact, borrowed from the bytes that were written down.
#[derive(Clone, Debug)]
pub(crate) enum Fact<'a> {
    VirtualHost { name: &'a str },
    VirtualHostGone,
    Exchange { name: &'a str, kind: ExchangeKind, auto_delete: bool, internal: bool, arguments: Table },
    ExchangeGone { name: &'a str },
    Queue { queue: QueueId, name: &'a str, auto_delete: bool, arguments: Table },
    QueueGone { queue: QueueId },
    Partitions { front: QueueId, known: u16, added: Vec<QueueId> },
    Bound { source: &'a str, destination: Destination, routing_key: &'a str, arguments: Table },
    Unbound { source: &'a str, destination: Destination, routing_key: &'a str, arguments: Table },
    Policy { name: &'a str, policy: Policy },
    PolicyGone { name: &'a str },
    Message { places: Places<'a>, parts: Parts<'a> },
    Delayed { number: u64, due_ms: u64, parts: Parts<'a> },
    Gone { place: Place, count: u32 },
    Returned { queue: QueueId, position: u64, returns: u32 },
    Delivered { queue: QueueId, below: u64 },
    Publisher { id: &'a str, sequence: i64, used_ms: u64 },
    Era { queue: QueueId, era: Era },
}

fn put_place(out: &mut Vec<u8>, place: Place) {
    let (queue, position) = match place {
        Place::Queue(queue, position) => (queue.index(), position),
        Place::Sealed(queue, number) => (queue.index() | SEALED, number),
        Place::Delayed(number) => (0, number),
    };
    put_u64(out, queue);
    put_u64(out, position);
}

fn read_place(reader: &mut Reader<'_>) -> Result<Place, Malformed> {
    let (queue, position) = (reader.longlong()?, reader.longlong()?);
    Ok(match queue {
        0 => Place::Delayed(position),
        queue if queue & SEALED != 0 => Place::Sealed(QueueId::from_index(queue & !SEALED), position),
        queue => Place::Queue(QueueId::from_index(queue), position),
    })
}

impl<'a> Places<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = Place> + Clone + use<'a> {
        let places = self.0.chunks_exact(PLACE_BYTES);
        places.map(|place| read_place(&mut Reader::new(place)).expect("a place is as long as that"))
    }
}

/// Appends a message at these places.
pub(crate) fn put_message(out: &mut Vec<u8>, places: impl Iterator<Item = Place>, message: &Message) {
    put_places(out, places);
    put_content(out, &message.parts());
}

/// Appends a message whose content was written down before.
pub(crate) fn put_again(out: &mut Vec<u8>, places: impl Iterator<Item = Place>, content: &[u8]) {
    put_places(out, places);
    out.extend_from_slice(content);
}

/// Returns the content in a message's fact.
pub(crate) fn content<'a>(fact: &'a [u8], places: Places<'_>) -> &'a [u8] {
    &fact[3 + places.0.len()..]
}

fn put_places(out: &mut Vec<u8>, places: impl Iterator<Item = Place>) {
    out.push(12);
    let at = out.len();
    out.extend_from_slice(&[0; 2]);
    let mut count = 0u16;
    for place in places {
        put_place(out, place);
        count = count.checked_add(1).expect("a message is split before it has so many places");
    }
    out[at..at + 2].copy_from_slice(&count.to_be_bytes());
}

pub(crate) fn put_delayed(out: &mut Vec<u8>, number: u64, due_ms: u64, message: &Message) {
    out.push(13);
    put_u64(out, number);
    put_u64(out, due_ms);
    put_content(out, &message.parts());
}

/// Appends that `count` places from this one on are empty; the count is in the last four octets.
pub(crate) fn put_gone(out: &mut Vec<u8>, place: Place, count: u32) {
    out.push(14);
    put_place(out, place);
    out.extend_from_slice(&count.to_be_bytes());
}

fn put_content(out: &mut Vec<u8>, parts: &Parts<'_>) {
    put_u64(out, parts.published_ms | (u64::from(parts.claims_deaths) * CLAIMS_DEATHS));
    put_name(out, parts.exchange);
    put_name(out, parts.routing_key);
    put_long_string(out, parts.properties.raw());
    put_long_string(out, parts.body);
}

fn put_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_be_bytes());
}

fn put_destination(out: &mut Vec<u8>, destination: &Destination) {
    match destination {
        Destination::Queue(queue) => {
            out.push(0);
            put_u64(out, queue.index());
        }
        Destination::Exchange(name) => {
            out.push(1);
            put_name(out, name);
        }
    }
}

fn put_table(out: &mut Vec<u8>, table: &Table) {
    put_sized(out, |out| table.encode(out)).expect("the keys of a table that was decoded or checked are short");
}

/// Appends a fact other than of a message.
pub(crate) fn put(out: &mut Vec<u8>, fact: &Fact<'_>) {
    match fact {
        Fact::VirtualHost { name } => put_named(out, 1, name),
        Fact::VirtualHostGone => out.push(2),
        Fact::Exchange { name, kind, auto_delete, internal, arguments } => {
            put_named(out, 3, name);
            put_name(out, kind.name());
            out.push((u8::from(*auto_delete) * AUTO_DELETE) | (u8::from(*internal) * INTERNAL));
            put_table(out, arguments);
        }
        Fact::ExchangeGone { name } => put_named(out, 4, name),
        Fact::Queue { queue, name, auto_delete, arguments } => {
            put_numbered(out, 5, *queue);
            put_name(out, name);
            out.push(u8::from(*auto_delete) * AUTO_DELETE);
            put_table(out, arguments);
        }
        Fact::QueueGone { queue } => put_numbered(out, 6, *queue),
        Fact::Partitions { front, known, added } => {
            put_numbered(out, 7, *front);
            out.extend_from_slice(&known.to_be_bytes());
            out.extend_from_slice(&(added.len() as u16).to_be_bytes());
            added.iter().for_each(|queue| put_u64(out, queue.index()));
        }
        Fact::Bound { source, destination, routing_key, arguments } => {
            put_binding(out, 8, source, destination, routing_key, arguments);
        }
        Fact::Unbound { source, destination, routing_key, arguments } => {
            put_binding(out, 9, source, destination, routing_key, arguments);
        }
        Fact::Policy { name, policy } => {
            put_named(out, 10, name);
            put_name(out, &policy.pattern);
            put_name(out, policy.apply_to.name());
            out.extend_from_slice(&policy.priority.to_be_bytes());
            put_table(out, &policy.definition);
        }
        Fact::PolicyGone { name } => put_named(out, 11, name),
        Fact::Returned { queue, position, returns } => {
            put_numbered(out, 15, *queue);
            put_u64(out, *position);
            out.extend_from_slice(&returns.to_be_bytes());
        }
        Fact::Delivered { queue, below } => {
            put_numbered(out, 16, *queue);
            put_u64(out, *below);
        }
        Fact::Publisher { id, sequence, used_ms } => {
            put_named(out, 19, id);
            out.extend_from_slice(&sequence.to_be_bytes());
            put_u64(out, *used_ms);
        }
        Fact::Era { queue, era } => {
            put_numbered(out, 18, *queue);
            put_u64(out, era.position);
            put_u64(out, era.ttl_ms.unwrap_or(NONE));
        }
        Fact::Message { .. } | Fact::Delayed { .. } | Fact::Gone { .. } => unreachable!("these have their own ways"),
    }
}

fn put_named(out: &mut Vec<u8>, kind: u8, name: &str) {
    out.push(kind);
    put_name(out, name);
}

fn put_numbered(out: &mut Vec<u8>, kind: u8, queue: QueueId) {
    out.push(kind);
    put_u64(out, queue.index());
}

fn put_binding(out: &mut Vec<u8>, kind: u8, source: &str, to: &Destination, routing_key: &str, arguments: &Table) {
    put_named(out, kind, source);
    put_destination(out, to);
    put_name(out, routing_key);
    put_table(out, arguments);
}

/// Iterator over facts written one after the other, each with its offset and length in bytes.
pub(crate) struct Facts<'a> {
    all: usize,
    reader: Reader<'a>,
}

impl<'a> Facts<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { all: bytes.len(), reader: Reader::new(bytes) }
    }

    fn taken(&self) -> usize {
        self.all - self.reader.rest().len()
    }
}

impl<'a> Iterator for Facts<'a> {
    type Item = Result<(usize, usize, Fact<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.is_empty() {
            return None;
        }
        let start = self.taken();
        Some(read(&mut self.reader).map(|fact| (start, self.taken() - start, fact)))
    }
}

/// Reads one fact.
pub(crate) fn read<'a>(reader: &mut Reader<'a>) -> Result<Fact<'a>, Malformed> {
    Ok(match reader.octet()? {
        1 => Fact::VirtualHost { name: reader.short_string()? },
        2 => Fact::VirtualHostGone,
        3 => {
            let (name, kind) = (reader.short_string()?, reader.short_string()?);
            let kind = ExchangeKind::named(kind).ok_or(Malformed("an exchange of an unknown type"))?;
            let (flags, arguments) = (reader.octet()?, read_table(reader)?);
            let (auto_delete, internal) = (flags & AUTO_DELETE != 0, flags & INTERNAL != 0);
            Fact::Exchange { name, kind, auto_delete, internal, arguments }
        }
        4 => Fact::ExchangeGone { name: reader.short_string()? },
        5 => {
            let (queue, name) = (read_queue(reader)?, reader.short_string()?);
            let (auto_delete, arguments) = (reader.octet()? & AUTO_DELETE != 0, read_table(reader)?);
            Fact::Queue { queue, name, auto_delete, arguments }
        }
        6 => Fact::QueueGone { queue: read_queue(reader)? },
        7 => {
            let (front, known, count) = (read_queue(reader)?, reader.short()?, reader.short()?);
            let added = (0..count).map(|_| read_queue(reader)).collect::<Result<_, _>>()?;
            Fact::Partitions { front, known, added }
        }
        8 => {
            let (source, destination, routing_key, arguments) = read_bound(reader)?;
            Fact::Bound { source, destination, routing_key, arguments }
        }
        9 => {
            let (source, destination, routing_key, arguments) = read_bound(reader)?;
            Fact::Unbound { source, destination, routing_key, arguments }
        }
        10 => {
            let (name, pattern) = (reader.short_string()?, reader.short_string()?.into());
            let apply_to = ApplyTo::named(reader.short_string()?);
            let apply_to = apply_to.ok_or(Malformed("a policy that applies to something unknown"))?;
            let (priority, definition) = (reader.long()?.cast_signed(), read_table(reader)?);
            Fact::Policy { name, policy: Policy { pattern, apply_to, priority, definition } }
        }
        11 => Fact::PolicyGone { name: reader.short_string()? },
        12 => {
            let count = usize::from(reader.short()?);
            Fact::Message { places: Places(reader.bytes(count * PLACE_BYTES)?), parts: read_content(reader)? }
        }
        13 => {
            let (number, due_ms) = (reader.longlong()?, reader.longlong()?);
            Fact::Delayed { number, due_ms, parts: read_content(reader)? }
        }
        14 => Fact::Gone { place: read_place(reader)?, count: reader.long()? },
        15 => Fact::Returned { queue: read_queue(reader)?, position: reader.longlong()?, returns: reader.long()? },
        16 => Fact::Delivered { queue: read_queue(reader)?, below: reader.longlong()? },
        kind @ (17 | 19) => {
            let (id, sequence) = (reader.short_string()?, reader.longlong()?.cast_signed());
            let used_ms = if kind == 17 { publisher::UNKNOWN_MS } else { reader.longlong()? };
            Fact::Publisher { id, sequence, used_ms }
        }
        18 => {
            let (queue, position, ttl_ms) = (read_queue(reader)?, reader.longlong()?, reader.longlong()?);
            Fact::Era { queue, era: Era { position, ttl_ms: Some(ttl_ms).filter(|&ttl_ms| ttl_ms != NONE) } }
        }
        _ => return Err(Malformed("a fact of an unknown kind")),
    })
}

/// Returns the parts of a message's fact.
pub(crate) fn read_message(fact: &[u8]) -> Option<Parts<'_>> {
    match read(&mut Reader::new(fact)) {
        Ok(Fact::Message { parts, .. }) => Some(parts),
        _ => None,
    }
}

/// A binding's source, destination, routing key and arguments.
pub(crate) type Bound<'a> = (&'a str, Destination, &'a str, Table);

/// Returns the part of a binding's fact that identifies the binding.
pub(crate) fn binding_of(fact: &[u8]) -> &[u8] {
    &fact[1..]
}

/// Reads the bytes that [`binding_of`] returned.
pub(crate) fn read_binding(bytes: &[u8]) -> Result<Bound<'_>, Malformed> {
    read_bound(&mut Reader::new(bytes))
}

fn read_bound<'a>(reader: &mut Reader<'a>) -> Result<Bound<'a>, Malformed> {
    Ok((reader.short_string()?, read_destination(reader)?, reader.short_string()?, read_table(reader)?))
}

fn read_queue(reader: &mut Reader<'_>) -> Result<QueueId, Malformed> {
    reader.longlong().map(QueueId::from_index)
}

fn read_destination(reader: &mut Reader<'_>) -> Result<Destination, Malformed> {
    Ok(match reader.octet()? {
        0 => Destination::Queue(read_queue(reader)?),
        _ => Destination::Exchange(reader.short_string()?.into()),
    })
}

fn read_table(reader: &mut Reader<'_>) -> Result<Table, Malformed> {
    Table::decode(reader.long_string()?)
}

fn read_content<'a>(reader: &mut Reader<'a>) -> Result<Parts<'a>, Malformed> {
    let published = reader.longlong()?;
    Ok(Parts {
        published_ms: published & !CLAIMS_DEATHS,
        claims_deaths: published & CLAIMS_DEATHS != 0,
        exchange: reader.short_string()?,
        routing_key: reader.short_string()?,
        properties: Properties::trusted(reader.long_string()?),
        body: reader.long_string()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publisher_of(bytes: &[u8]) -> (&str, i64, u64) {
        match read(&mut Reader::new(bytes)) {
            Ok(Fact::Publisher { id, sequence, used_ms }) => (id, sequence, used_ms),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_a_publisher_that_an_earlier_version_wrote_down_the_time_is_unknown() {
        assert_eq!(publisher_of(b"\x11\x01p\0\0\0\0\0\0\0\x07"), ("p", 7, publisher::UNKNOWN_MS));
        let mut bytes = Vec::new();
        put(&mut bytes, &Fact::Publisher { id: "p", sequence: 7, used_ms: 9 });
        assert_eq!(publisher_of(&bytes), ("p", 7, 9));
    }

    #[test]
    fn a_message_takes_what_is_counted_for_it() {
        let (properties, published_ms) = (Properties::EMPTY, 1);
        let parts =
            Parts { exchange: "e", routing_key: "k", properties, body: b"b", published_ms, claims_deaths: false };
        let message = Message::new(&parts, &mut Vec::new());
        let places = [1, 2].map(|position| Place::Queue(QueueId::from_index(1), position));
        let mut bytes = Vec::new();
        put_message(&mut bytes, places.into_iter(), &message);
        assert_eq!(bytes.len(), message.kept_bytes() + places.len() * PLACE_BYTES);
    }
}
