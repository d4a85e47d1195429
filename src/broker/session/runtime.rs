//! Runtime: the consumers, the owner and the timers of a queue, which are not part of the state that facts make.

use std::collections::VecDeque;

use crate::id::{ChannelId, ConnectionId, ConsumerId};
use crate::timer::TimerKey;

/// The consumers, the owner and the timers of one queue.
///
/// The rotations hold those consumers that may have room, the next one first. One that turns out to have none drops
/// out, and comes back at the end when it has room again: so a turn costs the same however many consumers are busy.
#[derive(Debug, Default)]
pub(crate) struct QueueRuntime {
    /// In the order in which they came. Of a queue with a single active consumer, that is the first; of a quorum queue the
    /// others stand by priority.
    pub(crate) consumers: Vec<ConsumerId>,
    /// The single active consumer gets nothing more: once it has nothing unacked, one of a higher priority takes over.
    pub(crate) is_handing_over: bool,
    /// Whether there was a consumer of another priority than 0.
    pub(crate) has_priorities: bool,
    /// By priority, the highest first.
    rotations: Vec<Rotation>,
    /// Whether the queue is a partition; then there is at most one who may take from it.
    pub(crate) is_part: bool,
    pub(crate) sole: Option<ConsumerId>,
    /// The only consumer, and asked to be.
    pub(crate) is_exclusive: bool,
    /// Whether the queue stands in the broker's list of queues that may have something to deliver.
    pub(crate) is_active: bool,
    /// Since when somebody has been waiting.
    pub(crate) awaited_ms: u64,
    /// Whose queue it is, where it is exclusive.
    pub(crate) owner: Option<ConnectionId>,
    /// The channel whose consumer of replies it serves.
    pub(crate) reply_channel: Option<ChannelId>,
    /// Set for the head's expiry, or earlier.
    pub(crate) expiry: Option<(u64, TimerKey)>,
    /// Set while the queue expires when it is unused.
    pub(crate) disuse: Option<TimerKey>,
    pub(crate) used_ms: u64,
}

#[derive(Debug)]
struct Rotation {
    priority: i64,
    waiting: VecDeque<ConsumerId>,
}

impl QueueRuntime {
    /// Puts a consumer at the end of those of its priority.
    pub(crate) fn enqueue(&mut self, consumer: ConsumerId, priority: i64) {
        let place = self.rotations.partition_point(|rotation| rotation.priority > priority);
        if self.rotations.get(place).is_none_or(|rotation| rotation.priority != priority) {
            self.rotations.insert(place, Rotation { priority, waiting: VecDeque::new() });
        }
        self.rotations[place].waiting.push_back(consumer);
    }

    /// The consumers that may have room.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = ConsumerId> {
        let rotations = self.rotations.iter().flat_map(|rotation| rotation.waiting.iter().copied());
        self.sole.into_iter().chain(rotations)
    }

    pub(crate) fn is_anybody_waiting(&self) -> bool {
        self.sole.is_some() || self.rotations.iter().any(|rotation| !rotation.waiting.is_empty())
    }

    /// The first consumer that can take a message goes to the end of those of its priority; who cannot drops out, and
    /// `can_take` is told by `true` for whom it was asked last.
    pub(crate) fn rotate(&mut self, mut can_take: impl FnMut(ConsumerId) -> bool) -> Option<ConsumerId> {
        for Rotation { waiting, .. } in &mut self.rotations {
            while let Some(&consumer) = waiting.front() {
                waiting.pop_front();
                if can_take(consumer) {
                    waiting.push_back(consumer);
                    return Some(consumer);
                }
            }
        }
        None
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
