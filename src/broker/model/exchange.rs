//! Exchange: its bindings, and the index that finds those which match a message.
//!
//! The bindings, sorted by destination, are the truth; each type of exchange derives its index from them. An index may
//! return a destination more than once: routing removes the duplicates.

pub(crate) mod destinations;
mod hashing;
mod headers;
pub(crate) mod kind;
mod topic;

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::FixedState;

use super::arguments::{DELAYED_TYPE, alternate_exchange};
use super::error::Error;
use super::room;
use crate::properties::Properties;
use crate::table::{Table, Value};

pub use destinations::Destination;
use destinations::Destinations;
use hashing::ConsistentHash;
use headers::Headers;
pub use kind::ExchangeKind;
use topic::Topic;
pub(crate) use topic::Walk;

/// Identity of a binding within its source exchange.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct BindingKey {
    destination: Destination,
    routing_key: Box<str>,
    /// Sorted by name, and encoded.
    arguments: Box<[u8]>,
}

/// An exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) kind: ExchangeKind,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    /// As declared.
    pub(crate) arguments: Table,
    /// Alternate exchange of the policy.
    policy_alternate: Option<Box<str>>,
    bindings: BTreeSet<BindingKey>,
    /// Memory that the bindings take.
    bindings_bytes: usize,
    index: Index,
}

#[derive(Debug)]
enum Index {
    Direct(HashMap<Box<str>, Destinations, FixedState>),
    Fanout(Destinations),
    Topic(Topic),
    Headers(Headers),
    ConsistentHash(ConsistentHash),
    Random(Destinations),
}

impl Exchange {
    /// Returns the type by which an exchange of this type and with these arguments routes: its own, unless it is a
    /// delayed one.
    pub(crate) fn routing_of(kind: ExchangeKind, arguments: &Table) -> Result<ExchangeKind, Error> {
        Index::new(kind, arguments).map(|index| index.kind())
    }

    pub(crate) fn new(kind: ExchangeKind, durable: bool, auto_delete: bool, internal: bool, arguments: &Table) -> Self {
        let index = Index::new(kind, arguments).unwrap_or_else(|_| unreachable!("its arguments were checked"));
        let (policy_alternate, bindings) = (None, BTreeSet::new());
        let bindings_bytes = 0;
        Self {
            kind,
            durable,
            auto_delete,
            internal,
            arguments: arguments.clone(),
            policy_alternate,
            bindings,
            bindings_bytes,
            index,
        }
    }

    /// Returns whether both have the same properties and arguments.
    pub(crate) fn is_declared_as(&self, other: &Self) -> bool {
        let said = |exchange: &Self| {
            (exchange.kind, exchange.routing(), exchange.durable, exchange.auto_delete, exchange.internal)
        };
        said(self) == said(other) && self.arguments == other.arguments
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.bindings.is_empty()
    }

    /// Returns whether it delays messages that request it.
    pub(crate) fn is_delayed(&self) -> bool {
        self.kind == ExchangeKind::Delayed
    }

    /// Returns the type by which it routes: its own, unless it is a delayed one.
    pub(crate) fn routing(&self) -> ExchangeKind {
        self.index.kind()
    }

    /// Returns the exchange that gets unroutable messages; a declaration takes precedence over a policy.
    pub(crate) fn alternate(&self) -> Option<&str> {
        self.declared_alternate().or(self.policy_alternate.as_deref())
    }

    pub(crate) fn declared_alternate(&self) -> Option<&str> {
        alternate_exchange(&self.arguments)
    }

    pub(crate) fn set_policy(&mut self, alternate: Option<&str>) {
        self.policy_alternate = alternate.map(Box::from);
    }

    /// Checks that a binding is valid for this type.
    pub(crate) fn check_binding(&self, routing_key: &str, arguments: &Table) -> Result<(), Error> {
        match self.index {
            Index::Headers(_) => headers::check_mode(arguments),
            Index::ConsistentHash(_) => hashing::weight(routing_key).map(drop),
            _ => Ok(()),
        }
    }

    /// Returns the memory that the bindings take.
    pub(crate) fn bindings_bytes(&self) -> usize {
        self.bindings_bytes
    }

