//! Broker: exchanges, queues and consumers, without I/O, a clock or randomness.

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
