//! Place: the location of a message among queues and exchanges.

use crate::id::QueueId;

/// Bytes that a message takes in the store beyond its parts and places, and bytes of each place.
pub(crate) const CONTENT_BYTES: usize = 21;
pub(crate) const PLACE_BYTES: usize = 16;

/// Location of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// In a queue, at a position.
    Queue(QueueId, u64),
    /// In a partition, until its slot is opened; numbered by arrival.
    Sealed(QueueId, u64),
    /// Delayed in its exchange, by its number.
    Delayed(u64),
}

impl Place {
    /// Returns the place `count` further on.
    pub(crate) fn after(self, count: u64) -> Self {
        match self {
            Self::Queue(queue, position) => Self::Queue(queue, position + count),
            Self::Sealed(queue, number) => Self::Sealed(queue, number + count),
            Self::Delayed(number) => Self::Delayed(number + count),
        }
    }
}
