//! Verbs: sequences of commands, compared with the reference.
#![no_main]

#[path = "../../sequences/run/mod.rs"]
mod run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run::check_bytes(bytes));
