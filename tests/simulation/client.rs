//! Client: one connection of the workload, with the requests that it has sent and the replies that it awaits.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use pocketmq::id::TransportId;

use super::ledger::{Checked, Message, TokenId, violation};
use super::peer::{self, Answer, Call, call};
use super::timeline::Turn;
use super::topology::{BindingSpec, EXCHANGES, LATER, QUEUES, QueueSpec};

/// A publisher remembers at most this many confirmed messages.
const SENT_MAX: usize = 40;

/// The mode of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Plain,
    Confirms,
    Transactions,
}

/// The settlement of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Acked,
    Rejected,
    Requeued,
}

/// A request whose reply has not come yet.
#[derive(Clone, Debug)]
pub struct Awaited {
    pub expected: Expected,
    /// Everything up to this turn, by its channel or by others, must be durable before the reply.
    pub rests_on: Turn,
    /// Number of earlier requests on its channel.
    number: usize,
}

/// A reason for a reply to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    Published,
    Settled,
    Declared,
    Deleted,
    Bound,
    Unbound,
    Purged,
    /// A change by another client.
    Others,
}

#[derive(Clone, Debug)]
pub enum Expected {
    /// A reply with this class and method id.
    Answer((u16, u16)),
    /// A reply with the message count of a queue: the least and the most it may be.
    Count((u16, u16), usize, usize),
    /// A message of this queue, or none; with `no_ack` it counts as acked.
    Got { queue: usize, no_ack: bool },
    /// The channel is closed with 404.
    NotFound,
    /// The queue has more partitions, or the channel is closed with 406 as the slots of an earlier change still move.
    Grown,
}

/// A published message that is not confirmed yet.
#[derive(Clone, Debug)]
pub struct Unconfirmed {
    pub message: Rc<Message>,
    pub tokens: Vec<TokenId>,
    /// Everything up to this turn must be durable before it is refused, and up to the next one before it is confirmed.
    pub caused: Turn,
    pub rests_on: Turn,
}

#[derive(Clone, Debug, Default)]
pub struct Consumer {
    pub tag: String,
    pub queue: usize,
    pub no_ack: bool,
    /// The limit of its unacked messages; 0 for none.
    pub prefetch: u16,
    pub unacked: usize,
    /// Whether consume-ok has come.
    pub is_known: bool,
    /// Whether it is cancelled, but cancel-ok has not come yet.
    pub is_leaving: bool,
}

/// A delivery that is not settled.
#[derive(Clone, Debug)]
pub struct Lease {
    pub queue: usize,
    pub token: TokenId,
    /// The consumer's tag; none for `basic.get`.
    pub consumer: Option<String>,
    /// Whether an open transaction settles it.
    pub is_in_transaction: bool,
}

/// A publish or settlement in a transaction.
#[derive(Clone, Debug)]
pub enum Step {
    Publish(Rc<Message>),
    Settle(u64, Outcome),
}

/// A message whose frames are arriving.
#[derive(Clone, Debug, Default)]
pub struct Content {
    pub queue: usize,
    pub no_ack: bool,
    /// The consumer's tag; none for `basic.get`.
    pub consumer: Option<String>,
    pub delivery_tag: u64,
    pub is_redelivered: bool,
    pub exchange: String,
    pub key: String,
    pub size: u64,
    pub properties: Vec<u8>,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct Channel {
    pub number: u16,
    pub mode: Mode,
    pub awaited: VecDeque<Awaited>,
    /// Number of messages published since confirms were selected.
    pub published: u64,
    pub unconfirmed: BTreeMap<u64, Unconfirmed>,
    pub consumers: Vec<Consumer>,
    pub leases: BTreeMap<u64, Lease>,
    last_tag: u64,
    /// Number of consumers that were started.
    pub consumed: usize,
    pub prefetch: u16,
    /// The last turn in which it did something that must be durable before its next reply.
    pub caused: Turn,
    /// Reasons for its replies to wait.
    pub causes: Vec<(Turn, Cause)>,
    requests: usize,
    /// After this many requests it did something that its next reply may or may not wait for.
    doubt: Option<usize>,
    pub transaction: Vec<Step>,
    pub arriving: Option<Content>,
}

impl Channel {
    pub fn new(number: u16, mode: Mode) -> Self {
        Self {
            number,
            mode,
            awaited: VecDeque::new(),
            published: 0,
            unconfirmed: BTreeMap::new(),
            consumers: Vec::new(),
            leases: BTreeMap::new(),
            last_tag: 0,
            consumed: 0,
            prefetch: 0,
            caused: 0,
            causes: Vec::new(),
            requests: 0,
            doubt: None,
            transaction: Vec::new(),
            arriving: None,
        }
    }

    /// The method of a message has arrived.
    pub fn begin(&mut self, content: Content) -> Checked {
        self.last_tag += 1;
        if content.delivery_tag != self.last_tag {
            return violation(format!("delivery tag {} after {}", content.delivery_tag, self.last_tag - 1));
        }
        self.arriving = Some(content);
        Ok(())
    }

