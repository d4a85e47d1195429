//! Kept: a queue's messages that outlive the broker: written down, paged out, fetched and restored.

use super::Queue;
use super::tier::{Delivered, Era};
use crate::broker::model::message::Message;

impl Queue {
    /// Returns whether the message at this position may be replaced by a stub: it is not about to be used.
    pub(crate) fn can_put_away(&self, position: u64) -> bool {
        let tier = self.tier(position);
        let is_first = position == tier.returned.first().unwrap_or(tier.fresh_position);
        !is_first && !self.settings.deduplicates && self.ready_message(position).is_some()
    }

    /// Returns the position of the next message to deliver, if it is a stub.
    pub(crate) fn stub_at_head(&self) -> Option<u64> {
        self.first().filter(|(.., head)| head.is_stub()).map(|(_, position, _)| position)
    }

    /// Replaces a message by its stub, or a stub by its message, and returns the former one.
    pub(crate) fn exchange(&mut self, position: u64, other: Message) -> Message {
        self.note_id(&other);
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

    /// Restores a message at its position, from which it was requeued `returns` times.
    pub(crate) fn restore(&mut self, position: u64, message: Message, returns: u32, body_bytes: usize) {
        self.note_id(&message);
        let priority = self.priority_at(position);
        self.grow(priority as u8);
        self.ready_priorities.insert(priority);
        self.ready_count += 1;
        self.ready_bytes += body_bytes;
        let tier = &mut self.tiers[priority];
        tier.returned.insert(position, Delivered { message, returns });
        tier.fresh_position = tier.fresh_position.max(position + 1);
    }

    /// Makes new messages get positions from this one on; those below `touched` may have been delivered.
    pub(crate) fn go_on_from(&mut self, position: u64, touched: u64) {
        let Some(priority) = self.priority_of(position) else { return };
        self.grow(priority as u8);
        let tier = &mut self.tiers[priority];
        tier.fresh_position = tier.fresh_position.max(position);
        tier.touched_below = tier.touched_below.max(touched.min(tier.fresh_position));
    }

    /// Returns the era that a message begins, if it is ready at once and the queue's time to live has changed since the
    /// last message. Where messages are kept the first one always begins an era, so that messages without one are known
    /// to be older than eras.
    pub(crate) fn next_era(&self, message: &Message) -> Option<Era> {
        self.era_of(self.priority(message))
    }

    /// Returns the era that a message of this priority begins, if it does.
    pub(super) fn era_of(&self, priority: u8) -> Option<Era> {
        let ttl_ms = self.settings.message_ttl_ms;
        let tier = self.tiers.get(usize::from(priority));
        let begins = match tier.and_then(|tier| tier.eras.last()) {
            Some(last) => last.ttl_ms != ttl_ms,
            None => self.is_kept || ttl_ms.is_some(),
        };
        begins.then(|| Era { position: self.end_of(priority), ttl_ms })
    }

    /// Returns all eras of messages that are here.
    pub(crate) fn eras(&self) -> impl Iterator<Item = Era> {
        self.tiers.iter().flat_map(|tier| tier.eras.iter().copied())
    }

    /// Restores the eras of the tier that this position belongs to.
    pub(crate) fn restore_eras(&mut self, position: u64, eras: Vec<Era>) {
        let Some(priority) = self.priority_of(position) else { return };
        self.grow(priority as u8);
        self.tiers[priority].eras = eras;
    }

    /// Returns for each tier the position below which messages may have been delivered.
    pub(crate) fn touched(&self) -> impl Iterator<Item = u64> {
        self.tiers.iter().map(|tier| tier.touched_below)
    }

    /// Returns the positions of ready messages that are stubs.
    pub(crate) fn stubs(&self) -> Vec<u64> {
        let mut stubs = Vec::new();
        self.each_ready(&mut |position, message| stubs.extend(message.is_stub().then_some(position)));
        stubs
    }
}
