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
use pocketmq::broker::Routed;
use pocketmq::broker::{
    ApplyTo, Binding, Broker, Config, Consume, Error, ErrorKind, ExchangeDeclaration, Policy, Publication,
    QueueDeclaration,
};
use pocketmq::id::ChannelId;
use pocketmq::limits::Limits;
use pocketmq::properties::{Properties, PropertyValues};
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
    make: fn(&mut Broker, ChannelId, usize) -> Result<(), Error>,
    end: fn(&mut Broker, ChannelId, usize),
}

fn queue(broker: &mut Broker, channel: ChannelId, name: &str, arguments: &Table) -> Result<(), Error> {
    let (passive, durable, exclusive, auto_delete) = (false, true, false, false);
    let declaration = QueueDeclaration { name, passive, durable, exclusive, auto_delete, arguments };
    broker.declare_queue(channel, &declaration).map(drop)
}

fn exchange(broker: &mut Broker, channel: ChannelId, name: &str, kind: &str, arguments: &Table) -> Result<(), Error> {
    let (passive, durable, auto_delete, internal) = (false, true, false, false);
    let declaration = ExchangeDeclaration { name, kind, passive, durable, auto_delete, internal, arguments };
    broker.declare_exchange(channel, &declaration)
}

fn delete_queue(broker: &mut Broker, channel: ChannelId, number: usize) {
    broker.delete_queue(channel, &long(number), false, false).unwrap();
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
fn bind(broker: &mut Broker, channel: ChannelId, source: &str, key: &str, arguments: &Table) -> Result<(), Error> {
    broker.bind_queue(channel, &Binding { source, destination: "to", routing_key: key, arguments })
}

fn unbind(broker: &mut Broker, channel: ChannelId, source: &str, key: &str, arguments: &Table) {
    broker.unbind_queue(channel, &Binding { source, destination: "to", routing_key: key, arguments }).unwrap();
}

fn words(number: usize) -> String {
    format!("{number}.{}", "a.".repeat(100))
}

fn any(number: usize) -> Table {
    let mut table = table("x-match", "any");
    (0..20).for_each(|entry| table.insert(format!("{number}-{entry}"), 7));
    table
}

fn start(broker: &mut Broker, channel: ChannelId, tag: &str, arguments: &Table) -> Result<(), Error> {
    let consume = Consume { queue: "to", consumer_tag: tag, no_ack: false, exclusive: false, arguments };
    broker.consume(channel, &consume).map(drop)
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
        make: |broker, channel, number| queue(broker, channel, &short(number), &Table::new()),
        end: |broker, channel, number| drop(broker.delete_queue(channel, &short(number), false, false)),
    },
    Kind {
        name: "queues with a large argument",
        make: |broker, channel, number| queue(broker, channel, &long(number), &table("x-own", &*"a".repeat(60_000))),
        end: delete_queue,
    },
    Kind {
        name: "queues with many small arguments",
        make: |broker, channel, number| {
            let small = Value::Array(vec![Value::Void; 1000]);
            queue(broker, channel, &long(number), &table("x-own", small))
        },
        end: delete_queue,
    },
    Kind {
        name: "queues with partitions and a long name for dead letters",
        make: |broker, channel, number| {
            let mut arguments = table("x-partitions", 10);
            arguments.insert("x-dead-letter-exchange", &*"a".repeat(250));
            queue(broker, channel, &long(number), &arguments)
        },
        end: delete_queue,
    },
    Kind {
        name: "exchanges",
        make: |broker, channel, number| exchange(broker, channel, &short(number), "fanout", &Table::new()),
        end: |broker, channel, number| broker.delete_exchange(channel, &short(number), false).unwrap(),
    },
    Kind {
        name: "exchanges with an alternate one",
        make: |broker, channel, number| {
            exchange(broker, channel, &long(number), "headers", &table("alternate-exchange", &*"a".repeat(5000)))
        },
        end: |broker, channel, number| broker.delete_exchange(channel, &long(number), false).unwrap(),
    },
    Kind {
        name: "bindings of a direct exchange",
        make: |broker, channel, number| bind(broker, channel, "amq.direct", &long(number), &Table::new()),
        end: |broker, channel, number| unbind(broker, channel, "amq.direct", &long(number), &Table::new()),
    },
    Kind {
        name: "bindings of a topic exchange",
        make: |broker, channel, number| bind(broker, channel, "amq.topic", &words(number), &Table::new()),
        end: |broker, channel, number| unbind(broker, channel, "amq.topic", &words(number), &Table::new()),
    },
    Kind {
        name: "bindings of a headers exchange",
        make: |broker, channel, number| bind(broker, channel, "amq.headers", "", &any(number)),
        end: |broker, channel, number| unbind(broker, channel, "amq.headers", "", &any(number)),
    },
    Kind {
        name: "bindings with a large argument",
        make: |broker, channel, number| {
            bind(broker, channel, "amq.fanout", &short(number), &table("own", &*"a".repeat(30_000)))
        },
        end: |broker, channel, number| {
            unbind(broker, channel, "amq.fanout", &short(number), &table("own", &*"a".repeat(30_000)));
        },
    },
    Kind {
        name: "policies",
        make: |broker, _, number| broker.set_policy(&long(number), &policy(number)),
        end: |broker, _, number| assert!(broker.delete_policy(&long(number)).unwrap()),
    },
    Kind {
        name: "consumers",
        make: |broker, channel, number| start(broker, channel, &short(number), &Table::new()),
        end: |broker, channel, number| broker.cancel(channel, &short(number)),
    },
    Kind {
        name: "consumers with arguments",
        make: |broker, channel, number| start(broker, channel, &long(number), &table("own", &*"a".repeat(30_000))),
        end: |broker, channel, number| broker.cancel(channel, &long(number)),
    },
];

