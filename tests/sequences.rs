//! Random sequences of commands: the broker answers as the reference does, and its facts make a twin.
//!
//! Natively proptest makes them, and shrinks one that fails; in browsers they come from seeds.

mod reference;

use std::sync::{Arc, Mutex};

use pocketmq::broker::{
    Binding, Broker, Config, Consume, Error, ErrorKind, Event, ExchangeDeclaration, Publication, QueueDeclaration,
    Report, Routed,
};
use pocketmq::id::{ChannelId, ConnectionId};
use pocketmq::limits::Limits;
use pocketmq::properties::Properties;
use pocketmq::table::Table;
use reference::{CHANNELS_PER_CONNECTION, Reference, connection_of};

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

/// What to do, and with which of the names; every value means something.
type Command = [u8; 5];

const CONNECTIONS: usize = 2;
const QUEUES: [&str; 4] = ["q1", "q2", "q3", ""];
const EXCHANGES: [&str; 8] = ["e1", "e2", "e3", "amq.direct", "amq.topic", "amq.fanout", "amq.mine", ""];
const KINDS: [&str; 3] = ["direct", "fanout", "topic"];
const KEYS: [&str; 8] = ["a", "a.b", "a.b.c", "", "q1", "q2", "b", "."];
const PATTERNS: [&str; 8] = ["a", "a.*", "a.#", "#", "q1", "*.b.#", "", "#.c"];
const TAGS: [&str; 3] = ["t1", "t2", "t3"];

fn pick<T: Copy>(items: &[T], by: u8) -> T {
    items[usize::from(by) % items.len()]
}

fn bit(byte: u8, index: u8) -> bool {
    byte >> index & 1 == 1
}

fn kind<T>(answer: Result<T, Error>) -> Result<T, ErrorKind> {
    answer.map_err(|error| error.kind())
}

/// Both brokers, and the twin that knows only the facts.
struct Bench {
    broker: Broker,
    twin: Arc<Mutex<Broker>>,
    reference: Reference,
    connections: Vec<ConnectionId>,
    channels: Vec<ChannelId>,
    now: u64,
    published: u32,
}

fn new_broker() -> Broker {
    Broker::new(Config { seed: [7; 32], limits: Limits::default() })
}

impl Bench {
    fn new() -> Self {
        let mut broker = new_broker();
        let twin = Arc::new(Mutex::new(new_broker()));
        let shadow = Arc::clone(&twin);
        broker.observe(move |record| shadow.lock().unwrap().apply(record));
        let connections: Vec<_> = (0..CONNECTIONS).map(|_| broker.open_connection()).collect();
        let channels = (0..CONNECTIONS * CHANNELS_PER_CONNECTION)
            .map(|channel| broker.open_channel(connections[connection_of(channel)], channel as u16))
            .collect();
        let reference = Reference::new(CONNECTIONS);
        Self { broker, twin, reference, connections, channels, now: 0, published: 0 }
    }

    fn run(&mut self, command: Command) {
        let [what, who, a, b, c] = command;
        let channel = usize::from(who) % self.channels.len();
        match what % 32 {
            0..=2 => self.exchange(channel, a, b, c),
            3..=5 => self.queue(channel, a, b),
            6 => self.delete_queue(channel, a, b),
            7 => {
                let queue = pick(&QUEUES, a);
                let purged = self.broker.purge_queue(self.channels[channel], queue);
                assert_eq!(kind(purged), self.reference.purge(channel, queue));
            }
            8..=10 => self.bind(channel, a, b, c),
            11..=17 => self.publish(channel, a, b),
            18..=19 => self.get(channel, a, b),
            20..=22 => self.consume(channel, a, b, c),
            23 => {
                let tag = pick(&TAGS, a);
                self.broker.cancel(self.channels[channel], tag);
                self.reference.cancel(channel, tag);
            }
            24..=27 => self.settle(channel, a, b),
            28 => {
                let prefetch = u16::from(a % 4);
                self.broker.qos(self.channels[channel], prefetch, bit(b, 0));
                self.reference.qos(channel, prefetch, bit(b, 0));
            }
            29 => self.pause(connection_of(channel), bit(a, 0)),
            30 => self.close(channel, a),
            _ => {
                self.now += u64::from(a);
                self.broker.turn(self.now);
                self.reference.advance(self.now);
            }
        }
        self.drain();
    }

    fn exchange(&mut self, channel: usize, a: u8, b: u8, c: u8) {
        let name = pick(&EXCHANGES, a);
        if c.is_multiple_of(8) {
            let answer = self.broker.delete_exchange(self.channels[channel], name, bit(b, 0));
            assert_eq!(kind(answer), self.reference.delete_exchange(name, bit(b, 0)));
            return;
        }
        let (kind_name, passive, durable) = (pick(&KINDS, c), b.is_multiple_of(8), bit(b, 3));
        let (auto_delete, internal) = (bit(b, 4), b.is_multiple_of(5));
        let arguments = &Table::new();
        let answer = self.broker.declare_exchange(
            self.channels[channel],
            &ExchangeDeclaration { name, kind: kind_name, passive, durable, auto_delete, internal, arguments },
        );
        let declared = reference::Exchange { name: name.into(), kind: kind_name, durable, auto_delete, internal };
        assert_eq!(kind(answer), self.reference.declare_exchange(declared, passive));
    }

