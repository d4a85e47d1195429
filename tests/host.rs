//! Host: the broker in a worker with its real ports and its real timer; the test is the client's end of each port.
#![cfg(all(target_arch = "wasm32", feature = "tab"))]

mod peer;

use futures::StreamExt;
use futures::channel::mpsc;
use js_sys::Uint8Array;
use peer::*;
use pocketmq::wasm::host::Host;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};
use web_sys::{MessageChannel, MessageEvent, MessagePort};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

const HEARTBEAT: u8 = 8;
const BODY: u8 = 3;
const PASSIVE: u8 = 1;
const EXCLUSIVE: u8 = 4;

const OPEN_OK: (u16, u16) = (10, 41);
const CLOSE_CONNECTION: (u16, u16) = (10, 50);
const CLOSE_CONNECTION_OK: (u16, u16) = (10, 51);
const OPEN_CHANNEL_OK: (u16, u16) = (20, 11);
const CLOSE_CHANNEL: (u16, u16) = (20, 40);
const DECLARE_OK: (u16, u16) = (50, 11);
const CONSUME_OK: (u16, u16) = (60, 21);
const DELIVER: (u16, u16) = (60, 60);
const CONFIRM: (u16, u16) = (60, 80);
const SELECT_OK: (u16, u16) = (85, 11);

fn host() -> Host {
    Host::start(&JsValue::UNDEFINED).unwrap()
}

/// The client's end of a port.
struct Wire {
    port: MessagePort,
    arrived: mpsc::UnboundedReceiver<JsValue>,
    unread: Vec<Answer>,
    /// Called by the port.
    _on_message: Closure<dyn FnMut(MessageEvent)>,
}

impl Wire {
    fn connect(host: &Host) -> Self {
        let channel = MessageChannel::new().unwrap();
        let (arrive, arrived) = mpsc::unbounded();
        let on_message = Closure::new(move |event: MessageEvent| {
            // After the test has stopped reading, messages are dropped.
            let _ = arrive.unbounded_send(event.data());
        });
        channel.port2().set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        host.connect(channel.port1());
        Self { port: channel.port2(), arrived, unread: Vec::new(), _on_message: on_message }
    }

    /// Opens a connection, and channel 1.
    async fn ready(host: &Host, heartbeat_s: u16) -> Self {
        let mut wire = Self::connect(host);
        wire.send(HEADER);
        wire.until((10, 10)).await;
        wire.send(&plain_login(&[]).on(0));
        wire.until((10, 30)).await;
        wire.send(&tune_ok(0, 0, heartbeat_s).on(0));
        wire.ask(&open("/").on(0), OPEN_OK).await;
        wire.ask(&open_channel().on(1), OPEN_CHANNEL_OK).await;
        wire
    }

    fn post(&self, message: &JsValue) {
        self.port.post_message(message).unwrap();
    }

    fn send(&self, bytes: &[u8]) {
        self.post(&Uint8Array::from(bytes));
    }

    /// Returns the next message of the port: bytes, or nothing when it was closed.
    async fn arrival(&mut self) -> Option<Vec<u8>> {
        let data = self.arrived.next().await.unwrap();
        (!data.is_null()).then(|| data.dyn_into::<Uint8Array>().unwrap().to_vec())
    }

    /// Returns the next frame.
    async fn answer(&mut self) -> Answer {
        if self.unread.is_empty() {
            self.unread = answers(&self.arrival().await.expect("it is still open"));
        }
        self.unread.remove(0)
    }

    /// Returns the first frame of this method, and skips those before it.
    async fn until(&mut self, id: (u16, u16)) -> Answer {
        loop {
            let answer = self.answer().await;
            if answer.id() == id {
                return answer;
            }
        }
    }

    async fn ask(&mut self, bytes: &[u8], id: (u16, u16)) -> Answer {
        self.send(bytes);
        self.until(id).await
    }

    /// Returns how many messages of a queue are ready.
    async fn ready_in(&mut self, queue: &str) -> u32 {
        let declared = self.ask(&declare_queue(queue, PASSIVE).on(1), DECLARE_OK).await;
        let counts = 5 + declared.text_at(4).len();
        u32::from_be_bytes(declared.payload[counts..counts + 4].try_into().unwrap())
    }

    async fn closed(&mut self) {
        assert_eq!(self.unread, []);
        assert_eq!(self.arrival().await, None);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.port.set_onmessage(None);
        self.post(&JsValue::NULL);
        self.port.close();
    }
}

