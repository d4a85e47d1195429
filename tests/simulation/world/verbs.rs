//! Verbs: what clients ask for, and what the ledger makes of it at once.

use std::rc::Rc;

use super::World;
use crate::client::{
    Awaited, Client, Consumer, Expected, Lease, Mode, Outcome, Step, Unconfirmed, declare_exchange, declare_queue,
    publish_frames,
};
use crate::ledger::{Checked, Ledger, Message};
use crate::mutations::Mutation;
use crate::peer::{self, call};
use crate::timeline::Turn;
use crate::topology::{BINDINGS, EXCHANGES, QUEUES};

impl World {
    pub fn await_answer(&mut self, client: usize, number: u16, id: (u16, u16)) {
        self.expect(client, number, Expected::Answer(id));
    }

    fn expect(&mut self, client: usize, number: u16, expected: Expected) {
        let channel = self.channel(client, number);
        let caused = channel.caused;
        channel.awaited.push_back(Awaited { expected, caused });
    }

    /// The channel has caused something that its next answer waits for.
    fn cause(&mut self, client: usize, number: u16, is_kept: bool) {
        let turn = self.clock.turn;
        // After a failure of the store nothing is kept any more.
        if is_kept && !self.has_failed() {
            self.ledger(client).caused = turn;
            self.channel(client, number).caused = turn;
        }
    }

    /// The channel's next answer rests on what anybody in the virtual host has caused.
    fn rest_on_all(&mut self, client: usize, number: u16) {
        if self.has_failed() {
            return;
        }
        let (turn, caused) = (self.clock.turn, self.ledger(client).caused);
        let channel = self.channel(client, number);
        channel.caused = channel.caused.max(caused);
        channel.rested = turn;
    }

    /// Makes a queue, unless there is one: they are all alike.
    pub fn declare(&mut self, client: usize, number: u16, queue: usize) {
        let clock = self.clock;
        let is_kept = self.ledger(client).declare_queue(queue, clock);
        let (least, most) = self.ledger(client).ready_counts(queue);
        self.cause(client, number, is_kept);
        self.rest_on_all(client, number);
        self.send(client, &declare_queue(&QUEUES[queue]).on(number));
        self.expect(client, number, Expected::Count((50, 11), least, most));
    }

    pub fn declare_exchange(&mut self, client: usize, number: u16, exchange: usize) {
        let clock = self.clock;
        let is_kept = self.ledger(client).declare_exchange(exchange, clock);
        self.cause(client, number, is_kept);
        self.rest_on_all(client, number);
        self.send(client, &declare_exchange(exchange).on(number));
        self.await_answer(client, number, (40, 11));
    }

    /// Asks whether a queue is there, and how many messages are ready in it.
    pub fn look_at_queue(&mut self, client: usize, number: u16, queue: usize) {
        self.rest_on_all(client, number);
        self.send(client, &peer::declare_queue(QUEUES[queue].name, 1).on(number));
        let (least, most) = self.ledger(client).ready_counts(queue);
        // What comes back may be more than a queue takes that refuses.
        let limit = QUEUES[queue].max_length.filter(|_| !QUEUES[queue].refuses).unwrap_or(usize::MAX);
        let exists = &self.ledger(client).queues[queue];
        let expected = if exists.must_be(|&exists| exists) {
            Expected::Count((50, 11), least.min(limit), most.min(limit))
        } else {
            Expected::NotFound
        };
        self.expect(client, number, expected);
    }

    pub fn look_at_exchange(&mut self, client: usize, number: u16, exchange: usize) {
        self.rest_on_all(client, number);
        let spec = &EXCHANGES[exchange];
        let passive = call(40, 10).short(0).text(spec.name).text(spec.kind).octet(1).bytes(b"");
        self.send(client, &passive.on(number));
        let exists = self.ledger(client).exchanges[exchange].must_be(|&exists| exists);
        self.expect(client, number, if exists { Expected::Answer((40, 11)) } else { Expected::NotFound });
    }

    pub fn bind(&mut self, client: usize, number: u16, binding: usize, is_bound: bool) {
        let clock = self.clock;
        let spec = &BINDINGS[binding];
        let is_kept = self.ledger(client).bind(binding, is_bound, clock);
        self.cause(client, number, is_kept);
        self.rest_on_all(client, number);
        let names = |call: peer::Call| call.short(0).text(QUEUES[spec.queue].name).text(spec.exchange).text(spec.key);
        let (frame, answer) = if is_bound {
            (names(call(50, 20)).octet(0).bytes(b""), (50, 21))
        } else {
            (names(call(50, 50)).bytes(b""), (50, 51))
        };
        self.send(client, &frame.on(number));
        self.await_answer(client, number, answer);
    }

