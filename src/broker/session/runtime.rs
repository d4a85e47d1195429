//! Runtime: the consumers, the owner and the timers of a queue, which are not part of the state that facts make.

use std::collections::VecDeque;

use crate::id::{ChannelId, ConnectionId, ConsumerId};
use crate::timer::TimerKey;

/// The consumers, the owner and the timers of one queue.
///
/// The rotations hold those consumers that may have room, the next one first. A consumer without room is removed, and
/// is appended when it has room again; so a turn costs the same however many consumers are busy.
#[derive(Debug, Default)]
pub(crate) struct QueueRuntime {
    /// In order of arrival. The first one is active in a queue with a single active consumer; the others of a quorum
    /// queue are ordered by priority.
    pub(crate) consumers: Vec<ConsumerId>,
    /// Whether the single active consumer gets no more messages: once it has nothing unacked, one of a higher priority
    /// takes over.
    pub(crate) is_handing_over: bool,
    /// Whether there ever was a consumer with a priority other than 0.
    pub(crate) has_priorities: bool,
    /// By priority, highest first.
    rotations: Vec<Rotation>,
    /// Whether the queue is a partition; at most one consumer may take messages from it.
    pub(crate) is_part: bool,
    pub(crate) sole: Option<ConsumerId>,
    /// Whether the only consumer requested to be exclusive.
    pub(crate) is_exclusive: bool,
    /// Whether the queue is in the broker's list of active queues.
    pub(crate) is_active: bool,
    /// Time since when a consumer has been waiting.
    pub(crate) awaited_ms: u64,
    /// Connection that owns the queue, if it is exclusive.
    pub(crate) owner: Option<ConnectionId>,
    /// Channel of the consumer of replies, if the queue serves one.
    pub(crate) reply_channel: Option<ChannelId>,
    /// Timer for the expiry of the head, or earlier.
    pub(crate) expiry: Option<(u64, TimerKey)>,
    /// Timer of a queue that expires when unused.
    pub(crate) disuse: Option<TimerKey>,
    pub(crate) used_ms: u64,
}

#[derive(Debug)]
struct Rotation {
    priority: i64,
    waiting: VecDeque<ConsumerId>,
}

impl QueueRuntime {
    /// Appends a consumer to those of its priority.
    pub(crate) fn enqueue(&mut self, consumer: ConsumerId, priority: i64) {
        let place = self.rotations.partition_point(|rotation| rotation.priority > priority);
        if self.rotations.get(place).is_none_or(|rotation| rotation.priority != priority) {
            self.rotations.insert(place, Rotation { priority, waiting: VecDeque::new() });
        }
        self.rotations[place].waiting.push_back(consumer);
    }

    /// Returns the consumers that may have room.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = ConsumerId> {
        let rotations = self.rotations.iter().flat_map(|rotation| rotation.waiting.iter().copied());
        self.sole.into_iter().chain(rotations)
    }

    pub(crate) fn is_anybody_waiting(&self) -> bool {
        self.sole.is_some() || self.rotations.iter().any(|rotation| !rotation.waiting.is_empty())
    }

    /// Returns the consumer whose turn it is.
    pub(crate) fn first(&self) -> Option<ConsumerId> {
        self.waiting().next()
    }

    /// Moves the first consumer, which takes a message, to the end of those of its priority.
    pub(crate) fn rotate(&mut self) {
        match self.first_rotation() {
            Some(rotation) if rotation.waiting.len() > 1 => rotation.waiting.rotate_left(1),
            _ => {}
        }
    }

    /// Removes the first consumer, which has no room, and returns whether there may be another one.
    pub(crate) fn skip(&mut self) -> bool {
        self.first_rotation().is_some_and(|rotation| rotation.waiting.pop_front().is_some())
    }

    /// Returns the rotation whose turn it is; a sole consumer is in none.
    fn first_rotation(&mut self) -> Option<&mut Rotation> {
        if self.sole.is_some() {
            return None;
        }
        self.rotations.iter_mut().find(|rotation| !rotation.waiting.is_empty())
    }

    pub(crate) fn remove(&mut self, consumer: ConsumerId) {
        self.consumers.retain(|&known| known != consumer);
        self.stop_waiting(consumer);
        self.is_exclusive = false;
    }

    pub(crate) fn stop_waiting(&mut self, consumer: ConsumerId) {
        for rotation in &mut self.rotations {
            rotation.waiting.retain(|&known| known != consumer);
        }
        self.rotations.retain(|rotation| !rotation.waiting.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(number: u64) -> ConsumerId {
        ConsumerId::from_index(number)
    }

    /// Returns whose turn it is, so many times.
    fn turns(runtime: &mut QueueRuntime, count: usize) -> Vec<u64> {
        let turn = |_| {
            let first = runtime.first().map_or(0, ConsumerId::index);
            runtime.rotate();
            first
        };
        (0..count).map(turn).collect()
    }

    #[test]
    fn consumers_of_the_highest_priority_that_waits_take_turns() {
        let mut runtime = QueueRuntime::default();
        for (number, priority) in [(1, 0), (2, 0), (3, 5), (4, 0)] {
            runtime.enqueue(consumer(number), priority);
        }
        assert_eq!(turns(&mut runtime, 2), [3, 3]);
        assert!(runtime.skip());
        assert_eq!(turns(&mut runtime, 5), [1, 2, 4, 1, 2]);
        assert!(runtime.skip());
        assert_eq!(turns(&mut runtime, 3), [1, 2, 1]);
        runtime.enqueue(consumer(3), 5);
        assert_eq!(turns(&mut runtime, 2), [3, 3]);
    }

    #[test]
    fn a_sole_consumer_is_not_skipped() {
        let mut runtime = QueueRuntime { sole: Some(consumer(7)), ..QueueRuntime::default() };
        assert_eq!(turns(&mut runtime, 2), [7, 7]);
        assert!(!runtime.skip());
        assert_eq!(runtime.first(), Some(consumer(7)));
    }
}
