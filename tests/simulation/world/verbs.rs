//! Verbs: the clients' requests, and their immediate effects on the ledger.

use std::rc::Rc;

use super::World;
use crate::client::{
    Cause, Client, Consumer, Expected, Lease, Mode, Outcome, Step, Unconfirmed, binding_arguments, declare_exchange,
    declare_queue, publish_frames,
};
use crate::ledger::{Checked, Ledger, Message, Published};
use crate::mutations::Mutation;
use crate::peer::{self, call};
use crate::timeline::Turn;
use crate::topology::{BINDINGS, EXCHANGES, PARTED, PARTITIONS_MAX, QUEUES, Target};

impl World {
    pub fn await_answer(&mut self, client: usize, number: u16, id: (u16, u16)) {
        self.expect(client, number, Expected::Answer(id));
    }

    /// Expects a reply that depends on this channel's changes alone.
    fn expect(&mut self, client: usize, number: u16, expected: Expected) {
        let channel = self.channel(client, number);
        channel.expect(expected, channel.caused);
    }

    /// Expects a reply that depends on all changes in the virtual host.
    fn expect_of_all(&mut self, client: usize, number: u16, expected: Expected) {
        let caused = self.ledger(client).caused;
        self.rest_on(client, number, caused);
        self.expect(client, number, expected);
    }

    /// The channel has caused something that its next reply waits for.
    fn cause(&mut self, client: usize, number: u16, cause: Cause, is_durable: bool) {
        // After a failure of the store nothing is durable any more.
        if is_durable && !self.has_failed() {
            let turn = self.clock.turn;
            self.ledger(client).caused = turn;
            let channel = self.channel(client, number);
            channel.caused = turn;
            channel.causes.push((turn, cause));
        }
    }

    /// The next replies on a channel depend on a change of another client in this turn.
    fn rest_on(&mut self, client: usize, number: u16, turn: Turn) {
        // Changes that were lost as the store failed cannot be waited for.
        let has_failed = self.has_failed();
        let channel = self.channel(client, number);
        if turn > channel.caused && !has_failed {
            channel.caused = turn;
            channel.causes.push((turn, Cause::Others));
        }
    }

    /// Declares a queue, unless it exists: all declarations are equal.
    pub fn declare(&mut self, client: usize, number: u16, queue: usize) {
        let clock = self.clock;
        let is_durable = self.ledger(client).declare_queue(queue, clock);
        let (least, most) = self.ledger(client).ready_counts(queue);
        self.cause(client, number, Cause::Declared, is_durable);
        self.send(client, &declare_queue(&QUEUES[queue], QUEUES[queue].partitions).on(number));
        self.expect_of_all(client, number, Expected::Count((50, 11), least, most));
    }

    /// Gives the queue that grows more partitions, on a channel of its own: it may be closed.
    pub fn grow(&mut self, client: usize) {
        let clock = self.clock;
        let ledger = self.ledger(client);
        let known = ledger.partitions.states().copied().max().unwrap_or(0);
        let exists = ledger.queues[PARTED].must_be(|&exists| exists);
        let count = PARTITIONS_MAX.min(known + 1 + self.random.below(2) as u32);
        if count == known || !exists {
            return;
        }
        let number = self.open_channel(client, Mode::Plain);
        self.ledger(client).grow(count, clock);
        self.send(client, &declare_queue(&QUEUES[PARTED], Some(count)).on(number));
        self.expect_of_all(client, number, Expected::Grown);
    }

    pub fn declare_exchange(&mut self, client: usize, number: u16, exchange: usize) {
        let clock = self.clock;
        let is_durable = self.ledger(client).declare_exchange(exchange, clock);
        self.cause(client, number, Cause::Declared, is_durable);
        self.send(client, &declare_exchange(exchange).on(number));
        self.expect_of_all(client, number, Expected::Answer((40, 11)));
    }

    pub fn delete_exchange(&mut self, client: usize, number: u16, exchange: usize) {
        let clock = self.clock;
        let is_durable = self.ledger(client).delete_exchange(exchange, clock);
        self.cause(client, number, Cause::Deleted, is_durable);
        self.send(client, &call(40, 20).short(0).text(EXCHANGES[exchange].name).octet(0).on(number));
        self.expect_of_all(client, number, Expected::Answer((40, 21)));
    }

    /// Deletes an exchange, declares it again and perhaps restores its bindings.
    pub fn renew_exchange(&mut self, client: usize, number: u16, exchange: usize) -> Checked {
        let ledger = self.ledger(client);
        let is_bound = |binding: &usize| ledger.bindings[*binding].may_be(|&is_bound| is_bound);
        let uses = |binding: &usize| BINDINGS[*binding].uses(exchange);
        let bindings: Vec<_> = (0..BINDINGS.len()).filter(uses).filter(is_bound).collect();
        self.delete_exchange(client, number, exchange);
        self.turn()?;
        if !self.is_open(client, number) {
            return Ok(());
        }
        self.declare_exchange(client, number, exchange);
        for binding in bindings {
            if self.random.chance(50) {
                self.bind(client, number, binding, true);
            }
        }
        Ok(())
    }

