//! Backlog: more messages than fit into memory.

use pocketmq::broker::Consume;
use pocketmq::embedded::Verb;
use pocketmq::limits::Limits;
use pocketmq::properties::PropertyValues;
use pocketmq::server::Server;
use pocketmq::table::{Table, Value};

use super::program::{NOW_MS, Program, flush, open};
use super::store::Bytes;

const MEMORY_MAX: usize = 4 << 20;
const BODY_BYTES: usize = 1_000;
/// Four times what fits into memory.
const MESSAGES: usize = 4 * MEMORY_MAX / BODY_BYTES;
/// Memory of a delivery beside its message.
const UNACKED_BYTES: usize = 128;
const IN_A_TURN: usize = 100;
/// More than stay in memory after a restart.
const PAGED: usize = 3 * MEMORY_MAX / 4 / BODY_BYTES;

fn limits() -> Limits {
    Limits {
        memory_max_bytes: MEMORY_MAX,
        memory_high_bytes: MEMORY_MAX / 5 * 4,
        memory_page_bytes: MEMORY_MAX / 2,
        ..Limits::default()
    }
}

fn body(number: usize) -> String {
    format!("{number:08}{}", "-".repeat(BODY_BYTES - 8))
}

#[test]
fn a_backlog_of_four_times_the_memory_is_written_survives_a_restart_and_drains_in_order() {
    let store = Bytes::default();
    let mut server = open(&store, limits());
    Program(&mut server).queue("backlog", &Table::new());
    for first in (0..MESSAGES).step_by(IN_A_TURN) {
        let mut program = Program(&mut server);
        (first..MESSAGES.min(first + IN_A_TURN)).for_each(|number| program.send("backlog", &body(number)));
        flush(&mut server, NOW_MS);
        assert!(server.broker().memory_bytes() < limits().memory_high_bytes, "publishers would have to wait");
    }
    drop(server);

    let mut server = open(&store, limits());
    assert!(server.broker().memory_bytes() < limits().memory_high_bytes);
    for first in (0..MESSAGES).step_by(IN_A_TURN) {
        let mut program = Program(&mut server);
        for number in first..MESSAGES.min(first + IN_A_TURN) {
            let (found, _, delivery_tag) = program.get("backlog").expect("all messages are there");
            assert_eq!(found, body(number));
            program.ack(delivery_tag);
        }
        flush(&mut server, NOW_MS);
        assert!(server.broker().memory_bytes() < limits().memory_high_bytes);
    }
    assert_eq!(Program(&mut server).get("backlog"), None);
    assert_eq!(server.broker().memory_bytes(), 0);
}

/// Restarts a server with this many messages, each with a header of its own value, in a queue with this argument.
fn restarted(store: &Bytes, messages: usize, argument: (&str, Value), header: &str) -> Server {
    let mut server = open(store, limits());
    let mut program = Program(&mut server);
    program.queue("backlog", &[argument].into_iter().collect());
    for number in 0..messages {
        program.publish("", "backlog", &body(number), named(header, number));
    }
    flush(&mut server, NOW_MS);
    drop(server);
    open(store, limits())
}

fn named(header: &str, number: usize) -> PropertyValues {
    let headers = [(header, number.to_string().as_str())].into_iter().collect();
    PropertyValues { headers: Some(headers), ..PropertyValues::default() }
}

fn drained(server: &mut Server) -> Vec<String> {
    let mut program = Program(server);
    let mut bodies = Vec::new();
    while let Some((body, _, delivery_tag)) = program.get("backlog") {
        program.ack(delivery_tag);
        bodies.push(body);
    }
    bodies
}

#[test]
fn a_paged_backlog_still_deduplicates_after_a_restart() {
    let store = Bytes::default();
    let mut server = restarted(&store, PAGED, ("x-message-deduplication", Value::Bool(true)), "x-deduplication-id");
    for number in [0, PAGED / 2, PAGED - 1, PAGED] {
        Program(&mut server).publish("", "backlog", &body(number), named("x-deduplication-id", number));
    }
    assert_eq!(drained(&mut server), (0..=PAGED).map(body).collect::<Vec<_>>());
}

#[test]
fn a_backlog_that_waits_for_its_slots_still_waits_after_a_restart() {
    let store = Bytes::default();
    let mut server = restarted(&store, PAGED / 2, ("x-partitions", Value::I32(1)), "x-partition-key");
    let mut program = Program(&mut server);
    program.queue("backlog", &[("x-partitions", Value::I32(2))].into_iter().collect());
    // Those that move to the new partition wait there until the old ones are gone.
    for number in PAGED / 2..PAGED {
        program.publish("", "backlog", &body(number), named("x-partition-key", number - PAGED / 2));
    }
    flush(&mut server, NOW_MS);
    drop(server);
    let mut drained = drained(&mut open(&store, limits()));
    drained.sort_unstable();
    assert_eq!(drained, (0..PAGED).map(body).collect::<Vec<_>>());
}

