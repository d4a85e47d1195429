//! Tests: what waits, what passes by, and what becomes of it when nothing can be durable any more.

use super::*;
use crate::access::GuestOnly;
use crate::broker::{Config, Event, Location, Pager};
use crate::id::TransportId;
use crate::limits::Limits;
use crate::protocol::amqp::Peer;
use crate::table::Table;
use crate::virtual_host::VirtualHosts;

const OPEN_OK: &str = "channel.open-ok";
const DECLARE_OK: &str = "queue.declare-ok";
const QOS_OK: &str = "basic.qos-ok";
const CONSUME_OK: &str = "basic.consume-ok";
const GET_OK: &str = "basic.get-ok";
const DELIVER: &str = "basic.deliver";
const CHANNEL_CLOSE: &str = "channel.close";
const CHANNEL_CLOSE_OK: &str = "channel.close-ok";
const CLOSE: &str = "connection.close";
const CLOSE_OK: &str = "connection.close-ok";

/// Nothing comes back from there.
struct Nowhere;

impl Pager for Nowhere {
    fn read(&mut self, _: Location, _: u32) -> Option<&[u8]> {
        None
    }
}

/// A peer on an open connection with two open channels, in the time of write 1.
struct Line {
    connection: Connection,
    virtual_hosts: VirtualHosts,
    durability: Durability,
}

impl Line {
    fn open() -> Self {
        Self::open_with(Limits::default())
    }

    fn open_with(limits: Limits) -> Self {
        let peer = Peer { loopback: true, ..Peer::default() };
        let connection = Connection::new(TransportId::from_index(0), peer, &limits, 0);
        let mut virtual_hosts = VirtualHosts::new(Config { seed: [7; 32], limits });
        virtual_hosts.first_mut().broker.keep_facts(Box::new(Nowhere));
        let durability = Durability { next_write: 1, ..Durability::default() };
        let mut line = Self { connection, virtual_hosts, durability };
        line.act(|connection, realm| connection.receive(b"AMQP\0\0\x09\x01", realm));
        line.heard();
        let (tune_ok, open) = ([0, 10, 0, 31, 0, 0, 0, 0, 0, 0, 0, 0], [0, 10, 0, 40, 1, b'/', 0, 0]);
        line.ask(0, &start_ok());
        line.send(0, &tune_ok);
        line.send(0, &open);
        line.send(1, &open_channel());
        line.send(2, &open_channel());
        assert_eq!(line.heard()[1..], [on(1, [OPEN_OK]), on(2, [OPEN_OK])].concat());
        line
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Connection, &mut Realm<'_>) -> T) -> T {
        let Self { connection, virtual_hosts, durability, .. } = self;
        act(connection, &mut Realm { virtual_hosts, access: &mut GuestOnly, now_ms: 0, durability: *durability })
    }

    fn send(&mut self, channel: u16, method: &[u8]) {
        let bytes = frame(1, channel, method);
        self.act(|connection, realm| connection.receive(&bytes, realm));
        while self.connection.awaits_deliveries() {
            self.deliver();
            self.act(Connection::advance);
        }
    }

    /// Sends this and answers what is heard at once.
    fn ask(&mut self, channel: u16, method: &[u8]) -> Vec<(u16, String)> {
        self.send(channel, method);
        self.heard()
    }

