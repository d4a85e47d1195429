//! Wasm: the core's interface to JavaScript, and the only code that knows it.
//!
//! One class, `Server`, has everything that a host needs to drive connections (`wasm/transport.rs`) and to operate a
//! server (`wasm/operator.rs`, `wasm/access.rs`), and that a program in the same thread needs to use the broker without
//! a protocol (`wasm/topology.rs`, `wasm/verbs.rs`). A second one, `Waker` (`wasm/waker.rs`), is a worker's timer. Times are
//! milliseconds of one clock of the host; ids and delivery tags are numbers.
//!
//! Everything here only translates: decisions are made in the modules below.

#[cfg(feature = "server")]
mod access;
mod convert;
#[cfg(feature = "tab")]
mod journal;
mod memory;
#[cfg(feature = "lab")]
mod model;
#[cfg(feature = "server")]
mod operator;
mod options;
#[cfg(feature = "lab")]
mod planted;
mod policies;
mod properties;
mod topology;
#[cfg(feature = "tab")]
mod transport;
mod turns;
mod types;
mod verbs;
#[cfg(feature = "tab")]
#[doc(hidden)]
pub mod waker;

use wasm_bindgen::prelude::*;

use crate::broker::{Broker, Config, Error, ErrorKind};
use crate::embedded::Embedded;
use crate::id::ChannelId;
use crate::virtual_host::{DEFAULT, VirtualHost};

/// Virtual hosts with their AMQP connections and the embedded program.
#[wasm_bindgen]
pub struct Server {
    server: crate::server::Server,
    embedded: Embedded,
    /// The contents of the store when it was opened, as a plain object.
    restored: JsValue,
}

impl Server {
    fn create(config: Config, now_ms: f64) -> Self {
        let mut server = crate::server::Server::new(config);
        server.set_now(now_ms as u64);
        let embedded = Embedded::new(server.virtual_hosts_mut());
        Self { server, embedded, restored: JsValue::UNDEFINED }
    }

    /// Calls a verb of the program's current broker, on the program's channel.
    fn ask<T>(&mut self, verb: impl FnOnce(&mut Broker, ChannelId) -> Result<T, Error>) -> Result<T, JsValue> {
        let (broker, channel) = self.embedded.at(self.server.virtual_hosts_mut());
        let answer = verb(broker, channel);
        self.answer(answer)
    }

    /// As [`ask`](Self::ask), after the deliveries that are due.
    fn ask_after_deliveries<T>(
        &mut self,
        verb: impl FnOnce(&mut Broker, ChannelId) -> Result<T, Error>,
    ) -> Result<T, JsValue> {
        self.server.deliver_due(self.embedded.virtual_host(), &mut self.embedded);
        self.ask(verb)
    }

    /// Converts a verb's result; an error names the virtual host in use.
    fn answer<T>(&self, answer: Result<T, Error>) -> Result<T, JsValue> {
        answer.map_err(|error| {
            let virtual_host = self.server.virtual_hosts().get(self.embedded.virtual_host());
            thrown(&error, virtual_host.map_or(DEFAULT, VirtualHost::name))
        })
    }
}

/// Converts an error to JavaScript's `Error`, whose name is the kind.
fn thrown(error: &Error, virtual_host: &str) -> JsValue {
    let name = match error.kind() {
        ErrorKind::NotFound => "NotFound",
        ErrorKind::AccessRefused => "AccessRefused",
        ErrorKind::ResourceLocked => "ResourceLocked",
        ErrorKind::PreconditionFailed => "PreconditionFailed",
        ErrorKind::NotAllowed => "NotAllowed",
        ErrorKind::NotImplemented => "NotImplemented",
        ErrorKind::ResourceError => "MemoryLimit",
        ErrorKind::Internal => "JournalFailed",
    };
    named_error(name, &error.in_virtual_host(virtual_host))
}

fn named_error(name: &str, text: &str) -> JsValue {
    let error = js_sys::Error::new(text);
    error.set_name(name);
    error.into()
}

/// Makes a `TypeError` for a misuse of the interface.
fn type_error(text: &str) -> JsValue {
    js_sys::TypeError::new(text).into()
}
