//! Conversations: some peers and a server, with time passing; whatever they say, the server keeps its rules. Every other
//! input has one that keeps a journal, from which another server begins in the end.

use std::cell::RefCell;
use std::rc::Rc;

use pocketmq::broker::{Broker, Config};
use pocketmq::id::TransportId;
use pocketmq::journal::Options;
use pocketmq::limits::Limits;
use pocketmq::protocol::amqp::Peer;
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
/// Where there is a journal, bodies beyond this are only there.
const MEMORY_PAGE: usize = 3_000;
const SEGMENT_BYTES: u64 = 4_096;
/// What the broker itself writes on a message that it has, such as x-death, is never refused.
const OWN_HEADERS_MAX: usize = 600;
const OUTPUT_HIGH: usize = 4096;
/// What one answer can add to an output that was not above the limit yet.
const ANSWER_MAX: usize = 12_000;
/// So much that a conversation is not endless.
const STEPS_MAX: usize = 400;
/// A peer that takes little at a time goes on later.
const ROUNDS_MAX: usize = 20;
/// All that was delayed is over then.
const LONG_MS: u64 = 1 << 33;
const ENDINGS: usize = 8;
const BEGINNING_MS: u64 = 1_700_000_000_000;

fn config() -> Config {
    Config { seed: [7; 32], limits: limits() }
}

/// A server that goes on with what is in the store.
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
    seats: Vec<Seat>,
}

/// One peer's end of its transport.
struct Seat {
    id: TransportId,
    witness: Witness,
    /// What it has not sent yet.
    outgoing: Vec<u8>,
    /// It takes so much of what it is sent at a time.
    takes: usize,
    /// It has not taken all.
    is_behind: bool,
}

impl World {
    fn new(journal: Option<Bytes>) -> Self {
        let mut server = match &journal {
            Some(store) => opened(store, BEGINNING_MS),
            None => Server::new(config()),
        };
        server.virtual_hosts_mut().add(OTHER);
        let seats = (0..PEERS).map(|_| Seat::new(&mut server, handshake("/", 0))).collect();
        let mut world = Self { server, journal, now_ms: BEGINNING_MS, seats };
        world.settle();
        world
    }

    fn step(&mut self, choices: &mut Choices) {
        let (what, who) = (choices.octet(), choices.octet());
        let peer = usize::from(who) % PEERS;
        let channel = u16::from(who >> 2) % CHANNELS + 1;
        let seat = &mut self.seats[peer];
        match what % 32 {
            0..=14 => seat.outgoing.extend(requests::method(choices, channel, &seat.witness).on(channel)),
            15..=23 => seat.outgoing.extend(requests::message(choices, channel)),
            24..=27 => self.now_ms += choices.pick(&[0, 1, 10, 1000, 25_000, 100_000]),
            28 => seat.outgoing.extend(noise(choices, channel)),
            29 => seat.takes = choices.pick(&[usize::MAX, 0, 1, 1000]),
            30 => self.server.hold(seat.id, choices.octet().is_multiple_of(2)),
            _ => self.reconnect(peer, choices),
        }
        // Some of what a peer says arrives together.
        if what < 160 {
            self.send(peer, choices.pick(&[usize::MAX, usize::MAX, 1, 50]));
            self.settle();
        }
    }

    fn send(&mut self, peer: usize, part: usize) {
        let seat = &mut self.seats[peer];
        let outgoing = std::mem::take(&mut seat.outgoing);
        for part in outgoing.chunks(part) {
            self.server.receive(seat.id, part);
        }
    }

    /// The transport ends without a word, or after one.
    fn reconnect(&mut self, peer: usize, choices: &mut Choices) {
        let how = choices.octet();
        if how.is_multiple_of(2) {
            self.seats[peer].outgoing.extend(close_connection().on(0));
            self.send(peer, usize::MAX);
            self.settle();
        }
        self.server.disconnected(self.seats[peer].id);
        let greeting = match how % 8 {
            7 => choices.bytes().to_vec(),
            heartbeat => handshake(choices.pick(&["/", "/", OTHER, "missing"]), heartbeat.into()),
        };
        self.seats[peer] = Seat::new(&mut self.server, greeting);
    }

