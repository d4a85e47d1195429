//! Recorder: which facts outlive the broker, and in which form they are written down.
//!
//! ```text
//!   commit(record) ──> note ──────────> bytes ── the turn ends: facts() ──> written down ── facts_written(at)
//!                                        ^                                                     │
//!   what is written down at the old      │                                                     v
//!   end of the row and still holds ── recall                        bodies beyond the memory's mark are put away
//! ```
//!
//! A fact is noted before it is applied, so that what it ends can still be looked up. A peer may have to wait until its
//! request is durable: such facts are counted ([`Noted`]). No peer waits for the others, which no request has caused or
//! no reply confirms.

use super::fact::{self, Fact, Facts, Places, Written};
use crate::broker::model::message::{Message, Parts};
use crate::broker::model::names;
use crate::broker::model::pager::Location;
use crate::broker::model::place::Place;
use crate::broker::model::publisher::{self, Ids};
use crate::broker::model::record::Record;
use crate::broker::model::recorder::{Noted, Recorder};
use crate::broker::model::state::State;
use crate::id::QueueId;
use crate::wire::{Malformed, Reader};

/// All facts of a virtual host that was deleted.
pub(crate) const GONE: &[u8] = &[2];
/// A message with more places is written down more than once.
const PLACES_MAX: usize = 60_000;
/// Maximum capacity of a buffer that is reused.
const BUFFER_BYTES: usize = 4 << 20;

/// Facts of this turn that outlive the broker.
pub(crate) struct FactRecorder {
    bytes: Vec<u8>,
    /// Offset and length of each message in them.
    messages: Vec<(u32, u32)>,
    /// The place after the empty ones, if the last fact is about empty places.
    gone_up_to: Option<Place>,
    noted: Noted,
    /// Above this many bytes, bodies are paged out.
    page_bytes: usize,
    /// Bytes of the topology's facts when last measured, plus their growth since.
    topology_bytes: usize,
    grown_bytes: usize,
    has_failed: bool,
}

impl FactRecorder {
    pub(crate) fn new(page_bytes: usize) -> Self {
        let (bytes, messages, gone_up_to) = (Vec::new(), Vec::new(), None);
        let (topology_bytes, grown_bytes, has_failed) = (0, usize::MAX, false);
        Self {
            bytes,
            messages,
            gone_up_to,
            noted: Noted::default(),
            page_bytes,
            topology_bytes,
            grown_bytes,
            has_failed,
        }
    }
}

impl Recorder for FactRecorder {
    fn note(&mut self, state: &State, record: &Record<'_>) {
        if self.has_failed {
            return;
        }
        match Written::of(state, record) {
            Written::Nothing => {}
            Written::Fact(fact) => self.put(&fact),
            Written::Lazily(fact) => self.put_lazily(&fact),
            Written::Published { message, queues } => {
                self.note_eras(state, message, queues);
                if message.is_kept() {
                    self.note_published(state, message, queues);
                }
            }
            Written::Delayed { number, message, due_ms } => {
                self.put_message(|out| fact::put_delayed(out, number, due_ms, message));
                self.noted.facts += 1;
            }
            Written::Gone { place, is_awaited } => {
                if self.note_gone(state, place) && is_awaited {
                    self.noted.facts += 1;
                }
            }
            Written::Purged { queue } => self.note_purged(state, queue),
        }
    }

    fn note_opened(&mut self, state: &mut State) {
        for (queue, number, position) in state.take_opened() {
            let Some(message) = state.kept_at(Place::Queue(queue, position)).filter(|_| !self.has_failed) else {
                continue;
            };
            if let Some(era) = state.queue(queue).and_then(|known| known.eras().find(|era| era.position == position)) {
                self.put_lazily(&Fact::Era { queue, era });
            }
            let places = std::iter::once(Place::Queue(queue, position));
            self.put_message(|out| fact::put_message(out, places, message));
            self.put_gone(Place::Sealed(queue, number));
        }
    }

