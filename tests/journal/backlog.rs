//! Backlog: more messages than there is memory for.

use pocketmq::limits::Limits;
use pocketmq::properties::PropertyValues;
use pocketmq::server::Server;
use pocketmq::table::Value;

use super::program::{NOW_MS, Program, flush, open};
use super::store::Bytes;

const MEMORY_MAX: usize = 4 << 20;
const BODY_BYTES: usize = 1_000;
/// Four times what memory would hold.
const MESSAGES: usize = 4 * MEMORY_MAX / BODY_BYTES;
const IN_A_TURN: usize = 100;
/// More than stay in memory at a restart.
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
    format!("{number:0>BODY_BYTES$}")
}

#[test]
fn a_backlog_of_four_times_the_memory_is_written_survives_a_restart_and_drains_in_order() {
    let store = Bytes::default();
    let mut server = open(&store, limits());
    Program::of(server.broker_mut()).queue("backlog", &pocketmq::table::Table::new());
    for first in (0..MESSAGES).step_by(IN_A_TURN) {
        let mut program = Program::of(server.broker_mut());
        (first..MESSAGES.min(first + IN_A_TURN)).for_each(|number| program.send("backlog", &body(number)));
        flush(&mut server, NOW_MS);
        assert!(server.broker().memory_bytes() < limits().memory_high_bytes, "publishers would have to wait");
    }
    drop(server);

    let mut server = open(&store, limits());
    assert!(server.broker().memory_bytes() < limits().memory_high_bytes);
    for first in (0..MESSAGES).step_by(IN_A_TURN) {
        let mut program = Program::of(server.broker_mut());
        for number in first..MESSAGES.min(first + IN_A_TURN) {
            let (found, _, delivery_tag) = program.get("backlog").expect("all messages are there");
            assert_eq!(found, body(number));
            program.broker.ack(program.channel, delivery_tag, false).unwrap();
        }
        flush(&mut server, NOW_MS);
        assert!(server.broker().memory_bytes() < limits().memory_high_bytes);
    }
    assert_eq!(Program::of(server.broker_mut()).get("backlog"), None);
    assert_eq!(server.broker().memory_bytes(), 0);
}

/// Another server goes on with so many messages, each with a header that names it, in a queue with this argument.
fn restarted(store: &Bytes, messages: usize, argument: (&str, Value), header: &str) -> Server {
    let mut server = open(store, limits());
    let mut program = Program::of(server.broker_mut());
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
    let mut program = Program::of(server.broker_mut());
    let mut bodies = Vec::new();
    while let Some((body, _, delivery_tag)) = program.get("backlog") {
        program.broker.ack(program.channel, delivery_tag, false).unwrap();
        bodies.push(body);
    }
    bodies
}

#[test]
fn a_backlog_that_was_put_away_is_known_by_its_ids_after_a_restart() {
    let store = Bytes::default();
    let mut server = restarted(&store, PAGED, ("x-message-deduplication", Value::Bool(true)), "x-deduplication-id");
    for number in [0, PAGED / 2, PAGED - 1, PAGED] {
        Program::of(server.broker_mut()).publish("", "backlog", &body(number), named("x-deduplication-id", number));
    }
    assert_eq!(drained(&mut server), (0..=PAGED).map(body).collect::<Vec<_>>());
}

#[test]
fn a_backlog_that_waits_for_its_slots_does_so_after_a_restart() {
    let store = Bytes::default();
    let mut server = restarted(&store, PAGED / 2, ("x-partitions", Value::I32(1)), "x-partition-key");
    let mut program = Program::of(server.broker_mut());
    program.queue("backlog", &[("x-partitions", Value::I32(2))].into_iter().collect());
    // Those that move to the new partition wait there until the old ones have gone.
    for number in PAGED / 2..PAGED {
        program.publish("", "backlog", &body(number), named("x-partition-key", number - PAGED / 2));
    }
    flush(&mut server, NOW_MS);
    drop(server);
    let mut drained = drained(&mut open(&store, limits()));
    drained.sort_unstable();
    assert_eq!(drained, (0..PAGED).map(body).collect::<Vec<_>>());
}

#[test]
fn a_backlog_that_cannot_be_read_stays_and_the_operator_is_told() {
    let store = Bytes::default();
    let mut server = restarted(&store, PAGED, ("x-max-length", Value::I32(PAGED as i32)), "number");
    let segments = std::mem::take(&mut *store.0.borrow_mut());
    let readable = drained(&mut server).len();
    assert!(0 < readable && readable < PAGED);
    server.turn(NOW_MS, &mut ());
    assert!(server.store_failure().is_some());
    drop(server);
    *store.0.borrow_mut() = segments;
    assert_eq!(drained(&mut open(&store, limits())).len(), PAGED);
}
