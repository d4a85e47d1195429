//! Run: the fuzzer's use of its bytes; the tests share it to replay the corpus.
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
