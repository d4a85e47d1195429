//! Server: virtual hosts and the sessions of peers in them; what a host drives.
//!
//! # The drive loop
//!
//! A host moves bytes and provides the time; the server does the rest:
//!
//! ```text
//!   transport opened     server.connect_amqp(peer) ──────> id
//!   bytes arrived        server.receive(id, bytes)
//!   transport closed     server.disconnected(id)
//!
//!   after each batch of these, and when the deadline comes:
//!     deadline = server.turn(now)                          what is due; deliveries
//!     while let Some(id) = server.next_output()            each session with something to write or to close
//!         write server.output(id), server.output_taken(id, n)
//!         if server.is_closed(id): close the transport, server.disconnected(id)
//!     if server.wants_turn(): again
//! ```
//!
//! One turn for a whole batch of input is what makes it fast: each session's output leaves in one write.
//!
//! # Back-pressure
//!
//! A peer that does not read gets no deliveries while its unsent output is above the limit, or while its transport is
//! [not writable](Server::set_writable); its input waits too ([`wants_input`](Server::wants_input)). So does the input of a peer
//! that publishes while the messages of all virtual hosts together take too much memory; it continues in the turn in
//! which enough of them have left.
//!
//! The embedding program is a peer without a protocol: it requests [verbs](Server::verb), and
//! [`turn`](Server::turn) puts its deliveries into its [batch](crate::embedded::Embedded::batch).
//!
//! # One door
//!
//! All of these are [inputs](Input), values that enter by [`Server::input`] alone: a [`Server`] lends what it has, its
//! [`Core`], only for reading. The same inputs, and the same answers of the host where it is asked, have the same
//! outputs, byte for byte.

mod door;
mod durability;
mod input;
mod report;
mod storage;

use std::collections::VecDeque;

use crate::access::{Access, GuestOnly};
use crate::arena::Arena;
use crate::broker::{Broker, Config, Error, Event, Matcher};
use crate::embedded::{Answer, Embedded, Verb};
use crate::id::{ConnectionId, TransportId, VirtualHostId};
use crate::protocol::{Context, Durability, Peer, Protocol, Session};
use crate::timer::{TimerKey, Timers};
use crate::virtual_host::{DEFAULT, Membership, VirtualHost, VirtualHosts};

use storage::Storage;

pub use door::Server;
pub use input::{Input, Witness};
pub use storage::{JournalSize, Restored};

/// Everything that a [`Server`] has, to be read; what changes it are inputs alone.
#[derive(Debug)]
pub struct Core {
    virtual_hosts: VirtualHosts,
    access: Box<dyn Access>,
    now_ms: u64,
    sessions: Arena<TransportId, SessionSlot>,
    /// Progress of the journal, as sessions see it.
    durability: Durability,
    agenda: Agenda,
    embedded: Embedded,
    matcher: Matcher,
    /// Only set if the server is durable.
    storage: Option<Box<dyn Storage>>,
    /// Whether the embedding program waits for a flush of everything so far.
    is_flush_wanted: bool,
    /// Whether the journal's new segment is not durable yet: until then a crash would leave the journal as it was
    /// before it was opened.
    is_opening: bool,
}

/// Sessions that have something to do, and when.
#[derive(Debug, Default)]
struct Agenda {
    /// Have something to write or to close, for their host. Each at most once.
    ready: VecDeque<TransportId>,
    /// Ticked in the next turn, as something happened to them. Each at most once.
    touched: Vec<TransportId>,
    /// Wait for memory. Each at most once.
    blocked: Vec<TransportId>,
    /// Have input that waits for deliveries. Each at most once.
    yielding: VecDeque<TransportId>,
    /// Have replies that wait for a flush. Each at most once.
    awaiting_flush: Vec<TransportId>,
    timers: Timers<TransportId>,
    /// Whether a peer keeps up again since the last turn, so that there may be deliveries to make.
    has_resumed: bool,
    /// Places where the embedding program was full; resumed in the next turn.
    full_program: Vec<Membership>,
}

/// A session, and in which lists of the [`Agenda`] it is.
#[derive(Debug)]
struct SessionSlot {
    session: Box<dyn Session>,
    /// Whether the transport takes more output.
    is_writable: bool,
    /// Whether the broker has paused it because it does not keep up.
    is_paused: bool,
    is_ready: bool,
    is_touched: bool,
    is_blocked: bool,
    is_yielding: bool,
    is_awaiting_flush: bool,
    timer: Option<TimerKey>,
}

