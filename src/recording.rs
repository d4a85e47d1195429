//! Recording: everything that a host passed to its server, from which all that the server did is done again.
//!
//! ```text
//! +----------+----------+---------+-------------+     +-------------------------------+
//! | "PMQ"    | u8: 1    | Config  | u8          | 0   | u8   | u32    |               |
//! | a record-| version  |         | 1: a journal| ... | kind | length | an entry      | ...
//! | ing      |          |         | is opened   |     |      |        |               |
//! +----------+----------+---------+-------------+     +-------------------------------+
//! after the 1: Options of the journal, and u64: the time.
//!
//! entries: 1 an input                    3 the answer to it, unless there is none, as a text
//!          2 the bytes that left with it:       4 a question to the host, and its answer, before the answer
//!            their number and checksum, a text    to the input
//! ```
//!
//! Numbers are big-endian; `recording/coding.rs` says how each value is written. What the server *does* is checked by a
//! replay: what it returned, what it asked its host, what it wrote to its store, and each byte of output that was
//! taken. A recording has all that peers sent, passwords and messages included.
//!
//! Only a server that is made here is recorded, from its first input on. A recording may be taken in parts, and it may
//! end anywhere: where its process did.

mod coding;
mod tape;
#[cfg(test)]
mod tests;

use std::fmt;

use coding::{Coded, Decoder, Slots};
use tape::{Absent, Recorded, Tape, leaving};

use crate::broker::Config;
use crate::journal::{JournalError, Options, Store};
use crate::server::{Input, Restored, Server};
use crate::wire::Malformed;

pub use tape::Divergence;

const MAGIC: &[u8; 4] = b"PMQ\x01";

/// A recording that is being made.
#[derive(Debug)]
pub struct Recording(Tape);

impl Recording {
    /// Makes a server in memory that is recorded.
    #[must_use]
    pub fn start(config: Config) -> (Server, Self) {
        let tape = Tape::recording(opening(&config, None));
        let mut server = Server::new(config);
        server.record(Box::new(tape.clone()));
        (server, Self(tape))
    }

    /// Opens a server with a journal that is recorded, which may fail.
    pub fn open(
        config: Config,
        store: Box<dyn Store>,
        options: &Options,
        now_ms: u64,
    ) -> (Result<(Server, Restored), JournalError>, Self) {
        let tape = Tape::recording(opening(&config, Some((options, now_ms))));
        (open(&tape, config, store, options, now_ms), Self(tape))
    }

    /// Returns what was recorded since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<u8> {
        self.0.take()
    }
}

fn opening(config: &Config, journal: Option<(&Options, u64)>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    config.put(&mut bytes);
    journal.is_some().put(&mut bytes);
    if let Some((options, now_ms)) = journal {
        options.put(&mut bytes);
        now_ms.put(&mut bytes);
    }
    bytes
}

fn open(
    tape: &Tape,
    config: Config,
    store: Box<dyn Store>,
    options: &Options,
    now_ms: u64,
) -> Result<(Server, Restored), JournalError> {
    let store = Recorded { host: store, tape: tape.clone() };
    let (mut server, restored) = Server::open(config, Box::new(store), options, now_ms)?;
    server.record(Box::new(tape.clone()));
    Ok((server, restored))
}

/// An input that is about to be replayed.
#[derive(Debug)]
pub struct Step<'a> {
    /// Its number, from 1 on.
    pub number: usize,
    /// The server before it.
    pub server: &'a Server,
    /// The input.
    pub input: Input<'a>,
    /// The bytes that leave the server with it.
    pub leaving: &'a [u8],
}

/// Why a recording was not replayed to its end.
#[derive(Debug)]
pub enum ReplayError {
    /// It is not a recording, or one of another version.
    Malformed(Malformed),
    /// The journal was not opened; nor was it when it was recorded.
    Journal(JournalError),
    /// The server did something else.
    Diverged(Divergence),
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => write!(f, "This cannot be read as a recording: {malformed}."),
            Self::Journal(error) => error.fmt(f),
            Self::Diverged(divergence) => divergence.fmt(f),
        }
    }
}

impl std::error::Error for ReplayError {}

impl From<Malformed> for ReplayError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// Gives the inputs of a recording to a new server, calls `see` before each, and returns the server as it was at the
/// end.
///
/// # Errors
/// At the first thing that the server does otherwise than recorded.
pub fn replay(recording: &[u8], see: &mut dyn FnMut(&Step<'_>)) -> Result<Server, ReplayError> {
    let (mut server, tape) = reopen(recording)?;
    let mut number = 0;
    while let Some(bytes) = tape.next_input() {
        number += 1;
        let slots = Slots::default();
        let input = Input::take(&mut Decoder::new(&bytes, &slots))?;
        see(&Step { number, server: &server, input, leaving: leaving(&server, &input) });
        // The tape compares the answer.
        _ = server.input(&input);
        check(&tape)?;
    }
    check(&tape)?;
    Ok(server)
}

fn reopen(recording: &[u8]) -> Result<(Server, Tape), ReplayError> {
    let slots = Slots::default();
    let rest = recording.strip_prefix(MAGIC).ok_or(Malformed("it does not begin as one of version 1 does"))?;
    let mut from = Decoder::new(rest, &slots);
    let (config, has_journal) = (Config::take(&mut from)?, bool::take(&mut from)?);
    if !has_journal {
        let tape = Tape::replaying(recording.to_vec(), recording.len() - from.rest_bytes());
        let mut server = Server::new(config);
        server.record(Box::new(tape.clone()));
        return Ok((server, tape));
    }
    let (options, now_ms) = (Options::take(&mut from)?, u64::take(&mut from)?);
    let tape = Tape::replaying(recording.to_vec(), recording.len() - from.rest_bytes());
    let opened = open(&tape, config, Box::new(Absent), &options, now_ms);
    check(&tape)?;
    let (server, _) = opened.map_err(ReplayError::Journal)?;
    Ok((server, tape))
}

fn check(tape: &Tape) -> Result<(), ReplayError> {
    tape.divergence().map_or(Ok(()), |divergence| Err(ReplayError::Diverged(divergence)))
}
