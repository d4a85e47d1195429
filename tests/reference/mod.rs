//! Reference: a broker that is so simple that it is obviously right, made of plain vectors.
//!
//! It predicts every reply of the broker, and checks its choices: which of several consumers with room gets a message,
//! and in which order the consequences of a command come. Each [`Fact`](following::Fact) must be allowed when it comes,
//! and afterwards nothing may be left to publish, to deliver, to expire or to drop.

pub mod delivery;
pub mod following;
pub mod message;
pub mod publishing;
pub mod queue;
pub mod settling;
pub mod topology;

use pocketmq::broker::ErrorKind;

use delivery::Consumer;
use following::Publication;
use publishing::{Delayed, Pending};
use queue::{Place, Queue};
use settling::Outcome;
use topology::{Binding, Exchange, Policy};

pub type Answer<T> = Result<T, ErrorKind>;

#[derive(Clone, Debug)]
struct Unacked {
    tag: u64,
    declared: u64,
    position: u64,
    consumer: Option<String>,
    /// Whether the channel's prefetch counts it.
    is_counted: bool,
    deadline: Option<u64>,
    /// When the consumer is late, and the timeout itself.
    timeout: Option<(u64, u64)>,
    /// The outcome on commit, if a transaction has settled it.
    on_commit: Option<Outcome>,
}

#[derive(Clone, Debug, Default)]
struct Channel {
    consumers: Vec<Consumer>,
    unacked: Vec<Unacked>,
    last_tag: u64,
    last_queue: Option<String>,
    consumer_prefetch: u16,
    channel_prefetch: u16,
    transaction: Option<Vec<Pending>>,
}

#[derive(Clone, Default)]
pub struct Reference {
    exchanges: Vec<Exchange>,
    bindings: Vec<Binding>,
    queues: Vec<Queue>,
    policies: Vec<Policy>,
    channels: Vec<Channel>,
    delayed: Vec<Delayed>,
    delays: u64,
    declared: u64,
    consumed: u64,
    paused: Vec<bool>,
    now: u64,
    /// Publications to come, in order.
    pending: Vec<Pending>,
    /// Publications whose cause is not known yet.
    unexplained: Vec<Publication>,
    /// The bodies of returned messages.
    unroutable: Vec<Vec<u8>>,
    was_refused: bool,
    /// Whether time has just passed: at one moment a message may become due before or after a consumer gets room for
    /// it.
    pub is_turning: bool,
    /// Whether a connection has just been closed: its channels close one after the other, and their consumers with
    /// them.
    is_closing: bool,
    /// Whether a transaction has just been committed: it publishes before it settles, which makes room for more.
    is_committing: bool,
    pub cancelled: Vec<(usize, String)>,
    pub timed_out: Vec<(usize, u64)>,
}

pub const CHANNELS_PER_CONNECTION: usize = 2;

pub fn connection_of(channel: usize) -> usize {
    channel / CHANNELS_PER_CONNECTION
}

impl Reference {
    pub fn new(connections: usize, now: u64) -> Self {
        Self {
            exchanges: topology::predeclared(),
            channels: vec![Channel::default(); connections * CHANNELS_PER_CONNECTION],
            paused: vec![false; connections],
            now,
            ..Self::default()
        }
    }

    pub fn queue_names(&self) -> impl Iterator<Item = &str> {
        self.queues.iter().map(|queue| &*queue.name)
    }

    /// Every message of a queue, ready or not, in order of position.
    pub fn messages(&self, name: &str) -> Vec<(u64, bool, Vec<u8>)> {
        let queue = self.queue(name).expect("a queue");
        let report =
            |message: &queue::Message| (message.position, message.place != Place::Ready, message.content.body.clone());
        let mut messages: Vec<_> = queue.messages.iter().map(report).collect();
        messages.sort();
        messages
    }
}

fn forget_consumer(unacked: &mut [Unacked], tag: &str) {
    for delivery in unacked.iter_mut().filter(|delivery| delivery.consumer.as_deref() == Some(tag)) {
        delivery.consumer = None;
    }
}
