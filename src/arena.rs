//! Arena: a collection of things by id, in which the id of a removed thing finds nothing.
//!
//! An id consists of the thing's slot and, above that, a sequence number that no other thing of the arena gets:
//!
//! ```text
//!   63                    24 23          0
//!  +------------------------+-------------+
//!  | sequence               | slot        |
//!  +------------------------+-------------+
//! ```
//!
//! So a lookup is one access to a vector, slots are used again but ids never are, and a later thing has a greater id.

use std::marker::PhantomData;

/// A number that identifies a thing in an arena.
pub(crate) trait Id: Copy + Ord {
    fn from_number(number: u64) -> Self;
    fn number(self) -> u64;
}

const SLOT_BITS: u32 = 24;

fn slot_of(id: impl Id) -> usize {
    (id.number() & ((1 << SLOT_BITS) - 1)) as usize
}

/// Returns ids in order. All kinds of ids share one sort, which is large.
pub(crate) fn sorted<I: Id>(ids: impl Iterator<Item = I>) -> Vec<I> {
    let mut numbers: Vec<u64> = ids.map(Id::number).collect();
    numbers.sort_unstable();
    numbers.into_iter().map(I::from_number).collect()
}

/// Things by id, boxed so that arenas share their code.
#[derive(Debug)]
pub(crate) struct Arena<I, T> {
    slots: Vec<Option<(u64, Box<T>)>>,
    /// Empty slots.
    free: Vec<usize>,
    next_sequence: u64,
    ids: PhantomData<I>,
}

impl<I: Id, T> Arena<I, T> {
    pub(crate) fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), next_sequence: 1, ids: PhantomData }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Returns the id that the next new thing gets.
    pub(crate) fn next_id(&self) -> I {
        self.id_after(0)
    }

    /// Returns the ids that the next `count` new things get.
    pub(crate) fn next_ids(&self, count: usize) -> Vec<I> {
        (0..count).map(|others| self.id_after(others)).collect()
    }

    /// Returns the id of a new thing after `others` more were added.
    fn id_after(&self, others: usize) -> I {
        let slot = match self.free.len().checked_sub(others + 1) {
            Some(place) => self.free[place],
            None => self.slots.len() + others - self.free.len(),
        };
        assert!(slot < 1 << SLOT_BITS, "an arena holds at most {} things", 1 << SLOT_BITS);
        I::from_number((self.next_sequence + others as u64) << SLOT_BITS | slot as u64)
    }

    /// Adds a thing under a new id.
    pub(crate) fn insert(&mut self, thing: T) -> I {
        let id = self.next_id();
        self.insert_at(id, thing);
        id
    }

    /// Adds a thing under an id that this arena, or one that it continues, has assigned.
    ///
    /// # Panics
    /// When its slot is taken.
    pub(crate) fn insert_at(&mut self, id: I, thing: T) {
        let slot = slot_of(id);
        while self.slots.len() <= slot {
            self.free.push(self.slots.len());
            self.slots.push(None);
        }
        let place = self.free.iter().rposition(|&free| free == slot).expect("an id is used once");
        self.free.swap_remove(place);
        self.slots[slot] = Some((id.number(), Box::new(thing)));
        self.next_sequence = self.next_sequence.max((id.number() >> SLOT_BITS) + 1);
    }

    /// Makes new things get ids greater than this one.
    pub(crate) fn go_on_after(&mut self, id: I) {
        self.next_sequence = self.next_sequence.max((id.number() >> SLOT_BITS) + 1);
    }

    pub(crate) fn get(&self, id: I) -> Option<&T> {
        match self.slots.get(slot_of(id)) {
            Some(Some((number, thing))) if *number == id.number() => Some(thing),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, id: I) -> Option<&mut T> {
        match self.slots.get_mut(slot_of(id)) {
            Some(Some((number, thing))) if *number == id.number() => Some(thing),
            _ => None,
        }
    }

    pub(crate) fn remove(&mut self, id: I) -> Option<T> {
        self.get(id)?;
        let slot = slot_of(id);
        self.free.push(slot);
        self.slots[slot].take().map(|(_, thing)| *thing)
    }

    /// Returns all ids, the oldest first.
    pub(crate) fn ids(&self) -> Vec<I> {
        sorted(self.slots.iter().flatten().map(|&(number, _)| I::from_number(number)))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().flatten().map(|(_, thing)| &mut **thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::QueueId;

    #[test]
    fn a_slot_is_used_again_and_an_id_never() {
        let mut arena = Arena::<QueueId, _>::new();
        let first = arena.insert("a");
        assert_eq!(arena.remove(first), Some("a"));
        let second = arena.insert("b");
        assert_eq!(slot_of(first), slot_of(second));
        assert!(first < second);
        assert_eq!((arena.get(first), arena.get(second)), (None, Some(&"b")));
        assert_eq!((arena.remove(first), arena.len()), (None, 1));
    }

    #[test]
    fn a_follower_takes_the_ids_of_whom_it_follows() {
        let mut leader = Arena::<QueueId, _>::new();
        let ids: Vec<_> = (0..4).map(|number| leader.insert(number)).collect();
        leader.remove(ids[1]);
        let late = leader.insert(4);
        let mut follower = Arena::new();
        for id in [late, ids[3], ids[0]] {
            follower.insert_at(id, ());
        }
        assert_eq!(follower.ids(), [ids[0], ids[3], late]);
        let fresh = follower.insert(());
        assert!(fresh > late);
        assert_eq!(follower.len(), 4);
    }
}
