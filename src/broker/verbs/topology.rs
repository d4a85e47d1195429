//! Topology: exchanges, queues and bindings are declared, bound and deleted.

use super::Broker;
use crate::broker::model::arguments::{self, ALTERNATE_EXCHANGE, BadArgument, DELAYED_TYPE, Reason};
use crate::broker::model::error::{Error, Resource};
use crate::broker::model::exchange::{Destination, Exchange, ExchangeKind};
use crate::broker::model::names::{REPLY_TO, check_short, is_reply_address, plain_name};
use crate::broker::model::record::Record;
use crate::broker::model::room;
use crate::broker::model::settings::{self, QUEUE_TYPE, QueueType, Settings};
use crate::broker::session::event::Notice;
use crate::id::{ChannelId, QueueId};
use crate::table::Table;

const BINDING_ARGUMENTS_MAX: usize = 256;

/// An exchange to be declared.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeDeclaration<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type.
    pub kind: &'a str,
    /// Only checks whether it exists.
    pub passive: bool,
    /// Survives a restart.
    pub durable: bool,
    /// Deleted with its last binding.
    pub auto_delete: bool,
    /// Accepts messages from other exchanges only.
    pub internal: bool,
    /// Further arguments.
    pub arguments: &'a Table,
}

/// A queue to be declared.
#[derive(Clone, Copy, Debug)]
pub struct QueueDeclaration<'a> {
    /// Its name; when empty, the broker makes one.
    pub name: &'a str,
    /// Only checks whether it exists.
    pub passive: bool,
    /// Survives a restart.
    pub durable: bool,
    /// Used by this connection only, and deleted with it.
    pub exclusive: bool,
    /// Deleted with its last consumer.
    pub auto_delete: bool,
    /// Further arguments.
    pub arguments: &'a Table,
}

/// Status of a queue when it was declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueStatus {
    /// Its name.
    pub name: Box<str>,
    /// Number of ready messages.
    pub message_count: usize,
    /// Number of consumers.
    pub consumer_count: usize,
}

/// A binding, existing or to be made.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The exchange that messages come from.
    pub source: &'a str,
    /// The queue or exchange that messages go to; an empty queue name is the channel's last declared queue.
    pub destination: &'a str,
    /// The routing key, or a topic exchange's pattern.
    pub routing_key: &'a str,
    /// Further arguments; for a headers exchange, the headers to match.
    pub arguments: &'a Table,
}

impl Broker {
    /// Declares an exchange.
    ///
    /// # Errors
    /// When the name is reserved or the type unknown, when it exists with other properties, or when a passive
    /// declaration finds none.
    pub fn declare_exchange(&mut self, _: ChannelId, declaration: &ExchangeDeclaration<'_>) -> Result<(), Error> {
        let ExchangeDeclaration { name, kind, passive, durable, auto_delete, internal, arguments } = *declaration;
        let name = &*plain_name(name);
        if name.is_empty() {
            return Err(Error::DefaultExchange);
        }
        if passive {
            return self.existing_exchange(name);
        }
        check_short("exchange name", name)?;
        let kind = ExchangeKind::named(kind).ok_or_else(|| Error::UnknownExchangeType(kind.into()))?;
        let routing = Exchange::routing_of(kind, arguments)?;
        if self.state.exchange(name).is_some() {
            self.check_exchange_equivalent(&ExchangeDeclaration { name, ..*declaration }, routing)?;
            // An existing exchange may be lost if its declaration was not flushed; the predeclared ones are not.
            return self.check_keeping(durable && !name.starts_with("amq."));
        }
        if name.starts_with("amq.") {
            return Err(Error::ReservedName(Resource::Exchange, name.into()));
        }
        if let Some(alternate) = arguments.get(ALTERNATE_EXCHANGE).filter(|name| name.as_str().is_none()) {
            return Err(Error::BadAlternateExchange(name.into(), alternate.type_name()));
        }
        self.check_room(room::of_exchange(name, arguments))?;
        self.check_keeping(durable)?;
        self.commit(&Record::ExchangeDeclared { name, kind, durable, auto_delete, internal, arguments });
        Ok(())
    }

