//! Settings: the effect of a queue's arguments and of the policy that applies to it.
//!
//! Arguments are parsed once, when a queue is declared; later they are only read to compare two declarations. A policy
//! has the same keys without the `x-`. Where both set a number the lower one applies; otherwise the argument does.

use std::fmt;

use crate::table::{Table, Value};

/// Arguments of queues that have an effect here.
pub(crate) const QUEUE_ARGUMENTS: [&str; 14] = [
    QUEUE_TYPE,
    MESSAGE_TTL,
    EXPIRES,
    MAX_LENGTH,
    MAX_LENGTH_BYTES,
    OVERFLOW,
    DEAD_LETTER_EXCHANGE,
    DEAD_LETTER_ROUTING_KEY,
    MAX_PRIORITY,
    SINGLE_ACTIVE_CONSUMER,
    DELIVERY_LIMIT,
    CONSUMER_TIMEOUT,
    MESSAGE_DEDUPLICATION,
    PARTITIONS,
];

const QUEUE_TYPE: &str = "x-queue-type";
const MESSAGE_TTL: &str = "x-message-ttl";
const EXPIRES: &str = "x-expires";
const MAX_LENGTH: &str = "x-max-length";
const MAX_LENGTH_BYTES: &str = "x-max-length-bytes";
const OVERFLOW: &str = "x-overflow";
const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";
const DEAD_LETTER_ROUTING_KEY: &str = "x-dead-letter-routing-key";
const MAX_PRIORITY: &str = "x-max-priority";
const SINGLE_ACTIVE_CONSUMER: &str = "x-single-active-consumer";
const DELIVERY_LIMIT: &str = "x-delivery-limit";
const CONSUMER_TIMEOUT: &str = "x-consumer-timeout";
const MESSAGE_DEDUPLICATION: &str = "x-message-deduplication";
const PARTITIONS: &str = "x-partitions";

/// Arguments that have no effect, but are compared when a queue is declared again.
const WITHOUT_EFFECT: [&str; 7] = [
    "x-queue-mode",
    "x-queue-version",
    "x-queue-leader-locator",
    "x-quorum-initial-group-size",
    "x-dead-letter-strategy",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
];

/// Keys of policies, for queues and for exchanges.
const POLICY_KEYS: [&str; 10] = [
    "message-ttl",
    "expires",
    "max-length",
    "max-length-bytes",
    "overflow",
    "dead-letter-exchange",
    "dead-letter-routing-key",
    "delivery-limit",
    "consumer-timeout",
    "alternate-exchange",
];

/// Keys of policies that have no effect here: there is one copy of each queue, and one way to store it.
const IGNORED_POLICY_KEYS: [&str; 18] = [
    "queue-mode",
    "queue-version",
    "dead-letter-strategy",
    "queue-leader-locator",
    "queue-master-locator",
    "max-in-memory-length",
    "max-in-memory-bytes",
    "initial-cluster-size",
    "target-group-size",
    "max-age",
    "stream-max-segment-size-bytes",
    "stream-filter-size-bytes",
    "ha-mode",
    "ha-params",
    "ha-sync-mode",
    "ha-sync-batch-size",
    "ha-promote-on-shutdown",
    "ha-promote-on-failure",
];

/// Arguments that only quorum queues or streams can have.
const NOT_CLASSIC: [&str; 8] = [
    DELIVERY_LIMIT,
    "x-quorum-initial-group-size",
    "x-dead-letter-strategy",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-initial-cluster-size",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
];
const NOT_QUORUM: [&str; 6] = [
    MAX_PRIORITY,
    "x-queue-mode",
    "x-queue-version",
    "x-initial-cluster-size",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
];

/// Maximum of times in arguments and properties, ten years.
pub(crate) const DURATION_MAX_MS: i64 = 10 * 365 * 86_400_000;
/// Default number of times that a quorum queue delivers a message again.
const QUORUM_DELIVERY_LIMIT: u32 = 20;
const PARTITIONS_MAX: i64 = 1024;

/// Type of a queue; one implementation serves both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum QueueKind {
    #[default]
    Classic,
    Quorum,
}

