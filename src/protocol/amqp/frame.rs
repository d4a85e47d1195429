//! Frame: the unit of a connection's byte stream.
//!
//! ```text
//! octets  1       2         4       size       1
//!     +------+---------+------+-- ... ---+------+
//!     | type | channel | size | payload  | 0xCE |     type 1 method   2 content header   3 content body   8 heartbeat
//!     +------+---------+------+-- ... ---+------+
//!
//! octets                      2        2        8           as they came
//! content header payload  +-------+--------+-----------+-- ... ------+
//!                         | class | weight | body size | properties  |
//!                         +-------+--------+-----------+-- ... ------+
//! ```
//! A message is a method frame, a content header frame and as many body frames as its body needs; none for an empty
//! body.

use super::method::Encode;
use super::reply::{Refusal, ReplyCode};
use crate::properties::Properties;
use crate::wire::{Reader, put_sized};

/// Bytes of a frame other than its payload.
pub(crate) const OVERHEAD_BYTES: usize = 8;
const HEAD_BYTES: usize = 7;
const END: u8 = 0xCE;

/// Class of all methods with content.
pub(crate) const CLASS_BASIC: u16 = 60;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Method = 1,
    Header = 2,
    Body = 3,
    Heartbeat = 8,
}

impl Kind {
    fn from_octet(octet: u8) -> Option<Self> {
        [Self::Method, Self::Header, Self::Body, Self::Heartbeat].into_iter().find(|&kind| kind as u8 == octet)
    }
}

/// A complete frame that a peer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) channel: u16,
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    pub(crate) fn size(&self) -> usize {
        self.payload.len() + OVERHEAD_BYTES
    }
}

/// Returns the first frame of the input, if it is complete. An invalid frame header is refused before the rest arrives.
pub(crate) fn split(input: &[u8], frame_max: usize) -> Result<Option<Frame<'_>>, Refusal> {
    let Some((&[kind, c0, c1, s0, s1, s2, s3], rest)) = input.split_first_chunk::<HEAD_BYTES>() else {
        return Ok(None);
    };
    let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
    let Some(kind) = Kind::from_octet(kind) else {
        return Err(Refusal::new(ReplyCode::FrameError, format_args!("unknown frame type {kind}")));
    };
    // Some clients take the agreed frame size as that of the payload. RabbitMQ allows this, and so do we.
    if size > frame_max {
        let payload_max = frame_max - OVERHEAD_BYTES;
        let text = format_args!("a frame's payload of {size} octets is larger than the agreed {payload_max}");
        return Err(Refusal::new(ReplyCode::FrameError, text));
    }
    let Some((payload, &[end, ..])) = rest.split_at_checked(size) else { return Ok(None) };
    if end != END {
        return Err(Refusal::new(ReplyCode::FrameError, format_args!("a frame ends with {end:#04x} instead of 0xce")));
    }
    Ok(Some(Frame { kind, channel: u16::from_be_bytes([c0, c1]), payload }))
}

/// The payload of a content header frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ContentHeader<'a> {
    pub(crate) body_size: u64,
    pub(crate) properties: Properties<'a>,
}

impl<'a> ContentHeader<'a> {
    pub(crate) fn decode(payload: &'a [u8]) -> Result<Self, Refusal> {
        let mut reader = Reader::new(payload);
        let (class, _weight, body_size) = (reader.short()?, reader.short()?, reader.longlong()?);
        if class != CLASS_BASIC {
            let text =
                format_args!("expected content header for class {CLASS_BASIC}, got one for class {class} instead");
            return Err(Refusal::new(ReplyCode::UnexpectedFrame, text));
        }
        Ok(Self { body_size, properties: Properties::parse(reader.rest())? })
    }
}

/// Appends the frames of one channel to the output.
pub(crate) struct Outlet<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) channel: u16,
    pub(crate) frame_max: usize,
}

impl Outlet<'_> {
    // Inlining would repeat this code in each of its callers.
    #[inline(never)]
    pub(crate) fn send(&mut self, method: &dyn Encode) {
        self.frame(Kind::Method, |out| method.encode(out));
    }

    /// Sends an answer, unless the peer set `no-wait`.
    pub(crate) fn answer(&mut self, nowait: bool, method: &dyn Encode) {
        if !nowait {
            self.send(method);
        }
    }

    /// Properties are never split, so those from a peer with large frames may exceed another peer's frame size.
    pub(crate) fn send_content(&mut self, method: &dyn Encode, properties: Properties<'_>, body: &[u8]) {
        self.out.reserve(body.len() + properties.raw().len());
        self.send(method);
        self.frame(Kind::Header, |out| {
            out.extend_from_slice(&CLASS_BASIC.to_be_bytes());
            out.extend_from_slice(&[0; 2]);
            out.extend_from_slice(&(body.len() as u64).to_be_bytes());
            out.extend_from_slice(properties.raw());
        });
        for part in body.chunks(self.frame_max - OVERHEAD_BYTES) {
            self.frame(Kind::Body, |out| out.extend_from_slice(part));
        }
    }

    fn frame(&mut self, kind: Kind, put: impl FnOnce(&mut Vec<u8>)) {
        let [c0, c1] = self.channel.to_be_bytes();
        self.out.extend_from_slice(&[kind as u8, c0, c1]);
        let framed = put_sized(self.out, |out| {
            put(out);
            Ok(())
        });
        debug_assert!(framed.is_ok(), "our own frames are far below 4 GiB");
        self.out.push(END);
    }
}