    fn check_exchange_equivalent(
        &self,
        declaration: &ExchangeDeclaration<'_>,
        routing: ExchangeKind,
    ) -> Result<(), Error> {
        let ExchangeDeclaration { name, kind, durable, auto_delete, internal, arguments, .. } = *declaration;
        let current = self.state.exchange(name).expect("it was looked up before");
        let differs = differs(Resource::Exchange, name);
        let alternate = arguments::alternate_exchange(arguments);
        differs("type", &quoted(kind), &quoted(current.kind.name()))?;
        differs(DELAYED_TYPE, &quoted(routing.name()), &quoted(current.routing().name()))?;
        differs("durable", &quoted(durable), &quoted(current.durable))?;
        differs("auto_delete", &quoted(auto_delete), &quoted(current.auto_delete))?;
        differs("internal", &quoted(internal), &quoted(current.internal))?;
        differs(ALTERNATE_EXCHANGE, &optional(alternate), &optional(current.declared_alternate()))
    }

    /// Deletes an exchange with its bindings; an unknown name is no error.
    ///
    /// # Errors
    /// When the name is reserved, or with `if_unused` when it has bindings.
    pub fn delete_exchange(&mut self, _: ChannelId, name: &str, if_unused: bool) -> Result<(), Error> {
        let name = &*plain_name(name);
        if name.is_empty() {
            return Err(Error::DefaultExchange);
        }
        if name.starts_with("amq.") {
            return Err(Error::SystemExchange(name.into()));
        }
        let Some(exchange) = self.state.exchange(name) else { return Ok(()) };
        if if_unused && !exchange.is_unused() {
            return Err(Error::InUse(Resource::Exchange, name.into()));
        }
        self.check_keeping(exchange.durable)?;
        self.remove_exchange(name);
        Ok(())
    }

    fn remove_exchange(&mut self, name: &str) {
        self.remove_destination(&Destination::Exchange(name.into()), &Record::ExchangeDeleted { name });
    }

