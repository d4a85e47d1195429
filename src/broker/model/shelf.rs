//! Shelf: where messages lie that memory has no room for, as whoever keeps the facts knows.

/// Where a fact begins that was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The number of its segment.
    pub segment: u32,
    /// How many bytes of the segment are before it.
    pub offset: u32,
}

/// Gives facts back that were written down.
pub trait Shelf {
    /// The bytes of a fact; nothing when they cannot be read any more, which whoever keeps the facts tells the operator.
    fn read(&mut self, at: Location, length: u32) -> Option<&[u8]>;
}
