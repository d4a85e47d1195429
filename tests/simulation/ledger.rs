//! Ledger: what must be in a virtual host, by what its clients have sent and seen, and by nothing that the broker says.
//!
//! A *token* is one message on its way into one queue. It knows where it may be: after a crash that nobody has seen the
//! end of there are several [alternatives](super::timeline). Whatever a client sees narrows them; what cannot be is a
//! [`Violation`].

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

/// What a message takes besides its body, when it is a dead letter with all its headers.
const HEADERS_BYTES: usize = 400;
/// So many policies come and go: some that mean nothing to any queue, and one for each of the [`TIMED`] queues.
pub const POLICIES: usize = IDLE_POLICIES + TIMED.len();
pub const IDLE_POLICIES: usize = 2;
/// What the versions of the latter give messages to live.
pub const TTLS_MS: [u64; 4] = [40, 300, 2_500, 20_000];

/// A promise that was broken, in a sentence.
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

/// What a client publishes.
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
    /// The publisher's name and its number, where it will send again what was not confirmed.
    pub sequence: Option<(Rc<str>, u32)>,
    /// Queues that take each of these ids once have it once.
    pub unique_id: Option<Rc<str>>,
    /// By which it is spread over partitions, instead of by its routing key.
    pub partition_key: Option<&'static str>,
    /// What bindings by headers look at.
    pub label: Option<&'static str>,
}

impl Message {
    /// Its id, and then bytes that only this message has.
    pub fn body(&self) -> Vec<u8> {
        let mut body = format!("{:08} ", self.id).into_bytes();
        body.extend((body.len()..self.body_bytes).map(|place| (self.id as usize * 31 + place * 7) as u8));
        body
    }

    /// Messages of the same one keep their order in partitions.
    fn order_key(&self) -> &'static str {
        self.partition_key.unwrap_or(self.key)
    }
}

/// What became of a message, as far as it is certain.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// On its way to where it has to go.
    pub tokens: Vec<TokenId>,
    /// The turn in which the last of what its confirm says became true.
    pub rests_on: Turn,
    /// It was written down, for sure.
    pub is_kept: bool,
    /// It was here before, or perhaps.
    pub is_repeat: bool,
}

/// Where a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere yet.
    Unborn,
    /// Held by the delayed exchange.
    Held,
    /// In the queue.
    At(usize),
    Gone,
}

/// How a token may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub place: Place,
    /// Its place in the order of arrivals: not before the first and not after the second.
    order: (u64, u64),
    /// How often it came back: at least and at most.
    returns: (u32, u32),
    was_delivered: bool,
}

/// The token with this place in the list of all.
pub type TokenId = usize;

#[derive(Clone, Debug)]
pub struct Token {
    pub message: Rc<Message>,
    /// The queue that it was published to.
    pub origin: usize,
    pub states: Timeline<State>,
    /// Who has it unacked: client and channel.
    pub holder: Option<(u32, u16)>,
    /// Who has it has asked for it alone.
    is_got: bool,
    arrived: Turn,
    arrived_ms: u64,
    expires_ms: Option<u64>,
    due_ms: Option<u64>,
}

/// The turn that runs, and its time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    pub turn: Turn,
    pub now_ms: u64,
}

#[derive(Clone, Debug)]
pub struct Ledger {
    /// Whether the virtual host is there.
    pub lives: Timeline<bool>,
    pub queues: Vec<Timeline<bool>>,
    pub exchanges: Vec<Timeline<bool>>,
    pub bindings: Vec<Timeline<bool>>,
    /// What the policies of the workload say, by number: which of their versions it is.
    pub policies: Vec<Timeline<Option<u32>>>,
    /// How many partitions the queue that grows has.
    pub partitions: Timeline<u32>,
    pub tokens: Vec<Token>,
    /// Those that are not gone for good.
    active: Vec<TokenId>,
    by_message: BTreeMap<(u32, usize), TokenId>,
    /// To which turn the last crash went back.
    survived: Span,
    /// What was done up to this turn was answered in a way that means durable.
    promised: Turn,
    /// The last turn in which anybody caused something that outlives a crash.
    pub caused: Turn,
    /// The journal failed in this turn: what came later is not written any more.
    pub failed: Option<Turn>,
    /// What was delivered since the last turn.
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

