//! Reference: a broker so simple that one can see that it is right, made of plain vectors.
//!
//! It predicts every answer of the broker but one: which of several consumers with room gets a message is the broker's
//! choice. There it checks the choice: the consumer had room, and the message was its queue's next. Afterwards nothing
//! that could have been delivered may be left.

use pocketmq::broker::ErrorKind;

pub type Answer<T> = Result<T, ErrorKind>;

/// Delivery tag, body, redelivered, and how many are ready behind it.
pub type Got = (u64, Vec<u8>, bool, usize);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub name: String,
    pub kind: &'static str,
    pub durable: bool,
    pub auto_delete: bool,
    pub internal: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub source: String,
    pub destination: String,
    pub to_queue: bool,
    pub key: String,
}

#[derive(Clone, Debug)]
pub struct Queue {
    pub name: String,
    pub owner: Option<usize>,
    pub durable: bool,
    pub auto_delete: bool,
    pub exclusive_consumer: bool,
    /// Sorted by position.
    pub ready: Vec<Message>,
    next_position: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub position: u64,
    pub body: Vec<u8>,
    pub redelivered: bool,
}

#[derive(Clone, Debug)]
struct Consumer {
    tag: String,
    queue: String,
    no_ack: bool,
    prefetch: u16,
}

#[derive(Clone, Debug)]
struct Unacked {
    tag: u64,
    /// Which declaration its queue came from, as a queue of the same name may have followed.
    declared: u64,
    message: Message,
    consumer: Option<String>,
    /// Counted by the channel's prefetch.
    is_counted: bool,
    deadline: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub struct Channel {
    consumers: Vec<Consumer>,
    unacked: Vec<Unacked>,
    last_tag: u64,
    last_queue: Option<String>,
    consumer_prefetch: u16,
    channel_prefetch: u16,
}

#[derive(Default)]
pub struct Reference {
    exchanges: Vec<Exchange>,
    bindings: Vec<Binding>,
    queues: Vec<(u64, Queue)>,
    channels: Vec<Channel>,
    declared: u64,
    paused: Vec<bool>,
    now: u64,
    pub cancelled: Vec<(usize, String)>,
}

pub const CHANNELS_PER_CONNECTION: usize = 2;

pub fn connection_of(channel: usize) -> usize {
    channel / CHANNELS_PER_CONNECTION
}

impl Reference {
    pub fn new(connections: usize) -> Self {
        let exchanges =
            [("amq.direct", "direct"), ("amq.fanout", "fanout"), ("amq.topic", "topic")].map(|(name, kind)| Exchange {
                name: name.into(),
                kind,
                durable: true,
                auto_delete: false,
                internal: false,
            });
        Self {
            exchanges: exchanges.into(),
            channels: vec![Channel::default(); connections * CHANNELS_PER_CONNECTION],
            paused: vec![false; connections],
            ..Self::default()
        }
    }

    pub fn queue_names(&self) -> impl Iterator<Item = &str> {
        self.queues.iter().map(|(_, queue)| &*queue.name)
    }

    /// Every message of a queue, ready or not, in order of position.
    pub fn messages(&self, name: &str) -> Vec<(u64, bool, Vec<u8>)> {
        let &(declared, ref queue) = self.queues.iter().find(|(_, queue)| queue.name == name).unwrap();
        let unacked = self.channels.iter().flat_map(|channel| &channel.unacked);
        let unacked = unacked.filter(|unacked| unacked.declared == declared).map(|unacked| &unacked.message);
        let report = |is_unacked| move |message: &Message| (message.position, is_unacked, message.body.clone());
        let mut all: Vec<_> = queue.ready.iter().map(report(false)).chain(unacked.map(report(true))).collect();
        all.sort();
        all
    }

