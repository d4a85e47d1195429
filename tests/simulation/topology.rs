//! Topology: the queues and exchanges of a workload, and their properties.

/// The properties of a queue of the workload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueSpec {
    pub name: &'static str,
    pub is_transient: bool,
    pub is_quorum: bool,
    pub max_length: Option<usize>,
    /// Whether it refuses messages instead of dropping the oldest.
    pub refuses: bool,
    pub ttl_ms: Option<u64>,
    pub max_priority: Option<u8>,
    pub delivery_limit: Option<u32>,
    /// The number of partitions in its first declaration; it grows.
    pub partitions: Option<u32>,
    /// Whether it drops messages with a known deduplication id.
    pub deduplicates: bool,
    /// Whether its dead letters go to the queue `dead`.
    pub has_dead_letters: bool,
}

const PLAIN: QueueSpec = QueueSpec {
    name: "plain",
    is_transient: false,
    is_quorum: false,
    max_length: None,
    refuses: false,
    ttl_ms: None,
    max_priority: None,
    delivery_limit: None,
    partitions: None,
    deduplicates: false,
    has_dead_letters: false,
};

/// The queue for dead letters: the first, as its deliveries are checked last.
pub const DEAD: usize = 0;
/// The queue of the delayed exchange.
pub const LATE: usize = 2;
/// The queue whose bindings come and go.
pub const SIDE: usize = 3;
pub const QUORUM: usize = 9;
/// The queue whose partitions grow.
pub const PARTED: usize = 10;
pub const UNIQUE: usize = 11;
/// Queues whose time to live is changed by policies: one that has its own as well, and one that has none.
pub const TIMED: [usize; 2] = [7, 12];
/// Upper bound of a queue's partitions.
pub const PARTITIONS_MAX: u32 = 6;
/// Partition keys, which replace routing keys.
pub const PARTITION_KEYS: [&str; 8] = ["ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal"];

pub const QUEUES: [QueueSpec; 13] = [
    QueueSpec { name: "dead", ..PLAIN },
    QueueSpec { has_dead_letters: true, ..PLAIN },
    QueueSpec { name: "late", ..PLAIN },
    QueueSpec { name: "side", ..PLAIN },
    QueueSpec { name: "passing", is_transient: true, ..PLAIN },
    QueueSpec { name: "short", max_length: Some(5), has_dead_letters: true, ..PLAIN },
    QueueSpec { name: "strict", max_length: Some(4), refuses: true, ..PLAIN },
    QueueSpec { name: "brief", ttl_ms: Some(1000), has_dead_letters: true, ..PLAIN },
    QueueSpec { name: "ranked", max_priority: Some(4), ..PLAIN },
    QueueSpec { name: "quorum", is_quorum: true, delivery_limit: Some(3), has_dead_letters: true, ..PLAIN },
    QueueSpec { name: "parted", partitions: Some(2), deduplicates: true, ..PLAIN },
    QueueSpec { name: "unique", deduplicates: true, ..PLAIN },
    QueueSpec { name: "fading", max_priority: Some(1), has_dead_letters: true, ..PLAIN },
];

pub struct ExchangeSpec {
    pub name: &'static str,
    pub kind: &'static str,
}

/// The delayed exchange.
pub const LATER: &str = "later";

/// An exchange that is bound to another exchange.
pub const RELAY: &str = "relay";
/// The headers exchange.
pub const LABELS: &str = "labels";

pub const EXCHANGES: [ExchangeSpec; 6] = [
    ExchangeSpec { name: "fan", kind: "fanout" },
    ExchangeSpec { name: "topics", kind: "topic" },
    ExchangeSpec { name: "moving", kind: "direct" },
    ExchangeSpec { name: LATER, kind: "x-delayed-message" },
    ExchangeSpec { name: RELAY, kind: "topic" },
    ExchangeSpec { name: LABELS, kind: "headers" },
];

/// Exchanges that are deleted now and then.
pub const RENEWED_EXCHANGES: [usize; 3] = [2, 4, 5];

/// The destination of a binding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Queue(usize),
    Exchange(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindingSpec {
    pub exchange: &'static str,
    pub target: Target,
    pub key: &'static str,
    /// The value of the header `label` that a binding requires.
    pub label: Option<&'static str>,
}

const fn binding(exchange: &'static str, queue: usize, key: &'static str) -> BindingSpec {
    BindingSpec { exchange, target: Target::Queue(queue), key, label: None }
}

const fn between(exchange: &'static str, target: &'static str, key: &'static str) -> BindingSpec {
    BindingSpec { exchange, target: Target::Exchange(target), key, label: None }
}

const fn labelled(queue: usize, label: &'static str) -> BindingSpec {
    BindingSpec { exchange: LABELS, target: Target::Queue(queue), key: "", label: Some(label) }
}

pub const BINDINGS: [BindingSpec; 20] = [
    binding("fan", 1, ""),
    binding("fan", SIDE, ""),
    binding("fan", 8, ""),
    binding("fan", QUORUM, ""),
    binding("fan", 4, ""),
    binding("topics", 1, "order.*"),
    binding("topics", 5, "order.new"),
    binding("topics", 7, "#"),
    binding("topics", PARTED, "order.*"),
    binding(LATER, LATE, "later"),
    binding("moving", SIDE, "a"),
    binding("moving", SIDE, "b"),
    binding("moving", 1, "a"),
    binding("moving", QUORUM, "c"),
    between(RELAY, "moving", "#"),
    between(RELAY, LABELS, "a"),
    binding(RELAY, SIDE, "b"),
    labelled(1, "red"),
    labelled(SIDE, "red"),
    labelled(SIDE, "blue"),
];

/// The bindings from here on come and go.
pub const MOVING_BINDINGS: usize = 10;

/// Routing keys of messages to each exchange; the default exchange takes queue names.
pub fn keys(exchange: &str) -> &'static [&'static str] {
    match exchange {
        "fan" | LABELS => &[""],
        "topics" => &["order.new", "order.old", "other"],
        "moving" | RELAY => &["a", "b", "c"],
        _ => &["later"],
    }
}

impl BindingSpec {
    /// Whether a message with this key and this label matches; the patterns above are all that are needed.
    pub fn matches(&self, key: &str, label: Option<&str>) -> bool {
        match (self.exchange, self.key) {
            (LABELS, _) => self.label == label,
            ("fan", _) | (_, "#") => true,
            (_, "order.*") => key.starts_with("order."),
            (_, own) => own == key,
        }
    }

    /// Whether it is deleted with its queue, at the latest with the broker.
    pub fn is_transient(&self) -> bool {
        matches!(self.target, Target::Queue(queue) if QUEUES[queue].is_transient)
    }

    /// Whether it is deleted with this exchange.
    pub fn uses(&self, exchange: usize) -> bool {
        let name = EXCHANGES[exchange].name;
        self.exchange == name || self.target == Target::Exchange(name)
    }
}
