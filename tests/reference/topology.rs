//! Topology: declares and deletes exchanges, bindings, queues and policies.

use pocketmq::broker::ErrorKind;

use super::queue::{Arguments, Queue};
use super::{Answer, Reference, connection_of, forget_consumer};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    pub name: String,
    pub kind: &'static str,
    pub durable: bool,
    pub auto_delete: bool,
    pub internal: bool,
    pub alternate: Option<&'static str>,
    /// The type by which a delayed exchange routes.
    pub delayed_kind: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    pub source: String,
    pub destination: String,
    pub to_queue: bool,
    pub key: String,
    /// Of a headers exchange: whether any header suffices, and the value of `h`.
    pub wanted: Option<(bool, Option<i64>)>,
}

/// A declaration of a queue.
#[derive(Clone, Debug)]
pub struct Declaration<'a> {
    pub name: &'a str,
    pub passive: bool,
    pub durable: bool,
    pub exclusive: bool,
    pub auto_delete: bool,
    pub arguments: Arguments,
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub name: &'static str,
    /// The prefix of the names that it applies to.
    pub pattern: &'static str,
    pub to_queues: bool,
    pub to_exchanges: bool,
    /// Unique among policies.
    pub priority: i32,
    pub definition: Arguments,
    pub alternate: Option<&'static str>,
}

pub fn predeclared() -> Vec<Exchange> {
    let kinds = [
        ("amq.direct", "direct"),
        ("amq.fanout", "fanout"),
        ("amq.topic", "topic"),
        ("amq.headers", "headers"),
        ("amq.match", "headers"),
        ("amq.rabbitmq.trace", "topic"),
    ];
    let exchange = |(name, kind): (&str, _)| Exchange {
        name: name.into(),
        kind,
        durable: true,
        auto_delete: false,
        internal: name == "amq.rabbitmq.trace",
        alternate: None,
        delayed_kind: None,
    };
    kinds.map(exchange).into()
}

