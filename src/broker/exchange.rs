//! Exchange: its bindings, and the index that finds those which match a message.
//!
//! The bindings, sorted by destination, are the truth; the index is derived from them, one a type. Destinations may
//! come out of an index more than once: routing makes the copies one.

use std::collections::{BTreeSet, HashMap};

use super::error::Error;
use super::topic::{Topic, Walk};
use crate::id::QueueId;
use crate::properties::Properties;
use crate::table::{Table, Value};

/// The types of exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// Routing key equal to the binding's.
    Direct,
    /// Every binding.
    Fanout,
    /// Routing key matches the binding's pattern.
    Topic,
    /// Headers match the binding's arguments.
    Headers,
}

impl ExchangeKind {
    /// The names of all types.
    pub(crate) const NAMES: [&str; 4] = ["direct", "fanout", "topic", "headers"];

    /// The type of this name.
    pub(crate) fn named(name: &str) -> Result<Self, Error> {
        match name {
            "direct" => Ok(Self::Direct),
            "fanout" => Ok(Self::Fanout),
            "topic" => Ok(Self::Topic),
            "headers" => Ok(Self::Headers),
            _ => Err(Error::UnknownExchangeType(name.into())),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Fanout => "fanout",
            Self::Topic => "topic",
            Self::Headers => "headers",
        }
    }
}

/// Where a binding leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// To a queue.
    Queue(QueueId),
    /// To an exchange, by its name.
    Exchange(Box<str>),
}

/// What makes a binding this one and no other; the source is the exchange that holds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct BindingKey {
    destination: Destination,
    routing_key: Box<str>,
    /// Sorted by name and encoded.
    arguments: Box<[u8]>,
}

/// An exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) kind: ExchangeKind,
    pub(crate) durable: bool,
    pub(crate) auto_delete: bool,
    pub(crate) internal: bool,
    /// What the declaration says, and what a policy does, of who takes what nothing here routes.
    declared_alternate: Option<Box<str>>,
    policy_alternate: Option<Box<str>>,
    bindings: BTreeSet<BindingKey>,
    index: Index,
}

#[derive(Debug)]
enum Index {
    Direct(HashMap<Box<str>, Vec<Destination>, foldhash::fast::FixedState>),
    Fanout(Vec<Destination>),
    Topic(Topic),
    Headers(Vec<(HeadersMatch, Destination)>),
}

impl Exchange {
    pub(crate) fn new(kind: ExchangeKind, durable: bool, auto_delete: bool, internal: bool, arguments: &Table) -> Self {
        let alternate = arguments.get("alternate-exchange").and_then(Value::as_str).map(Box::from);
        let index = match kind {
            ExchangeKind::Direct => Index::Direct(HashMap::default()),
            ExchangeKind::Fanout => Index::Fanout(Vec::new()),
            ExchangeKind::Topic => Index::Topic(Topic::new()),
            ExchangeKind::Headers => Index::Headers(Vec::new()),
        };
        let (declared_alternate, policy_alternate, bindings) = (alternate, None, BTreeSet::new());
        Self { kind, durable, auto_delete, internal, declared_alternate, policy_alternate, bindings, index }
    }

    /// The exchange that takes what nothing here routes.
    pub(crate) fn alternate(&self) -> Option<&str> {
        self.declared_alternate.as_deref().or(self.policy_alternate.as_deref())
    }

    pub(crate) fn declared_alternate(&self) -> Option<&str> {
        self.declared_alternate.as_deref()
    }

    pub(crate) fn set_policy(&mut self, alternate: Option<&str>) {
        self.policy_alternate = alternate.map(Box::from);
    }

    /// Whether it holds back those messages that ask for it.
    pub(crate) fn is_delayed(&self) -> bool {
        false
    }