    /// Requests whether a queue exists, and its message count.
    pub fn look_at_queue(&mut self, client: usize, number: u16, queue: usize) {
        self.send(client, &peer::declare_queue(QUEUES[queue].name, 1).on(number));
        let (least, most) = self.ledger(client).ready_counts(queue);
        // Requeued messages may exceed the limit of a queue that refuses.
        let limit = QUEUES[queue].max_length.filter(|_| !QUEUES[queue].refuses).unwrap_or(usize::MAX);
        let exists = &self.ledger(client).queues[queue];
        let expected = if exists.must_be(|&exists| exists) {
            Expected::Count((50, 11), least.min(limit), most.min(limit))
        } else {
            Expected::NotFound
        };
        self.expect_of_all(client, number, expected);
    }

    pub fn look_at_exchange(&mut self, client: usize, number: u16, exchange: usize) {
        let spec = &EXCHANGES[exchange];
        let passive = call(40, 10).short(0).text(spec.name).text(spec.kind).octet(1).bytes(b"");
        self.send(client, &passive.on(number));
        let exists = self.ledger(client).exchanges[exchange].must_be(|&exists| exists);
        self.expect_of_all(client, number, if exists { Expected::Answer((40, 11)) } else { Expected::NotFound });
    }

    pub fn bind(&mut self, client: usize, number: u16, binding: usize, is_bound: bool) {
        let clock = self.clock;
        let spec = &BINDINGS[binding];
        let is_durable = self.ledger(client).bind(binding, is_bound, clock);
        self.cause(client, number, if is_bound { Cause::Bound } else { Cause::Unbound }, is_durable);
        let (name, method, answer) = match (spec.target, is_bound) {
            (Target::Queue(queue), true) => (QUEUES[queue].name, (50, 20), (50, 21)),
            (Target::Queue(queue), false) => (QUEUES[queue].name, (50, 50), (50, 51)),
            (Target::Exchange(name), true) => (name, (40, 30), (40, 31)),
            (Target::Exchange(name), false) => (name, (40, 40), (40, 51)),
        };
        let names = call(method.0, method.1).short(0).text(name).text(spec.exchange).text(spec.key);
        // Only queue.unbind always has a reply, and no no-wait bit.
        let names = if method == (50, 50) { names } else { names.octet(0) };
        self.send(client, &names.bytes(&binding_arguments(spec)).on(number));
        self.expect_of_all(client, number, Expected::Answer(answer));
    }

    pub fn delete_queue(&mut self, client: usize, number: u16, queue: usize) {
        let clock = self.clock;
        let (least, most) = self.ledger(client).delete_queue(queue, clock);
        let host = self.clients[client].host;
        for other in self.clients.iter_mut().filter(|other| other.host == host) {
            for channel in &mut other.channels {
                channel.consumers.retain(|consumer| consumer.queue != queue);
            }
        }
        self.cause(client, number, Cause::Deleted, !QUEUES[queue].is_transient);
        self.send(client, &call(50, 40).short(0).text(QUEUES[queue].name).octet(0).on(number));
        self.expect_of_all(client, number, Expected::Count((50, 41), least, most));
    }

    /// Deletes a queue, declares it again and restores its bindings.
    pub fn renew_queue(&mut self, client: usize, number: u16, queue: usize) -> Checked {
        let bound = |binding: &usize| BINDINGS[*binding].target == Target::Queue(queue);
        let bindings: Vec<_> = (0..BINDINGS.len()).filter(bound).collect();
        self.delete_queue(client, number, queue);
        self.turn()?;
        if !self.is_open(client, number) {
            return Ok(());
        }
        self.declare(client, number, queue);
        bindings.into_iter().for_each(|binding| self.bind(client, number, binding, true));
        Ok(())
    }

    pub fn purge(&mut self, client: usize, number: u16, queue: usize) {
        let clock = self.clock;
        let has_durable = |ledger: &Ledger| ledger.has_durable(queue);
        let is_durable = has_durable(self.ledger(client));
        let (least, most) = self.ledger(client).purge(queue, clock);
        self.cause(client, number, Cause::Purged, is_durable);
        self.send(client, &call(50, 30).short(0).text(QUEUES[queue].name).octet(0).on(number));
        self.expect_of_all(client, number, Expected::Count((50, 31), least, most));
    }

    /// Publishes on a channel, by its mode.
    pub fn publish(&mut self, client: usize, number: u16, message: &Rc<Message>) {
        if self.channel(client, number).mode == Mode::Transactions {
            if self.mutation != Some(Mutation::CommitsInParts) {
                self.send(client, &publish_frames(number, message));
            }
            self.channel(client, number).transaction.push(Step::Publish(Rc::clone(message)));
            return;
        }
        let clock = self.clock;
        let Published { tokens, rests_on, is_durable, is_repeat } = self.ledger(client).publish(message, clock);
        let ledger = self.ledger(client);
        let may_be_refused = tokens.iter().any(|&token| QUEUES[ledger.tokens[token].origin].refuses);
        let channel = self.channel(client, number);
        let caused = channel.caused;
        if channel.mode == Mode::Confirms {
            channel.published += 1;
            let message = Rc::clone(message);
            channel.unconfirmed.insert(channel.published, Unconfirmed { message, tokens, caused, rests_on });
        } else if is_repeat || may_be_refused {
            channel.doubt();
        }
        self.cause(client, number, Cause::Published, is_durable && !may_be_refused);
        self.rest_on(client, number, if is_repeat { rests_on } else { 0 });
        self.send(client, &publish_frames(number, message));
    }

