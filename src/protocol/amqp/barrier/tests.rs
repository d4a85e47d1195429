//! Tests: which replies wait, which do not, and what is sent instead once the journal has failed.

use super::*;
use crate::access::GuestOnly;
use crate::broker::{Config, Event, Location, Pager};
use crate::id::TransportId;
use crate::limits::Limits;
use crate::protocol::{Peer, Session};
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

/// A pager that finds nothing.
struct EmptyPager;

impl Pager for EmptyPager {
    fn read(&mut self, _: Location, _: u32) -> Option<&[u8]> {
        None
    }
}

/// An open connection with two open channels; facts go to write 1.
struct Client {
    connection: Connection,
    virtual_hosts: VirtualHosts,
    durability: Durability,
}

impl Client {
    fn open() -> Self {
        Self::open_with(Limits::default())
    }

    fn open_with(limits: Limits) -> Self {
        let peer = Peer { loopback: true, ..Peer::default() };
        let connection = Connection::new(TransportId::from_index(0), peer, &limits, 0);
        let mut virtual_hosts = VirtualHosts::new(Config { seed: [7; 32], limits });
        virtual_hosts.first_mut().broker.keep_facts(Box::new(EmptyPager));
        let durability = Durability { next_write: 1, ..Durability::default() };
        let mut client = Self { connection, virtual_hosts, durability };
        client.act(|connection, context| connection.receive(b"AMQP\0\0\x09\x01", context));
        client.sent();
        let (tune_ok, open) = ([0, 10, 0, 31, 0, 0, 0, 0, 0, 0, 0, 0], [0, 10, 0, 40, 1, b'/', 0, 0]);
        client.ask(0, &start_ok());
        client.send(0, &tune_ok);
        client.send(0, &open);
        client.send(1, &open_channel());
        client.send(2, &open_channel());
        assert_eq!(client.sent()[1..], [on(1, [OPEN_OK]), on(2, [OPEN_OK])].concat());
        client
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Connection, &mut Context<'_>) -> T) -> T {
        let Self { connection, virtual_hosts, durability, .. } = self;
        act(connection, &mut Context { virtual_hosts, access: &mut GuestOnly, now_ms: 0, durability: *durability })
    }

    fn send(&mut self, channel: u16, method: &[u8]) {
        let bytes = frame(1, channel, method);
        self.act(|connection, context| connection.receive(&bytes, context));
        while self.connection.awaits_deliveries {
            self.deliver();
            self.act(|connection, context| connection.advance(context));
        }
    }

    /// Sends a method, and returns the methods that were sent back at once.
    fn ask(&mut self, channel: u16, method: &[u8]) -> Vec<(u16, String)> {
        self.send(channel, method);
        self.sent()
    }

    fn publish(&mut self, channel: u16, routing_key: &str, mandatory: bool) {
        let publish = [&[0, 60, 0, 40, 0, 0, 0][..], &text(routing_key), &[mandatory.into()]].concat();
        // With a delivery mode of 2, and one octet of body.
        let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0x10, 0, 2];
        let bytes = [frame(1, channel, &publish), frame(2, channel, &header), frame(3, channel, b"x")].concat();
        self.act(|connection, context| connection.receive(&bytes, context));
    }

    fn deliver(&mut self) {
        while let Some(event) = self.virtual_hosts.first_mut().broker.poll() {
            let Event::Delivery(delivery) = event else { panic!("{event:?}") };
            self.connection.deliver(&delivery);
        }
    }

    /// Begins another write.
    fn write(&mut self) {
        self.durability.next_write += 1;
    }

    fn flush(&mut self, durable_write: u64) -> Vec<(u16, String)> {
        self.durability.durable_write = durable_write;
        self.connection.flushed(durable_write);
        self.sent()
    }

    fn fail(&mut self) -> Vec<(u16, String)> {
        self.durability.has_failed = true;
        self.act(|connection, context| connection.journal_failed("no space", context));
        self.sent()
    }

    fn awaits_flush(&self) -> bool {
        self.connection.state().awaits_flush
    }

    fn is_closed(&self) -> bool {
        self.connection.state().is_closed
    }

    /// Takes the output, and returns its methods.
    fn sent(&mut self) -> Vec<(u16, String)> {
        let bytes = self.connection.output().to_vec();
        self.act(|connection, context| connection.output_taken(bytes.len(), context));
        let (mut rest, mut sent) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let size = u32::from_be_bytes(rest[3..7].try_into().unwrap()) as usize;
            if rest[0] == 1 {
                sent.push((u16::from_be_bytes([rest[1], rest[2]]), name(&rest[7..7 + size])));
            }
            rest = &rest[8 + size..];
        }
        sent
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

