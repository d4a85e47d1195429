//! Partitions: in all circumstances, messages of one key arrive in order, and at one consumer at a time.

use std::collections::HashMap;

use pocketmq::broker::{Broker, Config, Consume, Event, Publication, QueueDeclaration, Routed};
use pocketmq::id::ChannelId;
use pocketmq::limits::Limits;
use pocketmq::properties::{Properties, PropertyValues};
use pocketmq::table::{Table, Value};

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_dedicated_worker);

const KEYS: u32 = 40;
const QUEUE: &str = "orders";

/// A small random generator of our own, so that a seed gives the same run on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// An unsettled delivery: the consumer's index, delivery tag and key.
type Unacked = (usize, u64, u32);

struct Run {
    broker: Broker,
    dice: Dice,
    publisher: ChannelId,
    /// The channels of all consumers so far; a consumer is known by its index here.
    channels: Vec<ChannelId>,
    /// The consumers that are there.
    consumers: Vec<usize>,
    partitions: u16,
    published: HashMap<u32, u32>,
    first_delivered: HashMap<u32, u32>,
    unacked: Vec<Unacked>,
    settled: u32,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut broker = Broker::new(Config { seed: [1; 32], limits: Limits::default() });
        let connection = broker.open_connection();
        let publisher = broker.open_channel(connection, 1);
        let mut run = Self {
            broker,
            dice: Dice(seed),
            publisher,
            channels: Vec::new(),
            consumers: Vec::new(),
            partitions: 3,
            published: HashMap::new(),
            first_delivered: HashMap::new(),
            unacked: Vec::new(),
            settled: 0,
        };
        run.declare().unwrap();
        run
    }

    fn declare(&mut self) -> Result<usize, pocketmq::broker::Error> {
        let arguments = &[("x-partitions", i64::from(self.partitions))].into_iter().collect::<Table>();
        let (passive, durable, exclusive, auto_delete) = (false, true, false, false);
        let declaration = QueueDeclaration { name: QUEUE, passive, durable, exclusive, auto_delete, arguments };
        self.broker.declare_queue(self.publisher, &declaration).map(|status| status.message_count)
    }

    fn step(&mut self) {
        match self.dice.roll(40) {
            0 => self.join(),
            1 => self.leave(),
            2 => {
                let known = self.partitions;
                self.partitions = (known + 1 + self.dice.roll(3) as u16).min(20);
                // Refused while slots still move from the last change.
                if self.declare().is_err() {
                    self.partitions = known;
                }
            }
            3..=20 => self.publish(),
            21..=24 => self.settle(false),
            _ => self.settle(true),
        }
        self.deliver();
    }

    fn join(&mut self) {
        let connection = self.broker.open_connection();
        let channel = self.broker.open_channel(connection, self.channels.len() as u16);
        self.broker.qos(channel, 1 + self.dice.roll(5) as u16, false);
        let (consumer_tag, no_ack, exclusive, arguments) = ("", false, false, &Table::new());
        self.broker.consume(channel, &Consume { queue: QUEUE, consumer_tag, no_ack, exclusive, arguments }).unwrap();
        self.consumers.push(self.channels.len());
        self.channels.push(channel);
    }

    fn leave(&mut self) {
        if self.consumers.len() > 1 {
            let gone = self.consumers.swap_remove(self.dice.roll(self.consumers.len() as u64) as usize);
            self.broker.close_channel(self.channels[gone]);
            self.unacked.retain(|&(consumer, ..)| consumer != gone);
        }
    }

    fn publish(&mut self) {
        let key = self.dice.roll(KEYS.into()) as u32;
        let number = self.published.entry(key).or_insert(0);
        *number += 1;
        let body = [key.to_le_bytes(), number.to_le_bytes()].concat();
        // A binding's key would do as well; the default exchange needs the queue's name there, so a header has the key.
        let headers: Table = [("x-partition-key", format!("key {key}").as_str())].into_iter().collect();
        let mut properties = Vec::new();
        Properties::EMPTY.with_headers(&headers, false, &mut properties).unwrap();
        let properties = Properties::parse(&properties).unwrap();
        let publication = Publication { exchange: "", routing_key: QUEUE, properties, body: &body, mandatory: false };
        assert_eq!(self.broker.publish(self.publisher, &publication), Ok(Routed::Queued(1)));
    }

    fn settle(&mut self, ack: bool) {
        if self.unacked.is_empty() {
            return;
        }
        let (consumer, tag, _) = self.unacked.swap_remove(self.dice.roll(self.unacked.len() as u64) as usize);
        let channel = self.channels[consumer];
        if ack {
            self.broker.ack(channel, tag, false).unwrap();
            self.settled += 1;
        } else {
            self.broker.nack(channel, tag, false, true).unwrap();
        }
    }

    fn deliver(&mut self) {
        while let Some(event) = self.broker.poll() {
            let Event::Delivery(delivery) = event else { panic!("{event:?}") };
            let number_at = |at: usize| u32::from_le_bytes(*delivery.message.body()[at..].first_chunk().unwrap());
            let (key, number) = (number_at(0), number_at(4));
            let consumer = usize::from(delivery.channel);
            let is_elsewhere = self.unacked.iter().any(|&(other, _, its_key)| its_key == key && other != consumer);
            assert!(!is_elsewhere, "key {key} is with two consumers");
            if !delivery.redelivered {
                let last = self.first_delivered.insert(key, number).unwrap_or(0);
                assert_eq!(number, last + 1, "key {key} comes out of order");
            }
            self.unacked.push((consumer, delivery.delivery_tag, key));
        }
    }

    /// Acks until no more deliveries come: then every published message has arrived.
    fn finish(&mut self) {
        self.join();
        self.deliver();
        while !self.unacked.is_empty() {
            self.settle(true);
            self.deliver();
        }
        assert_eq!(self.settled, self.published.values().sum::<u32>());
        assert_eq!((self.declare(), self.broker.memory_bytes()), (Ok(0), 0));
    }
}

