//! Content: from the frames of a message to its publication.

use super::{Channel, Confirms, Context};
use crate::broker::{Broker, Publication, Routed};
use crate::properties::Properties;
use crate::protocol::amqp::frame::{self, ContentHeader, Frame, Kind};
use crate::protocol::amqp::method::{BasicPublish, BasicReturn};
use crate::protocol::amqp::reply::{Refusal, ReplyCode};

/// What a channel expects next of a message that arrives in pieces.
pub(super) enum Content {
    Idle,
    Header(Envelope),
    Body(Incoming),
}

/// What `basic.publish` said.
pub(super) struct Envelope {
    exchange: Box<str>,
    routing_key: Box<str>,
    mandatory: bool,
}

/// A message whose body is not complete. Its properties and body are reserved in the broker's memory.
pub(super) struct Incoming {
    envelope: Envelope,
    properties: Box<[u8]>,
    body: Vec<u8>,
    body_size: usize,
}

impl Content {
    /// Gives back what was reserved.
    pub(super) fn discard(&mut self, broker: &mut Broker) {
        if let Self::Body(incoming) = std::mem::replace(self, Self::Idle) {
            broker.release(incoming.reserved());
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

    fn as_publish(&self) -> BasicPublish<'_> {
        BasicPublish {
            exchange: &self.exchange,
            routing_key: &self.routing_key,
            mandatory: self.mandatory,
            immediate: false,
        }
    }
}

impl Incoming {
    fn reserved(&self) -> usize {
        self.properties.len() + self.body.len()
    }

    /// Grows by doubling, but never beyond what was announced.
    fn append(&mut self, part: &[u8]) {
        let length = self.body.len() + part.len();
        if length > self.body.capacity() {
            let capacity = length.max(self.body.capacity() * 2).min(self.body_size);
            self.body.reserve_exact(capacity - self.body.len());
        }
        self.body.extend_from_slice(part);
    }
}

/// A message that lies in the input as a whole.
struct Whole<'a> {
    properties: Properties<'a>,
    body: &'a [u8],
    size: usize,
}

/// Looks whether content header and body follow at once, and in one frame each. Whatever is wrong with them is left to
/// the longer way, which takes them one by one.
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
        context: &mut Context<'_>,
    ) -> Result<usize, Refusal> {
        if publish.immediate {
            return Err(Refusal::new(ReplyCode::NotImplemented, "immediate=true"));
        }
        let Some(Whole { properties, body, size }) = whole(context.outlet.channel, rest, context.outlet.frame_max)
        else {
            self.content = Content::Header(Envelope::new(publish));
            return Ok(0);
        };
        // As on the longer way, there must be room for the message before anything else is looked at.
        let bytes = properties.raw().len() + body.len();
        context.broker.check_message_size(body.len() as u64)?;
        context.broker.reserve(bytes)?;
        context.broker.release(bytes);
        self.publish(publish, properties, body, context)?;
        Ok(size)
    }

    pub(super) fn take_content(&mut self, frame: Frame<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        match std::mem::replace(&mut self.content, Content::Idle) {
            Content::Header(envelope) => self.take_header(envelope, frame.payload, context)?,
            Content::Body(incoming) => {
                self.content = Content::Body(incoming);
                self.take_body(frame.payload, context)?;
            }
            Content::Idle => unreachable!("a channel that is idle expects no content"),
        }
        self.publish_complete(context)
    }

    fn take_header(&mut self, envelope: Envelope, payload: &[u8], context: &mut Context<'_>) -> Result<(), Refusal> {
        let ContentHeader { body_size, properties } = ContentHeader::decode(payload)?;
        context.broker.check_message_size(body_size)?;
        context.broker.reserve(properties.raw().len())?;
        let (properties, body_size) = (properties.raw().into(), body_size as usize);
        self.content = Content::Body(Incoming { envelope, properties, body: Vec::new(), body_size });
        Ok(())
    }

    fn take_body(&mut self, part: &[u8], context: &mut Context<'_>) -> Result<(), Refusal> {
        let Content::Body(incoming) = &mut self.content else { return Ok(()) };
        if part.len() > incoming.body_size - incoming.body.len() {
            let text = "more content body than the content header announced";
            return Err(Refusal::new(ReplyCode::UnexpectedFrame, text));
        }
        context.broker.reserve(part.len())?;
        incoming.append(part);
        Ok(())
    }

    fn publish_complete(&mut self, context: &mut Context<'_>) -> Result<(), Refusal> {
        match std::mem::replace(&mut self.content, Content::Idle) {
            Content::Body(incoming) if incoming.body.len() == incoming.body_size => {
                context.broker.release(incoming.reserved());
                let properties = Properties::trusted(&incoming.properties);
                self.publish(incoming.envelope.as_publish(), properties, &incoming.body, context)
            }
            incomplete => {
                self.content = incomplete;
                Ok(())
            }
        }
    }

    fn publish(
        &mut self,
        publish: BasicPublish<'_>,
        properties: Properties<'_>,
        body: &[u8],
        context: &mut Context<'_>,
    ) -> Result<(), Refusal> {
        check_user(properties, context.user)?;
        let BasicPublish { exchange, routing_key, mandatory, .. } = publish;
        let publication = Publication { exchange, routing_key, properties, body, mandatory };
        let routed = context.broker.publish(self.id, &publication)?;
        if mandatory && routed == Routed::Queued(0) {
            let (code, name) = (ReplyCode::NoRoute, ReplyCode::NoRoute.name());
            let returned = BasicReturn { reply_code: code as u16, reply_text: name, exchange, routing_key };
            context.outlet.send_content(&returned, properties, body);
        }
        if let Some(Confirms { published, .. }) = &mut self.confirms {
            *published += 1;
        }
        Ok(())
    }
}

/// Nobody may publish in another's name.
fn check_user(properties: Properties<'_>, user: &str) -> Result<(), Refusal> {
    match properties.user_id() {
        Some(claimed) if claimed != user => {
            let text = format_args!("user_id property set to '{claimed}' but authenticated user was '{user}'");
            Err(Refusal::new(ReplyCode::PreconditionFailed, text))
        }
        _ => Ok(()),
    }
}
