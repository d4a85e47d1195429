//! PocketMQ: a message broker that fits in a browser tab, an edge function or a test.
//!
//! [`broker`] has exchanges, queues and consumers, each [`virtual_host`] has one, [`protocol`] speaks AMQP 0-9-1, and
//! [`server`] joins them for a host to drive; through [`access`] the host decides about users and permissions. None of
//! them does I/O or reads a clock. The whole drive loop, with a transport that is a slice:
//!
//! ```
//! use pocketmq::broker::Config;
//! use pocketmq::limits::Limits;
//! use pocketmq::protocol::Peer;
//! use pocketmq::server::Server;
//!
//! // The seed comes from a cryptographic source of the host's.
//! let mut server = Server::new(Config { seed: [0; 32], limits: Limits::default() });
//! let id = server.connect_amqp(Peer { loopback: true, ..Peer::default() });
//! server.receive(id, b"AMQP\0\0\x09\x01");
//! let deadline_ms = server.turn(0);
//! while let Some(id) = server.next_output() {
//!     let output = server.output(id);
//!     assert_eq!(output[0], 1, "a method frame: connection.start");
//!     let written = output.len();
//!     server.output_taken(id, written);
//! }
//! assert_eq!(deadline_ms, Some(10_000), "by then the peer must have logged in");
//! ```
//!
//! All of these calls are inputs, values that can be recorded, and replayed, by [`recording`]. [`embedded`] is for
//! programs in the same thread, without a protocol; [`model`] predicts the behaviour of queues.
//! Only the module `wasm`, which exists on that target alone, calls JavaScript.

pub mod access;
mod arena;
pub mod broker;
pub mod embedded;
pub mod id;
pub mod journal;
pub mod limits;
pub mod model;
pub mod properties;
pub mod protocol;
pub mod recording;
pub mod server;
pub mod table;
pub mod timer;
pub mod virtual_host;
#[cfg(target_arch = "wasm32")]
pub mod wasm;
mod wire;

pub use broker::Broker;
pub use server::Server;
