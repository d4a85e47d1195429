//! Server: a broker and the AMQP connections to it; what a host drives.
//!
//! # The drive loop
//!
//! A host moves bytes and tells the time; the server does the rest:
//!
//! ```text
//!   transport opened     server.connect(peer) ───────────> id
//!   bytes arrived        server.receive(id, bytes)
//!   transport closed     server.disconnected(id)
//!
//!   after each batch of these, and when the deadline comes:
//!     deadline = server.turn(now)                          what is due; deliveries
//!     while let Some(id) = server.next_output()            each connection that has something to do
//!         write server.output(id), server.output_taken(id, n)
//!         if server.is_closed(id): close the transport, server.disconnected(id)
//!     if server.wants_turn(): again
//! ```
//!
//! One turn for a whole batch of input is what makes it fast: what a connection has to say leaves in one write.
//!
//! # Back-pressure
//!
//! A peer that does not read gets no deliveries once its unsent output is above the limit, or while its host
//! [holds](Server::hold) it; its input waits too ([`wants_input`](Server::wants_input)).
//!
//! The embedding program is a peer without a protocol: it calls the [`broker`](Server::broker_mut)'s verbs on
//! channels of its own, and [`turn`](Server::turn) hands it the deliveries of those.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::FixedState;

use crate::broker::{Broker, Config, Delivery, Event};
use crate::id::ConnectionId;
use crate::protocol::amqp::{Connection, Peer};
use crate::timer::{TimerKey, Timers};

/// A broker with its connections. See the [module](self) for how to drive it.
#[derive(Debug)]
pub struct Server {
    broker: Broker,
    now_ms: u64,
    /// Not an arena: a transport may outlive what the broker held for it, and then its place there is somebody else's.
    connections: HashMap<ConnectionId, Box<Held>, FixedState>,
    agenda: Agenda,
}

/// Which connections have something to do, and when.
#[derive(Debug, Default)]
struct Agenda {
    /// For their host: something to write or to close. Each at most once.
    ready: VecDeque<ConnectionId>,
    /// To be ticked in the next turn, as something happened to them. Each at most once.
    touched: Vec<ConnectionId>,
    timers: Timers<ConnectionId>,
    /// Somebody keeps up again since the last turn: there may be deliveries to make.
    has_resumed: bool,
    /// The embedding program, once it was full; it is resumed in the next turn.
    full_embedder: Option<ConnectionId>,
}

#[derive(Debug)]
struct Held {
    connection: Connection,
    /// The transport is full.
    is_held: bool,
    is_paused: bool,
    is_ready: bool,
    is_touched: bool,
    timer: Option<TimerKey>,
}

/// What the embedding program is told by [`Server::turn`].
pub trait Embedder {
    /// A delivery to one of its consumers.
    fn deliver(&mut self, delivery: &Delivery<'_>);
    /// A consumer of it has ended, as its queue has gone.
    fn cancelled(&mut self, consumer_tag: &str);
    /// Whether it wants no more deliveries in this turn.
    fn is_full(&self, limit_bytes: usize) -> bool;
}

/// An embedding program that has no consumers.
impl Embedder for () {
    fn deliver(&mut self, _: &Delivery<'_>) {}
    fn cancelled(&mut self, _: &str) {}
    fn is_full(&self, _: usize) -> bool {
        false
    }
}

impl Server {
    /// A server without connections.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { broker: Broker::new(config), now_ms: 0, connections: HashMap::default(), agenda: Agenda::default() }
    }

    /// The broker, to look at.
    #[must_use]
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// The broker, for the embedding program's own verbs. A [`turn`](Self::turn) has to follow.
    pub fn broker_mut(&mut self) -> &mut Broker {
        &mut self.broker
    }

    /// Tells the time and does nothing else: what follows until the next [`turn`](Self::turn) reckons from it.
    pub fn set_now(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        self.broker.set_now(self.now_ms);
    }

    /// A transport was opened.
    pub fn connect(&mut self, peer: Peer) -> ConnectionId {
        let id = self.broker.open_connection();
        let connection = Connection::new(id, peer, self.broker.limits(), self.now_ms);
        let (is_held, is_paused, is_ready) = (false, false, false);
        let held = Held { connection, is_held, is_paused, is_ready, is_touched: true, timer: None };
        self.connections.insert(id, Box::new(held));
        self.agenda.touched.push(id);
        id
    }

    /// Bytes arrived; split and joined anywhere. Those of a transport that was closed already are ignored.
    pub fn receive(&mut self, id: ConnectionId, bytes: &[u8]) {
        self.with(id, |connection, now_ms, broker| connection.receive(bytes, now_ms, broker));
    }

    /// The transport is gone, whoever closed it.
    pub fn disconnected(&mut self, id: ConnectionId) {
        let Some(mut held) = self.connections.remove(&id) else { return };
        held.connection.disconnected(&mut self.broker);
        if let Some(timer) = held.timer {
            self.agenda.timers.cancel(timer);
        }
    }

    /// Asks every peer to close (320, the operator's doing); the next turns give what is to be written.
    pub fn shutdown(&mut self) {
        let mut ids: Vec<_> = self.connections.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.with(id, |connection, now_ms, broker| connection.shutdown(now_ms, broker));
        }
    }

