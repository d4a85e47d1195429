//! Journal: facts as bytes, in a row of segments, so that what was confirmed outlives its broker.
//!
//! ```text
//!  facts ─ append ─> store ──────────── end_write ─ start_flush ─ the host flushes ─ flushed ─> durable
//!             │ one batch: all of a turn's facts of one virtual host                   │
//!             └ rotates, when the segment is full and all of it is durable             └ removes cleaned segments
//! ```
//!
//! A *write* is what one turn appends. It is identified by a number: that of the first entry (a batch, or a segment's
//! header) that it may contain. Invariants:
//!
//! - Nothing is appended to a segment of an earlier leadership. So a former leader that does not know that it was
//!   fenced only writes where nothing is read any more.
//! - A segment is made when all of the one before is durable. So only the end of the last one can be torn.
//! - The segments that are not needed are written down after what replaces them, and they are removed when that is
//!   durable.
//! - After the store's first failure nothing is appended any more.
//! - Nothing is appended to a journal that is closed. The mark of that is in a segment of its own, made when everything
//!   before is durable: its header says where the segment before has to end.
//!
//! The journal does not know what facts mean; `journal/segment.rs` draws the bytes, and `journal/recovery.rs` describes
//! how they are found again.

mod cleaning;
mod error;
#[cfg(test)]
mod memory;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod properties;
mod reader;
mod recovery;
mod scan;
mod segment;
pub mod store;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

pub use error::JournalError;
pub use reader::Reader;
pub use store::{Segment, Store, StoreError};

use crate::broker::Location;
use crate::id::VirtualHostId;
use crate::wire::Malformed;
use scan::Scan;
use segment::{BATCH_BYTES, Batch, HEADER_BYTES, Header, Needed, VERSION};

/// Range of the segment size: there has to be room for a large turn behind it, since offsets have 32 bits.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 1024..=1 << 30;
/// Maximum bytes of facts in a batch.
const FACTS_BYTES_MAX: usize = 1 << 30;
/// Length of a segment without batches.
const HEADER_LENGTH: u64 = HEADER_BYTES as u64;
/// Memory that stays allocated for the next batch.
const BUFFER_BYTES: usize = 256 * 1024;

/// A batch to be cleaned: its virtual host, its facts, and the location of the first.
pub type Noted<'a> = (VirtualHostId, &'a [u8], Location);

/// Called with a batch: its virtual host, its facts, and the location of the first.
pub type See<'a> = dyn FnMut(VirtualHostId, &[u8], Location) -> Result<(), Malformed> + 'a;

/// Options for opening a journal.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Size at which a segment is full.
    pub segment_bytes: u64,
    /// Leadership that the host was given; the journal takes a higher one if its store has had this one already.
    pub leadership_min: u32,
    /// Leaves out damaged parts instead of refusing to open.
    pub salvage: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 16 * 1024 * 1024, leadership_min: 1, salvage: false }
    }
}

/// State in which a journal was found when it was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Number of segments with contents.
    pub segments: usize,
    /// Bytes of those contents.
    pub bytes: u64,
    /// Bytes that were left out: of an unfinished write, or that a salvage could not read.
    pub cut_bytes: u64,
    /// Whether the journal was closed cleanly the last time.
    pub was_closed: bool,
    /// Leadership under which it is written from now on.
    pub leadership: u32,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    kept: Rc<RefCell<Kept>>,
    segment_bytes: u64,
    /// The last entry that was appended, the last one of a write that has ended, and the last one that is durable.
    appended: u64,
    ended: u64,
    durable: u64,
    /// Everything before it is not needed, as later batches say.
    needed: Needed,
    /// Segments below it are cleaned; they are not needed after the end of this write.
    clean_below: u32,
    /// Segments below it may have damage that a salvage has left out: they are always cleaned.
    damaged_below: u32,
    /// The segment that is being cleaned.
    cleaning: Option<Scan>,
    /// Segments that can be removed when an entry is durable.
    unneeded: Vec<Unneeded>,
    /// Buffer for a batch.
    buffer: Vec<u8>,
    /// The last entry with facts, and the last one that a later entry records as durable.
    last_facts: u64,
    anchored: u64,
    end: End,
    failure: Option<StoreError>,
}

/// Progress of the journal's clean end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// No more facts are appended. The mark is written when all of them are durable.
    Closing,
    /// The mark is written.
    Closed,
}

/// State that the journal shares with its readers.
struct Kept {
    store: Box<dyn Store>,
    /// Segments of the chain and their lengths, by number. The last one is written to.
    segments: Vec<(Segment, u64)>,
    /// Error of a reader, until the journal takes it.
    unreadable: Option<StoreError>,
}

#[derive(Debug)]
struct Unneeded {
    segment: Segment,
    length: u64,
    /// The segment may be removed when this entry is durable.
    entry: u64,
}

