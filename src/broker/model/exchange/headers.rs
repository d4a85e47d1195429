//! Headers: finds the bindings whose arguments match the headers of a message.
//!
//! With `x-match` `all`, a binding becomes one rule with all its conditions; with `any`, one rule for each condition. A
//! rule is filed under the one of its conditions that has the fewest other rules, so a message is only compared with
//! rules that have a condition which it meets. Rules without conditions always match.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::destinations::{Destination, Destinations};
use crate::broker::model::arguments::MATCH;
use crate::broker::model::error::Error;
use crate::properties::Properties;
use crate::table::{Table, Value};

/// The rules of a headers exchange.
#[derive(Debug, Default)]
pub(super) struct Headers {
    /// Rules by the condition that they are filed under. A rule's table has the headers that a message must have;
    /// `Void` tests presence only.
    rules: HashMap<Box<[u8]>, Destinations<Table>, FixedState>,
}

impl Headers {
    pub(super) fn insert(&mut self, arguments: &Table, destination: &Destination) {
        for rule in rules(arguments) {
            let standing = |place: &Vec<u8>| self.rules.get(&**place).map_or(0, |rules| rules.iter().len());
            let place = places(&rule).into_iter().min_by_key(standing).unwrap_or_default();
            self.rules.entry(place.into()).or_default().insert(destination.clone(), rule);
        }
    }

    pub(super) fn remove(&mut self, arguments: &Table, destination: &Destination) {
        for rule in rules(arguments) {
            places(&rule).iter().any(|place| self.remove_from(place, &rule, destination));
        }
    }

    fn remove_from(&mut self, place: &[u8], rule: &Table, destination: &Destination) -> bool {
        let Some(rules) = self.rules.get_mut(place) else { return false };
        let is_removed = rules.remove(destination, rule);
        if rules.is_empty() {
            self.rules.remove(place);
        }
        is_removed
    }

    pub(super) fn route<'a>(&'a self, properties: Properties<'_>, found: &mut dyn FnMut(&'a Destination)) {
        if self.rules.is_empty() {
            return;
        }
        let headers = properties.headers().unwrap_or_default();
        let mut ask = |place: &[u8]| {
            let rules = self.rules.get(place).into_iter().flat_map(Destinations::iter);
            rules.filter(|(_, rule)| holds(rule, &headers)).for_each(|(destination, _)| found(destination));
        };
        let mut place = Vec::new();
        ask(&place);
        for (name, value) in headers.iter() {
            for wanted in [value, &Value::Void] {
                place.clear();
                put_place(name, wanted, &mut place);
                ask(&place);
            }
        }
    }
}

/// Returns the keys under which a rule may be filed.
fn places(rule: &Table) -> Vec<Vec<u8>> {
    if rule.is_empty() {
        return vec![Vec::new()];
    }
    let place = |(name, value)| {
        let mut place = Vec::new();
        put_place(name, value, &mut place);
        place
    };
    rule.iter().map(place).collect()
}

/// Makes the key of a condition. Equivalent values have the same key.
fn put_place(name: &str, value: &Value, place: &mut Vec<u8>) {
    place.extend_from_slice(name.as_bytes());
    // No name contains this octet.
    place.push(0xff);
    value.put_key(place);
}

/// Returns the rules that a binding's arguments amount to.
fn rules(arguments: &Table) -> Vec<Table> {
    let mode = arguments.get(MATCH).and_then(Value::as_str).unwrap_or("all");
    let with_x = mode.ends_with("-with-x");
    let is_wanted = |name: &str| name != MATCH && (with_x || !name.starts_with("x-"));
    let wanted = arguments.iter().filter(|(name, _)| is_wanted(name)).map(|(name, value)| (name, value.clone()));
    if mode.starts_with("any") { wanted.map(|one| Table::from_iter([one])).collect() } else { vec![wanted.collect()] }
}

