//! State: the exchanges, bindings, queues and messages, as facts have made them so far.
//!
//! [`State::apply`] is the only way to change it, and cannot fail: each record is checked before it is committed.
//! Everything else here only reads; what concerns kept messages and partitions is in modules of its own.

mod kept;
mod partitions;

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::{fmt, mem};

use foldhash::fast::FixedState;

use super::exchange::{Destination, Exchange, ExchangeKind, Walk};
use super::headers;
use super::message::{Message, Parts, UNACKED_MEMORY_BYTES};
use super::numbered::Numbered;
use super::pager::Pager;
use super::policy::{Matcher, Policies, Policy};
use super::publisher::Publishers;
use super::queue::{Fetched, Queue};
use super::record::Record;
use super::room::Gauge;
use super::settings::Settings;
use crate::arena::{Arena, sorted};
use crate::id::QueueId;
use crate::properties::Properties;
use crate::table::Table;

/// Exchanges, bindings, queues and messages.
#[derive(Debug)]
pub(crate) struct State {
    exchanges: HashMap<Box<str>, Box<Exchange>, FixedState>,
    queues: Arena<QueueId, Queue>,
    names: HashMap<Box<str>, QueueId, FixedState>,
    /// Exchanges that have bindings to each queue or exchange, so that not all of them need to be searched.
    sources: HashMap<Destination, Vec<Box<str>>, FixedState>,
    policies: Policies,
    operator_policies: Policies,
    /// Messages that are held back in their exchange.
    delayed: Numbered<Message>,
    delayed_number: u64,
    publishers: Publishers,
    memory_bytes: usize,
    /// Number of deliveries that are not settled.
    unacked: usize,
    /// Memory of the queues' deduplication ids.
    ids_bytes: Rc<Cell<u64>>,
    /// Memory of everything but messages.
    room: Gauge,
    /// Bytes that kept messages take in the store.
    kept_bytes: usize,
    pager: Paging,
    /// Whether any message was ever paged out.
    has_stubs: bool,
    /// Kept messages that waited in a partition: queue, number while waiting, and position now.
    opened: Vec<(QueueId, u64, u64)>,
    /// The last message that was taken, while it is being delivered.
    taken: Option<Message>,
    /// The queue and the location of the message that was delivered last, if it was fetched for that.
    lent: Option<(QueueId, Fetched)>,
}

/// Reads paged-out messages back, and parses their bytes.
#[derive(Default)]
struct Paging(Option<(Box<dyn Pager>, ReadMessage)>);

/// Parses a message from the bytes that were written down.
pub(crate) type ReadMessage = fn(&[u8]) -> Option<Parts<'_>>;

impl fmt::Debug for Paging {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Paging")
    }
}

/// Result of routing, and buffers that are reused for it.
#[derive(Debug, Default)]
pub(crate) struct Route {
    /// Without duplicates.
    pub(crate) queues: Vec<QueueId>,
    exchanges: Vec<Box<str>>,
    walk: Walk,
}

/// Only the broker may publish here; clients may check that it exists.
const TRACE: &str = "amq.rabbitmq.trace";

/// Exchanges that always exist.
const PREDECLARED: [(&str, ExchangeKind); 7] = [
    ("", ExchangeKind::Direct),
    ("amq.direct", ExchangeKind::Direct),
    ("amq.fanout", ExchangeKind::Fanout),
    ("amq.headers", ExchangeKind::Headers),
    ("amq.match", ExchangeKind::Headers),
    (TRACE, ExchangeKind::Topic),
    ("amq.topic", ExchangeKind::Topic),
];

