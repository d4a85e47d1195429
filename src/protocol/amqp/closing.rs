//! Closing: the end of a connection or of one of its channels, and what is released in the broker.

use super::barrier::{Durability, Held};
use super::frame::{Frame, Kind};
use super::method::{ChannelClose, ConnectionClose, ConnectionCloseOk, MethodId};
use super::reply::{Refusal, ReplyCode};
use super::{Connection, Phase, Realm};
use crate::virtual_host::{DEFAULT, VirtualHost};

/// Time that a peer has to answer `connection.close`.
const CLOSING_MS: u64 = 10_000;

impl Connection {
    /// Asks the peer to close, at the operator's request, for this reason.
    pub fn force_close(&mut self, reason: &str, realm: &mut Realm<'_>) {
        match self.phase {
            Phase::Open => self.refuse(0, &Refusal::new(ReplyCode::ConnectionForced, reason), realm),
            Phase::Closing { .. } => {}
            _ => self.end(realm),
        }
        self.fail_if_hopeless(realm);
    }

    /// Handles the peer's `connection.close`.
    pub(super) fn take_leave(&mut self, realm: &mut Realm<'_>) {
        self.confirm(realm.durability);
        self.leave(realm);
        self.phase = Phase::Closed;
        self.answer(0, &ConnectionCloseOk, realm.durability);
    }

    pub(super) fn take_while_closing(&mut self, frame: Frame<'_>, realm: &mut Realm<'_>) -> Result<(), Refusal> {
        if frame.kind == Kind::Method && frame.channel == 0 {
            match MethodId::of(frame.payload) {
                Some(MethodId::CONNECTION_CLOSE_OK) => self.end(realm),
                Some(MethodId::CONNECTION_CLOSE) => self.answer(0, &ConnectionCloseOk, realm.durability),
                _ => {}
            }
        }
        Ok(())
    }

    /// Closes the channel or the connection, depending on the reply code; everything before is confirmed.
    pub(super) fn refuse(&mut self, channel: u16, refusal: &Refusal, realm: &mut Realm<'_>) {
        if matches!(self.phase, Phase::Closing { .. }) {
            return;
        }
        if channel != 0 && refusal.code.spares_connection() {
            let durability = realm.durability;
            self.refuse_on_channel(channel, refusal, self.host(realm), durability);
            return;
        }
        self.confirm(realm.durability);
        let text = self.reply_text(refusal);
        self.start_closing(realm);
        self.answer(0, &connection_close(refusal, &text), realm.durability);
    }

    /// Closes the connection at once, in any state; nothing is confirmed.
    pub(super) fn abort(&mut self, refusal: &Refusal, realm: &mut Realm<'_>) {
        let text = self.reply_text(refusal);
        self.start_closing(realm);
        // No answer after this confirms anything.
        self.held = Held::default();
        self.outlet(0).send(&connection_close(refusal, &text));
    }

    fn start_closing(&mut self, realm: &mut Realm<'_>) {
        self.leave(realm);
        self.phase = Phase::Closing { is_deaf: self.phase == Phase::Closing { is_deaf: true } };
        self.deadline_ms = realm.now_ms + CLOSING_MS;
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
            self.held.rest_on_all(channel, host, durability);
        }
        let close = ChannelClose { reply_code, reply_text, class_id, method_id };
        self.answer(channel, &close, durability);
    }

    fn reply_text(&self, refusal: &Refusal) -> String {
        refusal.reply_text(self.stay.as_ref().map_or(DEFAULT, |stay| &stay.pass.virtual_host))
    }

    /// Ends the connection, as the transport is closed and no output will reach the peer.
    pub(super) fn end(&mut self, realm: &mut Realm<'_>) {
        self.leave(realm);
        self.held.clear();
        self.phase = Phase::Closed;
    }

    /// Releases everything in the broker, once. What the connection sends from now on waits for everything that it has
    /// caused.
    fn leave(&mut self, realm: &mut Realm<'_>) {
        self.blocked_until = None;
        if let Some(stay) = self.stay.take() {
            let host = realm.virtual_hosts.host_of(stay.seat);
            let noted = host.broker.noted();
            std::mem::take(&mut self.channels).close(&mut host.broker);
            realm.virtual_hosts.leave(stay.seat);
            let host = realm.virtual_hosts.host_of(stay.seat);
            self.held.follow(0, None, host, noted, realm.durability);
            self.held.rest_on_all_channels();
        }
    }
}

fn connection_close<'a>(refusal: &Refusal, reply_text: &'a str) -> ConnectionClose<'a> {
    let MethodId { class: class_id, method: method_id } = refusal.method;
    ConnectionClose { reply_code: refusal.code as u16, reply_text, class_id, method_id }
}