fn holds(rule: &Table, headers: &Table) -> bool {
    rule.iter()
        .all(|(name, wanted)| headers.get(name).is_some_and(|value| *wanted == Value::Void || value.equivalent(wanted)))
}

/// Checks that a headers binding's `x-match` is one of the four modes.
pub(super) fn check_mode(arguments: &Table) -> Result<(), Error> {
    let found = match arguments.get(MATCH).map(Value::as_str) {
        None | Some(Some("all" | "any" | "all-with-x" | "any-with-x")) => return Ok(()),
        Some(mode) => mode,
    };
    Err(Error::Invalid(match (found, arguments.get(MATCH)) {
        (None, Some(value)) => {
            let kind = value.type_name();
            format!("Invalid x-match field type {kind} (value {value}); expected longstr").into()
        }
        (mode, _) => {
            let mode = mode.unwrap_or_default();
            format!("Invalid x-match field value <<\"{mode}\">>; expected all, any, all-with-x, or any-with-x").into()
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::QueueId;
    use crate::properties::PropertyValues;

    fn table(pairs: &[(&str, Value)]) -> Table {
        pairs.iter().cloned().collect()
    }

    fn matches(arguments: &Table, headers: &Table) -> bool {
        let mut raw = Vec::new();
        PropertyValues { headers: Some(headers.clone()), ..PropertyValues::default() }.encode(&mut raw).unwrap();
        let queue = Destination::Queue(QueueId::from_index(1));
        let mut exchange = Headers::default();
        exchange.insert(arguments, &queue);
        let mut is_found = false;
        exchange.route(Properties::trusted(&raw), &mut |_| is_found = true);
        exchange.remove(arguments, &queue);
        assert!(exchange.rules.is_empty(), "{arguments:?} left rules behind");
        is_found
    }

    #[test]
    fn all_any_and_presence() {
        let headers = table(&[
            ("format", "pdf".into()),
            ("pages", 3.into()),
            ("x-new", true.into()),
            ("price", Value::F32(0.5)),
            ("zero", Value::F64(-0.0)),
            ("tags", Value::Array(vec![Value::I8(1)])),
        ]);
        for (arguments, expected) in [
            (vec![], true),
            (vec![("x-match", "any".into())], false),
            (vec![("format", "pdf".into()), ("pages", Value::I64(3))], true),
            (vec![("format", "pdf".into()), ("pages", Value::I64(4))], false),
            (vec![("x-match", "any".into()), ("format", "pdf".into()), ("pages", Value::I64(4))], true),
            (vec![("x-match", "any".into()), ("format", "doc".into()), ("pages", Value::Void)], true),
            (vec![("pages", Value::Void)], true),
            (vec![("title", Value::Void)], false),
            (vec![("price", Value::F64(0.5)), ("zero", Value::F32(0.0))], true),
            (vec![("price", 0.into())], false),
            (vec![("tags", Value::Array(vec![Value::I64(1)]))], true),
            (vec![("tags", Value::Array(vec![Value::I64(2)]))], false),
            (vec![("x-new", false.into())], true),
            (vec![("x-match", "all-with-x".into()), ("x-new", false.into())], false),
            (vec![("x-match", "any-with-x".into()), ("x-new", true.into())], true),
        ] {
            let arguments = table(&arguments);
            assert_eq!(matches(&arguments, &headers), expected, "{arguments:?}");
        }
    }

    #[test]
    fn rules_spread_over_what_they_want() {
        let mut exchange = Headers::default();
        let arguments = |number: i32| table(&[("format", "pdf".into()), ("number", number.into())]);
        let queue = Destination::Queue(QueueId::from_index(1));
        (0..100).for_each(|number| exchange.insert(&arguments(number), &queue));
        assert!(exchange.rules.values().all(|rules| rules.iter().len() <= 2));
        (0..100).for_each(|number| exchange.remove(&arguments(number), &queue));
        assert!(exchange.rules.is_empty());
    }
}
