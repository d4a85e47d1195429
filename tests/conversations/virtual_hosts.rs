//! Virtual hosts: each is a broker of its own, for peers and for the embedding program.

use super::*;
use crate::peer::*;
use pocketmq::broker::{Consume, QueueDeclaration};
use pocketmq::embedded::{Answer, Verb};
use pocketmq::server::Server;
use pocketmq::table::Table;
use wasm_bindgen_test::wasm_bindgen_test;

/// Connects to `/`, and then to `other`, whose connection is the current one.
fn two() -> (Client, pocketmq::id::TransportId) {
    let mut client = Client::ready();
    assert!(client.server.add_virtual_host("other"));
    assert!(!client.server.add_virtual_host("other"), "once");
    let first = client.join("guest", "other", &["consumer_cancel_notify"]);
    (client, first)
}

fn enter(server: &mut Server, virtual_host: &str) -> bool {
    server.verb(Verb::Enter { virtual_host }).unwrap().flag()
}

fn declare(server: &mut Server, name: &str) {
    let arguments = &Table::new();
    let (passive, durable, exclusive, auto_delete) = (false, false, false, false);
    let declaration = QueueDeclaration { name, passive, durable, exclusive, auto_delete, arguments };
    server.verb(Verb::DeclareQueue(declaration)).unwrap();
}

/// Publishes as the program, and returns how many queues took it.
fn publish_here(server: &mut Server, routing_key: &str) -> u64 {
    server.verb(Verb::Publish { exchange: "", routing_key, properties: b"", body: b"here" }).unwrap().count()
}

/// Takes a message as the program, and returns how many there were.
fn get_here(server: &mut Server, queue: &str) -> u64 {
    server.verb(Verb::Get { queue, max: 1, no_ack: true, visibility_timeout_ms: 0 }).unwrap().count()
}

#[wasm_bindgen_test(unsupported = test)]
fn the_same_name_is_another_queue_elsewhere() {
    let (mut client, first) = two();
    client.ask(&[declare_queue("q", 0).on(1), publish(1, "q", b"there")].concat());
    let other = std::mem::replace(&mut client.id, first);
    let missing = client.ask(&declare_queue("q", 1).on(1));
    check(&missing[0], (404, "NOT_FOUND - no queue 'q' in vhost '/'", (50, 10)));
    client.id = other;
    let missing = client.ask(&[consume("q", "tag", 2).on(1), declare_queue("none", 1).on(1)].concat());
    check(missing.last().unwrap(), (404, "NOT_FOUND - no queue 'none' in vhost 'other'", (50, 10)));
}

#[wasm_bindgen_test(unsupported = test)]
fn deliveries_find_their_connection_in_each() {
    let (mut client, first) = two();
    for (id, body) in [(client.id, b"there"), (first, b"here!")] {
        client.id = id;
        client.ask(&[declare_queue("q", 0).on(1), consume("q", "tag", 2).on(1)].concat());
        assert_eq!(bodies(&client.ask(&publish(1, "q", body))), [body]);
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_deleted_virtual_host_closes_its_connections() {
    let (mut client, first) = two();
    client.ask(&[declare_queue("q", 0).on(1), publish(1, "q", &[0; 1000])].concat());
    assert!(client.server.delete_virtual_host("other"));
    client.turn();
    let closed = client.read();
    assert_eq!(closed[0].refusal(), (320, "CONNECTION_FORCED - vhost 'other' is deleted", (0, 0)));
    client.send(&close_connection_ok().on(0));
    assert!(client.is_closed());
    assert_eq!(client.server.virtual_hosts().memory_bytes(), 0);
    client.id = first;
    assert_eq!(ids(&client.ask(&declare_queue("q", 0).on(1))), [(50, 11)], "the others stay");
    assert!(!client.server.delete_virtual_host("other") && !client.server.delete_virtual_host("/"));
}

#[wasm_bindgen_test(unsupported = test)]
fn a_program_selects_the_virtual_host_of_its_verbs() {
    let (mut client, _) = two();
    let server = &mut client.server;
    for name in ["other", "/"] {
        assert!(enter(server, name));
        declare(server, "q");
    }
    assert!(!enter(server, "missing"));
    assert_eq!(publish_here(server, "q"), 1);
    assert!(enter(server, "other"));
    assert_eq!(get_here(server, "q"), 0);

    let arguments = &Table::new();
    let consume = Consume { queue: "q", consumer_tag: "tag", no_ack: true, exclusive: false, arguments };
    server.verb(Verb::Consume { consume, prefetch: 0 }).unwrap();
    client.write(&publish(1, "q", b"there"));
    client.server.turn(0);
    assert!(client.server.embedded().batch().ends_with(b"there"));

    assert!(client.server.delete_virtual_host("other"));
    assert_eq!(client.server.verb(Verb::TakeCancelled).unwrap().handles(), [0], "its consumer has ended");
    assert_eq!(get_here(&mut client.server, "q"), 1, "it is in / again");
}

#[wasm_bindgen_test(unsupported = test)]
fn a_program_requeues_with_a_delay_and_counts_refusals() {
    let mut client = Client::ready();
    let full = [number_entry("x-max-length", 1), text_entry("x-overflow", "reject-publish")];
    client.ask(&declare_queue_with("q", 0, &full).on(1));
    let server = &mut client.server;
    let queues: Vec<_> = (0..3).map(|_| publish_here(server, "q")).collect();
    let mut refused = || server.verb(Verb::TakeRefused).unwrap().count();
    assert_eq!((queues, refused(), refused()), (vec![1, 0, 0], 2, 0));

    let (queue, max, no_ack, visibility_timeout_ms) = ("q", 1, false, 0);
    assert_eq!(server.verb(Verb::Get { queue, max, no_ack, visibility_timeout_ms }), Ok(Answer::Count(1)));
    server.verb(Verb::NackAfter { delivery_tag: 1, delay_ms: 5_000 }).unwrap();
    client.pass(4_999);
    assert_eq!(get_here(&mut client.server, "q"), 0);
    client.pass(1);
    assert_eq!(get_here(&mut client.server, "q"), 1);
}
