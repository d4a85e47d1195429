//! Access: the host's object that knows the users.

use wasm_bindgen::prelude::*;

use super::Server;
use crate::access::{Access, Limited, Permission};

#[wasm_bindgen]
extern "C" {
    /// An exception from it counts as a refusal.
    #[wasm_bindgen(typescript_type = "AccessRules")]
    pub type AccessObject;

    #[wasm_bindgen(method, catch, js_name = logIn)]
    fn log_in(this: &AccessObject, user: &str, password: &str, loopback: bool) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = logInByCertificate)]
    fn log_in_by_certificate(this: &AccessObject, name: &str) -> Result<Option<String>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = mayEnter)]
    fn may_enter(this: &AccessObject, user: &str, virtual_host: &str) -> Result<bool, JsValue>;

    #[wasm_bindgen(method, catch, js_name = permitsAll)]
    fn permits_all(this: &AccessObject, user: &str, virtual_host: &str) -> Result<bool, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn permits(this: &AccessObject, user: &str, host: &str, permission: &str, name: &str) -> Result<bool, JsValue>;

    #[wasm_bindgen(method, catch, js_name = mayImpersonate)]
    fn may_impersonate(this: &AccessObject, user: &str) -> Result<bool, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn limit(this: &AccessObject, user: &str, limited: &str) -> Result<Option<f64>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = limitsTopics)]
    fn limits_topics(this: &AccessObject, user: &str, virtual_host: &str) -> Result<bool, JsValue>;

    #[wasm_bindgen(method, catch, js_name = permitsTopic)]
    fn permits_topic(
        this: &AccessObject,
        user: &str,
        host: &str,
        permission: &str,
        exchange: &str,
        key: &str,
    ) -> Result<bool, JsValue>;

    #[wasm_bindgen(method, catch, js_name = updateSecret)]
    fn update_secret(this: &AccessObject, user: &str, secret: &str) -> Result<bool, JsValue>;
}

impl Access for AccessObject {
    fn log_in(&mut self, user: &str, password: &str, loopback: bool) -> Option<Box<str>> {
        Self::log_in(self, user, password, loopback).ok().flatten().map(Box::from)
    }

    fn log_in_by_certificate(&mut self, name: &str) -> Option<Box<str>> {
        Self::log_in_by_certificate(self, name).ok().flatten().map(Box::from)
    }

    fn may_enter(&mut self, user: &str, virtual_host: &str) -> bool {
        Self::may_enter(self, user, virtual_host).unwrap_or(false)
    }

    fn permits_all(&mut self, user: &str, virtual_host: &str) -> bool {
        Self::permits_all(self, user, virtual_host).unwrap_or(false)
    }

    fn permits(&mut self, user: &str, virtual_host: &str, permission: Permission, name: &str) -> bool {
        Self::permits(self, user, virtual_host, word(permission), name).unwrap_or(false)
    }

    fn limit(&mut self, user: &str, limited: Limited) -> Option<usize> {
        let limited = match limited {
            Limited::Connections => "connections",
            Limited::Channels => "channels",
        };
        Self::limit(self, user, limited).ok().flatten().map(|limit| limit as usize)
    }

    fn limits_topics(&mut self, user: &str, virtual_host: &str) -> bool {
        Self::limits_topics(self, user, virtual_host).unwrap_or(true)
    }

    fn permits_topic(&mut self, user: &str, host: &str, permission: Permission, exchange: &str, key: &str) -> bool {
        Self::permits_topic(self, user, host, word(permission), exchange, key).unwrap_or(false)
    }

    fn may_impersonate(&mut self, user: &str) -> bool {
        Self::may_impersonate(self, user).unwrap_or(false)
    }

    fn update_secret(&mut self, user: &str, secret: &str) -> bool {
        Self::update_secret(self, user, secret).unwrap_or(false)
    }
}

fn word(permission: Permission) -> &'static str {
    match permission {
        Permission::Configure => "configure",
        Permission::Write => "write",
        Permission::Read => "read",
    }
}

#[wasm_bindgen]
impl Server {
    /// Sets the object that decides about users and permissions; until then there is only `guest` of this machine. Its
    /// methods must not call the server.
    #[wasm_bindgen(js_name = setAccess)]
    pub fn set_access(&mut self, access: AccessObject) {
        self.server.set_access(Box::new(access));
    }

    /// Makes connections ask for permissions again, as they may have changed.
    #[wasm_bindgen(js_name = accessChanged)]
    pub fn access_changed(&mut self) {
        self.server.access_changed();
    }
}
