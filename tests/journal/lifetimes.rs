//! Lifetimes: the time to live that a message gets when it arrives does not change with later declarations, nor by
//! restarts.

use pocketmq::broker::{ApplyTo, Policy};
use pocketmq::embedded::{Answer, Verb};
use pocketmq::limits::Limits;
use pocketmq::properties::{Properties, PropertyValues};
use pocketmq::server::Server;
use pocketmq::table::{Table, Value};

use super::program::{NOW_MS, Program, flush, open, open_small};
use super::store::Bytes;

const QUEUES: [&str; 3] = ["q", "quorum", "priorities"];

fn set_ttl(server: &mut Server, ttl_ms: Option<i64>) {
    for queue in QUEUES {
        let Some(ttl_ms) = ttl_ms else {
            assert_eq!(server.verb(Verb::DeletePolicy { name: queue }), Ok(Answer::Flag(true)));
            continue;
        };
        let definition = [("message-ttl", ttl_ms)].into_iter().collect();
        let policy = Policy { pattern: queue.into(), apply_to: ApplyTo::Queues, priority: 0, definition };
        server.verb(Verb::SetPolicy { name: queue, policy: &policy }).unwrap();
    }
}

fn send(server: &mut Server, body: &str, now_ms: u64) {
    let mut program = Program(server);
    QUEUES.iter().for_each(|queue| program.send(queue, body));
    flush(server, now_ms);
}

/// Takes all ready messages.
fn left(server: &mut Server, queue: &str) -> Vec<String> {
    let mut program = Program(server);
    let taken = std::iter::from_fn(|| program.take(queue, true));
    taken.map(|got| String::from_utf8(got.body).unwrap()).collect()
}

/// Fills segments with short-lived messages, so that all older ones are cleaned.
fn fill(server: &mut Server) {
    Program(server).queue("filler", &Table::new());
    for _ in 0..100 {
        Program(server).send("filler", &"x".repeat(500));
        flush(server, NOW_MS);
        left(server, "filler");
        flush(server, NOW_MS);
    }
}

#[test]
fn a_policy_changes_the_time_to_live_of_no_message_in_the_queue() {
    // With a restart after each step, with cleaning before that, and without either.
    for (restarts, cleans) in [(false, false), (true, false), (true, true)] {
        let store = Bytes::default();
        let mut server = open_small(&store);
        let step = |server: &mut Server| {
            flush(server, NOW_MS);
            if cleans {
                fill(server);
            }
            if restarts {
                *server = open_small(&store);
            }
        };
        let mut program = Program(&mut server);
        program.queue("q", &Table::new());
        program.queue("quorum", &[("x-queue-type", "quorum")].into_iter().collect());
        program.queue("priorities", &[("x-max-priority", 3)].into_iter().collect());
        step(&mut server);
        send(&mut server, "before", NOW_MS);
        step(&mut server);
        set_ttl(&mut server, Some(10));
        step(&mut server);
        send(&mut server, "short", NOW_MS);
        step(&mut server);
        set_ttl(&mut server, Some(1000));
        step(&mut server);
        send(&mut server, "longer", NOW_MS);
        step(&mut server);
        set_ttl(&mut server, None);
        step(&mut server);
        send(&mut server, "after", NOW_MS);
        step(&mut server);
        flush(&mut server, NOW_MS + 11);
        for queue in QUEUES {
            assert_eq!(left(&mut server, queue), ["before", "longer", "after"], "{queue}, {restarts}, {cleans}");
        }
    }
}

#[test]
fn a_queue_of_transient_messages_sets_their_time_to_live_when_they_arrive() {
    let store = Bytes::default();
    let mut server = open(&store, Limits::default());
    Program(&mut server).queue("q", &Table::new());
    let transient = |server: &mut Server, body: &[u8]| {
        Program(server).publish_as("", "q", body, &PropertyValues::default()).unwrap();
    };
    transient(&mut server, b"transient");
    let policy = |ttl_ms: i64| {
        let definition = [("message-ttl", ttl_ms)].into_iter().collect();
        Policy { pattern: "q".into(), apply_to: ApplyTo::Queues, priority: 0, definition }
    };
    Program(&mut server).send("q", "persistent");
    server.verb(Verb::SetPolicy { name: "q", policy: &policy(5) }).unwrap();
    flush(&mut server, NOW_MS);
    server = open(&store, Limits::default());
    flush(&mut server, NOW_MS + 100);
    assert_eq!(left(&mut server, "q"), ["persistent"]);
}

#[test]
fn a_clients_own_death_headers_do_not_count_after_a_restart_either() {
    let store = Bytes::default();
    let mut server = open(&store, Limits::default());
    let mut program = Program(&mut server);
    let arguments = [("x-dead-letter-exchange", ""), ("x-dead-letter-routing-key", "dead")];
    program.queue("q", &arguments.into_iter().collect());
    program.queue("dead", &Table::new());
    let forged: Table = [("queue", "q"), ("reason", "rejected")].into_iter().collect();
    let headers = [("x-death", Value::Array(vec![Value::Table(forged)]))].into_iter().collect();
    program.publish("", "q", "x", PropertyValues { headers: Some(headers), ..PropertyValues::default() });
    flush(&mut server, NOW_MS);
    for deaths in 1..=2 {
        server = open(&store, Limits::default());
        let mut program = Program(&mut server);
        if deaths == 1 {
            let (_, _, tag) = program.get("q").unwrap();
            program.nack(tag, false);
            flush(&mut server, NOW_MS);
        }
    }
    let got = Program(&mut server).take("dead", true).unwrap();
    let properties = Properties::parse(&got.properties).unwrap();
    let Some(Value::Array(deaths)) = properties.header("x-death") else { panic!("no deaths") };
    let Value::Table(death) = &deaths[0] else { panic!("not a table") };
    assert_eq!((deaths.len(), death.get("count").and_then(Value::as_integer)), (1, Some(1)));
}
