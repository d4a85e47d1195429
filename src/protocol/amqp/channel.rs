//! Channel: one of the conversations that share a connection.
//!
//! ```text
//!              basic.publish            content header
//!    +------+ --------------> +--------+ --------------> +------+ --+
//!    | Idle |                 | Header |                 | Body |   | content body, not the last
//!    +------+ <-------------- +--------+ <-------------- +------+ <-+
//!               empty body                  last of it
//! ```
//! A whole message that lies in the input at once goes to the broker from there and leaves the channel idle; only what
//! arrives in pieces is copied and put together. Memory for it is reserved as it comes, whatever size was announced.

mod basic;
mod content;
mod topology;

use content::Content;

use super::frame::{Frame, Kind, Outlet};
use super::method::{self, AccessRequestOk, BasicAck, ChannelFlow, ChannelFlowOk, ConfirmSelect, ConfirmSelectOk};
use super::method::{Method, MethodId};
use super::reply::{Refusal, ReplyCode};
use crate::broker::Broker;
use crate::id::ChannelId;

/// What a channel needs to do its work.
pub(crate) struct Context<'a> {
    pub(crate) broker: &'a mut Broker,
    pub(crate) outlet: Outlet<'a>,
    pub(crate) user: &'a str,
}

/// An open channel.
pub(crate) struct Channel {
    id: ChannelId,
    content: Content,
    /// Only in confirm mode.
    confirms: Option<Confirms>,
}

/// How many messages were published since confirm mode began, and of how many the client knows.
#[derive(Default)]
struct Confirms {
    published: u64,
    confirmed: u64,
}

impl Channel {
    pub(crate) fn new(id: ChannelId) -> Self {
        Self { id, content: Content::Idle, confirms: None }
    }

    /// Whether no message is in the middle of arriving.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.content, Content::Idle)
    }

    /// Takes a frame, and perhaps those after it in `rest`. The answer is how many bytes of `rest` were taken.
    pub(crate) fn take(&mut self, frame: Frame<'_>, rest: &[u8], context: &mut Context<'_>) -> Result<usize, Refusal> {
        match (frame.kind, &self.content) {
            (Kind::Method, Content::Idle) => {
                let (id, method) = method::decode(frame.payload)?;
                self.take_method(method, rest, context).map_err(|refusal| refusal.during(id))
            }
            (Kind::Header, Content::Header(_)) | (Kind::Body, Content::Body(_)) => {
                self.take_content(frame, context).map_err(|refusal| refusal.during(MethodId::BASIC_PUBLISH))?;
                Ok(0)
            }
            _ => Err(self.unexpected(frame)),
        }
    }

    fn unexpected(&self, frame: Frame<'_>) -> Refusal {
        let (text, method) = match self.content {
            _ if frame.kind == Kind::Heartbeat => ("a heartbeat on a channel other than 0", MethodId::default()),
            Content::Idle => ("expected method frame, got non method frame instead", MethodId::default()),
            Content::Header(_) => {
                ("expected content header for class 60, got non content header frame instead", MethodId::BASIC_PUBLISH)
            }
            Content::Body(_) => ("expected content body, got non content body frame instead", MethodId::BASIC_PUBLISH),
        };
        Refusal::new(ReplyCode::UnexpectedFrame, text).during(method)
    }

    fn take_method(&mut self, method: Method<'_>, rest: &[u8], context: &mut Context<'_>) -> Result<usize, Refusal> {
        match method {
            Method::BasicPublish(publish) => return self.take_publish(publish, rest, context),
            Method::BasicAck(ack) => context.broker.ack(self.id, ack.delivery_tag, ack.multiple)?,
            Method::BasicNack(nack) => context.broker.nack(self.id, nack.delivery_tag, nack.multiple, nack.requeue)?,
            Method::BasicReject(reject) => context.broker.nack(self.id, reject.delivery_tag, false, reject.requeue)?,
            Method::BasicGet(get) => self.get(get, context)?,
            Method::BasicConsume(consume) => self.consume(consume, context)?,
            Method::BasicCancel(cancel) => self.cancel(cancel, context),
            Method::BasicQos(qos) => self.qos(qos, context)?,
            Method::BasicRecover(recover) => self.recover(recover, context)?,
            Method::BasicRecoverAsync(recover) => self.recover_async(recover, context)?,
            Method::ExchangeDeclare(declare) => self.declare_exchange(declare, context)?,
            Method::ExchangeDelete(delete) => self.delete_exchange(delete, context)?,
            Method::ExchangeBind(bind) => self.bind_exchange(bind, context)?,
            Method::ExchangeUnbind(unbind) => self.unbind_exchange(unbind, context)?,
            Method::QueueDeclare(declare) => self.declare_queue(declare, context)?,
            Method::QueueBind(bind) => self.bind_queue(bind, context)?,
            Method::QueueUnbind(unbind) => self.unbind_queue(unbind, context)?,
            Method::QueuePurge(purge) => self.purge_queue(purge, context)?,
            Method::QueueDelete(delete) => self.delete_queue(delete, context)?,
            Method::ConfirmSelect(select) => self.select_confirms(select, context),
            Method::ChannelFlow(flow) => self.flow(flow, context)?,
            Method::AccessRequest => context.outlet.send(&AccessRequestOk),
            Method::TxSelect => {
                let text = "transactions are not implemented: use publisher confirms";
                return Err(Refusal::new(ReplyCode::NotImplemented, text));
            }
            Method::TxCommit | Method::TxRollback => {
                return Err(Refusal::new(ReplyCode::PreconditionFailed, "channel is not transactional"));
            }
            Method::ChannelOpen => return Err(Refusal::new(ReplyCode::ChannelError, "second 'channel.open' seen")),
            _ => return Err(Refusal::new(ReplyCode::CommandInvalid, "unimplemented method")),
        }
        Ok(0)
    }

    /// A client may not stop its deliveries: prefetch does that better.
    fn flow(&mut self, flow: ChannelFlow, context: &mut Context<'_>) -> Result<(), Refusal> {
        if !flow.active {
            return Err(Refusal::new(ReplyCode::NotImplemented, "active=false"));
        }
        context.outlet.send(&ChannelFlowOk { active: true });
        Ok(())
    }

    fn select_confirms(&mut self, select: ConfirmSelect, context: &mut Context<'_>) {
        self.confirms.get_or_insert_default();
        context.outlet.answer(select.nowait, &ConfirmSelectOk);
    }

    /// Tells the client of all messages that it does not know to be taken, in one method.
    pub(crate) fn confirm(&mut self, outlet: &mut Outlet<'_>) {
        let Some(Confirms { published, confirmed }) = &mut self.confirms else { return };
        if published > confirmed {
            outlet.send(&BasicAck { delivery_tag: *published, multiple: *published - *confirmed > 1 });
            *confirmed = *published;
        }
    }

    /// Gives everything back to the broker.
    pub(crate) fn close(mut self, broker: &mut Broker) {
        self.content.discard(broker);
        broker.close_channel(self.id);
    }
}
