//! Journal: the promises of a server with a store, seen from outside and without crashes.
#![cfg(not(target_arch = "wasm32"))]

mod answers;
mod backlog;
mod exchanges;
mod golden;
mod lifetimes;
#[path = "../peer/mod.rs"]
mod peer;
mod program;
mod publishers;
mod store;
