//! Reference: a broker so simple that one can see that it is right, made of plain vectors.
//!
//! It predicts every answer of the broker. What is the broker's choice, it checks: which of several consumers with room
//! gets a message, and in which order the consequences of a command come. Each [`Fact`](following::Fact) must be allowed
//! when it comes, and afterwards nothing may be left that is owed, that could be delivered, or that should have gone.

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
use publishing::{Delayed, Owed};
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
    /// Counted by the channel's prefetch.
    is_counted: bool,
    deadline: Option<u64>,
    /// When the consumer is late, and after how long that was.
    timeout: Option<(u64, u64)>,
    /// What a transaction will do.
    held: Option<Outcome>,
}

#[derive(Clone, Debug, Default)]
struct Channel {
    consumers: Vec<Consumer>,
    unacked: Vec<Unacked>,
    last_tag: u64,
    last_queue: Option<String>,
    consumer_prefetch: u16,
    channel_prefetch: u16,
    transaction: Option<Vec<Owed>>,
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
    /// Publications that are to come, one after the other.
    owed: Vec<Owed>,
    /// Publications of which it will be seen where they come from.
    unexplained: Vec<Publication>,
    /// The bodies of those that came back.
    unroutable: Vec<Vec<u8>>,
    was_refused: bool,
    /// Whether time has just passed: what became due at one moment may have come before or after room for it did.
    pub is_turning: bool,
    /// Whether a connection has just been closed: its channels went one after the other, and their consumers with them.
    is_closing: bool,
    /// Whether a transaction has just been committed: it publishes before it settles, and so makes room for more.
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

fn forget_holder(unacked: &mut [Unacked], tag: &str) {
    for held in unacked.iter_mut().filter(|held| held.consumer.as_deref() == Some(tag)) {
        held.consumer = None;
    }
}
