//! Memory: a store for tests, which can lose power.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::store::{Segment, Store, StoreError};

pub(super) type Files = BTreeMap<Segment, Vec<u8>>;

/// A change since the last flush.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Create(Segment),
    Write(Segment, usize, Vec<u8>),
    Remove(Segment),
}

/// A store that keeps durable bytes apart from the changes since.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Rc<RefCell<Disk>>);

#[derive(Debug, Default)]
struct Disk {
    files: Files,
    durable: Files,
    changes: Vec<Change>,
    /// Bytes that can be appended before the disk is full.
    room: Option<usize>,
}

impl Memory {
    pub(super) fn new(files: Files) -> Self {
        Self(Rc::new(RefCell::new(Disk { durable: files.clone(), files, ..Disk::default() })))
    }

    pub(super) fn files(&self) -> Files {
        self.0.borrow().files.clone()
    }

    pub(super) fn durable(&self) -> Files {
        self.0.borrow().durable.clone()
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn changes(&self) -> Vec<Change> {
        self.0.borrow().changes.clone()
    }

    pub(super) fn has_room(&self, bytes: usize) {
        self.0.borrow_mut().room = Some(bytes);
    }

    /// Makes all changes up to now durable.
    pub(super) fn flush(&self) {
        let mut disk = self.0.borrow_mut();
        disk.durable = disk.files.clone();
        disk.changes.clear();
    }
}

/// Applies a change to files; of an append only the bytes in this range.
pub(super) fn apply(files: &mut Files, change: &Change, which: std::ops::Range<usize>) {
    match change {
        Change::Create(segment) => drop(files.entry(*segment).or_default()),
        Change::Remove(segment) => drop(files.remove(segment)),
        Change::Write(segment, at, bytes) => {
            let Some(file) = files.get_mut(segment).filter(|_| !which.is_empty()) else { return };
            file.resize(file.len().max(at + which.end), 0);
            file[at + which.start..at + which.end].copy_from_slice(&bytes[which]);
        }
    }
}

impl Store for Memory {
    fn segments(&mut self) -> Result<Vec<(Segment, u64)>, StoreError> {
        let disk = self.0.borrow();
        Ok(disk.files.iter().rev().map(|(segment, bytes)| (*segment, bytes.len() as u64)).collect())
    }

    fn read(&mut self, segment: Segment, offset: u64, into: &mut [u8]) -> Result<(), StoreError> {
        let disk = self.0.borrow();
        let end = offset as usize + into.len();
        let bytes = disk.files.get(&segment).and_then(|bytes| bytes.get(offset as usize..end));
        into.copy_from_slice(bytes.ok_or_else(|| StoreError(format!("{segment} ends before {end}").into()))?);
        Ok(())
    }

    fn create(&mut self, segment: Segment) -> Result<(), StoreError> {
        let mut disk = self.0.borrow_mut();
        assert!(disk.files.insert(segment, Vec::new()).is_none(), "{segment} is there already");
        disk.changes.push(Change::Create(segment));
        Ok(())
    }

    fn append(&mut self, segment: Segment, bytes: &[u8]) -> Result<(), StoreError> {
        let disk = &mut *self.0.borrow_mut();
        let written = disk.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        let at = disk.files[&segment].len();
        let change = Change::Write(segment, at, bytes[..written].to_vec());
        apply(&mut disk.files, &change, 0..written);
        disk.changes.push(change);
        disk.room = disk.room.map(|room| room - written);
        if written < bytes.len() { Err(StoreError("the disk is full: make room".into())) } else { Ok(()) }
    }

    fn remove(&mut self, segment: Segment) -> Result<(), StoreError> {
        let mut disk = self.0.borrow_mut();
        disk.files.remove(&segment);
        disk.changes.push(Change::Remove(segment));
        Ok(())
    }
}
