//! Channel: who asks, what was delivered to it, how much more it may take, and what its transaction holds.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use crate::broker::model::message::Message;
use crate::broker::model::numbered::Numbered;
use crate::id::{ChannelId, ConnectionId, ConsumerId, QueueId};
use crate::timer::TimerKey;

/// A channel's share of the broker's transient state.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) connection: ConnectionId,
    pub(crate) number: u16,
    /// By consumer tag.
    pub(crate) consumers: HashMap<Box<str>, ConsumerId, FixedState>,
    /// The prefetch of consumers yet to come; 0 is unlimited.
    pub(crate) consumer_prefetch: u16,
    /// The prefetch of the channel as a whole; 0 is unlimited.
    pub(crate) channel_prefetch: u16,
    pub(crate) unacked: Numbered<Outstanding>,
    /// How many of the unacked were delivered to consumers: those that the channel's prefetch counts.
    pub(crate) consuming: u32,
    /// Consumers that could not take a message as the channel was full or paused, the one that is to have the next first:
    /// so they take turns, whatever their queues.
    pub(crate) turned_away: VecDeque<ConsumerId>,
    /// Whether it stands in the broker's list of channels that may have room for more of these.
    pub(crate) is_roomy: bool,
    pub(crate) last_delivery_tag: u64,
    /// What an empty queue name stands for.
    pub(crate) last_queue: Option<Box<str>>,
    /// The queue behind this channel's consumer of replies.
    pub(crate) reply_queue: Option<Box<str>>,
    /// Its connection takes no deliveries for now.
    pub(crate) paused: bool,
    /// Only in transaction mode.
    pub(crate) transaction: Option<Box<Transaction>>,
}

/// What a channel has published and settled since its transaction began.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    /// Each with whether it is mandatory.
    pub(crate) published: Vec<(Message, bool)>,
    /// By their delivery tags.
    pub(crate) settled: Vec<(u64, Outstanding, Outcome)>,
}

/// What becomes of a message when its delivery is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Acked,
    /// Dead-lettered, where its queue says to where.
    Rejected,
    Requeued,
}

/// A delivery that waits to be settled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outstanding {
    pub(crate) queue: QueueId,
    pub(crate) position: u64,
    pub(crate) holder: Holder,
    /// Takes the message back in time.
    pub(crate) timer: Option<TimerKey>,
}

/// Who holds a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// `basic.get`, which no prefetch counts.
    Get,
    /// A consumer.
    Consumer(ConsumerId),
    /// A consumer that was cancelled meanwhile; the channel's prefetch still counts it.
    Cancelled,
}

impl Channel {
    pub(crate) fn new(connection: ConnectionId, number: u16, paused: bool) -> Self {
        Self {
            connection,
            number,
            consumers: HashMap::default(),
            consumer_prefetch: 0,
            channel_prefetch: 0,
            unacked: Numbered::new(),
            consuming: 0,
            turned_away: VecDeque::new(),
            is_roomy: false,
            last_delivery_tag: 0,
            last_queue: None,
            reply_queue: None,
            paused,
            transaction: None,
        }
    }

    /// Whether no consumer here can take a message, one that does not ack included.
    pub(crate) fn is_full(&self) -> bool {
        self.paused || self.room() == 0
    }

    /// How many more deliveries that want an ack its prefetch lets it take.
    pub(crate) fn room(&self) -> usize {
        match self.channel_prefetch {
            0 => usize::MAX,
            prefetch => usize::from(prefetch).saturating_sub(self.consuming as usize),
        }
    }

    /// Its consumers in the order in which they came.
    pub(crate) fn consumer_ids(&self) -> Vec<ConsumerId> {
        let mut ids: Vec<_> = self.consumers.values().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// What is delivered and not settled for good.
    pub(crate) fn outstanding_mut(&mut self) -> impl Iterator<Item = &mut Outstanding> {
        let held = self.transaction.iter_mut().flat_map(|transaction| &mut transaction.settled);
        self.unacked.values_mut().chain(held.map(|(_, outstanding, _)| outstanding))
    }

    pub(crate) fn next_delivery_tag(&mut self) -> u64 {
        self.last_delivery_tag += 1;
        self.last_delivery_tag
    }
}

/// A connection's share: its channels, and what goes with it.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) channels: Vec<ChannelId>,
    pub(crate) exclusive_queues: Vec<QueueId>,
    pub(crate) paused: bool,
    /// What it takes in memory beside the usual.
    pub(crate) extra_bytes: usize,
}
