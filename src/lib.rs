//! PocketMQ: a message broker that fits in a browser tab, an edge function or a test.

pub mod model;
pub mod properties;
pub mod table;
mod wire;