    /// The host's part: time, output, and the answers that a client gives without being asked to.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            self.server.turn(self.now_ms, &mut ());
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

    /// Answers whether anything was written.
    fn write(&mut self, peer: usize, ready: &[TransportId]) -> bool {
        let seat = &mut self.seats[peer];
        let output = self.server.output(seat.id);
        let is_told = seat.is_behind || ready.contains(&seat.id);
        assert!(is_told || output.is_empty() && !self.server.is_closed(seat.id), "the host does not know of output");
        let taken = output.len().min(seat.takes);
        seat.witness.hear(&output[..taken]);
        seat.is_behind = taken < output.len();
        if taken > 0 {
            self.server.output_taken(seat.id, taken);
        }
        if !seat.is_behind && self.server.is_closed(seat.id) && self.server.output(seat.id).is_empty() {
            seat.witness.part();
            self.server.disconnected(seat.id);
            *seat = Seat::new(&mut self.server, handshake("/", 0));
        }
        taken > 0
    }

    fn respond(&mut self, peer: usize) -> bool {
        let Seat { id, witness, .. } = &mut self.seats[peer];
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
        for seat in &self.seats {
            assert!(self.server.output(seat.id).len() <= OUTPUT_HIGH + ANSWER_MAX);
        }
    }

    /// When everybody has gone, nothing is left but what queues hold, and then nothing at all.
    fn close_down(mut self) {
        for seat in std::mem::take(&mut self.seats) {
            self.server.disconnected(seat.id);
        }
        self.server.turn(self.now_ms, &mut ());
        if let Some(store) = &self.journal {
            // As it would be after a crash now, beside the files that the server goes on with.
            let crashed = Bytes(Rc::new(RefCell::new(store.0.borrow().clone())));
            end(opened(&crashed, self.now_ms), self.now_ms);
        }
        end(self.server, self.now_ms);
    }
}

/// The disk's part. Answers whether there was need to.
fn flush(server: &mut Server) -> bool {
    let has_to = server.wants_flush();
    if has_to {
        let mark = server.start_flush();
        server.flushed(mark);
    }
    has_to
}

/// Lets everything expire that does, and empties what is left, when all peers have gone.
fn end(mut server: Server, mut now_ms: u64) {
    // What is dead-lettered may be delayed after that.
    for _ in 0..ENDINGS {
        now_ms += LONG_MS;
        server.turn(now_ms, &mut ());
        flush(&mut server);
    }
    let hosts = server.virtual_hosts_mut();
    for id in hosts.iter().map(VirtualHost::id).collect::<Vec<_>>() {
        empty(hosts.broker_mut(id).expect("a virtual host that is there"));
    }
}

/// Deletes what is left, when all connections have gone; then nothing is.
fn empty(broker: &mut Broker) {
    let report = broker.report();
    assert_eq!((report.connections, report.channels), (0, 0));
    let connection = broker.open_connection();
    let channel = broker.open_channel(connection, 1);
    for queue in report.queues {
        assert_eq!((queue.unacked, queue.consumers), (0, 0));
        broker.delete_queue(channel, &queue.name, false, false).expect("a queue that is left can be deleted");
    }
    assert_eq!(broker.memory_bytes(), 0);
}

impl Seat {
    fn new(server: &mut Server, greeting: Vec<u8>) -> Self {
        let id = server.connect(Peer { loopback: true, ..Peer::default() });
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

/// A frame of any kind, or no frame at all.
fn noise(choices: &mut Choices, channel: u16) -> Vec<u8> {
    match choices.below(4) {
        0 => frame(8, 0, b""),
        1 => frame(choices.octet() % 10, channel, choices.bytes()),
        2 => frame(1, channel, &[&[0, choices.pick(&[10, 20, 40, 50, 60, 85, 90]), 0][..], choices.bytes()].concat()),
        _ => choices.bytes().to_vec(),
    }
}