    /// Returns the memory that the exchange takes with its bindings, each of which is also noted at its destination.
    pub(crate) fn room(&self, name: &str) -> usize {
        room::of_exchange(name, &self.arguments) + self.bindings_bytes() + name.len() * self.destinations().len()
    }

    /// Returns the destinations of the bindings, sorted, possibly with duplicates.
    pub(crate) fn destinations(&self) -> impl ExactSizeIterator<Item = &Destination> {
        self.bindings.iter().map(|key| &key.destination)
    }

    /// Returns all bindings: destination, routing key and arguments.
    pub(crate) fn bindings(&self) -> impl Iterator<Item = (&Destination, &str, Table)> {
        self.bindings.iter().map(|key| (&key.destination, &*key.routing_key, key.arguments()))
    }

    pub(crate) fn has_binding(&self, destination: &Destination, routing_key: &str, arguments: &Table) -> bool {
        self.bindings.contains(&BindingKey::new(destination, routing_key, &sorted(arguments)))
    }

    pub(crate) fn is_bound_to(&self, destination: &Destination) -> bool {
        self.bindings_to(destination).next().is_some()
    }

    /// Adds a binding; an existing one is left as it is.
    pub(crate) fn bind(&mut self, destination: &Destination, routing_key: &str, arguments: &Table) {
        let arguments = sorted(arguments);
        if self.bindings.insert(BindingKey::new(destination, routing_key, &arguments)) {
            self.index.insert(destination, routing_key, &arguments);
            self.bindings_bytes += room::of_binding(self.routing(), destination, routing_key, &arguments);
        }
    }

    /// Removes a binding, if it exists.
    pub(crate) fn unbind(&mut self, destination: &Destination, routing_key: &str, arguments: &Table) {
        let arguments = sorted(arguments);
        if self.bindings.remove(&BindingKey::new(destination, routing_key, &arguments)) {
            self.index.remove(destination, routing_key, &arguments);
            self.bindings_bytes -= room::of_binding(self.routing(), destination, routing_key, &arguments);
        }
    }

    /// Removes all bindings to a destination.
    pub(crate) fn unbind_all(&mut self, destination: &Destination) {
        let theirs: Vec<_> = self.bindings_to(destination).cloned().collect();
        for key in theirs {
            self.bindings.remove(&key);
            let arguments = key.arguments();
            self.index.remove(destination, &key.routing_key, &arguments);
            self.bindings_bytes -= room::of_binding(self.routing(), destination, &key.routing_key, &arguments);
        }
    }

    fn bindings_to<'a>(&'a self, destination: &'a Destination) -> impl Iterator<Item = &'a BindingKey> {
        let from_theirs = self.bindings.range(BindingKey::first_to(destination)..);
        from_theirs.take_while(|key| key.destination == *destination)
    }

    /// Returns whether the route depends on the routing key; then each routing key of a message is looked up.
    pub(crate) fn looks_at_keys(&self) -> bool {
        matches!(self.index, Index::Direct(_) | Index::Topic(_))
    }

    /// Calls `found` with the destinations that match, possibly with duplicates.
    pub(crate) fn route<'a>(
        &'a self,
        routing_key: &str,
        properties: Properties<'_>,
        walk: &mut Walk,
        found: &mut dyn FnMut(&'a Destination),
    ) {
        match &self.index {
            Index::Direct(keys) => {
                keys.get(routing_key).into_iter().flat_map(Destinations::iter).for_each(|(to, ())| found(to));
            }
            Index::Fanout(all) => all.iter().for_each(|(to, ())| found(to)),
            Index::Topic(topic) => topic.route(routing_key, walk, found),
            Index::Headers(headers) => headers.route(properties, found),
            Index::ConsistentHash(hashed) => hashed.choose(routing_key, properties).into_iter().for_each(found),
            Index::Random(all) => walk.chance.one_of(all).into_iter().for_each(found),
        }
    }
}