#[wasm_bindgen_test]
async fn a_message_passes_from_a_port_to_a_port() {
    let host = host();
    let mut publisher = Wire::ready(&host, 0).await;
    publisher.ask(&declare_queue("q", 0).on(1), DECLARE_OK).await;
    publisher.ask(&select_confirms().on(1), SELECT_OK).await;
    let confirm = publisher.ask(&publish(1, "q", b"hello"), CONFIRM).await;
    assert_eq!(confirm.longlong_at(4), 1);

    let mut consumer = Wire::ready(&host, 0).await;
    consumer.ask(&consume("q", "c", 0).on(1), CONSUME_OK).await;
    let delivery = consumer.until(DELIVER).await;
    assert_eq!(delivery.text_at(4), "c");
    let _header = consumer.answer().await;
    assert_eq!(consumer.answer().await.payload, b"hello");

    consumer.send(&ack(1, false).on(1));
    consumer.ask(&close_connection().on(0), CLOSE_CONNECTION_OK).await;
    consumer.closed().await;
    assert_eq!(publisher.ready_in("q").await, 0, "an acked message does not come back");
}

#[wasm_bindgen_test]
async fn bytes_may_come_in_any_pieces_and_as_an_array_buffer() {
    let mut wire = Wire::connect(&host());
    for half in HEADER.chunks(4) {
        wire.post(&Uint8Array::from(half).buffer());
    }
    assert_eq!(wire.answer().await.id(), (10, 10));
}

#[wasm_bindgen_test]
async fn the_waker_sends_heartbeats_without_any_input() {
    let mut wire = Wire::ready(&host(), 1).await;
    assert_eq!(wire.answer().await.kind, HEARTBEAT);
}

#[wasm_bindgen_test]
async fn the_waker_gives_up_a_silent_peer() {
    let mut wire = Wire::ready(&host(), 1).await;
    while wire.arrival().await.is_some() {}
}

#[wasm_bindgen_test]
async fn null_closes() {
    let host = host();
    let mut wire = Wire::ready(&host, 0).await;
    wire.ask(&declare_queue("mine", EXCLUSIVE).on(1), DECLARE_OK).await;
    wire.post(&JsValue::NULL);
    wire.closed().await;

    let mut other = Wire::ready(&host, 0).await;
    let refusal = other.ask(&declare_queue("mine", PASSIVE).on(1), CLOSE_CHANNEL).await;
    assert_eq!(refusal.refusal().0, 404, "an exclusive queue is deleted with its connection");
}

#[wasm_bindgen_test]
async fn shutdown_resolves_when_the_last_peer_has_gone() {
    let host = host();
    let mut wires = [Wire::ready(&host, 0).await, Wire::ready(&host, 0).await];
    let shutdown = host.shutdown();
    for wire in &mut wires {
        let close = wire.until(CLOSE_CONNECTION).await;
        assert_eq!(close.refusal().0, 320);
        wire.send(&close_connection_ok().on(0));
        wire.closed().await;
    }
    shutdown.await;
}

#[wasm_bindgen_test]
async fn a_client_that_does_not_read_gets_no_more_than_the_limit() {
    const UNREAD_MAX: usize = 1 << 20;
    const BODY_BYTES: usize = 64 << 10;
    const MESSAGES: usize = 40;
    let host = host();
    let mut publisher = Wire::ready(&host, 0).await;
    publisher.ask(&declare_queue("q", 0).on(1), DECLARE_OK).await;
    for _ in 0..MESSAGES {
        publisher.send(&publish_in_parts(1, "q", 0, &[7; BODY_BYTES], BODY_BYTES));
    }
    assert_eq!(publisher.ready_in("q").await, MESSAGES as u32);

    let mut consumer = Wire::ready(&host, 0).await;
    consumer.send(&consume("q", "c", 0).on(1));
    let mut delivered = 0;
    while delivered < UNREAD_MAX / BODY_BYTES {
        delivered += usize::from(consumer.answer().await.kind == BODY);
    }
    // Each reply takes a turn of the server, in which it could deliver more.
    for _ in 0..10 {
        assert_eq!(publisher.ready_in("q").await as usize, MESSAGES - delivered);
    }
    consumer.post(&JsValue::from_f64((delivered * BODY_BYTES) as f64));
    while delivered < MESSAGES {
        let is_body = consumer.answer().await.kind == BODY;
        delivered += usize::from(is_body);
        if is_body {
            consumer.post(&JsValue::from_f64(BODY_BYTES as f64));
        }
    }
    assert_eq!(publisher.ready_in("q").await, 0);
}
