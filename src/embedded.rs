//! Embedded: the embedding program as a peer of the broker, without a protocol.
//!
//! It has one connection and one channel in each virtual host that it enters, and its [verbs](Verb) apply to the one
//! that it entered last. Messages to publish and deliveries cross between the program and the core in batches, packed into one
//! buffer, as each crossing costs more than a message does. All numbers are little-endian:
//!
//! ```text
//! to publish, a message:
//! +-------------------+-------------+------------+------+
//! | u32               | u32         |            |      |
//! | properties length | body length | properties | body |
//! +-------------------+-------------+------------+------+
//!
//! delivered, a message:
//! +--------+----------+--------------+-------------+----------+-------------+----+------------+--------+
//! | u32    | u32      | f64          | u8          | u8       | u8          | u8 | u32        | u32    |
//! | length | consumer | delivery tag | redelivered | exchange | routing key | 0  | properties | body   |
//! | of all | handle   | or 0: no ack |             | length   | length      |    | length     | length |
//! +--------+----------+--------------+-------------+----------+-------------+----+------------+--------+
//! followed by exchange, routing key, properties, body.
//! ```
//!
//! A consumer's handle is its number in the order in which consumers started, over all virtual hosts; a message taken
//! by `get` has [`GOT`].

mod verb;

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::broker::{Broker, Consume, Delivery, Error, Message, Publication, Routed};
use crate::id::{ChannelId, VirtualHostId};
use crate::properties::Properties;
use crate::virtual_host::{Membership, VirtualHost, VirtualHosts};

pub use verb::{Answer, Verb};

use verb::answer;

/// Handle of messages that were taken by `get`, without a consumer.
pub const GOT: u32 = u32::MAX;

/// Server side of the embedding program.
#[derive(Debug, Default)]
pub struct Embedded {
    /// One for each virtual host that it has used; the first is for `/`, and opened by its first verb.
    places: Vec<Place>,
    /// Index of the place that its verbs apply to.
    current: usize,
    next_handle: u32,
    batch: Vec<u8>,
    cancelled: Vec<u32>,
    refused: u32,
}

#[derive(Debug)]
struct Place {
    membership: Membership,
    channel: ChannelId,
    consumers: HashMap<Box<str>, Started, FixedState>,
}

#[derive(Debug)]
struct Started {
    handle: u32,
    no_ack: bool,
}

impl Embedded {
    /// Does what a verb requests.
    ///
    /// # Errors
    /// As for the broker's method of the same name.
    #[inline(always)]
    pub(crate) fn apply(&mut self, hosts: &mut VirtualHosts, verb: &Verb<'_>) -> Result<Answer, Error> {
        let (broker, channel) = self.at(hosts);
        match *verb {
            Verb::Publish { exchange, routing_key, properties, body } => {
                answer(parse(properties).and_then(|properties| {
                    let publication = Publication { exchange, routing_key, properties, body, mandatory: false };
                    self.publish(broker, channel, &publication)
                }))
            }
            Verb::PublishBatch { exchange, routing_key, packed } => {
                answer(self.publish_batch(broker, channel, exchange, routing_key, packed))
            }
            Verb::Get { queue, max, no_ack, visibility_timeout_ms } => {
                answer(self.get(broker, channel, queue, max, no_ack, visibility_timeout_ms))
            }
            Verb::Consume { ref consume, prefetch } => answer(self.consume(broker, channel, consume, prefetch)),
            Verb::Cancel { consumer_tag } => {
                self.places[self.current].consumers.remove(consumer_tag);
                broker.cancel(channel, consumer_tag);
                Ok(Answer::Done)
            }
            Verb::Ack { delivery_tag, multiple } => answer(broker.ack(channel, delivery_tag, multiple)),
            Verb::AckBatch { delivery_tags } => {
                let acked = delivery_tags.iter().map(|&tag| broker.ack(channel, tag as u64, false));
                answer(acked.fold(Ok(()), Result::and))
            }
            Verb::Nack { delivery_tag, multiple, requeue } => {
                answer(broker.nack(channel, delivery_tag, multiple, requeue))
            }
            Verb::NackAfter { delivery_tag, delay_ms } => answer(broker.nack_after(channel, delivery_tag, delay_ms)),
            Verb::DeclareExchange(ref exchange) => answer(broker.declare_exchange(channel, exchange)),
            Verb::DeleteExchange { name, if_unused } => answer(broker.delete_exchange(channel, name, if_unused)),
            Verb::BindQueue(ref binding) => answer(broker.bind_queue(channel, binding)),
            Verb::UnbindQueue(ref binding) => answer(broker.unbind_queue(channel, binding)),
            Verb::BindExchange(ref binding) => answer(broker.bind_exchange(channel, binding)),
            Verb::UnbindExchange(ref binding) => answer(broker.unbind_exchange(channel, binding)),
            Verb::DeclareQueue(ref queue) => answer(broker.declare_queue(channel, queue)),
            Verb::DeclareNamed(ref queue) => answer(broker.declare_named(channel, queue)),
            Verb::PurgeQueue { name } => answer(broker.purge_queue(channel, name)),
            Verb::DeleteQueue { name, if_unused, if_empty } => {
                answer(broker.delete_queue(channel, name, if_unused, if_empty))
            }
            Verb::SetPolicy { name, policy } => answer(broker.set_policy(name, policy)),
            Verb::SetOperatorPolicy { name, policy } => answer(broker.set_operator_policy(name, policy)),
            Verb::DeletePolicy { name } => answer(broker.delete_policy(name)),
            Verb::Enter { virtual_host } => Ok(self.enter(hosts, virtual_host).into()),
            Verb::ClearBatch => {
                self.batch.clear();
                Ok(Answer::Done)
            }
            Verb::TakeRefused => Ok(std::mem::take(&mut self.refused).into()),
            Verb::TakeCancelled => Ok(std::mem::take(&mut self.cancelled).into()),
        }
    }

