//! Channel: one of the channels that share a connection, and the messages arriving on it.
//!
//! ```text
//!              basic.publish            content header
//!    +------+ --------------> +--------+ --------------> +------+ --+
//!    | Idle |                 | Header |                 | Body |   | content body, not the last
//!    +------+ <-------------- +--------+ <-------------- +------+ <-+
//!               empty body                  last of it
//! ```
//! A message that is in the input as a whole is published from there, and the channel stays idle; only a message that
//! arrives in pieces is copied. Memory for it is reserved as it arrives, whatever size was announced.

mod basic;
mod confirms;
mod content;
mod topology;

use confirms::Confirms;
use content::{Content, Envelope, Whole, send_back, whole};

pub(crate) use confirms::Confirmation;

use super::frame::{Frame, Kind, Outlet};
use super::method::{
    self, AccessRequestOk, BasicPublish, ChannelFlow, ChannelFlowOk, ConfirmSelect, ConfirmSelectOk, TxCommitOk,
    TxRollbackOk, TxSelectOk,
};
use super::method::{Method, MethodId};
use super::reply::{Refusal, ReplyCode};
use crate::access::{Access, Permission, Permissions};
use crate::broker::{Broker, ExchangeKind, Publication, REPLY_TO, Resource, Routed};
use crate::id::ChannelId;
use crate::properties::Properties;

/// Everything that a channel needs to act.
pub(crate) struct ChannelContext<'a> {
    pub(crate) broker: &'a mut Broker,
    pub(crate) access: &'a mut dyn Access,
    pub(crate) permissions: &'a mut Permissions,
    pub(crate) outlet: Outlet<'a>,
}

impl ChannelContext<'_> {
    /// Checks that the user has this permission for an exchange.
    fn check_exchange(&mut self, permission: Permission, name: &str) -> Result<(), Refusal> {
        self.check(permission, Resource::Exchange, if name.is_empty() { "amq.default" } else { name })
    }

    /// Checks that the user has this permission for a routing key, if the exchange is of type `topic`.
    fn check_topic(&mut self, permission: Permission, exchange: &str, routing_key: &str) -> Result<(), Refusal> {
        if !self.permissions.limits_topics() || self.broker.exchange_kind(exchange) != Some(ExchangeKind::Topic) {
            return Ok(());
        }
        if self.permissions.permits_topic(self.access, permission, exchange, routing_key) {
            return Ok(());
        }
        let Permissions { user, virtual_host, .. } = &*self.permissions;
        let text = format_args!(
            "access to topic '{routing_key}' in exchange topic '{exchange}' in vhost '{virtual_host}' refused for user \
             '{user}'"
        );
        Err(Refusal::new(ReplyCode::AccessRefused, text))
    }

    /// Checks that `user-id` names the user, except for users that the host allows to publish for others.
    fn check_user(&mut self, properties: Properties<'_>) -> Result<(), Refusal> {
        let user = &*self.permissions.user;
        match properties.user_id() {
            Some(claimed) if claimed != user && !self.access.may_impersonate(user) => {
                let text = format_args!("user_id property set to '{claimed}' but authenticated user was '{user}'");
                Err(Refusal::new(ReplyCode::PreconditionFailed, text))
            }
            _ => Ok(()),
        }
    }

    fn check(&mut self, permission: Permission, resource: Resource, name: &str) -> Result<(), Refusal> {
        if self.permissions.permits(self.access, permission, name) {
            return Ok(());
        }
        let Permissions { user, virtual_host, .. } = &*self.permissions;
        let text = format_args!("access to {resource} '{name}' in vhost '{virtual_host}' refused for user '{user}'");
        Err(Refusal::new(ReplyCode::AccessRefused, text))
    }
}

/// An open channel.
pub(crate) struct Channel {
    id: ChannelId,
    content: Content,
    mode: Mode,
}

/// Mode of publishing, which cannot be changed once chosen.
enum Mode {
    Plain,
    Confirming(Confirms),
    /// The broker records what is published and settled until the commit.
    Transactional,
}

impl Channel {
    pub(crate) fn new(id: ChannelId) -> Self {
        Self { id, content: Content::Idle, mode: Mode::Plain }
    }

