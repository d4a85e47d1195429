//! Tests: the bytes of a recording, and replays that differ from it.

use super::coding::{Coded, Decoder, Slots, coded};
use super::*;
use crate::access::{Access, Permission};
use crate::broker::{ApplyTo, Binding, Consume, ExchangeDeclaration, Matcher, Policy, QueueDeclaration};
use crate::embedded::Verb;
use crate::id::TransportId;
use crate::limits::Limits;
use crate::protocol::{Peer, amqp};
use crate::table::Table;

fn config() -> Config {
    Config { seed: [7; 32], limits: Limits::default() }
}

#[test]
fn each_input_is_read_as_it_was_written() {
    let arguments = &[("x-max-length", 3)].into_iter().collect::<Table>();
    let (id, name, virtual_host) = (TransportId::from_index(3), "name", "/");
    let peer =
        &Peer { loopback: true, name: "n".into(), port: 5672, mechanisms: Some("PLAIN".into()), ..Peer::default() };
    let policy =
        &Policy { pattern: "^q".into(), apply_to: ApplyTo::Queues, priority: -1, definition: arguments.clone() };
    let binding = Binding { source: "s", destination: "d", routing_key: "k", arguments };
    let (passive, durable, auto_delete) = (true, false, true);
    let exchange =
        ExchangeDeclaration { name, kind: "topic", passive, durable, auto_delete, internal: true, arguments };
    let queue = QueueDeclaration { name, passive, durable, exclusive: true, auto_delete, arguments };
    let consume = Consume { queue: "q", consumer_tag: "t", no_ack: true, exclusive: false, arguments };
    let (exchange_name, routing_key) = ("e", "k");
    let verbs = [
        Verb::Enter { virtual_host },
        Verb::DeclareExchange(exchange),
        Verb::DeleteExchange { name, if_unused: true },
        Verb::BindQueue(binding),
        Verb::UnbindQueue(binding),
        Verb::BindExchange(binding),
        Verb::UnbindExchange(binding),
        Verb::DeclareQueue(queue),
        Verb::DeclareNamed(queue),
        Verb::PurgeQueue { name },
        Verb::DeleteQueue { name, if_unused: false, if_empty: true },
        Verb::Publish { exchange: exchange_name, routing_key, properties: &[0, 0], body: b"body" },
        Verb::PublishBatch { exchange: exchange_name, routing_key, packed: &[0; 8] },
        Verb::Get { queue: "q", max: 9, no_ack: true, visibility_timeout_ms: 1 << 40 },
        Verb::Consume { consume, prefetch: 700 },
        Verb::Cancel { consumer_tag: "t" },
        Verb::Ack { delivery_tag: 1, multiple: true },
        Verb::AckBatch { delivery_tags: &[1.0, 3.0] },
        Verb::Nack { delivery_tag: 2, multiple: false, requeue: true },
        Verb::NackAfter { delivery_tag: 2, delay_ms: 5 },
        Verb::SetPolicy { name, policy },
        Verb::SetOperatorPolicy { name, policy: None },
        Verb::SetOperatorPolicy { name, policy: Some(policy) },
        Verb::DeletePolicy { name },
        Verb::ClearBatch,
        Verb::TakeRefused,
        Verb::TakeCancelled,
    ];
    let inputs = [
        Input::SetNow { now_ms: 1 },
        Input::Turn { now_ms: u64::MAX },
        Input::Connect { protocol: amqp::PROTOCOL, peer },
        Input::Receive { id, bytes: b"AMQP" },
        Input::Disconnected { id },
        Input::SetWritable { id, is_writable: true },
        Input::NextOutput,
        Input::OutputTaken { id, bytes: 7 },
        Input::Close { id, reason: "grüße" },
        Input::Shutdown,
        Input::AccessChanged,
        Input::MatcherChanged,
        Input::AddVirtualHost { name },
        Input::DeleteVirtualHost { name },
        Input::LimitVirtualHost { name, connections: Some(usize::MAX), queues: None, prefers_quorum: true },
        Input::StartFlush,
        Input::Flushed { mark: 5 },
        Input::StoreFailed { reason: "full" },
        Input::CurrentWrite,
        Input::CloseJournal,
    ];
    for input in inputs.into_iter().chain(verbs.map(Input::Verb)) {
        let (bytes, slots) = (coded(&input), Slots::default());
        let read = Input::take(&mut Decoder::new(&bytes, &slots)).unwrap();
        assert_eq!(format!("{read:?}"), format!("{input:?}"));
        for length in 0..bytes.len() {
            let slots = Slots::default();
            assert!(Input::take(&mut Decoder::new(&bytes[..length], &slots)).is_err(), "{input:?}, {length}");
        }
    }
}