    /// Makes further verbs apply to the virtual host of this name. Returns whether it exists.
    fn enter(&mut self, virtual_hosts: &mut VirtualHosts, name: &str) -> bool {
        let Some(host) = virtual_hosts.iter_mut().find(|host| host.name() == name) else { return false };
        self.current =
            self.places.iter().position(|place| place.membership.virtual_host == host.id).unwrap_or_else(|| {
                self.places.push(Place::open(host));
                self.places.len() - 1
            });
        true
    }

    /// Forgets a deleted virtual host: its consumers have ended, and verbs that applied to it now apply to `/`.
    pub(crate) fn leave(&mut self, virtual_host: VirtualHostId) {
        if let Some(place) = self.places.iter().position(|place| place.membership.virtual_host == virtual_host) {
            let gone = self.places.remove(place).consumers.into_values();
            self.cancelled.extend(gone.map(|consumer| consumer.handle));
            self.current = 0;
        }
    }

    /// Returns the virtual host that its verbs apply to; before the first it is in none.
    #[must_use]
    pub fn virtual_host(&self) -> Option<VirtualHostId> {
        self.places.get(self.current).map(|place| place.membership.virtual_host)
    }

    /// Returns the broker that its verbs apply to, and its channel there.
    fn at<'a>(&mut self, virtual_hosts: &'a mut VirtualHosts) -> (&'a mut Broker, ChannelId) {
        if self.places.is_empty() {
            self.places.push(Place::open(virtual_hosts.first_mut()));
        }
        let Place { membership, channel, .. } = self.places[self.current];
        (virtual_hosts.broker_of(membership), channel)
    }

    /// Publishes a message and returns how many queues took it.
    fn publish(
        &mut self,
        broker: &mut Broker,
        channel: ChannelId,
        publication: &Publication<'_>,
    ) -> Result<usize, Error> {
        match broker.publish(channel, publication)? {
            Routed::Queued(queues) => Ok(queues),
            Routed::Refused => {
                self.refused += 1;
                Ok(0)
            }
            Routed::Deferred => Ok(0),
        }
    }

    /// Publishes packed messages, all of them or none, and returns the sum of the numbers of queues that took each.
    fn publish_batch(
        &mut self,
        broker: &mut Broker,
        channel: ChannelId,
        exchange: &str,
        routing_key: &str,
        packed: &[u8],
    ) -> Result<usize, Error> {
        let mut bytes = 0;
        for message in Packed(packed) {
            let (properties, body) = message?;
            let (properties, mandatory) = (parse(properties)?, false);
            let publication = Publication { exchange, routing_key, properties, body, mandatory };
            broker.check_publication(channel, &publication)?;
            bytes += publication.memory_bytes();
        }
        let properties = Packed(packed).flatten().map(|(properties, _)| Properties::trusted(properties));
        broker.check_publishers(&mut { properties })?;
        broker.reserve(bytes)?;
        broker.release(bytes);
        Packed(packed).try_fold(0, |queues, message| {
            let (properties, body) = message?;
            let (properties, mandatory) = (parse(properties)?, false);
            let publication = Publication { exchange, routing_key, properties, body, mandatory };
            Ok(queues + self.publish(broker, channel, &publication)?)
        })
    }

    /// Takes up to `max` ready messages into the batch and returns how many. Without `no_ack`, each is requeued unless
    /// it is settled within `visibility_timeout_ms`; 0 is without a limit.
    fn get(
        &mut self,
        broker: &mut Broker,
        channel: ChannelId,
        queue: &str,
        max: u32,
        no_ack: bool,
        visibility_timeout_ms: u64,
    ) -> Result<u32, Error> {
        for count in 0..max {
            let Some(got) = broker.get(channel, queue, no_ack)? else { return Ok(count) };
            let tag = got.delivery_tag;
            pack(&mut self.batch, GOT, if no_ack { 0 } else { tag }, got.redelivered, got.message);
            if !no_ack && visibility_timeout_ms > 0 {
                broker.set_deadline(channel, tag, visibility_timeout_ms)?;
            }
        }
        Ok(max)
    }

    /// Starts a consumer and returns its tag.
    fn consume(
        &mut self,
        broker: &mut Broker,
        channel: ChannelId,
        consume: &Consume<'_>,
        prefetch: u16,
    ) -> Result<Box<str>, Error> {
        broker.qos(channel, prefetch, false);
        let tag = broker.consume(channel, consume)?;
        let started = Started { handle: self.next_handle, no_ack: consume.no_ack };
        self.next_handle += 1;
        self.places[self.current].consumers.insert(tag.clone(), started);
        Ok(tag)
    }

    /// Returns the deliveries and got messages since the batch was last cleared.
    #[must_use]
    pub fn batch(&self) -> &[u8] {
        &self.batch
    }

    /// Returns how many messages full queues have refused since they were last taken.
    #[must_use]
    pub fn refused(&self) -> u32 {
        self.refused
    }

    /// Puts a delivery into the batch.
    pub(crate) fn deliver(&mut self, virtual_host: VirtualHostId, delivery: &Delivery<'_>) {
        let place = self.place_in(virtual_host);
        let started = place.consumers.get(delivery.consumer_tag).expect("who is delivered to has started");
        let (handle, tag) = (started.handle, if started.no_ack { 0 } else { delivery.delivery_tag });
        pack(&mut self.batch, handle, tag, delivery.redelivered, delivery.message);
    }

    /// Notes that a consumer was cancelled, as its queue was deleted.
    pub(crate) fn cancelled(&mut self, virtual_host: VirtualHostId, consumer_tag: &str) {
        let ended = self.place_in(virtual_host).consumers.remove(consumer_tag);
        self.cancelled.extend(ended.map(|consumer| consumer.handle));
    }

    /// Returns whether it accepts no more deliveries in this turn.
    pub(crate) fn is_full(&self, limit_bytes: usize) -> bool {
        self.batch.len() > limit_bytes
    }

    fn place_in(&mut self, virtual_host: VirtualHostId) -> &mut Place {
        let place = self.places.iter_mut().find(|place| place.membership.virtual_host == virtual_host);
        place.expect("the program has a place where it consumes")
    }
}