    fn queue(&mut self, channel: usize, a: u8, b: u8) {
        let (name, passive) = (pick(&QUEUES, a), b.is_multiple_of(8));
        if name.is_empty() && !passive {
            return;
        }
        let (durable, exclusive, auto_delete) = (bit(b, 3), b.is_multiple_of(5), b.is_multiple_of(3));
        let arguments = &Table::new();
        let declaration = QueueDeclaration { name, passive, durable, exclusive, auto_delete, arguments };
        let answer = self.broker.declare_queue(self.channels[channel], &declaration);
        let answer = kind(answer).map(|status| (status.message_count, status.consumer_count));
        let expected = self.reference.declare_queue(channel, name, passive, durable, exclusive, auto_delete);
        assert_eq!(answer, expected);
    }

    fn delete_queue(&mut self, channel: usize, a: u8, b: u8) {
        let (name, if_unused, if_empty) = (pick(&QUEUES, a), bit(b, 0), bit(b, 1));
        let answer = self.broker.delete_queue(self.channels[channel], name, if_unused, if_empty);
        assert_eq!(kind(answer), self.reference.delete_queue(channel, name, if_unused, if_empty));
    }

    fn bind(&mut self, channel: usize, a: u8, b: u8, c: u8) {
        let (source, key, remove, to_queue) = (pick(&EXCHANGES, a), pick(&PATTERNS, b), c.is_multiple_of(4), bit(c, 2));
        let destination = if to_queue { pick(&QUEUES, c >> 3) } else { pick(&EXCHANGES, c >> 3) };
        let binding = Binding { source, destination, routing_key: key, arguments: &Table::new() };
        let id = self.channels[channel];
        let answer = match (to_queue, remove) {
            (true, false) => self.broker.bind_queue(id, &binding),
            (true, true) => self.broker.unbind_queue(id, &binding),
            (false, false) => self.broker.bind_exchange(id, &binding),
            (false, true) => self.broker.unbind_exchange(id, &binding),
        };
        let (source, destination) = (source.into(), destination.into());
        let expected =
            self.reference.bind(channel, reference::Binding { source, destination, to_queue, key: key.into() }, remove);
        assert_eq!(kind(answer), expected);
    }

    fn publish(&mut self, channel: usize, a: u8, b: u8) {
        let (exchange, routing_key) = (pick(&EXCHANGES, a), pick(&KEYS, b));
        self.published += 1;
        let body = &self.published.to_be_bytes();
        let publication = Publication { exchange, routing_key, properties: Properties::EMPTY, body, mandatory: false };
        let answer = kind(self.broker.publish(self.channels[channel], &publication)).map(|routed| match routed {
            Routed::Queued(queues) => queues,
            other => panic!("{other:?}"),
        });
        assert_eq!(answer, self.reference.publish(exchange, routing_key, body));
    }

    fn get(&mut self, channel: usize, a: u8, b: u8) {
        let (queue, no_ack) = (pick(&QUEUES, a), bit(b, 0));
        let timeout = (!no_ack && bit(b, 1)).then_some(u64::from(b));
        let got = kind(self.broker.get(self.channels[channel], queue, no_ack)).map(|got| {
            got.map(|got| (got.delivery_tag, got.message.body().to_vec(), got.redelivered, got.message_count))
        });
        if let (Ok(Some((tag, ..))), Some(timeout)) = (&got, timeout) {
            self.broker.set_deadline(self.channels[channel], *tag, timeout).unwrap();
        }
        assert_eq!(got, self.reference.get(channel, queue, no_ack, timeout));
    }

    fn consume(&mut self, channel: usize, a: u8, b: u8, c: u8) {
        let (queue, consumer_tag, no_ack, exclusive) =
            (pick(&QUEUES, a), pick(&TAGS, b), c.is_multiple_of(3), c.is_multiple_of(5));
        let consume = Consume { queue, consumer_tag, no_ack, exclusive, arguments: &Table::new() };
        let answer = kind(self.broker.consume(self.channels[channel], &consume));
        let expected = self.reference.consume(channel, queue, consumer_tag, no_ack, exclusive);
        assert_eq!(answer.map(|tag| assert_eq!(&*tag, consumer_tag)), expected);
    }

    fn settle(&mut self, channel: usize, a: u8, b: u8) {
        let id = self.channels[channel];
        let tags = self.reference.unacked_tags(channel);
        // Mostly a tag that is unacked; now and then any.
        let tag = if tags.is_empty() || b >= 240 { u64::from(a) } else { pick(&tags, a) };
        let (multiple, requeue) = (b.is_multiple_of(4), bit(b, 3));
        if b == 255 {
            self.broker.recover(id);
            self.reference.recover(channel);
            return;
        }
        let answer =
            if requeue { self.broker.nack(id, tag, multiple, true) } else { self.broker.ack(id, tag, multiple) };
        assert_eq!(kind(answer), self.reference.settle(channel, tag, multiple, requeue));
    }

