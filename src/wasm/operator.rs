//! Operator: virtual hosts, policies, reports, and connections to be closed.

use std::cell::RefCell;

use js_sys::{Array, Function};
use wasm_bindgen::prelude::*;

use super::convert::{write_table, write_tables};
use super::options::Fields;
use super::transport::transport;
use super::{Server, named_error, type_error};
use crate::broker::{ApplyTo, Policy};
use crate::virtual_host::VirtualHost;

thread_local! {
    /// The host's `(pattern, name) => boolean`, for all servers of the thread.
    static MATCHER: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// Takes the option `matches`, if it is given.
pub(super) fn learn_to_match(options: &JsValue) {
    if let Some(matcher) = Fields(options).value("matches").and_then(|matcher| matcher.dyn_into().ok()) {
        MATCHER.set(Some(matcher));
    }
}

pub(super) fn matches(pattern: &str, name: &str) -> bool {
    MATCHER.with_borrow(|matcher| match matcher {
        Some(matcher) => {
            let answer = matcher.call2(&JsValue::NULL, &pattern.into(), &name.into());
            answer.is_ok_and(|is_match| is_match.is_truthy())
        }
        None => pattern == name,
    })
}

fn read_policy(policy: &JsValue) -> Result<Policy, JsValue> {
    let policy = Fields(policy);
    let pattern = policy.text("pattern")?.unwrap_or_default();
    let apply_to = policy.text("applyTo")?.unwrap_or_else(|| "all".into());
    let apply_to = ApplyTo::named(&apply_to).ok_or_else(|| {
        type_error("'applyTo' must be 'all', 'queues', 'classic_queues', 'quorum_queues' or 'exchanges'")
    })?;
    let priority = policy.value("priority").and_then(|priority| priority.as_f64()).unwrap_or_default() as i32;
    Ok(Policy { pattern, apply_to, priority, definition: policy.table("definition")? })
}

#[wasm_bindgen]
impl Server {
    /// Adds a virtual host, unless there is one of this name; returns whether it was added.
    #[wasm_bindgen(js_name = addVirtualHost)]
    pub fn add_virtual_host(&mut self, name: &str) -> bool {
        self.server.virtual_hosts_mut().add(name)
    }

    /// Deletes a virtual host with everything in it; returns whether it existed. `/` is not deleted.
    #[wasm_bindgen(js_name = deleteVirtualHost)]
    pub fn delete_virtual_host(&mut self, name: &str) -> bool {
        let gone = self.server.virtual_hosts().named(name).map(VirtualHost::id);
        let is_deleted = self.server.delete_virtual_host(name);
        if let Some(gone) = gone.filter(|_| is_deleted) {
            self.embedded.leave(gone);
        }
        is_deleted
    }

    /// Returns the names of the virtual hosts, in the order of their creation.
    #[wasm_bindgen(js_name = virtualHosts)]
    pub fn virtual_hosts(&self) -> Vec<String> {
        self.server.virtual_hosts().iter().map(|host| host.name().into()).collect()
    }

    /// Makes the program's further verbs apply to this virtual host.
    #[wasm_bindgen(js_name = useVirtualHost)]
    pub fn use_virtual_host(&mut self, name: &str) -> Result<(), JsValue> {
        let is_there = self.embedded.enter(self.server.virtual_hosts_mut(), name);
        is_there.then_some(()).ok_or_else(|| named_error("NotFound", &format!("no vhost '{name}'")))
    }

    /// Asks a peer to close and gives the reason; returns whether the connection exists.
    #[wasm_bindgen(js_name = closeConnection)]
    pub fn close_connection(&mut self, id: f64, reason: &str) -> bool {
        self.server.close(transport(id), reason)
    }

    /// Sets the limits of a virtual host and the default type of its queues: `maxConnections`, `maxQueues`,
    /// `quorumQueues`.
    #[wasm_bindgen(js_name = limitVirtualHost)]
    pub fn limit_virtual_host(&mut self, name: &str, limits: &JsValue) -> Result<(), JsValue> {
        let limits = Fields(limits);
        let (connections, queues) = (limits.number("maxConnections")?, limits.number("maxQueues")?);
        self.server.virtual_hosts_mut().limit(name, connections, queues, limits.flag("quorumQueues")?);
        Ok(())
    }

    /// Sets a policy in the virtual host in use. `policy`: `pattern`, `applyTo`, `priority`, `definition`.
    #[wasm_bindgen(js_name = setPolicy)]
    pub fn set_policy(&mut self, name: &str, policy: &JsValue) -> Result<(), JsValue> {
        let policy = read_policy(policy)?;
        self.ask(|broker, _| {
            broker.set_matcher(matches);
            broker.set_policy(name, &policy)
        })
    }

    /// Sets an operator policy, or deletes it if `policy` is undefined.
    #[wasm_bindgen(js_name = setOperatorPolicy)]
    pub fn set_operator_policy(&mut self, name: &str, policy: &JsValue) -> Result<(), JsValue> {
        let policy = if policy.is_undefined() { None } else { Some(read_policy(policy)?) };
        self.ask(|broker, _| {
            broker.set_matcher(matches);
            broker.set_operator_policy(name, policy.as_ref())
        })
    }

    /// Deletes a policy in the virtual host in use; returns whether it existed.
    #[wasm_bindgen(js_name = deletePolicy)]
    pub fn delete_policy(&mut self, name: &str) -> Result<bool, JsValue> {
        self.ask(|broker, _| broker.delete_policy(name))
    }

    /// Returns the state of the whole server, in numbers.
    pub fn overview(&self) -> JsValue {
        write_table(&self.server.overview())
    }

    /// Lists everything of a kind, in one virtual host or in all, as plain objects. The kinds are `connections`,
    /// `channels`, `consumers`, `queues`, `exchanges`, `bindings`, `policies` and `vhosts`; a queue or an exchange may
    /// be selected by its name.
    pub fn list(&self, kind: &str, virtual_host: Option<String>, name: Option<String>) -> Result<Array, JsValue> {
        let reports = self.server.list(kind, virtual_host.as_deref(), name.as_deref());
        let reports = reports.ok_or_else(|| type_error(&format!("there is no list of '{kind}'")))?;
        Ok(write_tables(&reports))
    }
}
