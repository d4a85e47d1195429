//! Channel: declarations, errors that close one channel only, and consumers that end with their queue.

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, ErrorKind, ExchangeKind};

use crate::support::{
    assert_error, assert_refused, connect, consume, int, next, open, own_queue, run, send, table, text, unique,
};

const PASSIVE: QueueDeclareOptions =
    QueueDeclareOptions { passive: true, durable: false, exclusive: false, auto_delete: false, nowait: false };

#[test]
fn a_missing_queue_is_404_and_another_channel_opens() {
    run(async {
        let (connection, channel) = open().await;
        let declared = channel.queue_declare("pmq-missing".into(), PASSIVE, FieldTable::default()).await;
        assert_refused(declared, 404, "NOT_FOUND - no queue 'pmq-missing' in vhost '/'");
        assert!(!channel.status().connected());
        own_queue(&connection.create_channel().await.expect("a channel"), []).await;
    });
}

#[test]
fn a_publish_to_a_missing_exchange_is_404() {
    run(async {
        let (_connection, channel) = open().await;
        let published = channel
            .basic_publish("pmq-missing".into(), "key".into(), Default::default(), b"x", BasicProperties::default())
            .await;
        let error = published.expect("it was sent").await.expect_err("no confirm");
        assert_error(&error, 404, "NOT_FOUND - no exchange 'pmq-missing' in vhost '/'");
    });
}

#[test]
fn a_queue_with_other_arguments_is_406() {
    run(async {
        let (_connection, channel) = open().await;
        let name = unique("inequivalent");
        let declare = async |ttl| {
            let arguments = table([("x-message-ttl", int(ttl))]);
            channel.queue_declare(name.as_str().into(), QueueDeclareOptions::exclusive(), arguments).await
        };
        declare(1000).await.expect("a queue");
        assert_refused(declare(2000).await, 406, "inequivalent arg 'x-message-ttl' for queue");
    });
}

#[test]
fn an_unknown_delivery_tag_is_406() {
    run(async {
        let (_connection, channel) = open().await;
        let queue = own_queue(&channel, []).await;
        let mut consumer = consume(&channel, &queue).await;
        channel.basic_ack(7, Default::default()).await.expect("it was sent");
        let error = consumer.next().await.expect("an item").expect_err("the channel is closed");
        assert_error(&error, 406, "PRECONDITION_FAILED - unknown delivery tag 7");
    });
}

#[test]
fn an_exclusive_queue_is_405_for_another_connection() {
    run(async {
        let (_connection, channel) = open().await;
        let queue = own_queue(&channel, []).await;
        let other = connect().await;
        let channel = other.create_channel().await.expect("a channel");
        let declared = channel.queue_declare(queue.name().clone(), PASSIVE, FieldTable::default()).await;
        assert_refused(declared, 405, "RESOURCE_LOCKED");
    });
}

#[test]
fn beside_an_exclusive_consumer_is_403() {
    run(async {
        let (_connection, channel) = open().await;
        let queue = own_queue(&channel, []).await;
        let consume = async |exclusive| {
            let options = BasicConsumeOptions { exclusive, ..Default::default() };
            channel.basic_consume(queue.name().clone(), "".into(), options, FieldTable::default()).await
        };
        let _consumer = consume(true).await.expect("a consumer");
        assert_refused(consume(false).await, 403, "in exclusive use");
    });
}

#[test]
fn an_unknown_exchange_type_is_refused() {
    run(async {
        let (_connection, channel) = open().await;
        let kind = ExchangeKind::Custom("x-unheard-of".into());
        let declared =
            channel.exchange_declare(unique("odd").as_str().into(), kind, Default::default(), FieldTable::default());
        let error = declared.await.expect_err("no such type");
        assert!(matches!(error.kind(), ErrorKind::ProtocolError(_)), "{error:?}");
    });
}

#[test]
fn exchanges_bind_to_exchanges_and_are_deleted_with_their_bindings() {
    run(async {
        let (_connection, channel) = open().await;
        let (source, destination) = (unique("source"), unique("destination"));
        for name in [&source, &destination] {
            let options = ExchangeDeclareOptions { auto_delete: true, ..Default::default() };
            let declared =
                channel.exchange_declare(name.as_str().into(), ExchangeKind::Fanout, options, FieldTable::default());
            declared.await.expect("an exchange");
        }
        let (from, to) = (source.as_str().into(), destination.as_str().into());
        channel.exchange_bind(to, from, "".into(), Default::default(), FieldTable::default()).await.expect("a binding");
        let (from, to) = (source.as_str().into(), destination.as_str().into());
        channel
            .exchange_unbind(to, from, "".into(), Default::default(), FieldTable::default())
            .await
            .expect("no binding");
        let passive = ExchangeDeclareOptions { passive: true, ..Default::default() };
        let gone =
            channel.exchange_declare(source.as_str().into(), ExchangeKind::Fanout, passive, FieldTable::default());
        assert_refused(gone.await, 404, "NOT_FOUND - no exchange");
    });
}

#[test]
fn a_consumer_ends_with_its_queue() {
    run(async {
        let (_connection, channel) = open().await;
        let queue = own_queue(&channel, []).await;
        let mut consumer = consume(&channel, &queue).await;
        channel.queue_delete(queue.name().clone(), Default::default()).await.expect("queue.delete");
        assert!(consumer.next().await.is_none());
    });
}

#[test]
fn one_consumer_is_active_and_the_next_takes_over() {
    run(async {
        let (connection, channel) = open().await;
        let queue = own_queue(&channel, [("x-single-active-consumer", AMQPValue::Boolean(true))]).await;
        let first = connection.create_channel().await.expect("a channel");
        let mut active = consume(&first, &queue).await;
        let mut waiting = consume(&channel, &queue).await;
        send(&channel, &queue, b"task", BasicProperties::default()).await;
        assert!(!next(&mut active).await.redelivered);
        first.close(200, "enough".into()).await.expect("channel.close");
        assert!(next(&mut waiting).await.redelivered);
    });
}

#[test]
fn a_bad_argument_is_406() {
    run(async {
        let (_connection, channel) = open().await;
        let arguments = table([("x-overflow", text("burst"))]);
        let declared = channel.queue_declare("".into(), QueueDeclareOptions::exclusive(), arguments).await;
        assert_refused(declared, 406, "PRECONDITION_FAILED - invalid arg 'x-overflow' for queue");
    });
}
