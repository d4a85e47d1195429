//! Conversations: some peers and a server, chosen by arbitrary bytes.
#![no_main]

#[path = "../run/mod.rs"]
mod run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run::conversations::check(bytes));