    /// Where its bindings lead, each of them once or more often.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = &Destination> {
        self.bindings.iter().map(|binding| &binding.destination)
    }

    pub(crate) fn is_unused(&self) -> bool {
        self.bindings.is_empty()
    }

    pub(crate) fn has_binding(&self, destination: &Destination, routing_key: &str, arguments: &Table) -> bool {
        self.bindings.contains(&BindingKey::new(destination, routing_key, arguments))
    }

    pub(crate) fn is_bound_to(&self, destination: &Destination) -> bool {
        self.bindings
            .range(BindingKey::first_to(destination)..)
            .next()
            .is_some_and(|key| key.destination == *destination)
    }

    /// Adds a binding; one that is there already stays one.
    pub(crate) fn bind(&mut self, destination: &Destination, routing_key: &str, arguments: &Table) {
        if !self.bindings.insert(BindingKey::new(destination, routing_key, arguments)) {
            return;
        }
        let destination = destination.clone();
        match &mut self.index {
            Index::Direct(keys) => keys.entry(routing_key.into()).or_default().push(destination),
            Index::Fanout(all) => all.push(destination),
            Index::Topic(topic) => topic.insert(routing_key, destination),
            Index::Headers(matches) => matches.push((HeadersMatch::new(arguments), destination)),
        }
    }

    /// Removes a binding, if it is there.
    pub(crate) fn unbind(&mut self, destination: &Destination, routing_key: &str, arguments: &Table) {
        if !self.bindings.remove(&BindingKey::new(destination, routing_key, arguments)) {
            return;
        }
        match &mut self.index {
            Index::Direct(keys) => {
                if let Some(destinations) = keys.get_mut(routing_key) {
                    remove_one(destinations, |known| known == destination);
                    if destinations.is_empty() {
                        keys.remove(routing_key);
                    }
                }
            }
            Index::Fanout(all) => remove_one(all, |known| known == destination),
            Index::Topic(topic) => topic.remove(routing_key, destination),
            Index::Headers(matches) => {
                let removed = HeadersMatch::new(arguments);
                remove_one(matches, |(known, to)| to == destination && *known == removed);
            }
        }
    }

    /// Removes all bindings to a destination.
    pub(crate) fn unbind_all(&mut self, destination: &Destination) {
        let theirs: Vec<_> = self
            .bindings
            .range(BindingKey::first_to(destination)..)
            .take_while(|key| key.destination == *destination)
            .cloned()
            .collect();
        for key in theirs {
            let arguments = Table::decode(&key.arguments).expect("a binding's arguments were encoded here");
            self.unbind(destination, &key.routing_key, &arguments);
        }
    }

    /// Calls `found` with the destinations that match, some perhaps more than once.
    pub(crate) fn route<'a>(
        &'a self,
        routing_key: &str,
        properties: Properties<'_>,
        walk: &mut Walk,
        found: impl FnMut(&'a Destination),
    ) {
        match &self.index {
            Index::Direct(keys) => keys.get(routing_key).into_iter().flatten().for_each(found),
            Index::Fanout(all) => all.iter().for_each(found),
            Index::Topic(topic) => topic.route(routing_key, walk, found),
            Index::Headers(matches) => {
                let headers = properties.headers().unwrap_or_default();
                matches.iter().filter(|(rule, _)| rule.accepts(&headers)).map(|(_, to)| to).for_each(found);
            }
        }
    }
}

impl BindingKey {
    /// Sorts before all keys of this destination.
    fn first_to(destination: &Destination) -> Self {
        Self { destination: destination.clone(), routing_key: "".into(), arguments: [].into() }
    }

    fn new(destination: &Destination, routing_key: &str, arguments: &Table) -> Self {
        let mut encoded = Vec::new();
        sorted(arguments).encode(&mut encoded).expect("a binding's arguments are checked before");
        Self { destination: destination.clone(), routing_key: routing_key.into(), arguments: encoded.into() }
    }
}

/// A headers binding's rule, compiled from its arguments.
#[derive(Debug, PartialEq)]
struct HeadersMatch {
    /// One suffices, not all.
    any: bool,
    /// What to look for; `Void` tests presence alone.
    wanted: Table,
}

impl HeadersMatch {
    fn new(arguments: &Table) -> Self {
        let mode = arguments.get("x-match").and_then(Value::as_str).unwrap_or("all");
        let with_x = mode.ends_with("-with-x");
        let mut wanted = Table::new();
        for (name, value) in sorted(arguments).iter() {
            if name != "x-match" && (with_x || !name.starts_with("x-")) {
                wanted.insert(name, value.clone());
            }
        }
        Self { any: mode.starts_with("any"), wanted }
    }

