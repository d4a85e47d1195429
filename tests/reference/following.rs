//! Following: checks the broker's facts one by one; each must follow from a command or be due.
//!
//! A verb determines what happens. The order of its parts, and of their consequences in other queues, is the broker's
//! choice:
//! the facts reveal it.

use super::Reference;
use super::message::{Content, Reason};
use super::publishing::{Delayed, Pending, Targets};
use super::queue::{Message, Place, Queue, Room};

/// A message and its queues, sorted by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    pub content: Content,
    pub queues: Vec<String>,
}

/// A fact of the broker; deliveries are checked where they are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    Published(Box<Publication>),
    /// A message was removed, other than by a delivery.
    Removed(String, u64),
    Requeued(String, u64),
    QueueDeleted(String),
    /// The message that was delayed as number n is published.
    DelayOver(u64),
}

impl Reference {
    /// Follows all facts of a command; nothing may be pending in the end.
    pub fn follow(&mut self, facts: impl IntoIterator<Item = Fact>) {
        for fact in facts {
            match fact {
                Fact::Published(publication) => self.published(*publication),
                Fact::Removed(queue, position) => self.removed(&queue, position),
                Fact::Requeued(queue, position) => self.requeued(&queue, position),
                Fact::QueueDeleted(queue) => self.deleted(&queue),
                Fact::DelayOver(number) => self.delay_over(number),
            }
        }
        self.resolve_all();
        (self.is_closing, self.is_committing) = (false, false);
        assert_eq!(self.unexplained, [], "publications without a cause");
        let late = self.delayed.iter().find(|delayed| delayed.until <= self.now);
        assert!(late.is_none(), "{late:?} has waited for too long");
        for queue in &self.queues {
            assert!(!queue.is_doomed, "{} is still there", queue.name);
            let stuck = queue
                .messages
                .iter()
                .find(|message| !matches!(message.place, Place::Ready | Place::Unacked | Place::Asleep(_)));
            assert!(stuck.is_none(), "{stuck:?} is still in {}", queue.name);
        }
    }

    /// Checks that no pending publication leads to a fact.
    fn resolve_all(&mut self) {
        self.resolve_first(self.pending.len());
    }

    /// Checks that the first publications that are pending lead to no fact.
    fn resolve_first(&mut self, count: usize) {
        let pending = self.pending.drain(..count).collect();
        assert_eq!(self.resolve(pending, None).err(), None, "a publication is missing, with {:?}", self.unexplained);
    }

    /// Before messages leave or return, dead letters of refused messages are published; and a transaction publishes
    /// before it settles.
    fn publishes_before(&mut self, name: &str, position: u64) {
        let refused = self.pending.iter().take_while(|pending| pending.reason.is_some()).count();
        self.resolve_first(refused);
        let queue = self.queue(name).expect("a queue of messages");
        let is_settled = |message: &Message| message.position == position && message.place != Place::Ready;
        if queue.messages.iter().any(is_settled) {
            self.resolve_all();
        }
    }

    /// Accepts a publication that was pending; others must be explained by the next message that leaves or whose delay
    /// ends.
    fn published(&mut self, publication: Publication) {
        let mut resolved = self.clone();
        match resolved.resolve(self.pending.clone(), Some(&publication)) {
            Ok(pending) => *self = Self { pending, ..resolved },
            Err(_) => self.unexplained.push(publication),
        }
    }

    /// Publishes what is pending, up to this fact; without one, everything, and it must lead to no fact. Returns what
    /// is still pending, or the publication that should have come.
    fn resolve(
        &mut self,
        mut pending: Vec<Pending>,
        fact: Option<&Publication>,
    ) -> Result<Vec<Pending>, Option<Box<Publication>>> {
        while !pending.is_empty() {
            let Pending { mut content, reason, is_given_back, mandatory } = pending.remove(0);
            if self.delays(&content) {
                self.delay(content);
                continue;
            }
            let Targets { mut queues, doubles, refusing } = self.targets_by_fact(&content, reason, fact, is_given_back);
            content.bcc.clear();
            self.was_refused |= reason.is_none() && !refusing.is_empty();
            if mandatory && queues.len() + doubles + refusing.len() == 0 {
                self.unroutable.push(content.body.clone());
            }
            for name in refusing.iter().rev().filter(|name| self.dead_letters_refused(name)) {
                let refused = self.dead_letter(content.clone(), name, Reason::MaxLength);
                pending.splice(0..0, refused.map(|refused| Pending { is_given_back, ..refused }));
            }
            if !queues.is_empty() {
                queues.sort();
                queues.iter().for_each(|name| self.arrive(name, &content));
                let expected = Publication { content, queues };
                return if fact == Some(&expected) { Ok(pending) } else { Err(Some(Box::new(expected))) };
            }
        }
        if fact.is_none() { Ok(pending) } else { Err(None) }
    }

