//! Forge: a planted bug that writes, or reads, wrong facts in batches with valid checksums.
//!
//! The formats are drawn in `src/journal/segment.rs` and `src/broker/durable/fact.rs`.

use std::collections::BTreeSet;

use pocketmq::journal::Segment;
use xxhash_rust::xxh64::xxh64;

/// The bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// Facts of a kind are forgotten.
    Forgets(Kind, Phase),
    /// A message for several queues misses the last of them.
    HalvesFanOut,
    /// Cleaning writes another position.
    LosesPositions,
    /// No batch marks a clean end.
    NeverCloses,
    /// Recovery misses the last complete batch.
    MissesLastBatch,
    /// No batch says how much was flushed before, so that a lost flush does not show as damage.
    HidesFlushes,
}

/// The phase in which facts are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// When they are first written.
    Write,
    /// When cleaning writes them again.
    Clean,
    /// When recovery reads them.
    Recover,
}

/// Kinds of facts; messages and their ends by their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    VirtualHost,
    VirtualHostGone,
    Exchange,
    ExchangeGone,
    Queue,
    QueueGone,
    Partitions,
    Bound,
    Unbound,
    Policy,
    PolicyGone,
    Message,
    /// A message that waits for its slot in a partition.
    Waiting,
    Delayed,
    Gone,
    /// The end of its waiting: it was purged, or has a position now.
    WaitingGone,
    DelayGone,
    Returned,
    Delivered,
    Publisher,
    Era,
}

const BATCH_MAGIC: [u8; 4] = [0xb5, b'P', b'M', b'Q'];
const BATCH_BYTES: usize = 52;
const HEADER_BYTES: usize = 52;
const FLUSHED: usize = 24;
const FLAGS: usize = 40;
const HOST: usize = 44;
const VIRTUAL_HOST_GONE: u8 = 2;
const MESSAGE: u8 = 12;
const GONE: u8 = 14;
const RETURNED: u8 = 15;
const PUBLISHER: u8 = 17;
const PLACE_BYTES: usize = 16;
/// Flag in the first octet of a place: the message waits for its slot.
const WAITING: u8 = 0x80;
/// A position that no message has.
const FAR: u64 = 1 << 40;
/// Lengths of facts without effect.
const FILLER_BYTES: std::ops::RangeInclusive<usize> = 10..=265;

/// Facts that still hold, by virtual host and key.
pub type Known = BTreeSet<Vec<u8>>;

/// Forges a batch that is about to be written at this offset of a segment.
pub fn forge(bytes: &mut [u8], segment: Segment, offset: usize, forgery: Forgery, known: &mut Known) {
    if bytes.len() < BATCH_BYTES || bytes[..4] != BATCH_MAGIC || matches!(forgery, Forgery::Forgets(_, Phase::Recover))
    {
        return;
    }
    forge_batch(bytes, segment, offset, forgery, known);
}

/// Forges a whole segment, as a broker that misreads it as it starts.
pub fn forge_segment(file: &mut Vec<u8>, segment: Segment, forgery: Forgery) {
    let (mut at, mut last) = (HEADER_BYTES, None);
    while file.get(at..at + 4) == Some(&BATCH_MAGIC[..]) && file.len() >= at + BATCH_BYTES {
        let facts = u32::from_le_bytes(*file[at + 8..].first_chunk().expect("a length has four bytes")) as usize;
        let Some(batch) = file.get_mut(at..at + BATCH_BYTES + facts) else { break };
        // A torn batch stays as it is.
        if xxh64(&batch[BATCH_BYTES..], 0) as u32 != u32::from_le_bytes(*batch[12..].first_chunk().expect("a checksum"))
        {
            break;
        }
        if matches!(forgery, Forgery::Forgets(_, Phase::Recover)) {
            forge_batch(batch, segment, at, forgery, &mut Known::new());
        }
        last = Some(at);
        at += BATCH_BYTES + facts;
    }
    if forgery == Forgery::MissesLastBatch
        && let Some(last) = last
    {
        file.truncate(last);
    }
}