impl Index {
    fn new(kind: ExchangeKind, arguments: &Table) -> Result<Self, Error> {
        Ok(match kind {
            ExchangeKind::Direct => Self::Direct(HashMap::default()),
            ExchangeKind::Fanout => Self::Fanout(Destinations::new()),
            ExchangeKind::Topic => Self::Topic(Topic::new()),
            ExchangeKind::Headers => Self::Headers(Headers::default()),
            ExchangeKind::ConsistentHash => Self::ConsistentHash(ConsistentHash::new(arguments)?),
            ExchangeKind::Random => Self::Random(Destinations::new()),
            ExchangeKind::Delayed => Self::new(delayed_kind(arguments)?, arguments)?,
        })
    }

    /// Returns the type by which it routes.
    fn kind(&self) -> ExchangeKind {
        match self {
            Self::Direct(_) => ExchangeKind::Direct,
            Self::Fanout(_) => ExchangeKind::Fanout,
            Self::Topic(_) => ExchangeKind::Topic,
            Self::Headers(_) => ExchangeKind::Headers,
            Self::ConsistentHash(_) => ExchangeKind::ConsistentHash,
            Self::Random(_) => ExchangeKind::Random,
        }
    }

    fn insert(&mut self, destination: &Destination, routing_key: &str, arguments: &Table) {
        match self {
            Self::Direct(keys) => keys.entry(routing_key.into()).or_default().insert(destination.clone(), ()),
            Self::Fanout(all) | Self::Random(all) => all.insert(destination.clone(), ()),
            Self::Topic(topic) => topic.insert(routing_key, destination.clone()),
            Self::Headers(headers) => headers.insert(arguments, destination),
            Self::ConsistentHash(hashed) => hashed.insert(routing_key, destination),
        }
    }

    fn remove(&mut self, destination: &Destination, routing_key: &str, arguments: &Table) {
        match self {
            Self::Direct(keys) => {
                let Some(theirs) = keys.get_mut(routing_key) else { return };
                theirs.remove(destination, &());
                if theirs.is_empty() {
                    keys.remove(routing_key);
                }
            }
            Self::Fanout(all) | Self::Random(all) => {
                all.remove(destination, &());
            }
            Self::Topic(topic) => topic.remove(routing_key, destination),
            Self::Headers(headers) => headers.remove(arguments, destination),
            Self::ConsistentHash(hashed) => hashed.remove(routing_key, destination),
        }
    }
}

/// Returns the type by which a delayed exchange routes.
fn delayed_kind(arguments: &Table) -> Result<ExchangeKind, Error> {
    let named = arguments.get(DELAYED_TYPE).and_then(Value::as_str).and_then(ExchangeKind::named);
    match named {
        Some(kind) if kind != ExchangeKind::Delayed => Ok(kind),
        _ => Err(Error::BadArgument(DELAYED_TYPE, "expected another exchange type".into())),
    }
}

impl BindingKey {
    /// Makes a key that sorts before all keys of this destination.
    fn first_to(destination: &Destination) -> Self {
        Self { destination: destination.clone(), routing_key: "".into(), arguments: [].into() }
    }

    /// Makes a key with sorted arguments.
    fn new(destination: &Destination, routing_key: &str, arguments: &Table) -> Self {
        let mut encoded = Vec::new();
        arguments.encode(&mut encoded).expect("a binding's arguments are checked before");
        Self { destination: destination.clone(), routing_key: routing_key.into(), arguments: encoded.into() }
    }

    fn arguments(&self) -> Table {
        Table::decode(&self.arguments).expect("a binding's arguments were encoded here")
    }
}

