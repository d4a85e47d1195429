//! Ledger: what a virtual host must contain, derived from what its clients have sent and seen, not from the broker's
//! reports.
//!
//! A *token* is one message on its way into one queue. It has a place, or several possible ones: after a crash the
//! state it went back to is unknown, and there are [alternatives](super::timeline). Each observation of a client
//! narrows them; an impossible one is a [`Violation`].

mod crash;
mod delivery;
mod limits;
mod routing;

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::timeline::{Span, Timeline, Turn};
use super::topology::{BINDINGS, DEAD, EXCHANGES, QUEUES, TIMED, Target};

pub use delivery::Arrival;

/// Upper bound of a message's bytes beside its body, as a dead letter with all its headers.
const HEADERS_BYTES: usize = 400;
/// Number of policies: some that apply to no queue, and one for each of the [`TIMED`] queues.
pub const POLICIES: usize = IDLE_POLICIES + TIMED.len();
pub const IDLE_POLICIES: usize = 2;
/// The times to live that the versions of the latter set.
pub const TTLS_MS: [u64; 4] = [40, 300, 2_500, 20_000];

/// A broken promise, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(pub String);

pub type Checked<T = ()> = Result<T, Violation>;

pub fn violation<T>(text: impl Into<String>) -> Checked<T> {
    Err(Violation(text.into()))
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A published message.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: u32,
    pub exchange: &'static str,
    pub key: &'static str,
    pub is_persistent: bool,
    pub priority: u8,
    pub ttl_ms: Option<u64>,
    pub delay_ms: Option<u64>,
    pub body_bytes: usize,
    /// The publisher's name and its number, if the publisher sends unconfirmed messages again.
    pub sequence: Option<(Rc<str>, u32)>,
    /// The deduplication id.
    pub unique_id: Option<Rc<str>>,
    /// The key that selects the partition, instead of the routing key.
    pub partition_key: Option<&'static str>,
    /// The header that bindings compare.
    pub label: Option<&'static str>,
}

impl Message {
    /// The body: its id, and then bytes that only this message has.
    pub fn body(&self) -> Vec<u8> {
        let mut body = format!("{:08} ", self.id).into_bytes();
        body.extend((body.len()..self.body_bytes).map(|place| (self.id as usize * 31 + place * 7) as u8));
        body
    }

    /// Messages with the same key keep their order in partitions.
    fn order_key(&self) -> &'static str {
        self.partition_key.unwrap_or(self.key)
    }
}

/// The certain results of a publish.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// Its tokens.
    pub tokens: Vec<TokenId>,
    /// The last turn that its confirm depends on.
    pub rests_on: Turn,
    /// Whether it was certainly written to the journal.
    pub is_durable: bool,
    /// Whether it is, or may be, a duplicate.
    pub is_repeat: bool,
}

/// The place of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere yet.
    Unborn,
    /// In the delayed exchange.
    Delayed,
    /// In the queue.
    At(usize),
    Gone,
}

/// A possible state of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub place: Place,
    /// Bounds of its place in the order of arrivals.
    order: (u64, u64),
    /// Bounds of how often it was requeued.
    returns: (u32, u32),
    was_delivered: bool,
}

/// The index of a token.
pub type TokenId = usize;

#[derive(Clone, Debug)]
pub struct Token {
    pub message: Rc<Message>,
    /// The queue that it was published to.
    pub origin: usize,
    pub states: Timeline<State>,
    /// Client and channel that have it unacked.
    pub holder: Option<(u32, u16)>,
    /// Whether it was taken by `basic.get`.
    is_got: bool,
    arrived: Turn,
    arrived_ms: u64,
    expires_ms: Option<u64>,
    due_ms: Option<u64>,
}

/// The current turn and its time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    pub turn: Turn,
    pub now_ms: u64,
}

#[derive(Clone, Debug)]
pub struct Ledger {
    /// Whether the virtual host exists.
    pub lives: Timeline<bool>,
    pub queues: Vec<Timeline<bool>>,
    pub exchanges: Vec<Timeline<bool>>,
    pub bindings: Vec<Timeline<bool>>,
    /// The version of each policy of the workload.
    pub policies: Vec<Timeline<Option<u32>>>,
    /// Number of partitions of the queue that grows.
    pub partitions: Timeline<u32>,
    pub tokens: Vec<Token>,
    /// Tokens that may still be somewhere.
    active: Vec<TokenId>,
    by_message: BTreeMap<(u32, usize), TokenId>,
    /// The turns that the last crash may have gone back to.
    survived: Span,
    /// Everything up to this turn is durable, by the replies so far.
    promised: Turn,
    /// The last turn in which a client caused something durable.
    pub caused: Turn,
    /// The turn in which the journal failed: nothing later is written.
    pub failed: Option<Turn>,
    /// Deliveries since the last turn.
    fresh: Vec<(usize, TokenId)>,
    arrivals: u64,
}