/// Declares a durable queue; with `bits` 8 it is deleted with its last consumer.
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

/// Changes nothing that outlives the connection.
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
fn a_reply_waits_for_the_facts_of_its_method() {
    let mut client = Client::open();
    assert_eq!(client.ask(1, &declare("q")), []);
    assert!(client.awaits_flush());
    assert_eq!(client.flush(1), on(1, [DECLARE_OK]));
    assert!(!client.awaits_flush());
    assert_eq!(client.ask(1, &qos()), on(1, [QOS_OK]));
}

#[test]
fn without_a_journal_nothing_waits() {
    let mut client = Client::open();
    client.durability = Durability::default();
    assert_eq!(client.ask(1, &declare("q")), on(1, [DECLARE_OK]));
    assert_eq!(client.ask(0, &close_connection()), on(0, [CLOSE_OK]));
    assert!(client.is_closed());
}

#[test]
fn replies_keep_their_order_within_a_channel_only() {
    let mut client = Client::open();
    client.send(1, &declare("q"));
    client.send(1, &qos());
    assert_eq!(client.ask(2, &qos()), on(2, [QOS_OK]));
    client.write();
    assert_eq!(client.ask(2, &declare("r")), []);
    client.send(1, &qos());
    assert_eq!(client.flush(1), on(1, [DECLARE_OK, QOS_OK, QOS_OK]));
    assert_eq!(client.ask(1, &qos()), on(1, [QOS_OK]));
    assert_eq!(client.flush(2), on(2, [DECLARE_OK]));
}

#[test]
fn a_reply_does_not_wait_for_a_later_write_of_another_channel() {
    let mut client = Client::open();
    client.send(2, &declare("r"));
    client.write();
    client.send(1, &declare("q"));
    client.send(2, &qos());
    assert_eq!(client.flush(1), on(2, [DECLARE_OK, QOS_OK]));
    assert_eq!(client.flush(2), on(1, [DECLARE_OK]));
}

#[test]
fn the_next_reply_waits_for_a_method_without_a_reply() {
    let mut client = Client::open();
    client.send(1, &declare("q"));
    client.flush(1);
    client.write();
    client.publish(1, "q", false);
    assert!(!client.awaits_flush());
    assert_eq!(client.ask(1, &qos()), []);
    assert_eq!(client.flush(2), on(1, [QOS_OK]));
}

#[test]
fn deliveries_overtake_replies_but_never_their_consume_ok() {
    let mut client = Client::open();
    client.send(1, &declare("q"));
    client.flush(1);
    client.write();
    client.publish(1, "q", false);
    client.send(1, &consume("q"));
    client.write();
    client.send(1, &declare("r"));
    client.deliver();
    assert_eq!(client.sent(), []);
    assert_eq!(client.flush(2), on(1, [CONSUME_OK, DELIVER]));
    client.publish(2, "q", false);
    client.deliver();
    assert_eq!(client.sent(), on(1, [DELIVER]));
    assert_eq!(client.flush(3), on(1, [DECLARE_OK]));
}

#[test]
fn deliveries_never_overtake_an_earlier_get_ok() {
    let mut client = Client::open();
    client.send(1, &declare("q"));
    client.send(1, &declare("r"));
    client.send(1, &consume("r"));
    client.publish(2, "q", false);
    client.flush(1);
    client.write();
    client.publish(1, "nowhere", false);
    client.publish(1, "q", false);
    client.send(1, &get("q"));
    client.publish(2, "r", false);
    client.deliver();
    assert_eq!(client.sent(), []);
    assert_eq!(client.flush(2), on(1, [GET_OK, DELIVER]));
}

