//! Headers: the headers that mean something to the broker, or that it adds to a message.
//!
//! ```text
//! CC, BCC            further routing keys; BCC is removed before delivery
//! x-delay            how long a delayed exchange delays the message; negated when that is over
//! x-delivery-count   how often the message was requeued
//! x-death            where and why it was dead-lettered, the newest first: a table for each queue and reason with
//!                    count, reason, queue, time, exchange, routing-keys and perhaps original-expiration
//! x-first-death-*    queue, reason and exchange of the first time; x-last-death-* of the last
//! ```

use super::error::Error;
use super::message::{Message, Parts};
use super::names::{BCC, CC, DEATHS, DELAY};
use crate::properties::Properties;
use crate::table::{Table, Value};

const DELIVERY_COUNT: &str = "x-delivery-count";
const KEYS_ARE_SHORT: &str = "keys that were decoded, and our own, are short";

/// Reason why a message was dead-lettered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Rejected,
    Expired,
    Maxlen,
    DeliveryLimit,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Maxlen => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

/// Returns the further routing keys of a published message.
///
/// # Errors
/// When one of the headers is not an array.
pub(crate) fn recipients(properties: Properties<'_>) -> Result<Vec<Box<str>>, Error> {
    let mut keys = Vec::new();
    let names = [CC, BCC];
    for (name, value) in names.into_iter().zip(properties.headers_named(names)) {
        match value {
            None => {}
            Some(Value::Array(values)) => keys.extend(values.iter().filter_map(Value::as_str).map(Box::from)),
            Some(other) => return Err(Error::BadRecipients(name, other.type_name())),
        }
    }
    Ok(keys)
}

/// Returns the message without its `BCC` header, if it has one.
pub(crate) fn without_bcc(message: &Message, scratch: &mut Vec<u8>) -> Option<Message> {
    let properties = message.properties();
    properties.header(BCC)?;
    let mut headers = properties.headers().unwrap_or_default();
    headers.remove(BCC);
    Some(with_headers(message, &headers, scratch))
}

/// Returns the delay that a message requests from a delayed exchange, if any.
pub(crate) fn delay_ms(properties: Properties<'_>) -> Option<u64> {
    let delay = properties.header(DELAY)?.as_integer()?;
    u64::try_from(delay).ok().filter(|&delay_ms| delay_ms > 0)
}

/// Returns the message after its delay, which it shows by a negative `x-delay`.
pub(crate) fn with_delay_over(message: &Message, scratch: &mut Vec<u8>) -> Message {
    let mut headers = message.properties().headers().unwrap_or_default();
    if let Some(delay_ms) = headers.get(DELAY).and_then(Value::as_integer) {
        headers.insert(DELAY, -delay_ms);
    }
    with_headers(message, &headers, scratch)
}

pub(crate) fn with_delivery_count(message: &Message, returns: u32, scratch: &mut Vec<u8>) -> Message {
    let mut headers = message.properties().headers().unwrap_or_default();
    headers.insert(DELIVERY_COUNT, i64::from(returns));
    with_headers(message, &headers, scratch)
}

fn with_headers(message: &Message, headers: &Table, scratch: &mut Vec<u8>) -> Message {
    let mut properties = Vec::new();
    message.properties().with_headers(headers, false, &mut properties).expect(KEYS_ARE_SHORT);
    message.with_properties(Properties::trusted(&properties), scratch)
}

/// A message's death in a queue, and where it is sent.
pub(crate) struct Death<'a> {
    pub(crate) queue: &'a str,
    pub(crate) reason: Reason,
    pub(crate) now_ms: u64,
    /// The dead-letter exchange.
    pub(crate) exchange: &'a str,
    /// If `None`, the message keeps its routing keys.
    pub(crate) routing_key: Option<&'a str>,
}

