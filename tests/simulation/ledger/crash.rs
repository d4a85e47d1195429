//! Crash: what is left when the broker ends, cleanly or not.

use super::{Checked, Clock, Ledger, Place, State, Token, violation};
use crate::timeline::{Span, Turn};
use crate::topology::{BINDINGS, QUEUES};

impl Ledger {
    /// The broker ended after this turn as by a power loss: its state goes back to that after some turn, no earlier
    /// than promised.
    pub fn crash(&mut self, last: Turn) -> Checked {
        let span = Span { from: self.promised, to: self.failed.take().map_or(last, |failed| failed.min(last)) };
        if span.from > span.to {
            return violation(format!("a promise of turn {} cannot be kept: the last was {last}", span.from));
        }
        self.restart(span, true);
        Ok(())
    }

    /// The broker ended cleanly after this turn, and wrote everything. Messages on their way to a client count as
    /// delivered, though none was seen.
    pub fn close(&mut self, last: Turn) {
        self.restart(Span { from: last, to: last }, false);
        self.doubt_deliveries(last);
    }

    /// It ended again right after a clean end, before anything else was durable: it is unknown whether that end counts
    /// as clean.
    pub fn end_again(&mut self, clock: Clock) {
        self.doubt_deliveries(clock.turn);
    }

    fn doubt_deliveries(&mut self, turn: Turn) {
        for &id in &self.active {
            self.tokens[id].states.change(turn, |state| {
                let mut doubted = vec![state.clone()];
                if matches!(state.place, Place::At(_)) && !state.was_delivered {
                    doubted.push(State { was_delivered: true, ..state.clone() });
                }
                doubted
            });
        }
    }

    fn restart(&mut self, span: Span, forgets_deliveries: bool) {
        for (queue, exists) in self.queues.iter_mut().enumerate() {
            let survives = !QUEUES[queue].is_transient;
            exists.crash(span, |&exists| exists && survives);
        }
        for exists in &mut self.exchanges {
            exists.crash(span, |&exists| exists);
        }
        for (binding, is_bound) in self.bindings.iter_mut().enumerate() {
            let survives = !BINDINGS[binding].is_transient();
            is_bound.crash(span, |&is_bound| is_bound && survives);
        }
        self.policies.iter_mut().for_each(|policy| policy.crash(span, |&version| version));
        self.partitions.crash(span, |&count| count);
        self.lives.crash(span, |&lives| lives);
        for &id in &self.active {
            let token = &mut self.tokens[id];
            token.holder = None;
            let message = token.message.clone();
            token.states.crash(span, |state| {
                let is_durable = match state.place {
                    Place::Unborn | Place::Gone => return state.clone(),
                    Place::At(queue) => Self::is_durable(queue, &message),
                    Place::Delayed => message.is_persistent,
                };
                let place = if is_durable { state.place } else { Place::Gone };
                let was_delivered = state.was_delivered
                    || forgets_deliveries && matches!(place, Place::At(queue) if QUEUES[queue].partitions.is_none());
                // The end of the connection may or may not count as a return.
                let counts = matches!(place, Place::At(queue) if QUEUES[queue].is_quorum);
                let returns = (state.returns.0, state.returns.1 + u32::from(state.was_delivered && counts));
                State { place, was_delivered, returns, ..state.clone() }
            });
        }
        self.fresh.clear();
        self.survived = span;
        self.promised = 0;
    }

    /// Forgets states that cannot come back any more.
    pub fn forget(&mut self, clock: Clock) {
        let Self { tokens, active, promised, queues, exchanges, bindings, policies, partitions, lives, .. } = self;
        let horizon = (*promised).min(clock.turn);
        for exists in queues.iter_mut().chain(exchanges).chain(bindings) {
            exists.forget_before(horizon);
        }
        policies.iter_mut().for_each(|policy| policy.forget_before(horizon));
        partitions.forget_before(horizon);
        lives.forget_before(horizon);
        active.retain(|&id| {
            let token: &mut Token = &mut tokens[id];
            token.states.forget_before(horizon);
            !token.states.is_settled(|state| state.place == Place::Gone)
        });
    }
}
