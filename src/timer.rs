//! Timers: values that become due at later times, in order of time.
//!
//! The host has no timer for each message: it asks for the next deadline and sleeps until then.
//!
//! Timers are in a hierarchical timing wheel, so that setting and cancelling one costs the same with ten and with ten
//! million others. A deadline is written in digits of five bits. The highest digit in which it differs from the present
//! is its *level*, and the value of that digit its *slot* on that level:
//!
//! ```text
//! present   ... 00101 01100 11010
//! deadline  ... 00101 10000 00011     level 1, slot 16
//!
//! level 2   32 slots of 1,024 ms      each slot is a ring of timers, the first set comes first
//! level 1   32 slots of 32 ms           │ when the present reaches a slot, its timers move down,
//! level 0   32 slots of 1 ms            v each to the level where it now differs
//! ```
//!
//! All timers of one deadline are always in one slot, in the order in which they were set.

use std::num::NonZeroU64;

const DIGIT_BITS: u32 = 5;
const SLOTS: usize = 1 << DIGIT_BITS;
const LEVELS: usize = u64::BITS.div_ceil(DIGIT_BITS) as usize;
/// The ring of unused nodes, after all slots.
const FREE: usize = LEVELS * SLOTS;
/// Index of the first node: before it are the ends of the rings.
const FIRST_NODE: usize = FREE + 1;
/// Number of timers of the first slot that are compared to compute the exact deadline.
const EXACT_MAX: usize = 16;
/// Number of unused nodes that may stay allocated.
const SPARE_NODES: usize = 1024;

/// Identifies one timer, so that it can be cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimerKey {
    /// Unique among timers.
    sequence: NonZeroU64,
    node: u32,
}

/// Pending timers with their values.
#[derive(Debug)]
pub struct Timers<T> {
    wheel: Wheel,
    /// By node, from `FIRST_NODE` on.
    pending: Vec<Option<(NonZeroU64, T)>>,
    next_sequence: NonZeroU64,
}

impl<T> Timers<T> {
    /// Makes an empty set of timers, at time 0.
    #[must_use]
    pub fn new() -> Self {
        Self { wheel: Wheel::new(), pending: Vec::new(), next_sequence: NonZeroU64::MIN }
    }

    /// Sets a timer. A deadline before the last known time counts as that time. Timers of one deadline fire in the
    /// order in which they were set.
    pub fn insert(&mut self, deadline_ms: u64, what: T) -> TimerKey {
        let node = self.wheel.insert(deadline_ms);
        let sequence = self.next_sequence;
        self.next_sequence = sequence.saturating_add(1);
        if self.pending.len() == node - FIRST_NODE {
            self.pending.push(None);
        }
        self.pending[node - FIRST_NODE] = Some((sequence, what));
        TimerKey { sequence, node: node as u32 }
    }

    /// Cancels a timer; one that has fired already is no error.
    pub fn cancel(&mut self, key: TimerKey) {
        let node = key.node as usize;
        if matches!(self.pending.get(node - FIRST_NODE), Some(Some((sequence, _))) if *sequence == key.sequence) {
            self.take(node);
        }
    }

    /// Removes and returns the first timer that is due at `now_ms`.
    pub fn pop_due(&mut self, now_ms: u64) -> Option<T> {
        let node = self.wheel.due(now_ms)?;
        self.take(node)
    }

    /// Returns when the first timer is due, or an earlier time if many are waiting: then [`pop_due`](Self::pop_due)
    /// finds nothing at that time, and the next result is a later one.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.wheel.deadline()
    }

    fn take(&mut self, node: usize) -> Option<T> {
        let taken = self.pending[node - FIRST_NODE].take();
        self.wheel.remove(node);
        while let Some(None) = self.pending.last() {
            self.pending.pop();
            self.wheel.drop_last();
        }
        give_back(&mut self.pending);
        give_back(&mut self.wheel.links);
        taken.map(|(_, what)| what)
    }
}

