//! Following: the broker's facts, one by one; each must be one that was asked for, or one whose time has come.
//!
//! A verb says what is to happen. In which order the parts of it happen, and what they lead to in other queues first, is
//! the broker's choice, and the facts tell it.

use super::Reference;
use super::message::{Content, Reason};
use super::publishing::{Delayed, Owed, Targets};
use super::queue::{Message, Place, Queue, Room};

/// A message and its queues, sorted by their names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    pub content: Content,
    pub queues: Vec<String>,
}

/// What the broker says has happened; deliveries are checked where they are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    Published(Box<Publication>),
    /// A message has left for good, other than by a delivery.
    Removed(String, u64),
    Requeued(String, u64),
    QueueDeleted(String),
    /// Of the message that was delayed as the how many-th.
    DelayOver(u64),
}

impl Reference {
    /// Follows all facts of a command; nothing may be owed in the end.
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
        self.pay_all();
        (self.is_closing, self.is_committing) = (false, false);
        assert_eq!(self.unexplained, [], "publications that nobody has asked for");
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

    /// Nothing of what is owed can lead to a fact any more.
    fn pay_all(&mut self) {
        self.pay_without(self.owed.len());
    }

    /// So much of what is owed leads to no fact.
    fn pay_without(&mut self, count: usize) {
        let owed = self.owed.drain(..count).collect();
        assert_eq!(self.pay(owed, None).err(), None, "a publication is missing, with {:?}", self.unexplained);
    }

    /// Before messages leave or return, what was refused has found other queues, or none; and a transaction publishes
    /// before it settles.
    fn publishes_before(&mut self, name: &str, position: u64) {
        let refused = self.owed.iter().take_while(|owed| owed.reason.is_some()).count();
        self.pay_without(refused);
        let queue = self.queue(name).expect("a queue of messages");
        let is_settled = |message: &Message| message.position == position && message.place != Place::Ready;
        if queue.messages.iter().any(is_settled) {
            self.pay_all();
        }
    }

    /// It was owed, or else the next message that leaves, or has waited for long enough, is to explain it.
    fn published(&mut self, publication: Publication) {
        let mut paid = self.clone();
        match paid.pay(self.owed.clone(), Some(&publication)) {
            Ok(owed) => *self = Self { owed, ..paid },
            Err(_) => self.unexplained.push(publication),
        }
    }

    /// Publishes what is owed as far as this fact says, or all, where it must lead to no fact. Answers what is left, or
    /// what should have come.
    fn pay(&mut self, mut owed: Vec<Owed>, fact: Option<&Publication>) -> Result<Vec<Owed>, Option<Box<Publication>>> {
        while !owed.is_empty() {
            let Owed { mut content, reason, is_given_back, mandatory } = owed.remove(0);
            if self.delays(&content) {
                self.delay(content);
                continue;
            }
            let Targets { mut queues, doubles, refusing } = self.targets_told(&content, reason, fact, is_given_back);
            content.bcc.clear();
            self.was_refused |= reason.is_none() && !refusing.is_empty();
            if mandatory && queues.len() + doubles + refusing.len() == 0 {
                self.unroutable.push(content.body.clone());
            }
            for name in refusing.iter().rev().filter(|name| self.dead_letters_refused(name)) {
                let refused = self.dead_letter(content.clone(), name, Reason::MaxLength);
                owed.splice(0..0, refused.map(|refused| Owed { is_given_back, ..refused }));
            }
            if !queues.is_empty() {
                queues.sort();
                queues.iter().for_each(|name| self.arrive(name, &content));
                let expected = Publication { content, queues };
                return if fact == Some(&expected) { Ok(owed) } else { Err(Some(Box::new(expected))) };
            }
        }
        if fact.is_none() { Ok(owed) } else { Err(None) }
    }

    /// Where a message goes. What is given back goes, and leads to more, while its consumer has no room for one more yet,
    /// or has it already, as others that it holds are settled before. So does what time brings, as acks may be late. Where a connection closes, its
    /// consumers may be there still.
    fn targets_told(
        &self,
        content: &Content,
        reason: Option<Reason>,
        fact: Option<&Publication>,
        is_given_back: bool,
    ) -> Targets {
        let is_told = |targets: &Targets| {
            let mut queues = targets.queues.clone();
            queues.sort();
            fact.is_some_and(|told| told.content.body == content.body && told.queues == queues)
        };
        let known = self.targets(content, reason, Room::Known);
        if is_told(&known) || !(is_given_back || self.is_room_unsure()) {
            return known;
        }
        let before = self.is_closing.then(|| self.targets(content, reason, Room::Anybodys));
        before.filter(is_told).unwrap_or_else(|| self.targets(content, reason, Room::Nobodys))
    }

    /// Whether what happens now may have happened before consumers had room for one more.
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
            Place::Returning if self.is_worn_out(queue, message) => vec![Reason::DeliveryLimit],
            Place::Ready => self.reasons(queue, position),
            _ => Vec::new(),
        };
        // Of two good reasons it is the one that its dead letter gives.
        let told =
            self.unexplained.first().and_then(|dead| dead.content.deaths.iter().find(|death| death.queue == name));
        let is_told = |reason: &&Reason| told.is_none_or(|death| death.reason == reason.name());
        let reason = reasons.iter().find(is_told);
        let reason = *reason.unwrap_or_else(|| {
            panic!("{message:?} leaves {name}, as {:?} tells, not as {reasons:?}", self.unexplained)
        });
        let dead_letter = self.dead_letter(message.content.clone(), name, reason);
        self.explain(Vec::from_iter(dead_letter));
        self.queue_mut(name).expect("a message leaves a queue").take(position);
    }

    fn delay_over(&mut self, number: u64) {
        let place = self.delayed.iter().position(|delayed| delayed.number == number).expect("a message that waits");
        let Delayed { until, mut content, .. } = self.delayed.remove(place);
        assert!(until <= self.now, "{content:?} has not waited for long enough");
        content.delay = content.delay.map(|delay| -delay);
        self.explain(vec![Owed { content, reason: None, is_given_back: false, mandatory: false }]);
    }

    /// All that was published without being owed is what this leads to.
    fn explain(&mut self, mut owed: Vec<Owed>) {
        for fact in std::mem::take(&mut self.unexplained).iter().map(Some).chain([None]) {
            let paid = self.pay(owed, fact);
            owed = paid.unwrap_or_else(|expected| panic!("there is {fact:?} where {expected:?} should be"));
        }
    }

    /// Why a ready message may leave just now.
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

    /// Whether a queue has too many messages, and drops them.
    pub(super) fn drops_head(&self, queue: &Queue) -> bool {
        self.settings(queue).overflow.unwrap_or("drop-head") == "drop-head" && self.overflows(queue)
    }

    fn requeued(&mut self, name: &str, position: u64) {
        self.publishes_before(name, position);
        let queue = self.queue(name).expect("a message returns to a queue");
        let message = queue.messages.iter().find(|message| message.position == position).expect("a message returns");
        assert_eq!(message.place, Place::Returning, "{message:?} returns to {name}");
        assert!(!self.is_worn_out(queue, message), "{message:?} returns to {name} too often");
        let counts = self.counts(queue);
        let message = self.queue_mut(name).expect("a message returns to a queue").at(position);
        message.place = Place::Ready;
        message.redelivered = true;
        message.requeued += 1;
        if counts {
            message.told = Some(message.requeued);
        }
    }

    fn deleted(&mut self, name: &str) {
        let queue = self.queue(name).expect("a queue goes");
        assert!(queue.is_doomed || self.is_unused(queue), "{name} goes");
        self.drop_queue(name);
    }
}
