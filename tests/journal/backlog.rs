//! Backlog: more messages than there is memory for.

use pocketmq::limits::Limits;

use super::program::{NOW_MS, Program, flush, open};
use super::store::Bytes;

const MEMORY_MAX: usize = 4 << 20;
const BODY_BYTES: usize = 1_000;
/// Four times what memory would hold.
const MESSAGES: usize = 4 * MEMORY_MAX / BODY_BYTES;
const IN_A_TURN: usize = 100;

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
