//! Topology: declarations, bindings and deletions of exchanges and queues, and the permissions for them.

use super::{Channel, ChannelContext};
use crate::access::Permission;
use crate::broker::{
    Binding, DEAD_LETTER_EXCHANGE, ExchangeDeclaration, QueueDeclaration, QueueStatus, Resource, alternate_exchange,
    plain_name,
};
use crate::protocol::amqp::method::{
    ExchangeBind, ExchangeBindOk, ExchangeDeclare, ExchangeDeclareOk, ExchangeDelete, ExchangeDeleteOk, ExchangeUnbind,
    ExchangeUnbindOk, QueueBind, QueueBindOk, QueueDeclare, QueueDeclareOk, QueueDelete, QueueDeleteOk, QueuePurge,
    QueuePurgeOk, QueueUnbind, QueueUnbindOk,
};
use crate::protocol::amqp::reply::Refusal;
use crate::table::{Table, Value};

type Done = Result<(), Refusal>;

impl Channel {
    pub(super) fn declare_exchange(&mut self, method: ExchangeDeclare<'_>, context: &mut ChannelContext<'_>) -> Done {
        let ExchangeDeclare { exchange: name, kind, passive, durable, auto_delete, internal, .. } = method;
        let (name, arguments) = (&*plain_name(name), &Table::decode(method.arguments)?);
        let declaration = ExchangeDeclaration { name, kind, passive, durable, auto_delete, internal, arguments };
        self.check_exchange_declaration(&declaration, context)?;
        context.broker.declare_exchange(self.id, &declaration)?;
        context.outlet.answer(method.nowait, &ExchangeDeclareOk);
        Ok(())
    }

    pub(super) fn delete_exchange(&mut self, method: ExchangeDelete<'_>, context: &mut ChannelContext<'_>) -> Done {
        let name = &*plain_name(method.exchange);
        if !name.is_empty() && !name.starts_with("amq.") {
            context.check_exchange(Permission::Configure, name)?;
        }
        context.broker.delete_exchange(self.id, name, method.if_unused)?;
        context.outlet.answer(method.nowait, &ExchangeDeleteOk);
        Ok(())
    }

    pub(super) fn bind_exchange(&mut self, method: ExchangeBind<'_>, context: &mut ChannelContext<'_>) -> Done {
        let ExchangeBind { destination, source, routing_key, nowait, arguments } = method;
        let arguments = &Table::decode(arguments)?;
        let (source, destination) = (&*plain_name(source), &*plain_name(destination));
        context.check_exchange(Permission::Write, destination)?;
        check_source(source, routing_key, context)?;
        context.broker.bind_exchange(self.id, &Binding { source, destination, routing_key, arguments })?;
        context.outlet.answer(nowait, &ExchangeBindOk);
        Ok(())
    }

    pub(super) fn unbind_exchange(&mut self, method: ExchangeUnbind<'_>, context: &mut ChannelContext<'_>) -> Done {
        let ExchangeUnbind { destination, source, routing_key, nowait, arguments } = method;
        let arguments = &Table::decode(arguments)?;
        let (source, destination) = (&*plain_name(source), &*plain_name(destination));
        context.check_exchange(Permission::Write, destination)?;
        check_source(source, routing_key, context)?;
        context.broker.unbind_exchange(self.id, &Binding { source, destination, routing_key, arguments })?;
        context.outlet.answer(nowait, &ExchangeUnbindOk);
        Ok(())
    }

    pub(super) fn declare_queue(&mut self, method: QueueDeclare<'_>, context: &mut ChannelContext<'_>) -> Done {
        let QueueDeclare { queue: name, passive, durable, exclusive, auto_delete, nowait, arguments } = method;
        let (name, arguments) = (&*plain_name(name), &Table::decode(arguments)?);
        let declaration = QueueDeclaration { name, passive, durable, exclusive, auto_delete, arguments };
        let status = self.declare_permitted(&declaration, context)?;
        context.outlet.answer(
            nowait,
            &QueueDeclareOk {
                queue: &status.name,
                message_count: status.message_count as u32,
                consumer_count: status.consumer_count as u32,
            },
        );
        Ok(())
    }