/// Appends a heartbeat.
pub(crate) fn put_heartbeat(out: &mut Vec<u8>) {
    Outlet { out, channel: 0, frame_max: OVERHEAD_BYTES }.frame(Kind::Heartbeat, |_| ());
}

#[cfg(test)]
mod tests {
    use super::super::method::{ChannelFlowOk, QueueDeleteOk};
    use super::*;

    const FRAME_MAX: usize = 64;

    fn content(body: &[u8], frame_max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        let mut outlet = Outlet { out: &mut out, channel: 3, frame_max };
        outlet.send_content(&QueueDeleteOk { message_count: 0 }, Properties::EMPTY, body);
        out
    }

    fn frames(mut bytes: &[u8], frame_max: usize) -> Vec<Frame<'_>> {
        let mut frames = Vec::new();
        while let Some(frame) = split(bytes, frame_max).unwrap() {
            bytes = &bytes[frame.size()..];
            frames.push(frame);
        }
        assert!(bytes.is_empty());
        frames
    }

    #[test]
    fn a_frame_goes_out_and_comes_back_only_whole() {
        let mut bytes = Vec::new();
        Outlet { out: &mut bytes, channel: 258, frame_max: FRAME_MAX }.send(&ChannelFlowOk { active: true });
        assert_eq!(bytes, [1, 1, 2, 0, 0, 0, 5, 0, 20, 0, 21, 1, END]);
        for end in 0..bytes.len() {
            assert_eq!(split(&bytes[..end], FRAME_MAX), Ok(None));
        }
        let frame = split(&bytes, FRAME_MAX).unwrap().unwrap();
        assert_eq!((frame.kind, frame.channel, frame.size()), (Kind::Method, 258, bytes.len()));
    }

    #[test]
    fn bodies_are_divided_to_fit() {
        let payload = FRAME_MAX - OVERHEAD_BYTES;
        for (length, bodies) in [(0, 0), (1, 1), (payload, 1), (payload + 1, 2), (3 * payload, 3)] {
            let bytes = content(&vec![b'x'; length], FRAME_MAX);
            let frames = frames(&bytes, FRAME_MAX);
            assert_eq!(frames.len(), 2 + bodies);
            assert_eq!(ContentHeader::decode(frames[1].payload).unwrap().body_size, length as u64);
            assert_eq!(frames[2..].iter().map(|frame| frame.payload.len()).sum::<usize>(), length);
        }
    }

    #[test]
    fn wrong_frames_are_refused_as_soon_as_they_show() {
        let refused = |bytes: &[u8]| split(bytes, FRAME_MAX).unwrap_err().code;
        assert_eq!(refused(&[4, 0, 0, 0, 0, 0, 0]), ReplyCode::FrameError);
        assert_eq!(refused(&[1, 0, 0, 0, 0, 0, 65]), ReplyCode::FrameError);
        assert_eq!(refused(&[1, 0, 0, 255, 255, 255, 255]), ReplyCode::FrameError);
        assert_eq!(refused(&[8, 0, 0, 0, 0, 0, 0, 0]), ReplyCode::FrameError);
    }

    #[test]
    fn a_payload_may_have_the_size_agreed_for_the_frame() {
        let bytes = content(&[b'x'; FRAME_MAX], FRAME_MAX + OVERHEAD_BYTES);
        assert_eq!(frames(&bytes, FRAME_MAX)[2].payload.len(), FRAME_MAX);
    }

    #[test]
    fn a_heartbeat_is_eight_octets() {
        let mut out = Vec::new();
        put_heartbeat(&mut out);
        assert_eq!(out, [8, 0, 0, 0, 0, 0, 0, END]);
    }

    #[test]
    fn content_headers_of_another_class_are_refused() {
        let mut bytes = content(b"", FRAME_MAX);
        bytes[12 + 4 + 7 + 1] = 61;
        let header = frames(&bytes, FRAME_MAX)[1];
        assert_eq!(ContentHeader::decode(header.payload).unwrap_err().code, ReplyCode::UnexpectedFrame);
        assert_eq!(ContentHeader::decode(&header.payload[..11]).unwrap_err().code, ReplyCode::SyntaxError);
    }
}
