//! Recovery: what a store holds of a journal, oldest first, and where its chain of segments ends.
//!
//! Each header names the segment before and how many bytes of it count. The *last* segment is the one of the highest
//! leadership, and of its segments the highest, whose header is whole; from there the chain goes back to the oldest that
//! is needed. What is not on the chain, or behind the bytes that count, was written by somebody who had been fenced, or
//! is not needed any more, or was torn before its first flush:
//!
//! ```text
//! number        4          5          6          7
//! leadership 1  [#####] <─ [####··]   [·····]              · written by the leader of before, after the second came
//! leadership 2                └────── [#####] <─ [###~~]   ~ torn: what was not flushed when the power went
//! ```
//!
//! Only the end of the last segment may be torn. Anywhere else, or where a later batch says that it was durable, what is
//! not whole is damage, and recovery refuses; or, as a salvage, leaves it out and goes on behind it. After a clean end the last
//! segment holds only the mark of it, so all facts are before it, and none can be damaged or missing unnoticed. After a crash
//! two things can: damage of what was flushed and no later batch speaks of (of the last second before the crash), and that
//! the last segment is missing as a whole.

use super::See;
use super::error::JournalError;
use super::scan::{Scan, Step};
use super::segment::{BATCH_BYTES, HEADER_BYTES, Header, Needed, VERSION};
use super::store::{Segment, Store};
use crate::broker::Location;

/// So much is read at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

/// What recovery has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The chain, oldest first: segments that hold batches, and how many bytes of each count.
    pub(super) chain: Vec<(Segment, u64)>,
    /// All other segments, and their lengths.
    pub(super) strays: Vec<(Segment, u64)>,
    /// The highest number of a segment.
    pub(super) number: u32,
    /// The highest leadership.
    pub(super) leadership: u32,
    /// What the last header or batch was counted as.
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

/// How a segment ends.
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

/// All files, those of the highest leadership last.
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
    /// The last segment of the chain and how it ends. Above it are only files that were torn before they were flushed.
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

    /// How a segment ends; what it cannot say itself is as it was below.
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

    /// Walks back from the last segment to the oldest that is needed.
    fn chain(&mut self, last: usize, tail: &Tail) -> Result<(), JournalError> {
        let (mut at, mut end) = (last, tail.end);
        loop {
            // A segment in which there is only a header, or the mark of a clean end, is left out, so that they do not pile up.
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

    /// The segment before one, if it is needed, and how many bytes of it count.
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

    /// Which segment was probably before one that cannot say so any more, and all its bytes.
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
                // What is before has been noted again.
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

    /// Goes on behind what is damaged, if that is what is asked for.
    fn leave_out(&mut self, scan: &mut Scan) -> Result<(), JournalError> {
        let (segment, offset) = (scan.segment(), scan.offset());
        if !self.salvage {
            return Err(JournalError::Damaged { segment, offset });
        }
        scan.skip(self.store)?;
        self.found.damaged_below = self.found.damaged_below.max(segment.number + 1);
        Ok(())
    }

    /// A walk over a segment's batches.
    fn scan(&self, at: usize, end: u64) -> Scan {
        let File { segment, header, .. } = &self.files[at];
        let entry = header.map_or(0, |header| header.entry + 1);
        Scan::new(*segment, HEADER_BYTES as u64, end, entry, CHUNK_BYTES)
    }
}
