//! Routing: the queues that a published message must reach, by the topology of the workload.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::{
    Clock, Ledger, Message, Place, Published, State, TTLS_MS, Token, TokenId, order_of, policy_of, some_time_in,
};
use crate::timeline::{Timeline, Turn};
use crate::topology::{BINDINGS, BindingSpec, QUEUES, Target};

impl Ledger {
    /// A message is published; it may be a duplicate, from its publisher or from another client.
    pub fn publish(&mut self, message: &Rc<Message>, clock: Clock) -> Published {
        self.arrivals += 1;
        let mut published = Published::default();
        for queue in self.targets(message) {
            self.publish_to(queue, message, clock, &mut published);
        }
        published
    }

    fn targets(&self, message: &Message) -> BTreeSet<usize> {
        if message.exchange.is_empty() {
            let named = QUEUES.iter().position(|queue| queue.name == message.key);
            return named.into_iter().filter(|&queue| self.queues[queue].must_be(|&exists| exists)).collect();
        }
        let (mut exchanges, mut queues) = (vec![message.exchange], BTreeSet::new());
        let mut known = 0;
        while let Some(&exchange) = exchanges.get(known) {
            known += 1;
            let leads = |(place, _): &(usize, _)| self.bindings[*place].must_be(|&is_bound| is_bound);
            let bindings = BINDINGS.iter().enumerate().filter(leads).map(|(_, binding)| binding);
            let is_meant = |spec: &&BindingSpec| spec.exchange == exchange && spec.matches(message.key, message.label);
            for binding in bindings.filter(is_meant) {
                match binding.target {
                    Target::Queue(queue) => drop(queues.insert(queue)),
                    Target::Exchange(next) if exchanges.contains(&next) => {}
                    Target::Exchange(next) => exchanges.push(next),
                }
            }
        }
        queues
    }

    fn publish_to(&mut self, queue: usize, message: &Rc<Message>, clock: Clock, published: &mut Published) {
        let spec = &QUEUES[queue];
        let is_durable = Self::is_durable(queue, message);
        let (duplicate, may_have_duplicate) = self.duplicate_in(queue, message);
        let id = self.token(queue, message);
        if let Some(arrived) = duplicate {
            published.rests_on = published.rests_on.max(arrived);
            published.is_repeat = true;
            return;
        }
        let is_full = spec.refuses && self.ready_counts(queue).1 >= spec.max_length.unwrap_or(usize::MAX);
        let may_refuse = is_full || may_have_duplicate || self.failed.is_some() && is_durable;
        let order = order_of(clock.turn, self.arrivals % (1 << 19));
        let place = if message.delay_ms.is_some() { Place::Delayed } else { Place::At(queue) };
        let arrived = State { place, order: (order, order), returns: (0, 0), was_delivered: false };
        let ttl_ms = self.policy_ttl_ms(queue);
        let token = &mut self.tokens[id];
        let was_unborn = token.states.may_be(|state| state.place == Place::Unborn);
        let is_new = token.states.must_be(|state| state.place == Place::Unborn);
        token.states.change(clock.turn, |state| match state.place {
            Place::Unborn if may_refuse => vec![arrived.clone(), state.clone()],
            Place::Unborn => vec![arrived.clone()],
            _ => vec![state.clone()],
        });
        if was_unborn {
            // A later change of the policy does not apply to it.
            let ttl_ms = [message.ttl_ms, spec.ttl_ms, ttl_ms].into_iter().flatten().min();
            token.expires_ms = ttl_ms.map(|ttl_ms| clock.now_ms + ttl_ms);
            token.due_ms = message.delay_ms.map(|delay_ms| clock.now_ms + delay_ms);
            // It may have arrived before, by a change that is not durable yet: then nothing is written now.
            token.arrived = if is_new { clock.turn } else { self.caused };
            token.arrived_ms = clock.now_ms;
        }
        published.is_repeat |= !is_new || may_have_duplicate;
        if may_have_duplicate {
            return;
        }
        published.is_durable |= is_durable && is_new;
        if is_durable {
            published.rests_on = published.rests_on.max(token.arrived);
        }
        published.tokens.push(id);
    }

    /// Returns the time to live that the policy of a queue gives a message now.
    fn policy_ttl_ms(&self, queue: usize) -> Option<u64> {
        let policy = &self.policies[policy_of(queue)?];
        assert!(policy.is_clear(), "the operator has set it anew where it was not certain");
        policy.states().next().and_then(|&version| Some(TTLS_MS[version? as usize]))
    }

    /// Returns when a duplicate of the message arrived in the queue, if there certainly is one, and whether there may
    /// be one. A durable duplicate is no promise to the publisher of a transient one.
    fn duplicate_in(&self, queue: usize, message: &Message) -> (Option<Turn>, bool) {
        let is_duplicate = |token: &&Token| {
            token.origin == queue
                && token.message.id != message.id
                && token.message.unique_id == message.unique_id
                && (Self::is_durable(queue, &token.message) || !Self::is_durable(queue, message))
                && token.may_be_at(queue)
        };
        if !QUEUES[queue].deduplicates || message.unique_id.is_none() {
            return (None, false);
        }
        let duplicates = self.active.iter().map(|&id| &self.tokens[id]).filter(is_duplicate);
        duplicates.fold((None, false), |(known, _), token| {
            let arrived = if Self::is_durable(queue, message) { token.arrived } else { 0 };
            (if token.must_be_at(queue) { known.max(Some(arrived)) } else { known }, true)
        })
    }

    fn token(&mut self, origin: usize, message: &Rc<Message>) -> TokenId {
        let Self { tokens, active, by_message, .. } = self;
        *by_message.entry((message.id, origin)).or_insert_with(|| {
            let order = some_time_in(0);
            let unborn = State { place: Place::Unborn, order, returns: (0, 0), was_delivered: false };
            active.push(tokens.len());
            tokens.push(Token {
                message: Rc::clone(message),
                origin,
                states: Timeline::new(unborn),
                holder: None,
                is_got: false,
                arrived: 0,
                arrived_ms: 0,
                expires_ms: None,
                due_ms: None,
            });
            tokens.len() - 1
        })
    }

    /// Whether a message in this queue is durable.
    pub fn is_durable(queue: usize, message: &Message) -> bool {
        let spec = &QUEUES[queue];
        !spec.is_transient && (message.is_persistent || spec.is_quorum)
    }

    /// Whether the message with this body is durable.
    pub fn is_durable_body(&self, queue: &str, body: &[u8]) -> bool {
        let id = body.get(..8).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let queue = QUEUES.iter().position(|spec| spec.name == queue);
        let Some((id, queue)) = id.zip(queue) else { return false };
        let known = self.by_message.range((id, 0)..).next().map(|(_, &token)| &self.tokens[token]);
        known.is_some_and(|token| token.message.id == id && Self::is_durable(queue, &token.message))
    }

    /// Messages whose delay is over are published.
    pub fn begin_turn(&mut self, clock: Clock) {
        for &id in &self.active {
            let token = &mut self.tokens[id];
            if token.due_ms.is_none_or(|due_ms| due_ms > clock.now_ms) {
                continue;
            }
            let origin = token.origin;
            token.states.change(clock.turn, |state| match state.place {
                Place::Delayed => {
                    let order = some_time_in(clock.turn);
                    vec![State { place: Place::At(origin), order, returns: (0, 0), was_delivered: false }]
                }
                _ => vec![state.clone()],
            });
        }
    }
}
