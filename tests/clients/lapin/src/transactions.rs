//! Transactions: the effects of commit and rollback.

use lapin::options::{BasicAckOptions, BasicPublishOptions};
use lapin::{BasicProperties, Channel, Connection, Queue};

use crate::support::{assert_refused, bodies, consume, next, open, own_queue, ready, run, send};

async fn transactional(connection: &Connection) -> Channel {
    let channel = connection.create_channel().await.expect("a channel");
    channel.tx_select().await.expect("tx.select");
    channel
}

async fn put(channel: &Channel, queue: &Queue, body: &[u8]) {
    let options = BasicPublishOptions::default();
    let published = channel.basic_publish("".into(), queue.name().clone(), options, body, BasicProperties::default());
    published.await.expect("a publish");
}

#[test]
fn commit_publishes_and_rollback_does_not() {
    run(async {
        let (connection, plain) = open().await;
        let queue = own_queue(&plain, []).await;
        let channel = transactional(&connection).await;
        put(&channel, &queue, b"never").await;
        channel.tx_rollback().await.expect("tx.rollback");
        put(&channel, &queue, b"kept").await;
        assert_eq!(ready(&channel, &queue).await, 0);
        channel.tx_commit().await.expect("tx.commit");
        assert_eq!(ready(&plain, &queue).await, 1);
        assert_eq!(bodies(&plain, &queue, 1).await, ["kept"]);
    });
}

#[test]
fn an_ack_takes_effect_with_the_commit() {
    run(async {
        let (connection, plain) = open().await;
        let queue = own_queue(&plain, []).await;
        send(&plain, &queue, b"task", BasicProperties::default()).await;
        let channel = transactional(&connection).await;
        let mut consumer = consume(&channel, &queue).await;
        next(&mut consumer).await.ack(BasicAckOptions::default()).await.expect("an ack");
        channel.close(200, "enough".into()).await.expect("channel.close");
        assert_eq!(ready(&plain, &queue).await, 1, "an ack that was never committed");

        let channel = transactional(&connection).await;
        let mut consumer = consume(&channel, &queue).await;
        next(&mut consumer).await.ack(BasicAckOptions::default()).await.expect("an ack");
        channel.tx_commit().await.expect("tx.commit");
        channel.close(200, "enough".into()).await.expect("channel.close");
        assert_eq!(ready(&plain, &queue).await, 0);
    });
}

#[test]
fn commit_without_a_transaction_is_406() {
    run(async {
        let (_connection, channel) = open().await;
        assert_refused(channel.tx_commit().await, 406, "channel is not transactional");
    });
}

#[test]
fn confirms_and_transactions_do_not_mix() {
    run(async {
        let (connection, confirming) = open().await;
        assert_refused(confirming.tx_select().await, 406, "cannot switch from confirm to tx mode");
        let channel = transactional(&connection).await;
        let mixed = channel.confirm_select(Default::default()).await;
        assert_refused(mixed, 406, "cannot switch from tx to confirm mode");
    });
}
