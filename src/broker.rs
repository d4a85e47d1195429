//! Broker: exchanges, queues and consumers, without I/O, a clock or randomness.
//!
//! # How to drive it
//!
//! Time, a seed and the peers' requests come in as arguments. The methods are of three kinds:
//!
//! - **Verbs** are what a peer requests on one of its channels: [`declare_queue`](Broker::declare_queue),
//!   [`publish`](Broker::publish), [`ack`](Broker::ack) and so on. They return at once, and when they return an
//!   [`Error`] nothing has changed.
//! - **[`turn`](Broker::turn)** sets the time and does what is due; [`deadline_ms`](Broker::deadline_ms) returns when it
//!   wants to be called again.
//! - **[`poll`](Broker::poll)** returns what is to be sent to consumers, one event at a time, until there is none.
//!   Nothing is delivered unless the caller polls, so a caller that does not poll is never overrun.
//!
//! # Facts
//!
//! Exchanges, bindings, queues and messages form the *state*. It changes only by [`Record`]s, through `State::apply`,
//! which cannot fail. A verb checks the request, then commits facts and continues with the changed state. Applying the
//! [observed](Broker::observe) facts to another broker makes it equal to this one, its twin. Connections, channels,
//! consumers and their unacked deliveries are *transient*: they end with their connection, and no fact mentions them.

mod durable;
mod model;
mod session;
mod verbs;

pub use durable::image::Image;
pub(crate) use durable::recorder::GONE;
pub(crate) use model::arguments::alternate_exchange;
pub use model::error::{Error, ErrorKind, Resource};
pub use model::exchange::{Destination, ExchangeKind};
pub use model::message::Message;
pub(crate) use model::names::REPLY_TO;
pub use model::names::plain_name;
pub use model::pager::{Location, Pager};
pub use model::policy::{ApplyTo, Matcher, Policy};
pub use model::queue::Counters;
pub use model::record::Record;
pub use model::recorder::Noted;
pub(crate) use model::settings::DEAD_LETTER_EXCHANGE;
pub use model::settings::TYPESCRIPT as ARGUMENT_TYPES;
pub use session::event::{Delivery, Event, Got};
pub use verbs::delivery::Consume;
pub use verbs::publishing::{Publication, Routed};
pub use verbs::report::{MessageReport, Owned, QueueReport, Report, Totals};
pub use verbs::topology::{Binding, ExchangeDeclaration, QueueDeclaration, QueueStatus};
pub use verbs::{Broker, Config};
