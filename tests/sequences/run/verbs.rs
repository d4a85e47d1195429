//! Verbs: calls each on the broker and on the reference, and compares the results.

use pocketmq::broker::{Binding, Consume, ExchangeDeclaration, Publication, QueueDeclaration, Routed};
use pocketmq::properties::Properties;
use pocketmq::table::Table;

use super::Command;
use super::bench::{Bench, kind};
use super::reference::delivery::Delivered;
use super::reference::settling::Outcome;
use super::reference::topology::Declaration;
use super::reference::{CHANNELS_PER_CONNECTION, connection_of, publishing, topology};
use super::words::{self, EXCHANGES, KEYS, PATTERNS, QUEUES, TAGS, bit, pick};

impl Bench {
    pub fn call(&mut self, command: Command) {
        let [verb, channel, a, b, c, d, e, f] = command;
        let channel = usize::from(channel) % self.channels.len();
        match verb % 64 {
            0..=4 => self.exchange(channel, a, b, c, d),
            5..=10 => self.declare(channel, a, b, [c, d, e, f]),
            11 => self.delete_queue(channel, a, b),
            12 => self.purge(channel, a),
            13..=18 => self.bind(channel, a, b, c, d),
            19..=33 => self.publish(channel, a, b, [c, d, e], f),
            34..=36 => self.get(channel, a, b),
            37..=42 => self.consume(channel, a, b, c),
            43 => self.cancel(channel, a),
            44..=52 => self.settle(channel, a, b, c),
            53 => self.qos(channel, a, b),
            54 => self.pause(connection_of(channel), bit(a, 0)),
            55 => self.close(channel, a),
            56 => self.policy(a, [b, c, d, e]),
            57..=58 => self.transaction(a),
            _ => {
                self.now += pick(&[1, 5, 10, 20, 50, 100], a);
                self.turn();
            }
        }
    }

    fn exchange(&mut self, channel: usize, a: u8, b: u8, c: u8, d: u8) {
        let name = pick(&EXCHANGES, a);
        if c.is_multiple_of(8) {
            let result = self.broker.delete_exchange(self.channels[channel], name, bit(b, 0));
            assert_eq!(kind(result), self.reference.delete_exchange(name, bit(b, 0)));
            return;
        }
        let passive = b.is_multiple_of(8);
        let (arguments, expected) = words::exchange(name, c, d);
        let topology::Exchange { kind: kind_name, durable, auto_delete, internal, .. } = expected;
        let result = self.broker.declare_exchange(
            self.channels[channel],
            &ExchangeDeclaration {
                name,
                kind: kind_name,
                passive,
                durable,
                auto_delete,
                internal,
                arguments: &arguments,
            },
        );
        assert_eq!(kind(result), self.reference.declare_exchange(expected, passive));
    }

    fn declare(&mut self, channel: usize, a: u8, b: u8, c: [u8; 4]) {
        let (name, passive) = (pick(&QUEUES, a), b.is_multiple_of(8));
        if name.is_empty() && !passive {
            return;
        }
        let (durable, exclusive, auto_delete) = (!bit(b, 3), b.is_multiple_of(5), b.is_multiple_of(7));
        let (table, arguments) = words::arguments(c);
        let declaration = QueueDeclaration { name, passive, durable, exclusive, auto_delete, arguments: &table };
        let result = self.broker.declare_queue(self.channels[channel], &declaration);
        let result = kind(result).map(|status| (status.message_count, status.consumer_count));
        let declaration = Declaration { name, passive, durable, exclusive, auto_delete, arguments };
        assert_eq!(result, self.reference.declare_queue(channel, &declaration));
    }

    fn delete_queue(&mut self, channel: usize, a: u8, b: u8) {
        let (name, if_unused, if_empty) = (pick(&QUEUES, a), bit(b, 0), bit(b, 1));
        let result = self.broker.delete_queue(self.channels[channel], name, if_unused, if_empty);
        assert_eq!(kind(result), self.reference.delete_queue(channel, name, if_unused, if_empty));
    }

    fn purge(&mut self, channel: usize, a: u8) {
        let queue = pick(&QUEUES, a);
        let purged = self.broker.purge_queue(self.channels[channel], queue);
        assert_eq!(kind(purged), self.reference.purge(channel, queue));
    }

    fn bind(&mut self, channel: usize, a: u8, b: u8, c: u8, d: u8) {
        let (source, key, remove, to_queue) =
            (pick(&EXCHANGES, a), pick(&PATTERNS, b), c.is_multiple_of(8), !bit(d, 0));
        let destination = if to_queue { pick(&QUEUES, c >> 3) } else { pick(&EXCHANGES, c >> 3) };
        let (arguments, wanted) = words::wanted(d >> 1);
        let binding = Binding { source, destination, routing_key: key, arguments: &arguments };
        let id = self.channels[channel];
        let result = match (to_queue, remove) {
            (true, false) => self.broker.bind_queue(id, &binding),
            (true, true) => self.broker.unbind_queue(id, &binding),
            (false, false) => self.broker.bind_exchange(id, &binding),
            (false, true) => self.broker.unbind_exchange(id, &binding),
        };
        let (source, destination) = (source.into(), destination.into());
        let expected = topology::Binding { source, destination, to_queue, key: key.into(), wanted };
        assert_eq!(kind(result), self.reference.bind(channel, expected, remove));
    }

