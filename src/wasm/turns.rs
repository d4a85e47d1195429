//! Turns: making a server, and driving it.

use wasm_bindgen::prelude::*;

use super::options::{limits, seed, stats};
use super::policies::matcher;
use super::types::ServerOptions;
use super::{Server, memory};
use crate::broker::Config;

#[wasm_bindgen]
impl Server {
    /// Makes a server. `options`: `seed` (32 random bytes), `matches` (whether a name matches the pattern of a policy),
    /// and limits.
    #[wasm_bindgen(constructor)]
    pub fn new(options: &ServerOptions, now_ms: f64) -> Result<Self, JsValue> {
        let mut made = Self::create(Config { seed: seed(options)?, limits: limits(options)? }, now_ms);
        matcher(options).into_iter().for_each(|matcher| made.server.set_matcher(matcher));
        Ok(made)
    }

    /// Sets the time and does nothing else: what follows until the next turn counts from it.
    #[wasm_bindgen(js_name = setNow)]
    pub fn set_now(&mut self, now_ms: f64) {
        self.server.set_now(now_ms as u64);
    }

    /// Does what is due, makes deliveries, and returns the next deadline, or infinity. Call it once after a batch of
    /// input.
    pub fn turn(&mut self, now_ms: f64) -> f64 {
        let deadline = self.server.turn(now_ms as u64);
        memory::grow_ahead();
        deadline.map_or(f64::INFINITY, |deadline| deadline as f64)
    }

    /// Returns whether another turn is due once the output is written, as deliveries were held back until then.
    #[wasm_bindgen(js_name = wantsTurn)]
    pub fn wants_turn(&self) -> bool {
        self.server.wants_turn()
    }

    /// Returns the contents of the store when it was opened: `segments`, `bytes`, `cutBytes`, `wasClosed`,
    /// `leadership`, `queues`, `messages`, `orphans`; undefined in memory.
    #[wasm_bindgen(unchecked_return_type = "Restored | undefined")]
    pub fn restored(&self) -> JsValue {
        self.restored.clone()
    }

    /// Returns the state of the server as a plain object.
    #[wasm_bindgen(unchecked_return_type = "Stats")]
    pub fn stats(&self) -> JsValue {
        stats(&self.server)
    }
}
