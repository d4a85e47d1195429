//! Storage: what makes a server durable, with a journal in it.
//!
//! Only [`Server::open`](super::Server::open) makes one, and a server knows it by a trait: a program that never calls it
//! contains no journal.

use std::fmt;

use super::Core;
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

/// Writes the facts of virtual hosts down, and says when they are durable.
pub(super) trait Storage {
    /// Writes down the facts of this turn.
    ///
    /// # Errors
    /// When they cannot be written down, or bytes that were written cannot be read back.
    fn write(&mut self, virtual_hosts: &mut VirtualHosts, now_ms: u64) -> Result<(), StoreError>;

    /// Returns whether more is to be cleaned, in further turns.
    fn has_to_clean(&self) -> bool;

    /// Returns when it is to be written or flushed next.
    fn deadline_ms(&self) -> Option<u64>;

    /// Returns whether there is something to flush; if nothing waits for that, not before it is due.
    fn wants_flush(&self, is_awaited: bool, now_ms: u64) -> bool;

    /// Begins a flush, and returns a mark for everything that was written so far.
    fn start_flush(&mut self) -> u64;

    /// Confirms that everything written before this mark is durable.
    fn flushed(&mut self, mark: u64);

    /// Returns which writes are durable.
    fn durability(&self) -> Durability;

    /// Writes nothing from now on.
    fn fail(&mut self, reason: &str);

    /// Returns why nothing is written any more, if it has failed.
    fn failure(&self) -> Option<&str>;

    /// Writes down the end of everything.
    ///
    /// # Errors
    /// When it cannot be written down.
    fn close(&mut self, virtual_hosts: &mut VirtualHosts) -> Result<(), StoreError>;

    /// Returns its bytes, and the number of its segments.
    fn size(&self) -> (u64, usize);
}

impl fmt::Debug for dyn Storage + '_ {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Storage")
    }
}

/// Size of a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSize {
    /// Bytes of all segments.
    pub bytes: u64,
    /// Upper bound of the live bytes: those of everything that is kept now, if it were written once.
    pub live_bytes: u64,
    /// Number of segments.
    pub segments: usize,
}

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

impl Core {
    /// Makes a server that keeps what is durable in a store, and restores what is there. The host flushes once before
    /// it accepts peers: until then nothing is delivered.
    ///
    /// # Errors
    /// When the store cannot be used, or its contents cannot be relied on.
    pub(super) fn open(
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
        server.virtual_hosts.restore(images, recovery.was_closed, move || Box::new(reader.clone()));
        let storage = JournalStorage { journal, flush_due_ms: None, anchor_due_ms: None, is_cleaning: false };
        server.durability = storage.durability();
        server.storage = Some(Box::new(storage));
        server.is_opening = true;
        Ok((server, Restored { recovery, queues, messages, orphans }))
    }
}

/// A journal in a store of the host's.
struct JournalStorage {
    journal: Journal,
    /// Time by which appended bytes are flushed, even if nothing waits for them.
    flush_due_ms: Option<u64>,
    anchor_due_ms: Option<u64>,
    /// Whether more of the oldest segment is to be cleaned.
    is_cleaning: bool,
}

impl Storage for JournalStorage {
    fn write(&mut self, virtual_hosts: &mut VirtualHosts, now_ms: u64) -> Result<(), StoreError> {
        if let Some(error) = self.journal.take_unreadable() {
            return Err(error);
        }
        if self.journal.may_append() {
            self.append(virtual_hosts)?;
            self.is_cleaning = self.wants_cleaning(virtual_hosts);
        }
        if !self.journal.wants_anchor() {
            self.anchor_due_ms = None;
        } else if *self.anchor_due_ms.get_or_insert(now_ms + ANCHOR_AFTER_MS) <= now_ms {
            self.anchor_due_ms = None;
            self.journal.anchor()?;
        }
        if self.journal.has_unflushed() {
            self.flush_due_ms.get_or_insert(now_ms + FLUSH_AFTER_MS);
        }
        Ok(())
    }

    fn has_to_clean(&self) -> bool {
        self.is_cleaning && self.journal.failure().is_none() && self.journal.may_append()
    }

    fn deadline_ms(&self) -> Option<u64> {
        self.flush_due_ms.into_iter().chain(self.anchor_due_ms).min()
    }

    fn wants_flush(&self, is_awaited: bool, now_ms: u64) -> bool {
        let is_due = self.flush_due_ms.is_some_and(|due_ms| due_ms <= now_ms);
        self.journal.failure().is_none()
            && self.journal.has_unflushed()
            && (is_awaited || is_due || !self.journal.may_append())
    }

    fn start_flush(&mut self) -> u64 {
        self.flush_due_ms = None;
        self.journal.start_flush()
    }

    fn flushed(&mut self, mark: u64) {
        self.journal.flushed(mark);
    }

    fn durability(&self) -> Durability {
        let journal = &self.journal;
        let (next_write, durable_write) = (journal.next_write(), journal.durable_write());
        Durability { next_write, durable_write, has_failed: journal.failure().is_some() }
    }

    fn fail(&mut self, reason: &str) {
        if self.journal.failure().is_none() {
            self.journal.fail(StoreError(reason.into()));
        }
    }

    fn failure(&self) -> Option<&str> {
        self.journal.failure().map(|error| &*error.0)
    }

    fn close(&mut self, virtual_hosts: &mut VirtualHosts) -> Result<(), StoreError> {
        virtual_hosts.iter_mut().for_each(|host| host.broker.note_deliveries());
        self.append_facts(virtual_hosts)?;
        self.journal.close();
        Ok(())
    }

    fn size(&self) -> (u64, usize) {
        (self.journal.total_bytes(), self.journal.segment_count())
    }
}

impl JournalStorage {
    /// Makes one write: the facts of this turn, and those from the oldest segment that still hold.
    fn append(&mut self, virtual_hosts: &mut VirtualHosts) -> Result<(), StoreError> {
        if self.wants_cleaning(virtual_hosts) {
            self.clean(virtual_hosts)?;
        }
        self.append_facts(virtual_hosts)?;
        self.journal.end_write();
        self.journal.failure().map_or(Ok(()), |error| Err(error.clone()))
    }

    fn wants_cleaning(&self, virtual_hosts: &mut VirtualHosts) -> bool {
        self.journal.wants_cleaning(&mut || {
            virtual_hosts.measure();
            virtual_hosts.live_bytes()
        })
    }

    fn clean(&mut self, virtual_hosts: &mut VirtualHosts) -> Result<(), StoreError> {
        let facts_bytes: usize = virtual_hosts.iter().map(|host| host.broker().facts().len()).sum();
        let mut budget_bytes = CLEAN_BYTES.max(2 * facts_bytes as u64);
        while let Some((id, facts, _)) = self.journal.clean_next(&mut budget_bytes)? {
            let Some(host) = virtual_hosts.get_mut(id) else { continue };
            let recalled = host.broker.recall(&host.name, facts);
            recalled
                .map_err(|malformed| StoreError(format!("The journal holds what is no fact: {malformed}.").into()))?;
        }
        Ok(())
    }

    fn append_facts(&mut self, virtual_hosts: &mut VirtualHosts) -> Result<(), StoreError> {
        for gone in virtual_hosts.take_gone() {
            self.journal.append(gone, GONE)?;
        }
        for host in virtual_hosts.iter_mut().filter(|host| !host.broker.facts().is_empty()) {
            let at = self.journal.append(host.id, host.broker.facts())?;
            host.facts_written(self.journal.next_write(), at);
        }
        Ok(())
    }
}
