//! Facts: the records that the broker's observer gets, in the terms of the reference.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pocketmq::broker::{Broker, Record};
use pocketmq::id::QueueId;

use super::reference::following::{Fact, Publication};
use super::words::read;

/// Facts since the last `take`.
#[derive(Default)]
pub struct Log {
    names: HashMap<QueueId, String>,
    before: Vec<Fact>,
    after: Vec<Fact>,
    /// Whether a message was delivered; later facts come after it.
    was_handed_over: bool,
}

/// The log, shared with the broker's observer.
#[derive(Clone)]
pub struct Facts {
    log: Rc<RefCell<Log>>,
    pub twin: Rc<RefCell<Broker>>,
}

impl Facts {
    /// Observes this broker, and lets the twin follow.
    pub fn of(broker: &mut Broker, twin: Broker) -> Self {
        let facts = Self { log: Rc::default(), twin: Rc::new(RefCell::new(twin)) };
        let (log, twin) = (Rc::clone(&facts.log), Rc::clone(&facts.twin));
        broker.observe(move |record| {
            twin.borrow_mut().apply(record);
            log.borrow_mut().note(record);
        });
        facts
    }

    /// Returns the facts before the delivery, and those after it.
    pub fn take(&self) -> (Vec<Fact>, Vec<Fact>) {
        let mut log = self.log.borrow_mut();
        log.was_handed_over = false;
        (std::mem::take(&mut log.before), std::mem::take(&mut log.after))
    }
}

impl Log {
    fn note(&mut self, record: &Record<'_>) {
        let fact = match *record {
            Record::QueueDeclared { queue, name, .. } => {
                self.names.insert(queue, name.into());
                return;
            }
            Record::Delivered { .. } | Record::Taken { .. } => {
                assert!(!self.was_handed_over, "one message is handed over at a time");
                self.was_handed_over = true;
                return;
            }
            Record::Published { message, queues } => {
                let mut queues: Vec<_> = queues.iter().map(|queue| self.names[queue].clone()).collect();
                queues.sort();
                Fact::Published(Box::new(Publication { content: read(message).0, queues }))
            }
            Record::Settled { queue, position } | Record::Dropped { queue, position } => {
                Fact::Removed(self.names[&queue].clone(), position)
            }
            Record::Requeued { queue, position } => Fact::Requeued(self.names[&queue].clone(), position),
            Record::QueueDeleted { queue } => Fact::QueueDeleted(self.names[&queue].clone()),
            Record::DelayOver { number } => Fact::DelayOver(number),
            _ => return,
        };
        if self.was_handed_over { &mut self.after } else { &mut self.before }.push(fact);
    }
}