/// Behaviour of a full queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// Drops the message that would be delivered next.
    #[default]
    DropHead,
    /// Refuses new messages.
    RejectPublish,
    /// Refuses new messages, and dead-letters them.
    RejectPublishDlx,
}

/// Settings of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) kind: QueueKind,
    pub(crate) message_ttl_ms: Option<u64>,
    pub(crate) expires_ms: Option<u64>,
    pub(crate) max_length: Option<usize>,
    pub(crate) max_length_bytes: Option<usize>,
    pub(crate) overflow: Option<Overflow>,
    pub(crate) dead_letter_exchange: Option<Box<str>>,
    pub(crate) dead_letter_routing_key: Option<Box<str>>,
    /// With 0 all messages have the same priority.
    pub(crate) max_priority: u8,
    pub(crate) single_active_consumer: bool,
    pub(crate) delivery_limit: DeliveryLimit,
    pub(crate) consumer_timeout_ms: Option<u64>,
    /// Does not add a message whose id it has already.
    pub(crate) deduplicates: bool,
    pub(crate) partitions: Option<u16>,
}

/// Number of times that a message may be requeued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DeliveryLimit {
    /// The default of the type of queue.
    #[default]
    Default,
    Off,
    Times(u32),
}

/// An invalid argument.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadSetting {
    pub(crate) name: &'static str,
    pub(crate) reason: Reason,
}

