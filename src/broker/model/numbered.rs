//! Numbered: a sorted map from rising numbers, such as deliveries by delivery tag or messages by position.
//!
//! Numbers almost always arrive in rising order and are removed near the front, so this is a sorted deque: removal from
//! the middle leaves a hole, holes at the ends are removed at once, and the rest when three of four slots are holes.
//! Every operation is O(log n) at most, amortised, except that inserting below the highest number moves the shorter
//! side.

use std::collections::VecDeque;

/// A sorted map from rising numbers.
#[derive(Clone, Debug)]
pub(crate) struct Numbered<T> {
    /// Sorted by number, without duplicates; `None` is a hole. Neither end is a hole.
    slots: VecDeque<(u64, Option<T>)>,
    live: usize,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Below this size holes are not worth removing.
const SMALL: usize = 32;

impl<T> Numbered<T> {
    pub(crate) fn new() -> Self {
        Self { slots: VecDeque::new(), live: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Adds a value under a number that has none.
    #[inline]
    pub(crate) fn insert(&mut self, number: u64, value: T) {
        if self.slots.back().is_none_or(|&(last, _)| last < number) {
            self.live += 1;
            self.slots.push_back((number, Some(value)));
        } else {
            self.insert_between(number, value);
        }
    }

    #[inline(never)]
    fn insert_between(&mut self, number: u64, value: T) {
        self.live += 1;
        match self.search(number) {
            Ok(index) => {
                let hole = self.slots[index].1.replace(value);
                assert!(hole.is_none(), "number {number} is there twice");
            }
            Err(index) => self.slots.insert(index, (number, Some(value))),
        }
    }

    pub(crate) fn get(&self, number: u64) -> Option<&T> {
        // Often it has just been added.
        if let Some((_, value)) = self.slots.back().filter(|&&(last, _)| last == number) {
            return value.as_ref();
        }
        self.slots[self.search(number).ok()?].1.as_ref()
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let index = self.search(number).ok()?;
        self.slots[index].1.as_mut()
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        if self.first() == Some(number) {
            return self.pop_first().map(|(_, value)| value);
        }
        let index = self.search(number).ok()?;
        let value = self.slots[index].1.take()?;
        self.live -= 1;
        self.trim();
        Some(value)
    }

    /// Removes the lowest one.
    pub(crate) fn pop_first(&mut self) -> Option<(u64, T)> {
        self.pop_first_up_to(u64::MAX)
    }

    /// Removes the lowest one, if its number is not above `last`.
    pub(crate) fn pop_first_up_to(&mut self, last: u64) -> Option<(u64, T)> {
        self.first().filter(|&first| first <= last)?;
        let (number, value) = self.slots.pop_front()?;
        self.live -= 1;
        if matches!(self.slots.front(), Some((_, None))) {
            self.trim();
        }
        value.map(|value| (number, value))
    }

    /// Returns the entry with the lowest number.
    pub(crate) fn front(&self) -> Option<(u64, &T)> {
        self.slots.front().and_then(|(number, value)| value.as_ref().map(|value| (*number, value)))
    }

    /// Returns the lowest number.
    pub(crate) fn first(&self) -> Option<u64> {
        self.slots.front().map(|&(number, _)| number)
    }

    /// Returns the highest number.
    pub(crate) fn last(&self) -> Option<u64> {
        self.slots.back().map(|&(number, _)| number)
    }

    /// Removes the highest one.
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

    pub(crate) fn into_iter(self) -> impl Iterator<Item = (u64, T)> {
        self.slots.into_iter().filter_map(|(number, value)| value.map(|value| (number, value)))
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = T> {
        self.slots.into_iter().filter_map(|(_, value)| value)
    }

    fn search(&self, number: u64) -> Result<usize, usize> {
        let is_there = |&(found, _): &(u64, _)| found == number;
        // Its index if no number below it was left out.
        let likely = number.wrapping_sub(self.first().unwrap_or(number)) as usize;
        if self.slots.get(likely).is_some_and(is_there) {
            return Ok(likely);
        }
        if self.last().is_none_or(|last| last < number) {
            return Err(self.slots.len());
        }
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
        let mut numbered = Numbered::new();
        for number in [5, 9, 2, 7] {
            numbered.insert(number, number * 10);
        }
        assert_eq!(numbered.iter().map(|(number, _)| number).collect::<Vec<_>>(), [2, 5, 7, 9]);
        assert_eq!(numbered.pop_first(), Some((2, 20)));
        assert_eq!(numbered.pop_last(), Some((9, 90)));
        assert_eq!(numbered.len(), 2);
    }

    #[test]
    fn a_number_goes_once() {
        let mut numbered = Numbered::new();
        for number in 1..=3 {
            numbered.insert(number, ());
        }
        assert_eq!(numbered.remove(2), Some(()));
        assert_eq!(numbered.remove(2), None);
        assert_eq!(numbered.remove(4), None);
        numbered.insert(2, ());
        assert_eq!(numbered.len(), 3);
    }

    #[test]
    fn one_that_stays_does_not_keep_the_holes_of_the_others() {
        let mut numbered = Numbered::new();
        numbered.insert(0, ());
        for number in 1..100_000 {
            numbered.insert(number, ());
            if number > 10 {
                numbered.remove(number - 10);
            }
        }
        assert_eq!(numbered.len(), 11);
        assert!(numbered.slots.len() < 64, "{} slots", numbered.slots.len());
    }
}
