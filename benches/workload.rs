//! Workload: a message of 100 B is published, delivered and acked, over and over, in the core alone.

use pocketmq::broker::{Binding, Broker, Config, Consume, Event, ExchangeDeclaration, Publication, QueueDeclaration};
use pocketmq::id::ChannelId;
use pocketmq::limits::Limits;
use pocketmq::properties::{Properties, PropertyValues};
use pocketmq::table::Table;

/// Bytes of a message's body.
pub const BODY_BYTES: usize = 100;

const QUEUE: &str = "bench";
const EXCHANGE: &str = "bench-exchange";

/// The path of the message.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Arguments of its queue.
    pub arguments: Table,
    /// Properties of the message.
    pub message: PropertyValues,
    /// Whether the properties end in digits that count up from message to message.
    pub is_numbered: bool,
    /// The exchange that it is published to, if not the default one.
    pub exchange: Option<Exchange>,
}

/// A type of exchange, and how the queue is bound to it.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub kind: &'static str,
    pub routing_key: &'static str,
    pub arguments: Table,
}

/// A broker with one queue.
pub struct Workload {
    broker: Broker,
    channel: ChannelId,
    now_ms: u64,
    exchange: &'static str,
    routing_key: &'static str,
    properties: Vec<u8>,
    is_numbered: bool,
}

impl Workload {
    pub fn new(setup: &Setup) -> Self {
        let limits = Limits { memory_max_bytes: usize::MAX, ..Limits::default() };
        let mut broker = Broker::new(Config { seed: [1; 32], limits });
        let connection = broker.open_connection();
        let channel = broker.open_channel(connection, 1);
        let mut properties = Vec::new();
        setup.message.encode(&mut properties).expect("short texts");
        let (now_ms, exchange, routing_key) = (0, "", QUEUE);
        let is_numbered = setup.is_numbered;
        let mut workload = Self { broker, channel, now_ms, exchange, routing_key, properties, is_numbered };
        workload.declare(QUEUE, &setup.arguments);
        if let Some(Exchange { kind, routing_key, arguments }) = &setup.exchange {
            (workload.exchange, workload.routing_key) = (EXCHANGE, routing_key);
            workload.declare_exchange(kind);
            workload.bind(QUEUE, routing_key, arguments);
        }
        workload
    }

    pub fn declare(&mut self, name: &str, arguments: &Table) {
        let (passive, durable, exclusive, auto_delete) = (false, true, false, false);
        let queue = QueueDeclaration { name, passive, durable, exclusive, auto_delete, arguments };
        self.broker.declare_queue(self.channel, &queue).expect("a new queue");
    }

    fn declare_exchange(&mut self, kind: &str) {
        let (name, arguments) = (EXCHANGE, &Table::new());
        let (passive, durable, auto_delete, internal) = (false, true, false, false);
        let exchange = ExchangeDeclaration { name, kind, passive, durable, auto_delete, internal, arguments };
        self.broker.declare_exchange(self.channel, &exchange).expect("a new exchange");
    }

    pub fn bind(&mut self, queue: &str, routing_key: &str, arguments: &Table) {
        let binding = Binding { source: EXCHANGE, destination: queue, routing_key, arguments };
        self.broker.bind_queue(self.channel, &binding).expect("a new binding");
    }

    #[allow(dead_code, reason = "only the native bench deletes queues")]
    pub fn delete(&mut self, queue: &str) {
        self.broker.delete_queue(self.channel, queue, false, false).expect("a queue of ours");
    }

    /// Starts the consumer; before that messages stay in the queue.
    pub fn consume(&mut self) {
        let (consumer_tag, no_ack, exclusive, arguments) = ("c", false, false, &Table::new());
        let consume = Consume { queue: QUEUE, consumer_tag, no_ack, exclusive, arguments };
        self.broker.qos(self.channel, 1_000, false);
        self.broker.consume(self.channel, &consume).expect("a new consumer");
    }

    pub fn publish(&mut self) {
        if self.is_numbered {
            count_up(&mut self.properties);
        }
        let Self { exchange, routing_key, .. } = *self;
        let (properties, body, mandatory) = (Properties::trusted(&self.properties), &[7; BODY_BYTES], false);
        let publication = Publication { exchange, routing_key, properties, body, mandatory };
        self.broker.publish(self.channel, &publication).expect("a queue that takes it");
    }

    /// Takes the next delivery and returns its tag.
    pub fn deliver(&mut self) -> u64 {
        match self.broker.poll() {
            Some(Event::Delivery(delivery)) => {
                assert_eq!(delivery.message.body().len(), BODY_BYTES);
                delivery.delivery_tag
            }
            _ => panic!("no delivery"),
        }
    }

    /// Publishes `batch` messages, delivers them and acks them at once, repeatedly, until `count` messages have passed.
    /// Each batch takes a millisecond of the broker's time.
    pub fn run(&mut self, count: usize, batch: usize) {
        for _ in 0..count / batch {
            self.now_ms += 1;
            self.broker.turn(self.now_ms);
            (0..batch).for_each(|_| self.publish());
            let last = (0..batch).map(|_| self.deliver()).last().expect("a batch is not empty");
            self.broker.ack(self.channel, last, true).expect("it is unacked");
        }
    }
}

/// Increments the number that the digits form.
fn count_up(digits: &mut [u8]) {
    for digit in digits.iter_mut().rev() {
        if *digit != b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
}
