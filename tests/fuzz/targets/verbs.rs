//! Verbs: sequences of commands, with the reference as the judge.
#![no_main]

#[path = "../../sequences/run/mod.rs"]
mod run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run::check_bytes(bytes));