    /// Tells the time, in milliseconds of a clock that never goes back, does what is due, makes deliveries, and
    /// answers when there will be something due next.
    pub fn turn(&mut self, now_ms: u64, embedder: &mut impl Embedder) -> Option<u64> {
        self.set_now(now_ms);
        self.agenda.has_resumed = false;
        if let Some(id) = self.agenda.full_embedder.take() {
            self.broker.resume(id);
        }
        let broker_deadline = self.broker.turn(self.now_ms);
        self.tick();
        self.deliver(embedder);
        broker_deadline.into_iter().chain(self.agenda.timers.deadline()).min()
    }

    /// Lets those connections look at the clock whose time has come, or to which something happened.
    fn tick(&mut self) {
        while let Some(id) = self.agenda.timers.pop_due(self.now_ms) {
            self.touch(id);
        }
        let mut touched = std::mem::take(&mut self.agenda.touched);
        for id in touched.drain(..) {
            let Some(held) = self.connections.get_mut(&id) else { continue };
            let deadline_ms = held.connection.tick(self.now_ms, &mut self.broker);
            let timers = &mut self.agenda.timers;
            if let Some(earlier) = held.timer.take() {
                timers.cancel(earlier);
            }
            held.timer = deadline_ms.map(|deadline_ms| timers.insert(deadline_ms, id));
            held.is_touched = false;
            held.settle(id, &mut self.broker, &mut self.agenda);
        }
        self.agenda.touched = touched;
    }

    fn touch(&mut self, id: ConnectionId) {
        let Some(held) = self.connections.get_mut(&id) else { return };
        if !std::mem::replace(&mut held.is_touched, true) {
            self.agenda.touched.push(id);
        }
    }

    fn deliver(&mut self, embedder: &mut impl Embedder) {
        while let Some(event) = self.broker.poll() {
            let id = match &event {
                Event::Delivery(delivery) => delivery.connection,
                Event::Cancelled { connection, .. } | Event::AckTimedOut { connection, .. } => *connection,
            };
            let Some(held) = self.connections.get_mut(&id) else {
                match event {
                    Event::Delivery(delivery) => embedder.deliver(&delivery),
                    Event::Cancelled { consumer_tag, .. } => embedder.cancelled(&consumer_tag),
                    Event::AckTimedOut { .. } => {}
                }
                if embedder.is_full(self.broker.limits().output_high_bytes) {
                    self.broker.pause(id);
                    self.agenda.full_embedder = Some(id);
                }
                continue;
            };
            match event {
                Event::Delivery(delivery) => held.connection.deliver(&delivery),
                Event::Cancelled { channel, consumer_tag, .. } => held.connection.cancelled(channel, &consumer_tag),
                Event::AckTimedOut { .. } => {}
            }
            held.settle(id, &mut self.broker, &mut self.agenda);
        }
    }

    /// Whether another turn is due as soon as the output is written, as deliveries were held back until then.
    #[must_use]
    pub fn wants_turn(&self) -> bool {
        self.agenda.has_resumed || self.agenda.full_embedder.is_some()
    }

    /// The next connection with something to write or to close.
    pub fn next_output(&mut self) -> Option<ConnectionId> {
        while let Some(id) = self.agenda.ready.pop_front() {
            if let Some(held) = self.connections.get_mut(&id) {
                held.is_ready = false;
                return Some(id);
            }
        }
        None
    }

    /// What a connection has to write.
    #[must_use]
    pub fn output(&self, id: ConnectionId) -> &[u8] {
        self.connections.get(&id).map_or(&[], |held| held.connection.output())
    }

    /// So many bytes of it are with the transport. What waited for that goes on.
    pub fn output_taken(&mut self, id: ConnectionId, bytes: usize) {
        self.with(id, |connection, now_ms, broker| {
            connection.output_taken(bytes);
            connection.advance(now_ms, broker);
        });
    }

    /// Whether the transport is to be closed, once what is left of the output is written.
    #[must_use]
    pub fn is_closed(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_none_or(|held| held.connection.is_closed())
    }

    /// Whether the host should go on reading from the transport.
    #[must_use]
    pub fn wants_input(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(|held| held.connection.wants_input())
    }

    /// The transport is full, or no longer so: meanwhile no deliveries are made to this peer.
    pub fn hold(&mut self, id: ConnectionId, is_held: bool) {
        let Some(held) = self.connections.get_mut(&id) else { return };
        held.is_held = is_held;
        held.settle(id, &mut self.broker, &mut self.agenda);
    }

    /// Lets a connection do something, if it is still there.
    fn with(&mut self, id: ConnectionId, act: impl FnOnce(&mut Connection, u64, &mut Broker)) {
        let Some(held) = self.connections.get_mut(&id) else { return };
        act(&mut held.connection, self.now_ms, &mut self.broker);
        held.settle(id, &mut self.broker, &mut self.agenda);
        self.touch(id);
    }
}

impl Held {
    /// After whatever the connection did: the broker learns whether it keeps up, the host that there is something
    /// to do.
    fn settle(&mut self, id: ConnectionId, broker: &mut Broker, agenda: &mut Agenda) {
        let pending_bytes = self.connection.output().len();
        let is_paused = self.is_held || pending_bytes > broker.limits().output_high_bytes;
        if is_paused != std::mem::replace(&mut self.is_paused, is_paused) {
            if is_paused {
                broker.pause(id)
            } else {
                broker.resume(id)
            }
            agenda.has_resumed |= !is_paused;
        }
        if (pending_bytes > 0 || self.connection.is_closed()) && !self.is_ready {
            self.is_ready = true;
            agenda.ready.push_back(id);
        }
    }
}
