//! Upkeep: what happens to messages and queues when time passes or a limit is reached.
//!
//! A queue that changed is *tended*: it is offered to its consumers, and when none of them can take more, expired and
//! excess messages are removed. So a queue whose consumers keep up drops nothing that they would have received.
//!
//! ```text
//!   changed ──> waiting consumers? ── yes ──> active: poll delivers, and tends the queue again when none takes more
//!                     └── no ──> expired heads go, then the excess ──> dead letters ──> their queues changed
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

/// Fraction of the memory for messages, one in this many, that the dead letters of messages that expired in one turn
/// may take until they are written down.
const UNWRITTEN_SHARE: usize = 8;

impl Broker {
    /// Does what is due now, and stops when too much of it has to be written down first.
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

    /// Tends the queues that changed, and those that change in the process.
    pub(super) fn tend_changed(&mut self) {
        while let Some(queue) = self.changed.pop() {
            // A requeued message may be the head now, and may have been paged out.
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

    /// Removes expired and excess messages from a queue.
    pub(super) fn trim(&mut self, id: QueueId) {
        let Some(queue) = self.state.queue(id) else { return };
        if queue.head_expires_ms() == NEVER_MS && !queue.settings.has_length_limit() {
            return;
        }
        self.drop_expired(id);
        self.drop_overflow(id);
        self.watch_expiry(id);
    }

    /// Removes expired messages from the head of a queue. Messages that arrived since the last deliveries were made
    /// stay if a consumer has been waiting since then: a broker that delivers at once would have delivered them in
    /// time. Returns whether the head may be delivered.
    pub(super) fn drop_expired(&mut self, id: QueueId) -> bool {
        let runtime = self.runtimes.get(id).filter(|runtime| runtime.is_anybody_waiting());
        self.drop_expired_but(id, runtime.map_or(NEVER_MS, |runtime| self.polled_ms.max(runtime.awaited_ms)))
    }

    /// Removes expired messages from the head of a queue, except those that arrived since `since_ms` and were not
    /// delivered yet.
    pub(super) fn drop_expired_but(&mut self, id: QueueId, since_ms: u64) -> bool {
        while let Some(queue) = self.state.queue(id) {
            let is_fresh = queue.head().is_some_and(|head| head.published_ms() >= since_ms)
                && queue.head_position().is_some_and(|position| !queue.was_delivered(position));
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
            if !drops || !queue.overflows() || queue.head_position().is_none() || self.is_behind_with_writing() {
                return;
            }
            self.drop_head(id, Reason::Maxlen);
            // A message of a lower priority may be the head now.
            self.drop_expired(id);
        }
    }

    fn drop_head(&mut self, id: QueueId, reason: Reason) {
        let queue = self.state.queue(id).expect("a queue with a head exists");
        let position = queue.head_position().expect("a queue that is trimmed has a head");
        let message = queue.ready_message(position).expect("the head is ready").share();
        self.dead_letter(id, &message, reason);
        drop(message);
        self.part_changes(id);
        self.commit(&Record::Dropped { queue: id, position });
    }

    /// Returns whether this turn has so much to be written down that expired and excess messages have to wait: their
    /// copies for the dead-letter exchange stay in memory until then.
    fn is_behind_with_writing(&self) -> bool {
        self.facts().len() > self.limits.memory_max_bytes / UNWRITTEN_SHARE
    }

    /// Returns whether a dead letter may add this much to memory. Deliveries do not count: rejecting a message ends
    /// one.
    pub(super) fn has_room_for_copy(&mut self, bytes: usize) -> bool {
        let used = self.measure_memory() - self.state.unacked_bytes() as u64;
        used + bytes as u64 <= self.limits.memory_max_bytes as u64
    }

    /// Returns the dead-letter exchange of a queue, if it exists.
    pub(super) fn dead_letter_exchange<'a>(&self, queue: &'a Queue) -> Option<&'a str> {
        let exchange = queue.settings.dead_letter_exchange.as_deref()?;
        (exchange.is_empty() || self.state.exchange(exchange).is_some()).then_some(exchange)
    }

    /// Sends a message that leaves this queue to the dead-letter exchange, if there is one. If other queues hold the
    /// message, too, this makes a copy, which must fit into memory.
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

    /// Sets a timer for the expiry of a queue's head, or for the next turn if its removal had to wait.
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

    /// Notes that a queue is used, if it expires when unused.
    pub(super) fn use_queue(&mut self, id: QueueId) {
        if let Some(runtime) = self.runtimes.get_mut(id) {
            runtime.used_ms = self.now_ms;
        }
    }

    /// Sets the timer that deletes a queue when it is unused, if it needs one.
    pub(super) fn watch_use(&mut self, id: QueueId) {
        let Some(expires_ms) = self.state.queue(id).and_then(|queue| queue.settings.expires_ms) else { return };
        let deadline_ms = self.now_ms.saturating_add(expires_ms);
        let earlier = self.runtime_of(id).disuse.take();
        self.stop(earlier);
        let timer = self.timers.insert(deadline_ms, Due::Disuse(id));
        self.runtime_of(id).disuse = Some(timer);
        self.use_queue(id);
    }

    /// Deletes a queue that was unused for its full time, or checks again later.
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

    /// Holds a message back in its exchange for a while.
    pub(super) fn delay(&mut self, mut message: Message, delay_ms: u64) -> Routed {
        let is_durable = self.state.exchange(message.exchange()).is_some_and(|exchange| exchange.durable);
        if self.recorder.is_some() && is_durable && message.is_persistent() {
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

    /// Routes a delayed message, unless its exchange was deleted meanwhile.
    fn end_delay(&mut self, number: u64) {
        let Some(message) = self.state.delayed(number) else { return };
        let message = headers::with_delay_over(message, &mut self.message_scratch);
        self.send(message, None);
        self.commit(&Record::DelayOver { number });
    }

    /// Makes a message ready that was rejected for a while.
    fn return_to_queue(&mut self, queue: QueueId, position: u64) {
        if self.state.queue(queue).is_some_and(|queue| queue.unacked_message(position).is_some()) {
            self.requeue_position(queue, position);
        }
    }

    /// Requeues a message whose consumer has not acked in time, and notifies the peer.
    fn ack_timed_out(&mut self, channel: ChannelId, delivery_tag: u64, timeout_ms: u64) {
        let known = self.channel(channel);
        let notice = Notice::AckTimedOut(known.connection, known.number, timeout_ms);
        self.take_back(channel, delivery_tag);
        self.notices.push_back(notice);
    }
}