    fn publish(&mut self, channel: u16, routing_key: &str, mandatory: bool) {
        let publish = [&[0, 60, 0, 40, 0, 0, 0][..], &text(routing_key), &[mandatory.into()]].concat();
        // With a delivery mode of 2, and one octet of body.
        let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 0, 2];
        let bytes = [frame(1, channel, &publish), frame(2, channel, &header), frame(3, channel, b"x")].concat();
        self.act(|connection, realm| connection.receive(&bytes, realm));
    }

    fn deliver(&mut self) {
        while let Some(event) = self.virtual_hosts.first_mut().broker.poll() {
            let Event::Delivery(delivery) = event else { panic!("{event:?}") };
            self.connection.deliver(&delivery);
        }
    }

    /// Another write begins.
    fn write(&mut self) {
        self.durability.next_write += 1;
    }

    fn flush(&mut self, durable_write: u64) -> Vec<(u16, String)> {
        self.durability.durable_write = durable_write;
        self.connection.flushed(durable_write);
        self.heard()
    }

    fn fail(&mut self) -> Vec<(u16, String)> {
        self.durability.has_failed = true;
        self.act(|connection, realm| connection.journal_failed("no space", realm));
        self.heard()
    }

    /// The methods in the output.
    fn heard(&mut self) -> Vec<(u16, String)> {
        let bytes = self.connection.output().to_vec();
        self.connection.output_taken(bytes.len());
        let (mut rest, mut heard) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let size = u32::from_be_bytes(rest[3..7].try_into().unwrap()) as usize;
            if rest[0] == 1 {
                heard.push((u16::from_be_bytes([rest[1], rest[2]]), name(&rest[7..7 + size])));
            }
            rest = &rest[8 + size..];
        }
        heard
    }
}

fn name(method: &[u8]) -> String {
    let tag = |method: &[u8]| u64::from_be_bytes(method[4..12].try_into().unwrap());
    let many = |method: &[u8]| if method[12] & 1 == 1 { "..." } else { "" };
    match (method[1], method[3]) {
        (10, 50) => format!("{CLOSE} {}", u16::from_be_bytes([method[4], method[5]])),
        (10, 51) => CLOSE_OK.into(),
        (20, 11) => OPEN_OK.into(),
        (20, 40) => CHANNEL_CLOSE.into(),
        (20, 41) => CHANNEL_CLOSE_OK.into(),
        (50, 11) => DECLARE_OK.into(),
        (60, 11) => QOS_OK.into(),
        (60, 21) => CONSUME_OK.into(),
        (60, 50) => "basic.return".into(),
        (60, 60) => DELIVER.into(),
        (60, 71) => GET_OK.into(),
        (60, 80) => format!("basic.ack {}{}", many(method), tag(method)),
        (60, 120) => format!("basic.nack {}{}", many(method), tag(method)),
        (class, method) => format!("{class}.{method}"),
    }
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let size = payload.len() as u32;
    [&[kind], &channel.to_be_bytes()[..], &size.to_be_bytes(), payload, &[0xCE]].concat()
}

fn text(text: &str) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes()].concat()
}

fn start_ok() -> Vec<u8> {
    let response = b"\0guest\0guest";
    [&[0, 10, 0, 11, 0, 0, 0, 0], &text("PLAIN")[..], &[0, 0, 0, response.len() as u8], response, &text("en_US")]
        .concat()
}

fn open_channel() -> Vec<u8> {
    vec![0, 20, 0, 10, 0]
}

fn close(class: u8, method: u8) -> Vec<u8> {
    vec![0, class, 0, method, 0, 200, 0, 0, 0, 0, 0]
}

fn close_channel() -> Vec<u8> {
    close(20, 40)
}

fn close_connection() -> Vec<u8> {
    close(10, 50)
}

/// A durable queue; with `bits` 8 it goes with its last consumer.
fn declare_with(name: &str, bits: u8, arguments: &Table) -> Vec<u8> {
    let mut entries = Vec::new();
    arguments.encode(&mut entries).unwrap();
    [&[0, 50, 0, 10, 0, 0][..], &text(name), &[2 | bits], &(entries.len() as u32).to_be_bytes(), &entries].concat()
}

fn declare(name: &str) -> Vec<u8> {
    declare_with(name, 0, &Table::new())
}

fn consume(queue: &str) -> Vec<u8> {
    [&[0, 60, 0, 20, 0, 0][..], &text(queue), &text("c"), &[0, 0, 0, 0, 0]].concat()
}

fn get(queue: &str) -> Vec<u8> {
    [&[0, 60, 0, 70, 0, 0][..], &text(queue), &[0]].concat()
}

/// Causes nothing that outlives the connection.
fn qos() -> Vec<u8> {
    vec![0, 60, 0, 10, 0, 0, 0, 0, 0, 0, 0]
}

