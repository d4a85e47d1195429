//! Kind: the types of exchange.

/// The types of exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// Routing key equal to the binding's.
    Direct,
    /// Every binding.
    Fanout,
    /// Routing key matches the binding's pattern.
    Topic,
    /// Headers match the binding's arguments.
    Headers,
    /// One binding, by what the message says; the binding's routing key is its weight.
    ConsistentHash,
    /// One binding, by chance.
    Random,
    /// As another type, which an argument names, but a message may say that it is to be routed later.
    Delayed,
}

impl ExchangeKind {
    pub(super) const ALL: [Self; 7] =
        [Self::Direct, Self::Fanout, Self::Topic, Self::Headers, Self::ConsistentHash, Self::Random, Self::Delayed];
    /// The names of all types.
    pub(crate) const NAMES: [&str; 7] =
        ["direct", "fanout", "topic", "headers", "x-consistent-hash", "x-random", "x-delayed-message"];

    /// The type of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_has_its_name() {
        for (kind, name) in ExchangeKind::ALL.into_iter().zip(ExchangeKind::NAMES) {
            assert_eq!((kind.name(), ExchangeKind::named(name)), (name, Some(kind)));
        }
        assert!(ExchangeKind::named("x-unknown").is_none());
    }
}