    fn recall(&mut self, state: &State, name: &str, bytes: &[u8]) -> Result<(), Malformed> {
        let mut publishers = Ids::default();
        for known in Facts::new(bytes) {
            let (start, length, fact) = known?;
            let raw = &bytes[start..start + length];
            match &fact {
                Fact::Message { places, parts } => {
                    note_publisher(parts, &mut publishers);
                    self.recall_message(state, *places, raw);
                }
                Fact::Delayed { number, parts, .. } => {
                    note_publisher(parts, &mut publishers);
                    if state.kept_at(Place::Delayed(*number)).is_some() {
                        self.put_message(|out| out.extend_from_slice(raw));
                    }
                }
                Fact::Publisher { id, .. } | Fact::OldPublisher { id, .. } => add(&mut publishers, id),
                fact => {
                    if fact.still_holds(state, name) {
                        self.bytes.extend_from_slice(raw);
                        self.gone_up_to = None;
                    }
                }
            }
        }
        for id in publishers.iter().filter_map(|id| std::str::from_utf8(id).ok()) {
            if let Some((sequence, used_ms)) = state.publishers().last_kept_of(id) {
                self.put_lazily(&Fact::Publisher { id, sequence, used_ms });
            }
        }
        Ok(())
    }

    fn noted(&self) -> Noted {
        self.noted
    }

    fn facts(&self) -> &[u8] {
        &self.bytes
    }

    fn facts_written(&mut self, state: &mut State, at: Location) {
        for &(start, length) in &self.messages {
            let bytes = &self.bytes[start as usize..(start + length) as usize];
            let Ok(Fact::Message { places, .. }) = fact::read(&mut Reader::new(bytes)) else { continue };
            places.iter().for_each(|place| state.moved(place, Location { offset: at.offset + start, ..at }, length));
            let is_stub = |place| state.kept_at(place).is_some_and(Message::is_stub);
            let is_moved = places.iter().any(is_stub);
            if !is_moved && state.memory_bytes() <= self.page_bytes {
                continue;
            }
            // A fetched message stays; stubs of it in other queues must be given its new location.
            let places: Vec<_> = places.iter().filter(|&place| !is_moved || is_stub(place)).collect();
            if is_moved || state.can_put_away(&places) {
                state.put_away(&places, Location { offset: at.offset + start, ..at }, length);
            }
        }
        self.clear();
        self.bytes.shrink_to(BUFFER_BYTES);
    }

    fn note_repeat(&mut self) -> bool {
        self.noted.repeats += 1;
        !self.has_failed
    }

    fn note_virtual_host(&mut self, name: &str) {
        self.put(&Fact::VirtualHost { name });
    }

    fn note_deliveries(&mut self, state: &State) {
        for (queue, known) in state.all_queues().filter(|(_, queue)| queue.is_kept) {
            known.touched().into_iter().for_each(|below| self.put_lazily(&Fact::Delivered { queue, below }));
        }
    }

    fn fail(&mut self) {
        self.has_failed = true;
        self.clear();
    }

    fn has_failed(&self) -> bool {
        self.has_failed
    }

    fn live_bytes(&self, state: &State) -> usize {
        let topology_bytes = if self.has_grown() { fact::topology_bytes(state) } else { self.topology_bytes };
        state.kept_bytes() + topology_bytes + state.publishers().bytes(fact::FACT_BYTES)
    }

    fn measure_topology(&mut self, state: &State) {
        if self.has_grown() {
            self.topology_bytes = fact::topology_bytes(state);
            self.grown_bytes = 0;
        }
    }
}

impl FactRecorder {
    /// Returns whether the topology is to be measured anew.
    fn has_grown(&self) -> bool {
        self.grown_bytes > self.topology_bytes / 8
    }