    pub(super) fn bind_queue(&mut self, method: QueueBind<'_>, context: &mut ChannelContext<'_>) -> Done {
        let QueueBind { queue: destination, exchange: source, routing_key, nowait, arguments } = method;
        let arguments = &Table::decode(arguments)?;
        let (source, destination) = (&*plain_name(source), &*plain_name(destination));
        self.check_queue(Permission::Write, destination, context)?;
        check_source(source, routing_key, context)?;
        context.broker.bind_queue(self.id, &Binding { source, destination, routing_key, arguments })?;
        context.outlet.answer(nowait, &QueueBindOk);
        Ok(())
    }

    pub(super) fn unbind_queue(&mut self, method: QueueUnbind<'_>, context: &mut ChannelContext<'_>) -> Done {
        let QueueUnbind { queue: destination, exchange: source, routing_key, arguments } = method;
        let arguments = &Table::decode(arguments)?;
        let (source, destination) = (&*plain_name(source), &*plain_name(destination));
        self.check_queue(Permission::Write, destination, context)?;
        check_source(source, routing_key, context)?;
        context.broker.unbind_queue(self.id, &Binding { source, destination, routing_key, arguments })?;
        context.outlet.send(&QueueUnbindOk);
        Ok(())
    }

    pub(super) fn purge_queue(&mut self, method: QueuePurge<'_>, context: &mut ChannelContext<'_>) -> Done {
        self.check_queue(Permission::Read, method.queue, context)?;
        let message_count = context.broker.purge_queue(self.id, method.queue)? as u32;
        context.outlet.answer(method.nowait, &QueuePurgeOk { message_count });
        Ok(())
    }

    pub(super) fn delete_queue(&mut self, method: QueueDelete<'_>, context: &mut ChannelContext<'_>) -> Done {
        let QueueDelete { queue, if_unused, if_empty, nowait } = method;
        let queue = &*plain_name(queue);
        self.check_queue(Permission::Configure, queue, context)?;
        let message_count = context.broker.delete_queue(self.id, queue, if_unused, if_empty)? as u32;
        context.outlet.answer(nowait, &QueueDeleteOk { message_count });
        Ok(())
    }

    fn check_exchange_declaration(
        &self,
        declaration: &ExchangeDeclaration<'_>,
        context: &mut ChannelContext<'_>,
    ) -> Done {
        let ExchangeDeclaration { name, passive, arguments, .. } = *declaration;
        if passive || name.is_empty() || !context.permissions.is_limited() {
            return Ok(());
        }
        context.check_exchange(Permission::Configure, name)?;
        match alternate_exchange(arguments) {
            Some(alternate) if !context.broker.exists(Resource::Exchange, name) => {
                context.check_exchange(Permission::Read, name)?;
                context.check_exchange(Permission::Write, alternate)
            }
            _ => Ok(()),
        }
    }

    fn declare_permitted(
        &mut self,
        declaration: &QueueDeclaration<'_>,
        context: &mut ChannelContext<'_>,
    ) -> Result<QueueStatus, Refusal> {
        let QueueDeclaration { name, passive, arguments, .. } = *declaration;
        if passive || !context.permissions.is_limited() {
            return Ok(context.broker.declare_queue(self.id, declaration)?);
        }
        if !name.is_empty() {
            let is_new = !context.broker.exists(Resource::Queue, name);
            check_queue_declaration(name, arguments, is_new, context)?;
            return Ok(context.broker.declare_queue(self.id, declaration)?);
        }
        // Permission depends on the name, which the queue only gets when it is declared.
        let status = context.broker.declare_queue(self.id, declaration)?;
        let checked = check_queue_declaration(&status.name, arguments, true, context);
        if checked.is_err() {
            context.broker.delete_queue(self.id, &status.name, false, false)?;
        }
        checked.map(|()| status)
    }
}

fn check_queue_declaration(name: &str, arguments: &Table, is_new: bool, context: &mut ChannelContext<'_>) -> Done {
    context.check(Permission::Configure, Resource::Queue, name)?;
    match arguments.get(DEAD_LETTER_EXCHANGE).and_then(Value::as_str) {
        Some(dead_letter_exchange) if is_new => {
            context.check(Permission::Read, Resource::Queue, name)?;
            context.check_exchange(Permission::Write, dead_letter_exchange)
        }
        _ => Ok(()),
    }
}

/// Refuses the default exchange for everyone, before permissions are checked.
fn check_source(name: &str, routing_key: &str, context: &mut ChannelContext<'_>) -> Done {
    if name.is_empty() {
        return Ok(());
    }
    context.check_exchange(Permission::Read, name)?;
    context.check_topic(Permission::Read, name, routing_key)
}
