//! Connection: logins, refusals, closes, blocking, and reconnects.

use std::env;
use std::net::SocketAddr;

use futures_util::{Stream, StreamExt};
use lapin::options::{BasicAckOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Event};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::support::{
    assert_error, assert_refused, confirming, connect, consume, next, run, send, shared_queue, unique, url,
};

/// Returns host and port of the broker's URL.
fn address() -> String {
    let url = url();
    let authority = url.trim_start_matches("amqp://").split('/').next().expect("an authority");
    authority.rsplit('@').next().expect("a host").to_string()
}

#[test]
fn a_wrong_password_is_refused() {
    run(async {
        let url = format!("amqp://guest:wrong@{}", address());
        assert_refused(Connection::connect(&url, Default::default()).await, 403, "ACCESS_REFUSED");
    });
}

#[test]
fn an_unknown_vhost_is_refused() {
    run(async {
        let url = format!("amqp://guest:guest@{}/nowhere", address());
        assert_refused(Connection::connect(&url, Default::default()).await, 530, "vhost nowhere not found");
    });
}

#[test]
fn tuning_is_negotiated() {
    run(async {
        let url = format!("amqp://guest:guest@{}/%2f?heartbeat=7&channel_max=9&frame_max=8192", address());
        let connection = Connection::connect(&url, Default::default()).await.expect("a connection");
        let tuned = connection.configuration();
        assert_eq!((tuned.heartbeat(), tuned.channel_max(), tuned.frame_max()), (7, 9, 8192));
    });
}

#[test]
fn a_new_secret_is_accepted() {
    run(async {
        let connection = connect().await;
        connection.update_secret("guest".into(), "rotated".into()).await.expect("update-secret");
        connection.create_channel().await.expect("a channel");
    });
}

#[test]
fn an_error_of_the_connection_is_an_event() {
    run(async {
        let connection = connect().await;
        let mut events = connection.events_listener();
        let channel = connection.create_channel().await.expect("a channel");
        let stopped = channel.channel_flow(lapin::options::ChannelFlowOptions { active: false }).await;
        assert_refused(stopped, 540, "NOT_IMPLEMENTED - active=false");
        let error = next_error(&mut events).await;
        assert_error(&error, 540, "NOT_IMPLEMENTED");
    });
}

async fn next_error(events: &mut (impl Stream<Item = Event> + Unpin)) -> lapin::Error {
    loop {
        if let Event::Error(error) = events.next().await.expect("an event") {
            return error;
        }
    }
}

#[test]
fn the_operator_closes_a_connection() {
    let Ok(management) = env::var("MANAGEMENT_URL") else { return };
    run(async {
        let mut relay = Relay::start(address()).await;
        let connection = Connection::connect(&relay.url, Default::default()).await.expect("a connection");
        let mut events = connection.events_listener();
        let (client, broker) = relay.upstream().await;
        close_as_operator(&management, &format!("{client} -> {broker}")).await;
        assert_error(&next_error(&mut events).await, 320, "CONNECTION_FORCED - Closed via management plugin");
    });
}

/// Requests the management API to close a connection, until it has heard of it.
async fn close_as_operator(management: &str, name: &str) {
    let host = management.trim_start_matches("http://").trim_end_matches('/');
    let name = name.replace(':', "%3A").replace(' ', "%20").replace('>', "%3E");
    let request = format!(
        "DELETE /api/connections/{name} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Basic Z3Vlc3Q6Z3Vlc3Q=\r\nConnection: close\r\n\r\n"
    );
    loop {
        let mut stream = TcpStream::connect(host).await.expect("the management API");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        if answer.starts_with("HTTP/1.1 204") {
            return;
        }
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    }
}

#[test]
fn a_consumer_survives_a_lost_connection() {
    run(async {
        let mut relay = Relay::start(address()).await;
        let properties = ConnectionProperties::default().enable_auto_recover();
        let connection = Connection::connect(&relay.url, properties).await.expect("a connection");
        relay.upstream().await;
        let channel = confirming(&connection).await;
        channel.basic_qos(1, Default::default()).await.expect("basic.qos");
        let options = QueueDeclareOptions::durable();
        let queue = channel
            .queue_declare(unique("recovered").as_str().into(), options, FieldTable::default())
            .await
            .expect("a queue");
        let mut consumer = consume(&channel, &queue).await;
        send(&channel, &queue, b"task", BasicProperties::default()).await;
        assert!(!next(&mut consumer).await.redelivered);

        relay.cut();
        let task = next(&mut consumer).await;
        assert!(task.redelivered);
        task.ack(BasicAckOptions::default()).await.expect("an ack");
        send(&channel, &queue, b"after", BasicProperties::default()).await;
        assert_eq!(next(&mut consumer).await.data, b"after");
        channel.queue_delete(queue.name().clone(), Default::default()).await.expect("queue.delete");
    });
}

#[test]
fn a_publisher_is_notified_when_memory_runs_low() {
    let Ok(url) = env::var("SMALL_AMQP_URL") else { return };
    run(async {
        let publisher = Connection::connect(&url, Default::default()).await.expect("a connection");
        let consumer = Connection::connect(&url, Default::default()).await.expect("a connection");
        let mut events = publisher.events_listener();
        let owner = consumer.create_channel().await.expect("a channel");
        let queue = shared_queue(&owner).await;
        let channel = publisher.create_channel().await.expect("a channel");
        let flooding = tokio::spawn(flood(channel, queue.name().clone()));
        assert!(matches!(events.next().await, Some(Event::ConnectionBlocked(reason)) if reason == "low on memory"));
        owner.queue_delete(queue.name().clone(), Default::default()).await.expect("queue.delete");
        assert!(matches!(events.next().await, Some(Event::ConnectionUnblocked)));
        flooding.abort();
    });
}

/// Publishes without end. While the connection is blocked a publish does not complete.
async fn flood(channel: Channel, key: ShortString) {
    loop {
        let properties = BasicProperties::default();
        let published = channel.basic_publish("".into(), key.clone(), Default::default(), &[0; 10_000], properties);
        published.await.expect("a publish");
    }
}

/// A relay to the broker that can be cut.
struct Relay {
    url: String,
    upstreams: mpsc::UnboundedReceiver<(SocketAddr, SocketAddr)>,
    cut: tokio::sync::watch::Sender<()>,
}

impl Relay {
    async fn start(broker: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("amqp://guest:guest@{}", listener.local_addr().expect("its address"));
        let (sender, upstreams) = mpsc::unbounded_channel();
        let (cut, _) = tokio::sync::watch::channel(());
        let cutting = cut.clone();
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.expect("a client");
                let mut far = TcpStream::connect(&broker).await.expect("the broker");
                let ends = (far.local_addr().expect("an address"), far.peer_addr().expect("an address"));
                let _ = sender.send(ends);
                let mut until_cut = cutting.subscribe();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = until_cut.changed() => {}
                    }
                });
            }
        });
        Self { url, upstreams, cut }
    }

    /// Returns the two addresses of the next connection to the broker.
    async fn upstream(&mut self) -> (SocketAddr, SocketAddr) {
        self.upstreams.recv().await.expect("a connection")
    }

    fn cut(&self) {
        self.cut.send_replace(());
    }
}
