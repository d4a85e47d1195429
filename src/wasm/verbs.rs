//! Verbs: messages and consumers, for a program in the same thread, without a protocol.

use js_sys::Float64Array;
use wasm_bindgen::prelude::*;

use super::options::Fields;
use super::properties::{read_properties, write_properties};
use super::types::{ConsumeOptions, PlainProperties};
use super::{Server, type_error};
use crate::broker::Consume;
use crate::embedded::{Answer, Verb};
use crate::properties::Properties;

#[wasm_bindgen]
impl Server {
    /// Publishes a message and returns how many queues took it. `properties` are AMQP's bytes, or empty.
    pub fn publish(&mut self, exchange: &str, key: &str, properties: &[u8], body: &[u8]) -> Result<usize, JsValue> {
        self.count(Verb::Publish { exchange, routing_key: key, properties, body })
    }

    /// Publishes packed messages, all or none, and returns the sum of the numbers of queues that took each.
    #[wasm_bindgen(js_name = publishBatch)]
    pub fn publish_batch(&mut self, exchange: &str, key: &str, packed: &[u8]) -> Result<usize, JsValue> {
        self.count(Verb::PublishBatch { exchange, routing_key: key, packed })
    }

    /// Takes up to `max` ready messages into the batch and returns how many. A visibility timeout of 0 is unlimited.
    pub fn get(&mut self, queue: &str, max: u32, no_ack: bool, visibility_timeout_ms: f64) -> Result<usize, JsValue> {
        let visibility_timeout_ms = visibility_timeout_ms as u64;
        self.count(Verb::Get { queue, max, no_ack, visibility_timeout_ms })
    }

    /// Starts a consumer and returns its tag. `options`: `noAck`, `exclusive`, `prefetch`, `arguments`.
    pub fn consume(&mut self, queue: &str, consumer_tag: &str, options: &ConsumeOptions) -> Result<String, JsValue> {
        let options = Fields(options);
        let consume = Consume {
            queue,
            consumer_tag,
            no_ack: options.flag("noAck")?,
            exclusive: options.flag("exclusive")?,
            arguments: &options.table("arguments")?,
        };
        let prefetch = options.number("prefetch")?.unwrap_or(0);
        self.ask(Verb::Consume { consume, prefetch }).map(|answer| answer.tag().into())
    }

    /// Cancels a consumer.
    pub fn cancel(&mut self, consumer_tag: &str) {
        _ = self.server.verb(Verb::Cancel { consumer_tag });
    }

    /// Acks a delivery, or with `multiple` all up to it.
    pub fn ack(&mut self, delivery_tag: f64, multiple: bool) -> Result<(), JsValue> {
        self.request(Verb::Ack { delivery_tag: delivery_tag as u64, multiple })
    }

    /// Rejects a delivery, or with `multiple` all up to it.
    pub fn nack(&mut self, delivery_tag: f64, multiple: bool, requeue: bool) -> Result<(), JsValue> {
        self.request(Verb::Nack { delivery_tag: delivery_tag as u64, multiple, requeue })
    }

    /// Rejects a delivery; its message is ready again after `delay_ms`.
    #[wasm_bindgen(js_name = nackAfter)]
    pub fn nack_after(&mut self, delivery_tag: f64, delay_ms: f64) -> Result<(), JsValue> {
        self.request(Verb::NackAfter { delivery_tag: delivery_tag as u64, delay_ms: delay_ms as u64 })
    }

    /// Returns how many messages `takeRefused` would return.
    pub fn refused(&self) -> u32 {
        self.server.embedded().refused()
    }

    /// Returns how many messages full queues have refused since the last call.
    #[wasm_bindgen(js_name = takeRefused)]
    pub fn take_refused(&mut self) -> usize {
        self.server.verb(Verb::TakeRefused).map_or(0, Answer::count) as usize
    }

    /// Acks these deliveries as far as possible, and throws for the first one that it cannot ack.
    #[wasm_bindgen(js_name = ackBatch)]
    pub fn ack_batch(&mut self, delivery_tags: &Float64Array) -> Result<(), JsValue> {
        self.request(Verb::AckBatch { delivery_tags: &delivery_tags.to_vec() })
    }

    /// Returns the address of the batch of deliveries.
    #[wasm_bindgen(js_name = batchPointer)]
    pub fn batch_pointer(&self) -> usize {
        self.server.embedded().batch().as_ptr() as usize
    }

    /// Returns how many bytes the batch of deliveries has.
    #[wasm_bindgen(js_name = batchLength)]
    pub fn batch_length(&self) -> usize {
        self.server.embedded().batch().len()
    }

    /// Clears the batch after it was read.
    #[wasm_bindgen(js_name = batchTaken)]
    pub fn batch_taken(&mut self) {
        _ = self.server.verb(Verb::ClearBatch);
    }

    /// Returns the handles of consumers whose queues were deleted since the last call.
    #[wasm_bindgen(js_name = takeCancelled)]
    pub fn take_cancelled(&mut self) -> Vec<u32> {
        self.server.verb(Verb::TakeCancelled).map_or_else(|_| Vec::new(), Answer::handles)
    }

    /// Converts a plain object's properties to AMQP's bytes.
    #[wasm_bindgen(js_name = encodeProperties)]
    pub fn encode_properties(properties: &PlainProperties) -> Result<Vec<u8>, JsValue> {
        let values = read_properties(properties)?;
        let mut encoded = Vec::new();
        values.encode(&mut encoded).map_err(|malformed| type_error(&format!("bad properties: {malformed}")))?;
        Ok(encoded)
    }

    /// Converts AMQP's bytes to a plain object, with `exact` values as in `list`.
    #[wasm_bindgen(js_name = decodeProperties, unchecked_return_type = "Properties")]
    pub fn decode_properties(raw: &[u8], exact: bool) -> Result<JsValue, JsValue> {
        let properties =
            Properties::parse(raw).map_err(|malformed| type_error(&format!("bad properties: {malformed}")))?;
        Ok(write_properties(properties, exact))
    }
}
