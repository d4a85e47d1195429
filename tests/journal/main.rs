//! Journal: what a server with a store promises, seen from outside and without crashes.
#![cfg(not(target_arch = "wasm32"))]

mod backlog;
mod golden;
mod program;
mod store;
