//! Bounds: everything that peers declare and use is counted, refused at a limit, and recovered within the limit.
#![cfg(not(target_arch = "wasm32"))]

#[path = "journal/program.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod program;
#[path = "journal/store.rs"]
#[allow(dead_code, reason = "each test uses its part")]
mod store;

mod peer;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use peer::{Call, Client, call, close_channel, consume, declare_queue, open_channel};
use pocketmq::broker::{ApplyTo, Binding, Broker, Config, Consume, Error, ErrorKind, Policy};
use pocketmq::embedded::Verb;
use pocketmq::limits::Limits;
use pocketmq::properties::PropertyValues;
use pocketmq::server::Server;
use pocketmq::table::{Table, Value};
use program::{NOW_MS, Program, flush, open};
use store::Bytes;

/// Counts the allocations of this thread.
struct Counting;

thread_local! {
    static LIVE_BYTES: Cell<i64> = const { Cell::new(0) };
}

#[expect(unsafe_code, reason = "an allocator cannot be written otherwise")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE_BYTES.with(|live| live.set(live.get() + layout.size() as i64));
        // SAFETY: the caller upholds the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.with(|live| live.set(live.get() - layout.size() as i64));
        // SAFETY: the caller upholds the same contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Half of `memory_max_bytes`.
const ROOM: usize = 2 << 20;

fn limits() -> Limits {
    Limits { memory_max_bytes: 2 * ROOM, ..Limits::default() }
}

/// Declares, or deletes, the item with this number.
struct Kind {
    name: &'static str,
    make: fn(&mut Server, usize) -> Result<(), Error>,
    end: fn(&mut Server, usize),
}

fn queue(server: &mut Server, name: &str, arguments: &Table) -> Result<(), Error> {
    Program(server).declare_queue(name, arguments).map(drop)
}

fn exchange(server: &mut Server, name: &str, kind: &str, arguments: &Table) -> Result<(), Error> {
    Program(server).declare_exchange(name, kind, arguments).map(drop)
}

fn delete_exchange(server: &mut Server, name: &str) {
    server.verb(Verb::DeleteExchange { name, if_unused: false }).unwrap();
}

fn delete_queue(server: &mut Server, number: usize) {
    Program(server).delete_queue(&long(number));
}

fn table(argument: &str, value: impl Into<Value>) -> Table {
    [(argument, value)].into_iter().collect()
}

fn short(number: usize) -> String {
    format!("{number}")
}

fn long(number: usize) -> String {
    format!("{number:0>200}")
}

/// Binds the queue `to` to this exchange, by a key of this length.
fn bind(server: &mut Server, source: &str, routing_key: &str, arguments: &Table) -> Result<(), Error> {
    server.verb(Verb::BindQueue(Binding { source, destination: "to", routing_key, arguments })).map(drop)
}

fn unbind(server: &mut Server, source: &str, routing_key: &str, arguments: &Table) {
    server.verb(Verb::UnbindQueue(Binding { source, destination: "to", routing_key, arguments })).unwrap();
}

fn words(number: usize) -> String {
    format!("{number}.{}", "a.".repeat(100))
}

fn any(number: usize) -> Table {
    let mut table = table("x-match", "any");
    (0..20).for_each(|entry| table.insert(format!("{number}-{entry}"), 7));
    table
}

fn start(server: &mut Server, tag: &str, arguments: &Table) -> Result<(), Error> {
    let consume = Consume { queue: "to", consumer_tag: tag, no_ack: false, exclusive: false, arguments };
    server.verb(Verb::Consume { consume, prefetch: 0 }).map(drop)
}

fn cancel(server: &mut Server, consumer_tag: &str) {
    server.verb(Verb::Cancel { consumer_tag }).unwrap();
}

fn policy(number: usize) -> Policy {
    let definition = table("dead-letter-routing-key", &*"k".repeat(200));
    Policy { pattern: short(number).into(), apply_to: ApplyTo::All, priority: 0, definition }
}

const DURABLE: usize = 11;

