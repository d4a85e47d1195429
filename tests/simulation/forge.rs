//! Forge: a planted bug that writes other facts than those that came true, in batches that look whole.
//!
//! What it knows of the bytes is drawn in `src/journal/segment.rs` and `src/broker/fact.rs`.

use std::collections::BTreeSet;

use pocketmq::journal::Segment;
use xxhash_rust::xxh64::xxh64;

/// What is wrong with what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forgery {
    /// A message that left its queue is not written off.
    ForgetsAcks,
    /// A message that goes to several queues misses the last of them.
    HalvesFanOut,
    /// What is written again, as its segment is about to go, gets another position.
    LosesPositions,
    /// It is not written how often a message came back.
    ForgetsReturns,
}

const BATCH_MAGIC: [u8; 4] = [0xb5, b'P', b'M', b'Q'];
const BATCH_BYTES: usize = 52;
const HOST: usize = 44;
const MESSAGE: u8 = 12;
const GONE: u8 = 14;
const RETURNED: u8 = 15;
const PLACE_BYTES: usize = 16;
/// Where nothing is.
const FAR: u64 = 1 << 40;

/// The places that were written before, by virtual host.
pub type Known = BTreeSet<[u8; 8 + PLACE_BYTES]>;

/// Forges a batch that is about to be written at this place of a segment.
pub fn forge(bytes: &mut [u8], segment: Segment, offset: usize, forgery: Forgery, known: &mut Known) {
    if bytes.len() < BATCH_BYTES || bytes[..4] != BATCH_MAGIC {
        return;
    }
    let (head, facts) = bytes.split_at_mut(BATCH_BYTES);
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
    match (fact[0], forgery) {
        (GONE, Forgery::ForgetsAcks) => move_far(&mut fact[9..17]),
        (RETURNED, Forgery::ForgetsReturns) => fact[17..21].fill(0),
        (MESSAGE, Forgery::HalvesFanOut | Forgery::LosesPositions) => {
            let count = usize::from(short_at(fact, 1));
            let places = &mut fact[3..3 + count * PLACE_BYTES];
            if forgery == Forgery::HalvesFanOut {
                let (first, others) = places.split_at_mut(PLACE_BYTES);
                others.chunks_mut(PLACE_BYTES).last().into_iter().for_each(|last| last.copy_from_slice(first));
                return;
            }
            for place in places.chunks_mut(PLACE_BYTES) {
                let named: Vec<u8> = host.iter().chain(&*place).copied().collect();
                if !known.insert(named.try_into().expect("a host and a place")) {
                    move_far(&mut place[8..]);
                }
            }
        }
        _ => {}
    }
}

fn move_far(position: &mut [u8]) {
    let moved = u64::from_be_bytes((&*position).try_into().expect("a position has eight bytes")) + FAR;
    position.copy_from_slice(&moved.to_be_bytes());
}

/// How long the fact is that begins here.
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
