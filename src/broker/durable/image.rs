//! Image: the state that the facts written down amount to; a broker starts from it.
//!
//! Facts are read in the order in which they were written, which is not the order of events: those written down again
//! come late, so a queue's messages may come before the queue. What is left at the end holds.

use std::collections::HashSet;

use foldhash::fast::FixedState;

use super::fact::{self, Fact, Facts, Flags};
use crate::broker::model::exchange::{Destination, ExchangeKind};
use crate::broker::model::message::{Message, Parts};
use crate::broker::model::numbered::Numbered;
use crate::broker::model::pager::Location;
use crate::broker::model::place::Place;
use crate::broker::model::policy::Policies;
use crate::broker::model::publisher::{self, Publishers};
use crate::broker::model::queue::tier::{Era, tier_of};
use crate::broker::model::record::Record;
use crate::broker::model::state::State;
use crate::id::QueueId;
use crate::table::Table;
use crate::wire::Malformed;

/// Maximum of runs of rising positions for a queue's messages; a message that fits none of them is inserted in order.
const RUNS_MAX: usize = 16;

/// State according to the facts of one virtual host.
#[derive(Debug)]
pub struct Image {
    name: Option<Box<str>>,
    is_gone: bool,
    pub(crate) exchanges: Vec<ExchangeImage>,
    pub(crate) queues: QueueImages,
    /// In the bytes that were written down.
    pub(crate) bindings: HashSet<Box<[u8]>, FixedState>,
    pub(crate) policies: Policies,
    pub(crate) delayed: Numbered<DelayedImage>,
    /// Highest number of a delayed message.
    pub(crate) delayed_number: u64,
    pub(crate) publishers: Publishers,
    /// Highest id of all queues that ever existed.
    pub(crate) last_queue: QueueId,
    /// Above this many bytes of messages, bodies stay in the store.
    page_bytes: usize,
    /// Bytes that the messages take in memory, and in the store, without their places.
    memory_bytes: usize,
    kept_bytes: usize,
    scratch: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct ExchangeImage {
    pub(crate) name: Box<str>,
    pub(crate) kind: ExchangeKind,
    pub(crate) flags: Flags,
    pub(crate) arguments: Table,
}

#[derive(Debug)]
pub(crate) struct DelayedImage {
    pub(crate) due_ms: u64,
    pub(crate) message: Message,
}

/// A queue, or a partition, which is not declared.
#[derive(Debug, Default)]
pub(crate) struct QueueImage {
    pub(crate) declared: Option<Declared>,
    /// The front of a partition.
    front: Option<QueueId>,
    /// In the order in which they were added, each with the number of partitions before.
    pub(crate) partitions: Vec<(u16, Vec<QueueId>)>,
    pub(crate) tiers: Vec<TierImage>,
    pub(crate) sealed: Numbered<Recovered>,
    /// The number after the highest one of a waiting message.
    pub(crate) arrivals: u64,
}

/// Queues by their ids. This is no arena, as facts may mention a deleted queue beside the one that has its slot now.
#[derive(Debug, Default)]
pub(crate) struct QueueImages(Numbered<Box<QueueImage>>);

#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) name: Box<str>,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: Table,
}

/// Messages whose positions begin with the same octet.
#[derive(Debug, Default)]
pub(crate) struct TierImage {
    octet: u8,
    runs: Vec<Numbered<Recovered>>,
    /// The position after the highest one ever used.
    pub(crate) end: u64,
    pub(crate) touched_below: u64,
    pub(crate) eras: Vec<Era>,
}

/// A message from the facts, or its stub.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) message: Message,
    pub(crate) body_bytes: u32,
    pub(crate) returns: u32,
}

impl TierImage {
    fn insert(&mut self, position: u64, recovered: Recovered) {
        let fits = |run: &Numbered<Recovered>| run.last().is_none_or(|last| last < position);
        let place = self.runs.iter().position(fits).unwrap_or_else(|| {
            if self.runs.len() < RUNS_MAX {
                self.runs.push(Numbered::new());
            }
            self.runs.len() - 1
        });
        self.runs[place].insert(position, recovered);
    }

