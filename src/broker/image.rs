//! Image: what facts that were written down say together; from it a broker begins.
//!
//! Facts come in the order in which they were written, but not in that in which things happened: what was written down again
//! comes late, so a queue's messages may come before the queue. What is left in the end holds.

use std::collections::{BTreeMap, BTreeSet};

use super::exchange::{Destination, ExchangeKind};
use super::fact::{Fact, Facts, Place};
use super::message::{Message, Parts};
use super::numbered::Numbered;
use super::policy::Policy;
use super::publisher::Publishers;
use super::queue::tier_of;
use super::shelf::Location;
use crate::id::QueueId;
use crate::table::Table;
use crate::wire::Malformed;

/// What the facts of one virtual host say.
#[derive(Debug)]
pub struct Image {
    /// The virtual host's name, where a fact gives it one.
    name: Option<Box<str>>,
    is_gone: bool,
    pub(super) exchanges: BTreeMap<Box<str>, ExchangeImage>,
    pub(super) queues: BTreeMap<QueueId, QueueImage>,
    pub(super) bindings: BTreeSet<BindingImage>,
    pub(super) policies: BTreeMap<Box<str>, Policy>,
    pub(super) delayed: Numbered<DelayedImage>,
    /// The highest number that a delayed message had.
    pub(super) delayed_number: u64,
    pub(super) publishers: Publishers,
    /// Of all queues that there ever were.
    pub(super) last_queue: QueueId,
    /// Above so many bytes of messages, bodies stay where they are.
    page_bytes: usize,
    /// What the messages take in memory, and where they were written down, their places aside.
    memory_bytes: usize,
    kept_bytes: usize,
    scratch: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct ExchangeImage {
    pub(super) kind: ExchangeKind,
    pub(super) auto_delete: bool,
    pub(super) internal: bool,
    pub(super) arguments: Table,
}

/// Source, destination, routing key, and the arguments as they were written down.
pub(super) type BindingImage = (Box<str>, Destination, Box<str>, Box<[u8]>);

#[derive(Debug)]
pub(super) struct DelayedImage {
    pub(super) due_ms: u64,
    pub(super) message: Message,
}

/// A queue, or a partition, which is not declared.
#[derive(Debug, Default)]
pub(super) struct QueueImage {
    pub(super) declared: Option<Declared>,
    /// By how many there were before.
    pub(super) partitions: BTreeMap<u16, Vec<QueueId>>,
    /// By the first octet of the position.
    pub(super) tiers: BTreeMap<u8, TierImage>,
    pub(super) waiting: Numbered<Held>,
    /// The number after the highest one that waited.
    pub(super) arrivals: u64,
}

#[derive(Debug)]
pub(super) struct Declared {
    pub(super) name: Box<str>,
    pub(super) auto_delete: bool,
    pub(super) arguments: Table,
}

#[derive(Debug, Default)]
pub(super) struct TierImage {
    pub(super) held: BTreeMap<u64, Held>,
    /// The position after the highest one that was ever used.
    pub(super) end: u64,
    pub(super) touched_below: u64,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) message: Message,
    pub(super) body_bytes: u32,
    pub(super) returns: u32,
}

impl Image {
    /// Of no facts yet. Above `page_bytes` of messages, bodies stay where they were written down.
    #[must_use]
    pub fn new(page_bytes: usize) -> Self {
        Self {
            name: None,
            is_gone: false,
            exchanges: BTreeMap::new(),
            queues: BTreeMap::new(),
            bindings: BTreeSet::new(),
            policies: BTreeMap::new(),
            delayed: Numbered::new(),
            delayed_number: 0,
            publishers: Publishers::default(),
            last_queue: QueueId::from_index(0),
            page_bytes,
            memory_bytes: 0,
            kept_bytes: 0,
            scratch: Vec::new(),
        }
    }

    /// Adds facts that were written down from this location on.
    ///
    /// # Errors
    /// When they are no facts.
    pub fn add(&mut self, facts: &[u8], at: Location) -> Result<(), Malformed> {
        for fact in Facts::new(facts) {
            let (start, length, fact) = fact?;
            let offset = at.offset + start as u32;
            self.add_one(fact, Location { offset, ..at }, length as u32);
        }
        Ok(())
    }