#[test]
fn an_ack_timeout_closes_the_channel_after_all_replies() {
    let mut client = Client::open();
    client.send(1, &declare("q"));
    let Client { connection, virtual_hosts, durability } = &mut client;
    connection.ack_timed_out(1, 5, virtual_hosts.first_mut(), *durability);
    assert_eq!(client.sent(), []);
    assert_eq!(client.flush(1), on(1, [DECLARE_OK, CHANNEL_CLOSE]));
}

#[test]
fn confirms_leave_together() {
    let mut client = Client::open();
    for channel in [1, 2] {
        client.send(channel, &select_confirms());
    }
    client.send(1, &declare("q"));
    client.flush(1);
    client.write();
    client.publish(1, "q", false);
    client.publish(1, "q", false);
    client.write();
    client.publish(1, "q", false);
    client.publish(2, "nowhere", false);
    assert_eq!(client.sent(), on(2, ["basic.ack 1"]));
    client.write();
    client.publish(1, "q", false);
    assert_eq!(client.flush(3), on(1, ["basic.ack ...3"]));
    assert_eq!(client.flush(4), on(1, ["basic.ack 4"]));
}

#[test]
fn acks_and_nacks_keep_their_order_and_returns_come_first() {
    let mut client = Client::open();
    let mut arguments = Table::new();
    arguments.insert("x-max-length", 1);
    arguments.insert("x-overflow", "reject-publish");
    client.send(1, &declare_with("small", 0, &arguments));
    client.send(1, &declare("q"));
    client.flush(1);
    client.send(1, &select_confirms());
    client.write();
    for queue in ["small", "q", "small", "small", "q"] {
        client.publish(1, queue, false);
    }
    client.publish(1, "nowhere", true);
    let expected = ["basic.ack ...2", "basic.nack ...4", "basic.ack 5", "basic.return", "basic.ack 6"];
    assert_eq!(client.flush(2), on(1, expected));
}

#[test]
fn close_ok_of_a_channel_waits_for_its_facts() {
    let mut client = Client::open();
    client.send(1, &declare("q"));
    assert_eq!(client.ask(1, &close_channel()), []);
    // Its number is not free before the reply; a peer that uses it again has to wait as well.
    assert_eq!(client.ask(1, &open_channel()), []);
    assert_eq!(client.flush(1), on(1, [DECLARE_OK, CHANNEL_CLOSE_OK, OPEN_OK]));
}

#[test]
fn close_ok_of_a_channel_waits_for_what_closing_deletes() {
    let mut client = Client::open();
    client.send(1, &declare_with("q", 8, &Table::new()));
    client.send(1, &consume("q"));
    client.flush(1);
    client.write();
    assert_eq!(client.ask(1, &close_channel()), []);
    assert_eq!(client.flush(2), on(1, [CHANNEL_CLOSE_OK]));
}

#[test]
fn an_error_follows_the_replies_before_it() {
    let mut client = Client::open();
    client.send(1, &declare("q"));
    assert_eq!(client.ask(1, &consume("missing")), []);
    assert_eq!(client.ask(1, &close_channel()), []);
    assert_eq!(client.flush(1), on(1, [DECLARE_OK, CHANNEL_CLOSE, CHANNEL_CLOSE_OK]));
}

#[test]
fn close_ok_of_a_connection_waits_for_the_facts_of_all_channels() {
    let mut client = Client::open();
    client.send(1, &declare("q"));
    client.write();
    client.send(2, &declare("r"));
    assert_eq!(client.ask(0, &close_connection()), []);
    assert!(!client.is_closed() && !client.connection.wants_input());
    assert_eq!(client.flush(1), on(1, [DECLARE_OK]));
    assert!(!client.is_closed());
    assert_eq!(client.flush(2), [on(2, [DECLARE_OK]), on(0, [CLOSE_OK])].concat());
    assert!(client.is_closed());
}

#[test]
fn close_ok_of_a_connection_waits_for_what_closing_deletes() {
    let mut client = Client::open();
    client.send(1, &declare_with("q", 8, &Table::new()));
    client.send(1, &consume("q"));
    client.flush(1);
    client.write();
    assert_eq!(client.ask(0, &close_connection()), []);
    assert_eq!(client.flush(2), on(0, [CLOSE_OK]));
}