    fn get_mut(&mut self, position: u64) -> Option<&mut Recovered> {
        self.runs.iter_mut().find_map(|run| run.get_mut(position))
    }

    fn remove(&mut self, position: u64) -> Option<Recovered> {
        self.runs.iter_mut().find_map(|run| run.remove(position))
    }

    fn len(&self) -> usize {
        self.runs.iter().map(Numbered::len).sum()
    }

    /// Removes the message with the lowest position.
    pub(crate) fn pop_first(&mut self) -> Option<(u64, Recovered)> {
        let first = self.runs.iter().filter_map(Numbered::first).min()?;
        self.remove(first).map(|recovered| (first, recovered))
    }
}

impl Image {
    /// Makes an empty image. Above `page_bytes` of messages, bodies stay where they were written down.
    #[must_use]
    pub fn new(page_bytes: usize) -> Self {
        Self {
            name: None,
            is_gone: false,
            exchanges: Vec::new(),
            queues: QueueImages::default(),
            bindings: HashSet::default(),
            policies: Policies::new(),
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
    /// When these bytes are not facts.
    pub fn add(&mut self, facts: &[u8], at: Location) -> Result<(), Malformed> {
        for fact in Facts::new(facts) {
            let (start, length, fact) = fact?;
            let offset = at.offset + start as u32;
            self.add_one(fact, &facts[start..start + length], Location { offset, ..at });
        }
        Ok(())
    }

    fn add_one(&mut self, fact: Fact<'_>, raw: &[u8], at: Location) {
        match fact {
            Fact::VirtualHost { name } => self.name = Some(name.into()),
            Fact::VirtualHostGone {} => self.is_gone = true,
            Fact::Exchange { name, kind, flags, arguments } => {
                self.exchanges.retain(|exchange| *exchange.name != *name);
                self.exchanges.push(ExchangeImage { name: name.into(), kind, flags, arguments });
            }
            Fact::ExchangeGone { name } => self.forget_exchange(name),
            Fact::Queue { queue, name, flags: Flags { auto_delete, .. }, arguments } => {
                self.queue(queue).declared = Some(Declared { name: name.into(), auto_delete, arguments });
            }
            Fact::QueueGone { queue } => self.forget_queue(queue),
            Fact::Partitions { front, known, added } => {
                for &queue in &added {
                    self.queue(queue).front = Some(front);
                }
                let partitions = &mut self.queue(front).partitions;
                partitions.retain(|(other, _)| *other != known);
                let place = partitions.partition_point(|(other, _)| *other < known);
                partitions.insert(place, (known, added));
            }
            Fact::Bound { .. } => drop(self.bindings.insert(fact::binding_of(raw).into())),
            Fact::Unbound { .. } => drop(self.bindings.remove(fact::binding_of(raw))),
            Fact::Policy { name, policy } => self.policies.set(name, &policy),
            Fact::PolicyGone { name } => self.policies.delete(name),
            Fact::Message { places, parts } => {
                // A sealed message is looked at again when its slot is opened.
                let is_sealed = places.iter().any(|place| matches!(place, Place::Sealed(..)));
                let recovered = self.recover(&parts, (!is_sealed).then_some((at, raw.len() as u32)));
                for place in places.iter() {
                    self.place(place, &recovered);
                }
                self.forget(recovered.message);
            }
            Fact::Delayed { number, due_ms, parts } => {
                let message = self.recover(&parts, None).message;
                self.delayed_number = self.delayed_number.max(number);
                self.empty(Place::Delayed(number));
                self.delayed.insert(number, DelayedImage { due_ms, message });
            }
            Fact::Gone { place, count } => self.empty_all(place, count.into()),
            Fact::Returned { queue, position, returns } => {
                if let Some(recovered) = self.queue(queue).tier(position).get_mut(position) {
                    recovered.returns = returns;
                }
            }
            Fact::Delivered { queue, below } => {
                let tier = self.queue(queue).tier(below);
                // Each clean end notes all queues, so the last note holds; and a position that was delivered is not
                // used again.
                tier.touched_below = below;
                tier.end = tier.end.max(below);
            }
            Fact::OldPublisher { id, sequence } => self.publishers.set(id, sequence, publisher::UNKNOWN_MS),
            Fact::Publisher { id, sequence, used_ms } => self.publishers.set(id, sequence, used_ms),
            Fact::Era { queue, era } => {
                let eras = &mut self.queue(queue).tier(era.position).eras;
                eras.retain(|known| known.position != era.position);
                eras.insert(eras.partition_point(|known| known.position < era.position), era);
            }
        }
    }

    /// Declares and binds all that a state without messages has.
    pub(crate) fn declare_in(&self, state: &mut State) {
        for ExchangeImage { name, kind, flags: Flags { auto_delete, internal }, arguments } in &self.exchanges {
            let (kind, durable, auto_delete, internal) = (*kind, true, *auto_delete, *internal);
            state.apply(&Record::ExchangeDeclared { name, kind, durable, auto_delete, internal, arguments });
        }
        for (name, policy) in self.policies.iter() {
            state.apply(&Record::PolicySet { name, policy });
        }
        for queue in self.queues.ids() {
            self.queues.get(queue).expect("it is there").declare_in(state, queue);
        }
        for binding in &self.bindings {
            let bound = fact::read_binding(binding).expect("it was read before");
            let (source, ref destination, routing_key, ref arguments) = bound;
            let is_there = match destination {
                Destination::Queue(queue) => state.queue(*queue).is_some(),
                Destination::Exchange(name) => state.exchange(name).is_some(),
            };
            if is_there && state.exchange(source).is_some() {
                state.apply(&Record::Bound { source, destination, routing_key, arguments });
            }
        }
    }

    /// Returns whether the virtual host was deleted, with everything in it.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// Returns the virtual host's name, if a fact has it.
    pub fn take_name(&mut self) -> Option<Box<str>> {
        self.name.take()
    }

    /// Returns the number of queues without partitions, and of messages in all queues.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let (mut queues, mut messages) = (0, self.delayed.len());
        for queue in self.queues.ids().into_iter().filter_map(|id| self.queues.get(id)) {
            queues += usize::from(queue.declared.is_some());
            messages += queue.sealed.len() + queue.tiers.iter().map(TierImage::len).sum::<usize>();
        }
        (queues, messages)
    }

    /// Returns the bytes that messages take in memory, and in the store, without their places.
    pub(crate) fn bytes(&self) -> (usize, usize) {
        (self.memory_bytes, self.kept_bytes)
    }

    /// Removes what belongs to nothing that exists, and returns how many messages were removed.
    pub fn prune(&mut self) -> usize {
        let before = self.counts().1;
        for id in self.queues.ids() {
            let is_declared = |id| self.queues.get(id).is_some_and(|queue| queue.declared.is_some());
            let front = self.queues.get(id).and_then(|queue| queue.front);
            if !is_declared(front.unwrap_or(id)) {
                self.forget_queue(id);
            }
        }
        let numbers: Vec<_> = self.delayed.iter().map(|(number, _)| number).collect();
        for number in numbers {
            let exchange = self.delayed.get(number).map(|delayed| delayed.message.exchange());
            if !self.exchanges.iter().any(|known| Some(&*known.name) == exchange) {
                self.empty(Place::Delayed(number));
            }
        }
        before - self.counts().1
    }

    /// Returns whether a fact names the virtual host.
    #[must_use]
    pub fn is_named(&self) -> bool {
        self.name.is_some()
    }

    fn queue(&mut self, queue: QueueId) -> &mut QueueImage {
        self.last_queue = self.last_queue.max(queue);
        self.queues.get_or_add(queue)
    }

    /// Makes a message, or its stub where it does not fit into memory and can be read again.
    fn recover(&mut self, parts: &Parts<'_>, written: Option<(Location, u32)>) -> Recovered {
        let mut message = Message::new(parts, &mut self.scratch);
        message.set_kept(true);
        if message.tells_broker() {
            self.publishers.note(&message);
        }
        if let Some((at, length)) = written.filter(|_| self.memory_bytes > self.page_bytes) {
            message = message.stub(at, length, true);
        }
        self.memory_bytes += message.memory_bytes();
        self.kept_bytes += message.kept_bytes();
        Recovered { message, body_bytes: parts.body.len() as u32, returns: 0 }
    }

    fn place(&mut self, place: Place, recovered: &Recovered) {
        let replaced = self.empty(place);
        let returns = replaced.unwrap_or(0);
        let recovered = Recovered { message: recovered.message.share(), returns, ..*recovered };
        match place {
            Place::Queue(queue, position) => {
                let tier = self.queue(queue).tier(position);
                tier.end = tier.end.max(position + 1);
                tier.insert(position, recovered);
            }
            Place::Sealed(queue, number) => {
                let queue = self.queue(queue);
                queue.arrivals = queue.arrivals.max(number + 1);
                queue.sealed.insert(number, recovered);
            }
            Place::Delayed(_) => unreachable!("what is delayed has a fact of its own"),
        }
    }

    /// Removes the message at a place, and returns how often it was requeued.
    fn empty(&mut self, place: Place) -> Option<u32> {
        let recovered = match place {
            Place::Queue(queue, position) => self.queue(queue).tier(position).remove(position),
            Place::Sealed(queue, number) => self.queue(queue).sealed.remove(number),
            Place::Delayed(number) => {
                let delayed = self.delayed.remove(number);
                delayed.map(|delayed| Recovered { message: delayed.message, body_bytes: 0, returns: 0 })
            }
        }?;
        self.forget(recovered.message);
        Some(recovered.returns)
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
        self.exchanges.retain(|exchange| *exchange.name != *name);
        let gone = Destination::Exchange(name.into());
        self.bindings.retain(|binding| {
            let bound = fact::read_binding(binding);
            !bound.is_ok_and(|(source, destination, ..)| source == name || destination == gone)
        });
        let numbers: Vec<_> = self.delayed.iter().map(|(number, _)| number).collect();
        for number in numbers {
            if self.delayed.get(number).is_some_and(|delayed| delayed.message.exchange() == name) {
                self.empty(Place::Delayed(number));
            }
        }
    }

    fn forget_queue(&mut self, id: QueueId) {
        let Some(queue) = self.queues.remove(id) else { return };
        for part in queue.partitions.into_iter().flat_map(|(_, added)| added) {
            self.forget_queue(part);
        }
        for mut tier in queue.tiers {
            while let Some((_, recovered)) = tier.pop_first() {
                self.forget(recovered.message);
            }
        }
        for recovered in queue.sealed.into_values() {
            self.forget(recovered.message);
        }
    }
}

impl QueueImages {
    pub(crate) fn ids(&self) -> Vec<QueueId> {
        self.0.iter().map(|(number, _)| QueueId::from_index(number)).collect()
    }

