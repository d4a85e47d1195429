//! Channel: a peer's channel, its deliveries, its prefetch, and its transaction.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use crate::arena::sorted;
use crate::broker::model::message::Message;
use crate::broker::model::numbered::Numbered;
use crate::id::{ChannelId, ConnectionId, ConsumerId, QueueId};
use crate::timer::TimerKey;

/// The broker's transient state of a channel.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) connection: ConnectionId,
    pub(crate) number: u16,
    /// Consumers by tag.
    pub(crate) consumers: HashMap<Box<str>, ConsumerId, FixedState>,
    /// Prefetch of consumers to be started; 0 is unlimited.
    pub(crate) consumer_prefetch: u16,
    /// Prefetch of the channel as a whole; 0 is unlimited.
    pub(crate) channel_prefetch: u16,
    pub(crate) unacked: Numbered<Outstanding>,
    /// Number of unacked deliveries to consumers, which the channel's prefetch counts.
    pub(crate) consuming: u32,
    /// Consumers that could not take a message because the channel was full or paused, the next in turn first. So they
    /// take turns, whatever their queues.
    pub(crate) turned_away: VecDeque<ConsumerId>,
    /// Whether the channel is in the broker's list of channels that may have room for the turned-away consumers.
    pub(crate) is_roomy: bool,
    pub(crate) last_delivery_tag: u64,
    /// The last declared queue, which an empty queue name means.
    pub(crate) last_queue: Option<Box<str>>,
    /// The queue behind this channel's consumer of replies.
    pub(crate) reply_queue: Option<Box<str>>,
    /// Whether its connection takes no deliveries for now.
    pub(crate) paused: bool,
    /// Only set in transaction mode.
    pub(crate) transaction: Option<Box<Transaction>>,
}

/// Messages that a channel published and settled since its transaction began.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    /// Each message, and whether it is mandatory.
    pub(crate) published: Vec<(Message, bool)>,
    /// By delivery tag.
    pub(crate) settled: Vec<(u64, Outstanding, Outcome)>,
}

/// Outcome of settling a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Acked,
    /// Dead-lettered, if its queue has a dead-letter exchange.
    Rejected,
    Requeued,
}

/// A delivery that is not settled yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outstanding {
    pub(crate) queue: QueueId,
    pub(crate) position: u64,
    pub(crate) holder: Holder,
    /// Requeues the message when its deadline passes.
    pub(crate) timer: Option<TimerKey>,
}

/// Holder of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// `basic.get`, which counts towards no prefetch.
    Get,
    /// A consumer.
    Consumer(ConsumerId),
    /// A consumer that was cancelled meanwhile; the delivery still counts towards the channel's prefetch.
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

    /// Returns whether no consumer of the channel can take a message, not even one with no-ack.
    pub(crate) fn is_full(&self) -> bool {
        self.paused || self.room() == 0
    }

    /// Returns how many more deliveries that need an ack the channel's prefetch allows.
    pub(crate) fn room(&self) -> usize {
        match self.channel_prefetch {
            0 => usize::MAX,
            prefetch => usize::from(prefetch).saturating_sub(self.consuming as usize),
        }
    }

    /// Returns the channel's consumers in the order in which they were started.
    pub(crate) fn consumer_ids(&self) -> Vec<ConsumerId> {
        sorted(self.consumers.values().copied())
    }

    /// Returns the deliveries that are not settled for good, those of an open transaction included.
    pub(crate) fn outstanding_mut(&mut self) -> impl Iterator<Item = &mut Outstanding> {
        let held = self.transaction.iter_mut().flat_map(|transaction| &mut transaction.settled);
        self.unacked.values_mut().chain(held.map(|(_, outstanding, _)| outstanding))
    }

    pub(crate) fn next_delivery_tag(&mut self) -> u64 {
        self.last_delivery_tag += 1;
        self.last_delivery_tag
    }
}

/// The broker's transient state of a connection: its channels, and the queues that are deleted with it.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    pub(crate) channels: Vec<ChannelId>,
    pub(crate) exclusive_queues: Vec<QueueId>,
    pub(crate) paused: bool,
    /// Memory that the connection takes beyond the usual.
    pub(crate) extra_bytes: usize,
}
