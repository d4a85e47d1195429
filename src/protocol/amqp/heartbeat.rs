//! Heartbeat: sends heartbeats on a quiet connection, and detects a silent peer.

#[derive(Clone, Copy, Debug)]
pub(crate) struct Heartbeat {
    interval_ms: u64,
    next_beat_ms: u64,
    heard_ms: u64,
}

impl Heartbeat {
    /// Returns `None` for an interval of 0, which means no heartbeats.
    pub(crate) fn new(interval_s: u16, now_ms: u64) -> Option<Self> {
        let interval_ms = u64::from(interval_s) * 1000;
        let heartbeat = Self { interval_ms, next_beat_ms: now_ms + interval_ms / 2, heard_ms: now_ms };
        (interval_s > 0).then_some(heartbeat)
    }

    /// Notes that something arrived, or that input was not read.
    pub(crate) fn hear(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
    }

    /// Returns whether the peer was silent for two intervals.
    pub(crate) fn is_dead(&self, now_ms: u64) -> bool {
        now_ms >= self.heard_ms + 2 * self.interval_ms
    }

    /// Returns whether it is time to send a heartbeat, which is every half interval.
    pub(crate) fn beats(&mut self, now_ms: u64) -> bool {
        let is_due = now_ms >= self.next_beat_ms;
        if is_due {
            self.next_beat_ms = now_ms + self.interval_ms / 2;
        }
        is_due
    }

    pub(crate) fn deadline_ms(&self) -> u64 {
        self.next_beat_ms.min(self.heard_ms + 2 * self.interval_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_beats_every_half_interval_and_dies_after_two() {
        let mut heartbeat = Heartbeat::new(10, 1000).unwrap();
        assert_eq!(heartbeat.deadline_ms(), 6000);
        assert!(!heartbeat.beats(5999) && heartbeat.beats(6000) && !heartbeat.beats(6001));
        heartbeat.hear(7000);
        assert!(!heartbeat.is_dead(26_999) && heartbeat.is_dead(27_000));
        assert!(Heartbeat::new(0, 0).is_none());
    }
}
