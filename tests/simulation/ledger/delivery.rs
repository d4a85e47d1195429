//! Delivery: a delivered message must exist, be the next one, and belong to no other client.

use std::rc::Rc;

use super::{Checked, Clock, Ledger, Message, Place, State, Token, TokenId, violation};
use crate::timeline::Span;
use crate::topology::QUEUES;

/// A message as it arrived at a client.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub queue: usize,
    /// The queue that it was published to; it is another one for dead letters.
    pub origin: usize,
    pub message_id: u32,
    /// By `basic.get`: then no consumer is involved.
    pub is_got: bool,
    pub is_redelivered: bool,
    /// The value of `x-delivery-count`.
    pub returns: u32,
    pub exchange: String,
    pub key: String,
    pub body: Vec<u8>,
}

impl Ledger {
    /// A client got a message: it is unacked, or gone if there is no `holder`.
    pub fn delivered(&mut self, arrival: &Arrival, holder: Option<(u32, u16)>, clock: Clock) -> Checked<TokenId> {
        let Arrival { queue, origin, message_id, .. } = *arrival;
        let Some(&id) = self.by_message.get(&(message_id, origin)) else {
            return violation(format!("never published to '{}': {arrival:?}", QUEUES[origin].name));
        };
        let token = &mut self.tokens[id];
        if token.holder.is_some() {
            return violation(format!("delivered while somebody has it: {}", token.describe()));
        }
        if token.is_expired(queue, clock) && token.arrived_ms != clock.now_ms {
            return violation(format!("delivered after it expired: {}", token.describe()));
        }
        check_content(arrival, &token.message)?;
        let span = see(token, arrival)?;
        let counts = QUEUES[queue].is_quorum;
        token.states.change(clock.turn, |state| {
            let returns = if counts { (arrival.returns, arrival.returns) } else { state.returns };
            let place = if holder.is_some() { state.place } else { Place::Gone };
            vec![State { place, returns, was_delivered: true, ..state.clone() }]
        });
        self.tokens[id].holder = holder;
        self.tokens[id].is_got = arrival.is_got;
        self.check_key_of(id, queue)?;
        self.fresh.push((queue, id));
        let described = self.tokens[id].describe();
        self.narrow(span, &|| described.clone())?;
        Ok(id)
    }

    /// In a partition, a key's messages are with the consumers of one client at a time, `basic.get` aside.
    fn check_key_of(&self, id: TokenId, queue: usize) -> Checked {
        if QUEUES[queue].partitions.is_none() {
            return Ok(());
        }
        let token = &self.tokens[id];
        let is_shared = |other: &&Token| {
            other.origin == queue
                && !(token.is_got || other.is_got)
                && other.message.order_key() == token.message.order_key()
                && other.holder.is_some_and(|holder| token.holder.is_some_and(|own| own.0 != holder.0))
        };
        match self.active.iter().map(|&id| &self.tokens[id]).find(is_shared) {
            Some(other) => violation(format!("a key with two clients: {} and {}", token.describe(), other.describe())),
            None => Ok(()),
        }
    }

    /// Deliveries of this turn were first in their queues: no message that is certainly there was passed over.
    pub fn check_order(&mut self, is_meant: impl Fn(usize) -> bool, clock: Clock) -> Checked {
        let fresh = std::mem::take(&mut self.fresh);
        for &(queue, id) in fresh.iter().filter(|(queue, _)| is_meant(*queue)) {
            let token = &self.tokens[id];
            let is_passed = |other: &&Token| {
                other.holder.is_none()
                    && other.must_be_at(queue)
                    && !other.is_expired(queue, clock)
                    && stands_before(other, token, queue)
            };
            if let Some(other) = self.active.iter().map(|&id| &self.tokens[id]).find(is_passed) {
                return violation(format!("passed over: {}; delivered: {}", other.describe(), token.describe()));
            }
        }
        self.fresh = fresh.into_iter().filter(|(queue, _)| !is_meant(*queue)).collect();
        Ok(())
    }
}

fn check_content(arrival: &Arrival, message: &Rc<Message>) -> Checked {
    if arrival.body != message.body() {
        return violation(format!("message {} has another body: {}", message.id, arrival.body.escape_ascii()));
    }
    let is_dead = arrival.queue != arrival.origin;
    if !is_dead && (&*arrival.exchange, &*arrival.key) != (message.exchange, message.key) {
        return violation(format!("message {} comes from {} by {}", message.id, arrival.exchange, arrival.key));
    }
    Ok(())
}

/// Narrows a token's states by an arrival; returns the turns of the last crash that fit it.
fn see(token: &mut Token, arrival: &Arrival) -> Checked<Span> {
    let is_there = |state: &State| state.place == Place::At(arrival.queue);
    let counts = QUEUES[arrival.queue].is_quorum;
    // A message that waited for its slot at the end was never delivered, but which ones did is unknown.
    let is_vague = QUEUES[arrival.queue].partitions.is_some() && arrival.is_redelivered;
    let is_consistent = |state: &State| state.was_delivered == arrival.is_redelivered || is_vague;
    let is_seen = |state: &State| {
        is_there(state)
            && is_consistent(state)
            && (!counts || (state.returns.0..=state.returns.1).contains(&arrival.returns))
    };
    if let Some(span) = token.states.observe(is_seen) {
        return Ok(span);
    }
    violation(if token.states.may_be(is_there) {
        format!("redelivered={}, returns={}, but: {}", arrival.is_redelivered, arrival.returns, token.describe())
    } else {
        format!("returned to '{}': {}", QUEUES[arrival.queue].name, token.describe())
    })
}

/// Whether one message certainly comes before another in a queue.
fn stands_before(one: &Token, other: &Token, queue: usize) -> bool {
    let spec = &QUEUES[queue];
    if spec.partitions.is_some() && one.message.order_key() != other.message.order_key() {
        return false;
    }
    if let Some(max) = spec.max_priority {
        let [one, other] = [one, other].map(|token| token.message.priority.min(max));
        if one != other {
            return one > other;
        }
    }
    let last = one.states.states().map(|state| state.order.1).max();
    let first = other.states.states().map(|state| state.order.0).min();
    last.zip(first).is_some_and(|(last, first)| last < first)
}
