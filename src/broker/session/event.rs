//! Event: what the broker sends to a peer: messages, and notices about its consumers.

use crate::broker::model::message::Message;
use crate::id::ConnectionId;

/// Something to be sent to a consumer.
#[derive(Debug)]
pub enum Event<'a> {
    /// A message.
    Delivery(Delivery<'a>),
    /// The consumer's queue was deleted, and so the consumer was cancelled.
    Cancelled {
        /// The connection of the consumer.
        connection: ConnectionId,
        /// The peer's number for the channel.
        channel: u16,
        /// The consumer.
        consumer_tag: Box<str>,
    },
    /// A consumer of this channel has not acked in time; the message is ready again.
    AckTimedOut {
        /// The connection of the channel.
        connection: ConnectionId,
        /// The peer's number for the channel.
        channel: u16,
        /// The time that the consumer had.
        timeout_ms: u64,
    },
}

/// A notice for a peer, to be sent before further deliveries.
#[derive(Debug)]
pub(crate) enum Notice {
    Cancelled(ConnectionId, u16, Box<str>),
    AckTimedOut(ConnectionId, u16, u64),
}

/// A message for a consumer.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// The connection of the consumer.
    pub connection: ConnectionId,
    /// The peer's number for the channel.
    pub channel: u16,
    /// The consumer tag.
    pub consumer_tag: &'a str,
    /// Rises by one with each delivery on a channel.
    pub delivery_tag: u64,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// The message.
    pub message: &'a Message,
}

/// A message taken by `get`.
#[derive(Debug)]
pub struct Got<'a> {
    /// Rises by one with each delivery on a channel.
    pub delivery_tag: u64,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// Number of ready messages left in the queue.
    pub message_count: usize,
    /// The message.
    pub message: &'a Message,
}