/// The kinds that outlive a broker come first.
const KINDS: [Kind; DURABLE + 2] = [
    Kind {
        name: "queues",
        make: |server, number| queue(server, &short(number), &Table::new()),
        end: |server, number| Program(server).delete_queue(&short(number)),
    },
    Kind {
        name: "queues with a large argument",
        make: |server, number| queue(server, &long(number), &table("x-own", &*"a".repeat(60_000))),
        end: delete_queue,
    },
    Kind {
        name: "queues with many small arguments",
        make: |server, number| {
            let small = Value::Array(vec![Value::Void; 1000]);
            queue(server, &long(number), &table("x-own", small))
        },
        end: delete_queue,
    },
    Kind {
        name: "queues with partitions and a long name for dead letters",
        make: |server, number| {
            let mut arguments = table("x-partitions", 10);
            arguments.insert("x-dead-letter-exchange", &*"a".repeat(250));
            queue(server, &long(number), &arguments)
        },
        end: delete_queue,
    },
    Kind {
        name: "exchanges",
        make: |server, number| exchange(server, &short(number), "fanout", &Table::new()),
        end: |server, number| delete_exchange(server, &short(number)),
    },
    Kind {
        name: "exchanges with an alternate one",
        make: |server, number| {
            exchange(server, &long(number), "headers", &table("alternate-exchange", &*"a".repeat(5000)))
        },
        end: |server, number| delete_exchange(server, &long(number)),
    },
    Kind {
        name: "bindings of a direct exchange",
        make: |server, number| bind(server, "amq.direct", &long(number), &Table::new()),
        end: |server, number| unbind(server, "amq.direct", &long(number), &Table::new()),
    },
    Kind {
        name: "bindings of a topic exchange",
        make: |server, number| bind(server, "amq.topic", &words(number), &Table::new()),
        end: |server, number| unbind(server, "amq.topic", &words(number), &Table::new()),
    },
    Kind {
        name: "bindings of a headers exchange",
        make: |server, number| bind(server, "amq.headers", "", &any(number)),
        end: |server, number| unbind(server, "amq.headers", "", &any(number)),
    },
    Kind {
        name: "bindings with a large argument",
        make: |server, number| bind(server, "amq.fanout", &short(number), &table("own", &*"a".repeat(30_000))),
        end: |server, number| {
            unbind(server, "amq.fanout", &short(number), &table("own", &*"a".repeat(30_000)));
        },
    },
    Kind {
        name: "policies",
        make: |server, number| server.verb(Verb::SetPolicy { name: &long(number), policy: &policy(number) }).map(drop),
        end: |server, number| {
            assert!(server.verb(Verb::DeletePolicy { name: &long(number) }).unwrap().flag());
        },
    },
    Kind {
        name: "consumers",
        make: |server, number| start(server, &short(number), &Table::new()),
        end: |server, number| cancel(server, &short(number)),
    },
    Kind {
        name: "consumers with arguments",
        make: |server, number| start(server, &long(number), &table("own", &*"a".repeat(30_000))),
        end: |server, number| cancel(server, &long(number)),
    },
];

fn server() -> Server {
    Server::new(Config { seed: [7; 32], limits: limits() })
}

/// Declares a queue to bind and to consume from.
fn prepare(server: &mut Server) {
    queue(server, "to", &Table::new()).unwrap();
}

/// Makes as many as fit, and returns the number that was refused.
fn fill(server: &mut Server, kind: &Kind) -> usize {
    for number in 0.. {
        assert!(number < 20_000, "{}: there is no end", kind.name);
        if let Err(error) = (kind.make)(server, number) {
            assert_eq!(
                (error.kind(), &error),
                (ErrorKind::PreconditionFailed, &Error::RoomLimit(ROOM)),
                "{}",
                kind.name
            );
            return number;
        }
    }
    unreachable!("numbers have no end")
}

/// Returns the bytes counted for everything that is declared, and those of a new count.
fn structure_bytes(server: &Server) -> (u64, u64) {
    (server.broker().structure_bytes(), server.broker().recounted_structure_bytes())
}

#[test]
fn whatever_is_declared_is_refused_at_the_limit_and_deletions_make_room_again() {
    let mut astray = Vec::new();
    for kind in &KINDS {
        let mut server = server();
        prepare(&mut server);
        let (before, live) = (structure_bytes(&server).0, LIVE_BYTES.get());
        let refused = fill(&mut server, kind);
        let (counted, real) = (structure_bytes(&server).0 - before, LIVE_BYTES.get() - live);
        let ratio = counted as f64 / real as f64;
        println!("{}: {refused}, {counted} bytes counted, {ratio:.2} of what they take", kind.name);
        if !(0.5..2.0).contains(&ratio) {
            astray.push((kind.name, ratio));
        }
        let (counted, recounted) = structure_bytes(&server);
        assert!(counted <= ROOM as u64 && counted == recounted, "{}: {counted} and {recounted}", kind.name);
        (kind.end)(&mut server, 0);
        assert_eq!((kind.make)(&mut server, 0), Ok(()), "{}", kind.name);
        (0..refused).for_each(|number| (kind.end)(&mut server, number));
        assert_eq!(structure_bytes(&server), (before, before), "{}", kind.name);
    }
    assert_eq!(astray, [], "the estimate is neither half nor twice of what they take");
}

