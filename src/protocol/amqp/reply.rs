//! Reply: the reply codes of errors, and whether they close the channel or the connection.
//!
//! This is the only place that knows reply codes. The broker's errors are translated here.

use std::fmt::Display;

use super::method::MethodId;
use crate::broker::{self, ErrorKind};
use crate::wire::Malformed;

/// AMQP's reply codes, as far as they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyCode {
    NoRoute = 312,
    ConnectionForced = 320,
    AccessRefused = 403,
    NotFound = 404,
    ResourceLocked = 405,
    PreconditionFailed = 406,
    FrameError = 501,
    SyntaxError = 502,
    CommandInvalid = 503,
    ChannelError = 504,
    UnexpectedFrame = 505,
    ResourceError = 506,
    NotAllowed = 530,
    NotImplemented = 540,
    InternalError = 541,
}

impl ReplyCode {
    /// Returns whether only the channel closes, and not the whole connection.
    pub(crate) fn spares_connection(self) -> bool {
        matches!(self, Self::AccessRefused | Self::NotFound | Self::ResourceLocked | Self::PreconditionFailed)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NoRoute => "NO_ROUTE",
            Self::ConnectionForced => "CONNECTION_FORCED",
            Self::AccessRefused => "ACCESS_REFUSED",
            Self::NotFound => "NOT_FOUND",
            Self::ResourceLocked => "RESOURCE_LOCKED",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::FrameError => "FRAME_ERROR",
            Self::SyntaxError => "SYNTAX_ERROR",
            Self::CommandInvalid => "COMMAND_INVALID",
            Self::ChannelError => "CHANNEL_ERROR",
            Self::UnexpectedFrame => "UNEXPECTED_FRAME",
            Self::ResourceError => "RESOURCE_ERROR",
            Self::NotAllowed => "NOT_ALLOWED",
            Self::NotImplemented => "NOT_IMPLEMENTED",
            Self::InternalError => "INTERNAL_ERROR",
        }
    }
}

impl From<ErrorKind> for ReplyCode {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::AccessRefused => Self::AccessRefused,
            ErrorKind::ResourceLocked => Self::ResourceLocked,
            ErrorKind::PreconditionFailed => Self::PreconditionFailed,
            ErrorKind::NotAllowed => Self::NotAllowed,
            ErrorKind::NotImplemented => Self::NotImplemented,
            ErrorKind::ResourceError => Self::ResourceError,
            ErrorKind::Internal => Self::InternalError,
        }
    }
}

/// The reason why a peer's channel or connection is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ReplyCode,
    reason: Reason,
    /// The method that failed; zeros if none.
    pub(crate) method: MethodId,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reason {
    Text(Box<str>),
    Broker(broker::Error),
}

impl Refusal {
    pub(crate) fn new(code: ReplyCode, text: impl Display) -> Self {
        Self::build(code, &text)
    }

    // There are many callers, and errors are rare: none of this is inlined.
    #[cold]
    #[inline(never)]
    fn build(code: ReplyCode, text: &dyn Display) -> Self {
        Self { code, reason: Reason::Text(text.to_string().into()), method: MethodId::default() }
    }

    /// Sets the method that failed, unless it is set already.
    #[cold]
    #[inline(never)]
    pub(crate) fn during(mut self, method: MethodId) -> Self {
        if self.method == MethodId::default() {
            self.method = method;
        }
        self
    }

    /// Returns the text for a peer in the virtual host of this name.
    pub(crate) fn reply_text(&self, virtual_host: &str) -> String {
        let reason = match &self.reason {
            Reason::Text(text) => text.to_string(),
            Reason::Broker(error) => error.in_virtual_host(virtual_host),
        };
        format!("{} - {reason}", self.code.name())
    }

    /// Returns whether a message is refused for want of memory, which there may be later.
    pub(crate) fn is_for_now(&self) -> bool {
        self.code == ReplyCode::ResourceError && self.method == MethodId::BASIC_PUBLISH
    }
}

impl From<Malformed> for Refusal {
    #[cold]
    #[inline(never)]
    fn from(malformed: Malformed) -> Self {
        Self::new(ReplyCode::SyntaxError, malformed)
    }
}

impl From<broker::Error> for Refusal {
    #[cold]
    #[inline(never)]
    fn from(error: broker::Error) -> Self {
        Self { code: error.kind().into(), reason: Reason::Broker(error), method: MethodId::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{Error, Resource};

    #[test]
    fn a_broker_error_becomes_code_and_text() {
        let refusal = Refusal::from(Error::NotFound(Resource::Queue, "x".into()));
        assert_eq!(refusal.code as u16, 404);
        assert_eq!(refusal.reply_text("/"), "NOT_FOUND - no queue 'x' in vhost '/'");
        assert!(refusal.code.spares_connection());
    }

    #[test]
    fn a_failed_journal_ends_the_connection() {
        let refusal = Refusal::from(Error::JournalFailed);
        assert_eq!(refusal.code as u16, 541);
        assert!(refusal.reply_text("/").starts_with("INTERNAL_ERROR - the journal has failed: "));
        assert!(!refusal.code.spares_connection());
    }

    #[test]
    fn the_first_method_named_stays() {
        let (a, b) = (MethodId { class: 1, method: 2 }, MethodId { class: 3, method: 4 });
        assert_eq!(Refusal::from(Malformed("bad")).during(a).during(b).method, a);
    }
}
