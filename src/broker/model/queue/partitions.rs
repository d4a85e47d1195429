//! Partition: one part of a queue, with its own order; a message's key decides to which part it goes.
//!
//! ```text
//!   key ── hash ──> one of 1,024 slots ── map ──> one of n partitions ──> the one consumer that is active there
//! ```
//!
//! The queue with the name is the *front*: it has the bindings and the consumers, but no messages. Its partitions are
//! queues without a name. A key always has the same slot, so messages with the same key are in the same partition, in
//! order. The slots never change; their owners do when partitions are added:
//!
//! ```text
//!   former owner   still holds older messages of the slot ── the last one is settled ──┐
//!   new owner      sealed: what arrives for the slot waits ────────────────────────────┴──> ready
//! ```
//!
//! As the number of partitions never falls, it is the *epoch* of the map. A publisher that computes partitions itself
//! may state its epoch in the header `x-partition-epoch`; a stale one is refused, and the publisher asks for the number
//! again.

use crate::broker::model::message::Message;
use crate::broker::model::numbered::Numbered;
use crate::broker::model::slot::{self, SLOTS};
use crate::id::QueueId;
use crate::properties::Properties;

const EPOCH: &str = "x-partition-epoch";

/// Partitions of a front, and the owners of the slots.
#[derive(Debug)]
pub(crate) struct Partitions {
    pub(crate) queues: Vec<QueueId>,
    /// The partition that owns each slot.
    owners: Vec<u16>,
    /// Number of sealed slots.
    pub(crate) sealed: usize,
}

/// A slot that moves from one partition to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) slot: u16,
    pub(crate) from: QueueId,
    pub(crate) to: QueueId,
}

/// Slots of a partition that are moving.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) front: QueueId,
    pub(crate) number: usize,
    /// Slots that are sealed here, and the messages that wait for them.
    coming: Numbered<Vec<(u64, Message)>>,
    /// Number of messages that have waited here so far, which numbers them.
    arrivals: u64,
    /// Slots that moved away: the number of their older messages still here, and their new owner.
    going: Numbered<(usize, QueueId)>,
}

impl Partitions {
    pub(crate) fn new() -> Self {
        Self { queues: Vec::new(), owners: Vec::new(), sealed: 0 }
    }

    /// Returns the partition for messages with this key, or `None` if the message states another epoch.
    pub(crate) fn find(&self, routing_key: &str, properties: Properties<'_>) -> Option<QueueId> {
        let is_stale =
            properties.header(EPOCH).is_some_and(|epoch| epoch.as_integer() != Some(self.queues.len() as i64));
        let owner = self.owners[usize::from(slot::of(routing_key, properties))];
        (!is_stale).then(|| self.queues[usize::from(owner)])
    }

    /// Returns the partition that owns a slot.
    pub(crate) fn owner(&self, slot: u16) -> QueueId {
        self.queues[usize::from(self.owners[usize::from(slot)])]
    }

    /// Adds partitions, and returns the slots that move to them: as few as make all shares equal.
    pub(crate) fn add(&mut self, added: &[QueueId]) -> Vec<Move> {
        let known = self.queues.len();
        self.queues.extend_from_slice(added);
        let count = self.queues.len();
        if known == 0 {
            self.owners = (0..SLOTS).map(|slot| (slot % count) as u16).collect();
            return Vec::new();
        }
        let mut moves = Vec::new();
        let mut shares = vec![0; count];
        self.owners.iter().for_each(|&owner| shares[usize::from(owner)] += 1);
        for slot in 0..SLOTS {
            let from = usize::from(self.owners[slot]);
            let needy = (known..count).min_by_key(|&to| shares[to]);
            let Some(to) = needy.filter(|&to| shares[to] < SLOTS / count && shares[from] > SLOTS / count) else {
                continue;
            };
            shares[from] -= 1;
            shares[to] += 1;
            self.owners[slot] = to as u16;
            moves.push(Move { slot: slot as u16, from: self.queues[from], to: self.queues[to] });
        }
        moves
    }
}

impl Part {
    pub(crate) fn new(front: QueueId, number: usize) -> Self {
        Self { front, number, coming: Numbered::new(), arrivals: 0, going: Numbered::new() }
    }

    /// Keeps a message whose slot is sealed, and returns any other.
    #[inline(never)]
    pub(crate) fn hold(&mut self, message: Message) -> Option<Message> {
        if self.coming.len() == 0 {
            return Some(message);
        }
        match self.coming.get_mut(message.slot().into()) {
            Some(waiting) => {
                waiting.push((self.arrivals, message));
                self.arrivals += 1;
                None
            }
            None => Some(message),
        }
    }

