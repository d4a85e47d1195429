//! Settings: the effect of a queue's arguments and of the policy that applies to it.
//!
//! The table of all arguments, [`ROWS`], is the one place that says how each is read, combined with policies and
//! compared. Arguments are read once, when a queue is declared; later only to compare two declarations. A policy has
//! the same keys without the `x-`. Where both set a number the lower one applies; otherwise the argument does.

use super::arguments::{
    self, ALTERNATE_EXCHANGE, BadArgument, CONSUMER_ARGUMENTS, Compared, EXCHANGE_ARGUMENTS, Key, Merge, On, Read,
    Reason, Text, bad, duration, integer, text, truth, unacceptable,
};
use super::exchange::kind::ExchangeKind;
use crate::table::{Table, Value};

type Row = arguments::Row<Settings>;
type Argument = arguments::Argument<Settings>;

pub(crate) const QUEUE_TYPE: &str = "x-queue-type";
pub(crate) const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";
const DEAD_LETTER_ROUTING_KEY: &str = "x-dead-letter-routing-key";
const NO_EFFECT: &str = Row::NO_EFFECT;
/// Default number of times that a quorum queue delivers a message again.
const QUORUM_DELIVERY_LIMIT: u32 = 20;
const PARTITIONS_MAX: i64 = 1024;

/// Settings of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) queue_type: QueueType,
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

/// Type of a queue; one implementation serves both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum QueueType {
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

/// Number of times that a message may be requeued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum DeliveryLimit {
    /// The default of the type of queue.
    #[default]
    Default,
    Off,
    Times(u32),
}

