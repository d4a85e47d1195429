//! Witness: a client's view of a connection, which checks that the server follows the protocol.

use std::collections::BTreeMap;

use super::peer::{END, HEADER};

/// The frame size that clients negotiate; properties are never divided.
pub const FRAME_MAX: usize = 9000;
const HEAD_BYTES: usize = 7;

/// The client's view of a channel; it is open if the client has it.
#[derive(Debug, Default)]
struct Channel {
    deliveries: u64,
    confirmed: u64,
    /// The server has closed it, or confirmed the client's close.
    is_closed: bool,
    /// The server has sent a close, and waits for close-ok.
    wants_close_ok: bool,
}

#[derive(Debug, Default)]
pub struct Witness {
    unread: Vec<u8>,
    channels: BTreeMap<u16, Channel>,
    is_greeted: bool,
    pub is_closing: bool,
}

impl Witness {
    pub fn last_delivery(&self, channel: u16) -> u64 {
        self.channels.get(&channel).map_or(0, |channel| channel.deliveries)
    }

    /// Takes the channels that the server has closed since the last call: the client must reply with close-ok.
    pub fn take_closed(&mut self) -> Vec<u16> {
        let mut closed = Vec::new();
        for (&number, channel) in &mut self.channels {
            if std::mem::take(&mut channel.wants_close_ok) {
                closed.push(number);
            }
        }
        closed
    }

    /// Takes bytes from the server, cut anywhere.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.unread.extend(bytes);
        if !self.is_greeted && self.unread.len() >= HEADER.len() && self.unread.starts_with(b"AMQP") {
            assert_eq!(self.unread, HEADER, "a server that refuses a header sends its own");
            self.unread.clear();
            self.is_closing = true;
        }
        while self.unread.len() >= HEAD_BYTES {
            let size = u32::from_be_bytes(self.unread[3..HEAD_BYTES].try_into().expect("four bytes")) as usize;
            let Some(&end) = self.unread.get(HEAD_BYTES + size) else { break };
            assert_eq!(end, END, "a frame's end");
            let channel = u16::from_be_bytes([self.unread[1], self.unread[2]]);
            let rest = self.unread.split_off(HEAD_BYTES + size + 1);
            let frame = std::mem::replace(&mut self.unread, rest);
            self.see(frame[0], channel, &frame[HEAD_BYTES..HEAD_BYTES + size]);
        }
    }

    /// When the transport ends, no frame or content may be incomplete.
    pub fn end(&self) {
        assert!(self.unread.is_empty(), "{} bytes of a frame", self.unread.len());
    }

    fn see(&mut self, kind: u8, channel: u16, payload: &[u8]) {
        self.is_greeted = true;
        assert!(kind == 2 || payload.len() + 8 <= FRAME_MAX, "a frame of {} bytes", payload.len() + 8);
        match (kind, channel) {
            (1, 0) => self.see_connection(payload),
            (8, 0) => assert!(payload.is_empty(), "a heartbeat is empty"),
            (1..=3, 1..) => self.see_channel(kind, channel, payload),
            _ => panic!("a frame of type {kind} on channel {channel}"),
        }
    }

    fn see_connection(&mut self, payload: &[u8]) {
        match id(payload) {
            (10, 51) => self.is_closing = true,
            _ if self.is_closing => panic!("{:?} after a close", id(payload)),
            (10, 50) => self.is_closing = true,
            (10, _) => {}
            other => panic!("{other:?} on channel 0"),
        }
    }

    fn see_channel(&mut self, kind: u8, number: u16, payload: &[u8]) {
        let channel = self.channels.entry(number).or_insert(Channel { is_closed: true, ..Channel::default() });
        assert!(!self.is_closing, "channel {number} speaks on a connection that closes");
        if kind != 1 {
            assert!(!channel.is_closed, "content on channel {number}, which is closed");
            return;
        }
        let id = id(payload);
        match id {
            (20, 11) => *channel = Channel::default(),
            (20, 41) => channel.is_closed = true,
            _ => assert!(!channel.is_closed, "{id:?} on channel {number}, which is closed"),
        }
        let long_at = |at: usize| u64::from_be_bytes(payload[at..at + 8].try_into().expect("eight bytes"));
        match id {
            (20, 40) => (channel.is_closed, channel.wants_close_ok) = (true, true),
            (60, 60) => {
                channel.deliveries += 1;
                assert_eq!(long_at(5 + usize::from(payload[4])), channel.deliveries, "a delivery tag");
            }
            (60, 71) => {
                channel.deliveries += 1;
                assert_eq!(long_at(4), channel.deliveries, "a delivery tag");
            }
            (60, 80 | 120) => {
                assert!(long_at(4) > channel.confirmed, "{} was confirmed before", long_at(4));
                channel.confirmed = long_at(4);
            }
            _ => {}
        }
    }
}

fn id(payload: &[u8]) -> (u16, u16) {
    (u16::from_be_bytes([payload[0], payload[1]]), u16::from_be_bytes([payload[2], payload[3]]))
}
