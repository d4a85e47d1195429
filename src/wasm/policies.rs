//! Policies: arguments for all queues and exchanges whose names match a pattern, which the host matches.

use js_sys::{Array, Function};
use wasm_bindgen::prelude::*;

use super::options::Fields;
use super::types::PolicyOptions;
use super::{Server, type_error};
use crate::broker::{ApplyTo, Matcher, Policy};
use crate::embedded::{Answer, Verb};

/// Makes a matcher of the option `matches`, `(pattern, name) => boolean`, if it is given.
pub(super) fn matcher(options: &JsValue) -> Option<Matcher> {
    let matches: Function = Fields(options).value("matches")?.dyn_into().ok()?;
    Some(Matcher::new(move |pattern, name| {
        let answer = matches.call2(&JsValue::NULL, &pattern.into(), &name.into());
        answer.is_ok_and(|is_match| is_match.is_truthy())
    }))
}

pub(super) fn read_policy(policy: &JsValue) -> Result<Policy, JsValue> {
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
    /// Sets a policy in the virtual host in use. `policy`: `pattern`, `applyTo`, `priority`, `definition`.
    #[wasm_bindgen(js_name = setPolicy)]
    pub fn set_policy(&mut self, name: &str, policy: &PolicyOptions) -> Result<(), JsValue> {
        let policy = read_policy(policy)?;
        self.request(Verb::SetPolicy { name, policy: &policy })
    }

    /// Deletes a policy in the virtual host in use; returns whether it existed.
    #[wasm_bindgen(js_name = deletePolicy)]
    pub fn delete_policy(&mut self, name: &str) -> Result<bool, JsValue> {
        self.ask(Verb::DeletePolicy { name }).map(Answer::flag)
    }

    /// Returns the names of the queues and exchanges of a virtual host, to which its policies apply.
    #[wasm_bindgen(js_name = policyTargets, unchecked_return_type = "string[]")]
    pub fn policy_targets(&self, virtual_host: &str) -> Array {
        let host = self.server.virtual_hosts().named(virtual_host);
        host.iter().flat_map(|host| host.broker().policy_targets()).map(JsValue::from).collect()
    }
}