    /// Deletes a queue, makes it anew and binds it as before.
    pub fn renew_queue(&mut self, client: usize, number: u16, queue: usize) {
        let clock = self.clock;
        let bound = |binding: &usize| BINDINGS[*binding].queue == queue;
        let bindings: Vec<_> = (0..BINDINGS.len()).filter(bound).collect();
        let (least, most) = self.ledger(client).delete_queue(queue, clock);
        let host = self.clients[client].host;
        for other in self.clients.iter_mut().filter(|other| other.host == host) {
            for channel in &mut other.channels {
                channel.consumers.retain(|consumer| consumer.queue != queue);
            }
        }
        self.cause(client, number, !QUEUES[queue].is_transient);
        self.rest_on_all(client, number);
        self.send(client, &call(50, 40).short(0).text(QUEUES[queue].name).octet(0).on(number));
        self.expect(client, number, Expected::Count((50, 41), least, most));
        self.declare(client, number, queue);
        bindings.into_iter().for_each(|binding| self.bind(client, number, binding, true));
    }

    pub fn purge(&mut self, client: usize, number: u16, queue: usize) {
        let clock = self.clock;
        let kept = |ledger: &Ledger| ledger.has_kept(queue);
        let is_kept = kept(self.ledger(client));
        let (least, most) = self.ledger(client).purge(queue, clock);
        self.cause(client, number, is_kept);
        self.rest_on_all(client, number);
        self.send(client, &call(50, 30).short(0).text(QUEUES[queue].name).octet(0).on(number));
        self.expect(client, number, Expected::Count((50, 31), least, most));
    }

    /// Publishes on a channel, as its mode says.
    pub fn publish(&mut self, client: usize, number: u16, message: &Rc<Message>) {
        self.publish_at(client, number, message, self.clock.turn);
    }

    /// As `publish`; a confirm says that what was done up to `turn` is durable.
    fn publish_at(&mut self, client: usize, number: u16, message: &Rc<Message>, turn: Turn) {
        if self.channel(client, number).mode == Mode::Transactions {
            if self.mutation != Some(Mutation::CommitsInParts) {
                self.send(client, &publish_frames(number, message));
            }
            self.channel(client, number).transaction.push(Step::Publish(Rc::clone(message)));
            return;
        }
        let clock = self.clock;
        let tokens = self.ledger(client).publish(message, clock);
        let ledger = self.ledger(client);
        let is_kept = tokens.iter().any(|&token| Ledger::keeps(ledger.tokens[token].origin, message));
        let may_be_refused = tokens.iter().any(|&token| QUEUES[ledger.tokens[token].origin].refuses);
        let channel = self.channel(client, number);
        let caused = channel.caused;
        if channel.mode == Mode::Confirms {
            channel.published += 1;
            let (tag, turn) = (channel.published, is_kept.then_some(turn));
            let message = Rc::clone(message);
            channel.unconfirmed.insert(tag, Unconfirmed { message, tokens, caused, turn });
        }
        self.cause(client, number, is_kept && !may_be_refused && turn == clock.turn);
        self.send(client, &publish_frames(number, message));
    }

    /// Sends what was not confirmed once more, after a connection was lost.
    pub(super) fn publish_again(&mut self, client: usize) {
        let number = self.clients[client].channels[0].number;
        for message in self.clients[client].publisher.unconfirmed.clone() {
            // It may have arrived, by what is not durable yet: then the confirm waits for that, and adds nothing.
            let caused = self.ledger(client).caused;
            self.publish_at(client, number, &message, caused);
            self.channel(client, number).rested = self.clock.turn;
        }
    }

    pub fn consume(&mut self, client: usize, number: u16, queue: usize, no_ack: bool) {
        let channel = self.channel(client, number);
        channel.consumed += 1;
        let tag = format!("{}-{}-{}", QUEUES[queue].name, number, channel.consumed);
        let prefetch = channel.prefetch;
        let consumer = Consumer { tag: tag.clone(), queue, no_ack, prefetch, ..Consumer::default() };
        channel.consumers.push(consumer);
        self.send(client, &peer::consume(QUEUES[queue].name, &tag, if no_ack { 2 } else { 0 }).on(number));
        self.await_answer(client, number, (60, 21));
    }

    pub fn cancel(&mut self, client: usize, number: u16) {
        let Some(consumer) = self.channel(client, number).consumers.last_mut().filter(|last| !last.is_leaving) else {
            return;
        };
        consumer.is_leaving = true;
        let tag = consumer.tag.clone();
        self.send(client, &call(60, 30).text(&tag).octet(0).on(number));
        self.await_answer(client, number, (60, 31));
    }

    /// Asks for one message, on a channel that waits for nothing else.
    pub fn get(&mut self, client: usize, number: u16, queue: usize, no_ack: bool) {
        self.send(client, &peer::get(QUEUES[queue].name, no_ack).on(number));
        self.expect(client, number, Expected::Got { queue, no_ack });
    }

    /// How many messages each later consumer may have unacked.
    pub fn set_prefetch(&mut self, client: usize, number: u16, prefetch: u16) {
        self.channel(client, number).prefetch = prefetch;
        self.send(client, &call(60, 10).long(0).short(prefetch).octet(0).on(number));
        self.await_answer(client, number, (60, 11));
    }

