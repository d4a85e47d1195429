//! Kind: where the messages of a queue are, and which of them is next for a consumer.
//!
//! A [`Cursor`] is a consumer's place in its queue: delivery asks a queue what is next for a cursor. Consumers of a queue
//! whose messages go to one consumer each share its head. A kind whose messages stay, a log that many consumers read, would
//! bring a cursor that is an offset; its delivery would move that cursor instead of the message.

use super::fifo::Fifo;
use super::partitions::{Part, Partitions};

/// The kind of a queue, with its messages.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Each message goes to one consumer, in order.
    Fifo(Fifo),
    /// A part of a queue, which has the name of its front.
    Partition(Fifo, Box<Part>),
    /// The queue that its partitions are parts of; it holds no messages.
    Front(Box<Partitions>),
}

/// A consumer's place in its queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cursor {
    /// The head of the queue, shared by its consumers: a message that one of them gets is not there for the others.
    #[default]
    Head,
}

impl Kind {
    /// Returns the messages that go to one consumer each.
    pub(crate) fn fifo(&self) -> Option<&Fifo> {
        match self {
            Self::Fifo(fifo) | Self::Partition(fifo, _) => Some(fifo),
            Self::Front(_) => None,
        }
    }

    pub(super) fn fifo_mut(&mut self) -> Option<&mut Fifo> {
        match self {
            Self::Fifo(fifo) | Self::Partition(fifo, _) => Some(fifo),
            Self::Front(_) => None,
        }
    }

    pub(super) fn into_fifo(self) -> Option<Fifo> {
        match self {
            Self::Fifo(fifo) | Self::Partition(fifo, _) => Some(fifo),
            Self::Front(_) => None,
        }
    }

    /// Returns the kind of a new partition.
    pub(crate) fn partition(max_priority: u8, part: Part) -> Self {
        Self::Partition(Fifo::new(max_priority), Box::new(part))
    }

    /// Returns the partitions; a new queue becomes a front.
    pub(crate) fn front(&mut self) -> &mut Partitions {
        if self.partitions().is_none() {
            *self = Self::Front(Box::new(Partitions::new()));
        }
        self.partitions_mut().expect("it is a front now")
    }

    /// Returns what makes a queue a partition.
    pub(crate) fn part(&self) -> Option<&Part> {
        if let Self::Partition(_, part) = self { Some(part) } else { None }
    }

    pub(crate) fn part_mut(&mut self) -> Option<&mut Part> {
        if let Self::Partition(_, part) = self { Some(part) } else { None }
    }

    /// Returns the partitions of a front.
    pub(crate) fn partitions(&self) -> Option<&Partitions> {
        if let Self::Front(partitions) = self { Some(partitions) } else { None }
    }

    pub(crate) fn partitions_mut(&mut self) -> Option<&mut Partitions> {
        if let Self::Front(partitions) = self { Some(partitions) } else { None }
    }
}
