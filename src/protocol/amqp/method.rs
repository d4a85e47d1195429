//! Method: a request of one peer to the other, or an answer.
//!
//! ```text
//! octets   2       2        as the method has it
//!      +-------+--------+-----------+-----+-----------------------+
//!      | class | method | argument  | ... | up to 8 bits an octet |
//!      +-------+--------+-----------+-----+-----------------------+
//! ```
//! The arguments of each method are [generated](received) from the specification. Strings and tables are borrowed from
//! the input: decoding allocates nothing.

mod received;
mod sent;

pub(crate) use received::*;
pub(crate) use sent::*;

use super::reply::{Refusal, ReplyCode};
use crate::wire::{Malformed, Reader};

/// Number of a method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MethodId {
    pub(crate) class: u16,
    pub(crate) method: u16,
}

impl MethodId {
    pub(crate) const BASIC_CONSUME: Self = Self { class: 60, method: 20 };
    pub(crate) const BASIC_GET: Self = Self { class: 60, method: 70 };
    pub(crate) const BASIC_PUBLISH: Self = Self { class: 60, method: 40 };
    pub(crate) const CHANNEL_CLOSE: Self = Self { class: 20, method: 40 };
    pub(crate) const CHANNEL_CLOSE_OK: Self = Self { class: 20, method: 41 };
    pub(crate) const CONNECTION_CLOSE: Self = Self { class: 10, method: 50 };
    pub(crate) const CONNECTION_CLOSE_OK: Self = Self { class: 10, method: 51 };
    pub(crate) const TX_ROLLBACK: Self = Self { class: 90, method: 30 };
    pub(crate) const TX_SELECT: Self = Self { class: 90, method: 10 };

    /// Returns whether the method depends on which consumer got which message, or affects who gets the next: qos,
    /// consume, cancel, get and recover; declare, purge and delete of a queue; the end of a channel.
    pub(crate) fn follows_deliveries(self) -> bool {
        matches!((self.class, self.method), (60, 10 | 20 | 30 | 70 | 100 | 110) | (50, 10 | 30 | 40) | (20, 40))
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { class: reader.short()?, method: reader.short()? })
    }

    /// Reads the method of a method frame's payload.
    pub(crate) fn of(payload: &[u8]) -> Option<Self> {
        Self::read(&mut Reader::new(payload)).ok()
    }
}

/// A method that can be sent.
pub(crate) trait Encode {
    /// Appends the payload of its frame.
    fn encode(&self, out: &mut Vec<u8>);
}

/// Reads the payload of a method frame.
pub(crate) fn decode(payload: &[u8]) -> Result<(MethodId, Method<'_>), Refusal> {
    let mut reader = Reader::new(payload);
    let id = MethodId::read(&mut reader)?;
    let decoded = Method::decode(id, &mut reader).map_err(|malformed| Refusal::from(malformed).during(id))?;
    let Some(method) = decoded else {
        return Err(Refusal::new(ReplyCode::CommandInvalid, "unimplemented method").during(id));
    };
    if !reader.is_empty() {
        return Err(Refusal::new(ReplyCode::SyntaxError, "bytes after the last argument").during(id));
    }
    Ok((id, method))
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;
