//! Facts: a broker shows them, takes those of another one, and notes those that outlive it.

use super::Broker;
use crate::broker::durable::fact;
use crate::broker::durable::image::Image;
use crate::broker::durable::keeping::{Keeper, Noted};
use crate::broker::model::error::Error;
use crate::broker::model::pager::{Location, Pager};
use crate::broker::model::record::Record;
use crate::broker::session::due::Due;
use crate::wire::Malformed;

impl Broker {
    /// Shows each fact to `observer`, from now on, right after it has become one.
    pub fn observe(&mut self, observer: impl FnMut(&Record<'_>) + 'static) {
        self.observer = Some(Box::new(observer));
    }

    /// Makes a fact true that another broker has seen. Nothing is checked again and nobody is told; peers of this
    /// broker, if it has any, must not have changed the state by themselves.
    pub fn apply(&mut self, record: &Record<'_>) {
        match *record {
            // Its memory is counted by who shares it, and brokers share nothing.
            Record::Published { message, queues } => {
                self.state.apply(&Record::Published { message: &message.copied(), queues });
            }
            Record::Delayed { number, message, due_ms } => {
                self.state.apply(&Record::Delayed { number, message: &message.copied(), due_ms });
            }
            _ => self.state.apply(record),
        }
        self.state.let_go();
    }

    /// Begins with what the facts say. `was_closed` tells whether they were written to their end: then it is known what was
    /// delivered before, and otherwise every message may have been. Nobody must have used the broker yet.
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

    /// Notes from now on what outlives the broker, for whoever writes it down; what is put away is read back by `pager`.
    pub fn keep_facts(&mut self, pager: Box<dyn Pager>) {
        self.state.set_pager(pager, fact::read_message);
        self.keeper.get_or_insert_with(|| Box::new(Keeper::new(self.limits.memory_page_bytes)));
    }

    /// How much there was so far that somebody may have to wait for.
    #[must_use]
    pub fn noted(&self) -> Noted {
        self.keeper.as_ref().map_or(Noted::default(), |keeper| keeper.noted())
    }

    /// The facts that are to be written down.
    #[must_use]
    pub fn facts(&self) -> &[u8] {
        self.keeper.as_ref().map_or(&[], |keeper| keeper.facts())
    }

    /// The facts were written down from this location on.
    pub fn facts_written(&mut self, at: Location) {
        let Self { state, keeper: Some(keeper), .. } = self else { return };
        keeper.facts_written(state, at);
    }

    /// Notes again what is in these facts and still holds, as they are about to go. `name` is that of the virtual host.
    ///
    /// # Errors
    /// When they are no facts.
    pub fn recall(&mut self, name: &str, facts: &[u8]) -> Result<(), Malformed> {
        let Self { state, keeper: Some(keeper), .. } = self else { return Ok(()) };
        keeper.recall(state, name, facts)
    }

    /// A message is not added, as it is here already. Whoever wants it to be durable waits for all facts up to now. Whether
    /// it may count on it: not once facts are lost.
    pub(super) fn note_repeat(&mut self) -> bool {
        self.keeper.as_mut().is_none_or(|keeper| keeper.note_repeat())
    }

    /// Notes the name of the virtual host that the broker is for.
    pub(crate) fn note_virtual_host(&mut self, name: &str) {
        if let Some(keeper) = &mut self.keeper {
            keeper.note_virtual_host(name);
        }
    }

    /// Notes how far each queue was delivered, as nothing is delivered any more.
    pub(crate) fn note_deliveries(&mut self) {
        let Self { state, keeper: Some(keeper), .. } = self else { return };
        keeper.note_deliveries(state);
    }

    /// What is written down can no longer be relied on: nothing is kept from now on, and what should be is refused.
    pub fn refuse_to_keep(&mut self) {
        if let Some(keeper) = &mut self.keeper {
            keeper.fail();
        }
    }

    /// Refuses what can no longer be kept.
    pub(super) fn check_keeping(&self, is_kept: bool) -> Result<(), Error> {
        if is_kept && self.refuses_to_keep() { Err(Error::JournalFailed) } else { Ok(()) }
    }

    pub(super) fn refuses_to_keep(&self) -> bool {
        self.keeper.as_ref().is_some_and(|keeper| keeper.has_failed())
    }

    /// What the facts take that hold now, if they were written down once.
    #[must_use]
    pub fn kept_bytes(&mut self) -> u64 {
        let Self { state, keeper: Some(keeper), .. } = self else { return 0 };
        keeper.kept_bytes(state) as u64
    }
}
