//! ReplyBarrier: replies that wait until everything that they depend on is durable.
//!
//! ```text
//!   a method that writes facts:                              its channel awaits the write that contains them
//!   a repeated message, a method for exchanges and queues,   its channel awaits the write with the latest facts of the
//!   tx.commit, an error of the channel:                      virtual host, whichever connection caused them
//!
//!                    yes
//!   a reply: is its channel's write durable? --------------------------------> output
//!                    | no                                                        ^
//!                    v                 that write is durable                     |
//!                 waiting -------------------------------------------------------+
//!                    |                 no write will ever be durable             |
//!                    +---> confirms become basic.nack ---------------------------+
//!                    +---> anything else is dropped, and the connection closes --+
//! ```
//! Only the methods listed in [`depends_on_itself`] do not wait for what other connections have caused.
//!
//! A channel's replies leave in order. None waits for a reply of another channel, except for the end of the
//! connection, which comes after everything. Deliveries wait for nothing, but never overtake the reply to the
//! `consume` that they follow, or a message that was requested by `get` before, as clients rely on the order of
//! delivery tags.
//!
//! Channels are only numbers here: one that is closed and opened again continues in the same order. The broker knows
//! which facts there are, and the server which of them are durable.

use super::channel::Confirmation;
use super::frame::Outlet;
use super::method::{Encode, MethodId};
use super::reply::Refusal;
use super::{Connection, Context, Durability};
use crate::broker::{Error, Noted};
use crate::virtual_host::VirtualHost;

/// Returns whether the reply to a method does not depend on what other connections have changed that outlives the
/// broker. Publish and settle depend on the facts that they write; the effects of the others of `basic`, `channel` and
/// `confirm` end with the connection.
fn depends_on_itself(id: Option<MethodId>) -> bool {
    const CHANNEL: u16 = 20;
    const ACCESS: u16 = 30;
    const BASIC: u16 = 60;
    const CONFIRM: u16 = 85;
    match id {
        // The header or body of a published message.
        None => true,
        Some(MethodId { class: CHANNEL | ACCESS | BASIC | CONFIRM, .. }) => true,
        Some(id) => id == MethodId::TX_SELECT || id == MethodId::TX_ROLLBACK,
    }
}

/// Bytes of a confirm in the output.
const CONFIRM_BYTES: usize = 21;

/// Replies of a connection that wait to become durable.
#[derive(Default)]
pub(super) struct ReplyBarrier {
    /// By channel number: the write with the channel's latest facts.
    awaited: Vec<u64>,
    /// The replies of a channel are in order, so their writes rise; deliveries follow immediately after the replies
    /// that they must not overtake.
    replies: Vec<Reply>,
    /// By channel, the writes of those replies that deliveries must not overtake.
    preceding: Vec<(u16, u64)>,
    bytes: usize,
}

struct Reply {
    channel: u16,
    write: u64,
    content: Content,
}

enum Content {
    Frames(Vec<u8>),
    Confirmation(Confirmation),
}

impl Content {
    fn bytes(&self) -> usize {
        match self {
            Self::Frames(frames) => frames.len(),
            Self::Confirmation(_) => CONFIRM_BYTES,
        }
    }
}

impl ReplyBarrier {
    /// Makes the reply to a method wait for the write that it depends on, if any; `before` counts the facts of its
    /// virtual host when it began.
    pub(super) fn follow(
        &mut self,
        channel: u16,
        id: Option<MethodId>,
        host: &VirtualHost,
        before: Noted,
        durability: Durability,
    ) {
        let now = host.broker().noted();
        if now.facts > before.facts {
            self.depend_on(channel, durability.next_write);
        } else if now.repeats > before.repeats || !depends_on_itself(id) {
            self.depend_on_all(channel, host, durability);
        }
    }

    /// Makes a channel's further replies depend on all facts of a virtual host so far. Lost facts cannot be waited for:
    /// after them everything that is to be durable is refused.
    pub(super) fn depend_on_all(&mut self, channel: u16, host: &VirtualHost, durability: Durability) {
        if !durability.has_failed {
            self.depend_on(channel, host.awaited_write(durability.next_write));
        }
    }

    /// Makes a channel's further replies depend on this write.
    fn depend_on(&mut self, channel: u16, write: u64) {
        let index = usize::from(channel);
        if index >= self.awaited.len() {
            self.awaited.resize(index + 1, 0);
        }
        self.awaited[index] = self.awaited[index].max(write);
    }

    /// Makes channel 0 await the writes of all channels.
    pub(super) fn depend_on_all_channels(&mut self) {
        if let Some(&write) = self.awaited.iter().max() {
            self.awaited[0] = write;
        }
    }

    /// Returns the write that replies of a channel have to wait for, if any.
    pub(super) fn awaited(&self, channel: u16, durable_write: u64) -> Option<u64> {
        self.awaited.get(usize::from(channel)).copied().filter(|&write| write > durable_write)
    }

    /// Returns the write that deliveries of a channel have to wait for, so as not to overtake a reply, if any.
    pub(super) fn awaited_by_deliveries(&self, channel: u16) -> Option<u64> {
        self.preceding.iter().rev().find(|(preceding, _)| *preceding == channel).map(|&(_, write)| write)
    }

    /// Makes the deliveries of its channel wait for the last reply that waits.
    pub(super) fn precede_deliveries(&mut self) {
        self.preceding.extend(self.replies.last().map(|reply| (reply.channel, reply.write)));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.replies.is_empty()
    }