    fn add_one(&mut self, fact: Fact<'_>, at: Location, length: u32) {
        match fact {
            Fact::VirtualHost { name } => self.name = Some(name.into()),
            Fact::VirtualHostGone => self.is_gone = true,
            Fact::Exchange { name, kind, auto_delete, internal, arguments } => {
                self.exchanges.insert(name.into(), ExchangeImage { kind, auto_delete, internal, arguments });
            }
            Fact::ExchangeGone { name } => self.forget_exchange(name),
            Fact::Queue { queue, name, auto_delete, arguments } => {
                self.queue(queue).declared = Some(Declared { name: name.into(), auto_delete, arguments });
            }
            Fact::QueueGone { queue } => self.forget_queue(queue),
            Fact::Partitions { front, known, added } => {
                for &queue in &added {
                    self.queue(queue);
                }
                self.queue(front).partitions.insert(known, added);
            }
            Fact::Bound { source, destination, routing_key, arguments } => {
                self.bindings.insert(binding(source, destination, routing_key, &arguments));
            }
            Fact::Unbound { source, destination, routing_key, arguments } => {
                self.bindings.remove(&binding(source, destination, routing_key, &arguments));
            }
            Fact::Policy { name, policy } => drop(self.policies.insert(name.into(), policy)),
            Fact::PolicyGone { name } => drop(self.policies.remove(name)),
            Fact::Message { places, parts } => {
                let held = self.hold(&parts, Some((at, length)));
                for place in places.iter() {
                    self.place(place, &held);
                }
                self.forget(held.message);
            }
            Fact::Delayed { number, due_ms, parts } => {
                let message = self.hold(&parts, None).message;
                self.delayed_number = self.delayed_number.max(number);
                self.empty(Place::Delayed(number));
                self.delayed.insert(number, DelayedImage { due_ms, message });
            }
            Fact::Gone { place, count } => self.empty_all(place, count.into()),
            Fact::Returned { queue, position, returns } => {
                if let Some(held) = self.queue(queue).tier(position).held.get_mut(&position) {
                    held.returns = returns;
                }
            }
            Fact::Delivered { queue, below } => {
                let tier = self.queue(queue).tier(below);
                tier.touched_below = tier.touched_below.max(below);
            }
            Fact::Publisher { id, sequence } => self.publishers.set(id, sequence),
        }
    }

    /// Whether the virtual host has gone, with everything in it.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// The virtual host's name, where a fact gives it one.
    pub fn take_name(&mut self) -> Option<Box<str>> {
        self.name.take()
    }

