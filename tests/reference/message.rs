//! Message: a published message, for the reference and the tests' commands.

/// A message without its place in a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    pub exchange: String,
    pub key: String,
    pub body: Vec<u8>,
    pub cc: Vec<String>,
    pub bcc: Vec<String>,
    pub expiration: Option<String>,
    pub priority: Option<u8>,
    /// The header `h`, for headers exchanges.
    pub header: Option<i64>,
    pub delay: Option<i64>,
    pub deduplication: Option<String>,
    pub deaths: Vec<Death>,
    pub first_death: Option<DeathPlace>,
    pub last_death: Option<DeathPlace>,
}

/// Queue, reason and exchange.
pub type DeathPlace = (String, String, String);

/// An entry of `x-death`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Death {
    pub count: i64,
    pub reason: String,
    pub queue: String,
    pub time: u64,
    pub exchange: String,
    pub keys: Vec<String>,
    pub original_expiration: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Rejected,
    Expired,
    MaxLength,
    DeliveryLimit,
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::MaxLength => "maxlen",
            Self::DeliveryLimit => "delivery_limit",
        }
    }
}

impl Content {
    /// Returns the routing key and those that headers add.
    pub fn keys(&self) -> Vec<&str> {
        [&self.key].into_iter().chain(&self.cc).chain(&self.bcc).map(String::as_str).collect()
    }

    /// Returns its dead letter from this queue, before the exchange and routing key are set.
    pub fn died(mut self, queue: &str, reason: Reason, now_ms: u64) -> Self {
        let keys = [&self.key].into_iter().chain(&self.cc).cloned().collect();
        let place = (queue.to_owned(), reason.name().to_owned(), self.exchange.clone());
        let known = |death: &Death| death.queue == queue && death.reason == reason.name();
        let death = match self.deaths.iter().position(known) {
            Some(index) => {
                let earlier = self.deaths.remove(index);
                Death { count: earlier.count + 1, ..earlier }
            }
            None => Death {
                count: 1,
                reason: reason.name().into(),
                queue: queue.into(),
                time: now_ms / 1000,
                exchange: self.exchange.clone(),
                keys,
                original_expiration: self.expiration.clone(),
            },
        };
        self.deaths.insert(0, death);
        self.first_death.get_or_insert_with(|| place.clone());
        self.last_death = Some(place);
        self.expiration = None;
        self
    }

    /// Whether it was in this queue before, and no consumer has rejected it since.
    pub fn is_cycle(&self, queue: &str) -> bool {
        let Some(index) = self.deaths.iter().position(|death| death.queue == queue) else { return false };
        self.deaths[..=index].iter().all(|death| death.reason != Reason::Rejected.name())
    }
}
