//! Closing: how a connection comes to its end, or a channel of it, and what the broker gets back.

use super::frame::{Frame, Kind};
use super::method::{ChannelClose, ConnectionClose, ConnectionCloseOk, MethodId};
use super::reply::{Refusal, ReplyCode};
use super::{Connection, Phase, Realm};
use crate::broker::Broker;
use crate::virtual_host::DEFAULT;

/// How long a peer may take to answer `connection.close`.
const CLOSING_MS: u64 = 10_000;

impl Connection {
    /// Asks the peer to close, as the operator wants it, for this reason.
    pub fn force_close(&mut self, reason: &str, realm: &mut Realm<'_>) {
        match self.phase {
            Phase::Open => self.refuse(0, &Refusal::new(ReplyCode::ConnectionForced, reason), realm),
            Phase::Closing { .. } => {}
            _ => self.end(realm),
        }
    }

    pub(super) fn take_while_closing(&mut self, frame: Frame<'_>, realm: &mut Realm<'_>) -> Result<(), Refusal> {
        if frame.kind == Kind::Method && frame.channel == 0 {
            match MethodId::of(frame.payload) {
                Some(MethodId::CONNECTION_CLOSE_OK) => self.end(realm),
                Some(MethodId::CONNECTION_CLOSE) => self.outlet(0).send(&ConnectionCloseOk),
                _ => {}
            }
        }
        Ok(())
    }

    /// Closes what the refusal's code says, with everything confirmed before.
    pub(super) fn refuse(&mut self, channel: u16, refusal: &Refusal, realm: &mut Realm<'_>) {
        if matches!(self.phase, Phase::Closing { .. }) {
            return;
        }
        if channel != 0 && refusal.code.spares_connection() {
            self.refuse_on_channel(channel, refusal, self.broker(realm).0);
            return;
        }
        self.confirm();
        let (reply_code, reply_text) = (refusal.code as u16, &*self.reply_text(refusal));
        let MethodId { class: class_id, method: method_id } = refusal.method;
        self.leave(realm);
        self.phase = Phase::Closing { is_deaf: false };
        self.deadline_ms = realm.now_ms + CLOSING_MS;
        self.outlet(0).send(&ConnectionClose { reply_code, reply_text, class_id, method_id });
    }

    /// Closes one channel.
    pub(super) fn refuse_on_channel(&mut self, channel: u16, refusal: &Refusal, broker: &mut Broker) {
        self.confirm();
        let (reply_code, reply_text) = (refusal.code as u16, &*self.reply_text(refusal));
        let MethodId { class: class_id, method: method_id } = refusal.method;
        if let Some(closing) = self.channels.start_closing(channel) {
            closing.close(broker);
        }
        self.outlet(channel).send(&ChannelClose { reply_code, reply_text, class_id, method_id });
    }

    fn reply_text(&self, refusal: &Refusal) -> String {
        refusal.reply_text(self.stay.as_ref().map_or(DEFAULT, |stay| &stay.pass.virtual_host))
    }

    pub(super) fn end(&mut self, realm: &mut Realm<'_>) {
        self.leave(realm);
        self.phase = Phase::Closed;
    }

    /// Gives everything back to the broker, once.
    fn leave(&mut self, realm: &mut Realm<'_>) {
        self.blocked_until = None;
        if let Some(stay) = self.stay.take() {
            std::mem::take(&mut self.channels).close(realm.virtual_hosts.broker_of(stay.seat));
            realm.virtual_hosts.leave(stay.seat);
        }
    }
}
