//! Verbs: the broker, and everything that peers, the host and the time make it do.

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
use crate::broker::durable::keeping::Keeper;
use crate::broker::model::queue::Counters;
use crate::broker::model::record::Record;
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

/// What a broker is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names that must not be guessed come from it: take it from a cryptographic source.
    pub seed: [u8; 32],
    /// What peers are granted.
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
    /// Channels with room, whose consumers could not take a message before; looked at when no queue is active.
    roomy: VecDeque<ChannelId>,
    /// Queues that are to be [tended](upkeep).
    changed: Vec<QueueId>,
    /// To be told to peers.
    notices: VecDeque<Notice>,
    timers: Timers<Due>,
    reserved_bytes: usize,
    /// What all that took at the last look, among other virtual hosts.
    memory: Gauge,
    /// What connections, channels and consumers take.
    sessions: Gauge,
    queues_max: Option<usize>,
    prefers_quorum: bool,
    /// What has happened in queues that are gone.
    gone: Counters,
    /// When the last [`poll`](Self::poll) found nothing more to deliver.
    polled_ms: u64,
    /// For want of memory.
    dropped_dead_letters: usize,
    /// Only where facts are to outlive the broker.
    keeper: Option<Box<Keeper>>,

    // Reused from message to message.
    route: Route,
    message_scratch: Vec<u8>,
}

/// Is shown each fact, right after it has become one.
type Observer = Box<dyn FnMut(&Record<'_>)>;

impl Broker {
    /// A broker with the predeclared exchanges and nothing else, at time 0.
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
            keeper: None,
            route: Route::default(),
            message_scratch: Vec::new(),
        };
        broker.share_limits(&Rc::default(), &Rc::default());
        broker
    }

    /// What peers are granted.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Tells the time, in milliseconds of a clock that never goes back, and does what is due.
    pub fn turn(&mut self, now_ms: u64) {
        self.set_now(now_ms);
        self.forget_publishers();
        self.fall_due();
        self.tend_changed();
        self.measure_memory();
    }

    /// When there will be something due next. Verbs and [`poll`](Self::poll) may bring it nearer.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        self.timers.deadline()
    }

    /// Tells the time and does nothing else: what follows reckons from it.
    pub fn set_now(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
    }

    /// Makes no more queues than these; none is as many as are declared.
    pub fn limit_queues(&mut self, max: Option<usize>) {
        self.queues_max = max;
    }

    /// Makes durable queues of which no type is said quorum queues, if they can be.
    pub fn prefer_quorum_queues(&mut self, is_preferred: bool) {
        self.prefers_quorum = is_preferred;
    }

    fn commit(&mut self, record: &Record<'_>) {
        commit(&mut self.state, &mut self.keeper, &mut self.observer, record);
    }

    /// A name of which the end cannot be guessed.
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

/// Makes a fact true, and shows it.
fn commit(state: &mut State, keeper: &mut Option<Box<Keeper>>, observer: &mut Option<Observer>, record: &Record<'_>) {
    if let Some(keeper) = keeper {
        keeper.note(state, record);
        state.apply(record);
        keeper.note_opened(state);
    } else {
        state.apply(record);
    }
    if let Some(observer) = observer {
        observer(record);
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
