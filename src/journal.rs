//! Journal: facts as bytes, in a row of segments, so that what was confirmed outlives its broker.

pub mod store;

pub use store::{Segment, Store, StoreError};
