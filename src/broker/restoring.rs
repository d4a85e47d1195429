//! Restoring: a broker begins with what facts say that another one wrote down.

use super::Broker;
use super::exchange::Destination;
use super::headers;
use super::image::{Declared, DelayedImage, ExchangeImage, Held, Image, QueueImage};
use super::message::Message;
use super::partition::{self, Move};
use super::record::Record;
use super::state::State;
use super::upkeep::Due;
use crate::id::QueueId;
use crate::table::Table;

impl Broker {
    /// Begins with what the facts say. `was_closed` tells whether they were written to their end: then it is known what was
    /// delivered before, and otherwise every message may have been. Nobody must have used the broker yet.
    pub fn restore(&mut self, mut image: Image, was_closed: bool) {
        image.prune();
        let delayed: Vec<_> = image.delayed.iter().map(|(number, delayed)| (number, delayed.due_ms)).collect();
        self.state.restore(image, was_closed);
        for (number, due_ms) in delayed {
            self.timers.insert(due_ms, Due::Delay(number));
        }
        let all: Vec<_> = self.state.all_queues().map(|(id, _)| id).collect();
        for id in all {
            self.watch_use(id);
            self.changed.push(id);
        }
    }
}

impl State {
    fn restore(&mut self, image: Image, was_closed: bool) {
        let (memory_bytes, kept_bytes) = image.bytes();
        let Image {
            exchanges, policies, mut queues, bindings, delayed, delayed_number, publishers, last_queue, ..
        } = image;
        self.count_restored(memory_bytes, kept_bytes);
        for (name, exchange) in &exchanges {
            let ExchangeImage { kind, auto_delete, internal, ref arguments } = *exchange;
            self.apply(&Record::ExchangeDeclared { name, kind, durable: true, auto_delete, internal, arguments });
        }
        for (name, policy) in &policies {
            self.apply(&Record::PolicySet { name, policy });
        }
        for (&queue, known) in &queues {
            self.restore_declaration(queue, known);
        }
        for (source, destination, routing_key, arguments) in &bindings {
            if self.exchange(source).is_some() && self.is_there(destination) {
                let arguments = &Table::decode(arguments).expect("a table that was encoded can be decoded");
                self.apply(&Record::Bound { source, destination, routing_key, arguments });
            }
        }
        for (number, DelayedImage { message, .. }) in delayed.into_iter() {
            self.restore_delayed(number, message);
        }
        self.go_on_after(last_queue, delayed_number, publishers);
        for (&id, queue) in &mut queues {
            self.restore_messages(id, queue, was_closed);
        }
        self.settle_slots();
        for (id, queue) in queues {
            self.restore_waiting(id, queue);
            self.fetch_head(id);
        }
    }

    fn is_there(&self, destination: &Destination) -> bool {
        match destination {
            Destination::Queue(queue) => self.queue(*queue).is_some(),
            Destination::Exchange(name) => self.exchange(name).is_some(),
        }
    }

    fn restore_declaration(&mut self, queue: QueueId, image: &QueueImage) {
        let Some(Declared { name, auto_delete, arguments }) = &image.declared else { return };
        let (durable, exclusive, auto_delete) = (true, false, *auto_delete);
        self.apply(&Record::QueueDeclared { queue, name, durable, exclusive, auto_delete, arguments });
        for partitions in image.partitions.values() {
            self.apply(&Record::PartitionsAdded { front: queue, partitions });
        }
    }

    fn restore_messages(&mut self, id: QueueId, image: &mut QueueImage, was_closed: bool) {
        for tier in std::mem::take(&mut image.tiers).into_values() {
            for (position, held) in tier.held {
                self.restore_message(id, position, held);
            }
            let touched_below = if was_closed { tier.touched_below } else { tier.end };
            if tier.end > 0 {
                self.queue_mut(id).go_on_from(tier.end, touched_below);
            }
        }
    }

    fn restore_message(&mut self, id: QueueId, position: u64, held: Held) {
        let Held { mut message, body_bytes, returns } = held;
        let queue = self.queue_mut(id);
        if returns > 0 && queue.settings.counts_deliveries() && !message.is_slip() {
            let mut counted = headers::with_delivery_count(&message, returns, &mut Vec::new());
            counted.set_kept(true);
            self.count_in(&counted);
            self.count_out(&message);
            message = counted;
        }
        self.count_place(&message);
        self.queue_mut(id).restore(position, message, returns, body_bytes as usize);
    }

    /// Seals each slot of which messages are in another partition than that which owns it.
    fn settle_slots(&mut self) {
        let fronts: Vec<_> =
            self.all_queues().filter(|(_, queue)| queue.partitions.is_some()).map(|(id, _)| id).collect();
        for front in fronts {
            let parts = self.partitions_mut(front).queues.clone();
            let mut moves: Vec<Move> = parts.into_iter().flat_map(|part| self.moves_from(front, part)).collect();
            moves.sort_unstable_by_key(|moved| (moved.slot, moved.from));
            moves.dedup();
            let sealed = moves.into_iter().filter(|&moved| self.seal(moved)).count();
            self.partitions_mut(front).sealed += sealed;
        }
    }

    fn moves_from(&mut self, front: QueueId, part: QueueId) -> Vec<Move> {
        self.fetch_all(part);
        let owners = self.queue(front).and_then(|queue| queue.partitions.as_ref()).expect("a front has partitions");
        let messages = self.queue(part).into_iter().flat_map(|queue| queue.ready());
        let slots = messages.map(|(_, message)| partition::slot(message));
        let moved = slots.map(|slot| Move { slot, from: part, to: owners.owner(slot) });
        moved.filter(|moved| moved.from != moved.to).collect()
    }

    fn restore_waiting(&mut self, id: QueueId, image: QueueImage) {
        if image.arrivals == 0 {
            return;
        }
        self.part_mut(id).count_on_from(image.arrivals);
        for (number, held) in image.waiting.into_iter() {
            self.count_place(&held.message);
            match self.part_mut(id).hold_again(number, held.message) {
                None => {}
                Some(message) => self.enqueue_opened(id, number, message),
            }
        }
    }

    fn restore_delayed(&mut self, number: u64, message: Message) {
        self.count_place(&message);
        self.hold_delayed(number, message);
    }
}
