//! Model: predictions of queueing theory for a queue, from its rates alone, without a broker.
//!
//! Each family of models has a file. A model is made from its rates, which are checked once, and then computes:
//!
//! ```
//! use pocketmq::model::{LongRun, MultiServer};
//!
//! let queue = MultiServer::new(24.0, 30.0, 1)?;
//! match queue.long_run() {
//!     LongRun::Settles(steady) => assert!((steady.mean_in_system - 4.0).abs() < 1e-12),
//!     LongRun::Grows { messages_per_unit } => panic!("it grows by {messages_per_unit}"),
//! }
//! # Ok::<(), pocketmq::model::InvalidInput>(())
//! ```
//!
//! **Units.** A rate is a number of messages per unit of time; every time in a result is in that same unit. Rates per
//! second give seconds, rates per hour give hours.
//!
//! **What the numbers mean in a broker**, with prefetch 1 and instant dispatch only: *in the system* is ready + unacked,
//! *waiting* is ready, a *sojourn* runs from publish to ack, a *wait* from publish to delivery.
//!
//! A model never clamps: for a load that its servers cannot carry it returns the rate at which the queue grows.

mod multi_server;

use std::fmt;

pub use multi_server::{LongRun, MultiServer, SteadyState};

/// The most servers that a model takes; its loops run once per server.
pub const MAX_SERVERS: u32 = 100_000;

/// The least rate that a model takes: below it, squares would underflow.
pub const RATE_MIN: f64 = 1e-100;

/// The greatest rate that a model takes: above it, squares would overflow.
pub const RATE_MAX: f64 = 1e100;

/// The most probabilities that are computed at once.
pub const MAX_PROBABILITIES: u32 = 1_000_000;

/// An invalid input; says which one, and what is valid.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum InvalidInput {
    /// A rate that is not a number from [`RATE_MIN`] to [`RATE_MAX`].
    Rate {
        /// Which rate: `lambda` or `mu`.
        name: &'static str,
        /// The given value.
        value: f64,
    },
    /// A number of servers that is not a whole number from 1 to [`MAX_SERVERS`].
    Servers {
        /// The given value.
        value: f64,
    },
    /// A number of probabilities that is not a whole number from 0 to [`MAX_PROBABILITIES`].
    Count {
        /// The given value.
        value: f64,
    },
}

impl fmt::Display for InvalidInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate { name, value } => {
                write!(f, "{name} must be a number from {RATE_MIN:?} to {RATE_MAX:?}, but it is {value:?}")
            }
            Self::Servers { value } => {
                write!(f, "servers must be a whole number from 1 to {MAX_SERVERS}, but it is {value}")
            }
            Self::Count { value } => {
                write!(f, "count must be a whole number from 0 to {MAX_PROBABILITIES}, but it is {value}")
            }
        }
    }
}

impl std::error::Error for InvalidInput {}

/// A rate, checked.
fn rate(name: &'static str, value: f64) -> Result<f64, InvalidInput> {
    if (RATE_MIN..=RATE_MAX).contains(&value) { Ok(value) } else { Err(InvalidInput::Rate { name, value }) }
}
