//! Management: lists of a broker's contents, in the terms of RabbitMQ's management API.

use crate::broker::model::exchange::{Destination, Exchange};
use crate::broker::model::names::is_reply_address;
use crate::broker::model::policy::Policy;
use crate::broker::model::queue::{Counters, Queue};
use crate::broker::model::settings::QueueType;
use crate::broker::session::consumer::Consumer;
use crate::broker::verbs::Broker;
use crate::broker::verbs::partitions::Tally;
use crate::id::{ConnectionId, QueueId};
use crate::table::{Table, Value};

/// A report on something that belongs to a channel, with its connection and channel number.
#[derive(Clone, Debug, PartialEq)]
pub struct Owned {
    /// The connection.
    pub connection: ConnectionId,
    /// The peer's number for the channel.
    pub channel: u16,
    /// The report.
    pub report: Table,
}

/// Numbers of messages, and counters of what happened to messages so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    ready: usize,
    unacked: usize,
    queues: usize,
    exchanges: usize,
    consumers: usize,
    counters: Counters,
}

impl Totals {
    /// Returns the sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            ready: self.ready + other.ready,
            unacked: self.unacked + other.unacked,
            queues: self.queues + other.queues,
            exchanges: self.exchanges + other.exchanges,
            consumers: self.consumers + other.consumers,
            counters: self.counters.plus(other.counters),
        }
    }

    /// Returns the counters only, without the present numbers.
    #[must_use]
    pub fn past(&self) -> Self {
        Self { counters: self.counters, ..Self::default() }
    }

    /// Lists the numbers of exchanges, queues and consumers.
    #[must_use]
    pub fn objects(&self) -> Table {
        let counts = [("exchanges", self.exchanges), ("queues", self.queues), ("consumers", self.consumers)];
        counts.into_iter().map(|(name, count)| (name, integer(count))).collect()
    }

    /// Lists the numbers of messages.
    #[must_use]
    pub fn messages(&self) -> Table {
        let mut table = Table::new();
        table.insert("messages", integer(self.ready + self.unacked));
        table.insert("messages_ready", integer(self.ready));
        table.insert("messages_unacknowledged", integer(self.unacked));
        table
    }

    /// Lists the counters of messages.
    #[must_use]
    pub fn message_stats(&self) -> Table {
        let Counters { published, delivered, redelivered, acked } = self.counters;
        let counts = [("publish", published), ("deliver_get", delivered), ("redeliver", redelivered), ("ack", acked)];
        counts.into_iter().map(|(name, count)| (name, integer(count as usize))).collect()
    }
}

