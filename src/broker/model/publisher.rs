//! Publisher: the numbers of a publisher's messages, by which a message that is sent again is added only once.
//!
//! A publisher that lost its connection cannot know whether its last messages arrived. If it names itself by the header
//! `x-publisher-id` and numbers its messages by `x-publisher-sequence`, rising, it sends them all again: messages that
//! arrived before are confirmed and otherwise ignored. A message has arrived once it was in a queue, or delayed by an
//! exchange.
//!
//! A publisher is remembered for at least [`RETENTION_MS`] after its last message. When there is no room to remember a
//! new one, its messages are refused: no publisher is forgotten before its time.

use std::collections::{HashMap, HashSet};

use foldhash::fast::FixedState;

use super::error::Error;
use super::message::Message;
use super::names::PUBLISHER_ID;
use crate::properties::Properties;

const SEQUENCE: &str = "x-publisher-sequence";
/// Time for which a publisher is remembered after its last message: a week.
pub(crate) const RETENTION_MS: u64 = 7 * 24 * 3_600_000;
/// Least time between two searches for publishers to forget, as each looks at all of them.
const LOOK_AGAIN_MS: u64 = 3_600_000;
/// Memory of a publisher beyond its id: about that of an entry and an allocation.
pub(crate) const PUBLISHER_BYTES: usize = 120;
/// Stands for the time of the last message when it was not written down.
pub(crate) const UNKNOWN_MS: u64 = u64::MAX;

/// The ids of publishers.
pub(crate) type Ids = HashSet<Box<[u8]>, FixedState>;

/// Last number of each publisher.
#[derive(Debug)]
pub(crate) struct Publishers {
    by_id: HashMap<Box<str>, Seen, FixedState>,
    id_bytes: usize,
    /// No publisher is forgotten before this time.
    due_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Last number of all its messages.
    sequence: i64,
    /// Last number of its kept messages, if there was one.
    kept: Option<i64>,
    /// Time of its last message.
    used_ms: u64,
}

impl Default for Publishers {
    fn default() -> Self {
        Self { by_id: HashMap::default(), id_bytes: 0, due_ms: u64::MAX }
    }
}

impl Publishers {
    /// Returns whether this message has arrived before. For a message to be kept, only the arrival of a kept one
    /// counts.
    pub(crate) fn has_seen(&self, message: &Message) -> bool {
        let Some((id, sequence)) = number_of(message.properties()) else { return false };
        let last = |seen: &Seen| if message.is_persistent() { seen.kept } else { Some(seen.sequence) };
        self.by_id.get(&id).and_then(last).is_some_and(|last| sequence <= last)
    }

    /// Notes the arrival of a message.
    pub(crate) fn note(&mut self, message: &Message) {
        if let Some((id, sequence)) = number_of(message.properties()) {
            self.see(id, sequence, message.is_persistent() || message.is_kept(), message.published_ms());
        }
    }

    fn see(&mut self, id: Box<str>, sequence: i64, is_kept: bool, used_ms: u64) {
        let id_bytes = id.len();
        let seen = self.by_id.entry(id).or_insert_with(|| {
            self.id_bytes += id_bytes;
            self.due_ms = self.due_ms.min(used_ms.saturating_add(RETENTION_MS));
            Seen { sequence, kept: None, used_ms }
        });
        let kept = seen.kept.max(is_kept.then_some(sequence));
        *seen = Seen { sequence: seen.sequence.max(sequence), kept, used_ms: seen.used_ms.max(used_ms) };
    }

    /// Returns the last number of a publisher's kept messages, and the time of its last message of all.
    pub(crate) fn last_kept_of(&self, id: &str) -> Option<(i64, u64)> {
        self.by_id.get(id).and_then(|seen| Some((seen.kept?, seen.used_ms)))
    }

    /// Sets the last number of a publisher.
    pub(crate) fn set(&mut self, id: &str, sequence: i64, used_ms: u64) {
        self.see(id.into(), sequence, true, used_ms);
    }

    pub(crate) fn is_known(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Returns the bytes that they take, with `overhead` for each beyond its id.
    pub(crate) fn bytes(&self, overhead: usize) -> usize {
        self.id_bytes + self.by_id.len() * overhead
    }

    /// Returns the memory that they take.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.bytes(PUBLISHER_BYTES)
    }

    /// Returns the time before which publishers are outdated, if it is time to look for them.
    pub(crate) fn outdated(&self, now_ms: u64) -> Option<u64> {
        (self.due_ms <= now_ms).then(|| now_ms.saturating_sub(RETENTION_MS))
    }

    /// Forgets publishers that have published nothing since `until_ms`.
    pub(crate) fn forget(&mut self, until_ms: u64) {
        self.by_id.retain(|_, seen| seen.used_ms > until_ms);
        self.id_bytes = self.by_id.keys().map(|id| id.len()).sum();
        let oldest_ms = self.by_id.values().map(|seen| seen.used_ms).min();
        let look_again_ms = until_ms + LOOK_AGAIN_MS;
        self.due_ms = oldest_ms.map_or(u64::MAX, |used_ms| used_ms.max(look_again_ms).saturating_add(RETENTION_MS));
    }

    /// Sets the time of publishers whose last message has no known time, which were restored before now.
    pub(crate) fn go_on_at(&mut self, now_ms: u64) {
        self.by_id.values_mut().for_each(|seen| seen.used_ms = seen.used_ms.min(now_ms));
        self.due_ms = self.due_ms.min(now_ms.saturating_add(RETENTION_MS));
    }
}

