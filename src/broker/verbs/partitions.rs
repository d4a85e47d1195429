//! Partitions: a queue gets partitions, later more of them, and each has the one consumer that may take from it.

use super::Broker;
use super::topology::QueueDeclaration;
use crate::broker::model::error::Error;
use crate::broker::model::queue::Counters;
use crate::broker::model::record::Record;
use crate::broker::model::room;
use crate::broker::model::settings::Settings;
use crate::id::{ConsumerId, QueueId};
use crate::table::Table;

/// Number of messages in a queue, and its counters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// Messages that wait for their slot included.
    pub(crate) ready: usize,
    pub(crate) ready_bytes: usize,
    pub(crate) unacked: usize,
    pub(crate) counters: Counters,
}

impl Broker {
    /// Makes the partitions that a new queue's arguments request.
    pub(super) fn add_partitions(&mut self, front: QueueId, arguments: &Table) {
        let wanted = Settings::of_arguments(arguments).ok().and_then(|settings| settings.partitions);
        let known = self.parts_of(front).len() - usize::from(!self.is_front(front));
        let Some(missing) = wanted.and_then(|wanted| usize::from(wanted).checked_sub(known)).filter(|&n| n > 0) else {
            return;
        };
        let partitions = &self.state.next_queues(missing);
        self.commit(&Record::PartitionsAdded { front, partitions });
        self.spread_consumers(front, None);
    }

    /// Adds partitions to a queue that is declared again with more of them.
    ///
    /// # Errors
    /// While slots still move since the last increase.
    pub(super) fn raise_partitions(&mut self, front: QueueId, declaration: &QueueDeclaration<'_>) -> Result<(), Error> {
        let Some(partitions) = self.state.queue(front).and_then(|queue| queue.kind.partitions()) else {
            return Ok(());
        };
        let wanted = Settings::of_arguments(declaration.arguments).ok().and_then(|settings| settings.partitions);
        if wanted.is_none_or(|wanted| usize::from(wanted) <= partitions.queues.len()) {
            return Ok(());
        }
        if partitions.sealed > 0 {
            return Err(Error::PartitionsMove(declaration.name.into(), partitions.sealed));
        }
        self.check_room(room::of_new_queue(declaration.name, declaration.arguments))?;
        self.check_keeping(self.state.is_kept_queue(front))?;
        self.add_partitions(front, declaration.arguments);
        Ok(())
    }

    pub(super) fn is_front(&self, queue: QueueId) -> bool {
        self.state.queue(queue).is_some_and(|queue| queue.kind.partitions().is_some())
    }

    /// Returns the queues that hold the messages of a declared queue: its partitions, or the queue itself.
    pub(super) fn parts_of(&self, id: QueueId) -> Vec<QueueId> {
        match self.state.queue(id).and_then(|queue| queue.kind.partitions()) {
            Some(partitions) => partitions.queues.clone(),
            None => vec![id],
        }
    }

    pub(super) fn ready_count(&self, id: QueueId) -> usize {
        self.tally(id).ready
    }

    /// Sums up a queue over all its parts.
    pub(super) fn tally(&self, id: QueueId) -> Tally {
        let parts = self.parts_of(id).into_iter().filter_map(|part| self.state.queue(part));
        parts.fold(Tally::default(), |sum, part| Tally {
            ready: sum.ready + part.ready_count() + part.sealed_messages().count(),
            ready_bytes: sum.ready_bytes + part.ready_bytes(),
            unacked: sum.unacked + part.unacked_count(),
            counters: sum.counters.plus(part.counters),
        })
    }

    /// Makes the partitions appoint their consumers anew after those of the front changed; `gone` is one that left.
    pub(super) fn spread_consumers(&mut self, front: QueueId, gone: Option<ConsumerId>) {
        if !self.is_front(front) {
            return;
        }
        for part in self.parts_of(front) {
            let runtime = self.runtime_of(part);
            runtime.is_part = true;
            runtime.sole.take_if(|sole| Some(*sole) == gone);
            self.changed.push(part);
        }
    }

    /// Appoints the consumer that alone gets messages of this partition, as soon as the last one has none unacked any
    /// more.
    pub(super) fn appoint(&mut self, id: QueueId) {
        let Some(queue) = self.state.queue(id) else { return };
        let Some(part) = queue.kind.part() else { return };
        let (front, number, is_free) = (part.front, part.number, queue.unacked_count() == 0);
        let consumers = self.runtimes.get(front).map_or(&[][..], |runtime| &runtime.consumers);
        let entitled: Option<ConsumerId> = (!consumers.is_empty()).then(|| consumers[number % consumers.len()]);
        let runtime = self.runtime_of(id);
        if runtime.sole != entitled {
            runtime.sole = entitled.filter(|_| is_free);
        }
    }

    /// Marks a partition as changed before a message leaves it: another consumer may then take over, or messages that
    /// waited in another partition may become ready.
    pub(super) fn part_changes(&mut self, id: QueueId) {
        let Some(part) = self.state.queue(id).and_then(|queue| queue.kind.part()) else { return };
        let (front, is_shedding) = (part.front, part.is_shedding());
        self.changed.push(id);
        if is_shedding {
            self.changed.extend(self.parts_of(front));
        }
    }

    /// Returns the part of a queue from which `get` takes the next message.
    pub(super) fn part_to_get_from(&self, id: QueueId) -> QueueId {
        let parts = self.state.queue(id).and_then(|queue| queue.kind.partitions());
        let has_ready = |part: &QueueId| self.state.queue(*part).is_some_and(|part| part.ready_count() > 0);
        parts.and_then(|parts| parts.queues.iter().copied().find(has_ready)).unwrap_or(id)
    }

    /// Activates the parts of a front one of whose consumers arrived or has room again.
    pub(super) fn activate_parts_of(&mut self, consumer: ConsumerId, front: QueueId) {
        for part in self.parts_of(front) {
            if self.runtimes.get(part).is_some_and(|runtime| runtime.sole == Some(consumer)) {
                self.activate(part);
            }
        }
    }

    /// Removes the runtimes of the partitions of a front that is deleted.
    pub(super) fn forget_partitions(&mut self, front: QueueId) {
        if !self.is_front(front) {
            return;
        }
        for part in self.parts_of(front) {
            let runtime = self.runtimes.remove(part).unwrap_or_default();
            self.stop(runtime.expiry.map(|(_, timer)| timer));
            self.active.retain(|&known| known != part);
        }
    }
}
