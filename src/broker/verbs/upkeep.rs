//! Upkeep: what becomes of messages and queues when time passes or a limit is reached.
//!
//! A queue that changed is *tended*: it is offered to its consumers, and when none of them can take more, what has
//! expired or is too much leaves it. So a queue whose consumers keep up drops nothing that they would have got.
//!
//! ```text
//!   changed ──> waiting consumers? ── yes ──> active: poll delivers, and tends the queue again when nobody takes more
//!                     └── no ──> expired heads go, then what is too much ──> dead letters ──> their queues changed
//! ```

use super::Broker;
use super::publishing::Routed;
use crate::broker::model::headers::{self, Death, Reason};
use crate::broker::model::message::{Message, NEVER_MS};
use crate::broker::model::queue::Queue;
use crate::broker::model::record::Record;
use crate::broker::model::settings::Overflow;
use crate::broker::session::due::Due;
use crate::broker::session::event::Notice;
use crate::id::{ChannelId, QueueId};

/// The part of the memory for messages that one turn's dead letters of expired messages may take until they are written down.
const UNWRITTEN_SHARE: usize = 8;

impl Broker {
    /// Does what is due now, until much of it has to be written down first.
    pub(super) fn fall_due(&mut self) {
        while !self.is_behind_with_writing()
            && let Some(due) = self.timers.pop_due(self.now_ms)
        {
            match due {
                Due::TakeBack(channel, delivery_tag) => self.take_back(channel, delivery_tag),
                Due::AckTimeout(channel, delivery_tag, timeout_ms) => {
                    self.ack_timed_out(channel, delivery_tag, timeout_ms);
                }
                Due::Expiry(queue) => {
                    self.runtime_of(queue).expiry = None;
                    self.changed.push(queue);
                }
                Due::Disuse(queue) => self.look_for_use(queue),
                Due::Return(queue, position) => self.return_to_queue(queue, position),
                Due::Delay(number) => self.end_delay(number),
            }
            self.tend_changed();
        }
    }

    /// Tends the queues that changed, and those that change by that.
    pub(super) fn tend_changed(&mut self) {
        while let Some(queue) = self.changed.pop() {
            // What came back may be the head now, and have been put away.
            self.state.fetch_head(queue);
            if !self.activate(queue) {
                self.trim(queue);
            }
        }
    }

    /// Tends all queues, as a policy changed.
    pub(super) fn tend_all(&mut self) {
        let queues: Vec<_> = self.state.queues().map(|(id, _)| id).collect();
        for queue in queues {
            self.watch_use(queue);
            self.changed.extend(self.parts_of(queue));
        }
        self.tend_changed();
    }

    /// Takes what has expired from a queue, and what is too much.
    pub(super) fn trim(&mut self, id: QueueId) {
        let Some(queue) = self.state.queue(id) else { return };
        if queue.head_expires_ms() == NEVER_MS && !queue.settings.has_length_limit() {
            return;
        }
        self.drop_expired(id);
        self.drop_overflow(id);
        self.watch_expiry(id);
    }

    /// Takes what has expired from the head of a queue. What came since deliveries were made last and meets a consumer
    /// that has waited since then stays: it would have got there in time, and so it does. Returns whether the head may be delivered.
    pub(super) fn drop_expired(&mut self, id: QueueId) -> bool {
        let runtime = self.runtimes.get(id).filter(|runtime| runtime.is_anybody_waiting());
        self.drop_expired_but(id, runtime.map_or(NEVER_MS, |runtime| self.polled_ms.max(runtime.awaited_ms)))
    }

    /// Takes what has expired from the head of a queue, but for what came since then and was not delivered yet.
    pub(super) fn drop_expired_but(&mut self, id: QueueId, since_ms: u64) -> bool {
        while let Some(queue) = self.state.queue(id) {
            let is_fresh = queue.head().is_some_and(|head| head.published_ms() >= since_ms)
                && queue.next_position().is_some_and(|position| !queue.was_delivered(position));
            if queue.head_expires_ms() > self.now_ms || is_fresh {
                return true;
            }
            if self.is_behind_with_writing() {
                return false;
            }
            self.drop_head(id, Reason::Expired);
        }
        true
    }

    fn drop_overflow(&mut self, id: QueueId) {
        while let Some(queue) = self.state.queue(id) {
            let drops = matches!(queue.settings.overflow, None | Some(Overflow::DropHead));
            if !drops || !queue.overflows() || queue.next_position().is_none() || self.is_behind_with_writing() {
                return;
            }
            self.drop_head(id, Reason::Maxlen);
            // One of a lower priority may come forward by that.
            self.drop_expired(id);
        }
    }

    fn drop_head(&mut self, id: QueueId, reason: Reason) {
        let queue = self.state.queue(id).expect("a queue with a head exists");
        let position = queue.next_position().expect("a queue that is trimmed has a head");
        let message = queue.ready_message(position).expect("the head is ready").share();
        self.dead_letter(id, &message, reason);
        drop(message);
        self.part_changes(id);
        self.commit(&Record::Dropped { queue: id, position });
    }

    /// Whether so much of this turn is to be written down that expired messages and those that are too many wait: their
    /// copies for the dead-letter exchange stay in memory until then.
    fn is_behind_with_writing(&self) -> bool {
        self.facts().len() > self.limits.memory_max_bytes / UNWRITTEN_SHARE
    }

