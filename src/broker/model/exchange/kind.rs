//! Kind: the types of exchange.

/// The types of exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// To bindings with the same routing key.
    Direct,
    /// To every binding.
    Fanout,
    /// To bindings whose pattern matches the routing key.
    Topic,
    /// To bindings whose arguments match the headers.
    Headers,
    /// To one binding, by a hash of the message's key; the binding's routing key is its weight.
    ConsistentHash,
    /// To one binding, at random.
    Random,
    /// As another type, which an argument names, after the delay that a message may request.
    Delayed,
}

impl ExchangeKind {
    pub(super) const ALL: [Self; 7] =
        [Self::Direct, Self::Fanout, Self::Topic, Self::Headers, Self::ConsistentHash, Self::Random, Self::Delayed];
    /// Names of all types.
    pub(crate) const NAMES: [&str; 7] =
        ["direct", "fanout", "topic", "headers", "x-consistent-hash", "x-random", "x-delayed-message"];

    /// Returns the type of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the name of the type.
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