    fn publish(&mut self, channel: usize, a: u8, b: u8, c: [u8; 3], d: u8) {
        // Mostly to the default exchange.
        let exchange = if bit(a, 7) { "" } else { pick(&EXCHANGES, a) };
        let mut content = words::content(exchange, pick(&KEYS, b), c);
        self.published += 1;
        content.body = self.published.to_be_bytes()[..].into();
        let properties = words::properties(&content);
        let mandatory = bit(d, 0);
        let publication = Publication {
            exchange,
            routing_key: &content.key,
            properties: Properties::parse(&properties).expect("properties that were made"),
            body: &content.body,
            mandatory,
        };
        let result = self.broker.publish(self.channels[channel], &publication);
        let result = kind(result).map(|routed| match routed {
            Routed::Queued(count) => publishing::Routed::Queued(count),
            Routed::Refused => publishing::Routed::Refused,
            Routed::Deferred => publishing::Routed::Deferred,
        });
        assert_eq!(result, self.reference.publish(channel, content, mandatory));
    }

    fn get(&mut self, channel: usize, a: u8, b: u8) {
        let (queue, no_ack) = (pick(&QUEUES, a), bit(b, 0));
        let timeout = (!no_ack && bit(b, 1)).then_some(u64::from(b >> 2));
        let id = self.channels[channel];
        let got = kind(self.broker.get(id, queue, no_ack)).map(|got| {
            got.map(|got| {
                let (content, delivery_count) = words::read(got.message);
                let (delivery_tag, redelivered) = (got.delivery_tag, got.redelivered);
                (Delivered { delivery_tag, redelivered, delivery_count, content }, got.message_count)
            })
        });
        if let (Ok(Some((delivered, _))), Some(timeout)) = (&got, timeout) {
            self.broker.set_deadline(id, delivered.delivery_tag, timeout).expect("it is unacked");
        }
        assert_eq!(got, self.follow_around(|reference| reference.get(channel, queue, no_ack, timeout)));
    }

    fn consume(&mut self, channel: usize, a: u8, b: u8, c: u8) {
        let (queue, consumer_tag, no_ack, exclusive) =
            (pick(&QUEUES, a), pick(&TAGS, b), c.is_multiple_of(4), c.is_multiple_of(9));
        let priority = pick(&[None, None, Some(1), Some(-1)], b >> 4);
        let arguments: Table = priority.map(|priority| ("x-priority", priority)).into_iter().collect();
        let consume = Consume { queue, consumer_tag, no_ack, exclusive, arguments: &arguments };
        let result = kind(self.broker.consume(self.channels[channel], &consume));
        let priority = priority.unwrap_or(0).into();
        let expected = self.reference.consume(channel, queue, consumer_tag, no_ack, exclusive, priority);
        assert_eq!(result.map(|tag| assert_eq!(&*tag, consumer_tag)), expected);
    }

    fn cancel(&mut self, channel: usize, a: u8) {
        let tag = pick(&TAGS, a);
        self.broker.cancel(self.channels[channel], tag);
        self.reference.cancel(channel, tag);
    }

    fn settle(&mut self, channel: usize, a: u8, b: u8, c: u8) {
        let id = self.channels[channel];
        let tags = self.reference.unacked_tags(channel);
        // Mostly an unacked tag; now and then any number.
        let tag = if tags.is_empty() || b >= 240 { u64::from(a) } else { pick(&tags, a) };
        let multiple = b.is_multiple_of(4);
        if b == 255 {
            self.broker.recover(id);
            self.reference.recover(channel);
            return;
        }
        let (multiple, outcome) = match c % 8 {
            0..=1 => (multiple, Outcome::Acked),
            2..=3 => (multiple, Outcome::Rejected),
            4 => (false, Outcome::RequeuedAfter(u64::from(c >> 4))),
            _ => (multiple, Outcome::Requeued),
        };
        let result = match outcome {
            Outcome::Acked => self.broker.ack(id, tag, multiple),
            Outcome::Rejected => self.broker.nack(id, tag, multiple, false),
            Outcome::Requeued => self.broker.nack(id, tag, multiple, true),
            Outcome::RequeuedAfter(ms) => self.broker.nack_after(id, tag, ms),
        };
        assert_eq!(kind(result), self.reference.settle(channel, tag, multiple, outcome));
    }

    fn qos(&mut self, channel: usize, a: u8, b: u8) {
        let prefetch = u16::from(a % 4);
        self.broker.qos(self.channels[channel], prefetch, bit(b, 0));
        self.reference.qos(channel, prefetch, bit(b, 0));
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

    fn policy(&mut self, a: u8, b: [u8; 4]) {
        let (policy, expected) = words::policy(b);
        let name = expected.name;
        if a.is_multiple_of(3) {
            assert_eq!(self.broker.delete_policy(name), Ok(self.reference.delete_policy(name)));
        } else {
            self.broker.set_policy(name, &policy).expect("a policy that makes sense");
            self.reference.set_policy(expected);
        }
    }

    /// Starts a transaction on the last channel only, as everything there then waits for a commit.
    fn transaction(&mut self, a: u8) {
        let channel = self.channels.len() - 1;
        let id = self.channels[channel];
        match a % 4 {
            0 => {
                self.broker.select_transaction(id);
                self.reference.select_transaction(channel);
            }
            1 => assert_eq!(kind(self.broker.rollback_transaction(id)), self.reference.rollback(channel)),
            _ => {
                let committed = kind(self.broker.commit_transaction(id));
                let committed =
                    committed.map(|returned| returned.iter().map(|message| message.body().to_vec()).collect());
                let accepted = self.reference.commit(channel);
                self.follow();
                assert_eq!(committed, accepted.and_then(|()| self.reference.committed()));
            }
        }
    }
}
