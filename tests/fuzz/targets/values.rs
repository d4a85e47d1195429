//! Values: arbitrary bytes as a field table and as properties.
#![no_main]

#[path = "../run/mod.rs"]
mod run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run::values::check(bytes));
