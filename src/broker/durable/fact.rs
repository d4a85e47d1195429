//! Fact: a change that outlives the broker, as bytes.
//!
//! A record is a change of the whole state; a fact is the part of it that concerns things that are *kept*: durable
//! exchanges, durable queues that are not exclusive, bindings between them, persistent messages in them. It states the
//! places of a message explicitly, as the neighbours there may not be kept, or may have been written down again
//! elsewhere. So only facts about the same thing need to be in order.
//!
//! A fact is an octet for its kind, and its fields as [`field`] says. The table of all kinds is below, at [`facts!`].

mod field;

use crate::broker::model::exchange::{Destination, Exchange, ExchangeKind};
use crate::broker::model::message::{Message, Parts};
use crate::broker::model::place::Place;
use crate::broker::model::policy::Policy;
use crate::broker::model::queue::tier::Era;
use crate::broker::model::record::Record;
use crate::broker::model::state::State;
use crate::id::QueueId;
use crate::table::Table;
use crate::wire::{Malformed, Reader};

use field::Field;
pub(crate) use field::{Flags, Places};

/// Estimate of the bytes of a fact apart from its names.
pub(crate) const FACT_BYTES: usize = 24;

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

/// The form in which a record is written down. The recorder makes facts of those about messages itself.
pub(crate) enum Written<'a> {
    Nothing,
    /// A peer may wait for it.
    Fact(Fact<'a>),
    /// No peer waits for it.
    Lazily(Fact<'a>),
    Published {
        message: &'a Message,
        queues: &'a [QueueId],
    },
    Delayed {
        number: u64,
        message: &'a Message,
        due_ms: u64,
    },
    /// Nothing is written down if no durable message is at this place.
    Gone {
        place: Place,
        is_awaited: bool,
    },
    Purged {
        queue: QueueId,
    },
}

impl<'a> Written<'a> {
    /// Returns what is written down of a record before it is applied to this state.
    pub(crate) fn of(state: &State, record: &Record<'a>) -> Self {
        match *record {
            Record::ExchangeDeclared { name, kind, durable, auto_delete, internal, arguments } => {
                let flags = Flags { auto_delete, internal };
                Self::fact(durable, || Fact::Exchange { name, kind, flags, arguments: arguments.clone() })
            }
            Record::ExchangeDeleted { name } => {
                Self::fact(state.is_kept_exchange(name), || Fact::ExchangeGone { name })
            }
            Record::QueueDeclared { queue, name, durable, exclusive, auto_delete, arguments } => {
                let flags = Flags { auto_delete, internal: false };
                Self::fact(durable && !exclusive, || Fact::Queue { queue, name, flags, arguments: arguments.clone() })
            }
            Record::QueueDeleted { queue } => Self::fact(state.is_kept_queue(queue), || Fact::QueueGone { queue }),
            Record::PartitionsAdded { front, partitions } => {
                let known = state.queue(front).and_then(|queue| queue.kind.partitions());
                let known = known.map_or(0, |known| known.queues.len() as u16);
                let fact = || Fact::Partitions { front, known, added: partitions.to_vec() };
                Self::fact(state.is_kept_queue(front), fact)
            }
            Record::Bound { source, destination, routing_key, arguments } => {
                Self::fact(state.is_kept_binding(source, destination), || {
                    let (destination, arguments) = (destination.clone(), arguments.clone());
                    Fact::Bound { source, destination, routing_key, arguments }
                })
            }
            Record::Unbound { source, destination, routing_key, arguments } => {
                Self::fact(state.is_kept_binding(source, destination), || {
                    let (destination, arguments) = (destination.clone(), arguments.clone());
                    Fact::Unbound { source, destination, routing_key, arguments }
                })
            }
            Record::PolicySet { name, policy } => Self::Fact(Fact::Policy { name, policy: policy.clone() }),
            Record::PolicyDeleted { name } => Self::Fact(Fact::PolicyGone { name }),
            Record::Published { message, queues } => Self::Published { message, queues },
            Record::Delayed { number, message, due_ms } if message.is_kept() => {
                Self::Delayed { number, message, due_ms }
            }
            Record::Settled { queue, position } => {
                Self::Gone { place: Place::Queue(queue, position), is_awaited: true }
            }
            Record::Taken { queue, position } | Record::Dropped { queue, position } => {
                Self::Gone { place: Place::Queue(queue, position), is_awaited: false }
            }
            Record::DelayOver { number } => Self::Gone { place: Place::Delayed(number), is_awaited: false },
            Record::Requeued { queue, position } if state.kept_at(Place::Queue(queue, position)).is_some() => {
                let returns = state.queue(queue).map_or(0, |queue| queue.returns(position).saturating_add(1));
                Self::Lazily(Fact::Returned { queue, position, returns })
            }
            Record::Purged { queue } => Self::Purged { queue },
            // How far a queue was delivered is noted at a clean end, and publishers are forgotten by their times.
            Record::Delivered { .. }
            | Record::PublishersForgotten { .. }
            | Record::Delayed { .. }
            | Record::Requeued { .. } => Self::Nothing,
        }
    }

    fn fact(is_kept: bool, fact: impl FnOnce() -> Fact<'a>) -> Self {
        if is_kept { Self::Fact(fact()) } else { Self::Nothing }
    }
}

impl Fact<'_> {
    /// Returns whether the fact still holds. Those of messages and publishers are noted again by other rules.
    pub(crate) fn still_holds(&self, state: &State, virtual_host: &str) -> bool {
        match self {
            Self::VirtualHost { name } => *name == virtual_host,
            Self::Exchange { name, kind, flags, arguments } => {
                let declared = Exchange::new(*kind, true, flags.auto_delete, flags.internal, arguments);
                state.exchange(name).is_some_and(|known| known.is_declared_as(&declared))
            }
            Self::Queue { queue, .. } | Self::Partitions { front: queue, .. } => state.is_kept_queue(*queue),
            Self::Bound { source, destination, routing_key, arguments } => {
                let has = |exchange: &Exchange| exchange.has_binding(destination, routing_key, arguments);
                state.is_kept_binding(source, destination) && state.exchange(source).is_some_and(has)
            }
            Self::Era { queue, era } => {
                state.queue(*queue).is_some_and(|queue| queue.eras().any(|known| known == *era))
            }
            Self::Policy { name, policy } => state.policies().iter().any(|known| known == (*name, policy)),
            Self::VirtualHostGone {}
            | Self::ExchangeGone { .. }
            | Self::QueueGone { .. }
            | Self::Unbound { .. }
            | Self::PolicyGone { .. }
            | Self::Gone { .. }
            | Self::Returned { .. }
            | Self::Delivered { .. }
            | Self::Message { .. }
            | Self::Delayed { .. }
            | Self::OldPublisher { .. }
            | Self::Publisher { .. } => false,
        }
    }
}