    fn pause(&mut self, connection: usize, paused: bool) {
        let id = self.connections[connection];
        if paused {
            self.broker.pause(id)
        } else {
            self.broker.resume(id)
        }
        self.reference.pause(connection, paused);
    }

    fn close(&mut self, channel: usize, a: u8) {
        let connection = connection_of(channel);
        if a.is_multiple_of(4) {
            self.broker.close_connection(self.connections[connection]);
            self.reference.close_connection(connection);
            self.connections[connection] = self.broker.open_connection();
            for number in connection * CHANNELS_PER_CONNECTION..(connection + 1) * CHANNELS_PER_CONNECTION {
                self.channels[number] = self.broker.open_channel(self.connections[connection], number as u16);
            }
        } else {
            self.broker.close_channel(self.channels[channel]);
            self.reference.close_channel(channel);
            self.channels[channel] = self.broker.open_channel(self.connections[connection], channel as u16);
        }
    }

    /// Takes what is to be sent; all of it was to be expected, and nothing is left that could be.
    fn drain(&mut self) {
        let mut told = Vec::new();
        while let Some(event) = self.broker.poll() {
            match event {
                Event::AckTimedOut { .. } => unreachable!("no queue has a timeout"),
                Event::Delivery(delivery) => {
                    let expected = self.reference.deliver(delivery.channel.into(), delivery.consumer_tag);
                    let body = delivery.message.body().to_vec();
                    assert_eq!((delivery.delivery_tag, body, delivery.redelivered), expected);
                }
                Event::Cancelled { connection, channel, consumer_tag } => {
                    // Who has gone meanwhile is not there to be told.
                    if self.connections[connection_of(channel.into())] == connection {
                        told.push((usize::from(channel), consumer_tag.into()));
                    }
                }
            }
        }
        let mut expected: Vec<(usize, String)> = std::mem::take(&mut self.reference.cancelled);
        told.sort();
        expected.sort();
        assert!(told.iter().all(|consumer| expected.contains(consumer)), "{told:?} of {expected:?} were told");
        self.reference.check_idle();
    }

    fn compare(&self) {
        let report = self.broker.report();
        let names: Vec<&str> = report.queues.iter().map(|queue| &*queue.name).collect();
        assert_eq!(names, self.reference.queue_names().collect::<Vec<_>>());
        let twin = self.twin.lock().unwrap();
        for name in names {
            let messages = self.broker.messages(name).unwrap();
            assert_eq!(twin.messages(name).as_ref(), Some(&messages), "the twin's {name}");
            let messages: Vec<_> =
                messages.into_iter().map(|message| (message.position, message.is_unacked, message.body)).collect();
            assert_eq!(messages, self.reference.messages(name), "{name}");
        }
        assert_eq!(facts(&twin.report()), facts(&report));
    }

    /// When everything has gone, nothing has been kept.
    fn close_down(mut self) {
        for connection in 0..CONNECTIONS {
            self.broker.close_connection(self.connections[connection]);
        }
        let connection = self.broker.open_connection();
        let channel = self.broker.open_channel(connection, 1);
        for queue in self.broker.report().queues {
            self.broker.delete_queue(channel, &queue.name, false, false).unwrap();
        }
        assert!(self.broker.poll().is_none_or(|event| matches!(event, Event::Cancelled { .. })));
        assert_eq!(self.broker.memory_bytes(), 0);
        self.broker.turn(self.now);
        assert_eq!(self.broker.deadline_ms(), None, "a timer is left");
    }
}

/// What facts alone determine: nothing of connections and consumers.
fn facts(report: &Report) -> impl PartialEq + std::fmt::Debug + use<> {
    let queues = report.queues.iter().map(|queue| (queue.name.clone(), queue.ready, queue.unacked, queue.counters));
    (report.memory_bytes, report.exchanges, queues.collect::<Vec<_>>())
}

fn check(commands: &[Command]) {
    let mut bench = Bench::new();
    for (index, &command) in commands.iter().enumerate() {
        bench.run(command);
        if index.is_multiple_of(16) {
            bench.compare();
        }
    }
    bench.compare();
    bench.close_down();
}

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use proptest::prelude::*;

    /// `POCKETMQ_SOAK` asks for ten times as many.
    fn cases() -> u32 {
        if std::env::var_os("POCKETMQ_SOAK").is_some() { 10_000 } else { 1_000 }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_broker_answers_as_the_reference(commands in prop::collection::vec(any::<[u8; 5]>(), 1..300)) {
            super::check(&commands);
        }
    }
}

#[cfg(target_arch = "wasm32")]
#[wasm_bindgen_test::wasm_bindgen_test]
fn the_broker_answers_as_the_reference() {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{RngCore, SeedableRng};

    for seed in 0..100 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut commands = vec![[0; 5]; 300];
        commands.iter_mut().for_each(|command| random.fill_bytes(command));
        check(&commands);
    }
}
