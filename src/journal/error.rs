//! Error: the reason why a journal cannot be opened, in sentences for the operator.

use std::fmt;

use super::store::{Segment, StoreError};
use crate::wire::Malformed;

/// The reason why a journal cannot be opened; nothing was changed in its store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JournalError {
    /// The store has failed.
    Store(StoreError),
    /// The store has a segment that no journal has written.
    NotAJournal {
        /// The segment.
        segment: Segment,
    },
    /// A later version has written a segment.
    NewerVersion {
        /// The segment.
        segment: Segment,
        /// The version of its bytes.
        version: u32,
    },
    /// A segment that is needed is not there.
    Missing {
        /// The segment.
        segment: Segment,
    },
    /// Bytes that were durable have changed.
    Damaged {
        /// The segment that contains them.
        segment: Segment,
        /// Offset of the first damaged header or batch.
        offset: u64,
    },
    /// Undamaged facts that cannot be read.
    Malformed {
        /// The segment that contains them.
        segment: Segment,
        /// Their offset.
        offset: u64,
        /// The reason.
        why: Malformed,
    },
}

impl fmt::Display for JournalError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(error) => error.fmt(formatter),
            Self::NotAJournal { segment } => {
                write!(formatter, "{segment} does not belong to a journal: keep the journal in a place of its own")
            }
            Self::NewerVersion { segment, version } => {
                write!(
                    formatter,
                    "{segment} has version {version} of the journal's format: open it with a later PocketMQ"
                )
            }
            Self::Missing { segment } => {
                write!(
                    formatter,
                    "{segment} is missing: put it back from a copy, or salvage what is left of the journal"
                )
            }
            Self::Damaged { segment, offset } => write!(
                formatter,
                "{segment} is damaged at byte {offset}: restore it from a copy, or salvage what is left of the journal"
            ),
            Self::Malformed { segment, offset, why } => write!(
                formatter,
                "the facts at byte {offset} of {segment} cannot be understood ({why}): open it with the PocketMQ that wrote it"
            ),
        }
    }
}

impl std::error::Error for JournalError {}

impl From<StoreError> for JournalError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
