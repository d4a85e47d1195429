//! Event: what the broker has for a peer: messages, and news of its consumers.

use crate::broker::model::message::Message;
use crate::id::ConnectionId;

/// What is to be sent to a consumer.
#[derive(Debug)]
pub enum Event<'a> {
    /// A message.
    Delivery(Delivery<'a>),
    /// Its queue has gone, and so has the consumer.
    Cancelled {
        /// Whose it was.
        connection: ConnectionId,
        /// The peer's number of the channel.
        channel: u16,
        /// The consumer.
        consumer_tag: Box<str>,
    },
    /// A consumer of this channel has not acked in time; the message is ready again.
    AckTimedOut {
        /// Whose it is.
        connection: ConnectionId,
        /// The peer's number of the channel.
        channel: u16,
        /// The time that it had.
        timeout_ms: u64,
    },
}

/// What is to be told to a peer, before further deliveries.
#[derive(Debug)]
pub(crate) enum Notice {
    Cancelled(ConnectionId, u16, Box<str>),
    AckTimedOut(ConnectionId, u16, u64),
}

/// A message for a consumer.
#[derive(Debug)]
pub struct Delivery<'a> {
    /// Whose it is.
    pub connection: ConnectionId,
    /// The peer's number of the channel.
    pub channel: u16,
    /// The consumer.
    pub consumer_tag: &'a str,
    /// Rises by one from delivery to delivery of a channel.
    pub delivery_tag: u64,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// The message.
    pub message: &'a Message,
}

/// A message that was got.
#[derive(Debug)]
pub struct Got<'a> {
    /// Rises by one from delivery to delivery of a channel.
    pub delivery_tag: u64,
    /// Whether it may have been delivered before.
    pub redelivered: bool,
    /// How many messages are ready behind it.
    pub message_count: usize,
    /// The message.
    pub message: &'a Message,
}
