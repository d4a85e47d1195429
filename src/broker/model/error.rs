//! Error: the reason why the broker refused a request, in the words that clients of RabbitMQ know.
//!
//! When a verb returns an error, nothing has changed. The broker knows no reply codes: a protocol maps
//! [`Error::kind`] to its own.

use std::fmt;

use super::exchange::kind::ExchangeKind;

/// Kind of thing that a request was about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// An exchange.
    Exchange,
    /// A queue.
    Queue,
}

impl fmt::Display for Resource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Exchange => "exchange",
            Self::Queue => "queue",
        })
    }
}

/// Kinds of error, by AMQP's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The named thing does not exist.
    NotFound,
    /// It exists, but this peer may not use it.
    AccessRefused,
    /// It belongs to another connection.
    ResourceLocked,
    /// A precondition of the request does not hold.
    PreconditionFailed,
    /// The request breaks a rule of the protocol.
    NotAllowed,
    /// The broker cannot do this.
    NotImplemented,
    /// The broker has used up its memory limit.
    ResourceError,
    /// The broker cannot work as it should.
    Internal,
}

/// An error. Its text says what was wrong; [`Error::kind`] returns its kind.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no exchange or queue of this name.
    NotFound(Resource, Box<str>),
    /// An empty queue name means the channel's last declared queue, and there is none.
    NoQueueDeclared,
    /// The default exchange cannot be declared, deleted or bound.
    DefaultExchange,
    /// Names that begin with `amq.` are the broker's own.
    ReservedName(Resource, Box<str>),
    /// A predeclared exchange cannot be deleted.
    SystemExchange(Box<str>),
    /// An internal exchange accepts messages from other exchanges only.
    InternalExchange(Box<str>),
    /// The queue has an exclusive consumer, or has consumers and an exclusive one was requested.
    ExclusiveUse(Box<str>),
    /// An exclusive queue of another connection.
    Locked(Box<str>),
    /// It was declared before with other properties.
    Inequivalent {
        /// The kind of thing that was declared again.
        resource: Resource,
        /// Its name.
        name: Box<str>,
        /// The property or argument that differs.
        argument: Box<str>,
        /// The value in the new declaration.
        received: Box<str>,
        /// The present value.
        current: Box<str>,
    },
    /// Nothing is unacked under this delivery tag.
    UnknownDeliveryTag(u64),
    /// Deleting something in use, with *if-unused*.
    InUse(Resource, Box<str>),
    /// Deleting a queue that is not empty, with *if-empty*.
    NotEmpty(Box<str>),
    /// No exchange has such a type.
    UnknownExchangeType(Box<str>),
    /// A name or routing key that is too long for a short string.
    TooLong(&'static str),
    /// An argument has an invalid value; the texts are its name and what is wrong.
    BadArgument(&'static str, Box<str>),
    /// An argument of a queue has an invalid value.
    BadQueueArgument {
        /// The queue.
        queue: Box<str>,
        /// The argument.
        argument: &'static str,
        /// The reason.
        reason: Box<str>,
    },
    /// An argument of a queue has a value of a type that it does not accept.
    BadQueueArgumentType(Box<str>, &'static str, &'static str),
    /// The argument `alternate-exchange` of an exchange has a value of this type, which it does not accept.
    BadAlternateExchange(Box<str>, &'static str),
    /// Queues of this type do not have this argument.
    UnsupportedQueueArgument(Box<str>, &'static str, &'static str),
    /// The property `expiration` is not a number of milliseconds, and for what reason.
    BadExpiration(Box<str>, Box<str>),
    /// A header with further routing keys is not an array but of this type.
    BadRecipients(&'static str, &'static str),
    /// The request is invalid; the text is the whole message.
    Invalid(Box<str>),
    /// A property that a quorum queue cannot have.
    QuorumQueue(Box<str>, &'static str),
    /// The consumer tag is in use on its channel.
    ConsumerTagInUse(Box<str>),
    /// The channel has a consumer of replies already.
    ReplyConsumerExists,
    /// A consumer of replies must consume without acks.
    ReplyConsumerAcks,
    /// A request without a consumer of replies on its channel.
    NoReplyConsumer,
    /// The body is larger than the limit.
    MessageTooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: usize,
    },
    /// A quorum queue cannot have consumers on a channel with a global prefetch.
    GlobalPrefetch(Box<str>),
    /// More partitions were requested while this many slots still move.
    PartitionsMove(Box<str>, usize),
    /// The channel is not in transaction mode.
    NotTransactional,
    /// The transaction was committed, but a full queue refused a message of it.
    PartialTransaction,
    /// Known, but not implemented in this version.
    NotImplemented(Box<str>),
    /// The maximum number of queues is reached.
    QueueLimit(Box<str>, usize),
    /// The limit on memory, in bytes, is reached.
    MemoryLimit(usize),
    /// There is no room to remember the number of another publisher; this many are known.
    PublisherLimit(usize),
    /// The limit on the memory of everything but messages, in bytes, is reached.
    RoomLimit(usize),
    /// Something that was to be durable can no longer be made so.
    JournalFailed,
}

impl Error {
    /// Returns the kind of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound(..) | Self::NoQueueDeclared => ErrorKind::NotFound,
            Self::DefaultExchange
            | Self::ReservedName(..)
            | Self::SystemExchange(_)
            | Self::InternalExchange(_)
            | Self::ExclusiveUse(_) => ErrorKind::AccessRefused,
            Self::Locked(_) => ErrorKind::ResourceLocked,
            Self::Inequivalent { .. }
            | Self::UnknownDeliveryTag(_)
            | Self::InUse(..)
            | Self::NotEmpty(_)
            | Self::UnknownExchangeType(_)
            | Self::TooLong(_)
            | Self::MessageTooLarge { .. }
            | Self::BadArgument(..)
            | Self::Invalid(_)
            | Self::BadQueueArgument { .. }
            | Self::BadQueueArgumentType(..)
            | Self::BadAlternateExchange(..)
            | Self::UnsupportedQueueArgument(..)
            | Self::BadExpiration(..)
            | Self::BadRecipients(..)
            | Self::PartitionsMove(..)
            | Self::NotTransactional
            | Self::PartialTransaction
            | Self::QuorumQueue(..)
            | Self::QueueLimit(..)
            | Self::RoomLimit(_)
            | Self::ReplyConsumerExists
            | Self::ReplyConsumerAcks
            | Self::NoReplyConsumer => ErrorKind::PreconditionFailed,
            Self::ConsumerTagInUse(_) => ErrorKind::NotAllowed,
            Self::NotImplemented(_) | Self::GlobalPrefetch(_) => ErrorKind::NotImplemented,
            Self::MemoryLimit(_) | Self::PublisherLimit(_) => ErrorKind::ResourceError,
            Self::JournalFailed => ErrorKind::Internal,
        }
    }
}