impl Journal {
    /// Reads everything in a store, oldest first, and calls `see` with each batch's facts and their location. Then
    /// makes a new segment for what follows. It is not durable yet, so the journal needs a flush from the beginning.
    ///
    /// # Errors
    /// When the store fails, or its contents cannot be trusted, or `see` cannot read them.
    pub fn open(
        mut store: Box<dyn Store>,
        options: &Options,
        see: &mut See<'_>,
    ) -> Result<(Self, Recovery), JournalError> {
        let found = recovery::recover(&mut *store, options.salvage, see)?;
        let recovery = Recovery {
            segments: found.chain.len(),
            bytes: found.chain.iter().map(|(_, length)| length).sum(),
            cut_bytes: found.cut_bytes,
            was_closed: found.was_closed,
            leadership: options.leadership_min.max(found.leadership + 1),
        };
        let stray = |&(segment, length)| Unneeded { segment, length, entry: found.entry + 1 };
        let mut journal = Self {
            unneeded: found.strays.iter().map(stray).collect(),
            kept: Rc::new(RefCell::new(Kept { store, segments: found.chain, unreadable: None })),
            segment_bytes: options.segment_bytes.clamp(*SEGMENT_BYTES.start(), *SEGMENT_BYTES.end()),
            appended: found.entry,
            ended: found.entry,
            durable: found.entry,
            needed: found.needed,
            clean_below: found.needed.number,
            damaged_below: found.damaged_below,
            cleaning: None,
            buffer: Vec::new(),
            last_facts: found.entry,
            anchored: found.entry,
            end: End::Open,
            failure: None,
        };
        journal.add_segment(Segment { number: found.number + 1, leadership: recovery.leadership })?;
        journal.ended = journal.appended;
        Ok((journal, recovery))
    }

    /// Returns the number of the current write.
    #[must_use]
    pub fn next_write(&self) -> u64 {
        self.ended + 1
    }

    /// Returns whether a write may be made now. Otherwise its facts have to wait for the flush, because the segment is
    /// full; then the write does not end, either. Always false once the journal is being closed.
    #[must_use]
    pub fn may_append(&self) -> bool {
        self.end == End::Open && (!self.is_full() || self.durable == self.appended)
    }

    /// Appends the facts of a virtual host as one batch: they are recovered together or not at all. Returns the
    /// location of the first.
    ///
    /// # Errors
    /// When the store fails, now or earlier, or the facts do not fit into a segment; then the journal has failed.
    pub fn append(&mut self, host: VirtualHostId, facts: &[u8]) -> Result<Location, StoreError> {
        self.write(Some(host), facts, false)
    }

    /// Ends a write: the facts of all virtual hosts in this turn are appended. If there were none, the write's number
    /// remains.
    pub fn end_write(&mut self) {
        if self.clean_below > self.needed.number {
            self.needed = Needed::all_of(self.clean_below);
            if self.write(None, &[], false).is_ok() {
                self.retire();
            }
        } else if let Some(scan) = &self.cleaning {
            self.needed = Needed { number: scan.segment().number, offset: scan.offset() as u32 };
        }
        self.ended = self.appended;
    }

    /// Begins a clean end. The host flushes as long as something is [unflushed](Self::has_unflushed): first the
    /// appended
    /// entries, then the mark of the end.
    pub fn close(&mut self) {
        self.end_write();
        self.end = End::Closing;
        self.mark_end();
    }

    /// Writes the mark of a clean end, once everything before it is durable.
    fn mark_end(&mut self) {
        if self.end != End::Closing || self.durable < self.appended || self.failure.is_some() {
            return;
        }
        self.end = End::Closed;
        let (Segment { number, leadership }, length) = self.kept.borrow().last();
        let made = match length {
            HEADER_LENGTH => Ok(()),
            _ => self.add_segment(Segment { number: number + 1, leadership }),
        };
        // Without the mark the end counts as a crash, but nothing is lost.
        if made.and_then(|()| self.try_write(None, &[], true)).is_ok() {
            self.ended = self.appended;
        }
    }

    /// Returns whether the last facts are durable, but no later entry records that. Until then recovery cannot
    /// distinguish damage of them from an unfinished write.
    #[must_use]
    pub fn wants_anchor(&self) -> bool {
        self.may_append() && self.last_facts > self.anchored && self.durable >= self.last_facts
    }

    /// Writes an entry that records how far the journal is durable.
    ///
    /// # Errors
    /// When the store fails, now or earlier; then the journal has failed.
    pub fn anchor(&mut self) -> Result<(), StoreError> {
        self.write(None, &[], false)?;
        self.ended = self.appended;
        Ok(())
    }

    /// Returns whether something was appended that is not durable.
    #[must_use]
    pub fn has_unflushed(&self) -> bool {
        self.ended > self.durable
    }

    /// Begins a flush. Returns the mark for the call of [`flushed`](Self::flushed) after the host has flushed.
    #[must_use]
    pub fn start_flush(&self) -> u64 {
        self.ended
    }

    /// Confirms that everything written before the flush with this mark began is durable.
    pub fn flushed(&mut self, mark: u64) {
        assert!(mark <= self.ended, "what was not written cannot be durable");
        self.durable = self.durable.max(mark);
        if self.failure.is_none() {
            let mut kept = self.kept.borrow_mut();
            // A segment that cannot be removed now is harmless, and may be removed after the next flush.
            self.unneeded.retain(|unneeded| unneeded.entry > mark || kept.store.remove(unneeded.segment).is_err());
        }
        self.mark_end();
    }