#[test]
fn the_operators_close_follows_all_replies() {
    let mut client = Client::open();
    client.send(1, &declare("q"));
    client.act(|connection, context| connection.close("enough", context));
    assert_eq!(client.ask(0, &close_connection()), []);
    assert_eq!(client.flush(1), [on(1, [DECLARE_OK]), on(0, ["connection.close 320", CLOSE_OK])].concat());
}

#[test]
fn a_peer_that_has_disconnected_awaits_nothing() {
    let mut client = Client::open();
    client.send(1, &declare("q"));
    client.act(|connection, context| connection.disconnected(context));
    assert!(!client.awaits_flush() && client.is_closed());
    assert_eq!(client.flush(1), []);
    assert_eq!(client.fail(), []);
}

#[test]
fn a_peer_with_many_waiting_replies_is_behind() {
    let mut client = Client::open_with(Limits { output_high_bytes: 60, ..Limits::default() });
    client.send(1, &declare("q"));
    assert!(client.connection.wants_input() && !client.connection.is_behind());
    for _ in 0..5 {
        client.send(1, &qos());
    }
    assert!(!client.connection.wants_input() && client.connection.is_behind());
    assert_eq!(client.flush(1), on(1, [DECLARE_OK, QOS_OK, QOS_OK, QOS_OK, QOS_OK]));
    assert!(client.connection.wants_input());
    client.act(|connection, context| connection.advance(context));
    assert_eq!(client.sent(), on(1, [QOS_OK]));
}

#[test]
fn a_failed_journal_nacks_messages_that_wait() {
    let mut client = Client::open();
    client.send(1, &declare("q"));
    client.send(1, &select_confirms());
    client.flush(1);
    client.write();
    for _ in 0..3 {
        client.publish(1, "q", false);
    }
    client.write();
    client.publish(1, "q", false);
    assert_eq!(client.fail(), on(1, ["basic.nack ...4"]));
    assert!(!client.awaits_flush() && client.connection.wants_input());
    assert_eq!(client.ask(2, &qos()), on(2, [QOS_OK]));
    client.publish(1, "nowhere", false);
    assert_eq!(client.sent(), on(1, ["basic.nack 5"]));
    assert_eq!(client.ask(1, &qos()), on(0, ["connection.close 541"]));
}

#[test]
fn a_failed_journal_closes_the_connection_for_other_replies_that_wait() {
    let mut client = Client::open();
    client.send(2, &select_confirms());
    client.send(1, &declare("q"));
    client.publish(2, "q", false);
    assert_eq!(client.fail(), [on(2, ["basic.nack 1"]), on(0, ["connection.close 541"])].concat());
    assert!(!client.awaits_flush() && !client.is_closed());
    client.send(0, &[0, 10, 0, 51]);
    assert!(client.is_closed());
}

#[test]
fn a_close_that_cannot_be_durable_is_an_error() {
    for by_then in [true, false] {
        let mut client = Client::open();
        client.send(1, &declare("q"));
        client.publish(1, "q", false);
        client.durability.durable_write = 1;
        client.connection.flushed(1);
        client.sent();
        client.write();
        client.publish(1, "q", false);
        client.durability.has_failed = by_then;
        let sent = client.ask(0, &close_connection());
        let sent = if by_then { sent } else { client.fail() };
        assert_eq!(sent, on(0, ["connection.close 541"]));
        assert!(!client.is_closed());
        client.send(0, &[0, 10, 0, 51]);
        assert!(client.is_closed());
    }
}

#[test]
fn after_a_failed_journal_the_operator_closes_connections_at_once() {
    let mut client = Client::open();
    client.publish(1, "nowhere", false);
    client.send(1, &declare("q"));
    client.sent();
    client.durability.has_failed = true;
    client.act(|connection, context| connection.close("enough", context));
    assert_eq!(client.sent(), on(0, ["connection.close 541"]));
    assert_eq!(client.ask(0, &close_connection()), on(0, [CLOSE_OK]));
}
