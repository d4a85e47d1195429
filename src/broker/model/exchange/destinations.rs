//! Destinations: where some bindings lead, sorted, so that one of many is found and removed without asking all.

use crate::id::QueueId;

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// To a queue.
    Queue(QueueId),
    /// To an exchange, by its name.
    Exchange(Box<str>),
}

/// Destinations, each as often as it was added, with what is to be known of its binding.
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

    /// Removes it once, if it is there: the answer.
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
