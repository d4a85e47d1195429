//! Names: the names of queues and headers that mean something to the broker.

use std::borrow::Cow;

use super::error::Error;
use crate::properties::Properties;

/// Alias of a channel's reply queue; with a dot and an ending, the address of such a queue.
pub(crate) const REPLY_TO: &str = "amq.rabbitmq.reply-to";

pub(crate) const CC: &str = "CC";
pub(crate) const BCC: &str = "BCC";
pub(crate) const DELAY: &str = "x-delay";
pub(crate) const DEATHS: &str = "x-death";
pub(crate) const PUBLISHER_ID: &str = "x-publisher-id";

/// Properties of a message that follow from the names of its headers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    /// Whether it has headers that make the broker do more than route it by its key.
    pub(crate) tells_broker: bool,
    /// Whether it has headers about deaths.
    pub(crate) has_deaths: bool,
}

/// Returns the name of a queue or an exchange without its line breaks, as RabbitMQ uses it when it declares, binds or
/// deletes.
#[must_use]
pub fn plain_name(name: &str) -> Cow<'_, str> {
    if name.contains(['\r', '\n']) { Cow::Owned(name.replace(['\r', '\n'], "")) } else { Cow::Borrowed(name) }
}

/// Returns whether this is the name of a reply queue, which the broker made.
pub(crate) fn is_reply_address(name: &str) -> bool {
    name.strip_prefix(REPLY_TO).is_some_and(|ending| ending.starts_with('.'))
}

/// Checks that a name fits into a short string.
pub(crate) fn check_short(what: &'static str, name: &str) -> Result<(), Error> {
    if name.len() > 255 { Err(Error::TooLong(what)) } else { Ok(()) }
}

/// Checks the names of all headers, once. Most messages have none.
#[inline]
pub(crate) fn told(properties: Properties<'_>) -> Told {
    if properties.has_headers() { told_by_headers(properties) } else { Told::default() }
}

#[inline(never)]
fn told_by_headers(properties: Properties<'_>) -> Told {
    let mut told = Told::default();
    for header in properties.header_names() {
        let is = |name: &str| name.as_bytes() == header;
        told.tells_broker |= [CC, BCC, DELAY, PUBLISHER_ID].into_iter().any(is);
        told.has_deaths |= is(DEATHS);
    }
    told
}

/// Returns whether a message has headers that make the broker do more than route it by its key.
pub(crate) fn tell_broker(properties: Properties<'_>) -> bool {
    told(properties).tells_broker
}