    /// With nothing wanted, *all* takes everything and *any* nothing.
    fn accepts(&self, headers: &Table) -> bool {
        let mut holds = self.wanted.iter().map(|(name, wanted)| {
            headers.get(name).is_some_and(|value| *wanted == Value::Void || value.equivalent(wanted))
        });
        if self.any { holds.any(|held| held) } else { holds.all(|held| held) }
    }
}

/// Checks that a headers binding's `x-match` is one of the four.
pub(crate) fn check_headers_match(arguments: &Table) -> Result<(), Error> {
    let found = match arguments.get("x-match").map(Value::as_str) {
        None | Some(Some("all" | "any" | "all-with-x" | "any-with-x")) => return Ok(()),
        Some(Some(mode)) => format!("'{mode}'"),
        Some(None) => "not a text".into(),
    };
    let reason = format!("its value is {found}; expected all, any, all-with-x, or any-with-x");
    Err(Error::BadArgument("x-match", reason.into()))
}

/// The same arguments in the order of their names, as the order in which a client wrote them means nothing.
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

fn remove_one<T>(items: &mut Vec<T>, is_it: impl FnMut(&T) -> bool) {
    if let Some(index) = items.iter().position(is_it) {
        items.remove(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(pairs: &[(&str, Value)]) -> Table {
        let mut table = Table::new();
        for (name, value) in pairs {
            table.insert(*name, value.clone());
        }
        table
    }

    fn text(text: &str) -> Value {
        Value::Text(text.as_bytes().into())
    }

    #[test]
    fn headers_match_all_any_and_presence() {
        let headers = table(&[("format", text("pdf")), ("pages", Value::I32(3)), ("x-new", Value::Bool(true))]);
        for (arguments, expected) in [
            (vec![], true),
            (vec![("x-match", text("any"))], false),
            (vec![("format", text("pdf")), ("pages", Value::I64(3))], true),
            (vec![("format", text("pdf")), ("pages", Value::I64(4))], false),
            (vec![("x-match", text("any")), ("format", text("pdf")), ("pages", Value::I64(4))], true),
            (vec![("pages", Value::Void)], true),
            (vec![("title", Value::Void)], false),
            (vec![("x-new", Value::Bool(false))], true),
            (vec![("x-match", text("all-with-x")), ("x-new", Value::Bool(false))], false),
            (vec![("x-match", text("any-with-x")), ("x-new", Value::Bool(true))], true),
        ] {
            let arguments = table(&arguments);
            assert_eq!(HeadersMatch::new(&arguments).accepts(&headers), expected, "{arguments:?}");
        }
    }

    #[test]
    fn a_binding_made_twice_is_one() {
        let queue = Destination::Queue(QueueId::from_index(1));
        let mut exchange = Exchange::new(ExchangeKind::Fanout, true, false, false, &Table::new());
        exchange.bind(&queue, "key", &Table::new());
        exchange.bind(&queue, "key", &Table::new());
        exchange.unbind(&queue, "key", &Table::new());
        let mut found = 0;
        exchange.route("key", Properties::EMPTY, &mut Walk::default(), |_| found += 1);
        assert!(exchange.is_unused() && found == 0);
    }

    #[test]
    fn unbinding_a_destination_leaves_the_others() {
        let queues = [1, 2].map(|index| Destination::Queue(QueueId::from_index(index)));
        let kinds = [ExchangeKind::Direct, ExchangeKind::Fanout, ExchangeKind::Topic, ExchangeKind::Headers];
        for kind in kinds {
            let mut exchange = Exchange::new(kind, true, false, false, &Table::new());
            for queue in &queues {
                exchange.bind(queue, "a", &Table::new());
                exchange.bind(queue, "b", &Table::new());
            }
            exchange.unbind_all(&queues[0]);
            let mut found = Vec::new();
            exchange.route("a", Properties::EMPTY, &mut Walk::default(), |to| found.push(to.clone()));
            found.dedup();
            assert_eq!(found, [queues[1].clone()], "{kind:?}");
        }
    }
}