impl Ledger {
    pub fn new() -> Self {
        let nothing = |count| vec![Timeline::new(false); count];
        Self {
            lives: Timeline::new(true),
            queues: nothing(QUEUES.len()),
            exchanges: nothing(EXCHANGES.len()),
            bindings: nothing(BINDINGS.len()),
            policies: vec![Timeline::new(None); POLICIES],
            partitions: Timeline::new(0),
            tokens: Vec::new(),
            active: Vec::new(),
            by_message: BTreeMap::new(),
            survived: Span::ANY,
            promised: 0,
            caused: 0,
            failed: None,
            fresh: Vec::new(),
            arrivals: 0,
        }
    }

    /// A reply promises that everything up to this turn is durable.
    pub fn promise(&mut self, turn: Turn) -> Checked {
        self.promised = self.promised.max(turn);
        match self.failed {
            Some(failed) if turn > failed => violation(format!(
                "something of turn {turn} was answered as durable, but the store failed in turn {failed}"
            )),
            _ => Ok(()),
        }
    }

    /// Whether everything up to this turn is known to be durable.
    pub fn is_promised(&self, turn: Turn) -> bool {
        turn <= self.promised
    }

    /// Declares a queue; returns whether it is certain that it is new.
    pub fn declare_queue(&mut self, queue: usize, clock: Clock) -> bool {
        let is_new = self.queues[queue].must_be(|&exists| !exists);
        self.queues[queue].set(clock.turn, true);
        if let Some(first) = QUEUES[queue].partitions {
            self.partitions.change(clock.turn, |&count| vec![count.max(first)]);
        }
        is_new && !QUEUES[queue].is_transient
    }

    /// The queue that grows gets this many partitions, or refuses because it is too early.
    pub fn grow(&mut self, count: u32, clock: Clock) {
        self.partitions.change(clock.turn, |&known| vec![known, known.max(count)]);
    }

    pub fn declare_exchange(&mut self, exchange: usize, clock: Clock) -> bool {
        let is_new = self.exchanges[exchange].must_be(|&exists| !exists);
        self.exchanges[exchange].set(clock.turn, true);
        is_new
    }

    /// Binds or unbinds; returns whether it is certain that this changed something durable.
    pub fn bind(&mut self, binding: usize, is_bound: bool, clock: Clock) -> bool {
        let is_new = self.bindings[binding].must_be(|&exists| exists != is_bound);
        self.bindings[binding].set(clock.turn, is_bound);
        is_new && !BINDINGS[binding].is_transient()
    }

    /// Deletes an exchange with all its bindings; returns whether it is certain that it existed.
    pub fn delete_exchange(&mut self, exchange: usize, clock: Clock) -> bool {
        let is_there = self.exchanges[exchange].must_be(|&exists| exists);
        self.exchanges[exchange].set(clock.turn, false);
        for (binding, _) in BINDINGS.iter().enumerate().filter(|(_, spec)| spec.uses(exchange)) {
            self.bindings[binding].set(clock.turn, false);
        }
        is_there
    }

    /// Deletes a queue with its messages; returns the bounds of the number of ready ones.
    pub fn delete_queue(&mut self, queue: usize, clock: Clock) -> (usize, usize) {
        let counts = self.ready_counts(queue);
        self.queues[queue].set(clock.turn, false);
        if QUEUES[queue].partitions.is_some() {
            self.partitions.set(clock.turn, 0);
        }
        for (binding, _) in BINDINGS.iter().enumerate().filter(|(_, spec)| spec.target == Target::Queue(queue)) {
            self.bindings[binding].set(clock.turn, false);
        }
        for id in self.active.clone() {
            self.leave(id, queue, clock, Place::Gone, true);
            if self.tokens[id].states.must_be(|state| state.place == Place::Gone) {
                self.tokens[id].holder = None;
            }
        }
        counts
    }