/// Returns the numbers of a queue's messages in the order in which a consumer gets them.
fn consumed(server: &mut Server, queue: &str) -> Vec<usize> {
    let (no_ack, exclusive, arguments) = (true, false, &Table::new());
    let consume = Consume { queue, consumer_tag: "", no_ack, exclusive, arguments };
    server.verb(Verb::Consume { consume, prefetch: 0 }).unwrap();
    let mut numbers = Vec::new();
    loop {
        flush(server, NOW_MS);
        let batch = Program(server).batch();
        if batch.is_empty() {
            return numbers;
        }
        numbers.extend(batch.iter().map(|got| str::from_utf8(&got.body[..8]).unwrap().parse::<usize>().unwrap()));
    }
}

#[test]
fn a_paged_backlog_keeps_its_slots_sealed() {
    let mut server = open(&Bytes::default(), limits());
    let mut program = Program(&mut server);
    program.queue("beside", &Table::new());
    program.queue("backlog", &[("x-partitions", 1)].into_iter().collect());
    ["beside", "backlog"].into_iter().for_each(|queue| program.bind("amq.fanout", queue, ""));
    for number in 0..PAGED {
        let mut program = Program(&mut server);
        program.publish("amq.fanout", "", &body(number), named("x-partition-key", number));
        flush(&mut server, NOW_MS);
    }
    assert!(server.broker().memory_bytes() < PAGED * BODY_BYTES, "not all is in memory");
    let mut program = Program(&mut server);
    program.queue("backlog", &[("x-partitions", 2)].into_iter().collect());
    let of_former = PAGED - 500..PAGED;
    for number in of_former.clone() {
        program.publish("", "backlog", &body(PAGED + number), named("x-partition-key", number));
    }
    let numbers = consumed(&mut server, "backlog");
    let place_of = |number: usize| numbers.iter().position(|&found| found == number).expect("all messages are there");
    assert!(of_former.into_iter().all(|number| place_of(number) < place_of(PAGED + number)));
    assert_eq!(numbers.len(), PAGED + 500);
    assert_eq!(consumed(&mut server, "beside"), (0..PAGED).collect::<Vec<_>>());
}

/// Returns the memory of messages, without that of deliveries.
fn message_bytes(server: &Server) -> usize {
    let unacked: usize = server.broker().report().queues.iter().map(|queue| queue.unacked).sum();
    server.broker().memory_bytes() - UNACKED_BYTES * unacked
}

/// Gets all messages of a queue and acks none; returns their bodies and delivery tags.
fn get_all(server: &mut Server, queue: &str) -> Vec<(String, u64)> {
    let mut unacked = Vec::new();
    loop {
        let mut program = Program(server);
        let got: Vec<_> = (0..IN_A_TURN).map_while(|_| program.get(queue)).collect();
        if got.is_empty() {
            return unacked;
        }
        unacked.extend(got.into_iter().map(|(body, _, delivery_tag)| (body, delivery_tag)));
        flush(server, NOW_MS);
        assert!(message_bytes(server) < limits().memory_high_bytes, "{} are unacked", unacked.len());
    }
}

#[test]
fn an_unacked_backlog_does_not_stay_in_memory() {
    let bodies: Vec<_> = (0..MESSAGES).map(body).collect();
    let kinds =
        [("x-max-length", Value::I32(1 << 20)), ("x-queue-type", "quorum".into()), ("x-partitions", Value::I32(2))];
    for argument in kinds {
        let store = Bytes::default();
        let mut server = restarted(&store, 0, argument.clone(), "number");
        for first in (0..MESSAGES).step_by(IN_A_TURN) {
            let mut program = Program(&mut server);
            (first..MESSAGES.min(first + IN_A_TURN)).for_each(|number| program.send("backlog", &body(number)));
            flush(&mut server, NOW_MS);
        }
        for number in 1..=3 {
            let (got, _): (Vec<_>, Vec<_>) = get_all(&mut server, "backlog").into_iter().unzip();
            assert_eq!(got, bodies, "{argument:?}, round {number}");
            server.verb(Verb::Nack { delivery_tag: 0, multiple: true, requeue: true }).unwrap();
            flush(&mut server, NOW_MS);
            assert!(message_bytes(&server) < limits().memory_high_bytes);
        }
        drop(server);
        assert_eq!(drained(&mut open(&store, limits())), bodies);
    }
}

