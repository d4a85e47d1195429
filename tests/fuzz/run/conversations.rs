//! Conversations: some peers and a server, with time passing; whatever they send, the server holds its invariants.
//! Every second input has a server with a journal, which another server recovers in the end.

use std::cell::RefCell;
use std::rc::Rc;

use pocketmq::broker::Config;
use pocketmq::embedded::Verb;
use pocketmq::id::TransportId;
use pocketmq::journal::Options;
use pocketmq::limits::Limits;
use pocketmq::protocol::Peer;
use pocketmq::server::Server;
use pocketmq::virtual_host::VirtualHost;

use super::choices::Choices;
use super::peer::{
    HEADER, close_channel_ok, close_connection, close_connection_ok, frame, open, open_channel, plain_login, tune_ok,
};
use super::requests;
use super::store::Bytes;
use super::witness::{FRAME_MAX, Witness};

const PEERS: usize = 3;
const OTHER: &str = "other";
const CHANNELS: u16 = 3;
const MEMORY_MAX: usize = 12_000;
const MEMORY_HIGH: usize = 9_000;
/// With a journal, bodies beyond this are only on the disk.
const MEMORY_PAGE: usize = 3_000;
const SEGMENT_BYTES: u64 = 4_096;
/// Headers that the broker itself adds to a message, such as x-death, are never refused.
const OWN_HEADERS_MAX: usize = 600;
const OUTPUT_HIGH: usize = 4096;
/// Upper bound of what one reply adds to an output that was not above the limit yet.
const ANSWER_MAX: usize = 12_000;
/// Upper bound of a conversation's length.
const STEPS_MAX: usize = 400;
/// A peer that reads little at a time goes on later.
const ROUNDS_MAX: usize = 20;
/// After this time every delay is over.
const LONG_MS: u64 = 1 << 33;
const ENDINGS: usize = 8;
const BEGINNING_MS: u64 = 1_700_000_000_000;

fn config() -> Config {
    Config { seed: [7; 32], limits: limits() }
}

/// Starts a server on the contents of the store.
fn opened(store: &Bytes, now_ms: u64) -> Server {
    let options = Options { segment_bytes: SEGMENT_BYTES, ..Options::default() };
    let opened = Server::open(config(), Box::new(store.clone()), &options, now_ms);
    opened.expect("what a server has written another can read").0
}

fn limits() -> Limits {
    Limits {
        memory_max_bytes: MEMORY_MAX,
        memory_high_bytes: MEMORY_HIGH,
        memory_page_bytes: MEMORY_PAGE,
        message_max_bytes: 2000,
        output_high_bytes: OUTPUT_HIGH,
        ..Limits::default()
    }
}

/// Runs the conversation that these bytes choose.
pub fn check(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut world = World::new(bytes.len().is_multiple_of(2).then(Bytes::default));
    for _ in 0..STEPS_MAX {
        if choices.is_empty() {
            break;
        }
        world.step(&mut choices);
        world.check();
    }
    world.close_down();
}

struct World {
    server: Server,
    journal: Option<Bytes>,
    now_ms: u64,
    connections: Vec<Connection>,
}

/// One peer's end of its transport.
struct Connection {
    id: TransportId,
    witness: Witness,
    /// Bytes that it has not sent yet.
    outgoing: Vec<u8>,
    /// Number of bytes that it reads at a time.
    takes: usize,
    /// Whether it has not read everything.
    is_behind: bool,
}

impl World {
    fn new(journal: Option<Bytes>) -> Self {
        let mut server = match &journal {
            Some(store) => opened(store, BEGINNING_MS),
            None => Server::new(config()),
        };
        server.add_virtual_host(OTHER);
        let connections = (0..PEERS).map(|_| Connection::new(&mut server, handshake("/", 0))).collect();
        let mut world = Self { server, journal, now_ms: BEGINNING_MS, connections };
        world.settle();
        world
    }

