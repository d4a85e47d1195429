//! Restart: the end of a server, clean or not, the start of another one on the same disk, and checks of what is there
//! then.

use pocketmq::server::Server;

use super::replay::Life;
use super::{HOSTS, World};
use crate::client::{Mode, Outcome, Publisher};
use crate::disk::Disk;
use crate::dump::{difference, dump};
use crate::ledger::{Checked, violation};
use crate::topology::{BINDINGS, EXCHANGES, MOVING_BINDINGS, PARTED, QUEUES};

/// How a server ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    PowerLoss,
    Kill,
    Close,
}

/// More than any delay or time to live of the workload.
const LONG_MS: u64 = 100_000;
/// Number of turns in which a broker without traffic has to have cleaned up.
const QUIET_TURNS: usize = 200;
/// A reply waits for at most three flushes: the current one, that of a full segment, that of its facts. Each of them is
/// requested twice.
const FLUSHES: usize = 8;
/// Number of steps until purged messages are cleaned away and that is flushed.
const CLEANING_STEPS: usize = 30;
/// More than all messages of a workload take.
pub const ALL_BYTES: usize = 1 << 20;
/// Upper bound of topology, publishers and the journal's headers.
const OVERHEAD_BYTES: usize = 16 << 10;

impl World {
    /// The server ends, and another one starts on its disk.
    pub fn restart(&mut self, ending: Ending) -> Checked {
        self.trace(|_| format!("{ending:?}"));
        let publishers = self.end(ending)?;
        let moves = self.moves();
        let before = (ending == Ending::Close).then(|| self.dump(moves));
        if !self.open()? && ending == Ending::Close {
            return violation("a clean end counts as a crash");
        }
        if let Some(difference) =
            before.map(|before| difference(&before, &self.dump(moves))).filter(|difference| !difference.is_empty())
        {
            return violation(format!("not as it was closed:{difference}"));
        }
        while self.random.chance(10) {
            self.disk = self.disk.after_power_loss(&mut self.random);
            let clock = self.clock;
            self.ledgers.iter_mut().for_each(|ledger| ledger.end_again(clock));
            self.open()?;
        }
        self.settle_in()?;
        self.recover()?;
        publishers.into_iter().try_for_each(|(host, publisher)| self.join(host, publisher))
    }

    /// Ends the server; returns the publishers that will come back.
    fn end(&mut self, ending: Ending) -> Checked<Vec<(usize, Publisher)>> {
        let publishers = self.clients.iter().map(|client| (client.host, client.publisher.clone())).collect();
        if ending == Ending::Close {
            self.close()?;
        } else {
            self.clients.clear();
        }
        self.check_replay()?;
        self.disk = match ending {
            Ending::PowerLoss => self.disk.after_power_loss(&mut self.random),
            Ending::Kill | Ending::Close => self.disk.after_kill(),
        };
        self.disk.misread();
        let last = self.clock.turn - 1;
        for ledger in &mut self.ledgers {
            match ending {
                Ending::Close => ledger.close(last),
                _ => ledger.crash(last)?,
            }
        }
        self.flushing = None;
        self.operator_writes.clear();
        Ok(publishers)
    }

    /// Disconnects all clients, and closes the server cleanly.
    fn close(&mut self) -> Checked {
        while !self.clients.is_empty() {
            self.disconnect(0);
        }
        self.turn()?;
        if self.flushing.is_some() {
            self.finish_flush()?;
        }
        self.server.close_journal();
        while self.server.wants_flush() {
            self.start_flush()?;
            self.finish_flush()?;
        }
        Ok(())
    }

    /// Before a host serves clients it flushes: then what it found is durable, and the mark of the last clean end is
    /// gone.
    fn settle_in(&mut self) -> Checked {
        self.start_flush()?;
        self.finish_flush()
    }

