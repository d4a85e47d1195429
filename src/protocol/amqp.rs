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
//! follows opened in the input.
//!
//! A reply that confirms something may be taken to mean that it is durable: replies wait behind a
//! [barrier] until it is.

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

use barrier::ReplyBarrier;
use buffer::Buffer;
use channel::ChannelContext;
use channels::{Channels, Slot};
use frame::{Frame, Kind, Outlet};
use handshake::{Agreement, Capabilities, FIRST_FRAME_MAX};
use heartbeat::Heartbeat;
use method::{BasicCancel, BasicDeliver, ChannelCloseOk, ConnectionBlocked, ConnectionUnblocked, Method, MethodId};
use reply::{Refusal, ReplyCode};

use super::{Context, Durability, Peer, Protocol, Session, SessionState};
use crate::access::{Access, Permissions};
use crate::broker::{Broker, Delivery};
use crate::id::{ConnectionId, TransportId};
use crate::limits::Limits;
use crate::table::Table;
use crate::virtual_host::{Membership, VirtualHost};

/// Reason that a blocked peer is given.
const LOW_ON_MEMORY: &str = "low on memory";
/// Time that a peer whose frames cannot be read has to read the reason.
const LINGERING_MS: u64 = 2_000;

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

/// The protocol.
pub const PROTOCOL: Protocol = Protocol { name: "AMQP 0-9-1", connect };

/// Makes a connection for a new transport.
fn connect(id: TransportId, peer: Peer, limits: &Limits, now_ms: u64) -> Box<dyn Session> {
    Box::new(Connection::new(id, peer, limits, now_ms))
}

/// An AMQP connection. See the [module](self) for its states.
struct Connection {
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
    opened: Option<Opened>,
    channels: Channels,
    input: Buffer,
    output: Buffer,
    barrier: ReplyBarrier,
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

/// The part of a connection that `connection.open` makes.
struct Opened {
    membership: Membership,
    permissions: Permissions,
}

impl Session for Connection {
    fn receive(&mut self, bytes: &[u8], context: &mut Context<'_>) {
        self.received_bytes += bytes.len() as u64;
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.hear(context.now_ms);
        }
        if self.input.is_empty() {
            let taken = self.take(bytes, context);
            self.input.end().extend_from_slice(&bytes[taken..]);
        } else {
            self.input.end().extend_from_slice(bytes);
            self.advance(context);
        }
    }

    fn advance(&mut self, context: &mut Context<'_>) {
        let mut input = std::mem::take(&mut self.input);
        let taken = self.take(input.waiting(), context);
        input.take(taken);
        self.input = input;
    }

    fn tick(&mut self, context: &mut Context<'_>) -> Option<u64> {
        match self.phase {
            Phase::Closed => None,
            Phase::Open => self.beat(context),
            _ if context.now_ms < self.deadline_ms => Some(self.deadline_ms),
            _ => {
                self.end(context);
                None
            }
        }
    }

    fn state(&self) -> SessionState {
        let (is_behind, awaits_flush) = (self.is_behind(), !self.barrier.is_empty());
        SessionState {
            has_output: !self.output.is_empty(),
            is_closed: self.phase == Phase::Closed && !awaits_flush,
            is_behind,
            wants_input: self.phase != Phase::Closed && !is_behind && self.blocked_until.is_none(),
            awaits_deliveries: self.awaits_deliveries,
            awaits_flush,
            blocked_until: self.blocked_until,
        }
    }

    fn output(&self) -> &[u8] {
        self.output.waiting()
    }

    fn output_taken(&mut self, bytes: usize, context: &mut Context<'_>) {
        self.output.take(bytes);
        self.sent_bytes += bytes as u64;
        self.advance(context);
    }

    fn deliver(&mut self, delivery: &Delivery<'_>) {
        if !self.is_open(delivery.channel) {
            return;
        }
        let Delivery { consumer_tag, delivery_tag, redelivered, message, .. } = *delivery;
        let (exchange, routing_key) = (message.exchange(), message.routing_key());
        let method = BasicDeliver { consumer_tag, delivery_tag, redelivered, exchange, routing_key };
        let start = self.output.end().len();
        self.outlet(delivery.channel).send_content(&method, message.properties(), message.body());
        self.hold_back(delivery.channel, start, self.barrier.awaited_by_deliveries(delivery.channel));
    }

    fn cancelled(&mut self, channel: u16, consumer_tag: &str) {
        if self.is_open(channel) && self.capabilities.consumer_cancel_notify {
            let start = self.output.end().len();
            self.outlet(channel).send(&BasicCancel { consumer_tag, nowait: true });
            self.hold_back(channel, start, self.barrier.awaited_by_deliveries(channel));
        }
    }

    fn ack_timed_out(&mut self, channel: u16, timeout_ms: u64, host: &mut VirtualHost, durability: Durability) {
        if self.is_open(channel) {
            let text = format_args!(
                "delivery acknowledgement on channel {channel} timed out. Timeout value used: {timeout_ms} ms. This \
                 timeout value can be configured, see consumers doc guide to learn more"
            );
            let refusal = Refusal::new(ReplyCode::PreconditionFailed, text);
            self.refuse_on_channel(channel, &refusal, host, durability);
        }
    }