/// Returns the arguments sorted by name, as their order means nothing.
fn sorted(arguments: &Table) -> Table {
    let mut entries: Vec<(&str, &Value)> = Vec::new();
    for (name, value) in arguments.iter() {
        let place = entries.partition_point(|&(known, _)| known < name);
        entries.insert(place, (name, value));
    }
    let mut table = Table::new();
    for (name, value) in entries {
        table.insert(name, value.clone());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::QueueId;

    const ROUTING: [ExchangeKind; 4] =
        [ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Topic, ExchangeKind::Headers];

    fn exchange(kind: ExchangeKind, arguments: &Table) -> Exchange {
        Exchange::new(kind, true, false, false, arguments)
    }

    fn queue(index: u64) -> Destination {
        Destination::Queue(QueueId::from_index(index))
    }

    fn routed(exchange: &Exchange, routing_key: &str, walk: &mut Walk) -> Vec<Destination> {
        let mut found = Vec::new();
        exchange.route(routing_key, Properties::EMPTY, walk, &mut |to| found.push(to.clone()));
        found.dedup();
        found
    }

    #[test]
    fn a_binding_made_twice_is_one() {
        let mut fanout = exchange(ExchangeKind::Fanout, &Table::new());
        fanout.bind(&queue(1), "key", &[("a", 1), ("b", 2)].into_iter().collect());
        fanout.bind(&queue(1), "key", &[("b", 2), ("a", 1)].into_iter().collect());
        fanout.unbind(&queue(1), "key", &[("a", 1), ("b", 2)].into_iter().collect());
        assert!(fanout.is_unused() && routed(&fanout, "key", &mut Walk::default()).is_empty());
    }

    #[test]
    fn unbinding_a_destination_leaves_the_others() {
        for kind in ROUTING {
            let mut exchange = exchange(kind, &Table::new());
            for index in [1, 2, 3] {
                exchange.bind(&queue(index), "a", &Table::new());
                exchange.bind(&queue(index), "b", &Table::new());
            }
            exchange.unbind_all(&queue(2));
            assert_eq!(routed(&exchange, "a", &mut Walk::default()), [queue(1), queue(3)], "{kind:?}");
            assert!(exchange.is_bound_to(&queue(1)) && !exchange.is_bound_to(&queue(2)));
        }
    }

    #[test]
    fn a_delayed_exchange_routes_as_the_type_that_it_names() {
        for kind in ExchangeKind::ALL {
            let arguments = [(DELAYED_TYPE, kind.name())].into_iter().collect();
            if kind == ExchangeKind::Delayed {
                assert!(Exchange::routing_of(kind, &arguments).is_err());
                continue;
            }
            let mut delayed = exchange(ExchangeKind::Delayed, &arguments);
            delayed.bind(&queue(1), "1", &Table::new());
            assert_eq!(routed(&delayed, "1", &mut Walk::default()), [queue(1)], "{kind:?}");
            assert_eq!((delayed.routing(), delayed.is_delayed()), (kind, true));
        }
        for bad in [Value::Void, "unknown".into()] {
            assert!(Exchange::routing_of(ExchangeKind::Delayed, &[(DELAYED_TYPE, bad)].into_iter().collect()).is_err());
        }
        assert!(Exchange::routing_of(ExchangeKind::Delayed, &Table::new()).is_err());
    }

    #[test]
    fn a_random_exchange_takes_each_of_its_bindings_in_time_and_one_a_message() {
        let mut random = exchange(ExchangeKind::Random, &Table::new());
        (0..4).for_each(|index| random.bind(&queue(index), "", &Table::new()));
        let mut walk = Walk::default();
        let routed: Vec<_> = (0..4_000).map(|_| routed(&random, "any", &mut walk)).collect();
        assert!(routed.iter().all(|found| found.len() == 1));
        for index in 0..4 {
            let count = routed.iter().filter(|found| found[0] == queue(index)).count();
            assert!((900..1_100).contains(&count), "queue {index}: {count}");
        }
        random.unbind_all(&queue(1));
        assert!((0..100).all(|_| self::routed(&random, "", &mut walk) != [queue(1)]));
    }

    #[test]
    fn a_binding_must_make_sense_to_its_exchange() {
        let hash = exchange(ExchangeKind::ConsistentHash, &Table::new());
        assert!(hash.check_binding("10", &Table::new()).is_ok() && hash.check_binding("key", &Table::new()).is_err());
        let bad_mode = [("x-match", "some")].into_iter().collect();
        for kind in ROUTING {
            let is_refused = exchange(kind, &Table::new()).check_binding("key", &bad_mode).is_err();
            assert_eq!(is_refused, kind == ExchangeKind::Headers, "{kind:?}");
        }
    }

    #[test]
    fn an_alternate_exchange_that_is_declared_goes_before_a_policys() {
        for (arguments, expected) in
            [(Table::new(), "policy"), ([("alternate-exchange", "own")].into_iter().collect(), "own")]
        {
            let mut exchange = exchange(ExchangeKind::Direct, &arguments);
            exchange.set_policy(Some("policy"));
            assert_eq!(exchange.alternate(), Some(expected));
        }
    }
}