    /// Purges a queue; returns the bounds of the number of ready messages.
    pub fn purge(&mut self, queue: usize, clock: Clock) -> (usize, usize) {
        let counts = self.ready_counts(queue);
        for id in self.active.clone() {
            if self.tokens[id].holder.is_none() {
                self.leave(id, queue, clock, Place::Gone, true);
            }
        }
        counts
    }

    /// Returns the least and the greatest number of ready messages in a queue.
    pub fn ready_counts(&self, queue: usize) -> (usize, usize) {
        let ready = self.active.iter().map(|&id| &self.tokens[id]).filter(|token| token.holder.is_none());
        ready.fold((0, 0), |(least, most), token| {
            (least + usize::from(token.must_be_at(queue)), most + usize::from(token.may_be_at(queue)))
        })
    }

    /// Whether a queue certainly has a durable message that is ready.
    pub fn has_durable(&self, queue: usize) -> bool {
        let is_durable = |token: &Token| token.must_be_at(queue) && Self::is_durable(queue, &token.message);
        self.active.iter().map(|&id| &self.tokens[id]).any(|token| token.holder.is_none() && is_durable(token))
    }

    /// Whether a queue may have a message that expires.
    pub fn has_expiring(&self, queue: usize) -> bool {
        let is_expiring = |token: &Token| token.expires_ms.is_some() && token.may_be_at(queue);
        self.active.iter().any(|&id| is_expiring(&self.tokens[id]))
    }

    /// Returns the upper bound of the journal's live bytes of messages.
    pub fn durable_bytes(&self) -> usize {
        let bytes = |token: &Token| {
            let is_there = |state: &State| match state.place {
                Place::At(queue) => Self::is_durable(queue, &token.message),
                Place::Delayed => token.message.is_persistent,
                Place::Unborn | Place::Gone => false,
            };
            if token.states.may_be(is_there) { token.message.body_bytes.max(9) + HEADERS_BYTES } else { 0 }
        };
        self.active.iter().map(|&id| bytes(&self.tokens[id])).sum()
    }

    pub fn acked(&mut self, id: TokenId, queue: usize, clock: Clock) {
        self.tokens[id].holder = None;
        self.leave(id, queue, clock, Place::Gone, true);
    }

    pub fn rejected(&mut self, id: TokenId, queue: usize, clock: Clock) {
        self.tokens[id].holder = None;
        self.die(id, queue, clock);
    }

    /// The message is ready again in its old position, unless it was requeued too often.
    pub fn requeued(&mut self, id: TokenId, queue: usize, clock: Clock) {
        self.tokens[id].holder = None;
        let limit = QUEUES[queue].delivery_limit;
        let has_no_more = |state: &State| limit.is_some_and(|limit| state.returns.0 >= limit);
        if self.tokens[id].states.may_be(|state| state.place == Place::At(queue) && has_no_more(state)) {
            return self.die(id, queue, clock);
        }
        self.tokens[id].states.change(clock.turn, |state| {
            let mut returned = state.clone();
            if returned.place == Place::At(queue) && QUEUES[queue].is_quorum {
                returned.returns = (state.returns.0 + 1, state.returns.1 + 1);
            }
            vec![returned]
        });
    }

    /// The message is dead-lettered if the queue has an exchange for that, and removed otherwise.
    fn die(&mut self, id: TokenId, queue: usize, clock: Clock) {
        self.leave(id, queue, clock, end_in(queue), true);
    }

    /// The message leaves this queue for another place, certainly or perhaps.
    fn leave(&mut self, id: TokenId, queue: usize, clock: Clock, place: Place, is_certain: bool) {
        let left = State { place, order: some_time_in(clock.turn), returns: (0, 0), was_delivered: false };
        self.tokens[id].states.change(clock.turn, |state| match state.place {
            Place::At(at) if at == queue && is_certain => vec![left.clone()],
            Place::At(at) if at == queue => vec![left.clone(), state.clone()],
            _ => vec![state.clone()],
        });
    }

    /// All queues were drained: no message that must exist may be missing.
    pub fn check_drained(&self) -> Checked {
        let is_missing = |token: &&Token| !token.states.may_be(|s| matches!(s.place, Place::Gone | Place::Unborn));
        match self.active.iter().map(|&id| &self.tokens[id]).find(is_missing) {
            Some(token) => violation(format!("lost: {}", token.describe())),
            None => Ok(()),
        }
    }

