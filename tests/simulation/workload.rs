//! Workload: the clients' actions by a seed, and the moments of crashes.

mod scenes;

use std::rc::Rc;

use super::client::{Mode, Outcome};
use super::ledger::{Checked, Message, violation};
use super::mutations::Mutation;
use super::random::Random;
use super::topology::{
    BINDINGS, DEAD, EXCHANGES, LABELS, LATER, MOVING_BINDINGS, PARTED, PARTITION_KEYS, QUEUES, RELAY,
    RENEWED_EXCHANGES, UNIQUE, keys,
};
use super::world::{Ending, World};

/// Queues that are deleted now and then.
const RENEWED: [usize; 4] = [5, 6, 7, 10];
/// Queues that get messages with a time to live of their own.
const FOR_EXPIRING: [&str; 3] = ["plain", "side", "quorum"];

/// The parameters of a workload.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub seed: u64,
    pub steps: usize,
    /// The probability of a crash at each step, in thousandths.
    pub crashes: usize,
    pub mutation: Option<Mutation>,
}

/// Totals of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub operations: u64,
    pub crashes: u64,
}

/// Runs a workload from its seed.
pub fn run(plan: Plan) -> Checked<Tally> {
    run_in(&mut World::new(Random::new(plan.seed), plan.mutation)?, plan)
}

/// Does the same with servers that are recorded, and replays each.
pub fn run_recorded(plan: Plan) -> Checked<Tally> {
    let mut world = World::recorded(Random::new(plan.seed))?;
    let tally = run_in(&mut world, plan)?;
    world.check_replay()?;
    assert!(world.replayed_bytes > 1_000, "there was output to compare");
    Ok(tally)
}

fn run_in(world: &mut World, plan: Plan) -> Checked<Tally> {
    world.may_crash = plan.crashes > 0;
    world.recover()?;
    world.meet()?;
    let mut crashes = 0;
    for _ in 0..plan.steps {
        // A crash must not split a transaction, and must not break a new promise: it is more likely now.
        let has_committed = std::mem::take(&mut world.has_committed);
        let likely = if has_committed {
            10
        } else if std::mem::take(&mut world.has_promised) {
            4
        } else {
            1
        };
        if world.random.below(1000) < plan.crashes * likely {
            let ending = *world.random.pick(&[Ending::PowerLoss, Ending::PowerLoss, Ending::Kill, Ending::Close]);
            if world.random.chance(30) {
                world.act_unturned();
            }
            world.restart(ending)?;
            crashes += 1;
        } else {
            world.step()?;
        }
        if world.random.chance(10) {
            world.forget();
        }
    }
    world.drain()?;
    Ok(Tally { operations: world.operations, crashes })
}

/// The disk becomes full at some moment. Publishers get errors, nothing is promised any more, and after the operator
/// has made room everything that was promised before is there.
pub fn run_full(plan: Plan) -> Checked<Tally> {
    let mut world = World::new(Random::new(plan.seed), plan.mutation)?;
    world.live(plan.steps / 4)?;
    let room = world.random.below(3_000);
    world.disk.set_room(Some(room));
    for _ in 0..plan.steps {
        if world.has_failed() {
            break;
        }
        world.step()?;
    }
    for _ in 0..plan.steps / 8 {
        world.step_failed()?;
    }
    let ending = *world.random.pick(&[Ending::PowerLoss, Ending::Kill]);
    world.restart(ending)?;
    for _ in 0..plan.steps / 8 {
        world.step()?;
    }
    world.drain()?;
    Ok(Tally { operations: world.operations, crashes: 1 })
}

/// Crashes at every flush boundary: before the flush, after it, and after the server has heard of it.
pub fn run_every_boundary(plan: Plan) -> Checked<Tally> {
    let mut tally = Tally::default();
    let mut boundary = 0;
    while let Some(operations) = run_to_boundary(plan, boundary)? {
        tally.operations += operations;
        tally.crashes += 1;
        boundary += 1;
    }
    Ok(tally)
}

/// Runs the same workload until this boundary, and crashes; returns nothing if the workload has fewer boundaries.
fn run_to_boundary(plan: Plan, boundary: usize) -> Checked<Option<u64>> {
    let mut world = World::new(Random::new(plan.seed), plan.mutation)?;
    world.fuse = Some(boundary);
    match world.live(plan.steps) {
        Err(ended) if world.fuse.is_none() && ended == World::blown() => {}
        other => return other.map(|()| None),
    }
    let ending = if boundary.is_multiple_of(3) { Ending::Kill } else { Ending::PowerLoss };
    world.restart(ending)?;
    for _ in 0..plan.steps / 8 {
        world.step()?;
    }
    world.drain()?;
    Ok(Some(world.operations))
}

impl World {
    fn live(&mut self, steps: usize) -> Checked {
        self.recover()?;
        self.meet()?;
        (0..steps).try_for_each(|_| self.step())
    }

