//! Ids: numbers that name a connection, channel, queue or consumer for as long as the broker lives, and what a server
//! holds besides.
//!
//! They rise with time and are never used twice, so a stale id finds nothing rather than somebody else.

use crate::arena::Id;

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
        }

        impl Id for $name {
            fn from_number(number: u64) -> Self {
                Self(number)
            }

            fn number(self) -> u64 {
                self.0
            }
        }
    };
}

id!(
    /// A virtual host, from its making to its deletion.
    VirtualHostId
);
id!(
    /// A transport of a server and the connection over it, from its opening until it is gone.
    TransportId
);
id!(
    /// A peer of one broker: an AMQP connection, or the embedding program.
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
