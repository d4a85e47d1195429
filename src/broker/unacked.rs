//! Unacked: what was handed out and not settled, in order of its number.
//!
//! Queues keep theirs by position, channels theirs by delivery tag. Numbers come almost always in rising order and
//! are settled near the front, so this is a sorted deque: a settled slot in the middle becomes a hole, holes at the
//! ends go at once, and the rest are squeezed out when three slots of four are holes. Every operation is O(log n) at
//! most, amortised, except that inserting below the highest number (a redelivery) moves the shorter side.

use std::collections::VecDeque;

/// A sorted map from rising numbers to what is outstanding under them.
#[derive(Clone, Debug)]
pub(crate) struct Unacked<T> {
    /// Sorted by number, without duplicates; `None` is a hole. Neither end is a hole.
    slots: VecDeque<(u64, Option<T>)>,
    live: usize,
}

/// Below this size holes are not worth squeezing out.
const SMALL: usize = 32;

impl<T> Unacked<T> {
    pub(crate) fn new() -> Self {
        Self { slots: VecDeque::new(), live: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Adds what is outstanding under a number that is not outstanding yet.
    pub(crate) fn insert(&mut self, number: u64, value: T) {
        self.live += 1;
        if self.slots.back().is_none_or(|&(last, _)| last < number) {
            self.slots.push_back((number, Some(value)));
            return;
        }
        match self.search(number) {
            Ok(index) => {
                let hole = self.slots[index].1.replace(value);
                assert!(hole.is_none(), "number {number} is outstanding twice");
            }
            Err(index) => self.slots.insert(index, (number, Some(value))),
        }
    }

    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        let last = self.slots.back()?;
        let slot = if last.0 == number { last } else { &self.slots[self.search(number).ok()?] };
        slot.1.as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let index = self.search(number).ok()?;
        self.slots[index].1.as_mut()
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let index = if self.slots.front()?.0 == number { 0 } else { self.search(number).ok()? };
        let value = self.slots[index].1.take()?;
        self.live -= 1;
        self.trim();
        Some(value)
    }

    /// Takes the lowest one.
    pub(crate) fn pop_first(&mut self) -> Option<(u64, T)> {
        let &(number, _) = self.slots.front()?;
        self.remove(number).map(|value| (number, value))
    }

    /// The lowest number that is outstanding.
    pub(crate) fn first(&self) -> Option<u64> {
        self.slots.front().map(|&(number, _)| number)
    }

    /// Takes the highest one.
    pub(crate) fn pop_last(&mut self) -> Option<(u64, T)> {
        let &(number, _) = self.slots.back()?;
        self.remove(number).map(|value| (number, value))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.slots.iter().filter_map(|(number, value)| value.as_ref().map(|value| (*number, value)))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|(_, value)| value.as_mut())
    }

    fn search(&self, number: u64) -> Result<usize, usize> {
        self.slots.binary_search_by_key(&number, |&(number, _)| number)
    }

    fn trim(&mut self) {
        while matches!(self.slots.front(), Some((_, None))) {
            self.slots.pop_front();
        }
        while matches!(self.slots.back(), Some((_, None))) {
            self.slots.pop_back();
        }
        if self.slots.len() > SMALL && self.live * 4 < self.slots.len() {
            self.slots.retain(|(_, value)| value.is_some());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_out_in_order_however_they_went_in() {
        let mut unacked = Unacked::new();
        for number in [5, 9, 2, 7] {
            unacked.insert(number, number * 10);
        }
        assert_eq!(unacked.iter().map(|(number, _)| number).collect::<Vec<_>>(), [2, 5, 7, 9]);
        assert_eq!(unacked.pop_first(), Some((2, 20)));
        assert_eq!(unacked.pop_last(), Some((9, 90)));
        assert_eq!(unacked.len(), 2);
    }

    #[test]
    fn a_number_settles_once() {
        let mut unacked = Unacked::new();
        for number in 1..=3 {
            unacked.insert(number, ());
        }
        assert_eq!(unacked.remove(2), Some(()));
        assert_eq!(unacked.remove(2), None);
        assert_eq!(unacked.remove(4), None);
        unacked.insert(2, ());
        assert_eq!(unacked.len(), 3);
    }

    #[test]
    fn one_that_stays_does_not_keep_the_holes_of_the_others() {
        let mut unacked = Unacked::new();
        unacked.insert(0, ());
        for number in 1..100_000 {
            unacked.insert(number, ());
            if number > 10 {
                unacked.remove(number - 10);
            }
        }
        assert_eq!(unacked.len(), 11);
        assert!(unacked.slots.len() < 64, "{} slots", unacked.slots.len());
    }
}
