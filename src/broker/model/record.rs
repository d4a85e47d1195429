//! Record: one fact, by which the broker's state changes.
//!
//! Facts say what has happened, not what was asked for: whoever applies the same records to an empty state, in the
//! same order, has the same state, whatever the rules were that led to them. Consumers, prefetch and channels are
//! not facts: they end with their connections.

use super::exchange::{Destination, ExchangeKind};
use super::message::Message;
use super::policy::Policy;
use crate::id::QueueId;
use crate::table::Table;

/// A fact, borrowed from where it became one.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Record<'a> {
    /// A new exchange.
    ExchangeDeclared {
        /// Its name.
        name: &'a str,
        /// Its type.
        kind: ExchangeKind,
        /// Survives a restart.
        durable: bool,
        /// Goes with its last binding.
        auto_delete: bool,
        /// Takes messages from exchanges only.
        internal: bool,
        /// As declared.
        arguments: &'a Table,
    },
    /// An exchange went, with all its bindings, either way.
    ExchangeDeleted {
        /// Its name.
        name: &'a str,
    },
    /// A new queue.
    QueueDeclared {
        /// Its id.
        queue: QueueId,
        /// Its name.
        name: &'a str,
        /// Survives a restart.
        durable: bool,
        /// Goes with the connection that declared it.
        exclusive: bool,
        /// Goes with its last consumer.
        auto_delete: bool,
        /// As declared.
        arguments: &'a Table,
    },
    /// A queue went, with its messages and bindings.
    QueueDeleted {
        /// Its id.
        queue: QueueId,
    },
    /// A queue in several parts has more of them than before.
    PartitionsAdded {
        /// The queue that has the name.
        front: QueueId,
        /// The new partitions.
        partitions: &'a [QueueId],
    },
    /// A new binding.
    Bound {
        /// The exchange that messages come from.
        source: &'a str,
        /// Where they go.
        destination: &'a Destination,
        /// The binding's routing key or pattern.
        routing_key: &'a str,
        /// As bound.
        arguments: &'a Table,
    },
    /// A binding went.
    Unbound {
        /// The exchange that messages came from.
        source: &'a str,
        /// Where they went.
        destination: &'a Destination,
        /// The binding's routing key or pattern.
        routing_key: &'a str,
        /// As bound.
        arguments: &'a Table,
    },
    /// A message was added to the end of each of these queues.
    Published {
        /// The message.
        message: &'a Message,
        /// The queues that it was routed to, each once.
        queues: &'a [QueueId],
    },
    /// A ready message became unacked.
    Delivered {
        /// Its queue.
        queue: QueueId,
        /// Its place in it.
        position: u64,
    },
    /// An unacked message was settled and is gone.
    Settled {
        /// Its queue.
        queue: QueueId,
        /// Its place in it.
        position: u64,
    },
    /// A ready message was delivered to somebody who does not ack, and is gone.
    Taken {
        /// Its queue.
        queue: QueueId,
        /// Its place in it.
        position: u64,
    },
    /// A ready message is gone, and nobody has got it.
    Dropped {
        /// Its queue.
        queue: QueueId,
        /// Its place in it.
        position: u64,
    },
    /// An unacked message is ready again, where it was.
    Requeued {
        /// Its queue.
        queue: QueueId,
        /// Its place in it.
        position: u64,
    },
    /// All ready messages of a queue are gone.
    Purged {
        /// Its id.
        queue: QueueId,
    },
    /// A message waits until it goes from its exchange into queues.
    Delayed {
        /// Names it; rises by one from message to message.
        number: u64,
        /// The message.
        message: &'a Message,
        /// Until when.
        due_ms: u64,
    },
    /// A message waits no longer.
    DelayOver {
        /// Which.
        number: u64,
    },
    /// Publishers were forgotten that had not published for long.
    PublishersForgotten {
        /// When they published last, or later.
        until_ms: u64,
    },
    /// A new policy, or what an older one of this name says now.
    PolicySet {
        /// Its name.
        name: &'a str,
        /// What it says.
        policy: &'a Policy,
    },
    /// A policy went.
    PolicyDeleted {
        /// Its name.
        name: &'a str,
    },
}