    fn flushed(&mut self, durable_write: u64) {
        let Self { barrier, output, agreement, .. } = self;
        let mut outlet = Outlet { out: output.end(), channel: 0, frame_max: agreement.frame_max };
        barrier.release(durable_write, &mut outlet);
    }

    /// Messages are refused, and for any other reply the connection closes with this reason.
    fn journal_failed(&mut self, reason: &str, context: &mut Context<'_>) {
        self.fail(&Refusal::new(ReplyCode::InternalError, reason), context);
    }

    fn unblock(&mut self, context: &mut Context<'_>) {
        if self.blocked_until.take().is_some() && self.capabilities.connection_blocked {
            self.outlet(0).send(&ConnectionUnblocked);
        }
        self.advance(context);
    }

    fn access_changed(&mut self, access: &mut dyn Access) {
        if let Some(opened) = &mut self.opened {
            opened.permissions.refresh(access);
        }
    }

    fn close(&mut self, reason: &str, context: &mut Context<'_>) {
        match self.phase {
            Phase::Open => self.refuse(0, &Refusal::new(ReplyCode::ConnectionForced, reason), context),
            Phase::Closing { .. } => {}
            _ => self.end(context),
        }
        self.fail_if_hopeless(context);
    }

    fn disconnected(&mut self, context: &mut Context<'_>) {
        self.is_gone = true;
        if self.awaits_deliveries {
            self.advance(context);
        }
        self.end(context);
    }

    fn membership(&self) -> Option<Membership> {
        self.opened.as_ref().map(|opened| opened.membership)
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }

    fn user(&self) -> &str {
        &self.login.user
    }

    fn is_confirming(&self, channel: u16) -> bool {
        self.channels.is_confirming(channel)
    }

    fn report(&self) -> Table {
        self.describe()
    }
}

