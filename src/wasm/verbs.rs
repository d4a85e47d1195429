//! Verbs: messages and consumers, for a program in the same thread, without a protocol.

use js_sys::Float64Array;
use wasm_bindgen::prelude::*;

use super::options::Fields;
use super::properties::{read_properties, write_properties};
use super::{Server, type_error};
use crate::broker::Consume;
use crate::properties::Properties;

#[wasm_bindgen]
impl Server {
    /// Publishes a message and answers how many queues took it. `properties` are AMQP's bytes, or empty.
    pub fn publish(&mut self, exchange: &str, key: &str, properties: &[u8], body: &[u8]) -> Result<usize, JsValue> {
        let published = self.embedded.publish(self.server.virtual_hosts_mut(), exchange, key, properties, body);
        self.answer(published)
    }

    /// Publishes packed messages, all or none, and answers how many queues took one, summed up.
    #[wasm_bindgen(js_name = publishBatch)]
    pub fn publish_batch(&mut self, exchange: &str, key: &str, packed: &[u8]) -> Result<usize, JsValue> {
        let published = self.embedded.publish_batch(self.server.virtual_hosts_mut(), exchange, key, packed);
        self.answer(published)
    }

    /// Takes up to `max` ready messages into the batch and answers how many. A visibility timeout of 0 is none.
    pub fn get(&mut self, queue: &str, max: u32, no_ack: bool, visibility_timeout_ms: f64) -> Result<u32, JsValue> {
        let timeout_ms = visibility_timeout_ms as u64;
        self.server.deliver_due(self.embedded.virtual_host(), &mut self.embedded);
        let got = self.embedded.get(self.server.virtual_hosts_mut(), queue, max, no_ack, timeout_ms);
        self.answer(got)
    }

    /// Starts a consumer and answers its tag. `options`: `noAck`, `exclusive`, `prefetch`, `arguments`.
    pub fn consume(&mut self, queue: &str, consumer_tag: &str, options: &JsValue) -> Result<String, JsValue> {
        let options = Fields(options);
        let consume = Consume {
            queue,
            consumer_tag,
            no_ack: options.flag("noAck")?,
            exclusive: options.flag("exclusive")?,
            arguments: &options.table("arguments")?,
        };
        let prefetch = options.number("prefetch")?.unwrap_or(0);
        let tag = self.embedded.consume(self.server.virtual_hosts_mut(), &consume, prefetch);
        self.answer(tag.map(String::from))
    }

    /// Ends a consumer.
    pub fn cancel(&mut self, consumer_tag: &str) {
        self.embedded.cancel(self.server.virtual_hosts_mut(), consumer_tag);
    }

    /// Acks a delivery, or with `multiple` all up to it.
    pub fn ack(&mut self, delivery_tag: f64, multiple: bool) -> Result<(), JsValue> {
        self.ask(|broker, channel| broker.ack(channel, delivery_tag as u64, multiple))
    }

    /// Refuses a delivery, or with `multiple` all up to it.
    pub fn nack(&mut self, delivery_tag: f64, multiple: bool, requeue: bool) -> Result<(), JsValue> {
        self.ask(|broker, channel| broker.nack(channel, delivery_tag as u64, multiple, requeue))
    }

    /// Refuses a delivery; its message is ready again so much later.
    #[wasm_bindgen(js_name = nackAfter)]
    pub fn nack_after(&mut self, delivery_tag: f64, delay_ms: f64) -> Result<(), JsValue> {
        self.ask(|broker, channel| broker.nack_after(channel, delivery_tag as u64, delay_ms as u64))
    }

    /// How many messages `takeRefused` would give.
    pub fn refused(&self) -> u32 {
        self.embedded.refused()
    }

    /// How many messages full queues refused since the last call.
    #[wasm_bindgen(js_name = takeRefused)]
    pub fn take_refused(&mut self) -> u32 {
        self.embedded.take_refused()
    }

    /// Acks these deliveries, all that it can, and throws for the first that it cannot.
    #[wasm_bindgen(js_name = ackBatch)]
    pub fn ack_batch(&mut self, delivery_tags: &Float64Array) -> Result<(), JsValue> {
        let tags = delivery_tags.to_vec().into_iter().map(|tag| tag as u64);
        let acked = self.embedded.ack_batch(self.server.virtual_hosts_mut(), tags);
        self.answer(acked)
    }

    /// Where in memory the batch of deliveries begins.
    #[wasm_bindgen(js_name = batchPointer)]
    pub fn batch_pointer(&self) -> usize {
        self.embedded.batch().as_ptr() as usize
    }

    /// How many bytes the batch of deliveries has.
    #[wasm_bindgen(js_name = batchLength)]
    pub fn batch_length(&self) -> usize {
        self.embedded.batch().len()
    }

    /// The batch was read: the next one begins.
    #[wasm_bindgen(js_name = batchTaken)]
    pub fn batch_taken(&mut self) {
        self.embedded.clear_batch();
    }

    /// The handles of consumers whose queues have gone since the last call.
    #[wasm_bindgen(js_name = takeCancelled)]
    pub fn take_cancelled(&mut self) -> Vec<u32> {
        self.embedded.take_cancelled()
    }

    /// A plain object's properties as AMQP's bytes.
    #[wasm_bindgen(js_name = encodeProperties)]
    pub fn encode_properties(properties: &JsValue) -> Result<Vec<u8>, JsValue> {
        let values = read_properties(properties)?;
        let mut encoded = Vec::new();
        values.encode(&mut encoded).map_err(|malformed| type_error(&format!("bad properties: {malformed}")))?;
        Ok(encoded)
    }

    /// AMQP's bytes as a plain object, with `exact` as `list` has values.
    #[wasm_bindgen(js_name = decodeProperties)]
    pub fn decode_properties(raw: &[u8], exact: bool) -> Result<JsValue, JsValue> {
        let properties =
            Properties::parse(raw).map_err(|malformed| type_error(&format!("bad properties: {malformed}")))?;
        Ok(write_properties(properties, exact))
    }
}
