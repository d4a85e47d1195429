//! Properties: tests that everything flushed comes back, whatever is done to a journal and to its store.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::memory::{Change, Files, Memory, apply};
use super::*;

const OPTIONS: Options = Options { segment_bytes: 1024, leadership_min: 1, salvage: false };

#[derive(Clone, Debug)]
enum Doing {
    /// Messages of this size arrive at a virtual host.
    Add {
        host: u64,
        count: u32,
        bytes: usize,
    },
    /// One of the messages leaves.
    Drop(usize),
    EndWrite,
    StartFlush,
    EndFlush,
    Clean {
        budget_bytes: u64,
    },
    /// The power fails; the seed decides which unflushed changes have reached the disk.
    Crash(u64),
    /// Another leader opens the journal, and the former one continues for a while.
    Fence,
    Close,
}

fn doing() -> impl Strategy<Value = Doing> {
    prop_oneof![
        6 => (0..2u64, 1..4u32, 0..500usize).prop_map(|(host, count, bytes)| Doing::Add { host, count, bytes }),
        5 => any::<usize>().prop_map(Doing::Drop),
        5 => Just(Doing::EndWrite),
        4 => Just(Doing::StartFlush),
        4 => Just(Doing::EndFlush),
        4 => (1..2_000u64).prop_map(|budget_bytes| Doing::Clean { budget_bytes }),
        2 => any::<u64>().prop_map(Doing::Crash),
        1 => Just(Doing::Fence),
        1 => Just(Doing::Close),
    ]
}

/// Makes the fact that a message is there, or no longer there.
fn fact(is_there: bool, message: u32, bytes: usize) -> Vec<u8> {
    let mut fact = vec![u8::from(is_there)];
    fact.extend_from_slice(&message.to_le_bytes());
    fact.extend_from_slice(&(bytes as u32).to_le_bytes());
    fact.resize(fact.len() + bytes, message as u8);
    fact
}

fn messages(facts: &[u8]) -> Vec<(bool, u32, &[u8])> {
    let mut rest = facts;
    let mut found = Vec::new();
    while let Some((head, _)) = rest.split_first_chunk::<9>() {
        let [is_there, message @ .., _, _, _, _] = *head;
        let bytes = u32::from_le_bytes(*head.last_chunk().unwrap()) as usize;
        let message = u32::from_le_bytes(message);
        let (fact, behind) = rest.split_at(9 + bytes);
        assert!(fact[9..].iter().all(|&byte| byte == message as u8));
        found.push((is_there != 0, message, fact));
        rest = behind;
    }
    found
}

type State = BTreeSet<(u64, u32)>;

/// A queue in each virtual host, over a journal.
struct World {
    store: Memory,
    journal: Journal,
    /// State after each batch, beginning with the last one that is certain to come back.
    states: Vec<State>,
    next_message: u32,
    flushing: Option<u64>,
    waiting: Vec<(u64, Vec<u8>)>,
}

fn open(store: &Memory) -> (Journal, Recovery, State) {
    let mut state = State::new();
    let (journal, recovery) = Journal::open(Box::new(store.clone()), &OPTIONS, &mut |host, facts, _| {
        update(&mut state, host.index(), facts);
        Ok(())
    })
    .unwrap_or_else(|error| panic!("{error}"));
    (journal, recovery, state)
}

fn update(state: &mut State, host: u64, facts: &[u8]) {
    for (is_there, message, _) in messages(facts) {
        if is_there {
            state.insert((host, message));
        } else {
            state.remove(&(host, message));
        }
    }
}

impl World {
    fn new() -> Self {
        let store = Memory::default();
        let (journal, _, state) = open(&store);
        Self { store, journal, states: vec![state], next_message: 0, flushing: None, waiting: Vec::new() }
    }

    fn state(&self) -> &State {
        self.states.last().unwrap()
    }

