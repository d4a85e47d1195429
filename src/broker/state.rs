//! State: what facts have made so far.
//!
//! [`State::apply`] is the only way to change it, and cannot fail: whoever commits a record has checked before that it
//! can become a fact. Everything else here only looks.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::exchange::{Destination, Exchange, ExchangeKind};
use super::message::Message;
use super::queue::Queue;
use super::record::Record;
use super::topic::Walk;
use crate::arena::Arena;
use crate::id::QueueId;
use crate::properties::Properties;
use crate::table::Table;

/// Exchanges, bindings, queues and messages.
#[derive(Debug)]
pub(crate) struct State {
    exchanges: HashMap<Box<str>, Box<Exchange>, FixedState>,
    queues: Arena<QueueId, Queue>,
    names: HashMap<Box<str>, QueueId, FixedState>,
    memory_bytes: usize,
    /// The last message that was taken, for as long as it is being delivered.
    taken: Option<Message>,
}

/// Where a message goes, and the lists that finding out needs; kept to be used again.
#[derive(Debug, Default)]
pub(crate) struct Route {
    /// Each queue once.
    pub(crate) queues: Vec<QueueId>,
    exchanges: Vec<Box<str>>,
    walk: Walk,
}

/// The exchanges that are always there.
const PREDECLARED: [(&str, ExchangeKind); 6] = [
    ("", ExchangeKind::Direct),
    ("amq.direct", ExchangeKind::Direct),
    ("amq.fanout", ExchangeKind::Fanout),
    ("amq.headers", ExchangeKind::Headers),
    ("amq.match", ExchangeKind::Headers),
    ("amq.topic", ExchangeKind::Topic),
];

impl State {
    pub(crate) fn new() -> Self {
        let mut state = Self {
            exchanges: HashMap::default(),
            queues: Arena::new(),
            names: HashMap::default(),
            memory_bytes: 0,
            taken: None,
        };
        for (name, kind) in PREDECLARED {
            let exchange = Exchange::new(kind, true, false, false, &Table::new());
            state.exchanges.insert(name.into(), Box::new(exchange));
        }
        state
    }

    /// Makes a fact true.
    pub(crate) fn apply(&mut self, record: &Record<'_>) {
        match *record {
            Record::ExchangeDeclared { name, kind, durable, auto_delete, internal, arguments } => {
                let exchange = Exchange::new(kind, durable, auto_delete, internal, arguments);
                self.exchanges.insert(name.into(), Box::new(exchange));
            }
            Record::ExchangeDeleted { name } => {
                self.exchanges.remove(name);
                self.unbind_all(&Destination::Exchange(name.into()));
            }
            Record::QueueDeclared { queue, name, durable, exclusive, auto_delete, arguments } => {
                let declared = Queue::new(name, durable, exclusive, auto_delete, arguments.clone());
                self.queues.insert_at(queue, declared);
                self.names.insert(name.into(), queue);
            }
            Record::QueueDeleted { queue } => self.delete_queue(queue),
            Record::Bound { source, destination, routing_key, arguments } => {
                self.exchange_mut(source).bind(destination, routing_key, arguments);
            }
            Record::Unbound { source, destination, routing_key, arguments } => {
                self.exchange_mut(source).unbind(destination, routing_key, arguments);
            }
            Record::Published { message, queues } => self.publish(message, queues),
            Record::Delivered { queue, position } => self.queue_mut(queue).deliver(position),
            Record::Settled { queue, position } => {
                let message = self.queue_mut(queue).settle(position);
                self.forget(message);
            }
            Record::Taken { queue, position } => {
                let queue = self.queue_mut(queue);
                queue.counters.acked += 1;
                let message = queue.take(position);
                self.let_go();
                self.taken = Some(message);
            }
            Record::Requeued { queue, position } => self.queue_mut(queue).requeue(position),
            Record::Purged { queue } => {
                let messages = self.queue_mut(queue).purge();
                messages.for_each(|message| self.forget(message));
            }
        }
    }

