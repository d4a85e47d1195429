//! Tests: a journal's guarantees, with a store in memory.

use super::memory::{Files, Memory};
use super::segment::{HEADER_BYTES, Needed};
use super::*;
use crate::broker::Pager;

/// A recovered batch: its virtual host, its facts and their location.
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

/// Makes a store with these batches, each flushed before the next one is appended, except the last `unflushed`.
fn written(batches: &[&[u8]], unflushed: usize) -> Memory {
    let store = Memory::default();
    let (mut journal, ..) = open_with(&store, &Options::default()).unwrap();
    flush(&mut journal, &store);
    for (index, facts) in batches.iter().enumerate() {
        journal.append(host(1), facts).unwrap();
        journal.end_write();
        if index + unflushed < batches.len() {
            flush(&mut journal, &store);
        }
    }
    store
}

/// Makes a copy of the store with changed bytes in the last segment.
fn changed(files: &Files, change: impl FnOnce(&mut Vec<u8>)) -> Memory {
    let mut files = files.clone();
    change(files.last_entry().unwrap().get_mut());
    Memory::new(files)
}

#[test]
fn an_unfinished_end_is_cut_wherever_it_is_torn() {
    let batches: [&[u8]; 4] = [b"first", b"second", b"third", b"fourth"];
    let store = written(&batches, 2);
    let (files, durable) = (store.files(), store.durable());
    let flushed_bytes = durable.values().next().unwrap().len();
    let whole_bytes = files.values().next().unwrap().len();
    for cut in flushed_bytes..whole_bytes {
        let (_, recovery, seen) = open(&changed(&files, |bytes| bytes.truncate(cut)));
        let count = if cut < whole_bytes - BATCH_BYTES - 6 { 2 } else { 3 };
        assert_eq!(facts(&seen), batches[..count], "cut at {cut}");
        assert_eq!(recovery.cut_bytes + recovery.bytes, cut as u64);
        let (_, _, seen) = open(&changed(&files, |bytes| bytes[cut] ^= 0x10));
        assert!(batches.starts_with(&facts(&seen)) && (2..4).contains(&seen.len()), "flipped at {cut}");
    }
}

#[test]
fn damage_of_what_was_flushed_is_refused_and_says_where() {
    let batches: [&[u8]; 4] = [b"first", b"second", b"third", b"fourth"];
    let files = written(&batches, 0).files();
    let last = files.values().next().unwrap().len() - BATCH_BYTES - b"fourth".len();
    for at in 0..last {
        let error = open_with(&changed(&files, |bytes| bytes[at] ^= 1), &SMALL).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { offset, .. } if offset <= at as u64), "byte {at}: {error}");
    }
    let damaged = changed(&files, |bytes| bytes[HEADER_BYTES + BATCH_BYTES] ^= 1);
    let error = open_with(&damaged, &SMALL).unwrap_err();
    assert_eq!(
        error.to_string(),
        "segment 1 of leadership 1 is damaged at byte 52: restore it from a copy, or salvage what is left of the journal"
    );
}

#[test]
fn damage_in_an_earlier_segment_is_refused_and_so_is_a_missing_one() {
    let store = Memory::default();
    let (mut journal, ..) = open(&store);
    for _ in 0..5 {
        journal.append(host(1), &[7; 1024]).unwrap();
        flush(&mut journal, &store);
    }
    let files = store.files();
    let second = *files.keys().nth(1).unwrap();
    for at in 0..files[&second].len() {
        let mut files = files.clone();
        files.get_mut(&second).unwrap()[at] ^= 1;
        let error = open_with(&Memory::new(files), &SMALL).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { segment, .. } if segment == second), "byte {at}: {error}");
    }
    let mut shorter = files.clone();
    shorter.get_mut(&second).unwrap().pop();
    let error = open_with(&Memory::new(shorter), &SMALL).unwrap_err();
    assert_eq!(error, JournalError::Damaged { segment: second, offset: files[&second].len() as u64 - 1 });
    let mut fewer = files;
    fewer.remove(&second);
    let error = open_with(&Memory::new(fewer), &SMALL).unwrap_err();
    assert_eq!(error, JournalError::Missing { segment: second });
}

