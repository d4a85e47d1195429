//! Tape: everything that passes between a host and its server, noted in a recording, compared in a replay.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use xxhash_rust::xxh64::xxh64;

use super::coding::{Coded, Decoder, Slots, coded};
use crate::access::{Access, Limited, Permission};
use crate::broker::{Error, Matcher};
use crate::embedded::{Answer, Verb};
use crate::journal::{Segment, Store, StoreError};
use crate::server::{Core, Input, Witness};

/// Kinds of entries: the end is not written.
const END: u8 = 0;
const INPUT: u8 = 1;
const LEAVING: u8 = 2;
const ANSWER: u8 = 3;
const HOST: u8 = 4;

/// A replay that does something else than the recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Number of the input during which it happened, from 1 on; 0 is the opening.
    pub input: usize,
    /// The recorded entry, in words.
    pub recorded: String,
    /// Its counterpart in the replay, in words.
    pub replayed: String,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { input, recorded, replayed } = self;
        write!(f, "The replay differs at input {input}: the recording has {recorded}, but the replay {replayed}.")
    }
}

/// A recording that is being made or replayed; clones share it.
#[derive(Clone)]
pub(super) struct Tape(Rc<RefCell<Reel>>);

#[derive(Default)]
struct Reel {
    bytes: Vec<u8>,
    /// Where the next entry is read, if it is replayed.
    at: Option<usize>,
    inputs: usize,
    divergence: Option<Divergence>,
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tape").field("inputs", &self.0.borrow().inputs).finish_non_exhaustive()
    }
}

impl Tape {
    /// Makes one that records behind these bytes.
    pub(super) fn recording(bytes: Vec<u8>) -> Self {
        Self(Rc::new(RefCell::new(Reel { bytes, ..Reel::default() })))
    }

    /// Makes one that replays these bytes from here on.
    pub(super) fn replaying(bytes: Vec<u8>, at: usize) -> Self {
        Self(Rc::new(RefCell::new(Reel { bytes, at: Some(at), ..Reel::default() })))
    }

    /// Returns what was recorded since the last call.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.borrow_mut().bytes)
    }

    /// Returns the next input that is to be replayed, as bytes, unless this is the end.
    pub(super) fn next_input(&self) -> Option<Vec<u8>> {
        let mut reel = self.0.borrow_mut();
        reel.inputs += 1;
        match reel.next() {
            (INPUT, input) => Some(input),
            (END, _) => None,
            (kind, bytes) => {
                reel.diverge(described(kind, &bytes), "did nothing more".into());
                None
            }
        }
    }

    pub(super) fn divergence(&self) -> Option<Divergence> {
        self.0.borrow().divergence.clone()
    }

    /// Notes an entry, or compares it with the one that was recorded.
    fn note(&self, kind: u8, bytes: &[u8]) {
        let mut reel = self.0.borrow_mut();
        if reel.at.is_none() {
            return reel.put(kind, bytes);
        }
        let recorded = reel.next();
        if recorded.0 != END && (recorded.0, &*recorded.1) != (kind, bytes) {
            reel.diverge(described(recorded.0, &recorded.1), described(kind, bytes));
        }
    }

    /// Notes an input, and compares the bytes that leave with it; a replay has read the input already.
    fn note_input(&self, input: &Input<'_>, leaving: &[u8]) {
        let is_recording = self.0.borrow().at.is_none();
        if is_recording {
            self.note(INPUT, &coded(input));
            self.0.borrow_mut().inputs += 1;
        }
        if !leaving.is_empty() {
            self.note(LEAVING, format!("{} bytes, {:016x}", leaving.len(), xxh64(leaving, 0)).as_bytes());
        }
    }

    /// Notes what the host answers to a question; a replay returns what it answered then, and `lost` if it was not
    /// asked.
    fn ask<T: for<'a> Coded<'a>>(&self, question: &str, lost: T, host: impl FnOnce() -> T) -> T {
        if self.0.borrow().at.is_none() {
            // The host may take its time, but it does not call the server meanwhile.
            let answer = host();
            self.0.borrow_mut().put(HOST, &coded(&(Box::<str>::from(question), coded(&answer))));
            return answer;
        }
        let mut reel = self.0.borrow_mut();
        let (kind, bytes) = reel.next();
        let slots = Slots::default();
        match <(&str, Vec<u8>)>::take(&mut Decoder::new(&bytes, &slots)) {
            Ok((asked, answer)) if kind == HOST && asked == question => {
                T::take(&mut Decoder::new(&answer, &Slots::default())).unwrap_or(lost)
            }
            _ if kind == END => lost,
            _ => {
                reel.diverge(described(kind, &bytes), format!("asks its host: {question}"));
                lost
            }
        }
    }
}

/// Returns the bytes that leave the server with an input.
pub(super) fn leaving<'a>(core: &'a Core, input: &Input<'_>) -> &'a [u8] {
    match *input {
        Input::OutputTaken { id, bytes } => {
            let output = core.output(id);
            output.get(..bytes).unwrap_or(output)
        }
        Input::Verb(Verb::ClearBatch) => core.embedded().batch(),
        _ => &[],
    }
}

impl Reel {
    fn put(&mut self, kind: u8, bytes: &[u8]) {
        kind.put(&mut self.bytes);
        bytes.put(&mut self.bytes);
    }