impl Death<'_> {
    /// Makes the message that is sent to the dead-letter exchange instead of the one that died. Deaths that its
    /// publisher wrote into the headers do not count.
    pub(crate) fn dead_letter(&self, message: &Message, scratch: &mut Vec<u8>) -> Message {
        let mut headers = message.properties().headers().unwrap_or_default();
        if message.claims_deaths() {
            headers.remove(DEATHS);
        }
        let is_first = headers.get(DEATHS).is_none();
        let deaths = self.deaths(message, &headers);
        headers.insert(DEATHS, Value::Array(deaths));
        headers.remove(DELIVERY_COUNT);
        if self.routing_key.is_some() {
            headers.remove(CC);
        }
        for (name, value) in [("reason", self.reason.name()), ("queue", self.queue), ("exchange", message.exchange())] {
            if is_first {
                headers.insert(format!("x-first-death-{name}"), value);
            }
            headers.insert(format!("x-last-death-{name}"), value);
        }
        let mut properties = Vec::new();
        message.properties().with_headers(&headers, true, &mut properties).expect(KEYS_ARE_SHORT);
        let parts = Parts {
            exchange: self.exchange,
            routing_key: self.routing_key.unwrap_or(message.routing_key()),
            properties: Properties::trusted(&properties),
            body: message.body(),
            published_ms: self.now_ms,
            claims_deaths: false,
        };
        Message::new(&parts, scratch)
    }

    /// Returns all deaths so far, this one first.
    fn deaths(&self, message: &Message, headers: &Table) -> Vec<Value> {
        let mut deaths = match headers.get(DEATHS) {
            Some(Value::Array(deaths)) => deaths.clone(),
            _ => Vec::new(),
        };
        let is_same = |death: &Value| {
            text_of(death, "queue") == Some(self.queue) && text_of(death, "reason") == Some(self.reason.name())
        };
        let death = match deaths.iter().position(is_same) {
            Some(place) => again(&deaths.remove(place)),
            None => self.first_time(message, headers),
        };
        deaths.insert(0, Value::Table(death));
        deaths
    }

    fn first_time(&self, message: &Message, headers: &Table) -> Table {
        let mut keys = vec![Value::from(message.routing_key())];
        if let Some(Value::Array(copies)) = headers.get(CC) {
            keys.extend(copies.iter().cloned());
        }
        let mut death = Table::new();
        death.insert("count", 1_i64);
        death.insert("reason", self.reason.name());
        death.insert("queue", self.queue);
        death.insert("time", Value::Timestamp(self.now_ms / 1000));
        death.insert("exchange", message.exchange());
        death.insert("routing-keys", Value::Array(keys));
        if let Some(expiration) = message.properties().expiration() {
            death.insert("original-expiration", expiration);
        }
        death
    }
}

/// Returns this death with its count raised by one.
fn again(death: &Value) -> Table {
    let Value::Table(death) = death else { unreachable!("only tables have a queue and a reason") };
    let mut death = death.clone();
    let count = death.get("count").and_then(Value::as_integer).unwrap_or(0);
    death.insert("count", count.saturating_add(1));
    death
}

/// Returns whether a dead-lettered message came from this queue before, and no client rejected it since.
pub(crate) fn is_cycle(properties: Properties<'_>, queue: &str) -> bool {
    let Some(Value::Array(deaths)) = properties.header(DEATHS) else { return false };
    let Some(last) = deaths.iter().position(|death| text_of(death, "queue") == Some(queue)) else { return false };
    deaths[..=last].iter().all(|death| text_of(death, "reason").is_some_and(|reason| reason != Reason::Rejected.name()))
}