    /// Starts a server on the disk as it is; reading it twice must make no difference. Returns whether the last end was
    /// clean.
    fn open(&mut self) -> Checked<bool> {
        if self.random.chance(20) {
            let [once, twice] = [self.disk.after_kill(), self.disk.after_kill()];
            drop(self.server_on(once.clone())?);
            let all = |_: &str, _: &str, _: &[u8]| true;
            let (first, second) = (dump(&self.server_on(once)?.0, all), dump(&self.server_on(twice)?.0, all));
            if first != second {
                return violation(format!("read twice, the journal differs:{}", difference(&first, &second)));
            }
        }
        let (server, was_closed, life) = self.server_on(self.disk.clone())?;
        (self.server, self.life) = (server, life);
        Ok(was_closed)
    }

    /// Returns, by virtual host, whether slots of the queue that grows still move.
    fn moves(&self) -> [bool; HOSTS.len()] {
        HOSTS.map(|host| {
            let host = self.server.virtual_hosts().named(host);
            let queues = host.map(|host| host.broker().list_queues(None)).unwrap_or_default();
            let sealed = queues.iter().filter_map(|queue| queue.get("sealed_slots")?.as_integer());
            sealed.sum::<i64>() > 0
        })
    }

    /// Dumps what outlives the server. Paged messages have no body; then only the topology counts. A message that
    /// waited for a slot that `moves` may have it now, as transient messages before it are gone.
    fn dump(&self, moves: [bool; HOSTS.len()]) -> String {
        let sees_bodies = self.sizes.page_bytes >= ALL_BYTES;
        let dump = dump(&self.server, |host, queue, body| {
            let host = HOSTS.iter().position(|name| *name == host).expect("a virtual host of the workload");
            let is_moving = moves[host] && queue == QUEUES[PARTED].name;
            sees_bodies && !is_moving && self.ledgers[host].is_durable_body(queue, body)
        });
        let is_passing = |line: &&str| QUEUES.iter().any(|queue| queue.is_transient && line.contains(queue.name));
        dump.lines().filter(|line| !is_passing(line)).map(|line| format!("{line}\n")).collect()
    }

    fn server_on(&self, disk: Disk) -> Checked<(Server, bool, Option<Life>)> {
        let (opened, life) = self.open_on(disk);
        match opened {
            Ok((server, restored)) => {
                self.trace(|_| format!("{restored:?}"));
                Ok((server, restored.recovery.was_closed, life))
            }
            Err(error) => violation(format!("the journal is refused: {error}")),
        }
    }

    /// Checks that everything is there that must be, and declares what is missing, or may be.
    pub fn recover(&mut self) -> Checked {
        self.turn()?;
        self.look_at_hosts()?;
        (0..HOSTS.len()).try_for_each(|host| self.recover_host(host))
    }

    fn recover_host(&mut self, host: usize) -> Checked {
        if self.random.chance(70) {
            self.look_around(host)?;
        }
        self.clear_up_policies(host);
        self.join(host, Publisher::named("nobody"))?;
        let client = self.clients.len() - 1;
        for queue in 0..QUEUES.len() {
            if self.ledgers[host].queues[queue].is_clear() {
                let number = self.open_channel(client, Mode::Plain);
                self.look_at_queue(client, number, queue);
                self.turn()?;
            }
        }
        for exchange in 0..EXCHANGES.len() {
            if self.ledgers[host].exchanges[exchange].is_clear() {
                let number = self.open_channel(client, Mode::Plain);
                self.look_at_exchange(client, number, exchange);
                self.turn()?;
            }
        }
        let number = self.clients[client].channels[1].number;
        for exchange in 0..EXCHANGES.len() {
            if !self.ledgers[host].exchanges[exchange].must_be(|&exists| exists) {
                self.declare_exchange(client, number, exchange);
                self.turn()?;
            }
        }
        for queue in 0..QUEUES.len() {
            if !self.ledgers[host].queues[queue].must_be(|&exists| exists) {
                self.declare(client, number, queue);
                self.turn()?;
            }
        }
        self.flush()?;
        for binding in 0..BINDINGS.len() {
            let known = &self.ledgers[host].bindings[binding];
            let is_wanted = binding < MOVING_BINDINGS || !known.is_clear();
            if is_wanted && !known.must_be(|&is_bound| is_bound) {
                self.bind(client, number, binding, true);
                self.turn()?;
            }
        }
        if self.random.chance(40) {
            self.look_at_messages(client)?;
        }
        self.disconnect(client);
        self.turn()
    }

