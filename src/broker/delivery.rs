//! Delivery: from a queue to its consumers, in turn.
//!
//! A queue that may have something to deliver is *active*; the broker goes round the active queues, one delivery each.
//! Whatever can make a delivery possible (a message arrives or returns, a consumer comes or has room again) makes the
//! queue active; a queue that turns out to have nothing to do stops being so.

use super::Broker;
use super::channel::{Holder, Outstanding};
use super::consumer::{Consumer, Consumers};
use super::error::{Error, Resource};
use super::message::Message;
use super::record::Record;
use super::topology::{REPLY_TO, check_short};
use crate::id::{ChannelId, ConnectionId, ConsumerId, QueueId};
use crate::table::Table;

/// A consumer to be.
#[derive(Clone, Copy, Debug)]
pub struct Consume<'a> {
    /// The queue; the empty name is the channel's last declared one.
    pub queue: &'a str,
    /// The consumer tag; when empty, the broker makes one.
    pub consumer_tag: &'a str,
    /// Deliveries are settled as they are made.
    pub no_ack: bool,
    /// No other consumer beside this one.
    pub exclusive: bool,
    /// Further arguments.
    pub arguments: &'a Table,
}

/// What is to be sent to a consumer.
#[derive(Debug)]
pub enum Event<'a> {
    /// A message.
    Delivery(Delivery<'a>),
    /// Its queue has gone, and so has the consumer.
    Cancelled {
        /// Whose it was.
        connection: ConnectionId,
        /// The peer's number of the channel.
        channel: u16,
        /// The consumer.
        consumer_tag: Box<str>,
    },
}

/// A message for a consumer.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// Whose it is.
    pub connection: ConnectionId,
    /// The peer's number of the channel.
    pub channel: u16,
    /// The consumer.
    pub consumer_tag: &'a str,
    /// Rises by one from delivery to delivery of a channel.
    pub delivery_tag: u64,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// The message.
    pub message: &'a Message,
}

/// A message that was got.
#[derive(Debug)]
pub struct Got<'a> {
    /// Rises by one from delivery to delivery of a channel.
    pub delivery_tag: u64,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How many messages are ready behind it.
    pub message_count: usize,
    /// The message.
    pub message: &'a Message,
}

/// A message that has left the ready ones.
struct Handed {
    queue: QueueId,
    position: u64,
    delivery_tag: u64,
    redelivered: bool,
}

