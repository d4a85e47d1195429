//! Recordings: everything that a server did is replayed byte for byte.
//!
//! `POCKETMQ_REPLAY=file cargo test --test recordings the_given -- --nocapture` replays a recording of your own: it prints
//! each input and output, and ends where the server panics or does something else than was recorded.
#![cfg(not(target_arch = "wasm32"))]

mod client;
mod conversation;
#[path = "../peer/mod.rs"]
mod peer;
#[path = "../journal/store.rs"]
mod store;

use std::collections::BTreeMap;

use pocketmq::id::TransportId;
use pocketmq::recording::replay;
use pocketmq::server::Input;

/// Output of each connection, in its order.
type Output = BTreeMap<TransportId, Vec<u8>>;

/// Replays a recording; returns the output.
fn output_of(recording: &[u8]) -> Output {
    let mut output = Output::new();
    let replayed = replay(recording, &mut |step| {
        if let Input::OutputTaken { id, .. } = step.input {
            output.entry(id).or_default().extend(step.leaving);
        }
    });
    replayed.unwrap_or_else(|error| panic!("{error}"));
    output
}

/// Checks that a replay has this output.
fn check_same(recording: &[u8], output: &Output) {
    let bytes: usize = output.values().map(Vec::len).sum();
    assert!(bytes > 5_000, "{bytes} bytes are little to compare");
    assert!(output_of(recording) == *output, "a replay has other output");
}

#[test]
fn the_given_recording_is_replayed() {
    let Some(path) = std::env::var_os("POCKETMQ_REPLAY") else { return };
    let recording = std::fs::read(path).unwrap();
    let replayed = replay(&recording, &mut |step| {
        println!("{}: {:?}", step.number, step.input);
        if !step.leaving.is_empty() {
            println!("    {}", step.leaving.escape_ascii());
        }
    });
    replayed.unwrap_or_else(|error| panic!("{error}"));
}
