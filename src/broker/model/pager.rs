//! Pager: reads messages back that were written down and paged out of memory.

/// Location of the first byte of a fact in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// Number of its segment.
    pub segment: u32,
    /// Offset in the segment, in bytes.
    pub offset: u32,
}

/// Reads facts back that were written down.
pub trait Pager {
    /// Returns the bytes of a fact, or `None` when they cannot be read any more.
    fn read(&mut self, at: Location, length: u32) -> Option<&[u8]>;
}