fn forge_batch(bytes: &mut [u8], segment: Segment, offset: usize, forgery: Forgery, known: &mut Known) {
    let (head, facts) = bytes.split_at_mut(BATCH_BYTES);
    match forgery {
        Forgery::NeverCloses => head[FLAGS..HOST].fill(0),
        Forgery::HidesFlushes => head[FLUSHED..FLUSHED + 8].fill(0),
        Forgery::Forgets(Kind::VirtualHostGone, _) if *facts == [VIRTUAL_HOST_GONE] => head[HOST + 6] = 1,
        _ => {}
    }
    let host = *head[HOST..].first_chunk().expect("a virtual host has eight bytes");
    let mut rest = &mut *facts;
    while !rest.is_empty() {
        let (fact, after) = rest.split_at_mut(fact_bytes(rest));
        forge_fact(fact, host, forgery, known);
        rest = after;
    }
    head[12..16].copy_from_slice(&(xxh64(facts, 0) as u32).to_le_bytes());
    let numbers = [segment.number, segment.leadership, offset as u32];
    let place = numbers.into_iter().flat_map(u32::to_le_bytes);
    let covered: Vec<u8> = place.chain(head[8..].iter().copied()).collect();
    head[4..8].copy_from_slice(&(xxh64(&covered, 0) as u32).to_le_bytes());
}

fn forge_fact(fact: &mut [u8], host: [u8; 8], forgery: Forgery, known: &mut Known) {
    match forgery {
        Forgery::Forgets(kind, phase) => {
            let is_again = note(fact, host, known);
            let is_meant = match phase {
                Phase::Write => !is_again,
                Phase::Clean => is_again,
                Phase::Recover => true,
            };
            if kind_of(fact) == Some(kind) && is_meant {
                forget(fact);
            }
        }
        Forgery::HalvesFanOut if fact[0] == MESSAGE => {
            let (first, others) = places(fact).split_at_mut(PLACE_BYTES);
            others.chunks_mut(PLACE_BYTES).last().into_iter().for_each(|last| last.copy_from_slice(first));
        }
        Forgery::LosesPositions if fact[0] == MESSAGE => {
            for place in places(fact).chunks_mut(PLACE_BYTES) {
                if !known.insert([&host, &*place].concat()) {
                    move_far(&mut place[8..]);
                }
            }
        }
        _ => {}
    }
}

fn places(fact: &mut [u8]) -> &mut [u8] {
    let count = usize::from(short_at(fact, 1));
    &mut fact[3..3 + count * PLACE_BYTES]
}

fn kind_of(fact: &[u8]) -> Option<Kind> {
    Some(match fact[0] {
        1 => Kind::VirtualHost,
        3 => Kind::Exchange,
        4 => Kind::ExchangeGone,
        5 => Kind::Queue,
        6 => Kind::QueueGone,
        7 => Kind::Partitions,
        8 => Kind::Bound,
        9 => Kind::Unbound,
        10 => Kind::Policy,
        11 => Kind::PolicyGone,
        MESSAGE if fact[3] & WAITING != 0 => Kind::Waiting,
        MESSAGE => Kind::Message,
        13 => Kind::Delayed,
        GONE if fact[1] & WAITING != 0 => Kind::WaitingGone,
        GONE if fact[1..9] == [0; 8] => Kind::DelayGone,
        GONE => Kind::Gone,
        RETURNED => Kind::Returned,
        16 => Kind::Delivered,
        PUBLISHER | 19 => Kind::Publisher,
        18 => Kind::Era,
        _ => return None,
    })
}

