//! Consumer: takes a queue's messages, in turn with the queue's other consumers.

use std::collections::VecDeque;

use crate::id::{ChannelId, ConsumerId, QueueId};

/// One consumer.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) channel: ChannelId,
    pub(crate) queue: QueueId,
    pub(crate) tag: Box<str>,
    pub(crate) no_ack: bool,
    /// Its prefetch; 0 is unlimited.
    pub(crate) prefetch: u16,
    pub(crate) unacked: u32,
    /// Whether it stands in its queue's rotation.
    pub(crate) is_waiting: bool,
}

impl Consumer {
    /// Whether its prefetch leaves room.
    pub(crate) fn has_room(&self) -> bool {
        self.prefetch == 0 || self.unacked < u32::from(self.prefetch)
    }
}

/// The consumers of one queue.
///
/// The rotation holds those that may have room, the next one first. One that turns out to have none drops out, and
/// comes back at the end when it has room again: so a turn costs the same however many consumers are busy.
#[derive(Debug, Default)]
pub(crate) struct Consumers {
    /// In the order in which they came.
    pub(crate) all: Vec<ConsumerId>,
    pub(crate) rotation: VecDeque<ConsumerId>,
    /// The only consumer, and asked to be.
    pub(crate) is_exclusive: bool,
    /// Whether the queue stands in the broker's list of queues that may have something to deliver.
    pub(crate) is_active: bool,
}

impl Consumers {
    pub(crate) fn remove(&mut self, consumer: ConsumerId) {
        self.all.retain(|&known| known != consumer);
        self.rotation.retain(|&known| known != consumer);
        self.is_exclusive = false;
    }
}
