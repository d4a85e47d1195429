//! Waker: the real timer of a worker, and a server that is called when it is over.
#![cfg(all(target_arch = "wasm32", feature = "tab"))]

mod peer;

use futures::StreamExt;
use futures::channel::mpsc;
use peer::*;
use pocketmq::limits::Limits;
use pocketmq::wasm::waker::Waker;
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

wasm_bindgen_test_configure!(run_in_dedicated_worker);

const HEARTBEAT: u8 = 8;

/// A waker with the calls that it makes.
struct Alarm {
    waker: Waker,
    calls: mpsc::UnboundedReceiver<()>,
    /// The waker calls it.
    _wake: Closure<dyn FnMut()>,
}

impl Alarm {
    fn new() -> Self {
        let (call, calls) = mpsc::unbounded();
        let wake = Closure::<dyn FnMut()>::new(move || call.unbounded_send(()).unwrap());
        Self { waker: Waker::new(wake.as_ref().clone().unchecked_into()), calls, _wake: wake }
    }

    /// Waits for the call after this time, and returns how long that took.
    async fn wake_after(&mut self, ms: f64) -> f64 {
        let from_ms = self.waker.now();
        self.waker.wake_at(from_ms + ms);
        self.calls.next().await.unwrap();
        self.waker.now() - from_ms
    }

    fn was_called(&mut self) -> bool {
        self.calls.try_recv().is_ok()
    }
}

#[wasm_bindgen_test]
async fn it_wakes_when_the_sleep_is_over_and_then_again() {
    let mut alarm = Alarm::new();
    for ms in [30.0, 0.0, 20.0, -5.0] {
        // Clocks and timers are not rounded alike.
        assert!(alarm.wake_after(ms).await >= ms - 2.0);
    }
}

#[wasm_bindgen_test]
async fn a_sleep_replaces_the_rest_of_the_last_one() {
    let (mut early, mut late, mut other) = (Alarm::new(), Alarm::new(), Alarm::new());
    early.waker.wake_at(f64::INFINITY);
    early.wake_after(1.0).await;
    late.waker.wake_at(late.waker.now() + 10.0);
    late.waker.wake_at(f64::INFINITY);
    other.wake_after(50.0).await;
    assert!(!late.was_called(), "the earlier sleep is given up");
}

#[wasm_bindgen_test]
async fn it_does_not_wake_by_itself_and_not_after_its_end() {
    let (mut idle, gone, mut other) = (Alarm::new(), Alarm::new(), Alarm::new());
    gone.waker.wake_at(gone.waker.now() + 10.0);
    let Alarm { waker, mut calls, _wake } = gone;
    drop(waker);
    other.wake_after(50.0).await;
    assert!(!idle.was_called());
    assert!(calls.try_recv().is_err());
}

/// A server that is driven by nothing but its waker.
struct Host {
    client: Client,
    alarm: Alarm,
}

impl Host {
    fn start(heartbeat_s: u16) -> Self {
        let mut client = Client::connect(Limits::default(), true);
        client.send(HEADER);
        client.send(&plain_login(&[]).on(0));
        client.send(&tune_ok(0, 0, heartbeat_s).on(0));
        client.send(&open("/").on(0));
        client.read();
        Self { client, alarm: Alarm::new() }
    }

    /// Takes the turn that is due next, and returns the frames that came of it. However late the waker is, the server's
    /// time is the deadline.
    async fn next_turn(&mut self) -> Vec<Answer> {
        let deadline_ms = self.client.deadline_ms.expect("a heartbeat is due");
        self.alarm.wake_after((deadline_ms - self.client.now_ms) as f64).await;
        self.client.now_ms = deadline_ms;
        self.client.turn();
        self.client.read()
    }
}

#[wasm_bindgen_test]
async fn heartbeats_are_sent_without_any_input() {
    let mut host = Host::start(1);
    loop {
        if host.next_turn().await.iter().any(|frame| frame.kind == HEARTBEAT) {
            return;
        }
    }
}

#[wasm_bindgen_test]
async fn a_silent_peer_is_closed() {
    let mut host = Host::start(1);
    while !host.client.is_closed() {
        host.next_turn().await;
    }
}
