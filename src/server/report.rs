//! Report: the state of a server for its operator, in the terms of RabbitMQ's management API.

use super::Server;
use crate::broker::{Broker, Owned, Totals};
use crate::protocol::amqp::Connection;
use crate::table::{Table, Value};
use crate::virtual_host::VirtualHost;

impl Server {
    /// Returns the state of the whole server, in numbers.
    #[must_use]
    pub fn overview(&self) -> Table {
        let hosts = &self.virtual_hosts;
        let totals = hosts.iter().map(|host| host.broker().totals()).fold(hosts.gone(), Totals::plus);
        let mut objects = totals.objects();
        objects.insert("connections", integer(self.connections.len()));
        objects.insert("channels", integer(self.list_channels(None).len()));
        let (used, limits) = (hosts.memory_bytes(), hosts.limits());
        let mut overview = Table::new();
        overview.insert("object_totals", objects);
        overview.insert("queue_totals", totals.messages());
        overview.insert("message_stats", totals.message_stats());
        overview.insert("memory_bytes", integer(used));
        overview.insert("memory_high_bytes", integer(limits.memory_high_bytes));
        overview.insert("memory_max_bytes", integer(limits.memory_max_bytes));
        overview.insert("memory_alarm", hosts.is_low_on_memory());
        overview
    }

    /// Lists everything of a kind, in one virtual host or in all; `None` if the kind is unknown. The kinds are
    /// `connections`, `channels`, `consumers`, `queues`, `exchanges`, `bindings`, `policies` and `vhosts`. A queue or
    /// an exchange may be selected by its name.
    #[must_use]
    pub fn list(&self, kind: &str, virtual_host: Option<&str>, name: Option<&str>) -> Option<Vec<Table>> {
        Some(match kind {
            "connections" => self.list_connections(virtual_host),
            "channels" => self.list_channels(virtual_host),
            "consumers" => self.list_consumers(virtual_host),
            "queues" => self.list_in(virtual_host, |broker| broker.list_queues(name)),
            "exchanges" => self.list_in(virtual_host, |broker| broker.list_exchanges(name)),
            "bindings" => self.list_in(virtual_host, Broker::list_bindings),
            "policies" => self.list_in(virtual_host, Broker::list_policies),
            "vhosts" => self.chosen(virtual_host).map(virtual_host_report).collect(),
            _ => return None,
        })
    }

    fn chosen(&self, virtual_host: Option<&str>) -> impl Iterator<Item = &VirtualHost> {
        self.virtual_hosts.iter().filter(move |host| virtual_host.is_none_or(|name| host.name() == name))
    }

    fn list_in(&self, virtual_host: Option<&str>, list: impl Fn(&Broker) -> Vec<Table>) -> Vec<Table> {
        let mut reports = Vec::new();
        for host in self.chosen(virtual_host) {
            for mut report in list(host.broker()) {
                report.insert("vhost", host.name());
                reports.push(report);
            }
        }
        reports
    }

    fn list_connections(&self, virtual_host: Option<&str>) -> Vec<Table> {
        let ids = self.connections.ids().into_iter();
        let reports = ids.filter_map(|id| self.connections.get(id)).map(|held| held.connection.report());
        let is_chosen =
            |report: &Table| virtual_host.is_none_or(|name| report.get("vhost").and_then(Value::as_str) == Some(name));
        reports.filter(is_chosen).collect()
    }

    /// Lists the channels of connections, without the embedding program's own.
    fn list_channels(&self, virtual_host: Option<&str>) -> Vec<Table> {
        let mut reports = Vec::new();
        for host in self.chosen(virtual_host) {
            for mut owned in host.broker().list_channels() {
                if let Some(connection) = self.connection_of(host, &owned) {
                    connection.describe_channel(owned.channel, &mut owned.report);
                    reports.push(owned.report);
                }
            }
        }
        reports
    }

    fn list_consumers(&self, virtual_host: Option<&str>) -> Vec<Table> {
        let mut reports = Vec::new();
        for host in self.chosen(virtual_host) {
            for mut owned in host.broker().list_consumers() {
                let connection = self.connection_of(host, &owned);
                let details = connection.map_or_else(Table::new, |known| known.channel_details(owned.channel));
                owned.report.insert("channel_details", details);
                owned.report.insert("vhost", host.name());
                reports.push(owned.report);
            }
        }
        reports
    }

    /// Returns the connection that something belongs to; `None` is the embedding program.
    fn connection_of(&self, host: &VirtualHost, owned: &Owned) -> Option<&Connection> {
        let id = host.guests.get(owned.connection)?.transport;
        self.connections.get(id).map(|held| &held.connection)
    }
}

fn virtual_host_report(host: &VirtualHost) -> Table {
    let mut report = host.broker().totals().messages();
    report.insert("name", host.name());
    report.insert("memory", integer(host.broker().memory_bytes()));
    report
}

/// Counts are far below the limit of the type.
fn integer(count: usize) -> Value {
    Value::I64(count as i64)
}