impl Reference {
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
        self.delayed.retain(|delayed| delayed.exchange != name);
        self.drop_bindings(|binding| !binding.to_queue && binding.destination == name);
    }

    /// Removes bindings, and the auto-delete exchanges of which they were the last.
    fn drop_bindings(&mut self, is_gone: impl Fn(&Binding) -> bool) {
        let (gone, rest) = std::mem::take(&mut self.bindings).into_iter().partition(|binding| is_gone(binding));
        self.bindings = rest;
        let gone: Vec<Binding> = gone;
        for source in gone.iter().map(|binding| &binding.source) {
            let is_abandoned = self.exchanges.iter().any(|known| known.name == *source && known.auto_delete)
                && !self.bindings.iter().any(|binding| binding.source == *source);
            if is_abandoned {
                self.drop_exchange(source);
            }
        }
    }

    /// Returns the name of a queue that a peer may use.
    pub fn access(&self, channel: usize, name: &str) -> Answer<String> {
        let last = self.channels[channel].last_queue.as_deref();
        let name = if name.is_empty() { last.ok_or(ErrorKind::NotFound)? } else { name };
        match self.queue(name).ok_or(ErrorKind::NotFound)?.owner {
            Some(owner) if owner != connection_of(channel) => Err(ErrorKind::ResourceLocked),
            _ => Ok(name.into()),
        }
    }

    /// Returns the number of ready messages and of consumers.
    pub fn declare_queue(&mut self, channel: usize, declaration: &Declaration) -> Answer<(usize, usize)> {
        let &Declaration { name, passive, durable, exclusive, auto_delete, ref arguments } = declaration;
        if passive && name.is_empty() {
            return Err(ErrorKind::NotFound);
        }
        match self.access(channel, name) {
            Ok(_) if passive => {}
            Ok(name) => {
                let queue = self.queue(&name).expect("it was found");
                if queue.owner.is_some() != exclusive {
                    return Err(ErrorKind::ResourceLocked);
                }
                if (queue.durable, queue.auto_delete, &queue.arguments) != (durable, auto_delete, arguments) {
                    return Err(ErrorKind::PreconditionFailed);
                }
            }
            Err(ErrorKind::NotFound) if !passive && !makes_sense(declaration) => {
                return Err(ErrorKind::PreconditionFailed);
            }
            Err(ErrorKind::NotFound) if !passive => self.create_queue(channel, declaration),
            Err(error) => return Err(error),
        }
        self.channels[channel].last_queue = Some(name.into());
        let now = self.now;
        let queue = self.queue_mut(name).expect("it was found or made");
        queue.used = now;
        Ok((queue.ready().len(), self.consumers_of(name)))
    }

    fn create_queue(&mut self, channel: usize, declaration: &Declaration) {
        self.declared += 1;
        self.queues.push(Queue {
            name: declaration.name.into(),
            declared: self.declared,
            owner: declaration.exclusive.then_some(connection_of(channel)),
            durable: declaration.durable,
            auto_delete: declaration.auto_delete,
            arguments: declaration.arguments.clone(),
            exclusive_consumer: false,
            line: Vec::new(),
            messages: Vec::new(),
            arrived: [0; 256],
            used: self.now,
            is_doomed: false,
        });
    }

    pub fn purge(&mut self, channel: usize, name: &str) -> Answer<usize> {
        let name = self.access(channel, name)?;
        let queue = self.queue_mut(&name).expect("it was found");
        let count = queue.ready().len();
        queue.messages.retain(|message| message.place != super::queue::Place::Ready);
        Ok(count)
    }

    pub fn delete_queue(&mut self, channel: usize, name: &str, if_unused: bool, if_empty: bool) -> Answer<usize> {
        let last = self.channels[channel].last_queue.clone();
        let name = match self.access(channel, name) {
            Err(ErrorKind::NotFound) if !name.is_empty() || last.is_some() => return Ok(0),
            answer => answer?,
        };
        let queue = self.queue(&name).expect("it was found");
        let count = queue.ready().len();
        if if_unused && self.consumers_of(&name) > 0 || if_empty && count > 0 {
            return Err(ErrorKind::PreconditionFailed);
        }
        self.queue_mut(&name).expect("it was found").is_doomed = true;
        Ok(count)
    }

    /// Deletes a queue with its messages and bindings, and cancels its consumers.
    pub(super) fn drop_queue(&mut self, name: &str) {
        self.queues.retain(|queue| queue.name != name);
        for (number, channel) in self.channels.iter_mut().enumerate() {
            for consumer in channel.consumers.extract_if(.., |consumer| consumer.queue == name) {
                forget_consumer(&mut channel.unacked, &consumer.tag);
                self.cancelled.push((number, consumer.tag));
            }
        }
        self.drop_bindings(|binding| binding.to_queue && binding.destination == name);
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
        let name = self.access(channel, &binding.destination)?;
        if binding.destination.is_empty() && binding.key.is_empty() {
            binding.key = name.clone();
        }
        binding.destination = name;
        Ok(())
    }

    fn bindable(&self, name: &str) -> Answer<()> {
        match self.exchanges.iter().any(|known| known.name == name) {
            _ if name.is_empty() => Err(ErrorKind::AccessRefused),
            true => Ok(()),
            false => Err(ErrorKind::NotFound),
        }
    }

    pub fn set_policy(&mut self, policy: Policy) {
        self.policies.retain(|known| known.name != policy.name);
        self.policies.push(policy);
        self.use_all();
    }

    pub fn delete_policy(&mut self, name: &str) -> bool {
        let exists = self.policies.iter().any(|policy| policy.name == name);
        self.policies.retain(|policy| policy.name != name);
        if exists {
            self.use_all();
        }
        exists
    }

    /// Restarts the time until unused queues expire.
    fn use_all(&mut self) {
        let now = self.now;
        self.queues.iter_mut().for_each(|queue| queue.used = now);
    }

    /// Returns the policy for a queue, or an exchange, of this name.
    pub fn policy_of(&self, name: &str, is_queue: bool) -> Option<&Policy> {
        let is_for = |policy: &&Policy| if is_queue { policy.to_queues } else { policy.to_exchanges };
        let meant = self.policies.iter().filter(is_for).filter(|policy| name.starts_with(policy.pattern));
        meant.max_by_key(|policy| policy.priority)
    }
}

fn makes_sense(declaration: &Declaration) -> bool {
    let Declaration { durable, exclusive, auto_delete, arguments, .. } = declaration;
    let has_target = arguments.dead_letter_routing_key.is_none() || arguments.dead_letter_exchange.is_some();
    has_target
        && match arguments.is_quorum {
            true => *durable && !exclusive && !auto_delete && arguments.max_priority.is_none(),
            false => arguments.delivery_limit.is_none(),
        }
}
