//! Door: the one way by which anything changes a server.

use std::ops::Deref;

use super::{Core, Input, Restored, Witness};
use crate::access::{Access, GuestOnly};
use crate::broker::{Config, Error, Matcher, Record};
use crate::embedded::{Answer, Verb};
use crate::id::TransportId;
use crate::journal::{JournalError, Options, Store};
use crate::protocol::{Peer, amqp};

/// Virtual hosts with the sessions of their peers. See the [module](super) for how to drive them.
#[derive(Debug)]
pub struct Server {
    core: Core,
    witness: Option<Box<dyn Witness>>,
}

/// Lends everything for reading.
impl Deref for Server {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Server {
    /// Makes a server with the virtual host `/`, for the user `guest` of this machine, without connections.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { core: Core::new(config), witness: None }
    }

    /// Makes a server that keeps what is durable in a store, and restores what is there. The host flushes once before
    /// it accepts peers: until then nothing is delivered.
    ///
    /// # Errors
    /// When the store cannot be used, or its contents cannot be relied on.
    pub fn open(
        config: Config,
        store: Box<dyn Store>,
        options: &Options,
        now_ms: u64,
    ) -> Result<(Self, Restored), JournalError> {
        let (core, restored) = Core::open(config, store, options, now_ms)?;
        Ok((Self { core, witness: None }, restored))
    }

    /// Lets a witness see everything from now on. There must have been no input before.
    pub fn record(&mut self, witness: Box<dyn Witness>) {
        self.core.access = witness.access(std::mem::replace(&mut self.core.access, Box::new(GuestOnly)));
        self.core.matcher = witness.matcher(self.core.matcher.clone());
        self.witness = Some(witness);
    }