fn select_confirms() -> Vec<u8> {
    vec![0, 85, 0, 10, 1]
}

fn on<const N: usize>(channel: u16, names: [&str; N]) -> Vec<(u16, String)> {
    names.iter().map(|&name| (channel, name.to_owned())).collect()
}

#[test]
fn an_answer_waits_for_what_its_command_has_caused() {
    let mut line = Line::open();
    assert_eq!(line.ask(1, &declare("q")), []);
    assert!(line.connection.waits());
    assert_eq!(line.flush(1), on(1, [DECLARE_OK]));
    assert!(!line.connection.waits());
    assert_eq!(line.ask(1, &qos()), on(1, [QOS_OK]));
}

#[test]
fn without_a_journal_nothing_waits() {
    let mut line = Line::open();
    line.durability = Durability::default();
    assert_eq!(line.ask(1, &declare("q")), on(1, [DECLARE_OK]));
    assert_eq!(line.ask(0, &close_connection()), on(0, [CLOSE_OK]));
    assert!(line.connection.is_closed());
}

#[test]
fn answers_keep_their_order_within_a_channel_and_those_of_others_pass_by() {
    let mut line = Line::open();
    line.send(1, &declare("q"));
    line.send(1, &qos());
    assert_eq!(line.ask(2, &qos()), on(2, [QOS_OK]));
    line.write();
    assert_eq!(line.ask(2, &declare("r")), []);
    line.send(1, &qos());
    assert_eq!(line.flush(1), on(1, [DECLARE_OK, QOS_OK, QOS_OK]));
    assert_eq!(line.ask(1, &qos()), on(1, [QOS_OK]));
    assert_eq!(line.flush(2), on(2, [DECLARE_OK]));
}

#[test]
fn what_waits_for_a_later_write_is_passed_by_from_another_channel() {
    let mut line = Line::open();
    line.send(2, &declare("r"));
    line.write();
    line.send(1, &declare("q"));
    line.send(2, &qos());
    assert_eq!(line.flush(1), on(2, [DECLARE_OK, QOS_OK]));
    assert_eq!(line.flush(2), on(1, [DECLARE_OK]));
}

#[test]
fn what_has_no_answer_is_waited_for_by_the_next_answer() {
    let mut line = Line::open();
    line.send(1, &declare("q"));
    line.flush(1);
    line.write();
    line.publish(1, "q", false);
    assert!(!line.connection.waits());
    assert_eq!(line.ask(1, &qos()), []);
    assert_eq!(line.flush(2), on(1, [QOS_OK]));
}

#[test]
fn deliveries_pass_by_but_never_their_consumers_beginning() {
    let mut line = Line::open();
    line.send(1, &declare("q"));
    line.flush(1);
    line.write();
    line.publish(1, "q", false);
    line.send(1, &consume("q"));
    line.write();
    line.send(1, &declare("r"));
    line.deliver();
    assert_eq!(line.heard(), []);
    assert_eq!(line.flush(2), on(1, [CONSUME_OK, DELIVER]));
    line.publish(2, "q", false);
    line.deliver();
    assert_eq!(line.heard(), on(1, [DELIVER]));
    assert_eq!(line.flush(3), on(1, [DECLARE_OK]));
}

#[test]
fn deliveries_never_overtake_a_message_that_was_asked_for_before() {
    let mut line = Line::open();
    line.send(1, &declare("q"));
    line.send(1, &declare("r"));
    line.send(1, &consume("r"));
    line.publish(2, "q", false);
    line.flush(1);
    line.write();
    line.publish(1, "nowhere", false);
    line.publish(1, "q", false);
    line.send(1, &get("q"));
    line.publish(2, "r", false);
    line.deliver();
    assert_eq!(line.heard(), []);
    assert_eq!(line.flush(2), on(1, [GET_OK, DELIVER]));
}

