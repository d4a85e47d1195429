//! Field: the parts of a fact as bytes, in AMQP's elementary types.
//!
//! ```text
//! &str          short string                QueueId        longlong
//! u16           short                       ExchangeKind   short string: its name
//! u32, i32      long                        Vec<QueueId>   count: short | count x longlong
//! u64, i64      longlong                    Flags          octet: 1 auto-delete, 2 internal
//! Table         table
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
use crate::broker::model::message::Parts;
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

/// The flags of an exchange or a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
}

/// The places of a message that was written down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'a>(pub(super) &'a [u8]);

/// A field of a fact, as bytes.
pub(super) trait Field<'a>: Sized {
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
