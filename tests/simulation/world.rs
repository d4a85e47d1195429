//! World: a server on a simulated disk, its clients, its clock, and the ledger of promises to them.

mod answers;
mod operator;
mod replay;
mod restart;
mod verbs;

use pocketmq::broker::{ApplyTo, Config, Policy};
use pocketmq::embedded::Verb;
use pocketmq::journal::Options;
use pocketmq::limits::Limits;
use pocketmq::protocol::Peer;
use pocketmq::server::Server;
use pocketmq::table::Value;

use super::client::{Channel, Client, Content, Mode, Publisher};
use super::disk::Disk;
use super::dump::dump;
use super::ledger::{Arrival, Checked, Clock, Ledger, violation};
use super::mutations::Mutation;
use super::peer;
use super::random::Random;
use super::timeline::{Timeline, Turn};
use super::topology::{DEAD, QUEUES};

use replay::Life;
use restart::ALL_BYTES;
pub use restart::Ending;

pub const HOSTS: [&str; 2] = ["/", "other"];
/// A virtual host without connections that comes and goes. Its ledger is the last one.
const GUEST: &str = "guest";
const BEGIN_MS: u64 = 1_700_000_000_000;
/// Longer than any workload.
const LONG_TIMEOUT_MS: i32 = 100_000_000;

/// The sizes of a small configuration.
#[derive(Clone, Debug)]
pub struct Sizes {
    pub segment_bytes: u64,
    pub page_bytes: usize,
    pub clients: usize,
}

pub struct World {
    pub server: Server,
    /// The recording of the server.
    life: Option<Life>,
    is_recorded: bool,
    /// Bytes of output that replays have compared.
    pub replayed_bytes: usize,
    pub disk: Disk,
    pub ledgers: Vec<Ledger>,
    pub clients: Vec<Client>,
    pub clock: Clock,
    pub random: Random,
    pub sizes: Sizes,
    pub mutation: Option<Mutation>,
    /// The mark of the current flush.
    pub flushing: Option<u64>,
    pub messages: u32,
    serials: u32,
    /// Number of flush boundaries until a crash.
    pub fuse: Option<usize>,
    /// Whether an action may end in a crash.
    pub may_crash: bool,
    /// Whether a client has just committed a transaction.
    pub has_committed: bool,
    /// Whether a reply has just promised that something is durable.
    pub has_promised: bool,
    /// Changes by the operator that are not durable yet: the write, the virtual host, and the turn.
    operator_writes: Vec<(u64, usize, Turn)>,
    /// Number of steps in which the disk had more on it than it should.
    wasteful_steps: usize,
    /// Whether events are printed.
    pub is_traced: bool,
    /// Number of requests that the clients have sent.
    pub operations: u64,
}

/// A delivery, with its client and channel.
pub struct Delivered {
    client: usize,
    channel: u16,
    content: Content,
}

pub fn limits(sizes: &Sizes) -> Limits {
    Limits { memory_page_bytes: sizes.page_bytes, ..Limits::default() }
}

pub fn config(sizes: &Sizes) -> Config {
    Config { seed: [7; 32], limits: limits(sizes) }
}

pub fn options(sizes: &Sizes) -> Options {
    Options { segment_bytes: sizes.segment_bytes, ..Options::default() }
}

impl World {
    /// Makes an empty world: virtual hosts, but nothing in them.
    pub fn new(random: Random, mutation: Option<Mutation>) -> Checked<Self> {
        Self::start(random, mutation, std::env::var_os("POCKETMQ_RECORD").is_some())
    }

    /// Makes a world whose servers are recorded, and replayed when they end.
    pub fn recorded(random: Random) -> Checked<Self> {
        Self::start(random, None, true)
    }

