//! Answers: no reply leaves before everything that it depends on is durable, whichever connection caused it.

use pocketmq::broker::{Config, Error};
use pocketmq::embedded::Verb;
use pocketmq::id::TransportId;
use pocketmq::journal::Options;
use pocketmq::limits::Limits;
use pocketmq::properties::PropertyValues;
use pocketmq::server::Server;
use pocketmq::table::{Table, Value};

use super::peer::*;
use super::program::{NOW_MS, Program, flush, open};
use super::store::Bytes;

const DECLARE_OK: (u16, u16) = (50, 11);
const CONFIRM: (u16, u16) = (60, 80);
const REFUSAL: (u16, u16) = (60, 120);
const DURABLE: u8 = 2;
const PASSIVE: u8 = 1;

/// Two connections to one broker, each with a channel in confirm mode.
struct Two {
    client: Client,
    first: TransportId,
    second: TransportId,
}

impl Two {
    fn on(store: &Bytes) -> Self {
        let mut client = Client::connect(Limits::default(), true);
        (client.server, client.now_ms) = (open(store, Limits::default()), NOW_MS);
        let [first, second] = [(); 2].map(|()| {
            client.join("guest", "/", &[]);
            client.ask(&select_confirms().on(1));
            client.id
        });
        let mut two = Self { client, first, second };
        for (name, arguments) in [
            ("plain", vec![]),
            ("unique", vec![Call::new().text("x-message-deduplication").octet(b't').octet(1)]),
            ("quorum", vec![text_entry("x-queue-type", "quorum")]),
        ] {
            two.ask(first, &declare_queue_with(name, DURABLE, &arguments));
        }
        two.flush();
        two.received(first);
        two
    }

    fn ask(&mut self, id: TransportId, method: &Call) -> Vec<(u16, u16)> {
        self.send(id, &method.on(1))
    }

    /// Sends on a connection, and returns the immediate replies.
    fn send(&mut self, id: TransportId, bytes: &[u8]) -> Vec<(u16, u16)> {
        self.client.id = id;
        self.client.send(bytes);
        self.received(id)
    }

    fn received(&mut self, id: TransportId) -> Vec<(u16, u16)> {
        self.client.id = id;
        ids(&self.client.read())
    }

    fn flush(&mut self) {
        let mark = self.client.server.start_flush();
        self.client.server.flushed(mark);
        self.client.turn();
    }
}

fn published(queue: &str, delivery_mode: u8, headers: &[(&str, Value)]) -> Vec<u8> {
    let headers: Table = headers.iter().map(|(name, value)| (*name, value.clone())).collect();
    let values = PropertyValues { delivery_mode: Some(delivery_mode), headers: Some(headers), ..Default::default() };
    let mut properties = Vec::new();
    values.encode(&mut properties).unwrap();
    let header = content_header(1, &properties);
    [publish_method("", queue, 0).on(1), frame(2, 1, &header), frame(3, 1, b"x")].concat()
}

fn unique(delivery_mode: u8) -> Vec<u8> {
    published("unique", delivery_mode, &[("x-deduplication-id", "1".into())])
}

fn numbered(queue: &str, delivery_mode: u8) -> Vec<u8> {
    let headers = [("x-publisher-id", "p".into()), ("x-publisher-sequence", Value::I64(1))];
    published(queue, delivery_mode, &headers)
}

fn bind(queue: &str, exchange: &str) -> Call {
    call(50, 20).short(0).text(queue).text(exchange).text("key").octet(0).bytes(b"")
}

fn unbind(queue: &str, exchange: &str) -> Call {
    call(50, 50).short(0).text(queue).text(exchange).text("key").bytes(b"")
}

fn declare_exchange(name: &str, bits: u8) -> Call {
    call(40, 10).short(0).text(name).text("direct").octet(bits).bytes(b"")
}

fn delete_exchange(name: &str) -> Call {
    call(40, 20).short(0).text(name).octet(0)
}

fn bind_exchange(destination: &str, source: &str) -> Call {
    call(40, 30).short(0).text(destination).text(source).text("key").octet(0).bytes(b"")
}

fn delete_queue(name: &str) -> Call {
    call(50, 40).short(0).text(name).octet(0)
}

fn purge_queue(name: &str) -> Call {
    call(50, 30).short(0).text(name).octet(0)
}

