//! Delivery: consumers, and the messages that they get.

use pocketmq::broker::ErrorKind;

use super::message::Content;
use super::queue::{Arguments, Message, Place, Queue};
use super::{Answer, Reference, Unacked, connection_of, forget_consumer};

#[derive(Clone, Debug)]
pub struct Consumer {
    pub tag: String,
    pub queue: String,
    pub no_ack: bool,
    pub prefetch: u16,
    pub priority: i64,
    /// Rises from consumer to consumer.
    pub since: u64,
}

/// A delivered message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub delivery_tag: u64,
    pub redelivered: bool,
    /// Its `x-delivery-count`.
    pub delivery_count: Option<i64>,
    pub content: Content,
}

impl Reference {
    pub fn consumers_of(&self, queue: &str) -> usize {
        self.channels.iter().flat_map(|channel| &channel.consumers).filter(|consumer| consumer.queue == queue).count()
    }

    /// Returns the consumers that may take a message, with their channels; the first one with room gets it, within a
    /// priority.
    fn candidates(&self, queue: &Queue) -> Vec<(usize, &Consumer)> {
        let all = self.channels.iter().enumerate();
        let all = all.flat_map(|(number, channel)| channel.consumers.iter().map(move |consumer| (number, consumer)));
        let theirs = all.filter(|(_, consumer)| consumer.queue == queue.name);
        if queue.arguments.has_single_active_consumer {
            let active = queue.line.first().filter(|_| !self.is_handing_over(queue));
            return theirs.filter(|(_, consumer)| active == Some(&consumer.since)).collect();
        }
        theirs.collect()
    }

    fn priority_of(&self, since: u64) -> i64 {
        let mut all = self.channels.iter().flat_map(|channel| &channel.consumers);
        all.find(|consumer| consumer.since == since).expect("a consumer in line").priority
    }

    /// Whether a consumer of a higher priority waits until the single active consumer has nothing unacked.
    fn is_handing_over(&self, queue: &Queue) -> bool {
        let Arguments { is_quorum, has_single_active_consumer, .. } = queue.arguments;
        is_quorum
            && has_single_active_consumer
            && queue.line.get(1).is_some_and(|&next| self.priority_of(next) > self.priority_of(queue.line[0]))
    }

    /// Puts a new consumer, or one that was active, in line.
    fn line_up(&mut self, name: &str, since: u64) {
        let queue = self.queue(name).expect("a queue with consumers");
        let Arguments { is_quorum, has_single_active_consumer, .. } = queue.arguments;
        let comes_after = |&&other: &&u64| {
            is_quorum && has_single_active_consumer && self.priority_of(other) < self.priority_of(since)
        };
        let later = queue.line.iter().skip(1).filter(comes_after).count();
        let place = queue.line.len() - later;
        self.queue_mut(name).expect("it was found").line.insert(place, since);
    }

    /// Makes the consumer of a higher priority the active one, if it may be.
    pub(super) fn reappoint(&mut self, name: &str) {
        let Some(queue) = self.queue(name).filter(|queue| self.is_handing_over(queue)) else { return };
        let active = queue.line[0];
        let is_busy = self.channels.iter().any(|channel| {
            let is_active = |unacked: &&Unacked| {
                let holder = channel.consumers.iter().find(|consumer| unacked.consumer.as_ref() == Some(&consumer.tag));
                holder.is_some_and(|holder| holder.since == active)
            };
            channel.unacked.iter().any(|unacked| is_active(&unacked))
        });
        if !is_busy {
            self.queue_mut(name).expect("it was found").line.remove(0);
            self.line_up(name, active);
        }
    }

    /// Returns how many messages the consumers of this queue could take at once.
    pub fn room(&self, queue: &Queue) -> usize {
        let rooms = self.candidates(queue).into_iter().map(|(number, consumer)| self.room_of(number, consumer));
        rooms.fold(0, usize::saturating_add)
    }

    /// Whether a consumer of this queue could take a message at once.
    pub fn has_taker(&self, queue: &Queue) -> bool {
        self.room(queue) > 0
    }

    /// Whether a consumer of this queue could take a message at once, and no other queue can come first.
    pub fn has_sure_taker(&self, queue: &Queue) -> bool {
        let is_sure = |(number, consumer): (usize, &Consumer)| {
            self.room_of(number, consumer) > 0 && !self.takes_turns(number, &queue.name)
        };
        self.candidates(queue).into_iter().any(is_sure)
    }