impl Broker {
    /// Starts a consumer and answers its tag.
    ///
    /// # Errors
    /// When there is no such queue, it is locked or in exclusive use, or the tag is in use on the channel.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn consume(&mut self, channel: ChannelId, consume: &Consume<'_>) -> Result<Box<str>, Error> {
        let Consume { queue, consumer_tag, no_ack, exclusive, arguments } = *consume;
        if arguments.get("x-priority").is_some() {
            return Err(Error::NotImplemented("the consumer argument 'x-priority' is not implemented".into()));
        }
        check_short("consumer tag", consumer_tag)?;
        if self.channel(channel).consumers.contains_key(consumer_tag) {
            return Err(Error::ConsumerTagInUse(consumer_tag.into()));
        }
        let queue = if queue == REPLY_TO {
            self.declare_reply_queue(channel, no_ack)?
        } else {
            self.accessible_queue(channel, queue)?
        };
        let consumers = self.consumers_of(queue);
        if consumers.is_exclusive || (exclusive && !consumers.all.is_empty()) {
            return Err(Error::ExclusiveUse(self.queue_name(queue)));
        }
        consumers.is_exclusive = exclusive;
        let tag = if consumer_tag.is_empty() { self.generate_name("amq.ctag-") } else { consumer_tag.into() };
        self.attach(channel, queue, &tag, no_ack);
        Ok(tag)
    }

    fn attach(&mut self, channel: ChannelId, queue: QueueId, tag: &str, no_ack: bool) {
        let prefetch = self.channel(channel).consumer_prefetch;
        let consumer = Consumer { channel, queue, tag: tag.into(), no_ack, prefetch, unacked: 0, is_waiting: false };
        let id = self.consumers.insert(consumer);
        self.channel_mut(channel).consumers.insert(tag.into(), id);
        self.consumers_of(queue).all.push(id);
        self.offer(id);
    }

    /// Ends a consumer. What it has not settled stays unacked on its channel. An unknown tag is no error.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn cancel(&mut self, channel: ChannelId, consumer_tag: &str) {
        let Some(consumer) = self.channel_mut(channel).consumers.remove(consumer_tag) else { return };
        if let Some(queue) = self.detach(consumer) {
            self.delete_if_abandoned(queue);
        }
    }

    /// Takes a consumer from its queue and answers which that was. Its channel must have forgotten its tag.
    pub(super) fn detach(&mut self, id: ConsumerId) -> Option<QueueId> {
        let gone = self.consumers.remove(id)?;
        if let Some(consumers) = self.queue_consumers.get_mut(gone.queue) {
            consumers.remove(id);
        }
        if let Some(channel) = self.channels.get_mut(gone.channel) {
            let held = channel.unacked.values_mut().filter(|held| held.holder == Holder::Consumer(id));
            held.for_each(|held| held.holder = Holder::Cancelled);
        }
        Some(gone.queue)
    }

    /// Sets how many unacked deliveries there may be: for each consumer that the channel will have, or with `global`
    /// for the channel as a whole. 0 is unlimited.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn qos(&mut self, channel: ChannelId, prefetch_count: u16, global: bool) {
        let known = self.channel_mut(channel);
        if global {
            known.channel_prefetch = prefetch_count;
            self.offer_channel(channel);
        } else {
            known.consumer_prefetch = prefetch_count;
        }
    }

    /// Takes the next ready message of a queue, if there is one.
    ///
    /// # Errors
    /// When there is no such queue, or it is locked.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn get(&mut self, channel: ChannelId, queue: &str, no_ack: bool) -> Result<Option<Got<'_>>, Error> {
        self.state.let_go();
        let queue = self.accessible_queue(channel, queue)?;
        let Some(Handed { position, delivery_tag, redelivered, .. }) =
            self.hand_over(queue, channel, Holder::Get, no_ack)
        else {
            return Ok(None);
        };
        let message_count = self.state.queue(queue).map_or(0, |queue| queue.ready_count());
        let message = self.state.delivered(queue, position);
        Ok(Some(Got { delivery_tag, redelivered, message_count, message }))
    }

    /// The next thing to be sent to a consumer. Call it until there is none, or pause who does not keep up.
    pub fn poll(&mut self) -> Option<Event<'_>> {
        self.state.let_go();
        if let Some((connection, channel, consumer_tag)) = self.cancelled.pop_front() {
            return Some(Event::Cancelled { connection, channel, consumer_tag });
        }
        let (consumer, handed) = loop {
            let queue = *self.active.front()?;
            if let Some(next) = self.deliver_next(queue) {
                self.active.pop_front();
                self.active.push_back(queue);
                break next;
            }
            self.active.pop_front();
            if let Some(consumers) = self.queue_consumers.get_mut(queue) {
                consumers.is_active = false;
            }
        };
        let consumer = self.consumer(consumer);
        let channel = self.channel(consumer.channel);
        Some(Event::Delivery(Delivery {
            connection: channel.connection,
            channel: channel.number,
            consumer_tag: &consumer.tag,
            delivery_tag: handed.delivery_tag,
            redelivered: handed.redelivered,
            message: self.state.delivered(handed.queue, handed.position),
        }))
    }

    /// Gives the queue's next message to the first of its consumers that can take it.
    fn deliver_next(&mut self, queue: QueueId) -> Option<(ConsumerId, Handed)> {
        if self.state.queue(queue)?.ready_count() == 0 {
            return None;
        }
        let id = self.next_taker(queue)?;
        let consumer = self.consumers.get_mut(id).expect("a taker is a consumer");
        let (channel, no_ack) = (consumer.channel, consumer.no_ack);
        if !no_ack {
            consumer.unacked += 1;
            self.channel_mut(channel).consuming += 1;
        }
        let handed =
            self.hand_over(queue, channel, Holder::Consumer(id), no_ack).expect("the queue has a ready message");
        Some((id, handed))
    }

    /// The first consumer in the rotation that has room; it goes to the end, and those without room drop out.
    fn next_taker(&mut self, queue: QueueId) -> Option<ConsumerId> {
        let rotation = &mut self.queue_consumers.get_mut(queue)?.rotation;
        while let Some(&id) = rotation.front() {
            let consumer = self.consumers.get_mut(id).expect("a queue's consumer exists");
            let channel = self.channels.get(consumer.channel).expect("a consumer's channel is open");
            if !channel.paused && (consumer.no_ack || (consumer.has_room() && channel.has_room())) {
                rotation.pop_front();
                rotation.push_back(id);
                return Some(id);
            }
            consumer.is_waiting = false;
            rotation.pop_front();
        }
        None
    }

    /// Moves the next ready message to a channel: as unacked, or for good.
    fn hand_over(&mut self, id: QueueId, channel: ChannelId, holder: Holder, no_ack: bool) -> Option<Handed> {
        let queue = self.state.queue(id)?;
        let position = queue.next_position()?;
        let redelivered = queue.was_delivered(position);
        let known = self.channels.get_mut(channel).expect("a delivery goes to an open channel");
        let delivery_tag = known.next_delivery_tag();
        if no_ack {
            self.commit(&Record::Taken { queue: id, position });
        } else {
            known.unacked.insert(delivery_tag, Outstanding { queue: id, position, holder, timer: None });
            self.commit(&Record::Delivered { queue: id, position });
        }
        Some(Handed { queue: id, position, delivery_tag, redelivered })
    }

    /// The consumers of a queue, which may not have had any so far.
    fn consumers_of(&mut self, queue: QueueId) -> &mut Consumers {
        if self.queue_consumers.get(queue).is_none() {
            self.queue_consumers.insert_at(queue, Consumers::default());
        }
        self.queue_consumers.get_mut(queue).expect("it was added if it was missing")
    }

    /// A queue may have something to deliver.
    pub(super) fn activate(&mut self, queue: QueueId) {
        let Some(consumers) = self.queue_consumers.get_mut(queue) else { return };
        if !consumers.is_active && !consumers.rotation.is_empty() {
            consumers.is_active = true;
            self.active.push_back(queue);
        }
    }

    /// A consumer may have room.
    pub(super) fn offer(&mut self, id: ConsumerId) {
        let consumer = self.consumers.get_mut(id).expect("a consumer that has room exists");
        let queue = consumer.queue;
        if !std::mem::replace(&mut consumer.is_waiting, true) {
            self.consumers_of(queue).rotation.push_back(id);
        }
        self.activate(queue);
    }

    /// All consumers of a channel may have room.
    pub(super) fn offer_channel(&mut self, channel: ChannelId) {
        for consumer in self.channel(channel).consumer_ids() {
            self.offer(consumer);
        }
    }

    /// The queue behind a channel's consumer of replies: hidden, of a name that cannot be guessed.
    fn declare_reply_queue(&mut self, channel: ChannelId, no_ack: bool) -> Result<QueueId, Error> {
        if !no_ack {
            return Err(Error::ReplyConsumerAcks);
        }
        if self.channel(channel).reply_queue.is_some() {
            return Err(Error::ReplyConsumerExists);
        }
        let name = self.generate_name(&format!("{REPLY_TO}."));
        let queue = self.create_queue(
            channel,
            &super::QueueDeclaration {
                name: &name,
                passive: false,
                durable: false,
                exclusive: true,
                auto_delete: true,
                arguments: &Table::new(),
            },
        );
        self.channel_mut(channel).reply_queue = Some(name);
        Ok(queue)
    }

    pub(super) fn queue_name(&self, queue: QueueId) -> Box<str> {
        self.state.queue(queue).expect("a queue that is looked up by id exists").name.clone()
    }

    /// The empty name stands for the channel's last declared queue.
    pub(super) fn expand_queue_name<'a>(&'a self, channel: ChannelId, name: &'a str) -> Result<&'a str, Error> {
        if !name.is_empty() {
            return Ok(name);
        }
        self.channel(channel).last_queue.as_deref().ok_or(Error::NoQueueDeclared)
    }

    /// The queue of this name, which a peer wants to use.
    pub(super) fn accessible_queue(&self, channel: ChannelId, name: &str) -> Result<QueueId, Error> {
        let name = self.expand_queue_name(channel, name)?;
        let id = self.state.queue_named(name).ok_or_else(|| Error::NotFound(Resource::Queue, name.into()))?;
        let owner = self.connections.get(self.channel(channel).connection);
        let is_owner = owner.is_some_and(|owner| owner.exclusive_queues.contains(&id));
        let queue = self.state.queue(id).expect("a queue that has a name exists");
        if queue.exclusive && !is_owner { Err(Error::Locked(name.into())) } else { Ok(id) }
    }
}
