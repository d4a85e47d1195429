//! Durable: what outlives a broker, as bytes, and how another one begins with it.

pub(super) mod fact;
pub(super) mod image;
pub(super) mod keeping;
pub(super) mod restoring;
