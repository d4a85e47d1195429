//! Store: the host's storage for a journal's bytes.

use std::fmt;

/// Name of a segment: its number, and the leadership under which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment {
    /// Rises by one from segment to segment.
    pub number: u32,
    /// Rises each time that the journal is opened.
    pub leadership: u32,
}

impl fmt::Display for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "segment {} of leadership {}", self.number, self.leadership)
    }
}

/// Why a store has failed: a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError(pub Box<str>);

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

/// The host's storage for a journal's bytes. Nothing is durable before the host has flushed; but when a store is opened
/// it must make its contents durable before it lists them, for the journal relies on them.
pub trait Store {
    /// Lists all segments in any order, with their lengths in bytes.
    ///
    /// # Errors
    /// When the store cannot be listed.
    fn segments(&mut self) -> Result<Vec<(Segment, u64)>, StoreError>;

    /// Fills `into` with the bytes of a segment from `offset` on.
    ///
    /// # Errors
    /// When there are fewer bytes, or they cannot be read.
    fn read(&mut self, segment: Segment, offset: u64, into: &mut [u8]) -> Result<(), StoreError>;

    /// Makes a new, empty segment.
    ///
    /// # Errors
    /// When it exists already, or cannot be made.
    fn create(&mut self, segment: Segment) -> Result<(), StoreError>;

    /// Appends to the end of a segment.
    ///
    /// # Errors
    /// When not all of it was written.
    fn append(&mut self, segment: Segment, bytes: &[u8]) -> Result<(), StoreError>;

    /// Removes a segment; an unknown one is no error.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&mut self, segment: Segment) -> Result<(), StoreError>;
}