fn text_of<'a>(death: &'a Value, key: &str) -> Option<&'a str> {
    match death {
        Value::Table(death) => death.get(key)?.as_str(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::properties::PropertyValues;

    fn message(headers: Table, expiration: Option<&str>) -> Message {
        let mut encoded = Vec::new();
        let expiration = expiration.map(Box::from);
        PropertyValues { headers: Some(headers), expiration, ..PropertyValues::default() }
            .encode(&mut encoded)
            .unwrap();
        let properties = Properties::trusted(&encoded);
        let (published_ms, claims_deaths) = (0, true);
        let parts = Parts { exchange: "x", routing_key: "key", properties, body: b"body", published_ms, claims_deaths };
        Message::new(&parts, &mut Vec::new())
    }

    fn die(message: &Message, queue: &str, reason: Reason) -> Message {
        let death = Death { queue, reason, now_ms: 5500, exchange: "dlx", routing_key: None };
        death.dead_letter(message, &mut Vec::new())
    }

    fn deaths(message: &Message) -> Vec<(String, String, i64)> {
        let Some(Value::Array(deaths)) = message.properties().header(DEATHS) else { panic!("no deaths") };
        let entry = |death: &Value| {
            let Value::Table(table) = death else { panic!("not a table") };
            let text = |key| text_of(death, key).unwrap().to_owned();
            (text("queue"), text("reason"), table.get("count").and_then(Value::as_integer).unwrap())
        };
        deaths.iter().map(entry).collect()
    }

    #[test]
    fn a_first_death_tells_all() {
        let copies: Table = [(CC, Value::Array(vec!["copy".into()]))].into_iter().collect();
        let dead = die(&message(copies, Some("60")), "q", Reason::Expired);
        assert_eq!((dead.exchange(), dead.routing_key(), dead.body()), ("dlx", "key", &b"body"[..]));
        assert_eq!(dead.properties().expiration(), None);
        let Some(Value::Array(deaths)) = dead.properties().header(DEATHS) else { panic!("no deaths") };
        let Value::Table(death) = &deaths[0] else { panic!("not a table") };
        let told: Vec<String> = death.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expected = [
            "count=1",
            "reason=expired",
            "queue=q",
            "time=5",
            "exchange=x",
            "routing-keys=[key,copy]",
            "original-expiration=60",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_same_death_counts_up_and_comes_first() {
        let once = die(&message(Table::new(), None), "a", Reason::Rejected);
        let twice = die(&die(&once, "b", Reason::Expired), "a", Reason::Rejected);
        assert_eq!(deaths(&twice), [("a".into(), "rejected".into(), 2), ("b".into(), "expired".into(), 1)]);
        let text = |name: &str| twice.properties().header(name).and_then(|value| value.as_str().map(str::to_owned));
        assert_eq!(text("x-first-death-queue").as_deref(), Some("a"));
        assert_eq!(text("x-last-death-reason").as_deref(), Some("rejected"));
    }

    #[test]
    fn only_a_cycle_without_a_rejection_is_one() {
        let expired = die(&die(&message(Table::new(), None), "a", Reason::Expired), "b", Reason::Maxlen);
        assert!(is_cycle(expired.properties(), "a") && !is_cycle(expired.properties(), "c"));
        let rejected = die(&expired, "c", Reason::Rejected);
        assert!(!is_cycle(rejected.properties(), "a"));
    }

    #[test]
    fn a_forged_history_is_no_history() {
        let forged: Table =
            [(DEATHS, Value::Array(vec![Value::I32(1), Value::Table(Table::new())]))].into_iter().collect();
        let dead = die(&message(forged, None), "q", Reason::Maxlen);
        assert!(is_cycle(dead.properties(), "q") && !is_cycle(dead.properties(), "other"));
        assert_eq!(deaths(&dead), [("q".into(), "maxlen".into(), 1)]);

        // This is the state after a consumer published a dead letter again.
        let twice = die(&die(&message(Table::new(), None), "a", Reason::Expired), "a", Reason::Expired);
        assert_eq!(deaths(&twice), [("a".into(), "expired".into(), 2)]);
        let again = die(&message(twice.properties().headers().unwrap(), None), "b", Reason::Expired);
        assert_eq!(deaths(&again), [("b".into(), "expired".into(), 1)]);
        assert!(!is_cycle(again.properties(), "a"));
        let first = again.properties().header("x-first-death-queue");
        assert_eq!(first.as_ref().and_then(Value::as_str), Some("b"));
    }

    #[test]
    fn recipients_come_from_both_headers_and_bcc_is_removed() {
        let keys = |names: &[&str]| Value::Array(names.iter().map(|&name| name.into()).collect());
        let copied = message([(CC, keys(&["a"])), (BCC, keys(&["b", "c"]))].into_iter().collect(), None);
        assert_eq!(recipients(copied.properties()), Ok(vec!["a".into(), "b".into(), "c".into()]));
        let stripped = without_bcc(&copied, &mut Vec::new()).unwrap();
        assert!(stripped.properties().header(BCC).is_none() && stripped.properties().header(CC).is_some());
        let wrong = message([(CC, "a")].into_iter().collect(), None);
        assert_eq!(recipients(wrong.properties()), Err(Error::BadRecipients(CC, "longstr")));
    }
}
