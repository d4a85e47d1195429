//! Workload: a message of 100 B is published, delivered and acked, over and over, in the core alone.

use pocketmq::broker::{Broker, Config, Consume, Event, Publication, QueueDeclaration};
use pocketmq::id::ChannelId;
use pocketmq::limits::Limits;
use pocketmq::properties::Properties;
use pocketmq::table::Table;

/// Bytes of a message's body.
pub const BODY_BYTES: usize = 100;

const QUEUE: &str = "bench";

/// A broker with one queue and its consumer.
pub struct Workload {
    broker: Broker,
    channel: ChannelId,
}

impl Workload {
    pub fn new() -> Self {
        let limits = Limits { memory_max_bytes: usize::MAX, ..Limits::default() };
        let mut broker = Broker::new(Config { seed: [1; 32], limits });
        let connection = broker.open_connection();
        let channel = broker.open_channel(connection, 1);
        let arguments = &Table::new();
        let (passive, durable, exclusive, auto_delete) = (false, true, false, false);
        let queue = QueueDeclaration { name: QUEUE, passive, durable, exclusive, auto_delete, arguments };
        broker.declare_queue(channel, &queue).expect("a new queue");
        Self { broker, channel }
    }

    /// Starts the consumer; before that messages stay in the queue.
    pub fn consume(&mut self) {
        let (consumer_tag, no_ack, exclusive, arguments) = ("c", false, false, &Table::new());
        let consume = Consume { queue: QUEUE, consumer_tag, no_ack, exclusive, arguments };
        self.broker.consume(self.channel, &consume).expect("a new consumer");
    }

    pub fn publish(&mut self) {
        let (exchange, properties, body) = ("", Properties::EMPTY, &[7; BODY_BYTES]);
        let publication = Publication { exchange, routing_key: QUEUE, properties, body, mandatory: false };
        self.broker.publish(self.channel, &publication).expect("a queue that takes it");
    }

    /// Takes the next delivery and answers its tag.
    pub fn deliver(&mut self) -> u64 {
        match self.broker.poll() {
            Some(Event::Delivery(delivery)) => {
                assert_eq!(delivery.message.body().len(), BODY_BYTES);
                delivery.delivery_tag
            }
            _ => panic!("no delivery"),
        }
    }

    /// `batch` messages are published, then delivered, then acked at once; so often that it makes `count` messages.
    pub fn run(&mut self, count: usize, batch: usize) {
        for _ in 0..count / batch {
            (0..batch).for_each(|_| self.publish());
            let last = (0..batch).map(|_| self.deliver()).last().expect("a batch is not empty");
            self.broker.ack(self.channel, last, true).expect("it is unacked");
        }
    }
}
