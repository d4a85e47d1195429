//! Content: from the frames of a message to its publication.

use super::{Channel, ChannelContext, Mode};
use crate::access::Permission;
use crate::broker::{Broker, Publication, Routed};
use crate::properties::Properties;
use crate::protocol::amqp::frame::{self, ContentHeader, Frame, Kind, Outlet};
use crate::protocol::amqp::method::{BasicPublish, BasicReturn};
use crate::protocol::amqp::reply::{Refusal, ReplyCode};

/// The next part that a channel expects of a message that arrives in pieces.
pub(super) enum Content {
    Idle,
    Header(Envelope),
    Body(Incoming),
}

/// Arguments of `basic.publish`.
#[derive(Default)]
pub(super) struct Envelope {
    exchange: Box<str>,
    routing_key: Box<str>,
    mandatory: bool,
}

/// A message whose body is incomplete. The bytes received so far are reserved in the broker's memory.
pub(super) struct Incoming {
    envelope: Envelope,
    properties: Box<[u8]>,
    body: Vec<u8>,
    body_size: usize,
    reserved: usize,
}

impl Content {
    /// Releases the reserved memory.
    pub(super) fn discard(&mut self, broker: &mut Broker) {
        if let Self::Body(incoming) = std::mem::replace(self, Self::Idle) {
            broker.release(incoming.reserved);
        }
    }
}

impl Envelope {
    fn new(publish: BasicPublish<'_>) -> Self {
        Self {
            exchange: publish.exchange.into(),
            routing_key: publish.routing_key.into(),
            mandatory: publish.mandatory,
        }
    }

    fn publication<'a>(&'a self, properties: Properties<'a>, body: &'a [u8]) -> Publication<'a> {
        Publication {
            exchange: &self.exchange,
            routing_key: &self.routing_key,
            properties,
            body,
            mandatory: self.mandatory,
        }
    }
}

impl Incoming {
    fn take(&mut self, part: &[u8], broker: &mut Broker) -> Result<(), Refusal> {
        if part.len() > self.body_size - self.body.len() {
            let text = "more content body than the content header announced";
            return Err(Refusal::new(ReplyCode::UnexpectedFrame, text));
        }
        broker.reserve(part.len())?;
        self.reserved += part.len();
        self.append(part);
        Ok(())
    }

    /// Grows by doubling, but never beyond the announced size.
    fn append(&mut self, part: &[u8]) {
        let length = self.body.len() + part.len();
        if length > self.body.capacity() {
            let capacity = length.max(self.body.capacity() * 2).min(self.body_size);
            self.body.reserve_exact(capacity - self.body.len());
        }
        self.body.extend_from_slice(part);
    }
}

/// A message that is in the input as a whole.
struct Whole<'a> {
    properties: Properties<'a>,
    body: &'a [u8],
    size: usize,
}

/// Returns the message if its content header and its body follow immediately, in one frame each. Errors in them are
/// left to the slower path, which takes the frames one by one.
fn whole(channel: u16, input: &[u8], frame_max: usize) -> Option<Whole<'_>> {
    let is_ours = |frame: &Frame<'_>, kind| frame.kind == kind && frame.channel == channel;
    let header = frame::split(input, frame_max).ok()??;
    if !is_ours(&header, Kind::Header) {
        return None;
    }
    let ContentHeader { body_size, properties } = ContentHeader::decode(header.payload).ok()?;
    if body_size == 0 {
        return Some(Whole { properties, body: &[], size: header.size() });
    }
    let body = frame::split(&input[header.size()..], frame_max).ok()??;
    if !is_ours(&body, Kind::Body) || body.payload.len() as u64 != body_size {
        return None;
    }
    Some(Whole { properties, body: body.payload, size: header.size() + body.size() })
}

impl Channel {
    pub(super) fn take_publish(
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

    /// Takes a part of a message. If it is refused nothing changes, as there may be memory for it later.
    pub(super) fn take_content(&mut self, frame: Frame<'_>, context: &mut ChannelContext<'_>) -> Result<(), Refusal> {
        match &mut self.content {
            Content::Header(envelope) => {
                let incoming = begin(envelope, frame.payload, context.broker)?;
                self.content = Content::Body(incoming);
            }
            Content::Body(incoming) => incoming.take(frame.payload, context.broker)?,
            Content::Idle => unreachable!("a channel that is idle expects no content"),
        }
        self.publish_complete(context)
    }

    fn publish_complete(&mut self, context: &mut ChannelContext<'_>) -> Result<(), Refusal> {
        match std::mem::replace(&mut self.content, Content::Idle) {
            Content::Body(incoming) if incoming.body.len() == incoming.body_size => {
                context.broker.release(incoming.reserved);
                let properties = Properties::trusted(&incoming.properties);
                let publication = incoming.envelope.publication(properties, &incoming.body);
                self.publish(&publication, context)
            }
            incomplete => {
                self.content = incomplete;
                Ok(())
            }
        }
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
}

/// Returns an unroutable mandatory message to its publisher.
pub(super) fn send_back(
    exchange: &str,
    routing_key: &str,
    properties: Properties<'_>,
    body: &[u8],
    outlet: &mut Outlet<'_>,
) {
    let (code, name) = (ReplyCode::NoRoute, ReplyCode::NoRoute.name());
    let returned = BasicReturn { reply_code: code as u16, reply_text: name, exchange, routing_key };
    outlet.send_content(&returned, properties, body);
}

/// Begins a message with its content header, if there is room for all of it; only the bytes received take memory.
fn begin(envelope: &mut Envelope, payload: &[u8], broker: &mut Broker) -> Result<Incoming, Refusal> {
    let ContentHeader { body_size, properties } = ContentHeader::decode(payload)?;
    broker.check_message_size(body_size)?;
    let (reserved, body_size) = (envelope.publication(properties, &[]).memory_bytes(), body_size as usize);
    broker.reserve(reserved + body_size)?;
    broker.release(body_size);
    let (envelope, properties) = (std::mem::take(envelope), properties.raw().into());
    Ok(Incoming { envelope, properties, body: Vec::new(), body_size, reserved })
}

/// Checks that there is room for a message, before any other check.
fn check_room(publication: &Publication<'_>, broker: &mut Broker) -> Result<(), Refusal> {
    let bytes = publication.memory_bytes();
    broker.reserve(bytes)?;
    broker.release(bytes);
    Ok(())
}

impl ChannelContext<'_> {
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
}
