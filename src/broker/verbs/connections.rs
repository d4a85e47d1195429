//! Connections: peers come and go, with their channels, and may be slow.

use super::Broker;
use crate::broker::model::room::{CHANNEL_BYTES, CONNECTION_BYTES};
use crate::broker::session::channel::{Channel, Connection};
use crate::broker::session::event::Notice;
use crate::id::{ChannelId, ConnectionId};

impl Broker {
    /// Opens a connection for a new peer.
    pub fn open_connection(&mut self) -> ConnectionId {
        self.sessions.add(CONNECTION_BYTES);
        self.connections.insert(Connection::default())
    }

    /// Returns how many channels a connection has open.
    pub(crate) fn channel_count(&self, connection: ConnectionId) -> usize {
        self.connections.get(connection).map_or(0, |connection| connection.channels.len())
    }

    /// Closes a connection: its channels close and its exclusive queues are deleted.
    pub fn close_connection(&mut self, connection: ConnectionId) {
        let Some(gone) = self.connections.remove(connection) else { return };
        self.sessions.take_off(CONNECTION_BYTES + gone.extra_bytes);
        for channel in gone.channels {
            self.close_channel(channel);
        }
        for queue in gone.exclusive_queues {
            self.remove_queue(queue);
        }
    }

    /// Stops deliveries to a peer that does not keep up, until it is resumed.
    pub fn pause(&mut self, connection: ConnectionId) {
        self.set_paused(connection, true);
    }

    /// Resumes deliveries.
    pub fn resume(&mut self, connection: ConnectionId) {
        self.set_paused(connection, false);
    }

    fn set_paused(&mut self, connection: ConnectionId, paused: bool) {
        let Some(known) = self.connections.get_mut(connection) else { return };
        if known.paused == paused {
            return;
        }
        known.paused = paused;
        for id in known.channels.clone() {
            self.channel_mut(id).paused = paused;
            self.offer_channel(id);
        }
    }

    /// Opens a channel; `number` is the peer's number for it, and its deliveries carry it.
    ///
    /// # Panics
    /// When the connection is not open.
    pub fn open_channel(&mut self, connection: ConnectionId, number: u16) -> ChannelId {
        let owner = self.connections.get_mut(connection).expect("a channel is opened on an open connection");
        let id = self.channels.insert(Channel::new(connection, number, owner.paused));
        self.sessions.add(CHANNEL_BYTES);
        owner.channels.push(id);
        id
    }

    /// Closes a channel: its consumers are cancelled, its unacked messages are ready again, and auto-delete queues that
    /// lost their last consumer are deleted. Closing it again does nothing.
    pub fn close_channel(&mut self, channel: ChannelId) {
        let Some(mut gone) = self.channels.remove(channel) else { return };
        self.sessions.take_off(CHANNEL_BYTES);
        if let Some(connection) = self.connections.get_mut(gone.connection) {
            connection.channels.retain(|&known| known != channel);
        }
        self.notices.retain(|notice| {
            let (Notice::Cancelled(connection, number, _) | Notice::AckTimedOut(connection, number, _)) = notice;
            (*connection, *number) != (gone.connection, gone.number)
        });
        if let Some(transaction) = gone.transaction.take() {
            transaction.published.iter().for_each(|(message, _)| self.release(message.placed_bytes()));
            transaction.settled.into_iter().for_each(|(tag, outstanding, _)| gone.unacked.insert(tag, outstanding));
        }
        let mut left = Vec::new();
        for consumer in gone.consumer_ids() {
            left.extend(self.detach(consumer));
        }
        while let Some((_, outstanding)) = gone.unacked.pop_last() {
            self.requeue(&outstanding);
        }
        for queue in left {
            self.delete_if_abandoned(queue);
        }
        self.tend_changed();
    }
}
