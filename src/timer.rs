//! Timers: what is to happen at a later time, in order of time.
//!
//! The host never holds a timer of its own per message: it asks for the next deadline and sleeps until then.

use std::collections::VecDeque;

/// Names one timer, so that it can be cancelled. Timers of one deadline fire in the order in which they were set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimerKey {
    deadline_ms: u64,
    sequence: u64,
}

/// Pending timers, each with what it is for.
#[derive(Debug)]
pub struct Timers<T> {
    /// Sorted.
    pending: VecDeque<(TimerKey, T)>,
    sequence: u64,
}

impl<T> Timers<T> {
    /// No timers yet.
    #[must_use]
    pub fn new() -> Self {
        Self { pending: VecDeque::new(), sequence: 0 }
    }

    /// Sets a timer. Most are set later than the others, and then this is cheap.
    pub fn insert(&mut self, deadline_ms: u64, what: T) -> TimerKey {
        self.sequence += 1;
        let key = TimerKey { deadline_ms, sequence: self.sequence };
        let place = self.pending.partition_point(|&(known, _)| known < key);
        self.pending.insert(place, (key, what));
        key
    }

    /// Forgets a timer; one that has fired already is no error.
    pub fn cancel(&mut self, key: TimerKey) {
        if let Ok(place) = self.pending.binary_search_by_key(&key, |&(known, _)| known) {
            self.pending.remove(place);
        }
    }

    /// Takes the first timer that is due at `now_ms`.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<T> {
        let (first, _) = self.pending.front()?;
        if first.deadline_ms > now_ms {
            return None;
        }
        self.pending.pop_front().map(|(_, what)| what)
    }

    /// When the first timer is due.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.pending.front().map(|(key, _)| key.deadline_ms)
    }
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_of_time_and_then_of_setting() {
        let mut timers = Timers::new();
        timers.insert(20, "c");
        timers.insert(10, "a");
        timers.insert(10, "b");
        assert_eq!(timers.deadline(), Some(10));
        assert_eq!(timers.pop_due(9), None);
        assert_eq!(timers.pop_due(15), Some("a"));
        assert_eq!(timers.pop_due(15), Some("b"));
        assert_eq!(timers.pop_due(15), None);
        assert_eq!(timers.deadline(), Some(20));
    }

    #[test]
    fn a_cancelled_timer_never_fires() {
        let mut timers = Timers::new();
        let key = timers.insert(10, "a");
        timers.cancel(key);
        timers.cancel(key);
        assert_eq!(timers.pop_due(u64::MAX), None);
        assert_eq!(timers.deadline(), None);
    }
}
