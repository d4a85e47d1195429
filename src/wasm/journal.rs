//! Journal: the host's object that is the store, and the host's part in durability.

use wasm_bindgen::prelude::*;

use super::convert::write_table;
use super::options::{Fields, limits, seed};
use super::policies::matcher;
use super::{Server, memory, named_error};
use crate::broker::Config;
use crate::journal::{Options, Segment, Store, StoreError};
use crate::server::Restored;
use crate::table::{Table, Value};

#[wasm_bindgen]
extern "C" {
    /// The text of its exceptions is for the operator.
    #[wasm_bindgen(typescript_type = "Store")]
    pub type StoreObject;

    #[wasm_bindgen(method, catch)]
    fn segments(this: &StoreObject) -> Result<js_sys::Array, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn read(this: &StoreObject, number: u32, leadership: u32, offset: f64, into: &mut [u8]) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    fn create(this: &StoreObject, number: u32, leadership: u32) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    fn append(this: &StoreObject, number: u32, leadership: u32, bytes: &[u8]) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    fn remove(this: &StoreObject, number: u32, leadership: u32) -> Result<(), JsValue>;
}

/// Converts an exception of a store to text.
fn reason(thrown: &JsValue) -> StoreError {
    let error = thrown.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    StoreError(error.or_else(|| thrown.as_string()).unwrap_or_else(|| "The store failed.".into()).into())
}

impl Store for StoreObject {
    fn segments(&mut self) -> Result<Vec<(Segment, u64)>, StoreError> {
        let segments = Self::segments(self).map_err(|thrown| reason(&thrown))?;
        let entry = |entry: JsValue| {
            let fields = Fields(&entry);
            let number = |name| fields.number(name).ok().flatten().unwrap_or_default();
            let (number, leadership, length) = (number("number"), number("leadership"), number("length"));
            (Segment { number: number as u32, leadership: leadership as u32 }, length)
        };
        Ok(segments.iter().map(entry).collect())
    }

    fn read(&mut self, segment: Segment, offset: u64, into: &mut [u8]) -> Result<(), StoreError> {
        memory::grow_ahead();
        let Segment { number, leadership } = segment;
        Self::read(self, number, leadership, offset as f64, into).map_err(|thrown| reason(&thrown))
    }

    fn create(&mut self, segment: Segment) -> Result<(), StoreError> {
        Self::create(self, segment.number, segment.leadership).map_err(|thrown| reason(&thrown))
    }

    fn append(&mut self, segment: Segment, bytes: &[u8]) -> Result<(), StoreError> {
        Self::append(self, segment.number, segment.leadership, bytes).map_err(|thrown| reason(&thrown))
    }

    fn remove(&mut self, segment: Segment) -> Result<(), StoreError> {
        Self::remove(self, segment.number, segment.leadership).map_err(|thrown| reason(&thrown))
    }
}

fn report(restored: &Restored) -> JsValue {
    let recovery = restored.recovery;
    let counts = [
        ("segments", recovery.segments as u64),
        ("bytes", recovery.bytes),
        ("cutBytes", recovery.cut_bytes),
        ("leadership", recovery.leadership.into()),
        ("queues", restored.queues as u64),
        ("messages", restored.messages as u64),
        ("orphans", restored.orphans as u64),
    ];
    let mut report: Table = counts.into_iter().map(|(name, count)| (name, count as i64)).collect();
    report.insert("wasClosed", Value::Bool(recovery.was_closed));
    write_table(&report)
}

#[wasm_bindgen]
impl Server {
    /// Makes a server that keeps what is durable in `store`. `options`: those of the constructor, and `segmentBytes`,
    /// `leadership`, `salvage`.
    pub fn open(
        #[wasm_bindgen(unchecked_param_type = "ServerOptions & JournalOptions")] options: &JsValue,
        store: StoreObject,
        now_ms: f64,
    ) -> Result<Self, JsValue> {
        let (fields, usual) = (Fields(options), Options::default());
        let journal = Options {
            segment_bytes: fields.number("segmentBytes")?.unwrap_or(usual.segment_bytes),
            leadership_min: fields.number("leadership")?.unwrap_or(usual.leadership_min),
            salvage: fields.flag("salvage")?,
        };
        let config = Config { seed: seed(options)?, limits: limits(options)? };
        let opened = crate::server::Server::open(config, Box::new(store), &journal, now_ms as u64);
        let (mut server, restored) = opened.map_err(|error| named_error("JournalError", &error.to_string()))?;
        matcher(options).into_iter().for_each(|matcher| server.set_matcher(matcher));
        Ok(Self::of(server, report(&restored)))
    }

    /// Returns whether to flush the store now, unless that is under way.
    #[wasm_bindgen(js_name = wantsFlush)]
    pub fn wants_flush(&self) -> bool {
        self.server.wants_flush()
    }

    /// Begins a flush, and returns the mark for `flushed`.
    #[wasm_bindgen(js_name = startFlush)]
    pub fn start_flush(&mut self) -> f64 {
        self.server.start_flush() as f64
    }

    /// Confirms that a flush has succeeded. A turn has to follow.
    pub fn flushed(&mut self, mark: f64) {
        self.server.flushed(mark as u64);
    }

    /// Reports that a flush has failed: nothing durable is done from now on. A turn has to follow.
    #[wasm_bindgen(js_name = storeFailed)]
    pub fn store_failed(&mut self, reason: &str) {
        self.server.store_failed(reason);
    }

    /// Returns why nothing durable is done any more, if the store has failed.
    #[wasm_bindgen(js_name = storeFailure)]
    pub fn store_failure(&self) -> Option<String> {
        self.server.store_failure().map(String::from)
    }

    /// Returns a number for everything done so far, which is to be flushed.
    #[wasm_bindgen(js_name = currentWrite)]
    pub fn current_write(&mut self) -> f64 {
        self.server.current_write() as f64
    }

    /// Returns whether everything up to that number is durable.
    #[wasm_bindgen(js_name = isDurable)]
    pub fn is_durable(&self, write: f64) -> bool {
        self.server.is_durable(write as u64)
    }

    /// Ends the journal cleanly, after all connections have closed; flushes have to follow as long as they are wanted.
    #[wasm_bindgen(js_name = closeJournal)]
    pub fn close_journal(&mut self) {
        self.server.close_journal();
    }
}
