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
//! What the peer refuses to do right ends its channel or its connection, by the [reply code](reply). From then on
//! everything but `close` and `close-ok` is ignored there: the peer sent it before it knew.
//! A stream whose frames cannot be told apart any more is not read on at all.
//!
//! It knows the time only by what it is told, and the broker only by its verbs; the broker's memory of this connection
//! ends exactly once, when it begins to close or its transport is gone.

mod buffer;
mod channel;
mod channels;
mod frame;
mod handshake;
mod heartbeat;
mod method;
mod reply;
mod sasl;

use std::fmt;

use buffer::Buffer;
use channel::Context;
use channels::{Channels, Slot};
use frame::{Frame, Kind, Outlet};
use handshake::{Agreement, Capabilities, PROTOCOL_HEADER};
use heartbeat::Heartbeat;
use method::{
    BasicCancel, BasicDeliver, ChannelClose, ChannelCloseOk, ChannelOpenOk, ConnectionClose, ConnectionCloseOk,
    ConnectionOpenOk, ConnectionStartOk, ConnectionUpdateSecretOk, Encode, Method, MethodId,
};
use reply::{Refusal, ReplyCode};

use crate::broker::{Broker, Delivery};
use crate::id::ConnectionId;
use crate::limits::Limits;

/// How long a peer may take to answer `connection.close`.
const CLOSING_MS: u64 = 10_000;
/// How long a peer whose frames we cannot read has to read why.
const LINGERING_MS: u64 = 2_000;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// From this machine, or this page.
    pub loopback: bool,
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

/// An AMQP connection, seen from the server. See the [module](self) for its life.
///
/// Call [`receive`](Self::receive) with what arrives and [`tick`](Self::tick) when its deadline comes; write
/// [`output`](Self::output) and close the transport when the connection [is closed](Self::is_closed).
pub struct Connection {
    id: ConnectionId,
    peer: Peer,
    limits: Limits,
    phase: Phase,
    /// When the handshake or the closing must be done.
    deadline_ms: u64,
    now_ms: u64,
    agreement: Agreement,
    heartbeat: Option<Heartbeat>,
    capabilities: Capabilities,
    /// Empty until the login.
    user: &'static str,
    channels: Channels,
    input: Buffer,
    output: Buffer,
    /// The broker knows of us.
    is_attached: bool,
}

impl Connection {
    /// A connection whose transport has just been opened. The broker has opened `id` for it.
    #[must_use]
    pub fn new(id: ConnectionId, peer: Peer, limits: &Limits, now_ms: u64) -> Self {
        Self {
            id,
            peer,
            limits: limits.clone(),
            phase: Phase::Greeting,
            deadline_ms: now_ms + limits.login_timeout_ms,
            now_ms,
            agreement: Agreement::proposed(limits),
            heartbeat: None,
            capabilities: Capabilities::default(),
            user: "",
            channels: Channels::default(),
            input: Buffer::default(),
            output: Buffer::default(),
            is_attached: true,
        }
    }

