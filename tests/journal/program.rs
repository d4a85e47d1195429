//! Program: a server on a store, and the embedding program's connection to its broker.

use pocketmq::broker::{Binding, Config, Error, ExchangeDeclaration, QueueDeclaration};
use pocketmq::embedded::{Answer, Verb};
use pocketmq::journal::Options;
use pocketmq::limits::Limits;
use pocketmq::properties::PropertyValues;
use pocketmq::server::Server;
use pocketmq::table::Table;

use super::store::Bytes;

pub const NOW_MS: u64 = 1_800_000_000_000;

/// Opens a server; it is ready when this returns.
pub fn open(store: &Bytes, limits: Limits) -> Server {
    open_with(store, limits, &Options::default())
}

/// The same with small segments, which are soon cleaned.
pub fn open_small(store: &Bytes) -> Server {
    open_with(store, Limits::default(), &Options { segment_bytes: 4096, ..Options::default() })
}

fn open_with(store: &Bytes, limits: Limits, options: &Options) -> Server {
    let config = Config { seed: [7; 32], limits };
    let (mut server, _) = Server::open(config, Box::new(store.clone()), options, NOW_MS).unwrap();
    flush(&mut server, NOW_MS);
    server
}

/// Runs a turn, and makes its writes durable.
pub fn flush(server: &mut Server, now_ms: u64) {
    server.turn(now_ms);
    let mark = server.start_flush();
    server.flushed(mark);
}

/// A message that the embedding program was given.
pub struct Got {
    pub body: Vec<u8>,
    pub redelivered: bool,
    pub delivery_tag: u64,
    /// The properties in AMQP's bytes.
    pub properties: Vec<u8>,
}

/// The embedding program, in the virtual host that it has entered.
pub struct Program<'a>(pub &'a mut Server);

impl Program<'_> {
    pub fn declare_exchange(&mut self, name: &str, kind: &str, arguments: &Table) -> Result<Answer, Error> {
        let (passive, durable, auto_delete, internal) = (false, true, false, false);
        let declaration = ExchangeDeclaration { name, kind, passive, durable, auto_delete, internal, arguments };
        self.0.verb(Verb::DeclareExchange(declaration))
    }

    pub fn exchange(&mut self, name: &str, kind: &str, arguments: &Table) {
        self.declare_exchange(name, kind, arguments).unwrap();
    }

    pub fn declare_queue(&mut self, name: &str, arguments: &Table) -> Result<Answer, Error> {
        let (passive, durable, exclusive, auto_delete) = (false, true, false, false);
        let declaration = QueueDeclaration { name, passive, durable, exclusive, auto_delete, arguments };
        self.0.verb(Verb::DeclareQueue(declaration))
    }

    pub fn queue(&mut self, name: &str, arguments: &Table) {
        self.declare_queue(name, arguments).unwrap();
    }

    pub fn delete_queue(&mut self, name: &str) {
        self.0.verb(Verb::DeleteQueue { name, if_unused: false, if_empty: false }).unwrap();
    }

    pub fn bind(&mut self, source: &str, destination: &str, routing_key: &str) {
        let arguments = &Table::new();
        self.0.verb(Verb::BindQueue(Binding { source, destination, routing_key, arguments })).unwrap();
    }

    /// Publishes with properties as they are; returns how many queues took it.
    pub fn publish_as(
        &mut self,
        exchange: &str,
        routing_key: &str,
        body: &[u8],
        values: &PropertyValues,
    ) -> Result<u64, Error> {
        let mut properties = Vec::new();
        values.encode(&mut properties).unwrap();
        self.0.verb(Verb::Publish { exchange, routing_key, properties: &properties, body }).map(Answer::count)
    }

    /// Publishes a persistent message.
    pub fn publish(&mut self, exchange: &str, routing_key: &str, body: &str, values: PropertyValues) -> u64 {
        let values = PropertyValues { delivery_mode: Some(2), ..values };
        self.publish_as(exchange, routing_key, body.as_bytes(), &values).unwrap()
    }

    pub fn send(&mut self, queue: &str, body: &str) {
        assert_eq!(self.publish("", queue, body, PropertyValues::default()), 1);
    }

    /// Takes the next message of a queue.
    pub fn take(&mut self, queue: &str, no_ack: bool) -> Option<Got> {
        self.0.verb(Verb::Get { queue, max: 1, no_ack, visibility_timeout_ms: 0 }).unwrap();
        self.batch().pop()
    }

    /// Gets the next message of a queue, which stays unacked: its body, whether it is redelivered, and its tag.
    pub fn get(&mut self, queue: &str) -> Option<(String, bool, u64)> {
        let got = self.take(queue, false)?;
        Some((String::from_utf8(got.body).unwrap(), got.redelivered, got.delivery_tag))
    }

    pub fn ack(&mut self, delivery_tag: u64) {
        self.0.verb(Verb::Ack { delivery_tag, multiple: false }).unwrap();
    }

    pub fn nack(&mut self, delivery_tag: u64, requeue: bool) {
        self.0.verb(Verb::Nack { delivery_tag, multiple: false, requeue }).unwrap();
    }

    /// All messages that were delivered since the last time.
    pub fn batch(&mut self) -> Vec<Got> {
        let mut rest = self.0.embedded().batch();
        let mut all = Vec::new();
        while let Some((header, _)) = rest.split_at_checked(28) {
            let long = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap()) as usize;
            let (message, others) = rest.split_at(long(0));
            let (properties, body) = message.split_at(message.len() - long(24));
            all.push(Got {
                body: body.to_vec(),
                redelivered: header[16] != 0,
                delivery_tag: f64::from_le_bytes(header[8..16].try_into().unwrap()) as u64,
                properties: properties[properties.len() - long(20)..].to_vec(),
            });
            rest = others;
        }
        self.0.verb(Verb::ClearBatch).unwrap();
        all
    }
}
