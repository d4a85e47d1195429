//! Publishing: routes messages, and dead letters.

use pocketmq::broker::ErrorKind;

use super::message::{Content, Reason};
use super::queue::{Message, Place, Queue, Room, lower};
use super::topology::{Binding, Exchange};
use super::{Answer, Reference};

/// A message in a delayed exchange.
#[derive(Clone, Debug)]
pub struct Delayed {
    pub number: u64,
    pub until: u64,
    pub exchange: String,
    pub content: Content,
}

/// A publication to come.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    pub content: Content,
    /// The reason of a dead letter.
    pub reason: Option<Reason>,
    /// Whether it comes from a message that a consumer returned: that consumer may have room for one more yet or not.
    pub is_given_back: bool,
    pub mandatory: bool,
}

/// The outcome of a publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routed {
    Queued(usize),
    Refused,
    Deferred,
}

/// The queues that a message goes to.
#[derive(Debug, Default)]
pub struct Targets {
    /// Queues that enqueue it.
    pub queues: Vec<String>,
    /// Number of queues that drop it as a duplicate.
    pub doubles: usize,
    pub refusing: Vec<String>,
}

impl Reference {
    pub fn publish(&mut self, channel: usize, content: Content, mandatory: bool) -> Answer<Routed> {
        self.check_target(&content.exchange)?;
        if let Some(transaction) = &mut self.channels[channel].transaction {
            transaction.push(Pending { content, reason: None, is_given_back: false, mandatory });
            return Ok(Routed::Deferred);
        }
        Ok(self.distribute(content))
    }

    fn check_target(&self, exchange: &str) -> Answer<()> {
        match self.exchanges.iter().find(|known| known.name == exchange) {
            _ if exchange.is_empty() => Ok(()),
            None => Err(ErrorKind::NotFound),
            Some(target) if target.internal => Err(ErrorKind::AccessRefused),
            Some(_) => Ok(()),
        }
    }

    /// Expects a message in its queues, and returns the outcome.
    fn distribute(&mut self, content: Content) -> Routed {
        let targets = self.targets(&content, None, Room::Known);
        let routed = match targets.refusing.len() {
            _ if self.delays(&content) => Routed::Queued(1),
            0 => Routed::Queued(targets.queues.len() + targets.doubles),
            _ => Routed::Refused,
        };
        self.pending.push(Pending { content, reason: None, is_given_back: false, mandatory: false });
        routed
    }

    /// Whether a delayed exchange delays a message.
    pub(super) fn delays(&self, content: &Content) -> bool {
        let mut exchanges = self.exchanges.iter();
        content.delay.is_some_and(|delay| delay > 0)
            && exchanges.any(|known| known.name == content.exchange && known.delayed_kind.is_some())
    }

    pub(super) fn delay(&mut self, content: Content) {
        let delay = content.delay.unwrap_or(0) as u64;
        self.delays += 1;
        let (number, exchange) = (self.delays, content.exchange.clone());
        self.delayed.push(Delayed { number, until: self.now + delay, exchange, content });
    }

    /// Returns the dead letter of a message, if its queue has an exchange for that.
    pub(super) fn dead_letter(&self, content: Content, name: &str, reason: Reason) -> Option<Pending> {
        let settings = self.settings(self.queue(name).expect("a message dies in a queue"));
        let exchange = settings.dead_letter_exchange?;
        if !exchange.is_empty() && !self.exchanges.iter().any(|known| known.name == exchange) {
            return None;
        }
        let mut content = content.died(name, reason, self.now);
        content.exchange = exchange.into();
        if let Some(key) = settings.dead_letter_routing_key {
            content.key = key.into();
            content.cc.clear();
        }
        let is_given_back = matches!(reason, Reason::Rejected | Reason::DeliveryLimit);
        Some(Pending { content, reason: Some(reason), is_given_back, mandatory: false })
    }

