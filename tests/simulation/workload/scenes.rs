//! Scenes: sequences of steps that random choices would seldom make.

use std::rc::Rc;

use super::{RENEWED, World};
use crate::client::Mode;
use crate::ledger::{Checked, Message, policy_of};
use crate::topology::{PARTED, QUEUES, RENEWED_EXCHANGES, SIDE, TIMED};
use crate::world::Ending;

/// After this many flushes most of a journal with little live data is cleaned.
const CLEANING_FLUSHES: usize = 4;

impl World {
    /// Fills segments with short-lived data, so that their live facts have to be written again.
    pub(super) fn churn(&mut self, client: usize, number: u16) -> Checked {
        match self.random.below(4) {
            0 => self.fill_timed(client, number)?,
            1 | 2 => self.fill_growing(client, number)?,
            _ => {}
        }
        for _ in 0..2 {
            if !self.is_open(client, number) {
                return Ok(());
            }
            let message = Message { body_bytes: 6_000, ..self.simple_message(client, number, SIDE) };
            self.publish(client, number, &Rc::new(message));
            self.turn()?;
            self.flush()?;
            if self.is_open(client, number) {
                self.purge(client, number, SIDE);
            }
        }
        for _ in 0..CLEANING_FLUSHES {
            self.turn()?;
            self.flush()?;
        }
        self.has_committed = true;
        Ok(())
    }

    /// Publishes messages whose time to live comes from a policy, which then changes.
    fn fill_timed(&mut self, client: usize, number: u16) -> Checked {
        let queue = *self.random.pick(&TIMED);
        for _ in 0..2 {
            let message = Message { is_persistent: true, ..self.simple_message(client, number, queue) };
            self.publish(client, number, &Rc::new(message));
        }
        self.turn()?;
        if let Some(policy) = policy_of(queue) {
            self.set_policy(self.clients[client].host, policy);
        }
        self.turn()
    }

    /// One client acts while no other reply is awaited; often this is the last thing before a crash.
    pub(super) fn act_alone(&mut self, client: usize, number: u16, queue: usize) -> Checked {
        self.answer_all()?;
        if !self.is_open(client, number) {
            return Ok(());
        }
        let is_last = self.may_crash && self.random.chance(60);
        let renewed = *self.random.pick(&RENEWED);
        let exchange = *self.random.pick(&RENEWED_EXCHANGES);
        match self.random.below(6) {
            0 => self.settle_alone(client, number)?,
            1 if is_last => self.delete_queue(client, number, renewed),
            1 => self.renew_queue(client, number, renewed)?,
            2 if is_last => self.delete_exchange(client, number, exchange),
            2 => self.renew_exchange(client, number, exchange)?,
            3 => {
                let binding = self.moving_binding(client, true);
                self.bind(client, number, binding, false);
            }
            4 => self.change_policy(),
            _ => self.purge(client, number, queue),
        }
        self.turn()?;
        if self.random.chance(30) {
            self.answer_all()?;
        }
        if is_last { self.restart(Ending::PowerLoss) } else { Ok(()) }
    }

    /// A client gets the messages of a queue, settles some, and then sends a request whose reply waits for that.
    fn settle_alone(&mut self, client: usize, number: u16) -> Checked {
        let ledger = self.ledger(client);
        let is_simple = |queue: &usize| QUEUES[*queue].max_length.is_none() && !ledger.has_expiring(*queue);
        let queue = (0..QUEUES.len()).filter(is_simple).find(|&queue| ledger.has_durable(queue));
        if let Some(queue) = queue.filter(|_| self.channel(client, number).leases.is_empty()) {
            self.consume(client, number, queue, false);
            self.turn()?;
            self.answer_all()?;
        }
        if !self.is_open(client, number) || self.channel(client, number).mode == Mode::Transactions {
            return Ok(());
        }
        self.settle_some(client, number);
        self.turn()?;
        if self.is_open(client, number) {
            self.set_prefetch(client, number, 5);
        }
        Ok(())
    }

    /// Grows the queue's partitions while there are messages in it, and publishes more, some of which have to wait.
    pub(super) fn fill_growing(&mut self, client: usize, number: u16) -> Checked {
        for is_full in [false, true] {
            if !self.is_open(client, number) {
                return Ok(());
            }
            for _ in 0..=self.random.below(5) {
                let message = Rc::new(self.message_to_grown(client, number));
                self.publish(client, number, &message);
            }
            if !is_full {
                self.grow(client);
                self.turn()?;
            }
        }
        self.turn()?;
        if self.random.chance(40) && self.is_open(client, number) {
            self.purge(client, number, PARTED);
        }
        Ok(())
    }
}
