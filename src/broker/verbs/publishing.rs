//! Publishing: from an exchange into queues.

use super::{Broker, Observer};
use crate::broker::model::arguments::DURATION_MAX_MS;
use crate::broker::model::error::{Error, Resource};
use crate::broker::model::headers::{self, Reason};
use crate::broker::model::message::{Message, Parts};
use crate::broker::model::names::{self, REPLY_TO, check_short};
use crate::broker::model::publisher;
use crate::broker::model::queue::Queue;
use crate::broker::model::record::Record;
use crate::broker::model::recorder::Recorder;
use crate::broker::model::settings::Overflow;
use crate::broker::model::state::State;
use crate::id::{ChannelId, QueueId};
use crate::properties::Properties;

/// A message to be published.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The exchange; the empty name is the default one, which routes to the queue named by the routing key.
    pub exchange: &'a str,
    /// At most 255 bytes.
    pub routing_key: &'a str,
    /// The properties, as the publisher sent them.
    pub properties: Properties<'a>,
    /// The whole body.
    pub body: &'a [u8],
    /// Whether the publisher wants an unroutable message returned; a transaction has to know it.
    pub mandatory: bool,
}

impl Publication<'_> {
    /// Returns how much memory the message will take.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        Message::memory_bytes_of(self.exchange, self.routing_key, self.properties, self.body)
    }
}

/// Outcome of a publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routed {
    /// Number of queues that have the message; with 0 it was unroutable and is gone.
    Queued(usize),
    /// A full queue refused it; other queues may have it.
    Refused,
    /// It waits for its transaction to be committed.
    Deferred,
}

