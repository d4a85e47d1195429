//! Durability: facts are appended to the journal once a turn, and replies leave when their facts are flushed.
//!
//! ```text
//!   verbs ──> facts ──> end of turn: append ──> host: start_flush, flush its store ──> flushed(mark) ──> replies leave
//!                                      ^
//!               the oldest segment: what still holds is appended again, some of it in each turn
//! ```

use super::Server;
use crate::broker::{Config, GONE, Image};
use crate::id::VirtualHostId;
use crate::journal::{Journal, JournalError, Options, Recovery, Store, StoreError};
use crate::protocol::Durability;
use crate::virtual_host::VirtualHosts;

/// Delay of a flush that nothing waits for.
const FLUSH_AFTER_MS: u64 = 100;
/// Delay of the entry that says how far the journal was flushed, unless something else is written before.
const ANCHOR_AFTER_MS: u64 = 1_000;
/// Bytes of the oldest segment that are read in a turn, or twice what the turn has written if that is more.
const CLEAN_BYTES: u64 = 256 << 10;

/// Contents of a store when it was opened.
#[derive(Clone, Debug)]
pub struct Restored {
    /// State in which the journal was found.
    pub recovery: Recovery,
    /// Number of durable queues.
    pub queues: usize,
    /// Number of messages in them.
    pub messages: usize,
    /// Number of messages that were left out, as their queue or virtual host was lost in a salvage.
    pub orphans: usize,
}

impl Server {
    /// Makes a server that keeps what is durable in a store, and restores what is there. The host flushes once before
    /// it accepts peers: until then nothing is delivered.
    ///
    /// # Errors
    /// When the store cannot be used, or its contents cannot be relied on.
    pub fn open(
        config: Config,
        store: Box<dyn Store>,
        options: &Options,
        now_ms: u64,
    ) -> Result<(Self, Restored), JournalError> {
        let page_bytes = config.limits.memory_page_bytes;
        let mut images: Vec<(VirtualHostId, Image)> = Vec::new();
        let (journal, recovery) = Journal::open(store, options, &mut |host, facts, at| {
            let known = images.iter().position(|(known, _)| *known == host);
            let place = known.unwrap_or_else(|| {
                images.push((host, Image::new(page_bytes)));
                images.len() - 1
            });
            images[place].1.add(facts, at)
        })?;
        let (mut queues, mut messages, mut orphans) = (0, 0, 0);
        for (id, image) in images.iter_mut().filter(|(_, image)| !image.is_gone()) {
            orphans += image.prune();
            let counts = image.counts();
            if image.is_named() || id.index() == 0 {
                (queues, messages) = (queues + counts.0, messages + counts.1);
            } else {
                orphans += counts.1;
            }
        }
        let mut server = Self::new(config);
        server.set_now(now_ms);
        let reader = journal.reader();
        server.virtual_hosts.restore(images, recovery.was_closed, Box::new(move || Box::new(reader.clone())));
        server.journal = Some(Box::new(journal));
        server.is_opening = true;
        server.journal_moved();
        Ok((server, Restored { recovery, queues, messages, orphans }))
    }

    /// Returns the journal, if there is one.
    #[must_use]
    pub fn journal(&self) -> Option<&Journal> {
        self.journal.as_deref()
    }

    /// Returns an upper bound of the live bytes of the journal: the bytes of everything that is kept now, if it were
    /// written once.
    pub fn live_bytes(&mut self) -> u64 {
        live_bytes(&mut self.virtual_hosts)
    }

    fn journal_moved(&mut self) {
        self.durability = self.journal.as_ref().map_or(Durability::default(), |journal| Durability {
            next_write: journal.next_write(),
            durable_write: journal.durable_write(),
            has_failed: journal.failure().is_some(),
        });
    }

    /// Appends the facts of this turn to the journal.
    pub(super) fn write(&mut self) {
        let Self { journal: Some(journal), virtual_hosts, .. } = self else { return };
        if journal.failure().is_some() {
            return self.fail_awaiting_flush();
        }
        if let Some(error) = journal.take_unreadable() {
            return self.store_failed(&error.0);
        }
        if journal.may_append() {
            if let Err(error) = write(journal, virtual_hosts) {
                return self.store_failed(&error.0);
            }
            self.is_cleaning = wants_cleaning(journal, virtual_hosts);
        }
        if !journal.wants_anchor() {
            self.anchor_due_ms = None;
        } else if *self.anchor_due_ms.get_or_insert(self.now_ms + ANCHOR_AFTER_MS) <= self.now_ms {
            self.anchor_due_ms = None;
            if let Err(error) = journal.anchor() {
                return self.store_failed(&error.0);
            }
        }
        if journal.has_unflushed() {
            self.flush_due_ms.get_or_insert(self.now_ms + FLUSH_AFTER_MS);
        }
        self.journal_moved();
    }

    /// Returns whether the journal is to be cleaned further.
    pub(super) fn has_to_clean(&self) -> bool {
        let may_clean = |journal: &Journal| journal.failure().is_none() && journal.may_append();
        self.is_cleaning && self.journal.as_deref().is_some_and(may_clean)
    }