/// Reason why an argument is invalid.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Value(String),
    /// Its value has this type.
    Type(&'static str),
    /// Queues of this type do not have it.
    QueueType(&'static str),
}

type Parsed<T> = Result<T, BadSetting>;

impl Settings {
    /// Parses the arguments of a queue. Unknown types of queue are refused elsewhere.
    pub(crate) fn of_arguments(arguments: &Table) -> Parsed<Self> {
        let settings = Self::parse(&|name| arguments.get(name))?;
        let (unsupported, kind) = match settings.kind {
            QueueKind::Classic => (&NOT_CLASSIC[..], "rabbit_classic_queue"),
            QueueKind::Quorum => (&NOT_QUORUM[..], "rabbit_quorum_queue"),
        };
        if let Some(name) = unsupported.iter().find(|name| arguments.get(name).is_some()) {
            return Err(BadSetting { name, reason: Reason::QueueType(kind) });
        }
        if settings.dead_letter_routing_key.is_some() && settings.dead_letter_exchange.is_none() {
            return bad(DEAD_LETTER_ROUTING_KEY, "routing_key_but_no_dlx_defined".into());
        }
        Ok(settings)
    }

    /// Parses a policy's definition as far as it is for queues.
    pub(crate) fn of_policy(definition: &Table) -> Parsed<Self> {
        let is_known = |key: &&str| POLICY_KEYS.contains(key) || IGNORED_POLICY_KEYS.contains(key);
        if let Some((key, _)) = definition.iter().find(|(key, _)| !is_known(key)) {
            return bad("definition", format!("the key '{key}' is unknown; there are {}", POLICY_KEYS.join(", ")));
        }
        Self::parse(&|name| definition.get(name.strip_prefix("x-")?))
    }

    /// Combines these settings, from arguments, with those of a policy.
    pub(crate) fn under(&self, policy: &Self) -> Self {
        let own = self.clone();
        let (has_exchange, theirs) = (own.dead_letter_exchange.is_some(), policy.clone());
        Self {
            message_ttl_ms: lower(own.message_ttl_ms, theirs.message_ttl_ms),
            expires_ms: lower(own.expires_ms, theirs.expires_ms),
            max_length: lower(own.max_length, theirs.max_length),
            max_length_bytes: lower(own.max_length_bytes, theirs.max_length_bytes),
            overflow: own.overflow.or(theirs.overflow),
            dead_letter_exchange: own.dead_letter_exchange.or(theirs.dead_letter_exchange),
            // A routing key belongs to the exchange that it was set with.
            dead_letter_routing_key: if has_exchange {
                own.dead_letter_routing_key
            } else {
                theirs.dead_letter_routing_key
            },
            delivery_limit: own.delivery_limit.lower(theirs.delivery_limit),
            consumer_timeout_ms: lower(own.consumer_timeout_ms, theirs.consumer_timeout_ms),
            ..own
        }
    }

    /// Combines these settings, from a policy, with the operator policy.
    pub(crate) fn limited_by(&self, operator: &Self) -> Self {
        Self { overflow: operator.overflow.or(self.overflow), ..self.under(operator) }
    }

    /// Returns how often a message may be requeued before it is dead-lettered.
    pub(crate) fn delivery_limit(&self) -> Option<u32> {
        match (self.delivery_limit, self.kind) {
            (DeliveryLimit::Times(limit), _) => Some(limit),
            (DeliveryLimit::Default, QueueKind::Quorum) => Some(QUORUM_DELIVERY_LIMIT),
            _ => None,
        }
    }

    /// Returns whether messages carry the number of times that they were requeued.
    pub(crate) fn counts_deliveries(&self) -> bool {
        self.kind == QueueKind::Quorum || self.delivery_limit().is_some()
    }

    pub(crate) fn has_length_limit(&self) -> bool {
        self.max_length.is_some() || self.max_length_bytes.is_some()
    }

    /// Returns whether a full queue refuses new messages.
    pub(crate) fn rejects_publish(&self) -> bool {
        self.has_length_limit() && matches!(self.overflow, Some(Overflow::RejectPublish | Overflow::RejectPublishDlx))
    }

    fn parse<'a>(find: &dyn Fn(&'static str) -> Option<&'a Value>) -> Parsed<Self> {
        Ok(Self {
            kind: if find(QUEUE_TYPE).and_then(Value::as_str) == Some("quorum") {
                QueueKind::Quorum
            } else {
                QueueKind::Classic
            },
            message_ttl_ms: duration(find, MESSAGE_TTL, 0)?,
            expires_ms: duration(find, EXPIRES, 1)?,
            max_length: integer(find, MAX_LENGTH, 0, i64::MAX)?.map(|n| n as usize),
            max_length_bytes: integer(find, MAX_LENGTH_BYTES, 0, i64::MAX)?.map(|n| n as usize),
            overflow: overflow(find)?,
            dead_letter_exchange: text(find, DEAD_LETTER_EXCHANGE, Reason::Type)?,
            dead_letter_routing_key: text(find, DEAD_LETTER_ROUTING_KEY, unacceptable)?,
            max_priority: integer(find, MAX_PRIORITY, 0, 255)?.map_or(0, |n| n as u8),
            single_active_consumer: truth(find, SINGLE_ACTIVE_CONSUMER)?,
            delivery_limit: match integer(find, DELIVERY_LIMIT, -1, u32::MAX.into())? {
                None => DeliveryLimit::Default,
                Some(-1) => DeliveryLimit::Off,
                Some(times) => DeliveryLimit::Times(times as u32),
            },
            consumer_timeout_ms: duration(find, CONSUMER_TIMEOUT, 1)?,
            deduplicates: truth(find, MESSAGE_DEDUPLICATION)?,
            partitions: integer(find, PARTITIONS, 1, PARTITIONS_MAX)?.map(|n| n as u16),
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(reason) => formatter.write_str(reason),
            Self::Type(kind) => write!(formatter, "{{unacceptable_type,{kind}}}"),
            Self::QueueType(kind) => write!(formatter, "no {kind} has it"),
        }
    }
}

impl DeliveryLimit {
    fn lower(self, other: Self) -> Self {
        match (self, other) {
            (Self::Times(own), Self::Times(other)) => Self::Times(own.min(other)),
            (Self::Default, other) => other,
            (own, _) => own,
        }
    }
}

type Find<'f, 'a> = &'f dyn Fn(&'static str) -> Option<&'a Value>;

fn bad<T>(name: &'static str, reason: String) -> Parsed<T> {
    Err(BadSetting { name, reason: Reason::Value(reason) })
}

fn lower<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn integer(find: Find<'_, '_>, name: &'static str, min: i64, max: i64) -> Parsed<Option<i64>> {
    let Some(value) = find(name) else { return Ok(None) };
    match value.as_integer() {
        None => bad(name, format!("\"expected integer, got {}\"", value.type_name())),
        Some(n) if n < min && n == 0 => bad(name, "{value_zero,0}".into()),
        Some(n) if n < min => bad(name, format!("{{value_negative,{n}}}")),
        Some(n) if n > max && name == MAX_PRIORITY => bad(name, format!("{{max_value_exceeded,{n}}}")),
        Some(n) if n > max => bad(name, format!("{{value_too_large,{n}}}")),
        n => Ok(n),
    }
}