    /// Declares a queue and returns its status.
    ///
    /// # Errors
    /// When the name is reserved, when an argument is invalid or not implemented, when the queue exists with other
    /// properties or belongs to another connection, or when a passive declaration finds none.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn declare_queue(&mut self, channel: ChannelId, queue: &QueueDeclaration<'_>) -> Result<QueueStatus, Error> {
        let queue = &QueueDeclaration { name: &plain_name(queue.name), ..*queue };
        if queue.passive || queue.name == REPLY_TO || is_reply_address(queue.name) {
            return self.find_queue(channel, queue.name);
        }
        check_short("queue name", queue.name)?;
        if queue.name.starts_with("amq.") {
            return Err(Error::ReservedName(Resource::Queue, queue.name.into()));
        }
        let is_lasting = queue.durable && !queue.exclusive && !queue.auto_delete;
        if !self.prefers_quorum || !is_lasting || queue.arguments.get(QUEUE_TYPE).is_some() {
            return self.declare_named(channel, queue);
        }
        let mut arguments = queue.arguments.clone();
        arguments.insert(QUEUE_TYPE, "quorum");
        self.declare_named(channel, &QueueDeclaration { arguments: &arguments, ..*queue })
    }

    /// Declares a queue as another broker had it, with any name, even a reserved one.
    ///
    /// # Errors
    /// As for [`declare_queue`](Self::declare_queue).
    pub fn declare_named(&mut self, channel: ChannelId, queue: &QueueDeclaration<'_>) -> Result<QueueStatus, Error> {
        if let Some(id) = self.state.queue_named(queue.name) {
            self.check_queue_equivalent(channel, id, queue)?;
            self.check_keeping(self.state.is_kept_queue(id))?;
            self.raise_partitions(id, queue)?;
            return Ok(self.remember_queue(channel, id));
        }
        check_queue_arguments(queue)?;
        self.check_keeping(queue.durable && !queue.exclusive)?;
        self.check_room(room::of_new_queue(queue.name, queue.arguments))?;
        if let Some(limit) = self.queues_max.filter(|&max| self.listed_queues().len() >= max) {
            return Err(Error::QueueLimit(queue.name.into(), limit));
        }
        if queue.name.is_empty() {
            let name = self.generate_name("amq.gen-");
            let id = self.create_queue(channel, &QueueDeclaration { name: &name, ..*queue });
            return Ok(self.remember_queue(channel, id));
        }
        let id = self.create_queue(channel, queue);
        Ok(self.remember_queue(channel, id))
    }

    fn find_queue(&mut self, channel: ChannelId, name: &str) -> Result<QueueStatus, Error> {
        if name == REPLY_TO || (is_reply_address(name) && self.state.queue_named(name).is_some()) {
            return Ok(QueueStatus { name: name.into(), message_count: 0, consumer_count: 1 });
        }
        if name.is_empty() {
            return Err(Error::NotFound(Resource::Queue, name.into()));
        }
        let id = self.accessible_queue(channel, name)?;
        Ok(self.remember_queue(channel, id))
    }

    fn remember_queue(&mut self, channel: ChannelId, id: QueueId) -> QueueStatus {
        self.use_queue(id);
        let name = self.queue_name(id);
        self.channel_mut(channel).last_queue = Some(name.clone());
        let message_count = self.ready_count(id);
        let consumer_count = self.runtimes.get(id).map_or(0, |runtime| runtime.consumers.len());
        QueueStatus { name, message_count, consumer_count }
    }

    pub(super) fn create_queue(&mut self, channel: ChannelId, declaration: &QueueDeclaration<'_>) -> QueueId {
        let QueueDeclaration { name, durable, exclusive, auto_delete, arguments, .. } = *declaration;
        let queue = self.state.next_queue();
        self.commit(&Record::QueueDeclared { queue, name, durable, exclusive, auto_delete, arguments });
        if exclusive {
            let connection = self.channel(channel).connection;
            let owner = self.connections.get_mut(connection).expect("an open channel's connection is open");
            owner.exclusive_queues.push(queue);
            self.runtime_of(queue).owner = Some(connection);
        }
        self.watch_use(queue);
        self.add_partitions(queue, arguments);
        queue
    }

    fn check_queue_equivalent(
        &self,
        channel: ChannelId,
        id: QueueId,
        queue: &QueueDeclaration<'_>,
    ) -> Result<(), Error> {
        self.accessible_queue(channel, queue.name)?;
        let current = self.state.queue(id).expect("it was looked up before");
        if queue.exclusive != current.exclusive {
            return Err(Error::Locked(queue.name.into()));
        }
        let differs = differs(Resource::Queue, queue.name);
        differs("durable", &quoted(queue.durable), &quoted(current.durable))?;
        differs("auto_delete", &quoted(queue.auto_delete), &quoted(current.auto_delete))?;
        match settings::difference(queue.arguments, &current.arguments) {
            Some((argument, received, current)) => {
                Err(inequivalent(Resource::Queue, queue.name, argument, received, current))
            }
            None => Ok(()),
        }
    }

    /// Removes all ready messages from a queue and returns how many there were.
    ///
    /// # Errors
    /// When there is no such queue, or it is locked.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn purge_queue(&mut self, channel: ChannelId, queue: &str) -> Result<usize, Error> {
        let queue = self.accessible_queue(channel, queue)?;
        self.check_keeping(self.state.is_kept_queue(queue))?;
        let count = self.ready_count(queue);
        for part in self.parts_of(queue) {
            self.part_changes(part);
            self.commit(&Record::Purged { queue: part });
        }
        self.tend_changed();
        Ok(count)
    }

    /// Deletes a queue with its messages, and returns how many were ready; an unknown name is no error. Its consumers
    /// are cancelled, and their peers notified.
    ///
    /// # Errors
    /// When it is locked, in use although `if_unused` is set, or not empty although `if_empty` is set.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn delete_queue(
        &mut self,
        channel: ChannelId,
        queue: &str,
        if_unused: bool,
        if_empty: bool,
    ) -> Result<usize, Error> {
        let id = match self.accessible_queue(channel, &plain_name(queue)) {
            Err(Error::NotFound(..)) => return Ok(0),
            answer => answer?,
        };
        if if_unused && self.is_consumed(id) {
            return Err(Error::InUse(Resource::Queue, self.queue_name(id)));
        }
        let count = self.ready_count(id);
        if if_empty && count > 0 {
            return Err(Error::NotEmpty(self.queue_name(id)));
        }
        self.check_keeping(self.state.is_kept_queue(id))?;
        self.remove_queue(id);
        Ok(count)
    }

    /// Deletes an auto-delete queue when its last consumer has left.
    pub(super) fn delete_if_abandoned(&mut self, queue: QueueId) {
        if !self.is_consumed(queue) && self.state.queue(queue).is_some_and(|queue| queue.auto_delete) {
            self.remove_queue(queue);
        }
    }

    /// Deletes a queue, if it still exists.
    pub(super) fn remove_queue(&mut self, queue: QueueId) {
        if self.state.queue(queue).is_none() {
            return;
        }
        self.count_gone(queue);
        let runtime = self.runtimes.remove(queue).unwrap_or_default();
        for consumer in runtime.consumers {
            let (channel, tag) = (self.consumer(consumer).channel, self.consumer(consumer).tag.clone());
            self.detach(consumer);
            let channel = self.channel_mut(channel);
            channel.consumers.remove(&tag);
            let notice = Notice::Cancelled(channel.connection, channel.number, tag);
            self.notices.push_back(notice);
        }
        // Detaching a consumer uses the partitions' runtimes, so these are removed after all consumers.
        self.forget_partitions(queue);
        if runtime.is_active {
            self.active.retain(|&known| known != queue);
        }
        self.stop(runtime.expiry.map(|(_, timer)| timer));
        self.stop(runtime.disuse);
        if let Some(owner) = runtime.owner.and_then(|owner| self.connections.get_mut(owner)) {
            owner.exclusive_queues.retain(|&known| known != queue);
        }
        if let Some(channel) = runtime.reply_channel.and_then(|channel| self.channels.get_mut(channel)) {
            channel.reply_queue = None;
        }
        self.remove_destination(&Destination::Queue(queue), &Record::QueueDeleted { queue });
    }

    fn is_consumed(&self, queue: QueueId) -> bool {
        self.runtimes.get(queue).is_some_and(|runtime| !runtime.consumers.is_empty())
    }

    /// Commits the deletion of a destination, and then of the auto-delete exchanges that lost their last binding with
    /// it.
    fn remove_destination(&mut self, destination: &Destination, end: &Record<'_>) {
        let sources = self.state.sources_of(destination).to_vec();
        self.commit(end);
        for name in sources {
            self.delete_exchange_if_unused(&name);
        }
    }

    fn delete_exchange_if_unused(&mut self, name: &str) {
        if self.state.exchange(name).is_some_and(|exchange| exchange.auto_delete && exchange.is_unused()) {
            self.remove_exchange(name);
        }
    }

    /// Binds a queue to an exchange; an existing binding is left as it is.
    ///
    /// # Errors
    /// When one of them does not exist, the queue is locked, the source is the default exchange, or the arguments are
    /// invalid.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn bind_queue(&mut self, channel: ChannelId, binding: &Binding<'_>) -> Result<(), Error> {
        let (source, destination) = (&*plain_name(binding.source), &*plain_name(binding.destination));
        let binding = &Binding { source, destination, ..*binding };
        let (destination, routing_key) = self.resolve_queue(channel, binding)?;
        self.bind(&destination, &Binding { routing_key: &routing_key, ..*binding })
    }

    /// Removes a queue's binding; an unknown binding is no error.
    ///
    /// # Errors
    /// When the queue is locked, or the source is the default exchange.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn unbind_queue(&mut self, channel: ChannelId, binding: &Binding<'_>) -> Result<(), Error> {
        let (source, destination) = (&*plain_name(binding.source), &*plain_name(binding.destination));
        let binding = &Binding { source, destination, ..*binding };
        let resolved = unless_missing(self.resolve_queue(channel, binding))?;
        let Some((destination, routing_key)) = resolved else { return Ok(()) };
        self.unbind(&destination, &Binding { routing_key: &routing_key, ..*binding })
    }

    /// Binds an exchange to another; an existing binding is left as it is.
    ///
    /// # Errors
    /// When one of them does not exist or is the default exchange, or the arguments are invalid.
    pub fn bind_exchange(&mut self, _: ChannelId, binding: &Binding<'_>) -> Result<(), Error> {
        let (source, destination) = (&*plain_name(binding.source), &*plain_name(binding.destination));
        let binding = &Binding { source, destination, ..*binding };
        self.bindable_exchange(binding.source)?;
        self.bindable_exchange(binding.destination)?;
        self.bind(&Destination::Exchange(binding.destination.into()), binding)
    }

    /// Removes an exchange's binding to another; an unknown binding is no error.
    ///
    /// # Errors
    /// When one of them is the default exchange.
    pub fn unbind_exchange(&mut self, _: ChannelId, binding: &Binding<'_>) -> Result<(), Error> {
        let (source, destination) = (&*plain_name(binding.source), &*plain_name(binding.destination));
        let binding = &Binding { source, destination, ..*binding };
        let found = self.bindable_exchange(binding.source).and_then(|()| self.bindable_exchange(binding.destination));
        match unless_missing(found)? {
            Some(()) => self.unbind(&Destination::Exchange(binding.destination.into()), binding),
            None => Ok(()),
        }
    }

    /// Returns a binding's queue and routing key: with both empty, the name of the last declared queue is used for
    /// both.
    fn resolve_queue(&self, channel: ChannelId, binding: &Binding<'_>) -> Result<(Destination, Box<str>), Error> {
        let name = self.expand_queue_name(channel, binding.destination)?;
        self.bindable_exchange(binding.source)?;
        let queue = self.accessible_queue(channel, name)?;
        let is_nameless = binding.destination.is_empty() && binding.routing_key.is_empty();
        let routing_key = if is_nameless { name } else { binding.routing_key };
        Ok((Destination::Queue(queue), routing_key.into()))
    }

    fn bindable_exchange(&self, name: &str) -> Result<(), Error> {
        if name.is_empty() { Err(Error::DefaultExchange) } else { self.existing_exchange(name) }
    }

    fn existing_exchange(&self, name: &str) -> Result<(), Error> {
        match self.state.exchange(name) {
            Some(_) => Ok(()),
            None => Err(Error::NotFound(Resource::Exchange, name.into())),
        }
    }

    fn bind(&mut self, destination: &Destination, binding: &Binding<'_>) -> Result<(), Error> {
        let Binding { source, routing_key, arguments, .. } = *binding;
        check_short("routing key", routing_key)?;
        check_binding_arguments(arguments)?;
        let exchange = self.state.exchange(source).expect("it was looked up before");
        exchange.check_binding(routing_key, arguments)?;
        let (is_bound, kind) = (exchange.has_binding(destination, routing_key, arguments), exchange.routing());
        self.check_keeping(self.state.is_kept_binding(source, destination))?;
        if !is_bound {
            self.check_room(source.len() + room::of_binding(kind, destination, routing_key, arguments))?;
            self.commit(&Record::Bound { source, destination, routing_key, arguments });
        }
        Ok(())
    }

    fn unbind(&mut self, destination: &Destination, binding: &Binding<'_>) -> Result<(), Error> {
        let Binding { source, routing_key, arguments, .. } = *binding;
        let exchange = self.state.exchange(source).expect("it was looked up before");
        if check_binding_arguments(arguments).is_ok() && exchange.has_binding(destination, routing_key, arguments) {
            self.check_keeping(self.state.is_kept_binding(source, destination))?;
            self.commit(&Record::Unbound { source, destination, routing_key, arguments });
            self.delete_exchange_if_unused(source);
        }
        Ok(())
    }
}

