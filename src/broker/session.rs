//! Session: who is connected and consumes, and what they wait for; it ends with them, and no fact speaks of it.

pub(super) mod channel;
pub(super) mod consumer;
pub(super) mod due;
pub(super) mod event;
pub(super) mod runtime;
