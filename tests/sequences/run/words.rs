//! Words: the names and values that commands choose from, for the broker and the reference alike.

use pocketmq::broker::{ApplyTo, Message, Policy};
use pocketmq::properties::{Properties, PropertyValues};
use pocketmq::table::{Table, Value};

use super::reference::message::{Content, Death};
use super::reference::queue::Arguments;
use super::reference::topology;

pub const QUEUES: [&str; 5] = ["q1", "q2", "q3", "q4", ""];
pub const EXCHANGES: [&str; 10] =
    ["e1", "e2", "e3", "delayed", "amq.direct", "amq.topic", "amq.fanout", "amq.headers", "amq.mine", ""];
const KINDS: [&str; 4] = ["direct", "fanout", "topic", "headers"];
pub const KEYS: [&str; 10] = ["q1", "q2", "q3", "q4", "a", "a.b", "a.b.c", "", "b", "."];
pub const PATTERNS: [&str; 8] = ["a", "a.*", "a.#", "#", "q1", "*.b.#", "", "#.c"];
pub const TAGS: [&str; 3] = ["t1", "t2", "t3"];

pub fn pick<T: Copy>(items: &[T], by: u8) -> T {
    items[usize::from(by) % items.len()]
}

pub fn bit(byte: u8, index: u8) -> bool {
    byte >> index & 1 == 1
}

/// Builds a table, and returns the meaning of each entry.
#[derive(Default)]
struct Entries(Table);

impl Entries {
    fn number(&mut self, name: &str, value: Option<i64>) -> Option<i64> {
        value.into_iter().for_each(|value| self.0.insert(name, value));
        value
    }