#[test]
fn who_does_not_ack_in_time_hears_of_it_after_all_answers() {
    let mut line = Line::open();
    line.send(1, &declare("q"));
    let Line { connection, virtual_hosts, durability } = &mut line;
    connection.ack_timed_out(1, 5, virtual_hosts.first_mut(), *durability);
    assert_eq!(line.heard(), []);
    assert_eq!(line.flush(1), on(1, [DECLARE_OK, CHANNEL_CLOSE]));
}

#[test]
fn confirms_leave_together() {
    let mut line = Line::open();
    for channel in [1, 2] {
        line.send(channel, &select_confirms());
    }
    line.send(1, &declare("q"));
    line.flush(1);
    line.write();
    line.publish(1, "q", false);
    line.publish(1, "q", false);
    line.write();
    line.publish(1, "q", false);
    line.publish(2, "nowhere", false);
    assert_eq!(line.heard(), on(2, ["basic.ack 1"]));
    line.write();
    line.publish(1, "q", false);
    assert_eq!(line.flush(3), on(1, ["basic.ack ...3"]));
    assert_eq!(line.flush(4), on(1, ["basic.ack 4"]));
}

#[test]
fn acks_and_nacks_keep_their_order_and_returns_come_first() {
    let mut line = Line::open();
    let mut arguments = Table::new();
    arguments.insert("x-max-length", 1);
    arguments.insert("x-overflow", "reject-publish");
    line.send(1, &declare_with("small", 0, &arguments));
    line.send(1, &declare("q"));
    line.flush(1);
    line.send(1, &select_confirms());
    line.write();
    for queue in ["small", "q", "small", "small", "q"] {
        line.publish(1, queue, false);
    }
    line.publish(1, "nowhere", true);
    let expected = ["basic.ack ...2", "basic.nack ...4", "basic.ack 5", "basic.return", "basic.ack 6"];
    assert_eq!(line.flush(2), on(1, expected));
}

#[test]
fn a_channel_closes_after_all_that_it_has_caused() {
    let mut line = Line::open();
    line.send(1, &declare("q"));
    assert_eq!(line.ask(1, &close_channel()), []);
    // Its number is not free before the answer; a peer that takes it has to wait as well.
    assert_eq!(line.ask(1, &open_channel()), []);
    assert_eq!(line.flush(1), on(1, [DECLARE_OK, CHANNEL_CLOSE_OK, OPEN_OK]));
}

#[test]
fn what_closing_causes_is_waited_for() {
    let mut line = Line::open();
    line.send(1, &declare_with("q", 8, &Table::new()));
    line.send(1, &consume("q"));
    line.flush(1);
    line.write();
    assert_eq!(line.ask(1, &close_channel()), []);
    assert_eq!(line.flush(2), on(1, [CHANNEL_CLOSE_OK]));
}

#[test]
fn a_refusal_follows_the_answers_before_it() {
    let mut line = Line::open();
    line.send(1, &declare("q"));
    assert_eq!(line.ask(1, &consume("missing")), []);
    assert_eq!(line.ask(1, &close_channel()), []);
    assert_eq!(line.flush(1), on(1, [DECLARE_OK, CHANNEL_CLOSE, CHANNEL_CLOSE_OK]));
}

#[test]
fn a_connection_closes_after_all_that_its_channels_have_caused() {
    let mut line = Line::open();
    line.send(1, &declare("q"));
    line.write();
    line.send(2, &declare("r"));
    assert_eq!(line.ask(0, &close_connection()), []);
    assert!(!line.connection.is_closed() && !line.connection.wants_input());
    assert_eq!(line.flush(1), on(1, [DECLARE_OK]));
    assert!(!line.connection.is_closed());
    assert_eq!(line.flush(2), [on(2, [DECLARE_OK]), on(0, [CLOSE_OK])].concat());
    assert!(line.connection.is_closed());
}

#[test]
fn what_a_connections_end_causes_is_waited_for() {
    let mut line = Line::open();
    line.send(1, &declare_with("q", 8, &Table::new()));
    line.send(1, &consume("q"));
    line.flush(1);
    line.write();
    assert_eq!(line.ask(0, &close_connection()), []);
    assert_eq!(line.flush(2), on(0, [CLOSE_OK]));
}

