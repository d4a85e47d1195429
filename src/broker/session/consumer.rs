//! Consumer: takes a queue's messages, in turn with the queue's other consumers.

use crate::broker::model::queue::Cursor;
use crate::id::{ChannelId, QueueId};
use crate::table::Table;

/// One consumer.
#[derive(Debug)]
pub(crate) struct Consumer {
    pub(crate) channel: ChannelId,
    pub(crate) queue: QueueId,
    /// Its place in the queue.
    pub(crate) cursor: Cursor,
    pub(crate) tag: Box<str>,
    pub(crate) no_ack: bool,
    pub(crate) arguments: Table,
    /// Consumers with a higher priority are served first.
    pub(crate) priority: i64,
    /// Its prefetch; 0 is unlimited.
    pub(crate) prefetch: u16,
    pub(crate) unacked: u32,
    /// Whether it is in its queue's rotation.
    pub(crate) is_waiting: bool,
    /// Whether it is in its channel's list of consumers that could not take a message.
    pub(crate) is_turned_away: bool,
}

impl Consumer {
    /// Returns how many more deliveries its prefetch allows.
    pub(crate) fn room(&self) -> usize {
        match self.prefetch {
            0 => usize::MAX,
            prefetch => usize::from(prefetch).saturating_sub(self.unacked as usize),
        }
    }
}
