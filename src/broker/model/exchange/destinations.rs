//! Destinations: a sorted list of bindings' destinations, in which one of many is found quickly.

use crate::id::QueueId;

/// Destination of a binding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// A queue.
    Queue(QueueId),
    /// An exchange, by its name.
    Exchange(Box<str>),
}

/// Destinations, each as often as it was added, with data of its binding.
#[derive(Debug)]
pub(crate) struct Destinations<T = ()>(Vec<(Destination, T)>);

impl<T: PartialEq> Destinations<T> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn insert(&mut self, destination: Destination, what: T) {
        let place = self.0.partition_point(|(known, _)| *known <= destination);
        self.0.insert(place, (destination, what));
    }

    /// Removes one occurrence, and returns whether there was one.
    pub(crate) fn remove(&mut self, destination: &Destination, what: &T) -> bool {
        let first = self.0.partition_point(|(known, _)| known < destination);
        let mut theirs = self.0[first..].iter().take_while(|(known, _)| known == destination);
        let place = theirs.position(|(_, known)| known == what);
        place.map(|place| self.0.remove(first + place)).is_some()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = &(Destination, T)> {
        self.0.iter()
    }
}

impl<T: PartialEq> Default for Destinations<T> {
    fn default() -> Self {
        Self::new()
    }
}
