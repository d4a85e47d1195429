//! Ids: numbers that identify a connection, channel, queue or consumer of a broker, and a server's other things.
//!
//! They rise with time and are never used twice, so a stale id finds nothing instead of something else.

use crate::arena::Id;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u64);

        impl $name {
            /// Makes the id with this number, for a host that stores only numbers.
            #[must_use]
            pub fn from_index(index: u64) -> Self {
                Self(index)
            }

            /// Returns its number.
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
    /// A virtual host, from its creation to its deletion.
    VirtualHostId
);
id!(
    /// A transport of a server and its connection, until the transport is closed.
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