    pub(crate) fn get(&self, queue: QueueId) -> Option<&QueueImage> {
        self.0.get(queue.index()).map(|image| &**image)
    }

    pub(crate) fn get_mut(&mut self, queue: QueueId) -> Option<&mut QueueImage> {
        self.0.get_mut(queue.index()).map(|image| &mut **image)
    }

    pub(crate) fn remove(&mut self, queue: QueueId) -> Option<QueueImage> {
        self.0.remove(queue.index()).map(|image| *image)
    }

    fn get_or_add(&mut self, queue: QueueId) -> &mut QueueImage {
        if self.get(queue).is_none() {
            self.0.insert(queue.index(), Box::default());
        }
        self.get_mut(queue).expect("it was added if it was missing")
    }
}

impl QueueImage {
    fn declare_in(&self, state: &mut State, queue: QueueId) {
        let Some(Declared { name, auto_delete, arguments }) = &self.declared else { return };
        let (durable, exclusive, auto_delete) = (true, false, *auto_delete);
        state.apply(&Record::QueueDeclared { queue, name, durable, exclusive, auto_delete, arguments });
        for (_, partitions) in &self.partitions {
            state.apply(&Record::PartitionsAdded { front: queue, partitions });
        }
    }

    fn tier(&mut self, position: u64) -> &mut TierImage {
        let octet = tier_of(position);
        let place = self.tiers.iter().position(|tier| tier.octet == octet).unwrap_or_else(|| {
            self.tiers.push(TierImage { octet, ..TierImage::default() });
            self.tiers.len() - 1
        });
        &mut self.tiers[place]
    }
}
