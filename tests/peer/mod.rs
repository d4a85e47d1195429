//! Peer: an AMQP client for tests, written without the code under test.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;

use pocketmq::broker::Config;
use pocketmq::id::TransportId;
use pocketmq::limits::Limits;
use pocketmq::protocol::Peer as Origin;
use pocketmq::server::Server;

pub const HEADER: &[u8] = b"AMQP\0\0\x09\x01";
pub const END: u8 = 0xCE;

/// The arguments of a method, appended one by one.
#[derive(Clone, Debug, Default)]
pub struct Call(Vec<u8>);

pub fn call(class: u16, method: u16) -> Call {
    Call::new().short(class).short(method)
}

impl Call {
    /// Starts a list of values that is not a method.
    pub fn new() -> Self {
        Self(Vec::new())
    }

    pub fn octet(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub fn short(mut self, value: u16) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn long(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn longlong(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub fn text(mut self, text: &str) -> Self {
        self.0.push(text.len().try_into().unwrap());
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// Appends a long string, or a table of these entries.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.long(bytes.len().try_into().unwrap());
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn octets(self) -> Vec<u8> {
        self.0
    }

    /// Encodes the method's frame on this channel.
    pub fn on(&self, channel: u16) -> Vec<u8> {
        frame(1, channel, &self.0)
    }
}

pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend_from_slice(&channel.to_be_bytes());
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.push(END);
    bytes
}

pub fn start_ok(mechanism: &str, response: &[u8], capabilities: &[&str]) -> Call {
    let entries: Vec<u8> = capabilities.iter().flat_map(|name| Call::new().text(name).octet(b't').octet(1).0).collect();
    let properties = Call::new().text("capabilities").octet(b'F').bytes(&entries).0;
    call(10, 11).bytes(&properties).text(mechanism).bytes(response).text("en_US")
}

pub fn plain_login(capabilities: &[&str]) -> Call {
    start_ok("PLAIN", b"\0guest\0guest", capabilities)
}

pub fn tune_ok(channel_max: u16, frame_max: u32, heartbeat: u16) -> Call {
    call(10, 31).short(channel_max).long(frame_max).short(heartbeat)
}

pub fn open(virtual_host: &str) -> Call {
    call(10, 40).text(virtual_host).text("").octet(0)
}

pub fn close_connection() -> Call {
    call(10, 50).short(200).text("bye").short(0).short(0)
}

pub fn close_connection_ok() -> Call {
    call(10, 51)
}

pub fn open_channel() -> Call {
    call(20, 10).text("")
}

pub fn close_channel() -> Call {
    call(20, 40).short(200).text("bye").short(0).short(0)
}

pub fn close_channel_ok() -> Call {
    call(20, 41)
}

/// Bits: passive 1, durable 2, exclusive 4, auto-delete 8, no-wait 16.
pub fn declare_queue(name: &str, bits: u8) -> Call {
    call(50, 10).short(0).text(name).octet(bits).bytes(b"")
}

/// Like `declare_queue`, with arguments.
pub fn declare_queue_with(name: &str, bits: u8, arguments: &[Call]) -> Call {
    let entries: Vec<u8> = arguments.iter().flat_map(|entry| entry.0.clone()).collect();
    call(50, 10).short(0).text(name).octet(bits).bytes(&entries)
}

/// Encodes an entry of a table.
pub fn text_entry(name: &str, value: &str) -> Call {
    Call::new().text(name).octet(b'S').bytes(value.as_bytes())
}

pub fn number_entry(name: &str, value: u32) -> Call {
    Call::new().text(name).octet(b'I').long(value)
}

/// Bits: no-local 1, no-ack 2, exclusive 4, no-wait 8.
pub fn consume(queue: &str, tag: &str, bits: u8) -> Call {
    call(60, 20).short(0).text(queue).text(tag).octet(bits).bytes(b"")
}

pub fn get(queue: &str, no_ack: bool) -> Call {
    call(60, 70).short(0).text(queue).octet(no_ack.into())
}

pub fn ack(tag: u64, multiple: bool) -> Call {
    call(60, 80).longlong(tag).octet(multiple.into())
}

pub fn select_confirms() -> Call {
    call(85, 10).octet(0)
}

/// Bits: mandatory 1, immediate 2.
pub fn publish_method(exchange: &str, routing_key: &str, bits: u8) -> Call {
    call(60, 40).short(0).text(exchange).text(routing_key).octet(bits)
}

/// Encodes the payload of a content header frame; no properties are two zeros.
pub fn content_header(body_size: u64, properties: &[u8]) -> Vec<u8> {
    let mut payload = Call::new().short(60).short(0).longlong(body_size).0;
    payload.extend_from_slice(properties);
    payload
}

/// Encodes a whole message, with its body in frames of at most `part` bytes.
pub fn publish_in_parts(channel: u16, routing_key: &str, bits: u8, body: &[u8], part: usize) -> Vec<u8> {
    let mut bytes = publish_method("", routing_key, bits).on(channel);
    bytes.extend(frame(2, channel, &content_header(body.len() as u64, &[0, 0])));
    bytes.extend(body.chunks(part).flat_map(|part| frame(3, channel, part)));
    bytes
}

pub fn publish(channel: u16, routing_key: &str, body: &[u8]) -> Vec<u8> {
    publish_in_parts(channel, routing_key, 0, body, 8000)
}

/// A frame from the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    pub kind: u8,
    pub channel: u16,
    pub payload: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let payload = &self.payload[..self.payload.len().min(60)];
        write!(f, "{}/{} {:?} {}", self.kind, self.channel, self.id(), payload.escape_ascii())
    }
}

impl Answer {
    /// Returns class and method.
    pub fn id(&self) -> (u16, u16) {
        match self.kind {
            1 => (self.short_at(0), self.short_at(2)),
            _ => (0, 0),
        }
    }