    fn step(&mut self, choices: &mut Choices) {
        let (what, who) = (choices.octet(), choices.octet());
        let peer = usize::from(who) % PEERS;
        let channel = u16::from(who >> 2) % CHANNELS + 1;
        let connection = &mut self.connections[peer];
        match what % 32 {
            0..=14 => connection.outgoing.extend(requests::method(choices, channel, &connection.witness).on(channel)),
            15..=23 => connection.outgoing.extend(requests::message(choices, channel)),
            24..=27 => self.now_ms += choices.pick(&[0, 1, 10, 1000, 25_000, 100_000]),
            28 => connection.outgoing.extend(noise(choices, channel)),
            29 => connection.takes = choices.pick(&[usize::MAX, 0, 1, 1000]),
            30 => self.server.set_writable(connection.id, !choices.octet().is_multiple_of(2)),
            _ => self.reconnect(peer, choices),
        }
        // Some requests of a peer arrive together.
        if what < 160 {
            self.send(peer, choices.pick(&[usize::MAX, usize::MAX, 1, 50]));
            self.settle();
        }
    }

    fn send(&mut self, peer: usize, part: usize) {
        let connection = &mut self.connections[peer];
        let outgoing = std::mem::take(&mut connection.outgoing);
        for part in outgoing.chunks(part) {
            self.server.receive(connection.id, part);
        }
    }

    /// The transport connections, with or without a close.
    fn reconnect(&mut self, peer: usize, choices: &mut Choices) {
        let how = choices.octet();
        if how.is_multiple_of(2) {
            self.connections[peer].outgoing.extend(close_connection().on(0));
            self.send(peer, usize::MAX);
            self.settle();
        }
        self.server.disconnected(self.connections[peer].id);
        let greeting = match how % 8 {
            7 => choices.bytes().to_vec(),
            heartbeat => handshake(choices.pick(&["/", "/", OTHER, "missing"]), heartbeat.into()),
        };
        self.connections[peer] = Connection::new(&mut self.server, greeting);
    }

    /// Acts as the host, with time and output, and as a client that replies to the server's closes.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.server.turn(self.now_ms);
            let mut has_moved = flush(&mut self.server);
            let ready: Vec<_> = std::iter::from_fn(|| self.server.next_output()).collect();
            for peer in 0..PEERS {
                has_moved |= self.write(peer, &ready) | self.respond(peer);
            }
            if !has_moved && !self.server.wants_turn() {
                return;
            }
        }
    }

    /// Returns whether anything was written.
    fn write(&mut self, peer: usize, ready: &[TransportId]) -> bool {
        let connection = &mut self.connections[peer];
        let output = self.server.output(connection.id);
        let is_notified = connection.is_behind || ready.contains(&connection.id);
        assert!(
            is_notified || output.is_empty() && !self.server.is_closed(connection.id),
            "the host does not know of output"
        );
        let taken = output.len().min(connection.takes);
        connection.witness.receive(&output[..taken]);
        connection.is_behind = taken < output.len();
        if taken > 0 {
            self.server.output_taken(connection.id, taken);
        }
        if !connection.is_behind && self.server.is_closed(connection.id) && self.server.output(connection.id).is_empty()
        {
            connection.witness.end();
            self.server.disconnected(connection.id);
            *connection = Connection::new(&mut self.server, handshake("/", 0));
        }
        taken > 0
    }

    fn respond(&mut self, peer: usize) -> bool {
        let Connection { id, witness, .. } = &mut self.connections[peer];
        let mut answer = Vec::new();
        for channel in witness.take_closed() {
            answer.extend([close_channel_ok().on(channel), open_channel().on(channel)].concat());
        }
        if witness.is_closing {
            answer.extend(close_connection_ok().on(0));
        }
        if !answer.is_empty() {
            self.server.receive(*id, &answer);
        }
        !answer.is_empty() && !witness.is_closing
    }

    fn check(&self) {
        for broker in self.server.virtual_hosts().iter().map(VirtualHost::broker) {
            let messages: usize = broker.report().queues.iter().map(|queue| queue.ready + queue.unacked).sum();
            assert!(broker.memory_bytes() <= MEMORY_MAX + messages * OWN_HEADERS_MAX);
        }
        for connection in &self.connections {
            assert!(self.server.output(connection.id).len() <= OUTPUT_HIGH + ANSWER_MAX);
        }
    }

    /// When all peers have left, only queues have memory, and after their deletion nothing has.
    fn close_down(mut self) {
        for connection in std::mem::take(&mut self.connections) {
            self.server.disconnected(connection.id);
        }
        self.server.turn(self.now_ms);
        if let Some(store) = &self.journal {
            // Recovers as after a crash now, from a copy of the files.
            let crashed = Bytes(Rc::new(RefCell::new(store.0.borrow().clone())));
            end(opened(&crashed, self.now_ms), self.now_ms);
        }
        end(self.server, self.now_ms);
    }
}

