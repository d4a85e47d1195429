//! Hashing: chooses one of the bindings for each message, at random or by a hash of a property of the message.
//!
//! In a consistent hash exchange each destination has a random number for each hashed value, computed from a hash of
//! both, and the destination with the best number gets the message. So a new destination takes its share from all
//! others, and nothing moves between those. Weights change the numbers such that shares are proportional to them.

use super::destinations::{Destination, Destinations};
use crate::broker::model::arguments::{HASH_HEADER, HASH_PROPERTY};
use crate::broker::model::error::Error;
use crate::properties::Properties;
use crate::table::{Table, Value};

/// The bindings of a consistent hash exchange.
#[derive(Debug)]
pub(super) struct ConsistentHash {
    by: HashedBy,
    /// Destinations with their weights.
    destinations: Destinations<u32>,
}

/// Part of a message that is hashed. A missing one counts as empty.
#[derive(Debug)]
enum HashedBy {
    RoutingKey,
    Header(Box<str>),
    MessageId,
    CorrelationId,
    Timestamp,
}

impl ConsistentHash {
    pub(super) fn new(arguments: &Table) -> Result<Self, Error> {
        Ok(Self { by: HashedBy::new(arguments)?, destinations: Destinations::new() })
    }

    pub(super) fn insert(&mut self, routing_key: &str, destination: &Destination) {
        self.destinations.insert(destination.clone(), checked_weight(routing_key));
    }

    pub(super) fn remove(&mut self, routing_key: &str, destination: &Destination) {
        self.destinations.remove(destination, &checked_weight(routing_key));
    }

    /// Returns the destination of a message. A destination that is bound twice has the greater weight.
    pub(super) fn choose(&self, routing_key: &str, properties: Properties<'_>) -> Option<&Destination> {
        let value = self.by.hash(routing_key, properties);
        let mut best: Option<(&Destination, Draw)> = None;
        for (destination, weight) in self.destinations.iter() {
            let draw = Draw { number: mix(value ^ hash_of(destination)), weight: *weight };
            if best.as_ref().is_none_or(|(_, best)| draw.beats(best)) {
                best = Some((destination, draw));
            }
        }
        best.map(|(destination, _)| destination)
    }
}

impl HashedBy {
    fn new(arguments: &Table) -> Result<Self, Error> {
        let refuse = |argument, reason: &str| Err(Error::BadArgument(argument, reason.into()));
        match (arguments.get(HASH_HEADER), arguments.get(HASH_PROPERTY).map(Value::as_str)) {
            (None, None) => Ok(Self::RoutingKey),
            (Some(_), Some(_)) => Err(Error::Invalid("hash-header and hash-property are mutually exclusive".into())),
            (Some(header), None) => match header.as_str() {
                Some(name) => Ok(Self::Header(name.into())),
                None => refuse(HASH_HEADER, "expected the name of a header"),
            },
            (None, Some(Some("message_id"))) => Ok(Self::MessageId),
            (None, Some(Some("correlation_id"))) => Ok(Self::CorrelationId),
            (None, Some(Some("timestamp"))) => Ok(Self::Timestamp),
            (None, Some(Some(other))) => Err(Error::Invalid(format!("Unsupported property: {other}").into())),
            (None, Some(None)) => refuse(HASH_PROPERTY, "expected message_id, correlation_id or timestamp"),
        }
    }

    fn hash(&self, routing_key: &str, properties: Properties<'_>) -> u64 {
        let text = |text: Option<&str>| hash(text.unwrap_or_default().as_bytes());
        match self {
            Self::RoutingKey => text(Some(routing_key)),
            Self::MessageId => text(properties.message_id()),
            Self::CorrelationId => text(properties.correlation_id()),
            Self::Timestamp => mix(properties.timestamp().unwrap_or_default()),
            Self::Header(name) => {
                let mut key = Vec::new();
                properties.header(name).unwrap_or(Value::Void).put_key(&mut key);
                hash(&key)
            }
        }
    }
}

struct Draw {
    number: u64,
    weight: u32,
}

impl Draw {
    fn beats(&self, other: &Self) -> bool {
        if self.weight <= other.weight && self.number <= other.number {
            return false;
        }
        let ours = distance(self.number) * u64::from(other.weight);
        let theirs = distance(other.number) * u64::from(self.weight);
        (ours, other.number) < (theirs, self.number)
    }
}

/// Returns the binary logarithm of 2^64 divided by the number, with 16 fractional bits. If these distances of random
/// numbers are divided by weights, each is the least as often as its weight requires.
fn distance(number: u64) -> u64 {
    const FRACTION_BITS: u32 = 16;
    let number = number | 1;
    let mut logarithm = u64::from(number.ilog2());
    let mut mantissa = number << number.leading_zeros() >> 32;
    for _ in 0..FRACTION_BITS {
        mantissa = (mantissa * mantissa) >> 31;
        let doubled = mantissa >> 32;
        logarithm = logarithm << 1 | doubled;
        mantissa >>= doubled;
    }
    (u64::from(u64::BITS) << FRACTION_BITS) - logarithm
}

/// Parses the weight in a binding's routing key.
pub(super) fn weight(routing_key: &str) -> Result<u32, Error> {
    match routing_key.parse() {
        Ok(weight) if weight > 0 => Ok(weight),
        _ if routing_key.parse::<i64>().is_ok_and(|weight| weight <= 0) => {
            Err(Error::Invalid("The binding key must be greater than 0".into()))
        }
        _ if routing_key.is_empty() => Err(Error::Invalid("The binding key must be an integer: <<>>".into())),
        _ => Err(Error::Invalid(format!("The binding key must be an integer: <<\"{routing_key}\">>").into())),
    }
}