    /// Reads the next entry; a last one that is not whole is the end.
    fn next(&mut self) -> (u8, Vec<u8>) {
        let at = self.at.expect("only what is replayed is read");
        let (rest, slots) = (&self.bytes[at..], Slots::default());
        let Ok((kind, bytes)) = <(u8, &[u8])>::take(&mut Decoder::new(rest, &slots)) else { return (END, Vec::new()) };
        let bytes = bytes.to_vec();
        self.at = Some(at + 5 + bytes.len());
        (kind, bytes)
    }

    fn diverge(&mut self, recorded: String, replayed: String) {
        let input = self.inputs;
        self.divergence.get_or_insert(Divergence { input, recorded, replayed });
    }
}

/// Describes an entry.
fn described(kind: u8, bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match kind {
        INPUT => "the next input".into(),
        LEAVING => format!("output of {text}"),
        ANSWER => format!("the answer {text}"),
        _ => format!("the host's answer to {}", text.escape_debug()),
    }
}

impl Witness for Tape {
    fn pass(&mut self, core: &mut Core, input: &Input<'_>) -> Result<Answer, Error> {
        self.note_input(input, leaving(core, input));
        if self.0.borrow().divergence.is_some() {
            // What follows was recorded of another output: taking it might even panic.
            return Ok(Answer::Done);
        }
        let answer = core.take(input);
        if answer != Ok(Answer::Done) {
            self.note(ANSWER, format!("{answer:?}").as_bytes());
        }
        answer
    }

    fn access(&self, access: Box<dyn Access>) -> Box<dyn Access> {
        Box::new(Recorded { host: access, tape: self.clone() })
    }

    fn matcher(&self, matcher: Matcher) -> Matcher {
        let tape = self.clone();
        Matcher::new(move |pattern, name| {
            tape.ask(&format!("does {pattern:?} match {name:?}"), false, || matcher.matches(pattern, name))
        })
    }
}

/// A part of the host whose answers are noted; in a replay it is not asked.
#[derive(Debug)]
pub(super) struct Recorded<T> {
    pub(super) host: T,
    pub(super) tape: Tape,
}

/// The methods of a part of the host: what it is asked, by a text, and what is returned when that was not recorded.
macro_rules! asks {
    ($($name:ident($($argument:ident: $type:ty),*) -> $answer:ty, $lost:expr;)*) => {
        $(fn $name(&mut self, $($argument: $type),*) -> $answer {
            let question = format!(concat!(stringify!($name), " {:?}"), ($($argument,)*));
            self.tape.ask(&question, $lost, || self.host.$name($($argument),*))
        })*
    };
}

impl Access for Recorded<Box<dyn Access>> {
    asks! {
        log_in_by_certificate(name: &str) -> Option<Box<str>>, None;
        may_enter(user: &str, virtual_host: &str) -> bool, false;
        permits_all(user: &str, virtual_host: &str) -> bool, false;
        permits(user: &str, virtual_host: &str, permission: Permission, name: &str) -> bool, false;
        may_impersonate(user: &str) -> bool, false;
        limit(user: &str, limited: Limited) -> Option<usize>, None;
        limits_topics(user: &str, virtual_host: &str) -> bool, true;
        permits_topic(user: &str, virtual_host: &str, permission: Permission, exchange: &str, key: &str) -> bool, false;
    }

    fn log_in(&mut self, user: &str, password: &str, loopback: bool) -> Option<Box<str>> {
        let question = format!("log_in {:?}", (user, loopback));
        self.tape.ask(&question, None, || self.host.log_in(user, password, loopback))
    }

    fn update_secret(&mut self, user: &str, secret: &str) -> bool {
        self.tape.ask(&format!("update_secret {user:?}"), false, || self.host.update_secret(user, secret))
    }
}

fn lost<T>() -> Result<T, StoreError> {
    Err(StoreError("The recording does not have this.".into()))
}

impl Store for Recorded<Box<dyn Store>> {
    asks! {
        segments() -> Result<Vec<(Segment, u64)>, StoreError>, lost();
        create(segment: Segment) -> Result<(), StoreError>, lost();
        remove(segment: Segment) -> Result<(), StoreError>, lost();
    }

    fn read(&mut self, segment: Segment, offset: u64, into: &mut [u8]) -> Result<(), StoreError> {
        let question = format!("read {:?}", (segment, offset, into.len()));
        let read = self.tape.ask(&question, lost(), || {
            self.host.read(segment, offset, into)?;
            Ok(into.to_vec())
        })?;
        if read.len() != into.len() {
            return lost();
        }
        into.copy_from_slice(&read);
        Ok(())
    }

    fn append(&mut self, segment: Segment, bytes: &[u8]) -> Result<(), StoreError> {
        let question = format!("append {:?}, {:016x}", (segment, bytes.len()), xxh64(bytes, 0));
        self.tape.ask(&question, lost(), || self.host.append(segment, bytes))
    }
}

/// Stands for the host's store in a replay, which asks it nothing.
#[derive(Debug)]
pub(super) struct Absent;

impl Store for Absent {
    fn segments(&mut self) -> Result<Vec<(Segment, u64)>, StoreError> {
        lost()
    }

    fn read(&mut self, _: Segment, _: u64, _: &mut [u8]) -> Result<(), StoreError> {
        lost()
    }

    fn create(&mut self, _: Segment) -> Result<(), StoreError> {
        lost()
    }

    fn append(&mut self, _: Segment, _: &[u8]) -> Result<(), StoreError> {
        lost()
    }

    fn remove(&mut self, _: Segment) -> Result<(), StoreError> {
        lost()
    }
}