#[test]
fn who_is_asked_to_close_hears_all_answers_before() {
    let mut line = Line::open();
    line.send(1, &declare("q"));
    line.act(|connection, realm| connection.force_close("enough", realm));
    assert_eq!(line.ask(0, &close_connection()), []);
    assert_eq!(line.flush(1), [on(1, [DECLARE_OK]), on(0, ["connection.close 320", CLOSE_OK])].concat());
}

#[test]
fn who_is_gone_is_not_waited_for() {
    let mut line = Line::open();
    line.send(1, &declare("q"));
    line.act(|connection, realm| connection.disconnected(realm));
    assert!(!line.connection.waits() && line.connection.is_closed());
    assert_eq!(line.flush(1), []);
    assert_eq!(line.fail(), []);
}

#[test]
fn who_lets_much_wait_is_behind() {
    let mut line = Line::open_with(Limits { output_high_bytes: 60, ..Limits::default() });
    line.send(1, &declare("q"));
    assert!(line.connection.wants_input() && !line.connection.is_behind());
    for _ in 0..5 {
        line.send(1, &qos());
    }
    assert!(!line.connection.wants_input() && line.connection.is_behind());
    assert_eq!(line.flush(1), on(1, [DECLARE_OK, QOS_OK, QOS_OK, QOS_OK, QOS_OK]));
    assert!(line.connection.wants_input());
    line.act(|connection, realm| connection.advance(realm));
    assert_eq!(line.heard(), on(1, [QOS_OK]));
}

#[test]
fn when_the_journal_has_failed_messages_that_wait_are_refused() {
    let mut line = Line::open();
    line.send(1, &declare("q"));
    line.send(1, &select_confirms());
    line.flush(1);
    line.write();
    for _ in 0..3 {
        line.publish(1, "q", false);
    }
    line.write();
    line.publish(1, "q", false);
    assert_eq!(line.fail(), on(1, ["basic.nack ...4"]));
    assert!(!line.connection.waits() && line.connection.wants_input());
    assert_eq!(line.ask(2, &qos()), on(2, [QOS_OK]));
    line.publish(1, "nowhere", false);
    assert_eq!(line.heard(), on(1, ["basic.nack 5"]));
    assert_eq!(line.ask(1, &qos()), on(0, ["connection.close 541"]));
}

#[test]
fn when_the_journal_has_failed_other_answers_that_wait_end_the_connection() {
    let mut line = Line::open();
    line.send(2, &select_confirms());
    line.send(1, &declare("q"));
    line.publish(2, "q", false);
    assert_eq!(line.fail(), [on(2, ["basic.nack 1"]), on(0, ["connection.close 541"])].concat());
    assert!(!line.connection.waits() && !line.connection.is_closed());
    line.send(0, &[0, 10, 0, 51]);
    assert!(line.connection.is_closed());
}

#[test]
fn a_clean_end_that_cannot_be_durable_is_none() {
    for by_then in [true, false] {
        let mut line = Line::open();
        line.send(1, &declare("q"));
        line.publish(1, "q", false);
        line.durability.durable_write = 1;
        line.connection.flushed(1);
        line.heard();
        line.write();
        line.publish(1, "q", false);
        line.durability.has_failed = by_then;
        let heard = line.ask(0, &close_connection());
        let heard = if by_then { heard } else { line.fail() };
        assert_eq!(heard, on(0, ["connection.close 541"]));
        assert!(!line.connection.is_closed());
        line.send(0, &[0, 10, 0, 51]);
        assert!(line.connection.is_closed());
    }
}

#[test]
fn when_the_journal_has_failed_the_operator_ends_connections_at_once() {
    let mut line = Line::open();
    line.publish(1, "nowhere", false);
    line.send(1, &declare("q"));
    line.heard();
    line.durability.has_failed = true;
    line.act(|connection, realm| connection.force_close("enough", realm));
    assert_eq!(line.heard(), on(0, ["connection.close 541"]));
    assert_eq!(line.ask(0, &close_connection()), on(0, [CLOSE_OK]));
}
