//! Operator: virtual hosts, and connections to be closed.

use wasm_bindgen::prelude::*;

use super::transport::transport;
use super::{Server, named_error};
use crate::virtual_host::VirtualHost;

#[wasm_bindgen]
impl Server {
    /// Makes a virtual host, unless there is one of this name; whether it was made.
    #[wasm_bindgen(js_name = addVirtualHost)]
    pub fn add_virtual_host(&mut self, name: &str) -> bool {
        self.server.virtual_hosts_mut().add(name)
    }

    /// Deletes a virtual host with all that is in it; whether there was one. `/` stays.
    #[wasm_bindgen(js_name = deleteVirtualHost)]
    pub fn delete_virtual_host(&mut self, name: &str) -> bool {
        let gone = self.server.virtual_hosts().named(name).map(VirtualHost::id);
        let is_deleted = self.server.delete_virtual_host(name);
        if let Some(gone) = gone.filter(|_| is_deleted) {
            self.embedded.leave(gone);
        }
        is_deleted
    }

    /// The names of the virtual hosts, in the order in which they were made.
    #[wasm_bindgen(js_name = virtualHosts)]
    pub fn virtual_hosts(&self) -> Vec<String> {
        self.server.virtual_hosts().iter().map(|host| host.name().into()).collect()
    }

    /// Has the program's verbs act in this virtual host from now on.
    #[wasm_bindgen(js_name = useVirtualHost)]
    pub fn use_virtual_host(&mut self, name: &str) -> Result<(), JsValue> {
        let is_there = self.embedded.enter(self.server.virtual_hosts_mut(), name);
        is_there.then_some(()).ok_or_else(|| named_error("NotFound", &format!("no vhost '{name}'")))
    }

    /// Asks a peer to close and tells it why; whether there is such a connection.
    #[wasm_bindgen(js_name = closeConnection)]
    pub fn close_connection(&mut self, id: f64, reason: &str) -> bool {
        self.server.close(transport(id), reason)
    }
}
