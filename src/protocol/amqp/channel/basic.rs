//! Basic: consuming, getting and prefetch.

use super::{Channel, ChannelContext};
use crate::access::Permission;
use crate::broker::{Consume, Got};
use crate::protocol::amqp::method::{
    BasicCancel, BasicCancelOk, BasicConsume, BasicConsumeOk, BasicGet, BasicGetEmpty, BasicGetOk, BasicQos,
    BasicQosOk, BasicRecover, BasicRecoverAsync, BasicRecoverOk,
};
use crate::protocol::amqp::reply::{Refusal, ReplyCode};
use crate::table::Table;

impl Channel {
    pub(super) fn consume(
        &mut self,
        method: BasicConsume<'_>,
        context: &mut ChannelContext<'_>,
    ) -> Result<(), Refusal> {
        let BasicConsume { queue, consumer_tag, no_ack, exclusive, nowait, arguments } = method;
        let arguments = &Table::decode(arguments)?;
        self.check_queue(Permission::Read, queue, context)?;
        let consume = Consume { queue, consumer_tag, no_ack, exclusive, arguments };
        let consumer_tag = &context.broker.consume(self.id, &consume)?;
        context.outlet.answer(nowait, &BasicConsumeOk { consumer_tag });
        Ok(())
    }

    pub(super) fn cancel(&mut self, method: BasicCancel<'_>, context: &mut ChannelContext<'_>) {
        let BasicCancel { consumer_tag, nowait } = method;
        context.broker.cancel(self.id, consumer_tag);
        context.outlet.answer(nowait, &BasicCancelOk { consumer_tag });
    }

    pub(super) fn get(&mut self, method: BasicGet<'_>, context: &mut ChannelContext<'_>) -> Result<(), Refusal> {
        self.check_queue(Permission::Read, method.queue, context)?;
        let Some(got) = context.broker.get(self.id, method.queue, method.no_ack)? else {
            context.outlet.send(&BasicGetEmpty);
            return Ok(());
        };
        let Got { delivery_tag, redelivered, message, .. } = got;
        let (exchange, routing_key) = (message.exchange(), message.routing_key());
        let message_count = got.message_count as u32;
        let ok = BasicGetOk { delivery_tag, redelivered, exchange, routing_key, message_count };
        context.outlet.send_content(&ok, message.properties(), message.body());
        Ok(())
    }

    pub(super) fn qos(&mut self, method: BasicQos, context: &mut ChannelContext<'_>) -> Result<(), Refusal> {
        if method.prefetch_size != 0 {
            let text = format_args!("prefetch_size!=0 ({})", method.prefetch_size);
            return Err(Refusal::new(ReplyCode::NotImplemented, text));
        }
        context.broker.qos(self.id, method.prefetch_count, method.global);
        context.outlet.send(&BasicQosOk);
        Ok(())
    }

    pub(super) fn recover(&mut self, method: BasicRecover, context: &mut ChannelContext<'_>) -> Result<(), Refusal> {
        self.requeue_all(method.requeue, context)?;
        context.outlet.send(&BasicRecoverOk);
        Ok(())
    }

    pub(super) fn recover_async(
        &mut self,
        method: BasicRecoverAsync,
        context: &mut ChannelContext<'_>,
    ) -> Result<(), Refusal> {
        self.requeue_all(method.requeue, context)
    }

    fn requeue_all(&mut self, requeue: bool, context: &mut ChannelContext<'_>) -> Result<(), Refusal> {
        if !requeue {
            return Err(Refusal::new(ReplyCode::NotImplemented, "requeue=false"));
        }
        context.broker.recover(self.id);
        Ok(())
    }
}
