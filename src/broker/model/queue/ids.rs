//! Ids: by which a queue takes each message once, if that is what it is for.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

use foldhash::fast::FixedState;

use super::Queue;
use crate::broker::model::message::Message;
use crate::broker::model::room::Gauge;

/// The header by which a message says that it is the same as another.
const DEDUPLICATION_ID: &str = "x-deduplication-id";
/// What an id takes in memory beside its bytes: about that of an entry and an allocation.
const ID_BYTES: usize = 80;

/// The ids of all messages of a queue: whether a transient one has it, and whether a kept one.
#[derive(Debug, Default)]
pub(super) struct Ids {
    known: HashMap<Box<[u8]>, [bool; 2], FixedState>,
    bytes: Gauge,
}

impl Queue {
    /// Counts in this sum what the ids take in memory.
    pub(crate) fn count_ids_in(&mut self, all: &Rc<Cell<u64>>) {
        self.ids.bytes.join(all);
    }

    /// The same, counted anew.
    pub(crate) fn recounted_id_bytes(&self) -> usize {
        self.ids.known.keys().map(|id| ID_BYTES + id.len()).sum()
    }

    /// Whether a message says that it is one that is here. One that is lost in a crash does not stand for one that is kept.
    pub(crate) fn has_twin_of(&self, message: &Message) -> bool {
        let Some(id) = self.own_id(message) else { return false };
        self.ids.known.get(&*id).is_some_and(|&[transient, kept]| kept || (transient && !self.keeps(message)))
    }

    /// Knows a message that is here by its id.
    pub(crate) fn note_id(&mut self, message: &Message) {
        let Some(id) = self.own_id(message) else { return };
        let is_kept = usize::from(self.keeps(message));
        let known = self.ids.known.entry((*id).into()).or_insert_with(|| {
            self.ids.bytes.add(ID_BYTES + id.len());
            [false; 2]
        });
        known[is_kept] = true;
    }

    pub(super) fn forget_id(&mut self, message: &Message) {
        let Some(id) = self.own_id(message) else { return };
        let is_kept = usize::from(self.keeps(message));
        let Some((id, mut known)) = self.ids.known.remove_entry(&*id) else { return };
        known[is_kept] = false;
        if known == [false; 2] {
            self.ids.bytes.take_off(ID_BYTES + id.len());
        } else {
            self.ids.known.insert(id, known);
        }
    }

    /// The id by which the queue takes a message once, if it does so: the headers of others are not looked at.
    fn own_id<'a>(&self, message: &'a Message) -> Option<Cow<'a, [u8]>> {
        if self.settings.deduplicates { deduplication_id(message) } else { None }
    }
}

/// Of a slip it is not known.
#[inline(never)]
fn deduplication_id(message: &Message) -> Option<Cow<'_, [u8]>> {
    if message.is_slip() { None } else { message.properties().header_key(DEDUPLICATION_ID) }
}
