//! Place: where a message is.

use crate::id::QueueId;

/// What a message takes where it is written down, beside its parts and places, and what each place takes there.
pub(crate) const CONTENT_BYTES: usize = 21;
pub(crate) const PLACE_BYTES: usize = 16;

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Place {
    /// At a position of a queue.
    Queue(QueueId, u64),
    /// In a partition, until its slot is opened; numbered by arrival.
    Sealed(QueueId, u64),
    /// In its exchange; by its number.
    Delayed(u64),
}

impl Place {
    /// The place so much further on.
    pub(crate) fn after(self, count: u64) -> Self {
        match self {
            Self::Queue(queue, position) => Self::Queue(queue, position + count),
            Self::Sealed(queue, number) => Self::Sealed(queue, number + count),
            Self::Delayed(number) => Self::Delayed(number + count),
        }
    }
}