    /// Whether a dead letter may add so much to memory. Deliveries do not count: what is rejected ends one.
    pub(super) fn has_room_for_copy(&mut self, bytes: usize) -> bool {
        let used = self.measure_memory() - self.state.unacked_bytes() as u64;
        used + bytes as u64 <= self.limits.memory_max_bytes as u64
    }

    /// Where a queue's dead letters go, if that exchange is there.
    pub(super) fn dead_letter_exchange<'a>(&self, queue: &'a Queue) -> Option<&'a str> {
        let exchange = queue.settings.dead_letter_exchange.as_deref()?;
        (exchange.is_empty() || self.state.exchange(exchange).is_some()).then_some(exchange)
    }

    /// Sends a message that leaves this queue to the dead-letter exchange, if there is one. Where other queues hold it, too,
    /// that makes a copy more, for which there has to be room.
    pub(super) fn dead_letter(&mut self, id: QueueId, message: &Message, reason: Reason) {
        let has_room = !message.is_elsewhere() || self.has_room_for_copy(message.memory_bytes());
        let Some(queue) = self.state.queue(id) else { return };
        let Some(exchange) = self.dead_letter_exchange(queue) else { return };
        if !has_room {
            self.dropped_dead_letters += 1;
            return;
        }
        let routing_key = queue.settings.dead_letter_routing_key.as_deref();
        let death = Death { queue: &queue.name, reason, now_ms: self.now_ms, exchange, routing_key };
        let dead = death.dead_letter(message, &mut self.message_scratch);
        self.send(dead, Some(reason));
    }

    /// Makes sure to be woken when the head of a queue expires, or in the next turn if it had to wait for that.
    fn watch_expiry(&mut self, id: QueueId) {
        let expires_ms = if self.is_behind_with_writing() {
            self.now_ms
        } else {
            self.state.queue(id).map_or(NEVER_MS, |queue| queue.head_expires_ms())
        };
        if expires_ms == NEVER_MS {
            return;
        }
        let earlier = self.runtime_of(id).expiry;
        if earlier.is_some_and(|(deadline_ms, _)| deadline_ms <= expires_ms) {
            return;
        }
        self.stop(earlier.map(|(_, timer)| timer));
        let timer = self.timers.insert(expires_ms, Due::Expiry(id));
        self.runtime_of(id).expiry = Some((expires_ms, timer));
    }

    /// A queue that expires when it is unused is used.
    pub(super) fn use_queue(&mut self, id: QueueId) {
        if let Some(runtime) = self.runtimes.get_mut(id) {
            runtime.used_ms = self.now_ms;
        }
    }

    /// Sets the timer by which an unused queue goes, where it has to have one.
    pub(super) fn watch_use(&mut self, id: QueueId) {
        let Some(expires_ms) = self.state.queue(id).and_then(|queue| queue.settings.expires_ms) else { return };
        let deadline_ms = self.now_ms.saturating_add(expires_ms);
        let earlier = self.runtime_of(id).disuse.take();
        self.stop(earlier);
        let timer = self.timers.insert(deadline_ms, Due::Disuse(id));
        self.runtime_of(id).disuse = Some(timer);
        self.use_queue(id);
    }

    /// Deletes a queue that was unused for as long as it may be, or looks again later.
    fn look_for_use(&mut self, id: QueueId) {
        let Some(queue) = self.state.queue(id) else { return };
        let expires_ms = queue.settings.expires_ms;
        let now_ms = self.now_ms;
        let runtime = self.runtime_of(id);
        runtime.disuse = None;
        let Some(expires_ms) = expires_ms else { return };
        if !runtime.consumers.is_empty() {
            runtime.used_ms = now_ms;
        }
        let deadline_ms = runtime.used_ms.saturating_add(expires_ms);
        if deadline_ms <= now_ms {
            self.remove_queue(id);
        } else {
            let timer = self.timers.insert(deadline_ms, Due::Disuse(id));
            self.runtime_of(id).disuse = Some(timer);
        }
    }

    /// Holds a message back in its exchange.
    pub(super) fn delay(&mut self, mut message: Message, delay_ms: u64) -> Routed {
        let is_durable = self.state.exchange(message.exchange()).is_some_and(|exchange| exchange.durable);
        if self.keeper.is_some() && is_durable && message.is_persistent() {
            if self.refuses_to_keep() {
                return Routed::Refused;
            }
            message.set_kept(true);
        }
        let (number, due_ms) = (self.state.next_delayed(), self.now_ms.saturating_add(delay_ms));
        self.commit(&Record::Delayed { number, message: &message, due_ms });
        self.timers.insert(due_ms, Due::Delay(number));
        Routed::Queued(1)
    }

    /// A message goes on, unless its exchange has gone meanwhile.
    fn end_delay(&mut self, number: u64) {
        let Some(message) = self.state.delayed(number) else { return };
        let message = headers::with_delay_over(message, &mut self.message_scratch);
        self.send(message, None);
        self.commit(&Record::DelayOver { number });
    }

    /// A message that was refused for a while is ready again.
    fn return_to_queue(&mut self, queue: QueueId, position: u64) {
        if self.state.queue(queue).is_some_and(|queue| queue.unacked_message(position).is_some()) {
            self.requeue_position(queue, position);
        }
    }

    /// A consumer has not acked in time: the message is ready again, and its peer is told.
    fn ack_timed_out(&mut self, channel: ChannelId, delivery_tag: u64, timeout_ms: u64) {
        let known = self.channel(channel);
        let notice = Notice::AckTimedOut(known.connection, known.number, timeout_ms);
        self.take_back(channel, delivery_tag);
        self.notices.push_back(notice);
    }
}