fn checked_weight(routing_key: &str) -> u32 {
    weight(routing_key).unwrap_or_else(|_| unreachable!("a binding's weight is checked before"))
}

fn hash_of(destination: &Destination) -> u64 {
    match destination {
        Destination::Queue(queue) => mix(queue.index()),
        Destination::Exchange(name) => hash(name.as_bytes()),
    }
}

/// FNV-1a, which gives the same on every host.
fn hash(bytes: &[u8]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325;
    mix(bytes.iter().fold(start, |hash: u64, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// Makes each bit depend on all bits, as SplitMix64 does.
fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// Random numbers that need not be secret: SplitMix64 of a counter.
#[derive(Debug, Default)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(super) fn one_of<'a>(&mut self, all: &'a Destinations) -> Option<&'a Destination> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let index = mix(self.0).checked_rem(all.iter().len() as u64)?;
        all.iter().nth(index as usize).map(|(destination, ())| destination)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::QueueId;
    use crate::properties::PropertyValues;

    const MESSAGES: usize = 20_000;

    fn queue(index: u64) -> Destination {
        Destination::Queue(QueueId::from_index(index))
    }

    fn exchange(weights: &[&str]) -> ConsistentHash {
        let mut exchange = ConsistentHash::new(&Table::new()).unwrap();
        for (index, weight) in weights.iter().enumerate() {
            exchange.insert(weight, &queue(index as u64));
        }
        exchange
    }

    fn chosen(exchange: &ConsistentHash) -> Vec<u64> {
        let choose = |number: usize| exchange.choose(&format!("order-{number}"), Properties::EMPTY);
        let index = |destination: Option<&Destination>| match destination {
            Some(Destination::Queue(queue)) => queue.index(),
            _ => panic!("there are queues only"),
        };
        (0..MESSAGES).map(|number| index(choose(number))).collect()
    }

    #[test]
    fn shares_are_as_the_weights_say() {
        for weights in [["1", "1", "1", "1"], ["1", "2", "3", "10"], ["1000000", "1000000", "4000000", "2000000"]] {
            let chosen = chosen(&exchange(&weights));
            let weights = weights.map(|weight| weight.parse::<f64>().unwrap());
            for (index, weight) in (0..).zip(weights) {
                let expected = MESSAGES as f64 * weight / weights.iter().sum::<f64>();
                let count = chosen.iter().filter(|&&queue| queue == index).count() as f64;
                assert!((count - expected).abs() < expected * 0.1, "queue {index}: {count} of {expected}");
            }
        }
    }

    #[test]
    fn a_new_queue_takes_its_share_and_nothing_else_moves() {
        let before = chosen(&exchange(&["10"; 4]));
        let mut exchange = exchange(&["10"; 5]);
        let after = chosen(&exchange);
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        assert!(before.iter().zip(&after).all(|(before, after)| before == after || *after == 4));
        assert!((MESSAGES / 6..MESSAGES / 4).contains(&moved), "{moved} moved");
        exchange.remove("10", &queue(4));
        assert_eq!(chosen(&exchange), before);
    }

    #[test]
    fn what_is_hashed_alone_decides() {
        let raw = |values: PropertyValues| {
            let mut raw = Vec::new();
            values.encode(&mut raw).unwrap();
            raw
        };
        let text = |number: u32| Some(Box::from(number.to_string()));
        type Made = fn(u32, Option<Box<str>>) -> PropertyValues;
        let cases: [(&str, &str, Made); 4] = [
            (HASH_PROPERTY, "message_id", |_, message_id| PropertyValues { message_id, ..Default::default() }),
            (HASH_PROPERTY, "correlation_id", |_, correlation_id| PropertyValues {
                correlation_id,
                ..Default::default()
            }),
            (HASH_PROPERTY, "timestamp", |n, _| PropertyValues { timestamp: Some(n.into()), ..Default::default() }),
            (HASH_HEADER, "user", |n, _| PropertyValues {
                headers: Some([("user", i64::from(n))].into_iter().collect()),
                ..Default::default()
            }),
        ];
        for (argument, value, made) in cases {
            let mut exchange = ConsistentHash::new(&[(argument, value)].into_iter().collect()).unwrap();
            (0..10).for_each(|index| exchange.insert("1", &queue(index)));
            let choose =
                |key: &str, number| exchange.choose(key, Properties::trusted(&raw(made(number, text(number)))));
            assert_eq!(choose("a", 7), choose("b", 7));
            assert!((0..20).any(|number| choose("a", number) != choose("a", 7)), "{value} decides nothing");
        }
    }

    #[test]
    fn bad_arguments_and_weights_are_refused() {
        for arguments in [
            vec![(HASH_HEADER, Value::Void)],
            vec![(HASH_PROPERTY, "user_id".into())],
            vec![(HASH_HEADER, "a".into()), (HASH_PROPERTY, "timestamp".into())],
        ] {
            assert!(ConsistentHash::new(&arguments.into_iter().collect()).is_err());
        }
        assert!(["", "0", "-1", "a", "1.5", "4294967296"].into_iter().all(|key| weight(key).is_err()));
        assert_eq!(weight("20"), Ok(20));
    }

    #[test]
    fn nobody_is_chosen_from_nobody() {
        assert_eq!(exchange(&[]).choose("a", Properties::EMPTY), None);
    }
}
