//! Settling: ack, nack and recover, and deliveries that are taken back from their consumers.

use super::Broker;
use crate::broker::model::error::Error;
use crate::broker::model::headers::Reason;
use crate::broker::model::message::Message;
use crate::broker::model::record::Record;
use crate::broker::session::channel::{Holder, Outcome, Outstanding};
use crate::broker::session::consumer::Consumer;
use crate::broker::session::due::Due;
use crate::id::{ChannelId, QueueId};
use crate::timer::TimerKey;

impl Broker {
    /// Acks a delivery, or with `multiple` all up to it; the tag 0 with `multiple` means all.
    ///
    /// # Errors
    /// When nothing is unacked under this delivery tag.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn ack(&mut self, channel: ChannelId, delivery_tag: u64, multiple: bool) -> Result<(), Error> {
        self.settle(channel, delivery_tag, multiple, Outcome::Acked)
    }

    /// Rejects a delivery, or with `multiple` all up to it: with `requeue` the message is ready again at its old
    /// position; otherwise it is dead-lettered, or removed if its queue has no dead-letter exchange.
    ///
    /// # Errors
    /// When nothing is unacked under this delivery tag.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn nack(&mut self, channel: ChannelId, delivery_tag: u64, multiple: bool, requeue: bool) -> Result<(), Error> {
        self.settle(channel, delivery_tag, multiple, if requeue { Outcome::Requeued } else { Outcome::Rejected })
    }

    /// Requeues all unacked deliveries of a channel at once, also within a transaction.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn recover(&mut self, channel: ChannelId) {
        while let Some((_, outstanding)) = self.channel_mut(channel).unacked.pop_first() {
            self.settle_one(channel, &outstanding, Outcome::Requeued);
        }
        self.tend_changed();
    }

    /// Rejects a delivery for a while: after `delay_ms` its message is ready again at its old position.
    ///
    /// # Errors
    /// When nothing is unacked under this delivery tag.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn nack_after(&mut self, channel: ChannelId, delivery_tag: u64, delay_ms: u64) -> Result<(), Error> {
        let outstanding = self.take_unacked(channel, delivery_tag)?;
        let Outstanding { queue, position, timer, holder } = outstanding;
        self.stop(timer);
        self.timers.insert(self.now_ms.saturating_add(delay_ms), Due::Return(queue, position));
        self.make_room(channel, holder);
        self.tend_changed();
        Ok(())
    }

    /// Sets a deadline for a delivery, `after_ms` from now: if it is not settled by then, it is requeued.
    ///
    /// # Errors
    /// When nothing is unacked under this delivery tag.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn set_deadline(&mut self, channel: ChannelId, delivery_tag: u64, after_ms: u64) -> Result<(), Error> {
        self.set_timer(channel, delivery_tag, after_ms, Due::TakeBack(channel, delivery_tag))
    }

    /// Sets the deadline that a delivery's queue prescribes.
    pub(super) fn watch_ack(&mut self, channel: ChannelId, delivery_tag: u64) {
        let Some(held) = self.channel(channel).unacked.get(delivery_tag) else { return };
        let timeout_ms = self.state.queue(held.queue).and_then(|queue| queue.settings.consumer_timeout_ms);
        if let Some(timeout_ms) = timeout_ms {
            let due = Due::AckTimeout(channel, delivery_tag, timeout_ms);
            self.set_timer(channel, delivery_tag, timeout_ms, due).unwrap_or_else(|_| unreachable!("it is unacked"));
        }
    }

    fn set_timer(&mut self, channel: ChannelId, delivery_tag: u64, after_ms: u64, due: Due) -> Result<(), Error> {
        let known = self.channels.get_mut(channel).expect("a verb is called on an open channel");
        let outstanding = known.unacked.get_mut(delivery_tag).ok_or(Error::UnknownDeliveryTag(delivery_tag))?;
        if let Some(earlier) = outstanding.timer.take() {
            self.timers.cancel(earlier);
        }
        outstanding.timer = Some(self.timers.insert(self.now_ms.saturating_add(after_ms), due));
        Ok(())
    }

    fn settle(&mut self, channel: ChannelId, tag: u64, multiple: bool, outcome: Outcome) -> Result<(), Error> {
        if multiple {
            if tag != 0 && self.channel(channel).unacked.get(tag).is_none() {
                return Err(Error::UnknownDeliveryTag(tag));
            }
            self.settle_up_to(channel, if tag == 0 { u64::MAX } else { tag }, outcome);
        } else {
            let outstanding = self.take_unacked(channel, tag)?;
            self.settle_or_hold(channel, tag, outstanding, outcome);
        }
        self.tend_changed();
        Ok(())
    }

    fn take_unacked(&mut self, channel: ChannelId, tag: u64) -> Result<Outstanding, Error> {
        self.channel_mut(channel).unacked.remove(tag).ok_or(Error::UnknownDeliveryTag(tag))
    }

    fn settle_up_to(&mut self, channel: ChannelId, last: u64, outcome: Outcome) {
        let has_transaction = self.channel(channel).transaction.is_some();
        while let Some((tag, outstanding)) = self.channel_mut(channel).unacked.pop_first_up_to(last) {
            if has_transaction {
                self.settle_or_hold(channel, tag, outstanding, outcome);
            } else {
                self.settle_one(channel, &outstanding, outcome);
            }
        }
    }

    /// Settles a delivery, or records it in the channel's transaction until the commit.
    fn settle_or_hold(&mut self, channel: ChannelId, tag: u64, mut outstanding: Outstanding, outcome: Outcome) {
        if self.channel(channel).transaction.is_none() {
            return self.settle_one(channel, &outstanding, outcome);
        }
        self.stop(outstanding.timer.take());
        if let Some(transaction) = &mut self.channel_mut(channel).transaction {
            transaction.settled.push((tag, outstanding, outcome));
        }
    }

    #[inline]
    pub(super) fn settle_one(&mut self, channel: ChannelId, outstanding: &Outstanding, outcome: Outcome) {
        match outcome {
            Outcome::Acked => self.finish(outstanding, None),
            Outcome::Rejected => self.finish(outstanding, Some(Reason::Rejected)),
            Outcome::Requeued => self.requeue(outstanding),
        }
        self.make_room(channel, outstanding.holder);
    }

    /// Requeues a delivery whose deadline has passed.
    pub(super) fn take_back(&mut self, channel: ChannelId, delivery_tag: u64) {
        let unacked = &mut self.channel_mut(channel).unacked;
        let outstanding = unacked.remove(delivery_tag).expect("a settled delivery has no timer");
        self.settle_one(channel, &outstanding, Outcome::Requeued);
    }

    fn finish(&mut self, outstanding: &Outstanding, death: Option<Reason>) {
        if let Some(timer) = outstanding.timer {
            self.timers.cancel(timer);
        }
        self.remove_unacked(outstanding.queue, outstanding.position, death);
    }

    /// Removes a delivered message from its queue; if the queue was deleted meanwhile, so was the message.
    fn remove_unacked(&mut self, id: QueueId, position: u64, death: Option<Reason>) {
        let Some(queue) = self.state.queue(id) else { return };
        let is_part = queue.kind.part().is_some();
        if let Some(reason) = death.filter(|_| self.dead_letter_exchange(queue).is_some()) {
            let message = queue.unacked_message(position).expect("what is settled is unacked").share();
            self.dead_letter_of(id, position, message, reason);
        }
        if is_part {
            self.part_changes(id);
        }
        self.commit(&Record::Settled { queue: id, position });
    }

    /// Sends a delivered message, which may have been paged out since, to the dead-letter exchange.
    fn dead_letter_of(&mut self, id: QueueId, position: u64, mut message: Message, reason: Reason) {
        if message.is_stub() {
            let kept_bytes = message.kept_bytes();
            drop(message);
            if !self.has_room_for_copy(kept_bytes) {
                self.dropped_dead_letters += 1;
                return;
            }
            // A message that cannot be read is reported to the operator.
            if self.state.fetch(id, position).is_none() {
                return;
            }
            let fetched = self.state.queue(id).and_then(|queue| queue.unacked_message(position));
            message = fetched.expect("it was fetched").share();
        }
        self.dead_letter(id, &message, reason);
    }

    /// Makes the message of a delivery ready again.
    pub(super) fn requeue(&mut self, outstanding: &Outstanding) {
        let Outstanding { queue, position, timer, .. } = *outstanding;
        self.stop(timer);
        self.requeue_position(queue, position);
    }

    /// Makes a message ready again, unless it was requeued too often; if its queue was deleted meanwhile, so was the
    /// message.
    pub(super) fn requeue_position(&mut self, id: QueueId, position: u64) {
        let Some(queue) = self.state.queue(id) else { return };
        if queue.settings.delivery_limit().is_some_and(|limit| queue.returns(position) >= limit) {
            return self.remove_unacked(id, position, Some(Reason::DeliveryLimit));
        }
        self.commit(&Record::Requeued { queue: id, position });
        self.changed.push(id);
    }

    #[inline(never)]
    pub(super) fn stop(&mut self, timer: Option<TimerKey>) {
        if let Some(timer) = timer {
            self.timers.cancel(timer);
        }
    }

    /// Frees room for one more delivery at its holder and, if the channel was full, at its other consumers.
    fn make_room(&mut self, channel: ChannelId, holder: Holder) {
        if holder == Holder::Get {
            return;
        }
        let known = self.channels.get_mut(channel).expect("a delivery is of an open channel");
        known.consuming -= 1;
        let has_turned_away = !known.turned_away.is_empty();
        if let Holder::Consumer(id) = holder {
            let consumer = self.consumers.get_mut(id).expect("a holder is a consumer");
            consumer.unacked -= 1;
            let Consumer { queue, is_turned_away, is_waiting, .. } = *consumer;
            let is_free = consumer.unacked == 0;
            if is_turned_away && known.turned_away.front() == Some(&id) {
                // It had its turn before the others came.
                known.turned_away.rotate_left(1);
            }
            if is_free && self.runtimes.get(queue).is_some_and(|runtime| runtime.is_handing_over) {
                self.hand_over_to_higher(queue);
            }
            if !is_turned_away && !is_waiting {
                self.offer(id);
            }
        }
        if has_turned_away {
            self.offer_turned_away(channel);
        }
    }
}