    /// Describes all tokens that may be somewhere, for the trace.
    pub fn describe(&self) -> String {
        self.active.iter().map(|&id| format!("\n    {}", self.tokens[id].describe())).collect()
    }

    /// Narrows the turns that the last crash may have gone back to, and so all alternatives.
    fn narrow(&mut self, span: Span, witness: &dyn Fn() -> String) -> Checked {
        let Some(narrowed) = self.survived.meet(span) else {
            let survived = self.survived;
            return violation(format!(
                "the crash went back to {survived:?}, but what was seen is of {span:?}: {}",
                witness()
            ));
        };
        if narrowed == self.survived {
            return Ok(());
        }
        self.survived = narrowed;
        for id in self.active.clone() {
            if !self.tokens[id].states.narrow(narrowed) {
                return violation(format!(
                    "half of a turn survived ({narrowed:?}): {} against {}",
                    witness(),
                    self.tokens[id].describe()
                ));
            }
        }
        let topology = self.queues.iter_mut().chain(&mut self.exchanges).chain(&mut self.bindings);
        let are_narrowed =
            topology.map(|exists| exists.narrow(narrowed)).filter(|is_narrowed| !is_narrowed).count() == 0;
        let are_narrowed = self.policies.iter_mut().fold(are_narrowed, |all, policy| policy.narrow(narrowed) && all);
        if !self.partitions.narrow(narrowed) || !self.lives.narrow(narrowed) || !are_narrowed {
            return violation(format!("half of a turn survived ({narrowed:?}): topology against {}", witness()));
        }
        Ok(())
    }

    /// A client has observed this part of the topology.
    pub fn see<S: Clone + PartialEq + fmt::Debug>(
        &mut self,
        what: &str,
        timeline: impl Fn(&mut Self) -> &mut Timeline<S>,
        seen: &S,
    ) -> Checked {
        let states: Vec<S> = timeline(self).states().cloned().collect();
        match timeline(self).observe(|state| state == seen) {
            Some(span) => self.narrow(span, &|| format!("{what}, which is {seen:?}")),
            None => violation(format!("{what} is {seen:?} instead of {states:?}")),
        }
    }
}

impl Token {
    pub fn may_be_at(&self, queue: usize) -> bool {
        self.comes_to(queue) && self.states.may_be(|state| state.place == Place::At(queue))
    }

    pub fn must_be_at(&self, queue: usize) -> bool {
        self.comes_to(queue) && self.states.must_be(|state| state.place == Place::At(queue))
    }

    /// Whether the message can ever be in this queue.
    fn comes_to(&self, queue: usize) -> bool {
        self.origin == queue || queue == DEAD
    }

    /// Whether its time to live in its first queue is over.
    fn is_expired(&self, queue: usize, clock: Clock) -> bool {
        queue == self.origin && self.expires_ms.is_some_and(|expires_ms| expires_ms <= clock.now_ms)
    }

    /// Describes it for a violation.
    pub fn describe(&self) -> String {
        let Message { id, exchange, key, is_persistent, .. } = &*self.message;
        let kind = if *is_persistent { "persistent" } else { "transient" };
        let (queue, states) = (QUEUES[self.origin].name, self.states.states().collect::<Vec<_>>());
        let unacked = if self.holder.is_some() { "unacked" } else { "" };
        let (turn, expires_ms) = (self.arrived, self.expires_ms);
        format!(
            "{kind} message {id} of '{exchange}' by '{key}' to '{queue}' in turn {turn}, {expires_ms:?}, now {unacked} {states:?}"
        )
    }
}

/// Returns the policy that sets the time to live of a queue's messages.
pub fn policy_of(queue: usize) -> Option<usize> {
    TIMED.iter().position(|&timed| timed == queue).map(|place| IDLE_POLICIES + place)
}

/// Returns the place of a queue's dead letters.
fn end_in(queue: usize) -> Place {
    if QUEUES[queue].has_dead_letters { Place::At(DEAD) } else { Place::Gone }
}

/// Returns the bounds of the order of a message that arrived in this turn, at an unknown moment.
fn some_time_in(turn: Turn) -> (u64, u64) {
    (order_of(turn, 0), order_of(turn + 1, 0) - 1)
}

fn order_of(turn: Turn, number: u64) -> u64 {
    (u64::from(turn) << 20) + number
}