impl Core {
    fn new(config: Config) -> Self {
        Self {
            virtual_hosts: VirtualHosts::new(config),
            access: Box::new(GuestOnly),
            now_ms: 0,
            sessions: Arena::new(),
            durability: Durability::default(),
            agenda: Agenda::default(),
            embedded: Embedded::default(),
            matcher: Matcher::default(),
            storage: None,
            is_flush_wanted: false,
            is_opening: false,
        }
    }

    /// Makes connections ask for permissions again, as they may have changed. This closes no connection.
    fn access_changed(&mut self) {
        for slot in self.sessions.values_mut() {
            slot.session.access_changed(&mut *self.access);
        }
    }

    /// Returns the virtual hosts for reading.
    #[must_use]
    pub fn virtual_hosts(&self) -> &VirtualHosts {
        &self.virtual_hosts
    }

    /// Deletes a virtual host with everything in it; its connections are asked to close. Returns whether it existed;
    /// `/` is not deleted.
    fn delete_virtual_host(&mut self, name: &str) -> bool {
        let named = self.virtual_hosts.named(name).filter(|host| host.name() != DEFAULT);
        let Some(gone) = named.map(VirtualHost::id) else { return false };
        let reason = format!("vhost '{name}' is deleted");
        for id in self.sessions.ids() {
            let membership = self.sessions.get(id).and_then(|slot| slot.session.membership());
            if membership.is_some_and(|membership| membership.virtual_host == gone) {
                self.close(id, &reason);
            }
        }
        self.virtual_hosts.remove(gone);
        self.embedded.leave(gone);
        true
    }

    /// Returns the embedding program's side, for reading.
    #[must_use]
    pub fn embedded(&self) -> &Embedded {
        &self.embedded
    }

    /// Returns the broker of `/` for reading.
    #[must_use]
    pub fn broker(&self) -> &Broker {
        self.virtual_hosts.first().broker()
    }

    /// Sets the time and does nothing else: what follows until the next [`turn`](Self::turn) counts from it.
    fn set_now(&mut self, now_ms: u64) {
        self.now_ms = self.now_ms.max(now_ms);
        self.virtual_hosts.set_now(self.now_ms);
    }

    fn connect(&mut self, protocol: Protocol, peer: &Peer) -> TransportId {
        let id = self.sessions.next_id();
        let session = (protocol.connect)(id, peer.clone(), self.virtual_hosts.limits(), self.now_ms);
        self.sessions.insert_at(
            id,
            SessionSlot {
                session,
                is_writable: true,
                is_paused: false,
                is_ready: false,
                is_touched: true,
                is_blocked: false,
                is_yielding: false,
                is_awaiting_flush: false,
                timer: None,
            },
        );
        self.agenda.touched.push(id);
        id
    }

    /// Takes input of a connection, split and joined anywhere. Input of a closed transport is ignored.
    fn receive(&mut self, id: TransportId, bytes: &[u8]) {
        self.with(id, &mut |session, context| session.receive(bytes, context));
    }

    /// Removes a connection whose transport is closed, by whichever side.
    fn disconnected(&mut self, id: TransportId) {
        self.with(id, &mut |session, context| session.disconnected(context));
        if let Some(timer) = self.sessions.remove(id).and_then(|slot| slot.timer) {
            self.agenda.timers.cancel(timer);
        }
    }

    /// Asks a peer to close (320, by the operator) and gives the reason; the next turns produce the output. Returns
    /// whether the connection exists.
    fn close(&mut self, id: TransportId, reason: &str) -> bool {
        let is_known = self.sessions.get(id).is_some();
        self.with(id, &mut |session, context| session.close(reason, context));
        is_known
    }

    /// Asks every peer to close.
    fn shutdown(&mut self) {
        for id in self.sessions.ids() {
            self.close(id, "broker forced connection closure with reason 'shutdown'");
        }
    }

    /// Sets the time, in milliseconds of a clock that never goes back, does what is due, makes deliveries, and returns
    /// when something is due next.
    fn turn(&mut self, now_ms: u64) -> Option<u64> {
        self.set_now(now_ms);
        self.agenda.has_resumed = false;
        for membership in self.agenda.full_program.drain(..) {
            if let Some(broker) = self.virtual_hosts.broker_mut(membership.virtual_host) {
                broker.resume(membership.connection);
            }
        }
        self.virtual_hosts.turn(self.now_ms);
        self.unblock();
        self.tick();
        if !self.is_opening {
            self.deliver_in_turn();
        }
        self.write();
        self.agenda.has_resumed |= self.agenda.blocked.iter().any(|&id| self.may_go_on(id));
        let storage_ms = self.storage.as_ref().and_then(|storage| storage.deadline_ms());
        let deadlines = [self.virtual_hosts.deadline_ms(), self.agenda.timers.deadline(), storage_ms];
        deadlines.into_iter().flatten().min()
    }