#[test]
fn a_delivered_backlog_is_rejected_in_order_within_memory() {
    let store = Bytes::default();
    let mut server = restarted(&store, 0, ("x-dead-letter-exchange", "amq.fanout".into()), "number");
    let mut program = Program(&mut server);
    program.queue("dead", &Table::new());
    program.bind("amq.fanout", "dead", "");
    for first in (0..MESSAGES).step_by(IN_A_TURN) {
        let mut program = Program(&mut server);
        (first..MESSAGES.min(first + IN_A_TURN)).for_each(|number| program.send("backlog", &body(number)));
        flush(&mut server, NOW_MS);
    }
    let all = get_all(&mut server, "backlog");
    // The first is requeued, is delivered again, and is rejected after all others.
    let mut program = Program(&mut server);
    program.nack(all[0].1, true);
    let (again, _, last) = program.get("backlog").unwrap();
    assert_eq!(again, body(0));
    for tags in all[1..].chunks(IN_A_TURN) {
        for (_, delivery_tag) in tags {
            Program(&mut server).nack(*delivery_tag, false);
        }
        flush(&mut server, NOW_MS);
        assert!(message_bytes(&server) < limits().memory_high_bytes);
    }
    Program(&mut server).nack(last, false);
    flush(&mut server, NOW_MS);
    let (dead, _): (Vec<_>, Vec<_>) = get_all(&mut server, "dead").into_iter().unzip();
    assert_eq!(dead, (1..MESSAGES).chain([0]).map(body).collect::<Vec<_>>());
    assert_eq!(server.broker().report().dropped_dead_letters, 0);
}

#[test]
fn rejecting_more_at_once_than_memory_has_room_for_drops_dead_letters_and_counts_them() {
    let store = Bytes::default();
    let mut server = restarted(&store, PAGED, ("x-dead-letter-exchange", "amq.fanout".into()), "number");
    let mut program = Program(&mut server);
    program.queue("dead", &Table::new());
    program.bind("amq.fanout", "dead", "");
    for number in PAGED..MESSAGES {
        Program(&mut server).send("backlog", &body(number));
        flush(&mut server, NOW_MS);
    }
    let (_, delivery_tag) = get_all(&mut server, "backlog").pop().unwrap();
    server.verb(Verb::Nack { delivery_tag, multiple: true, requeue: false }).unwrap();
    assert!(message_bytes(&server) <= MEMORY_MAX + BODY_BYTES, "but for the headers of the last one");
    let report = server.broker().report();
    let dead = report.queues.iter().find(|queue| &*queue.name == "dead").unwrap().ready;
    assert!(dead > 1000 && dead + report.dropped_dead_letters == MESSAGES, "{dead} of {MESSAGES}");
}

/// Delivers two messages of a backlog, whose dead letters have this exchange, and pages them out by reading many
/// others; returns their delivery tags.
fn delivered(store: &Bytes, exchange: &str) -> (Server, Vec<u64>) {
    let mut server = restarted(store, PAGED, ("x-dead-letter-exchange", exchange.into()), "number");
    let mut program = Program(&mut server);
    program.queue("dead", &Table::new());
    program.bind("amq.fanout", "dead", "");
    let mut tags: Vec<_> = get_all(&mut server, "backlog").into_iter().map(|(_, tag)| tag).collect();
    let two = tags.drain(PAGED - 500..PAGED - 498).collect();
    tags.into_iter().for_each(|tag| Program(&mut server).ack(tag));
    flush(&mut server, NOW_MS);
    (server, two)
}

/// Rejects them; returns how many dead letters there are, and how many were dropped for lack of memory.
fn rejected(server: &mut Server, delivery_tags: &[u64]) -> (usize, usize) {
    for &delivery_tag in delivery_tags {
        Program(server).nack(delivery_tag, false);
    }
    let report = server.broker().report();
    let dead = report.queues.iter().find(|queue| &*queue.name == "dead").unwrap();
    (dead.ready, report.dropped_dead_letters)
}

fn fill_memory(server: &mut Server) {
    for body in [&[0; 100_000][..], &[0; 1000], &[]] {
        while Program(server).publish_as("", "dead", body, &PropertyValues::default()).is_ok() {}
    }
}

#[test]
fn only_a_dead_letter_that_memory_has_no_room_for_counts_as_dropped_for_that() {
    let (mut server, tags) = delivered(&Bytes::default(), "amq.fanout");
    assert_eq!(rejected(&mut server, &tags), (tags.len(), 0));

    let store = Bytes::default();
    let (mut server, tags) = delivered(&store, "amq.fanout");
    store.0.borrow_mut().clear();
    assert_eq!(rejected(&mut server, &tags), (0, 0), "they cannot be read");
    server.turn(NOW_MS);
    assert!(server.store_failure().is_some());

    for (exchange, dropped) in [("amq.fanout", 2), ("missing", 0)] {
        let (mut server, tags) = delivered(&Bytes::default(), exchange);
        fill_memory(&mut server);
        let before = rejected(&mut server, &[]).0;
        assert_eq!(rejected(&mut server, &tags), (before, dropped), "to {exchange}");
    }
}

#[test]
fn a_backlog_that_cannot_be_read_stays_and_is_reported() {
    let store = Bytes::default();
    let mut server = restarted(&store, PAGED, ("x-max-length", Value::I32(PAGED as i32)), "number");
    let segments = std::mem::take(&mut *store.0.borrow_mut());
    let readable = drained(&mut server).len();
    assert!(0 < readable && readable < PAGED);
    server.turn(NOW_MS);
    assert!(server.store_failure().is_some());
    drop(server);
    *store.0.borrow_mut() = segments;
    assert_eq!(drained(&mut open(&store, limits())).len(), PAGED);
}