    pub fn consume(
        &mut self,
        channel: usize,
        name: &str,
        tag: &str,
        no_ack: bool,
        exclusive: bool,
        priority: i64,
    ) -> Answer<()> {
        if self.channels[channel].consumers.iter().any(|consumer| consumer.tag == tag) {
            return Err(ErrorKind::NotAllowed);
        }
        let queue = self.access(channel, name)?;
        let known = self.queue(&queue).expect("it was found");
        if known.arguments.is_quorum && self.channels[channel].channel_prefetch > 0 {
            return Err(ErrorKind::NotImplemented);
        }
        let is_single = known.arguments.has_single_active_consumer;
        if known.exclusive_consumer || exclusive && (is_single || self.consumers_of(&queue) > 0) {
            return Err(ErrorKind::AccessRefused);
        }
        self.queue_mut(&queue).expect("it was found").exclusive_consumer = exclusive;
        self.consumed += 1;
        let (since, prefetch) = (self.consumed, self.channels[channel].consumer_prefetch);
        let consumer = Consumer { tag: tag.into(), queue: queue.clone(), no_ack, prefetch, priority, since };
        self.channels[channel].consumers.push(consumer);
        self.line_up(&queue, since);
        self.reappoint(&queue);
        Ok(())
    }

    pub fn cancel(&mut self, channel: usize, tag: &str) {
        let known = &mut self.channels[channel];
        let Some(index) = known.consumers.iter().position(|consumer| consumer.tag == tag) else { return };
        let consumer = known.consumers.remove(index);
        forget_consumer(&mut known.unacked, tag);
        self.left(&consumer.queue);
    }

    /// A consumer of this queue was cancelled or closed.
    pub(super) fn left(&mut self, name: &str) {
        let (now, is_last) = (self.now, self.consumers_of(name) == 0);
        let all = self.channels.iter().flat_map(|channel| &channel.consumers).map(|consumer| consumer.since);
        let there: Vec<_> = all.collect();
        let Some(queue) = self.queue_mut(name) else { return };
        queue.exclusive_consumer = false;
        queue.line.retain(|since| there.contains(since));
        if is_last {
            queue.used = now;
            queue.is_doomed |= queue.auto_delete;
        }
        self.reappoint(name);
    }

    /// Sets a prefetch; one for each consumer replaces the channel's.
    pub fn qos(&mut self, channel: usize, prefetch: u16, global: bool) {
        let known = &mut self.channels[channel];
        known.channel_prefetch = if global { prefetch } else { 0 };
        if !global {
            known.consumer_prefetch = prefetch;
        }
    }

    pub fn pause(&mut self, connection: usize, paused: bool) {
        self.paused[connection] = paused;
    }

    /// Whether consumers of other queues share the channel's prefetch, and may get a message before this queue's.
    fn takes_turns(&self, number: usize, queue: &str) -> bool {
        let channel = &self.channels[number];
        channel.channel_prefetch > 0 && channel.consumers.iter().any(|other| other.queue != queue)
    }

    /// Returns how many messages a consumer can take.
    fn room_of(&self, number: usize, consumer: &Consumer) -> usize {
        let channel = &self.channels[number];
        if self.paused[connection_of(number)] {
            return 0;
        }
        let count =
            |counts: &dyn Fn(&Unacked) -> bool| channel.unacked.iter().filter(|unacked| counts(unacked)).count();
        let left = |prefetch: u16, count: usize| match prefetch {
            0 => usize::MAX,
            prefetch => usize::from(prefetch).saturating_sub(count),
        };
        let by_consumer = count(&|unacked| unacked.consumer.as_ref() == Some(&consumer.tag));
        let by_channel = left(channel.channel_prefetch, count(&|unacked| unacked.is_counted));
        // Deliveries without ack are not counted by the prefetch, but wait like the others.
        match by_channel {
            0 => 0,
            _ if consumer.no_ack => usize::MAX,
            _ => left(consumer.prefetch, by_consumer).min(by_channel),
        }
    }

