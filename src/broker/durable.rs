//! Durable: everything that outlives a broker, as bytes, and how another broker starts from it.

pub(super) mod fact;
pub(super) mod image;
pub(super) mod recorder;
pub(super) mod restoring;
