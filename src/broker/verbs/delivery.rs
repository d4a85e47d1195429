//! Delivery: from a queue to its consumers, in turn.
//!
//! A queue that may have something to deliver is *active*; the broker takes the active queues in turn, one delivery
//! each. Whatever can make a delivery possible (a message arrives or is requeued, a consumer arrives or has room again)
//! makes the queue active; a queue with nothing to deliver becomes inactive.

use super::Broker;
use super::topology::QueueDeclaration;
use crate::broker::model::arguments::PRIORITY;
use crate::broker::model::error::{Error, Resource};
use crate::broker::model::names::{REPLY_TO, check_short};
use crate::broker::model::queue::{Cursor, Queue};
use crate::broker::model::record::Record;
use crate::broker::model::room;
use crate::broker::model::settings::QueueType;
use crate::broker::session::channel::{Channel, Holder, Outstanding};
use crate::broker::session::consumer::Consumer;
use crate::broker::session::event::{Delivery, Event, Got, Notice};
use crate::broker::session::runtime::QueueRuntime;
use crate::id::{ChannelId, ConsumerId, QueueId};
use crate::table::Table;

/// A consumer to be started.
#[derive(Clone, Copy, Debug)]
pub struct Consume<'a> {
    /// The queue; the empty name is the channel's last declared one.
    pub queue: &'a str,
    /// The consumer tag; when empty, the broker makes one.
    pub consumer_tag: &'a str,
    /// Deliveries count as acked as soon as they are made.
    pub no_ack: bool,
    /// Whether the queue may have no other consumer.
    pub exclusive: bool,
    /// Further arguments.
    pub arguments: &'a Table,
}

/// A delivery of a message that is still ready.
#[derive(Clone, Copy)]
struct Handed {
    queue: QueueId,
    position: u64,
    channel: ChannelId,
    delivery_tag: u64,
    redelivered: bool,
    no_ack: bool,
    /// Whether its queue sets a deadline for the ack.
    is_timed: bool,
}