    /// Returns the message, and how many are ready behind it.
    pub fn get(
        &mut self,
        channel: usize,
        name: &str,
        no_ack: bool,
        timeout: Option<u64>,
    ) -> Answer<Option<(Delivered, usize)>> {
        let name = self.access(channel, name)?;
        let now = self.now;
        let queue = self.queue_mut(&name).expect("it was found");
        queue.used = now;
        if queue.ready().is_empty() {
            return Ok(None);
        }
        let delivered = self.hand_over(channel, &name, None, no_ack, timeout.map(|timeout| now + timeout));
        Ok(Some((delivered, self.queue(&name).expect("it was found").ready().len())))
    }

    /// The broker chose this consumer: checks that it was allowed to, and returns the delivery to expect.
    pub fn deliver(&mut self, channel: usize, tag: &str) -> Delivered {
        let consumers = &self.channels[channel].consumers;
        let consumer = consumers.iter().find(|consumer| consumer.tag == tag).expect("a delivery to a consumer").clone();
        let queue = self.queue(&consumer.queue).expect("a consumer's queue exists");
        let able = self.candidates(queue).into_iter().filter(|(number, able)| self.room_of(*number, able) > 0);
        let able: Vec<_> = able.collect();
        assert!(able.iter().any(|(_, able)| able.since == consumer.since), "a delivery to {tag}, which has no room");
        let is_sooner = |&&(number, able): &&(usize, &Consumer)| {
            able.priority > consumer.priority && !self.takes_turns(number, &consumer.queue)
        };
        let sooner = able.iter().find(is_sooner);
        assert!(sooner.is_none(), "a delivery to {tag}, where {sooner:?} of a higher priority has room");
        assert!(queue.head().is_some(), "a delivery from {}, which is empty", consumer.queue);
        let holder = (!consumer.no_ack).then_some(consumer.tag);
        self.hand_over(channel, &consumer.queue, holder, consumer.no_ack, None)
    }

    fn hand_over(
        &mut self,
        channel: usize,
        name: &str,
        consumer: Option<String>,
        no_ack: bool,
        deadline: Option<u64>,
    ) -> Delivered {
        let queue = self.queue(name).expect("a delivery from a queue");
        let Message { position, redelivered, delivery_count, ref content, .. } =
            *queue.head().expect("a ready message");
        assert!(!self.is_expired(queue, queue.head().expect("a ready message")), "an expired message is delivered");
        let content = content.clone();
        let (declared, is_counted) = (queue.declared, consumer.is_some());
        // A deadline of its own replaces the queue's timeout.
        let timeout = if deadline.is_some() { None } else { self.timeout(declared) };
        let known = self.queue_mut(name).expect("a delivery from a queue");
        if no_ack {
            known.take(position);
        } else {
            known.at(position).place = Place::Unacked;
        }
        let channel = &mut self.channels[channel];
        channel.last_tag += 1;
        let tag = channel.last_tag;
        if !no_ack {
            let unacked = Unacked { tag, declared, position, consumer, is_counted, deadline, timeout, on_commit: None };
            channel.unacked.push(unacked);
        }
        Delivered { delivery_tag: tag, redelivered, delivery_count, content }
    }

    /// Returns when a message that is delivered now must be acked, and the timeout itself.
    pub(super) fn timeout(&self, declared: u64) -> Option<(u64, u64)> {
        let queue = self.queues.iter().find(|queue| queue.declared == declared)?;
        self.settings(queue).consumer_timeout.map(|ms| (self.now + ms, ms))
    }

    /// Checks that no queue has a message to deliver, to expire or to drop.
    pub fn check_idle(&self) {
        for queue in &self.queues {
            let Some(head) = queue.head() else { continue };
            assert!(!self.has_taker(queue), "{} has messages, and a consumer has room", queue.name);
            assert!(!self.is_expired(queue, head), "{} has an expired message at its head", queue.name);
            assert!(!self.drops_head(queue), "{} has too many messages", queue.name);
        }
        let expired = self.queues.iter().find(|queue| self.is_unused(queue));
        assert!(expired.is_none(), "{expired:?} was not used for too long");
    }

    /// Whether a queue should have expired.
    pub(super) fn is_unused(&self, queue: &Queue) -> bool {
        let expires = self.settings(queue).expires;
        expires.is_some_and(|expires| self.consumers_of(&queue.name) == 0 && self.now >= queue.used + expires)
    }

    /// Returns the delivery tags that are unacked on a channel.
    pub fn unacked_tags(&self, channel: usize) -> Vec<u64> {
        self.channels[channel].unacked.iter().map(|unacked| unacked.tag).collect()
    }
}