    /// Settles a delivery, or all up to it.
    pub fn settle(&mut self, client: usize, number: u16, tag: u64, is_multiple: bool, outcome: Outcome) {
        let channel = self.channel(client, number);
        let first = if is_multiple { 0 } else { tag };
        let meant = channel.leases.range_mut(first..=tag).filter(|(_, lease)| !lease.is_spoken_for);
        let is_open = channel.mode == Mode::Transactions;
        let mut tags = Vec::new();
        for (&tag, lease) in meant {
            lease.is_spoken_for = is_open;
            tags.push(tag);
        }
        for &tag in &tags {
            if is_open {
                channel.transaction.push(Step::Settle(tag, outcome));
            }
        }
        if !is_open {
            tags.into_iter().for_each(|tag| self.settle_one(client, number, tag, outcome));
        }
        let bits = u8::from(is_multiple);
        let frame = match outcome {
            Outcome::Acked => peer::ack(tag, is_multiple),
            Outcome::Rejected => call(60, 120).longlong(tag).octet(bits),
            Outcome::Requeued => call(60, 120).longlong(tag).octet(bits | 2),
        };
        self.send(client, &frame.on(number));
    }

    fn settle_one(&mut self, client: usize, number: u16, tag: u64, outcome: Outcome) {
        let clock = self.clock;
        let channel = self.channel(client, number);
        let Some(Lease { queue, token, consumer, .. }) = channel.leases.remove(&tag) else { return };
        if let Some(consumer) = consumer.and_then(|tag| channel.consumer_mut(&tag)) {
            consumer.unacked -= 1;
        }
        let ledger = self.ledger(client);
        if ledger.tokens[token].holder.is_none() {
            // The queue has gone meanwhile.
            return;
        }
        match outcome {
            Outcome::Acked => ledger.acked(token, queue, clock),
            Outcome::Rejected => ledger.rejected(token, queue, clock),
            Outcome::Requeued => ledger.requeued(token, queue, clock),
        }
        let is_kept = Ledger::keeps(queue, &ledger.tokens[token].message);
        self.cause(client, number, is_kept && outcome != Outcome::Requeued);
    }

    /// Does what the transaction was to do.
    pub fn commit(&mut self, client: usize, number: u16) {
        self.has_committed = true;
        let clock = self.clock;
        for step in std::mem::take(&mut self.channel(client, number).transaction) {
            match step {
                Step::Settle(tag, outcome) => self.settle_one(client, number, tag, outcome),
                Step::Publish(message) => {
                    let ledger = self.ledger(client);
                    let tokens = ledger.publish(&message, clock);
                    let is_kept = tokens.iter().any(|&token| Ledger::keeps(ledger.tokens[token].origin, &message));
                    self.cause(client, number, is_kept);
                    if self.mutation == Some(Mutation::CommitsInParts) {
                        self.send(client, &publish_frames(number, &message));
                        self.end_commit(client, number);
                        self.server.turn(clock.now_ms, &mut ());
                    }
                }
            }
        }
        self.end_commit(client, number);
    }

    fn end_commit(&mut self, client: usize, number: u16) {
        self.rest_on_all(client, number);
        self.send(client, &call(90, 20).on(number));
        self.await_answer(client, number, (90, 21));
    }

    pub fn roll_back(&mut self, client: usize, number: u16) {
        let channel = self.channel(client, number);
        channel.transaction.clear();
        channel.leases.values_mut().for_each(|lease| lease.is_spoken_for = false);
        self.send(client, &call(90, 30).on(number));
        self.await_answer(client, number, (90, 31));
    }

    /// Closes a channel, and opens another one like it.
    pub fn close_channel(&mut self, client: usize, number: u16) {
        let mode = self.channel(client, number).mode;
        self.send(client, &peer::close_channel().on(number));
        self.leave_channel(client, number);
        self.open_channel(client, mode);
    }

    /// A channel is gone: what it held is ready again.
    pub(super) fn leave_channel(&mut self, client: usize, number: u16) {
        let tags: Vec<_> = self.channel(client, number).leases.keys().copied().collect();
        tags.into_iter().for_each(|tag| self.settle_one(client, number, tag, Outcome::Requeued));
        self.clients[client].channels.retain(|channel| channel.number != number);
    }

    /// A connection is gone.
    pub(super) fn leave(&mut self, client: usize) {
        let numbers: Vec<_> = self.clients[client].channels.iter().map(|channel| channel.number).collect();
        numbers.into_iter().for_each(|number| self.leave_channel(client, number));
    }

    /// A client's connection breaks.
    pub fn disconnect(&mut self, client: usize) -> Client {
        self.server.disconnected(self.clients[client].transport);
        self.leave(client);
        self.clients.remove(client)
    }

    /// A client's connection breaks, and it comes back.
    pub fn reconnect(&mut self, client: usize) -> Checked {
        let gone = self.disconnect(client);
        self.turn()?;
        self.join(gone.host, gone.publisher)
    }
}
