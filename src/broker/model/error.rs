//! Error: why the broker refused, in the words that clients of RabbitMQ know.
//!
//! Nothing has changed when a verb answers with an error. The broker knows no reply codes: a protocol maps
//! [`Error::kind`] to its own.

use std::fmt;

use super::exchange::kind::ExchangeKind;

/// What was looked for or touched.
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

/// The kinds of refusal, by AMQP's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Something named does not exist.
    NotFound,
    /// It exists, and is not for this peer.
    AccessRefused,
    /// It belongs to another connection.
    ResourceLocked,
    /// What the request takes for granted does not hold.
    PreconditionFailed,
    /// The request breaks a rule of the protocol.
    NotAllowed,
    /// The broker cannot do this.
    NotImplemented,
    /// The broker is out of memory that it may use.
    ResourceError,
    /// The broker cannot go on as it should.
    Internal,
}

/// A refusal. Its text says what was wrong; [`Error::kind`] says of which kind it is.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no exchange or queue of this name.
    NotFound(Resource, Box<str>),
    /// An empty queue name stands for the channel's last declared queue, and there is none.
    NoQueueDeclared,
    /// The default exchange cannot be declared, deleted or bound.
    DefaultExchange,
    /// Names that begin with `amq.` are the broker's own.
    ReservedName(Resource, Box<str>),
    /// A predeclared exchange cannot be deleted.
    SystemExchange(Box<str>),
    /// An internal exchange takes messages from other exchanges only.
    InternalExchange(Box<str>),
    /// The queue has an exclusive consumer, or has consumers and was asked for an exclusive one.
    ExclusiveUse(Box<str>),
    /// An exclusive queue of another connection.
    Locked(Box<str>),
    /// It was declared before with other properties.
    Inequivalent {
        /// What was declared again.
        resource: Resource,
        /// Its name.
        name: Box<str>,
        /// The property or argument that differs.
        argument: Box<str>,
        /// What the new declaration says.
        received: Box<str>,
        /// What it is.
        current: Box<str>,
    },
    /// Nothing is unacked under this delivery tag.
    UnknownDeliveryTag(u64),
    /// Deleting with *if-unused* what is used.
    InUse(Resource, Box<str>),
    /// Deleting with *if-empty* what is not empty.
    NotEmpty(Box<str>),
    /// No exchange has such a type.
    UnknownExchangeType(Box<str>),
    /// A name or routing key that no short string can hold.
    TooLong(&'static str),
    /// An argument has a value that makes no sense; the texts name it and say what is wrong.
    BadArgument(&'static str, Box<str>),
    /// An argument of a queue has a value that makes no sense.
    BadQueueArgument {
        /// The queue.
        queue: Box<str>,
        /// The argument.
        argument: &'static str,
        /// What is wrong.
        reason: Box<str>,
    },
    /// An argument of a queue has a value of this type, which none can have.
    BadQueueArgumentType(Box<str>, &'static str, &'static str),
    /// The argument `alternate-exchange` of an exchange has a value of this type, which none can have.
    BadAlternateExchange(Box<str>, &'static str),
    /// No queue of its type has such an argument.
    UnsupportedQueueArgument(Box<str>, &'static str, &'static str),
    /// The property `expiration` is no number of milliseconds; what is wrong with it.
    BadExpiration(Box<str>, Box<str>),
    /// A header that lists further routing keys is no array but of this type.
    BadRecipients(&'static str, &'static str),
    /// What was asked for makes no sense; the text says all of it.
    Invalid(Box<str>),
    /// A property that a quorum queue cannot have.
    QuorumQueue(Box<str>, &'static str),
    /// The consumer tag is in use on its channel.
    ConsumerTagInUse(Box<str>),
    /// The channel has its consumer of replies.
    ReplyConsumerExists,
    /// A consumer of replies must consume without acks.
    ReplyConsumerAcks,
    /// A request without a consumer of replies on its channel.
    NoReplyConsumer,
    /// A body of so many bytes, where fewer are allowed.
    MessageTooLarge {
        /// What it has.
        bytes: u64,
        /// What it may have.
        limit: usize,
    },
    /// A quorum queue has no consumers on a channel with a prefetch of its own.
    GlobalPrefetch(Box<str>),
    /// More partitions were asked for while so many slots still move.
    PartitionsMove(Box<str>, usize),
    /// The channel is not in transaction mode.
    NotTransactional,
    /// The transaction was committed, but a full queue refused a message of it.
    PartialTransaction,
    /// Known, and not done by this version.
    NotImplemented(Box<str>),
    /// There is no room for this queue: there may be so many.
    QueueLimit(Box<str>, usize),
    /// The limit on memory, in bytes, is reached.
    MemoryLimit(usize),
    /// There is no room to remember the number of a further publisher; so many are known.
    PublisherLimit(usize),
    /// The limit on what everything but messages takes in memory, in bytes, is reached.
    RoomLimit(usize),
    /// What was to be durable can never be.
    JournalFailed,
}

impl Error {
    /// Of which kind this refusal is.
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
    /// The text for a peer in the virtual host of this name.
    #[must_use]
    pub fn in_virtual_host(&self, name: &str) -> String {
        InVirtualHost(self, name).to_string()
    }
}

/// The same as displayed: a second way to say it would cost more bytes than it is worth.
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