/// Checks that a message that names its publisher also has a number.
pub(crate) fn check_number(properties: Properties<'_>) -> Result<(), Error> {
    if properties.header(PUBLISHER_ID).is_some() && number_of(properties).is_none() {
        let reason = "expected a text of at most 255 bytes, and an integer in the header 'x-publisher-sequence'";
        return Err(Error::BadArgument(PUBLISHER_ID, reason.into()));
    }
    Ok(())
}

/// Returns the publisher of a message, if it has the header.
pub(crate) fn id_of(properties: Properties<'_>) -> Option<Box<str>> {
    number_of(properties).map(|(id, _)| id)
}

fn number_of(properties: Properties<'_>) -> Option<(Box<str>, i64)> {
    let id = properties.header(PUBLISHER_ID)?;
    let id = id.as_str().filter(|id| id.len() <= 255)?;
    Some((id.into(), properties.header(SEQUENCE)?.as_integer()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::model::message::Parts;
    use crate::properties::PropertyValues;
    use crate::table::{Table, Value};

    fn message(id: &str, sequence: i64) -> Message {
        message_at(id, sequence, 0)
    }

    fn message_at(id: &str, sequence: i64, published_ms: u64) -> Message {
        message_of_mode(1, id, sequence, published_ms)
    }

    fn message_of_mode(mode: u8, id: &str, sequence: i64, published_ms: u64) -> Message {
        let headers: Table = [(PUBLISHER_ID, Value::from(id)), (SEQUENCE, Value::I64(sequence))].into_iter().collect();
        let mut encoded = Vec::new();
        let values = PropertyValues { headers: Some(headers), delivery_mode: Some(mode), ..PropertyValues::default() };
        values.encode(&mut encoded).unwrap();
        let properties = Properties::trusted(&encoded);
        let parts = Parts { exchange: "", routing_key: "", properties, body: b"", published_ms, claims_deaths: false };
        Message::new(&parts, &mut Vec::new())
    }

    #[test]
    fn what_was_sent_before_is_seen() {
        let mut publishers = Publishers::default();
        publishers.note(&message("a", 5));
        publishers.note(&message("a", 3));
        let seen = |id, sequence| publishers.has_seen(&message(id, sequence));
        assert!(seen("a", 5) && seen("a", 1));
        assert!(!seen("a", 6) && !seen("b", 1));
    }

    #[test]
    fn a_message_that_a_crash_loses_does_not_stand_for_one_that_is_to_be_kept() {
        let mut publishers = Publishers::default();
        let transient = |sequence| message_of_mode(1, "a", sequence, 0);
        let persistent = |sequence| message_of_mode(2, "a", sequence, 0);
        publishers.note(&transient(5));
        assert!(publishers.has_seen(&transient(5)) && !publishers.has_seen(&persistent(5)));
        assert_eq!(publishers.last_kept_of("a"), None);
        publishers.note(&persistent(3));
        assert!(publishers.has_seen(&transient(5)) && !publishers.has_seen(&persistent(4)));
        assert!(publishers.has_seen(&persistent(3)));
        let mut kept = transient(6);
        kept.set_kept(true);
        publishers.note(&kept);
        assert!(publishers.has_seen(&persistent(6)), "a quorum queue keeps all");
        assert_eq!(publishers.last_kept_of("a"), Some((6, 0)));
    }

    #[test]
    fn a_publisher_is_forgotten_a_week_after_its_last_message_and_never_before() {
        let mut publishers = Publishers::default();
        for number in 0..20_000 {
            publishers.note(&message_at(&number.to_string(), 1, 5));
        }
        publishers.note(&message_at("busy", 1, 5));
        publishers.note(&message_at("busy", 2, 6));
        assert_eq!(publishers.outdated(RETENTION_MS + 4), None);
        assert!(publishers.has_seen(&message("0", 1)));
        let until_ms = publishers.outdated(RETENTION_MS + 5).unwrap();
        publishers.forget(until_ms);
        assert!(!publishers.has_seen(&message("0", 1)) && publishers.has_seen(&message("busy", 2)));
        assert_eq!((publishers.len(), publishers.bytes(0)), (1, 4));
        assert_eq!(publishers.outdated(RETENTION_MS + 6), None, "all are looked at once in an hour");
        assert_eq!(publishers.outdated(RETENTION_MS + 5 + LOOK_AGAIN_MS), Some(5 + LOOK_AGAIN_MS));
    }

    #[test]
    fn of_whom_no_time_was_written_down_counts_as_seen_at_the_start() {
        let mut publishers = Publishers::default();
        publishers.set("old", 1, UNKNOWN_MS);
        publishers.set("ahead", 1, 900);
        publishers.go_on_at(100);
        assert_eq!(
            (publishers.last_kept_of("old"), publishers.last_kept_of("ahead")),
            (Some((1, 100)), Some((1, 100)))
        );
        assert_eq!(publishers.outdated(RETENTION_MS + 100), Some(100));
    }

    #[test]
    fn an_id_without_a_number_is_refused() {
        let check = |headers: Table| {
            let mut encoded = Vec::new();
            PropertyValues { headers: Some(headers), ..PropertyValues::default() }.encode(&mut encoded).unwrap();
            check_number(Properties::trusted(&encoded))
        };
        assert!(check([(PUBLISHER_ID, "a")].into_iter().collect()).is_err());
        assert_eq!(check([("other", "a")].into_iter().collect()), Ok(()));
        assert_eq!(check_number(message("a", 1).properties()), Ok(()));
    }
}