impl Error {
    /// Returns the text for a peer in the virtual host of this name.
    #[must_use]
    pub fn in_virtual_host(&self, name: &str) -> String {
        InVirtualHost(self, name).to_string()
    }
}

/// The same as `Display`: a second form would cost more bytes than it is worth.
impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Displayed for peers of the virtual host `/`.
impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        InVirtualHost(self, "/").fmt(formatter)
    }
}

struct InVirtualHost<'a>(&'a Error, &'a str);

impl fmt::Display for InVirtualHost<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error, vhost) = *self;
        match error {
            Error::NotFound(resource, name) => write!(formatter, "no {resource} '{name}' in vhost '{vhost}'"),
            Error::NoQueueDeclared => formatter.write_str("no previously declared queue"),
            Error::DefaultExchange => formatter.write_str("operation not permitted on the default exchange"),
            Error::ReservedName(resource, name) => {
                write!(formatter, "{resource} name '{name}' contains reserved prefix 'amq.*'")
            }
            Error::SystemExchange(name) => {
                write!(formatter, "deletion of system exchange '{name}' in vhost '{vhost}' not allowed")
            }
            Error::InternalExchange(name) => {
                write!(formatter, "cannot publish to internal exchange '{name}' in vhost '{vhost}'")
            }
            Error::ExclusiveUse(name) => write!(formatter, "queue '{name}' in vhost '{vhost}' in exclusive use"),
            Error::Locked(name) => write!(
                formatter,
                "cannot obtain exclusive access to locked queue '{name}' in vhost '{vhost}'. It could be originally \
                 declared on another connection or the exclusive property value does not match that of the original \
                 declaration."
            ),
            Error::Inequivalent { resource, name, argument, received, current } => write!(
                formatter,
                "inequivalent arg '{argument}' for {resource} '{name}' in vhost '{vhost}': received {received} but current \
                 is {current}"
            ),
            Error::QueueLimit(name, limit) => {
                write!(formatter, "cannot declare queue '{name}': queue limit in vhost '{vhost}' ({limit}) is reached")
            }
            Error::UnknownDeliveryTag(tag) => write!(formatter, "unknown delivery tag {tag}"),
            Error::InUse(resource, name) => write!(formatter, "{resource} '{name}' in vhost '{vhost}' in use"),
            Error::NotEmpty(name) => write!(formatter, "queue '{name}' in vhost '{vhost}' not empty"),
            Error::UnknownExchangeType(kind) => {
                write!(formatter, "unknown exchange type '{kind}'; the types are {}", ExchangeKind::NAMES.join(", "))
            }
            Error::TooLong(what) => write!(formatter, "the {what} is longer than 255 bytes"),
            Error::BadArgument(argument, reason) => write!(formatter, "invalid arg '{argument}': {reason}"),
            Error::BadQueueArgument { queue, argument, reason } => {
                write!(formatter, "invalid arg '{argument}' for queue '{queue}' in vhost '{vhost}': {reason}")
            }
            Error::BadQueueArgumentType(queue, argument, kind) => {
                write!(formatter, "invalid type '{kind}' for arg '{argument}' in queue '{queue}' in vhost '{vhost}'")
            }
            Error::BadAlternateExchange(exchange, kind) => write!(
                formatter,
                "invalid type '{kind}' for arg 'alternate-exchange' in exchange '{exchange}' in vhost '{vhost}'"
            ),
            Error::UnsupportedQueueArgument(queue, argument, kind) => {
                write!(
                    formatter,
                    "invalid arg '{argument}' for queue '{queue}' in vhost '{vhost}' of queue type {kind}"
                )
            }
            Error::BadExpiration(text, reason) => write!(formatter, "invalid expiration '{text}': {reason}"),
            Error::BadRecipients(header, kind) => {
                write!(formatter, "invalid message: {{unacceptable_type_in_header,\"{header}\",{kind}}}")
            }
            Error::GlobalPrefetch(queue) => {
                write!(formatter, "queue '{queue}' in vhost '{vhost}' does not support global qos")
            }
            Error::PartitionsMove(queue, slots) => write!(
                formatter,
                "{slots} slots of queue '{queue}' in vhost '{vhost}' still move to the partitions that were added last: \
                 try again when the messages from before are settled"
            ),
            Error::NotTransactional => formatter.write_str("channel is not transactional"),
            Error::PartialTransaction => formatter.write_str("partial tx completion"),
            Error::Invalid(text) => formatter.write_str(text),
            Error::QuorumQueue(name, property) => {
                write!(formatter, "invalid property '{property}' for queue '{name}' in vhost '{vhost}'")
            }
            Error::ConsumerTagInUse(tag) => write!(formatter, "attempt to reuse consumer tag '{tag}'"),
            Error::ReplyConsumerExists => formatter.write_str("reply consumer already set"),
            Error::ReplyConsumerAcks => formatter.write_str("reply consumer cannot acknowledge"),
            Error::NoReplyConsumer => formatter.write_str("fast reply consumer does not exist"),
            Error::MessageTooLarge { bytes, limit } => {
                write!(formatter, "message size {bytes} is larger than configured max size {limit}")
            }
            Error::NotImplemented(what) => formatter.write_str(what),
            Error::MemoryLimit(limit) => write!(
                formatter,
                "the memory limit of {limit} bytes is reached: consume or purge messages, or raise the limit"
            ),
            Error::PublisherLimit(known) => write!(
                formatter,
                "the numbers of {known} publishers are remembered, and there is no memory for more: use an 'x-publisher-id' \
                 again, wait until some have not published for a week, or raise the memory limit"
            ),
            Error::RoomLimit(limit) => write!(
                formatter,
                "queues, exchanges, bindings, consumers, channels and connections take the {limit} bytes that they may: \
                 delete or close some, or raise the memory limit, of which this is half"
            ),
            Error::JournalFailed => {
                formatter.write_str("the journal has failed: nothing durable is accepted until the broker is restarted")
            }
        }
    }
}

impl std::error::Error for Error {}