/// Frees memory after a flood.
fn give_back<N>(nodes: &mut Vec<N>) {
    if nodes.capacity() > SPARE_NODES && nodes.len() < nodes.capacity() / 4 {
        nodes.shrink_to(nodes.len() * 2);
    }
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Nodes by their deadlines, without their values.
#[derive(Debug)]
struct Wheel {
    /// The ends of the rings, one for each slot and one for the free nodes, followed by the nodes.
    links: Vec<Link>,
    /// A bit for each ring that is not empty.
    occupied: [u32; LEVELS + 1],
    /// No pending deadline is earlier.
    present: u64,
}

#[derive(Debug)]
struct Link {
    deadline: u64,
    previous: u32,
    next: u32,
}

impl Wheel {
    fn new() -> Self {
        let end = |ring| Link { deadline: 0, previous: ring, next: ring };
        Self { links: (0..FIRST_NODE as u32).map(end).collect(), occupied: [0; LEVELS + 1], present: 0 }
    }

    /// Puts a free node, or a new one, into its slot.
    fn insert(&mut self, deadline: u64) -> usize {
        let node = self.first(FREE).unwrap_or(self.links.len());
        if node == self.links.len() {
            assert!(u32::try_from(node).is_ok(), "timers are counted in 32 bits");
            self.links.push(Link { deadline: 0, previous: 0, next: 0 });
        } else {
            self.unlink(node);
        }
        self.hang(node, deadline.max(self.present));
        node
    }

    /// Removes a node from its slot.
    fn remove(&mut self, node: usize) {
        self.unlink(node);
        // The node that was free for longest is used first. After a flood those were set first, so the end becomes
        // free.
        self.link(node, FREE);
    }

    /// Removes the last node, which is free.
    fn drop_last(&mut self) {
        self.unlink(self.links.len() - 1);
        self.links.pop();
    }

    /// Advances the present to the first timer that is due at `now`, or to `now`.
    fn due(&mut self, now: u64) -> Option<usize> {
        while let Some((level, ring, start)) = self.first_slot().filter(|&(_, _, start)| start <= now) {
            self.present = start;
            if level == 0 {
                return self.first(ring);
            }
            while let Some(node) = self.first(ring) {
                self.unlink(node);
                self.hang(node, self.links[node].deadline);
            }
        }
        self.present = self.present.max(now);
        None
    }

    fn deadline(&self) -> Option<u64> {
        let (level, ring, start) = self.first_slot()?;
        let is_start = level == 0 || self.ring(ring).nth(EXACT_MAX).is_some();
        if is_start { Some(start) } else { self.ring(ring).map(|node| self.links[node].deadline).min() }
    }

    /// Returns the slot of the first timers: its level, its ring and the time at which it begins.
    fn first_slot(&self) -> Option<(u32, usize, u64)> {
        let level = self.occupied[..LEVELS].iter().position(|&slots| slots != 0)?;
        let slot = self.occupied[level].trailing_zeros() as usize;
        let shift = level as u32 * DIGIT_BITS;
        // The higher digits are those of the present; the highest level has none.
        let higher = u64::MAX.checked_shl(shift + DIGIT_BITS).unwrap_or(0);
        Some((level as u32, level * SLOTS + slot, self.present & higher | (slot as u64) << shift))
    }

    fn hang(&mut self, node: usize, deadline: u64) {
        self.links[node].deadline = deadline;
        let level = (deadline ^ self.present).checked_ilog2().unwrap_or(0) / DIGIT_BITS;
        let slot = (deadline >> (level * DIGIT_BITS)) as usize % SLOTS;
        let ring = level as usize * SLOTS + slot;
        self.link(node, ring);
    }

    /// Appends a node to a ring.
    fn link(&mut self, node: usize, ring: usize) {
        self.occupied[ring / SLOTS] |= 1 << (ring % SLOTS);
        let last = std::mem::replace(&mut self.links[ring].previous, node as u32);
        self.links[last as usize].next = node as u32;
        self.links[node].previous = last;
        self.links[node].next = ring as u32;
    }

    fn unlink(&mut self, node: usize) {
        let Link { previous, next, .. } = self.links[node];
        self.links[previous as usize].next = next;
        self.links[next as usize].previous = previous;
        if previous == next {
            let ring = next as usize;
            self.occupied[ring / SLOTS] &= !(1 << (ring % SLOTS));
        }
    }

    fn first(&self, ring: usize) -> Option<usize> {
        self.ring(ring).next()
    }

    fn ring(&self, ring: usize) -> impl Iterator<Item = usize> + '_ {
        let mut node = ring;
        std::iter::from_fn(move || {
            node = self.links[node].next as usize;
            (node != ring).then_some(node)
        })
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
    fn a_cancelled_timer_never_fires_and_its_key_cancels_no_other() {
        let mut timers = Timers::new();
        let key = timers.insert(10, "a");
        timers.cancel(key);
        assert_eq!((timers.pop_due(10), timers.deadline()), (None, None));
        timers.insert(20, "b");
        timers.cancel(key);
        assert_eq!(timers.pop_due(20), Some("b"));
        timers.cancel(key);
    }

    #[test]
    fn one_of_few_timers_is_woken_for_once() {
        let now = 1_700_000_000_000;
        let mut timers = Timers::new();
        assert_eq!(timers.pop_due(now), None);
        timers.insert(now + 3_600_000, ());
        timers.insert(u64::MAX, ());
        assert_eq!(timers.deadline(), Some(now + 3_600_000));
        assert_eq!(timers.pop_due(now + 3_600_000), Some(()));
        assert_eq!(timers.deadline(), Some(u64::MAX));
        assert_eq!(timers.pop_due(u64::MAX), Some(()));
    }

    #[test]
    fn a_flood_gives_its_memory_back_even_while_some_go_on() {
        let mut timers = Timers::new();
        for deadline in 0..100_000 {
            timers.insert(deadline, false);
        }
        for _ in 0..8 {
            timers.insert(99_000, true);
        }
        let mut now = 0;
        while now < 200_000 {
            now = timers.deadline().unwrap();
            while let Some(goes_on) = timers.pop_due(now) {
                if goes_on {
                    timers.insert(now + 1_000, true);
                }
            }
        }
        assert!(timers.pending.capacity() <= SPARE_NODES, "{}", timers.pending.capacity());
        assert!(timers.wheel.links.capacity() <= SPARE_NODES + FIRST_NODE, "{}", timers.wheel.links.capacity());
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod properties {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Set {
            in_ms: u64,
        },
        /// One of the timers that were ever set.
        Cancel(usize),
        Pop {
            after_ms: u64,
        },
        Sleep,
    }

    fn step() -> impl Strategy<Value = Step> {
        let span = || prop_oneof![0..4u64, 0..100u64, 0..100_000u64, any::<u64>().prop_map(|n| n >> (n % 64))];
        prop_oneof![
            4 => span().prop_map(|in_ms| Step::Set { in_ms }),
            2 => any::<usize>().prop_map(Step::Cancel),
            3 => prop_oneof![0..4u64, 0..2_000u64].prop_map(|after_ms| Step::Pop { after_ms }),
            1 => Just(Step::Sleep),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn timers_fire_as_if_they_were_sorted(steps in proptest::collection::vec(step(), 0..200), start in any::<u64>()) {
            let mut timers = Timers::new();
            let mut sorted: Vec<(u64, usize)> = Vec::new();
            let mut keys = Vec::new();
            let mut now = start;
            prop_assert_eq!(timers.pop_due(now), None);
            for step in steps {
                match step {
                    Step::Set { in_ms } => {
                        let deadline = now.saturating_add(in_ms);
                        sorted.push((deadline, keys.len()));
                        sorted.sort_unstable();
                        keys.push(timers.insert(deadline, keys.len()));
                    }
                    Step::Cancel(which) if !keys.is_empty() => {
                        let which = which % keys.len();
                        sorted.retain(|&(_, number)| number != which);
                        timers.cancel(keys[which]);
                    }
                    Step::Cancel(_) => {}
                    Step::Pop { after_ms } => now = now.saturating_add(after_ms),
                    Step::Sleep => now = timers.deadline().unwrap_or(now),
                }
                let asked = timers.deadline();
                prop_assert_eq!(asked.is_some(), !sorted.is_empty());
                prop_assert!(asked <= sorted.first().map(|first| first.0));
                if !matches!(step, Step::Set { .. } | Step::Cancel(_)) {
                    let due = sorted.partition_point(|&(deadline, _)| deadline <= now);
                    for (_, number) in sorted.drain(..due) {
                        prop_assert_eq!(timers.pop_due(now), Some(number));
                    }
                    prop_assert_eq!(timers.pop_due(now), None);
                    prop_assert!(timers.deadline().is_none_or(|deadline| deadline > now));
                }
                prop_assert_eq!(timers.pending.len(), timers.wheel.links.len() - FIRST_NODE);
            }
        }
    }
}
