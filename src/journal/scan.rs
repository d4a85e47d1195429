//! Scan: reads the batches of a segment one after the other, in chunks.

use super::segment::{BATCH_BYTES, BATCH_MAGIC, Batch};
use super::store::{Segment, Store, StoreError};

/// A scan of a segment's batches.
#[derive(Debug)]
pub(super) struct Scan {
    segment: Segment,
    /// Offset of the next batch.
    offset: u64,
    /// Offset of the end of the batches.
    end: u64,
    /// Entry number that the next batch must have; 0 accepts any.
    entry: u64,
    /// Bytes that are read at a time; a larger batch is read as a whole.
    chunk_bytes: usize,
    /// Offset of the chunk; never after `offset`.
    chunk_offset: u64,
    chunk: Vec<u8>,
    facts_bytes: usize,
}

/// Result of a step.
#[derive(Debug)]
pub(super) enum Step {
    /// An undamaged batch; the scan is behind it now.
    Batch(Batch),
    /// No valid batch; the scan is still before it.
    Damage,
    End,
}

impl Scan {
    /// Makes a scan from `offset`, where the batch with the number `entry` begins; 0 accepts any number.
    pub(super) fn new(segment: Segment, offset: u64, end: u64, entry: u64, chunk_bytes: usize) -> Self {
        Self { segment, offset, end, entry, chunk_bytes, chunk_offset: offset, chunk: Vec::new(), facts_bytes: 0 }
    }

    pub(super) fn segment(&self) -> Segment {
        self.segment
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the facts of the last batch.
    pub(super) fn facts(&self) -> &[u8] {
        let end = (self.offset - self.chunk_offset) as usize;
        &self.chunk[end - self.facts_bytes..end]
    }

    /// Returns their offset.
    pub(super) fn facts_offset(&self) -> u64 {
        self.offset - self.facts_bytes as u64
    }

    pub(super) fn step(&mut self, store: &mut dyn Store) -> Result<Step, StoreError> {
        if self.offset == self.end {
            return Ok(Step::End);
        }
        let Some(batch) = self.batch(store)?.filter(|batch| self.entry == 0 || batch.entry == self.entry) else {
            return Ok(Step::Damage);
        };
        let whole_bytes = BATCH_BYTES + batch.facts_bytes as usize;
        match self.ahead(store, whole_bytes)? {
            Some(bytes) if batch.has_facts(&bytes[BATCH_BYTES..whole_bytes]) => {
                self.facts_bytes = batch.facts_bytes as usize;
                self.offset += whole_bytes as u64;
                self.entry = batch.entry + 1;
                Ok(Step::Batch(batch))
            }
            _ => Ok(Step::Damage),
        }
    }

    /// Skips to the next position where a valid later batch begins, or to the end.
    pub(super) fn skip(&mut self, store: &mut dyn Store) -> Result<Option<Batch>, StoreError> {
        while self.offset < self.end {
            self.offset += 1;
            let Some(bytes) = self.ahead(store, BATCH_BYTES)? else {
                self.offset = self.end;
                break;
            };
            let magic = bytes.windows(BATCH_MAGIC.len()).position(|window| window == BATCH_MAGIC);
            self.offset += magic.unwrap_or(bytes.len() - BATCH_MAGIC.len()) as u64;
            if let Some(batch) = self.batch(store)?.filter(|batch| batch.entry >= self.entry) {
                self.entry = batch.entry;
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Returns whether the damaged part was durable, as a later batch records.
    pub(super) fn was_flushed(&self, store: &mut dyn Store) -> Result<bool, StoreError> {
        let mut rest = Self::new(self.segment, self.offset, self.end, self.entry, self.chunk_bytes);
        while let Some(batch) = rest.skip(store)? {
            if batch.flushed >= self.entry {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads the header of the batch that begins here.
    fn batch(&mut self, store: &mut dyn Store) -> Result<Option<Batch>, StoreError> {
        let (segment, offset) = (self.segment, self.offset as u32);
        let bytes = self.ahead(store, BATCH_BYTES)?.and_then(<[u8]>::first_chunk);
        Ok(bytes.and_then(|bytes| Batch::decode(bytes, segment, offset)))
    }

    /// Returns at least `count` bytes from here on, or `None` if there are fewer.
    fn ahead(&mut self, store: &mut dyn Store, count: usize) -> Result<Option<&[u8]>, StoreError> {
        let rest_bytes = self.end - self.offset;
        if count as u64 > rest_bytes {
            return Ok(None);
        }
        let mut start = self.chunk.len().min((self.offset - self.chunk_offset) as usize);
        if self.chunk.len() - start < count {
            self.chunk.drain(..start);
            self.chunk.shrink_to(self.chunk_bytes);
            self.chunk_offset = self.offset;
            start = 0;
            let held_bytes = self.chunk.len();
            let bytes = rest_bytes.min(count.max(self.chunk_bytes) as u64) as usize;
            self.chunk.reserve_exact(bytes - held_bytes);
            self.chunk.resize(bytes, 0);
            store.read(self.segment, self.offset + held_bytes as u64, &mut self.chunk[held_bytes..])?;
        }
        Ok(Some(&self.chunk[start..]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::{Files, Memory};
    use super::*;
    use crate::journal::segment::Needed;

    const SEGMENT: Segment = Segment { number: 1, leadership: 1 };

    /// Makes a segment of batches with 0 to 199 bytes of facts, without its header.
    fn segment() -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in 1..=200u64 {
            let facts = vec![entry as u8; entry as usize - 1];
            let batch = Batch::new(entry, entry - 1, Needed::all_of(1), None, &facts);
            bytes.extend_from_slice(&batch.encode(SEGMENT, bytes.len() as u32));
            bytes.extend_from_slice(&facts);
        }
        bytes
    }

    /// Returns the entry numbers that a scan finds when it skips damage.
    fn entries(bytes: Vec<u8>, chunk_bytes: usize) -> Vec<u64> {
        let mut scan = Scan::new(SEGMENT, 0, bytes.len() as u64, 1, chunk_bytes);
        let mut store = Memory::new(Files::from([(SEGMENT, bytes)]));
        let mut entries = Vec::new();
        loop {
            match scan.step(&mut store).unwrap() {
                Step::Batch(batch) => {
                    assert_eq!(scan.facts(), vec![batch.entry as u8; batch.entry as usize - 1]);
                    entries.push(batch.entry);
                }
                Step::Damage => {
                    assert!(scan.was_flushed(&mut store).unwrap());
                    scan.skip(&mut store).unwrap();
                }
                Step::End => return entries,
            }
        }
    }

    #[test]
    fn batches_are_found_in_chunks_of_any_size_and_behind_damage() {
        for chunk_bytes in [1, 51, 52, 53, 64, 100, 1_000, 1 << 20] {
            assert_eq!(entries(segment(), chunk_bytes), (1..=200).collect::<Vec<_>>());
            let mut damaged = segment();
            damaged[5] ^= 1;
            damaged[52 + 52 + 1 + 52] ^= 1;
            damaged[10_000] ^= 1;
            let found = entries(damaged, chunk_bytes);
            assert_eq!((found.len(), &found[..3]), (197, &[2, 4, 5][..]), "chunks of {chunk_bytes}");
        }
    }
}