/// Arguments of queues, in the order in which they are checked and compared.
const ROWS: &[Row] = &[
    Row::new(QUEUE_TYPE, r#""classic" | "quorum""#, "The type of the queue, unless it is classic.")
        .read(|settings, value| set(&mut settings.queue_type, QueueType::read(value)))
        .compared(Compared::MissingIs("classic")),
    Row::new("x-message-ttl", "number", "How long a message may wait, in milliseconds.")
        .read(|settings, value| set(&mut settings.message_ttl_ms, duration(value, 0).map(Some)))
        .policy(|own, policy| lower(&mut own.message_ttl_ms, policy.message_ttl_ms))
        .operators(),
    Row::new("x-expires", "number", "How long the queue may be unused before it is deleted, in milliseconds.")
        .read(|settings, value| set(&mut settings.expires_ms, duration(value, 1).map(Some)))
        .policy(|own, policy| lower(&mut own.expires_ms, policy.expires_ms))
        .operators(),
    Row::new("x-max-length", "number", "The most messages that may be ready.")
        .read(|settings, value| set(&mut settings.max_length, count(value)))
        .policy(|own, policy| lower(&mut own.max_length, policy.max_length))
        .operators(),
    Row::new("x-max-length-bytes", "number", "The most bytes that the bodies of ready messages may have.")
        .read(|settings, value| set(&mut settings.max_length_bytes, count(value)))
        .policy(|own, policy| lower(&mut own.max_length_bytes, policy.max_length_bytes))
        .operators(),
    Row::new("x-overflow", r#""drop-head" | "reject-publish" | "reject-publish-dlx""#, "What a full queue does.")
        .read(|settings, value| set(&mut settings.overflow, overflow(value).map(Some)))
        .policy(|own, policy| own.overflow = own.overflow.or(policy.overflow))
        .limit(|policy, operator| policy.overflow = operator.overflow.or(policy.overflow)),
    Row::new(DEAD_LETTER_EXCHANGE, "string", "The exchange that gets what is rejected, expires or is dropped.")
        .read(|settings, value| set(&mut settings.dead_letter_exchange, text(value, Reason::Type).map(Some)))
        // A routing key belongs to the exchange that it was set with.
        .policy(|own, policy| {
            if own.dead_letter_exchange.is_none() {
                own.dead_letter_exchange.clone_from(&policy.dead_letter_exchange);
                own.dead_letter_routing_key.clone_from(&policy.dead_letter_routing_key);
            }
        }),
    Row::new(DEAD_LETTER_ROUTING_KEY, "string", "The routing key that it gets there, instead of its own.")
        .read(|settings, value| set(&mut settings.dead_letter_routing_key, text(value, unacceptable).map(Some)))
        .policy(|_, _| {}),
    Row::new("x-max-priority", "number", "The highest priority of messages, up to 255.")
        .read(|settings, value| set(&mut settings.max_priority, max_priority(value)))
        .on(On::Classic),
    Row::new("x-single-active-consumer", "boolean", "Whether one consumer at a time gets messages.")
        .read(|settings, value| set(&mut settings.single_active_consumer, truth(value))),
    Row::new("x-delivery-limit", "number", "How often a message may come back; -1 is no limit.")
        .read(|settings, value| set(&mut settings.delivery_limit, DeliveryLimit::read(value)))
        .policy(|own, policy| own.delivery_limit = own.delivery_limit.lower(policy.delivery_limit))
        .operators()
        .on(On::Quorum),
    Row::new("x-consumer-timeout", "number", "How long a consumer may take to ack, in milliseconds.")
        .read(|settings, value| set(&mut settings.consumer_timeout_ms, duration(value, 1).map(Some)))
        .policy(|own, policy| lower(&mut own.consumer_timeout_ms, policy.consumer_timeout_ms)),
    Row::new(
        "x-message-deduplication",
        "boolean",
        "Whether a message is dropped whose header `x-deduplication-id` a message in the queue has, too.",
    )
    .read(|settings, value| set(&mut settings.deduplicates, truth(value))),
    Row::new("x-partitions", "number", "The number of FIFO parts; a key's messages are in one of them.")
        .read(|settings, value| set(&mut settings.partitions, partitions(value)))
        .compared(Compared::Presence),
    Row::new("x-queue-mode", r#""default" | "lazy""#, NO_EFFECT).ignored().on(On::Classic),
    Row::new("x-queue-version", "number", NO_EFFECT).ignored().operators().on(On::Classic),
    Row::new("x-queue-leader-locator", "string", NO_EFFECT).ignored(),
    Row::new("x-quorum-initial-group-size", "number", NO_EFFECT).on(On::Quorum),
    Row::new("x-dead-letter-strategy", r#""at-most-once" | "at-least-once""#, NO_EFFECT).ignored().on(On::Quorum),
    Row::new("x-max-in-memory-length", "number", NO_EFFECT).ignored().operators().on(On::Quorum),
    Row::new("x-max-in-memory-bytes", "number", NO_EFFECT).ignored().operators().on(On::Quorum),
    Row::of_streams("x-initial-cluster-size"),
    Row::of_streams("x-max-age"),
    Row::of_streams("x-stream-max-segment-size-bytes"),
];

/// Keys of policies that are no arguments, and have no effect here: there is one copy of each queue.
const IGNORED_KEYS: [&str; 9] = [
    "queue-master-locator",
    "target-group-size",
    "stream-filter-size-bytes",
    "ha-mode",
    "ha-params",
    "ha-sync-mode",
    "ha-sync-batch-size",
    "ha-promote-on-shutdown",
    "ha-promote-on-failure",
];

static ARGUMENTS: [Argument; ROWS.len()] = {
    let mut arguments = [ROWS[0].argument; ROWS.len()];
    let mut at = 0;
    while at < ROWS.len() {
        arguments[at] = ROWS[at].argument;
        at += 1;
    }
    arguments
};

/// The arguments and keys as types of TypeScript.
pub const TYPESCRIPT: &str = TYPES.as_str();

const TYPES: Text = {
    let (mut arguments, mut keys, mut at) = ([ROWS[0].described; ROWS.len()], [""; ROWS.len()], 0);
    while at < ROWS.len() {
        arguments[at] = ROWS[at].described;
        if ROWS[at].is_for_operators {
            keys[at] = ROWS[at].argument.key();
        }
        at += 1;
    }
    Text::new()
        .union("ExchangeType", "Type of an exchange.", &ExchangeKind::NAMES)
        .interface("QueueArguments", "Arguments of a queue.", &arguments)
        .interface("ExchangeArguments", "Arguments of an exchange.", &EXCHANGE_ARGUMENTS)
        .interface("ConsumerArguments", "Arguments of a consumer.", &CONSUMER_ARGUMENTS)
        .union("OperatorKey", "Key of an operator policy.", &keys)
};

type Parsed<T> = Result<T, BadArgument>;

impl QueueType {
    /// Returns the type of a queue with these arguments.
    pub(crate) fn of_arguments(arguments: &Table) -> Parsed<Self> {
        let kind = arguments.get(QUEUE_TYPE).map_or(Ok(Self::default()), Self::read);
        kind.map_err(|reason| BadArgument { name: QUEUE_TYPE, reason })
    }

    fn read(value: &Value) -> Read<Self> {
        match value.as_str() {
            Some("classic") => Ok(Self::Classic),
            Some("quorum") => Ok(Self::Quorum),
            Some("stream") => {
                Err(Reason::NotImplemented("streams are not implemented: declare a classic or a quorum queue"))
            }
            Some(kind) => bad(format!("\"unsupported queue type '{kind}'\"")),
            None => Err(unacceptable(value.type_name())),
        }
    }
}

impl Settings {
    /// Reads the arguments of a queue.
    pub(crate) fn of_arguments(arguments: &Table) -> Parsed<Self> {
        let settings = Self::read(&|argument| arguments.get(argument.name))?;
        let (theirs, kind) = match settings.queue_type {
            QueueType::Classic => (On::Classic, "rabbit_classic_queue"),
            QueueType::Quorum => (On::Quorum, "rabbit_quorum_queue"),
        };
        let mut others = ARGUMENTS.iter().filter(|argument| argument.on != On::All && argument.on != theirs);
        if let Some(Argument { name, .. }) = others.find(|argument| arguments.get(argument.name).is_some()) {
            return Err(BadArgument { name, reason: Reason::QueueType(kind) });
        }
        if settings.dead_letter_routing_key.is_some() && settings.dead_letter_exchange.is_none() {
            return refuse(DEAD_LETTER_ROUTING_KEY, "routing_key_but_no_dlx_defined".into());
        }
        Ok(settings)
    }

    /// Reads a policy's definition as far as it is for queues, and checks the rest.
    pub(crate) fn of_policy(definition: &Table) -> Parsed<Self> {
        if let Some((key, _)) = definition.iter().find(|(key, _)| !is_key(key)) {
            let merged = ARGUMENTS.iter().filter(|argument| matches!(argument.key, Key::Merged { .. }));
            let keys: Vec<_> = merged.map(Argument::key).chain([ALTERNATE_EXCHANGE]).collect();
            return refuse("definition", format!("the key '{key}' is unknown; there are {}", keys.join(", ")));
        }
        let settings = Self::read(&|argument| definition.get(argument.key()))?;
        match definition.get(ALTERNATE_EXCHANGE).map(Value::as_str) {
            Some(None) => refuse(ALTERNATE_EXCHANGE, "expected the name of an exchange".into()),
            _ => Ok(settings),
        }
    }

    fn read<'a>(find: &dyn Fn(&Argument) -> Option<&'a Value>) -> Parsed<Self> {
        let mut settings = Self::default();
        for argument in &ARGUMENTS {
            if let (Some(read), Some(value)) = (argument.read, find(argument)) {
                read(&mut settings, value).map_err(|reason| BadArgument { name: argument.name, reason })?;
            }
        }
        Ok(settings)
    }

    /// Combines these settings, from arguments, with those of a policy.
    pub(crate) fn under(&self, policy: &Self) -> Self {
        self.merged(policy, |policy, _| policy)
    }

    /// Combines these settings, from a policy, with the operator policy.
    pub(crate) fn limited_by(&self, operator: &Self) -> Self {
        self.merged(operator, |_, operator| operator)
    }

    fn merged(&self, other: &Self, choose: fn(Merge<Self>, Merge<Self>) -> Merge<Self>) -> Self {
        let mut merged = self.clone();
        for argument in &ARGUMENTS {
            if let Key::Merged { policy, operator } = argument.key {
                choose(policy, operator)(&mut merged, other);
            }
        }
        merged
    }

    /// Returns how often a message may be requeued before it is dead-lettered.
    pub(crate) fn delivery_limit(&self) -> Option<u32> {
        match (self.delivery_limit, self.queue_type) {
            (DeliveryLimit::Times(limit), _) => Some(limit),
            (DeliveryLimit::Default, QueueType::Quorum) => Some(QUORUM_DELIVERY_LIMIT),
            _ => None,
        }
    }

    /// Returns whether messages carry the number of times that they were requeued.
    pub(crate) fn counts_deliveries(&self) -> bool {
        self.queue_type == QueueType::Quorum || self.delivery_limit().is_some()
    }

    pub(crate) fn has_length_limit(&self) -> bool {
        self.max_length.is_some() || self.max_length_bytes.is_some()
    }

    /// Returns whether a full queue refuses new messages.
    pub(crate) fn rejects_publish(&self) -> bool {
        self.has_length_limit() && matches!(self.overflow, Some(Overflow::RejectPublish | Overflow::RejectPublishDlx))
    }
}

impl DeliveryLimit {
    fn read(value: &Value) -> Read<Self> {
        Ok(match integer(value, -1, u32::MAX.into())? {
            -1 => Self::Off,
            times => Self::Times(times as u32),
        })
    }

    fn lower(self, other: Self) -> Self {
        match (self, other) {
            (Self::Times(own), Self::Times(other)) => Self::Times(own.min(other)),
            (Self::Default, other) => other,
            (own, _) => own,
        }
    }
}

/// Returns whether a policy may have this key.
fn is_key(key: &str) -> bool {
    let is_theirs = |argument: &Argument| !matches!(argument.key, Key::Unknown) && argument.key() == key;
    ARGUMENTS.iter().any(is_theirs) || key == ALTERNATE_EXCHANGE || IGNORED_KEYS.contains(&key)
}

fn refuse<T>(name: &'static str, reason: String) -> Parsed<T> {
    Err(BadArgument { name, reason: Reason::Value(reason) })
}

fn set<T>(setting: &mut T, value: Read<T>) -> Read<()> {
    *setting = value?;
    Ok(())
}

fn lower<T: Ord + Copy>(own: &mut Option<T>, other: Option<T>) {
    *own = match (*own, other) {
        (Some(own), Some(other)) => Some(own.min(other)),
        (own, other) => own.or(other),
    };
}

fn count(value: &Value) -> Read<Option<usize>> {
    integer(value, 0, i64::MAX).map(|n| Some(n as usize))
}

fn max_priority(value: &Value) -> Read<u8> {
    match integer(value, 0, i64::MAX)? {
        n if n > 255 => bad(format!("{{max_value_exceeded,{n}}}")),
        n => Ok(n as u8),
    }
}

fn partitions(value: &Value) -> Read<Option<u16>> {
    integer(value, 1, PARTITIONS_MAX).map(|n| Some(n as u16))
}

fn overflow(value: &Value) -> Read<Overflow> {
    match &*text(value, unacceptable)? {
        "drop-head" => Ok(Overflow::DropHead),
        "reject-publish" => Ok(Overflow::RejectPublish),
        "reject-publish-dlx" => Ok(Overflow::RejectPublishDlx),
        _ => bad("invalid_overflow".into()),
    }
}

/// Returns the first argument in which two declarations of a queue differ: its name, and both values as text.
pub(crate) fn difference(received: &Table, current: &Table) -> Option<(&'static str, String, String)> {
    ARGUMENTS.iter().filter(|argument| argument.on != On::Streams).find_map(|&Argument { name, compared, .. }| {
        let (received, current) = (received.get(name), current.get(name));
        let is_equivalent = match (received, current, compared) {
            (None, None, _) | (Some(_), Some(_), Compared::Presence) => true,
            (Some(received), Some(current), _) => received.equivalent(current),
            (Some(one), None, Compared::MissingIs(value)) | (None, Some(one), Compared::MissingIs(value)) => {
                one.as_str() == Some(value)
            }
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
    use super::super::arguments::page;
    use super::*;

    fn of(name: &str, value: impl Into<Value>) -> Parsed<Settings> {
        Settings::of_arguments(&[(name, value.into())].into_iter().collect())
    }

    fn refused(name: &'static str, reason: &str) -> Parsed<Settings> {
        refuse(name, reason.into())
    }

    #[test]
    fn each_argument_is_checked_for_type_and_range() {
        for (name, value, reason) in [
            ("x-max-length", Value::from("5"), "\"expected integer, got longstr\""),
            ("x-max-length", Value::I8(-5), "{value_negative,-5}"),
            ("x-expires", Value::I32(0), "{value_zero,0}"),
            ("x-message-ttl", Value::I64(1 << 40), "{value_too_large,1099511627776}"),
            ("x-max-priority", Value::I32(256), "{max_value_exceeded,256}"),
            ("x-overflow", Value::from("explode"), "invalid_overflow"),
            (DEAD_LETTER_ROUTING_KEY, Value::from("key"), "routing_key_but_no_dlx_defined"),
            ("x-single-active-consumer", Value::from("yes"), "{unacceptable_type,longstr}"),
        ] {
            assert_eq!(of(name, value), refused(name, reason));
        }
        let reason = Reason::Type("signedint");
        assert_eq!(of(DEAD_LETTER_EXCHANGE, 1), Err(BadArgument { name: DEAD_LETTER_EXCHANGE, reason }));
        let reason = Reason::QueueType("rabbit_classic_queue");
        assert_eq!(of("x-delivery-limit", 3), Err(BadArgument { name: "x-delivery-limit", reason }));
        assert_eq!(of("x-unknown", 1), Ok(Settings::default()));
        assert_eq!(of("x-message-ttl", 0).unwrap().message_ttl_ms, Some(0));
    }

    #[test]
    fn of_two_numbers_the_lower_wins_and_else_the_argument() {
        let policy: Table =
            [("max-length", Value::I32(5)), ("overflow", "reject-publish".into()), ("expires", Value::I32(9))]
                .into_iter()
                .collect();
        let policy = Settings::of_policy(&policy).unwrap();
        let settings = of("x-max-length", 7).unwrap().under(&policy);
        assert_eq!((settings.max_length, settings.expires_ms), (Some(5), Some(9)));
        assert!(settings.rejects_publish());
        assert_eq!(of("x-overflow", "drop-head").unwrap().under(&policy).overflow, Some(Overflow::DropHead));
        assert_eq!(of("x-max-length", 3).unwrap().under(&policy).max_length, Some(3));
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
                [(QUEUE_TYPE, "quorum".into()), ("x-delivery-limit", Value::I32(limit))].into_iter().collect();
            Settings::of_arguments(&arguments).unwrap().delivery_limit()
        };
        assert_eq!((quorum(3), quorum(-1)), (Some(3), None));
    }

    #[test]
    fn a_difference_is_told_with_both_values() {
        let table = |value: Value| [("x-max-length", value)].into_iter().collect::<Table>();
        let five = table(Value::I8(5));
        let differs = |received: &Table, current: &Table| difference(received, current);
        assert_eq!(differs(&five, &table(Value::I64(5))), None);
        assert_eq!(differs(&five, &table(Value::I64(6))), Some(("x-max-length", "'5'".into(), "'6'".into())));
        let typed = "the value '5' of type 'byte'".to_owned();
        assert_eq!(differs(&five, &Table::new()), Some(("x-max-length", typed.clone(), "none".into())));
        assert_eq!(differs(&Table::new(), &five), Some(("x-max-length", "none".into(), typed)));
    }

    /// How the page says for which queues an argument is.
    fn note_of(argument: &Argument) -> &'static str {
        match argument.on {
            On::All => "",
            On::Classic => "of classic queues",
            On::Quorum => "of quorum queues",
            On::Streams => "of streams",
        }
    }

    #[test]
    fn the_page_on_compatibility_has_every_argument_of_queues() {
        let rows = ROWS.iter().map(|row| {
            let states = match (&row.argument.read, row.argument.on) {
                (Some(_), _) => &["yes", "differs"][..],
                (None, On::Streams) => &["not yet"],
                (None, _) => &["no effect"],
            };
            (row.argument.name, states, note_of(&row.argument))
        });
        page::check("queue argument", &rows.collect::<Vec<_>>());
    }

    #[test]
    fn the_page_on_compatibility_has_every_key_of_policies() {
        let keys = |wanted: fn(&Key<Settings>) -> bool| ROWS.iter().filter(move |row| wanted(&row.argument.key));
        let merged = keys(|key| matches!(key, Key::Merged { .. })).map(|row| row.argument.key());
        let works = &["yes", "differs"][..];
        let mut expected: Vec<_> = merged.chain([ALTERNATE_EXCHANGE]).map(|key| (key, works, "")).collect();
        let ignored = keys(|key| matches!(key, Key::Ignored));
        expected.extend(ignored.map(|row| (row.argument.key(), &["no effect"][..], note_of(&row.argument))));
        expected.extend(IGNORED_KEYS.map(|key| (key, &["no effect"][..], "")));
        page::check("key", &expected);
    }

    #[test]
    fn the_page_on_compatibility_has_every_key_of_operator_policies() {
        let theirs = ROWS.iter().filter(|row| row.is_for_operators && row.argument.read.is_some());
        let mut keys: Vec<_> = theirs.map(|row| format!("`{}`", row.argument.key())).collect();
        let operators = page::line("| operator policies | yes | ");
        let mut said: Vec<_> = operators.trim_end_matches([' ', '|']).split(", ").collect();
        keys.sort_unstable();
        said.sort_unstable();
        assert_eq!(said, keys, "the line \"operator policies\" of docs/compatibility.md, and the code");
    }
}