    /// Calls `observer` with each fact of the virtual host `/` from now on, which changes nothing.
    pub fn observe(&mut self, observer: impl FnMut(&Record<'_>) + 'static) {
        self.core.virtual_hosts.first_mut().broker.observe(observer);
    }

    /// Takes an input: the door.
    ///
    /// # Errors
    /// When a [verb](Self::verb) is refused.
    #[inline(never)]
    pub fn input(&mut self, input: &Input<'_>) -> Result<Answer, Error> {
        self.pass(input)
    }

    /// The same, inlined where an input of a known kind is so frequent that a choice among all kinds would be felt.
    #[inline(always)]
    fn pass(&mut self, input: &Input<'_>) -> Result<Answer, Error> {
        match &mut self.witness {
            None => self.core.take(input),
            Some(witness) => witness.pass(&mut self.core, input),
        }
    }

    /// Takes an input that is never refused.
    fn take(&mut self, input: Input<'_>) -> Answer {
        accepted(self.input(&input))
    }

    #[inline(always)]
    fn take_frequent(&mut self, input: Input<'_>) -> Answer {
        accepted(self.pass(&input))
    }

    /// Does what the embedding program or the operator requests. A [`turn`](Self::turn) has to follow.
    ///
    /// # Errors
    /// As for the broker's method of the same name.
    pub fn verb(&mut self, verb: Verb<'_>) -> Result<Answer, Error> {
        self.input(&Input::Verb(verb))
    }

    /// Sets the time and does nothing else: what follows until the next [`turn`](Self::turn) counts from it.
    pub fn set_now(&mut self, now_ms: u64) {
        self.take(Input::SetNow { now_ms });
    }

    /// Sets the time, in milliseconds of a clock that never goes back, does what is due, makes deliveries, and returns
    /// when something is due next.
    pub fn turn(&mut self, now_ms: u64) -> Option<u64> {
        self.take_frequent(Input::Turn { now_ms }).next()
    }

    /// Adds an AMQP connection for a new transport.
    pub fn connect_amqp(&mut self, peer: Peer) -> TransportId {
        let id = self.take(Input::Connect { protocol: amqp::PROTOCOL, peer: &peer }).count();
        TransportId::from_index(id)
    }

    /// Takes input of a connection, split and joined anywhere. Input of a closed transport is ignored.
    pub fn receive(&mut self, id: TransportId, bytes: &[u8]) {
        self.take_frequent(Input::Receive { id, bytes });
    }

    /// Removes a connection whose transport is closed, by whichever side.
    pub fn disconnected(&mut self, id: TransportId) {
        self.take(Input::Disconnected { id });
    }

    /// Stops deliveries to a peer while its transport takes no more output, or resumes them.
    pub fn set_writable(&mut self, id: TransportId, is_writable: bool) {
        self.take(Input::SetWritable { id, is_writable });
    }

    /// Returns the next connection with something to write or to close.
    pub fn next_output(&mut self) -> Option<TransportId> {
        self.take_frequent(Input::NextOutput).next().map(TransportId::from_index)
    }

    /// Removes output that was passed to the transport, and continues whatever waited for that.
    pub fn output_taken(&mut self, id: TransportId, bytes: usize) {
        self.take_frequent(Input::OutputTaken { id, bytes });
    }

    /// Asks a peer to close (320, by the operator) and gives the reason; the next turns produce the output. Returns
    /// whether the connection exists.
    pub fn close(&mut self, id: TransportId, reason: &str) -> bool {
        self.take(Input::Close { id, reason }).flag()
    }

    /// Asks every peer to close.
    pub fn shutdown(&mut self) {
        self.take(Input::Shutdown);
    }

    /// Sets what decides about users and their permissions.
    pub fn set_access(&mut self, access: Box<dyn Access>) {
        self.core.access = match &self.witness {
            Some(witness) => witness.access(access),
            None => access,
        };
        self.access_changed();
    }

    /// Makes connections ask for permissions again, as they may have changed. This closes no connection.
    pub fn access_changed(&mut self) {
        self.take(Input::AccessChanged);
    }

    /// Sets the function that matches the patterns of policies. Without one a pattern only matches the name that equals
    /// it.
    pub fn set_matcher(&mut self, matcher: Matcher) {
        self.core.matcher = match &self.witness {
            Some(witness) => witness.matcher(matcher),
            None => matcher,
        };
        self.take(Input::MatcherChanged);
    }

    /// Adds a virtual host, unless there is one of this name. Returns whether it was added.
    pub fn add_virtual_host(&mut self, name: &str) -> bool {
        self.take(Input::AddVirtualHost { name }).flag()
    }

    /// Deletes a virtual host with everything in it; its connections are asked to close. Returns whether it existed;
    /// `/` is not deleted.
    pub fn delete_virtual_host(&mut self, name: &str) -> bool {
        self.take(Input::DeleteVirtualHost { name }).flag()
    }

    /// Limits the connections to the virtual host of this name and its queues, and sets whether quorum queues are
    /// preferred.
    pub fn limit_virtual_host(
        &mut self,
        name: &str,
        connections: Option<usize>,
        queues: Option<usize>,
        prefers_quorum: bool,
    ) {
        self.take(Input::LimitVirtualHost { name, connections, queues, prefers_quorum });
    }

    /// Begins a flush of the host's store, and returns a mark for everything that was appended so far.
    pub fn start_flush(&mut self) -> u64 {
        self.take(Input::StartFlush).count()
    }

    /// Confirms that everything appended before this flush began is durable: replies that waited for it leave. A turn
    /// has to follow.
    pub fn flushed(&mut self, mark: u64) {
        self.take(Input::Flushed { mark });
    }

    /// Reports that the store has failed: from now on nothing durable is done, and connections with waiting replies
    /// close.
    pub fn store_failed(&mut self, reason: &str) {
        self.take(Input::StoreFailed { reason });
    }

    /// Returns a number for everything done so far, and requests its flush, for the embedding program: see
    /// [`is_durable`](Core::is_durable).
    pub fn current_write(&mut self) -> u64 {
        self.take(Input::CurrentWrite).count()
    }

    /// Ends the journal cleanly, after all connections have closed. Flushes have to follow, as long as they are
    /// [wanted](Core::wants_flush).
    pub fn close_journal(&mut self) {
        self.take(Input::CloseJournal);
    }
}

#[inline(always)]
fn accepted(answer: Result<Answer, Error>) -> Answer {
    let Ok(answer) = answer else { unreachable!("only verbs are refused") };
    answer
}

impl Core {
    /// Does what an input makes it do.
    #[inline(always)]
    pub(crate) fn take(&mut self, input: &Input<'_>) -> Result<Answer, Error> {
        match *input {
            Input::Verb(ref verb) => return self.verb(verb),
            Input::Receive { id, bytes } => self.receive(id, bytes),
            Input::Turn { now_ms } => return Ok(self.turn(now_ms).into()),
            Input::SetNow { now_ms } => self.set_now(now_ms),
            Input::NextOutput => return Ok(self.next_output().map(TransportId::index).into()),
            Input::OutputTaken { id, bytes } => self.output_taken(id, bytes),
            Input::SetWritable { id, is_writable } => self.set_writable(id, is_writable),
            Input::Connect { protocol, peer } => return Ok(self.connect(protocol, peer).index().into()),
            Input::Disconnected { id } => self.disconnected(id),
            Input::Close { id, reason } => return Ok(self.close(id, reason).into()),
            Input::Shutdown => self.shutdown(),
            Input::AccessChanged => self.access_changed(),
            Input::MatcherChanged => self.virtual_hosts.set_matcher(&self.matcher),
            Input::AddVirtualHost { name } => return Ok(self.virtual_hosts.add(name).into()),
            Input::DeleteVirtualHost { name } => return Ok(self.delete_virtual_host(name).into()),
            Input::LimitVirtualHost { name, connections, queues, prefers_quorum } => {
                self.virtual_hosts.limit(name, connections, queues, prefers_quorum);
            }
            Input::StartFlush => return Ok(self.start_flush().into()),
            Input::Flushed { mark } => self.flushed(mark),
            Input::StoreFailed { reason } => self.store_failed(reason),
            Input::CurrentWrite => return Ok(self.current_write().into()),
            Input::CloseJournal => self.close_journal(),
        }
        Ok(Answer::Done)
    }
}
