//! Virtual host: a name with a broker of its own, so that virtual hosts share nothing.
//!
//! A server begins with [`DEFAULT`], which cannot be deleted. Each broker has its own ids of connections; here they are
//! mapped to transports.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::arena::Arena;
use crate::broker::{Broker, Config, Image, Location, Matcher, Pager, Totals};
use crate::id::{ConnectionId, TransportId, VirtualHostId};
use crate::limits::Limits;

/// The virtual host that always exists.
pub const DEFAULT: &str = "/";

/// A virtual host.
#[derive(Debug)]
pub struct VirtualHost {
    pub(crate) id: VirtualHostId,
    pub(crate) name: Box<str>,
    pub(crate) broker: Broker,
    /// Owners of the broker's connections; a connection without one is the embedding program's.
    pub(crate) members: Arena<ConnectionId, Member>,
    /// Maximum number of connections; `None` is unlimited.
    pub(crate) connections_max: Option<usize>,
    /// The last write with facts that a reply may wait for, and the number of facts up to it.
    awaited: (u64, u64),
}

impl VirtualHost {
    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns its id.
    #[must_use]
    pub fn id(&self) -> VirtualHostId {
        self.id
    }

    /// Returns whether it accepts no more connections.
    pub(crate) fn is_full(&self) -> bool {
        self.connections_max.is_some_and(|max| self.members.ids().len() >= max)
    }

    /// Returns its broker.
    #[must_use]
    pub fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Returns the write that contains everything which is here now and outlives the broker.
    pub(crate) fn awaited_write(&self, next_write: u64) -> u64 {
        let (write, facts) = self.awaited;
        if self.broker.noted().facts > facts { next_write } else { write }
    }

    /// Notes that the facts up to now are in this write, from this location on.
    pub(crate) fn facts_written(&mut self, write: u64, at: Location) {
        let facts = self.broker.noted().facts;
        if facts > self.awaited.1 {
            self.awaited = (write, facts);
        }
        self.broker.facts_written(at);
    }
}

/// The owner of a broker's connection.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) transport: TransportId,
    user: Box<str>,
}

/// Membership of a virtual host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The virtual host.
    pub virtual_host: VirtualHostId,
    /// The broker's id of the connection.
    pub connection: ConnectionId,
}

/// The virtual hosts of a server, in the order of their creation.
#[derive(Debug)]
pub struct VirtualHosts {
    /// With rising ids.
    hosts: Vec<VirtualHost>,
    made: u64,
    /// Counters of those that were deleted.
    gone: Totals,
    config: Config,
    now_ms: u64,
    recording: Option<Recording>,
    matcher: Matcher,
    /// Memory of everything but messages in all of them.
    room: Rc<Cell<u64>>,
    /// Memory of messages in all of them.
    memory: Rc<Cell<u64>>,
}

/// State that exists only if facts are to outlive the brokers.
struct Recording {
    /// Makes a broker note its facts.
    start: Box<dyn Fn(&mut Broker)>,
    /// Virtual hosts deleted since the last call of `take_gone`.
    gone: Vec<VirtualHostId>,
}

impl fmt::Debug for Recording {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Recording").field("gone", &self.gone).finish_non_exhaustive()
    }
}