#[test]
fn a_restart_recovers_everything_within_the_same_limit_and_within_a_lower_one() {
    for kind in &KINDS[..DURABLE] {
        let store = Bytes::default();
        let mut server = open(&store, limits());
        prepare(&mut server);
        let refused = fill(&mut server, kind);
        let counted = structure_bytes(&server).0;
        flush(&mut server, NOW_MS);
        drop(server);
        for limits in [limits(), Limits { memory_max_bytes: ROOM, ..limits() }] {
            let mut server = open(&store, limits);
            // The program has a connection, as it had before.
            server.verb(Verb::Enter { virtual_host: "/" }).unwrap();
            assert_eq!(structure_bytes(&server), (counted, counted), "{}", kind.name);
            let again = (kind.make)(&mut server, refused);
            assert_eq!(again.map_err(|error| error.kind()), Err(ErrorKind::PreconditionFailed), "{}", kind.name);
            (kind.end)(&mut server, 0);
            (kind.end)(&mut server, 1);
            assert!(structure_bytes(&server).0 < counted);
            (kind.make)(&mut server, 0).and_then(|()| (kind.make)(&mut server, 1)).ok();
        }
    }
}

fn client() -> Client {
    Client::ready_with(Limits { channel_max: 60_000, ..limits() }, 0)
}

/// Sends more and more until a refusal; returns its code and text, and the number sent.
fn refused(client: &mut Client, mut next: impl FnMut(usize) -> Vec<u8>) -> (u16, String, usize) {
    for number in 0..20_000 {
        let answers = client.ask(&next(number));
        if let Some(close) = answers.iter().find(|answer| matches!(answer.id(), (10, 50) | (20, 40))) {
            let (code, text, _) = close.refusal();
            return (code, text.into(), number);
        }
    }
    panic!("nothing was refused");
}

#[test]
fn peers_are_refused_by_codes_and_texts_that_say_what_to_do() {
    let words = format!("take the {ROOM} bytes that they may: delete or close some, or raise the memory limit");
    let mut client = client();
    let (code, text, declared) = refused(&mut client, |number| declare_queue(&long(number), 0).on(1));
    assert!(code == 406 && text.starts_with("PRECONDITION_FAILED - ") && text.contains(&words), "{code} {text}");
    assert!(text.len() < 256);
    // No other channel and no other connection has room; deletions work while a channel is left.
    let (code, text, _) = refused(&mut client, |number| open_channel().on(number as u16 + 2));
    assert!(code == 506 && text.starts_with("RESOURCE_ERROR - ") && text.contains(&words), "{code} {text}");
    assert!(declared > 500);
}

#[test]
fn channels_and_connections_and_their_properties_are_bounded() {
    let mut client = client();
    let (code, _, channels) = refused(&mut client, |number| open_channel().on(number as u16 + 2));
    assert!(code == 506 && channels > 1000 && channels < 3000, "{code} after {channels}");
    client.server.disconnected(client.id);
    let mut client = self::client();
    let connections = (0..1000).take_while(|_| {
        client.id = client.server.connect_amqp(pocketmq::protocol::Peer { loopback: true, ..Default::default() });
        client.send(peer::HEADER);
        let own = Call::new().text("own").octet(b'S').bytes(&[b'a'; 4000]).octets();
        client.send(&call(10, 11).bytes(&own).text("PLAIN").bytes(b"\0guest\0guest").text("en_US").on(0));
        client.send(&peer::tune_ok(0, 0, 60).on(0));
        let answers = client.ask(&peer::open("/").on(0));
        let last = answers.last().unwrap();
        last.id() == (10, 41) || last.refusal().0 != 506
    });
    let connections = connections.count();
    assert!((200..300).contains(&connections), "{connections}");
}

#[test]
fn a_full_broker_still_deletes() {
    let mut client = client();
    client.send(&declare_queue("to", 0).on(1));
    client.send(&open_channel().on(2));
    let (code, _, consumers) = refused(&mut client, |number| consume("to", &long(number), 2).on(1));
    assert_eq!(code, 406);
    assert_eq!(
        client.ask(&open_channel().on(3)).last().map(|answer| answer.id()),
        Some((20, 11)),
        "all were cancelled"
    );
    assert!(consumers > 500);
    client.send(&close_channel().on(3));
    let (code, _, declared) = refused(&mut client, |number| declare_queue(&long(number), 0).on(2));
    assert!(code == 406 && declared > 2, "{code}");
    assert_eq!(client.server.broker().structure_bytes(), client.server.broker().recounted_structure_bytes());
}

