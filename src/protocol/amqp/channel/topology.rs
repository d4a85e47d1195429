//! Topology: exchanges, queues and bindings.

use super::{Channel, Context};
use crate::broker::{Binding, ExchangeDeclaration, QueueDeclaration};
use crate::protocol::amqp::method::{
    ExchangeBind, ExchangeBindOk, ExchangeDeclare, ExchangeDeclareOk, ExchangeDelete, ExchangeDeleteOk, ExchangeUnbind,
    ExchangeUnbindOk, QueueBind, QueueBindOk, QueueDeclare, QueueDeclareOk, QueueDelete, QueueDeleteOk, QueuePurge,
    QueuePurgeOk, QueueUnbind, QueueUnbindOk,
};
use crate::protocol::amqp::reply::Refusal;
use crate::table::Table;

type Done = Result<(), Refusal>;

impl Channel {
    pub(super) fn declare_exchange(&mut self, method: ExchangeDeclare<'_>, context: &mut Context<'_>) -> Done {
        let ExchangeDeclare { exchange: name, kind, passive, durable, auto_delete, internal, .. } = method;
        let arguments = &Table::decode(method.arguments)?;
        let declaration = ExchangeDeclaration { name, kind, passive, durable, auto_delete, internal, arguments };
        context.broker.declare_exchange(self.id, &declaration)?;
        context.outlet.answer(method.nowait, &ExchangeDeclareOk);
        Ok(())
    }

    pub(super) fn delete_exchange(&mut self, method: ExchangeDelete<'_>, context: &mut Context<'_>) -> Done {
        context.broker.delete_exchange(self.id, method.exchange, method.if_unused)?;
        context.outlet.answer(method.nowait, &ExchangeDeleteOk);
        Ok(())
    }

    pub(super) fn bind_exchange(&mut self, method: ExchangeBind<'_>, context: &mut Context<'_>) -> Done {
        let ExchangeBind { destination, source, routing_key, nowait, arguments } = method;
        let arguments = &Table::decode(arguments)?;
        context.broker.bind_exchange(self.id, &Binding { source, destination, routing_key, arguments })?;
        context.outlet.answer(nowait, &ExchangeBindOk);
        Ok(())
    }

    pub(super) fn unbind_exchange(&mut self, method: ExchangeUnbind<'_>, context: &mut Context<'_>) -> Done {
        let ExchangeUnbind { destination, source, routing_key, nowait, arguments } = method;
        let arguments = &Table::decode(arguments)?;
        context.broker.unbind_exchange(self.id, &Binding { source, destination, routing_key, arguments })?;
        context.outlet.answer(nowait, &ExchangeUnbindOk);
        Ok(())
    }

    pub(super) fn declare_queue(&mut self, method: QueueDeclare<'_>, context: &mut Context<'_>) -> Done {
        let QueueDeclare { queue: name, passive, durable, exclusive, auto_delete, nowait, arguments } = method;
        let arguments = &Table::decode(arguments)?;
        let declaration = QueueDeclaration { name, passive, durable, exclusive, auto_delete, arguments };
        let status = context.broker.declare_queue(self.id, &declaration)?;
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

    pub(super) fn bind_queue(&mut self, method: QueueBind<'_>, context: &mut Context<'_>) -> Done {
        let QueueBind { queue: destination, exchange: source, routing_key, nowait, arguments } = method;
        let arguments = &Table::decode(arguments)?;
        context.broker.bind_queue(self.id, &Binding { source, destination, routing_key, arguments })?;
        context.outlet.answer(nowait, &QueueBindOk);
        Ok(())
    }

    pub(super) fn unbind_queue(&mut self, method: QueueUnbind<'_>, context: &mut Context<'_>) -> Done {
        let QueueUnbind { queue: destination, exchange: source, routing_key, arguments } = method;
        let arguments = &Table::decode(arguments)?;
        context.broker.unbind_queue(self.id, &Binding { source, destination, routing_key, arguments })?;
        context.outlet.send(&QueueUnbindOk);
        Ok(())
    }

    pub(super) fn purge_queue(&mut self, method: QueuePurge<'_>, context: &mut Context<'_>) -> Done {
        let message_count = context.broker.purge_queue(self.id, method.queue)? as u32;
        context.outlet.answer(method.nowait, &QueuePurgeOk { message_count });
        Ok(())
    }

    pub(super) fn delete_queue(&mut self, method: QueueDelete<'_>, context: &mut Context<'_>) -> Done {
        let QueueDelete { queue, if_unused, if_empty, nowait } = method;
        let message_count = context.broker.delete_queue(self.id, queue, if_unused, if_empty)? as u32;
        context.outlet.answer(nowait, &QueueDeleteOk { message_count });
        Ok(())
    }
}
