//! Virtual hosts: each is a broker of its own, for peers and for the embedding program.

use super::*;
use crate::peer::*;
use pocketmq::broker::{Broker, Consume, QueueDeclaration};
use pocketmq::embedded::Embedded;
use pocketmq::id::ChannelId;
use pocketmq::table::Table;
use wasm_bindgen_test::wasm_bindgen_test;

/// Connects to `/`, and then to `other`, whose connection is the current one.
fn two() -> (Client, pocketmq::id::TransportId) {
    let mut client = Client::ready();
    assert!(client.server.virtual_hosts_mut().add("other"));
    assert!(!client.server.virtual_hosts_mut().add("other"), "once");
    let first = client.join("guest", "other", &["consumer_cancel_notify"]);
    (client, first)
}

fn declare(broker: &mut Broker, channel: ChannelId, name: &str) {
    let arguments = &Table::new();
    let (passive, durable, exclusive, auto_delete) = (false, false, false, false);
    let declaration = QueueDeclaration { name, passive, durable, exclusive, auto_delete, arguments };
    broker.declare_queue(channel, &declaration).unwrap();
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
    let hosts = client.server.virtual_hosts_mut();
    let mut program = Embedded::new(hosts);
    for name in ["other", "/"] {
        assert!(program.enter(hosts, name));
        let (broker, channel) = program.at(hosts);
        declare(broker, channel, "q");
    }
    assert!(!program.enter(hosts, "missing"));
    assert_eq!(program.publish(hosts, "", "q", b"", b"here"), Ok(1));
    assert!(program.enter(hosts, "other"));
    assert_eq!(program.get(hosts, "q", 1, true, 0), Ok(0));

    let arguments = &Table::new();
    let consume = Consume { queue: "q", consumer_tag: "tag", no_ack: true, exclusive: false, arguments };
    program.consume(hosts, &consume, 0).unwrap();
    client.write(&publish(1, "q", b"there"));
    client.server.turn(0, &mut program);
    assert!(program.batch().ends_with(b"there"));

    let other = client.server.virtual_hosts().named("other").unwrap().id();
    assert!(client.server.delete_virtual_host("other"));
    program.leave(other);
    assert_eq!(program.take_cancelled(), [0], "its consumer has ended");
    assert_eq!(program.get(client.server.virtual_hosts_mut(), "q", 1, true, 0), Ok(1), "it is in / again");
}

#[wasm_bindgen_test(unsupported = test)]
fn a_program_requeues_with_a_delay_and_counts_refusals() {
    let mut client = Client::ready();
    let full = [number_entry("x-max-length", 1), text_entry("x-overflow", "reject-publish")];
    client.ask(&declare_queue_with("q", 0, &full).on(1));
    let hosts = client.server.virtual_hosts_mut();
    let mut program = Embedded::new(hosts);
    let queues: Vec<_> = (0..3).map(|_| program.publish(hosts, "", "q", b"", b"x").unwrap()).collect();
    assert_eq!((queues, program.take_refused(), program.take_refused()), (vec![1, 0, 0], 2, 0));

    assert_eq!(program.get(hosts, "q", 1, false, 0), Ok(1));
    let (broker, channel) = program.at(hosts);
    broker.nack_after(channel, 1, 5_000).unwrap();
    client.pass(4_999);
    assert_eq!(program.get(client.server.virtual_hosts_mut(), "q", 1, true, 0), Ok(0));
    client.pass(1);
    assert_eq!(program.get(client.server.virtual_hosts_mut(), "q", 1, true, 0), Ok(1));
}