    fn start(mut random: Random, mutation: Option<Mutation>, is_recorded: bool) -> Checked<Self> {
        let sizes = Sizes {
            segment_bytes: *random.pick(&[1 << 10, 2 << 10, 4 << 10, 16 << 10]),
            page_bytes: *random.pick(&[0, 1 << 10, 4 << 10, ALL_BYTES]),
            clients: 2 + random.below(3),
        };
        let disk = mutation.map_or_else(Disk::default, Mutation::disk);
        let (opened, life) = replay::open(&sizes, disk.clone(), BEGIN_MS, is_recorded);
        let (server, _) = opened.expect("an empty disk is opened");
        let mut world = Self {
            server,
            life,
            is_recorded,
            replayed_bytes: 0,
            disk,
            ledgers: vec![Ledger::new(); HOSTS.len() + 1],
            clients: Vec::new(),
            clock: Clock { turn: 1, now_ms: BEGIN_MS },
            random,
            sizes,
            mutation,
            flushing: None,
            fuse: None,
            may_crash: false,
            has_committed: false,
            has_promised: false,
            operator_writes: Vec::new(),
            wasteful_steps: 0,
            is_traced: std::env::var_os("POCKETMQ_TRACE").is_some(),
            messages: 0,
            serials: 0,
            operations: 0,
        };
        world.ledgers[HOSTS.len()].lives = Timeline::new(false);
        world.server.add_virtual_host(HOSTS[1]);
        let definition = [("consumer-timeout", Value::I32(LONG_TIMEOUT_MS))].into_iter().collect();
        let policy = Policy { pattern: "late".into(), apply_to: ApplyTo::Queues, priority: 1, definition };
        world.server.verb(Verb::SetPolicy { name: "patient", policy: &policy }).expect("it makes sense");
        world.turn()?;
        world.flush()?;
        Ok(world)
    }

    /// Connects the clients for the first time.
    pub fn meet(&mut self) -> Checked {
        for number in 0..self.sizes.clients {
            let host = number % HOSTS.len();
            self.join(host, Publisher::named(&format!("publisher {number}")))?;
        }
        Ok(())
    }

    /// Connects a client, or reconnects it.
    pub fn join(&mut self, host: usize, publisher: Publisher) -> Checked {
        self.serials += 1;
        let transport = self.server.connect_amqp(Peer { loopback: true, ..Peer::default() });
        let client = Client { transport, host, serial: self.serials, channels: Vec::new(), next_channel: 1, publisher };
        self.clients.push(client);
        let client = self.clients.len() - 1;
        self.send(client, &Client::hello(HOSTS[host]));
        self.open_channel(client, Mode::Confirms);
        self.open_channel(client, Mode::Plain);
        if self.random.chance(50) {
            self.open_channel(client, Mode::Transactions);
        }
        self.turn()?;
        self.publish_again(client);
        self.turn()
    }

    pub fn open_channel(&mut self, client: usize, mode: Mode) -> u16 {
        let number = self.clients[client].next_channel;
        self.clients[client].next_channel += 1;
        let channel = Channel::new(number, mode);
        self.send(client, &channel.open_frames());
        self.clients[client].channels.push(channel);
        self.await_answer(client, number, (20, 11));
        match mode {
            Mode::Plain => {}
            Mode::Confirms => self.await_answer(client, number, (85, 11)),
            Mode::Transactions => self.await_answer(client, number, (90, 11)),
        }
        number
    }

    pub fn send(&mut self, client: usize, bytes: &[u8]) {
        self.operations += 1;
        self.trace(|world| {
            format!(
                "{}: {:?}",
                world.clients[client].serial,
                peer::answers(bytes.strip_prefix(peer::HEADER).unwrap_or(bytes))
            )
        });
        self.server.receive(self.clients[client].transport, bytes);
    }

    /// Prints an event, if one seed alone runs with a trace.
    pub fn trace(&self, text: impl FnOnce(&Self) -> String) {
        if self.is_traced {
            eprintln!("turn {} at {}: {}", self.clock.turn, self.clock.now_ms - BEGIN_MS, text(self));
        }
    }

    /// Describes the expected and the actual contents of a client's virtual host.
    pub fn describe(&self, client: usize) -> String {
        self.ledgers[self.clients[client].host].describe() + "\n" + &dump(&self.server, |_, _, _| true)
    }

