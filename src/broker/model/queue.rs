//! Queue: messages in order, ready or unacked.
//!
//! ```text
//!   publish ──> ready ──────── deliver ───────> unacked ── ack, or nack without requeue ──> gone
//!                 │  <── requeue, where it was ────┘
//!                 └── expire, overflow, purge, deliver without ack ──> gone
//! ```
//!
//! Its [kind](Kind) says where the messages are, and what is next for a consumer's [cursor](Cursor).

mod fifo;
mod ids;
mod kept;
mod kind;
pub(crate) mod partitions;
pub(crate) mod tier;

use std::cell::Cell;
use std::rc::Rc;

use fifo::Fifo;
use ids::Ids;
use tier::Delivered;

pub(crate) use kind::{Cursor, Kind};

use super::message::{Message, NEVER_MS};
use super::pager::Location;
use super::place::Place;
use super::room;
use super::settings::{QueueType, Settings};
use crate::id::QueueId;
use crate::table::Table;

/// A queue's properties and messages.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) name: Box<str>,
    pub(crate) durable: bool,
    pub(crate) exclusive: bool,
    pub(crate) auto_delete: bool,
    /// Whether it outlives the broker.
    pub(crate) is_kept: bool,
    pub(crate) arguments: Table,
    /// Settings from the arguments alone.
    declared: Settings,
    /// Settings in effect, with the policy.
    pub(crate) settings: Settings,
    /// Name of the policy that applies.
    pub(crate) policy: Option<Box<str>>,
    pub(crate) counters: Counters,
    pub(crate) kind: Kind,
    /// Location of the head, if it was fetched, or of a former head that a requeued message is in front of now.
    pub(crate) fetched: Option<Fetched>,
    ids: Ids,
}

/// A message in memory that was fetched, and its location in the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fetched {
    pub(crate) position: u64,
    pub(crate) at: Location,
    pub(crate) length: u32,
}

/// Counters of messages in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Routed to this queue.
    pub published: u64,
    /// Delivered or got, counted each time.
    pub delivered: u64,
    /// Delivered again after they were requeued.
    pub redelivered: u64,
    /// Acked, or delivered with no-ack.
    pub acked: u64,
}

impl Counters {
    /// Returns the sum of both.
    #[must_use]
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            published: self.published + other.published,
            delivered: self.delivered + other.delivered,
            redelivered: self.redelivered + other.redelivered,
            acked: self.acked + other.acked,
        }
    }
}

impl Queue {
    pub(crate) fn new(
        name: &str,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
        arguments: Table,
        declared: Settings,
    ) -> Self {
        let kind = Kind::Fifo(Fifo::new(declared.max_priority));
        Self {
            name: name.into(),
            durable,
            exclusive,
            auto_delete,
            is_kept: durable && !exclusive,
            arguments,
            settings: declared.clone(),
            declared,
            policy: None,
            counters: Counters::default(),
            kind,
            fetched: None,
            ids: Ids::default(),
        }
    }

    pub(crate) fn ready_count(&self) -> usize {
        self.kind.fifo().map_or(0, Fifo::ready_count)
    }

    /// Returns the bytes of the bodies of the ready messages.
    pub(crate) fn ready_bytes(&self) -> usize {
        self.kind.fifo().map_or(0, Fifo::ready_bytes)
    }

    /// Returns messages that wait until their slot is opened, by their numbers.
    pub(crate) fn sealed_messages(&self) -> impl Iterator<Item = &(u64, Message)> {
        self.kind.part().into_iter().flat_map(|part| part.sealed_messages())
    }

    pub(crate) fn unacked_count(&self) -> usize {
        self.kind.fifo().map_or(0, Fifo::unacked_count)
    }

    /// Returns the position of the next message for a cursor, and its expiry time, or [`NEVER_MS`]; if there is one and
    /// it could be fetched.
    pub(crate) fn next(&self, cursor: Cursor) -> Option<(u64, u64)> {
        let Cursor::Head = cursor;
        let fifo = self.kind.fifo()?;
        let (position, head) = fifo.first().filter(|(_, head)| !head.is_stub())?;
        let ttl_ms = match fifo.era_at(position) {
            Some(era) => era.ttl_ms,
            // It was written down before eras existed, and lives as long as the queue's settings say now.
            None => self.settings.message_ttl_ms.filter(|_| self.is_kept),
        };
        let own_ms = head.expires_ms();
        Some((position, ttl_ms.map_or(own_ms, |ttl_ms| own_ms.min(head.published_ms().saturating_add(ttl_ms)))))
    }

