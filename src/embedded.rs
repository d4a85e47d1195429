//! Embedded: the embedding program as a peer of the broker, without a protocol.
//!
//! It has one connection and one channel of its own. What it publishes and what is delivered to it crosses between
//! the program and the core in batches, packed into one buffer, as each crossing costs more than a message does. All
//! numbers are little-endian:
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
//! A consumer's handle counts the consumers in the order in which they started; what was got has [`GOT`].

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::broker::{Broker, Consume, Delivery, Error, Message, Publication, Routed};
use crate::id::{ChannelId, ConnectionId};
use crate::properties::Properties;
use crate::server::Embedder;

/// Stands where a delivery has no consumer, as it was got.
pub const GOT: u32 = u32::MAX;

/// The embedding program's side of a broker.
#[derive(Debug)]
pub struct Embedded {
    connection: ConnectionId,
    channel: ChannelId,
    consumers: HashMap<Box<str>, Started, FixedState>,
    next_handle: u32,
    batch: Vec<u8>,
    cancelled: Vec<Box<str>>,
}

#[derive(Debug)]
struct Started {
    handle: u32,
    no_ack: bool,
}

impl Embedded {
    /// Opens the program's channel.
    #[must_use]
    pub fn new(broker: &mut Broker) -> Self {
        let connection = broker.open_connection();
        let channel = broker.open_channel(connection, 1);
        let (batch, cancelled) = (Vec::new(), Vec::new());
        Self { connection, channel, consumers: HashMap::default(), next_handle: 0, batch, cancelled }
    }

    /// The program's channel, for the verbs that need no batch.
    #[must_use]
    pub fn channel(&self) -> ChannelId {
        self.channel
    }

    /// The program's connection.
    #[must_use]
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// Publishes a message and answers how many queues took it.
    ///
    /// # Errors
    /// As [`Broker::publish`], and when the properties are malformed.
    pub fn publish(
        &self,
        broker: &mut Broker,
        exchange: &str,
        routing_key: &str,
        properties: &[u8],
        body: &[u8],
    ) -> Result<usize, Error> {
        let properties = parse(properties)?;
        let publication = Publication { exchange, routing_key, properties, body, mandatory: false };
        match broker.publish(self.channel, &publication)? {
            Routed::Queued(queues) => Ok(queues),
            Routed::Refused | Routed::Held => Ok(0),
        }
    }

    /// Publishes packed messages, all of them or none, and answers how many queues took one, summed up.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), and when the batch is not packed as it should be.
    pub fn publish_batch(
        &self,
        broker: &mut Broker,
        exchange: &str,
        routing_key: &str,
        packed: &[u8],
    ) -> Result<usize, Error> {
        let mut bytes = 0;
        for message in Packed(packed) {
            let (properties, body) = message?;
            let (properties, mandatory) = (parse(properties)?, false);
            let publication = Publication { exchange, routing_key, properties, body, mandatory };
            broker.check_publication(self.channel, &publication)?;
            bytes += publication.memory_bytes();
        }
        broker.reserve(bytes)?;
        broker.release(bytes);
        Packed(packed).try_fold(0, |queues, message| {
            let (properties, body) = message?;
            Ok(queues + self.publish(broker, exchange, routing_key, properties, body)?)
        })
    }

    /// Takes up to `max` ready messages into the batch and answers how many. Without `no_ack`, each is requeued unless
    /// it is settled within `visibility_timeout_ms`; 0 waits for ever.
    ///
    /// # Errors
    /// As [`Broker::get`].
    pub fn get(
        &mut self,
        broker: &mut Broker,
        queue: &str,
        max: u32,
        no_ack: bool,
        visibility_timeout_ms: u64,
    ) -> Result<u32, Error> {
        for count in 0..max {
            let Some(got) = broker.get(self.channel, queue, no_ack)? else { return Ok(count) };
            let tag = got.delivery_tag;
            pack(&mut self.batch, GOT, if no_ack { 0 } else { tag }, got.redelivered, got.message);
            if !no_ack && visibility_timeout_ms > 0 {
                broker.set_deadline(self.channel, tag, visibility_timeout_ms)?;
            }
        }
        Ok(max)
    }

    /// Starts a consumer and answers its tag.
    ///
    /// # Errors
    /// As [`Broker::consume`].
    pub fn consume(&mut self, broker: &mut Broker, consume: &Consume<'_>, prefetch: u16) -> Result<Box<str>, Error> {
        broker.qos(self.channel, prefetch, false);
        let tag = broker.consume(self.channel, consume)?;
        let started = Started { handle: self.next_handle, no_ack: consume.no_ack };
        self.next_handle += 1;
        self.consumers.insert(tag.clone(), started);
        Ok(tag)
    }

    /// Ends a consumer.
    pub fn cancel(&mut self, broker: &mut Broker, consumer_tag: &str) {
        self.consumers.remove(consumer_tag);
        broker.cancel(self.channel, consumer_tag);
    }

    /// Acks these deliveries, all that it can.
    ///
    /// # Errors
    /// When there is nothing unacked under one of the tags; the others are acked all the same.
    pub fn ack_batch(&self, broker: &mut Broker, delivery_tags: impl Iterator<Item = u64>) -> Result<(), Error> {
        delivery_tags.map(|tag| broker.ack(self.channel, tag, false)).fold(Ok(()), Result::and)
    }

    /// What was delivered and got since the batch was last cleared.
    #[must_use]
    pub fn batch(&self) -> &[u8] {
        &self.batch
    }

    /// Makes room for the next batch.
    pub fn clear_batch(&mut self) {
        self.batch.clear();
    }

    /// The consumers whose queues have gone since it was last asked.
    pub fn take_cancelled(&mut self) -> Vec<Box<str>> {
        std::mem::take(&mut self.cancelled)
    }
}

impl Embedder for Embedded {
    fn deliver(&mut self, delivery: &Delivery<'_>) {
        let started = self.consumers.get(delivery.consumer_tag).expect("who is delivered to has started");
        let tag = if started.no_ack { 0 } else { delivery.delivery_tag };
        pack(&mut self.batch, started.handle, tag, delivery.redelivered, delivery.message);
    }

    fn cancelled(&mut self, consumer_tag: &str) {
        self.consumers.remove(consumer_tag);
        self.cancelled.push(consumer_tag.into());
    }

    fn is_full(&self, limit_bytes: usize) -> bool {
        self.batch.len() > limit_bytes
    }
}

/// Properties from the program; none at all are the empty ones.
fn parse(properties: &[u8]) -> Result<Properties<'_>, Error> {
    if properties.is_empty() {
        return Ok(Properties::EMPTY);
    }
    Properties::parse(properties).map_err(|malformed| Error::BadArgument("properties", malformed.to_string().into()))
}

/// The messages of a batch to publish: properties and body.
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