#[test]
fn all_virtual_hosts_share_one_limit() {
    let mut client = client();
    let server = &mut client.server;
    server.add_virtual_host("other");
    server.verb(Verb::Enter { virtual_host: "other" }).unwrap();
    prepare(server);
    fill(server, &KINDS[1]);
    fill(server, &KINDS[0]);
    server.verb(Verb::Enter { virtual_host: "/" }).unwrap();
    assert_eq!(queue(server, "one more", &Table::new()), Err(Error::RoomLimit(ROOM)));
    assert!(server.delete_virtual_host("other"));
    assert_eq!(queue(server, "one more", &Table::new()), Ok(()));
}

/// Declares many queues that a fanout exchange fills.
fn fanned(limits: Limits) -> Server {
    let mut server = Server::new(Config { seed: [7; 32], limits });
    let mut program = Program(&mut server);
    for number in 0..FANNED {
        program.queue(&short(number), &Table::new());
        program.bind("amq.fanout", &short(number), "");
    }
    server
}

fn publish(server: &mut Server) -> Result<u64, Error> {
    Program(server).publish_as("amq.fanout", "", &[b'a'; 10], &PropertyValues::default())
}

/// Checks that what is counted for messages is what it is when it is counted anew.
fn check_queued_bytes(server: &Server) {
    assert_eq!(server.broker().memory_bytes(), server.broker().recounted_queued_bytes());
}

const FANNED: usize = 1000;

#[test]
fn a_messages_places_in_further_queues_are_counted_until_the_last_is_gone() {
    let mut server = fanned(limits());
    let live = LIVE_BYTES.get();
    let published = (0..2000).take_while(|_| publish(&mut server).is_ok()).count();
    let (counted, real) = (server.broker().memory_bytes() as f64, (LIVE_BYTES.get() - live) as f64);
    println!(
        "{published} messages in {FANNED} queues, {counted} bytes counted, {:.2} of what they take",
        counted / real
    );
    assert!(published < 2000 && real < 1.5 * counted && counted < 2.0 * real, "{real} bytes, {counted} counted");
    // Only the further places of the last message may be above the limit.
    assert!(counted < (limits().memory_max_bytes + FANNED * 32) as f64);
    check_queued_bytes(&server);
    for number in 0..FANNED {
        if number % 2 == 0 {
            server.verb(Verb::PurgeQueue { name: &short(number) }).unwrap();
        } else {
            Program(&mut server).delete_queue(&short(number));
        }
        if number % 100 == 0 {
            check_queued_bytes(&server);
        }
    }
    assert_eq!(server.broker().memory_bytes(), 0);
}

const COPIES: usize = 64;
const TTL_MS: u64 = 10;

/// Publishes one message into many queues, which dead-letter it to the queue `dead`.
fn send_to_many(server: &mut Server) {
    let mut program = Program(server);
    program.queue("dead", &Table::new());
    let mut arguments = table("x-dead-letter-exchange", "");
    arguments.insert("x-dead-letter-routing-key", "dead");
    arguments.insert("x-message-ttl", TTL_MS as i64);
    for number in 0..COPIES {
        program.queue(&short(number), &arguments);
        program.bind("amq.fanout", &short(number), "");
    }
    let routed = program.publish("amq.fanout", "", &"x".repeat(250_000), PropertyValues::default());
    assert_eq!(routed, COPIES as u64);
}

fn dead_and_dropped(broker: &Broker) -> (usize, usize) {
    let report = broker.report();
    let dead = report.queues.iter().find(|queue| &*queue.name == "dead").unwrap().ready;
    (dead, report.dropped_dead_letters)
}

#[test]
fn dead_letters_of_a_message_in_many_queues_stay_within_memory() {
    let mut server = server();
    server.turn(NOW_MS);
    send_to_many(&mut server);
    let live = LIVE_BYTES.get();
    server.turn(NOW_MS + TTL_MS);
    let (dead, dropped) = dead_and_dropped(server.broker());
    assert!(dead > 10 && dead + dropped == COPIES, "{dead} and {dropped}");
    assert!(server.broker().memory_bytes() <= limits().memory_max_bytes);
    assert!(LIVE_BYTES.get() - live <= limits().memory_max_bytes as i64);
}

