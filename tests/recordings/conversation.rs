//! Conversation: a server that talks with several peers and the embedding program, whose host changes its mind.

use super::peer::{
    HEADER, ack, consume, declare_queue, get, open, open_channel, publish, select_confirms, start_ok, tune_ok,
};
use super::store::Bytes;
use super::{Output, check_same};
use pocketmq::access::{Access, Limited, Permission};
use pocketmq::broker::{ApplyTo, Config, Consume, Matcher, Policy};
use pocketmq::embedded::Verb;
use pocketmq::id::TransportId;
use pocketmq::journal::Options;
use pocketmq::limits::Limits;
use pocketmq::protocol::Peer as Origin;
use pocketmq::recording::Recording;
use pocketmq::server::Server;
use pocketmq::table::Table;

/// A host that answers each question otherwise than the last time.
#[derive(Debug, Default)]
struct Fickle {
    asked: usize,
}

impl Fickle {
    fn agrees(&mut self) -> bool {
        self.asked += 1;
        self.asked.is_multiple_of(3)
    }
}

impl Access for Fickle {
    fn log_in(&mut self, user: &str, _: &str, _: bool) -> Option<Box<str>> {
        Some(user.into())
    }

    fn log_in_by_certificate(&mut self, _: &str) -> Option<Box<str>> {
        None
    }

    fn may_enter(&mut self, _: &str, _: &str) -> bool {
        true
    }

    fn permits_all(&mut self, user: &str, _: &str) -> bool {
        user != "fickle"
    }

    fn permits(&mut self, _: &str, _: &str, _: Permission, _: &str) -> bool {
        self.agrees()
    }

    fn limit(&mut self, _: &str, _: Limited) -> Option<usize> {
        Some(40)
    }

    fn update_secret(&mut self, _: &str, _: &str) -> bool {
        false
    }
}

/// A host that keeps all output.
struct Host {
    server: Server,
    now_ms: u64,
    output: Output,
}

impl Host {
    /// Opens a connection, and channel 1.
    fn connect(&mut self, user: &str, virtual_host: &str) -> TransportId {
        let id = self.server.connect_amqp(Origin { loopback: true, name: user.into(), ..Origin::default() });
        let login = start_ok("PLAIN", format!("\0{user}\0{user}").as_bytes(), &["consumer_cancel_notify"]);
        let frames = [login.on(0), tune_ok(0, 0, 60).on(0), open(virtual_host).on(0), open_channel().on(1)];
        self.send(id, &[HEADER.to_vec(), frames.concat()].concat());
        id
    }

    fn send(&mut self, id: TransportId, bytes: &[u8]) {
        self.server.receive(id, bytes);
        self.turn();
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.turn();
    }

    fn turn(&mut self) {
        loop {
            self.server.turn(self.now_ms);
            while let Some(id) = self.server.next_output() {
                let bytes = self.server.output(id).to_vec();
                if !bytes.is_empty() {
                    self.server.output_taken(id, bytes.len());
                    self.output.entry(id).or_default().extend(bytes);
                } else if self.server.is_closed(id) {
                    self.server.disconnected(id);
                }
            }
            if self.server.wants_flush() {
                let mark = self.server.start_flush();
                self.server.flushed(mark);
            } else if !self.server.wants_turn() {
                break;
            }
        }
    }
}

/// Talks with a server in several ways; returns the output.
fn converse(server: Server) -> Output {
    let mut host = Host { server, now_ms: 0, output: Output::new() };
    host.server.set_access(Box::new(Fickle::default()));
    host.server.set_matcher(Matcher::new(|pattern, name| name.starts_with(pattern.trim_start_matches('^'))));
    host.server.add_virtual_host("other");
    host.turn();
    let definition = [("max-length", 5)].into_iter().collect();
    let policy = &Policy { pattern: "^q".into(), apply_to: ApplyTo::Queues, priority: 0, definition };
    host.server.verb(Verb::SetPolicy { name: "short", policy }).unwrap();
    let first = host.connect("guest", "/");
    host.send(first, &[declare_queue("q", 2).on(1), declare_queue("", 0).on(1), select_confirms().on(1)].concat());
    host.send(first, &consume("q", "tag", 0).on(1));
    for number in 0..20_u64 {
        host.send(first, &publish(1, "q", &[b'x'; 100]));
        host.send(first, &ack(number + 1, false).on(1));
        host.pass(500 * number);
    }
    // As long as the policy permits, which is a matter of the matcher.
    let many = (0..8).flat_map(|_| publish(1, "quiet", b"x")).collect();
    host.send(first, &[declare_queue("quiet", 0).on(1), many, declare_queue("quiet", 1).on(1)].concat());
    let arguments = &Table::new();
    let consume = Consume { queue: "q", consumer_tag: "", no_ack: false, exclusive: false, arguments };
    host.server.verb(Verb::Consume { consume, prefetch: 3 }).unwrap();
    let second = host.connect("guest", "other");
    host.send(second, &declare_queue("", 4).on(1));
    host.send(first, &[publish(1, "q", b"for the client"), publish(1, "q", b"for the program")].concat());
    assert!(host.server.embedded().batch().ends_with(b"for the program"));
    host.server.verb(Verb::AckBatch { delivery_tags: &[1.0] }).unwrap();
    host.server.verb(Verb::ClearBatch).unwrap();
    let third = host.connect("fickle", "/");
    for number in 0..12 {
        host.send(third, &[open_channel().on(number + 2), get("q", true).on(number + 2)].concat());
    }
    host.server.delete_virtual_host("other");
    host.pass(100_000);
    host.output
}

fn config() -> Config {
    Config { seed: [7; 32], limits: Limits::default() }
}

#[test]
fn a_conversation_in_memory_is_replayed_byte_for_byte() {
    let (server, recording) = Recording::start(config());
    let output = converse(server);
    assert_eq!(output.len(), 3);
    check_same(&recording.take(), &output);
}

#[test]
fn conversations_with_a_journal_are_replayed_byte_for_byte() {
    let store = Bytes::default();
    for _ in 0..2 {
        let (opened, recording) = Recording::open(config(), Box::new(store.clone()), &Options::default(), 0);
        let output = converse(opened.unwrap().0);
        assert_eq!(output.len(), 3);
        check_same(&recording.take(), &output);
    }
}
