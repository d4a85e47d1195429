//! AMQP 0-9-1: one peer's connection; bytes in, bytes out.
//!
//! ```text
//!   protocol header     start-ok          tune-ok          open
//!  Greeting ----> Starting ----> Tuning ----> Opening ----> Open
//!      |             |               \          |          /   |
//!      | another     | refused login  \         | refused /    | close from the peer:
//!      | header:     | of a client     v        v        v     | close-ok
//!      | ours        | that did not      Closing: we sent      |
//!      |             | ask to be told    close, await close-ok |
//!      |             |                      |                  |
//!      v             v                      v time-out         v
//!      +-------------+----------------> Closed <---------------+
//! ```
//! A fault of the peer closes its channel or its connection, depending on the [reply code](reply). After that
//! everything but `close` and `close-ok` is ignored there, as the peer sent it before it knew. A stream whose frames
//! cannot be told apart any more is not read any further.
//!
//! It knows the time only from its caller, users only through [`Access`], and the broker only through its verbs. It is
//! in a broker from `connection.open` on, and leaves it exactly once: when it begins to close or its transport is
//! closed.
//!
//! While memory is low, a connection that publishes is *blocked*: the message that it wants to publish and all that
//! follows stay in the input.
//!
//! An answer that confirms something may be taken to mean that it is durable: answers are [held back](barrier) until it
//! is.

mod barrier;
mod buffer;
mod channel;
mod channels;
mod closing;
mod frame;
mod handshake;
mod heartbeat;

mod method;
mod opening;
mod reply;
mod report;
mod sasl;

use std::fmt;

use barrier::Held;
use buffer::Buffer;
use channels::Channels;
use frame::{Frame, Kind, Outlet};
use handshake::{Agreement, Capabilities, FIRST_FRAME_MAX};
use heartbeat::Heartbeat;
use method::{BasicCancel, BasicDeliver, ConnectionBlocked, ConnectionUnblocked, Method, MethodId};
use reply::{Refusal, ReplyCode};

use crate::access::{Access, Pass};
use crate::broker::{Broker, Delivery};
use crate::id::{ConnectionId, TransportId};
use crate::limits::Limits;
use crate::table::Table;
use crate::virtual_host::{Seat, VirtualHost, VirtualHosts};

pub use barrier::Durability;

/// Reason that a blocked peer is given.
const LOW_ON_MEMORY: &str = "low on memory";
/// Time that a peer whose frames cannot be read has to read the reason.
const LINGERING_MS: u64 = 2_000;

/// Origin of a connection, as its host knows it.
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

/// Everything that a connection needs to act.
#[derive(Debug)]
pub struct Realm<'a> {
    /// The virtual hosts.
    pub virtual_hosts: &'a mut VirtualHosts,
    /// Decides about users and permissions.
    pub access: &'a mut dyn Access,
    /// Present time.
    pub now_ms: u64,
    /// Progress of the journal.
    pub durability: Durability,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Greeting,
    Starting,
    Tuning,
    Opening,
    Open,
    Closing { is_deaf: bool },
    Closed,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Self::Greeting | Self::Starting => "starting",
            Self::Tuning => "tuning",
            Self::Opening => "opening",
            Self::Open => "running",
            Self::Closing { .. } | Self::Closed => "closing",
        }
    }
}

/// An AMQP connection, as the server sees it. See the [module](self) for its states.
///
/// Call [`receive`](Self::receive) with input and [`tick`](Self::tick) at its deadline; write the
/// [`output`](Self::output) and close the transport when the connection [is closed](Self::is_closed).
pub struct Connection {
    id: TransportId,
    peer: Peer,
    limits: Limits,
    phase: Phase,
    connected_ms: u64,
    /// Time by which the handshake or the closing must be done.
    deadline_ms: u64,
    agreement: Agreement,
    heartbeat: Option<Heartbeat>,
    capabilities: Capabilities,
    login: Login,
    stay: Option<Stay>,
    channels: Channels,
    input: Buffer,
    output: Buffer,
    held: Held,
    received_bytes: u64,
    sent_bytes: u64,
    /// Use of memory below which the connection is no longer blocked; `None` if it is not.
    blocked_until: Option<usize>,
    /// Whether the next method waits until the deliveries that are due have been made.
    awaits_deliveries: bool,
    /// Whether its transport is closed, so that nothing waits for deliveries any more.
    is_gone: bool,
}

