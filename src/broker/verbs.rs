//! Verbs: the broker, and everything that peers, the host and the passing of time make it do.

pub(super) mod connections;
pub(super) mod delivery;
pub(super) mod facts;
pub(super) mod memory;
pub(super) mod partitions;
pub(super) mod policies;
pub(super) mod publishers;
pub(super) mod publishing;
pub(super) mod report;
pub(super) mod settling;
pub(super) mod topology;
pub(super) mod transaction;
pub(super) mod turns;
pub(super) mod upkeep;

use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::arena::Arena;
use crate::broker::model::queue::Counters;
use crate::broker::model::record::Record;
use crate::broker::model::recorder::Recorder;
use crate::broker::model::room::Gauge;
use crate::broker::model::state::{Route, State};
use crate::broker::session::channel::{Channel, Connection};
use crate::broker::session::consumer::Consumer;
use crate::broker::session::due::Due;
use crate::broker::session::event::Notice;
use crate::broker::session::runtime::QueueRuntime;
use crate::id::{ChannelId, ConnectionId, ConsumerId, QueueId};
use crate::limits::Limits;
use crate::timer::Timers;

/// Configuration of a broker.
#[derive(Clone, Debug)]
pub struct Config {
    /// Seed of the names that must not be guessed: take it from a cryptographic source.
    pub seed: [u8; 32],
    /// Limits on what peers may send and use.
    pub limits: Limits,
}

/// A message broker. See the [module](crate::broker) for how to drive it.
pub struct Broker {
    limits: Limits,
    now_ms: u64,
    random: ChaCha12Rng,
    state: State,
    observer: Option<Observer>,

    connections: Arena<ConnectionId, Connection>,
    channels: Arena<ChannelId, Channel>,
    consumers: Arena<ConsumerId, Consumer>,
    runtimes: Arena<QueueId, QueueRuntime>,

    /// Queues that may have something to deliver, the next one first.
    active: VecDeque<QueueId>,
    /// Channels that have room again and whose consumers could not take a message before; checked when no queue is
    /// active.
    roomy: VecDeque<ChannelId>,
    /// Queues that are to be [tended](upkeep).
    changed: Vec<QueueId>,
    /// Notices to be sent to peers.
    notices: VecDeque<Notice>,
    timers: Timers<Due>,
    reserved_bytes: usize,
    /// Share of this virtual host in the memory used by messages, when it was last measured.
    memory: Gauge,
    /// Memory that connections, channels and consumers take.
    sessions: Gauge,
    queues_max: Option<usize>,
    prefers_quorum: bool,
    /// Counters of the queues that were deleted.
    gone: Counters,
    /// When the last [`poll`](Self::poll) found nothing more to deliver.
    polled_ms: u64,
    /// Number of dead letters dropped for want of memory.
    dropped_dead_letters: usize,
    /// Only set when facts are to outlive the broker.
    recorder: Option<Box<dyn Recorder>>,

    // Reused for each message.
    route: Route,
    message_scratch: Vec<u8>,
}

/// Called with each fact, right after it was applied.
type Observer = Box<dyn FnMut(&Record<'_>)>;

impl Broker {
    /// Makes a broker with only the predeclared exchanges, at time 0.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let mut broker = Self {
            limits: config.limits,
            now_ms: 0,
            random: ChaCha12Rng::from_seed(config.seed),
            state: State::new(),
            observer: None,
            connections: Arena::new(),
            channels: Arena::new(),
            consumers: Arena::new(),
            runtimes: Arena::new(),
            active: VecDeque::new(),
            roomy: VecDeque::new(),
            changed: Vec::new(),
            notices: VecDeque::new(),
            timers: Timers::new(),
            reserved_bytes: 0,
            memory: Gauge::default(),
            sessions: Gauge::default(),
            queues_max: None,
            prefers_quorum: false,
            gone: Counters::default(),
            polled_ms: 0,
            dropped_dead_letters: 0,
            recorder: None,
            route: Route::default(),
            message_scratch: Vec::new(),
        };
        broker.share_limits(&Rc::default(), &Rc::default());
        broker
    }

    /// Returns the limits on what peers may send and use.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Sets the time, in milliseconds of a clock that never goes back, and does what is due.
    pub fn turn(&mut self, now_ms: u64) {
        self.set_now(now_ms);
        self.forget_publishers();
        self.fall_due();
        self.tend_changed();
        self.measure_memory();
    }

    /// Returns the time at which something is due next. Verbs and [`poll`](Self::poll) may bring it forward.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        self.timers.deadline()
    }

    /// Sets the time and does nothing else: what follows counts from it.
    pub fn set_now(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// Limits the number of queues; `None` is unlimited.
    pub fn limit_queues(&mut self, max: Option<usize>) {
        self.queues_max = max;
    }

    /// Declares durable queues without an explicit type as quorum queues, where that is possible.
    pub fn prefer_quorum_queues(&mut self, is_preferred: bool) {
        self.prefers_quorum = is_preferred;
    }

    /// Makes a name that starts with `prefix` and cannot be guessed.
    fn generate_name(&mut self, prefix: &str) -> Box<str> {
        const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut random = [0; 22];
        self.random.fill_bytes(&mut random);
        let ending = random.iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)]));
        prefix.chars().chain(ending).collect::<String>().into()
    }

    fn channel(&self, channel: ChannelId) -> &Channel {
        self.channels.get(channel).expect("a verb is called on an open channel")
    }

    fn consumer(&self, consumer: ConsumerId) -> &Consumer {
        self.consumers.get(consumer).expect("who is asked for is a consumer")
    }

    fn channel_mut(&mut self, channel: ChannelId) -> &mut Channel {
        self.channels.get_mut(channel).expect("a verb is called on an open channel")
    }
}

impl fmt::Debug for Broker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Broker")
            .field("now_ms", &self.now_ms)
            .field("connections", &self.connections.len())
            .field("memory_bytes", &self.memory_bytes())
            .finish_non_exhaustive()
    }
}