    /// What was done in the virtual host up to this turn is durable, as an answer says.
    pub fn promise(&mut self, turn: Turn) -> Checked {
        self.promised = self.promised.max(turn);
        match self.failed {
            Some(failed) if turn > failed => violation(format!(
                "something of turn {turn} was answered as durable, but the store failed in turn {failed}"
            )),
            _ => Ok(()),
        }
    }

    /// Whether what was done up to this turn is known to be durable.
    pub fn is_promised(&self, turn: Turn) -> bool {
        turn <= self.promised
    }

    /// A queue was made, if there was none. Whether it is certain that this was new.
    pub fn declare_queue(&mut self, queue: usize, clock: Clock) -> bool {
        let is_new = self.queues[queue].must_be(|&exists| !exists);
        self.queues[queue].set(clock.turn, true);
        if let Some(first) = QUEUES[queue].partitions {
            self.partitions.change(clock.turn, |&count| vec![count.max(first)]);
        }
        is_new && !QUEUES[queue].is_transient
    }

    /// The queue that grows is to have so many partitions; it may be too early.
    pub fn grow(&mut self, count: u32, clock: Clock) {
        self.partitions.change(clock.turn, |&known| vec![known, known.max(count)]);
    }

    pub fn declare_exchange(&mut self, exchange: usize, clock: Clock) -> bool {
        let is_new = self.exchanges[exchange].must_be(|&exists| !exists);
        self.exchanges[exchange].set(clock.turn, true);
        is_new
    }

    /// A binding comes or goes. Whether it is certain that this was a durable change.
    pub fn bind(&mut self, binding: usize, is_bound: bool, clock: Clock) -> bool {
        let is_new = self.bindings[binding].must_be(|&exists| exists != is_bound);
        self.bindings[binding].set(clock.turn, is_bound);
        is_new && !BINDINGS[binding].is_transient()
    }

    /// An exchange goes, with all bindings of it and to it. Whether it is certain that there was one.
    pub fn delete_exchange(&mut self, exchange: usize, clock: Clock) -> bool {
        let is_there = self.exchanges[exchange].must_be(|&exists| exists);
        self.exchanges[exchange].set(clock.turn, false);
        for (binding, _) in BINDINGS.iter().enumerate().filter(|(_, spec)| spec.hangs_on(exchange)) {
            self.bindings[binding].set(clock.turn, false);
        }
        is_there
    }

    /// A queue goes with all that is in it; how much was ready, at least and at most.
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

    /// All that is ready in a queue goes; how much that is at least and at most.
    pub fn purge(&mut self, queue: usize, clock: Clock) -> (usize, usize) {
        let counts = self.ready_counts(queue);
        for id in self.active.clone() {
            if self.tokens[id].holder.is_none() {
                self.leave(id, queue, clock, Place::Gone, true);
            }
        }
        counts
    }

    /// How many messages are ready in a queue, at least and at most.
    pub fn ready_counts(&self, queue: usize) -> (usize, usize) {
        let ready = self.active.iter().map(|&id| &self.tokens[id]).filter(|token| token.holder.is_none());
        ready.fold((0, 0), |(least, most), token| {
            (least + usize::from(token.must_be_at(queue)), most + usize::from(token.may_be_at(queue)))
        })
    }

    /// Whether something is ready in a queue that outlives the broker.
    pub fn has_kept(&self, queue: usize) -> bool {
        let is_kept = |token: &Token| token.must_be_at(queue) && Self::keeps(queue, &token.message);
        self.active.iter().map(|&id| &self.tokens[id]).any(|token| token.holder.is_none() && is_kept(token))
    }