    /// Makes deliveries; then connections that have waited for that continue, each until it has to wait again.
    fn deliver_in_turn(&mut self) {
        self.deliver(None);
        let has_waited = !self.agenda.yielding.is_empty();
        while let Some(id) = self.agenda.yielding.pop_front() {
            let Some(slot) = self.sessions.get_mut(id) else { continue };
            slot.is_yielding = false;
            let membership = slot.session.membership();
            self.with(id, &mut |session, context| session.advance(context));
            if let Some(membership) = membership {
                self.deliver(Some(membership.virtual_host));
            }
        }
        if has_waited {
            self.tick();
        }
    }

    /// Does what the embedding program or the operator requests; as peers' methods do, some verbs come after the
    /// deliveries that are due.
    #[inline(always)]
    fn verb(&mut self, verb: &Verb<'_>) -> Result<Answer, Error> {
        if verb.follows_deliveries() && !self.is_opening {
            self.deliver(self.embedded.virtual_host());
        }
        self.embedded.apply(&mut self.virtual_hosts, verb)
    }

    /// Lets connections continue that waited for memory which is free now.
    fn unblock(&mut self) {
        for id in std::mem::take(&mut self.agenda.blocked) {
            if !self.may_go_on(id) {
                self.agenda.blocked.push(id);
            } else if let Some(slot) = self.sessions.get_mut(id) {
                slot.is_blocked = false;
                self.with(id, &mut |session, context| session.unblock(context));
            }
        }
    }

    /// Returns whether a connection need not wait for memory any more. It does not wait for memory that no message can
    /// free.
    fn may_go_on(&self, id: TransportId) -> bool {
        let blocked_until = self.sessions.get(id).and_then(|slot| slot.session.state().blocked_until);
        blocked_until
            .is_none_or(|bytes| self.virtual_hosts.memory_bytes() < bytes || !self.virtual_hosts.holds_messages())
    }

    /// Ticks the connections whose deadline has come, or to which something happened.
    fn tick(&mut self) {
        while let Some(id) = self.agenda.timers.pop_due(self.now_ms) {
            self.touch(id);
        }
        let mut touched = std::mem::take(&mut self.agenda.touched);
        for id in touched.drain(..) {
            let mut deadline_ms = None;
            self.with(id, &mut |session, context| deadline_ms = session.tick(context));
            let Some(slot) = self.sessions.get_mut(id) else { continue };
            let timers = &mut self.agenda.timers;
            if let Some(earlier) = slot.timer.take() {
                timers.cancel(earlier);
            }
            slot.timer = deadline_ms.map(|deadline_ms| timers.insert(deadline_ms, id));
            slot.is_touched = false;
        }
        self.agenda.touched = touched;
    }

    fn touch(&mut self, id: TransportId) {
        let Some(slot) = self.sessions.get_mut(id) else { return };
        if !std::mem::replace(&mut slot.is_touched, true) {
            self.agenda.touched.push(id);
        }
    }

    /// Makes deliveries in all virtual hosts, or in one.
    fn deliver(&mut self, only: Option<VirtualHostId>) {
        for host in self.virtual_hosts.iter_mut().filter(|host| only.is_none_or(|only| only == host.id)) {
            let virtual_host = host.id;
            let limit_bytes = host.broker.limits().output_high_bytes;
            while let Some(event) = host.broker.poll() {
                let connection = match &event {
                    Event::Delivery(delivery) => delivery.connection,
                    Event::Cancelled { connection, .. } | Event::AckTimedOut { connection, .. } => *connection,
                };
                let slot = host
                    .members
                    .get(connection)
                    .and_then(|member| Some((member.transport, self.sessions.get_mut(member.transport)?)));
                let Some((id, slot)) = slot else {
                    match event {
                        Event::Delivery(delivery) => self.embedded.deliver(virtual_host, &delivery),
                        Event::Cancelled { consumer_tag, .. } => self.embedded.cancelled(virtual_host, &consumer_tag),
                        // The embedding program has its own deadlines, so it may take its time.
                        Event::AckTimedOut { .. } => {}
                    }
                    if self.embedded.is_full(limit_bytes) {
                        host.broker.pause(connection);
                        self.agenda.full_program.push(Membership { virtual_host, connection });
                    }
                    continue;
                };
                match event {
                    Event::Delivery(delivery) => slot.session.deliver(&delivery),
                    Event::Cancelled { channel, consumer_tag, .. } => slot.session.cancelled(channel, &consumer_tag),
                    Event::AckTimedOut { channel, timeout_ms, .. } => {
                        slot.session.ack_timed_out(channel, timeout_ms, host, self.durability);
                    }
                }
                if let Some(member) = slot.update(id, &mut self.agenda) {
                    slot.pause_or_resume(&mut host.broker, member.connection);
                }
            }
        }
    }

