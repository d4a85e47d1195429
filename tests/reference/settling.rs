//! Settling: acks, nacks and rejects, at once or with a transaction, and acks that are late.

use pocketmq::broker::ErrorKind;

use super::queue::Place;
use super::{Answer, CHANNELS_PER_CONNECTION, Reference, Unacked};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Acked,
    Rejected,
    Requeued,
    RequeuedAfter(u64),
}

impl Reference {
    pub fn settle(&mut self, channel: usize, tag: u64, multiple: bool, outcome: Outcome) -> Answer<()> {
        let known = &mut self.channels[channel];
        let is_open = |unacked: &Unacked| unacked.on_commit.is_none();
        let is_all = multiple && tag == 0;
        if !is_all && !known.unacked.iter().any(|unacked| unacked.tag == tag && is_open(unacked)) {
            return Err(ErrorKind::PreconditionFailed);
        }
        let is_over =
            |unacked: &Unacked| is_open(unacked) && (unacked.tag == tag || multiple && (tag == 0 || unacked.tag < tag));
        let is_delayed = matches!(outcome, Outcome::RequeuedAfter(_));
        if known.transaction.is_some() && !is_delayed {
            for unacked in known.unacked.iter_mut().filter(|unacked| is_over(unacked)) {
                (unacked.on_commit, unacked.deadline, unacked.timeout) = (Some(outcome), None, None);
            }
        } else {
            self.settle_if(channel, is_over, |_| outcome);
        }
        Ok(())
    }

    pub fn recover(&mut self, channel: usize) {
        self.settle_if(channel, |unacked| unacked.on_commit.is_none(), |_| Outcome::Requeued);
    }

    /// Settles these deliveries; the facts have to say what happens to their messages.
    fn settle_if(
        &mut self,
        channel: usize,
        is_over: impl Fn(&Unacked) -> bool,
        outcome: impl Fn(&Unacked) -> Outcome,
    ) -> Vec<Unacked> {
        let now = self.now;
        let settled: Vec<_> = self.channels[channel].unacked.extract_if(.., |unacked| is_over(unacked)).collect();
        for unacked in &settled {
            let Some(queue) = self.declaration_mut(unacked.declared) else { continue };
            queue.at(unacked.position).place = match outcome(unacked) {
                Outcome::Acked => Place::Acked,
                Outcome::Rejected => Place::Rejected,
                Outcome::Requeued => Place::Returning,
                Outcome::RequeuedAfter(ms) => Place::Asleep(now + ms),
            };
            let name = queue.name.clone();
            self.reappoint(&name);
        }
        settled
    }

    /// Advances the time; deliveries that were not settled in time are requeued.
    pub fn advance(&mut self, now: u64) {
        self.now = now;
        for channel in 0..self.channels.len() {
            let is_late = |unacked: &Unacked| unacked.deadline.is_some_and(|deadline| deadline <= now);
            self.settle_if(channel, is_late, |_| Outcome::Requeued);
            let is_too_late = |unacked: &Unacked| unacked.timeout.is_some_and(|(at, _)| at <= now);
            for late in self.settle_if(channel, is_too_late, |_| Outcome::Requeued) {
                self.timed_out.push((channel, late.timeout.expect("it is late").1));
            }
        }
        for message in self.queues.iter_mut().flat_map(|queue| &mut queue.messages) {
            if matches!(message.place, Place::Asleep(until) if until <= now) {
                message.place = Place::Returning;
            }
        }
    }

    pub fn select_transaction(&mut self, channel: usize) {
        self.channels[channel].transaction.get_or_insert_default();
    }

    /// Expects the transaction's publications and settlements. Its unroutable messages are known after the facts.
    pub fn commit(&mut self, channel: usize) -> Answer<()> {
        let transaction = self.channels[channel].transaction.as_mut().ok_or(ErrorKind::PreconditionFailed)?;
        self.pending = std::mem::take(transaction);
        (self.unroutable, self.was_refused) = (Vec::new(), false);
        self.is_committing = true;
        let outcome = |unacked: &Unacked| unacked.on_commit.expect("a settled delivery");
        self.settle_if(channel, |unacked| unacked.on_commit.is_some(), outcome);
        Ok(())
    }

    /// Returns the result of the last commit: the bodies of its unroutable messages, unless one was refused.
    pub fn committed(&mut self) -> Answer<Vec<Vec<u8>>> {
        let unroutable = std::mem::take(&mut self.unroutable);
        if std::mem::take(&mut self.was_refused) { Err(ErrorKind::PreconditionFailed) } else { Ok(unroutable) }
    }

    pub fn rollback(&mut self, channel: usize) -> Answer<()> {
        let known = &mut self.channels[channel];
        known.transaction.as_mut().ok_or(ErrorKind::PreconditionFailed)?.clear();
        let mut unacked = std::mem::take(&mut known.unacked);
        for given_back in &mut unacked {
            if given_back.on_commit.take().is_some() {
                given_back.timeout = self.timeout(given_back.declared);
            }
        }
        self.channels[channel].unacked = unacked;
        Ok(())
    }

    pub fn close_channel(&mut self, channel: usize) {
        self.settle_if(channel, |_| true, |_| Outcome::Requeued);
        let closed = std::mem::take(&mut self.channels[channel]);
        for consumer in closed.consumers {
            self.left(&consumer.queue);
        }
    }

    pub fn close_connection(&mut self, connection: usize) {
        self.is_closing = true;
        for channel in 0..CHANNELS_PER_CONNECTION {
            self.close_channel(connection * CHANNELS_PER_CONNECTION + channel);
        }
        for queue in self.queues.iter_mut().filter(|queue| queue.owner == Some(connection)) {
            queue.is_doomed = true;
        }
        self.paused[connection] = false;
    }
}