    pub fn declare_exchange(&mut self, declared: Exchange, passive: bool) -> Answer<()> {
        let known = self.exchanges.iter().find(|known| known.name == declared.name);
        match known {
            _ if declared.name.is_empty() => Err(ErrorKind::AccessRefused),
            Some(_) if passive => Ok(()),
            None if passive => Err(ErrorKind::NotFound),
            Some(known) if *known == declared => Ok(()),
            Some(_) => Err(ErrorKind::PreconditionFailed),
            None if declared.name.starts_with("amq.") => Err(ErrorKind::AccessRefused),
            None => {
                self.exchanges.push(declared);
                Ok(())
            }
        }
    }

    pub fn delete_exchange(&mut self, name: &str, if_unused: bool) -> Answer<()> {
        if name.is_empty() || name.starts_with("amq.") {
            return Err(ErrorKind::AccessRefused);
        }
        let exists = self.exchanges.iter().any(|known| known.name == name);
        if exists && if_unused && self.bindings.iter().any(|binding| binding.source == name) {
            return Err(ErrorKind::PreconditionFailed);
        }
        self.drop_exchange(name);
        Ok(())
    }

    fn drop_exchange(&mut self, name: &str) {
        self.exchanges.retain(|known| known.name != name);
        self.bindings.retain(|binding| binding.source != name);
        self.drop_bindings(|binding| !binding.to_queue && binding.destination == name);
    }

    /// Removes bindings, and the exchanges that lived only as long as theirs.
    fn drop_bindings(&mut self, goes: impl Fn(&Binding) -> bool) {
        let (gone, kept) = std::mem::take(&mut self.bindings).into_iter().partition(|binding| goes(binding));
        self.bindings = kept;
        let gone: Vec<Binding> = gone;
        for source in gone.iter().map(|binding| &binding.source) {
            let is_abandoned = self.exchanges.iter().any(|known| known.name == *source && known.auto_delete)
                && !self.bindings.iter().any(|binding| binding.source == *source);
            if is_abandoned {
                self.drop_exchange(source);
            }
        }
    }

    fn access(&self, channel: usize, name: &str) -> Answer<usize> {
        let last = self.channels[channel].last_queue.as_deref();
        let name = if name.is_empty() { last.ok_or(ErrorKind::NotFound)? } else { name };
        let index = self.queues.iter().position(|(_, queue)| queue.name == name).ok_or(ErrorKind::NotFound)?;
        match self.queues[index].1.owner {
            Some(owner) if owner != connection_of(channel) => Err(ErrorKind::ResourceLocked),
            _ => Ok(index),
        }
    }

    /// Answers how many messages are ready and how many consumers there are.
    pub fn declare_queue(
        &mut self,
        channel: usize,
        name: &str,
        passive: bool,
        durable: bool,
        exclusive: bool,
        auto_delete: bool,
    ) -> Answer<(usize, usize)> {
        if passive && name.is_empty() {
            return Err(ErrorKind::NotFound);
        }
        match self.access(channel, name) {
            Ok(_) if passive => {}
            Ok(index) => {
                let queue = &self.queues[index].1;
                if queue.owner.is_some() != exclusive {
                    return Err(ErrorKind::ResourceLocked);
                }
                if (queue.durable, queue.auto_delete) != (durable, auto_delete) {
                    return Err(ErrorKind::PreconditionFailed);
                }
            }
            Err(ErrorKind::NotFound) if !passive => {
                self.declared += 1;
                let queue = Queue {
                    name: name.into(),
                    owner: exclusive.then_some(connection_of(channel)),
                    durable,
                    auto_delete,
                    exclusive_consumer: false,
                    ready: Vec::new(),
                    next_position: 0,
                };
                self.queues.push((self.declared, queue));
            }
            Err(error) => return Err(error),
        }
        self.channels[channel].last_queue = Some(name.into());
        let index = self.access(channel, name)?;
        Ok((self.queues[index].1.ready.len(), self.consumers_of(name)))
    }

    fn consumers_of(&self, queue: &str) -> usize {
        self.channels.iter().flat_map(|channel| &channel.consumers).filter(|consumer| consumer.queue == queue).count()
    }

    pub fn purge(&mut self, channel: usize, name: &str) -> Answer<usize> {
        let index = self.access(channel, name)?;
        Ok(self.queues[index].1.ready.drain(..).count())
    }