impl Connection {
    fn new(id: TransportId, peer: Peer, limits: &Limits, now_ms: u64) -> Self {
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
            opened: None,
            channels: Channels::default(),
            input: Buffer::default(),
            output: Buffer::default(),
            barrier: ReplyBarrier::default(),
            received_bytes: 0,
            sent_bytes: 0,
            blocked_until: None,
            awaits_deliveries: false,
            is_gone: false,
        }
    }

    /// Returns whether this channel is open, and so is the connection.
    fn is_open(&self, channel: u16) -> bool {
        self.phase == Phase::Open && self.channels.is_open(channel)
    }

    /// Returns whether it accepts more input: not while the peer does not read its output, or is blocked.
    fn wants_input(&self) -> bool {
        self.phase != Phase::Closed && !self.is_behind() && self.blocked_until.is_none()
    }

    /// Returns whether the peer does not read its output as fast as it is produced, or too much output waits to become
    /// durable.
    fn is_behind(&self) -> bool {
        self.output.waiting().len() + self.barrier.bytes() > self.limits.output_high_bytes
    }

    /// Takes as much of the input as can be handled now, and returns how much that was.
    fn take(&mut self, input: &[u8], context: &mut Context<'_>) -> usize {
        let mut taken = 0;
        self.awaits_deliveries = false;
        while self.wants_input() && taken < input.len() {
            match self.take_next(&input[taken..], context) {
                0 => break,
                bytes => taken += bytes,
            }
        }
        self.confirm(context.durability);
        self.fail_if_hopeless(context);
        if self.phase == Phase::Closed { input.len() } else { taken }
    }

    fn take_next(&mut self, input: &[u8], context: &mut Context<'_>) -> usize {
        match self.phase {
            Phase::Greeting => self.greet(input, context),
            Phase::Closing { is_deaf: true } | Phase::Closed => input.len(),
            _ => match frame::split(input, self.frame_max()) {
                Ok(None) => 0,
                Ok(Some(frame)) => self.take_frame(frame, &input[frame.size()..], context),
                Err(refusal) => {
                    self.refuse(0, &refusal, context);
                    self.phase = Phase::Closing { is_deaf: true };
                    self.deadline_ms = context.now_ms + LINGERING_MS;
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
    fn comes_too_early(&self, frame: &Frame<'_>, context: &mut Context<'_>) -> bool {
        let follows = || MethodId::of(frame.payload).is_some_and(MethodId::follows_deliveries);
        let Some(opened) = self.opened.as_ref().filter(|_| frame.kind == Kind::Method && !self.is_gone) else {
            return false;
        };
        follows() && context.virtual_hosts.broker_of(opened.membership).has_deliveries()
    }

    /// Takes a frame, and perhaps those after it; returns the size of all that were taken.
    fn take_frame(&mut self, frame: Frame<'_>, rest: &[u8], context: &mut Context<'_>) -> usize {
        if self.comes_too_early(&frame, context) {
            self.awaits_deliveries = true;
            return 0;
        }
        let result = match (self.phase, frame.channel) {
            (Phase::Closing { .. }, _) => self.take_while_closing(frame, context).map(|()| 0),
            (_, 0) => self.take_on_connection(frame, context).map(|()| 0),
            (Phase::Open, _) => self.take_on_channel(frame, rest, context),
            _ => Err(Refusal::new(ReplyCode::UnexpectedFrame, "a frame of a channel before the connection is open")),
        };
        match result {
            Ok(taken) => frame.size() + taken,
            Err(refusal) if refusal.is_for_now() && context.virtual_hosts.holds_messages() => {
                self.block(context);
                0
            }
            Err(refusal) => {
                self.refuse(frame.channel, &refusal, context);
                frame.size()
            }
        }
    }

    fn take_on_connection(&mut self, frame: Frame<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        match frame.kind {
            Kind::Heartbeat => Ok(()),
            Kind::Method => {
                let (id, method) = method::decode(frame.payload)?;
                self.take_method(method, context).map_err(|refusal| refusal.during(id))
            }
            _ => Err(Refusal::new(ReplyCode::UnexpectedFrame, "content on channel 0")),
        }
    }

    fn take_on_channel(&mut self, frame: Frame<'_>, rest: &[u8], context: &mut Context<'_>) -> Result<usize, Refusal> {
        let id = if frame.kind == Kind::Method { MethodId::of(frame.payload) } else { None };
        let slot = self.channels.slot(frame.channel);
        match (slot, id, &mut self.opened) {
            (Some(Slot::Open(channel)), Some(MethodId::CHANNEL_CLOSE), _) if channel.is_idle() => {
                self.close_channel(frame, context)?;
            }
            (Some(Slot::Open(channel)), _, Some(Opened { membership, permissions })) => {
                if id == Some(MethodId::BASIC_PUBLISH) && context.virtual_hosts.is_low_on_memory_for(*membership) {
                    return Err(Refusal::new(ReplyCode::ResourceError, LOW_ON_MEMORY).during(MethodId::BASIC_PUBLISH));
                }
                let (output, frame_max) = (self.output.end(), self.agreement.frame_max);
                let start = output.len();
                let outlet = Outlet { out: output, channel: frame.channel, frame_max };
                let host = context.virtual_hosts.host_of(*membership);
                let noted = host.broker.noted();
                let (broker, access) = (&mut host.broker, &mut *context.access);
                let taken = channel.take(frame, rest, &mut ChannelContext { broker, access, permissions, outlet });
                self.barrier.follow(frame.channel, id, host, noted, context.durability);
                let awaited = self.barrier.awaited(frame.channel, context.durability.durable_write);
                let is_first = matches!(id, Some(MethodId::BASIC_CONSUME | MethodId::BASIC_GET));
                if self.hold_back(frame.channel, start, awaited) && is_first {
                    self.barrier.precede_deliveries();
                }
                return taken;
            }
            (Some(Slot::Closing), Some(MethodId::CHANNEL_CLOSE_OK), _) => drop(self.channels.free(frame.channel)),
            (Some(Slot::Closing), Some(MethodId::CHANNEL_CLOSE), _) => {
                self.reply(frame.channel, &ChannelCloseOk, context.durability);
            }
            (Some(Slot::Closing), ..) => {}
            _ => self.open_channel(frame, context)?,
        }
        Ok(0)
    }

    fn take_method(&mut self, method: Method<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        match (self.phase, method) {
            (Phase::Starting, Method::ConnectionStartOk(start_ok)) => self.log_in(start_ok, context),
            (Phase::Tuning, Method::ConnectionTuneOk(tune_ok)) => {
                self.agreement = self.agreement.answered(tune_ok)?;
                self.phase = Phase::Opening;
                Ok(())
            }
            (Phase::Opening, Method::ConnectionOpen(open)) => self.enter(open.virtual_host, context),
            (Phase::Open, Method::ConnectionUpdateSecret(update)) => self.update_secret(update, context),
            (_, Method::ConnectionClose(_)) => {
                self.take_leave(context);
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
    fn block(&mut self, context: &Context<'_>) {
        let used = context.virtual_hosts.memory_bytes().min(self.limits.memory_high_bytes);
        self.blocked_until = Some(used - used / 10);
        if self.capabilities.connection_blocked {
            self.outlet(0).send(&ConnectionBlocked { reason: LOW_ON_MEMORY });
        }
    }

    fn beat(&mut self, context: &mut Context<'_>) -> Option<u64> {
        let is_listening = self.wants_input();
        let heartbeat = self.heartbeat.as_mut()?;
        if !is_listening {
            heartbeat.hear(context.now_ms);
        }
        if heartbeat.is_dead(context.now_ms) {
            self.end(context);
            return None;
        }
        if heartbeat.beats(context.now_ms) {
            self.input.rest();
            self.output.rest();
            self.barrier.rest();
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
    fn host<'a>(&self, context: &'a mut Context<'_>) -> &'a mut VirtualHost {
        context.virtual_hosts.host_of(self.membership().expect("a connection that is open is in a virtual host"))
    }

    /// Returns its broker, and its id there.
    fn broker<'a>(&self, context: &'a mut Context<'_>) -> (&'a mut Broker, ConnectionId) {
        let membership = self.membership().expect("a connection that is open is in a virtual host");
        (context.virtual_hosts.broker_of(membership), membership.connection)
    }
}
