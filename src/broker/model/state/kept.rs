//! Kept: counts the state's messages in memory and in the store, and pages them out and in.

use super::{ReadMessage, State};
use crate::broker::model::exchange::Destination;
use crate::broker::model::headers;
use crate::broker::model::message::{Message, PLACE_MEMORY_BYTES, Parts};
use crate::broker::model::pager::{Location, Pager};
use crate::broker::model::place::{PLACE_BYTES, Place};
use crate::broker::model::queue::Fetched;
use crate::id::QueueId;

impl State {
    /// Returns the bytes that kept messages take in the store.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Sets how paged-out messages are read back, and how their bytes are parsed.
    pub(crate) fn set_pager(&mut self, pager: Box<dyn Pager>, read: ReadMessage) {
        self.pager.0 = Some((pager, read));
    }

    pub(crate) fn is_kept_exchange(&self, name: &str) -> bool {
        self.exchange(name).is_some_and(|exchange| exchange.durable)
    }

    pub(crate) fn is_kept_queue(&self, queue: QueueId) -> bool {
        self.queue(queue).is_some_and(|queue| queue.is_kept)
    }

    pub(crate) fn is_kept_binding(&self, source: &str, destination: &Destination) -> bool {
        self.is_kept_exchange(source)
            && match destination {
                Destination::Queue(queue) => self.is_kept_queue(*queue),
                Destination::Exchange(name) => self.is_kept_exchange(name),
            }
    }

    /// Returns whether one of these queues keeps a message.
    pub(crate) fn is_kept(&self, queues: &[QueueId], message: &Message) -> bool {
        queues.iter().any(|&queue| self.queue(queue).is_some_and(|queue| queue.keeps(message)))
    }

    /// Returns the messages that waited in a partition and got a position since the last call.
    pub(crate) fn take_opened(&mut self) -> Vec<(QueueId, u64, u64)> {
        std::mem::take(&mut self.opened)
    }

    /// Gives queues that do not outlive the broker a copy of the message, so that the shares of the kept one tell how
    /// long it is kept.
    pub(super) fn publish_kept(&mut self, message: &Message, queues: &[QueueId]) {
        self.count_in(message);
        let mut passing: Option<Message> = None;
        for &id in queues {
            if self.queue_mut(id).keeps(message) {
                self.count_place(message);
                self.queue_mut(id).push(message.share());
                continue;
            }
            let copy = passing.get_or_insert_with(|| {
                let mut copy = message.copied();
                copy.set_kept(false);
                copy
            });
            let copy = copy.share();
            self.count_place(&copy);
            self.queue_mut(id).push(copy);
        }
        passing.into_iter().for_each(|copy| self.count_in(&copy));
    }

    /// Counts a new message.
    pub(crate) fn count_in(&mut self, message: &Message) {
        self.memory_bytes += message.memory_bytes();
        if message.is_kept() {
            self.kept_bytes += message.kept_bytes();
        }
    }

    /// Counts a place of a message.
    pub(crate) fn count_place(&mut self, message: &Message) {
        self.memory_bytes += PLACE_MEMORY_BYTES;
        if message.is_kept() {
            self.kept_bytes += PLACE_BYTES;
            self.has_stubs |= message.is_stub();
        }
    }

    /// Drops a message from a place; after the last place it is no longer counted.
    pub(super) fn forget(&mut self, message: Message) {
        self.memory_bytes -= PLACE_MEMORY_BYTES;
        if message.is_kept() {
            self.kept_bytes -= PLACE_BYTES;
        }
        if message.is_last() {
            self.count_out(&message);
        }
    }

    /// Stops counting a message that is no longer shared.
    pub(crate) fn count_out(&mut self, message: &Message) {
        self.memory_bytes -= message.memory_bytes();
        if message.is_kept() {
            self.kept_bytes -= message.kept_bytes();
        }
    }

    /// Drops a message that something else replaced.
    pub(crate) fn let_go_of(&mut self, message: Message) {
        if message.is_last() {
            self.count_out(&message);
        }
    }

    /// Counts restored messages, without their places.
    pub(crate) fn count_restored(&mut self, memory_bytes: usize, kept_bytes: usize) {
        self.memory_bytes += memory_bytes;
        self.kept_bytes += kept_bytes;
    }

