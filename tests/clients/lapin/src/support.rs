//! Support: connections, queues that are deleted with them, and the errors that tests expect.

use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, Error, ErrorKind, Queue,
};

/// Time limit, so that a test that hangs fails.
const LONGEST: Duration = Duration::from_secs(30);

pub fn url() -> String {
    env::var("AMQP_URL").unwrap_or_else(|_| "amqp://127.0.0.1".into())
}

/// Returns a name that no other test uses, also on a broker that outlives the run.
pub fn unique(label: &str) -> String {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let began = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_nanos();
    format!("{label}-{began}-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// Runs a test's body to its end, within a time limit.
pub fn run<T>(body: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(LONGEST, body).await.expect("the test hangs") })
}

pub async fn connect() -> Connection {
    Connection::connect(&url(), ConnectionProperties::default()).await.expect("a connection")
}

/// Opens a connection, and a channel in confirm mode.
pub async fn open() -> (Connection, Channel) {
    let connection = connect().await;
    let channel = confirming(&connection).await;
    (connection, channel)
}

pub async fn confirming(connection: &Connection) -> Channel {
    let channel = connection.create_channel().await.expect("a channel");
    channel.confirm_select(Default::default()).await.expect("confirm.select");
    channel
}

pub fn table<const N: usize>(entries: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in entries {
        table.insert(key.into(), value);
    }
    table
}

pub fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

pub fn int(value: i32) -> AMQPValue {
    AMQPValue::LongInt(value)
}

/// Declares an exclusive queue, which is deleted with its connection.
pub async fn own_queue<const N: usize>(channel: &Channel, arguments: [(&str, AMQPValue); N]) -> Queue {
    let declared = channel.queue_declare("".into(), QueueDeclareOptions::exclusive(), table(arguments)).await;
    declared.expect("a queue")
}

/// Declares a queue for several connections, which is deleted with its last consumer.
pub async fn shared_queue(channel: &Channel) -> Queue {
    let options = QueueDeclareOptions { durable: true, auto_delete: true, ..Default::default() };
    channel.queue_declare(unique("shared").as_str().into(), options, FieldTable::default()).await.expect("a queue")
}

pub async fn send(channel: &Channel, queue: &Queue, body: &[u8], properties: BasicProperties) -> Confirmation {
    publish(channel, "", queue.name().as_str(), body, properties).await
}

pub async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    body: &[u8],
    properties: BasicProperties,
) -> Confirmation {
    let options = BasicPublishOptions { mandatory: true, ..Default::default() };
    let published = channel.basic_publish(exchange.into(), key.into(), options, body, properties).await;
    published.expect("a publish").await.expect("its confirm")
}

pub async fn consume(channel: &Channel, queue: &Queue) -> Consumer {
    let options = BasicConsumeOptions::default();
    channel.basic_consume(queue.name().clone(), "".into(), options, FieldTable::default()).await.expect("a consumer")
}

/// Returns the next message of a consumer, unacked.
pub async fn next(consumer: &mut Consumer) -> Delivery {
    consumer.next().await.expect("the consumer goes on").expect("a delivery")
}

/// Returns the bodies of the next messages of a queue, and acks them.
pub async fn bodies(channel: &Channel, queue: &Queue, count: usize) -> Vec<String> {
    let mut consumer = consume(channel, queue).await;
    let mut got = Vec::new();
    while got.len() < count {
        let delivery = next(&mut consumer).await;
        delivery.ack(BasicAckOptions::default()).await.expect("an ack");
        got.push(String::from_utf8(delivery.data).expect("text"));
    }
    channel.basic_cancel(consumer.tag(), Default::default()).await.expect("basic.cancel");
    got
}

/// Returns how many messages of a queue are ready.
pub async fn ready(channel: &Channel, queue: &Queue) -> u32 {
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    let declared = channel.queue_declare(queue.name().clone(), options, FieldTable::default()).await;
    declared.expect("the queue").message_count()
}

/// Expects an error from the broker, with this code and with this in its text.
pub fn assert_refused<T>(outcome: Result<T, Error>, code: u16, text: &str) {
    let Err(error) = outcome else { panic!("it was not refused") };
    assert_error(&error, code, text);
}

pub fn assert_error(error: &Error, code: u16, text: &str) {
    let ErrorKind::ProtocolError(refusal) = error.kind() else { panic!("the broker did not send {error:?}") };
    assert_eq!(refusal.get_id(), code, "{refusal:?}");
    assert!(refusal.get_message().as_str().contains(text), "{refusal:?}");
}