fn duration(find: Find<'_, '_>, name: &'static str, min: i64) -> Parsed<Option<u64>> {
    Ok(integer(find, name, min, DURATION_MAX_MS)?.map(|ms| ms as u64))
}

/// Reads a string; `wrong` makes the reason from the name of another type.
fn text(find: Find<'_, '_>, name: &'static str, wrong: fn(&'static str) -> Reason) -> Parsed<Option<Box<str>>> {
    let Some(value) = find(name) else { return Ok(None) };
    match value.as_str() {
        None => Err(BadSetting { name, reason: wrong(value.type_name()) }),
        Some(text) if text.len() > 255 => bad(name, "\"longer than 255 bytes\"".into()),
        Some(text) => Ok(Some(text.into())),
    }
}

fn truth(find: Find<'_, '_>, name: &'static str) -> Parsed<bool> {
    match find(name) {
        None => Ok(false),
        Some(Value::Bool(truth)) => Ok(*truth),
        Some(value) => Err(BadSetting { name, reason: unacceptable(value.type_name()) }),
    }
}

fn unacceptable(kind: &'static str) -> Reason {
    Reason::Value(format!("{{unacceptable_type,{kind}}}"))
}

fn overflow(find: Find<'_, '_>) -> Parsed<Option<Overflow>> {
    match text(find, OVERFLOW, unacceptable)?.as_deref() {
        None => Ok(None),
        Some("drop-head") => Ok(Some(Overflow::DropHead)),
        Some("reject-publish") => Ok(Some(Overflow::RejectPublish)),
        Some("reject-publish-dlx") => Ok(Some(Overflow::RejectPublishDlx)),
        Some(_) => bad(OVERFLOW, "invalid_overflow".into()),
    }
}

/// Returns the first argument in which two declarations of a queue differ: its name, and both values as text.
pub(crate) fn difference(received: &Table, current: &Table) -> Option<(&'static str, String, String)> {
    QUEUE_ARGUMENTS.into_iter().chain(WITHOUT_EFFECT).find_map(|name| {
        let (received, current) = (received.get(name), current.get(name));
        let is_equivalent = match (received, current) {
            // Declaring more partitions adds them; fewer are what was declared before they were added.
            (Some(_), Some(_)) if name == PARTITIONS => true,
            (Some(received), Some(current)) => received.equivalent(current),
            // A queue without a type is a classic queue.
            (None, Some(kind)) | (Some(kind), None) if name == QUEUE_TYPE => kind.as_str() == Some("classic"),
            (None, None) => true,
            _ => false,
        };
        let is_typed = received.is_some() != current.is_some();
        (!is_equivalent).then(|| (name, in_words(received, is_typed), in_words(current, is_typed)))
    })
}