impl State {
    pub(crate) fn new() -> Self {
        let mut state = Self {
            exchanges: HashMap::default(),
            queues: Arena::new(),
            names: HashMap::default(),
            sources: HashMap::default(),
            policies: Policies::new(),
            operator_policies: Policies::new(),
            delayed: Numbered::new(),
            delayed_number: 0,
            publishers: Publishers::default(),
            memory_bytes: 0,
            unacked: 0,
            ids_bytes: Rc::default(),
            room: Gauge::default(),
            kept_bytes: 0,
            pager: Paging::default(),
            has_stubs: false,
            opened: Vec::new(),
            taken: None,
            lent: None,
        };
        for (name, kind) in PREDECLARED {
            let exchange = Exchange::new(kind, true, false, name == TRACE, &Table::new());
            state.insert_exchange(name, exchange);
        }
        state
    }

    /// Applies a fact.
    pub(crate) fn apply(&mut self, record: &Record<'_>) {
        match *record {
            Record::ExchangeDeclared { name, kind, durable, auto_delete, internal, arguments } => {
                let mut exchange = Exchange::new(kind, durable, auto_delete, internal, arguments);
                exchange.set_policy(self.policies.alternate_of(name));
                self.insert_exchange(name, exchange);
            }
            Record::ExchangeDeleted { name } => self.delete_exchange(name),
            Record::QueueDeclared { queue, name, durable, exclusive, auto_delete, arguments } => {
                let settings = Settings::of_arguments(arguments).expect("a queue's arguments were checked");
                let queue_type = settings.queue_type;
                let mut declared = Queue::new(name, durable, exclusive, auto_delete, arguments.clone(), settings);
                declared.set_policy(
                    self.policies.of_queue(name, queue_type),
                    self.operator_policies.of_queue(name, queue_type),
                );
                declared.count_ids_in(&self.ids_bytes);
                self.room.add(declared.room());
                self.queues.insert_at(queue, declared);
                self.names.insert(name.into(), queue);
            }
            Record::PartitionsAdded { front, partitions } => self.add_partitions(front, partitions),
            Record::QueueDeleted { queue } => self.delete_queue(queue),
            Record::Bound { source, destination, routing_key, arguments } => {
                self.change_exchange(source, |exchange| exchange.bind(destination, routing_key, arguments));
                let sources = self.sources.entry(destination.clone()).or_default();
                if !sources.iter().any(|known| **known == *source) {
                    sources.push(source.into());
                }
            }
            Record::Unbound { source, destination, routing_key, arguments } => {
                self.change_exchange(source, |exchange| exchange.unbind(destination, routing_key, arguments));
                if !self.exchange(source).is_some_and(|exchange| exchange.is_bound_to(destination)) {
                    self.forget_source(destination, source);
                }
            }
            Record::Published { message, queues } => self.publish(message, queues),
            Record::Delivered { queue, position } => {
                self.let_go();
                self.unacked += 1;
                let known = self.queue_mut(queue);
                known.deliver(position);
                let fetched = known.fetched.take_if(|fetched| fetched.position == position);
                self.lent = fetched.map(|fetched| (queue, fetched));
                self.fetch_head(queue);
            }
            Record::Settled { queue, position } => {
                let queue = self.queue_mut(queue);
                let message = queue.settle(position);
                let opened = queue.count_out(&message);
                self.unacked -= 1;
                opened.into_iter().for_each(|opened| self.unseal(opened));
                self.forget(message);
            }
            Record::Taken { queue: id, position } => {
                let queue = self.queue_mut(id);
                let message = queue.take(position);
                let opened = queue.count_out(&message);
                opened.into_iter().for_each(|opened| self.unseal(opened));
                self.let_go();
                self.taken = Some(message);
                self.fetch_head(id);
            }
            Record::Dropped { queue: id, position } => {
                let queue = self.queue_mut(id);
                let message = queue.drop(position);
                let opened = queue.count_out(&message);
                opened.into_iter().for_each(|opened| self.unseal(opened));
                self.forget(message);
                self.fetch_head(id);
            }
            Record::Requeued { queue, position } => {
                self.let_go();
                self.requeue(queue, position);
            }
            Record::Purged { queue } => {
                for message in self.queue_mut(queue).purge() {
                    let opened = self.queue_mut(queue).count_out(&message);
                    opened.into_iter().for_each(|opened| self.unseal(opened));
                    self.forget(message);
                }
            }
            Record::Delayed { number, message, .. } => {
                self.count_in(message);
                self.publishers.note(message);
                self.count_place(message);
                self.delayed.insert(number, message.share());
                self.delayed_number = number;
            }
            Record::DelayOver { number } => {
                let message = self.delayed.remove(number).expect("a message whose delay is over was delayed");
                self.forget(message);
            }
            Record::PublishersForgotten { until_ms } => self.publishers.forget(until_ms),
            Record::PolicySet { name, policy } => {
                self.room.take_off(self.policies.room());
                self.policies.set(name, policy);
                self.room.add(self.policies.room());
                self.apply_policies();
            }
            Record::PolicyDeleted { name } => {
                self.room.take_off(self.policies.room());
                self.policies.delete(name);
                self.room.add(self.policies.room());
                self.apply_policies();
            }
        }
    }

