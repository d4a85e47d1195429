//! Golden: a journal of version 1 with each kind of fact, which every later version must read.
//!
//! `POCKETMQ_WRITE_GOLDEN=1 cargo test --test journal` writes the file of the present version; a released file stays as
//! it is.

use std::path::PathBuf;

use pocketmq::broker::{ApplyTo, Binding, Policy, Routed};
use pocketmq::journal::Segment;
use pocketmq::limits::Limits;
use pocketmq::properties::PropertyValues;
use pocketmq::table::{Table, Value};

use super::program::{NOW_MS, Program, flush, open};
use super::store::Bytes;

const LATER_MS: u64 = NOW_MS + 60_000;

fn path() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "journal", "version-1.journal"].iter().collect()
}

fn with_headers(headers: Table) -> PropertyValues {
    PropertyValues { headers: Some(headers), ..PropertyValues::default() }
}

fn one(key: &str, value: impl Into<Value>) -> Table {
    [(key, value.into())].into_iter().collect()
}

fn numbered(sequence: i64) -> PropertyValues {
    let headers = [("x-publisher-id", Value::from("golden")), ("x-publisher-sequence", Value::I64(sequence))];
    with_headers(headers.into_iter().collect())
}

/// Causes each kind of fact, and ends cleanly.
fn write() -> Vec<u8> {
    let store = Bytes::default();
    let mut server = open(&store, Limits::default());
    let mut program = Program::of(server.broker_mut());
    program.exchange("topics", "topic", &Table::new());
    program.exchange("later", "x-delayed-message", &one("x-delayed-type", "direct"));
    program.exchange("gone", "fanout", &Table::new());
    program.queue("plain", &Table::new());
    program.queue("urgent", &one("x-max-priority", 9i32));
    program.queue("counted", &one("x-queue-type", "quorum"));
    program.queue("parted", &one("x-partitions", 2i32));
    program.queue("gone", &Table::new());
    program.bind("topics", "plain", "a.*");
    program.bind("topics", "urgent", "a.#");
    program.bind("topics", "counted", "b");
    program.bind("later", "plain", "soon");
    let arguments = &Table::new();
    let unbound = Binding { source: "topics", destination: "counted", routing_key: "b", arguments };
    program.broker.unbind_queue(program.channel, &unbound).unwrap();
    program.broker.delete_exchange(program.channel, "gone", false).unwrap();
    program.broker.delete_queue(program.channel, "gone", false, false).unwrap();
    let (pattern, definition) = ("^plain$".into(), one("max-length", 100i32));
    let policy = Policy { pattern, apply_to: ApplyTo::Queues, priority: 3, definition };
    program.broker.set_policy("small", &policy).unwrap();
    program.broker.set_policy("gone", &policy).unwrap();
    program.broker.delete_policy("gone").unwrap();
    for number in 1..=5 {
        program.send("plain", &format!("plain {number}"));
    }
    assert_eq!(program.publish("topics", "a.b", "both", PropertyValues::default()), Routed::Queued(2));
    program.publish("", "urgent", "first", PropertyValues { priority: Some(9), ..PropertyValues::default() });
    program.publish("", "plain", "numbered", numbered(7));
    program.publish("later", "soon", "delayed", with_headers(one("x-delay", 5_000i32)));
    program.send("counted", "came back");
    program.publish("", "parted", "of a key", with_headers(one("x-partition-key", "k")));
    let (_, _, first) = program.get("plain").unwrap();
    let (_, _, second) = program.get("plain").unwrap();
    let (_, _, third) = program.get("plain").unwrap();
    program.broker.ack(program.channel, first, false).unwrap();
    program.broker.ack(program.channel, second, false).unwrap();
    program.broker.nack(program.channel, third, false, true).unwrap();
    let (_, _, counted) = program.get("counted").unwrap();
    program.broker.nack(program.channel, counted, false, true).unwrap();
    server.virtual_hosts_mut().add("other");
    server.virtual_hosts_mut().add("gone");
    flush(&mut server, NOW_MS);
    assert!(server.delete_virtual_host("gone"));
    server.close_journal();
    flush(&mut server, NOW_MS);
    // The mark of the clean end, which followed in version 1, now has a segment of its own.
    store.0.borrow().values().next().unwrap().clone()
}

#[test]
fn a_journal_of_version_1_is_read() {
    if std::env::var_os("POCKETMQ_WRITE_GOLDEN").is_some() {
        std::fs::write(path(), write()).unwrap();
    }
    let store = Bytes::default();
    let bytes = std::fs::read(path()).unwrap();
    store.0.borrow_mut().insert(Segment { number: 1, leadership: 1 }, bytes);
    let mut server = open(&store, Limits::default());
    let names: Vec<_> = server.virtual_hosts().iter().map(|host| host.name().to_owned()).collect();
    assert_eq!(names, ["/", "other"]);
    let policies: Vec<_> =
        server.broker().policies().map(|(name, policy)| (name.to_owned(), policy.priority)).collect();
    assert_eq!(policies, [("small".to_owned(), 3)]);

    let mut program = Program::of(server.broker_mut());
    assert_eq!(program.publish("", "plain", "numbered", numbered(7)), Routed::Queued(1));
    let mut plain = Vec::new();
    while let Some((body, redelivered, _)) = program.get("plain") {
        plain.push((body, redelivered));
    }
    let fresh = ["plain 4", "plain 5", "both", "numbered"].map(|body| (body.to_owned(), false));
    assert_eq!(plain, [&[("plain 3".to_owned(), true)][..], &fresh[..]].concat());
    assert_eq!(program.get("urgent").unwrap().0, "first");
    assert_eq!(program.get("urgent").unwrap().0, "both");
    assert_eq!(program.get("parted").unwrap().0, "of a key");
    let counted = program.broker.get(program.channel, "counted", true).unwrap().unwrap();
    assert_eq!(counted.message.properties().header("x-delivery-count").and_then(|count| count.as_integer()), Some(1));
    assert!(counted.redelivered);
    assert_eq!(program.publish("topics", "a.c", "routed", PropertyValues::default()), Routed::Queued(2));
    assert_eq!(program.publish("topics", "b", "unbound", PropertyValues::default()), Routed::Queued(0));
    assert_eq!(program.get("plain").unwrap().0, "routed");
    server.turn(LATER_MS, &mut ());
    assert_eq!(Program::of(server.broker_mut()).get("plain").unwrap().0, "delayed");
}
