//! Publishing: from an exchange into queues.

use super::error::{Error, Resource};
use super::message::Message;
use super::record::Record;
use super::topology::{REPLY_TO, check_short};
use super::{Broker, commit};
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
        if publication.properties.reply_to() != Some(REPLY_TO) {
            return Ok(self.distribute(publication));
        }
        let properties = self.address_replies(channel, publication.properties);
        Ok(self.distribute(&Publication { properties: Properties::trusted(&properties), ..*publication }))
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
        self.check_target(exchange)?;
        if properties.expiration().is_some() {
            return Err(Error::NotImplemented("the property 'expiration' is not implemented".into()));
        }
        if properties.reply_to() == Some(REPLY_TO) && self.channel(channel).reply_queue.is_none() {
            return Err(Error::NoReplyConsumer);
        }
        Ok(())
    }

    fn check_target(&self, exchange: &str) -> Result<(), Error> {
        // The default exchange is always there.
        if exchange.is_empty() {
            return Ok(());
        }
        match self.state.exchange(exchange) {
            None => Err(Error::NotFound(Resource::Exchange, exchange.into())),
            Some(target) if target.internal => Err(Error::InternalExchange(exchange.into())),
            Some(_) => Ok(()),
        }
    }

    /// Checks the size of a body, perhaps before it has arrived.
    ///
    /// # Errors
    /// When it is larger than the limit.
    pub fn check_message_size(&self, bytes: u64) -> Result<(), Error> {
        let limit = self.limits.message_max_bytes;
        if bytes > limit as u64 { Err(Error::MessageTooLarge { bytes, limit }) } else { Ok(()) }
    }

    /// Properties with the real address of this channel's consumer of replies in place of the name that stands for it.
    fn address_replies(&self, channel: ChannelId, properties: Properties<'_>) -> Vec<u8> {
        let address = self.channel(channel).reply_queue.as_ref().expect("it was checked before");
        let mut rewritten = Vec::new();
        properties.with_reply_to(address, &mut rewritten).expect("the address is short");
        rewritten
    }

    fn distribute(&mut self, publication: &Publication<'_>) -> Routed {
        let Publication { exchange, routing_key, properties, body } = *publication;
        let Self { state, observer, route, message_scratch, .. } = self;
        state.route(exchange, routing_key, properties, route);
        let queues = route.queues.len();
        if queues > 0 {
            let message = Message::new(exchange, routing_key, properties, body, message_scratch);
            commit(state, observer, &Record::Published { message: &message, queues: &route.queues });
        }
        for index in 0..queues {
            self.activate(self.route.queues[index]);
        }
        Routed { queues }
    }
}