    /// Returns whether the store is to be flushed now, unless that is under way: something waits for it, or the bytes
    /// have waited long enough.
    #[must_use]
    pub fn wants_flush(&self) -> bool {
        let Some(journal) = self.journal.as_deref() else { return false };
        let is_awaited =
            self.is_opening || self.is_flush_wanted || !self.agenda.awaiting_flush.is_empty() || !journal.may_append();
        let is_due = self.flush_due_ms.is_some_and(|due_ms| due_ms <= self.now_ms);
        journal.failure().is_none() && journal.has_unflushed() && (is_awaited || is_due)
    }

    /// Begins a flush of the host's store, and returns a mark for everything that was appended so far.
    pub fn start_flush(&mut self) -> u64 {
        self.flush_due_ms = None;
        self.is_flush_wanted = false;
        self.journal.as_ref().map_or(0, |journal| journal.start_flush())
    }

    /// Confirms that everything appended before this flush began is durable: replies that waited for it leave. A turn
    /// has to follow.
    pub fn flushed(&mut self, mark: u64) {
        let Some(journal) = &mut self.journal else { return };
        journal.flushed(mark);
        let durable_write = journal.durable_write();
        self.is_opening = false;
        self.journal_moved();
        for id in std::mem::take(&mut self.agenda.awaiting_flush) {
            if let Some(slot) = self.sessions.get_mut(id) {
                slot.is_awaiting_flush = false;
                self.with(id, |session, _| session.flushed(durable_write));
            }
        }
    }

    /// Reports that the store has failed: from now on nothing durable is done, and connections with waiting replies
    /// close.
    pub fn store_failed(&mut self, reason: &str) {
        let Some(journal) = &mut self.journal else { return };
        if journal.failure().is_none() {
            journal.fail(StoreError(reason.into()));
        }
        self.journal_moved();
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
                self.with(id, |session, context| session.journal_failed(&reason, context));
            }
        }
    }

    /// Returns why nothing durable is done any more, if the store has failed.
    #[must_use]
    pub fn store_failure(&self) -> Option<&str> {
        self.journal.as_ref()?.failure().map(|error| &*error.0)
    }

    /// Returns a number for everything done so far, and requests its flush, for the embedding program: see
    /// [`is_durable`](Self::is_durable).
    pub fn current_write(&mut self) -> u64 {
        let Some(journal) = &self.journal else { return 0 };
        self.is_flush_wanted = true;
        if self.virtual_hosts.has_facts() { journal.next_write() } else { journal.next_write() - 1 }
    }

    /// Returns whether everything done when this write was [current](Self::current_write) is durable; never if the
    /// store
    /// failed before.
    #[must_use]
    pub fn is_durable(&self, write: u64) -> bool {
        self.journal.as_ref().is_none_or(|journal| journal.durable_write() >= write)
    }

    /// Ends the journal cleanly, after all connections have closed. Flushes have to follow, as long as they are
    /// [wanted](Self::wants_flush).
    pub fn close_journal(&mut self) {
        let Self { journal: Some(journal), virtual_hosts, .. } = self else { return };
        if journal.failure().is_some() {
            return;
        }
        virtual_hosts.iter_mut().for_each(|host| host.broker.note_deliveries());
        match append_facts(journal, virtual_hosts) {
            Ok(()) => journal.close(),
            Err(error) => self.store_failed(&error.0),
        }
    }
}

/// Returns the bytes of the facts that hold now, if each were written down once.
fn live_bytes(virtual_hosts: &mut VirtualHosts) -> u64 {
    virtual_hosts.iter_mut().map(|host| host.broker.kept_bytes()).sum()
}

/// Makes one write: the facts of this turn, and those from the oldest segment that still hold.
fn write(journal: &mut Journal, virtual_hosts: &mut VirtualHosts) -> Result<(), StoreError> {
    if wants_cleaning(journal, virtual_hosts) {
        clean(journal, virtual_hosts)?;
    }
    append_facts(journal, virtual_hosts)?;
    journal.end_write();
    journal.failure().map_or(Ok(()), |error| Err(error.clone()))
}

fn wants_cleaning(journal: &Journal, virtual_hosts: &mut VirtualHosts) -> bool {
    journal.wants_cleaning(live_bytes(virtual_hosts))
}

fn clean(journal: &mut Journal, virtual_hosts: &mut VirtualHosts) -> Result<(), StoreError> {
    let facts_bytes: usize = virtual_hosts.iter().map(|host| host.broker().facts().len()).sum();
    let mut budget_bytes = CLEAN_BYTES.max(2 * facts_bytes as u64);
    while let Some((id, facts, _)) = journal.clean_next(&mut budget_bytes)? {
        let Some(host) = virtual_hosts.get_mut(id) else { continue };
        let recalled = host.broker.recall(&host.name, facts);
        recalled.map_err(|malformed| StoreError(format!("The journal holds what is no fact: {malformed}.").into()))?;
    }
    Ok(())
}

fn append_facts(journal: &mut Journal, virtual_hosts: &mut VirtualHosts) -> Result<(), StoreError> {
    for gone in virtual_hosts.take_gone() {
        journal.append(gone, GONE)?;
    }
    for host in virtual_hosts.iter_mut().filter(|host| !host.broker.facts().is_empty()) {
        let at = journal.append(host.id, host.broker.facts())?;
        host.facts_written(journal.next_write(), at);
    }
    Ok(())
}