impl VirtualHosts {
    /// Makes the default one only.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let (hosts, gone) = (Vec::new(), Totals::default());
        let mut hosts = Self {
            hosts,
            made: 0,
            gone,
            config,
            now_ms: 0,
            recording: None,
            matcher: Matcher::default(),
            room: Rc::default(),
            memory: Rc::default(),
        };
        hosts.add(DEFAULT);
        hosts
    }

    /// Restores the virtual hosts from facts, and makes their brokers note facts from now on; paged-out messages are read
    /// back by what `pager` makes. They must not have been used yet.
    pub(crate) fn restore(
        &mut self,
        mut images: Vec<(VirtualHostId, Image)>,
        was_closed: bool,
        pager: impl Fn() -> Box<dyn Pager> + 'static,
    ) {
        for (id, image) in &mut images {
            self.made = self.made.max(id.index() + 1);
            if let Some(name) = image.take_name().filter(|_| !image.is_gone()) {
                self.insert(*id, &name);
            }
        }
        let start = Box::new(move |broker: &mut Broker| broker.keep_facts(pager()));
        self.hosts.iter_mut().for_each(|host| start(&mut host.broker));
        for (id, image) in images {
            if let Some(broker) = self.broker_mut(id) {
                broker.restore(image, was_closed);
            }
        }
        self.recording = Some(Recording { start, gone: Vec::new() });
    }

    /// Returns the virtual hosts deleted since the last call, if facts are kept.
    pub(crate) fn take_gone(&mut self) -> Vec<VirtualHostId> {
        self.recording.as_mut().map(|recording| std::mem::take(&mut recording.gone)).unwrap_or_default()
    }

    /// Adds a virtual host, unless there is one of this name. Returns whether it was added.
    pub fn add(&mut self, name: &str) -> bool {
        let is_new = self.named(name).is_none();
        if is_new {
            let id = VirtualHostId::from_index(self.made);
            self.made += 1;
            let place = self.insert(id, name);
            if let Some(recording) = &self.recording {
                let broker = &mut self.hosts[place].broker;
                (recording.start)(broker);
                broker.note_virtual_host(name);
            }
        }
        is_new
    }

    /// Inserts a virtual host in the order of ids, and returns its place.
    fn insert(&mut self, id: VirtualHostId, name: &str) -> usize {
        let mut broker = Broker::new(Config { seed: self.seed(id), limits: self.config.limits.clone() });
        broker.set_now(self.now_ms);
        broker.set_matcher(self.matcher.clone());
        broker.share_limits(&self.memory, &self.room);
        let place = self.hosts.partition_point(|host| host.id < id);
        self.hosts.insert(
            place,
            VirtualHost {
                id,
                name: name.into(),
                broker,
                members: Arena::new(),
                connections_max: None,
                awaited: (0, 0),
            },
        );
        place
    }

    /// Derives the seed of a virtual host from that of the server, so that no two generate the same names.
    fn seed(&self, id: VirtualHostId) -> [u8; 32] {
        let mut seed = self.config.seed;
        if id.index() > 0 {
            let mut random = ChaCha12Rng::from_seed(seed);
            random.set_stream(id.index());
            random.fill_bytes(&mut seed);
        }
        seed
    }

    /// Deletes a virtual host with everything in it. Its connections must have left.
    pub(crate) fn remove(&mut self, id: VirtualHostId) {
        if let Some(place) = self.place(id) {
            self.gone = self.gone.plus(self.hosts.remove(place).broker.totals().past());
            if let Some(recording) = &mut self.recording {
                recording.gone.push(id);
            }
        }
    }

    /// Returns the counters of the virtual hosts that were deleted.
    #[must_use]
    pub fn gone(&self) -> Totals {
        self.gone
    }

    /// Returns the virtual host of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&VirtualHost> {
        self.iter().find(|host| &*host.name == name)
    }

    /// Returns the default virtual host.
    #[must_use]
    pub fn first(&self) -> &VirtualHost {
        self.hosts.first().expect("the default one stays")
    }

    pub(crate) fn first_mut(&mut self) -> &mut VirtualHost {
        self.hosts.first_mut().expect("the default one stays")
    }

    /// Returns all virtual hosts.
    pub fn iter(&self) -> impl Iterator<Item = &VirtualHost> {
        self.hosts.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut VirtualHost> {
        self.hosts.iter_mut()
    }

    fn place(&self, id: VirtualHostId) -> Option<usize> {
        self.hosts.binary_search_by_key(&id, |host| host.id).ok()
    }

    /// Returns a virtual host, if it still exists.
    #[must_use]
    pub fn get(&self, id: VirtualHostId) -> Option<&VirtualHost> {
        self.place(id).map(|place| &self.hosts[place])
    }

    pub(crate) fn get_mut(&mut self, id: VirtualHostId) -> Option<&mut VirtualHost> {
        self.place(id).map(|place| &mut self.hosts[place])
    }

    /// Returns the broker of a virtual host, if it still exists.
    pub(crate) fn broker_mut(&mut self, id: VirtualHostId) -> Option<&mut Broker> {
        self.place(id).map(|place| &mut self.hosts[place].broker)
    }

    /// Returns the virtual host of a connection.
    ///
    /// # Panics
    /// When the connection has left it.
    pub(crate) fn host_of(&mut self, membership: Membership) -> &mut VirtualHost {
        self.get_mut(membership.virtual_host).expect("a virtual host goes after all who are in it")
    }

    /// Returns the broker of a connection.
    ///
    /// # Panics
    /// When the connection has left it.
    pub(crate) fn broker_of(&mut self, membership: Membership) -> &mut Broker {
        &mut self.host_of(membership).broker
    }

    /// Measures what [`live_bytes`](Self::live_bytes) is made of anew, where it may have grown much.
    pub(crate) fn measure(&mut self) {
        self.iter_mut().for_each(|host| host.broker.measure_topology());
    }

    /// Returns an upper bound of the bytes of the facts that hold now, if each were written down once.
    pub(crate) fn live_bytes(&self) -> u64 {
        self.iter().map(|host| host.broker.live_bytes()).sum()
    }

    /// Returns whether there are facts to be written down.
    pub(crate) fn has_facts(&self) -> bool {
        let has_gone = self.recording.as_ref().is_some_and(|recording| !recording.gone.is_empty());
        has_gone || self.iter().any(|host| !host.broker.facts().is_empty())
    }

    /// Adds the connection of a transport to the virtual host of this name, if it exists.
    pub(crate) fn enter(&mut self, name: &str, transport: TransportId, user: &str) -> Option<Membership> {
        let host = self.hosts.iter_mut().find(|host| &*host.name == name)?;
        let connection = host.broker.open_connection();
        host.members.insert_at(connection, Member { transport, user: user.into() });
        Some(Membership { virtual_host: host.id, connection })
    }

    /// Sets the function that matches the patterns of policies in all of them.
    pub fn set_matcher(&mut self, matcher: &Matcher) {
        self.matcher = matcher.clone();
        self.iter_mut().for_each(|host| host.broker.set_matcher(matcher.clone()));
    }

    /// Limits the connections to the virtual host of this name and its queues, and sets whether quorum queues are
    /// preferred.
    pub fn limit(&mut self, name: &str, connections: Option<usize>, queues: Option<usize>, prefers_quorum: bool) {
        if let Some(host) = self.hosts.iter_mut().find(|host| &*host.name == name) {
            host.connections_max = connections;
            host.broker.limit_queues(queues);
            host.broker.prefer_quorum_queues(prefers_quorum);
        }
    }

    /// Returns how many connections and channels a user has.
    pub(crate) fn usage_of(&self, user: &str) -> (usize, usize) {
        let (mut connections, mut channels) = (0, 0);
        for host in &self.hosts {
            for connection in host.members.ids() {
                if host.members.get(connection).is_some_and(|member| &*member.user == user) {
                    connections += 1;
                    channels += host.broker.channel_count(connection);
                }
            }
        }
        (connections, channels)
    }

    /// Removes a connection, and releases everything that the broker has for it.
    pub(crate) fn leave(&mut self, membership: Membership) {
        let Some(place) = self.place(membership.virtual_host) else { return };
        let host = &mut self.hosts[place];
        host.broker.close_connection(membership.connection);
        host.members.remove(membership.connection);
    }

    /// Returns the limits of the brokers.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// Sets the time and does nothing else.
    pub fn set_now(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
        self.iter_mut().for_each(|host| host.broker.set_now(now_ms));
    }

    /// Does what is due in all virtual hosts.
    pub(crate) fn turn(&mut self, now_ms: u64) {
        self.iter_mut().for_each(|host| host.broker.turn(now_ms));
    }

    /// Returns when something is due next.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.iter().filter_map(|host| host.broker.deadline_ms()).min()
    }

    /// Returns the memory of messages, and of content that is being received.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.iter().map(|host| host.broker.memory_bytes()).sum()
    }

    /// Returns whether publishing connections should wait for messages to leave; only if there are any.
    pub(crate) fn is_low_on_memory(&self) -> bool {
        self.memory_bytes() > self.limits().memory_high_bytes && self.holds_messages()
    }

    /// Returns the same for a publisher. Measures the virtual hosts anew only if the last measurements are too high.
    pub(crate) fn is_low_on_memory_for(&mut self, membership: Membership) -> bool {
        let used = self.broker_of(membership).measure_memory();
        used > self.limits().memory_high_bytes as u64 && self.is_low_on_memory()
    }

    /// Returns whether there are messages that may leave.
    pub(crate) fn holds_messages(&self) -> bool {
        self.iter().any(|host| host.broker.queued_bytes() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::QueueDeclaration;
    use crate::table::Table;

    fn hosts() -> VirtualHosts {
        let mut hosts = VirtualHosts::new(Config { seed: [7; 32], limits: Limits::default() });
        hosts.add("a");
        hosts.add("b");
        hosts
    }

    /// The names that the brokers generate for queues.
    fn names(hosts: &mut VirtualHosts) -> Vec<Box<str>> {
        let name_of = |host: &mut VirtualHost| {
            let connection = host.broker.open_connection();
            let channel = host.broker.open_channel(connection, 1);
            let (name, arguments) = ("", &Table::new());
            let (passive, durable, exclusive, auto_delete) = (false, false, false, false);
            let declaration = QueueDeclaration { name, passive, durable, exclusive, auto_delete, arguments };
            host.broker.declare_queue(channel, &declaration).unwrap().name
        };
        hosts.iter_mut().map(name_of).collect()
    }

    #[test]
    fn no_two_make_the_same_names_and_each_makes_them_again_from_the_same_seed() {
        let made = names(&mut hosts());
        assert!(made[0] != made[1] && made[1] != made[2] && made[0] != made[2]);
        assert_eq!(made, names(&mut hosts()));
    }

    #[test]
    fn a_new_one_of_an_old_name_is_another() {
        let mut hosts = hosts();
        let old = hosts.enter("a", TransportId::from_index(5), "user").unwrap();
        hosts.leave(old);
        hosts.remove(old.virtual_host);
        assert!(hosts.named("a").is_none() && hosts.get(old.virtual_host).is_none());
        assert!(hosts.add("a"));
        assert_ne!(hosts.named("a").map(VirtualHost::id), Some(old.virtual_host));
        assert_eq!(hosts.iter().map(VirtualHost::name).collect::<Vec<_>>(), ["/", "b", "a"]);
        hosts.leave(old);
    }

    #[test]
    fn a_connection_is_found_by_its_membership_until_it_leaves() {
        let mut hosts = hosts();
        let transport = TransportId::from_index(5);
        let membership = hosts.enter("b", transport, "user").unwrap();
        assert_eq!(hosts.enter("missing", transport, "user"), None);
        let behind = |hosts: &VirtualHosts| {
            Some(hosts.get(membership.virtual_host)?.members.get(membership.connection)?.transport)
        };
        assert_eq!(behind(&hosts), Some(transport));
        hosts.leave(membership);
        assert_eq!(behind(&hosts), None);
    }
}
