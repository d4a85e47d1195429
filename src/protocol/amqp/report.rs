//! Report: the state of a connection, in the terms of RabbitMQ's management API.

use super::Connection;
use crate::table::{Table, Value};

impl Connection {
    pub(super) fn describe(&self) -> Table {
        let mut report = Table::new();
        report.insert("id", integer(self.id.index()));
        report.insert("name", &*self.peer.name);
        report.insert("user", &*self.login.user);
        let virtual_host = self.opened.as_ref().map_or("", |opened| &*opened.permissions.virtual_host);
        report.insert("vhost", virtual_host);
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
}

/// Counts are far below the limit of the type.
fn integer(number: u64) -> Value {
    Value::I64(number as i64)
}
