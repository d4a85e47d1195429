//! Segment: the bytes of a journal, from its header to its last batch.
//!
//! A segment is a header followed by batches without gaps. All numbers are little-endian, all checksums are the lower
//! half of XXH64 with seed 0: it is as fast as CRC-32 and needs no tables, which take 16 KB of wasm.
//!
//! ```text
//! header  0               8       12      16      20      24      28      32      36      40      44              52
//!        +---------------+-------+-------+-------+-------+-------+-------+-------+-------+-------+---------------+
//!        | "PocketMQ"    |version|check- |number |leader-|previous       |       | needed        | entry         |
//!        |               |       |sum    |       |ship   |number |leader.|length |number |offset |               |
//!        +---------------+-------+-------+-------+-------+-------+-------+-------+-------+-------+---------------+
//!
//! batch   0       4       8       12      16              24              32      36      40      44              52
//!        +-------+-------+-------+-------+---------------+---------------+-------+-------+-------+---------------+-------+
//!        | magic |check- |facts: |facts: | entry         | flushed       | needed        | flags | virtual host  | facts |
//!        |       |sum    |length |checks.|               |               |number |offset |       |               |  ...  |
//!        +-------+-------+-------+-------+---------------+---------------+-------+-------+-------+---------------+-------+
//! ```
//!
//! - *entry*: headers and batches are counted together over all segments, and each number is one more than the last.
//! - *previous*: the segment before and how many of its bytes count; 0 of leadership 0 means none.
//! - *needed*: the oldest segment that is still needed, and the offset from which it is.
//! - *flushed*: entries up to this one were durable when the batch was written. So a batch shows whether damage before it
//!   is of bytes that were flushed.
//! - *virtual host*: the virtual host of the facts; all bits set in a batch without facts.
//! - *flags*: 1: the journal was closed here.
//!
//! The header's checksum covers all its other bytes. The checksum of a batch covers the segment's number and
//! leadership, the batch's offset, and the rest of its header: so a batch is valid only where it was written, not in
//! the body of a message that contains a journal's bytes.
//!
//! # How to make a new version of the format
//!
//! 1. A fact that changes gets a new octet in the table of `broker/durable/fact.rs`. The old row stays under another
//!    name, as `OldPublisher` does, and the compiler names the functions that have to read both. Cleaning copies facts
//!    as they are, so old ones occur in new segments, too.
//! 2. Raise [`VERSION`], also for a new kind of fact: earlier versions then refuse the segment as one of a later version,
//!    not as damaged. Each version begins a segment with the 52 bytes above, so that all earlier ones can recognise it.
//! 3. If batches change, `Batch::decode` needs the version in the segment's header: hand it to `Scan`, and keep it beside
//!    the segment's length for cleaning.
//! 4. `POCKETMQ_WRITE_GOLDEN=1 cargo test --test journal golden` writes a journal of the new version into
//!    `tests/journal/golden`, beside those of the earlier versions, which must still be read.

use xxhash_rust::xxh64::{Xxh64, xxh64};

use super::store::Segment;
use crate::id::VirtualHostId;

/// The version that is written, and the latest that can be read.
pub(super) const VERSION: u32 = 1;
/// Length of a segment's header.
pub(super) const HEADER_BYTES: usize = 52;
/// Length of a batch's header.
pub(super) const BATCH_BYTES: usize = 52;
/// First bytes of a batch.
pub(super) const BATCH_MAGIC: [u8; 4] = [0xb5, b'P', b'M', b'Q'];

const MAGIC: [u8; 8] = *b"PocketMQ";
const NOBODY: u64 = u64::MAX;
const CLOSED: u32 = 1;

/// Position from which a journal is needed; what still holds of the facts before was noted again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Needed {
    pub(super) number: u32,
    pub(super) offset: u32,
}

impl Needed {
    /// Makes the position at the beginning of a segment.
    pub(super) fn all_of(number: u32) -> Self {
        Self { number, offset: HEADER_BYTES as u32 }
    }
}

