//! Bench: the broker beside its twin and the reference, compared after each command.

use pocketmq::broker::{Broker, Config, Error, ErrorKind, Event, Matcher, Report};
use pocketmq::id::{ChannelId, ConnectionId};
use pocketmq::limits::Limits;

use super::Command;
use super::facts::Facts;
use super::reference::delivery::Delivered;
use super::reference::{CHANNELS_PER_CONNECTION, Reference, connection_of};
use super::words::{begins_with, read};

const CONNECTIONS: usize = 2;
const BEGIN_MS: u64 = 1_700_000_000_500;
/// Time after which every delay is over.
const LONG_MS: u64 = 100_000;
const ENDINGS: usize = 8;

pub struct Bench {
    pub broker: Broker,
    pub reference: Reference,
    pub connections: Vec<ConnectionId>,
    pub channels: Vec<ChannelId>,
    pub now: u64,
    pub published: u32,
    facts: Facts,
}

pub fn kind<T>(result: Result<T, Error>) -> Result<T, ErrorKind> {
    result.map_err(|error| error.kind())
}

fn new_broker() -> Broker {
    let mut broker = Broker::new(Config { seed: [7; 32], limits: Limits::default() });
    broker.set_matcher(Matcher::new(begins_with));
    broker
}

impl Bench {
    pub fn new() -> Self {
        let mut broker = new_broker();
        let facts = Facts::of(&mut broker, new_broker());
        broker.turn(BEGIN_MS);
        let connections: Vec<_> = (0..CONNECTIONS).map(|_| broker.open_connection()).collect();
        let channels = (0..CONNECTIONS * CHANNELS_PER_CONNECTION)
            .map(|channel| broker.open_channel(connections[connection_of(channel)], channel as u16))
            .collect();
        let reference = Reference::new(CONNECTIONS, BEGIN_MS);
        Self { broker, reference, connections, channels, now: BEGIN_MS, published: 0, facts }
    }

    pub fn run(&mut self, command: Command) {
        self.call(command);
        self.follow();
        // Polling may make something due at once.
        loop {
            self.turn();
            self.drain();
            if self.broker.deadline_ms().is_none_or(|deadline_ms| deadline_ms > self.now) {
                break;
            }
        }
        self.reference.check_idle();
    }

    /// Lets the reference follow the facts.
    pub fn follow(&mut self) {
        let (before, after) = self.facts.take();
        self.reference.follow(before.into_iter().chain(after));
    }

    /// Follows the facts around a delivery that `expect` predicts.
    pub fn follow_around<T>(&mut self, expect: impl FnOnce(&mut Reference) -> T) -> T {
        let (before, after) = self.facts.take();
        self.reference.follow(before);
        let expected = expect(&mut self.reference);
        self.reference.follow(after);
        expected
    }

    pub fn turn(&mut self) {
        self.broker.turn(self.now);
        self.reference.advance(self.now);
        self.reference.is_turning = true;
        self.follow();
        self.reference.is_turning = false;
    }

    /// Takes the broker's events; all must be expected, and afterwards none may be left.
    fn drain(&mut self) {
        let (mut cancelled, mut timed_out) = (Vec::new(), Vec::new());
        loop {
            match self.broker.poll() {
                Some(Event::Delivery(delivery)) => {
                    let (content, delivery_count) = read(delivery.message);
                    let (delivery_tag, redelivered) = (delivery.delivery_tag, delivery.redelivered);
                    let delivered = Delivered { delivery_tag, redelivered, delivery_count, content };
                    let (channel, tag) = (usize::from(delivery.channel), delivery.consumer_tag.to_owned());
                    assert_eq!(delivered, self.follow_around(|reference| reference.deliver(channel, &tag)));
                }
                Some(Event::Cancelled { connection, channel, consumer_tag }) => {
                    assert_eq!(self.connections[connection_of(channel.into())], connection);
                    cancelled.push((usize::from(channel), consumer_tag.into()));
                }
                Some(Event::AckTimedOut { connection, channel, timeout_ms }) => {
                    assert_eq!(self.connections[connection_of(channel.into())], connection);
                    timed_out.push((usize::from(channel), timeout_ms));
                }
                None => break,
            }
        }
        self.follow();
        let mut expected = std::mem::take(&mut self.reference.cancelled);
        cancelled.sort();
        expected.sort();
        // A consumer that was closed meanwhile gets no notice.
        assert!(
            cancelled.iter().all(|consumer| expected.contains(consumer)),
            "{cancelled:?} of {expected:?} were notified"
        );
        let mut expected = std::mem::take(&mut self.reference.timed_out);
        timed_out.sort();
        expected.sort();
        assert_eq!(timed_out, expected, "acks that are late");
    }

    pub fn compare(&self) {
        let report = self.broker.report();
        let names: Vec<&str> = report.queues.iter().map(|queue| &*queue.name).collect();
        assert_eq!(names, self.reference.queue_names().collect::<Vec<_>>());
        let twin = self.facts.twin.borrow_mut();
        for name in names {
            let messages = self.broker.messages(name).unwrap();
            assert_eq!(twin.messages(name).as_ref(), Some(&messages), "the twin's {name}");
            let messages: Vec<_> =
                messages.into_iter().map(|message| (message.position, message.is_unacked, message.body)).collect();
            assert_eq!(messages, self.reference.messages(name), "{name}");
        }
        assert_eq!(twin.queued_bytes(), self.broker.queued_bytes());
        assert_eq!(facts(&twin.report()), facts(&report));
        assert!(twin.policies().eq(self.broker.policies()));
        for broker in [&self.broker, &*twin] {
            assert_eq!(broker.queued_bytes(), broker.recounted_queued_bytes());
            assert_eq!(broker.structure_bytes(), broker.recounted_structure_bytes());
        }
    }

    /// Closes everything and checks that nothing is left in memory.
    pub fn close_down(mut self) {
        for connection in 0..CONNECTIONS {
            self.broker.close_connection(self.connections[connection]);
        }
        // Dead letters may be delayed again.
        for _ in 0..ENDINGS {
            self.now += LONG_MS;
            self.broker.turn(self.now);
        }
        let connection = self.broker.open_connection();
        let channel = self.broker.open_channel(connection, 1);
        for queue in self.broker.report().queues {
            self.broker.delete_queue(channel, &queue.name, false, false).unwrap();
        }
        assert!(self.broker.poll().is_none_or(|event| matches!(event, Event::Cancelled { .. })));
        assert_eq!(self.broker.memory_bytes(), 0);
        self.broker.turn(self.now + LONG_MS);
        assert_eq!(self.broker.deadline_ms(), None, "a timer is left");
    }
}

/// Returns the part of a report that facts alone determine: no connections, no consumers.
fn facts(report: &Report) -> impl PartialEq + std::fmt::Debug + use<> {
    let queues = report.queues.iter().map(|queue| (queue.name.clone(), queue.ready, queue.unacked, queue.counters));
    (report.exchanges, queues.collect::<Vec<_>>())
}