    /// Returns whether another turn is due as soon as the output is written, as deliveries were held back until then.
    #[must_use]
    pub fn wants_turn(&self) -> bool {
        let has_input = !self.is_opening && !self.agenda.yielding.is_empty();
        let has_to_clean = || self.storage.as_ref().is_some_and(|storage| storage.has_to_clean());
        has_input || self.agenda.has_resumed || !self.agenda.full_program.is_empty() || has_to_clean()
    }

    /// Returns the next connection with something to write or to close.
    fn next_output(&mut self) -> Option<TransportId> {
        while let Some(id) = self.agenda.ready.pop_front() {
            if let Some(slot) = self.sessions.get_mut(id) {
                slot.is_ready = false;
                return Some(id);
            }
        }
        None
    }

    /// Returns the output of a connection.
    #[must_use]
    pub fn output(&self, id: TransportId) -> &[u8] {
        self.sessions.get(id).map_or(&[], |slot| slot.session.output())
    }

    /// Removes output that was passed to the transport, and continues whatever waited for that.
    fn output_taken(&mut self, id: TransportId, bytes: usize) {
        self.with(id, &mut |session, context| session.output_taken(bytes, context));
    }

    /// Returns whether the transport is to be closed, once the rest of the output is written.
    #[must_use]
    pub fn is_closed(&self, id: TransportId) -> bool {
        self.sessions.get(id).is_none_or(|slot| slot.session.state().is_closed)
    }

    /// Returns whether the host should read from the transport. This may change in any turn.
    #[must_use]
    pub fn wants_input(&self, id: TransportId) -> bool {
        self.sessions.get(id).is_some_and(|slot| slot.session.state().wants_input)
    }

    /// Stops deliveries to a peer while its transport takes no more output, or resumes them.
    fn set_writable(&mut self, id: TransportId, is_writable: bool) {
        if let Some(slot) = self.sessions.get_mut(id) {
            slot.is_writable = is_writable;
        }
        self.with(id, &mut |_, _| ());
    }

    /// Calls `act` with a session, if it still exists. It is not generic, as each copy would add to the size.
    fn with(&mut self, id: TransportId, act: &mut dyn FnMut(&mut dyn Session, &mut Context<'_>)) {
        let Some(slot) = self.sessions.get_mut(id) else { return };
        let Self { virtual_hosts, access, now_ms, durability, agenda, .. } = self;
        let (now_ms, durability) = (*now_ms, *durability);
        let context = &mut Context { virtual_hosts, access: &mut **access, now_ms, durability };
        act(&mut *slot.session, context);
        if let Some(member) = slot.update(id, agenda) {
            slot.pause_or_resume(virtual_hosts.broker_of(member), member.connection);
        }
        self.touch(id);
    }
}

impl SessionSlot {
    /// Updates the agenda after anything that a session did. Returns its membership if its deliveries are now to be
    /// [paused or resumed](Self::pause_or_resume).
    fn update(&mut self, id: TransportId, agenda: &mut Agenda) -> Option<Membership> {
        let state = self.session.state();
        if (state.has_output || state.is_closed) && !std::mem::replace(&mut self.is_ready, true) {
            agenda.ready.push_back(id);
        }
        if state.awaits_deliveries && !std::mem::replace(&mut self.is_yielding, true) {
            agenda.yielding.push_back(id);
        }
        if state.blocked_until.is_some() && !std::mem::replace(&mut self.is_blocked, true) {
            agenda.blocked.push(id);
        }
        if state.awaits_flush && !std::mem::replace(&mut self.is_awaiting_flush, true) {
            agenda.awaiting_flush.push(id);
        }
        let is_paused = !self.is_writable || state.is_behind;
        let member = (is_paused != self.is_paused).then(|| self.session.membership()).flatten()?;
        self.is_paused = is_paused;
        agenda.has_resumed |= !is_paused;
        Some(member)
    }

    fn pause_or_resume(&self, broker: &mut Broker, connection: ConnectionId) {
        if self.is_paused {
            broker.pause(connection);
        } else {
            broker.resume(connection);
        }
    }
}
