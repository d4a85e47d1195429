//! Publisher: who numbers its messages, so that one that is sent again lands once.
//!
//! A publisher that lost its connection cannot know whether its last messages arrived. If it says who it is by the header
//! `x-publisher-id` and numbers its messages by `x-publisher-sequence`, rising, it sends them all again: what arrived
//! before is confirmed, and nothing happens. It counts as arrived once it was in a queue, or held by an exchange.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::error::Error;
use super::message::Message;
use crate::properties::Properties;

pub(super) const ID: &str = "x-publisher-id";
const SEQUENCE: &str = "x-publisher-sequence";
/// So many are remembered, those that published last.
const PUBLISHERS_MAX: usize = 10_000;

/// The last number of each publisher.
#[derive(Debug, Default)]
pub(crate) struct Publishers {
    by_id: HashMap<Box<str>, Seen, FixedState>,
    /// How many messages were noted.
    clock: u64,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// Of all its messages.
    sequence: i64,
    /// Of those that are not lost in a crash, if there was one.
    kept: Option<i64>,
    /// When, by the clock above.
    noted: u64,
}

impl Publishers {
    /// Whether a message has arrived before. That one which is lost in a crash has arrived, does not count for one that is to
    /// be kept.
    pub(crate) fn has_seen(&self, message: &Message) -> bool {
        let Some((id, sequence)) = number_of(message.properties()) else { return false };
        let last = |seen: &Seen| if message.is_persistent() { seen.kept } else { Some(seen.sequence) };
        self.by_id.get(&id).and_then(last).is_some_and(|last| sequence <= last)
    }

    /// A message has arrived.
    pub(crate) fn note(&mut self, message: &Message) {
        if let Some((id, sequence)) = number_of(message.properties()) {
            self.see(id, sequence, message.is_persistent() || message.is_kept());
        }
    }

    fn see(&mut self, id: Box<str>, sequence: i64, is_kept: bool) {
        self.clock += 1;
        let noted = self.clock;
        let seen = self.by_id.entry(id).or_insert(Seen { sequence, kept: None, noted });
        let kept = seen.kept.max(is_kept.then_some(sequence));
        *seen = Seen { sequence: seen.sequence.max(sequence), kept, noted };
        if self.by_id.len() > PUBLISHERS_MAX {
            self.forget_oldest();
        }
    }

    /// The last number of a publisher's messages that are not lost in a crash.
    pub(crate) fn last_kept_of(&self, id: &str) -> Option<i64> {
        self.by_id.get(id).and_then(|seen| seen.kept)
    }

    /// A publisher has come as far as this.
    pub(crate) fn set(&mut self, id: &str, sequence: i64) {
        self.see(id.into(), sequence, true);
    }

    /// What they take, if each takes so many bytes beside its name.
    pub(crate) fn bytes(&self, overhead: usize) -> usize {
        self.by_id.keys().map(|id| id.len() + overhead).sum()
    }

    fn forget_oldest(&mut self) {
        let oldest = self.by_id.values().map(|seen| seen.noted).min();
        self.by_id.retain(|_, seen| Some(seen.noted) != oldest);
    }
}

/// Checks that who says who it is also numbers its messages.
pub(crate) fn check_number(properties: Properties<'_>) -> Result<(), Error> {
    if properties.header(ID).is_some() && number_of(properties).is_none() {
        let reason = "expected a text of at most 255 bytes, and an integer in the header 'x-publisher-sequence'";
        return Err(Error::BadArgument(ID, reason.into()));
    }
    Ok(())
}

/// Who published a message, if it says so.
pub(crate) fn id_of(properties: Properties<'_>) -> Option<Box<str>> {
    number_of(properties).map(|(id, _)| id)
}

fn number_of(properties: Properties<'_>) -> Option<(Box<str>, i64)> {
    let id = properties.header(ID)?;
    let id = id.as_str().filter(|id| id.len() <= 255)?;
    Some((id.into(), properties.header(SEQUENCE)?.as_integer()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::message::Parts;
    use crate::properties::PropertyValues;
    use crate::table::{Table, Value};

    fn message(id: &str, sequence: i64) -> Message {
        let headers: Table = [(ID, Value::from(id)), (SEQUENCE, Value::I64(sequence))].into_iter().collect();
        let mut encoded = Vec::new();
        PropertyValues { headers: Some(headers), ..PropertyValues::default() }.encode(&mut encoded).unwrap();
        let properties = Properties::trusted(&encoded);
        let parts =
            Parts { exchange: "", routing_key: "", properties, body: b"", published_ms: 0, claims_deaths: false };
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
        let with_mode = |mode, sequence| {
            let headers: Table = [(ID, Value::from("a")), (SEQUENCE, Value::I64(sequence))].into_iter().collect();
            let values =
                PropertyValues { headers: Some(headers), delivery_mode: Some(mode), ..PropertyValues::default() };
            let mut encoded = Vec::new();
            values.encode(&mut encoded).unwrap();
            let properties = Properties::trusted(&encoded);
            Message::new(
                &Parts { exchange: "", routing_key: "", properties, body: b"", published_ms: 0, claims_deaths: false },
                &mut Vec::new(),
            )
        };
        let (transient, persistent) = (|sequence| with_mode(1, sequence), |sequence| with_mode(2, sequence));
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
        assert_eq!(publishers.last_kept_of("a"), Some(6));
    }

    #[test]
    fn who_was_quiet_longest_is_forgotten() {
        let mut publishers = Publishers::default();
        for number in 0..=PUBLISHERS_MAX {
            publishers.note(&message(&number.to_string(), 1));
            publishers.note(&message("busy", 1));
        }
        assert_eq!(publishers.by_id.len(), PUBLISHERS_MAX);
        assert!(publishers.has_seen(&message("busy", 1)));
        assert!(!publishers.has_seen(&message("0", 1)));
    }

    #[test]
    fn an_id_without_a_number_is_refused() {
        let check = |headers: Table| {
            let mut encoded = Vec::new();
            PropertyValues { headers: Some(headers), ..PropertyValues::default() }.encode(&mut encoded).unwrap();
            check_number(Properties::trusted(&encoded))
        };
        assert!(check([(ID, "a")].into_iter().collect()).is_err());
        assert_eq!(check([("other", "a")].into_iter().collect()), Ok(()));
        assert_eq!(check_number(message("a", 1).properties()), Ok(()));
    }
}