    /// The violation that ends a run at a boundary.
    pub fn blown() -> super::ledger::Violation {
        super::ledger::Violation("the fuse has blown".into())
    }

    pub fn burn(&mut self) -> Checked {
        match self.fuse {
            Some(0) => {
                self.fuse = None;
                violation(Self::blown().0)
            }
            Some(left) => {
                self.fuse = Some(left - 1);
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub fn forget(&mut self) {
        let clock = self.clock;
        self.ledgers.iter_mut().for_each(|ledger| ledger.forget(clock));
    }

    /// A client acts, and then the host.
    pub fn step(&mut self) -> Checked {
        let weights = [20, 12, 4, 70];
        match self.random.weighed(&weights) {
            0 => {
                let ms = *self.random.pick(&[1, 1, 5, 20, 50, 150, 1000]);
                self.pass(ms)?;
            }
            1 => self.flush()?,
            2 if self.flushing.is_none() && self.server.wants_flush() => self.start_flush()?,
            2 => self.flush()?,
            _ => {
                self.act()?;
                self.turn()?;
            }
        }
        if self.random.chance(20) {
            self.flush()?;
        }
        self.check_bytes()
    }

    /// Publishers go on, though nothing can be durable any more.
    fn step_failed(&mut self) -> Checked {
        if let Some((client, number)) = self.any_channel() {
            self.publish_some(client, number);
        }
        self.turn()
    }

    /// An input that the server receives just before its end.
    pub fn act_unturned(&mut self) {
        let Some((client, number)) = self.any_channel() else { return };
        self.publish_some(client, number);
    }

    /// Returns a channel to act on; not one that an awaited error may close.
    fn any_channel(&mut self) -> Option<(usize, u16)> {
        let client = self.random.below(self.clients.len().max(1));
        let channels = self.clients.get(client)?.channels.iter().filter(|channel| !channel.may_be_refused());
        let channels: Vec<_> = channels.map(|channel| channel.number).collect();
        (!channels.is_empty()).then(|| (client, *self.random.pick(&channels)))
    }

    fn act(&mut self) -> Checked {
        let Some((client, number)) = self.any_channel() else { return Ok(()) };
        let queue = self.random.below(QUEUES.len());
        let mode = self.channel(client, number).mode;
        let is_first = self.clients[client].channels[0].number == number;
        match self.random.weighed(&[40, 30, 8, 10, 4, 3, 1, 2, 6, 4, 3, 2, 4, 4, 2, 8, 8, 2, 4, 6, 5]) {
            0 => self.publish_some(client, number),
            1 => {
                self.settle_some(client, number);
                if self.random.chance(40) {
                    // A request whose reply waits until the settlements are durable.
                    self.turn()?;
                    if self.is_open(client, number) {
                        self.set_prefetch(client, number, 5);
                    }
                }
            }
            2 => self.consume_some(client, number, queue)?,
            3 => self.get_some(client, number, queue),
            4 => {
                self.look_at_queue(client, number, queue);
                if !self.ledger(client).queues[queue].must_be(|&exists| exists) {
                    // Before the error arrives, others already get the channel's messages.
                    self.turn()?;
                    self.answer_all()?;
                }
            }
            5 => self.cancel(client, number),
            6 => {
                let queue = if self.random.chance(40) { PARTED } else { queue };
                self.purge(client, number, queue);
            }
            7 if !is_first => self.close_channel(client, number),
            8 => {
                if self.random.chance(40) {
                    // So that this reply alone is awaited.
                    self.answer_all()?;
                }
                let is_bound = self.random.chance(50);
                if self.is_open(client, number) {
                    let binding = self.moving_binding(client, !is_bound);
                    self.bind(client, number, binding, is_bound);
                }
            }
            9 => {
                let prefetch = *self.random.pick(&[0, 1, 2, 5]);
                self.set_prefetch(client, number, prefetch);
            }
            10 => self.reconnect(client)?,
            11 => {
                let queue = *self.random.pick(&RENEWED);
                self.renew_queue(client, number, queue)?;
            }
            13 => self.fill_growing(client, number)?,
            14 => {
                let exchange = *self.random.pick(&RENEWED_EXCHANGES);
                self.renew_exchange(client, number, exchange)?;
            }
            15 => self.act_in_turn(client, number, queue)?,
            16 => self.change_policy(),
            18 => self.sweep(client, number),
            17 => self.change_guest(),
            19 => self.act_alone(client, number, queue)?,
            20 if mode != Mode::Transactions => self.churn(client, number)?,
            12 if mode == Mode::Transactions && self.random.chance(25) => self.roll_back(client, number),
            _ if mode == Mode::Transactions => self.commit(client, number),
            _ => {}
        }
        Ok(())
    }

    /// Returns a binding that comes and goes, in this state if there is one.
    fn moving_binding(&mut self, client: usize, is_bound: bool) -> usize {
        let bindings = &self.ledgers[self.clients[client].host].bindings;
        let moving = MOVING_BINDINGS..BINDINGS.len();
        let is_meant = |binding: &usize| bindings[*binding].must_be(|&known| known == is_bound);
        let meant: Vec<_> = moving.clone().filter(is_meant).collect();
        if meant.is_empty() { MOVING_BINDINGS + self.random.below(moving.len()) } else { *self.random.pick(&meant) }
    }

    /// Removes most items, so that their segments can be deleted.
    fn sweep(&mut self, client: usize, number: u16) {
        for queue in 0..QUEUES.len() {
            if self.random.chance(70) {
                self.purge(client, number, queue);
            }
        }
    }

    /// Returns a message to one queue, without further properties.
    fn simple_message(&mut self, client: usize, number: u16, queue: usize) -> Message {
        let mut message = self.message(client, number);
        (message.exchange, message.key, message.sequence) = ("", QUEUES[queue].name, None);
        (message.ttl_ms, message.delay_ms) = (None, None);
        message
    }

    fn message_to_grown(&mut self, client: usize, number: u16) -> Message {
        let mut message = self.simple_message(client, number, PARTED);
        self.name_keys(&mut message);
        message
    }

    /// One client acts, and another one acts likewise before the first can know whether its change is durable.
    fn act_in_turn(&mut self, client: usize, number: u16, queue: usize) -> Checked {
        let host = self.clients[client].host;
        let others: Vec<_> = (0..self.clients.len()).filter(|&other| self.clients[other].host == host).collect();
        let other = *self.random.pick(&others);
        let other_number = self.clients[other].channels[0].number;
        let has_turn = self.random.chance(50);
        let what = self.random.below(5);
        let message = self.unique_message(client, number);
        let duplicate = Message { id: self.next_message(), ..message.clone() };
        let binding = MOVING_BINDINGS + self.random.below(BINDINGS.len() - MOVING_BINDINGS);
        let is_bound = self.random.chance(50);
        for (is_second, (client, number)) in [(false, (client, number)), (true, (other, other_number))] {
            if !self.is_open(client, number) {
                return Ok(());
            }
            match what {
                0 => self.bind(client, number, binding, is_bound),
                1 if is_second => self.look_at_queue(client, number, queue),
                1 => self.renew_queue(client, number, RENEWED[queue % RENEWED.len()])?,
                2 if is_second => self.repeat(client, number),
                2 => self.publish_numbered(client),
                _ if is_second => self.publish(client, number, &Rc::new(duplicate.clone())),
                _ => self.publish(client, number, &Rc::new(message.clone())),
            }
            if has_turn && !is_second {
                self.turn()?;
            }
        }
        Ok(())
    }

    fn publish_numbered(&mut self, client: usize) {
        let number = self.clients[client].channels[0].number;
        let mut message = self.message(client, number);
        if message.sequence.is_none() {
            (message.ttl_ms, message.delay_ms, message.label) = (None, None, None);
            self.number(client, &mut message);
        }
        let message = Rc::new(message);
        self.clients[client].publisher.send(&message);
        self.publish(client, number, &message);
    }

    /// A client publishes again what a publisher in the same virtual host has sent last.
    fn repeat(&mut self, client: usize, number: u16) {
        let host = self.clients[client].host;
        let publishers = self.clients.iter().filter(|other| other.host == host).map(|other| &other.publisher);
        let last = publishers.filter_map(|publisher| publisher.sent.back()).max_by_key(|message| message.id);
        if let Some(message) = last.cloned() {
            self.publish(client, number, &message);
        }
    }

    /// Returns a message that may be a duplicate.
    fn unique_message(&mut self, client: usize, number: u16) -> Message {
        let queue = if self.random.chance(30) { PARTED } else { UNIQUE };
        let mut message = self.simple_message(client, number, queue);
        self.name_keys(&mut message);
        message
    }

    /// Sets its deduplication id and its partition key: messages of one id all go to the same partition.
    fn name_keys(&mut self, message: &mut Message) {
        let id = self.random.below(40);
        if self.random.chance(60) {
            message.unique_id = Some(id.to_string().into());
        }
        message.partition_key = Some(PARTITION_KEYS[id % PARTITION_KEYS.len()]);
    }

    fn number(&mut self, client: usize, message: &mut Message) {
        let Self { random, clients, .. } = self;
        (message.exchange, message.key) = *random.pick(&[("", "plain"), ("fan", ""), ("", "side"), ("", "quorum")]);
        let publisher = &mut clients[client].publisher;
        publisher.last += 1;
        // In a quorum queue a transient message is durable, and may be sent again, too.
        message.is_persistent = message.key != "quorum" || random.chance(50);
        message.sequence = Some((Rc::clone(&publisher.name), publisher.last));
    }

    fn next_message(&mut self) -> u32 {
        self.messages += 1;
        self.messages
    }

    pub fn publish_some(&mut self, client: usize, number: u16) {
        for _ in 0..=self.random.below(6) {
            let message = Rc::new(self.message(client, number));
            if message.sequence.is_some() {
                self.clients[client].publisher.send(&message);
            }
            self.publish(client, number, &message);
        }
    }

    fn message(&mut self, client: usize, number: u16) -> Message {
        let id = self.next_message();
        let mode = self.channel(client, number).mode;
        let is_first = self.clients[client].channels[0].number == number;
        // One that was deleted as the store failed is not declared anew.
        let exchanges = self.ledger(client).exchanges.iter().zip(&EXCHANGES);
        let exchanges = exchanges.filter(|(exists, _)| exists.must_be(|&exists| exists)).map(|(_, spec)| spec.name);
        let exchanges: Vec<_> = exchanges.collect();
        let Self { random, .. } = self;
        let body_bytes = match random.below(20) {
            0 => 2_000 + random.below(5_000),
            1..5 => 200 + random.below(1_000),
            _ => 9 + random.below(100),
        };
        let mut message = Message {
            id,
            exchange: "",
            key: "plain",
            is_persistent: random.chance(80),
            priority: random.below(6) as u8,
            ttl_ms: None,
            delay_ms: None,
            body_bytes,
            sequence: None,
            unique_id: None,
            partition_key: None,
            label: None,
        };
        match random.below(10) {
            0..3 if is_first => self.number(client, &mut message),
            3 => {
                message.key = *random.pick(&FOR_EXPIRING);
                message.ttl_ms = Some(*random.pick(&[0, 10, 100, 500]));
            }
            4..7 if !exchanges.is_empty() => {
                message.exchange = *random.pick(&exchanges);
                message.key = *random.pick(keys(message.exchange));
                message.label = Some(*random.pick(&["red", "blue", "green"]))
                    .filter(|_| matches!(message.exchange, RELAY | LABELS));
                if message.exchange == LATER {
                    message.delay_ms = Some(*random.pick(&[1, 20, 300, 3_000]));
                }
            }
            _ => {
                let open = QUEUES.iter().filter(|queue| mode != Mode::Transactions || !queue.refuses);
                let open: Vec<_> = open.map(|queue| queue.name).collect();
                message.key = *random.pick(&open);
                if matches!(message.key, "unique" | "parted") {
                    self.name_keys(&mut message);
                }
            }
        }
        message
    }

    fn settle_some(&mut self, client: usize, number: u16) {
        let channel = self.channel(client, number);
        let open = channel.leases.iter().filter(|(_, lease)| !lease.is_in_transaction);
        let tags: Vec<_> = open.map(|(&tag, _)| tag).collect();
        if tags.is_empty() {
            return;
        }
        let tag = *self.random.pick(&tags);
        let is_multiple = self.random.chance(40);
        let outcome = match self.random.below(10) {
            0..7 => Outcome::Acked,
            7 => Outcome::Rejected,
            _ => Outcome::Requeued,
        };
        self.settle(client, number, tag, is_multiple, outcome);
    }

    /// Until consume-ok comes, its deliveries wait, too, though no other consumer gets those messages: so nothing else
    /// is done before. It also waits for messages that expire as the consumer starts.
    fn consume_some(&mut self, client: usize, number: u16, queue: usize) -> Checked {
        let is_settled = self.is_settled(client, number);
        // Deliveries that wait with the reply are lost in a crash, unless they need an ack.
        let no_ack = self.random.chance(10) && is_settled;
        let is_simple = QUEUES[queue].max_length.is_none() && !self.ledger(client).has_expiring(queue);
        if self.channel(client, number).consumers.len() >= 3 || !is_settled && !is_simple {
            return Ok(());
        }
        self.consume(client, number, queue, no_ack);
        if is_settled && is_simple {
            return Ok(());
        }
        self.turn()?;
        self.answer_all()
    }

    /// Whether the next reply on a channel comes at once.
    fn is_settled(&mut self, client: usize, number: u16) -> bool {
        let channel = self.channel(client, number);
        let (is_quiet, caused) = (channel.is_quiet() && !channel.is_in_doubt(), channel.caused);
        is_quiet && self.ledger(client).is_promised(caused)
    }

    /// A message leaves its queue at once, but which one is known only by the reply: so no other reply is awaited, and
    /// none may expire.
    fn get_some(&mut self, client: usize, number: u16, queue: usize) {
        if self.is_settled(client, number) && !self.ledger(client).has_expiring(queue) {
            let no_ack = queue != DEAD && self.random.chance(20);
            self.get(client, number, queue, no_ack);
        }
    }
}
