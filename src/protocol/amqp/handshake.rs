//! Handshake: capabilities and limits that both peers agree on before the connection is open.

use super::method::{ConnectionStart, ConnectionTune, ConnectionTuneOk};
use super::reply::{Refusal, ReplyCode};
use crate::limits::Limits;
use crate::table::{Table, Value};
use crate::wire::Malformed;

/// First bytes of a peer, and our answer to any other beginning.
pub(crate) const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\0\0\x09\x01";

/// The smallest frame size that peers must accept; no lower one may be agreed on.
const FRAME_MIN: u32 = 8192;
/// The largest frame before a size was agreed on.
pub(crate) const FIRST_FRAME_MAX: usize = FRAME_MIN as usize;

/// The broker whose behaviour we follow. Clients depend on these two: kombu, and Celery with it, requests channel-wide
/// prefetch only if they are RabbitMQ 3.3 or later, and raises it for delayed tasks, which would starve otherwise. The
/// real name is in `platform`.
const PRODUCT: &str = "RabbitMQ";
const VERSION: &str = "4.2.0";
const PLATFORM: &str = concat!("PocketMQ ", env!("CARGO_PKG_VERSION"));

/// The capabilities that clients look for and that we have.
const CAPABILITIES: [&str; 9] = [
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
];

fn server_properties() -> Result<Vec<u8>, Malformed> {
    let capabilities: Table = CAPABILITIES.iter().map(|&name| (name, true)).collect();
    let mut properties = Table::new();
    properties.insert("capabilities", capabilities);
    properties.insert("product", PRODUCT);
    properties.insert("version", VERSION);
    properties.insert("platform", PLATFORM);
    properties.insert("cluster_name", "pocketmq");
    let mut bytes = Vec::new();
    properties.encode(&mut bytes)?;
    Ok(bytes)
}

/// Calls `send` with the first method of a connection.
pub(crate) fn start(mechanisms: &str, send: impl FnOnce(&ConnectionStart<'_>)) {
    let server_properties = server_properties().expect("our own keys are short");
    send(&ConnectionStart {
        version_major: 0,
        version_minor: 9,
        server_properties: &server_properties,
        mechanisms: mechanisms.as_bytes(),
        locales: b"en_US",
    });
}

/// Capabilities that a client states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// Wants the reason of a failed login.
    pub(crate) authentication_failure_close: bool,
    /// Wants to know when a consumer is cancelled because its queue was deleted.
    pub(crate) consumer_cancel_notify: bool,
    /// Wants to know when it is blocked from publishing.
    pub(crate) connection_blocked: bool,
}

impl Capabilities {
    pub(crate) fn of(client_properties: &Table) -> Self {
        let declared = |name| match client_properties.get("capabilities") {
            Some(Value::Table(capabilities)) => capabilities.get(name).and_then(Value::as_bool).unwrap_or(false),
            _ => false,
        };
        Self {
            authentication_failure_close: declared("authentication_failure_close"),
            consumer_cancel_notify: declared("consumer_cancel_notify"),
            connection_blocked: declared("connection.blocked"),
        }
    }
}

/// Limits that both peers have agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Agreement {
    pub(crate) channel_max: u16,
    pub(crate) frame_max: usize,
    /// 0 means none.
    pub(crate) heartbeat_s: u16,
}

impl Agreement {
    /// Returns our proposal, which also holds until a peer has answered.
    pub(crate) fn proposed(limits: &Limits) -> Self {
        Self {
            // A limit of 0 means none, as it does for peers.
            channel_max: if limits.channel_max == 0 { u16::MAX } else { limits.channel_max },
            frame_max: limits.frame_max_bytes.max(FRAME_MIN) as usize,
            heartbeat_s: limits.heartbeat_s,
        }
    }

    pub(crate) fn tune(&self) -> ConnectionTune {
        ConnectionTune { channel_max: self.channel_max, frame_max: self.frame_max as u32, heartbeat: self.heartbeat_s }
    }

    /// Applies a peer's answer: it may lower our proposal, or accept it with 0. The heartbeat is its choice.
    pub(crate) fn answered(&self, wanted: ConnectionTuneOk) -> Result<Self, Refusal> {
        let channel_max = agree("channel_max", wanted.channel_max.into(), 0, self.channel_max.into())?;
        let frame_max = agree("frame_max", wanted.frame_max, FRAME_MIN, self.frame_max as u32)?;
        Ok(Self { channel_max: channel_max as u16, frame_max: frame_max as usize, heartbeat_s: wanted.heartbeat })
    }
}

fn agree(name: &str, wanted: u32, min: u32, max: u32) -> Result<u32, Refusal> {
    let refused = |comparison, bound, limit| {
        let text =
            format_args!("negotiated {name} = {wanted} is {comparison} than the {bound} allowed value ({limit})");
        Err(Refusal::new(ReplyCode::NotAllowed, text))
    };
    match wanted {
        0 => Ok(max),
        _ if wanted < min => refused("lower", "minimum", min),
        _ if wanted > max => refused("higher", "maximum", max),
        _ => Ok(wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agreed(channel_max: u16, frame_max: u32, heartbeat: u16) -> Result<Agreement, String> {
        let wanted = ConnectionTuneOk { channel_max, frame_max, heartbeat };
        Agreement::proposed(&Limits::default()).answered(wanted).map_err(|refusal| refusal.reply_text("/"))
    }

    #[test]
    fn a_peer_may_lower_or_leave_it_to_us() {
        let expected = |channel_max, frame_max, heartbeat_s| Ok(Agreement { channel_max, frame_max, heartbeat_s });
        assert_eq!(agreed(2047, 131_072, 60), expected(2047, 131_072, 60));
        assert_eq!(agreed(1, 8192, 5), expected(1, 8192, 5));
        assert_eq!(agreed(0, 0, 0), expected(2047, 131_072, 0));
        assert_eq!(agreed(0, 0, 600), expected(2047, 131_072, 600));
    }

    #[test]
    fn limits_that_no_peer_could_keep_are_not_proposed() {
        let limits = Limits { channel_max: 0, frame_max_bytes: 0, ..Limits::default() };
        let Agreement { channel_max, frame_max, .. } = Agreement::proposed(&limits);
        assert_eq!((channel_max, frame_max), (u16::MAX, 8192));
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_its_name() {
        let text = "NOT_ALLOWED - negotiated frame_max = 8191 is lower than the minimum allowed value (8192)";
        assert_eq!(agreed(0, 8191, 0), Err(text.to_owned()));
        assert!(agreed(0, 131_073, 0).unwrap_err().contains("higher than the maximum"));
        assert!(agreed(2048, 0, 0).unwrap_err().contains("channel_max = 2048"));
    }

    #[test]
    fn a_client_declares_what_it_can_take() {
        let declared: Table = [("consumer_cancel_notify", true)].into_iter().collect();
        let capabilities = Capabilities::of(&[("capabilities", declared)].into_iter().collect());
        assert!(capabilities.consumer_cancel_notify && !capabilities.authentication_failure_close);
        assert_eq!(Capabilities::of(&Table::new()), Capabilities::default());
    }

    #[test]
    fn what_we_say_of_ourselves_is_a_table_with_all_capabilities() {
        start("PLAIN", |start| {
            let properties = Table::decode(start.server_properties).unwrap();
            assert_eq!(properties.get("product").and_then(Value::as_str), Some("RabbitMQ"));
            let Some(Value::Table(capabilities)) = properties.get("capabilities") else { panic!("no capabilities") };
            assert_eq!(capabilities.len(), CAPABILITIES.len());
        });
    }
}
