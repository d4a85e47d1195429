//! Fifo: messages in the order of their positions, each of which goes to one consumer.
//!
//! A message has a position, assigned at its arrival and never changed: a requeued message returns to it. Positions
//! rise in the order of delivery, so with priorities a position begins with its [tier](super::tier).

use super::tier::{Delivered, Era, Priorities, TIER_SHIFT, Tier};
use crate::broker::model::message::Message;

/// Ready and unacked messages.
#[derive(Debug)]
pub(crate) struct Fifo {
    max_priority: u8,
    /// By priority, up to the highest that was used; at least one.
    tiers: Vec<Tier>,
    /// Priorities that have ready messages.
    ready_priorities: Priorities,
    ready_count: usize,
    ready_bytes: usize,
    unacked_count: usize,
}

impl Fifo {
    pub(super) fn new(max_priority: u8) -> Self {
        Self {
            max_priority,
            tiers: vec![Tier::new(first_position(max_priority))],
            ready_priorities: Priorities::default(),
            ready_count: 0,
            ready_bytes: 0,
            unacked_count: 0,
        }
    }

    pub(super) fn ready_count(&self) -> usize {
        self.ready_count
    }

    pub(super) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    pub(super) fn unacked_count(&self) -> usize {
        self.unacked_count
    }

    /// Returns the next message to deliver, with its position.
    pub(super) fn first(&self) -> Option<(u64, &Message)> {
        let tier = &self.tiers[self.ready_priorities.highest()?];
        match tier.returned.front() {
            Some((position, delivered)) => Some((position, &delivered.message)),
            None => tier.fresh.front().map(|head| (tier.fresh_position, head)),
        }
    }

    /// Returns the era of the message at a position; a message from before eras existed has none.
    pub(super) fn era_at(&self, position: u64) -> Option<&Era> {
        self.tier(position).eras.iter().rfind(|era| era.position <= position)
    }

    /// Returns the bytes of the bodies of the ready messages without the next `leaving`.
    pub(super) fn ready_bytes_behind(&self, leaving: usize) -> usize {
        if leaving == self.ready_count {
            return 0;
        }
        let ready = self.tiers.iter().rev().flat_map(|tier| {
            let returned = tier.returned.iter().map(|(_, delivered)| &delivered.message);
            returned.chain(&tier.fresh)
        });
        self.ready_bytes - ready.take(leaving).map(Message::body_bytes).sum::<usize>()
    }

    pub(super) fn was_delivered(&self, position: u64) -> bool {
        position < self.tier(position).touched_below
    }

    pub(super) fn message(&self, position: u64) -> Option<&Message> {
        self.tiers.get(self.priority_of(position)?)?;
        self.ready_message(position).or_else(|| self.unacked_message(position))
    }

    pub(super) fn unacked_message(&self, position: u64) -> Option<&Message> {
        self.tier(position).unacked.get(position).map(|delivered| &delivered.message)
    }

    pub(super) fn ready_message(&self, position: u64) -> Option<&Message> {
        let tier = self.tier(position);
        match position.checked_sub(tier.fresh_position) {
            Some(index) => tier.fresh.get(index as usize),
            None => tier.returned.get(position).map(|delivered| &delivered.message),
        }
    }

    pub(super) fn returns(&self, position: u64) -> u32 {
        let tier = self.tier(position);
        let delivered = tier.unacked.get(position).or_else(|| tier.returned.get(position));
        delivered.map_or(0, |delivered| delivered.returns)
    }

    /// Returns the position that the next message of this priority gets.
    pub(super) fn end_of(&self, priority: u8) -> u64 {
        let first = self.tier_number(priority.into()) << TIER_SHIFT;
        let tier = self.tiers.get(usize::from(priority));
        tier.map_or(first, |tier| tier.fresh_position + tier.fresh.len() as u64)
    }

    pub(super) fn priority(&self, message: &Message) -> u8 {
        match self.max_priority {
            0 => 0,
            max => message.properties().priority().unwrap_or(0).min(max),
        }
    }

    /// Adds a message behind all others of its priority.
    pub(super) fn push(&mut self, message: Message, ttl_ms: Option<u64>, is_kept: bool) {
        let priority = self.priority(&message);
        self.grow(priority);
        if let Some(era) = self.next_era(priority, ttl_ms, is_kept) {
            self.tiers[usize::from(priority)].begin(era);
        }
        self.count_in(priority.into(), message.body_bytes());
        self.tiers[usize::from(priority)].fresh.push_back(message);
    }

    /// Returns the era that a message of this priority begins, if the time to live has changed since the last one. Where
    /// messages are kept the first one always begins an era.
    pub(super) fn next_era(&self, priority: u8, ttl_ms: Option<u64>, is_kept: bool) -> Option<Era> {
        let begins = match self.tiers.get(usize::from(priority)).and_then(|tier| tier.eras.last()) {
            Some(last) => last.ttl_ms != ttl_ms,
            None => is_kept || ttl_ms.is_some(),
        };
        begins.then(|| Era { position: self.end_of(priority), ttl_ms })
    }

    /// Makes a ready message unacked, and returns whether it may have been delivered before.
    pub(super) fn deliver(&mut self, position: u64) -> bool {
        let was_delivered = self.was_delivered(position);
        let delivered = self.take_ready(position);
        self.unacked_count += 1;
        self.tier_mut(position).unacked.insert(position, delivered);
        was_delivered
    }

