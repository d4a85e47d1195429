//! Report: the state of the broker, for monitoring.

mod management;

pub use management::{Owned, Totals};

use super::Broker;
use super::partitions::Tally;
use crate::broker::model::error::{Error, Resource};
use crate::broker::model::exchange::ExchangeKind;
use crate::broker::model::message::{Message, PLACE_MEMORY_BYTES, UNACKED_MEMORY_BYTES};
use crate::broker::model::names::is_reply_address;
use crate::broker::model::queue::Counters;
use crate::id::ChannelId;

/// State of the whole broker at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Memory used by messages, content that is being received, and the numbers of publishers.
    pub memory_bytes: usize,
    /// Publishers whose numbers are remembered.
    pub publishers: usize,
    /// Number of dead letters that were dropped for want of memory.
    pub dropped_dead_letters: usize,
    /// Open connections.
    pub connections: usize,
    /// Open channels.
    pub channels: usize,
    /// Exchanges, the predeclared ones included.
    pub exchanges: usize,
    /// The queues, in the order of their declaration, without reply queues, whose names are secret.
    pub queues: Vec<QueueReport>,
}

/// One queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueReport {
    /// Its name.
    pub name: Box<str>,
    /// Number of ready messages.
    pub ready: usize,
    /// Number of messages that are delivered and not settled.
    pub unacked: usize,
    /// Number of consumers.
    pub consumers: usize,
    /// Counters of what happened in it so far.
    pub counters: Counters,
}

/// One message in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageReport {
    /// Its place in the queue.
    pub position: u64,
    /// Whether it is delivered and not settled.
    pub is_unacked: bool,
    /// Its body.
    pub body: Vec<u8>,
}

impl Broker {
    /// Reports the state of the whole broker.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            memory_bytes: self.memory_bytes(),
            publishers: self.state.publishers().len(),
            dropped_dead_letters: self.dropped_dead_letters,
            connections: self.connections.len(),
            channels: self.channels.len(),
            exchanges: self.state.exchanges().count(),
            queues: self
                .state
                .queues()
                .filter(|(_, queue)| !is_reply_address(&queue.name))
                .map(|(id, queue)| {
                    let Tally { ready, unacked, counters, .. } = self.tally(id);
                    let consumers = self.runtimes.get(id).map_or(0, |runtime| runtime.consumers.len());
                    QueueReport { name: queue.name.clone(), ready, unacked, consumers, counters }
                })
                .collect(),
        }
    }

    /// Returns the memory used by the messages in queues.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.state.memory_bytes()
    }

    /// Returns the same, counted anew; for tests.
    #[must_use]
    pub fn recounted_queued_bytes(&self) -> usize {
        let (mut places, mut known, mut bytes, mut beside) = (0, std::collections::BTreeSet::new(), 0, 0);
        let mut count = |message: &Message| {
            places += 1;
            if known.insert(message.address()) {
                bytes += message.memory_bytes();
            }
        };
        for queue in self.state.queue_ids().into_iter().filter_map(|id| self.state.queue(id)) {
            queue.each_ready(&mut |_, message| count(message));
            queue.each_unacked(&mut |_, message| count(message));
            queue.sealed_messages().for_each(|(_, message)| count(message));
            beside += queue.unacked_count() * UNACKED_MEMORY_BYTES + queue.recounted_id_bytes();
        }
        self.state.each_delayed(&mut count);
        bytes + places * PLACE_MEMORY_BYTES + beside
    }

    /// Returns whether there is an exchange or queue of this name.
    #[must_use]
    pub fn exists(&self, resource: Resource, name: &str) -> bool {
        match resource {
            Resource::Exchange => self.state.exchange(name).is_some(),
            Resource::Queue => self.state.queue_named(name).is_some(),
        }
    }

    /// Returns the type of an exchange, if it exists.
    #[must_use]
    pub fn exchange_kind(&self, name: &str) -> Option<ExchangeKind> {
        self.state.exchange(name).map(|exchange| exchange.kind)
    }

    /// Returns the queue name that a channel means: the empty name is the queue that it declared last.
    ///
    /// # Errors
    /// When the name is empty and the channel has declared no queue.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn meant_queue<'a>(&'a self, channel: ChannelId, name: &'a str) -> Result<&'a str, Error> {
        self.expand_queue_name(channel, name)
    }

    /// Returns the messages of a queue in order of their position, if it exists; for tests and tools, as it copies them
    /// all.
    #[must_use]
    pub fn messages(&self, queue: &str) -> Option<Vec<MessageReport>> {
        let parts = self.parts_of(self.state.queue_named(queue)?);
        let mut messages = Vec::new();
        for part in parts.into_iter().filter_map(|part| self.state.queue(part)) {
            let mut add = |is_unacked, position, message: &Message| {
                let body = if message.is_stub() { Vec::new() } else { message.body().to_vec() };
                messages.push(MessageReport { position, is_unacked, body });
            };
            part.each_ready(&mut |position, message| add(false, position, message));
            part.each_unacked(&mut |position, message| add(true, position, message));
        }
        messages.sort_by_key(|message| message.position);
        Some(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Config, Consume};
    use crate::limits::Limits;
    use crate::table::Table;

    #[test]
    fn the_address_of_a_consumer_of_replies_stays_secret() {
        let mut broker = Broker::new(Config { seed: [0; 32], limits: Limits::default() });
        let connection = broker.open_connection();
        let channel = broker.open_channel(connection, 1);
        let (queue, consumer_tag, arguments) = ("amq.rabbitmq.reply-to", "replies", &Table::new());
        let consume = Consume { queue, consumer_tag, no_ack: true, exclusive: false, arguments };
        broker.consume(channel, &consume).unwrap();
        assert_eq!(broker.report().queues, []);
    }
}
