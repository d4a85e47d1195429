//! Restoring: a broker starts from the facts that another one wrote down.

use super::image::{DelayedImage, Image, QueueImage, Recovered};
use crate::broker::model::headers;
use crate::broker::model::queue::partitions::Move;
use crate::broker::model::slot::SLOTS;
use crate::broker::model::state::State;
use crate::id::QueueId;

impl State {
    pub(crate) fn restore(&mut self, image: Image, was_closed: bool) {
        let (memory_bytes, kept_bytes) = image.bytes();
        self.count_restored(memory_bytes, kept_bytes);
        image.declare_in(self);
        let Image { mut queues, delayed, delayed_number, publishers, last_queue, .. } = image;
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
