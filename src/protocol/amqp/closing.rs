//! Closing: the end of a connection or of one of its channels, and what is released in the broker.

use super::barrier::ReplyBarrier;
use super::frame::{Frame, Kind};
use super::method::{ChannelClose, ConnectionClose, ConnectionCloseOk, MethodId};
use super::reply::Refusal;
use super::{Connection, Context, Durability, Phase};
use crate::virtual_host::{DEFAULT, VirtualHost};

/// Time that a peer has to answer `connection.close`.
const CLOSING_MS: u64 = 10_000;

impl Connection {
    /// Handles the peer's `connection.close`.
    pub(super) fn take_leave(&mut self, context: &mut Context<'_>) {
        self.confirm(context.durability);
        self.leave(context);
        self.phase = Phase::Closed;
        self.reply(0, &ConnectionCloseOk, context.durability);
    }

    pub(super) fn take_while_closing(&mut self, frame: Frame<'_>, context: &mut Context<'_>) -> Result<(), Refusal> {
        if frame.kind == Kind::Method && frame.channel == 0 {
            match MethodId::of(frame.payload) {
                Some(MethodId::CONNECTION_CLOSE_OK) => self.end(context),
                Some(MethodId::CONNECTION_CLOSE) => self.reply(0, &ConnectionCloseOk, context.durability),
                _ => {}
            }
        }
        Ok(())
    }

    /// Closes the channel or the connection, depending on the reply code; everything before is confirmed.
    pub(super) fn refuse(&mut self, channel: u16, refusal: &Refusal, context: &mut Context<'_>) {
        if matches!(self.phase, Phase::Closing { .. }) {
            return;
        }
        if channel != 0 && refusal.code.spares_connection() {
            let durability = context.durability;
            self.refuse_on_channel(channel, refusal, self.host(context), durability);
            return;
        }
        self.confirm(context.durability);
        let text = self.reply_text(refusal);
        self.start_closing(context);
        self.reply(0, &connection_close(refusal, &text), context.durability);
    }

    /// Closes the connection at once, in any state; nothing is confirmed.
    pub(super) fn abort(&mut self, refusal: &Refusal, context: &mut Context<'_>) {
        let text = self.reply_text(refusal);
        self.start_closing(context);
        // No answer after this confirms anything.
        self.barrier = ReplyBarrier::default();
        self.outlet(0).send(&connection_close(refusal, &text));
    }

    fn start_closing(&mut self, context: &mut Context<'_>) {
        self.leave(context);
        self.phase = Phase::Closing { is_deaf: self.phase == Phase::Closing { is_deaf: true } };
        self.deadline_ms = context.now_ms + CLOSING_MS;
    }

    /// Closes one channel.
    pub(super) fn refuse_on_channel(
        &mut self,
        channel: u16,
        refusal: &Refusal,
        host: &mut VirtualHost,
        durability: Durability,
    ) {
        self.confirm(durability);
        let (reply_code, reply_text) = (refusal.code as u16, &*self.reply_text(refusal));
        let MethodId { class: class_id, method: method_id } = refusal.method;
        if let Some(closing) = self.channels.start_closing(channel) {
            closing.close(&mut host.broker);
            // The text may depend on what other connections have done.
            self.barrier.depend_on_all(channel, host, durability);
        }
        let close = ChannelClose { reply_code, reply_text, class_id, method_id };
        self.reply(channel, &close, durability);
    }

    fn reply_text(&self, refusal: &Refusal) -> String {
        refusal.reply_text(self.opened.as_ref().map_or(DEFAULT, |opened| &opened.permissions.virtual_host))
    }

    /// Ends the connection, as the transport is closed and no output will reach the peer.
    pub(super) fn end(&mut self, context: &mut Context<'_>) {
        self.leave(context);
        self.barrier.clear();
        self.phase = Phase::Closed;
    }

    /// Releases everything in the broker, once. What the connection sends from now on waits for everything that it has
    /// caused.
    fn leave(&mut self, context: &mut Context<'_>) {
        self.blocked_until = None;
        if let Some(opened) = self.opened.take() {
            let host = context.virtual_hosts.host_of(opened.membership);
            let noted = host.broker.noted();
            std::mem::take(&mut self.channels).close(&mut host.broker);
            context.virtual_hosts.leave(opened.membership);
            let host = context.virtual_hosts.host_of(opened.membership);
            self.barrier.follow(0, None, host, noted, context.durability);
            self.barrier.depend_on_all_channels();
        }
    }
}

fn connection_close<'a>(refusal: &Refusal, reply_text: &'a str) -> ConnectionClose<'a> {
    let MethodId { class: class_id, method: method_id } = refusal.method;
    ConnectionClose { reply_code: refusal.code as u16, reply_text, class_id, method_id }
}