    /// Returns whether no message is partly received.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.content, Content::Idle)
    }

    pub(crate) fn is_confirming(&self) -> bool {
        matches!(self.mode, Mode::Confirming(_))
    }

    /// Takes a frame, and perhaps those after it in `rest`. Returns how many bytes of `rest` were taken.
    pub(crate) fn take(
        &mut self,
        frame: Frame<'_>,
        rest: &[u8],
        context: &mut ChannelContext<'_>,
    ) -> Result<usize, Refusal> {
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

    fn take_method(
        &mut self,
        method: Method<'_>,
        rest: &[u8],
        context: &mut ChannelContext<'_>,
    ) -> Result<usize, Refusal> {
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
            Method::ConfirmSelect(select) => self.select_confirms(select, context)?,
            Method::ChannelFlow(flow) => self.flow(flow, context)?,
            Method::AccessRequest => context.outlet.send(&AccessRequestOk),
            Method::TxSelect => self.select_transaction(context)?,
            Method::TxCommit => self.commit_transaction(context)?,
            Method::TxRollback => {
                context.broker.rollback_transaction(self.id)?;
                context.outlet.send(&TxRollbackOk);
            }
            Method::ChannelOpen => return Err(Refusal::new(ReplyCode::ChannelError, "second 'channel.open' seen")),
            _ => return Err(Refusal::new(ReplyCode::CommandInvalid, "unimplemented method")),
        }
        Ok(0)
    }

    fn take_publish(
        &mut self,
        publish: BasicPublish<'_>,
        rest: &[u8],
        context: &mut ChannelContext<'_>,
    ) -> Result<usize, Refusal> {
        if publish.immediate {
            return Err(Refusal::new(ReplyCode::NotImplemented, "immediate=true"));
        }
        let Some(Whole { properties, body, size }) = whole(context.outlet.channel, rest, context.outlet.frame_max)
        else {
            self.content = Content::Header(Envelope::new(publish));
            return Ok(0);
        };
        let BasicPublish { exchange, routing_key, mandatory, .. } = publish;
        let publication = Publication { exchange, routing_key, properties, body, mandatory };
        context.broker.check_message_size(body.len() as u64)?;
        check_room(&publication, context.broker)?;
        self.publish(&publication, context)?;
        Ok(size)
    }

    fn publish(&mut self, publication: &Publication<'_>, context: &mut ChannelContext<'_>) -> Result<(), Refusal> {
        let Publication { exchange, routing_key, properties, body, mandatory } = *publication;
        context.check_exchange(Permission::Write, exchange)?;
        context.check_topic(Permission::Write, exchange, routing_key)?;
        context.check_user(properties)?;
        let routed = context.broker.publish(self.id, publication)?;
        if mandatory && routed == Routed::Queued(0) {
            send_back(exchange, routing_key, properties, body, &mut context.outlet);
        }
        if let Mode::Confirming(confirms) = &mut self.mode {
            confirms.add(routed == Routed::Refused);
        }
        Ok(())
    }

    /// A client may not stop its deliveries: prefetch is better for that.
    fn flow(&mut self, flow: ChannelFlow, context: &mut ChannelContext<'_>) -> Result<(), Refusal> {
        if !flow.active {
            return Err(Refusal::new(ReplyCode::NotImplemented, "active=false"));
        }
        context.outlet.send(&ChannelFlowOk { active: true });
        Ok(())
    }

    fn select_confirms(&mut self, select: ConfirmSelect, context: &mut ChannelContext<'_>) -> Result<(), Refusal> {
        match self.mode {
            Mode::Transactional => return Err(cannot_switch("tx", "confirm")),
            Mode::Plain => self.mode = Mode::Confirming(Confirms::default()),
            Mode::Confirming(_) => {}
        }
        context.outlet.answer(select.nowait, &ConfirmSelectOk);
        Ok(())
    }

    fn select_transaction(&mut self, context: &mut ChannelContext<'_>) -> Result<(), Refusal> {
        if self.is_confirming() {
            return Err(cannot_switch("confirm", "tx"));
        }
        self.mode = Mode::Transactional;
        context.broker.select_transaction(self.id);
        context.outlet.send(&TxSelectOk);
        Ok(())
    }

    fn commit_transaction(&mut self, context: &mut ChannelContext<'_>) -> Result<(), Refusal> {
        for returned in context.broker.commit_transaction(self.id)? {
            let (exchange, routing_key) = (returned.exchange(), returned.routing_key());
            send_back(exchange, routing_key, returned.properties(), returned.body(), &mut context.outlet);
        }
        context.outlet.send(&TxCommitOk);
        Ok(())
    }

    /// Checks that the user has this permission for a queue; the empty name is the last declared queue.
    fn check_queue(&self, permission: Permission, name: &str, context: &mut ChannelContext<'_>) -> Result<(), Refusal> {
        // Consuming from the reply queue needs no permission.
        if !context.permissions.is_limited() || name == REPLY_TO {
            return Ok(());
        }
        let name = Box::<str>::from(context.broker.meant_queue(self.id, name)?);
        context.check(permission, Resource::Queue, &name)
    }

    /// Calls `tell` with the confirms that the client has not been sent yet.
    pub(crate) fn confirm(&mut self, tell: impl FnMut(Confirmation)) {
        if let Mode::Confirming(confirms) = &mut self.mode {
            confirms.tell(tell);
        }
    }

    /// Releases everything that the broker has for the channel.
    pub(crate) fn close(mut self, broker: &mut Broker) {
        self.content.discard(broker);
        broker.close_channel(self.id);
    }
}

fn cannot_switch(from: &str, to: &str) -> Refusal {
    Refusal::new(ReplyCode::PreconditionFailed, format_args!("cannot switch from {from} to {to} mode"))
}

/// Checks that there is room for a message, before any other check.
fn check_room(publication: &Publication<'_>, broker: &mut Broker) -> Result<(), Refusal> {
    let bytes = publication.memory_bytes();
    broker.reserve(bytes)?;
    broker.release(bytes);
    Ok(())
}