    /// Takes all messages of all queues, and returns them.
    fn look_at_messages(&mut self, client: usize) -> Checked {
        let number = self.open_channel(client, Mode::Plain);
        for queue in 0..QUEUES.len() {
            if self.ledger(client).has_expiring(queue) {
                continue;
            }
            for _ in 0..self.ledger(client).ready_counts(queue).1 {
                self.get(client, number, queue, false);
                self.turn()?;
            }
        }
        self.close_channel(client, number);
        self.turn()
    }

    /// Without faults and traffic: takes everything from all queues, and checks that nothing is left.
    pub fn drain(&mut self) -> Checked {
        self.answer_all()?;
        while !self.clients.is_empty() {
            self.disconnect(0);
        }
        self.turn()?;
        self.flush()?;
        self.pass(LONG_MS)?;
        for host in 0..HOSTS.len() {
            self.drain_host(host)?;
        }
        self.settle_down()?;
        if self.disk.live_bytes() > 2 * self.sizes.segment_bytes as usize + OVERHEAD_BYTES {
            return violation(format!("{} bytes are left of nothing", self.disk.live_bytes()));
        }
        Ok(())
    }

    /// Flushes until no client awaits a reply.
    pub fn answer_all(&mut self) -> Checked {
        for _ in 0..FLUSHES {
            let mut channels = self.clients.iter().flat_map(|client| &client.channels);
            if self.flushing.is_none() && channels.all(|channel| channel.is_quiet()) {
                return Ok(());
            }
            self.flush()?;
            self.turn()?;
        }
        violation(format!("somebody waits in vain: {:?}", self.clients))
    }

    fn drain_host(&mut self, host: usize) -> Checked {
        self.join(host, Publisher::named("nobody"))?;
        let client = self.clients.len() - 1;
        let number = self.clients[client].channels[1].number;
        for queue in 0..QUEUES.len() {
            self.consume(client, number, queue, false);
            self.turn()?;
            self.answer_all()?;
            while let Some((&last, _)) = self.channel(client, number).leases.last_key_value() {
                self.settle(client, number, last, true, Outcome::Acked);
                self.turn()?;
            }
        }
        for queue in 0..QUEUES.len() {
            self.look_at_queue(client, number, queue);
            self.turn()?;
        }
        self.answer_all()?;
        self.ledgers[host].check_drained()?;
        self.disconnect(client);
        self.turn()
    }

    /// Lets some turns pass without traffic.
    fn settle_down(&mut self) -> Checked {
        for _ in 0..QUIET_TURNS {
            self.flush()?;
            self.pass(100)?;
        }
        Ok(())
    }

    /// The disk stays within twice the live bytes and two segments; after a large removal, within some flushes.
    pub fn check_bytes(&mut self) -> Checked {
        let free = 2 * self.sizes.segment_bytes as usize + OVERHEAD_BYTES;
        let bytes = self.disk.live_bytes();
        if bytes <= free {
            self.wasteful_steps = 0;
            return Ok(());
        }
        let live = self.ledgers.iter().map(|ledger| ledger.durable_bytes()).sum::<usize>();
        self.wasteful_steps = if bytes > 2 * live + free { self.wasteful_steps + 1 } else { 0 };
        if self.wasteful_steps > CLEANING_STEPS {
            return violation(format!("{bytes} bytes on disk of {live} that are alive"));
        }
        Ok(())
    }
}
