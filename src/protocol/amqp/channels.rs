//! Channels: those of one connection, by their numbers.

use super::channel::Channel;
use crate::broker::Broker;
use crate::id::ChannelId;

/// A channel number that is in use.
pub(crate) enum Slot {
    Open(Box<Channel>),
    /// We closed it; until the peer says that it knows, whatever it sends there was sent before.
    Closing,
}

/// By number, from 1. Peers use low numbers, so a row serves better than a map.
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

    /// How many are open.
    pub(crate) fn count(&self) -> usize {
        self.slots.iter().filter(|slot| matches!(slot, Some(Slot::Open(_)))).count()
    }

    /// Whether the channel of this number is open and in confirm mode.
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

    /// Answers the channel, if it was open.
    pub(crate) fn start_closing(&mut self, number: u16) -> Option<Box<Channel>> {
        match std::mem::replace(self.slot(number)?, Slot::Closing) {
            Slot::Open(channel) => Some(channel),
            Slot::Closing => None,
        }
    }

    /// Answers the channel, if it was open.
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

fn index(number: u16) -> Option<usize> {
    usize::from(number).checked_sub(1)
}
