//! Messages: confirms, consumers, settlements, returns, expiry and dead letters.

use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation};

use crate::support::{bodies, consume, int, next, open, own_queue, publish, ready, run, send, table, text, unique};

#[test]
fn prefetch_waits_for_the_ack() {
    run(async {
        let (_connection, channel) = open().await;
        let queue = own_queue(&channel, []).await;
        channel.basic_qos(2, BasicQosOptions::default()).await.expect("basic.qos");
        for body in [b"one", b"two"] {
            send(&channel, &queue, body, BasicProperties::default()).await;
        }
        let mut consumer = consume(&channel, &queue).await;
        next(&mut consumer).await;
        let second = next(&mut consumer).await;
        send(&channel, &queue, b"three", BasicProperties::default()).await;
        assert_eq!(ready(&channel, &queue).await, 1);
        second.ack(BasicAckOptions { multiple: true }).await.expect("an ack");
        let third = next(&mut consumer).await;
        assert_eq!((third.delivery_tag, third.data.as_slice(), third.redelivered), (3, b"three".as_slice(), false));
    });
}

#[test]
fn nack_requeues_and_reject_drops() {
    run(async {
        let (_connection, channel) = open().await;
        let queue = own_queue(&channel, []).await;
        send(&channel, &queue, b"task", BasicProperties::default()).await;
        let mut consumer = consume(&channel, &queue).await;
        next(&mut consumer).await.nack(BasicNackOptions { requeue: true, multiple: false }).await.expect("a nack");
        let again = next(&mut consumer).await;
        assert!(again.redelivered);
        again.reject(BasicRejectOptions { requeue: false }).await.expect("a reject");
        let got = channel.basic_get(queue.name().clone(), BasicGetOptions::default()).await.expect("basic.get");
        assert!(got.is_none());
    });
}

#[test]
fn an_unroutable_message_is_returned_with_its_confirm() {
    run(async {
        let (_connection, channel) = open().await;
        let key = unique("nobody");
        let confirmation = publish(&channel, "amq.topic", &key, b"come back", BasicProperties::default()).await;
        let Confirmation::Ack(Some(returned)) = confirmation else { panic!("{confirmation:?}") };
        assert_eq!((returned.reply_code, returned.reply_text.as_str()), (312, "NO_ROUTE"));
        assert_eq!(returned.delivery.routing_key.as_str(), key);
        assert_eq!(returned.delivery.data, b"come back");
    });
}

#[test]
fn properties_and_headers_arrive() {
    run(async {
        let (_connection, channel) = open().await;
        let queue = own_queue(&channel, []).await;
        let headers = table([
            ("truth", AMQPValue::Boolean(true)),
            ("text", text("päivää")),
            ("float", AMQPValue::Double(0.5)),
            ("list", AMQPValue::FieldArray(vec![int(1), AMQPValue::Void].into())),
            ("table", AMQPValue::FieldTable(table([("deeper", AMQPValue::LongLongInt(-1))]))),
        ]);
        let sent = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_correlation_id("c1".into())
            .with_delivery_mode(2)
            .with_headers(headers)
            .with_message_id("m1".into())
            .with_timestamp(1_700_000_000);
        send(&channel, &queue, b"x", sent.clone()).await;
        let mut consumer = consume(&channel, &queue).await;
        assert_eq!(next(&mut consumer).await.properties, sent);
    });
}

#[test]
fn large_bodies_arrive() {
    run(async {
        let (_connection, channel) = open().await;
        let queue = own_queue(&channel, []).await;
        let body: Vec<u8> = (0..1_000_000_u32).map(|at| (at * 31 + (at >> 8)) as u8).collect();
        send(&channel, &queue, &body, BasicProperties::default()).await;
        send(&channel, &queue, b"", BasicProperties::default()).await;
        let mut consumer = consume(&channel, &queue).await;
        assert!(next(&mut consumer).await.data == body);
        assert!(next(&mut consumer).await.data.is_empty());
    });
}

