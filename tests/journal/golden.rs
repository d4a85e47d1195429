//! Golden: journals of each version of the format with each kind of fact, which every later version must read.
//!
//! `POCKETMQ_WRITE_GOLDEN=1 cargo test --test journal golden` writes that of a new version; the others stay as they are.

use std::fs;
use std::path::{Path, PathBuf};

use pocketmq::broker::{ApplyTo, Binding, Policy};
use pocketmq::embedded::Verb;
use pocketmq::journal::Segment;
use pocketmq::limits::Limits;
use pocketmq::properties::{Properties, PropertyValues};
use pocketmq::table::{Table, Value};

use super::program::{NOW_MS, Program, flush, open};
use super::store::Bytes;

const LATER_MS: u64 = NOW_MS + 60_000;

/// Folder of the versions' folders, which have a file for each segment: its number and leadership.
fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "journal", "golden"].iter().collect()
}

fn read(version: &Path) -> Bytes {
    let store = Bytes::default();
    for file in fs::read_dir(version).unwrap().map(|file| file.unwrap().path()) {
        let (number, leadership) = file.file_stem().unwrap().to_str().unwrap().split_once('-').unwrap();
        let segment = Segment { number: number.parse().unwrap(), leadership: leadership.parse().unwrap() };
        store.0.borrow_mut().insert(segment, fs::read(file).unwrap());
    }
    store
}

/// Returns the folder of the version that the header of a segment has.
fn folder_for(store: &Bytes) -> PathBuf {
    let segments = store.0.borrow();
    let header = segments.values().next().expect("a segment");
    folder().join(format!("version-{}", u32::from_le_bytes(header[8..12].try_into().unwrap())))
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
fn written() -> Bytes {
    let store = Bytes::default();
    let mut server = open(&store, Limits::default());
    let mut program = Program(&mut server);
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
    program.0.verb(Verb::UnbindQueue(unbound)).unwrap();
    program.0.verb(Verb::DeleteExchange { name: "gone", if_unused: false }).unwrap();
    program.delete_queue("gone");
    let (pattern, definition) = ("^plain$".into(), one("max-length", 100i32));
    let policy = &Policy { pattern, apply_to: ApplyTo::Queues, priority: 3, definition };
    program.0.verb(Verb::SetPolicy { name: "small", policy }).unwrap();
    program.0.verb(Verb::SetPolicy { name: "gone", policy }).unwrap();
    program.0.verb(Verb::DeletePolicy { name: "gone" }).unwrap();
    for number in 1..=5 {
        program.send("plain", &format!("plain {number}"));
    }
    assert_eq!(program.publish("topics", "a.b", "both", PropertyValues::default()), 2);
    program.publish("", "urgent", "first", PropertyValues { priority: Some(9), ..PropertyValues::default() });
    program.publish("", "plain", "numbered", numbered(7));
    program.publish("later", "soon", "delayed", with_headers(one("x-delay", 5_000i32)));
    program.send("counted", "came back");
    program.publish("", "parted", "of a key", with_headers(one("x-partition-key", "k")));
    let (_, _, first) = program.get("plain").unwrap();
    let (_, _, second) = program.get("plain").unwrap();
    let (_, _, third) = program.get("plain").unwrap();
    program.ack(first);
    program.ack(second);
    program.nack(third, true);
    let (_, _, counted) = program.get("counted").unwrap();
    program.nack(counted, true);
    server.add_virtual_host("other");
    server.add_virtual_host("gone");
    flush(&mut server, NOW_MS);
    assert!(server.delete_virtual_host("gone"));
    server.close_journal();
    flush(&mut server, NOW_MS);
    store
}

#[test]
fn the_present_version_of_the_journal_has_a_golden_file() {
    let store = written();
    let folder = folder_for(&store);
    if std::env::var_os("POCKETMQ_WRITE_GOLDEN").is_some() && !folder.exists() {
        fs::create_dir(&folder).unwrap();
        for (Segment { number, leadership }, bytes) in &*store.0.borrow() {
            fs::write(folder.join(format!("{number}-{leadership}.journal")), bytes).unwrap();
        }
    }
    assert!(folder.exists(), "write {} once, with POCKETMQ_WRITE_GOLDEN=1", folder.display());
    check(&store);
}

#[test]
fn a_journal_of_each_version_is_read() {
    let versions: Vec<_> = fs::read_dir(folder()).unwrap().map(|version| version.unwrap().path()).collect();
    assert!(!versions.is_empty(), "the journals are missing");
    versions.iter().for_each(|version| check(&read(version)));
}

fn check(store: &Bytes) {
    let mut server = open(store, Limits::default());
    let names: Vec<_> = server.virtual_hosts().iter().map(|host| host.name().to_owned()).collect();
    assert_eq!(names, ["/", "other"]);
    let policies: Vec<_> =
        server.broker().policies().map(|(name, policy)| (name.to_owned(), policy.priority)).collect();
    assert_eq!(policies, [("small".to_owned(), 3)]);

    let mut program = Program(&mut server);
    assert_eq!(program.publish("", "plain", "numbered", numbered(7)), 1);
    let mut plain = Vec::new();
    while let Some((body, redelivered, _)) = program.get("plain") {
        plain.push((body, redelivered));
    }
    let fresh = ["plain 4", "plain 5", "both", "numbered"].map(|body| (body.to_owned(), false));
    assert_eq!(plain, [&[("plain 3".to_owned(), true)][..], &fresh[..]].concat());
    assert_eq!(program.get("urgent").unwrap().0, "first");
    assert_eq!(program.get("urgent").unwrap().0, "both");
    assert_eq!(program.get("parted").unwrap().0, "of a key");
    let counted = program.take("counted", true).unwrap();
    let properties = Properties::parse(&counted.properties).unwrap();
    assert_eq!(properties.header("x-delivery-count").and_then(|count| count.as_integer()), Some(1));
    assert!(counted.redelivered);
    assert_eq!(program.publish("topics", "a.c", "routed", PropertyValues::default()), 2);
    assert_eq!(program.publish("topics", "b", "unbound", PropertyValues::default()), 0);
    assert_eq!(program.get("plain").unwrap().0, "routed");
    server.turn(LATER_MS);
    assert_eq!(Program(&mut server).get("plain").unwrap().0, "delayed");
}