fn in_words(value: Option<&Value>, is_typed: bool) -> String {
    match value {
        None => "none".into(),
        Some(value) if is_typed => format!("the value '{value}' of type '{}'", value.type_name()),
        Some(value) => format!("'{value}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, value: impl Into<Value>) -> Parsed<Settings> {
        Settings::of_arguments(&[(name, value.into())].into_iter().collect())
    }

    fn refused(name: &'static str, reason: &str) -> Parsed<Settings> {
        bad(name, reason.into())
    }

    #[test]
    fn each_argument_is_checked_for_type_and_range() {
        for (name, value, reason) in [
            (MAX_LENGTH, Value::from("5"), "\"expected integer, got longstr\""),
            (MAX_LENGTH, Value::I8(-5), "{value_negative,-5}"),
            (EXPIRES, Value::I32(0), "{value_zero,0}"),
            (MESSAGE_TTL, Value::I64(1 << 40), "{value_too_large,1099511627776}"),
            (MAX_PRIORITY, Value::I32(256), "{max_value_exceeded,256}"),
            (OVERFLOW, Value::from("explode"), "invalid_overflow"),
            (DEAD_LETTER_ROUTING_KEY, Value::from("key"), "routing_key_but_no_dlx_defined"),
            (SINGLE_ACTIVE_CONSUMER, Value::from("yes"), "{unacceptable_type,longstr}"),
        ] {
            assert_eq!(of(name, value), refused(name, reason));
        }
        let reason = Reason::Type("signedint");
        assert_eq!(of(DEAD_LETTER_EXCHANGE, 1), Err(BadSetting { name: DEAD_LETTER_EXCHANGE, reason }));
        let reason = Reason::QueueType("rabbit_classic_queue");
        assert_eq!(of(DELIVERY_LIMIT, 3), Err(BadSetting { name: DELIVERY_LIMIT, reason }));
        assert_eq!(of("x-unknown", 1), Ok(Settings::default()));
        assert_eq!(of(MESSAGE_TTL, 0).unwrap().message_ttl_ms, Some(0));
    }

    #[test]
    fn of_two_numbers_the_lower_wins_and_else_the_argument() {
        let policy: Table =
            [("max-length", Value::I32(5)), ("overflow", "reject-publish".into()), ("expires", Value::I32(9))]
                .into_iter()
                .collect();
        let policy = Settings::of_policy(&policy).unwrap();
        let settings = of(MAX_LENGTH, 7).unwrap().under(&policy);
        assert_eq!((settings.max_length, settings.expires_ms), (Some(5), Some(9)));
        assert!(settings.rejects_publish());
        assert_eq!(of(OVERFLOW, "drop-head").unwrap().under(&policy).overflow, Some(Overflow::DropHead));
        assert_eq!(of(MAX_LENGTH, 3).unwrap().under(&policy).max_length, Some(3));
    }

    #[test]
    fn an_operators_policy_limits_another_and_says_what_a_full_queue_does() {
        let parsed = |entries: &[(&str, Value)]| {
            Settings::of_policy(&entries.iter().cloned().collect::<Table>()).expect("a policy that makes sense")
        };
        let policy = parsed(&[("max-length", 5.into()), ("overflow", "drop-head".into()), ("expires", 3.into())]);
        let operator =
            parsed(&[("max-length", 4.into()), ("overflow", "reject-publish".into()), ("expires", 9.into())]);
        let limited = policy.limited_by(&operator);
        assert_eq!((limited.max_length, limited.expires_ms), (Some(4), Some(3)));
        assert!(limited.rejects_publish());
        assert_eq!(policy.limited_by(&Settings::default()), policy);
    }

    #[test]
    fn a_policy_has_known_keys_only() {
        let definition = [("max-lenght", 5)].into_iter().collect();
        let Reason::Value(reason) = Settings::of_policy(&definition).unwrap_err().reason else { panic!("no value") };
        assert!(reason.contains("'max-lenght'"));
    }

    #[test]
    fn the_delivery_limit_depends_on_the_type_of_queue() {
        assert_eq!(Settings::default().delivery_limit(), None);
        assert_eq!(of(QUEUE_TYPE, "quorum").unwrap().delivery_limit(), Some(20));
        let quorum = |limit: i32| {
            let arguments: Table =
                [(QUEUE_TYPE, "quorum".into()), (DELIVERY_LIMIT, Value::I32(limit))].into_iter().collect();
            Settings::of_arguments(&arguments).unwrap().delivery_limit()
        };
        assert_eq!((quorum(3), quorum(-1)), (Some(3), None));
    }

    #[test]
    fn a_difference_is_told_with_both_values() {
        let table = |value: Value| [(MAX_LENGTH, value)].into_iter().collect::<Table>();
        let five = table(Value::I8(5));
        let differs = |received: &Table, current: &Table| difference(received, current);
        assert_eq!(differs(&five, &table(Value::I64(5))), None);
        assert_eq!(differs(&five, &table(Value::I64(6))), Some((MAX_LENGTH, "'5'".into(), "'6'".into())));
        let typed = "the value '5' of type 'byte'".to_owned();
        assert_eq!(differs(&five, &Table::new()), Some((MAX_LENGTH, typed.clone(), "none".into())));
        assert_eq!(differs(&Table::new(), &five), Some((MAX_LENGTH, "none".into(), typed)));
    }
}
