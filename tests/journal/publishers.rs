//! Publishers: their numbers are stored for a week after their last message, over restarts and cleaning, and never
//! dropped to make room.

use pocketmq::broker::{Broker, Config, Error, Publication, QueueDeclaration, Routed};
use pocketmq::id::ChannelId;
use pocketmq::journal::Options;
use pocketmq::limits::Limits;
use pocketmq::properties::{Properties, PropertyValues};
use pocketmq::server::Server;
use pocketmq::table::{Table, Value};

use super::program::{NOW_MS, Program, flush};
use super::store::Bytes;

const WEEK_MS: u64 = 7 * 24 * 3_600_000;
/// More than an earlier version remembered.
const MANY: usize = 12_000;

fn open(store: &Bytes, now_ms: u64) -> Server {
    let config = Config { seed: [7; 32], limits: Limits::default() };
    let options = Options { segment_bytes: 64 << 10, ..Options::default() };
    let (mut server, _) = Server::open(config, Box::new(store.clone()), &options, now_ms).unwrap();
    flush(&mut server, now_ms);
    server
}

/// Makes the properties of a publisher's message.
fn numbered(id: &str, sequence: i64) -> PropertyValues {
    let headers: Table =
        [("x-publisher-id", Value::from(id)), ("x-publisher-sequence", Value::I64(sequence))].into_iter().collect();
    PropertyValues { headers: Some(headers), delivery_mode: Some(2), ..PropertyValues::default() }
}

fn publish(broker: &mut Broker, channel: ChannelId, id: &str, sequence: i64) -> Result<Routed, Error> {
    let mut raw = Vec::new();
    numbered(id, sequence).encode(&mut raw).unwrap();
    let properties = Properties::parse(&raw).unwrap();
    broker.publish(channel, &Publication { exchange: "", routing_key: "q", properties, body: b"x", mandatory: false })
}

/// Returns how many messages are added when each of the first publishers sends its first message again.
fn added_by_resends(server: &mut Server, count: usize) -> usize {
    let mut program = Program(server);
    for number in 0..count {
        program.publish("", "q", "x", numbered(&number.to_string(), 1));
    }
    std::iter::from_fn(|| program.take("q", true)).count()
}

/// Has many publishers send a message each, which is gone afterwards.
fn many_published(store: &Bytes) -> Server {
    let mut server = open(store, NOW_MS);
    Program(&mut server).queue("q", &Table::new());
    for from in (0..MANY).step_by(500) {
        let mut program = Program(&mut server);
        for number in from..from + 500 {
            program.publish("", "q", "x", numbered(&number.to_string(), 1));
            program.take("q", true).unwrap();
        }
        flush(&mut server, NOW_MS);
    }
    server
}

/// Runs turns until nothing is left to clean.
fn clean(server: &mut Server, store: &Bytes, now_ms: u64) {
    let first = store.0.borrow().keys().next().copied();
    for _ in 0..200 {
        let mut program = Program(server);
        for _ in 0..50 {
            program.send("q", &"x".repeat(1_000));
            program.take("q", true).unwrap();
        }
        flush(server, now_ms);
    }
    assert_ne!(store.0.borrow().keys().next().copied(), first, "the first segment was cleaned away");
}

#[test]
fn numbers_of_many_publishers_outlive_cleaning_and_restarts() {
    let store = Bytes::default();
    let mut server = many_published(&store);
    assert_eq!(server.broker().report().publishers, MANY);
    assert_eq!(added_by_resends(&mut server, MANY), 0, "at once");
    for _ in 0..2 {
        clean(&mut server, &store, NOW_MS);
        drop(server);
        server = open(&store, NOW_MS + WEEK_MS - 1);
        assert_eq!(server.broker().report().publishers, MANY);
        assert_eq!(added_by_resends(&mut server, MANY), 0, "after a crash");
    }
}

#[test]
fn a_publisher_is_forgotten_a_week_after_its_last_message_whether_or_not_the_broker_ran() {
    let store = Bytes::default();
    let mut server = many_published(&store);
    server.turn(NOW_MS + WEEK_MS - 1);
    assert_eq!(server.broker().report().publishers, MANY);
    server.turn(NOW_MS + WEEK_MS);
    assert_eq!(server.broker().report().publishers, 0);
    assert_eq!(server.broker().memory_bytes(), 0);
    drop(server);

    let server = open(&store, NOW_MS + WEEK_MS);
    assert_eq!(server.broker().report().publishers, 0, "though their messages are in the journal still");
}

#[test]
fn a_clock_that_was_set_back_extends_no_publishers_week() {
    let store = Bytes::default();
    drop(many_published(&store));
    let mut server = open(&store, NOW_MS - WEEK_MS);
    assert_eq!(server.broker().report().publishers, MANY);
    server.turn(NOW_MS);
    assert_eq!(server.broker().report().publishers, 0);
}

#[test]
fn without_room_for_a_new_publishers_number_it_is_refused_and_no_other_is_forgotten() {
    let limits = Limits { memory_max_bytes: 80_000, memory_high_bytes: 64_000, ..Limits::default() };
    let mut broker = Broker::new(Config { seed: [7; 32], limits });
    broker.set_now(NOW_MS);
    let broker = &mut broker;
    let connection = broker.open_connection();
    let channel = broker.open_channel(connection, 1);
    let (name, passive, durable, exclusive, auto_delete) = ("q", false, true, false, false);
    let arguments = &Table::new();
    let declaration = QueueDeclaration { name, passive, durable, exclusive, auto_delete, arguments };
    broker.declare_queue(channel, &declaration).unwrap();
    let mut known = 0;
    let refusal = loop {
        match publish(broker, channel, &known.to_string(), 1) {
            Ok(_) => known += 1,
            Err(error) => break error,
        }
        broker.get(channel, "q", true).unwrap().unwrap();
    };
    assert_eq!(refusal, Error::PublisherLimit(known));
    assert!((50..100).contains(&known), "{known}");
    let bytes = broker.memory_bytes() - broker.queued_bytes();
    assert!((9_000..=10_000).contains(&bytes), "an eighth of the limit at most, but {bytes}");
    for number in 0..known {
        assert_eq!(publish(broker, channel, &number.to_string(), 1), Ok(Routed::Queued(1)));
        assert_eq!(publish(broker, channel, &number.to_string(), 2), Ok(Routed::Queued(1)));
        broker.get(channel, "q", true).unwrap().expect("the second message alone");
        assert!(broker.get(channel, "q", true).unwrap().is_none());
    }
    broker.select_transaction(channel);
    assert_eq!(publish(broker, channel, "0", 3), Ok(Routed::Deferred));
    broker.commit_transaction(channel).unwrap();
    broker.set_now(NOW_MS + WEEK_MS);
    assert_eq!(publish(broker, channel, "new", 1), Ok(Routed::Deferred), "without a turn, too");
    for number in 0..known {
        assert_eq!(publish(broker, channel, &number.to_string(), 4), Ok(Routed::Deferred), "one by one there is room");
    }
    for sequence in 2..known as i64 {
        assert_eq!(publish(broker, channel, "new", sequence), Ok(Routed::Deferred));
    }
    let refusal = broker.commit_transaction(channel).unwrap_err();
    assert!(matches!(refusal, Error::PublisherLimit(_)), "not for all of them together: {refusal}");
    broker.rollback_transaction(channel).unwrap();
    for sequence in 1..known as i64 {
        assert_eq!(publish(broker, channel, "new", sequence), Ok(Routed::Deferred));
    }
    broker.commit_transaction(channel).unwrap();
}
