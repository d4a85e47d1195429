//! Durability: facts are written down once a turn, and replies leave when their facts are flushed.
//!
//! ```text
//!   verbs ──> facts ──> end of turn: append ──> host: start_flush, flush its store ──> flushed(mark) ──> replies leave
//!                                      ^
//!               the oldest segment: what still holds is appended again, some of it in each turn
//! ```

use super::Core;
use super::storage::JournalSize;

impl Core {
    /// Returns the size of the journal, if there is one.
    #[must_use]
    pub fn journal_size(&self) -> Option<JournalSize> {
        let (bytes, segments) = self.storage.as_ref()?.size();
        Some(JournalSize { bytes, live_bytes: self.virtual_hosts.live_bytes(), segments })
    }

    /// Writes down the facts of this turn.
    pub(super) fn write(&mut self) {
        let Self { storage: Some(storage), virtual_hosts, .. } = self else { return };
        if storage.failure().is_some() {
            return self.fail_awaiting_flush();
        }
        match storage.write(virtual_hosts, self.now_ms) {
            Ok(()) => self.durability = storage.durability(),
            Err(error) => self.store_failed(&error.0),
        }
    }

    /// Returns whether the store is to be flushed now, unless that is under way: something waits for it, or the bytes
    /// have waited long enough.
    #[must_use]
    pub fn wants_flush(&self) -> bool {
        let is_awaited = self.is_opening || self.is_flush_wanted || !self.agenda.awaiting_flush.is_empty();
        self.storage.as_ref().is_some_and(|storage| storage.wants_flush(is_awaited, self.now_ms))
    }

    /// Begins a flush of the host's store, and returns a mark for everything that was appended so far.
    pub(super) fn start_flush(&mut self) -> u64 {
        self.is_flush_wanted = false;
        self.storage.as_mut().map_or(0, |storage| storage.start_flush())
    }

    /// Confirms that everything appended before this flush began is durable: replies that waited for it leave. A turn
    /// has to follow.
    pub(super) fn flushed(&mut self, mark: u64) {
        let Some(storage) = &mut self.storage else { return };
        storage.flushed(mark);
        self.durability = storage.durability();
        self.is_opening = false;
        let durable_write = self.durability.durable_write;
        for id in std::mem::take(&mut self.agenda.awaiting_flush) {
            if let Some(slot) = self.sessions.get_mut(id) {
                slot.is_awaiting_flush = false;
                self.with(id, &mut |session, _| session.flushed(durable_write));
            }
        }
    }

    /// Reports that the store has failed: from now on nothing durable is done, and connections with waiting replies
    /// close.
    pub(super) fn store_failed(&mut self, reason: &str) {
        let Some(storage) = &mut self.storage else { return };
        storage.fail(reason);
        self.durability = storage.durability();
        self.virtual_hosts.iter_mut().for_each(|host| host.broker.refuse_to_keep());
        self.fail_awaiting_flush();
    }

    /// Fails the sessions whose replies can never become durable.
    fn fail_awaiting_flush(&mut self) {
        let reason = self.store_failure().unwrap_or_default().to_owned();
        for id in std::mem::take(&mut self.agenda.awaiting_flush) {
            // Messages that the session gives back are to be delivered to others.
            self.agenda.has_resumed = true;
            if let Some(slot) = self.sessions.get_mut(id) {
                slot.is_awaiting_flush = false;
                self.with(id, &mut |session, context| session.journal_failed(&reason, context));
            }
        }
    }

    /// Returns why nothing durable is done any more, if the store has failed.
    #[must_use]
    pub fn store_failure(&self) -> Option<&str> {
        self.storage.as_ref()?.failure()
    }

    /// Returns a number for everything done so far, and requests its flush, for the embedding program: see
    /// [`is_durable`](Self::is_durable).
    pub(super) fn current_write(&mut self) -> u64 {
        let Some(storage) = &self.storage else { return 0 };
        let next_write = storage.durability().next_write;
        self.is_flush_wanted = true;
        if self.virtual_hosts.has_facts() { next_write } else { next_write - 1 }
    }

    /// Returns whether everything done when this write was [current](Self::current_write) is durable; never if the
    /// store failed before.
    #[must_use]
    pub fn is_durable(&self, write: u64) -> bool {
        self.storage.as_ref().is_none_or(|storage| storage.durability().durable_write >= write)
    }

    /// Ends the journal cleanly, after all connections have closed. Flushes have to follow, as long as they are
    /// [wanted](Self::wants_flush).
    pub(super) fn close_journal(&mut self) {
        let Self { storage: Some(storage), virtual_hosts, .. } = self else { return };
        if storage.failure().is_none()
            && let Err(error) = storage.close(virtual_hosts)
        {
            self.store_failed(&error.0);
        }
    }
}