    /// Returns the queues that a message goes to. Those of a dead letter depend on the room of a consumer that is just
    /// returning messages: it may count as before or after. So do those of a message whose delay is over, as acks may
    /// be late. While a connection is closed, its consumers may still be there.
    fn targets_by_fact(
        &self,
        content: &Content,
        reason: Option<Reason>,
        fact: Option<&Publication>,
        is_given_back: bool,
    ) -> Targets {
        let matches = |targets: &Targets| {
            let mut queues = targets.queues.clone();
            queues.sort();
            fact.is_some_and(|fact| fact.content.body == content.body && fact.queues == queues)
        };
        let known = self.targets(content, reason, Room::Known);
        if matches(&known) || !(is_given_back || self.is_room_unsure()) {
            return known;
        }
        let before = self.is_closing.then(|| self.targets(content, reason, Room::Unlimited));
        before.filter(matches).unwrap_or_else(|| self.targets(content, reason, Room::None))
    }

    /// Whether the order of this event and a consumer's getting room is open.
    fn is_room_unsure(&self) -> bool {
        self.is_turning || self.is_closing || self.is_committing
    }

    fn dead_letters_refused(&self, name: &str) -> bool {
        self.queue(name).is_some_and(|queue| self.settings(queue).overflow == Some("reject-publish-dlx"))
    }

    /// The dead letters of a message are published before it leaves.
    fn removed(&mut self, name: &str, position: u64) {
        self.publishes_before(name, position);
        let queue = self.queue(name).expect("a message leaves a queue");
        let message = queue.messages.iter().find(|message| message.position == position).expect("a message leaves");
        let reasons = match message.place {
            Place::Acked => return drop(self.queue_mut(name).map(|queue| queue.take(position))),
            Place::Rejected => vec![Reason::Rejected],
            Place::Returning if self.exceeds_delivery_limit(queue, message) => vec![Reason::DeliveryLimit],
            Place::Ready => self.reasons(queue, position),
            _ => Vec::new(),
        };
        // Of two possible reasons, the one in its dead letter counts.
        let dead =
            self.unexplained.first().and_then(|dead| dead.content.deaths.iter().find(|death| death.queue == name));
        let matches = |reason: &&Reason| dead.is_none_or(|death| death.reason == reason.name());
        let reason = reasons.iter().find(matches);
        let reason = *reason
            .unwrap_or_else(|| panic!("{message:?} leaves {name}, by {:?}, not by {reasons:?}", self.unexplained));
        let dead_letter = self.dead_letter(message.content.clone(), name, reason);
        self.explain(Vec::from_iter(dead_letter));
        self.queue_mut(name).expect("a message leaves a queue").take(position);
    }

    fn delay_over(&mut self, number: u64) {
        let place = self.delayed.iter().position(|delayed| delayed.number == number).expect("a message that waits");
        let Delayed { until, mut content, .. } = self.delayed.remove(place);
        assert!(until <= self.now, "{content:?} has not waited for long enough");
        content.delay = content.delay.map(|delay| -delay);
        self.explain(vec![Pending { content, reason: None, is_given_back: false, mandatory: false }]);
    }

    /// Checks that all unexplained publications follow from this.
    fn explain(&mut self, mut pending: Vec<Pending>) {
        for fact in std::mem::take(&mut self.unexplained).iter().map(Some).chain([None]) {
            let resolved = self.resolve(pending, fact);
            pending = resolved.unwrap_or_else(|expected| panic!("there is {fact:?} where {expected:?} should be"));
        }
    }

    /// Returns the reasons for which a ready message may leave now.
    fn reasons(&self, queue: &Queue, position: u64) -> Vec<Reason> {
        let head = queue.head().expect("a ready message");
        assert_eq!(head.position, position, "{} is left by another than the next", queue.name);
        let mut reasons = Vec::new();
        let is_urgent = self.is_room_unsure() || !self.has_sure_taker(queue);
        if self.is_expired(queue, head) || (is_urgent && self.is_due(head)) {
            reasons.push(Reason::Expired);
        }
        if self.drops_head(queue) && is_urgent {
            reasons.push(Reason::MaxLength);
        }
        reasons
    }

    /// Whether a queue is over its limit, and drops messages.
    pub(super) fn drops_head(&self, queue: &Queue) -> bool {
        self.settings(queue).overflow.unwrap_or("drop-head") == "drop-head" && self.overflows(queue)
    }

    fn requeued(&mut self, name: &str, position: u64) {
        self.publishes_before(name, position);
        let queue = self.queue(name).expect("a message returns to a queue");
        let message = queue.messages.iter().find(|message| message.position == position).expect("a message returns");
        assert_eq!(message.place, Place::Returning, "{message:?} returns to {name}");
        assert!(!self.exceeds_delivery_limit(queue, message), "{message:?} returns to {name} too often");
        let counts = self.counts(queue);
        let message = self.queue_mut(name).expect("a message returns to a queue").at(position);
        message.place = Place::Ready;
        message.redelivered = true;
        message.requeued += 1;
        if counts {
            message.delivery_count = Some(message.requeued);
        }
    }

    fn deleted(&mut self, name: &str) {
        let queue = self.queue(name).expect("a queue is deleted");
        assert!(queue.is_doomed || self.is_unused(queue), "{name} is deleted");
        self.drop_queue(name);
    }
}