/// Identity of the peer; empty before the login.
#[derive(Default)]
struct Login {
    user: Box<str>,
    mechanism: &'static str,
    client_properties: Table,
}

/// Presence in a virtual host.
struct Stay {
    seat: Seat,
    pass: Pass,
}

impl Connection {
    /// Makes a connection for a new transport.
    #[must_use]
    pub fn new(id: TransportId, peer: Peer, limits: &Limits, now_ms: u64) -> Self {
        Self {
            id,
            peer,
            limits: limits.clone(),
            phase: Phase::Greeting,
            connected_ms: now_ms,
            deadline_ms: now_ms + limits.login_timeout_ms,
            agreement: Agreement::proposed(limits),
            heartbeat: None,
            capabilities: Capabilities::default(),
            login: Login::default(),
            stay: None,
            channels: Channels::default(),
            input: Buffer::default(),
            output: Buffer::default(),
            held: Held::default(),
            received_bytes: 0,
            sent_bytes: 0,
            blocked_until: None,
            awaits_deliveries: false,
            is_gone: false,
        }
    }

    /// Takes input, split and joined anywhere. While there is too much output, it is kept for later.
    pub fn receive(&mut self, bytes: &[u8], realm: &mut Realm<'_>) {
        self.received_bytes += bytes.len() as u64;
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.hear(realm.now_ms);
        }
        if self.input.is_empty() {
            let taken = self.take(bytes, realm);
            self.input.end().extend_from_slice(&bytes[taken..]);
        } else {
            self.input.end().extend_from_slice(bytes);
            self.advance(realm);
        }
    }

    /// Continues with kept input, after output was taken.
    pub fn advance(&mut self, realm: &mut Realm<'_>) {
        let mut input = std::mem::take(&mut self.input);
        let taken = self.take(input.waiting(), realm);
        input.take(taken);
        self.input = input;
    }

    /// Sends a message to one of the peer's consumers.
    pub fn deliver(&mut self, delivery: &Delivery<'_>) {
        if self.phase != Phase::Open || !self.channels.is_open(delivery.channel) {
            return;
        }
        let Delivery { consumer_tag, delivery_tag, redelivered, message, .. } = *delivery;
        let (exchange, routing_key) = (message.exchange(), message.routing_key());
        let method = BasicDeliver { consumer_tag, delivery_tag, redelivered, exchange, routing_key };
        let start = self.output.end().len();
        self.outlet(delivery.channel).send_content(&method, message.properties(), message.body());
        self.hold(delivery.channel, start, self.held.awaited_by_deliveries(delivery.channel));
    }

    /// Notifies the peer that a consumer was cancelled because its queue was deleted, if it wants to know.
    pub fn cancelled(&mut self, channel: u16, consumer_tag: &str) {
        let is_open = self.phase == Phase::Open && self.channels.is_open(channel);
        if is_open && self.capabilities.consumer_cancel_notify {
            let start = self.output.end().len();
            self.outlet(channel).send(&BasicCancel { consumer_tag, nowait: true });
            self.hold(channel, start, self.held.awaited_by_deliveries(channel));
        }
    }

    /// Closes a channel whose consumer has not acked in time.
    pub fn ack_timed_out(&mut self, channel: u16, timeout_ms: u64, host: &mut VirtualHost, durability: Durability) {
        if self.phase == Phase::Open && self.channels.is_open(channel) {
            let text = format_args!(
                "delivery acknowledgement on channel {channel} timed out. Timeout value used: {timeout_ms} ms. This \
                 timeout value can be configured, see consumers doc guide to learn more"
            );
            let refusal = Refusal::new(ReplyCode::PreconditionFailed, text);
            self.refuse_on_channel(channel, &refusal, host, durability);
        }
    }

    /// Does what is due and returns when it wants to be called again.
    pub fn tick(&mut self, realm: &mut Realm<'_>) -> Option<u64> {
        match self.phase {
            Phase::Closed => None,
            Phase::Open => self.beat(realm),
            _ if realm.now_ms < self.deadline_ms => Some(self.deadline_ms),
            _ => {
                self.end(realm);
                None
            }
        }
    }

    /// Releases everything that the broker has for this peer, as the transport is closed. Further calls do nothing.
    pub fn disconnected(&mut self, realm: &mut Realm<'_>) {
        self.is_gone = true;
        if self.awaits_deliveries {
            self.advance(realm);
        }
        self.end(realm);
    }

    /// Returns whether its input waits for deliveries: call [`advance`](Self::advance) once none are due any more in
    /// its virtual host.
    #[must_use]
    pub fn awaits_deliveries(&self) -> bool {
        self.awaits_deliveries
    }

    /// Returns its virtual host and its id there, while it is in one.
    #[must_use]
    pub fn seat(&self) -> Option<Seat> {
        self.stay.as_ref().map(|stay| stay.seat)
    }

    /// Asks for permissions again, as they may have changed.
    pub fn access_changed(&mut self, access: &mut dyn Access) {
        if let Some(stay) = &mut self.stay {
            stay.pass.renew(access);
        }
    }

    /// Returns the use of memory below which the connection continues, if it is blocked now.
    #[must_use]
    pub fn blocked_until(&self) -> Option<usize> {
        self.blocked_until
    }

    /// Continues, as there is memory again.
    pub fn unblock(&mut self, realm: &mut Realm<'_>) {
        if self.blocked_until.take().is_some() && self.capabilities.connection_blocked {
            self.outlet(0).send(&ConnectionUnblocked);
        }
        self.advance(realm);
    }

    /// Returns the bytes to be written to the transport.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.waiting()
    }

    /// Removes written bytes from the output.
    ///
    /// # Panics
    /// When there are fewer bytes.
    pub fn output_taken(&mut self, bytes: usize) {
        self.output.take(bytes);
        self.sent_bytes += bytes as u64;
    }

    /// Returns whether it accepts more input: not while the peer does not read its output, or is blocked.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.phase != Phase::Closed && !self.is_behind() && self.blocked_until.is_none()
    }

    /// Returns whether the peer does not read its output as fast as it is produced, or too much output waits to become
    /// durable.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.output.waiting().len() + self.held.bytes() > self.limits.output_high_bytes
    }

    /// Returns whether the transport is to be closed, once the output is written.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed && self.held.is_empty()
    }

    /// Takes as much of the input as can be handled now, and returns how much that was.
    fn take(&mut self, input: &[u8], realm: &mut Realm<'_>) -> usize {
        let mut taken = 0;
        self.awaits_deliveries = false;
        while self.wants_input() && taken < input.len() {
            match self.take_next(&input[taken..], realm) {
                0 => break,
                bytes => taken += bytes,
            }
        }
        self.confirm(realm.durability);
        self.fail_if_hopeless(realm);
        if self.phase == Phase::Closed { input.len() } else { taken }
    }

    fn take_next(&mut self, input: &[u8], realm: &mut Realm<'_>) -> usize {
        match self.phase {
            Phase::Greeting => self.greet(input, realm),
            Phase::Closing { is_deaf: true } | Phase::Closed => input.len(),
            _ => match frame::split(input, self.frame_max()) {
                Ok(None) => 0,
                Ok(Some(frame)) => self.take_frame(frame, &input[frame.size()..], realm),
                Err(refusal) => {
                    self.refuse(0, &refusal, realm);
                    self.phase = Phase::Closing { is_deaf: true };
                    self.deadline_ms = realm.now_ms + LINGERING_MS;
                    input.len()
                }
            },
        }
    }

    /// Returns the largest frame that the peer may send; before the login and the tuning this is the smallest common
    /// one.
    fn frame_max(&self) -> usize {
        match self.phase {
            Phase::Starting | Phase::Tuning => FIRST_FRAME_MAX,
            _ => self.agreement.frame_max,
        }
    }

    /// Returns whether a method has to wait for deliveries that are due: consumers that are ready get messages before
    /// others look for them, though deliveries are made in batches.
    fn comes_too_early(&self, frame: &Frame<'_>, realm: &mut Realm<'_>) -> bool {
        let follows = || MethodId::of(frame.payload).is_some_and(MethodId::follows_deliveries);
        let Some(stay) = self.stay.as_ref().filter(|_| frame.kind == Kind::Method && !self.is_gone) else {
            return false;
        };
        follows() && realm.virtual_hosts.broker_of(stay.seat).has_deliveries()
    }

    /// Takes a frame, and perhaps those after it; returns the size of all that were taken.
    fn take_frame(&mut self, frame: Frame<'_>, rest: &[u8], realm: &mut Realm<'_>) -> usize {
        if self.comes_too_early(&frame, realm) {
            self.awaits_deliveries = true;
            return 0;
        }
        let result = match (self.phase, frame.channel) {
            (Phase::Closing { .. }, _) => self.take_while_closing(frame, realm).map(|()| 0),
            (_, 0) => self.take_on_connection(frame, realm).map(|()| 0),
            (Phase::Open, _) => self.take_on_channel(frame, rest, realm),
            _ => Err(Refusal::new(ReplyCode::UnexpectedFrame, "a frame of a channel before the connection is open")),
        };
        match result {
            Ok(taken) => frame.size() + taken,
            Err(refusal) if refusal.is_for_now() && realm.virtual_hosts.holds_messages() => {
                self.block(realm);
                0
            }
            Err(refusal) => {
                self.refuse(frame.channel, &refusal, realm);
                frame.size()
            }
        }
    }

    fn take_on_connection(&mut self, frame: Frame<'_>, realm: &mut Realm<'_>) -> Result<(), Refusal> {
        match frame.kind {
            Kind::Heartbeat => Ok(()),
            Kind::Method => {
                let (id, method) = method::decode(frame.payload)?;
                self.take_method(method, realm).map_err(|refusal| refusal.during(id))
            }
            _ => Err(Refusal::new(ReplyCode::UnexpectedFrame, "content on channel 0")),
        }
    }

    fn take_method(&mut self, method: Method<'_>, realm: &mut Realm<'_>) -> Result<(), Refusal> {
        match (self.phase, method) {
            (Phase::Starting, Method::ConnectionStartOk(start_ok)) => self.log_in(start_ok, realm),
            (Phase::Tuning, Method::ConnectionTuneOk(tune_ok)) => {
                self.agreement = self.agreement.answered(tune_ok)?;
                self.phase = Phase::Opening;
                Ok(())
            }
            (Phase::Opening, Method::ConnectionOpen(open)) => self.enter(open.virtual_host, realm),
            (Phase::Open, Method::ConnectionUpdateSecret(update)) => self.update_secret(update, realm),
            (_, Method::ConnectionClose(_)) => {
                self.take_leave(realm);
                Ok(())
            }
            (phase, _) => {
                let text = format_args!("unexpected method in connection state {}", phase.name());
                Err(Refusal::new(ReplyCode::ChannelError, text))
            }
        }
    }

    /// Blocks until the use of memory is a tenth lower, as there is none for the message that the peer wants to
    /// publish.
    fn block(&mut self, realm: &Realm<'_>) {
        let used = realm.virtual_hosts.memory_bytes().min(self.limits.memory_high_bytes);
        self.blocked_until = Some(used - used / 10);
        if self.capabilities.connection_blocked {
            self.outlet(0).send(&ConnectionBlocked { reason: LOW_ON_MEMORY });
        }
    }

    fn beat(&mut self, realm: &mut Realm<'_>) -> Option<u64> {
        let is_listening = self.wants_input();
        let heartbeat = self.heartbeat.as_mut()?;
        if !is_listening {
            heartbeat.hear(realm.now_ms);
        }
        if heartbeat.is_dead(realm.now_ms) {
            self.end(realm);
            return None;
        }
        if heartbeat.beats(realm.now_ms) {
            self.input.rest();
            self.output.rest();
            self.held.rest();
            // Bytes that wait to be written are as good as a heartbeat.
            if self.output.is_empty() {
                frame::put_heartbeat(self.output.end());
            }
        }
        Some(heartbeat.deadline_ms())
    }

    fn outlet(&mut self, channel: u16) -> Outlet<'_> {
        Outlet { out: self.output.end(), channel, frame_max: self.agreement.frame_max }
    }

    /// Returns its virtual host.
    fn host<'a>(&self, realm: &'a mut Realm<'_>) -> &'a mut VirtualHost {
        realm.virtual_hosts.host_of(self.seat().expect("a connection that is open is in a virtual host"))
    }

    /// Returns its broker, and its id there.
    fn broker<'a>(&self, realm: &'a mut Realm<'_>) -> (&'a mut Broker, ConnectionId) {
        let seat = self.seat().expect("a connection that is open is in a virtual host");
        (realm.virtual_hosts.broker_of(seat), seat.connection)
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id).field("phase", &self.phase).finish_non_exhaustive()
    }
}
