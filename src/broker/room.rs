//! Room: what exchanges, queues, bindings, consumers and the like take in memory, and how much of it there may be.
//!
//! Estimates, on the high side: each is a function of what was declared, so that the same number is taken off when it goes,
//! and a restarted broker counts what it finds as the first one did.

use std::cell::Cell;
use std::rc::Rc;

use super::Broker;
use super::error::Error;
use super::exchange::{Destination, Exchange, ExchangeKind};
use super::policy::{Policies, Policy};
use super::queue::Queue;
use super::settings::Settings;
use crate::id::ConnectionId;
use crate::table::Table;

/// Less would be of no use, however little memory messages may take.
const ROOM_MIN_BYTES: usize = 1 << 20;

const EXCHANGE_BYTES: usize = 256;
const QUEUE_BYTES: usize = 1024;
/// Two of the longest.
const SHORT_NAMES_BYTES: usize = 512;
const PRIORITY_BYTES: usize = 192;
const BINDING_BYTES: usize = 336;
/// Of a topic exchange's pattern.
const WORD_BYTES: usize = 288;
const POLICY_BYTES: usize = 512;
const CONSUMER_BYTES: usize = 256;
/// Both for a channel and for a connection, what the protocol holds for it included.
pub(crate) const CHANNEL_BYTES: usize = 1024;
pub(crate) const CONNECTION_BYTES: usize = 4096;

/// The sum of such estimates, which is part of a sum over all virtual hosts.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    own: u64,
    all: Rc<Cell<u64>>,
}

impl Gauge {
    pub(super) fn add(&mut self, bytes: usize) {
        self.own += bytes as u64;
        self.all.set(self.all.get() + bytes as u64);
    }

    pub(super) fn take_off(&mut self, bytes: usize) {
        self.own = self.own.checked_sub(bytes as u64).expect("no more is taken off than was added");
        self.all.set(self.all.get() - bytes as u64);
    }

    pub(super) fn set(&mut self, bytes: usize) {
        self.all.set(self.all.get() - self.own + bytes as u64);
        self.own = bytes as u64;
    }

    pub(super) fn all(&self) -> u64 {
        self.all.get()
    }

    pub(super) fn own(&self) -> u64 {
        self.own
    }

    /// Makes it part of another sum.
    pub(super) fn join(&mut self, all: &Rc<Cell<u64>>) {
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

pub(super) fn of_exchange(name: &str, alternate: Option<&str>) -> usize {
    EXCHANGE_BYTES + 2 * name.len() + alternate.map_or(0, str::len)
}

/// Its partitions have the name and the names for dead letters, but no other arguments.
fn of_queue(name: &str, arguments: &Table, settings: &Settings, partitions: usize) -> usize {
    let (argument_bytes, priorities) = (arguments.memory_bytes(), usize::from(settings.max_priority));
    let part_bytes =
        QUEUE_BYTES + 3 * name.len() + 2 * argument_bytes.min(SHORT_NAMES_BYTES) + PRIORITY_BYTES * priorities;
    argument_bytes + part_bytes * (1 + partitions)
}

/// A queue to be, with its partitions.
pub(super) fn of_new_queue(name: &str, arguments: &Table) -> usize {
    let Ok(settings) = Settings::of_arguments(arguments) else { return 0 };
    let partitions = usize::from(settings.partitions.unwrap_or(0));
    of_queue(name, arguments, &settings, partitions)
}

/// The arguments in any order.
pub(super) fn of_binding(kind: ExchangeKind, to: &Destination, key: &str, arguments: &Table) -> usize {
    let name_bytes = if let Destination::Exchange(name) = to { 3 * name.len() } else { 0 };
    let index_bytes = match kind {
        ExchangeKind::Headers => 4 * arguments.memory_bytes(),
        ExchangeKind::Topic => key.split('.').count() * WORD_BYTES,
        _ => 0,
    };
    BINDING_BYTES + name_bytes + 2 * key.len() + arguments.memory_bytes() + index_bytes
}

pub(super) fn of_policy(name: &str, policy: &Policy) -> usize {
    POLICY_BYTES + 2 * name.len() + policy.pattern.len() + 2 * policy.definition.memory_bytes()
}

pub(super) fn of_consumer(tag: &str, arguments: &Table) -> usize {
    CONSUMER_BYTES + 3 * tag.len() + arguments.memory_bytes()
}

impl Exchange {
    /// With its bindings, of which each is noted with the name at its destination.
    pub(super) fn room(&self, name: &str) -> usize {
        of_exchange(name, self.declared_alternate()) + self.bindings_bytes() + name.len() * self.destinations().len()
    }
}

impl Queue {
    /// With its partitions.
    pub(super) fn room(&self) -> usize {
        let partitions = self.partitions.as_ref().map_or(0, |partitions| partitions.queues.len());
        of_queue(&self.name, &self.arguments, &self.settings, partitions)
    }
}

impl Policies {
    pub(super) fn room(&self) -> usize {
        self.iter().map(|(name, policy)| of_policy(name, policy)).sum()
    }
}

impl Broker {
    /// What everything but messages takes in memory, in this virtual host.
    #[must_use]
    pub fn structure_bytes(&self) -> u64 {
        self.state.room().own() + self.held.own()
    }

    /// The same, counted anew.
    #[must_use]
    pub fn recounted_structure_bytes(&self) -> u64 {
        let bindings = |exchange: &Exchange| -> usize {
            let of = |(to, key, arguments): (&_, &_, Table)| of_binding(exchange.routing(), to, key, &arguments);
            exchange.bindings().map(of).sum()
        };
        let exchanges = self.state.exchanges().map(|(name, exchange)| {
            let names = name.len() * exchange.bindings().count();
            of_exchange(name, exchange.declared_alternate()) + names + bindings(exchange)
        });
        let queues = self.state.queues().map(|(_, queue)| queue.room());
        let consumers = self.consumers.ids().into_iter().filter_map(|id| self.consumers.get(id));
        let consumers = consumers.map(|consumer| of_consumer(&consumer.tag, &consumer.arguments));
        let connections = self.connections.ids().into_iter().filter_map(|id| self.connections.get(id));
        let connections = connections.map(|connection| CONNECTION_BYTES + connection.extra_bytes);
        let parts = exchanges.chain(queues).chain(consumers).chain(connections);
        (parts.sum::<usize>() + self.channels.len() * CHANNEL_BYTES + self.state.policies().room()) as u64
    }

    /// Counts what the protocol holds for a connection beside the usual.
    pub(crate) fn count_for(&mut self, connection: ConnectionId, bytes: usize) {
        if let Some(known) = self.connections.get_mut(connection) {
            known.extra_bytes += bytes;
            self.held.add(bytes);
        }
    }

    /// Counts the broker among others that share limits: one on messages, and one on everything else.
    pub(crate) fn share_limits(&mut self, memory: &Rc<Cell<u64>>, room: &Rc<Cell<u64>>) {
        self.memory.join(memory);
        self.state.room_mut().join(room);
        self.held.join(room);
    }

    /// Refuses what would take more memory than there may be for everything but messages: half of what messages may take.
    ///
    /// # Errors
    /// When it does not fit.
    pub(crate) fn check_room(&self, bytes: usize) -> Result<(), Error> {
        let limit = (self.limits.memory_max_bytes / 2).max(ROOM_MIN_BYTES);
        if self.held.all.get() + bytes as u64 > limit as u64 { Err(Error::RoomLimit(limit)) } else { Ok(()) }
    }
}
