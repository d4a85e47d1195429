//! Operator: virtual hosts, operator policies and reports.

use js_sys::Array;
use wasm_bindgen::prelude::*;

use super::convert::{write_table, write_tables};
use super::options::Fields;
use super::policies::read_policy;
use super::{Server, named_error, type_error};
use crate::embedded::Verb;

#[wasm_bindgen]
impl Server {
    /// Adds a virtual host, unless there is one of this name; returns whether it was added.
    #[wasm_bindgen(js_name = addVirtualHost)]
    pub fn add_virtual_host(&mut self, name: &str) -> bool {
        self.server.add_virtual_host(name)
    }

    /// Deletes a virtual host with everything in it; returns whether it existed. `/` is not deleted.
    #[wasm_bindgen(js_name = deleteVirtualHost)]
    pub fn delete_virtual_host(&mut self, name: &str) -> bool {
        self.server.delete_virtual_host(name)
    }

    /// Returns the names of the virtual hosts, in the order of their creation.
    #[wasm_bindgen(js_name = virtualHosts)]
    pub fn virtual_hosts(&self) -> Vec<String> {
        self.server.virtual_hosts().iter().map(|host| host.name().into()).collect()
    }

    /// Makes the program's further verbs apply to this virtual host.
    #[wasm_bindgen(js_name = useVirtualHost)]
    pub fn use_virtual_host(&mut self, name: &str) -> Result<(), JsValue> {
        let is_there = self.ask(Verb::Enter { virtual_host: name })?.flag();
        is_there.then_some(()).ok_or_else(|| named_error("NotFound", &format!("no vhost '{name}'")))
    }

    /// Sets the limits of a virtual host and the default type of its queues: `maxConnections`, `maxQueues`,
    /// `quorumQueues`.
    #[wasm_bindgen(js_name = limitVirtualHost)]
    pub fn limit_virtual_host(
        &mut self,
        name: &str,
        #[wasm_bindgen(unchecked_param_type = "VirtualHostLimits")] limits: &JsValue,
    ) -> Result<(), JsValue> {
        let limits = Fields(limits);
        let (connections, queues) = (limits.number("maxConnections")?, limits.number("maxQueues")?);
        self.server.limit_virtual_host(name, connections, queues, limits.flag("quorumQueues")?);
        Ok(())
    }

    /// Sets an operator policy, or deletes it if `policy` is undefined.
    #[wasm_bindgen(js_name = setOperatorPolicy)]
    pub fn set_operator_policy(
        &mut self,
        name: &str,
        #[wasm_bindgen(unchecked_param_type = "Policy | undefined")] policy: &JsValue,
    ) -> Result<(), JsValue> {
        let policy = if policy.is_undefined() { None } else { Some(read_policy(policy)?) };
        self.request(Verb::SetOperatorPolicy { name, policy: policy.as_ref() })
    }

    /// Returns the state of the whole server, in numbers.
    #[wasm_bindgen(unchecked_return_type = "Report")]
    pub fn overview(&self) -> JsValue {
        write_table(&self.server.overview())
    }

    /// Lists everything of a kind, in one virtual host or in all, as plain objects. The kinds are `connections`,
    /// `channels`, `consumers`, `queues`, `exchanges`, `bindings`, `policies` and `vhosts`; a queue or an exchange may
    /// be selected by its name.
    #[wasm_bindgen(unchecked_return_type = "Report[]")]
    pub fn list(
        &self,
        #[wasm_bindgen(unchecked_param_type = "Kind")] kind: &str,
        virtual_host: Option<String>,
        name: Option<String>,
    ) -> Result<Array, JsValue> {
        let reports = self.server.list(kind, virtual_host.as_deref(), name.as_deref());
        let reports = reports.ok_or_else(|| type_error(&format!("there is no list of '{kind}'")))?;
        Ok(write_tables(&reports))
    }
}
