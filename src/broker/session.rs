//! Session: connections, channels and consumers, and their timers and events; all of it ends with them, and no fact
//! mentions it.

pub(super) mod channel;
pub(super) mod consumer;
pub(super) mod due;
pub(super) mod event;
pub(super) mod runtime;
