//! Program: a server on a store, and the embedding program's connection to its broker.

use pocketmq::broker::{Binding, Broker, Config, ExchangeDeclaration, Publication, QueueDeclaration, Routed};
use pocketmq::id::ChannelId;
use pocketmq::journal::Options;
use pocketmq::limits::Limits;
use pocketmq::properties::{Properties, PropertyValues};
use pocketmq::server::Server;
use pocketmq::table::Table;

use super::store::Bytes;

pub const NOW_MS: u64 = 1_800_000_000_000;

/// Opens a server; it is ready when this returns.
pub fn open(store: &Bytes, limits: Limits) -> Server {
    let config = Config { seed: [7; 32], limits };
    let (mut server, _) = Server::open(config, Box::new(store.clone()), &Options::default(), NOW_MS).unwrap();
    flush(&mut server, NOW_MS);
    server
}

/// Runs a turn, and makes its writes durable.
pub fn flush(server: &mut Server, now_ms: u64) {
    server.turn(now_ms, &mut ());
    let mark = server.start_flush();
    server.flushed(mark);
}

/// The embedding program's connection to a broker.
pub struct Program<'a> {
    pub broker: &'a mut Broker,
    pub channel: ChannelId,
}

impl<'a> Program<'a> {
    pub fn of(broker: &'a mut Broker) -> Self {
        let connection = broker.open_connection();
        let channel = broker.open_channel(connection, 1);
        Self { broker, channel }
    }

    pub fn exchange(&mut self, name: &str, kind: &str, arguments: &Table) {
        let (passive, durable, auto_delete, internal) = (false, true, false, false);
        let declaration = ExchangeDeclaration { name, kind, passive, durable, auto_delete, internal, arguments };
        self.broker.declare_exchange(self.channel, &declaration).unwrap();
    }

    pub fn queue(&mut self, name: &str, arguments: &Table) {
        let (passive, durable, exclusive, auto_delete) = (false, true, false, false);
        let declaration = QueueDeclaration { name, passive, durable, exclusive, auto_delete, arguments };
        self.broker.declare_queue(self.channel, &declaration).unwrap();
    }

    pub fn bind(&mut self, source: &str, destination: &str, routing_key: &str) {
        let arguments = &Table::new();
        self.broker.bind_queue(self.channel, &Binding { source, destination, routing_key, arguments }).unwrap();
    }

    pub fn publish(&mut self, exchange: &str, routing_key: &str, body: &str, values: PropertyValues) -> Routed {
        let mut raw = Vec::new();
        PropertyValues { delivery_mode: Some(2), ..values }.encode(&mut raw).unwrap();
        let (properties, body) = (Properties::parse(&raw).unwrap(), body.as_bytes());
        let publication = Publication { exchange, routing_key, properties, body, mandatory: false };
        self.broker.publish(self.channel, &publication).unwrap()
    }

    pub fn send(&mut self, queue: &str, body: &str) {
        assert_eq!(self.publish("", queue, body, PropertyValues::default()), Routed::Queued(1));
    }

    /// Gets the next message of a queue, which stays unacked: its body, whether it is redelivered, and its tag.
    pub fn get(&mut self, queue: &str) -> Option<(String, bool, u64)> {
        let got = self.broker.get(self.channel, queue, false).unwrap()?;
        Some((String::from_utf8(got.message.body().to_vec()).unwrap(), got.redelivered, got.delivery_tag))
    }
}