#[test]
fn durable_dead_letters_wait_until_they_are_written_and_none_is_dropped() {
    let store = Bytes::default();
    let limits = || Limits { memory_page_bytes: ROOM, ..limits() };
    let mut server = open(&store, limits());
    send_to_many(&mut server);
    flush(&mut server, NOW_MS);
    let mut turns = 0;
    while server.broker().deadline_ms().is_some_and(|deadline_ms| deadline_ms <= NOW_MS + TTL_MS) {
        flush(&mut server, NOW_MS + TTL_MS);
        assert!(server.broker().memory_bytes() <= limits().memory_max_bytes);
        turns += 1;
    }
    assert_eq!(dead_and_dropped(server.broker()), (COPIES, 0));
    assert!(turns > 1, "all in one turn would not have had room");
    drop(server);
    assert_eq!(dead_and_dropped(open(&store, limits()).broker()), (COPIES, 0));
}

#[test]
fn expired_messages_are_not_delivered_while_their_dead_letters_wait_to_be_written() {
    let mut server = open(&Bytes::default(), limits());
    send_to_many(&mut server);
    flush(&mut server, NOW_MS);
    server.turn(NOW_MS + TTL_MS);
    let mut program = Program(&mut server);
    // Nothing was written in this turn yet.
    program.queue("more", &table("x-message-ttl", TTL_MS as i64));
    (0..4).for_each(|_| program.send("more", &"x".repeat(250_000)));
    assert_eq!((0..COPIES).find_map(|number| program.get(&short(number))), None);
}

#[test]
fn unacked_deliveries_are_counted_until_they_are_settled() {
    let mut server = fanned(Limits::default());
    for _ in 0..20 {
        publish(&mut server).unwrap();
    }
    let (ready, live) = (server.broker().memory_bytes(), LIVE_BYTES.get());
    for number in 0..FANNED {
        while Program(&mut server).take(&short(number), false).is_some() {}
    }
    let (counted, real) = ((server.broker().memory_bytes() - ready) as f64, (LIVE_BYTES.get() - live) as f64);
    println!("{counted} bytes counted for deliveries, {:.2} of what they take", counted / real);
    assert!(real < 1.5 * counted && counted < 2.0 * real, "{real} bytes, {counted} counted");
    check_queued_bytes(&server);
    // Some are acked, some are requeued, some are deleted with their queue.
    server.verb(Verb::Ack { delivery_tag: (FANNED * 5) as u64, multiple: true }).unwrap();
    check_queued_bytes(&server);
    (FANNED / 2..FANNED).for_each(|number| Program(&mut server).delete_queue(&short(number)));
    check_queued_bytes(&server);
    server.verb(Verb::Nack { delivery_tag: 0, multiple: true, requeue: true }).unwrap();
    check_queued_bytes(&server);
    (0..FANNED / 2).for_each(|number| Program(&mut server).delete_queue(&short(number)));
    assert_eq!(server.broker().memory_bytes(), 0);
}

#[test]
fn deduplication_ids_are_counted() {
    let mut server = server();
    server.turn(NOW_MS);
    let live = LIVE_BYTES.get();
    let mut program = Program(&mut server);
    program.queue("once", &table("x-message-deduplication", true));
    let id = |number| [("x-deduplication-id", long(number).as_str())].into_iter().collect();
    let mut published = 0;
    while program.0.broker().memory_bytes() + 1000 < limits().memory_max_bytes {
        let values = PropertyValues { headers: Some(id(published)), ..PropertyValues::default() };
        assert_eq!(program.publish("", "once", "", values), 1);
        published += 1;
    }
    let (counted, real) = (server.broker().memory_bytes() as f64, (LIVE_BYTES.get() - live) as f64);
    println!("{published} messages with an id, {:.2} of what they take", counted / real);
    assert!(real < 1.5 * counted && counted < 2.0 * real, "{real} bytes, {counted} counted");
    check_queued_bytes(&server);
    server.verb(Verb::PurgeQueue { name: "once" }).unwrap();
    assert_eq!(server.broker().memory_bytes(), 0);
}

#[test]
fn all_virtual_hosts_share_the_memory_for_messages() {
    let mut client = client();
    client.server.add_virtual_host("other");
    let fill = |client: &mut Client, virtual_host| {
        client.server.verb(Verb::Enter { virtual_host }).unwrap();
        prepare(&mut client.server);
        let publish = || Program(&mut client.server).publish_as("", "to", &[b'a'; 100_000], &PropertyValues::default());
        std::iter::repeat_with(publish).take(100).take_while(Result::is_ok).count()
    };
    assert_eq!(fill(&mut client, "other"), 41);
    assert_eq!(fill(&mut client, "/"), 0, "the other one has all");
    // Freed memory is available to all from the next turn on.
    client.server.verb(Verb::Enter { virtual_host: "other" }).unwrap();
    client.server.verb(Verb::PurgeQueue { name: "to" }).unwrap();
    client.turn();
    assert_eq!(fill(&mut client, "/"), 41);
}
