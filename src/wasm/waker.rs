//! Waker: calls a worker's host when a broker's deadline is reached.
//!
//! One task sleeps until the deadline, or until it gets another one: a worker has no other timer. It has an instance of the
//! wasm for itself, so that a panic of the broker does not end it.

use futures::channel::mpsc;
use futures::future::{self, Either};
use futures::stream::StreamExt;
use gloo_timers::future::TimeoutFuture;
use js_sys::Function;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

/// A timer of more than 2^31 ms would fire at once; to wake once a day without need costs nothing.
const SLEEP_MAX_MS: f64 = 86_400_000.0;

/// A timer with at most one time to wake at.
#[wasm_bindgen]
pub struct Waker {
    sleeps: mpsc::UnboundedSender<f64>,
}

#[wasm_bindgen]
impl Waker {
    /// Makes a waker that calls `wake`.
    #[wasm_bindgen(constructor)]
    pub fn new(#[wasm_bindgen(unchecked_param_type = "() => void")] wake: Function) -> Self {
        let (sleeps, set) = mpsc::unbounded();
        spawn_local(run(wake, set));
        Self { sleeps }
    }

    /// Calls after this time, in place of the call that was set before.
    #[wasm_bindgen(js_name = wakeAfter)]
    pub fn wake_after(&self, ms: f64) {
        // The task ends only after this waker.
        let _ = self.sleeps.unbounded_send(ms);
    }
}

async fn run(wake: Function, mut set: mpsc::UnboundedReceiver<f64>) {
    let mut sleep_ms = SLEEP_MAX_MS;
    loop {
        let over = TimeoutFuture::new(sleep_ms as u32);
        match future::select(over, set.next()).await {
            Either::Left(_) => {
                sleep_ms = SLEEP_MAX_MS;
                // The host reports its errors itself.
                let _ = wake.call0(&JsValue::UNDEFINED);
            }
            Either::Right((Some(ms), _)) => sleep_ms = ms.ceil().clamp(0.0, SLEEP_MAX_MS),
            Either::Right((None, _)) => return,
        }
    }
}