    /// Returns how many bytes all of it will take in the output.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds frames; together with those before them, if both may leave together.
    pub(super) fn hold(&mut self, channel: u16, write: u64, frames: &[u8]) {
        self.bytes += frames.len();
        match self.replies.last_mut() {
            Some(Reply { channel: last, write: its, content: Content::Frames(before) })
                if (*last, *its) == (channel, write) =>
            {
                before.extend_from_slice(frames);
            }
            _ => self.replies.push(Reply { channel, write, content: Content::Frames(frames.to_vec()) }),
        }
    }

    /// Holds a confirm; together with those before it, if they may leave together.
    pub(super) fn hold_confirmation(&mut self, channel: u16, write: u64, confirmation: Confirmation) {
        if let Some(Reply { channel: last, write: its, content: Content::Confirmation(before) }) =
            self.replies.last_mut()
            && (*last, *its) == (channel, write)
            && before.absorb(confirmation)
        {
            return;
        }
        self.bytes += CONFIRM_BYTES;
        self.replies.push(Reply { channel, write, content: Content::Confirmation(confirmation) });
    }

    /// Sends everything that need not wait any more.
    pub(super) fn release(&mut self, durable_write: u64, outlet: &mut Outlet<'_>) {
        let mut confirms = Confirms::default();
        for Reply { channel, content, .. } in self.replies.extract_if(.., |reply| reply.write <= durable_write) {
            self.bytes -= content.bytes();
            match content {
                Content::Confirmation(confirmation) => confirms.add(channel, confirmation, outlet),
                Content::Frames(frames) => {
                    confirms.send(outlet);
                    outlet.out.extend_from_slice(&frames);
                }
            }
        }
        confirms.send(outlet);
        self.preceding.retain(|&(_, write)| write > durable_write);
    }

    /// Sends confirms as refusals and drops everything else. Returns whether there was anything else.
    pub(super) fn fail(&mut self, outlet: &mut Outlet<'_>) -> bool {
        let (mut confirms, mut has_lost) = (Confirms::default(), false);
        for Reply { channel, content, .. } in self.replies.drain(..) {
            match content {
                Content::Confirmation(confirmation) => {
                    confirms.add(channel, Confirmation { is_refused: true, ..confirmation }, outlet);
                }
                Content::Frames(_) => has_lost = true,
            }
        }
        confirms.send(outlet);
        self.clear();
        has_lost
    }

    /// Drops everything, as the transport is closed.
    pub(super) fn clear(&mut self) {
        self.replies = Vec::new();
        self.preceding.clear();
        self.bytes = 0;
    }

    /// Frees memory if nothing waits.
    pub(super) fn rest(&mut self) {
        if self.is_empty() {
            self.clear();
        }
    }
}

/// The confirms of one channel that leave next, combined.
#[derive(Default)]
struct Confirms(Option<(u16, Confirmation)>);

impl Confirms {
    fn add(&mut self, channel: u16, confirmation: Confirmation, outlet: &mut Outlet<'_>) {
        let is_absorbed =
            self.0.as_mut().is_some_and(|(before, confirms)| *before == channel && confirms.absorb(confirmation));
        if !is_absorbed {
            self.send(outlet);
            self.0 = Some((channel, confirmation));
        }
    }

    fn send(&mut self, outlet: &mut Outlet<'_>) {
        if let Some((channel, confirmation)) = self.0.take() {
            outlet.channel = channel;
            confirmation.send(outlet);
        }
    }
}

impl Connection {
    /// Fails the replies that would wait forever.
    pub(super) fn fail_if_hopeless(&mut self, context: &mut Context<'_>) {
        if context.durability.has_failed && !self.barrier.is_empty() {
            self.fail(&Error::JournalFailed.into(), context);
        }
    }

    pub(super) fn fail(&mut self, refusal: &Refusal, context: &mut Context<'_>) {
        let Self { barrier, output, agreement, .. } = self;
        let mut outlet = Outlet { out: output.end(), channel: 0, frame_max: agreement.frame_max };
        if barrier.fail(&mut outlet) {
            self.abort(refusal, context);
        }
    }

    /// Sends a reply as soon as everything that the channel has caused is durable.
    pub(super) fn reply(&mut self, channel: u16, method: &dyn Encode, durability: Durability) {
        let start = self.output.end().len();
        self.outlet(channel).send(method);
        self.hold_back(channel, start, self.barrier.awaited(channel, durability.durable_write));
    }

    /// Moves the output from `start` on behind the barrier, if there is a write to wait for. Returns whether there is.
    pub(super) fn hold_back(&mut self, channel: u16, start: usize, awaited: Option<u64>) -> bool {
        let Some(write) = awaited else { return false };
        let output = self.output.end();
        let has_frames = output.len() > start;
        if has_frames {
            self.barrier.hold(channel, write, &output[start..]);
            output.truncate(start);
        }
        has_frames
    }

    /// Confirms to the peer the messages that it published since the last confirm.
    pub(super) fn confirm(&mut self, durability: Durability) {
        let Self { channels, barrier, output, agreement, .. } = self;
        let mut outlet = Outlet { out: output.end(), channel: 0, frame_max: agreement.frame_max };
        for (channel, open) in channels.iter_open() {
            outlet.channel = channel;
            open.confirm(|confirmation| match barrier.awaited(channel, durability.durable_write) {
                None => confirmation.send(&mut outlet),
                Some(write) => barrier.hold_confirmation(channel, write, confirmation),
            });
        }
    }
}

#[cfg(test)]
mod tests;