#[test]
fn what_a_salvage_leaves_out_is_cleaned_away() {
    let batches: [&[u8]; 4] = [b"first", b"second", b"third", b"fourth"];
    let files = written(&batches, 0).files();
    for at in 0..HEADER_BYTES + BATCH_BYTES + 5 {
        let store = changed(&files, |bytes| bytes[at] ^= 1);
        let (mut journal, recovery, seen) = open_with(&store, &Options { salvage: true, ..SMALL }).unwrap();
        let left = if at < HEADER_BYTES { &batches[..] } else { &batches[1..] };
        assert_eq!(facts(&seen), left, "byte {at}");
        assert_eq!(recovery.cut_bytes > 0, at >= HEADER_BYTES);
        open_with(&store, &SMALL).unwrap_err();
        flush(&mut journal, &store);
        assert!(journal.wants_cleaning(&mut || 1 << 40));
        clean(&mut journal, &|_| true);
        flush(&mut journal, &store);
        assert!(!journal.wants_cleaning(&mut || 1 << 40));
        assert_eq!(facts(&open(&store).2), left);
    }
}

/// Notes again what still holds of the oldest segment.
fn clean(journal: &mut Journal, holds: &dyn Fn(&[u8]) -> bool) {
    let mut noted = Vec::new();
    while let Some((host, facts, _)) = journal.clean_next(&mut u64::MAX.clone()).unwrap() {
        if holds(facts) {
            noted.push((host, facts.to_vec()));
        }
    }
    for (host, facts) in noted {
        journal.append(host, &facts).unwrap();
    }
}

#[test]
fn cleaning_keeps_what_is_noted_again_and_stays_within_bounds() {
    let store = Memory::default();
    let (mut journal, ..) = open(&store);
    let live_bytes = 20 * (100 + BATCH_BYTES as u64);
    for number in 0..2_000u64 {
        let mut fact = number.to_le_bytes().to_vec();
        fact.resize(100, 0);
        let holds = |facts: &[u8]| u64::from_le_bytes(*facts.first_chunk().unwrap()) + 20 > number;
        if journal.wants_cleaning(&mut || live_bytes) {
            clean(&mut journal, &holds);
        }
        journal.append(host(1), &fact).unwrap();
        flush(&mut journal, &store);
        assert!(journal.total_bytes() <= 2 * live_bytes + 2 * (SMALL.segment_bytes + 200), "{number}: {journal:?}");
    }
    let (_, _, seen) = open(&store);
    let mut numbers: Vec<_> = seen.iter().map(|(_, facts, _)| facts[0] as usize | (facts[1] as usize) << 8).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert!(numbers.ends_with(&(1_980..2_000).collect::<Vec<_>>()));
}

#[test]
fn cleaning_of_a_journal_in_which_nothing_holds_ends_by_itself() {
    let store = Memory::default();
    let (mut journal, ..) = open(&store);
    for _ in 0..100 {
        journal.append(host(1), &[7; 300]).unwrap();
        flush(&mut journal, &store);
    }
    let mut rounds = 0;
    while journal.wants_cleaning(&mut || 0) {
        clean(&mut journal, &|_| false);
        flush(&mut journal, &store);
        rounds += 1;
    }
    assert!(rounds < 100);
    assert!(journal.total_bytes() < 2 * SMALL.segment_bytes + 400, "{journal:?}");
    assert_eq!(journal.segment_count(), store.files().len());
    assert!(!journal.has_unflushed());
}

#[test]
fn cleaning_reads_about_as_much_as_it_may() {
    let store = Memory::default();
    let (mut journal, ..) = open(&store);
    for _ in 0..20 {
        journal.append(host(1), &[7; 100]).unwrap();
        flush(&mut journal, &store);
    }
    let mut budget_bytes = 400;
    let mut batches = 0;
    while journal.clean_next(&mut budget_bytes).unwrap().is_some() {
        batches += 1;
    }
    assert_eq!((batches, budget_bytes), (3, 0));
}

