//! Operator: closing connections from outside, and reports.

use crate::peer::*;
use pocketmq::broker::{ApplyTo, Policy};
use pocketmq::embedded::Verb;
use pocketmq::table::{Table, Value};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test(unsupported = test)]
fn a_shutdown_waits_for_the_peer_but_not_for_ever() {
    for answers_in_time in [true, false] {
        let mut client = Client::ready();
        client.pass(25_000);
        client.server.shutdown();
        client.turn();
        let text = "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'";
        assert_eq!(client.read()[0].refusal(), (320, text, (0, 0)));
        assert_eq!(client.ask(&declare_queue("q", 0).on(1)), []);
        assert_eq!(ids(&client.ask(&close_connection().on(0))), [(10, 51)]);
        client.pass(9_999);
        assert!(!client.is_closed());
        if answers_in_time {
            client.send(&close_connection_ok().on(0));
        } else {
            client.pass(1);
        }
        assert!(client.is_closed());
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn one_connection_is_closed_for_a_reason_and_the_others_stay() {
    let mut client = Client::ready();
    let first = client.join("guest", "/", &[]);
    assert!(client.server.close(first, "Closed via management plugin"));
    client.turn();
    assert_eq!(ids(&client.ask(&declare_queue("q", 0).on(1))), [(50, 11)]);
    client.id = first;
    assert_eq!(client.read()[0].refusal(), (320, "CONNECTION_FORCED - Closed via management plugin", (0, 0)));
    client.send(&close_connection_ok().on(0));
    client.server.disconnected(first);
    assert!(!client.server.close(first, "again"), "it is not there any more");
}

/// Formats a report's fields with their values.
fn fields(report: &Table, names: &[&str]) -> String {
    let value = |name: &&str| report.get(name).map_or("none".to_owned(), shown);
    names.iter().map(value).collect::<Vec<_>>().join(" ")
}

fn shown(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            format!("{{{}}}", table.iter().map(|(_, value)| shown(value)).collect::<Vec<_>>().join(" "))
        }
        Value::Bool(truth) => truth.to_string(),
        value => value.as_str().map(str::to_owned).or(value.as_integer().map(|number| number.to_string())).unwrap(),
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn lists_have_the_field_names_of_the_management_api() {
    let mut client = Client::ready();
    client.server.add_virtual_host("other");
    client.join("guest", "other", &[]);
    let bind = call(50, 20).short(0).text("q").text("amq.topic").text("k.#").octet(0).bytes(b"");
    let prefetch = call(60, 10).long(0).short(7).octet(0);
    let arguments = [number_entry("x-max-priority", 5)];
    client.ask(&[declare_queue_with("q", 2, &arguments).on(1), bind.on(1), prefetch.on(1)].concat());
    client.ask(&[select_confirms().on(1), publish(1, "q", b"1"), consume("q", "tag", 0).on(1)].concat());
    client.ask(&publish(1, "missing", b"2"));

    let list = |kind| client.server.list(kind, Some("other"), None).unwrap();
    let connection = ["name", "user", "vhost", "protocol", "auth_mechanism", "state", "channels", "frame_max", "ssl"];
    let expected = "peer of guest guest other AMQP 0-9-1 PLAIN running 1 131072 false";
    assert_eq!(fields(&list("connections")[0], &connection), expected);
    let octets = list("connections")[0].get("recv_oct").and_then(Value::as_integer);
    assert!(octets > Some(300), "{octets:?}");
    let channel = ["name", "number", "vhost", "consumer_count", "messages_unacknowledged", "prefetch_count", "confirm"];
    assert_eq!(fields(&list("channels")[0], &channel), "peer of guest (1) 1 other 1 1 7 true");
    let consumer =
        ["consumer_tag", "queue", "ack_required", "exclusive", "prefetch_count", "active", "activity_status"];
    assert_eq!(fields(&list("consumers")[0], &consumer), "tag {q} true false 7 true up");
    let queue = ["name", "vhost", "type", "durable", "arguments", "messages", "messages_ready", "consumers"];
    assert_eq!(fields(&list("queues")[0], &queue), "q other classic true {5} 1 0 1");
    assert_eq!(fields(&list("queues")[0], &["message_stats", "policy"]), "{1 1 0 0} ");
    let binding = ["source", "destination", "destination_type", "routing_key", "vhost"];
    let bindings: Vec<_> = list("bindings").iter().map(|report| fields(report, &binding)).collect();
    assert_eq!(bindings, [" q queue q other", "amq.topic q queue k.# other"]);
    let host = ["name", "messages", "messages_unacknowledged"];
    assert_eq!(fields(&list("vhosts")[0], &host), "other 1 1");
    assert_eq!((list("exchanges").len(), list("policies").len()), (7, 0));
    assert_eq!(client.server.list("queues", None, None).map(|queues| queues.len()), Some(1));
    assert_eq!(client.server.list("connections", None, None).map(|connections| connections.len()), Some(2));
    assert_eq!(client.server.list("nodes", None, None), None);

    let overview = client.server.overview();
    assert_eq!(fields(&overview, &["object_totals", "queue_totals"]), "{14 1 1 2 2} {1 0 1}");
    assert_eq!(fields(&overview, &["message_stats", "memory_alarm"]), "{1 1 0 0} false");
    assert_eq!(client.server.list("queues", None, Some("p")), Some(vec![]));
    assert_eq!(client.server.list("queues", None, Some("q")).unwrap().len(), 1);
    client.ask(&call(50, 40).short(0).text("q").octet(0).on(1));
    assert_eq!(fields(&client.server.overview(), &["message_stats"]), "{1 1 0 0}", "what was counted stays");
    client.server.delete_virtual_host("other");
    assert_eq!(fields(&client.server.overview(), &["message_stats"]), "{1 1 0 0}");
}

#[wasm_bindgen_test(unsupported = test)]
fn a_policy_is_listed_with_its_definition() {
    let mut client = Client::ready();
    let definition: Table = [("max-length", 3)].into_iter().collect();
    let policy = Policy { pattern: "q".into(), apply_to: ApplyTo::Queues, priority: 1, definition };
    client.server.verb(Verb::SetPolicy { name: "short", policy: &policy }).unwrap();
    client.ask(&declare_queue("q", 0).on(1));
    let policies = client.server.list("policies", None, None).unwrap();
    let names = ["name", "vhost", "pattern", "apply-to", "priority", "definition"];
    assert_eq!(fields(&policies[0], &names), "short / q queues 1 {3}");
    assert_eq!(fields(&client.server.list("queues", None, None).unwrap()[0], &["policy"]), "short");
}

#[wasm_bindgen_test(unsupported = test)]
fn reserved_names_are_declared_by_the_broker_alone() {
    let mut client = Client::ready();
    let declared = client.ask(&declare_queue("", 0).on(1));
    let name = declared[0].text_at(4).to_owned();
    assert_eq!(ids(&client.ask(&declare_queue(&name, 1).on(1))), [(50, 11)], "a passive declaration only looks");
    let text = "NOT_FOUND - no queue 'amq.rabbitmq.reply-to.nobody' in vhost '/'";
    let closed = client.ask(&declare_queue("amq.rabbitmq.reply-to.nobody", 0).on(1));
    assert_eq!(closed[0].refusal(), (404, text, (50, 10)), "a responder checks whether the requester is still there");
    client.ask(&[close_channel_ok().on(1), open_channel().on(1)].concat());
    let text = format!("ACCESS_REFUSED - queue name '{name}' contains reserved prefix 'amq.*'");
    assert_eq!(client.ask(&declare_queue(&name, 0).on(1))[0].refusal(), (403, &*text, (50, 10)));
}
