//! Queue: messages in order, and which of them are handed out.
//!
//! ```text
//!   publish ──> ready ──────── deliver ───────> unacked ── ack, or nack without requeue ──> gone
//!                 │  <── requeue, where it was ────┘
//!                 └── purge, deliver without ack ──> gone
//! ```
//!
//! A message has a position, given at its arrival and kept: a requeued message goes back to it. Messages leave from the
//! front, so everything that was requeued stands before everything that was never delivered. Hence two parts: the
//! *returned*, sorted, and the *fresh*, whose positions need no storing.

use std::collections::VecDeque;

use super::message::Message;
use super::numbered::Numbered;
use crate::table::Table;

/// A queue's properties and messages.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) name: Box<str>,
    pub(crate) durable: bool,
    pub(crate) exclusive: bool,
    pub(crate) auto_delete: bool,
    pub(crate) arguments: Table,
    pub(crate) counters: Counters,
    /// Never delivered; the first of them is at `fresh_position`, the others follow without a gap.
    fresh: VecDeque<Message>,
    fresh_position: u64,
    /// Delivered before and ready again. Invariant: all positions are below `fresh_position`.
    returned: Numbered<Message>,
    /// By position, likewise below `fresh_position`.
    unacked: Numbered<Message>,
}

/// What has happened in a queue so far, in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Routed here.
    pub published: u64,
    /// Delivered or got, each time counted.
    pub delivered: u64,
    /// Delivered again after they were requeued.
    pub redelivered: u64,
    /// Settled, or delivered to who does not ack.
    pub acked: u64,
}

impl Queue {
    pub(crate) fn new(name: &str, durable: bool, exclusive: bool, auto_delete: bool, arguments: Table) -> Self {
        Self {
            name: name.into(),
            durable,
            exclusive,
            auto_delete,
            arguments,
            counters: Counters::default(),
            fresh: VecDeque::new(),
            fresh_position: 0,
            returned: Numbered::new(),
            unacked: Numbered::new(),
        }
    }

    pub(crate) fn ready_count(&self) -> usize {
        self.returned.len() + self.fresh.len()
    }

    pub(crate) fn unacked_count(&self) -> usize {
        self.unacked.len()
    }

    /// The position of the next message to deliver.
    pub(crate) fn next_position(&self) -> Option<u64> {
        self.returned.first().or_else(|| (!self.fresh.is_empty()).then_some(self.fresh_position))
    }

    /// Whether a position has been delivered before.
    pub(crate) fn was_delivered(&self, position: u64) -> bool {
        position < self.fresh_position
    }

    pub(crate) fn unacked_message(&self, position: u64) -> Option<&Message> {
        self.unacked.get(position)
    }

    pub(super) fn push(&mut self, message: Message) {
        self.counters.published += 1;
        self.fresh.push_back(message);
    }

    pub(super) fn deliver(&mut self, position: u64) {
        let message = self.take(position);
        self.unacked.insert(position, message);
    }

    /// Takes a ready message out for good.
    pub(super) fn take(&mut self, position: u64) -> Message {
        self.counters.delivered += 1;
        if position == self.fresh_position {
            self.fresh_position += 1;
            let message = self.fresh.pop_front().expect("a position that is delivered is ready");
            self.shrink();
            return message;
        }
        self.counters.redelivered += 1;
        self.returned.remove(position).expect("a position that is delivered is ready")
    }

    pub(super) fn settle(&mut self, position: u64) -> Message {
        self.counters.acked += 1;
        self.unacked.remove(position).expect("a position that is settled is unacked")
    }

    pub(super) fn requeue(&mut self, position: u64) {
        let message = self.unacked.remove(position).expect("a position that is requeued is unacked");
        self.returned.insert(position, message);
    }

    /// Takes all ready messages.
    pub(super) fn purge(&mut self) -> impl Iterator<Item = Message> + use<> {
        self.fresh_position += self.fresh.len() as u64;
        let returned = std::mem::replace(&mut self.returned, Numbered::new());
        returned.into_values().chain(std::mem::take(&mut self.fresh))
    }

    /// Takes everything, as the queue goes.
    pub(super) fn into_messages(self) -> impl Iterator<Item = Message> {
        self.returned.into_values().chain(self.fresh).chain(self.unacked.into_values())
    }

    /// Ready messages in order, and the positions that are unacked, for comparison.
    pub(crate) fn ready(&self) -> impl Iterator<Item = (u64, &Message)> {
        self.returned.iter().chain((self.fresh_position..).zip(&self.fresh))
    }

    /// Unacked messages in order of their position.
    pub(crate) fn unacked(&self) -> impl Iterator<Item = (u64, &Message)> {
        self.unacked.iter()
    }

    /// Gives memory back after a long backlog was drained.
    fn shrink(&mut self) {
        if self.fresh.capacity() > 1024 && self.fresh.len() < self.fresh.capacity() / 8 {
            self.fresh.shrink_to(self.fresh.len() * 2);
        }
    }
}
