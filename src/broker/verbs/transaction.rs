//! Transaction: messages that a channel publishes and settles take effect together, or not at all.
//!
//! Until the commit nothing has happened: published messages wait, and settled deliveries still count as unacked. A
//! rollback drops the former and restores the latter, under their old delivery tags.

use super::Broker;
use super::publishing::Routed;
use crate::broker::model::error::Error;
use crate::broker::model::message::Message;
use crate::broker::model::place::Place;
use crate::broker::session::channel::{Outcome, Transaction};
use crate::id::ChannelId;

impl Broker {
    /// Puts a channel into transaction mode for good, and begins its first transaction.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn select_transaction(&mut self, channel: ChannelId) {
        self.channel_mut(channel).transaction.get_or_insert_default();
    }

    /// Publishes and settles what the transaction recorded, begins the next one, and returns the mandatory messages
    /// that were unroutable.
    ///
    /// # Errors
    /// When the channel has no transaction; when it settles messages that are kept, and nothing can be kept any more;
    /// when there is no room to remember its publishers; and, although everything else was done, when a full queue
    /// refused a message.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn commit_transaction(&mut self, channel: ChannelId) -> Result<Vec<Message>, Error> {
        self.check_keeping(self.settles_kept(channel))?;
        let held = self.channel(channel).transaction.iter().flat_map(|transaction| &transaction.published);
        self.check_publishers(&mut held.map(|(message, _)| message.properties()))?;
        let Transaction { published, settled } = self.take_transaction(channel)?;
        let (mut returned, mut is_partial) = (Vec::new(), false);
        for (message, is_mandatory) in published {
            self.release(message.placed_bytes());
            let unroutable = is_mandatory.then(|| message.share());
            // A share that outlived the message's last queue would keep it counted, so it is dropped before queues are
            // tended.
            match (self.send_once(message), unroutable) {
                (Routed::Queued(0), Some(unroutable)) => returned.push(unroutable),
                (Routed::Refused, _) => is_partial = true,
                _ => {}
            }
            self.tend_changed();
        }
        for (_, outstanding, outcome) in settled {
            self.settle_one(channel, &outstanding, outcome);
        }
        self.tend_changed();
        if is_partial { Err(Error::PartialTransaction) } else { Ok(returned) }
    }

    /// Drops what the transaction recorded, and begins the next one: settled deliveries are unacked again.
    ///
    /// # Errors
    /// When the channel has no transaction.
    ///
    /// # Panics
    /// When the channel is not open.
    pub fn rollback_transaction(&mut self, channel: ChannelId) -> Result<(), Error> {
        let Transaction { published, settled } = self.take_transaction(channel)?;
        published.iter().for_each(|(message, _)| self.release(message.placed_bytes()));
        for (delivery_tag, outstanding, _) in settled {
            self.channel_mut(channel).unacked.insert(delivery_tag, outstanding);
            self.watch_ack(channel, delivery_tag);
        }
        Ok(())
    }

    /// Returns whether the transaction removes messages from queues that keep them.
    fn settles_kept(&self, channel: ChannelId) -> bool {
        let settled = self.channel(channel).transaction.iter().flat_map(|transaction| &transaction.settled);
        let mut places = settled.map(|(_, settled, outcome)| (settled.queue, settled.position, *outcome));
        places.any(|(queue, position, outcome)| {
            outcome != Outcome::Requeued && self.state.kept_at(Place::Queue(queue, position)).is_some()
        })
    }

    fn take_transaction(&mut self, channel: ChannelId) -> Result<Transaction, Error> {
        let transaction = self.channel_mut(channel).transaction.as_deref_mut();
        transaction.map(std::mem::take).ok_or(Error::NotTransactional)
    }
}
