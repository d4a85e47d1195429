//! Waker: a worker's clock, and the call of its host when a broker's deadline is reached.
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
use web_sys::{Performance, WorkerGlobalScope};

/// A timer of more than 2^31 ms would fire at once; to wake once a day without need costs nothing.
const SLEEP_MAX_MS: f64 = 86_400_000.0;

/// A clock with at most one time to wake at.
#[wasm_bindgen]
pub struct Waker {
    clock: Performance,
    deadlines: mpsc::UnboundedSender<f64>,
}

#[wasm_bindgen]
impl Waker {
    /// Makes a waker that calls `wake`.
    #[wasm_bindgen(constructor)]
    pub fn new(#[wasm_bindgen(unchecked_param_type = "() => void")] wake: Function) -> Self {
        let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
        let clock = scope.performance().expect_throw("a worker has a clock");
        let (deadlines, set) = mpsc::unbounded();
        spawn_local(run(wake, clock.clone(), set));
        Self { clock, deadlines }
    }

    /// Returns the milliseconds since 1970, by a clock that is never set back.
    pub fn now(&self) -> f64 {
        now_ms(&self.clock)
    }

    /// Calls at this time, in place of the call that was set before.
    #[wasm_bindgen(js_name = wakeAt)]
    pub fn wake_at(&self, deadline_ms: f64) {
        // The task ends only after this waker.
        let _ = self.deadlines.unbounded_send(deadline_ms);
    }
}

async fn run(wake: Function, clock: Performance, mut set: mpsc::UnboundedReceiver<f64>) {
    let mut deadline_ms = f64::INFINITY;
    loop {
        let sleep_ms = (deadline_ms - now_ms(&clock)).ceil().clamp(0.0, SLEEP_MAX_MS);
        match future::select(TimeoutFuture::new(sleep_ms as u32), set.next()).await {
            Either::Left(_) => {
                deadline_ms = f64::INFINITY;
                // The host reports its errors itself.
                let _ = wake.call0(&JsValue::UNDEFINED);
            }
            Either::Right((Some(set_ms), _)) => deadline_ms = set_ms,
            Either::Right((None, _)) => return,
        }
    }
}

fn now_ms(clock: &Performance) -> f64 {
    clock.time_origin() + clock.now()
}
