//! Recovery: finds the chain of segments in a store, oldest first, and its end.
//!
//! Each header names the segment before and how many of its bytes count. The *last* segment has the highest number
//! among those of the highest leadership whose headers are undamaged; from there the chain leads back to the oldest
//! segment that is needed. Anything outside the chain, or after the bytes that count, was written by a fenced leader,
//! or is no longer needed, or was torn before its first flush:
//!
//! ```text
//! number        4          5          6          7
//! leadership 1  [#####] <─ [####··]   [·····]              · written by the first leader, after the second opened
//! leadership 2                └────── [#####] <─ [###~~]   ~ torn: not flushed when the power failed
//! ```
//!
//! Only the end of the last segment may be torn. Anything incomplete elsewhere, or where a later batch records it as
//! durable, is damage, and recovery refuses to continue; a salvage leaves it out and continues after it. After a clean
//! end the last segment contains only the mark of it, so all facts are before it, and none can be damaged or missing
//! unnoticed. After a crash two things can: damage of flushed bytes that no later batch mentions (from the last second
//! before the crash), and the absence of the whole last segment.

use super::See;
use super::error::JournalError;
use super::scan::{Scan, Step};
use super::segment::{BATCH_BYTES, HEADER_BYTES, Header, Needed, VERSION};
use super::store::{Segment, Store};
use crate::broker::Location;

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// Result of recovery.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The chain, oldest first: segments that contain batches, and how many bytes of each count.
    pub(super) chain: Vec<(Segment, u64)>,
    /// All other segments, with their lengths.
    pub(super) strays: Vec<(Segment, u64)>,
    /// Highest number of a segment.
    pub(super) number: u32,
    /// Highest leadership.
    pub(super) leadership: u32,
    /// Entry number of the last header or batch.
    pub(super) entry: u64,
    pub(super) needed: Needed,
    pub(super) was_closed: bool,
    pub(super) cut_bytes: u64,
    /// Segments below this number have damage that was left out.
    pub(super) damaged_below: u32,
}

struct File {
    segment: Segment,
    length: u64,
    header: Option<Header>,
    is_foreign: bool,
}

/// End of a segment.
struct Tail {
    end: u64,
    entry: u64,
    needed: Needed,
    is_closed: bool,
}

pub(super) fn recover(store: &mut dyn Store, salvage: bool, see: &mut See<'_>) -> Result<Found, JournalError> {
    let files = look(store)?;
    let mut recovery = Recovery { store, salvage, files, found: Found::default() };
    recovery.found.number = recovery.files.iter().map(|file| file.segment.number).max().unwrap_or(0);
    recovery.found.leadership = recovery.files.last().map_or(0, |file| file.segment.leadership);
    if let Some((last, tail)) = recovery.last()? {
        recovery.found.entry = tail.entry;
        recovery.found.needed = tail.needed;
        recovery.found.was_closed = tail.is_closed;
        recovery.found.cut_bytes += recovery.files[last].length - tail.end;
        recovery.chain(last, &tail)?;
        recovery.read(see)?;
    } else if let Some(File { segment, .. }) = recovery.files.iter().find(|file| file.is_foreign) {
        return Err(JournalError::NotAJournal { segment: *segment });
    }
    let Recovery { files, mut found, .. } = recovery;
    let is_stray = |file: &File| found.chain.iter().all(|(segment, _)| *segment != file.segment);
    found.strays = files.iter().filter(|file| is_stray(file)).map(|file| (file.segment, file.length)).collect();
    Ok(found)
}

/// Lists all files, those of the highest leadership last.
fn look(store: &mut dyn Store) -> Result<Vec<File>, JournalError> {
    let mut names = store.segments()?;
    names.sort_unstable_by_key(|(segment, _)| (segment.leadership, segment.number));
    let mut files = Vec::with_capacity(names.len());
    for (segment, length) in names {
        let (mut header, mut is_foreign) = (None, false);
        if length >= HEADER_BYTES as u64 {
            let mut bytes = [0; HEADER_BYTES];
            store.read(segment, 0, &mut bytes)?;
            header = Header::decode(&bytes).filter(|header| header.segment == segment);
            is_foreign = Header::is_foreign(&bytes);
        }
        if let Some(Header { version, .. }) = header.filter(|header| header.version > VERSION) {
            return Err(JournalError::NewerVersion { segment, version });
        }
        files.push(File { segment, length, header, is_foreign });
    }
    Ok(files)
}

struct Recovery<'a> {
    store: &'a mut dyn Store,
    salvage: bool,
    files: Vec<File>,
    found: Found,
}