    pub fn delete_queue(&mut self, channel: usize, name: &str, if_unused: bool, if_empty: bool) -> Answer<usize> {
        let last = self.channels[channel].last_queue.clone();
        let index = match self.access(channel, name) {
            Err(ErrorKind::NotFound) if !name.is_empty() || last.is_some() => return Ok(0),
            answer => answer?,
        };
        let queue = &self.queues[index].1;
        if if_unused && self.consumers_of(&queue.name) > 0 || if_empty && !queue.ready.is_empty() {
            return Err(ErrorKind::PreconditionFailed);
        }
        let count = queue.ready.len();
        self.drop_queue(index);
        Ok(count)
    }

    fn drop_queue(&mut self, index: usize) {
        let (_, queue) = self.queues.remove(index);
        for (number, channel) in self.channels.iter_mut().enumerate() {
            for consumer in channel.consumers.extract_if(.., |consumer| consumer.queue == queue.name) {
                forget_holder(&mut channel.unacked, &consumer.tag);
                self.cancelled.push((number, consumer.tag));
            }
        }
        self.drop_bindings(|binding| binding.to_queue && binding.destination == queue.name);
    }

    pub fn bind(&mut self, channel: usize, mut binding: Binding, remove: bool) -> Answer<()> {
        if binding.to_queue && binding.destination.is_empty() && self.channels[channel].last_queue.is_none() {
            return Err(ErrorKind::NotFound);
        }
        let found = self.resolve_binding(channel, &mut binding);
        if remove && found == Err(ErrorKind::NotFound) {
            return Ok(());
        }
        found?;
        if remove {
            self.drop_bindings(|known| *known == binding);
        } else if !self.bindings.contains(&binding) {
            self.bindings.push(binding);
        }
        Ok(())
    }

    fn resolve_binding(&self, channel: usize, binding: &mut Binding) -> Answer<()> {
        self.bindable(&binding.source)?;
        if !binding.to_queue {
            return self.bindable(&binding.destination);
        }
        let index = self.access(channel, &binding.destination)?;
        if binding.destination.is_empty() && binding.key.is_empty() {
            binding.key = self.queues[index].1.name.clone();
        }
        binding.destination = self.queues[index].1.name.clone();
        Ok(())
    }

    fn bindable(&self, name: &str) -> Answer<()> {
        match self.exchanges.iter().any(|known| known.name == name) {
            _ if name.is_empty() => Err(ErrorKind::AccessRefused),
            true => Ok(()),
            false => Err(ErrorKind::NotFound),
        }
    }

    /// Answers how many queues took the message.
    pub fn publish(&mut self, exchange: &str, key: &str, body: &[u8]) -> Answer<usize> {
        let mut asked = Vec::new();
        let mut queues = Vec::new();
        if exchange.is_empty() {
            queues.push(key.to_owned());
        } else {
            let target = self.exchanges.iter().find(|known| known.name == exchange).ok_or(ErrorKind::NotFound)?;
            if target.internal {
                return Err(ErrorKind::AccessRefused);
            }
            self.route(exchange, key, &mut asked, &mut queues);
        }
        let mut count = 0;
        for (_, queue) in self.queues.iter_mut().filter(|(_, queue)| queues.contains(&queue.name)) {
            let position = queue.next_position;
            queue.next_position += 1;
            queue.ready.push(Message { position, body: body.into(), redelivered: false });
            count += 1;
        }
        Ok(count)
    }

    fn route(&self, exchange: &str, key: &str, asked: &mut Vec<String>, queues: &mut Vec<String>) {
        if asked.iter().any(|known| known == exchange) {
            return;
        }
        asked.push(exchange.into());
        let kind = self.exchanges.iter().find(|known| known.name == exchange).unwrap().kind;
        for binding in self.bindings.iter().filter(|binding| binding.source == exchange) {
            let matches = match kind {
                "direct" => binding.key == key,
                "topic" => topic_matches(&words(&binding.key), &words(key)),
                _ => true,
            };
            match (matches, binding.to_queue) {
                (true, true) => queues.push(binding.destination.clone()),
                (true, false) => self.route(&binding.destination, key, asked, queues),
                _ => {}
            }
        }
    }

