//! Planted: a panic that tests can cause, in the lab only.

use wasm_bindgen::prelude::*;

use super::Server;
use crate::broker::Record;

#[wasm_bindgen]
impl Server {
    /// Panics in the middle of publishing by this routing key in the virtual host `/`.
    #[wasm_bindgen(js_name = panicOn)]
    pub fn panic_on(&mut self, routing_key: String) {
        self.server.observe(move |record| {
            if let Record::Published { message, .. } = record {
                assert!(message.routing_key() != routing_key, "a planted panic");
            }
        });
    }
}