/// Header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) segment: Segment,
    /// The segment before, and how many of its bytes count.
    pub(super) previous: Option<(Segment, u32)>,
    pub(super) needed: Needed,
    pub(super) entry: u64,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let (previous, length) = self.previous.unwrap_or((Segment { number: 0, leadership: 0 }, 0));
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        put_u32(&mut bytes, 8, self.version);
        put_u32(&mut bytes, 16, self.segment.number);
        put_u32(&mut bytes, 20, self.segment.leadership);
        put_u32(&mut bytes, 24, previous.number);
        put_u32(&mut bytes, 28, previous.leadership);
        put_u32(&mut bytes, 32, length);
        put_u32(&mut bytes, 36, self.needed.number);
        put_u32(&mut bytes, 40, self.needed.offset);
        put_u64(&mut bytes, 44, self.entry);
        let checksum = Self::checksum(&bytes);
        put_u32(&mut bytes, 12, checksum);
        bytes
    }

    /// Returns `None` if it is damaged.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        if bytes[..8] != MAGIC || u32_at(bytes, 12) != Self::checksum(bytes) {
            return None;
        }
        let segment = Segment { number: u32_at(bytes, 16), leadership: u32_at(bytes, 20) };
        let previous = Segment { number: u32_at(bytes, 24), leadership: u32_at(bytes, 28) };
        Some(Self {
            version: u32_at(bytes, 8),
            segment,
            previous: (previous.leadership > 0).then_some((previous, u32_at(bytes, 32))),
            needed: Needed { number: u32_at(bytes, 36), offset: u32_at(bytes, 40) },
            entry: u64_at(bytes, 44),
        })
    }

    /// Returns whether a file with these first bytes is not a journal's. A segment torn before it was flushed begins
    /// with some of our bytes, or none, and has zeros after them.
    pub(super) fn is_foreign(bytes: &[u8; HEADER_BYTES]) -> bool {
        let ours = bytes.iter().zip(MAGIC).take_while(|(byte, own)| *byte == own).count();
        bytes[ours..MAGIC.len()].iter().any(|&byte| byte != 0)
    }

    fn checksum(bytes: &[u8; HEADER_BYTES]) -> u32 {
        checksum([&bytes[..12], &bytes[16..]])
    }
}

/// Header of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) entry: u64,
    pub(super) flushed: u64,
    pub(super) needed: Needed,
    pub(super) host: Option<VirtualHostId>,
    pub(super) is_closed: bool,
    pub(super) facts_bytes: u32,
    facts_checksum: u32,
}

impl Batch {
    /// Makes the header for these facts.
    pub(super) fn new(entry: u64, flushed: u64, needed: Needed, host: Option<VirtualHostId>, facts: &[u8]) -> Self {
        let (facts_bytes, facts_checksum) = (facts.len() as u32, xxh64(facts, 0) as u32);
        Self { entry, flushed, needed, host, is_closed: false, facts_bytes, facts_checksum }
    }

    /// Encodes it for this location.
    pub(super) fn encode(&self, segment: Segment, offset: u32) -> [u8; BATCH_BYTES] {
        let mut bytes = [0; BATCH_BYTES];
        bytes[..4].copy_from_slice(&BATCH_MAGIC);
        put_u32(&mut bytes, 8, self.facts_bytes);
        put_u32(&mut bytes, 12, self.facts_checksum);
        put_u64(&mut bytes, 16, self.entry);
        put_u64(&mut bytes, 24, self.flushed);
        put_u32(&mut bytes, 32, self.needed.number);
        put_u32(&mut bytes, 36, self.needed.offset);
        put_u32(&mut bytes, 40, if self.is_closed { CLOSED } else { 0 });
        put_u64(&mut bytes, 44, self.host.map_or(NOBODY, VirtualHostId::index));
        let checksum = Self::checksum(&bytes, segment, offset);
        put_u32(&mut bytes, 4, checksum);
        bytes
    }

