//! Publishing: from an exchange into queues.

use super::Broker;
use super::error::{Error, Resource};
use super::message::Message;
use super::record::Record;
use super::topology::{REPLY_TO, check_short};
use crate::id::ChannelId;
use crate::properties::Properties;

/// What is published.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The exchange; the empty name is the default one, which routes to the queue named by the routing key.
    pub exchange: &'a str,
    /// At most 255 bytes.
    pub routing_key: &'a str,
    /// As they came.
    pub properties: Properties<'a>,
    /// The whole body.
    pub body: &'a [u8],
}

impl Publication<'_> {
    /// What it will take in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        Message::memory_bytes_of(self.exchange, self.routing_key, self.properties, self.body)
    }
}

/// How far a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Routed {
    /// How many queues took it; with 0 it was unroutable, and is gone.
    pub queues: usize,
}

impl Broker {
    /// Publishes a message.
    ///
    /// # Errors
    /// As [`check_publication`](Self::check_publication), and when the memory limit is reached.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn publish(&mut self, channel: ChannelId, publication: &Publication<'_>) -> Result<Routed, Error> {
        self.check_publication(channel, publication)?;
        self.check_memory(publication.memory_bytes())?;
        let mut rewritten = std::mem::take(&mut self.properties_scratch);
        let properties = self.address_replies(channel, publication.properties, &mut rewritten);
        let queues = self.distribute(&Publication { properties, ..*publication });
        self.properties_scratch = rewritten;
        Ok(Routed { queues })
    }

    /// Checks a message before it is published, memory aside.
    ///
    /// # Errors
    /// When it is too large, when the exchange does not exist or is internal, when the message wants what this version does not do
    /// (`expiration`), and when it asks for replies without a consumer of replies.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn check_publication(&self, channel: ChannelId, publication: &Publication<'_>) -> Result<(), Error> {
        let Publication { exchange, routing_key, properties, body } = *publication;
        self.check_message_size(body.len() as u64)?;
        check_short("routing key", routing_key)?;
        let target = self.state.exchange(exchange);
        if target.ok_or_else(|| Error::NotFound(Resource::Exchange, exchange.into()))?.internal {
            return Err(Error::InternalExchange(exchange.into()));
        }
        if properties.expiration().is_some() {
            return Err(Error::NotImplemented("the property 'expiration' is not implemented".into()));
        }
        if properties.reply_to() == Some(REPLY_TO) && self.channel(channel).reply_queue.is_none() {
            return Err(Error::NoReplyConsumer);
        }
        Ok(())
    }

    /// Checks the size of a body, perhaps before it has arrived.
    ///
    /// # Errors
    /// When it is larger than the limit.
    pub fn check_message_size(&self, bytes: u64) -> Result<(), Error> {
        let limit = self.limits.message_max_bytes;
        if bytes > limit as u64 { Err(Error::MessageTooLarge { bytes, limit }) } else { Ok(()) }
    }

    /// Puts the real address of this channel's consumer of replies in place of the name that stands for it.
    fn address_replies<'a>(
        &self,
        channel: ChannelId,
        properties: Properties<'a>,
        rewritten: &'a mut Vec<u8>,
    ) -> Properties<'a> {
        if properties.reply_to() != Some(REPLY_TO) {
            return properties;
        }
        let address = self.channel(channel).reply_queue.as_ref().expect("it was checked before");
        rewritten.clear();
        properties.with_reply_to(address, rewritten).expect("the address is short");
        Properties::trusted(rewritten)
    }

    fn distribute(&mut self, publication: &Publication<'_>) -> usize {
        let Publication { exchange, routing_key, properties, body } = *publication;
        let mut route = std::mem::take(&mut self.route);
        self.state.route(exchange, routing_key, properties, &mut route);
        if !route.queues.is_empty() {
            let message = Message::new(exchange, routing_key, properties, body, &mut self.message_scratch);
            self.commit(&Record::Published { message: &message, queues: &route.queues });
            for &queue in &route.queues {
                self.activate(queue);
            }
        }
        let queues = route.queues.len();
        self.route = route;
        queues
    }
}