/// The second connection's reply depends on the first one's change: it must wait until that is durable.
fn assert_waits(first: &[u8], second: &[u8], expected: (u16, u16)) {
    let mut two = Two::on(&Bytes::default());
    let Two { first: a, second: b, .. } = two;
    two.send(a, first);
    assert_eq!(two.send(b, second), [], "{expected:?} before the flush");
    two.flush();
    assert_eq!(two.received(b), [expected]);
    assert_eq!(two.send(b, second).last(), Some(&expected), "at once, as everything is durable");
}

#[test]
fn a_message_that_another_has_sent_is_confirmed_when_that_one_is_durable() {
    assert_waits(&unique(2), &unique(2), CONFIRM);
    assert_waits(&numbered("plain", 2), &numbered("plain", 2), CONFIRM);
    assert_waits(&numbered("quorum", 1), &numbered("quorum", 1), CONFIRM);
    assert_waits(&numbered("quorum", 2), &numbered("quorum", 1), CONFIRM);
}

#[test]
fn a_reply_about_what_another_has_declared_waits_until_that_is_durable() {
    let declare = declare_queue("new", DURABLE).on(1);
    assert_waits(&declare, &declare, DECLARE_OK);
    assert_waits(&declare, &declare_queue("new", DURABLE | PASSIVE).on(1), DECLARE_OK);
    let exchange = declare_exchange("e", DURABLE).on(1);
    assert_waits(&exchange, &exchange, (40, 11));
    assert_waits(&exchange, &declare_exchange("e", PASSIVE).on(1), (40, 11));
    let bound = bind("plain", "amq.direct").on(1);
    assert_waits(&bound, &bound, (50, 21));
    let bound = bind_exchange("amq.fanout", "amq.direct").on(1);
    assert_waits(&bound, &bound, (40, 31));
}

#[test]
fn a_reply_about_what_another_has_deleted_waits_until_that_is_durable() {
    for (method, answer) in [
        (delete_queue("plain"), (50, 41)),
        (purge_queue("plain"), (50, 31)),
        (delete_exchange("e"), (40, 21)),
        (unbind("plain", "amq.direct"), (50, 51)),
    ] {
        let made = [declare_exchange("e", DURABLE), bind("plain", "amq.direct")].map(|made| made.on(1)).concat();
        let first = [made, published("plain", 2, &[]), method.on(1)].concat();
        assert_waits(&first, &method.on(1), answer);
    }
}

#[test]
fn an_error_about_what_another_has_deleted_waits_until_that_is_durable() {
    let mut two = Two::on(&Bytes::default());
    let Two { first, second, .. } = two;
    two.ask(first, &delete_queue("plain"));
    assert_eq!(two.ask(second, &declare_queue("plain", PASSIVE)), []);
    two.flush();
    assert_eq!(two.received(second), [(20, 40)]);
}

#[test]
fn transient_changes_wait_for_no_flush() {
    let mut two = Two::on(&Bytes::default());
    let Two { first, second, .. } = two;
    two.send(first, &published("plain", 2, &[]));
    assert_eq!(two.send(second, &published("plain", 1, &[])), [CONFIRM]);
    assert_eq!(two.ask(second, &get("plain", false)).first(), Some(&(60, 71)));
    assert_eq!(two.ask(second, &call(60, 10).long(0).short(1).octet(0)), [(60, 11)]);
    assert_eq!(two.ask(second, &consume("plain", "c", 0)).first(), Some(&(60, 21)));
    assert_eq!(two.received(first), []);
}

#[test]
fn a_transient_duplicate_does_not_replace_a_durable_message() {
    for (queue, message) in [("unique", unique as fn(u8) -> _), ("plain", |mode| numbered("plain", mode))] {
        let store = Bytes::default();
        let mut two = Two::on(&store);
        let Two { first, second, .. } = two;
        assert_eq!(two.send(first, &message(1)), [CONFIRM]);
        assert_eq!(two.send(first, &message(1)), [CONFIRM], "a duplicate");
        two.send(second, &message(2));
        two.flush();
        assert_eq!(two.received(second), [CONFIRM]);
        drop(two);
        let mut restarted = open(&store, Limits::default());
        let mut program = Program(&mut restarted);
        assert!(program.get(queue).is_some(), "{queue}: it was confirmed");
        assert_eq!(program.get(queue), None);
    }
}

#[test]
fn after_the_store_has_failed_no_durable_message_is_confirmed() {
    for message in [unique(2), numbered("plain", 2), numbered("quorum", 1), published("plain", 2, &[])] {
        let mut two = Two::on(&Bytes::default());
        let Two { first, second, .. } = two;
        two.send(first, &message);
        two.client.server.store_failed("The disk is full.");
        two.client.turn();
        assert_eq!(two.received(first), [REFUSAL]);
        assert_eq!(two.send(second, &message), [REFUSAL], "sent again");
        assert_eq!(two.send(second, &published("plain", 1, &[])), [CONFIRM], "a transient one");
        assert_eq!(two.ask(second, &declare_queue("plain", PASSIVE)), [DECLARE_OK]);
    }
}