impl Broker {
    /// Starts a consumer and returns its tag.
    ///
    /// # Errors
    /// When there is no such queue, it is locked or in exclusive use, or the tag is in use on the channel.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn consume(&mut self, channel: ChannelId, consume: &Consume<'_>) -> Result<Box<str>, Error> {
        let Consume { queue, consumer_tag, no_ack, exclusive, arguments } = *consume;
        let priority = match arguments.get(PRIORITY) {
            None => 0,
            Some(value) => value.as_integer().ok_or_else(|| {
                let reason = format!("\"expected integer, got {}\"", value.type_name()).into();
                Error::BadQueueArgument { queue: queue.into(), argument: PRIORITY, reason }
            })?,
        };
        check_short("consumer tag", consumer_tag)?;
        self.check_room(room::of_consumer(consumer_tag, arguments))?;
        if self.channel(channel).consumers.contains_key(consumer_tag) {
            return Err(Error::ConsumerTagInUse(consumer_tag.into()));
        }
        let queue = if queue == REPLY_TO {
            self.declare_reply_queue(channel, no_ack)?
        } else {
            self.accessible_queue(channel, queue)?
        };
        self.check_global_prefetch(channel, queue)?;
        let is_single = self.state.queue(queue).is_some_and(|queue| queue.settings.single_active_consumer);
        let runtime = self.runtime_of(queue);
        if runtime.is_exclusive || (exclusive && is_single) || (exclusive && !runtime.consumers.is_empty()) {
            return Err(Error::ExclusiveUse(self.queue_name(queue)));
        }
        runtime.is_exclusive = exclusive;
        let tag = if consumer_tag.is_empty() { self.generate_name("amq.ctag-") } else { consumer_tag.into() };
        let prefetch = self.channel(channel).consumer_prefetch;
        let arguments = arguments.clone();
        self.attach(Consumer {
            channel,
            queue,
            cursor: Cursor::Head,
            tag: tag.clone(),
            no_ack,
            arguments,
            priority,
            prefetch,
            unacked: 0,
            is_waiting: false,
            is_turned_away: false,
        });
        Ok(tag)
    }

    /// Refuses a consumer of a quorum queue on a channel whose prefetch is global.
    fn check_global_prefetch(&self, channel: ChannelId, id: QueueId) -> Result<(), Error> {
        let queue = self.state.queue(id).expect("it was looked up before");
        if queue.settings.queue_type == QueueType::Quorum && self.channel(channel).channel_prefetch > 0 {
            return Err(Error::GlobalPrefetch(queue.name.clone()));
        }
        Ok(())
    }

    fn attach(&mut self, consumer: Consumer) {
        let (channel, queue, tag) = (consumer.channel, consumer.queue, consumer.tag.clone());
        let priority = consumer.priority;
        self.sessions.add(room::of_consumer(&consumer.tag, &consumer.arguments));
        let id = self.consumers.insert(consumer);
        self.channel_mut(channel).consumers.insert(tag, id);
        self.runtime_of(queue).has_priorities |= priority != 0;
        self.line_up(queue, id);
        self.spread_consumers(queue, None);
        self.tend_changed();
        self.offer(id);
    }

    /// Cancels a consumer. Its unacked deliveries stay unacked on its channel. An unknown tag is no error.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn cancel(&mut self, channel: ChannelId, consumer_tag: &str) {
        let Some(consumer) = self.channel_mut(channel).consumers.remove(consumer_tag) else { return };
        if let Some(queue) = self.detach(consumer) {
            self.delete_if_abandoned(queue);
        }
    }

    /// Removes a consumer from its queue and returns that queue. The tag must have been removed from its channel
    /// before.
    pub(super) fn detach(&mut self, id: ConsumerId) -> Option<QueueId> {
        let gone = self.consumers.remove(id)?;
        self.sessions.take_off(room::of_consumer(&gone.tag, &gone.arguments));
        if let Some(channel) = self.channels.get_mut(gone.channel) {
            let held = channel.outstanding_mut().filter(|held| held.holder == Holder::Consumer(id));
            held.for_each(|held| held.holder = Holder::Cancelled);
            channel.turned_away.retain(|&known| known != id);
        }
        if let Some(runtime) = self.runtimes.get_mut(gone.queue) {
            runtime.remove(id);
            runtime.used_ms = self.now_ms;
            self.hand_over_to_higher(gone.queue);
            let runtime = self.runtime_of(gone.queue);
            let first = runtime.consumers.first().copied();
            // It may have been the exclusive or single active consumer that kept the others waiting.
            first.into_iter().for_each(|first| self.offer(first));
        }
        self.spread_consumers(gone.queue, Some(id));
        Some(gone.queue)
    }

    /// Sets the maximum of unacked deliveries: for each consumer started on the channel from now on, or with `global`
    /// for the channel as a whole, until it is set without `global`. 0 is unlimited.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn qos(&mut self, channel: ChannelId, prefetch_count: u16, global: bool) {
        let known = self.channel_mut(channel);
        if !global {
            known.consumer_prefetch = prefetch_count;
        }
        known.channel_prefetch = if global { prefetch_count } else { 0 };
        self.offer_channel(channel);
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
        self.use_queue(queue);
        let part = self.part_to_get_from(queue);
        let known = self.drop_expired(part).then(|| self.state.queue(part)).flatten();
        let Some((position, _)) = known.and_then(|known| known.next(Cursor::Head)) else {
            self.tend_changed();
            return Ok(None);
        };
        let Self { state, channels, .. } = self;
        let (known, taker) = (state.queue(part), channels.get_mut(channel));
        let (known, taker) = (known.expect("it has a head"), taker.expect("a verb is called on an open channel"));
        let handed = hand_over((part, known), position, (channel, taker), Holder::Get, no_ack);
        self.deliver(&handed);
        let Handed { delivery_tag, redelivered, .. } = handed;
        let message_count = self.ready_count(queue);
        self.changed.push(part);
        self.tend_changed();
        let message = self.state.delivered(part, position);
        Ok(Some(Got { delivery_tag, redelivered, message_count, message }))
    }

    /// Returns whether there may be something to deliver.
    #[must_use]
    pub fn has_deliveries(&self) -> bool {
        !self.active.is_empty() || !self.roomy.is_empty()
    }

    /// Returns the next event to be sent to a consumer. Call it until there is none, or pause connections that do not
    /// keep up.
    pub fn poll(&mut self) -> Option<Event<'_>> {
        self.state.let_go();
        if let Some(notice) = self.notices.pop_front() {
            return Some(match notice {
                Notice::Cancelled(connection, channel, consumer_tag) => {
                    Event::Cancelled { connection, channel, consumer_tag }
                }
                Notice::AckTimedOut(connection, channel, timeout_ms) => {
                    Event::AckTimedOut { connection, channel, timeout_ms }
                }
            });
        }
        let (consumer, handed) = loop {
            let Some(queue) = self.active.pop_front() else {
                if self.offer_to_roomy() {
                    continue;
                }
                self.polled_ms = self.now_ms;
                return None;
            };
            if let Some(next) = self.deliver_next(queue) {
                self.active.push_back(queue);
                break next;
            }
            self.deactivate(queue);
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

    /// Delivers the next message to the first of a queue's consumers in turn that has room.
    fn deliver_next(&mut self, queue: QueueId) -> Option<(ConsumerId, Handed)> {
        let mut may_expire = true;
        loop {
            let Self { state, runtimes, consumers, channels, .. } = self;
            let (known, runtime) = (state.queue(queue)?, runtimes.get_mut(queue)?);
            let id = runtime.first()?;
            let consumer = consumers.get_mut(id).expect("a queue's consumer exists");
            let (position, expires_ms) = known.next(consumer.cursor)?;
            if may_expire && expires_ms <= self.now_ms {
                if !self.drop_expired(queue) {
                    return None;
                }
                // What is left arrived in time, even if it has expired since.
                may_expire = false;
                continue;
            }
            let channel = channels.get_mut(consumer.channel).expect("a consumer's channel is open");
            consumer.is_waiting = room_of(consumer, channel) > 0;
            if consumer.is_waiting {
                runtime.rotate();
                consumer.unacked += u32::from(!consumer.no_ack);
                let (holder, taker) = (Holder::Consumer(id), (consumer.channel, channel));
                let handed = hand_over((queue, known), position, taker, holder, consumer.no_ack);
                self.deliver(&handed);
                return Some((id, handed));
            }
            if channel.is_full() && !std::mem::replace(&mut consumer.is_turned_away, true) {
                channel.turned_away.push_back(id);
            }
            if !runtime.skip() {
                return None;
            }
        }
    }

    /// Returns how many messages the consumers of a queue could take now.
    pub(super) fn room_at(&self, queue: QueueId) -> usize {
        let waiting = self.runtimes.get(queue).into_iter().flat_map(QueueRuntime::waiting);
        waiting.fold(0, |room, id| {
            let consumer = self.consumer(id);
            room.saturating_add(room_of(consumer, self.channel(consumer.channel)))
        })
    }

    /// Makes a message that was handed over unacked, or removes it from its queue with no-ack.
    fn deliver(&mut self, handed: &Handed) {
        let Handed { queue, position, channel, delivery_tag, no_ack, is_timed, .. } = *handed;
        if no_ack {
            self.part_changes(queue);
            return self.commit(&Record::Taken { queue, position });
        }
        self.commit(&Record::Delivered { queue, position });
        if is_timed {
            self.watch_ack(channel, delivery_tag);
        }
    }

    /// Returns the runtime of a queue, which is made if it has none yet.
    pub(super) fn runtime_of(&mut self, queue: QueueId) -> &mut QueueRuntime {
        if self.runtimes.get(queue).is_none() {
            self.runtimes.insert_at(queue, QueueRuntime::default());
        }
        self.runtimes.get_mut(queue).expect("it was added if it was missing")
    }

    /// Makes a queue active, as it may have something to deliver. Returns whether it is active.
    pub(super) fn activate(&mut self, id: QueueId) -> bool {
        let Some(mut runtime) = self.runtimes.get_mut(id) else { return false };
        if runtime.is_part {
            self.appoint(id);
            runtime = self.runtime_of(id);
        }
        if runtime.is_active || !runtime.is_anybody_waiting() {
            return runtime.is_active;
        }
        runtime.is_active = true;
        self.active.push_back(id);
        true
    }

    /// Makes a queue inactive: it has nothing more to deliver, or no consumer with room.
    fn deactivate(&mut self, queue: QueueId) {
        if let Some(runtime) = self.runtimes.get_mut(queue) {
            runtime.is_active = false;
        }
        self.trim(queue);
        self.tend_changed();
    }

    /// Declares the queue behind a channel's consumer of replies: hidden, with a name that cannot be guessed.
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
            &QueueDeclaration {
                name: &name,
                passive: false,
                durable: false,
                exclusive: true,
                auto_delete: true,
                arguments: &Table::new(),
            },
        );
        self.channel_mut(channel).reply_queue = Some(name);
        self.runtime_of(queue).reply_channel = Some(channel);
        Ok(queue)
    }

    pub(super) fn queue_name(&self, queue: QueueId) -> Box<str> {
        self.state.queue(queue).expect("a queue that is looked up by id exists").name.clone()
    }

    /// Replaces the empty name by the channel's last declared queue.
    pub(super) fn expand_queue_name<'a>(&'a self, channel: ChannelId, name: &'a str) -> Result<&'a str, Error> {
        if !name.is_empty() {
            return Ok(name);
        }
        self.channel(channel).last_queue.as_deref().ok_or(Error::NoQueueDeclared)
    }

    /// Returns the queue of this name, if the channel may use it.
    pub(super) fn accessible_queue(&self, channel: ChannelId, name: &str) -> Result<QueueId, Error> {
        let name = self.expand_queue_name(channel, name)?;
        let id = self.state.queue_named(name).ok_or_else(|| Error::NotFound(Resource::Queue, name.into()))?;
        let queue = self.state.queue(id).expect("a queue that has a name exists");
        let owner = self.runtimes.get(id).and_then(|runtime| runtime.owner);
        let is_locked = queue.exclusive && owner != Some(self.channel(channel).connection);
        if is_locked { Err(Error::Locked(name.into())) } else { Ok(id) }
    }
}

/// Adds a delivery of the message at this position to a channel.
fn hand_over(
    (queue, known): (QueueId, &Queue),
    position: u64,
    (channel, taker): (ChannelId, &mut Channel),
    holder: Holder,
    no_ack: bool,
) -> Handed {
    let (redelivered, is_timed) = (known.was_delivered(position), known.settings.consumer_timeout_ms.is_some());
    let delivery_tag = taker.next_delivery_tag();
    if !no_ack {
        taker.consuming += u32::from(!matches!(holder, Holder::Get));
        taker.unacked.insert(delivery_tag, Outstanding { queue, position, holder, timer: None });
    }
    Handed { queue, position, channel, delivery_tag, redelivered, no_ack, is_timed }
}

/// Returns how many more messages a consumer could take now.
fn room_of(consumer: &Consumer, channel: &Channel) -> usize {
    match consumer {
        _ if channel.is_full() => 0,
        Consumer { no_ack: true, .. } => usize::MAX,
        _ => consumer.room().min(channel.room()),
    }
}
