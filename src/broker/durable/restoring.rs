//! Restoring: a broker starts from the facts that another one wrote down.

use super::fact::{self, Flags};
use super::image::{Declared, DelayedImage, ExchangeImage, Image, QueueImage, Recovered};
use crate::broker::model::exchange::Destination;
use crate::broker::model::headers;
use crate::broker::model::queue::partitions::Move;
use crate::broker::model::record::Record;
use crate::broker::model::slot::SLOTS;
use crate::broker::model::state::State;
use crate::id::QueueId;

impl State {
    pub(crate) fn restore(&mut self, image: Image, was_closed: bool) {
        let (memory_bytes, kept_bytes) = image.bytes();
        self.count_restored(memory_bytes, kept_bytes);
        let Image {
            exchanges, policies, mut queues, bindings, delayed, delayed_number, publishers, last_queue, ..
        } = image;
        for ExchangeImage { name, kind, flags: Flags { auto_delete, internal }, arguments } in &exchanges {
            let (kind, durable, auto_delete, internal) = (*kind, true, *auto_delete, *internal);
            self.apply(&Record::ExchangeDeclared { name, kind, durable, auto_delete, internal, arguments });
        }
        for (name, policy) in policies.iter() {
            self.apply(&Record::PolicySet { name, policy });
        }
        for queue in queues.ids() {
            self.restore_declaration(queue, queues.get(queue).expect("it is there"));
        }
        for binding in &bindings {
            let bound = fact::read_binding(binding).expect("it was read before");
            let (source, ref destination, routing_key, ref arguments) = bound;
            if self.exchange(source).is_some() && self.is_there(destination) {
                self.apply(&Record::Bound { source, destination, routing_key, arguments });
            }
        }
        for (number, DelayedImage { message, .. }) in delayed.into_iter() {
            self.count_place(&message);
            self.hold_delayed(number, message);
        }
        self.go_on_after(last_queue, delayed_number, publishers);
        for id in queues.ids() {
            self.restore_messages(id, queues.get_mut(id).expect("it is there"), was_closed);
        }
        self.settle_slots();
        for id in queues.ids() {
            self.restore_sealed(id, queues.remove(id).expect("it is there"));
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
        for (_, partitions) in &image.partitions {
            self.apply(&Record::PartitionsAdded { front: queue, partitions });
        }
    }

    fn restore_messages(&mut self, id: QueueId, image: &mut QueueImage, was_closed: bool) {
        for tier in &mut image.tiers {
            while let Some((position, recovered)) = tier.pop_first() {
                self.restore_message(id, position, recovered);
            }
            let touched_below = if was_closed { tier.touched_below } else { tier.end };
            if tier.end > 0 {
                self.queue_mut(id).go_on_from(tier.end, touched_below);
                self.queue_mut(id).restore_eras(tier.end, std::mem::take(&mut tier.eras));
            }
        }
        if self.queue(id).is_some_and(|queue| queue.settings.deduplicates) {
            self.fetch_all(id);
        }
    }

    fn restore_message(&mut self, id: QueueId, position: u64, recovered: Recovered) {
        let Recovered { mut message, body_bytes, returns } = recovered;
        let queue = self.queue_mut(id);
        if returns > 0 && queue.settings.counts_deliveries() && !message.is_stub() {
            let mut counted = headers::with_delivery_count(&message, returns, &mut Vec::new());
            counted.set_kept(true);
            self.count_in(&counted);
            self.let_go_of(std::mem::replace(&mut message, counted));
        }
        self.count_place(&message);
        self.queue_mut(id).restore(position, message, returns, body_bytes as usize);
    }

    /// Seals each slot that has messages in a partition other than its owner.
    fn settle_slots(&mut self) {
        for front in self.queue_ids() {
            let Some(partitions) = self.queue(front).and_then(|queue| queue.kind.partitions()) else { continue };
            let mut strayed: Vec<Option<QueueId>> = vec![None; SLOTS];
            for part in partitions.queues.clone() {
                self.queue_mut(part).each_ready(&mut |_, message| {
                    strayed[usize::from(message.slot())] = Some(part);
                });
                self.settle_slots_of(front, part, &strayed);
                strayed.fill(None);
            }
        }
    }

    fn settle_slots_of(&mut self, front: QueueId, part: QueueId, strayed: &[Option<QueueId>]) {
        for slot in (0u16..).zip(strayed).filter_map(|(slot, from)| from.map(|_| slot)) {
            let to = self.partitions_mut(front).owner(slot);
            if to != part && self.seal(Move { slot, from: part, to }) {
                self.partitions_mut(front).sealed += 1;
            }
        }
    }

    fn restore_sealed(&mut self, id: QueueId, image: QueueImage) {
        if image.arrivals == 0 {
            return;
        }
        self.part_mut(id).count_on_from(image.arrivals);
        for (number, recovered) in image.sealed.into_iter() {
            self.count_place(&recovered.message);
            self.queue_mut(id).note_id(&recovered.message);
            if let Some(message) = self.part_mut(id).hold_again(number, recovered.message) {
                self.enqueue_opened(id, number, message);
            }
        }
    }
}