    /// The message at this position, which has been delivered just now.
    pub(crate) fn delivered(&self, queue: QueueId, position: u64) -> &Message {
        let unacked = self.queue(queue).and_then(|queue| queue.unacked_message(position));
        unacked.or(self.taken.as_ref()).expect("a message that was delivered is unacked or taken")
    }

    /// Forgets the message that was taken last, when its delivery is over.
    pub(crate) fn let_go(&mut self) {
        if let Some(message) = self.taken.take() {
            self.forget(message);
        }
    }

    /// The id that the next queue gets.
    pub(crate) fn next_queue(&self) -> QueueId {
        self.queues.next_id()
    }

    /// What the messages take in memory, each counted once, however many queues share it.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory_bytes
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

    /// All queues in the order of their declaration.
    pub(crate) fn queues(&self) -> impl Iterator<Item = (QueueId, &Queue)> {
        self.queues.ids().into_iter().filter_map(|id| self.queues.get(id).map(|queue| (id, queue)))
    }

    /// Finds the queues that a message goes to, each once; through bound exchanges, and to the alternate exchange
    /// where one routes nowhere. Each exchange is asked once, so that cycles end.
    pub(crate) fn route(&self, exchange: &str, routing_key: &str, properties: Properties<'_>, route: &mut Route) {
        route.queues.clear();
        if exchange.is_empty() {
            route.queues.extend(self.queue_named(routing_key));
            return;
        }
        route.exchanges.clear();
        self.route_one(exchange, exchange, routing_key, properties, route);
        for asked in 0.. {
            let Some(name) = route.exchanges.get(asked).cloned() else { break };
            self.route_one(exchange, &name, routing_key, properties, route);
        }
        route.queues.sort_unstable();
        route.queues.dedup();
    }

    /// Asks the exchange `name` on behalf of a message that was published to `first`.
    fn route_one(&self, first: &str, name: &str, routing_key: &str, properties: Properties<'_>, route: &mut Route) {
        let Route { queues, exchanges, walk } = route;
        let Some(exchange) = self.exchanges.get(name) else { return };
        let mut found = false;
        let ask = |exchanges: &mut Vec<Box<str>>, name: &str| {
            if name != first && !exchanges.iter().any(|known| **known == *name) {
                exchanges.push(name.into());
            }
        };
        exchange.route(routing_key, properties, walk, |destination| {
            found = true;
            match destination {
                Destination::Queue(queue) => queues.push(*queue),
                Destination::Exchange(name) => ask(exchanges, name),
            }
        });
        if let Some(alternate) = exchange.alternate.as_ref().filter(|_| !found) {
            ask(exchanges, alternate);
        }
    }

    fn publish(&mut self, message: &Message, queues: &[QueueId]) {
        self.memory_bytes += message.memory_bytes();
        for &queue in queues {
            self.queue_mut(queue).push(message.share());
        }
    }

    fn delete_queue(&mut self, id: QueueId) {
        let queue = self.queues.remove(id).expect("a queue that is deleted exists");
        self.names.remove(&queue.name);
        self.unbind_all(&Destination::Queue(id));
        queue.into_messages().for_each(|message| self.forget(message));
    }

    fn unbind_all(&mut self, destination: &Destination) {
        for exchange in self.exchanges.values_mut() {
            exchange.unbind_all(destination);
        }
    }

    /// Counts a message out once the last queue lets go of it.
    fn forget(&mut self, message: Message) {
        if message.is_last() {
            self.memory_bytes -= message.memory_bytes();
        }
    }

    fn queue_mut(&mut self, queue: QueueId) -> &mut Queue {
        self.queues.get_mut(queue).expect("a fact's queue exists")
    }

    fn exchange_mut(&mut self, name: &str) -> &mut Exchange {
        self.exchanges.get_mut(name).expect("a fact's exchange exists")
    }
}
