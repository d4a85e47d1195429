//! Confirms: what a client is told of the messages that it published, in their order and many at a time.

use crate::protocol::amqp::frame::Outlet;
use crate::protocol::amqp::method::{BasicAck, BasicNack};

/// How many messages were published since confirm mode began, and of how many the client knows.
#[derive(Default)]
pub(crate) struct Confirms {
    published: u64,
    /// What the client does not know of: the last of it, and what was before that, which had another fate.
    untold: Option<Confirmation>,
    earlier: Vec<Confirmation>,
}

/// Messages that follow each other, all with the same fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Confirmation {
    /// The number of the last of them.
    pub(crate) last: u64,
    pub(crate) count: u64,
    pub(crate) is_refused: bool,
}

impl Confirms {
    /// One more was published; a queue may have refused it.
    pub(crate) fn add(&mut self, is_refused: bool) {
        self.published += 1;
        let one = Confirmation { last: self.published, count: 1, is_refused };
        if !self.untold.as_mut().is_some_and(|before| before.absorb(one)) {
            self.earlier.extend(self.untold.replace(one));
        }
    }

    /// Tells of all that the client does not know of.
    pub(crate) fn tell(&mut self, tell: impl FnMut(Confirmation)) {
        self.earlier.drain(..).chain(self.untold.take()).for_each(tell);
    }
}

impl Confirmation {
    /// Adds the messages that follow, if their fate is the same. Whether it is.
    pub(crate) fn absorb(&mut self, next: Self) -> bool {
        let is_same = self.is_refused == next.is_refused && self.last + next.count == next.last;
        if is_same {
            self.last = next.last;
            self.count += next.count;
        }
        is_same
    }

    /// Tells the client, in one method.
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
