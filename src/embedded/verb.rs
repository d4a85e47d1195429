//! Verb: the requests of the embedding program and of the operator, as values, and their answers.

use crate::broker::{Binding, Consume, Error, ExchangeDeclaration, Policy, QueueDeclaration, QueueStatus};

/// A request of the embedding program, or of the operator, in the virtual host that the program uses.
#[derive(Clone, Copy, Debug)]
pub enum Verb<'a> {
    /// Makes further verbs apply to the virtual host of this name; returns whether it exists.
    Enter {
        /// Name of the virtual host.
        virtual_host: &'a str,
    },
    /// Declares an exchange.
    DeclareExchange(ExchangeDeclaration<'a>),
    /// Deletes an exchange with its bindings.
    DeleteExchange {
        /// Name of the exchange.
        name: &'a str,
        /// Refuses to delete it while it has bindings.
        if_unused: bool,
    },
    /// Binds a queue to an exchange.
    BindQueue(Binding<'a>),
    /// Removes a queue's binding.
    UnbindQueue(Binding<'a>),
    /// Binds an exchange to an exchange.
    BindExchange(Binding<'a>),
    /// Removes the binding of an exchange to an exchange.
    UnbindExchange(Binding<'a>),
    /// Declares a queue and returns its status.
    DeclareQueue(QueueDeclaration<'a>),
    /// Declares a queue whose name may begin as those of the broker do, and returns its status.
    DeclareNamed(QueueDeclaration<'a>),
    /// Removes all ready messages from a queue and returns how many there were.
    PurgeQueue {
        /// Name of the queue.
        name: &'a str,
    },
    /// Deletes a queue and returns how many messages were ready.
    DeleteQueue {
        /// Name of the queue.
        name: &'a str,
        /// Refuses to delete it while it has consumers.
        if_unused: bool,
        /// Refuses to delete it while it has ready messages.
        if_empty: bool,
    },
    /// Publishes a message and returns how many queues took it.
    Publish {
        /// Name of the exchange.
        exchange: &'a str,
        /// The routing key.
        routing_key: &'a str,
        /// The properties in AMQP's bytes, or nothing.
        properties: &'a [u8],
        /// The body.
        body: &'a [u8],
    },
    /// Publishes packed messages, all of them or none, and returns the sum of the numbers of queues that took each.
    PublishBatch {
        /// Name of the exchange.
        exchange: &'a str,
        /// The routing key.
        routing_key: &'a str,
        /// The messages.
        packed: &'a [u8],
    },
    /// Takes ready messages into the batch and returns how many.
    Get {
        /// Name of the queue.
        queue: &'a str,
        /// The most that are taken.
        max: u32,
        /// Whether they need no ack.
        no_ack: bool,
        /// Time after which a message that was not settled is requeued; 0 is unlimited.
        visibility_timeout_ms: u64,
    },
    /// Starts a consumer and returns its tag.
    Consume {
        /// The consumer.
        consume: Consume<'a>,
        /// Most unacked messages that it may have; 0 is unlimited.
        prefetch: u16,
    },
    /// Cancels a consumer.
    Cancel {
        /// Its tag.
        consumer_tag: &'a str,
    },
    /// Acks a delivery.
    Ack {
        /// Its tag.
        delivery_tag: u64,
        /// Whether all up to it are acked.
        multiple: bool,
    },
    /// Acks deliveries as far as possible; it is an error if there is nothing unacked under one of the tags.
    AckBatch {
        /// Their tags, in the type in which the batch has them.
        delivery_tags: &'a [f64],
    },
    /// Rejects a delivery.
    Nack {
        /// Its tag.
        delivery_tag: u64,
        /// Whether all up to it are rejected.
        multiple: bool,
        /// Whether the messages are ready again.
        requeue: bool,
    },
    /// Rejects a delivery; its message is ready again later.
    NackAfter {
        /// Its tag.
        delivery_tag: u64,
        /// Time until then.
        delay_ms: u64,
    },
    /// Sets a policy.
    SetPolicy {
        /// Its name.
        name: &'a str,
        /// The policy.
        policy: &'a Policy,
    },
    /// Sets an operator policy, or deletes it if there is none.
    SetOperatorPolicy {
        /// Its name.
        name: &'a str,
        /// The policy.
        policy: Option<&'a Policy>,
    },
    /// Deletes a policy; returns whether it existed.
    DeletePolicy {
        /// Its name.
        name: &'a str,
    },
    /// Clears the batch for the next deliveries.
    ClearBatch,
    /// Returns how many messages full queues have refused since the last time.
    TakeRefused,
    /// Returns the handles of consumers whose queues were deleted since the last time.
    TakeCancelled,
}

impl Verb<'_> {
    /// Returns whether deliveries that are due are made first, as it would see or change which consumer gets a message.
    #[must_use]
    #[inline(always)]
    pub fn follows_deliveries(&self) -> bool {
        matches!(
            self,
            Self::DeclareQueue(_)
                | Self::DeclareNamed(_)
                | Self::PurgeQueue { .. }
                | Self::DeleteQueue { .. }
                | Self::Get { .. }
        )
    }
}

/// Result of a verb, or of another input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is nothing to return.
    Done,
    /// Yes or no.
    Flag(bool),
    /// A number of something.
    Count(u64),
    /// A number, if there is one: an id or a time.
    Next(Option<u64>),
    /// A consumer's tag.
    Tag(Box<str>),
    /// The queue that was declared.
    Queue(QueueStatus),
    /// Handles of consumers.
    Handles(Vec<u32>),
}

impl Answer {
    /// Returns the yes or no.
    ///
    /// # Panics
    /// As for all of these, when the answer is of another kind.
    #[must_use]
    pub fn flag(self) -> bool {
        let Self::Flag(flag) = self else { self.another() };
        flag
    }

    /// Returns the number.
    #[must_use]
    pub fn count(self) -> u64 {
        let Self::Count(count) = self else { self.another() };
        count
    }

    /// Returns the number that there may be.
    #[must_use]
    pub fn next(self) -> Option<u64> {
        let Self::Next(next) = self else { self.another() };
        next
    }

    /// Returns the consumer's tag.
    #[must_use]
    pub fn tag(self) -> Box<str> {
        let Self::Tag(tag) = self else { self.another() };
        tag
    }

    /// Returns the status of the queue.
    #[must_use]
    pub fn queue(self) -> QueueStatus {
        let Self::Queue(status) = self else { self.another() };
        status
    }

    /// Returns the handles.
    #[must_use]
    pub fn handles(self) -> Vec<u32> {
        let Self::Handles(handles) = self else { self.another() };
        handles
    }

    #[cold]
    fn another(&self) -> ! {
        panic!("an answer of the kind that its input has")
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident),*) => {
        $(impl From<$from> for Answer {
            fn from(value: $from) -> Self {
                Self::$variant(value)
            }
        })*
    };
}

from!(bool => Flag, u64 => Count, Option<u64> => Next, Box<str> => Tag, QueueStatus => Queue, Vec<u32> => Handles);

impl From<u32> for Answer {
    fn from(count: u32) -> Self {
        Self::Count(count.into())
    }
}

impl From<usize> for Answer {
    fn from(count: usize) -> Self {
        Self::Count(count as u64)
    }
}

impl From<()> for Answer {
    fn from((): ()) -> Self {
        Self::Done
    }
}

/// Makes the answer of a result.
pub(crate) fn answer<T: Into<Answer>>(result: Result<T, Error>) -> Result<Answer, Error> {
    result.map(Into::into)
}