fn run(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut run = Run::new(seed);
        (0..600).for_each(|_| run.step());
        run.finish();
    }
}

#[test]
#[cfg(not(target_arch = "wasm32"))]
fn a_key_keeps_its_order_while_partitions_and_consumers_come_and_go() {
    run(0..if std::env::var_os("POCKETMQ_SOAK").is_some() { 3000 } else { 60 });
}

#[cfg(target_arch = "wasm32")]
#[wasm_bindgen_test::wasm_bindgen_test]
fn a_key_keeps_its_order_in_a_browser_too() {
    run(0..30);
}

#[wasm_bindgen_test::wasm_bindgen_test(unsupported = test)]
fn an_id_is_enqueued_once_over_all_partitions() {
    let mut broker = Broker::new(Config { seed: [1; 32], limits: Limits::default() });
    let connection = broker.open_connection();
    let channel = broker.open_channel(connection, 1);
    let arguments = [("x-partitions", Value::I32(8)), ("x-message-deduplication", Value::Bool(true))];
    let arguments: &Table = &arguments.into_iter().collect();
    let (passive, durable, exclusive, auto_delete) = (false, false, false, false);
    let queue = QueueDeclaration { name: QUEUE, passive, durable, exclusive, auto_delete, arguments };
    broker.declare_queue(channel, &queue).unwrap();
    for key in 0..KEYS {
        let headers = [("x-partition-key", key.to_string()), ("x-deduplication-id", "one".to_owned())];
        let headers: Table = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut raw = Vec::new();
        PropertyValues { headers: Some(headers), ..PropertyValues::default() }.encode(&mut raw).unwrap();
        let properties = Properties::parse(&raw).unwrap();
        let publication = Publication { exchange: "", routing_key: QUEUE, properties, body: b"x", mandatory: false };
        assert_eq!(broker.publish(channel, &publication), Ok(Routed::Queued(1)));
    }
    assert_eq!(broker.declare_queue(channel, &queue).unwrap().message_count, 1);
}
