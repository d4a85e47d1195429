//! Partitions: a front gets some, and the slots that move to them are sealed and opened.

use super::State;
use crate::broker::model::message::Message;
use crate::broker::model::queue::partitions::{Move, Part, Partitions};
use crate::broker::model::queue::{Kind, Queue};
use crate::broker::model::settings::Settings;
use crate::id::QueueId;
use crate::table::Table;

impl State {
    /// Adds partitions to a front; slots that move to them are sealed as long as their former owners have messages of
    /// them.
    pub(super) fn add_partitions(&mut self, front: QueueId, added: &[QueueId]) {
        let queue = self.queues.get_mut(front).expect("a fact's queue exists");
        self.room.take_off(queue.room());
        let partitions = queue.kind.front();
        let (known, moves) = (partitions.queues.len(), partitions.add(added));
        self.room.add(queue.room());
        let (name, durable, arguments) = (queue.name.clone(), queue.durable, queue.arguments.clone());
        let settings = Settings::of_arguments(&arguments).expect("a queue's arguments were checked");
        let (is_kept, queue_type) = (self.queue_mut(front).is_kept, settings.queue_type);
        for (number, &id) in (known..).zip(added) {
            let mut partition = Queue::new(&name, durable, false, false, Table::new(), settings.clone());
            partition.set_policy(
                self.policies.of_queue(&name, queue_type),
                self.operator_policies.of_queue(&name, queue_type),
            );
            partition.kind = Kind::partition(settings.max_priority, Part::new(front, number));
            partition.is_kept = is_kept;
            partition.count_ids_in(&self.ids_bytes);
            self.queues.insert_at(id, partition);
        }
        let sealed = moves.into_iter().filter(|&moved| self.seal(moved)).count();
        self.partitions_mut(front).sealed += sealed;
    }

    /// Seals a slot that moved, if its former owner has messages of it.
    pub(crate) fn seal(&mut self, Move { slot, from, to }: Move) -> bool {
        let mut older = 0;
        let count = &mut |_, message: &Message| older += usize::from(message.slot() == slot);
        let former = self.queue_mut(from);
        former.each_ready(count);
        former.each_unacked(count);
        if older == 0 {
            return false;
        }
        self.part_mut(from).let_go(slot, older, to);
        self.part_mut(to).seal(slot);
        true
    }

    /// Opens a slot here after its last message has left the former owner: messages that waited for it are ready.
    pub(super) fn unseal(&mut self, (slot, to): (u16, QueueId)) {
        for (number, message) in self.part_mut(to).unseal(slot) {
            self.enqueue_opened(to, number, message);
        }
        let front = self.part_mut(to).front;
        self.partitions_mut(front).sealed -= 1;
    }

    /// Makes a message ready that waited in a partition under this number.
    pub(crate) fn enqueue_opened(&mut self, id: QueueId, number: u64, message: Message) {
        let queue = self.queue_mut(id);
        let position = queue.end_for(&message);
        let is_kept = message.is_kept();
        queue.enqueue(message);
        if is_kept {
            self.opened.push((id, number, position));
        }
    }

    pub(crate) fn part_mut(&mut self, queue: QueueId) -> &mut Part {
        self.queue_mut(queue).kind.part_mut().expect("a slot's owner is a partition")
    }

    pub(crate) fn partitions_mut(&mut self, front: QueueId) -> &mut Partitions {
        self.queue_mut(front).kind.partitions_mut().expect("a partition's front has partitions")
    }
}
