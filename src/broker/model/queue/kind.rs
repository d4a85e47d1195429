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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::model::message::{Message, Parts};
    use crate::broker::model::queue::Queue;
    use crate::broker::model::settings::Settings;
    use crate::properties::Properties;
    use crate::table::Table;

    fn queue() -> Queue {
        Queue::new("q", false, false, false, Table::new(), Settings::default())
    }

    fn message() -> Message {
        let (properties, published_ms, claims_deaths) = (Properties::EMPTY, 0, false);
        let parts = Parts { exchange: "", routing_key: "q", properties, body: b"", published_ms, claims_deaths };
        Message::new(&parts, &mut Vec::new())
    }

    #[test]
    fn cursors_at_the_head_move_on_together() {
        let mut queue = queue();
        let (one, other) = (Cursor::Head, Cursor::default());
        queue.push(message());
        queue.push(message());
        let next = |queue: &Queue| [one, other].map(|cursor| queue.next(cursor).map(|(position, _)| position));
        assert_eq!(next(&queue), [Some(0); 2]);
        queue.deliver(0);
        assert_eq!(next(&queue), [Some(1); 2]);
        queue.deliver(1);
        assert_eq!(next(&queue), [None; 2]);
    }

    #[test]
    fn a_front_has_no_messages_and_a_partition_has() {
        let mut front = queue();
        front.kind.front();
        assert_eq!((front.next(Cursor::Head), front.ready_count()), (None, 0));
        let mut partition = queue();
        partition.kind = Kind::partition(0, Part::new(crate::id::QueueId::from_index(1), 0));
        partition.push(message());
        assert!(partition.next(Cursor::Head).is_some());
    }
}