    /// Whether something in a queue may expire.
    pub fn has_mortals(&self, queue: usize) -> bool {
        let is_mortal = |token: &Token| token.expires_ms.is_some() && token.may_be_at(queue);
        self.active.iter().any(|&id| is_mortal(&self.tokens[id]))
    }

    /// What the messages that outlive the broker take, written down, at most.
    pub fn kept_bytes(&self) -> usize {
        let bytes = |token: &Token| {
            let is_there = |state: &State| match state.place {
                Place::At(queue) => Self::keeps(queue, &token.message),
                Place::Held => token.message.is_persistent,
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

    /// It is ready again, where it was, unless it came back too often.
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

    /// It leaves the queue for dead letters, if the queue has any.
    fn die(&mut self, id: TokenId, queue: usize, clock: Clock) {
        self.leave(id, queue, clock, end_in(queue), true);
    }

    /// Where it is in this queue, it is somewhere else from now on; or, if that is not certain, perhaps.
    fn leave(&mut self, id: TokenId, queue: usize, clock: Clock, place: Place, is_certain: bool) {
        let left = State { place, order: some_time_in(clock.turn), returns: (0, 0), was_delivered: false };
        self.tokens[id].states.change(clock.turn, |state| match state.place {
            Place::At(at) if at == queue && is_certain => vec![left.clone()],
            Place::At(at) if at == queue => vec![left.clone(), state.clone()],
            _ => vec![state.clone()],
        });
    }

    /// What was to be drained is; nothing that must be there may be missing.
    pub fn check_drained(&self) -> Checked {
        let is_missing = |token: &&Token| !token.states.may_be(|s| matches!(s.place, Place::Gone | Place::Unborn));
        match self.active.iter().map(|&id| &self.tokens[id]).find(is_missing) {
            Some(token) => violation(format!("lost: {}", token.told())),
            None => Ok(()),
        }
    }

    /// For who follows what happens: all that may be somewhere.
    pub fn told(&self) -> String {
        self.active.iter().map(|&id| format!("\n    {}", self.tokens[id].told())).collect()
    }

    /// What the last crash went back to was narrowed: so are all alternatives.
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
                    self.tokens[id].told()
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

    /// Somebody who looks at the topology sees this of it.
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

    /// Whether it ever is in this queue.
    fn comes_to(&self, queue: usize) -> bool {
        self.origin == queue || queue == DEAD
    }

    /// Whether its time to live in the queue that it came to is over.
    fn is_expired(&self, queue: usize, clock: Clock) -> bool {
        queue == self.origin && self.expires_ms.is_some_and(|expires_ms| expires_ms <= clock.now_ms)
    }

    /// For who reads of a violation.
    pub fn told(&self) -> String {
        let Message { id, exchange, key, is_persistent, .. } = &*self.message;
        let kind = if *is_persistent { "persistent" } else { "transient" };
        let (queue, states) = (QUEUES[self.origin].name, self.states.states().collect::<Vec<_>>());
        let held = if self.holder.is_some() { "unacked" } else { "" };
        let (turn, expires_ms) = (self.arrived, self.expires_ms);
        format!(
            "{kind} message {id} of '{exchange}' by '{key}' to '{queue}' in turn {turn}, {expires_ms:?}, now {held} {states:?}"
        )
    }
}

/// The policy that changes the time to live of a queue's messages.
pub fn policy_of(queue: usize) -> Option<usize> {
    TIMED.iter().position(|&timed| timed == queue).map(|place| IDLE_POLICIES + place)
}

/// Where to the dead of a queue go.
fn end_in(queue: usize) -> Place {
    if QUEUES[queue].has_dead_letters { Place::At(DEAD) } else { Place::Gone }
}

/// The place in the order of something that came in this turn, nobody knows when.
fn some_time_in(turn: Turn) -> (u64, u64) {
    (order_of(turn, 0), order_of(turn + 1, 0) - 1)
}

fn order_of(turn: Turn, number: u64) -> u64 {
    (u64::from(turn) << 20) + number
}