/// Records a fact; returns whether it was written before.
fn note(fact: &[u8], host: [u8; 8], known: &mut Known) -> bool {
    let name_end = |at: usize| at + 1 + usize::from(fact[at]);
    let of = |kind: u8, rest: &[u8]| [&host[..], &[kind], rest].concat();
    match fact[0] {
        // The end of everything with this name.
        4 => {
            let name = fact[1..].to_vec();
            known.remove(&of(3, &name));
            let is_of = |key: &Vec<u8>| key.starts_with(&of(8, &name)) || key.ends_with(&[&[1], &name[..]].concat());
            known.retain(|key| !is_of(key));
            false
        }
        9 => {
            known.remove(&of(8, &fact[1..]));
            false
        }
        11 => {
            let start = of(10, &fact[1..]);
            known.retain(|key| !key.starts_with(&start));
            false
        }
        // A new value replaces the old one.
        10 => {
            let start = of(10, &fact[1..name_end(1)]);
            let is_again = known.contains(&of(10, &fact[1..]));
            known.retain(|key| !key.starts_with(&start));
            known.insert(of(10, &fact[1..]));
            is_again
        }
        1 => !known.insert(of(1, &[])),
        3 => !known.insert(of(3, &fact[1..name_end(1)])),
        5 => !known.insert(of(5, &fact[1..9])),
        13 => !known.insert(of(13, &fact[1..9])),
        7 => !known.insert(of(7, &fact[1..11])),
        MESSAGE => {
            let count = usize::from(short_at(fact, 1));
            let places = fact[3..3 + count * PLACE_BYTES].chunks(PLACE_BYTES);
            places.map(|place| !known.insert(of(MESSAGE, place))).filter(|is_again| *is_again).count() > 0
        }
        8 | RETURNED | 18 => !known.insert(of(fact[0], &fact[1..])),
        // Only cleaning writes them.
        PUBLISHER | 19 => true,
        _ => false,
    }
}

/// Replaces a fact by one of the same length without effect.
fn forget(mut fact: &mut [u8]) {
    if fact.len() < *FILLER_BYTES.start() {
        // The end of something that never existed, or an unused name.
        let place = if fact[0] == 6 { 2 } else { fact.len() - 1 };
        fact[place] ^= 0x1f;
        return;
    }
    while !fact.is_empty() {
        let most = (*FILLER_BYTES.end()).min(fact.len());
        let rest = fact.len() - most;
        let length = if rest > 0 && rest < *FILLER_BYTES.start() { most - *FILLER_BYTES.start() } else { most };
        let (filler, after) = fact.split_at_mut(length);
        filler.fill(b'~');
        (filler[0], filler[1]) = (PUBLISHER, (length - *FILLER_BYTES.start()) as u8);
        filler[length - 8..].fill(0);
        fact = after;
    }
}

fn move_far(position: &mut [u8]) {
    let moved = u64::from_be_bytes((&*position).try_into().expect("a position has eight bytes")) + FAR;
    position.copy_from_slice(&moved.to_be_bytes());
}

/// Returns the length of the fact that begins here.
fn fact_bytes(bytes: &[u8]) -> usize {
    let short_string = |at: usize| at + 1 + usize::from(bytes[at]);
    let long_string =
        |at: usize| at + 4 + u32::from_be_bytes(*bytes[at..].first_chunk().expect("a length has four bytes")) as usize;
    let content = |at: usize| long_string(long_string(short_string(short_string(at + 8))));
    match bytes[0] {
        2 => 1,
        1 | 4 | 11 => short_string(1),
        3 => long_string(short_string(short_string(1)) + 1),
        5 => long_string(short_string(9) + 1),
        6 => 9,
        7 => 13 + 8 * usize::from(short_at(bytes, 11)),
        8 | 9 => {
            let destination = short_string(1);
            let key = if bytes[destination] == 0 { destination + 9 } else { short_string(destination + 1) };
            long_string(short_string(key))
        }
        10 => long_string(short_string(short_string(short_string(1))) + 4),
        MESSAGE => content(3 + PLACE_BYTES * usize::from(short_at(bytes, 1))),
        13 => content(17),
        GONE | RETURNED => 21,
        16 => 17,
        17 => short_string(1) + 8,
        18 => 25,
        19 => short_string(1) + 16,
        other => unreachable!("there is no fact {other}"),
    }
}

fn short_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}
