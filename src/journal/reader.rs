//! Reader: reads facts back from the journal.

use std::cell::RefCell;
use std::rc::Rc;

use super::Kept;
use crate::broker::{Location, Pager};

/// Bytes that are read at a time: facts are mostly read in order.
const CHUNK_BYTES: u64 = 256 * 1024;

/// Reads the facts of a journal, beside the journal.
#[derive(Clone, Debug)]
pub struct Reader {
    kept: Rc<RefCell<Kept>>,
    /// Location of the chunk. Appended bytes never change, so the chunk is valid as long as the segment exists.
    at: Location,
    chunk: Vec<u8>,
}

impl Reader {
    pub(super) fn new(kept: Rc<RefCell<Kept>>) -> Self {
        Self { kept, at: Location { segment: 0, offset: 0 }, chunk: Vec::new() }
    }

    /// Returns the index of these bytes in the chunk.
    fn find(&self, at: Location, length: usize) -> Option<usize> {
        let start = at.offset.checked_sub(self.at.offset)? as usize;
        let is_there = at.segment == self.at.segment && start.checked_add(length)? <= self.chunk.len();
        is_there.then_some(start)
    }

    /// Reads a chunk that begins with these bytes.
    fn fill(&mut self, at: Location, length: usize) -> Option<()> {
        self.chunk.clear();
        self.chunk.shrink_to(CHUNK_BYTES as usize);
        let mut kept = self.kept.borrow_mut();
        let (segment, end) = kept.find(at.segment)?;
        let rest_bytes = end.checked_sub(at.offset.into()).filter(|&rest| rest >= length as u64)?;
        let bytes = rest_bytes.min(CHUNK_BYTES.max(length as u64)) as usize;
        self.chunk.reserve_exact(bytes);
        self.chunk.resize(bytes, 0);
        let read = kept.store.read(segment, at.offset.into(), &mut self.chunk);
        if read.is_err() {
            self.chunk.clear();
        }
        self.at = at;
        read.map_err(|error| kept.unreadable = Some(error)).ok()
    }
}

impl Pager for Reader {
    fn read(&mut self, at: Location, length: u32) -> Option<&[u8]> {
        let length = length as usize;
        if self.find(at, length).is_none() {
            self.fill(at, length)?;
        }
        let start = self.find(at, length)?;
        Some(&self.chunk[start..start + length])
    }
}
