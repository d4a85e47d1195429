//! Confirms: what a client is told of the messages that it published, in their order and many at a time.

use crate::protocol::amqp::frame::Outlet;
use crate::protocol::amqp::method::{BasicAck, BasicNack};

/// How many messages were published since confirm mode began, and of how many the client knows.
#[derive(Default)]
pub(crate) struct Confirms {
    published: u64,
    told: u64,
    /// What becomes of those that the client does not know of: all have the same fate.
    is_refusing: bool,
}

impl Confirms {
    /// One more was published; a queue may have refused it.
    pub(crate) fn add(&mut self, is_refused: bool, outlet: &mut Outlet<'_>) {
        if self.is_refusing != is_refused {
            self.tell(outlet);
            self.is_refusing = is_refused;
        }
        self.published += 1;
    }

    /// Tells the client of all that it does not know of, in one method.
    pub(crate) fn tell(&mut self, outlet: &mut Outlet<'_>) {
        let count = self.published - self.told;
        if count == 0 {
            return;
        }
        let (delivery_tag, multiple) = (self.published, count > 1);
        if self.is_refusing {
            outlet.send(&BasicNack { delivery_tag, multiple, requeue: false });
        } else {
            outlet.send(&BasicAck { delivery_tag, multiple });
        }
        self.told = self.published;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_and_nacks_leave_in_order_and_together_where_they_can() {
        let mut out = Vec::new();
        let mut outlet = Outlet { out: &mut out, channel: 1, frame_max: 8192 };
        let mut confirms = Confirms::default();
        for is_refused in [false, false, true, false] {
            confirms.add(is_refused, &mut outlet);
        }
        confirms.tell(&mut outlet);
        confirms.tell(&mut outlet);
        let told: Vec<_> = out.chunks(21).map(|frame| (frame[10], frame[18], frame[19])).collect();
        assert_eq!(told, [(80, 2, 1), (120, 3, 0), (80, 4, 0)]);
    }
}
