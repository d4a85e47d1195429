//! Tests of the journal over a store in memory.

use super::memory::{Change, Files, Memory, apply};
use super::*;
use crate::broker::Shelf;

/// One batch as it came back: its facts and where they begin.
type Seen = (u64, Vec<u8>, Location);

const SMALL: Options = Options { segment_bytes: 1024, leadership_min: 1, salvage: false };

fn host(number: u64) -> VirtualHostId {
    VirtualHostId::from_index(number)
}

fn open_with(store: &Memory, options: &Options) -> Result<(Journal, Recovery, Vec<Seen>), JournalError> {
    let mut seen = Vec::new();
    let (journal, recovery) = Journal::open(Box::new(store.clone()), options, &mut |host, facts, at| {
        seen.push((host.index(), facts.to_vec(), at));
        Ok(())
    })?;
    Ok((journal, recovery, seen))
}

fn open(store: &Memory) -> (Journal, Recovery, Vec<Seen>) {
    open_with(store, &SMALL).unwrap()
}

/// Ends the write and makes it durable.
fn flush(journal: &mut Journal, store: &Memory) {
    journal.end_write();
    let mark = journal.start_flush();
    store.flush();
    journal.flushed(mark);
}

fn facts(seen: &[Seen]) -> Vec<&[u8]> {
    seen.iter().map(|(_, facts, _)| &facts[..]).collect()
}

#[test]
fn what_was_appended_comes_back_from_where_it_was_said_to_be() {
    let store = Memory::default();
    let (mut journal, recovery, seen) = open(&store);
    assert_eq!((recovery.segments, recovery.was_closed, seen.len()), (0, false, 0));
    let mut appended = Vec::new();
    for number in 0..100u64 {
        let facts = vec![number as u8; number as usize * 5];
        let at = journal.append(host(number % 3), &facts).unwrap();
        appended.push((number % 3, facts, at));
        flush(&mut journal, &store);
    }
    assert!(journal.segment_count() > 10);
    assert_eq!(journal.total_bytes(), store.files().values().map(|bytes| bytes.len() as u64).sum::<u64>());
    let mut reader = journal.reader();
    for (_, facts, at) in &appended {
        assert_eq!(reader.read(*at, facts.len() as u32), Some(&facts[..]));
    }
    let (_, recovery, seen) = open(&store);
    assert_eq!(seen, appended);
    assert_eq!((recovery.cut_bytes, recovery.leadership), (0, 2));
}