    fn text(&mut self, name: &str, value: Option<&'static str>) -> Option<&'static str> {
        value.into_iter().for_each(|value| self.0.insert(name, value));
        value
    }

    fn truth(&mut self, name: &str, value: bool) -> bool {
        if value {
            self.0.insert(name, true);
        }
        value
    }
}

/// Builds the limits that both arguments and policies have; `prefix` is `x-` or empty.
fn limits(entries: &mut Entries, prefix: &str, limits_deliveries: bool, [a, b, c]: [u8; 3]) -> Arguments {
    let name = |name: &str| format!("{prefix}{name}");
    let numbers = |items: &[i64], by| usize::from(by) < items.len();
    let number = |items: &[i64], by: u8| numbers(items, by).then(|| items[usize::from(by)]);
    let positive = |value: Option<i64>| value.map(|value| value.try_into().expect("it is positive"));
    let target = if c >> 5 & 7 < 3 { Some(pick(&["", "", "e1", "e2", "amq.fanout", "delayed"], c)) } else { None };
    let key = if target.is_some() || c == 255 {
        pick(&[None, Some("q1"), Some("q2"), Some("q3"), Some("a")], c >> 2)
    } else {
        None
    };
    let count = |value: Option<i64>| value.map(|value| value as usize);
    Arguments {
        message_ttl: positive(entries.number(&name("message-ttl"), number(&[20, 0, 100], a & 7))),
        expires: positive(entries.number(&name("expires"), number(&[60, 250], a >> 3 & 7))),
        max_length: count(entries.number(&name("max-length"), number(&[1, 3, 0], b & 7))),
        max_length_bytes: count(entries.number(&name("max-length-bytes"), number(&[8], b >> 3 & 7))),
        overflow: entries.text(
            &name("overflow"),
            pick(&[None, Some("drop-head"), Some("reject-publish"), Some("reject-publish-dlx")], b >> 6),
        ),
        dead_letter_exchange: entries.text(&name("dead-letter-exchange"), target),
        dead_letter_routing_key: entries.text(&name("dead-letter-routing-key"), key),
        delivery_limit: entries
            .number(&name("delivery-limit"), number(&[1, 0, -1, 3], if limits_deliveries { c >> 4 } else { a })),
        consumer_timeout: positive(entries.number(&name("consumer-timeout"), number(&[40], a >> 6 | b >> 6 << 2))),
        ..Arguments::default()
    }
}

/// Returns a queue's arguments.
pub fn arguments([a, b, c, d]: [u8; 4]) -> (Table, Arguments) {
    let mut entries = Entries::default();
    let is_quorum = d >> 6 == 0;
    // Each type of queue has an argument that the other refuses; it is mostly left out.
    let limits = limits(&mut entries, "x-", is_quorum, [a, b, c]);
    let priorities =
        if is_quorum { &[None, None, None, None, Some(2)][..] } else { &[None, None, Some(2), Some(5), Some(255)] };
    let max_priority = entries.number("x-max-priority", pick(priorities, d));
    entries.text("x-queue-type", is_quorum.then_some("quorum"));
    let arguments = Arguments {
        max_priority: max_priority.map(|priority| priority as u8),
        is_quorum,
        has_single_active_consumer: entries.truth("x-single-active-consumer", d >> 2 & 7 == 0),
        deduplicates: entries.truth("x-message-deduplication", d >> 4 & 3 == 0),
        ..limits
    };
    (entries.0, arguments)
}

pub fn policy([a, b, c, d]: [u8; 4]) -> (Policy, topology::Policy) {
    let mut entries = Entries::default();
    let definition = limits(&mut entries, "", true, [a, b, c]);
    let alternate = entries.text("alternate-exchange", pick(&[None, Some("e1"), Some("amq.fanout")], d >> 3));
    let (name, priority) = pick(&[("p1", 1), ("p2", 2), ("p3", -1)], d);
    let pattern = pick(&["q", "q1", "q2", "e", "", "amq"], d >> 1);
    let apply_to = pick(&[ApplyTo::All, ApplyTo::Queues, ApplyTo::Exchanges], d >> 5);
    let expected = topology::Policy {
        name,
        pattern,
        to_queues: apply_to != ApplyTo::Exchanges,
        to_exchanges: apply_to != ApplyTo::Queues,
        priority,
        definition,
        alternate,
    };
    (Policy { pattern: pattern.into(), apply_to, priority, definition: entries.0 }, expected)
}

/// Stands in for regular expressions, which are the host's.
pub fn begins_with(pattern: &str, name: &str) -> bool {
    name.starts_with(pattern)
}

pub fn exchange(name: &str, a: u8, b: u8) -> (Table, topology::Exchange) {
    let mut entries = Entries::default();
    let alternate =
        entries.text("alternate-exchange", pick(&[None, None, Some("e1"), Some("e2"), Some("amq.fanout")], b));
    let (mut kind, mut delayed_kind) = (pick(&KINDS, a), None);
    if name == "delayed" {
        delayed_kind = entries.text("x-delayed-type", Some(kind));
        kind = "x-delayed-message";
    }
    let expected = topology::Exchange {
        name: name.into(),
        kind,
        durable: bit(a, 3),
        auto_delete: bit(a, 4),
        internal: a.is_multiple_of(5),
        alternate,
        delayed_kind,
    };
    (entries.0, expected)
}

/// Returns a binding's arguments.
pub fn wanted(a: u8) -> (Table, Option<(bool, Option<i64>)>) {
    let wanted =
        pick(&[None, None, Some((false, Some(1))), Some((true, Some(2))), Some((true, None)), Some((false, None))], a);
    let mut entries = Entries::default();
    if let Some((is_any, header)) = wanted {
        entries.text("x-match", Some(if is_any { "any" } else { "all" }));
        entries.number("h", header);
    }
    (entries.0, wanted)
}

/// Returns a message without its body.
pub fn content(exchange: &str, key: &str, [a, b, c]: [u8; 3]) -> Content {
    let texts = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
    Content {
        exchange: exchange.into(),
        key: key.into(),
        cc: texts(pick(&[&[][..], &[], &[], &[], &["q1"], &["a", "q2"]], a)),
        bcc: texts(pick(&[&[][..], &[], &[], &[], &["q3"]], a >> 3)),
        expiration: pick(&[None, None, None, None, Some("0"), Some("15"), Some("80")], b).map(str::to_owned),
        priority: pick(&[None, None, Some(0), Some(1), Some(3), Some(9)], b >> 4),
        header: pick(&[None, None, Some(1), Some(2)], c),
        delay: pick(&[None, None, Some(25), Some(0), Some(70)], c >> 2),
        deduplication: pick(&[None, None, Some("x"), Some("y")], c >> 5).map(str::to_owned),
        ..Content::default()
    }
}

/// Returns its properties as bytes.
pub fn properties(content: &Content) -> Vec<u8> {
    let mut headers = Table::new();
    let keys = |keys: &[String]| Value::Array(keys.iter().map(|key| Value::from(key.as_str())).collect());
    for (name, copies) in [("CC", &content.cc), ("BCC", &content.bcc)] {
        if !copies.is_empty() {
            headers.insert(name, keys(copies));
        }
    }
    content.header.into_iter().for_each(|value| headers.insert("h", value));
    content.delay.into_iter().for_each(|value| headers.insert("x-delay", value));
    content.deduplication.iter().for_each(|id| headers.insert("x-deduplication-id", id.as_str()));
    let values = PropertyValues {
        headers: (!headers.is_empty()).then_some(headers),
        priority: content.priority,
        expiration: content.expiration.as_deref().map(Box::from),
        ..PropertyValues::default()
    };
    let mut bytes = Vec::new();
    values.encode(&mut bytes).expect("they are short");
    bytes
}

/// Reads a message and its `x-delivery-count`.
pub fn read(message: &Message) -> (Content, Option<i64>) {
    let properties: Properties = message.properties();
    let headers = properties.headers().unwrap_or_default();
    let number = |name: &str| headers.get(name).and_then(Value::as_integer);
    let place = |which: &str| {
        let part = |part: &str| text(&headers, &format!("x-{which}-death-{part}"));
        Some((part("queue")?, part("reason")?, part("exchange")?))
    };
    let deaths = match headers.get("x-death") {
        Some(Value::Array(deaths)) => deaths.iter().map(death).collect(),
        _ => Vec::new(),
    };
    let content = Content {
        exchange: message.exchange().into(),
        key: message.routing_key().into(),
        body: message.body().into(),
        cc: texts(headers.get("CC")),
        bcc: texts(headers.get("BCC")),
        expiration: properties.expiration().map(str::to_owned),
        priority: properties.priority(),
        header: number("h"),
        delay: number("x-delay"),
        deduplication: text(&headers, "x-deduplication-id"),
        deaths,
        first_death: place("first"),
        last_death: place("last"),
    };
    (content, number("x-delivery-count"))
}

fn death(value: &Value) -> Death {
    let Value::Table(table) = value else { panic!("a death is a table, not {value:?}") };
    let Some(&Value::Timestamp(time)) = table.get("time") else { panic!("a death has a time: {table:?}") };
    let text = |key: &str| text(table, key).unwrap_or_default();
    Death {
        count: table.get("count").and_then(Value::as_integer).expect("a death has a count"),
        reason: text("reason"),
        queue: text("queue"),
        time,
        exchange: text("exchange"),
        keys: texts(table.get("routing-keys")),
        original_expiration: table.get("original-expiration").and_then(Value::as_str).map(str::to_owned),
    }
}

fn text(table: &Table, key: &str) -> Option<String> {
    table.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}