/// Estimates the bytes of all facts that hold, apart from messages and publishers.
pub(crate) fn topology_bytes(state: &State) -> usize {
    let mut scratch = Vec::new();
    let mut table_bytes = |table: &Table| {
        scratch.clear();
        table.encode(&mut scratch).map_or(0, |()| scratch.len())
    };
    let mut bytes = 0;
    for (name, exchange) in state.exchanges().filter(|(_, exchange)| exchange.durable) {
        bytes += FACT_BYTES + name.len() + table_bytes(&exchange.arguments);
        for (destination, routing_key, arguments) in exchange.bindings() {
            if state.is_kept_binding(name, destination) {
                bytes += FACT_BYTES + name.len() + routing_key.len() + table_bytes(&arguments);
            }
        }
    }
    for (_, queue) in state.all_queues().filter(|(_, queue)| queue.is_kept) {
        bytes += FACT_BYTES + queue.name.len() + table_bytes(&queue.arguments) + FACT_BYTES * queue.eras().count();
    }
    for (name, policy) in state.policies().iter() {
        bytes += FACT_BYTES + name.len() + policy.pattern.len() + table_bytes(&policy.definition);
    }
    bytes
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
    use crate::broker::model::place::PLACE_BYTES;
    use crate::properties::Properties;

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
