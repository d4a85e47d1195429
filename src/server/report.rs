//! Report: the state of a server for its operator, in the terms of RabbitMQ's management API.

use super::Core;
use crate::broker::{Broker, Owned, Totals};
use crate::id::ConnectionId;
use crate::protocol::{Peer, Session};
use crate::table::{Table, Value};
use crate::virtual_host::VirtualHost;

impl Core {
    /// Returns the state of the whole server, in numbers.
    #[must_use]
    pub fn overview(&self) -> Table {
        let hosts = &self.virtual_hosts;
        let totals = hosts.iter().map(|host| host.broker().totals()).fold(hosts.gone(), Totals::plus);
        let mut objects = totals.objects();
        objects.insert("connections", integer(self.sessions.len()));
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
        let ids = self.sessions.ids().into_iter();
        let reports = ids.filter_map(|id| self.sessions.get(id)).map(|slot| slot.session.report());
        let is_chosen =
            |report: &Table| virtual_host.is_none_or(|name| report.get("vhost").and_then(Value::as_str) == Some(name));
        reports.filter(is_chosen).collect()
    }

    /// Lists the channels of connections, without the embedding program's own.
    fn list_channels(&self, virtual_host: Option<&str>) -> Vec<Table> {
        let mut reports = Vec::new();
        for host in self.chosen(virtual_host) {
            for Owned { connection, channel, mut report } in host.broker().list_channels() {
                let Some(session) = self.session_of(host, connection) else { continue };
                let peer = session.peer();
                report.insert("name", &*channel_name(peer, channel));
                report.insert("user", session.user());
                report.insert("vhost", host.name());
                report.insert("confirm", session.is_confirming(channel));
                let mut details: Table = [("name", &*peer.name)].into_iter().collect();
                insert_address(peer, &mut details);
                report.insert("connection_details", details);
                reports.push(report);
            }
        }
        reports
    }

    fn list_consumers(&self, virtual_host: Option<&str>) -> Vec<Table> {
        let mut reports = Vec::new();
        for host in self.chosen(virtual_host) {
            for Owned { connection, channel, mut report } in host.broker().list_consumers() {
                let session = self.session_of(host, connection);
                let details = session.map_or_else(Table::new, |session| channel_details(session, channel));
                report.insert("channel_details", details);
                report.insert("vhost", host.name());
                reports.push(report);
            }
        }
        reports
    }

    /// Returns the session that a connection of the broker belongs to; `None` is the embedding program.
    fn session_of(&self, host: &VirtualHost, connection: ConnectionId) -> Option<&dyn Session> {
        let id = host.members.get(connection)?.transport;
        self.sessions.get(id).map(|slot| &*slot.session)
    }
}

fn channel_details(session: &dyn Session, channel: u16) -> Table {
    let peer = session.peer();
    let mut details: Table = [("name", &*channel_name(peer, channel))].into_iter().collect();
    details.insert("number", i64::from(channel));
    details.insert("user", session.user());
    details.insert("connection_name", &*peer.name);
    insert_address(peer, &mut details);
    details
}

fn channel_name(peer: &Peer, channel: u16) -> String {
    format!("{} ({channel})", peer.name)
}

fn insert_address(peer: &Peer, details: &mut Table) {
    details.insert("peer_host", &*peer.host);
    details.insert("peer_port", i64::from(peer.port));
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
