//! Content: a message in the frames of the input, whole or in pieces that are put together.

use super::{Channel, ChannelContext};
use crate::broker::{Broker, Publication};
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
    pub(super) fn new(publish: BasicPublish<'_>) -> Self {
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
pub(super) struct Whole<'a> {
    pub(super) properties: Properties<'a>,
    pub(super) body: &'a [u8],
    pub(super) size: usize,
}

/// Returns the message if its content header and its body follow immediately, in one frame each. Errors in them are
/// left to the slower path, which takes the frames one by one.
pub(super) fn whole(channel: u16, input: &[u8], frame_max: usize) -> Option<Whole<'_>> {
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