    pub fn ledger(&mut self, client: usize) -> &mut Ledger {
        &mut self.ledgers[self.clients[client].host]
    }

    pub fn channel(&mut self, client: usize, number: u16) -> &mut Channel {
        let channels = &mut self.clients[client].channels;
        channels.iter_mut().find(|channel| channel.number == number).expect("it is used while it is open")
    }

    /// Runs the server's turn, and checks the results.
    pub fn turn(&mut self) -> Checked {
        loop {
            let clock = self.clock;
            self.ledgers.iter_mut().for_each(|ledger| ledger.begin_turn(clock));
            self.server.turn(clock.now_ms);
            self.read()?;
            self.note_failure();
            self.clock.turn += 1;
            if !self.server.wants_turn() && !self.hasten() {
                return Ok(());
            }
        }
    }

    pub fn pass(&mut self, ms: u64) -> Checked {
        self.clock.now_ms += ms;
        self.turn()
    }

    /// Reads all output: replies as they come, then messages, those of the queue for dead letters last.
    fn read(&mut self) -> Checked {
        let mut delivered = Vec::new();
        while let Some(transport) = self.server.next_output() {
            let bytes = self.server.output(transport).to_vec();
            if !bytes.is_empty() {
                self.server.output_taken(transport, bytes.len());
                self.life.iter_mut().for_each(|life| life.output.push((transport, bytes.clone())));
            }
            if let Some(client) = self.clients.iter().position(|client| client.transport == transport) {
                self.receive(client, &bytes, &mut delivered)?;
            } else if self.server.is_closed(transport) {
                self.server.disconnected(transport);
            }
        }
        self.check_delivered(delivered)
    }

    fn check_delivered(&mut self, delivered: Vec<Delivered>) -> Checked {
        let clock = self.clock;
        let (dead, others): (Vec<_>, Vec<_>) = delivered.into_iter().partition(|each| each.content.queue == DEAD);
        for each in others {
            self.arrive(each)?;
        }
        for ledger in &mut self.ledgers {
            ledger.check_order(|queue| queue != DEAD, clock)?;
            ledger.trim(clock);
        }
        for each in dead {
            self.arrive(each)?;
        }
        for host in 0..HOSTS.len() {
            // A message that was returned in this turn may be delivered in the next one, if the server requests it.
            let is_over = !self.server.wants_turn();
            let waiting: Vec<_> = self.waiting_queues(host).filter(|_| is_over).collect();
            let ledger = &mut self.ledgers[host];
            ledger.check_order(|queue| queue == DEAD, clock)?;
            ledger.check_nobody_waits(waiting.into_iter(), clock)?;
        }
        Ok(())
    }

    /// Returns queues with a consumer that has room.
    fn waiting_queues(&self, host: usize) -> impl Iterator<Item = usize> {
        let here = self.clients.iter().filter(move |client| client.host == host);
        let consumers = here.flat_map(|client| &client.channels).flat_map(|channel| &channel.consumers);
        let waiting = consumers.filter(|consumer| {
            let has_room = consumer.no_ack || consumer.prefetch == 0 || consumer.unacked < consumer.prefetch.into();
            has_room && consumer.is_known && !consumer.is_leaving && QUEUES[consumer.queue].partitions.is_none()
        });
        waiting.map(|consumer| consumer.queue)
    }

    /// A message has arrived at its client.
    fn arrive(&mut self, Delivered { client, channel, content }: Delivered) -> Checked {
        let clock = self.clock;
        self.trace(|world| format!("{} gets on {channel}: {}", world.clients[client].serial, content.describe()));
        let queue = content.queue;
        if !self.is_open(client, channel) {
            return Ok(());
        }
        let arrival = arrival_of(&content)?;
        let holder = (!content.no_ack).then_some((self.clients[client].serial, channel));
        let delivered = self.ledger(client).delivered(&arrival, holder, clock);
        if delivered.is_err() {
            self.trace(|world| world.describe(client));
        }
        let token = delivered?;
        let channel = self.channel(client, channel);
        if content.no_ack {
            return Ok(());
        }
        let consumer = content.consumer;
        if let Some(consumer) = consumer.as_deref().and_then(|tag| channel.consumer_mut(tag)) {
            consumer.unacked += 1;
            if consumer.prefetch > 0 && consumer.unacked > consumer.prefetch.into() {
                return violation(format!("more unacked than the prefetch: {consumer:?}"));
            }
        }
        let lease = super::client::Lease { queue, token, consumer, is_in_transaction: false };
        channel.leases.insert(content.delivery_tag, lease);
        Ok(())
    }

