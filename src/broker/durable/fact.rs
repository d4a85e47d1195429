//! Fact: a change that outlives the broker, as bytes.
//!
//! A record is a change of the whole state; a fact is the part of it that concerns things that are *kept*: durable
//! exchanges, durable queues that are not exclusive, bindings between them, persistent messages in them. It states the
//! places of a message explicitly, as the neighbours there may not be kept, or may have been written down again
//! elsewhere. So only facts about the same thing need to be in order.
//!
//! A fact is an octet for its kind, and its fields in AMQP's elementary types. The table of all kinds is below, at
//! [`facts!`]; a field's type says how it is written:
//!
//! ```text
//! &str          short string                QueueId        longlong
//! u16           short                       ExchangeKind   short string: its name
//! u32, i32      long                        ApplyTo        short string: its name
//! u64, i64      longlong                    Flags          octet: 1 auto-delete, 2 internal
//! Table         table                       Vec<QueueId>   count: short | count x longlong
//! Place         queue: longlong | position: longlong
//! Places        count: short | count x place
//! Parts         published: longlong | exchange, routing key: short strings | properties, body: long strings
//! Destination   0: octet | queue: longlong, or 1: octet | exchange: short string
//! Policy        pattern: short string | applies to: short string | priority: long | definition: table
//! Era           position: longlong | time to live: longlong, or all ones: none
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

/// Makes the type of facts and their codec. A row has a kind, its octet, and its fields in the order in which they are
/// written.
macro_rules! facts {
    ($($(#[$doc:meta])* $kind:ident = $octet:tt { $($field:ident: $type:ty),* })*) => {
        /// A fact, borrowed from the bytes that were written down.
        #[derive(Clone, Debug)]
        pub(crate) enum Fact<'a> {
            $($(#[$doc])* $kind { $($field: $type),* },)*
        }

        /// Appends a fact.
        pub(crate) fn put(out: &mut Vec<u8>, fact: &Fact<'_>) {
            match fact {
                $(Fact::$kind { $($field),* } => {
                    out.push($octet);
                    $($field.put(out);)*
                })*
            }
        }

        /// Reads one fact.
        pub(crate) fn read<'a>(reader: &mut Reader<'a>) -> Result<Fact<'a>, Malformed> {
            Ok(match reader.octet()? {
                $($octet => Fact::$kind { $($field: Field::read(reader)?),* },)*
                _ => return Err(Malformed("a fact of an unknown kind")),
            })
        }
    };
}

// These are also written without a `Fact`.
const MESSAGE: u8 = 12;
const GONE: u8 = 14;

facts! {
    VirtualHost = 1 { name: &'a str }
    VirtualHostGone = 2 {}
    Exchange = 3 { name: &'a str, kind: ExchangeKind, flags: Flags, arguments: Table }
    ExchangeGone = 4 { name: &'a str }
    Queue = 5 { queue: QueueId, name: &'a str, flags: Flags, arguments: Table }
    QueueGone = 6 { queue: QueueId }
    /// `known` is how many partitions there were before.
    Partitions = 7 { front: QueueId, known: u16, added: Vec<QueueId> }
    Bound = 8 { source: &'a str, destination: Destination, routing_key: &'a str, arguments: Table }
    Unbound = 9 { source: &'a str, destination: Destination, routing_key: &'a str, arguments: Table }
    Policy = 10 { name: &'a str, policy: Policy }
    PolicyGone = 11 { name: &'a str }
    Message = MESSAGE { places: Places<'a>, parts: Parts<'a> }
    Delayed = 13 { number: u64, due_ms: u64, parts: Parts<'a> }
    /// `count` places from this one on are empty.
    Gone = GONE { place: Place, count: u32 }
    Returned = 15 { queue: QueueId, position: u64, returns: u32 }
    /// All messages below this position were delivered.
    Delivered = 16 { queue: QueueId, below: u64 }
    /// As earlier versions wrote it: the time of its last message is unknown.
    OldPublisher = 17 { id: &'a str, sequence: i64 }
    Era = 18 { queue: QueueId, era: Era }
    Publisher = 19 { id: &'a str, sequence: i64, used_ms: u64 }
}

/// The flags of an exchange or a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
}

/// A field of a fact, as bytes.
trait Field<'a>: Sized {
    fn put(&self, out: &mut Vec<u8>);

    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed>;
}

/// Makes a field of a number.
macro_rules! number {
    ($($type:ty, $read:ident;)*) => {
        $(impl Field<'_> for $type {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                Ok(reader.$read()? as Self)
            }
        })*
    };
}

number! {
    u16, short;
    u32, long;
    i32, long;
    u64, longlong;
    i64, longlong;
}

impl<'a> Field<'a> for &'a str {
    fn put(&self, out: &mut Vec<u8>) {
        put_name(out, self);
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        reader.short_string()
    }
}

impl Field<'_> for QueueId {
    fn put(&self, out: &mut Vec<u8>) {
        self.index().put(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        reader.longlong().map(Self::from_index)
    }
}

impl Field<'_> for Vec<QueueId> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u16).put(out);
        self.iter().for_each(|queue| queue.put(out));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        (0..reader.short()?).map(|_| QueueId::read(reader)).collect()
    }
}

impl Field<'_> for ExchangeKind {
    fn put(&self, out: &mut Vec<u8>) {
        put_name(out, self.name());
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::named(reader.short_string()?).ok_or(Malformed("an exchange of an unknown type"))
    }
}

impl Field<'_> for Flags {
    fn put(&self, out: &mut Vec<u8>) {
        out.push((u8::from(self.auto_delete) * AUTO_DELETE) | (u8::from(self.internal) * INTERNAL));
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let flags = reader.octet()?;
        Ok(Self { auto_delete: flags & AUTO_DELETE != 0, internal: flags & INTERNAL != 0 })
    }
}

impl Field<'_> for Table {
    fn put(&self, out: &mut Vec<u8>) {
        put_sized(out, |out| self.encode(out)).expect("the keys of a table that was decoded or checked are short");
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Self::decode(reader.long_string()?)
    }
}

