//! Topology: the queues and exchanges of a workload, and what the checker knows of them.

/// What makes a queue of the workload special.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueSpec {
    pub name: &'static str,
    pub is_transient: bool,
    pub is_quorum: bool,
    pub max_length: Option<usize>,
    /// Refuses instead of dropping what is oldest.
    pub refuses: bool,
    pub ttl_ms: Option<u64>,
    pub max_priority: Option<u8>,
    pub delivery_limit: Option<u32>,
    /// As it is declared first; it grows.
    pub partitions: Option<u32>,
    /// Takes each deduplication id once.
    pub deduplicates: bool,
    /// What is dead goes to the queue `dead`.
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

/// The queue for dead letters: the first, as its deliveries are looked at last.
pub const DEAD: usize = 0;
/// Where the delayed exchange leads to.
pub const LATE: usize = 2;
/// To which bindings come and go.
pub const SIDE: usize = 3;
pub const QUORUM: usize = 9;
/// That which grows.
pub const PARTED: usize = 10;
pub const UNIQUE: usize = 11;
/// Queues whose messages' time to live policies change: one that has a time to live of its own, and one that has none.
pub const TIMED: [usize; 2] = [7, 12];
/// No queue has more partitions.
pub const PARTITIONS_MAX: u32 = 6;
/// By these, messages are spread over partitions, whatever their routing keys.
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

/// What is delayed comes from this one.
pub const LATER: &str = "later";

/// What comes here goes on to another exchange.
pub const RELAY: &str = "relay";
/// Bound by headers.
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

/// Where a binding leads.
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
    /// What the header `label` has to be, in a binding by headers.
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

/// Keys by which something is published to each exchange; what goes to a queue itself has its name.
pub fn keys(exchange: &str) -> &'static [&'static str] {
    match exchange {
        "fan" | LABELS => &[""],
        "topics" => &["order.new", "order.old", "other"],
        "moving" | RELAY => &["a", "b", "c"],
        _ => &["later"],
    }
}

impl BindingSpec {
    /// Whether a message with this key and this label goes along; the patterns above are all that there are.
    pub fn matches(&self, key: &str, label: Option<&str>) -> bool {
        match (self.exchange, self.key) {
            (LABELS, _) => self.label == label,
            ("fan", _) | (_, "#") => true,
            (_, "order.*") => key.starts_with("order."),
            (_, own) => own == key,
        }
    }

    /// Whether it ends with its queue's life, or the broker's.
    pub fn is_transient(&self) -> bool {
        matches!(self.target, Target::Queue(queue) if QUEUES[queue].is_transient)
    }

    /// Whether it goes when this exchange does.
    pub fn hangs_on(&self, exchange: usize) -> bool {
        let name = EXCHANGES[exchange].name;
        self.exchange == name || self.target == Target::Exchange(name)
    }
}
