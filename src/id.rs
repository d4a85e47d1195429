//! Ids: numbers that name a connection, channel, queue or consumer for as long as the broker lives.
//!
//! They are handed out in order and never used twice, so a stale id finds nothing rather than somebody else.

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// The id with this number, for a host that keeps only numbers.
            #[must_use]
            pub fn from_index(index: u64) -> Self {
                Self(index)
            }

            /// Its number.
            #[must_use]
            pub fn index(self) -> u64 {
                self.0
            }

            /// The id that is handed out after this one.
            #[must_use]
            pub(crate) fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
    };
}

id!(
    /// A peer of the broker: an AMQP connection, or the embedding program.
    ConnectionId
);
id!(
    /// A channel of a connection.
    ChannelId
);
id!(
    /// A queue, from its declaration to its deletion.
    QueueId
);
id!(
    /// A consumer of a queue.
    ConsumerId
);