    fn put(&mut self, fact: &Fact<'_>) {
        let start = self.bytes.len();
        self.put_lazily(fact);
        self.grown_bytes = self.grown_bytes.saturating_add(self.bytes.len() - start);
        self.noted.facts += 1;
    }

    fn put_lazily(&mut self, fact: &Fact<'_>) {
        fact::put(&mut self.bytes, fact);
        self.gone_up_to = None;
    }

    fn put_message(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        put(&mut self.bytes);
        self.messages.push((start as u32, (self.bytes.len() - start) as u32));
        self.gone_up_to = None;
    }

    /// Notes the eras that a message begins in queues that are kept, whether or not the message is kept.
    fn note_eras(&mut self, state: &State, message: &Message, queues: &[QueueId]) {
        for &queue in queues {
            let known = state.queue(queue).filter(|known| known.is_kept);
            if let Some(era) = known.and_then(|known| known.next_era(message)) {
                self.put_lazily(&Fact::Era { queue, era });
            }
        }
    }

    fn note_published(&mut self, state: &State, message: &Message, queues: &[QueueId]) {
        let kept = |id: &QueueId| state.queue(*id).filter(|queue| queue.keeps(message)).map(|queue| (*id, queue));
        for queues in queues.chunks(PLACES_MAX) {
            let places = queues.iter().filter_map(kept).map(|(id, queue)| queue.next_place(id, message));
            self.put_message(|out| fact::put_message(out, places, message));
        }
        self.noted.facts += 1;
    }

    /// Notes that a place is empty, if a kept message was there. Neighbours become one fact.
    fn note_gone(&mut self, state: &State, place: Place) -> bool {
        let is_kept = state.kept_at(place).is_some();
        if is_kept {
            self.put_gone(place);
        }
        is_kept
    }

    fn put_gone(&mut self, place: Place) {
        if self.gone_up_to == Some(place) {
            let count = self.bytes.last_chunk_mut::<4>().expect("a fact ends with its count");
            *count = (u32::from_be_bytes(*count) + 1).to_be_bytes();
        } else {
            fact::put_gone(&mut self.bytes, place, 1);
        }
        self.gone_up_to = Some(place.after(1));
    }

    fn note_purged(&mut self, state: &State, id: QueueId) {
        let Some(queue) = state.queue(id).filter(|queue| queue.is_kept) else { return };
        let mut is_noted = false;
        let mut note = |place, message: &Message| {
            if message.is_kept() {
                self.put_gone(place);
                is_noted = true;
            }
        };
        queue.each_ready(&mut |position, message| note(Place::Queue(id, position), message));
        queue.sealed_messages().for_each(|(number, message)| note(Place::Sealed(id, *number), message));
        // A fact that was not written can never be durable.
        self.noted.facts += u64::from(is_noted);
    }

    fn recall_message(&mut self, state: &State, places: Places<'_>, raw: &[u8]) {
        let held = places.iter().filter(|&place| state.kept_at(place).is_some());
        if held.clone().next().is_none() {
            return;
        }
        self.put_message(|out| fact::put_again(out, held.clone(), fact::content(raw, places)));
        for place in held {
            let Place::Queue(queue, position) = place else { continue };
            let returns = state.queue(queue).map_or(0, |queue| queue.returns(position));
            if returns > 0 {
                self.put_lazily(&Fact::Returned { queue, position, returns });
            }
        }
    }

    fn clear(&mut self) {
        self.messages.clear();
        self.bytes.clear();
        self.gone_up_to = None;
    }
}

/// Adds the publisher of a message to those whose state must be noted with it.
fn note_publisher(parts: &Parts<'_>, publishers: &mut Ids) {
    if names::tell_broker(parts.properties)
        && let Some(id) = publisher::id_of(parts.properties)
    {
        add(publishers, &id);
    }
}

fn add(publishers: &mut Ids, id: &str) {
    if !publishers.contains(id.as_bytes()) {
        publishers.insert(id.as_bytes().into());
    }
}