/// Turns "not found" into `None`, as removing what does not exist is no error.
fn unless_missing<T>(found: Result<T, Error>) -> Result<Option<T>, Error> {
    match found {
        Err(Error::NotFound(..)) => Ok(None),
        found => found.map(Some),
    }
}

/// Limits the arguments of a binding, as bindings are compared by all of them.
fn check_binding_arguments(arguments: &Table) -> Result<(), Error> {
    if arguments.len() > BINDING_ARGUMENTS_MAX {
        let reason = format!("a binding has at most {BINDING_ARGUMENTS_MAX}");
        return Err(Error::BadArgument("arguments", reason.into()));
    }
    arguments.encode(&mut Vec::new()).map_err(|_| Error::TooLong("name of an argument"))
}

fn check_queue_arguments(declaration: &QueueDeclaration<'_>) -> Result<(), Error> {
    let QueueDeclaration { name, arguments, durable, auto_delete, exclusive, .. } = *declaration;
    let refuse = |BadArgument { name: argument, reason }| match reason {
        Reason::Value(reason) => Error::BadQueueArgument { queue: name.into(), argument, reason: reason.into() },
        Reason::Type(kind) => Error::BadQueueArgumentType(name.into(), argument, kind),
        Reason::QueueType(kind) => Error::UnsupportedQueueArgument(name.into(), argument, kind),
        Reason::NotImplemented(reason) => Error::NotImplemented(reason.into()),
    };
    if QueueType::of_arguments(arguments).map_err(refuse)? == QueueType::Quorum {
        let refused = [(!durable, "non-durable"), (auto_delete, "auto-delete"), (exclusive, "exclusive-owner")];
        if let Some((_, reason)) = refused.into_iter().find(|(is_refused, _)| *is_refused) {
            return Err(Error::QuorumQueue(name.into(), reason));
        }
    }
    Settings::of_arguments(arguments).map(drop).map_err(refuse)
}

fn quoted(value: impl std::fmt::Display) -> String {
    format!("'{value}'")
}

fn optional(text: Option<&str>) -> String {
    text.map_or("none".into(), |text| format!("the value '{text}' of type 'longstr'"))
}

/// Returns the check that a property in a repeated declaration equals the existing one.
fn differs<'a>(resource: Resource, name: &'a str) -> impl Fn(&str, &str, &str) -> Result<(), Error> + 'a {
    move |argument, received, current| {
        if received == current {
            return Ok(());
        }
        Err(inequivalent(resource, name, argument, received.into(), current.into()))
    }
}

fn inequivalent(resource: Resource, name: &str, argument: &str, received: String, current: String) -> Error {
    let (name, argument) = (name.into(), argument.into());
    Error::Inequivalent { resource, name, argument, received: received.into(), current: current.into() }
}
