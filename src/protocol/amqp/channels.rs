//! Channels: the channels of one connection by their numbers, and how they are opened and closed.

use super::channel::Channel;
use super::frame::{Frame, Kind};
use super::method::{self, ChannelCloseOk, ChannelOpenOk, Method, MethodId};
use super::reply::{Refusal, ReplyCode};
use super::{Connection, Context};
use crate::access::Limited;
use crate::broker::Broker;
use crate::id::ChannelId;

/// A channel number that is in use.
pub(crate) enum Slot {
    Open(Box<Channel>),
    /// We closed it; until the peer's `close-ok`, its frames there were sent before it knew.
    Closing,
}

/// By number, from 1. Peers use low numbers, so a vector is better than a map.
#[derive(Default)]
pub(crate) struct Channels {
    slots: Vec<Option<Slot>>,
}

impl Channels {
    pub(crate) fn slot(&mut self, number: u16) -> Option<&mut Slot> {
        self.slots.get_mut(index(number)?)?.as_mut()
    }

    pub(crate) fn is_open(&self, number: u16) -> bool {
        index(number).is_some_and(|index| matches!(self.slots.get(index), Some(Some(Slot::Open(_)))))
    }

    /// Returns how many are open.
    pub(crate) fn count(&self) -> usize {
        self.slots.iter().filter(|slot| matches!(slot, Some(Slot::Open(_)))).count()
    }

    /// Returns whether the channel of this number is open and in confirm mode.
    pub(crate) fn is_confirming(&self, number: u16) -> bool {
        let slot = index(number).and_then(|index| self.slots.get(index)?.as_ref());
        matches!(slot, Some(Slot::Open(channel)) if channel.is_confirming())
    }

    pub(crate) fn open(&mut self, number: u16, id: ChannelId) {
        let index = index(number).expect("channel 0 is the connection");
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        self.slots[index] = Some(Slot::Open(Box::new(Channel::new(id))));
    }

    /// Marks a channel as closing, and returns it if it was open.
    pub(crate) fn start_closing(&mut self, number: u16) -> Option<Box<Channel>> {
        match std::mem::replace(self.slot(number)?, Slot::Closing) {
            Slot::Open(channel) => Some(channel),
            Slot::Closing => None,
        }
    }

    /// Frees a channel number, and returns the channel if it was open.
    pub(crate) fn free(&mut self, number: u16) -> Option<Box<Channel>> {
        match self.slots.get_mut(index(number)?)?.take()? {
            Slot::Open(channel) => Some(channel),
            Slot::Closing => None,
        }
    }

    pub(crate) fn iter_open(&mut self) -> impl Iterator<Item = (u16, &mut Channel)> {
        (1..).zip(&mut self.slots).filter_map(|(number, slot)| match slot {
            Some(Slot::Open(channel)) => Some((number, &mut **channel)),
            _ => None,
        })
    }

    pub(crate) fn close(self, broker: &mut Broker) {
        for slot in self.slots.into_iter().flatten() {
            if let Slot::Open(channel) = slot {
                channel.close(broker);
            }
        }
    }
}

impl Connection {
    pub(super) fn open_channel(&mut self, frame: Frame<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        if frame.kind != Kind::Method {
            let text = "expected method frame, got non method frame instead";
            return Err(Refusal::new(ReplyCode::UnexpectedFrame, text));
        }
        let (id, method) = method::decode(frame.payload)?;
        let max = self.agreement.channel_max;
        if method != Method::ChannelOpen {
            return Err(Refusal::new(ReplyCode::ChannelError, "expected 'channel.open'").during(id));
        }
        if frame.channel > max {
            let text =
                format_args!("channel number {} is greater than the negotiated channel_max ({max})", frame.channel);
            return Err(Refusal::new(ReplyCode::NotAllowed, text).during(id));
        }
        self.check_channel_limit(context).map_err(|refusal| refusal.during(id))?;
        let (broker, connection) = self.broker(context);
        if let Err(error) = broker.check_room(0) {
            return Err(Refusal::new(ReplyCode::ResourceError, error).during(id));
        }
        self.channels.open(frame.channel, broker.open_channel(connection, frame.channel));
        self.reply(frame.channel, &ChannelOpenOk, context.durability);
        Ok(())
    }

    fn check_channel_limit(&self, context: &mut Context<'_>) -> Result<(), Refusal> {
        let user = &*self.login.user;
        match context.limit_reached(user, Limited::Channels) {
            Some(limit) => {
                let text = format_args!(
                    "number of channels opened for user '{user}' has reached the maximum allowed user limit of ({limit})"
                );
                Err(Refusal::new(ReplyCode::NotAllowed, text))
            }
            None => Ok(()),
        }
    }

    pub(super) fn close_channel(&mut self, frame: Frame<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        method::decode(frame.payload)?;
        self.confirm(context.durability);
        if let Some(channel) = self.channels.free(frame.channel) {
            let durability = context.durability;
            let host = self.host(context);
            let noted = host.broker.noted();
            channel.close(&mut host.broker);
            self.barrier.follow(frame.channel, Some(MethodId::CHANNEL_CLOSE), host, noted, durability);
        }
        self.reply(frame.channel, &ChannelCloseOk, context.durability);
        Ok(())
    }
}

fn index(number: u16) -> Option<usize> {
    usize::from(number).checked_sub(1)
}
