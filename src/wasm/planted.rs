//! Planted: a panic that tests can cause, in the lab only.

use wasm_bindgen::prelude::*;

use super::Server;
use crate::broker::Record;
use crate::virtual_host::DEFAULT;

#[wasm_bindgen]
impl Server {
    /// Panics in the middle of publishing by this routing key in the virtual host `/`.
    #[wasm_bindgen(js_name = panicOn)]
    pub fn panic_on(&mut self, routing_key: String) {
        let hosts = self.server.virtual_hosts_mut();
        let first = hosts.named(DEFAULT).map(|host| host.id());
        let Some(broker) = first.and_then(|id| hosts.broker_mut(id)) else { return };
        broker.observe(move |record| {
            if let Record::Published { message, .. } = record {
                assert!(message.routing_key() != routing_key, "a planted panic");
            }
        });
    }
}
