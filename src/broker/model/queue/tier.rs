//! Tier: the messages of one priority, in the order of their positions.
//!
//! ```text
//!   63    56 55                       0
//!  +--------+--------------------------+
//!  | tier   | number within the tier   |     0 is the tier of the highest priority
//!  +--------+--------------------------+
//! ```
//!
//! Messages leave a tier from its front, so all requeued messages are before all that were never delivered. Hence a
//! tier has two parts: the *returned*, sorted, and the *fresh*, whose positions need not be stored.

use std::collections::VecDeque;

use crate::broker::model::message::Message;
use crate::broker::model::numbered::Numbered;

pub(super) const TIER_SHIFT: u32 = 56;

/// The messages of one priority.
#[derive(Debug)]
pub(super) struct Tier {
    /// Never delivered; the first is at `fresh_position`, the others follow without a gap.
    pub(super) fresh: VecDeque<Message>,
    pub(super) fresh_position: u64,
    /// Messages below this position may have been delivered.
    pub(super) touched_below: u64,
    /// Times to live that the queue's settings gave to messages when they arrived; in order.
    pub(super) eras: Vec<Era>,
    /// Requeued, or restored after a restart. Invariant: all positions are below `fresh_position`.
    pub(super) returned: Numbered<Delivered>,
    /// By position; also all below `fresh_position`.
    pub(super) unacked: Numbered<Delivered>,
}

/// Time to live that messages from this position on got from their queue, by its settings at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Era {
    pub(crate) position: u64,
    pub(crate) ttl_ms: Option<u64>,
}

/// A message that was delivered.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) message: Message,
    /// Number of times that it was requeued.
    pub(super) returns: u32,
}

/// A set of priorities.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Priorities {
    words: [u64; 4],
    /// Stored because it is read far more often than it changes.
    highest: Option<usize>,
}

impl Tier {
    pub(super) fn new(fresh_position: u64) -> Self {
        Self {
            fresh: VecDeque::new(),
            fresh_position,
            touched_below: fresh_position,
            eras: Vec::new(),
            returned: Numbered::new(),
            unacked: Numbered::new(),
        }
    }

    /// Frees memory after a long backlog was drained.
    pub(super) fn shrink(&mut self) {
        if self.fresh.capacity() > 1024 && self.fresh.len() < self.fresh.capacity() / 8 {
            self.fresh.shrink_to(self.fresh.len() * 2);
        }
    }

    /// Begins an era, and drops those that have no messages left.
    pub(super) fn begin(&mut self, era: Era) {
        let handed_out = [self.returned.first(), self.unacked.first()].into_iter().flatten().min();
        let first = handed_out.unwrap_or(self.fresh_position);
        let passed = self.eras.partition_point(|era| era.position <= first).saturating_sub(1);
        self.eras.drain(..passed);
        self.eras.push(era);
    }
}

impl Priorities {
    pub(super) fn insert(&mut self, priority: usize) {
        self.words[priority / 64] |= 1 << (priority % 64);
        self.highest = self.highest.max(Some(priority));
    }

    pub(super) fn remove(&mut self, priority: usize) {
        self.words[priority / 64] &= !(1 << (priority % 64));
        let word = self.words.iter().rposition(|&word| word != 0);
        self.highest = word.map(|word| word * 64 + 63 - self.words[word].leading_zeros() as usize);
    }

    pub(super) fn highest(&self) -> Option<usize> {
        self.highest
    }
}

/// Returns the tier of a position.
pub(crate) fn tier_of(position: u64) -> u8 {
    (position >> TIER_SHIFT) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_priority_of_a_set_is_found() {
        let mut priorities = Priorities::default();
        assert_eq!(priorities.highest(), None);
        for priority in [0, 63, 64, 255] {
            priorities.insert(priority);
            assert_eq!(priorities.highest(), Some(priority));
        }
        priorities.remove(255);
        assert_eq!(priorities.highest(), Some(64));
    }
}
