//! Facts: a broker passes its facts on, applies those of another broker, and notes those that outlive it.

use super::Broker;
use crate::broker::durable::fact;
use crate::broker::durable::image::Image;
use crate::broker::durable::recorder::FactRecorder;
use crate::broker::model::error::Error;
use crate::broker::model::pager::{Location, Pager};
use crate::broker::model::record::Record;
use crate::broker::model::recorder::Noted;
use crate::broker::session::due::Due;
use crate::wire::Malformed;

impl Broker {
    /// Calls `observer` with each fact from now on, right after it was applied.
    pub fn observe(&mut self, observer: impl FnMut(&Record<'_>) + 'static) {
        self.observer = Some(Box::new(observer));
    }

    /// Applies a fact of another broker. Nothing is checked again and no peer is notified; peers of this broker, if it
    /// has any, must not have changed the state themselves.
    pub fn apply(&mut self, record: &Record<'_>) {
        let mut record = *record;
        // A message's memory is counted by its shares, and brokers share no messages.
        let copy = record.message_mut().map(|message| message.copied());
        if let (Some(message), Some(copy)) = (record.message_mut(), &copy) {
            *message = copy;
        }
        self.state.apply(&record);
        self.state.let_go();
    }

    /// Starts with the restored state. `was_closed` says whether the facts are complete: then it is known which
    /// messages were delivered before, and otherwise every message may have been. The broker must not have been used
    /// yet.
    pub fn restore(&mut self, mut image: Image, was_closed: bool) {
        image.prune();
        image.publishers.go_on_at(self.now_ms);
        let delayed: Vec<_> = image.delayed.iter().map(|(number, delayed)| (number, delayed.due_ms)).collect();
        self.state.restore(image, was_closed);
        for (number, due_ms) in delayed {
            self.timers.insert(due_ms, Due::Delay(number));
        }
        for id in self.state.queue_ids() {
            self.watch_use(id);
            self.changed.push(id);
        }
    }

    /// Notes from now on the facts that outlive the broker, to be written down; paged-out messages are read back by
    /// `pager`.
    pub fn keep_facts(&mut self, pager: Box<dyn Pager>) {
        self.state.set_pager(pager, fact::read_message);
        self.recorder.get_or_insert_with(|| Box::new(FactRecorder::new(self.limits.memory_page_bytes)));
    }

    /// Returns how many facts were noted so far that a reply may have to wait for.
    #[must_use]
    pub fn noted(&self) -> Noted {
        self.recorder.as_ref().map_or(Noted::default(), |recorder| recorder.noted())
    }

    /// Returns the facts that are to be written down.
    #[must_use]
    pub fn facts(&self) -> &[u8] {
        self.recorder.as_ref().map_or(&[], |recorder| recorder.facts())
    }

    /// Confirms that the facts were written down, beginning at this location.
    pub fn facts_written(&mut self, at: Location) {
        let Self { state, recorder: Some(recorder), .. } = self else { return };
        recorder.facts_written(state, at);
    }

    /// Notes those of these facts again that still hold, as their copy is about to be deleted. `name` is that of the
    /// virtual host.
    ///
    /// # Errors
    /// When these bytes are not facts.
    pub fn recall(&mut self, name: &str, facts: &[u8]) -> Result<(), Malformed> {
        let Self { state, recorder: Some(recorder), .. } = self else { return Ok(()) };
        recorder.recall(state, name, facts)
    }

    /// Makes the reply for a repeated message wait for all facts up to now, as the message itself is not added again.
    /// Returns whether the reply may rely on them: not after facts were lost.
    pub(super) fn note_repeat(&mut self) -> bool {
        self.recorder.as_mut().is_none_or(|recorder| recorder.note_repeat())
    }

    /// Notes the name of the broker's virtual host.
    pub(crate) fn note_virtual_host(&mut self, name: &str) {
        if let Some(recorder) = &mut self.recorder {
            recorder.note_virtual_host(name);
        }
    }

    /// Notes how far each queue was delivered, at the end of all deliveries.
    pub(crate) fn note_deliveries(&mut self) {
        let Self { state, recorder: Some(recorder), .. } = self else { return };
        recorder.note_deliveries(state);
    }

    /// Stops keeping anything, as what was written down can no longer be relied on: requests that need it are refused
    /// from now on.
    pub fn refuse_to_keep(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.fail();
        }
    }

    /// Refuses a request that needs to be kept when nothing can be kept any more.
    pub(super) fn check_keeping(&self, is_kept: bool) -> Result<(), Error> {
        if is_kept && self.refuses_to_keep() { Err(Error::JournalFailed) } else { Ok(()) }
    }

    pub(super) fn refuses_to_keep(&self) -> bool {
        self.recorder.as_ref().is_some_and(|recorder| recorder.has_failed())
    }

    /// Returns the bytes of the facts that hold now, if each were written down once.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.recorder.as_ref().map_or(0, |recorder| recorder.live_bytes(&self.state) as u64)
    }

    /// Measures a part of the [live bytes](Self::live_bytes) anew if it has grown much.
    pub(crate) fn measure_topology(&mut self) {
        let Self { state, recorder: Some(recorder), .. } = self else { return };
        recorder.measure_topology(state);
    }
}