    /// Makes everything durable, as a host does after a turn; it may take a while.
    pub fn flush(&mut self) -> Checked {
        if self.flushing.is_none() && self.server.wants_flush() {
            self.start_flush()?;
            if self.random.chance(30) {
                return Ok(());
            }
        }
        if self.flushing.is_some() {
            self.finish_flush()?;
        }
        Ok(())
    }

    pub fn start_flush(&mut self) -> Checked {
        self.trace(|_| "flush".into());
        self.burn()?;
        let mark = self.server.start_flush();
        self.disk.start_flush();
        self.flushing = Some(mark);
        if self.mutation == Some(Mutation::ConfirmsBeforeFlush) {
            self.server.flushed(mark);
            self.turn()?;
        }
        Ok(())
    }

    /// A planted bug: replies that wait for this cause alone leave at once. Returns whether there were any.
    fn hasten(&mut self) -> bool {
        let Some(Mutation::Hastens(cause)) = self.mutation else { return false };
        let Self { clients, ledgers, .. } = &*self;
        let channels = clients.iter().flat_map(|client| client.channels.iter().map(|channel| (client.host, channel)));
        let causes: Vec<_> = channels
            .filter(|(_, channel)| !channel.is_quiet())
            .flat_map(|(host, channel)| {
                channel.causes.iter().filter(move |(turn, _)| !ledgers[host].is_promised(*turn))
            })
            .collect();
        let is_hasty = !causes.is_empty() && causes.iter().all(|(_, other)| *other == cause);
        if is_hasty {
            let mark = self.server.start_flush();
            self.server.flushed(mark);
        }
        is_hasty
    }

    /// The disk has finished the flush, or failed.
    pub fn finish_flush(&mut self) -> Checked {
        let mark = self.flushing.take().expect("a flush that ends was begun");
        let flushed = self.disk.finish_flush();
        self.trace(|world| format!("flushed: {}", world.disk.describe()));
        self.burn()?;
        match flushed {
            Ok(()) => self.server.flushed(mark),
            Err(error) => self.server.store_failed(&error.0),
        }
        self.promise_operator_writes()?;
        self.turn()?;
        self.burn()
    }

    /// From the turn on in which the store failed nothing is written any more.
    pub fn note_failure(&mut self) {
        if self.server.store_failure().is_some() {
            let turn = self.clock.turn;
            self.ledgers.iter_mut().for_each(|ledger| _ = ledger.failed.get_or_insert(turn));
        }
    }

    pub fn has_failed(&self) -> bool {
        self.server.store_failure().is_some()
    }
}

/// Returns what a client knows of a message that it got.
fn arrival_of(content: &Content) -> Checked<Arrival> {
    let text = std::str::from_utf8(content.body.get(..8).unwrap_or_default()).unwrap_or_default();
    let Ok(message_id) = text.parse() else {
        return violation(format!("a message that nobody has sent: {content:?}"));
    };
    let death = super::client::first_death(&content.properties);
    let origin = death.and_then(|name| QUEUES.iter().position(|queue| queue.name == name)).unwrap_or(content.queue);
    Ok(Arrival {
        queue: content.queue,
        origin,
        message_id,
        is_got: content.consumer.is_none(),
        is_redelivered: content.is_redelivered,
        returns: super::client::returns(&content.properties),
        exchange: content.exchange.clone(),
        key: content.key.clone(),
        body: content.body.clone(),
    })
}
