//! Record: one fact, by which the broker's state changes.
//!
//! Facts say what has happened, not what was requested: applying the same records in the same order to an empty state
//! gives the same state, whatever rules led to them. Consumers, prefetch and channels are not facts: they end with
//! their connections.

use super::exchange::{Destination, ExchangeKind};
use super::message::Message;
use super::policy::Policy;
use crate::id::QueueId;
use crate::table::Table;

/// A fact, with borrowed fields.
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
        /// Deleted with its last binding.
        auto_delete: bool,
        /// Accepts messages from exchanges only.
        internal: bool,
        /// As declared.
        arguments: &'a Table,
    },
    /// An exchange was deleted, with all bindings from it and to it.
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
        /// Deleted with the connection that declared it.
        exclusive: bool,
        /// Deleted with its last consumer.
        auto_delete: bool,
        /// As declared.
        arguments: &'a Table,
    },
    /// A queue was deleted, with its messages and bindings.
    QueueDeleted {
        /// Its id.
        queue: QueueId,
    },
    /// A partitioned queue got more partitions.
    PartitionsAdded {
        /// The queue with the name.
        front: QueueId,
        /// The new partitions.
        partitions: &'a [QueueId],
    },
    /// A new binding.
    Bound {
        /// The exchange that messages come from.
        source: &'a str,
        /// The queue or exchange that they are routed to.
        destination: &'a Destination,
        /// The binding's routing key or pattern.
        routing_key: &'a str,
        /// As bound.
        arguments: &'a Table,
    },
    /// A binding was removed.
    Unbound {
        /// The exchange that messages came from.
        source: &'a str,
        /// The queue or exchange that they were routed to.
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
        /// Its position there.
        position: u64,
    },
    /// An unacked message was settled and is gone.
    Settled {
        /// Its queue.
        queue: QueueId,
        /// Its position there.
        position: u64,
    },
    /// A ready message was delivered with no-ack, and removed.
    Taken {
        /// Its queue.
        queue: QueueId,
        /// Its position there.
        position: u64,
    },
    /// A ready message was removed without being delivered.
    Dropped {
        /// Its queue.
        queue: QueueId,
        /// Its position there.
        position: u64,
    },
    /// An unacked message is ready again at its old position.
    Requeued {
        /// Its queue.
        queue: QueueId,
        /// Its position there.
        position: u64,
    },
    /// All ready messages of a queue were removed.
    Purged {
        /// Its id.
        queue: QueueId,
    },
    /// A message is held back in its exchange before it is routed.
    Delayed {
        /// Its number; rises by one with each delayed message.
        number: u64,
        /// The message.
        message: &'a Message,
        /// The end of the delay.
        due_ms: u64,
    },
    /// The delay of a message is over.
    DelayOver {
        /// Its number.
        number: u64,
    },
    /// Publishers were forgotten that had not published for long.
    PublishersForgotten {
        /// They published last at this time or before.
        until_ms: u64,
    },
    /// A policy was added or replaced.
    PolicySet {
        /// Its name.
        name: &'a str,
        /// Its contents.
        policy: &'a Policy,
    },
    /// A policy was deleted.
    PolicyDeleted {
        /// Its name.
        name: &'a str,
    },
}

impl<'a> Record<'a> {
    /// Returns the message that it adds to the state.
    pub(crate) fn message_mut(&mut self) -> Option<&mut &'a Message> {
        match self {
            Self::Published { message, .. } | Self::Delayed { message, .. } => Some(message),
            _ => None,
        }
    }
}
