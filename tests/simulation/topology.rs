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
    pub partitions: Option<u32>,
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
    has_dead_letters: false,
};

/// The queue for dead letters: the first, as its deliveries are looked at last.
pub const DEAD: usize = 0;
/// Where the delayed exchange leads to.
pub const LATE: usize = 2;
/// To which bindings come and go.
pub const SIDE: usize = 3;

pub const QUEUES: [QueueSpec; 11] = [
    QueueSpec { name: "dead", ..PLAIN },
    QueueSpec { has_dead_letters: true, ..PLAIN },
    QueueSpec { name: "late", ..PLAIN },
    QueueSpec { name: "side", ..PLAIN },
    QueueSpec { name: "passing", is_transient: true, ..PLAIN },
    QueueSpec { name: "short", max_length: Some(5), has_dead_letters: true, ..PLAIN },
    QueueSpec { name: "strict", max_length: Some(4), refuses: true, ..PLAIN },
    QueueSpec { name: "brief", ttl_ms: Some(200), has_dead_letters: true, ..PLAIN },
    QueueSpec { name: "ranked", max_priority: Some(4), ..PLAIN },
    QueueSpec { name: "quorum", is_quorum: true, delivery_limit: Some(3), has_dead_letters: true, ..PLAIN },
    QueueSpec { name: "parted", partitions: Some(3), ..PLAIN },
];

pub struct ExchangeSpec {
    pub name: &'static str,
    pub kind: &'static str,
}

/// What is delayed comes from this one.
pub const LATER: &str = "later";

pub const EXCHANGES: [ExchangeSpec; 4] = [
    ExchangeSpec { name: "fan", kind: "fanout" },
    ExchangeSpec { name: "topics", kind: "topic" },
    ExchangeSpec { name: "moving", kind: "direct" },
    ExchangeSpec { name: LATER, kind: "x-delayed-message" },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindingSpec {
    pub exchange: &'static str,
    pub queue: usize,
    pub key: &'static str,
}

const fn binding(exchange: &'static str, queue: usize, key: &'static str) -> BindingSpec {
    BindingSpec { exchange, queue, key }
}

pub const BINDINGS: [BindingSpec; 14] = [
    binding("fan", 1, ""),
    binding("fan", SIDE, ""),
    binding("fan", 8, ""),
    binding("fan", 9, ""),
    binding("fan", 4, ""),
    binding("topics", 1, "order.*"),
    binding("topics", 5, "order.new"),
    binding("topics", 7, "#"),
    binding("topics", 10, "order.*"),
    binding(LATER, LATE, "later"),
    binding("moving", SIDE, "a"),
    binding("moving", SIDE, "b"),
    binding("moving", 1, "a"),
    binding("moving", 9, "c"),
];

/// The bindings from here on come and go.
pub const MOVING_BINDINGS: usize = 10;

/// Keys by which something is published to each exchange; what goes to a queue itself has its name.
pub fn keys(exchange: &str) -> &'static [&'static str] {
    match exchange {
        "fan" => &[""],
        "topics" => &["order.new", "order.old", "other"],
        "moving" => &["a", "b", "c"],
        _ => &["later"],
    }
}

impl BindingSpec {
    /// Whether a message with this key goes along; the patterns above are all that there are.
    pub fn matches(&self, key: &str) -> bool {
        match (self.exchange, self.key) {
            ("fan", _) | (_, "#") => true,
            (_, "order.*") => key.starts_with("order."),
            (_, own) => own == key,
        }
    }
}
