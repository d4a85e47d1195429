//! Confirms: publisher confirms of a channel, in the order of the messages, as few methods as possible.

use crate::protocol::amqp::frame::Outlet;
use crate::protocol::amqp::method::{BasicAck, BasicNack};

/// Number of messages published since confirm mode began, and the confirms that are not sent yet.
#[derive(Default)]
pub(crate) struct Confirms {
    published: u64,
    /// Confirms not sent yet: the last one, and one before that with the opposite outcome.
    untold: Option<Confirmation>,
    earlier: Vec<Confirmation>,
}

/// A confirm for consecutive messages with the same outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Confirmation {
    /// The number of the last of them.
    pub(crate) last: u64,
    pub(crate) count: u64,
    pub(crate) is_refused: bool,
}

impl Confirms {
    /// Adds a published message, which a queue may have refused.
    pub(crate) fn add(&mut self, is_refused: bool) {
        self.published += 1;
        let one = Confirmation { last: self.published, count: 1, is_refused };
        if !self.untold.as_mut().is_some_and(|before| before.absorb(one)) {
            self.earlier.extend(self.untold.replace(one));
        }
    }

    /// Calls `tell` with all confirms that are not sent yet.
    pub(crate) fn tell(&mut self, tell: impl FnMut(Confirmation)) {
        self.earlier.drain(..).chain(self.untold.take()).for_each(tell);
    }
}

impl Confirmation {
    /// Extends the confirm by the following messages, if their outcome is the same. Returns whether it is.
    pub(crate) fn absorb(&mut self, next: Self) -> bool {
        let is_same = self.is_refused == next.is_refused && self.last + next.count == next.last;
        if is_same {
            self.last = next.last;
            self.count += next.count;
        }
        is_same
    }

    /// Sends it as one method.
    pub(crate) fn send(self, outlet: &mut Outlet<'_>) {
        let (delivery_tag, multiple) = (self.last, self.count > 1);
        if self.is_refused {
            outlet.send(&BasicNack { delivery_tag, multiple, requeue: false });
        } else {
            outlet.send(&BasicAck { delivery_tag, multiple });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acks_and_nacks_leave_in_order_and_together_where_they_can() {
        let mut confirms = Confirms::default();
        for is_refused in [false, false, true, false] {
            confirms.add(is_refused);
        }
        let mut out = Vec::new();
        let mut outlet = Outlet { out: &mut out, channel: 1, frame_max: 8192 };
        confirms.tell(|confirmation| confirmation.send(&mut outlet));
        confirms.tell(|_| panic!("the client knows all"));
        let told: Vec<_> = out.chunks(21).map(|frame| (frame[10], frame[18], frame[19])).collect();
        assert_eq!(told, [(80, 2, 1), (120, 3, 0), (80, 4, 0)]);
    }

    #[test]
    fn only_what_follows_with_the_same_fate_is_absorbed() {
        let mut three = Confirmation { last: 3, count: 3, is_refused: false };
        assert!(!three.absorb(Confirmation { last: 4, count: 1, is_refused: true }));
        assert!(!three.absorb(Confirmation { last: 6, count: 2, is_refused: false }));
        assert!(three.absorb(Confirmation { last: 5, count: 2, is_refused: false }));
        assert_eq!(three, Confirmation { last: 5, count: 5, is_refused: false });
    }
}