impl Recovery<'_> {
    /// Returns the last segment of the chain and its end. The files above it were torn before they were flushed.
    fn last(&mut self) -> Result<Option<(usize, Tail)>, JournalError> {
        let whole = self.files.iter().rposition(|file| file.header.is_some());
        let mut last = whole.map(|at| self.tail(at, None).map(|tail| (at, tail))).transpose()?;
        for above in whole.map_or(0, |at| at + 1)..self.files.len() {
            let entry = last.as_ref().map_or(1, |(_, tail)| tail.entry + 1);
            let File { segment, length, .. } = self.files[above];
            if !Scan::new(segment, 0, length, entry, CHUNK_BYTES).was_flushed(self.store)? {
                self.found.cut_bytes += length;
            } else if self.salvage {
                self.found.damaged_below = segment.number + 1;
                let below = last.as_ref().map(|(_, tail)| tail);
                last = Some((above, self.tail(above, below)?));
            } else {
                return Err(JournalError::Damaged { segment, offset: 0 });
            }
        }
        Ok(last)
    }

    /// Reads the end of a segment; what the segment itself does not say is taken from the one below.
    fn tail(&mut self, at: usize, below: Option<&Tail>) -> Result<Tail, JournalError> {
        let mut scan = self.scan(at, self.files[at].length);
        let header = self.files[at].header.map(|header| (header.entry, header.needed));
        let (entry, needed) = header.or(below.map(|tail| (tail.entry, tail.needed))).unwrap_or_default();
        let mut tail = Tail { end: scan.offset(), entry, needed, is_closed: false };
        loop {
            match scan.step(self.store)? {
                Step::Batch(batch) => {
                    let is_closed = batch.is_closed;
                    tail = Tail { end: scan.offset(), entry: batch.entry, needed: batch.needed, is_closed };
                }
                Step::Damage if scan.was_flushed(self.store)? => self.leave_out(&mut scan)?,
                Step::Damage | Step::End => return Ok(tail),
            }
        }
    }

    /// Follows the chain from the last segment back to the oldest that is needed.
    fn chain(&mut self, last: usize, tail: &Tail) -> Result<(), JournalError> {
        let (mut at, mut end) = (last, tail.end);
        loop {
            // A segment with only a header, or the mark of a clean end, is left out, so that such segments do not pile
            // up.
            let is_mark = at == last && tail.is_closed && end == (HEADER_BYTES + BATCH_BYTES) as u64;
            if end > HEADER_BYTES as u64 && !is_mark {
                self.found.chain.push((self.files[at].segment, end));
            }
            match self.before(at, tail.needed.number)? {
                Some(before) => (at, end) = before,
                None => break,
            }
        }
        self.found.chain.reverse();
        Ok(())
    }

    /// Returns the segment before another, if it is needed, and how many of its bytes count.
    fn before(&mut self, at: usize, oldest: u32) -> Result<Option<(usize, u64)>, JournalError> {
        let File { segment, header, .. } = &self.files[at];
        let Some(header) = header else {
            return Ok(self.next_best(*segment, oldest));
        };
        let Some((previous, length)) = header.previous.filter(|(previous, _)| previous.number >= oldest) else {
            return Ok(None);
        };
        let length = u64::from(length);
        let file = self.files.iter().position(|file| file.segment == previous && previous.number < segment.number);
        let damage = match file.map(|at| &self.files[at]) {
            None => JournalError::Missing { segment: previous },
            Some(File { header: None, .. }) => JournalError::Damaged { segment: previous, offset: 0 },
            Some(file) if file.length < length => JournalError::Damaged { segment: previous, offset: file.length },
            Some(_) => return Ok(file.map(|at| (at, length))),
        };
        if !self.salvage {
            return Err(damage);
        }
        self.found.damaged_below = self.found.damaged_below.max(previous.number + 1);
        let Some(at) = file else {
            self.found.cut_bytes += length;
            return Ok(self.next_best(previous, oldest));
        };
        self.found.cut_bytes += length.saturating_sub(self.files[at].length);
        Ok(Some((at, length.min(self.files[at].length))))
    }

    /// Guesses the segment before one that is too damaged to name it, with all its bytes.
    fn next_best(&self, segment: Segment, oldest: u32) -> Option<(usize, u64)> {
        let is_before = |file: &File| {
            let Segment { number, leadership } = file.segment;
            (oldest..segment.number).contains(&number) && leadership <= segment.leadership
        };
        let at = self.files.iter().rposition(is_before)?;
        Some((at, self.files[at].length))
    }

    fn read(&mut self, see: &mut See<'_>) -> Result<(), JournalError> {
        for (segment, end) in self.found.chain.clone() {
            let at = self.files.iter().position(|file| file.segment == segment).expect("the chain is of files");
            let mut scan = match self.found.needed {
                // Everything before was noted again.
                Needed { number, offset } if number == segment.number && u64::from(offset) <= end => {
                    Scan::new(segment, offset.into(), end, 0, CHUNK_BYTES)
                }
                _ => self.scan(at, end),
            };
            loop {
                match scan.step(self.store)? {
                    Step::Batch(batch) => {
                        let Some(host) = batch.host else { continue };
                        let offset = scan.facts_offset();
                        let at = Location { segment: segment.number, offset: offset as u32 };
                        see(host, scan.facts(), at).map_err(|why| JournalError::Malformed { segment, offset, why })?;
                    }
                    Step::Damage => {
                        let from = scan.offset();
                        self.leave_out(&mut scan)?;
                        self.found.cut_bytes += scan.offset() - from;
                    }
                    Step::End => break,
                }
            }
        }
        Ok(())
    }

    /// Continues after damage, if this is a salvage.
    fn leave_out(&mut self, scan: &mut Scan) -> Result<(), JournalError> {
        let (segment, offset) = (scan.segment(), scan.offset());
        if !self.salvage {
            return Err(JournalError::Damaged { segment, offset });
        }
        scan.skip(self.store)?;
        self.found.damaged_below = self.found.damaged_below.max(segment.number + 1);
        Ok(())
    }

    /// Makes a scan of a segment's batches.
    fn scan(&self, at: usize, end: u64) -> Scan {
        let File { segment, header, .. } = &self.files[at];
        let entry = header.map_or(0, |header| header.entry + 1);
        Scan::new(*segment, HEADER_BYTES as u64, end, entry, CHUNK_BYTES)
    }
}