impl Broker {
    /// Sums up the present numbers, and the counters including those of deleted queues.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let exchanges = self.state.exchanges().count();
        let mut totals = Totals { exchanges, counters: self.gone, ..Totals::default() };
        for (id, _) in self.listed_queues() {
            totals = totals.plus(self.totals_of(id));
        }
        totals
    }

    /// Adds a queue's counters to those of the deleted queues.
    pub(in crate::broker) fn count_gone(&mut self, id: QueueId) {
        if self.state.queue(id).is_some_and(|queue| !is_reply_address(&queue.name)) {
            self.gone = self.gone.plus(self.tally(id).counters);
        }
    }

    /// Lists the queues, or the one of this name; without those behind consumers of replies, whose names are secret.
    #[must_use]
    pub fn list_queues(&self, name: Option<&str>) -> Vec<Table> {
        let queues = self.listed_queues().into_iter();
        let chosen = queues.filter(|(_, queue)| name.is_none_or(|name| *queue.name == *name));
        chosen.map(|(id, queue)| self.queue_report(id, queue)).collect()
    }

    /// Lists the exchanges, with the predeclared ones, or the one of this name.
    #[must_use]
    pub fn list_exchanges(&self, name: Option<&str>) -> Vec<Table> {
        let chosen = self.state.exchanges().filter(|(known, _)| name.is_none_or(|name| *known == name));
        chosen.map(|(name, exchange)| exchange_report(name, exchange)).collect()
    }

    /// Lists the bindings; those of the default exchange, one for each queue, come first.
    #[must_use]
    pub fn list_bindings(&self) -> Vec<Table> {
        let mut reports = Vec::new();
        for (_, queue) in self.listed_queues() {
            reports.push(binding_report("", &queue.name, "queue", &queue.name, Table::new()));
        }
        for (source, exchange) in self.state.exchanges() {
            for (destination, routing_key, arguments) in exchange.bindings() {
                let (name, kind) = match destination {
                    Destination::Queue(queue) => (self.queue_name(*queue), "queue"),
                    Destination::Exchange(name) => (name.clone(), "exchange"),
                };
                reports.push(binding_report(source, &name, kind, routing_key, arguments));
            }
        }
        reports
    }

    /// Lists the policies, by name.
    #[must_use]
    pub fn list_policies(&self) -> Vec<Table> {
        self.policies().map(|(name, policy)| policy_report(name, policy)).collect()
    }

    /// Lists the open channels.
    #[must_use]
    pub fn list_channels(&self) -> Vec<Owned> {
        let channels = self.channels.ids().into_iter().map(|id| {
            let channel = self.channel(id);
            let mut report = Table::new();
            report.insert("number", i64::from(channel.number));
            report.insert("state", "running");
            report.insert("consumer_count", integer(channel.consumers.len()));
            report.insert("prefetch_count", i64::from(channel.consumer_prefetch));
            report.insert("global_prefetch_count", i64::from(channel.channel_prefetch));
            let (published, settled) =
                channel.transaction.as_ref().map_or((0, 0), |held| (held.published.len(), held.settled.len()));
            report.insert("messages_unacknowledged", integer(channel.unacked.len() + settled));
            report.insert("transactional", channel.transaction.is_some());
            report.insert("messages_uncommitted", integer(published));
            report.insert("acks_uncommitted", integer(settled));
            Owned { connection: channel.connection, channel: channel.number, report }
        });
        channels.collect()
    }

    /// Lists the consumers.
    #[must_use]
    pub fn list_consumers(&self) -> Vec<Owned> {
        let mut reports = Vec::new();
        for (id, queue) in self.listed_queues() {
            let consumers = self.runtimes.get(id).map_or(&[][..], |runtime| &runtime.consumers[..]);
            for (place, &consumer) in consumers.iter().enumerate() {
                reports.push(self.consumer_report(queue, place, self.consumer(consumer)));
            }
        }
        reports
    }

    // Inlining would repeat this code in each of its callers.
    #[inline(never)]
    pub(in crate::broker) fn listed_queues(&self) -> Vec<(QueueId, &Queue)> {
        self.state.queues().filter(|(_, queue)| !is_reply_address(&queue.name)).collect()
    }

    fn totals_of(&self, id: QueueId) -> Totals {
        let Tally { ready, unacked, counters, .. } = self.tally(id);
        let consumers = self.runtimes.get(id).map_or(0, |runtime| runtime.consumers.len());
        Totals { ready, unacked, queues: 1, exchanges: 0, consumers, counters }
    }

    fn queue_report(&self, id: QueueId, queue: &Queue) -> Table {
        let totals = self.totals_of(id);
        let mut report = totals.messages();
        report.insert("name", &*queue.name);
        report.insert("type", if queue.settings.queue_type == QueueType::Quorum { "quorum" } else { "classic" });
        report.insert("state", "running");
        report.insert("durable", queue.durable);
        report.insert("exclusive", queue.exclusive);
        report.insert("auto_delete", queue.auto_delete);
        report.insert("arguments", queue.arguments.clone());
        report.insert("policy", queue.policy.as_deref().unwrap_or_default());
        if let Some((name, _)) = self.state.operator_policies().of_queue(&queue.name, queue.settings.queue_type) {
            report.insert("operator_policy", name);
        }
        report.insert("consumers", integer(totals.consumers));
        report.insert("memory", integer(self.tally(id).ready_bytes));
        if let Some(partitions) = queue.kind.partitions() {
            report.insert("partitions", integer(partitions.queues.len()));
            report.insert("sealed_slots", integer(partitions.sealed));
        }
        report.insert("message_stats", totals.message_stats());
        report
    }

    fn consumer_report(&self, queue: &Queue, place: usize, consumer: &Consumer) -> Owned {
        let channel = self.channel(consumer.channel);
        let is_single = queue.settings.single_active_consumer;
        let is_active = !is_single || place == 0;
        let is_exclusive = self.runtimes.get(consumer.queue).is_some_and(|runtime| runtime.is_exclusive);
        let mut report = Table::new();
        report.insert("consumer_tag", &*consumer.tag);
        report.insert("queue", [("name", &*queue.name)].into_iter().collect::<Table>());
        report.insert("ack_required", !consumer.no_ack);
        report.insert("exclusive", is_exclusive);
        report.insert("prefetch_count", i64::from(consumer.prefetch));
        report.insert("priority", consumer.priority);
        report.insert("active", is_active);
        report.insert(
            "activity_status",
            match (is_single, is_active) {
                (false, _) => "up",
                (true, true) => "single_active",
                (true, false) => "waiting",
            },
        );
        report.insert("arguments", consumer.arguments.clone());
        Owned { connection: channel.connection, channel: channel.number, report }
    }
}

fn exchange_report(name: &str, exchange: &Exchange) -> Table {
    let mut report = Table::new();
    report.insert("name", name);
    report.insert("type", exchange.kind.name());
    report.insert("durable", exchange.durable);
    report.insert("auto_delete", exchange.auto_delete);
    report.insert("internal", exchange.internal);
    report.insert("arguments", exchange.arguments.clone());
    report
}

fn binding_report(source: &str, destination: &str, kind: &str, routing_key: &str, arguments: Table) -> Table {
    let mut report = Table::new();
    report.insert("source", source);
    report.insert("destination", destination);
    report.insert("destination_type", kind);
    report.insert("routing_key", routing_key);
    report.insert("arguments", arguments);
    report
}

fn policy_report(name: &str, policy: &Policy) -> Table {
    let mut report = Table::new();
    report.insert("name", name);
    report.insert("pattern", &*policy.pattern);
    report.insert("apply-to", policy.apply_to.name());
    report.insert("priority", i64::from(policy.priority));
    report.insert("definition", policy.definition.clone());
    report
}

/// Counts are far below the limit of the type.
fn integer(count: usize) -> Value {
    Value::I64(count as i64)
}