    /// Returns the position of the head, if there is one and it could be fetched.
    pub(crate) fn head_position(&self) -> Option<u64> {
        self.next(Cursor::Head).map(|(position, _)| position)
    }

    /// Returns the expiry time of the head, or [`NEVER_MS`].
    pub(crate) fn head_expires_ms(&self) -> u64 {
        self.next(Cursor::Head).map_or(NEVER_MS, |(_, expires_ms)| expires_ms)
    }

    /// Returns the ready message that is next for all consumers.
    pub(crate) fn head(&self) -> Option<&Message> {
        self.kind.fifo()?.first().map(|(_, head)| head)
    }

    /// Returns whether the ready messages exceed the queue's limits.
    pub(crate) fn overflows(&self) -> bool {
        let Settings { max_length, max_length_bytes, .. } = self.settings;
        max_length.is_some_and(|max| self.ready_count() > max)
            || max_length_bytes.is_some_and(|max| self.ready_bytes() > max)
    }

    /// Returns whether they would exceed them with one more message, after the next `leaving` were delivered.
    pub(crate) fn would_overflow(&self, leaving: usize, body_bytes: usize) -> bool {
        let Settings { max_length, max_length_bytes, .. } = self.settings;
        max_length.is_some_and(|max| self.ready_count() - leaving + 1 > max)
            || max_length_bytes.is_some_and(|max| self.ready_bytes_behind(leaving) + body_bytes > max)
    }

    fn ready_bytes_behind(&self, leaving: usize) -> usize {
        self.kind.fifo().map_or(0, |fifo| fifo.ready_bytes_behind(leaving))
    }

    /// Returns whether the message at a position may have been delivered before.
    pub(crate) fn was_delivered(&self, position: u64) -> bool {
        self.kind.fifo().is_some_and(|fifo| fifo.was_delivered(position))
    }

    /// Returns whether a message in this queue outlives the broker.
    pub(crate) fn keeps(&self, message: &Message) -> bool {
        self.is_kept && (message.is_persistent() || self.settings.queue_type == QueueType::Quorum)
    }

    /// Returns the message at a position, ready or not.
    pub(crate) fn message(&self, position: u64) -> Option<&Message> {
        self.kind.fifo()?.message(position)
    }

    pub(crate) fn unacked_message(&self, position: u64) -> Option<&Message> {
        self.kind.fifo()?.unacked_message(position)
    }

    pub(crate) fn ready_message(&self, position: u64) -> Option<&Message> {
        self.kind.fifo()?.ready_message(position)
    }

    /// Returns how often the message at a position was requeued so far.
    pub(crate) fn returns(&self, position: u64) -> u32 {
        self.kind.fifo().map_or(0, |fifo| fifo.returns(position))
    }

    /// Returns the place that a message would get.
    pub(crate) fn next_place(&self, id: QueueId, message: &Message) -> Place {
        if let Some(number) = self.kind.part().and_then(|part| part.next_sealed(message)) {
            return Place::Sealed(id, number);
        }
        Place::Queue(id, self.end_for(message))
    }

    /// Returns the position that a message gets when it becomes ready.
    pub(crate) fn end_for(&self, message: &Message) -> u64 {
        self.kind.fifo().map_or(0, |fifo| fifo.end_of(fifo.priority(message)))
    }

    /// Computes the settings from the arguments, the policy that applies, if any, and the operator's.
    pub(crate) fn set_policy(&mut self, policy: Option<(&str, &Settings)>, operator: Option<(&str, &Settings)>) {
        self.settings = match (policy, operator) {
            (Some((_, says)), Some((_, limits))) => self.declared.under(&says.limited_by(limits)),
            (Some((_, says)), None) | (None, Some((_, says))) => self.declared.under(says),
            (None, None) => self.declared.clone(),
        };
        self.policy = policy.map(|(name, _)| name.into());
    }

    /// Adds the memory of the queue's deduplication ids to this sum.
    pub(crate) fn count_ids_in(&mut self, all: &Rc<Cell<u64>>) {
        self.ids.count_in(all);
    }

    /// Returns the memory of the deduplication ids, counted anew.
    pub(crate) fn recounted_id_bytes(&self) -> usize {
        self.ids.recounted_bytes()
    }

    /// Returns whether a message with the same id is here. One that would be lost in a crash does not count for one to
    /// be kept.
    pub(crate) fn has_twin_of(&self, message: &Message) -> bool {
        self.takes_each_once(message) && self.ids.know(message, self.keeps(message))
    }

    /// Returns whether the queue checks the id of a message. That of a stub is not known.
    fn takes_each_once(&self, message: &Message) -> bool {
        self.settings.deduplicates && !message.is_stub()
    }

