//! Topology: exchanges, queues and bindings, for a program in the same thread.

use wasm_bindgen::prelude::*;

use super::Server;
use super::convert::{table, write_table};
use super::options::Fields;
use super::types::{ExchangeOptions, PlainTable, QueueOptions};
use crate::broker::{ARGUMENT_TYPES, Binding, ExchangeDeclaration, QueueDeclaration};
use crate::embedded::Verb;
use crate::table::Table;

#[wasm_bindgen(typescript_custom_section)]
const ARGUMENTS: &str = ARGUMENT_TYPES;

#[wasm_bindgen]
impl Server {
    /// Declares an exchange. `options`: `passive`, `durable`, `autoDelete`, `internal`, `arguments`.
    #[wasm_bindgen(js_name = declareExchange)]
    pub fn declare_exchange(&mut self, name: &str, kind: &str, options: &ExchangeOptions) -> Result<(), JsValue> {
        let options = Fields(options);
        let declaration = ExchangeDeclaration {
            name,
            kind,
            passive: options.flag("passive")?,
            durable: options.flag("durable")?,
            auto_delete: options.flag("autoDelete")?,
            internal: options.flag("internal")?,
            arguments: &options.table("arguments")?,
        };
        self.request(Verb::DeclareExchange(declaration))
    }

    /// Deletes an exchange with its bindings.
    #[wasm_bindgen(js_name = deleteExchange)]
    pub fn delete_exchange(&mut self, name: &str, if_unused: bool) -> Result<(), JsValue> {
        self.request(Verb::DeleteExchange { name, if_unused })
    }

    /// Binds a queue to an exchange.
    #[wasm_bindgen(js_name = bindQueue)]
    pub fn bind_queue(
        &mut self,
        queue: &str,
        exchange: &str,
        key: &str,
        arguments: &PlainTable,
    ) -> Result<(), JsValue> {
        let arguments = &table(arguments)?;
        self.request(Verb::BindQueue(Binding { source: exchange, destination: queue, routing_key: key, arguments }))
    }

    /// Removes a queue's binding.
    #[wasm_bindgen(js_name = unbindQueue)]
    pub fn unbind_queue(
        &mut self,
        queue: &str,
        exchange: &str,
        key: &str,
        arguments: &PlainTable,
    ) -> Result<(), JsValue> {
        let arguments = &table(arguments)?;
        self.request(Verb::UnbindQueue(Binding { source: exchange, destination: queue, routing_key: key, arguments }))
    }

    /// Binds the exchange `to` to the exchange `from`.
    #[wasm_bindgen(js_name = bindExchange)]
    pub fn bind_exchange(&mut self, to: &str, from: &str, key: &str, arguments: &PlainTable) -> Result<(), JsValue> {
        let arguments = &table(arguments)?;
        self.request(Verb::BindExchange(Binding { source: from, destination: to, routing_key: key, arguments }))
    }

    /// Removes the binding of the exchange `to` to the exchange `from`.
    #[wasm_bindgen(js_name = unbindExchange)]
    pub fn unbind_exchange(&mut self, to: &str, from: &str, key: &str, arguments: &PlainTable) -> Result<(), JsValue> {
        let arguments = &table(arguments)?;
        self.request(Verb::UnbindExchange(Binding { source: from, destination: to, routing_key: key, arguments }))
    }

    /// Declares a queue. `options`: `passive`, `durable`, `exclusive`, `autoDelete`, `arguments`, and `anyName` for a
    /// queue that another broker has named. Returns `queue`, `messageCount` and `consumerCount`.
    #[wasm_bindgen(js_name = declareQueue, unchecked_return_type = "QueueStatus")]
    pub fn declare_queue(&mut self, name: &str, options: &QueueOptions) -> Result<JsValue, JsValue> {
        let options = Fields(options);
        let declaration = QueueDeclaration {
            name,
            passive: options.flag("passive")?,
            durable: options.flag("durable")?,
            exclusive: options.flag("exclusive")?,
            auto_delete: options.flag("autoDelete")?,
            arguments: &options.table("arguments")?,
        };
        let is_named = options.flag("anyName")?;
        let verb = if is_named { Verb::DeclareNamed(declaration) } else { Verb::DeclareQueue(declaration) };
        let status = self.ask(verb)?.queue();
        let mut answer = Table::new();
        answer.insert("queue", &*status.name);
        answer.insert("messageCount", status.message_count as i64);
        answer.insert("consumerCount", status.consumer_count as i64);
        Ok(write_table(&answer))
    }

    /// Removes all ready messages from a queue and returns how many there were.
    #[wasm_bindgen(js_name = purgeQueue)]
    pub fn purge_queue(&mut self, name: &str) -> Result<usize, JsValue> {
        self.count(Verb::PurgeQueue { name })
    }

    /// Deletes a queue and returns how many messages were ready.
    #[wasm_bindgen(js_name = deleteQueue)]
    pub fn delete_queue(&mut self, name: &str, if_unused: bool, if_empty: bool) -> Result<usize, JsValue> {
        self.count(Verb::DeleteQueue { name, if_unused, if_empty })
    }
}
