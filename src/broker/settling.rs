//! Settling: ack, nack and recover, and what takes a delivery back without being asked.

use super::Broker;
use super::channel::{Holder, Outstanding};
use super::error::Error;
use super::record::Record;
use crate::id::ChannelId;

/// What becomes of a message when its delivery is settled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Gone,
    Requeued,
}

impl Broker {
    /// Acks a delivery, or with `multiple` all up to it; the tag 0 with `multiple` stands for all there are.
    ///
    /// # Errors
    /// When nothing is unacked under this delivery tag.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn ack(&mut self, channel: ChannelId, delivery_tag: u64, multiple: bool) -> Result<(), Error> {
        self.settle(channel, delivery_tag, multiple, Outcome::Gone)
    }

    /// Refuses a delivery, or with `multiple` all up to it: with `requeue` the message is ready again where it was,
    /// without it is gone.
    ///
    /// # Errors
    /// When nothing is unacked under this delivery tag.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn nack(&mut self, channel: ChannelId, delivery_tag: u64, multiple: bool, requeue: bool) -> Result<(), Error> {
        self.settle(channel, delivery_tag, multiple, if requeue { Outcome::Requeued } else { Outcome::Gone })
    }

    /// Requeues all that is unacked on a channel.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn recover(&mut self, channel: ChannelId) {
        self.settle_up_to(channel, u64::MAX, Outcome::Requeued);
    }

    /// Gives a delivery a deadline, `after_ms` from now: if it is not settled then, it is requeued.
    ///
    /// # Errors
    /// When nothing is unacked under this delivery tag.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn set_deadline(&mut self, channel: ChannelId, delivery_tag: u64, after_ms: u64) -> Result<(), Error> {
        let known = self.channels.get_mut(channel).expect("a verb is called on an open channel");
        let outstanding = known.unacked.get_mut(delivery_tag).ok_or(Error::UnknownDeliveryTag(delivery_tag))?;
        if let Some(earlier) = outstanding.timer.take() {
            self.timers.cancel(earlier);
        }
        let deadline_ms = self.now_ms.saturating_add(after_ms);
        outstanding.timer = Some(self.timers.insert(deadline_ms, (channel, delivery_tag)));
        Ok(())
    }

    fn settle(&mut self, channel: ChannelId, tag: u64, multiple: bool, outcome: Outcome) -> Result<(), Error> {
        if multiple {
            if tag != 0 && self.channel(channel).unacked.get(tag).is_none() {
                return Err(Error::UnknownDeliveryTag(tag));
            }
            self.settle_up_to(channel, if tag == 0 { u64::MAX } else { tag }, outcome);
            return Ok(());
        }
        let outstanding = self.channel_mut(channel).unacked.remove(tag).ok_or(Error::UnknownDeliveryTag(tag))?;
        self.settle_one(channel, outstanding, outcome);
        Ok(())
    }

    fn settle_up_to(&mut self, channel: ChannelId, last: u64, outcome: Outcome) {
        while self.channel(channel).unacked.first().is_some_and(|first| first <= last) {
            let (_, outstanding) = self.channel_mut(channel).unacked.pop_first().expect("there is a first one");
            self.settle_one(channel, outstanding, outcome);
        }
    }

    fn settle_one(&mut self, channel: ChannelId, outstanding: Outstanding, outcome: Outcome) {
        match outcome {
            Outcome::Gone => self.finish(outstanding),
            Outcome::Requeued => self.requeue(outstanding),
        }
        self.make_room(channel, outstanding.holder);
    }

    /// A delivery's deadline has passed.
    pub(super) fn take_back(&mut self, channel: ChannelId, delivery_tag: u64) {
        let unacked = &mut self.channel_mut(channel).unacked;
        let outstanding = unacked.remove(delivery_tag).expect("a settled delivery has no timer");
        self.settle_one(channel, outstanding, Outcome::Requeued);
    }

    fn finish(&mut self, outstanding: Outstanding) {
        let Outstanding { queue, position, timer, .. } = outstanding;
        self.stop(timer);
        if self.state.queue(queue).is_some() {
            self.commit(&Record::Settled { queue, position });
        }
    }

    /// Makes a delivery's message ready again; if its queue went meanwhile, so did the message.
    pub(super) fn requeue(&mut self, outstanding: Outstanding) {
        let Outstanding { queue, position, timer, .. } = outstanding;
        self.stop(timer);
        if self.state.queue(queue).is_some() {
            self.commit(&Record::Requeued { queue, position });
            self.activate(queue);
        }
    }

    fn stop(&mut self, timer: Option<crate::timer::TimerKey>) {
        if let Some(timer) = timer {
            self.timers.cancel(timer);
        }
    }

    /// The holder of a delivery can take one more, and so can all of its channel if that was full.
    fn make_room(&mut self, channel: ChannelId, holder: Holder) {
        if holder == Holder::Get {
            return;
        }
        let known = self.channel_mut(channel);
        let was_full = !known.has_room();
        known.consuming -= 1;
        if let Holder::Consumer(consumer) = holder {
            self.consumers.get_mut(consumer).expect("a holder is a consumer").unacked -= 1;
            self.offer(consumer);
        }
        if was_full {
            self.offer_channel(channel);
        }
    }
}