    /// How many queues there are, partitions aside, and how many messages in them all.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let messages =
            |queue: &QueueImage| queue.tiers.values().map(|tier| tier.held.len()).sum::<usize>() + queue.waiting.len();
        let queues = self.queues.values().filter(|queue| queue.declared.is_some()).count();
        (queues, self.queues.values().map(messages).sum())
    }

    /// What the messages take in memory, and where they were written down, their places aside.
    pub(super) fn bytes(&self) -> (usize, usize) {
        (self.memory_bytes, self.kept_bytes)
    }

    /// Forgets what belongs to nothing that is there.
    pub(super) fn prune(&mut self) {
        let declared = self.queues.iter().filter(|(_, queue)| queue.declared.is_some());
        let mut there: BTreeSet<QueueId> = BTreeSet::new();
        for (&id, queue) in declared {
            there.insert(id);
            there.extend(queue.partitions.values().flatten());
        }
        let stray: Vec<_> = self.queues.keys().copied().filter(|id| !there.contains(id)).collect();
        for id in stray {
            self.forget_queue(id);
            self.queues.remove(&id);
        }
        let is_stray = |delayed: &DelayedImage| !self.exchanges.contains_key(delayed.message.exchange());
        let stray: Vec<_> =
            self.delayed.iter().filter(|(_, delayed)| is_stray(delayed)).map(|(number, _)| number).collect();
        for number in stray {
            self.empty(Place::Delayed(number));
        }
    }

    fn queue(&mut self, queue: QueueId) -> &mut QueueImage {
        self.last_queue = self.last_queue.max(queue);
        self.queues.entry(queue).or_default()
    }

    /// A message, or what stands for it where there is no memory and it can be had again.
    fn hold(&mut self, parts: &Parts<'_>, written: Option<(Location, u32)>) -> Held {
        let mut message = Message::new(parts, &mut self.scratch);
        message.set_kept(true);
        if message.tells_broker() {
            self.publishers.note(&message);
        }
        if let Some((at, length)) = written.filter(|_| self.memory_bytes > self.page_bytes) {
            message = Message::slip(at, length, message.kept_bytes());
        }
        self.memory_bytes += message.memory_bytes();
        self.kept_bytes += message.kept_bytes();
        Held { message, body_bytes: parts.body.len() as u32, returns: 0 }
    }

    fn place(&mut self, place: Place, held: &Held) {
        let replaced = self.empty(place);
        let returns = replaced.unwrap_or(0);
        let held = Held { message: held.message.share(), returns, ..*held };
        match place {
            Place::Queue(queue, position) => {
                let tier = self.queue(queue).tier(position);
                tier.end = tier.end.max(position + 1);
                tier.held.insert(position, held);
            }
            Place::Waiting(queue, number) => {
                let queue = self.queue(queue);
                queue.arrivals = queue.arrivals.max(number + 1);
                queue.waiting.insert(number, held);
            }
            Place::Delayed(_) => unreachable!("what is delayed has a fact of its own"),
        }
    }

    /// Takes out what is at a place, and answers how often it came back.
    fn empty(&mut self, place: Place) -> Option<u32> {
        let held = match place {
            Place::Queue(queue, position) => self.queue(queue).tier(position).held.remove(&position),
            Place::Waiting(queue, number) => self.queue(queue).waiting.remove(number),
            Place::Delayed(number) => {
                let delayed = self.delayed.remove(number);
                delayed.map(|delayed| Held { message: delayed.message, body_bytes: 0, returns: 0 })
            }
        }?;
        self.forget(held.message);
        Some(held.returns)
    }

    fn empty_all(&mut self, first: Place, count: u64) {
        if let Place::Queue(queue, position) = first {
            let tier = self.queue(queue).tier(position);
            tier.end = tier.end.max(position + count);
        }
        for further in 0..count {
            self.empty(first.after(further));
        }
    }

    fn forget(&mut self, message: Message) {
        if message.is_last() {
            self.memory_bytes -= message.memory_bytes();
            self.kept_bytes -= message.kept_bytes();
        }
    }

    fn forget_exchange(&mut self, name: &str) {
        self.exchanges.remove(name);
        let gone = Destination::Exchange(name.into());
        self.bindings.retain(|(source, destination, ..)| **source != *name && *destination != gone);
        let theirs = self.delayed.iter().filter(|(_, delayed)| delayed.message.exchange() == name);
        for number in theirs.map(|(number, _)| number).collect::<Vec<_>>() {
            self.empty(Place::Delayed(number));
        }
    }

    fn forget_queue(&mut self, id: QueueId) {
        let queue = std::mem::take(self.queue(id));
        for part in queue.partitions.into_values().flatten().collect::<Vec<_>>() {
            self.forget_queue(part);
        }
        let held = queue.tiers.into_values().flat_map(|tier| tier.held.into_values());
        for held in held.chain(queue.waiting.into_values()) {
            self.forget(held.message);
        }
        let gone = Destination::Queue(id);
        self.bindings.retain(|(_, destination, ..)| *destination != gone);
    }
}

impl QueueImage {
    fn tier(&mut self, position: u64) -> &mut TierImage {
        self.tiers.entry(tier_of(position)).or_default()
    }
}

fn binding(source: &str, destination: Destination, routing_key: &str, arguments: &Table) -> BindingImage {
    let mut encoded = Vec::new();
    arguments.encode(&mut encoded).expect("a table that was decoded can be encoded");
    (source.into(), destination, routing_key.into(), encoded.into())
}