    /// Returns the message at a place, if it is there and kept.
    pub(crate) fn kept_at(&self, place: Place) -> Option<&Message> {
        let message = match place {
            Place::Queue(queue, position) => self.queues.get(queue)?.message(position),
            Place::Sealed(queue, number) => {
                let sealed = &mut self.queues.get(queue)?.sealed_messages();
                sealed.find(|(known, _)| *known == number).map(|(_, message)| message)
            }
            Place::Delayed(number) => self.delayed.get(number),
        };
        message.filter(|message| message.is_kept())
    }

    /// Pages out the message that was written down at `at`, at all its places. That must be possible.
    pub(crate) fn put_away(&mut self, places: &[Place], at: Location, length: u32) {
        let Some(message) = places.iter().find_map(|&place| self.kept_at(place)) else { return };
        let is_in_part = places.iter().any(|&place| match place {
            Place::Queue(queue, _) => self.queues.get(queue).is_some_and(|queue| queue.kind.part().is_some()),
            _ => false,
        });
        let stub = message.stub(at, length, is_in_part);
        self.has_stubs = true;
        self.count_in(&stub);
        for &place in places {
            let Place::Queue(queue, position) = place else { continue };
            let replaced = self.queue_mut(queue).exchange(position, stub.share());
            self.let_go_of(replaced);
        }
    }

    /// Returns whether the message may be paged out at all these places.
    pub(crate) fn can_put_away(&self, places: &[Place]) -> bool {
        places.iter().all(|&place| match place {
            Place::Queue(queue, position) => {
                self.queues.get(queue).is_some_and(|queue| queue.can_put_away(position))
                    && self.kept_at(place).is_some()
            }
            _ => false,
        })
    }

    /// Fetches the next message of a queue, if it is a stub.
    pub(crate) fn fetch_head(&mut self, queue: QueueId) {
        if self.has_stubs {
            self.fetch_stub_at_head(queue);
        }
    }

    #[inline(never)]
    fn fetch_stub_at_head(&mut self, queue: QueueId) {
        let Some(known) = self.queues.get_mut(queue) else { return };
        let Some(position) = known.stub_at_head() else { return };
        if let Some(former) = known.fetched.take() {
            self.put_back(queue, &former);
        }
        self.queue_mut(queue).fetched = self.fetch(queue, position);
    }

    /// Replaces a fetched message by a stub again, if it is still in its queue.
    pub(super) fn put_back(&mut self, queue: QueueId, fetched: &Fetched) {
        let place = Place::Queue(queue, fetched.position);
        if self.kept_at(place).is_some_and(|message| !message.is_stub()) {
            self.put_away(&[place], fetched.at, fetched.length);
        }
    }

    /// Updates the location of a message that was written down again.
    pub(crate) fn moved(&mut self, place: Place, at: Location, length: u32) {
        let Place::Queue(queue, position) = place else { return };
        let head = self.queues.get_mut(queue).and_then(|queue| queue.fetched.as_mut());
        let lent = self.lent.as_mut().filter(|(lender, _)| *lender == queue).map(|(_, fetched)| fetched);
        for fetched in head.into_iter().chain(lent).filter(|fetched| fetched.position == position) {
            (fetched.at, fetched.length) = (at, length);
        }
    }

    /// Fetches all ready messages of a queue.
    pub(crate) fn fetch_all(&mut self, queue: QueueId) {
        let stubs = self.queues.get(queue).map(|queue| queue.stubs()).unwrap_or_default();
        for position in stubs {
            self.fetch(queue, position);
        }
    }

    /// Reads a message back, and returns its location. If it cannot be read any more, the stub stays.
    pub(crate) fn fetch(&mut self, id: QueueId, position: u64) -> Option<Fetched> {
        let queue = self.queues.get(id).expect("a stub's queue exists");
        let (at, length) = queue.message(position).and_then(Message::as_stub)?;
        let (pager, read) = self.pager.0.as_mut()?;
        let parts: Parts<'_> = read(pager.read(at, length)?)?;
        let scratch = &mut Vec::new();
        let mut message = Message::new(&parts, scratch);
        let returns = queue.returns(position);
        if returns > 0 && queue.settings.counts_deliveries() {
            message = headers::with_delivery_count(&message, returns, scratch);
        }
        message.set_kept(true);
        self.count_in(&message);
        let stub = self.queue_mut(id).exchange(position, message);
        self.let_go_of(stub);
        Some(Fetched { position, at, length })
    }
}
