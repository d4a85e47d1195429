//! Host: moves bytes between a broker and `MessagePort`s, and calls it in time.
//!
//! ```text
//!   port:   bytes in both directions; null: closed; from the client also a number: how many of the bytes it has read
//! ```
//!
//! The number of bytes that wait in a port cannot be known, so the client reports what it has read, and one that is far
//! behind gets no deliveries. One task sleeps until the deadline or until something arrives: there is no other timer.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;

use foldhash::fast::FixedState;
use futures::channel::{mpsc, oneshot};
use futures::{FutureExt, StreamExt, future};
use gloo_timers::future::TimeoutFuture;
use js_sys::{Array, ArrayBuffer, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{MessageEvent, MessagePort, WorkerGlobalScope};

use super::Server;
use super::options::{limits, stats};
use crate::broker::Config;
use crate::id::TransportId;
use crate::protocol::Peer;

/// Bytes that a client may leave unread before deliveries to it wait.
const UNREAD_MAX: f64 = 1_048_576.0;
/// A timer of more than 2^31 ms would fire at once.
const SLEEP_MAX_MS: f64 = 86_400_000.0;

/// A broker in a worker.
#[derive(Clone)]
pub struct Host(Rc<RefCell<Inner>>);

struct Inner {
    scope: WorkerGlobalScope,
    server: Server,
    ports: HashMap<TransportId, Box<Port>, FixedState>,
    wake: mpsc::Sender<()>,
    /// Notified once the last port is closed.
    closed: Vec<oneshot::Sender<()>>,
}

struct Port {
    port: MessagePort,
    unread_bytes: f64,
    /// Called by the port as long as it is open.
    _on_message: Closure<dyn FnMut(MessageEvent)>,
}

impl Host {
    /// Starts a broker; the worker generates its seed.
    pub fn start(options: &JsValue) -> Result<Self, JsValue> {
        let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
        let mut seed = [0; 32];
        scope.crypto()?.get_random_values_with_u8_array(&mut seed)?;
        let server = Server::create(Config { seed, limits: limits(options)? }, now_ms(&scope));
        let (wake, woken) = mpsc::channel(1);
        let inner = Inner { scope, server, ports: HashMap::default(), wake, closed: Vec::new() };
        let host = Self(Rc::new(RefCell::new(inner)));
        spawn_local(host.clone().drive(woken));
        Ok(host)
    }

    /// Calls `turn` whenever something arrived or is due, for as long as the worker lives.
    async fn drive(self, mut woken: mpsc::Receiver<()>) {
        loop {
            let sleep_ms = self.0.borrow_mut().turn();
            future::select(TimeoutFuture::new(sleep_ms), woken.next()).await;
        }
    }

    /// Serves one AMQP connection over a port.
    pub fn connect(&self, port: MessagePort) {
        let mut inner = self.0.borrow_mut();
        inner.tell_time();
        let id = inner.server.server.connect_amqp(Peer { loopback: true, ..Peer::default() });
        let on_message = Closure::new({
            let host = self.clone();
            move |event: MessageEvent| host.0.borrow_mut().receive(id, &event.data())
        });
        port.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        inner.ports.insert(id, Box::new(Port { port, unread_bytes: 0.0, _on_message: on_message }));
        inner.wake();
    }

    /// Returns the state of the server as a plain object.
    pub(super) fn stats(&self) -> JsValue {
        stats(&mut self.0.borrow_mut().server.server)
    }

    /// Asks every peer to close, and resolves when the last one has closed.
    pub fn shutdown(&self) -> impl Future<Output = ()> + use<> {
        let (closed, last_closed) = oneshot::channel();
        let mut inner = self.0.borrow_mut();
        inner.closed.push(closed);
        inner.server.shutdown();
        inner.wake();
        last_closed.map(|_| ())
    }
}

impl Inner {
    fn receive(&mut self, id: TransportId, data: &JsValue) {
        let Some(port) = self.ports.get_mut(&id) else { return };
        if let Some(read_bytes) = data.as_f64().filter(|&bytes| bytes >= 0.0) {
            port.unread_bytes = (port.unread_bytes - read_bytes).max(0.0);
            self.server.server.set_writable(id, port.unread_bytes <= UNREAD_MAX);
        } else if data.is_instance_of::<Uint8Array>() || data.is_instance_of::<ArrayBuffer>() {
            self.tell_time();
            self.server.server.receive(id, &Uint8Array::new(data).to_vec());
        } else {
            // It is closed, or the message is not one of a client's.
            self.close(id);
        }
        self.wake();
    }

    /// Does what is due, and returns for how long there is nothing to do.
    fn turn(&mut self) -> u32 {
        let now = now_ms(&self.scope);
        let deadline = self.server.turn(now);
        while let Some(id) = self.server.server.next_output() {
            self.write(id);
        }
        if self.ports.is_empty() {
            for closed in self.closed.drain(..) {
                // The receiver may be gone meanwhile.
                let _ = closed.send(());
            }
        }
        if self.server.wants_turn() { 0 } else { (deadline - now).ceil().clamp(0.0, SLEEP_MAX_MS) as u32 }
    }

    fn write(&mut self, id: TransportId) {
        let server = &mut self.server.server;
        let bytes = Uint8Array::from(server.output(id));
        // Once it is transferred, the array has no length any more.
        let length = bytes.length();
        if let Some(port) = self.ports.get_mut(&id).filter(|_| length > 0) {
            let transferred = Array::of1(&bytes.buffer());
            port.port.post_message_with_transferable(&bytes, &transferred).expect("bytes can be posted");
            port.unread_bytes += f64::from(length);
            server.output_taken(id, length as usize);
            server.set_writable(id, port.unread_bytes <= UNREAD_MAX);
        }
        if server.is_closed(id) && server.output(id).is_empty() {
            self.close(id);
        }
    }

    fn close(&mut self, id: TransportId) {
        self.server.server.disconnected(id);
        let Some(port) = self.ports.remove(&id) else { return };
        port.port.set_onmessage(None);
        port.port.post_message(&JsValue::NULL).expect("null can be posted");
        port.port.close();
        // Its closure may be running right now: it is dropped when nothing runs.
        spawn_local(async move { drop(port) });
    }

    fn tell_time(&mut self) {
        self.server.set_now(now_ms(&self.scope));
    }

    fn wake(&mut self) {
        // A full channel means that the task is awake already.
        let _ = self.wake.try_send(());
    }
}

/// Milliseconds since 1970, by a clock that is never set back.
fn now_ms(scope: &WorkerGlobalScope) -> f64 {
    let clock = scope.performance().expect("a worker has a clock");
    clock.time_origin() + clock.now()
}