impl Broker {
    /// Publishes a message.
    ///
    /// # Errors
    /// As for [`check_publication`](Self::check_publication), and when the memory limit is reached.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn publish(&mut self, channel: ChannelId, publication: &Publication<'_>) -> Result<Routed, Error> {
        self.check_publication(channel, publication)?;
        self.check_memory(publication.memory_bytes())?;
        self.forget_publishers();
        let message = if publication.properties.reply_to() == Some(REPLY_TO) {
            let properties = self.address_replies(channel, publication.properties);
            self.message_of(&Publication { properties: Properties::trusted(&properties), ..*publication })
        } else {
            self.message_of(publication)
        };
        if message.tells_broker() {
            self.check_publishers(&mut std::iter::once(message.properties()))?;
        }
        if let Some(transaction) = &mut self.channel_mut(channel).transaction {
            let bytes = message.placed_bytes();
            transaction.published.push((message, publication.mandatory));
            self.reserved_bytes += bytes;
            return Ok(Routed::Deferred);
        }
        let routed = if message.tells_broker() {
            self.send_once(message)
        } else {
            let Publication { exchange, routing_key, .. } = *publication;
            self.state.route(exchange, &[routing_key], message.properties(), &mut self.route);
            self.send_to_route(message)
        };
        self.tend_changed();
        Ok(routed)
    }

    /// Sends a message unless its publisher has sent it before, which counts as success.
    pub(super) fn send_once(&mut self, message: Message) -> Routed {
        if message.tells_broker() && self.state.publishers().has_seen(&message) {
            return if self.note_repeat() { Routed::Queued(1) } else { Routed::Refused };
        }
        self.send(message, None)
    }

    /// Checks a message before it is published, apart from memory.
    ///
    /// # Errors
    /// When it is too large, when the exchange does not exist or is internal, when its `expiration` is not a number or
    /// its further routing keys are not an array, when it names its publisher but has no number, or when it asks for
    /// replies although the channel has no consumer of replies.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn check_publication(&self, channel: ChannelId, publication: &Publication<'_>) -> Result<(), Error> {
        let Publication { exchange, routing_key, properties, body, .. } = *publication;
        self.check_message_size(body.len() as u64)?;
        check_short("routing key", routing_key)?;
        self.check_target(exchange)?;
        if let Some(expiration) = properties.expiration() {
            check_expiration(expiration)?;
        }
        if names::tell_broker(properties) {
            headers::recipients(properties)?;
            publisher::check_number(properties)?;
        }
        if properties.reply_to() == Some(REPLY_TO) && self.channel(channel).reply_queue.is_none() {
            return Err(Error::NoReplyConsumer);
        }
        Ok(())
    }

    fn check_target(&self, exchange: &str) -> Result<(), Error> {
        // The default exchange always exists.
        if exchange.is_empty() {
            return Ok(());
        }
        match self.state.exchange(exchange) {
            None => Err(Error::NotFound(Resource::Exchange, exchange.into())),
            Some(target) if target.internal => Err(Error::InternalExchange(exchange.into())),
            Some(_) => Ok(()),
        }
    }

    /// Checks the size of a body, which may not have arrived yet.
    ///
    /// # Errors
    /// When it exceeds the limit.
    pub fn check_message_size(&self, bytes: u64) -> Result<(), Error> {
        let limit = self.limits.message_max_bytes;
        if bytes > limit as u64 { Err(Error::MessageTooLarge { bytes, limit }) } else { Ok(()) }
    }

    /// Returns the properties with the real name of this channel's reply queue instead of its alias.
    fn address_replies(&self, channel: ChannelId, properties: Properties<'_>) -> Vec<u8> {
        let address = self.channel(channel).reply_queue.as_ref().expect("it was checked before");
        let mut rewritten = Vec::new();
        properties.with_reply_to(address, &mut rewritten).expect("the address is short");
        rewritten
    }

    fn message_of(&mut self, publication: &Publication<'_>) -> Message {
        let Publication { exchange, routing_key, properties, body, .. } = *publication;
        let (published_ms, claims_deaths) = (self.now_ms, true);
        let parts = Parts { exchange, routing_key, properties, body, published_ms, claims_deaths };
        Message::new(&parts, &mut self.message_scratch)
    }

    /// Routes a message from its exchange into queues. A dead letter does not go back, in a circle, to a queue that it
    /// came from.
    pub(super) fn send(&mut self, mut message: Message, death: Option<Reason>) -> Routed {
        if message.published_ms() != self.now_ms {
            // It waited for a commit or a delay; its time to live counts from now.
            message = Message::new(&Parts { published_ms: self.now_ms, ..message.parts() }, &mut self.message_scratch);
        }
        if message.tells_broker() {
            if let Some(delay_ms) = self.delay_of(&message) {
                return self.delay(message, delay_ms);
            }
            self.find_queues_with_headers(&message);
            message = headers::without_bcc(&message, &mut self.message_scratch).unwrap_or(message);
        } else {
            let Self { state, route, .. } = self;
            state.route(message.exchange(), &[message.routing_key()], message.properties(), route);
        }
        if death.is_some_and(|reason| reason != Reason::Rejected) {
            let Self { state, route, .. } = self;
            let is_cycle = |queue: &QueueId| {
                headers::is_cycle(message.properties(), &state.queue(*queue).expect("it was found").name)
            };
            route.queues.retain(|queue| !is_cycle(queue));
        }
        self.send_to_route(message)
    }

    /// Adds a message to the queues of the route, unless they refuse it.
    fn send_to_route(&mut self, mut message: Message) -> Routed {
        let (refused, twins) = self.ask_queues(&message);
        let queues = self.route.queues.len() + twins;
        if !self.route.queues.is_empty() {
            let Self { state, recorder, observer, route, changed, .. } = self;
            if recorder.is_some() && state.is_kept(&route.queues, &message) {
                message.set_kept(true);
            }
            commit(state, recorder, observer, &Record::Published { message: &message, queues: &route.queues });
            changed.extend_from_slice(&route.queues);
        }
        for &queue in &refused {
            let dead_letters = |queue: &Queue| {
                queue.kind.partitions().is_none() && queue.settings.overflow == Some(Overflow::RejectPublishDlx)
            };
            if self.state.queue(queue).is_some_and(dead_letters) {
                self.dead_letter(queue, &message, Reason::Maxlen);
            }
        }
        if refused.is_empty() { Routed::Queued(queues) } else { Routed::Refused }
    }

    pub(super) fn commit(&mut self, record: &Record<'_>) {
        commit(&mut self.state, &mut self.recorder, &mut self.observer, record);
    }

    fn find_queues_with_headers(&mut self, message: &Message) {
        let copies = headers::recipients(message.properties()).unwrap_or_default();
        let mut keys = vec![message.routing_key()];
        keys.extend(copies.iter().map(|key| &**key));
        self.state.route(message.exchange(), &keys, message.properties(), &mut self.route);
    }

    /// Returns the delay for which the message's exchange holds it back.
    fn delay_of(&self, message: &Message) -> Option<u64> {
        self.state.exchange(message.exchange()).filter(|exchange| exchange.is_delayed())?;
        headers::delay_ms(message.properties())
    }

    /// Leaves in the route the queues that add the message, with partitions in place of their fronts. Returns the
    /// queues that refuse it, and how many have it already.
    fn ask_queues(&mut self, message: &Message) -> (Vec<QueueId>, usize) {
        let (mut refused, mut twins) = (Vec::new(), 0);
        let mut queues = std::mem::take(&mut self.route.queues);
        queues.retain_mut(|queue| match self.ask(*queue, message) {
            Answer::Add(taker) => {
                *queue = taker;
                true
            }
            Answer::Twin => {
                twins += 1;
                false
            }
            Answer::Refuse(refuser) => {
                refused.push(refuser);
                false
            }
        });
        self.route.queues = queues;
        if twins > 0 {
            self.note_repeat();
        }
        (refused, twins)
    }

    fn ask(&self, mut id: QueueId, message: &Message) -> Answer {
        let mut queue = self.state.queue(id).expect("a message is routed to queues that exist");
        if let Some(partitions) = queue.kind.partitions() {
            let Some(part) = partitions.find(message.routing_key(), message.properties()) else {
                return Answer::Refuse(id);
            };
            id = part;
            queue = self.state.queue(id).expect("a front's partition exists");
        }
        // Checked first: the message that it repeats may be lost itself.
        if self.refuses_to_keep() && queue.keeps(message) {
            return Answer::Refuse(id);
        }
        if self.has_twin_in(queue, message) {
            return Answer::Twin;
        }
        let body_bytes = message.body().len();
        if queue.settings.rejects_publish() && queue.would_overflow(0, body_bytes) {
            // Messages that consumers take at once leave room; computing that is expensive with many consumers.
            let leaving = self.room_at(id).min(queue.ready_count());
            if queue.would_overflow(leaving, body_bytes) {
                return Answer::Refuse(id);
            }
        }
        Answer::Add(id)
    }

    /// Returns whether a queue already has this message; for a partition, whether any partition of its front has it.
    fn has_twin_in(&self, queue: &Queue, message: &Message) -> bool {
        let front = queue.kind.part().and_then(|part| self.state.queue(part.front));
        match front.and_then(|front| front.kind.partitions()).filter(|_| queue.settings.deduplicates) {
            Some(partitions) => {
                let mut parts = partitions.queues.iter().filter_map(|&part| self.state.queue(part));
                parts.any(|part| part.has_twin_of(message))
            }
            None => queue.has_twin_of(message),
        }
    }
}

