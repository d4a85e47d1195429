//! Mutations: bugs that are planted around the core, so that one sees that the checker finds them.

use super::disk::{Disk, Lie};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The server is told of a flush before it happened.
    ConfirmsBeforeFlush,
    /// An ack never arrives.
    DropsAcks,
    /// A transaction is written as several.
    CommitsInParts,
    /// What the disk does.
    OfDisk(Lie),
}

impl Mutation {
    pub fn disk(self) -> Disk {
        match self {
            Self::OfDisk(lie) => Disk::lying(lie),
            _ => Disk::default(),
        }
    }
}