    /// Returns the number of the last durable write.
    #[must_use]
    pub fn durable_write(&self) -> u64 {
        self.durable
    }

    /// Makes the journal fail for good: a store that failed once is not trusted again.
    pub fn fail(&mut self, error: StoreError) {
        self.failure.get_or_insert(error);
    }

    /// Returns why a reader could not read a fact, if that happened since the last call.
    pub fn take_unreadable(&mut self) -> Option<StoreError> {
        self.kept.borrow_mut().unreadable.take()
    }

    /// Returns why nothing is appended any more.
    #[must_use]
    pub fn failure(&self) -> Option<&StoreError> {
        self.failure.as_ref()
    }

    /// Returns the bytes of all segments in the store, including those that are still to be removed.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        let kept: u64 = self.kept.borrow().segments.iter().map(|(_, length)| length).sum();
        kept + self.unneeded.iter().map(|unneeded| unneeded.length).sum::<u64>()
    }

    /// Returns the number of all segments in the store, including those that are still to be removed.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.kept.borrow().segments.len() + self.unneeded.len()
    }

    /// Makes a reader of facts, which may be kept.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader::new(Rc::clone(&self.kept))
    }

    fn is_full(&self) -> bool {
        self.kept.borrow().last().1 >= self.segment_bytes
    }

    fn write(&mut self, host: Option<VirtualHostId>, facts: &[u8], is_closed: bool) -> Result<Location, StoreError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let written = self.try_write(host, facts, is_closed);
        written.inspect_err(|error| self.fail(error.clone()))
    }

    fn try_write(
        &mut self,
        host: Option<VirtualHostId>,
        facts: &[u8],
        is_closed: bool,
    ) -> Result<Location, StoreError> {
        if self.is_full() && self.durable == self.appended {
            let Segment { number, leadership } = self.kept.borrow().last().0;
            self.add_segment(Segment { number: number + 1, leadership })?;
        }
        let (segment, offset) = self.kept.borrow().last();
        check_room(offset, facts)?;
        let mut batch = Batch::new(self.appended + 1, self.durable, self.needed, host, facts);
        batch.is_closed = is_closed;
        self.buffer.clear();
        self.buffer.extend_from_slice(&batch.encode(segment, offset as u32));
        self.buffer.extend_from_slice(facts);
        self.kept.borrow_mut().append(&self.buffer)?;
        self.buffer.shrink_to(BUFFER_BYTES);
        self.appended += 1;
        self.anchored = self.durable;
        if host.is_some() {
            self.last_facts = self.appended;
        }
        Ok(Location { segment: segment.number, offset: offset as u32 + BATCH_BYTES as u32 })
    }

    /// Makes a new segment and appends to it from now on.
    fn add_segment(&mut self, segment: Segment) -> Result<(), StoreError> {
        let mut kept = self.kept.borrow_mut();
        let previous = kept.segments.last().map(|&(segment, length)| (segment, length as u32));
        if previous.is_none() {
            self.needed = Needed::all_of(segment.number);
            self.clean_below = segment.number;
        }
        let entry = self.appended + 1;
        let header = Header { version: VERSION, segment, previous, needed: self.needed, entry };
        kept.store.create(segment)?;
        kept.segments.push((segment, 0));
        kept.append(&header.encode())?;
        self.appended = entry;
        Ok(())
    }

    /// Schedules the segments that are not needed for removal, once the last entry is durable.
    fn retire(&mut self) {
        let mut kept = self.kept.borrow_mut();
        let needed = kept.segments.partition_point(|(segment, _)| segment.number < self.needed.number);
        let entry = self.appended;
        let unneeded = kept.segments.drain(..needed);
        self.unneeded.extend(unneeded.map(|(segment, length)| Unneeded { segment, length, entry }));
    }
}

/// Checks that a batch fits: offsets have 32 bits, and a reader needs a batch in one piece.
fn check_room(offset: u64, facts: &[u8]) -> Result<(), StoreError> {
    let end = offset + (BATCH_BYTES + facts.len()) as u64;
    if facts.len() > FACTS_BYTES_MAX || end > u32::MAX.into() {
        let told = "one turn has more than the journal can write at once: publish less in one transaction";
        return Err(StoreError(told.into()));
    }
    Ok(())
}

impl Kept {
    /// Returns the segment that is written to, and its length.
    fn last(&self) -> (Segment, u64) {
        *self.segments.last().expect("a journal that is open has a segment to write")
    }

    /// Returns a segment by its number.
    fn find(&self, number: u32) -> Option<(Segment, u64)> {
        let at = self.segments.binary_search_by_key(&number, |(segment, _)| segment.number).ok()?;
        Some(self.segments[at])
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let (segment, length) = self.segments.last_mut().expect("a journal that is open has a segment to write");
        self.store.append(*segment, bytes)?;
        *length += bytes.len() as u64;
        Ok(())
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Kept").field("segments", &self.segments).finish_non_exhaustive()
    }
}
