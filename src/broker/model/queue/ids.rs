//! Ids: the deduplication ids of a queue's messages, by which it adds each message only once.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use foldhash::fast::FixedState;

use crate::broker::model::message::Message;
use crate::broker::model::room::Gauge;

/// Header with the deduplication id of a message.
const DEDUPLICATION_ID: &str = "x-deduplication-id";
/// Memory of an id beyond its bytes: about that of an entry and an allocation.
const ID_BYTES: usize = 80;

/// The ids of all messages of a queue, each with whether a transient message has it, and whether a kept one.
#[derive(Debug, Default)]
pub(super) struct Ids {
    known: HashMap<Box<[u8]>, [bool; 2], FixedState>,
    bytes: Gauge,
}

impl Ids {
    /// Adds their memory to this sum.
    pub(super) fn count_in(&mut self, all: &Rc<Cell<u64>>) {
        self.bytes.join(all);
    }

    /// Returns their memory, counted anew.
    pub(super) fn recounted_bytes(&self) -> usize {
        self.known.keys().map(|id| ID_BYTES + id.len()).sum()
    }

    /// Returns whether a message with the same id is here. One that would be lost in a crash does not count for one to
    /// be kept.
    #[inline(never)]
    pub(super) fn know(&self, message: &Message, is_kept: bool) -> bool {
        let Some(id) = deduplication_id(message) else { return false };
        self.known.get(&*id).is_some_and(|&[transient, kept]| kept || (transient && !is_kept))
    }

    #[inline(never)]
    pub(super) fn note(&mut self, message: &Message, is_kept: bool) {
        let Some(id) = deduplication_id(message) else { return };
        let known = self.known.entry((*id).into()).or_insert_with(|| {
            self.bytes.add(ID_BYTES + id.len());
            [false; 2]
        });
        known[usize::from(is_kept)] = true;
    }

    #[inline(never)]
    pub(super) fn forget(&mut self, message: &Message, is_kept: bool) {
        let Some(id) = deduplication_id(message) else { return };
        let Some((id, mut known)) = self.known.remove_entry(&*id) else { return };
        known[usize::from(is_kept)] = false;
        if known == [false; 2] {
            self.bytes.take_off(ID_BYTES + id.len());
        } else {
            self.known.insert(id, known);
        }
    }
}

#[inline(never)]
fn deduplication_id(message: &Message) -> Option<Cow<'_, [u8]>> {
    message.properties().header_key(DEDUPLICATION_ID)
}