    /// Publishes unconfirmed messages again after a connection was lost; or more, like a publisher that crashed as well
    /// and resumes from its last known position.
    pub(super) fn publish_again(&mut self, client: usize) {
        let number = self.clients[client].channels[0].number;
        let more = if self.random.chance(50) { self.random.below(40) } else { 0 };
        for message in self.clients[client].publisher.repeated(more) {
            self.publish(client, number, &message);
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

    /// Gets one message, on a channel that awaits nothing else.
    pub fn get(&mut self, client: usize, number: u16, queue: usize, no_ack: bool) {
        self.send(client, &peer::get(QUEUES[queue].name, no_ack).on(number));
        self.expect(client, number, Expected::Got { queue, no_ack });
    }

    /// Sets the prefetch of each later consumer.
    pub fn set_prefetch(&mut self, client: usize, number: u16, prefetch: u16) {
        self.channel(client, number).prefetch = prefetch;
        self.send(client, &call(60, 10).long(0).short(prefetch).octet(0).on(number));
        self.await_answer(client, number, (60, 11));
    }

    /// Settles a delivery, or all up to it.
    pub fn settle(&mut self, client: usize, number: u16, tag: u64, is_multiple: bool, outcome: Outcome) {
        let channel = self.channel(client, number);
        let first = if is_multiple { 0 } else { tag };
        let meant = channel.leases.range_mut(first..=tag).filter(|(_, lease)| !lease.is_in_transaction);
        let is_open = channel.mode == Mode::Transactions;
        let mut tags = Vec::new();
        for (&tag, lease) in meant {
            lease.is_in_transaction = is_open;
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
            // The queue was deleted meanwhile.
            return;
        }
        match outcome {
            Outcome::Acked => ledger.acked(token, queue, clock),
            Outcome::Rejected => ledger.rejected(token, queue, clock),
            Outcome::Requeued => ledger.requeued(token, queue, clock),
        }
        let is_durable = Ledger::is_durable(queue, &ledger.tokens[token].message);
        self.cause(client, number, Cause::Settled, is_durable && outcome != Outcome::Requeued);
    }

    /// Applies the steps of the transaction.
    pub fn commit(&mut self, client: usize, number: u16) {
        self.has_committed = true;
        let clock = self.clock;
        for step in std::mem::take(&mut self.channel(client, number).transaction) {
            match step {
                Step::Settle(tag, outcome) => self.settle_one(client, number, tag, outcome),
                Step::Publish(message) => {
                    let ledger = self.ledger(client);
                    let published = ledger.publish(&message, clock);
                    self.cause(client, number, Cause::Published, published.is_durable);
                    self.rest_on(client, number, published.rests_on);
                    if self.mutation == Some(Mutation::CommitsInParts) {
                        self.send(client, &publish_frames(number, &message));
                        self.end_commit(client, number);
                        self.server.turn(clock.now_ms);
                    }
                }
            }
        }
        self.end_commit(client, number);
    }

    fn end_commit(&mut self, client: usize, number: u16) {
        self.send(client, &call(90, 20).on(number));
        self.expect_of_all(client, number, Expected::Answer((90, 21)));
    }

    pub fn roll_back(&mut self, client: usize, number: u16) {
        let channel = self.channel(client, number);
        channel.transaction.clear();
        channel.leases.values_mut().for_each(|lease| lease.is_in_transaction = false);
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

    /// A channel was closed: its unacked messages are ready again.
    pub(super) fn leave_channel(&mut self, client: usize, number: u16) {
        let tags: Vec<_> = self.channel(client, number).leases.keys().copied().collect();
        tags.into_iter().for_each(|tag| self.settle_one(client, number, tag, Outcome::Requeued));
        self.clients[client].channels.retain(|channel| channel.number != number);
    }

    /// A connection was closed.
    pub(super) fn leave(&mut self, client: usize) {
        let numbers: Vec<_> = self.clients[client].channels.iter().map(|channel| channel.number).collect();
        numbers.into_iter().for_each(|number| self.leave_channel(client, number));
    }

    /// Breaks a client's connection.
    pub fn disconnect(&mut self, client: usize) -> Client {
        self.server.disconnected(self.clients[client].transport);
        self.leave(client);
        self.clients.remove(client)
    }

    /// Breaks a client's connection, and reconnects it.
    pub fn reconnect(&mut self, client: usize) -> Checked {
        let gone = self.disconnect(client);
        self.turn()?;
        self.join(gone.host, gone.publisher)
    }
}
