//! Journal: facts as bytes, in a row of segments, so that what was confirmed outlives its broker.
//!
//! ```text
//!  facts ─ append ─> store ──────────── end_write ─ start_flush ─ the host flushes ─ flushed ─> durable
//!             │ one batch: all of a turn's facts of one virtual host                   │
//!             └ rotates, when the segment is full and all of it is durable             └ removes cleaned segments
//! ```
//!
//! A *write* is what one turn appends. It is known by a number: the first entry (a batch, or a segment's header) that it
//! may have. What holds always:
//!
//! - Nothing is appended to a segment of an earlier leadership. So a leader that was fenced, and does not know it, only
//!   writes where nobody looks any more.
//! - A segment is made when all of the one before is durable. So only the end of the last one can be torn.
//! - Which segments are not needed is written down behind what makes them so, and they are removed when that is durable.
//! - After the first thing that the store cannot do, nothing is appended any more.
//! - Nothing is appended to a journal that is closed. The mark that says so is in a segment of its own, made when all of the
//!   others is durable: its header says where the one before has to end.
//!
//! What facts say the journal does not know; the bytes are drawn in `journal/segment.rs`, and how they are found again is
//! told in `journal/recovery.rs`.

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

/// How large a segment may be asked to be: there has to be room for a large turn behind it, since offsets have 32 bits.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 1024..=1 << 30;
/// A batch has at most so many bytes of facts.
const FACTS_BYTES_MAX: usize = 1 << 30;
/// The length of a segment that has no batch yet.
const HEADER_LENGTH: u64 = HEADER_BYTES as u64;
/// So much memory stays allocated for the next batch.
const BUFFER_BYTES: usize = 256 * 1024;

/// A batch to be cleaned away: whose facts, the facts, and where they begin.
pub type Noted<'a> = (VirtualHostId, &'a [u8], Location);

/// Sees a batch: whose facts, the facts, and where they begin.
pub type See<'a> = dyn FnMut(VirtualHostId, &[u8], Location) -> Result<(), Malformed> + 'a;

/// How a journal is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// A segment is full from so many bytes on.
    pub segment_bytes: u64,
    /// The leadership that the host was given; the journal takes a higher one when its store has seen that already.
    pub leadership_min: u32,
    /// Leaves out what is damaged, instead of refusing to open.
    pub salvage: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 16 * 1024 * 1024, leadership_min: 1, salvage: false }
    }
}

/// What was found when a journal was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// In so many segments there was something.
    pub segments: usize,
    /// Their bytes that count.
    pub bytes: u64,
    /// Bytes that were left out: an unfinished write's, or what a salvage could not read.
    pub cut_bytes: u64,
    /// Whether the journal was closed the last time.
    pub was_closed: bool,
    /// The leadership under which it is written from now on.
    pub leadership: u32,
}

/// A journal that is open.
#[derive(Debug)]
pub struct Journal {
    kept: Rc<RefCell<Kept>>,
    segment_bytes: u64,
    /// The last entry that was appended, the last one of a write that has ended, and the last one that is durable.
    appended: u64,
    ended: u64,
    durable: u64,
    /// What is before is not needed, as later batches say.
    needed: Needed,
    /// Segments below it are cleaned; from the end of this write on they are not needed.
    clean_below: u32,
    /// Segments below it may have damage that a salvage has left out: they are cleaned in any case.
    damaged_below: u32,
    /// The segment that is being cleaned.
    cleaning: Option<Scan>,
    /// What can be removed when an entry is durable.
    unneeded: Vec<Unneeded>,
    /// A batch as it is written.
    buffer: Vec<u8>,
    /// The last entry with facts, and the last one that a later entry says is durable.
    last_facts: u64,
    anchored: u64,
    end: End,
    failure: Option<StoreError>,
}

/// How far the journal has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    /// No facts follow. The mark is written when all of them are durable.
    Closing,
    /// The mark is written.
    Closed,
}

/// What the journal shares with its readers.
struct Kept {
    store: Box<dyn Store>,
    /// The chain and its lengths, by number. The last one is written.
    segments: Vec<(Segment, u64)>,
    /// What a reader could not read, until the journal is told.
    unreadable: Option<StoreError>,
}

#[derive(Debug)]
struct Unneeded {
    segment: Segment,
    length: u64,
    /// It may go when this entry is durable.
    entry: u64,
}

impl Journal {
    /// Reads all that a store holds, oldest first: `see` gets each batch's facts and where they begin. Then makes a new
    /// segment for what follows. It is not durable yet, so the journal has something to flush from its beginning.
    ///
    /// # Errors
    /// When the store fails, or what it holds cannot be trusted, or `see` does not understand it.
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

    /// The number of the write that is under way.
    #[must_use]
    pub fn next_write(&self) -> u64 {
        self.ended + 1
    }

