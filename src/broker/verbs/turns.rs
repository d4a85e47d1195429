//! Turns: which of the consumers that may have room is offered a message next.
//!
//! ```text
//!                    asked by its queue, and its channel is full
//!   waiting at its queue ────────────────────────────────────────> turned away, at the end of its channel's list
//!         ^                                                              │
//!         └── the channel has room for one more: the first of them ──────┘
//! ```
//! So consumers that share the prefetch of a channel take turns, whatever their queues, and the cost of a delivery does
//! not depend on their number. A consumer whose own prefetch is used up is in no list: its ack brings it back.

use super::Broker;
use crate::broker::model::settings::QueueType;
use crate::id::{ChannelId, ConsumerId, QueueId};

impl Broker {
    /// Offers a message to a consumer that may have room. If it is waiting already, its queue has nothing for it or is
    /// active.
    pub(super) fn offer(&mut self, id: ConsumerId) {
        let consumer = self.consumers.get(id).expect("a consumer that has room exists");
        if !consumer.is_waiting {
            self.welcome(id, consumer.queue, consumer.priority);
        }
    }

    /// Puts a consumer in its queue's rotation.
    fn welcome(&mut self, id: ConsumerId, queue: QueueId, priority: i64) {
        let runtime = self.runtimes.get_mut(queue).expect("a queue with a consumer has a runtime");
        let is_single = self.state.queue(queue).is_some_and(|queue| queue.settings.single_active_consumer);
        if is_single && (runtime.consumers.first() != Some(&id) || runtime.is_handing_over) {
            return;
        }
        if !runtime.is_anybody_waiting() {
            // Messages that expired before any consumer waited are not for this one.
            self.drop_expired_but(queue, self.now_ms);
            self.runtime_of(queue).awaited_ms = self.now_ms;
        }
        self.consumers.get_mut(id).expect("who comes is a consumer").is_waiting = true;
        if self.is_front(queue) {
            return self.activate_parts_of(id, queue);
        }
        self.runtime_of(queue).enqueue(id, priority);
        self.activate(queue);
    }

    /// Offers messages to all consumers of a channel that was full.
    pub(super) fn offer_channel(&mut self, channel: ChannelId) {
        while self.offer_next(channel).is_some() {}
    }

    /// Offers a channel's room to the first of its turned-away consumers whose queue has a message. If another consumer
    /// takes that message first, the consumers behind are offered the room in their turn.
    pub(super) fn offer_turned_away(&mut self, channel: ChannelId) {
        while let Some(queue) = self.offer_next(channel) {
            let ready = self.part_to_get_from(queue);
            if self.state.queue(ready).is_some_and(|queue| queue.ready_count() > 0) {
                let known = self.channel_mut(channel);
                if !known.turned_away.is_empty() && !std::mem::replace(&mut known.is_roomy, true) {
                    self.roomy.push_back(channel);
                }
                return;
            }
        }
    }

    /// Offers the room of the channels in the list. Returns whether that made a queue active.
    pub(super) fn offer_to_roomy(&mut self) -> bool {
        while let Some(channel) = self.roomy.pop_front() {
            if let Some(known) = self.channels.get_mut(channel) {
                known.is_roomy = false;
                self.offer_turned_away(channel);
            }
            if !self.active.is_empty() {
                return true;
            }
        }
        false
    }

    /// Offers the room to the next consumer in turn, and returns its queue, if there is one.
    fn offer_next(&mut self, channel: ChannelId) -> Option<QueueId> {
        let Self { runtimes, consumers, channels, .. } = self;
        let known = channels.get_mut(channel).expect("who asks for room is an open channel");
        if known.is_full() || known.turned_away.is_empty() {
            return None;
        }
        let consumer = |id| consumers.get(id).expect("who is turned away is a consumer");
        let queue = consumer(known.turned_away[0]).queue;
        if runtimes.get(queue).is_some_and(|runtime| runtime.has_priorities) {
            // Within a queue the highest priority comes first.
            let theirs =
                (0..known.turned_away.len()).filter(|&place| consumer(known.turned_away[place]).queue == queue);
            let best = theirs.min_by_key(|&place| std::cmp::Reverse(consumer(known.turned_away[place]).priority));
            known.turned_away.swap(0, best.unwrap_or_default());
        }
        let next = known.turned_away.pop_front().expect("it is not empty");
        consumers.get_mut(next).expect("who is turned away is a consumer").is_turned_away = false;
        self.offer(next);
        Some(queue)
    }

