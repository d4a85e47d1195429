//! Pager: reads messages back that were written down and had to leave memory.

/// Where a fact begins that was written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The number of its segment.
    pub segment: u32,
    /// How many bytes of the segment are before it.
    pub offset: u32,
}

/// Reads facts back that were written down.
pub trait Pager {
    /// Returns the bytes of a fact, or nothing when they cannot be read any more.
    fn read(&mut self, at: Location, length: u32) -> Option<&[u8]>;
}