    pub fn expect(&mut self, expected: Expected, rests_on: Turn) {
        self.awaited.push_back(Awaited { expected, rests_on, number: self.requests });
        self.requests += 1;
    }

    /// Takes the request whose reply has come; everything that its channel did before is durable.
    pub fn take_awaited(&mut self) -> Option<Awaited> {
        let awaited = self.awaited.pop_front()?;
        self.doubt.take_if(|after| *after <= awaited.number);
        Some(awaited)
    }

    pub fn doubt(&mut self) {
        self.doubt = Some(self.requests);
    }

    pub fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// Whether an awaited reply may close the channel: then the server may ignore later requests on it.
    pub fn may_be_refused(&self) -> bool {
        let is_doubtful = |awaited: &Awaited| matches!(awaited.expected, Expected::Grown | Expected::NotFound);
        self.awaited.iter().any(is_doubtful)
    }

    /// Whether no reply is awaited.
    pub fn is_quiet(&self) -> bool {
        self.awaited.is_empty() && self.unconfirmed.is_empty()
    }

    pub fn open_frames(&self) -> Vec<u8> {
        let select = match self.mode {
            Mode::Plain => Vec::new(),
            Mode::Confirms => peer::select_confirms().on(self.number),
            Mode::Transactions => call(90, 10).on(self.number),
        };
        [peer::open_channel().on(self.number), select].concat()
    }

    pub fn consumer_mut(&mut self, tag: &str) -> Option<&mut Consumer> {
        self.consumers.iter_mut().find(|consumer| consumer.tag == tag)
    }
}

/// A publisher that numbers its messages, and sends unconfirmed ones again.
#[derive(Clone, Debug)]
pub struct Publisher {
    pub name: Rc<str>,
    pub last: u32,
    /// The messages it sent last, in order.
    pub sent: VecDeque<Rc<Message>>,
    pub unconfirmed: VecDeque<Rc<Message>>,
}

impl Publisher {
    pub fn named(name: &str) -> Self {
        Self { name: name.into(), last: 0, sent: VecDeque::new(), unconfirmed: VecDeque::new() }
    }

    /// The index of its oldest unconfirmed message.
    fn first_unconfirmed(&self) -> usize {
        let is_waiting = |sent: &Rc<Message>| self.unconfirmed.iter().any(|message| message.id == sent.id);
        self.sent.iter().position(is_waiting).unwrap_or(self.sent.len())
    }

    /// Returns the messages to send again: those from the first unconfirmed one on, and `more` before it.
    pub fn repeated(&self, more: usize) -> Vec<Rc<Message>> {
        let first = self.first_unconfirmed().saturating_sub(more);
        self.sent.iter().skip(first).cloned().collect()
    }