    /// Inserts a consumer, new or formerly active, behind those that take over before it.
    pub(super) fn line_up(&mut self, queue: QueueId, id: ConsumerId) {
        let heeds_priority = self.heeds_priority(queue);
        let Self { runtimes, consumers, .. } = self;
        let known = &mut runtimes.get_mut(queue).expect("a queue with a consumer has a runtime").consumers;
        let priority_of = |id| consumers.get(id).map_or(0, |consumer| consumer.priority);
        let comes_after = |other: &ConsumerId| heeds_priority && priority_of(*other) < priority_of(id);
        let place = known.iter().skip(1).position(comes_after).map_or(known.len(), |place| place + 1);
        known.insert(place, id);
        self.hand_over_to_higher(queue);
    }

    /// Returns whether a single active consumer gives way to one of a higher priority.
    fn heeds_priority(&self, queue: QueueId) -> bool {
        self.state.queue(queue).is_some_and(|queue| {
            let settings = &queue.settings;
            settings.single_active_consumer
                && settings.queue_type == QueueType::Quorum
                && queue.kind.partitions().is_none()
        })
    }

    /// Prepares to activate a waiting consumer of a higher priority, as soon as the active one has nothing unacked.
    pub(super) fn hand_over_to_higher(&mut self, queue: QueueId) {
        if !self.heeds_priority(queue) {
            return;
        }
        let Some(runtime) = self.runtimes.get(queue) else { return };
        let &[active, next, ..] = &runtime.consumers[..] else {
            self.runtime_of(queue).is_handing_over = false;
            return;
        };
        let is_higher = self.consumer(next).priority > self.consumer(active).priority;
        let is_busy = self.consumer(active).unacked > 0;
        let runtime = self.runtime_of(queue);
        runtime.is_handing_over = is_higher && is_busy;
        if !is_higher {
            return;
        }
        runtime.stop_waiting(active);
        self.consumers.get_mut(active).expect("it is one of the queue's").is_waiting = false;
        if !is_busy {
            self.runtime_of(queue).consumers.remove(0);
            self.line_up(queue, active);
            self.offer(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Config, Consume, Event, Publication, QueueDeclaration};
    use crate::limits::Limits;
    use crate::properties::Properties;
    use crate::table::Table;

    #[test]
    fn consumers_of_a_queue_take_turns() {
        let mut broker = Broker::new(Config { seed: [0; 32], limits: Limits::default() });
        let connection = broker.open_connection();
        let channel = broker.open_channel(connection, 1);
        let arguments = &Table::new();
        let (passive, durable, exclusive, auto_delete) = (false, false, false, false);
        let queue = QueueDeclaration { name: "q", passive, durable, exclusive, auto_delete, arguments };
        broker.declare_queue(channel, &queue).unwrap();
        for consumer_tag in ["a", "b", "c"] {
            let (queue, no_ack) = ("q", consumer_tag != "b");
            broker.qos(channel, 2, false);
            broker.consume(channel, &Consume { queue, consumer_tag, no_ack, exclusive, arguments }).unwrap();
        }
        let (properties, body, mandatory) = (Properties::EMPTY, b"", false);
        let publication = Publication { exchange: "", routing_key: "q", properties, body, mandatory };
        let mut taken = String::new();
        for _ in 0..10 {
            broker.publish(channel, &publication).unwrap();
            match broker.poll() {
                Some(Event::Delivery(delivery)) => taken += delivery.consumer_tag,
                other => panic!("{other:?} instead of a delivery"),
            }
        }
        // The second one acks nothing, and has room for two.
        assert_eq!(taken, "abcabcacac");
    }
}
