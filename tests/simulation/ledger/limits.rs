//! Limits: messages that expire or exceed a queue's length, and consumers that must not be left waiting.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{Checked, Clock, Ledger, Place, State, Token, TokenId, end_in, violation};
use crate::topology::QUEUES;

/// Whether another message is before one in its queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ahead {
    Nothing,
    Perhaps,
    Something,
}

impl Ledger {
    /// Applies after all deliveries of a turn except those of dead letters.
    pub fn trim(&mut self, clock: Clock) {
        let tokens = self.active.iter().map(|&id| &self.tokens[id]);
        let overdue: BTreeSet<_> =
            tokens.filter(|token| token.is_expired(token.origin, clock)).map(|token| token.origin).collect();
        overdue.into_iter().for_each(|queue| self.expire(queue, clock));
        for (queue, spec) in QUEUES.iter().enumerate() {
            if let Some(max) = spec.max_length.filter(|_| !spec.refuses) {
                self.drop_heads(queue, max, clock);
            }
        }
    }

    /// Returns the messages that may be ready in a queue, in order.
    fn ready(&self, queue: usize) -> Vec<TokenId> {
        let is_ready = |id: &TokenId| self.tokens[*id].holder.is_none() && self.tokens[*id].may_be_at(queue);
        let mut ready: Vec<_> = self.active.iter().copied().filter(is_ready).collect();
        let is_there = |state: &&State| state.place == Place::At(queue);
        let rank = |token: &Token| QUEUES[queue].max_priority.map(|max| Reverse(token.message.priority.min(max)));
        ready.sort_by_key(|&id| {
            let token = &self.tokens[id];
            (rank(token), token.states.states().filter(is_there).map(|state| state.order.0).min())
        });
        ready
    }

    /// Expired messages leave from the head.
    fn expire(&mut self, queue: usize, clock: Clock) {
        let mut ahead = Ahead::Nothing;
        for id in self.ready(queue) {
            let token = &self.tokens[id];
            if token.is_expired(queue, clock) {
                if ahead != Ahead::Something {
                    self.leave(id, queue, clock, end_in(queue), ahead == Ahead::Nothing);
                }
            } else if token.must_be_at(queue) {
                ahead = Ahead::Something;
            } else if ahead == Ahead::Nothing {
                ahead = Ahead::Perhaps;
            }
        }
    }

    /// Messages beyond the length limit leave from the head.
    fn drop_heads(&mut self, queue: usize, max: usize, clock: Clock) {
        let (mut least, mut most) = (0, 0);
        for id in self.ready(queue).into_iter().rev() {
            if most >= max {
                self.leave(id, queue, clock, end_in(queue), least >= max);
            }
            let token = &self.tokens[id];
            least += usize::from(token.must_be_at(queue));
            most += usize::from(token.may_be_at(queue));
        }
    }

    /// These queues have a consumer with room: no message that it could take may be left.
    pub fn check_nobody_waits(&self, queues: impl Iterator<Item = usize>, clock: Clock) -> Checked {
        for queue in queues {
            let is_left =
                |token: &&Token| token.holder.is_none() && token.must_be_at(queue) && !token.is_expired(queue, clock);
            if let Some(token) = self.active.iter().map(|&id| &self.tokens[id]).find(is_left) {
                return violation(format!("a consumer waits, but not delivered: {}", token.describe()));
            }
        }
        Ok(())
    }
}
