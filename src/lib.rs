//! PocketMQ: a message broker that fits in a browser tab, an edge function or a test.

pub mod broker;
pub mod id;
pub mod limits;
pub mod model;
pub mod properties;
pub mod table;
pub mod timer;
mod wire;
