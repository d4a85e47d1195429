//! Due: what the broker set a timer for.

use crate::id::{ChannelId, QueueId};

/// What a timer is set for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// A delivery is taken back.
    TakeBack(ChannelId, u64),
    /// A consumer should have acked by now; how long it had.
    AckTimeout(ChannelId, u64, u64),
    /// The head of a queue may have expired.
    Expiry(QueueId),
    /// A queue may have been unused for too long.
    Disuse(QueueId),
    /// A message that was refused for a while is ready again.
    Return(QueueId, u64),
    /// A message goes on from its exchange.
    Delay(u64),
}