impl Field<'_> for Destination {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Queue(queue) => {
                out.push(0);
                queue.put(out);
            }
            Self::Exchange(name) => {
                out.push(1);
                put_name(out, name);
            }
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match reader.octet()? {
            0 => Self::Queue(QueueId::read(reader)?),
            _ => Self::Exchange(reader.short_string()?.into()),
        })
    }
}

impl Field<'_> for Policy {
    fn put(&self, out: &mut Vec<u8>) {
        put_name(out, &self.pattern);
        put_name(out, self.apply_to.name());
        self.priority.put(out);
        self.definition.put(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (pattern, apply_to) = (reader.short_string()?.into(), ApplyTo::named(reader.short_string()?));
        let apply_to = apply_to.ok_or(Malformed("a policy that applies to something unknown"))?;
        Ok(Self { pattern, apply_to, priority: Field::read(reader)?, definition: Field::read(reader)? })
    }
}

impl Field<'_> for Era {
    fn put(&self, out: &mut Vec<u8>) {
        self.position.put(out);
        self.ttl_ms.unwrap_or(NONE).put(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (position, ttl_ms) = (reader.longlong()?, reader.longlong()?);
        Ok(Self { position, ttl_ms: Some(ttl_ms).filter(|&ttl_ms| ttl_ms != NONE) })
    }
}

impl Field<'_> for Place {
    fn put(&self, out: &mut Vec<u8>) {
        let (queue, position) = match *self {
            Self::Queue(queue, position) => (queue.index(), position),
            Self::Sealed(queue, number) => (queue.index() | SEALED, number),
            Self::Delayed(number) => (0, number),
        };
        queue.put(out);
        position.put(out);
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let (queue, position) = (reader.longlong()?, reader.longlong()?);
        Ok(match queue {
            0 => Self::Delayed(position),
            queue if queue & SEALED != 0 => Self::Sealed(QueueId::from_index(queue & !SEALED), position),
            queue => Self::Queue(QueueId::from_index(queue), position),
        })
    }
}

impl<'a> Field<'a> for Places<'a> {
    fn put(&self, out: &mut Vec<u8>) {
        ((self.0.len() / PLACE_BYTES) as u16).put(out);
        out.extend_from_slice(self.0);
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count = usize::from(reader.short()?);
        reader.bytes(count * PLACE_BYTES).map(Self)
    }
}

impl<'a> Field<'a> for Parts<'a> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.published_ms | (u64::from(self.claims_deaths) * CLAIMS_DEATHS)).put(out);
        put_name(out, self.exchange);
        put_name(out, self.routing_key);
        put_long_string(out, self.properties.raw());
        put_long_string(out, self.body);
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let published = reader.longlong()?;
        Ok(Self {
            published_ms: published & !CLAIMS_DEATHS,
            claims_deaths: published & CLAIMS_DEATHS != 0,
            exchange: reader.short_string()?,
            routing_key: reader.short_string()?,
            properties: Properties::trusted(reader.long_string()?),
            body: reader.long_string()?,
        })
    }
}

impl<'a> Places<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = Place> + Clone + use<'a> {
        let places = self.0.chunks_exact(PLACE_BYTES);
        places.map(|place| Place::read(&mut Reader::new(place)).expect("a place is as long as that"))
    }
}

/// Appends a message at these places.
pub(crate) fn put_message(out: &mut Vec<u8>, places: impl Iterator<Item = Place>, message: &Message) {
    put_places(out, places);
    message.parts().put(out);
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
    out.push(MESSAGE);
    let at = out.len();
    out.extend_from_slice(&[0; 2]);
    let mut count = 0u16;
    for place in places {
        place.put(out);
        count = count.checked_add(1).expect("a message is split before it has so many places");
    }
    out[at..at + 2].copy_from_slice(&count.to_be_bytes());
}

pub(crate) fn put_delayed(out: &mut Vec<u8>, number: u64, due_ms: u64, message: &Message) {
    put(out, &Fact::Delayed { number, due_ms, parts: message.parts() });
}

/// Appends that `count` places from this one on are empty; the count is in the last four octets.
pub(crate) fn put_gone(out: &mut Vec<u8>, place: Place, count: u32) {
    out.push(GONE);
    place.put(out);
    count.put(out);
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
    let reader = &mut Reader::new(bytes);
    Ok((Field::read(reader)?, Field::read(reader)?, Field::read(reader)?, Field::read(reader)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_is_read_as_earlier_versions_wrote_it() {
        let fact = read(&mut Reader::new(b"\x11\x01p\0\0\0\0\0\0\0\x07"));
        assert!(matches!(fact, Ok(Fact::OldPublisher { id: "p", sequence: 7 })), "{fact:?}");
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
