//! Cleaning: notes again what still holds of the oldest segment, so that the segment can be removed.
//!
//! ```text
//!   clean_next ... facts that still hold are noted again, in the current write
//!   end_write      later batches say that the segment is not needed before the position reached
//!   clean_next     at the segment's end: it is cleaned
//!   end_write      a batch without facts says that segments up to it are not needed; all noted again is before it
//!   flushed        that batch is durable: the segment is removed
//! ```
//!
//! A crash at any point leaves either the segment and the chain to it, or everything of it that holds in later ones;
//! and facts that were noted again are not read twice.

use super::scan::{Scan, Step};
use super::segment::{Batch, HEADER_BYTES};
use super::{Journal, JournalError, Noted, Segment, StoreError};
use crate::broker::Location;
use crate::id::VirtualHostId;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 128 * 1024;
/// There are too many small segments when their number exceeds twice what their bytes need by more than this.
const SMALL_SEGMENTS_MAX: u64 = 8;

impl Journal {
    /// Returns whether enough is no longer needed, or in pieces small enough, that it is time to clean. `live_bytes` is
    /// called only if that depends on it.
    #[must_use]
    pub fn wants_cleaning(&self, live_bytes: &mut dyn FnMut() -> u64) -> bool {
        if self.failure.is_some() || self.dirty().is_none() {
            return false;
        }
        let kept = self.kept.borrow();
        let segments = kept.segments.iter().filter(|(segment, _)| segment.number >= self.clean_below);
        let (count, bytes) = segments.fold((0, 0), |(count, bytes), (_, length)| (count + 1, bytes + length));
        let mut is_wasteful = |bytes| {
            let live_bytes = live_bytes();
            bytes > live_bytes + live_bytes / 4 * 3
        };
        let is_scattered = count > SMALL_SEGMENTS_MAX + 2 * bytes / self.segment_bytes;
        is_scattered
            || self.clean_below < self.damaged_below
            || bytes.checked_sub(self.segment_bytes).is_some_and(&mut is_wasteful)
    }

    /// Returns the next batch of the oldest segment, whose facts are to be noted again in this write where they still
    /// hold, and their location. Returns `None` when the budget of this step is used up, the segment's end is reached,
    /// or there is nothing to clean. After the write in which the end of a segment was reached, the segment can no
    /// longer be read.
    ///
    /// # Errors
    /// When the segment cannot be read or is damaged; then the journal has failed.
    pub fn clean_next(&mut self, budget_bytes: &mut u64) -> Result<Option<Noted<'_>>, StoreError> {
        let host = match self.clean_step(budget_bytes) {
            Ok(Some(host)) => host,
            Ok(None) => return Ok(None),
            Err(error) => {
                self.fail(error.clone());
                return Err(error);
            }
        };
        let scan = self.cleaning.as_ref().expect("a batch was found by it");
        let at = Location { segment: scan.segment().number, offset: scan.facts_offset() as u32 };
        Ok(Some((host, scan.facts(), at)))
    }

    /// Moves to the next batch that has facts, and returns its virtual host.
    fn clean_step(&mut self, budget_bytes: &mut u64) -> Result<Option<VirtualHostId>, StoreError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let needed = self.needed;
        let begin = |(segment, length): (Segment, u64)| {
            let from = if needed.number == segment.number { needed.offset } else { HEADER_BYTES as u32 };
            Scan::new(segment, from.into(), length, 0, CHUNK_BYTES)
        };
        let Some(mut scan) = self.cleaning.take().or_else(|| self.dirty().map(begin)) else {
            return Ok(None);
        };
        while *budget_bytes > 0 {
            let from = scan.offset();
            let step = scan.step(&mut *self.kept.borrow_mut().store)?;
            *budget_bytes = budget_bytes.saturating_sub(scan.offset() - from);
            match step {
                Step::Batch(Batch { host: Some(host), .. }) => {
                    self.cleaning = Some(scan);
                    return Ok(Some(host));
                }
                Step::Batch(_) => {}
                Step::Damage => self.pass_damage(&mut scan)?,
                Step::End => {
                    self.clean_below = scan.segment().number + 1;
                    return Ok(None);
                }
            }
        }
        self.cleaning = Some(scan);
        Ok(None)
    }

    /// Skips damage that a salvage has left out already.
    fn pass_damage(&self, scan: &mut Scan) -> Result<(), StoreError> {
        let (segment, offset) = (scan.segment(), scan.offset());
        if segment.number >= self.damaged_below {
            return Err(StoreError(JournalError::Damaged { segment, offset }.to_string().into()));
        }
        scan.skip(&mut *self.kept.borrow_mut().store).map(drop)
    }

    /// Returns the oldest segment that is not cleaned yet, and its bytes. The segment that is written to is never
    /// cleaned.
    fn dirty(&self) -> Option<(Segment, u64)> {
        let kept = self.kept.borrow();
        let (_, older) = kept.segments.split_last()?;
        older.iter().find(|(segment, _)| segment.number >= self.clean_below).copied()
    }
}