#[test]
fn a_fenced_leader_writes_in_vain() {
    let store = Memory::default();
    let (mut old, ..) = open(&store);
    old.append(host(1), b"in time").unwrap();
    flush(&mut old, &store);
    let (mut new, recovery, _) = open(&store);
    old.append(host(1), b"late").unwrap();
    old.append(host(1), &[7; 2_000]).unwrap();
    flush(&mut old, &store);
    old.append(host(1), b"in a segment of its own").unwrap();
    flush(&mut old, &store);
    new.append(host(1), b"new").unwrap();
    flush(&mut new, &store);
    assert_eq!(recovery.leadership, 2);
    let (mut newest, _, seen) = open(&store);
    assert_eq!(facts(&seen), [&b"in time"[..], b"new"]);
    assert_eq!(store.files().len(), 4);
    flush(&mut newest, &store);
    assert_eq!(store.files().len(), 3, "what nobody looks for any more is removed");
}

#[test]
fn a_clean_end_is_told_once() {
    let store = Memory::default();
    let (mut journal, ..) = open(&store);
    journal.append(host(1), b"fact").unwrap();
    journal.close();
    finish(&mut journal, &store);
    let (mut journal, recovery, seen) = open(&store);
    assert!(recovery.was_closed && seen.len() == 1);
    flush(&mut journal, &store);
    assert!(!open(&store).1.was_closed);
}

#[test]
fn opening_again_and_again_leaves_no_segments_behind() {
    let store = written(&[b"fact"], 0);
    for _ in 0..10 {
        let (mut journal, _, seen) = open(&store);
        assert_eq!(facts(&seen), [b"fact"]);
        flush(&mut journal, &store);
        assert_eq!((store.files().len(), journal.segment_count()), (2, 2));
    }
}

#[test]
fn a_store_that_fails_once_closes_the_journal() {
    let store = written(&[b"fact"], 0);
    let (mut journal, ..) = open(&store);
    flush(&mut journal, &store);
    store.has_room(BATCH_BYTES + 3);
    let error = journal.append(host(1), b"too much").unwrap_err();
    assert_eq!(error.to_string(), "the disk is full: make room");
    store.has_room(usize::MAX);
    assert_eq!(journal.append(host(1), b"more"), Err(error.clone()));
    journal.close();
    assert_eq!(journal.failure(), Some(&error));
    assert!(!journal.has_unflushed() && !journal.wants_cleaning(&mut || 0));
    let (_, recovery, seen) = open(&store);
    assert_eq!((facts(&seen), recovery.cut_bytes), (vec![&b"fact"[..]], BATCH_BYTES as u64 + 3));
}

#[test]
fn a_full_segment_waits_for_its_flush() {
    let store = Memory::default();
    let (mut journal, ..) = open(&store);
    let write = journal.next_write();
    journal.append(host(1), &[7; 1024]).unwrap();
    assert!(!journal.may_append());
    let at = journal.append(host(2), b"the same turn").unwrap();
    assert_eq!(at.segment, 1);
    journal.end_write();
    assert!(journal.next_write() > write && journal.durable_write() < write);
    flush(&mut journal, &store);
    assert!(journal.may_append() && journal.durable_write() >= write);
    assert_eq!(journal.append(host(1), b"next").unwrap().segment, 2);
}

#[test]
fn a_message_that_holds_a_journal_is_not_one() {
    let inner = written(&[b"first", b"second", b"third"], 0).files().into_values().next().unwrap();
    let store = written(&[b"fact", &inner], 1);
    let (_, _, seen) = open(&changed(&store.files(), |bytes| {
        let torn = HEADER_BYTES + 2 * BATCH_BYTES + 4;
        bytes[torn] ^= 1;
    }));
    assert_eq!(facts(&seen), [b"fact"]);
}

