//! Input: everything that changes a server, as values.

use std::fmt::Debug;

use super::Core;
use crate::access::Access;
use crate::broker::{Error, Matcher};
use crate::embedded::{Answer, Verb};
use crate::id::TransportId;
use crate::protocol::{Peer, Protocol};

/// Something that happened to a server. Its methods of the same names say what comes of it.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// The time has come, and nothing else is done.
    SetNow {
        /// The time.
        now_ms: u64,
    },
    /// The host has time for a turn.
    Turn {
        /// The time.
        now_ms: u64,
    },
    /// A transport was opened.
    Connect {
        /// The protocol that is spoken on it.
        protocol: Protocol,
        /// The peer at its other end.
        peer: &'a Peer,
    },
    /// Bytes have arrived.
    Receive {
        /// Their transport.
        id: TransportId,
        /// The bytes.
        bytes: &'a [u8],
    },
    /// A transport was closed.
    Disconnected {
        /// The transport.
        id: TransportId,
    },
    /// A transport is full, or takes output again.
    SetWritable {
        /// The transport.
        id: TransportId,
        /// Whether it takes output.
        is_writable: bool,
    },
    /// The host asks which connection has something to write.
    NextOutput,
    /// The host has passed output to the transport.
    OutputTaken {
        /// The transport.
        id: TransportId,
        /// How much of the output.
        bytes: usize,
    },
    /// The operator closes a connection.
    Close {
        /// Its transport.
        id: TransportId,
        /// The reason that the peer is given.
        reason: &'a str,
    },
    /// The operator closes all connections.
    Shutdown,
    /// Permissions may have changed.
    AccessChanged,
    /// The host has set the function that matches patterns.
    MatcherChanged,
    /// The operator adds a virtual host.
    AddVirtualHost {
        /// Its name.
        name: &'a str,
    },
    /// The operator deletes a virtual host.
    DeleteVirtualHost {
        /// Its name.
        name: &'a str,
    },
    /// The operator limits a virtual host.
    LimitVirtualHost {
        /// Its name.
        name: &'a str,
        /// Maximum number of connections; `None` is unlimited.
        connections: Option<usize>,
        /// Maximum number of queues; `None` is unlimited.
        queues: Option<usize>,
        /// Whether durable queues without an explicit type are quorum queues.
        prefers_quorum: bool,
    },
    /// The embedding program or the operator requests something of a broker.
    Verb(Verb<'a>),
    /// The host begins to flush its store.
    StartFlush,
    /// The host has flushed its store.
    Flushed {
        /// The mark of the flush.
        mark: u64,
    },
    /// The store has failed.
    StoreFailed {
        /// Why, in a sentence.
        reason: &'a str,
    },
    /// The embedding program wants to know when everything so far is durable.
    CurrentWrite,
    /// The host ends the journal.
    CloseJournal,
}

/// Sees everything that passes between a host and its server.
pub trait Witness: Debug {
    /// Passes an input on, and notes it and the answer.
    fn pass(&mut self, core: &mut Core, input: &Input<'_>) -> Result<Answer, Error>;

    /// Makes an [`Access`] whose answers are noted, too.
    fn access(&self, access: Box<dyn Access>) -> Box<dyn Access>;

    /// Makes a matcher whose answers are noted, too.
    fn matcher(&self, matcher: Matcher) -> Matcher;
}