#[test]
fn expired_messages_are_dead_lettered() {
    run(async {
        let (_connection, channel) = open().await;
        let graveyard = own_queue(&channel, []).await;
        let letters = text(graveyard.name().as_str());
        let queue =
            own_queue(&channel, [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", letters)]).await;
        send(&channel, &queue, b"late", BasicProperties::default().with_expiration("1".into())).await;
        let mut consumer = consume(&channel, &graveyard).await;
        let dead = next(&mut consumer).await;
        assert_eq!(dead.data, b"late");
        let (reason, of) = first_death(dead.properties.headers().as_ref().expect("headers"));
        assert_eq!((reason.as_str(), of.as_str()), ("expired", queue.name().as_str()));
    });
}

/// Returns reason and queue of the first entry in x-death.
fn first_death(headers: &FieldTable) -> (String, String) {
    let deaths = headers.inner().get("x-death").and_then(AMQPValue::as_array).expect("x-death");
    let entry = deaths.as_slice()[0].as_field_table().expect("an entry").inner();
    let of = |key: &str| entry.get(key).and_then(AMQPValue::as_long_string).expect(key).to_string();
    (of("reason"), of("queue"))
}

#[test]
fn higher_priorities_go_first() {
    run(async {
        let (_connection, channel) = open().await;
        let queue = own_queue(&channel, [("x-max-priority", int(5))]).await;
        for priority in [0, 5, 3] {
            let properties = BasicProperties::default().with_priority(priority);
            send(&channel, &queue, priority.to_string().as_bytes(), properties).await;
        }
        assert_eq!(bodies(&channel, &queue, 3).await, ["5", "3", "0"]);
    });
}

#[test]
fn a_full_queue_that_rejects_nacks() {
    run(async {
        let (_connection, channel) = open().await;
        let full = [("x-max-length", int(1)), ("x-overflow", text("reject-publish"))];
        let queue = own_queue(&channel, full).await;
        assert!(send(&channel, &queue, b"one", BasicProperties::default()).await.is_ack());
        assert!(send(&channel, &queue, b"two", BasicProperties::default()).await.is_nack());
        assert_eq!(bodies(&channel, &queue, 1).await, ["one"]);
    });
}

#[test]
fn topics_and_headers_route() {
    run(async {
        let (_connection, channel) = open().await;
        let (queue, key) = (own_queue(&channel, []).await, unique("key"));
        let bind = async |exchange: &str, key: &str, arguments: FieldTable| {
            let bound =
                channel.queue_bind(queue.name().clone(), exchange.into(), key.into(), Default::default(), arguments);
            bound.await.expect("a binding");
        };
        bind("amq.topic", &format!("{key}.*.#"), FieldTable::default()).await;
        bind("amq.headers", "", table([("x-match", text("all")), (key.as_str(), AMQPValue::Void)])).await;
        publish(&channel, "amq.topic", &key, b"too short", BasicProperties::default()).await;
        publish(&channel, "amq.topic", &format!("{key}.one.two"), b"topic", BasicProperties::default()).await;
        let properties = BasicProperties::default().with_headers(table([(key.as_str(), int(1))]));
        publish(&channel, "amq.headers", "", b"header", properties).await;
        assert_eq!(bodies(&channel, &queue, 2).await, ["topic", "header"]);
    });
}

#[test]
fn direct_reply_to() {
    run(async {
        let (connection, channel) = open().await;
        let questions = own_queue(&channel, []).await;
        let no_ack = lapin::options::BasicConsumeOptions { no_ack: true, ..Default::default() };
        let replies = channel.basic_consume("amq.rabbitmq.reply-to".into(), "".into(), no_ack, FieldTable::default());
        let mut replies = replies.await.expect("a consumer");
        let properties = BasicProperties::default().with_reply_to("amq.rabbitmq.reply-to".into());
        send(&channel, &questions, b"question", properties).await;

        let answering = connection.create_channel().await.expect("a channel");
        let mut consumer = consume(&answering, &questions).await;
        let question = next(&mut consumer).await;
        let address = question.properties.reply_to().clone().expect("an address");
        publish(&answering, "", address.as_str(), b"answer", BasicProperties::default()).await;
        assert_eq!(next(&mut replies).await.data, b"answer");
    });
}
