//! Store: the bytes of each segment in memory, shared with the test.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use pocketmq::journal::{Segment, Store, StoreError};

/// A handle of the segments.
#[derive(Clone, Default)]
pub struct Bytes(pub Rc<RefCell<BTreeMap<Segment, Vec<u8>>>>);

impl Store for Bytes {
    fn segments(&mut self) -> Result<Vec<(Segment, u64)>, StoreError> {
        Ok(self.0.borrow().iter().map(|(segment, bytes)| (*segment, bytes.len() as u64)).collect())
    }

    fn read(&mut self, segment: Segment, offset: u64, into: &mut [u8]) -> Result<(), StoreError> {
        let start = offset as usize;
        let segments = self.0.borrow();
        let bytes = segments.get(&segment).and_then(|bytes| bytes.get(start..start + into.len()));
        into.copy_from_slice(bytes.ok_or(StoreError("There is less.".into()))?);
        Ok(())
    }

    fn create(&mut self, segment: Segment) -> Result<(), StoreError> {
        self.0.borrow_mut().insert(segment, Vec::new());
        Ok(())
    }

    fn append(&mut self, segment: Segment, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.borrow_mut().get_mut(&segment).expect("it was created").extend_from_slice(bytes);
        Ok(())
    }

    fn remove(&mut self, segment: Segment) -> Result<(), StoreError> {
        self.0.borrow_mut().remove(&segment);
        Ok(())
    }
}