    /// Whether a write may be made now. Otherwise its facts have to wait for the flush, because the segment is full; then
    /// the write does not end, either. Never again, once the journal is being closed.
    #[must_use]
    pub fn may_append(&self) -> bool {
        self.end == End::Open && (!self.is_full() || self.durable == self.appended)
    }

    /// Appends the facts of a virtual host, as one batch: they are recovered together or not at all. Answers where they
    /// begin.
    ///
    /// # Errors
    /// When the store fails, now or earlier, or the facts are more than a segment can hold; then the journal has failed.
    pub fn append(&mut self, host: VirtualHostId, facts: &[u8]) -> Result<Location, StoreError> {
        self.write(Some(host), facts, false)
    }

    /// Ends a write: all virtual hosts' facts of this turn are appended. Without any, the write's number stays as it was.
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

    /// Says that this is the end, and a clean one. The host flushes as long as something is [unflushed](Self::has_unflushed):
    /// what was appended, then the mark that says so.
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

    /// Whether the last facts are durable, and no later entry says so yet. Until then recovery cannot tell damage of them
    /// from a write that was not finished.
    #[must_use]
    pub fn wants_anchor(&self) -> bool {
        self.may_append() && self.last_facts > self.anchored && self.durable >= self.last_facts
    }

    /// Writes an entry that says how far the journal is durable.
    ///
    /// # Errors
    /// When the store fails, now or earlier; then the journal has failed.
    pub fn anchor(&mut self) -> Result<(), StoreError> {
        self.write(None, &[], false)?;
        self.ended = self.appended;
        Ok(())
    }

    /// Whether something is appended that is not durable.
    #[must_use]
    pub fn has_unflushed(&self) -> bool {
        self.ended > self.durable
    }

    /// Begins a flush. Answers the mark with which [`flushed`](Self::flushed) is called when the host has flushed.
    #[must_use]
    pub fn start_flush(&self) -> u64 {
        self.ended
    }

    /// All is durable that was written when the flush with this mark began.
    pub fn flushed(&mut self, mark: u64) {
        assert!(mark <= self.ended, "what was not written cannot be durable");
        self.durable = self.durable.max(mark);
        if self.failure.is_none() {
            let mut kept = self.kept.borrow_mut();
            // What cannot be removed now is harmless, and may be gone by the next flush.
            self.unneeded.retain(|unneeded| unneeded.entry > mark || kept.store.remove(unneeded.segment).is_err());
        }
        self.mark_end();
    }

    /// A write with this number, or a lower one, is durable.
    #[must_use]
    pub fn durable_write(&self) -> u64 {
        self.durable
    }

    /// Closes the journal for good: what the store could not do once, it is not trusted to do the next time.
    pub fn fail(&mut self, error: StoreError) {
        self.failure.get_or_insert(error);
    }

    /// Why a reader could not give back a fact, since this was asked last.
    pub fn take_unreadable(&mut self) -> Option<StoreError> {
        self.kept.borrow_mut().unreadable.take()
    }

    /// Why nothing is appended any more.
    #[must_use]
    pub fn failure(&self) -> Option<&StoreError> {
        self.failure.as_ref()
    }

    /// All bytes in the store, with those that are not removed yet.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        let kept: u64 = self.kept.borrow().segments.iter().map(|(_, length)| length).sum();
        kept + self.unneeded.iter().map(|unneeded| unneeded.length).sum::<u64>()
    }

    /// All segments in the store, with those that are not removed yet.
    #[must_use]
    pub fn segment_count(&self) -> usize {
        self.kept.borrow().segments.len() + self.unneeded.len()
    }

    /// A way to read facts, for as long as it is needed.
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

    /// Goes on in a new segment.
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

    /// Lets the segments go that are not needed, once the last entry is durable.
    fn retire(&mut self) {
        let mut kept = self.kept.borrow_mut();
        let needed = kept.segments.partition_point(|(segment, _)| segment.number < self.needed.number);
        let entry = self.appended;
        let unneeded = kept.segments.drain(..needed);
        self.unneeded.extend(unneeded.map(|(segment, length)| Unneeded { segment, length, entry }));
    }
}

/// Offsets have 32 bits, and a reader needs a batch in one piece.
fn check_room(offset: u64, facts: &[u8]) -> Result<(), StoreError> {
    let end = offset + (BATCH_BYTES + facts.len()) as u64;
    if facts.len() > FACTS_BYTES_MAX || end > u32::MAX.into() {
        let told = "one turn has more than the journal can write at once: publish less in one transaction";
        return Err(StoreError(told.into()));
    }
    Ok(())
}

impl Kept {
    /// The segment that is written, and its length.
    fn last(&self) -> (Segment, u64) {
        *self.segments.last().expect("a journal that is open has a segment to write")
    }

    /// A segment by its number.
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
