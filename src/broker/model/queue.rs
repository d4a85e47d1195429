//! Queue: messages in order, ready or unacked.
//!
//! ```text
//!   publish ──> ready ──────── deliver ───────> unacked ── ack, or nack without requeue ──> gone
//!                 │  <── requeue, where it was ────┘
//!                 └── expire, overflow, purge, deliver without ack ──> gone
//! ```
//!
//! A message has a position, assigned at its arrival and never changed: a requeued message returns to it. Positions
//! rise in the order of delivery, so a position in a queue with priorities begins with its [tier](tier).

mod ids;
mod kept;
pub(crate) mod partitions;
pub(crate) mod tier;

use std::cell::Cell;
use std::rc::Rc;

use ids::Ids;
use partitions::{Part, Partitions};
use tier::{Delivered, Priorities, TIER_SHIFT, Tier};

use super::message::{Message, NEVER_MS};
use super::pager::Location;
use super::place::Place;
use super::room;
use super::settings::{QueueKind, Settings};
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
    /// By priority, up to the highest that was used; at least one.
    tiers: Vec<Tier>,
    /// Priorities that have ready messages.
    ready_priorities: Priorities,
    ready_count: usize,
    ready_bytes: usize,
    unacked_count: usize,
    /// Location of the head, if it was fetched, or of a former head that a requeued message is in front of now.
    pub(crate) fetched: Option<Fetched>,
    ids: Ids,
    /// Only of a front, which holds no messages.
    pub(crate) partitions: Option<Box<Partitions>>,
    /// Only of a partition, which has the name of its front.
    pub(crate) part: Option<Box<Part>>,
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
        let lowest_tier = u64::from(declared.max_priority);
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
            tiers: vec![Tier::new(lowest_tier << TIER_SHIFT)],
            ready_priorities: Priorities::default(),
            ready_count: 0,
            ready_bytes: 0,
            unacked_count: 0,
            fetched: None,
            ids: Ids::default(),
            partitions: None,
            part: None,
        }
    }

    pub(crate) fn ready_count(&self) -> usize {
        self.ready_count
    }

    /// Returns the bytes of the bodies of the ready messages.
    pub(crate) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// Returns messages that wait until their slot is opened, by their numbers.
    pub(crate) fn sealed_messages(&self) -> impl Iterator<Item = &(u64, Message)> {
        self.part.iter().flat_map(|part| part.sealed_messages())
    }

    pub(crate) fn unacked_count(&self) -> usize {
        self.unacked_count
    }

    /// Returns the position of the next message to deliver, if there is one and it could be fetched.
    pub(crate) fn next_position(&self) -> Option<u64> {
        self.next().map(|(position, _)| position)
    }

    /// Returns the position of the next message to deliver, and its expiry time, or [`NEVER_MS`].
    pub(crate) fn next(&self) -> Option<(u64, u64)> {
        let (tier, position, head) = self.first().filter(|(.., head)| !head.is_stub())?;
        let ttl_ms = match tier.eras.iter().rfind(|era| era.position <= position) {
            Some(era) => era.ttl_ms,
            // It was written down before eras existed, and lives as long as the queue's settings say now.
            None => self.settings.message_ttl_ms.filter(|_| self.is_kept),
        };
        let own_ms = head.expires_ms();
        Some((position, ttl_ms.map_or(own_ms, |ttl_ms| own_ms.min(head.published_ms().saturating_add(ttl_ms)))))
    }

    /// Returns the expiry time of the next message, or [`NEVER_MS`].
    pub(crate) fn head_expires_ms(&self) -> u64 {
        self.next().map_or(NEVER_MS, |(_, expires_ms)| expires_ms)
    }

    /// Returns the next message to deliver.
    pub(crate) fn head(&self) -> Option<&Message> {
        self.first().map(|(.., head)| head)
    }

    /// Returns the next message to deliver, with its tier and its position.
    fn first(&self) -> Option<(&Tier, u64, &Message)> {
        let tier = &self.tiers[self.ready_priorities.highest()?];
        match tier.returned.front() {
            Some((position, delivered)) => Some((tier, position, &delivered.message)),
            None => tier.fresh.front().map(|head| (tier, tier.fresh_position, head)),
        }
    }

    /// Returns whether the ready messages exceed the queue's limits.
    pub(crate) fn overflows(&self) -> bool {
        let Settings { max_length, max_length_bytes, .. } = self.settings;
        max_length.is_some_and(|max| self.ready_count > max)
            || max_length_bytes.is_some_and(|max| self.ready_bytes > max)
    }

    /// Returns whether they would exceed them with one more message, after the next `leaving` were delivered.
    pub(crate) fn would_overflow(&self, leaving: usize, body_bytes: usize) -> bool {
        let Settings { max_length, max_length_bytes, .. } = self.settings;
        max_length.is_some_and(|max| self.ready_count - leaving + 1 > max)
            || max_length_bytes.is_some_and(|max| self.ready_bytes_behind(leaving) + body_bytes > max)
    }

    /// Returns the bytes of the bodies of the ready messages without the next `leaving`.
    fn ready_bytes_behind(&self, leaving: usize) -> usize {
        if leaving == self.ready_count {
            return 0;
        }
        let ready = self.tiers.iter().rev().flat_map(|tier| {
            let returned = tier.returned.iter().map(|(_, delivered)| &delivered.message);
            returned.chain(&tier.fresh)
        });
        self.ready_bytes - ready.take(leaving).map(Message::body_bytes).sum::<usize>()
    }

    /// Returns whether the message at a position may have been delivered before.
    pub(crate) fn was_delivered(&self, position: u64) -> bool {
        position < self.tier(position).touched_below
    }

    /// Returns whether a message in this queue outlives the broker.
    pub(crate) fn keeps(&self, message: &Message) -> bool {
        self.is_kept && (message.is_persistent() || self.settings.kind == QueueKind::Quorum)
    }

    /// Returns the message at a position, ready or not.
    pub(crate) fn message(&self, position: u64) -> Option<&Message> {
        self.tiers.get(self.priority_of(position)?)?;
        self.ready_message(position).or_else(|| self.unacked_message(position))
    }

    pub(crate) fn unacked_message(&self, position: u64) -> Option<&Message> {
        self.tier(position).unacked.get(position).map(|delivered| &delivered.message)
    }

    pub(crate) fn ready_message(&self, position: u64) -> Option<&Message> {
        let tier = self.tier(position);
        match position.checked_sub(tier.fresh_position) {
            Some(index) => tier.fresh.get(index as usize),
            None => tier.returned.get(position).map(|delivered| &delivered.message),
        }
    }

    /// Returns how often the message at a position was requeued so far.
    pub(crate) fn returns(&self, position: u64) -> u32 {
        let tier = self.tier(position);
        let delivered = tier.unacked.get(position).or_else(|| tier.returned.get(position));
        delivered.map_or(0, |delivered| delivered.returns)
    }

    /// Returns the place that a message would get.
    pub(crate) fn next_place(&self, id: QueueId, message: &Message) -> Place {
        if let Some(number) = self.part.as_ref().and_then(|part| part.next_sealed(message)) {
            return Place::Sealed(id, number);
        }
        Place::Queue(id, self.end_for(message))
    }

    /// Returns the position that a message gets when it becomes ready.
    pub(crate) fn end_for(&self, message: &Message) -> u64 {
        self.end_of(self.priority(message))
    }

    fn end_of(&self, priority: u8) -> u64 {
        let first = self.tier_number(priority.into()) << TIER_SHIFT;
        let tier = self.tiers.get(usize::from(priority));
        tier.map_or(first, |tier| tier.fresh_position + tier.fresh.len() as u64)
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
        if self.part.is_some() {
            self.note_id(&message);
        }
        if let Some(part) = &mut self.part {
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
        let priority = self.priority(&message);
        self.grow(priority);
        if let Some(era) = self.era_of(priority) {
            self.tiers[usize::from(priority)].begin(era);
        }
        self.count_in(priority.into(), &message);
        self.tiers[usize::from(priority)].fresh.push_back(message);
    }

    fn priority(&self, message: &Message) -> u8 {
        match self.settings.max_priority {
            0 => 0,
            max => message.properties().priority().unwrap_or(0).min(max),
        }
    }

    pub(crate) fn deliver(&mut self, position: u64) {
        self.count_delivery(position);
        let delivered = self.take_ready(position);
        self.unacked_count += 1;
        self.tier_mut(position).unacked.insert(position, delivered);
    }

    /// Removes a ready message that was delivered.
    pub(crate) fn take(&mut self, position: u64) -> Message {
        self.count_delivery(position);
        self.counters.acked += 1;
        let taken = self.take_ready(position).message;
        self.forget_id(&taken);
        taken
    }

    /// Removes a ready message that is not delivered.
    pub(crate) fn drop(&mut self, position: u64) -> Message {
        let dropped = self.take_ready(position).message;
        self.forget_id(&dropped);
        dropped
    }

    pub(crate) fn settle(&mut self, position: u64) -> Message {
        self.counters.acked += 1;
        let settled = self.take_unacked(position).message;
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
        let Delivered { mut message, returns } = self.take_unacked(position);
        let returns = returns.saturating_add(1);
        let replaced = returned(&message, returns).map(|other| std::mem::replace(&mut message, other));
        self.count_in(self.priority_at(position), &message);
        self.tier_mut(position).returned.insert(position, Delivered { message, returns });
        replaced
    }

    /// Removes all ready messages.
    pub(crate) fn purge(&mut self) -> Vec<Message> {
        let mut purged = Vec::with_capacity(self.ready_count);
        for tier in self.tiers.iter_mut().rev() {
            tier.fresh_position += tier.fresh.len() as u64;
            let returned = std::mem::take(&mut tier.returned);
            purged.extend(returned.into_values().map(|delivered| delivered.message));
            purged.extend(std::mem::take(&mut tier.fresh));
        }
        purged.extend(self.part.iter_mut().flat_map(|part| part.take_sealed()));
        purged.iter().for_each(|message| self.forget_id(message));
        (self.ready_count, self.ready_bytes, self.ready_priorities) = (0, 0, Priorities::default());
        purged
    }

    /// Returns all messages of a queue that is deleted.
    pub(crate) fn into_messages(mut self) -> impl Iterator<Item = Message> {
        let sealed = self.part.as_mut().map(|part| part.take_sealed()).unwrap_or_default();
        sealed.into_iter().chain(self.tiers.into_iter().flat_map(|tier| {
            let delivered = tier.returned.into_values().chain(tier.unacked.into_values());
            delivered.map(|delivered| delivered.message).chain(tier.fresh)
        }))
    }

    /// Counts a message that has left. If it was the last one of a slot that moved to another partition, returns both.
    pub(crate) fn count_out(&mut self, message: &Message) -> Option<(u16, QueueId)> {
        self.part.as_mut()?.count_out(message)
    }

    /// Returns the memory that it takes with its partitions, without messages.
    pub(crate) fn room(&self) -> usize {
        let partitions = self.partitions.as_ref().map_or(0, |partitions| partitions.queues.len());
        room::of_queue(&self.name, &self.arguments, &self.settings, partitions)
    }

    /// Calls `see` with the ready messages in the order of delivery.
    pub(crate) fn each_ready(&self, see: &mut dyn FnMut(u64, &Message)) {
        for tier in self.tiers.iter().rev() {
            tier.returned.iter().for_each(|(position, delivered)| see(position, &delivered.message));
            (tier.fresh_position..).zip(&tier.fresh).for_each(|(position, message)| see(position, message));
        }
    }

    /// Calls `see` with the unacked messages in order of their position.
    pub(crate) fn each_unacked(&self, see: &mut dyn FnMut(u64, &Message)) {
        for tier in self.tiers.iter().rev() {
            tier.unacked.iter().for_each(|(position, delivered)| see(position, &delivered.message));
        }
    }

    /// Adds the tiers up to this priority.
    fn grow(&mut self, priority: u8) {
        for known in self.tiers.len()..=usize::from(priority) {
            self.tiers.push(Tier::new(self.tier_number(known) << TIER_SHIFT));
        }
    }

    // Used in three places and not small: one call is cheaper than three copies.
    #[inline(never)]
    fn take_ready(&mut self, position: u64) -> Delivered {
        let priority = self.priority_at(position);
        let tier = &mut self.tiers[priority];
        tier.touched_below = tier.touched_below.max(position + 1);
        let delivered = if position == tier.fresh_position {
            tier.fresh_position += 1;
            let message = tier.fresh.pop_front().expect("a position that is taken is ready");
            tier.shrink();
            Delivered { message, returns: 0 }
        } else {
            tier.returned.remove(position).expect("a position that is taken is ready")
        };
        if tier.fresh.is_empty() && tier.returned.len() == 0 {
            self.ready_priorities.remove(priority);
        }
        self.ready_count -= 1;
        self.ready_bytes -= delivered.message.body_bytes();
        delivered
    }

    fn take_unacked(&mut self, position: u64) -> Delivered {
        self.unacked_count -= 1;
        self.tier_mut(position).unacked.remove(position).expect("a position that is settled is unacked")
    }

    fn count_in(&mut self, priority: usize, message: &Message) {
        self.ready_priorities.insert(priority);
        self.ready_count += 1;
        self.ready_bytes += message.body_bytes();
    }

    fn count_delivery(&mut self, position: u64) {
        self.counters.delivered += 1;
        self.counters.redelivered += u64::from(self.was_delivered(position));
    }

    fn tier_number(&self, priority: usize) -> u64 {
        u64::from(self.settings.max_priority) - priority as u64
    }

    fn priority_at(&self, position: u64) -> usize {
        self.priority_of(position).expect("a position of this queue is of one of its tiers")
    }

    fn priority_of(&self, position: u64) -> Option<usize> {
        usize::from(self.settings.max_priority).checked_sub((position >> TIER_SHIFT) as usize)
    }

    fn tier(&self, position: u64) -> &Tier {
        &self.tiers[self.priority_at(position)]
    }

    fn tier_mut(&mut self, position: u64) -> &mut Tier {
        let priority = self.priority_at(position);
        &mut self.tiers[priority]
    }
}
