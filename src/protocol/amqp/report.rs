//! Report: the state of a connection, in the terms of RabbitMQ's management API.

use super::Connection;
use crate::table::{Table, Value};

impl Connection {
    /// Returns the state of the connection.
    #[must_use]
    pub fn report(&self) -> Table {
        let mut report = Table::new();
        report.insert("id", integer(self.id.index()));
        report.insert("name", &*self.peer.name);
        report.insert("user", &*self.login.user);
        report.insert("vhost", self.virtual_host());
        report.insert("peer_host", &*self.peer.host);
        report.insert("peer_port", i64::from(self.peer.port));
        report.insert("protocol", "AMQP 0-9-1");
        report.insert("auth_mechanism", self.login.mechanism);
        report.insert("state", if self.blocked_until.is_some() { "blocked" } else { self.phase.name() });
        report.insert("channels", integer(self.channels.count() as u64));
        report.insert("channel_max", i64::from(self.agreement.channel_max));
        report.insert("frame_max", integer(self.agreement.frame_max as u64));
        report.insert("timeout", i64::from(self.agreement.heartbeat_s));
        report.insert("ssl", self.peer.tls);
        report.insert("connected_at", integer(self.connected_ms));
        report.insert("recv_oct", integer(self.received_bytes));
        report.insert("send_oct", integer(self.sent_bytes));
        report.insert("client_properties", self.login.client_properties.clone());
        if let Some(name) = self.login.client_properties.get("connection_name") {
            report.insert("user_provided_name", name.clone());
        }
        report
    }

    /// Adds the connection and the state of a channel to its broker's report.
    pub fn describe_channel(&self, number: u16, report: &mut Table) {
        report.insert("name", &*self.channel_name(number));
        report.insert("user", &*self.login.user);
        report.insert("vhost", self.virtual_host());
        report.insert("confirm", self.channels.is_confirming(number));
        report.insert("connection_details", self.address([("name", &*self.peer.name)].into_iter().collect()));
    }

    /// Returns the details of a channel that other reports contain.
    #[must_use]
    pub fn channel_details(&self, number: u16) -> Table {
        let mut details: Table = [("name", &*self.channel_name(number))].into_iter().collect();
        details.insert("number", i64::from(number));
        details.insert("user", &*self.login.user);
        details.insert("connection_name", &*self.peer.name);
        self.address(details)
    }

    fn address(&self, mut details: Table) -> Table {
        details.insert("peer_host", &*self.peer.host);
        details.insert("peer_port", i64::from(self.peer.port));
        details
    }

    fn channel_name(&self, number: u16) -> String {
        format!("{} ({number})", self.peer.name)
    }

    fn virtual_host(&self) -> &str {
        self.stay.as_ref().map_or("", |stay| &stay.pass.virtual_host)
    }
}

/// Counts are far below the limit of the type.
fn integer(number: u64) -> Value {
    Value::I64(number as i64)
}
