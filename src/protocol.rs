//! Protocol: the ways in which peers talk to the broker over a stream of bytes.
//!
//! Each protocol is a [`Session`], made for a new transport by the one function that its module exports. The server
//! knows nothing else of a protocol, so a program that never calls this function does not contain the protocol.

pub mod amqp;

use std::fmt;

use crate::access::{Access, Limited};
use crate::broker::Delivery;
use crate::id::TransportId;
use crate::limits::Limits;
use crate::table::Table;
use crate::virtual_host::{Membership, VirtualHost, VirtualHosts};

/// One peer's side of a conversation: bytes in, bytes out.
///
/// It is called with input ([`receive`](Self::receive)), with deliveries for its consumers, and at its deadline
/// ([`tick`](Self::tick)). After each call its [`state`](Self::state) tells the server what to do for it.
pub trait Session {
    /// Takes input, split and joined anywhere. What cannot be handled now is kept for later.
    fn receive(&mut self, bytes: &[u8], context: &mut Context<'_>);

    /// Continues with kept input.
    fn advance(&mut self, context: &mut Context<'_>);

    /// Does what is due and returns when it wants to be called again.
    fn tick(&mut self, context: &mut Context<'_>) -> Option<u64>;

    /// Returns what the server has to do for it.
    fn state(&self) -> SessionState;

    /// Returns the bytes to be written to the transport.
    fn output(&self) -> &[u8];

    /// Removes written bytes from the output, and continues whatever waited for that.
    ///
    /// # Panics
    /// When there are fewer bytes.
    fn output_taken(&mut self, bytes: usize, context: &mut Context<'_>);

    /// Sends a message to one of the peer's consumers.
    fn deliver(&mut self, delivery: &Delivery<'_>);

    /// Notifies the peer that a consumer was cancelled because its queue was deleted, if it wants to know.
    fn cancelled(&mut self, channel: u16, consumer_tag: &str);

    /// Closes a channel whose consumer has not acked in time. `host` is the virtual host that it is in.
    fn ack_timed_out(&mut self, channel: u16, timeout_ms: u64, host: &mut VirtualHost, durability: Durability);

    /// Sends replies that waited for writes up to this one, which are durable.
    fn flushed(&mut self, durable_write: u64);

    /// Fails all replies that wait to become durable, as they would wait forever.
    fn journal_failed(&mut self, reason: &str, context: &mut Context<'_>);

    /// Continues, as there is memory again.
    fn unblock(&mut self, context: &mut Context<'_>);

    /// Asks for permissions again, as they may have changed.
    fn access_changed(&mut self, access: &mut dyn Access);

    /// Asks the peer to close, at the operator's request, for this reason.
    fn close(&mut self, reason: &str, context: &mut Context<'_>);

    /// Releases everything that the broker has for this peer, as the transport is closed. Further calls do nothing.
    fn disconnected(&mut self, context: &mut Context<'_>);

    /// Returns its membership of a virtual host, while it has one.
    fn membership(&self) -> Option<Membership>;

    /// Returns the origin of the peer.
    fn peer(&self) -> &Peer;

    /// Returns the user; empty before the login.
    fn user(&self) -> &str;

    /// Returns whether messages that are published on this channel are confirmed.
    fn is_confirming(&self, channel: u16) -> bool;

    /// Returns its state in the terms of RabbitMQ's management API.
    fn report(&self) -> Table;
}

impl fmt::Debug for dyn Session + '_ {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Session")
    }
}

/// The state of a session that its server acts on.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionState {
    /// Whether there are bytes to be written to the transport.
    pub has_output: bool,
    /// Whether the transport is to be closed, once the output is written.
    pub is_closed: bool,
    /// Whether the peer does not read its output as fast as it is produced, or too much output waits to become durable.
    pub is_behind: bool,
    /// Whether more input is accepted: not while the peer is behind or blocked.
    pub wants_input: bool,
    /// Whether its input waits until no deliveries are due any more in its virtual host.
    pub awaits_deliveries: bool,
    /// Whether replies wait to become durable.
    pub awaits_flush: bool,
    /// Use of memory below which it continues, if it is blocked now.
    pub blocked_until: Option<usize>,
}

/// A protocol: its name, and what makes a session of it for a new transport, at a time.
#[derive(Clone, Copy, Debug)]
pub struct Protocol {
    /// Its name.
    pub name: &'static str,
    /// Makes a session.
    pub connect: fn(TransportId, Peer, &Limits, now_ms: u64) -> Box<dyn Session>,
}

/// Origin of a session, as its host knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Whether the peer is on this machine, or in this page.
    pub loopback: bool,
    /// Name of the connection in reports.
    pub name: Box<str>,
    /// Address of the peer.
    pub host: Box<str>,
    /// Port of the peer.
    pub port: u16,
    /// Whether the transport is encrypted.
    pub tls: bool,
    /// Name in the certificate by which the transport has authenticated the peer.
    pub certificate_name: Option<Box<str>>,
    /// SASL mechanisms that it may use, separated by spaces; PLAIN and AMQPLAIN if not given.
    pub mechanisms: Option<Box<str>>,
}

/// Everything that a session needs to act.
#[derive(Debug)]
pub struct Context<'a> {
    /// The virtual hosts.
    pub virtual_hosts: &'a mut VirtualHosts,
    /// Decides about users and permissions.
    pub access: &'a mut dyn Access,
    /// Present time.
    pub now_ms: u64,
    /// Progress of the journal.
    pub durability: Durability,
}

impl Context<'_> {
    /// Returns the limit if a user has reached it.
    fn limit_reached(&mut self, user: &str, limited: Limited) -> Option<usize> {
        let limit = self.access.limit(user, limited)?;
        let (connections, channels) = self.virtual_hosts.usage_of(user);
        let used = if limited == Limited::Channels { channels } else { connections };
        (used >= limit).then_some(limit)
    }
}

/// Progress of the journal. Without a journal nothing is awaited, and all fields keep their defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Durability {
    /// Number of the write that will contain the facts of now.
    pub next_write: u64,
    /// All writes up to this one are durable. Sessions that [wait](SessionState::awaits_flush) are
    /// [notified](Session::flushed) as soon as it has risen.
    pub durable_write: u64,
    /// Whether no further write will ever be durable.
    pub has_failed: bool,
}
