//! Room: estimates of the memory that exchanges, queues, bindings, consumers and the like take.
//!
//! The estimates are on the high side. Each is a function of a declaration, so the same number is subtracted at the
//! deletion, and a restarted broker counts what it restores as the first one did.

use std::cell::Cell;
use std::rc::Rc;

use super::exchange::destinations::Destination;
use super::exchange::kind::ExchangeKind;
use super::settings::Settings;
use crate::table::Table;

const EXCHANGE_BYTES: usize = 256;
const QUEUE_BYTES: usize = 1024;
/// Two names of the greatest length.
const SHORT_NAMES_BYTES: usize = 512;
const PRIORITY_BYTES: usize = 192;
const BINDING_BYTES: usize = 336;
/// A word of a topic exchange's pattern.
const WORD_BYTES: usize = 288;
const POLICY_BYTES: usize = 512;
const CONSUMER_BYTES: usize = 256;
/// A channel or a connection, with its protocol state.
pub(crate) const CHANNEL_BYTES: usize = 1024;
pub(crate) const CONNECTION_BYTES: usize = 4096;

/// A sum of such estimates, which is part of a sum over all virtual hosts.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    own: u64,
    all: Rc<Cell<u64>>,
}

impl Gauge {
    pub(crate) fn add(&mut self, bytes: usize) {
        self.own += bytes as u64;
        self.all.set(self.all.get() + bytes as u64);
    }

    pub(crate) fn take_off(&mut self, bytes: usize) {
        self.own = self.own.checked_sub(bytes as u64).expect("no more is taken off than was added");
        self.all.set(self.all.get() - bytes as u64);
    }

    pub(crate) fn set(&mut self, bytes: usize) {
        self.all.set(self.all.get() - self.own + bytes as u64);
        self.own = bytes as u64;
    }

    pub(crate) fn all(&self) -> u64 {
        self.all.get()
    }

    pub(crate) fn own(&self) -> u64 {
        self.own
    }

    /// Makes it part of another sum.
    pub(crate) fn join(&mut self, all: &Rc<Cell<u64>>) {
        all.set(all.get() + self.own);
        self.all.set(self.all.get() - self.own);
        self.all = all.clone();
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.all.set(self.all.get() - self.own);
    }
}

pub(crate) fn of_exchange(name: &str, arguments: &Table) -> usize {
    EXCHANGE_BYTES + 2 * name.len() + arguments.memory_bytes()
}

/// A queue. Its partitions have the name and the names for dead letters, but no other arguments.
pub(crate) fn of_queue(name: &str, arguments: &Table, settings: &Settings, partitions: usize) -> usize {
    let (argument_bytes, priorities) = (arguments.memory_bytes(), usize::from(settings.max_priority));
    let part_bytes =
        QUEUE_BYTES + 3 * name.len() + 2 * argument_bytes.min(SHORT_NAMES_BYTES) + PRIORITY_BYTES * priorities;
    argument_bytes + part_bytes * (1 + partitions)
}

/// A queue to be declared, with its partitions.
pub(crate) fn of_new_queue(name: &str, arguments: &Table) -> usize {
    let Ok(settings) = Settings::of_arguments(arguments) else { return 0 };
    let partitions = usize::from(settings.partitions.unwrap_or(0));
    of_queue(name, arguments, &settings, partitions)
}

/// A binding; the order of its arguments does not matter.
pub(crate) fn of_binding(kind: ExchangeKind, to: &Destination, key: &str, arguments: &Table) -> usize {
    let name_bytes = if let Destination::Exchange(name) = to { 3 * name.len() } else { 0 };
    let index_bytes = match kind {
        ExchangeKind::Headers => 4 * arguments.memory_bytes(),
        ExchangeKind::Topic => key.split('.').count() * WORD_BYTES,
        _ => 0,
    };
    BINDING_BYTES + name_bytes + 2 * key.len() + arguments.memory_bytes() + index_bytes
}

pub(crate) fn of_policy(name: &str, pattern: &str, definition: &Table) -> usize {
    POLICY_BYTES + 2 * name.len() + pattern.len() + 2 * definition.memory_bytes()
}

pub(crate) fn of_consumer(tag: &str, arguments: &Table) -> usize {
    CONSUMER_BYTES + 3 * tag.len() + arguments.memory_bytes()
}