    /// Returns the queues that a message goes to; a dead letter does not enter a queue in which it would only cycle.
    pub(super) fn targets(&self, content: &Content, reason: Option<Reason>, room: Room) -> Targets {
        let mut names = Vec::new();
        if content.exchange.is_empty() {
            names.extend(content.keys().into_iter().map(str::to_owned));
        } else {
            self.route(&content.exchange, content, &mut Vec::new(), &mut names);
        }
        let mut targets = Targets::default();
        for queue in self.queues.iter().filter(|queue| names.contains(&queue.name)) {
            if reason.is_some_and(|reason| reason != Reason::Rejected) && content.is_cycle(&queue.name) {
                continue;
            }
            let overflow = self.settings(queue).overflow.unwrap_or("drop-head");
            if self.is_double(queue, content) {
                targets.doubles += 1;
            } else if overflow != "drop-head" && self.would_overflow(queue, content.body.len(), room) {
                targets.refusing.push(queue.name.clone());
            } else {
                targets.queues.push(queue.name.clone());
            }
        }
        targets
    }

    fn is_double(&self, queue: &Queue, content: &Content) -> bool {
        queue.arguments.deduplicates
            && content.deduplication.is_some()
            && queue.messages.iter().any(|message| message.content.deduplication == content.deduplication)
    }

    fn route(&self, exchange: &str, content: &Content, visited: &mut Vec<String>, queues: &mut Vec<String>) {
        if visited.iter().any(|known| known == exchange) {
            return;
        }
        visited.push(exchange.into());
        let Some(exchange) = self.exchanges.iter().find(|known| known.name == exchange) else { return };
        let matching: Vec<_> = self
            .bindings
            .iter()
            .filter(|binding| binding.source == exchange.name && matches(exchange, binding, content))
            .collect();
        for binding in &matching {
            match binding.to_queue {
                true => queues.push(binding.destination.clone()),
                false => self.route(&binding.destination, content, visited, queues),
            }
        }
        let policy = self.policy_of(&exchange.name, false).and_then(|policy| policy.alternate);
        if let Some(alternate) = exchange.alternate.or(policy).filter(|_| matching.is_empty()) {
            self.route(alternate, content, visited, queues);
        }
    }

    /// Enqueues a message behind those of its priority.
    pub(super) fn arrive(&mut self, name: &str, content: &Content) {
        let now = self.now;
        // A later change of the queue's time to live does not apply to it.
        let own = content.expiration.as_ref().map(|text| text.parse().expect("a number of milliseconds"));
        let time_to_live =
            lower(self.settings(self.queue(name).expect("a message arrives in a queue")).message_ttl, own);
        let queue = self.queue_mut(name).expect("a message arrives in a queue");
        let highest = queue.arguments.max_priority.unwrap_or(0);
        let priority = content.priority.unwrap_or(0).min(highest);
        let number = &mut queue.arrived[usize::from(priority)];
        queue.messages.push(Message {
            position: u64::from(highest - priority) << 56 | *number,
            content: content.clone(),
            redelivered: false,
            requeued: 0,
            delivery_count: None,
            arrived: now,
            time_to_live,
            place: Place::Ready,
        });
        *number += 1;
    }
}

fn matches(exchange: &Exchange, binding: &Binding, content: &Content) -> bool {
    let kind = exchange.delayed_kind.unwrap_or(exchange.kind);
    match (kind, binding.wanted) {
        ("direct", _) => content.keys().contains(&binding.key.as_str()),
        ("topic", _) => content.keys().iter().any(|key| topic_matches(&words(&binding.key), &words(key))),
        ("headers", wanted) => match wanted.unwrap_or_default() {
            (is_any, None) => !is_any,
            (_, wanted) => content.header == wanted,
        },
        _ => true,
    }
}

fn words(key: &str) -> Vec<&str> {
    if key.is_empty() { Vec::new() } else { key.split('.').collect() }
}

fn topic_matches(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern, key) {
        ([], []) => true,
        (["#", rest @ ..], _) if topic_matches(rest, key) => true,
        (["#", ..], [_, key @ ..]) => topic_matches(pattern, key),
        (["*", pattern @ ..], [_, key @ ..]) => topic_matches(pattern, key),
        ([word, pattern @ ..], [first, key @ ..]) if word == first => topic_matches(pattern, key),
        _ => false,
    }
}
