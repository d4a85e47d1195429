//! Model: the contents of a broker, as facts make them; it knows no connection and no consumer.

pub(super) mod arguments;
pub(super) mod error;
pub(super) mod exchange;
pub(super) mod headers;
pub(super) mod message;
pub(super) mod names;
pub(super) mod numbered;
pub(super) mod pager;
pub(super) mod place;
pub(super) mod policy;
pub(super) mod publisher;
pub(super) mod queue;
pub(super) mod record;
pub(super) mod recorder;
pub(super) mod room;
pub(super) mod settings;
pub(super) mod slot;
pub(super) mod state;