    pub fn get(&mut self, channel: usize, name: &str, no_ack: bool, timeout: Option<u64>) -> Answer<Option<Got>> {
        let index = self.access(channel, name)?;
        if self.queues[index].1.ready.is_empty() {
            return Ok(None);
        }
        let deadline = timeout.map(|timeout| self.now + timeout);
        let (tag, message) = self.hand_over(channel, index, None, no_ack, deadline);
        Ok(Some((tag, message.body, message.redelivered, self.queues[index].1.ready.len())))
    }

    fn hand_over(
        &mut self,
        channel: usize,
        index: usize,
        consumer: Option<String>,
        no_ack: bool,
        deadline: Option<u64>,
    ) -> (u64, Message) {
        let (declared, queue) = &mut self.queues[index];
        let message = queue.ready.remove(0);
        let channel = &mut self.channels[channel];
        channel.last_tag += 1;
        if !no_ack {
            let is_counted = consumer.is_some();
            let (tag, declared, message) = (channel.last_tag, *declared, message.clone());
            channel.unacked.push(Unacked { tag, declared, message, consumer, is_counted, deadline });
        }
        (channel.last_tag, message)
    }

    pub fn consume(&mut self, channel: usize, name: &str, tag: &str, no_ack: bool, exclusive: bool) -> Answer<()> {
        if self.channels[channel].consumers.iter().any(|consumer| consumer.tag == tag) {
            return Err(ErrorKind::NotAllowed);
        }
        let index = self.access(channel, name)?;
        let queue = self.queues[index].1.name.clone();
        if self.queues[index].1.exclusive_consumer || exclusive && self.consumers_of(&queue) > 0 {
            return Err(ErrorKind::AccessRefused);
        }
        self.queues[index].1.exclusive_consumer = exclusive;
        let prefetch = self.channels[channel].consumer_prefetch;
        self.channels[channel].consumers.push(Consumer { tag: tag.into(), queue, no_ack, prefetch });
        Ok(())
    }

    pub fn cancel(&mut self, channel: usize, tag: &str) {
        let known = &mut self.channels[channel];
        let Some(index) = known.consumers.iter().position(|consumer| consumer.tag == tag) else { return };
        let consumer = known.consumers.remove(index);
        forget_holder(&mut known.unacked, tag);
        self.left(&consumer.queue);
    }

    /// A consumer of this queue has left.
    fn left(&mut self, name: &str) {
        let Some(index) = self.queues.iter().position(|(_, queue)| queue.name == name) else { return };
        self.queues[index].1.exclusive_consumer = false;
        if self.queues[index].1.auto_delete && self.consumers_of(name) == 0 {
            self.drop_queue(index);
        }
    }

    pub fn qos(&mut self, channel: usize, prefetch: u16, global: bool) {
        let known = &mut self.channels[channel];
        *if global { &mut known.channel_prefetch } else { &mut known.consumer_prefetch } = prefetch;
    }

    pub fn pause(&mut self, connection: usize, paused: bool) {
        self.paused[connection] = paused;
    }

    pub fn settle(&mut self, channel: usize, tag: u64, multiple: bool, requeue: bool) -> Answer<()> {
        let unacked = &self.channels[channel].unacked;
        let is_all = multiple && tag == 0;
        if !is_all && !unacked.iter().any(|unacked| unacked.tag == tag) {
            return Err(ErrorKind::PreconditionFailed);
        }
        self.settle_if(channel, requeue, |unacked| unacked.tag == tag || multiple && (tag == 0 || unacked.tag < tag));
        Ok(())
    }

    pub fn recover(&mut self, channel: usize) {
        self.settle_if(channel, true, |_| true);
    }

