//! Policy: an operator's settings for all queues and exchanges of certain names.
//!
//! Of the policies whose pattern matches, the one of the highest priority applies; of several, the first by name.
//! Patterns are regular expressions, which the host matches in linear time.

use std::fmt;
use std::rc::Rc;

use super::arguments::alternate_exchange;
use super::room;
use super::settings::{QueueType, Settings};
use crate::table::Table;

/// Decides whether a name matches a pattern; the default one only matches a name that equals it.
#[derive(Clone)]
pub struct Matcher(Rc<Matches>);

/// Takes a pattern and a name.
type Matches = dyn Fn(&str, &str) -> bool;

impl Matcher {
    /// Makes one of a function that takes a pattern and a name.
    pub fn new(matches: impl Fn(&str, &str) -> bool + 'static) -> Self {
        Self(Rc::new(matches))
    }

    /// Returns whether a name matches a pattern.
    #[must_use]
    pub fn matches(&self, pattern: &str, name: &str) -> bool {
        (self.0)(pattern, name)
    }
}

impl Default for Matcher {
    fn default() -> Self {
        Self::new(|pattern, name| pattern == name)
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Matcher")
    }
}

/// An operator's settings for some queues and exchanges.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// A regular expression that their names match.
    pub pattern: Box<str>,
    /// Kind of things that it applies to.
    pub apply_to: ApplyTo,
    /// The highest one applies.
    pub priority: i32,
    /// Its settings: keys are those of a queue's arguments without `x-`, and `alternate-exchange`.
    pub definition: Table,
}

/// Kind of things that a policy applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyTo {
    /// Queues and exchanges.
    All,
    /// Queues of each type.
    Queues,
    /// Classic queues.
    ClassicQueues,
    /// Quorum queues.
    QuorumQueues,
    /// Exchanges.
    Exchanges,
}

/// A policy with its parsed settings.
#[derive(Clone, Debug)]
struct Known {
    policy: Policy,
    /// Its settings for queues.
    settings: Settings,
}

/// All policies of a broker.
#[derive(Debug)]
pub(crate) struct Policies {
    /// Sorted by name.
    by_name: Vec<(Box<str>, Known)>,
    matcher: Matcher,
}

impl Policy {
    /// Returns the memory that it takes under this name.
    pub(crate) fn room(&self, name: &str) -> usize {
        room::of_policy(name, &self.pattern, &self.definition)
    }
}

impl ApplyTo {
    /// Returns the kind for a word of the management API.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "all" => Self::All,
            "queues" => Self::Queues,
            "classic_queues" => Self::ClassicQueues,
            "quorum_queues" => Self::QuorumQueues,
            "exchanges" => Self::Exchanges,
            _ => return None,
        })
    }

    /// Returns the word of the management API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Queues => "queues",
            Self::ClassicQueues => "classic_queues",
            Self::QuorumQueues => "quorum_queues",
            Self::Exchanges => "exchanges",
        }
    }

    fn covers_queue(self, queue_type: QueueType) -> bool {
        match self {
            Self::All | Self::Queues => true,
            Self::ClassicQueues => queue_type == QueueType::Classic,
            Self::QuorumQueues => queue_type == QueueType::Quorum,
            Self::Exchanges => false,
        }
    }
}

impl Policies {
    /// Makes an empty list; until a matcher is set, patterns are names.
    pub(crate) fn new() -> Self {
        Self { by_name: Vec::new(), matcher: Matcher::default() }
    }

    pub(crate) fn set_matcher(&mut self, matcher: Matcher) {
        self.matcher = matcher;
    }

    pub(crate) fn set(&mut self, name: &str, policy: &Policy) {
        let settings = Settings::of_policy(&policy.definition).expect("a policy was checked before it was set");
        let known = Known { policy: policy.clone(), settings };
        match self.place(name) {
            Ok(place) => self.by_name[place].1 = known,
            Err(place) => self.by_name.insert(place, (name.into(), known)),
        }
    }

    pub(crate) fn delete(&mut self, name: &str) {
        if let Ok(place) = self.place(name) {
            self.by_name.remove(place);
        }
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.place(name).is_ok()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Policy)> {
        self.by_name.iter().map(|(name, known)| (&**name, &known.policy))
    }

    /// Returns the memory that they take.
    pub(crate) fn room(&self) -> usize {
        self.iter().map(|(name, policy)| policy.room(name)).sum()
    }

    /// Returns the policy that applies to a queue of this name and type.
    pub(crate) fn of_queue(&self, name: &str, queue_type: QueueType) -> Option<(&str, &Settings)> {
        let (name, known) = self.best(name, |policy| policy.apply_to.covers_queue(queue_type))?;
        Some((name, &known.settings))
    }

    /// Returns the alternate exchange that a policy sets for an exchange.
    pub(crate) fn alternate_of(&self, exchange: &str) -> Option<&str> {
        let is_theirs = |policy: &Policy| matches!(policy.apply_to, ApplyTo::All | ApplyTo::Exchanges);
        let (_, known) = self.best(exchange, is_theirs)?;
        alternate_exchange(&known.policy.definition)
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.by_name.binary_search_by(|(known, _)| (**known).cmp(name))
    }

    fn best(&self, name: &str, covers: impl Fn(&Policy) -> bool) -> Option<(&str, &Known)> {
        let mut best: Option<(&str, &Known)> = None;
        for (policy_name, known) in &self.by_name {
            let Policy { pattern, priority, .. } = &known.policy;
            let is_better = best.is_none_or(|(_, best)| *priority > best.policy.priority);
            if is_better && covers(&known.policy) && self.matcher.matches(pattern, name) {
                best = Some((policy_name, known));
            }
        }
        best
    }
}
