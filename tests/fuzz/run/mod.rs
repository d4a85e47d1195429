//! Run: what the fuzzer does with its bytes; the tests do it too, with the corpus.
#![allow(dead_code, reason = "each target uses its part")]

pub mod arguments;
pub mod choices;
pub mod conversations;
pub mod requests;
pub mod values;
pub mod witness;

#[path = "../../peer/mod.rs"]
pub mod peer;
#[path = "../../journal/store.rs"]
pub mod store;
