//! Wasm: the same workload as a wasm export, so that the core's speed can be told from the cost of crossing.

#![cfg(target_arch = "wasm32")]

mod workload;

use wasm_bindgen::prelude::*;
use workload::{Setup, Workload};

/// A broker that messages pass through; the caller has the clock.
#[wasm_bindgen]
pub struct CoreWorkload(Workload);

#[wasm_bindgen]
impl CoreWorkload {
    /// Makes the broker and its consumer.
    #[wasm_bindgen(constructor)]
    pub fn start() -> Self {
        let mut workload = Workload::new(&Setup::default());
        workload.consume();
        Self(workload)
    }

    /// Passes this many messages through, a batch at a time.
    pub fn run(&mut self, count: usize, batch: usize) {
        self.0.run(count, batch);
    }
}