/// Flushes, and returns whether the server wanted it.
fn flush(server: &mut Server) -> bool {
    let has_to = server.wants_flush();
    if has_to {
        let mark = server.start_flush();
        server.flushed(mark);
    }
    has_to
}

/// After all peers have left, lets everything expire that does, and empties the rest.
fn end(mut server: Server, mut now_ms: u64) {
    // Dead letters may be delayed again.
    for _ in 0..ENDINGS {
        now_ms += LONG_MS;
        server.turn(now_ms);
        flush(&mut server);
    }
    for name in server.virtual_hosts().iter().map(|host| host.name().to_owned()).collect::<Vec<_>>() {
        empty(&mut server, &name);
    }
}

/// Deletes everything after all connections have ended; then nothing is left.
fn empty(server: &mut Server, virtual_host: &str) {
    let report_of =
        |server: &Server| server.virtual_hosts().named(virtual_host).expect("it is there").broker().report();
    let report = report_of(server);
    assert_eq!((report.connections, report.channels), (0, 0));
    server.verb(Verb::Enter { virtual_host }).expect("it is there");
    for queue in report.queues {
        assert_eq!((queue.unacked, queue.consumers), (0, 0));
        let (name, if_unused, if_empty) = (&*queue.name, false, false);
        server.verb(Verb::DeleteQueue { name, if_unused, if_empty }).expect("a queue that is left can be deleted");
    }
    assert_eq!(report_of(server).memory_bytes, 0);
}

impl Connection {
    fn new(server: &mut Server, greeting: Vec<u8>) -> Self {
        let id = server.connect_amqp(Peer { loopback: true, ..Peer::default() });
        server.receive(id, &greeting);
        Self { id, witness: Witness::default(), outgoing: Vec::new(), takes: usize::MAX, is_behind: false }
    }
}

fn handshake(virtual_host: &str, heartbeat_s: u16) -> Vec<u8> {
    let capabilities = ["consumer_cancel_notify", "authentication_failure_close", "connection.blocked"];
    let channels = (1..=CHANNELS).flat_map(|channel| open_channel().on(channel)).collect();
    let agreed = tune_ok(0, FRAME_MAX as u32, heartbeat_s).on(0);
    [HEADER.to_vec(), plain_login(&capabilities).on(0), agreed, open(virtual_host).on(0), channels].concat()
}

/// Chooses a frame of any kind, or random bytes.
fn noise(choices: &mut Choices, channel: u16) -> Vec<u8> {
    match choices.below(4) {
        0 => frame(8, 0, b""),
        1 => frame(choices.octet() % 10, channel, choices.bytes()),
        2 => frame(1, channel, &[&[0, choices.pick(&[10, 20, 40, 50, 60, 85, 90]), 0][..], choices.bytes()].concat()),
        _ => choices.bytes().to_vec(),
    }
}
