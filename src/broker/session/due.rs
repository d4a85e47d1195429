//! Due: the reasons for which the broker sets timers.

use crate::id::{ChannelId, QueueId};

/// Reason for a timer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// A delivery reaches its deadline and is requeued.
    TakeBack(ChannelId, u64),
    /// A consumer has not acked in time; the last field is the time that it had.
    AckTimeout(ChannelId, u64, u64),
    /// The head of a queue may have expired.
    Expiry(QueueId),
    /// A queue may have been unused for too long.
    Disuse(QueueId),
    /// A message that was rejected for a while is ready again.
    Return(QueueId, u64),
    /// A delayed message is routed.
    Delay(u64),
}