    fn settle_if(&mut self, channel: usize, requeue: bool, goes: impl Fn(&Unacked) -> bool) {
        let unacked = &mut self.channels[channel].unacked;
        let settled: Vec<_> = unacked.extract_if(.., |unacked| goes(unacked)).collect();
        for Unacked { declared, mut message, .. } in settled {
            let queue = self.queues.iter_mut().find(|(known, _)| *known == declared);
            if let Some((_, queue)) = queue.filter(|_| requeue) {
                message.redelivered = true;
                queue.ready.push(message);
                queue.ready.sort_by_key(|message| message.position);
            }
        }
    }

    /// Time passes; what was not settled in time is requeued.
    pub fn advance(&mut self, now: u64) {
        self.now = now;
        for channel in 0..self.channels.len() {
            self.settle_if(channel, true, |unacked| unacked.deadline.is_some_and(|deadline| deadline <= now));
        }
    }

    pub fn close_channel(&mut self, channel: usize) {
        self.recover(channel);
        let closed = std::mem::take(&mut self.channels[channel]);
        for consumer in closed.consumers {
            self.left(&consumer.queue);
        }
    }

    pub fn close_connection(&mut self, connection: usize) {
        for channel in 0..CHANNELS_PER_CONNECTION {
            self.close_channel(connection * CHANNELS_PER_CONNECTION + channel);
        }
        while let Some(index) = self.queues.iter().position(|(_, queue)| queue.owner == Some(connection)) {
            self.drop_queue(index);
        }
        self.paused[connection] = false;
    }

    /// Whether a consumer can take a message.
    fn has_room(&self, number: usize, consumer: &Consumer) -> bool {
        let channel = &self.channels[number];
        let held = |counts: &dyn Fn(&Unacked) -> bool| channel.unacked.iter().filter(|unacked| counts(unacked)).count();
        let by_consumer = held(&|unacked| unacked.consumer.as_ref() == Some(&consumer.tag));
        let by_channel = held(&|unacked| unacked.is_counted);
        let leaves = |prefetch: u16, held: usize| prefetch == 0 || held < usize::from(prefetch);
        !self.paused[connection_of(number)]
            && (consumer.no_ack
                || leaves(consumer.prefetch, by_consumer) && leaves(channel.channel_prefetch, by_channel))
    }

    /// The broker chose this consumer: checks that it could, and answers delivery tag, body and redelivered.
    pub fn deliver(&mut self, channel: usize, tag: &str) -> (u64, Vec<u8>, bool) {
        let consumers = &self.channels[channel].consumers;
        let consumer = consumers.iter().find(|consumer| consumer.tag == tag).expect("a delivery to a consumer").clone();
        assert!(self.has_room(channel, &consumer), "a delivery to {tag}, which has no room");
        let index = self.queues.iter().position(|(_, queue)| queue.name == consumer.queue).unwrap();
        assert!(!self.queues[index].1.ready.is_empty(), "a delivery from {}, which is empty", consumer.queue);
        let holder = (!consumer.no_ack).then_some(consumer.tag);
        let (tag, message) = self.hand_over(channel, index, holder, consumer.no_ack, None);
        (tag, message.body, message.redelivered)
    }

    /// Checks that nothing is left that could be delivered.
    pub fn check_idle(&self) {
        for (number, channel) in self.channels.iter().enumerate() {
            for consumer in channel.consumers.iter().filter(|consumer| self.has_room(number, consumer)) {
                let (_, queue) = self.queues.iter().find(|(_, queue)| queue.name == consumer.queue).unwrap();
                assert!(queue.ready.is_empty(), "{} has room, and {} has messages", consumer.tag, queue.name);
            }
        }
    }

    /// The delivery tags that are unacked on a channel.
    pub fn unacked_tags(&self, channel: usize) -> Vec<u64> {
        self.channels[channel].unacked.iter().map(|unacked| unacked.tag).collect()
    }
}

fn forget_holder(unacked: &mut [Unacked], tag: &str) {
    for held in unacked.iter_mut().filter(|held| held.consumer.as_deref() == Some(tag)) {
        held.consumer = None;
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