/// Applies a fact to the state, and passes it to the recorder and the observer.
fn commit(
    state: &mut State,
    recorder: &mut Option<Box<dyn Recorder>>,
    observer: &mut Option<Observer>,
    record: &Record<'_>,
) {
    if let Some(recorder) = recorder {
        recorder.note(state, record);
        state.apply(record);
        recorder.note_opened(state);
    } else {
        state.apply(record);
    }
    if let Some(observer) = observer {
        observer(record);
    }
}

/// A queue's answer to a message.
enum Answer {
    /// The queue that adds it: this queue, or one of its partitions.
    Add(QueueId),
    /// The queue already has a message with this id.
    Twin,
    /// The queue is full, or its number of partitions is not what the publisher expects.
    Refuse(QueueId),
}

fn check_expiration(text: &str) -> Result<(), Error> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let reason = match text.parse::<i64>() {
        Err(_) if !rest.is_empty() && rest.len() < text.len() => format!("{{leftover_string,\"{rest}\"}}"),
        Err(_) => "no_integer".into(),
        Ok(ms) if ms < 0 => format!("{{value_negative,{ms}}}"),
        Ok(ms) if ms > DURATION_MAX_MS => format!("{{value_too_large,{ms}}}"),
        Ok(_) => return Ok(()),
    };
    Err(Error::BadExpiration(text.into(), reason.into()))
}