    fn note(&mut self, host: u64, facts: &[u8]) {
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == host) {
            Some((_, waiting)) => waiting.extend_from_slice(facts),
            None => self.waiting.push((host, facts.to_vec())),
        }
    }

    fn act(&mut self, doing: &Doing) {
        match *doing {
            Doing::Add { host, count, bytes } => {
                for _ in 0..count {
                    self.next_message += 1;
                    self.note(host, &fact(true, self.next_message, bytes));
                }
            }
            Doing::Drop(which) if !self.state().is_empty() => {
                let (host, message) = *self.state().iter().nth(which % self.state().len()).unwrap();
                self.note(host, &fact(false, message, 0));
            }
            Doing::Drop(_) => {}
            Doing::EndWrite => self.end_write(),
            Doing::StartFlush if self.flushing.is_none() => {
                self.flushing = Some(self.journal.start_flush());
                self.store.flush();
                self.states.drain(..self.states.len() - 1);
            }
            Doing::StartFlush => {}
            Doing::EndFlush => {
                if let Some(mark) = self.flushing.take() {
                    self.journal.flushed(mark);
                    assert!(self.journal.durable_write() >= mark);
                }
            }
            Doing::Clean { budget_bytes } => self.clean(budget_bytes),
            Doing::Crash(seed) => self.crash(seed),
            Doing::Fence => self.fence(),
            Doing::Close => self.close(),
        }
    }

    fn end_write(&mut self) {
        if !self.journal.may_append() {
            return;
        }
        for (host, facts) in std::mem::take(&mut self.waiting) {
            self.journal.append(VirtualHostId::from_index(host), &facts).unwrap();
            let mut state = self.state().clone();
            update(&mut state, host, &facts);
            self.states.push(state);
        }
        self.journal.end_write();
    }

    fn clean(&mut self, mut budget_bytes: u64) {
        // Appended facts that wait are not in the state yet, and a message must not be noted again after it has left.
        self.end_write();
        if !self.waiting.is_empty() || !self.journal.may_append() {
            return;
        }
        let mut again = Vec::new();
        while let Some((host, facts, _)) = self.journal.clean_next(&mut budget_bytes).unwrap() {
            for (is_there, message, fact) in messages(facts) {
                if is_there && self.states.last().unwrap().contains(&(host.index(), message)) {
                    again.push((host.index(), fact.to_vec()));
                }
            }
        }
        for (host, fact) in again {
            self.note(host, &fact);
        }
        self.end_write();
        let files = self.store.files();
        // The writes of a fenced leader are not known.
        assert!(self.journal.total_bytes() <= files.values().map(|bytes| bytes.len() as u64).sum::<u64>());
        assert!(self.journal.segment_count() <= files.len());
    }

    fn crash(&mut self, seed: u64) {
        self.store = Memory::new(torn(&self.store, seed));
        let (journal, recovery, state) = open(&self.store);
        assert!(self.states.contains(&state), "{state:?}, not one of {:?}", self.states);
        assert!(!recovery.was_closed);
        self.journal = journal;
        self.go_on(state);
    }

    fn fence(&mut self) {
        // Opening a store makes its contents durable.
        self.store.flush();
        let (journal, recovery, state) = open(&self.store);
        assert_eq!((&state, recovery.cut_bytes), (self.state(), 0));
        // From here on the former leader is fenced, whatever happens.
        self.store.flush();
        let mut fenced = std::mem::replace(&mut self.journal, journal);
        fenced.append(VirtualHostId::from_index(0), &fact(true, u32::MAX, 2_000)).unwrap();
        fenced.end_write();
        self.go_on(state);
    }

    fn close(&mut self) {
        self.end_write();
        self.journal.close();
        while self.journal.has_unflushed() {
            let mark = self.journal.start_flush();
            self.store.flush();
            self.journal.flushed(mark);
        }
        let (journal, recovery, state) = open(&self.store);
        assert_eq!((&state, recovery.cut_bytes, recovery.was_closed), (self.state(), 0, true));
        // A host begins with a flush: after it the end is no longer clean.
        self.store.flush();
        self.journal = journal;
        self.go_on(state);
    }

    /// Continues as another leader.
    fn go_on(&mut self, state: State) {
        self.states = vec![state];
        self.flushing = None;
        self.waiting.clear();
    }
}

/// Returns the files after a power failure: of each change since the last flush everything, nothing or a part.
fn torn(store: &Memory, mut seed: u64) -> Files {
    let mut draw = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let mut files = store.durable();
    for change in store.changes() {
        let length = if let Change::Write(_, _, bytes) = &change { bytes.len() } else { 1 };
        match draw(5) {
            0 if matches!(change, Change::Write(..)) => apply(&mut files, &change, 0..draw(length + 1)),
            1 if matches!(change, Change::Write(..)) => apply(&mut files, &change, draw(length)..length),
            2 => {}
            _ => apply(&mut files, &change, 0..length),
        }
    }
    files
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_flushed_comes_back(doings in proptest::collection::vec(doing(), 0..120)) {
        let mut world = World::new();
        world.store.flush();
        for doing in &doings {
            world.act(doing);
        }
        world.act(&Doing::Crash(doings.len() as u64));
    }
}
