//! Publishers: those that number their messages are remembered for a time, as far as memory allows.

use super::Broker;
use crate::broker::model::error::Error;
use crate::broker::model::names;
use crate::broker::model::publisher::{self, Ids, PUBLISHER_BYTES};
use crate::broker::model::record::Record;
use crate::properties::Properties;

/// Fraction of the memory limit that publishers may take: one in this many.
const MEMORY_SHARE: usize = 8;

impl Broker {
    /// Forgets publishers that have not published for long enough.
    pub(super) fn forget_publishers(&mut self) {
        if let Some(until_ms) = self.state.publishers().outdated(self.now_ms) {
            self.commit(&Record::PublishersForgotten { until_ms });
        }
    }

    /// Checks that there is room to remember the publishers of further messages.
    ///
    /// # Errors
    /// When there is not.
    pub fn check_publishers(&self, messages: &mut dyn Iterator<Item = Properties<'_>>) -> Result<(), Error> {
        let publishers = self.state.publishers();
        let mut new = Ids::default();
        for properties in messages.filter(|&properties| names::tell_broker(properties)) {
            if let Some(id) = publisher::id_of(properties).filter(|id| !publishers.is_known(id)) {
                new.insert(id.into_boxed_bytes());
            }
        }
        let more_bytes: usize = new.iter().map(|id| id.len() + PUBLISHER_BYTES).sum();
        if more_bytes > 0 && publishers.memory_bytes() + more_bytes > self.limits.memory_max_bytes / MEMORY_SHARE {
            return Err(Error::PublisherLimit(publishers.len()));
        }
        Ok(())
    }
}
