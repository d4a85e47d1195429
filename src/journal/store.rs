//! Store: where a journal's bytes are kept, as the host knows.

use std::fmt;

/// A segment's name: its place in the row, and the leadership under which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    /// Rises by one from segment to segment.
    pub number: u32,
    /// Rises each time that somebody opens the journal.
    pub leadership: u32,
}

impl fmt::Display for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "segment {} of leadership {}", self.number, self.leadership)
    }
}

/// Why a store cannot do what it is asked: a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(pub Box<str>);

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

/// Where a journal's bytes are kept. Nothing is durable before the host has flushed; but what a store finds when it is
/// opened it makes durable before it lists it, for the journal goes on from there.
pub trait Store {
    /// All segments that there are, in any order, with their lengths in bytes.
    ///
    /// # Errors
    /// When the store cannot be looked at.
    fn segments(&mut self) -> Result<Vec<(Segment, u64)>, StoreError>;

    /// Fills `into` with what is in a segment from `offset` on.
    ///
    /// # Errors
    /// When there is less, or it cannot be read.
    fn read(&mut self, segment: Segment, offset: u64, into: &mut [u8]) -> Result<(), StoreError>;

    /// Makes a new segment, which is empty.
    ///
    /// # Errors
    /// When it is there already, or cannot be made.
    fn create(&mut self, segment: Segment) -> Result<(), StoreError>;

    /// Appends to the end of a segment.
    ///
    /// # Errors
    /// When not all of it was written.
    fn append(&mut self, segment: Segment, bytes: &[u8]) -> Result<(), StoreError>;

    /// Removes a segment. One that is not there is no error.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&mut self, segment: Segment) -> Result<(), StoreError>;
}