    /// Records a new message.
    pub fn send(&mut self, message: &Rc<Message>) {
        self.unconfirmed.push_back(Rc::clone(message));
        self.sent.push_back(Rc::clone(message));
        if self.first_unconfirmed() > SENT_MAX {
            self.sent.pop_front();
        }
    }
}

#[derive(Clone, Debug)]
pub struct Client {
    pub transport: TransportId,
    pub host: usize,
    /// Unique through all restarts.
    pub serial: u32,
    pub channels: Vec<Channel>,
    pub next_channel: u16,
    pub publisher: Publisher,
}

impl Client {
    pub fn hello(host: &str) -> Vec<u8> {
        let login = peer::plain_login(&["consumer_cancel_notify", "basic.nack", "publisher_confirms"]);
        [peer::HEADER.to_vec(), login.on(0), peer::tune_ok(0, 0, 0).on(0), peer::open(host).on(0)].concat()
    }
}

/// Encodes the frames of a published message.
pub fn publish_frames(channel: u16, message: &Message) -> Vec<u8> {
    let body = message.body();
    let mut flags = 1 << 12 | 1 << 11;
    let mut values = Call::new();
    let headers = headers(message);
    if !headers.is_empty() {
        flags |= 1 << 13;
        values = values.bytes(&headers);
    }
    values = values.octet(if message.is_persistent { 2 } else { 1 }).octet(message.priority);
    if let Some(ttl_ms) = message.ttl_ms {
        flags |= 1 << 8;
        values = values.text(&ttl_ms.to_string());
    }
    let properties = Call::new().short(flags).octets().into_iter().chain(values.octets()).collect::<Vec<_>>();
    let mut frames = peer::publish_method(message.exchange, message.key, 0).on(channel);
    frames.extend(peer::frame(2, channel, &peer::content_header(body.len() as u64, &properties)));
    if !body.is_empty() {
        frames.extend(peer::frame(3, channel, &body));
    }
    frames
}

fn headers(message: &Message) -> Vec<u8> {
    let mut headers = Vec::new();
    if let Some(delay_ms) = message.delay_ms {
        headers.extend(peer::number_entry("x-delay", delay_ms as u32).octets());
    }
    if let Some((name, sequence)) = &message.sequence {
        headers.extend(peer::text_entry("x-publisher-id", name).octets());
        headers.extend(peer::number_entry("x-publisher-sequence", *sequence).octets());
    }
    let texts = [
        ("x-deduplication-id", message.unique_id.as_deref()),
        ("x-partition-key", message.partition_key),
        ("label", message.label),
    ];
    for (name, value) in texts {
        headers.extend(value.into_iter().flat_map(|value| peer::text_entry(name, value).octets()));
    }
    headers
}

/// Builds the declaration of a queue of the workload, with this many partitions if it has any.
pub fn declare_queue(spec: &QueueSpec, partitions: Option<u32>) -> Call {
    let mut arguments = Vec::new();
    let numbers = [
        ("x-max-length", spec.max_length.map(|max| max as u32)),
        ("x-message-ttl", spec.ttl_ms.map(|ttl_ms| ttl_ms as u32)),
        ("x-max-priority", spec.max_priority.map(u32::from)),
        ("x-delivery-limit", spec.delivery_limit),
        ("x-partitions", partitions),
    ];
    for (name, value) in numbers {
        arguments.extend(value.map(|value| peer::number_entry(name, value)));
    }
    if spec.deduplicates {
        arguments.push(Call::new().text("x-message-deduplication").octet(b't').octet(1));
    }
    if spec.refuses {
        arguments.push(peer::text_entry("x-overflow", "reject-publish"));
    }
    if spec.is_quorum {
        arguments.push(peer::text_entry("x-queue-type", "quorum"));
    }
    if spec.has_dead_letters {
        arguments.push(peer::text_entry("x-dead-letter-exchange", ""));
        arguments.push(peer::text_entry("x-dead-letter-routing-key", "dead"));
    }
    peer::declare_queue_with(spec.name, if spec.is_transient { 0 } else { 2 }, &arguments)
}

/// Builds the declaration of an exchange of the workload, which is durable.
pub fn declare_exchange(place: usize) -> Call {
    let spec = &EXCHANGES[place];
    let arguments = if spec.name == LATER { peer::text_entry("x-delayed-type", "direct").octets() } else { Vec::new() };
    call(40, 10).short(0).text(spec.name).text(spec.kind).octet(2).bytes(&arguments)
}

/// Builds the arguments of a binding of the workload.
pub fn binding_arguments(spec: &BindingSpec) -> Vec<u8> {
    spec.label.map_or(Vec::new(), |label| peer::text_entry("label", label).octets())
}

/// Finds a header in encoded properties, and returns the bytes behind its name.
fn header<'a>(properties: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let entry = Call::new().text(name).octets();
    let place = properties.windows(entry.len()).position(|window| window == entry)?;
    Some(&properties[place + entry.len()..])
}

/// Returns how often a message was requeued, by its header.
pub fn returns(properties: &[u8]) -> u32 {
    let number = header(properties, "x-delivery-count").and_then(|value| match value.split_first()? {
        (b'l', rest) => rest.first_chunk().map(|bytes| i64::from_be_bytes(*bytes)),
        (b'I', rest) => rest.first_chunk().map(|bytes| i32::from_be_bytes(*bytes).into()),
        _ => None,
    });
    number.map_or(0, |number| number as u32)
}

/// Returns the queue in which a message first died, by its header.
pub fn first_death(properties: &[u8]) -> Option<String> {
    let value = header(properties, "x-first-death-queue")?;
    let length = u32::from_be_bytes(*value.get(1..)?.first_chunk()?) as usize;
    Some(String::from_utf8_lossy(value.get(5..5 + length)?).into())
}

impl Content {
    /// Reads a `basic.deliver` or `basic.get-ok`.
    pub fn of(answer: &Answer) -> Self {
        let is_delivery = answer.id() == (60, 60);
        let (consumer, mut at) = if is_delivery {
            let tag = answer.text_at(4);
            (Some(tag.to_owned()), 5 + tag.len())
        } else {
            (None, 4)
        };
        let delivery_tag = answer.longlong_at(at);
        let is_redelivered = answer.payload[at + 8] & 1 == 1;
        at += 9;
        let exchange = answer.text_at(at).to_owned();
        let key = answer.text_at(at + 1 + exchange.len()).to_owned();
        Self { consumer, delivery_tag, is_redelivered, exchange, key, ..Self::default() }
    }

    /// Describes it for the trace.
    pub fn describe(&self) -> String {
        let Self { queue, delivery_tag, is_redelivered, body, .. } = self;
        let id = body.get(..8).unwrap_or_default().escape_ascii();
        format!("{id} from {} as {delivery_tag}, redelivered={is_redelivered}", QUEUES[*queue].name)
    }

    /// Takes a header or body frame; returns whether the message is complete.
    pub fn take(&mut self, frame: &Answer) -> bool {
        if frame.kind == 2 {
            self.size = frame.longlong_at(4);
            self.properties = frame.payload[12..].to_vec();
        } else {
            self.body.extend_from_slice(&frame.payload);
        }
        self.body.len() as u64 == self.size
    }
}
