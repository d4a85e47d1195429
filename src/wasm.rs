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

use crate::broker::{Config, Error, ErrorKind};
use crate::embedded::{Answer, Verb};
use crate::virtual_host::{DEFAULT, VirtualHost};

/// Virtual hosts with their AMQP connections and the embedded program.
#[wasm_bindgen]
pub struct Server {
    server: crate::server::Server,
    /// The contents of the store when it was opened, as a plain object.
    restored: JsValue,
}

impl Server {
    fn create(config: Config, now_ms: f64) -> Self {
        let mut server = crate::server::Server::new(config);
        server.set_now(now_ms as u64);
        Self::of(server, JsValue::UNDEFINED)
    }

    /// Opens the program's channel in `/`.
    fn of(mut server: crate::server::Server, restored: JsValue) -> Self {
        // There is always `/`.
        _ = server.verb(Verb::Enter { virtual_host: DEFAULT });
        Self { server, restored }
    }

    /// Does what a verb requests; an error names the virtual host in use.
    fn ask(&mut self, verb: Verb<'_>) -> Result<Answer, JsValue> {
        self.server.verb(verb).map_err(|error| {
            let id = self.server.embedded().virtual_host();
            let virtual_host = id.and_then(|id| self.server.virtual_hosts().get(id));
            thrown(&error, virtual_host.map_or(DEFAULT, VirtualHost::name))
        })
    }

    /// Does what a verb requests that returns nothing.
    fn request(&mut self, verb: Verb<'_>) -> Result<(), JsValue> {
        self.ask(verb).map(drop)
    }

    /// Does what a verb requests that returns a number.
    fn count(&mut self, verb: Verb<'_>) -> Result<usize, JsValue> {
        self.ask(verb).map(|answer| answer.count() as usize)
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