#[test]
fn what_is_no_journal_or_a_later_one_is_refused() {
    let segment = Segment { number: 1, leadership: 1 };
    let store = Memory::new(Files::from([(segment, vec![b'x'; 100])]));
    assert_eq!(open_with(&store, &SMALL).unwrap_err(), JournalError::NotAJournal { segment });
    let header = Header { version: VERSION + 1, segment, previous: None, needed: Needed::all_of(1), entry: 1 };
    let store = Memory::new(Files::from([(segment, header.encode().to_vec())]));
    assert_eq!(open_with(&store, &SMALL).unwrap_err(), JournalError::NewerVersion { segment, version: VERSION + 1 });
    assert_eq!(store.files().len(), 1);
    for torn in [vec![], vec![0; 100], b"PocketMQ\x01".to_vec()] {
        let (_, recovery, _) = open(&Memory::new(Files::from([(segment, torn)])));
        assert_eq!((recovery.segments, recovery.leadership), (0, 2));
    }
}

#[test]
fn facts_that_are_not_understood_are_refused() {
    let store = written(&[b"fact"], 0);
    let why = Malformed("a field ends too early");
    let error = Journal::open(Box::new(store), &SMALL, &mut |_, _, _| Err(why)).unwrap_err();
    let segment = Segment { number: 1, leadership: 1 };
    assert_eq!(error, JournalError::Malformed { segment, offset: 104, why });
}

/// Flushes until nothing is left to be flushed.
fn finish(journal: &mut Journal, store: &Memory) {
    while journal.has_unflushed() {
        flush(journal, store);
    }
}

#[test]
fn nothing_is_appended_to_a_journal_that_is_closed() {
    let store = written(&[b"first", b"second"], 0);
    let (mut journal, ..) = open(&store);
    flush(&mut journal, &store);
    journal.append(host(1), b"third").unwrap();
    journal.close();
    for _ in 0..4 {
        assert!(!journal.may_append() && !journal.wants_cleaning(&mut || 0) && !journal.wants_anchor());
        flush(&mut journal, &store);
    }
    assert!(!journal.has_unflushed());
    let (_, recovery, seen) = open(&store);
    assert!(recovery.was_closed && recovery.cut_bytes == 0);
    assert_eq!(facts(&seen), [&b"first"[..], b"second", b"third"]);
}

#[test]
fn after_a_clean_end_no_facts_are_damaged_or_missing_unnoticed() {
    let batches: [&[u8]; 3] = [b"first", b"second", b"third"];
    let store = written(&batches, 0);
    let (mut journal, ..) = open(&store);
    flush(&mut journal, &store);
    journal.append(host(1), b"fourth").unwrap();
    journal.close();
    finish(&mut journal, &store);
    let files = store.files();
    let expected: [&[u8]; 4] = [b"first", b"second", b"third", b"fourth"];
    for (segment, bytes) in &files {
        let mut variants = vec![None];
        variants.extend((0..bytes.len()).map(|length| Some(bytes[..length].to_vec())));
        variants.extend((0..bytes.len()).map(|at| {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            Some(flipped)
        }));
        for (number, variant) in variants.into_iter().enumerate() {
            let mut files = files.clone();
            files.remove(segment);
            files.extend(variant.map(|bytes| (*segment, bytes)));
            let Ok((_, recovery, seen)) = open_with(&Memory::new(files), &SMALL) else { continue };
            assert_eq!(facts(&seen), expected, "{segment}, variant {number}");
            assert!(!recovery.was_closed || recovery.cut_bytes == 0);
        }
    }
}

#[test]
fn damage_of_what_an_anchor_speaks_of_is_noticed_after_a_crash() {
    let store = Memory::default();
    let (mut journal, ..) = open(&store);
    journal.append(host(1), b"fact").unwrap();
    flush(&mut journal, &store);
    assert!(journal.wants_anchor());
    journal.anchor().unwrap();
    flush(&mut journal, &store);
    assert!(!journal.wants_anchor(), "it speaks of facts, not of itself");
    for at in HEADER_BYTES..HEADER_BYTES + BATCH_BYTES + 4 {
        let error = open_with(&changed(&store.files(), |bytes| bytes[at] ^= 1), &SMALL).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { offset, .. } if offset == HEADER_BYTES as u64), "byte {at}");
    }
}