/// Opens a channel, with a queue to bind and to consume from.
fn channel(broker: &mut Broker) -> ChannelId {
    let connection = broker.open_connection();
    let channel = broker.open_channel(connection, 1);
    queue(broker, channel, "to", &Table::new()).unwrap();
    channel
}

/// Makes as many as fit, and returns the number that was refused.
fn fill(broker: &mut Broker, channel: ChannelId, kind: &Kind) -> usize {
    for number in 0.. {
        assert!(number < 20_000, "{}: there is no end", kind.name);
        if let Err(error) = (kind.make)(broker, channel, number) {
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

#[test]
fn whatever_is_declared_is_refused_at_the_limit_and_deletions_make_room_again() {
    let mut astray = Vec::new();
    for kind in &KINDS {
        let mut broker = Broker::new(Config { seed: [7; 32], limits: limits() });
        let channel = channel(&mut broker);
        let (before, live) = (broker.structure_bytes(), LIVE_BYTES.get());
        let refused = fill(&mut broker, channel, kind);
        let (counted, real) = (broker.structure_bytes() - before, LIVE_BYTES.get() - live);
        let ratio = counted as f64 / real as f64;
        println!("{}: {refused}, {counted} bytes counted, {ratio:.2} of what they take", kind.name);
        if !(0.5..2.0).contains(&ratio) {
            astray.push((kind.name, ratio));
        }
        assert!(broker.structure_bytes() <= ROOM as u64);
        assert_eq!(broker.structure_bytes(), broker.recounted_structure_bytes(), "{}", kind.name);
        (kind.end)(&mut broker, channel, 0);
        assert_eq!((kind.make)(&mut broker, channel, 0), Ok(()), "{}", kind.name);
        (0..refused).for_each(|number| (kind.end)(&mut broker, channel, number));
        assert_eq!((broker.structure_bytes(), broker.recounted_structure_bytes()), (before, before), "{}", kind.name);
    }
    assert_eq!(astray, [], "the estimate is neither half nor twice of what they take");
}

#[test]
fn a_restart_recovers_everything_within_the_same_limit_and_within_a_lower_one() {
    for kind in &KINDS[..DURABLE] {
        let store = Bytes::default();
        let mut server = open(&store, limits());
        let channel_id = channel(server.broker_mut());
        let refused = fill(server.broker_mut(), channel_id, kind);
        let counted = server.broker().structure_bytes();
        flush(&mut server, NOW_MS);
        drop(server);
        for limits in [limits(), Limits { memory_max_bytes: ROOM, ..limits() }] {
            let mut server = open(&store, limits);
            let connection = server.broker_mut().open_connection();
            let channel = server.broker_mut().open_channel(connection, 1);
            let broker = server.broker_mut();
            assert_eq!(
                (broker.structure_bytes(), broker.recounted_structure_bytes()),
                (counted, counted),
                "{}",
                kind.name
            );
            let again = (kind.make)(broker, channel, refused);
            assert_eq!(again.map_err(|error| error.kind()), Err(ErrorKind::PreconditionFailed), "{}", kind.name);
            (kind.end)(broker, channel, 0);
            (kind.end)(broker, channel, 1);
            assert!(broker.structure_bytes() < counted);
            (kind.make)(broker, channel, 0).and_then(|()| (kind.make)(broker, channel, 1)).ok();
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
    let hosts = client.server.virtual_hosts_mut();
    hosts.add("other");
    let id = hosts.named("other").unwrap().id();
    let broker = hosts.broker_mut(id).unwrap();
    let other = channel(broker);
    fill(broker, other, &KINDS[1]);
    fill(broker, other, &KINDS[0]);
    let broker = client.server.broker_mut();
    let connection = broker.open_connection();
    let first = broker.open_channel(connection, 1);
    assert_eq!(queue(broker, first, "one more", &Table::new()), Err(Error::RoomLimit(ROOM)));
    assert!(client.server.delete_virtual_host("other"));
    let broker = client.server.broker_mut();
    assert_eq!(queue(broker, first, "one more", &Table::new()), Ok(()));
}

fn publish(broker: &mut Broker, channel: ChannelId, exchange: &str) -> Result<(), Error> {
    let publication =
        Publication { exchange, routing_key: "", mandatory: false, properties: Properties::EMPTY, body: &[b'a'; 10] };
    broker.publish(channel, &publication).map(drop)
}

/// Declares many queues that a fanout exchange fills.
fn fanned(broker: &mut Broker) -> ChannelId {
    let connection = broker.open_connection();
    let channel = broker.open_channel(connection, 1);
    for number in 0..FANNED {
        let (name, passive, durable, exclusive, auto_delete) = (&*short(number), false, true, false, false);
        let arguments = &Table::new();
        let declaration = QueueDeclaration { name, passive, durable, exclusive, auto_delete, arguments };
        broker.declare_queue(channel, &declaration).unwrap();
        let binding = Binding { source: "amq.fanout", destination: name, routing_key: "", arguments };
        broker.bind_queue(channel, &binding).unwrap();
    }
    channel
}

const FANNED: usize = 1000;

#[test]
fn a_messages_places_in_further_queues_are_counted_until_the_last_is_gone() {
    let mut broker = Broker::new(Config { seed: [7; 32], limits: limits() });
    let channel = fanned(&mut broker);
    let live = LIVE_BYTES.get();
    let published = (0..2000).take_while(|_| publish(&mut broker, channel, "amq.fanout").is_ok()).count();
    let (counted, real) = (broker.memory_bytes() as f64, (LIVE_BYTES.get() - live) as f64);
    println!(
        "{published} messages in {FANNED} queues, {counted} bytes counted, {:.2} of what they take",
        counted / real
    );
    assert!(published < 2000 && real < 1.5 * counted && counted < 2.0 * real, "{real} bytes, {counted} counted");
    // Only the further places of the last message may be above the limit.
    assert!(counted < (limits().memory_max_bytes + FANNED * 32) as f64);
    assert_eq!(broker.memory_bytes(), broker.recounted_queued_bytes());
    for number in 0..FANNED {
        if number % 2 == 0 {
            broker.purge_queue(channel, &short(number)).unwrap();
        } else {
            broker.delete_queue(channel, &short(number), false, false).unwrap();
        }
        if number % 100 == 0 {
            assert_eq!(broker.memory_bytes(), broker.recounted_queued_bytes());
        }
    }
    assert_eq!(broker.memory_bytes(), 0);
}

const COPIES: usize = 64;
const TTL_MS: u64 = 10;

/// Publishes one message into many queues, which dead-letter it to the queue `dead`.
fn send_to_many(broker: &mut Broker) {
    let mut program = Program::of(broker);
    program.queue("dead", &Table::new());
    let mut arguments = table("x-dead-letter-exchange", "");
    arguments.insert("x-dead-letter-routing-key", "dead");
    arguments.insert("x-message-ttl", TTL_MS as i64);
    for number in 0..COPIES {
        program.queue(&short(number), &arguments);
        program.bind("amq.fanout", &short(number), "");
    }
    let routed = program.publish("amq.fanout", "", &"x".repeat(250_000), PropertyValues::default());
    assert_eq!(routed, Routed::Queued(COPIES));
}

fn dead_and_dropped(broker: &Broker) -> (usize, usize) {
    let report = broker.report();
    let dead = report.queues.iter().find(|queue| &*queue.name == "dead").unwrap().ready;
    (dead, report.dropped_dead_letters)
}

#[test]
fn dead_letters_of_a_message_in_many_queues_stay_within_memory() {
    let mut broker = Broker::new(Config { seed: [7; 32], limits: limits() });
    broker.turn(NOW_MS);
    send_to_many(&mut broker);
    let live = LIVE_BYTES.get();
    broker.turn(NOW_MS + TTL_MS);
    let (dead, dropped) = dead_and_dropped(&broker);
    assert!(dead > 10 && dead + dropped == COPIES, "{dead} and {dropped}");
    assert!(broker.memory_bytes() <= limits().memory_max_bytes);
    assert!(LIVE_BYTES.get() - live <= limits().memory_max_bytes as i64);
}

#[test]
fn durable_dead_letters_wait_until_they_are_written_and_none_is_dropped() {
    let store = Bytes::default();
    let limits = || Limits { memory_page_bytes: ROOM, ..limits() };
    let mut server = open(&store, limits());
    send_to_many(server.broker_mut());
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
    send_to_many(server.broker_mut());
    flush(&mut server, NOW_MS);
    server.turn(NOW_MS + TTL_MS, &mut ());
    let mut program = Program::of(server.broker_mut());
    // Nothing was written in this turn yet.
    program.queue("more", &table("x-message-ttl", TTL_MS as i64));
    (0..4).for_each(|_| program.send("more", &"x".repeat(250_000)));
    assert_eq!((0..COPIES).find_map(|number| program.get(&short(number))), None);
}

#[test]
fn unacked_deliveries_are_counted_until_they_are_settled() {
    let mut broker = Broker::new(Config { seed: [7; 32], limits: Limits::default() });
    let channel = fanned(&mut broker);
    for _ in 0..20 {
        publish(&mut broker, channel, "amq.fanout").unwrap();
    }
    let (ready, live) = (broker.memory_bytes(), LIVE_BYTES.get());
    for number in 0..FANNED {
        while broker.get(channel, &short(number), false).unwrap().is_some() {}
    }
    let (counted, real) = ((broker.memory_bytes() - ready) as f64, (LIVE_BYTES.get() - live) as f64);
    println!("{counted} bytes counted for deliveries, {:.2} of what they take", counted / real);
    assert!(real < 1.5 * counted && counted < 2.0 * real, "{real} bytes, {counted} counted");
    assert_eq!(broker.memory_bytes(), broker.recounted_queued_bytes());
    // Some are acked, some are requeued, some are deleted with their queue.
    broker.ack(channel, (FANNED * 5) as u64, true).unwrap();
    assert_eq!(broker.memory_bytes(), broker.recounted_queued_bytes());
    (FANNED / 2..FANNED).for_each(|number| delete_short(&mut broker, channel, number));
    assert_eq!(broker.memory_bytes(), broker.recounted_queued_bytes());
    broker.close_channel(channel);
    assert_eq!(broker.memory_bytes(), broker.recounted_queued_bytes());
    let connection = broker.open_connection();
    let channel = broker.open_channel(connection, 1);
    (0..FANNED / 2).for_each(|number| delete_short(&mut broker, channel, number));
    assert_eq!(broker.memory_bytes(), 0);
}

fn delete_short(broker: &mut Broker, channel: ChannelId, number: usize) {
    broker.delete_queue(channel, &short(number), false, false).unwrap();
}

#[test]
fn deduplication_ids_are_counted() {
    let mut broker = Broker::new(Config { seed: [7; 32], limits: limits() });
    broker.turn(NOW_MS);
    let live = LIVE_BYTES.get();
    let mut program = Program::of(&mut broker);
    program.queue("once", &table("x-message-deduplication", true));
    let id = |number| [("x-deduplication-id", long(number).as_str())].into_iter().collect();
    let mut published = 0;
    while program.broker.memory_bytes() + 1000 < limits().memory_max_bytes {
        let values = PropertyValues { headers: Some(id(published)), ..PropertyValues::default() };
        assert_eq!(program.publish("", "once", "", values), Routed::Queued(1));
        published += 1;
    }
    let channel = program.channel;
    let (counted, real) = (broker.memory_bytes() as f64, (LIVE_BYTES.get() - live) as f64);
    println!("{published} messages with an id, {:.2} of what they take", counted / real);
    assert!(real < 1.5 * counted && counted < 2.0 * real, "{real} bytes, {counted} counted");
    assert_eq!(broker.memory_bytes(), broker.recounted_queued_bytes());
    broker.purge_queue(channel, "once").unwrap();
    assert_eq!(broker.memory_bytes(), 0);
}

#[test]
fn all_virtual_hosts_share_the_memory_for_messages() {
    let mut client = client();
    client.server.virtual_hosts_mut().add("other");
    let id = client.server.virtual_hosts().named("other").unwrap().id();
    let fill = |broker: &mut Broker| {
        let channel = channel(broker);
        let publish = |broker: &mut Broker| {
            let (properties, body) = (Properties::EMPTY, &[b'a'; 100_000][..]);
            let publication = Publication { exchange: "", routing_key: "to", mandatory: false, properties, body };
            broker.publish(channel, &publication).map(drop)
        };
        (channel, (0..100).take_while(|_| publish(broker).is_ok()).count())
    };
    let (channel, first) = fill(client.server.virtual_hosts_mut().broker_mut(id).unwrap());
    assert_eq!(first, 41);
    assert_eq!(fill(client.server.broker_mut()).1, 0, "the other one has all");
    // Freed memory is available to all from the next turn on.
    let broker = client.server.virtual_hosts_mut().broker_mut(id).unwrap();
    broker.purge_queue(channel, "to").unwrap();
    client.turn();
    assert_eq!(fill(client.server.broker_mut()).1, 41);
}