    pub fn short_at(&self, at: usize) -> u16 {
        u16::from_be_bytes(self.payload[at..at + 2].try_into().unwrap())
    }

    pub fn longlong_at(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.payload[at..at + 8].try_into().unwrap())
    }

    pub fn text_at(&self, at: usize) -> &str {
        let end = at + 1 + usize::from(self.payload[at]);
        std::str::from_utf8(&self.payload[at + 1..end]).unwrap()
    }

    /// Reads a `close`: code, text, and the class and method that failed.
    pub fn refusal(&self) -> (u16, &str, (u16, u16)) {
        assert!(matches!(self.id(), (10, 50) | (20, 40)), "no close: {self:?}");
        let text = self.text_at(6);
        let end = 7 + text.len();
        (self.short_at(4), text, (self.short_at(end), self.short_at(end + 2)))
    }
}

pub fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        let size = u32::from_be_bytes(bytes[3..7].try_into().unwrap()) as usize;
        assert_eq!(bytes[7 + size], END);
        answers.push(Answer {
            kind: bytes[0],
            channel: u16::from_be_bytes([bytes[1], bytes[2]]),
            payload: bytes[7..7 + size].to_vec(),
        });
        bytes = &bytes[8 + size..];
    }
    answers
}

/// A client with a server of its own; it may have several connections, and uses one at a time.
pub struct Client {
    pub server: Server,
    pub id: TransportId,
    pub now_ms: u64,
    pub deadline_ms: Option<u64>,
    unread: BTreeMap<TransportId, Vec<u8>>,
}

impl Client {
    /// Opens a transport, without sending anything.
    pub fn connect(limits: Limits, loopback: bool) -> Self {
        let mut server = Server::new(Config { seed: [7; 32], limits });
        let id = server.connect_amqp(Origin { loopback, ..Origin::default() });
        Self { server, id, now_ms: 0, deadline_ms: None, unread: BTreeMap::new() }
    }

    /// Opens a connection, and channel 1.
    pub fn ready() -> Self {
        Self::ready_with(Limits::default(), 0)
    }

    pub fn ready_with(limits: Limits, frame_max: u32) -> Self {
        let mut client = Self::connect(limits, true);
        client.log_in("guest", &["consumer_cancel_notify", "authentication_failure_close"]);
        client.enter("/", frame_max);
        client
    }

    /// Opens another connection and uses it; returns the one used before.
    pub fn join(&mut self, user: &str, virtual_host: &str, capabilities: &[&str]) -> TransportId {
        let peer = Origin { loopback: true, name: format!("peer of {user}").into(), ..Origin::default() };
        let before = std::mem::replace(&mut self.id, self.server.connect_amqp(peer));
        self.log_in(user, capabilities);
        self.enter(virtual_host, 0);
        before
    }

    fn log_in(&mut self, user: &str, capabilities: &[&str]) {
        self.send(HEADER);
        self.send(&start_ok("PLAIN", format!("\0{user}\0{user}").as_bytes(), capabilities).on(0));
    }

    fn enter(&mut self, virtual_host: &str, frame_max: u32) {
        self.send(&tune_ok(0, frame_max, 60).on(0));
        self.send(&open(virtual_host).on(0));
        self.send(&open_channel().on(1));
        assert_eq!(self.read().last().unwrap().id(), (20, 11));
    }

    /// Sends, and lets the server do everything that follows.
    pub fn send(&mut self, bytes: &[u8]) {
        self.write(bytes);
        self.turn();
    }

    /// Sends, and takes the immediate replies; deliveries are made in the next turn.
    pub fn write(&mut self, bytes: &[u8]) {
        self.server.receive(self.id, bytes);
        self.take_output();
    }

    pub fn turn(&mut self) {
        loop {
            self.deadline_ms = self.server.turn(self.now_ms);
            self.take_output();
            if !self.server.wants_turn() {
                break;
            }
        }
    }

    pub fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.turn();
    }

    fn take_output(&mut self) {
        while let Some(id) = self.server.next_output() {
            let bytes = self.server.output(id).to_vec();
            // A closed connection has no more output.
            if !bytes.is_empty() {
                self.server.output_taken(id, bytes.len());
                self.unread.entry(id).or_default().extend(bytes);
            }
        }
    }

    /// Returns the frames that arrived since the last call.
    pub fn read(&mut self) -> Vec<Answer> {
        answers(&self.read_raw())
    }

    pub fn read_raw(&mut self) -> Vec<u8> {
        self.unread.remove(&self.id).unwrap_or_default()
    }

    /// Sends, and returns the replies.
    pub fn ask(&mut self, bytes: &[u8]) -> Vec<Answer> {
        self.send(bytes);
        self.read()
    }

    pub fn is_closed(&self) -> bool {
        self.server.is_closed(self.id)
    }

    pub fn memory_bytes(&self) -> usize {
        self.server.broker().memory_bytes()
    }
}

/// Returns class and method of each method frame.
pub fn ids(answers: &[Answer]) -> Vec<(u16, u16)> {
    answers.iter().filter(|answer| answer.kind == 1).map(Answer::id).collect()
}
