//! Transport: connections, for a host that moves the bytes.

use wasm_bindgen::prelude::*;

use super::Server;
use super::options::Fields;
use crate::id::TransportId;
use crate::protocol::Peer;

fn transport(id: f64) -> TransportId {
    TransportId::from_index(id as u64)
}

#[wasm_bindgen]
impl Server {
    /// Adds a connection for a new transport, and returns its id. `peer`: `loopback`, `name`, `host`, `port`, `tls`,
    /// `certificateName`, `mechanisms`.
    pub fn connect(&mut self, #[wasm_bindgen(unchecked_param_type = "Peer")] peer: &JsValue) -> Result<f64, JsValue> {
        let peer = Fields(peer);
        let peer = Peer {
            loopback: peer.flag("loopback")?,
            name: peer.text("name")?.unwrap_or_default(),
            host: peer.text("host")?.unwrap_or_default(),
            port: peer.number("port")?.unwrap_or_default(),
            tls: peer.flag("tls")?,
            certificate_name: peer.text("certificateName")?,
            mechanisms: peer.text("mechanisms")?,
        };
        Ok(self.server.connect_amqp(peer).index() as f64)
    }

    /// Takes input of a connection.
    pub fn receive(&mut self, id: f64, bytes: &[u8]) {
        self.server.receive(transport(id), bytes);
    }

    /// Removes a connection whose transport is closed, by whichever side.
    pub fn disconnected(&mut self, id: f64) {
        self.server.disconnected(transport(id));
    }

    /// Returns the id of the next connection with something to write or to close; -1 if there is none.
    #[wasm_bindgen(js_name = nextOutput)]
    pub fn next_output(&mut self) -> f64 {
        self.server.next_output().map_or(-1.0, |id| id.index() as f64)
    }

    /// Returns the address of a connection's output. Memory may grow: make the view right before using it.
    #[wasm_bindgen(js_name = outputPointer)]
    pub fn output_pointer(&self, id: f64) -> usize {
        self.server.output(transport(id)).as_ptr() as usize
    }

    /// Returns how many bytes of output a connection has.
    #[wasm_bindgen(js_name = outputLength)]
    pub fn output_length(&self, id: f64) -> usize {
        self.server.output(transport(id)).len()
    }

    /// Removes output that was passed to the transport.
    #[wasm_bindgen(js_name = outputTaken)]
    pub fn output_taken(&mut self, id: f64, bytes: usize) {
        self.server.output_taken(transport(id), bytes);
    }

    /// Returns whether to close the transport once the rest of the output is written.
    #[wasm_bindgen(js_name = isClosed)]
    pub fn is_closed(&self, id: f64) -> bool {
        self.server.is_closed(transport(id))
    }

    /// Returns whether to read from the transport.
    #[wasm_bindgen(js_name = wantsInput)]
    pub fn wants_input(&self, id: f64) -> bool {
        self.server.wants_input(transport(id))
    }

    /// Stops deliveries to a connection while its transport takes no more output, or resumes them.
    #[wasm_bindgen(js_name = setWritable)]
    pub fn set_writable(&mut self, id: f64, is_writable: bool) {
        self.server.set_writable(transport(id), is_writable);
    }

    /// Asks every peer to close; the next turns produce the output.
    pub fn shutdown(&mut self) {
        self.server.shutdown();
    }

    /// Asks a peer to close and gives the reason; returns whether the connection exists.
    #[wasm_bindgen(js_name = closeConnection)]
    pub fn close_connection(&mut self, id: f64, reason: &str) -> bool {
        self.server.close(transport(id), reason)
    }
}