    /// Restores a message that has waited under a number, or returns it if its slot is no longer sealed.
    pub(crate) fn hold_again(&mut self, number: u64, message: Message) -> Option<Message> {
        match self.coming.get_mut(message.slot().into()) {
            Some(waiting) => {
                waiting.push((number, message));
                None
            }
            None => Some(message),
        }
    }

    /// Returns the number that a message gets if it has to wait for its slot.
    pub(crate) fn next_sealed(&self, message: &Message) -> Option<u64> {
        let is_sealed = self.coming.len() > 0 && self.coming.get(message.slot().into()).is_some();
        is_sealed.then_some(self.arrivals)
    }

    /// Makes waiting messages get numbers from this one on.
    pub(crate) fn count_on_from(&mut self, arrivals: u64) {
        self.arrivals = self.arrivals.max(arrivals);
    }

    /// Seals a slot that still has messages in another partition.
    pub(crate) fn seal(&mut self, slot: u16) {
        self.coming.insert(slot.into(), Vec::new());
    }

    /// Opens a slot, and returns the messages that waited for it, with their numbers.
    pub(crate) fn unseal(&mut self, slot: u16) -> Vec<(u64, Message)> {
        self.coming.remove(slot.into()).expect("a slot that is unsealed was sealed")
    }

    /// Notes that a slot moved away while `older` of its messages are here.
    pub(crate) fn let_go(&mut self, slot: u16, older: usize, to: QueueId) {
        self.going.insert(slot.into(), (older, to));
    }

    /// Counts a message that has left; if it was the last one of a slot that moved away, returns the slot and its new
    /// owner.
    #[inline(never)]
    pub(crate) fn count_out(&mut self, message: &Message) -> Option<(u16, QueueId)> {
        if self.going.len() == 0 {
            return None;
        }
        let slot = message.slot();
        let (older, to) = self.going.get_mut(slot.into())?;
        *older -= 1;
        let opened = (*older == 0).then_some((slot, *to));
        if opened.is_some() {
            self.going.remove(slot.into());
        }
        opened
    }

    /// Returns whether there are messages here of slots that moved away.
    pub(crate) fn is_shedding(&self) -> bool {
        self.going.len() > 0
    }

    /// Removes the messages that wait for sealed slots.
    pub(crate) fn take_sealed(&mut self) -> Vec<Message> {
        self.coming.values_mut().flat_map(std::mem::take).map(|(_, message)| message).collect()
    }

    pub(crate) fn sealed_messages(&self) -> impl Iterator<Item = &(u64, Message)> {
        self.coming.iter().flat_map(|(_, sealed)| sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(range: std::ops::Range<u64>) -> Vec<QueueId> {
        range.map(QueueId::from_index).collect()
    }

    fn shares(partitions: &Partitions) -> Vec<usize> {
        let mut shares = vec![0; partitions.queues.len()];
        partitions.owners.iter().for_each(|&owner| shares[usize::from(owner)] += 1);
        shares
    }

    #[test]
    fn adding_partitions_moves_no_more_slots_than_their_share() {
        for (first, more) in [(1, 1), (2, 1), (3, 4), (4, 4), (7, 1)] {
            let mut partitions = Partitions::new();
            assert!(partitions.add(&ids(0..first)).is_empty());
            let moves = partitions.add(&ids(first..first + more));
            let shares = shares(&partitions);
            let fair = SLOTS / (first + more) as usize;
            assert!(shares.iter().all(|&share| share >= fair && share <= fair + 1 + first as usize), "{shares:?}");
            assert_eq!(moves.len(), shares[first as usize..].iter().sum::<usize>());
            assert!(moves.iter().all(|moved| moved.to.index() >= first && moved.from.index() < first));
        }
    }

    #[test]
    fn a_stale_epoch_finds_nothing() {
        use crate::properties::PropertyValues;
        let mut partitions = Partitions::new();
        partitions.add(&ids(0..4));
        let find = |epoch: Option<i32>| {
            let headers = epoch.map(|epoch| [(EPOCH, epoch)].into_iter().collect());
            let mut raw = Vec::new();
            PropertyValues { headers, ..PropertyValues::default() }.encode(&mut raw).unwrap();
            partitions.find("key", Properties::trusted(&raw))
        };
        assert_eq!(find(Some(3)), None);
        assert!(find(Some(4)).is_some() && find(Some(4)) == find(None));
    }
}
