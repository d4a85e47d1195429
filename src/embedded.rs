//! Embedded: the embedding program as a peer of the broker, without a protocol.
//!
//! It has one connection and one channel in each virtual host that it enters, and its verbs apply to the one that it
//! entered last. Messages to publish and deliveries cross between the program and the core in batches, packed into one
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

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::broker::{Broker, Consume, Delivery, Error, Message, Publication, Routed};
use crate::id::{ChannelId, VirtualHostId};
use crate::properties::Properties;
use crate::server::Embedder;
use crate::virtual_host::{Membership, VirtualHost, VirtualHosts};

/// Handle of messages that were taken by `get`, without a consumer.
pub const GOT: u32 = u32::MAX;

/// Server side of the embedding program.
#[derive(Debug)]
pub struct Embedded {
    /// One for each virtual host that it has used; the first is for `/`.
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
    /// Opens the program's channel in `/`.
    #[must_use]
    pub fn new(virtual_hosts: &mut VirtualHosts) -> Self {
        let first = Place::open(virtual_hosts.first_mut());
        let (batch, cancelled) = (Vec::new(), Vec::new());
        Self { places: vec![first], current: 0, next_handle: 0, batch, cancelled, refused: 0 }
    }

    /// Makes further verbs apply to the virtual host of this name. Returns whether it exists.
    pub fn enter(&mut self, virtual_hosts: &mut VirtualHosts, name: &str) -> bool {
        let Some(host) = virtual_hosts.iter_mut().find(|host| host.name() == name) else { return false };
        self.current =
            self.places.iter().position(|place| place.membership.virtual_host == host.id).unwrap_or_else(|| {
                self.places.push(Place::open(host));
                self.places.len() - 1
            });
        true
    }

    /// Forgets a deleted virtual host: its consumers have ended, and verbs that applied to it now apply to `/`.
    pub fn leave(&mut self, virtual_host: VirtualHostId) {
        if let Some(place) = self.places.iter().position(|place| place.membership.virtual_host == virtual_host) {
            let gone = self.places.remove(place).consumers.into_values();
            self.cancelled.extend(gone.map(|consumer| consumer.handle));
            self.current = 0;
        }
    }

    /// Returns the virtual host that its verbs apply to.
    #[must_use]
    pub fn virtual_host(&self) -> VirtualHostId {
        self.places[self.current].membership.virtual_host
    }

    /// Returns the broker that its verbs apply to, and its channel there, for verbs without a batch.
    pub fn at<'a>(&self, virtual_hosts: &'a mut VirtualHosts) -> (&'a mut Broker, ChannelId) {
        let Place { membership, channel, .. } = self.places[self.current];
        (virtual_hosts.broker_of(membership), channel)
    }

    /// Publishes a message and returns how many queues took it.
    ///
    /// # Errors
    /// As for [`Broker::publish`], and when the properties are malformed.
    pub fn publish(
        &mut self,
        virtual_hosts: &mut VirtualHosts,
        exchange: &str,
        routing_key: &str,
        properties: &[u8],
        body: &[u8],
    ) -> Result<usize, Error> {
        let properties = parse(properties)?;
        let (broker, channel) = self.at(virtual_hosts);
        let publication = Publication { exchange, routing_key, properties, body, mandatory: false };
        match broker.publish(channel, &publication)? {
            Routed::Queued(queues) => Ok(queues),
            Routed::Refused => {
                self.refused += 1;
                Ok(0)
            }
            Routed::Deferred => Ok(0),
        }
    }

    /// Publishes packed messages, all of them or none, and returns the sum of the numbers of queues that took each.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish), and when the batch is malformed.
    pub fn publish_batch(
        &mut self,
        virtual_hosts: &mut VirtualHosts,
        exchange: &str,
        routing_key: &str,
        packed: &[u8],
    ) -> Result<usize, Error> {
        let (broker, channel) = self.at(virtual_hosts);
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
            Ok(queues + self.publish(virtual_hosts, exchange, routing_key, properties, body)?)
        })
    }

    /// Takes up to `max` ready messages into the batch and returns how many. Without `no_ack`, each is requeued unless
    /// it is settled within `visibility_timeout_ms`; 0 is without a limit.
    ///
    /// # Errors
    /// As for [`Broker::get`].
    pub fn get(
        &mut self,
        virtual_hosts: &mut VirtualHosts,
        queue: &str,
        max: u32,
        no_ack: bool,
        visibility_timeout_ms: u64,
    ) -> Result<u32, Error> {
        let (broker, channel) = self.at(virtual_hosts);
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
    ///
    /// # Errors
    /// As for [`Broker::consume`].
    pub fn consume(
        &mut self,
        virtual_hosts: &mut VirtualHosts,
        consume: &Consume<'_>,
        prefetch: u16,
    ) -> Result<Box<str>, Error> {
        let (broker, channel) = self.at(virtual_hosts);
        broker.qos(channel, prefetch, false);
        let tag = broker.consume(channel, consume)?;
        let started = Started { handle: self.next_handle, no_ack: consume.no_ack };
        self.next_handle += 1;
        self.places[self.current].consumers.insert(tag.clone(), started);
        Ok(tag)
    }

    /// Cancels a consumer.
    pub fn cancel(&mut self, virtual_hosts: &mut VirtualHosts, consumer_tag: &str) {
        self.places[self.current].consumers.remove(consumer_tag);
        let (broker, channel) = self.at(virtual_hosts);
        broker.cancel(channel, consumer_tag);
    }

    /// Acks these deliveries as far as possible.
    ///
    /// # Errors
    /// When there is nothing unacked under one of the tags; the others are acked nevertheless.
    pub fn ack_batch(
        &self,
        virtual_hosts: &mut VirtualHosts,
        delivery_tags: impl Iterator<Item = u64>,
    ) -> Result<(), Error> {
        let (broker, channel) = self.at(virtual_hosts);
        delivery_tags.map(|tag| broker.ack(channel, tag, false)).fold(Ok(()), Result::and)
    }

    /// Returns the deliveries and got messages since the batch was last cleared.
    #[must_use]
    pub fn batch(&self) -> &[u8] {
        &self.batch
    }

    /// Clears the batch for the next deliveries.
    pub fn clear_batch(&mut self) {
        self.batch.clear();
    }

    /// Returns how many messages full queues have refused since the last call of [`take_refused`](Self::take_refused).
    #[must_use]
    pub fn refused(&self) -> u32 {
        self.refused
    }

    /// Returns how many messages full queues have refused since the last call.
    pub fn take_refused(&mut self) -> u32 {
        std::mem::take(&mut self.refused)
    }

    /// Returns the handles of consumers whose queues were deleted since the last call.
    pub fn take_cancelled(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.cancelled)
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

impl Embedder for Embedded {
    fn deliver(&mut self, virtual_host: VirtualHostId, delivery: &Delivery<'_>) {
        let place = self.place_in(virtual_host);
        let started = place.consumers.get(delivery.consumer_tag).expect("who is delivered to has started");
        let (handle, tag) = (started.handle, if started.no_ack { 0 } else { delivery.delivery_tag });
        pack(&mut self.batch, handle, tag, delivery.redelivered, delivery.message);
    }

    fn cancelled(&mut self, virtual_host: VirtualHostId, consumer_tag: &str) {
        let ended = self.place_in(virtual_host).consumers.remove(consumer_tag);
        self.cancelled.extend(ended.map(|consumer| consumer.handle));
    }

    fn is_full(&self, limit_bytes: usize) -> bool {
        self.batch.len() > limit_bytes
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