    /// Removes all ready messages.
    pub(super) fn purge(&mut self) -> Vec<Message> {
        let mut purged = Vec::with_capacity(self.ready_count);
        for tier in self.tiers.iter_mut().rev() {
            tier.fresh_position += tier.fresh.len() as u64;
            let returned = std::mem::take(&mut tier.returned);
            purged.extend(returned.into_values().map(|delivered| delivered.message));
            purged.extend(std::mem::take(&mut tier.fresh));
        }
        (self.ready_count, self.ready_bytes, self.ready_priorities) = (0, 0, Priorities::default());
        purged
    }

    pub(super) fn into_messages(self) -> impl Iterator<Item = Message> {
        self.tiers.into_iter().flat_map(|tier| {
            let delivered = tier.returned.into_values().chain(tier.unacked.into_values());
            delivered.map(|delivered| delivered.message).chain(tier.fresh)
        })
    }

    pub(super) fn each_ready(&self, see: &mut dyn FnMut(u64, &Message)) {
        for tier in self.tiers.iter().rev() {
            tier.returned.iter().for_each(|(position, delivered)| see(position, &delivered.message));
            (tier.fresh_position..).zip(&tier.fresh).for_each(|(position, message)| see(position, message));
        }
    }

    pub(super) fn each_unacked(&self, see: &mut dyn FnMut(u64, &Message)) {
        for tier in self.tiers.iter().rev() {
            tier.unacked.iter().for_each(|(position, delivered)| see(position, &delivered.message));
        }
    }

    /// Replaces the message at a position, ready or not, and returns the former one.
    pub(super) fn exchange(&mut self, position: u64, other: Message) -> Message {
        let tier = self.tier_mut(position);
        let place = match position.checked_sub(tier.fresh_position) {
            Some(index) => tier.fresh.get_mut(index as usize),
            None => {
                let handed_out = tier.returned.get_mut(position).or_else(|| tier.unacked.get_mut(position));
                handed_out.map(|delivered| &mut delivered.message)
            }
        };
        std::mem::replace(place.expect("what is exchanged is here"), other)
    }

    /// Makes a delivered message ready again.
    pub(super) fn put_back(&mut self, position: u64, delivered: Delivered, body_bytes: usize) {
        self.count_in(self.priority_at(position), body_bytes);
        self.tier_mut(position).returned.insert(position, delivered);
    }

    /// Restores a message at its position.
    pub(super) fn restore(&mut self, position: u64, delivered: Delivered, body_bytes: usize) {
        self.grow(self.priority_at(position) as u8);
        self.put_back(position, delivered, body_bytes);
        let tier = self.tier_mut(position);
        tier.fresh_position = tier.fresh_position.max(position + 1);
    }

    pub(super) fn go_on_from(&mut self, position: u64, touched: u64) {
        let Some(priority) = self.priority_of(position) else { return };
        self.grow(priority as u8);
        let tier = &mut self.tiers[priority];
        tier.fresh_position = tier.fresh_position.max(position);
        tier.touched_below = tier.touched_below.max(touched.min(tier.fresh_position));
    }

    pub(super) fn restore_eras(&mut self, position: u64, eras: Vec<Era>) {
        let Some(priority) = self.priority_of(position) else { return };
        self.grow(priority as u8);
        self.tiers[priority].eras = eras;
    }

    pub(super) fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    pub(super) fn can_put_away(&self, position: u64) -> bool {
        let tier = self.tier(position);
        let is_first = position == tier.returned.first().unwrap_or(tier.fresh_position);
        !is_first && self.ready_message(position).is_some()
    }

    #[inline(always)]
    pub(super) fn take_ready(&mut self, position: u64) -> Delivered {
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

    pub(super) fn take_unacked(&mut self, position: u64) -> Delivered {
        self.unacked_count -= 1;
        self.tier_mut(position).unacked.remove(position).expect("a position that is settled is unacked")
    }

    fn count_in(&mut self, priority: usize, body_bytes: usize) {
        self.ready_priorities.insert(priority);
        self.ready_count += 1;
        self.ready_bytes += body_bytes;
    }

    /// Adds the tiers up to this priority.
    fn grow(&mut self, priority: u8) {
        for known in self.tiers.len()..=usize::from(priority) {
            self.tiers.push(Tier::new(self.tier_number(known) << TIER_SHIFT));
        }
    }

    fn tier_number(&self, priority: usize) -> u64 {
        u64::from(self.max_priority) - priority as u64
    }

    fn priority_at(&self, position: u64) -> usize {
        self.priority_of(position).expect("a position of this queue is of one of its tiers")
    }

    fn priority_of(&self, position: u64) -> Option<usize> {
        usize::from(self.max_priority).checked_sub((position >> TIER_SHIFT) as usize)
    }

    fn tier(&self, position: u64) -> &Tier {
        &self.tiers[self.priority_at(position)]
    }

    fn tier_mut(&mut self, position: u64) -> &mut Tier {
        let priority = self.priority_at(position);
        &mut self.tiers[priority]
    }
}

/// Returns the position of the first message of the lowest priority.
pub(super) fn first_position(max_priority: u8) -> u64 {
    u64::from(max_priority) << TIER_SHIFT
}