impl Place {
    fn open(host: &mut VirtualHost) -> Self {
        let connection = host.broker.open_connection();
        let channel = host.broker.open_channel(connection, 1);
        Self { membership: Membership { virtual_host: host.id, connection }, channel, consumers: HashMap::default() }
    }
}

/// Parses properties from the program; no bytes mean no properties.
fn parse(properties: &[u8]) -> Result<Properties<'_>, Error> {
    if properties.is_empty() {
        return Ok(Properties::EMPTY);
    }
    Properties::parse(properties).map_err(|malformed| Error::BadArgument("properties", malformed.to_string().into()))
}

/// Messages of a batch to publish: properties and body.
struct Packed<'a>(&'a [u8]);

impl<'a> Iterator for Packed<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let Some(message) = self.split() else {
            self.0 = &[];
            return Some(Err(Error::BadArgument("batch", "it ends in the middle of a message".into())));
        };
        Some(Ok(message))
    }
}

impl<'a> Packed<'a> {
    fn split(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let (properties_length, rest) = self.0.split_first_chunk()?;
        let (body_length, rest) = rest.split_first_chunk()?;
        let (properties, rest) = rest.split_at_checked(u32::from_le_bytes(*properties_length) as usize)?;
        let (body, rest) = rest.split_at_checked(u32::from_le_bytes(*body_length) as usize)?;
        self.0 = rest;
        Some((properties, body))
    }
}

fn pack(batch: &mut Vec<u8>, handle: u32, delivery_tag: u64, redelivered: bool, message: &Message) {
    const HEADER_BYTES: usize = 28;
    let (exchange, routing_key) = (message.exchange().as_bytes(), message.routing_key().as_bytes());
    let (properties, body) = (message.properties().raw(), message.body());
    let length = HEADER_BYTES + exchange.len() + routing_key.len() + properties.len() + body.len();
    let size = |length: usize| u32::try_from(length).expect("a message is smaller than 4 GiB").to_le_bytes();
    let short = |name: &[u8]| u8::try_from(name.len()).expect("a name is at most 255 bytes");
    batch.reserve(length);
    batch.extend_from_slice(&size(length));
    batch.extend_from_slice(&handle.to_le_bytes());
    batch.extend_from_slice(&(delivery_tag as f64).to_le_bytes());
    batch.extend_from_slice(&[u8::from(redelivered), short(exchange), short(routing_key), 0]);
    batch.extend_from_slice(&size(properties.len()));
    batch.extend_from_slice(&size(body.len()));
    for part in [exchange, routing_key, properties, body] {
        batch.extend_from_slice(part);
    }
}