/// Lets everybody log in, and permits names that begin with this letter.
#[derive(Debug)]
struct Letter(char);

impl Access for Letter {
    fn log_in(&mut self, user: &str, _: &str, _: bool) -> Option<Box<str>> {
        Some(user.into())
    }

    fn log_in_by_certificate(&mut self, _: &str) -> Option<Box<str>> {
        None
    }

    fn may_enter(&mut self, _: &str, _: &str) -> bool {
        true
    }

    fn permits_all(&mut self, _: &str, _: &str) -> bool {
        false
    }

    fn permits(&mut self, _: &str, _: &str, _: Permission, name: &str) -> bool {
        name.starts_with(self.0)
    }

    fn update_secret(&mut self, _: &str, _: &str) -> bool {
        true
    }
}

/// Records a server whose host has opinions; returns the recording.
fn recorded() -> Vec<u8> {
    let (mut server, recording) = Recording::start(config());
    server.set_access(Box::new(Letter('q')));
    server.set_matcher(Matcher::new(|pattern, name| name.contains(pattern)));
    let definition = [("max-length", 1)].into_iter().collect();
    let policy = &Policy { pattern: "ueu".into(), apply_to: ApplyTo::Queues, priority: 0, definition };
    server.verb(Verb::SetPolicy { name: "p", policy }).unwrap();
    let arguments = &Table::new();
    let (name, passive, durable, exclusive, auto_delete) = ("queue", false, false, false, false);
    let queue = QueueDeclaration { name, passive, durable, exclusive, auto_delete, arguments };
    server.verb(Verb::DeclareQueue(queue)).unwrap();
    let id = server.connect_amqp(Peer::default());
    server.receive(id, b"AMQP\0\0\x09\x01");
    server.turn(5);
    while let Some(id) = server.next_output() {
        let length = server.output(id).len();
        server.output_taken(id, length);
    }
    recording.take()
}

/// Replays with this text of the recording replaced by another one of the same length.
fn replayed_with(recorded: &[u8], text: &[u8], other: &[u8]) -> Result<Server, ReplayError> {
    let at = recorded.windows(text.len()).position(|window| window == text).expect("it was recorded");
    let mut changed = recorded.to_vec();
    changed[at..at + text.len()].copy_from_slice(other);
    replay(&changed, &mut |_| ())
}

#[test]
fn the_host_is_not_asked_again() {
    let server = replay(&recorded(), &mut |_| ()).unwrap();
    let queues = server.broker().list_queues(None);
    assert_eq!(queues[0].get("policy").and_then(|name| name.as_str()), Some("p"), "its matcher is gone");
}

#[test]
fn each_difference_ends_a_replay_and_says_where() {
    let recorded = recorded();
    for (text, other, expected) in [
        (&b"does \"ueu\" match"[..], &b"does \"uea\" match"[..], "asks its host: does \"ueu\" match \"queue\""),
        (b"Queue(QueueStatus", b"Other(QueueStatus", "the replay the answer Ok(Queue("),
        (b" bytes, ", b" pages, ", "the replay output of "),
        (b"Ok(Next(Some(10000)))", b"Ok(Next(Some(10001)))", "the replay the answer Ok(Next(Some(10000)))"),
    ] {
        let error = replayed_with(&recorded, text, other).unwrap_err().to_string();
        assert!(error.contains(expected) && error.starts_with("The replay differs at input "), "{error}");
    }
}

#[test]
fn output_that_is_shorter_than_recorded_is_a_difference() {
    let (mut server, recording) = Recording::start(config());
    let id = server.connect_amqp(Peer::default());
    server.receive(id, b"AMQP\0\0\x09\x01");
    let id = server.next_output().expect("the greeting");
    let length = server.output(id).len();
    server.output_taken(id, length);
    let error = replayed_with(&recording.take(), b"AMQP\0\0\x09\x01", b"AMQP\0\0\x09\x02").unwrap_err().to_string();
    assert!(error.starts_with("The replay differs at input 4: ") && error.contains("output of 8 bytes"), "{error}");
}

#[test]
fn a_recording_may_end_anywhere_and_come_in_parts() {
    let whole = recorded();
    let opening = opening(&config(), None).len();
    for length in opening..whole.len() {
        replay(&whole[..length], &mut |_| ()).unwrap();
    }
    for length in 0..opening {
        assert!(matches!(replay(&whole[..length], &mut |_| ()), Err(ReplayError::Malformed(_))));
    }
    let (mut server, recording) = Recording::start(config());
    let mut parts = recording.take();
    server.add_virtual_host("other");
    parts.extend(recording.take());
    assert!(recording.take().is_empty());
    assert!(replay(&parts, &mut |_| ()).unwrap().virtual_hosts().named("other").is_some());
}
