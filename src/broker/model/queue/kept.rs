//! Kept: a queue's messages that outlive the broker: written down, paged out, fetched and restored.

use super::tier::{Delivered, Era};
use super::{Fifo, Kind, Queue, fifo};
use crate::broker::model::message::Message;

impl Queue {
    /// Returns whether the message at this position may be replaced by a stub: it is not about to be used.
    pub(crate) fn can_put_away(&self, position: u64) -> bool {
        !self.settings.deduplicates && self.kind.fifo().is_some_and(|fifo| fifo.can_put_away(position))
    }

    /// Returns the position of the head, if it is a stub.
    pub(crate) fn stub_at_head(&self) -> Option<u64> {
        self.kind.fifo()?.first().filter(|(_, head)| head.is_stub()).map(|(position, _)| position)
    }

    /// Replaces a message by its stub, or a stub by its message, and returns the former one.
    pub(crate) fn exchange(&mut self, position: u64, other: Message) -> Message {
        self.note_id(&other);
        self.fifo_mut().exchange(position, other)
    }

    /// Restores a message at its position, from which it was requeued `returns` times.
    pub(crate) fn restore(&mut self, position: u64, message: Message, returns: u32, body_bytes: usize) {
        self.note_id(&message);
        self.fifo_mut().restore(position, Delivered { message, returns }, body_bytes);
    }

    /// Makes new messages get positions from this one on; those below `touched` may have been delivered.
    pub(crate) fn go_on_from(&mut self, position: u64, touched: u64) {
        self.fifo_mut().go_on_from(position, touched);
    }

    /// Returns the era that a message begins, if it is ready at once and the queue's time to live has changed since the
    /// last message. Where messages are kept the first one always begins an era, so that messages without one are known
    /// to be older than eras.
    pub(crate) fn next_era(&self, message: &Message) -> Option<Era> {
        let fifo = self.kind.fifo()?;
        fifo.next_era(fifo.priority(message), self.settings.message_ttl_ms, self.is_kept)
    }

    /// Returns all eras of messages that are here.
    pub(crate) fn eras(&self) -> impl Iterator<Item = Era> {
        let tiers = self.kind.fifo().map_or(&[][..], Fifo::tiers);
        tiers.iter().flat_map(|tier| tier.eras.iter().copied())
    }

    /// Restores the eras of the tier that this position belongs to.
    pub(crate) fn restore_eras(&mut self, position: u64, eras: Vec<Era>) {
        self.fifo_mut().restore_eras(position, eras);
    }

    /// Returns for each tier the position below which messages may have been delivered. A front has the tier that every
    /// queue has.
    pub(crate) fn touched(&self) -> Vec<u64> {
        match &self.kind {
            Kind::Fifo(fifo) | Kind::Partition(fifo, _) => fifo.tiers().iter().map(|tier| tier.touched_below).collect(),
            Kind::Front(_) => vec![fifo::first_position(self.settings.max_priority)],
        }
    }

    /// Returns the positions of ready messages that are stubs.
    pub(crate) fn stubs(&self) -> Vec<u64> {
        let mut stubs = Vec::new();
        self.each_ready(&mut |position, message| stubs.extend(message.is_stub().then_some(position)));
        stubs
    }
}