    /// Returns the message at this position, which was delivered just now.
    pub(crate) fn delivered(&self, queue: QueueId, position: u64) -> &Message {
        let unacked = self.queue(queue).and_then(|queue| queue.unacked_message(position));
        unacked.or(self.taken.as_ref()).expect("a message that was delivered is unacked or taken")
    }

    /// Ends the last delivery: drops the message if it was taken, and pages it out again if it was fetched.
    pub(crate) fn let_go(&mut self) {
        if let Some(message) = self.taken.take() {
            self.forget(message);
        }
        if let Some((queue, fetched)) = self.lent.take() {
            self.put_back(queue, &fetched);
        }
    }

    /// Returns the id that the next queue gets.
    pub(crate) fn next_queue(&self) -> QueueId {
        self.queues.next_id()
    }

    /// Returns the ids that the next `count` queues get.
    pub(crate) fn next_queues(&self, count: usize) -> Vec<QueueId> {
        self.queues.next_ids(count)
    }

    /// Returns the memory of messages, each counted once however many queues share it, and of their places.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes + self.unacked_bytes() + self.ids_bytes.get() as usize
    }

    /// Returns the part of that for unsettled deliveries, without the messages themselves.
    pub(crate) fn unacked_bytes(&self) -> usize {
        self.unacked * UNACKED_MEMORY_BYTES
    }

    /// Returns the memory of everything but messages.
    pub(crate) fn room(&self) -> &Gauge {
        &self.room
    }

    pub(crate) fn room_mut(&mut self) -> &mut Gauge {
        &mut self.room
    }

    pub(crate) fn publishers(&self) -> &Publishers {
        &self.publishers
    }

    pub(crate) fn policies(&self) -> &Policies {
        &self.policies
    }

    /// Returns the operator policies, which are not facts: the host stores them.
    pub(crate) fn operator_policies(&self) -> &Policies {
        &self.operator_policies
    }

    pub(crate) fn set_operator_policy(&mut self, name: &str, policy: Option<&Policy>) {
        match policy {
            Some(policy) => self.operator_policies.set(name, policy),
            None => self.operator_policies.delete(name),
        }
        self.apply_policies();
    }

    /// Sets the function that matches patterns, which is not a fact: the host provides it.
    pub(crate) fn set_matcher(&mut self, matcher: Matcher) {
        self.policies.set_matcher(matcher.clone());
        self.operator_policies.set_matcher(matcher);
        self.apply_policies();
    }

    /// Returns the exchanges that have bindings to this destination.
    pub(crate) fn sources_of(&self, destination: &Destination) -> &[Box<str>] {
        self.sources.get(destination).map_or(&[], |sources| sources)
    }

    pub(crate) fn each_delayed(&self, see: &mut impl FnMut(&Message)) {
        self.delayed.iter().for_each(|(_, message)| see(message));
    }

    /// Returns a delayed message.
    pub(crate) fn delayed(&self, number: u64) -> Option<&Message> {
        self.delayed.get(number)
    }

    /// Returns the number that the next delayed message gets.
    pub(crate) fn next_delayed(&self) -> u64 {
        self.delayed_number + 1
    }

    pub(crate) fn exchange(&self, name: &str) -> Option<&Exchange> {
        self.exchanges.get(name).map(|exchange| &**exchange)
    }

    pub(crate) fn exchanges(&self) -> impl Iterator<Item = (&str, &Exchange)> {
        self.exchanges.iter().map(|(name, exchange)| (&**name, &**exchange))
    }

    pub(crate) fn queue(&self, queue: QueueId) -> Option<&Queue> {
        self.queues.get(queue)
    }

    pub(crate) fn queue_named(&self, name: &str) -> Option<QueueId> {
        self.names.get(name).copied()
    }

    /// Returns all declared queues in the order of declaration, without partitions.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (QueueId, &Queue)> {
        self.all_queues().filter(|(_, queue)| queue.kind.part().is_none())
    }

    /// Returns the ids of all queues and partitions.
    pub(crate) fn queue_ids(&self) -> Vec<QueueId> {
        self.queues.ids()
    }

    /// Continues after a restored state: neither ids nor numbers are used again.
    pub(crate) fn go_on_after(&mut self, queue: QueueId, delayed: u64, publishers: Publishers) {
        self.queues.go_on_after(queue);
        self.delayed_number = self.delayed_number.max(delayed);
        self.publishers = publishers;
    }

    pub(crate) fn hold_delayed(&mut self, number: u64, message: Message) {
        self.delayed.insert(number, message);
    }

    /// Returns all queues and partitions.
    pub(crate) fn all_queues(&self) -> impl Iterator<Item = (QueueId, &Queue)> {
        self.queues.ids().into_iter().filter_map(|id| self.queues.get(id).map(|queue| (id, queue)))
    }

    /// Finds the queues that a message is routed to, without duplicates; through bound exchanges, and through the
    /// alternate exchange of an exchange that routes nowhere. Each exchange is visited once, so cycles end.
    pub(crate) fn route(&self, exchange: &str, routing_keys: &[&str], properties: Properties<'_>, route: &mut Route) {
        route.queues.clear();
        if exchange.is_empty() {
            route.queues.extend(routing_keys.iter().filter_map(|name| self.queue_named(name)));
        } else {
            route.exchanges.clear();
            self.route_one(exchange, exchange, routing_keys, properties, route);
            for asked in 0.. {
                let Some(name) = route.exchanges.get(asked).cloned() else { break };
                self.route_one(exchange, &name, routing_keys, properties, route);
            }
        }
        if route.queues.len() > 1 {
            route.queues = sorted(mem::take(&mut route.queues).into_iter());
            route.queues.dedup();
        }
    }

    /// Routes through the exchange `name` a message that was published to `first`.
    fn route_one(&self, first: &str, name: &str, keys: &[&str], properties: Properties<'_>, route: &mut Route) {
        let Route { queues, exchanges, walk } = route;
        let Some(exchange) = self.exchanges.get(name) else { return };
        let mut found = false;
        let ask = |exchanges: &mut Vec<Box<str>>, name: &str| {
            if name != first && !exchanges.iter().any(|known| **known == *name) {
                exchanges.push(name.into());
            }
        };
        // An exchange that ignores keys is asked once.
        let keys = if exchange.looks_at_keys() { keys } else { &keys[..1] };
        for routing_key in keys {
            exchange.route(routing_key, properties, walk, &mut |destination| {
                found = true;
                match destination {
                    Destination::Queue(queue) => queues.push(*queue),
                    Destination::Exchange(name) => ask(exchanges, name),
                }
            });
        }
        if let Some(alternate) = exchange.alternate().filter(|_| !found) {
            ask(exchanges, alternate);
        }
    }

    fn publish(&mut self, message: &Message, queues: &[QueueId]) {
        if message.tells_broker() {
            self.publishers.note(message);
        }
        if message.is_kept() {
            return self.publish_kept(message, queues);
        }
        self.count_in(message);
        for &queue in queues {
            self.count_place(message);
            self.queue_mut(queue).push(message.share());
        }
    }

    /// Requeues a message, which gets the number of its returns where its queue counts them.
    fn requeue(&mut self, id: QueueId, position: u64) {
        let queue = self.queues.get_mut(id).expect("a fact's queue exists");
        let counts = queue.settings.counts_deliveries();
        self.unacked -= 1;
        let (mut added, scratch) = (None, &mut Vec::new());
        let replaced = queue.requeue(position, |message, returns| {
            let mut counted =
                (counts && !message.is_stub()).then(|| headers::with_delivery_count(message, returns, scratch))?;
            counted.set_kept(message.is_kept());
            added = Some(counted.share());
            Some(counted)
        });
        if let Some(counted) = added {
            self.count_in(&counted);
            self.count_place(&counted);
        }
        replaced.into_iter().for_each(|message| self.forget(message));
    }

    fn apply_policies(&mut self) {
        for queue in self.queues.values_mut() {
            let (name, queue_type) = (&*queue.name, queue.settings.queue_type);
            queue.set_policy(
                self.policies.of_queue(name, queue_type),
                self.operator_policies.of_queue(name, queue_type),
            );
        }
        for (name, exchange) in &mut self.exchanges {
            exchange.set_policy(self.policies.alternate_of(name));
        }
    }

    fn delete_queue(&mut self, id: QueueId) {
        let queue = self.queues.remove(id).expect("a queue that is deleted exists");
        self.room.take_off(queue.room());
        self.names.remove(&queue.name);
        self.unbind_all(&Destination::Queue(id));
        for &partition in queue.kind.partitions().into_iter().flat_map(|partitions| &partitions.queues) {
            let partition = self.queues.remove(partition).expect("a front's partition exists");
            self.unacked -= partition.unacked_count();
            partition.into_messages().for_each(|message| self.forget(message));
        }
        self.unacked -= queue.unacked_count();
        queue.into_messages().for_each(|message| self.forget(message));
    }

    fn delete_exchange(&mut self, name: &str) {
        let gone = self.exchanges.remove(name).expect("an exchange that is deleted exists");
        self.room.take_off(gone.room(name));
        gone.destinations().for_each(|destination| self.forget_source(destination, name));
        self.unbind_all(&Destination::Exchange(name.into()));
        if gone.is_delayed() {
            let theirs = self.delayed.iter().filter(|(_, message)| message.exchange() == name);
            let numbers: Vec<_> = theirs.map(|(number, _)| number).collect();
            for message in numbers.into_iter().filter_map(|number| self.delayed.remove(number)).collect::<Vec<_>>() {
                self.forget(message);
            }
        }
    }

    fn unbind_all(&mut self, destination: &Destination) {
        for source in self.sources.remove(destination).unwrap_or_default() {
            self.change_exchange(&source, |exchange| exchange.unbind_all(destination));
        }
    }

    fn forget_source(&mut self, destination: &Destination, source: &str) {
        let Some(sources) = self.sources.get_mut(destination) else { return };
        sources.retain(|known| **known != *source);
        if sources.is_empty() {
            self.sources.remove(destination);
        }
    }

    pub(crate) fn queue_mut(&mut self, queue: QueueId) -> &mut Queue {
        self.queues.get_mut(queue).expect("a fact's queue exists")
    }

    fn insert_exchange(&mut self, name: &str, exchange: Exchange) {
        self.room.add(exchange.room(name));
        if let Some(replaced) = self.exchanges.insert(name.into(), Box::new(exchange)) {
            self.room.take_off(replaced.room(name));
        }
    }

    fn change_exchange(&mut self, name: &str, change: impl FnOnce(&mut Exchange)) {
        let exchange = self.exchanges.get_mut(name).expect("a fact's exchange exists");
        self.room.take_off(exchange.room(name));
        change(exchange);
        self.room.add(exchange.room(name));
    }
}
