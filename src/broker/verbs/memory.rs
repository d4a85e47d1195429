//! Memory: how much of it messages and everything else use, and may use.

use std::cell::Cell;
use std::rc::Rc;

use super::Broker;
use crate::broker::model::error::Error;
use crate::broker::model::exchange::Exchange;
use crate::broker::model::room::{CHANNEL_BYTES, CONNECTION_BYTES, of_binding, of_consumer, of_exchange};
use crate::id::ConnectionId;
use crate::table::Table;

/// Minimum for everything but messages, however low the memory limit for messages is.
const ROOM_MIN_BYTES: usize = 1 << 20;

impl Broker {
    /// Reserves memory for content that is being received, so that all peers together stay within the limit.
    ///
    /// # Errors
    /// When that would exceed the limit.
    pub fn reserve(&mut self, bytes: usize) -> Result<(), Error> {
        self.check_memory(bytes)?;
        self.reserved_bytes += bytes;
        Ok(())
    }

    /// Releases reserved memory.
    ///
    /// # Panics
    /// When it is more than was reserved.
    pub fn release(&mut self, bytes: usize) {
        self.reserved_bytes = self.reserved_bytes.checked_sub(bytes).expect("no more is released than was reserved");
    }

    /// Returns the memory used by messages, content that is being received, and the numbers of publishers.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.state.memory_bytes() + self.reserved_bytes + self.state.publishers().memory_bytes()
    }

    /// Updates this virtual host's share in the sum over all virtual hosts, and returns that sum.
    pub(crate) fn measure_memory(&mut self) -> u64 {
        self.memory.set(self.memory_bytes());
        self.memory.all()
    }

    pub(crate) fn check_memory(&mut self, more_bytes: usize) -> Result<(), Error> {
        if self.measure_memory() + more_bytes as u64 > self.limits.memory_max_bytes as u64 {
            return Err(Error::MemoryLimit(self.limits.memory_max_bytes));
        }
        Ok(())
    }

    /// Returns the memory used by everything but messages in this virtual host.
    #[must_use]
    pub fn structure_bytes(&self) -> u64 {
        self.state.room().own() + self.sessions.own()
    }

    /// Returns the same as [`structure_bytes`](Self::structure_bytes), counted anew.
    #[must_use]
    pub fn recounted_structure_bytes(&self) -> u64 {
        let bindings = |exchange: &Exchange| -> usize {
            let of = |(to, key, arguments): (&_, &_, Table)| of_binding(exchange.routing(), to, key, &arguments);
            exchange.bindings().map(of).sum()
        };
        let exchanges = self.state.exchanges().map(|(name, exchange)| {
            let names = name.len() * exchange.bindings().count();
            of_exchange(name, &exchange.arguments) + names + bindings(exchange)
        });
        let queues = self.state.queues().map(|(_, queue)| queue.room());
        let consumers = self.consumers.ids().into_iter().filter_map(|id| self.consumers.get(id));
        let consumers = consumers.map(|consumer| of_consumer(&consumer.tag, &consumer.arguments));
        let connections = self.connections.ids().into_iter().filter_map(|id| self.connections.get(id));
        let connections = connections.map(|connection| CONNECTION_BYTES + connection.extra_bytes);
        let parts = exchanges.chain(queues).chain(consumers).chain(connections);
        (parts.sum::<usize>() + self.channels.len() * CHANNEL_BYTES + self.state.policies().room()) as u64
    }

    /// Counts memory that the protocol uses for a connection beyond the usual.
    pub(crate) fn count_for(&mut self, connection: ConnectionId, bytes: usize) {
        if let Some(known) = self.connections.get_mut(connection) {
            known.extra_bytes += bytes;
            self.sessions.add(bytes);
        }
    }

    /// Shares two limits with other brokers: one on messages, and one on everything else.
    pub(crate) fn share_limits(&mut self, memory: &Rc<Cell<u64>>, room: &Rc<Cell<u64>>) {
        self.memory.join(memory);
        self.state.room_mut().join(room);
        self.sessions.join(room);
    }

    /// Refuses what would exceed the memory for everything but messages, which is half of that for messages.
    ///
    /// # Errors
    /// When it does not fit.
    pub(crate) fn check_room(&self, bytes: usize) -> Result<(), Error> {
        let limit = (self.limits.memory_max_bytes / 2).max(ROOM_MIN_BYTES);
        if self.sessions.all() + bytes as u64 > limit as u64 { Err(Error::RoomLimit(limit)) } else { Ok(()) }
    }
}