    /// Takes what arrived, split and joined anywhere. While there is too much output, input is kept for later.
    pub fn receive(&mut self, bytes: &[u8], now_ms: u64, broker: &mut Broker) {
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.hear(now_ms);
        }
        if self.input.is_empty() {
            self.now_ms = now_ms;
            let taken = self.take(bytes, broker);
            self.input.end().extend_from_slice(&bytes[taken..]);
        } else {
            self.input.end().extend_from_slice(bytes);
            self.advance(now_ms, broker);
        }
    }

    /// Goes on with kept input, after output was taken.
    pub fn advance(&mut self, now_ms: u64, broker: &mut Broker) {
        self.now_ms = now_ms;
        let mut input = std::mem::take(&mut self.input);
        let taken = self.take(input.waiting(), broker);
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
        self.outlet(delivery.channel).send_content(&method, message.properties(), message.body());
    }

    /// Tells the peer that a consumer ended because its queue has gone, if it cares.
    pub fn cancelled(&mut self, channel: u16, consumer_tag: &str) {
        let is_open = self.phase == Phase::Open && self.channels.is_open(channel);
        if is_open && self.capabilities.consumer_cancel_notify {
            self.outlet(channel).send(&BasicCancel { consumer_tag, nowait: true });
        }
    }

    /// Does what is due and answers when it wants to be called again.
    pub fn tick(&mut self, now_ms: u64, broker: &mut Broker) -> Option<u64> {
        self.now_ms = now_ms;
        match self.phase {
            Phase::Closed => None,
            Phase::Open => self.beat(broker),
            _ if now_ms < self.deadline_ms => Some(self.deadline_ms),
            _ => {
                self.end(broker);
                None
            }
        }
    }

    /// Asks the peer to close, because the broker stops.
    pub fn shutdown(&mut self, now_ms: u64, broker: &mut Broker) {
        self.now_ms = now_ms;
        match self.phase {
            Phase::Open => {
                let text = "broker forced connection closure with reason 'shutdown'";
                self.refuse(0, &Refusal::new(ReplyCode::ConnectionForced, text), broker);
            }
            Phase::Closing { .. } => {}
            _ => self.end(broker),
        }
    }

    /// The transport is gone: so is everything that the broker held for this peer. Doing it again does nothing.
    pub fn disconnected(&mut self, broker: &mut Broker) {
        self.end(broker);
    }

    /// What is to be written to the transport.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        self.output.waiting()
    }

    /// So many bytes of the output were written.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn output_taken(&mut self, bytes: usize) {
        self.output.take(bytes);
    }

    /// Whether more input is welcome: not while the peer does not take what it was answered.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.phase != Phase::Closed && self.output.waiting().len() <= self.limits.output_high_bytes
    }

    /// Whether the transport is to be closed, once the output is written.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Takes as much of the input as can be dealt with now, and answers how much that was.
    fn take(&mut self, input: &[u8], broker: &mut Broker) -> usize {
        let mut taken = 0;
        while self.wants_input() && taken < input.len() {
            match self.take_next(&input[taken..], broker) {
                0 => break,
                bytes => taken += bytes,
            }
        }
        self.confirm();
        if self.is_closed() { input.len() } else { taken }
    }

    fn take_next(&mut self, input: &[u8], broker: &mut Broker) -> usize {
        match self.phase {
            Phase::Greeting => self.greet(input, broker),
            Phase::Closing { is_deaf: true } | Phase::Closed => input.len(),
            _ => match frame::split(input, self.agreement.frame_max) {
                Ok(None) => 0,
                Ok(Some(frame)) => frame.size() + self.take_frame(frame, &input[frame.size()..], broker),
                Err(refusal) => {
                    self.refuse(0, &refusal, broker);
                    self.phase = Phase::Closing { is_deaf: true };
                    self.deadline_ms = self.now_ms + LINGERING_MS;
                    input.len()
                }
            },
        }
    }

    fn greet(&mut self, input: &[u8], broker: &mut Broker) -> usize {
        let Some(header) = input.first_chunk::<8>() else { return 0 };
        if *header == PROTOCOL_HEADER {
            self.phase = Phase::Starting;
            handshake::start(|start| self.outlet(0).send(start));
        } else {
            self.output.end().extend_from_slice(&PROTOCOL_HEADER);
            self.end(broker);
        }
        PROTOCOL_HEADER.len()
    }

    /// Takes a frame, and perhaps those behind it, of which it answers the size.
    fn take_frame(&mut self, frame: Frame<'_>, rest: &[u8], broker: &mut Broker) -> usize {
        let result = match (self.phase, frame.channel) {
            (Phase::Closing { .. }, _) => self.take_while_closing(frame, broker).map(|()| 0),
            (_, 0) => self.take_on_connection(frame, broker).map(|()| 0),
            (Phase::Open, _) => self.take_on_channel(frame, rest, broker),
            _ => Err(Refusal::new(ReplyCode::UnexpectedFrame, "a frame of a channel before the connection is open")),
        };
        result.unwrap_or_else(|refusal| {
            self.refuse(frame.channel, &refusal, broker);
            0
        })
    }

    fn take_while_closing(&mut self, frame: Frame<'_>, broker: &mut Broker) -> Result<(), Refusal> {
        if frame.kind == Kind::Method && frame.channel == 0 {
            match MethodId::of(frame.payload) {
                Some(MethodId::CONNECTION_CLOSE_OK) => self.end(broker),
                Some(MethodId::CONNECTION_CLOSE) => self.outlet(0).send(&ConnectionCloseOk),
                _ => {}
            }
        }
        Ok(())
    }

    fn take_on_connection(&mut self, frame: Frame<'_>, broker: &mut Broker) -> Result<(), Refusal> {
        match frame.kind {
            Kind::Heartbeat => Ok(()),
            Kind::Method => {
                let (id, method) = method::decode(frame.payload)?;
                self.take_method(method, broker).map_err(|refusal| refusal.during(id))
            }
            _ => Err(Refusal::new(ReplyCode::UnexpectedFrame, "content on channel 0")),
        }
    }

    fn take_method(&mut self, method: Method<'_>, broker: &mut Broker) -> Result<(), Refusal> {
        match (self.phase, method) {
            (Phase::Starting, Method::ConnectionStartOk(start_ok)) => self.log_in(start_ok, broker),
            (Phase::Tuning, Method::ConnectionTuneOk(tune_ok)) => {
                self.agreement = self.agreement.answered(tune_ok)?;
                self.phase = Phase::Opening;
                Ok(())
            }
            (Phase::Opening, Method::ConnectionOpen(open)) => {
                handshake::enter(open.virtual_host)?;
                self.heartbeat = Heartbeat::new(self.agreement.heartbeat_s, self.now_ms);
                self.phase = Phase::Open;
                self.send(&ConnectionOpenOk)
            }
            (Phase::Open, Method::ConnectionUpdateSecret) => self.send(&ConnectionUpdateSecretOk),
            (_, Method::ConnectionClose(_)) => {
                self.confirm();
                self.end(broker);
                self.send(&ConnectionCloseOk)
            }
            (phase, _) => {
                let text = format_args!("unexpected method in connection state {phase:?}");
                Err(Refusal::new(ReplyCode::ChannelError, text))
            }
        }
    }

    fn log_in(&mut self, start_ok: ConnectionStartOk<'_>, broker: &mut Broker) -> Result<(), Refusal> {
        self.capabilities = Capabilities::of(start_ok.client_properties)?;
        match sasl::log_in(start_ok.mechanism, start_ok.response, self.peer.loopback)? {
            Ok(user) => {
                self.user = user;
                self.phase = Phase::Tuning;
                self.send(&self.agreement.tune())?;
            }
            // Clients know this one by the zeros in the place of the method.
            Err(refusal) if self.capabilities.authentication_failure_close => self.refuse(0, &refusal, broker),
            Err(_) => self.end(broker),
        }
        Ok(())
    }

    fn take_on_channel(&mut self, frame: Frame<'_>, rest: &[u8], broker: &mut Broker) -> Result<usize, Refusal> {
        let id = if frame.kind == Kind::Method { MethodId::of(frame.payload) } else { None };
        let slot = self.channels.slot(frame.channel);
        match (slot, id) {
            (Some(Slot::Open(channel)), Some(MethodId::CHANNEL_CLOSE)) if channel.is_idle() => {
                self.close_channel(frame, broker)?;
            }
            (Some(Slot::Open(channel)), _) => {
                let frame_max = self.agreement.frame_max;
                let outlet = Outlet { out: self.output.end(), channel: frame.channel, frame_max };
                return channel.take(frame, rest, &mut Context { broker, outlet, user: self.user });
            }
            (Some(Slot::Closing), Some(MethodId::CHANNEL_CLOSE_OK)) => drop(self.channels.free(frame.channel)),
            (Some(Slot::Closing), Some(MethodId::CHANNEL_CLOSE)) => self.outlet(frame.channel).send(&ChannelCloseOk),
            (Some(Slot::Closing), _) => {}
            (None, _) => self.open_channel(frame, broker)?,
        }
        Ok(0)
    }

    fn open_channel(&mut self, frame: Frame<'_>, broker: &mut Broker) -> Result<(), Refusal> {
        if frame.kind != Kind::Method {
            let text = "expected method frame, got non method frame instead";
            return Err(Refusal::new(ReplyCode::UnexpectedFrame, text));
        }
        let (id, method) = method::decode(frame.payload)?;
        let max = self.agreement.channel_max;
        if method != Method::ChannelOpen {
            return Err(Refusal::new(ReplyCode::ChannelError, "expected 'channel.open'").during(id));
        }
        if frame.channel > max {
            let text =
                format_args!("channel number {} is greater than the negotiated channel_max ({max})", frame.channel);
            return Err(Refusal::new(ReplyCode::NotAllowed, text).during(id));
        }
        self.channels.open(frame.channel, broker.open_channel(self.id, frame.channel));
        self.outlet(frame.channel).send(&ChannelOpenOk);
        Ok(())
    }

    fn close_channel(&mut self, frame: Frame<'_>, broker: &mut Broker) -> Result<(), Refusal> {
        method::decode(frame.payload)?;
        self.confirm();
        if let Some(channel) = self.channels.free(frame.channel) {
            channel.close(broker);
        }
        self.outlet(frame.channel).send(&ChannelCloseOk);
        Ok(())
    }

    /// Closes what the refusal's code says, with everything confirmed before.
    fn refuse(&mut self, channel: u16, refusal: &Refusal, broker: &mut Broker) {
        if matches!(self.phase, Phase::Closing { .. }) {
            return;
        }
        self.confirm();
        let Refusal { code, method: MethodId { class: class_id, method: method_id }, .. } = *refusal;
        let (reply_code, reply_text) = (code as u16, &*refusal.to_string());
        if channel != 0 && code.spares_connection() {
            if let Some(channel) = self.channels.start_closing(channel) {
                channel.close(broker);
            }
            self.outlet(channel).send(&ChannelClose { reply_code, reply_text, class_id, method_id });
        } else {
            self.detach(broker);
            self.phase = Phase::Closing { is_deaf: false };
            self.deadline_ms = self.now_ms + CLOSING_MS;
            self.outlet(0).send(&ConnectionClose { reply_code, reply_text, class_id, method_id });
        }
    }

    fn beat(&mut self, broker: &mut Broker) -> Option<u64> {
        let is_listening = self.wants_input();
        let heartbeat = self.heartbeat.as_mut()?;
        if !is_listening {
            heartbeat.hear(self.now_ms);
        }
        if heartbeat.is_dead(self.now_ms) {
            self.end(broker);
            return None;
        }
        if heartbeat.beats(self.now_ms) {
            self.input.rest();
            self.output.rest();
            // Bytes that wait to be written are sign enough.
            if self.output.is_empty() {
                frame::put_heartbeat(self.output.end());
            }
        }
        Some(heartbeat.deadline_ms())
    }

    /// Confirms to the peer what it published since it was confirmed last.
    fn confirm(&mut self) {
        let (out, frame_max) = (self.output.end(), self.agreement.frame_max);
        for (channel, open) in self.channels.iter_open() {
            open.confirm(&mut Outlet { out, channel, frame_max });
        }
    }

    fn send(&mut self, method: &dyn Encode) -> Result<(), Refusal> {
        self.outlet(0).send(method);
        Ok(())
    }

    fn outlet(&mut self, channel: u16) -> Outlet<'_> {
        Outlet { out: self.output.end(), channel, frame_max: self.agreement.frame_max }
    }

    fn end(&mut self, broker: &mut Broker) {
        self.detach(broker);
        self.phase = Phase::Closed;
    }

    /// Gives everything back to the broker, once.
    fn detach(&mut self, broker: &mut Broker) {
        if std::mem::take(&mut self.is_attached) {
            std::mem::take(&mut self.channels).close(broker);
            broker.close_connection(self.id);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("id", &self.id).field("phase", &self.phase).finish_non_exhaustive()
    }
}
