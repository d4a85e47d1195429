//! Broker: exchanges, queues and consumers, without any I/O, clock or chance of its own.
//!
//! # How to drive it
//!
//! Time, a seed and the peers' requests come in as arguments. The methods are of three kinds:
//!
//! - **Verbs** are what a peer asks on one of its channels: [`declare_queue`](Broker::declare_queue),
//!   [`publish`](Broker::publish), [`ack`](Broker::ack) and so on. They answer at once, and when they answer with an
//!   [`Error`] nothing has changed.
//! - **[`turn`](Broker::turn)** tells the time and does what is due; [`deadline_ms`](Broker::deadline_ms) answers when it
//!   wants to be called again.
//! - **[`poll`](Broker::poll)** hands out what is to be sent to consumers, one event at a time, until there is none.
//!   Nothing is delivered unless somebody polls: who does not, is never overrun.
//!
//! # Facts
//!
//! Exchanges, bindings, queues and messages form the *state*. It changes only by [`Record`]s, through
//! `State::apply`, which cannot fail. A verb checks what it was asked, then commits facts and goes on from the changed
//! state. Whoever [observes](Broker::observe) the facts and applies them to another broker has its twin.
//! Connections, channels, consumers and what is outstanding on them are *transient*: they end with their connection,
//! and no fact speaks of them.

mod durable;
mod model;
mod session;
mod verbs;

pub use durable::image::Image;
pub(crate) use durable::keeping::GONE;
pub use durable::keeping::Noted;
pub use model::error::{Error, ErrorKind, Resource};
pub use model::exchange::{Destination, ExchangeKind};
pub use model::message::Message;
pub(crate) use model::names::REPLY_TO;
pub use model::names::plain_name;
pub use model::pager::{Location, Pager};
pub use model::policy::{ApplyTo, Matcher, Policy};
pub use model::queue::Counters;
pub use model::record::Record;
pub use session::event::{Delivery, Event, Got};
pub use verbs::delivery::Consume;
pub use verbs::publishing::{Publication, Routed};
pub use verbs::report::{MessageReport, Owned, QueueReport, Report, Totals};
pub use verbs::topology::{Binding, ExchangeDeclaration, QueueDeclaration, QueueStatus};
pub use verbs::{Broker, Config};
