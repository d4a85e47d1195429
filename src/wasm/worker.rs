//! Worker: a dedicated worker as the host of a broker, controlled by messages of its page.
//!
//! ```text
//!   page ── { type: "connect", port } ──> worker            one AMQP connection over that port
//!   page ── { type: "stats", id } ──> worker ── { type: "stats", id, stats } ──> page
//!   page ── { type: "shutdown" } ──> worker ── { type: "closed" } ──> page     once the last connection is gone
//! ```

use js_sys::{Object, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use super::host::Host;

/// Hosts a broker in this dedicated worker, from now on.
///
/// `options` are those of `new Server`, without `seed`, which the worker generates.
#[wasm_bindgen(js_name = startWorker)]
pub fn start_worker(options: &JsValue) -> Result<(), JsValue> {
    let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
    let host = Host::start(options)?;
    let commands = Closure::<dyn FnMut(MessageEvent)>::new({
        let scope = scope.clone();
        move |event: MessageEvent| obey(&scope, &host, &event.data())
    });
    scope.set_onmessage(Some(commands.as_ref().unchecked_ref()));
    // The scope calls it for as long as the worker lives.
    commands.forget();
    scope.post_message(&message("ready", &[]))
}

/// Handles a message of the page; unknown ones are ignored.
fn obey(scope: &DedicatedWorkerGlobalScope, host: &Host, command: &JsValue) {
    let field = |name: &str| Reflect::get(command, &name.into()).unwrap_or(JsValue::UNDEFINED);
    match field("type").as_string().as_deref() {
        Some("connect") => {
            if let Ok(port) = field("port").dyn_into() {
                host.connect(port);
            }
        }
        Some("stats") => post(scope, &message("stats", &[("id", &field("id")), ("stats", &host.stats())])),
        Some("shutdown") => {
            let (scope, closed) = (scope.clone(), host.shutdown());
            spawn_local(async move {
                closed.await;
                post(&scope, &message("closed", &[]));
            });
        }
        _ => {}
    }
}

fn post(scope: &DedicatedWorkerGlobalScope, message: &JsValue) {
    scope.post_message(message).expect("plain objects can be posted");
}

fn message(kind: &str, fields: &[(&str, &JsValue)]) -> JsValue {
    let message = Object::new();
    for (name, value) in [("type", &kind.into())].iter().chain(fields) {
        Reflect::set(&message, &(*name).into(), value).expect("a new object takes any entry");
    }
    message.into()
}