    /// Returns `None` if it is damaged or was not written at this location.
    pub(super) fn decode(bytes: &[u8; BATCH_BYTES], segment: Segment, offset: u32) -> Option<Self> {
        if bytes[..4] != BATCH_MAGIC || u32_at(bytes, 4) != Self::checksum(bytes, segment, offset) {
            return None;
        }
        let host = u64_at(bytes, 44);
        Some(Self {
            facts_bytes: u32_at(bytes, 8),
            facts_checksum: u32_at(bytes, 12),
            entry: u64_at(bytes, 16),
            flushed: u64_at(bytes, 24),
            needed: Needed { number: u32_at(bytes, 32), offset: u32_at(bytes, 36) },
            is_closed: u32_at(bytes, 40) & CLOSED != 0,
            host: (host != NOBODY).then(|| VirtualHostId::from_index(host)),
        })
    }

    /// Returns whether these are the batch's facts, by their checksum.
    pub(super) fn has_facts(&self, facts: &[u8]) -> bool {
        xxh64(facts, 0) as u32 == self.facts_checksum
    }

    fn checksum(bytes: &[u8; BATCH_BYTES], segment: Segment, offset: u32) -> u32 {
        let mut place = [0; 12];
        put_u32(&mut place, 0, segment.number);
        put_u32(&mut place, 4, segment.leadership);
        put_u32(&mut place, 8, offset);
        checksum([&place, &bytes[8..]])
    }
}

fn checksum(parts: [&[u8]; 2]) -> u32 {
    let mut hasher = Xxh64::new(0);
    parts.into_iter().for_each(|part| hasher.update(part));
    hasher.digest() as u32
}

fn put_u32(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

fn put_u64(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|index| bytes[at + index]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEGMENT: Segment = Segment { number: 7, leadership: 3 };

    #[test]
    fn headers_come_back_and_every_flipped_bit_is_found() {
        let previous = Segment { number: 6, leadership: 2 };
        let header = Header {
            version: 1,
            segment: SEGMENT,
            previous: Some((previous, 4096)),
            needed: Needed::all_of(5),
            entry: 1 << 40,
        };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Some(header));
        let first = Header { previous: None, ..header };
        assert_eq!(Header::decode(&first.encode()), Some(first));
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn a_header_that_was_torn_anywhere_is_not_somebody_elses() {
        let bytes =
            Header { version: 1, segment: SEGMENT, previous: None, needed: Needed::all_of(7), entry: 1 }.encode();
        for length in 0..HEADER_BYTES {
            let mut torn = [0; HEADER_BYTES];
            torn[..length].copy_from_slice(&bytes[..length]);
            assert!(!Header::is_foreign(&torn), "{length} bytes");
        }
        assert!(Header::is_foreign(&[b'P'; HEADER_BYTES]));
    }

    #[test]
    fn batches_come_back_only_where_they_were_written_and_whole() {
        let batch = Batch::new(9, 8, Needed::all_of(5), Some(VirtualHostId::from_index(1 << 24)), b"facts");
        let bytes = batch.encode(SEGMENT, 48);
        assert_eq!(Batch::decode(&bytes, SEGMENT, 48), Some(batch));
        assert!(batch.has_facts(b"facts") && !batch.has_facts(b"fact"));
        assert_eq!(Batch::decode(&bytes, SEGMENT, 49), None);
        assert_eq!(Batch::decode(&bytes, Segment { leadership: 4, ..SEGMENT }, 48), None);
        let closed = Batch { is_closed: true, ..Batch::new(9, 8, Needed::all_of(5), None, b"") };
        assert_eq!(Batch::decode(&closed.encode(SEGMENT, 48), SEGMENT, 48), Some(closed));
        for bit in 0..BATCH_BYTES * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Batch::decode(&flipped, SEGMENT, 48), None, "bit {bit}");
        }
    }
}