#[test]
fn after_the_store_has_failed_nothing_durable_is_changed() {
    let made = [declare_exchange("e", DURABLE), bind("plain", "amq.direct"), bind_exchange("e", "amq.fanout")];
    let partitions = |count| declare_queue_with("parts", DURABLE, &[number_entry("x-partitions", count)]);
    for method in [
        declare_queue("new", DURABLE),
        declare_queue("plain", DURABLE),
        declare_exchange("new", DURABLE),
        declare_exchange("e", DURABLE),
        bind("plain", "amq.direct"),
        bind("plain", "amq.topic"),
        bind_exchange("e", "amq.direct"),
        unbind("plain", "amq.direct"),
        call(40, 40).short(0).text("e").text("amq.fanout").text("key").octet(0).bytes(b""),
        delete_queue("plain"),
        purge_queue("plain"),
        delete_exchange("e"),
        partitions(3),
    ] {
        let mut two = Two::on(&Bytes::default());
        let Two { first, second, .. } = two;
        made.iter().chain([&partitions(2)]).for_each(|made| drop(two.ask(first, made)));
        two.flush();
        two.client.server.store_failed("The disk is full.");
        two.client.turn();
        two.client.id = second;
        let answers = two.client.ask(&method.on(1));
        assert_eq!(answers[0].refusal().0, 541, "{method:?}");
    }
}

#[test]
fn after_the_store_has_failed_a_transaction_that_acks_durable_messages_is_refused() {
    for is_kept in [true, false] {
        let mut two = Two::on(&Bytes::default());
        let first = two.first;
        two.send(first, &published("plain", if is_kept { 2 } else { 1 }, &[]));
        two.flush();
        two.client.join("guest", "/", &[]);
        let third = two.client.id;
        two.ask(third, &call(90, 10));
        assert_eq!(two.ask(third, &get("plain", false)), [(60, 71)]);
        two.client.server.store_failed("The disk is full.");
        two.ask(third, &ack(1, false));
        two.client.id = third;
        let answers = two.client.ask(&call(90, 20).on(1));
        if is_kept {
            assert_eq!(answers[0].refusal().0, 541);
        } else {
            assert_eq!(ids(&answers), [(90, 21)]);
        }
    }
}

#[test]
fn after_the_store_has_failed_policies_stay_as_they_are() {
    let mut server = open(&Bytes::default(), Limits::default());
    let policy = pocketmq::broker::Policy {
        pattern: "plain".into(),
        apply_to: pocketmq::broker::ApplyTo::named("all").unwrap(),
        priority: 0,
        definition: Table::new(),
    };
    let policy = &policy;
    server.verb(Verb::SetPolicy { name: "p", policy }).unwrap();
    server.store_failed("The disk is full.");
    assert_eq!(server.verb(Verb::DeletePolicy { name: "p" }), Err(Error::JournalFailed));
    assert_eq!(server.verb(Verb::SetPolicy { name: "q", policy }), Err(Error::JournalFailed));
}

#[test]
fn the_deletion_of_a_virtual_host_is_waited_for() {
    let mut server = open(&Bytes::default(), Limits::default());
    server.add_virtual_host("other");
    flush(&mut server, NOW_MS);
    assert!(server.delete_virtual_host("other"));
    let write = server.current_write();
    assert!(!server.is_durable(write));
    flush(&mut server, NOW_MS);
    assert!(server.is_durable(write));
}

#[test]
fn after_the_store_has_failed_no_turn_is_requested_for_cleaning() {
    let config = Config { seed: [7; 32], limits: Limits::default() };
    let options = Options { segment_bytes: 1024, ..Options::default() };
    let (mut server, _) = Server::open(config, Box::new(Bytes::default()), &options, NOW_MS).unwrap();
    flush(&mut server, NOW_MS);
    Program(&mut server).queue("q", &Table::new());
    for _ in 0..2_000 {
        let mut program = Program(&mut server);
        program.send("q", &"x".repeat(1_000_000));
        let (.., delivery_tag) = program.get("q").unwrap();
        program.ack(delivery_tag);
        flush(&mut server, NOW_MS);
        if server.wants_turn() {
            server.store_failed("The disk is full.");
            server.turn(NOW_MS);
            return assert!(!server.wants_turn());
        }
    }
    panic!("it never had to be cleaned");
}