    /// Adds the id of a message that is here.
    pub(crate) fn note_id(&mut self, message: &Message) {
        if self.takes_each_once(message) {
            self.ids.note(message, self.keeps(message));
        }
    }

    fn forget_id(&mut self, message: &Message) {
        if self.takes_each_once(message) {
            self.ids.forget(message, self.keeps(message));
        }
    }

    pub(crate) fn push(&mut self, mut message: Message) {
        self.counters.published += 1;
        if self.kind.part().is_some() {
            self.note_id(&message);
        }
        if let Some(part) = self.kind.part_mut() {
            match part.hold(message) {
                Some(ours) => message = ours,
                None => return,
            }
        }
        self.enqueue(message);
    }

    /// Makes a message ready, behind all others of its priority.
    pub(crate) fn enqueue(&mut self, message: Message) {
        self.note_id(&message);
        let (ttl_ms, is_kept) = (self.settings.message_ttl_ms, self.is_kept);
        self.fifo_mut().push(message, ttl_ms, is_kept);
    }

    pub(crate) fn deliver(&mut self, position: u64) {
        let was_delivered = self.fifo_mut().deliver(position);
        self.count_delivery(was_delivered);
    }

    /// Removes a ready message that was delivered.
    pub(crate) fn take(&mut self, position: u64) -> Message {
        self.count_delivery(self.was_delivered(position));
        self.counters.acked += 1;
        self.drop(position)
    }

    /// Removes a ready message that is not delivered.
    pub(crate) fn drop(&mut self, position: u64) -> Message {
        let dropped = self.fifo_mut().take_ready(position).message;
        self.forget_id(&dropped);
        dropped
    }

    pub(crate) fn settle(&mut self, position: u64) -> Message {
        self.counters.acked += 1;
        let settled = self.fifo_mut().take_unacked(position).message;
        self.forget_id(&settled);
        settled
    }

    /// Makes an unacked message ready again. `returned` may give another message in its place; then the former one is
    /// returned.
    pub(crate) fn requeue(
        &mut self,
        position: u64,
        returned: impl FnOnce(&Message, u32) -> Option<Message>,
    ) -> Option<Message> {
        let fifo = self.fifo_mut();
        let Delivered { mut message, returns } = fifo.take_unacked(position);
        let returns = returns.saturating_add(1);
        let replaced = returned(&message, returns).map(|other| std::mem::replace(&mut message, other));
        let body_bytes = message.body_bytes();
        fifo.put_back(position, Delivered { message, returns }, body_bytes);
        replaced
    }

    /// Removes all ready messages.
    pub(crate) fn purge(&mut self) -> Vec<Message> {
        let mut purged = self.kind.fifo_mut().map_or_else(Vec::new, Fifo::purge);
        purged.extend(self.kind.part_mut().into_iter().flat_map(|part| part.take_sealed()));
        purged.iter().for_each(|message| self.forget_id(message));
        purged
    }

    /// Returns all messages of a queue that is deleted.
    pub(crate) fn into_messages(mut self) -> impl Iterator<Item = Message> {
        let sealed = self.kind.part_mut().map(|part| part.take_sealed()).unwrap_or_default();
        sealed.into_iter().chain(self.kind.into_fifo().into_iter().flat_map(Fifo::into_messages))
    }

    /// Counts a message that has left. If it was the last one of a slot that moved to another partition, returns both.
    pub(crate) fn count_out(&mut self, message: &Message) -> Option<(u16, QueueId)> {
        self.kind.part_mut()?.count_out(message)
    }

    /// Returns the memory that it takes with its partitions, without messages.
    pub(crate) fn room(&self) -> usize {
        let partitions = self.kind.partitions().map_or(0, |partitions| partitions.queues.len());
        room::of_queue(&self.name, &self.arguments, &self.settings, partitions)
    }

    /// Calls `see` with the ready messages in the order of delivery.
    pub(crate) fn each_ready(&self, see: &mut dyn FnMut(u64, &Message)) {
        if let Some(fifo) = self.kind.fifo() {
            fifo.each_ready(see);
        }
    }

    /// Calls `see` with the unacked messages in order of their position.
    pub(crate) fn each_unacked(&self, see: &mut dyn FnMut(u64, &Message)) {
        if let Some(fifo) = self.kind.fifo() {
            fifo.each_unacked(see);
        }
    }

    fn count_delivery(&mut self, was_delivered: bool) {
        self.counters.delivered += 1;
        self.counters.redelivered += u64::from(was_delivered);
    }

    fn fifo_mut(&mut self) -> &mut Fifo {
        self.kind.fifo_mut().expect("messages are routed to the partitions of a front")
    }
}
