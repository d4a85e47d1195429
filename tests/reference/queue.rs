//! Queue: its messages in one plain list, each with its state.

use super::Reference;
use super::message::Content;

/// Arguments of a queue, and what a policy may set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    pub message_ttl: Option<u64>,
    pub expires: Option<u64>,
    pub max_length: Option<usize>,
    pub max_length_bytes: Option<usize>,
    pub overflow: Option<&'static str>,
    pub dead_letter_exchange: Option<&'static str>,
    pub dead_letter_routing_key: Option<&'static str>,
    pub delivery_limit: Option<i64>,
    pub consumer_timeout: Option<u64>,
    /// A policy cannot set the rest.
    pub max_priority: Option<u8>,
    pub is_quorum: bool,
    pub has_single_active_consumer: bool,
    pub deduplicates: bool,
}

#[derive(Clone, Debug)]
pub struct Queue {
    pub name: String,
    /// The number of its declaration, as a queue of the same name may follow.
    pub declared: u64,
    pub owner: Option<usize>,
    pub durable: bool,
    pub auto_delete: bool,
    pub arguments: Arguments,
    pub exclusive_consumer: bool,
    /// Its consumers in order of their arrival: when the single active one leaves, the next follows.
    pub line: Vec<u64>,
    pub messages: Vec<Message>,
    /// Number of messages that have arrived, by priority.
    pub arrived: [u64; 256],
    /// When it last had a consumer, a get or a declaration.
    pub used: u64,
    /// Whether its deletion is still to come.
    pub is_doomed: bool,
}

#[derive(Clone, Debug)]
pub struct Message {
    /// Rises in the order of delivery: by priority, then by arrival.
    pub position: u64,
    pub content: Content,
    pub redelivered: bool,
    /// How often it was requeued, and the `x-delivery-count` that it shows.
    pub requeued: i64,
    pub delivery_count: Option<i64>,
    pub arrived: u64,
    /// The time to live of its own property.
    pub time_to_live: Option<u64>,
    pub place: Place,
}

/// State of a message. After a verb it may be transitional, until the fact comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Ready,
    Unacked,
    /// Nacked with a delay: ready again at that time.
    Asleep(u64),
    /// To be ready again, unless it was requeued too often.
    Returning,
    Acked,
    Rejected,
}

/// The room of a queue's consumers to assume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    None,
    Known,
    Unlimited,
}

impl Message {
    fn expires(&self) -> Option<u64> {
        self.time_to_live.map(|ms| self.arrived + ms)
    }
}

impl Queue {
    /// Returns the ready messages, the next to be delivered first.
    pub fn ready(&self) -> Vec<&Message> {
        let mut ready: Vec<_> = self.messages.iter().filter(|message| message.place == Place::Ready).collect();
        ready.sort_by_key(|message| message.position);
        ready
    }

    pub fn head(&self) -> Option<&Message> {
        self.ready().first().copied()
    }

    pub fn ready_bytes(&self) -> usize {
        self.ready().iter().map(|message| message.content.body.len()).sum()
    }

    pub fn at(&mut self, position: u64) -> &mut Message {
        self.messages.iter_mut().find(|message| message.position == position).expect("a message at this position")
    }

    pub fn take(&mut self, position: u64) -> Message {
        let place = self.messages.iter().position(|message| message.position == position);
        self.messages.remove(place.expect("a message at this position"))
    }
}

impl Reference {
    pub fn queue(&self, name: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.name == name)
    }

    pub fn queue_mut(&mut self, name: &str) -> Option<&mut Queue> {
        self.queues.iter_mut().find(|queue| queue.name == name)
    }

    pub fn declaration_mut(&mut self, declared: u64) -> Option<&mut Queue> {
        self.queues.iter_mut().find(|queue| queue.declared == declared)
    }

    /// Returns the arguments combined with the policy: of two limits the lower one, otherwise the argument.
    pub fn settings(&self, queue: &Queue) -> Arguments {
        let policy = self.policy_of(&queue.name, true).map(|policy| policy.definition.clone()).unwrap_or_default();
        let own = queue.arguments.clone();
        let has_target = own.dead_letter_exchange.is_some();
        Arguments {
            message_ttl: lower(own.message_ttl, policy.message_ttl),
            expires: lower(own.expires, policy.expires),
            max_length: lower(own.max_length, policy.max_length),
            max_length_bytes: lower(own.max_length_bytes, policy.max_length_bytes),
            overflow: own.overflow.or(policy.overflow),
            dead_letter_exchange: own.dead_letter_exchange.or(policy.dead_letter_exchange),
            // A routing key belongs to the exchange that it came with.
            dead_letter_routing_key: own
                .dead_letter_routing_key
                .or(policy.dead_letter_routing_key.filter(|_| !has_target)),
            delivery_limit: match own.delivery_limit {
                None => policy.delivery_limit,
                Some(-1) => Some(-1),
                limit => lower(limit, policy.delivery_limit.filter(|limit| *limit != -1)),
            },
            consumer_timeout: lower(own.consumer_timeout, policy.consumer_timeout),
            ..own
        }
    }

    /// Whether one more message would exceed a limit, after consumers have taken what they can.
    pub fn would_overflow(&self, queue: &Queue, body_bytes: usize, room: Room) -> bool {
        let Arguments { max_length, max_length_bytes, .. } = self.settings(queue);
        let taken = match room {
            Room::None => 0,
            Room::Known => self.room(queue),
            Room::Unlimited => usize::MAX,
        };
        let staying: Vec<_> = queue.ready().into_iter().skip(taken).collect();
        let bytes: usize = staying.iter().map(|message| message.content.body.len()).sum();
        max_length.is_some_and(|max| staying.len() + 1 > max)
            || max_length_bytes.is_some_and(|max| bytes + body_bytes > max)
    }

    pub fn overflows(&self, queue: &Queue) -> bool {
        let Arguments { max_length, max_length_bytes, .. } = self.settings(queue);
        max_length.is_some_and(|max| queue.ready().len() > max)
            || max_length_bytes.is_some_and(|max| queue.ready_bytes() > max)
    }

    /// Whether this message is past its time to live, whether or not a consumer could take it.
    pub fn is_due(&self, message: &Message) -> bool {
        message.expires().is_some_and(|expires| expires <= self.now)
    }

    /// Whether this message has expired. With a time to live of 0 it may still be delivered at once, the first time.
    pub fn is_expired(&self, queue: &Queue, message: &Message) -> bool {
        match message.expires() {
            Some(expires) if expires == message.arrived && !message.redelivered => {
                self.now > expires || !self.has_taker(queue)
            }
            Some(expires) => self.now >= expires,
            None => false,
        }
    }

    /// Returns how often a message may be requeued.
    pub fn delivery_limit(&self, queue: &Queue) -> Option<i64> {
        let usual = if queue.arguments.is_quorum { 20 } else { -1 };
        Some(self.settings(queue).delivery_limit.unwrap_or(usual)).filter(|limit| *limit >= 0)
    }

    /// Whether one more requeue exceeds the limit.
    pub fn exceeds_delivery_limit(&self, queue: &Queue, message: &Message) -> bool {
        self.delivery_limit(queue).is_some_and(|limit| message.requeued + 1 > limit)
    }

    /// Whether messages have an `x-delivery-count`.
    pub fn counts(&self, queue: &Queue) -> bool {
        queue.arguments.is_quorum || self.delivery_limit(queue).is_some()
    }
}

pub fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
