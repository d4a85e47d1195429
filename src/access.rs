//! Access: users and their permissions, which the host knows and the core asks for.

use std::fmt;

/// A permission for an exchange or a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// To declare and delete it.
    Configure,
    /// To publish to an exchange, or bind a queue.
    Write,
    /// To consume from a queue, or bind to an exchange.
    Read,
}

/// A limit of a user, over all virtual hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Open connections.
    Connections,
    /// Open channels.
    Channels,
}

/// Knows the users of AMQP connections. Embedding programs are trusted: nothing is asked for them. Answers are inputs: a
/// new question needs its line in `recording/tape.rs`, too.
pub trait Access {
    /// Returns the user with these credentials, if they are correct. `loopback` means that the peer is on this machine.
    fn log_in(&mut self, user: &str, password: &str, loopback: bool) -> Option<Box<str>>;

    /// Returns the user of a verified client certificate with this name, if there is one.
    fn log_in_by_certificate(&mut self, name: &str) -> Option<Box<str>>;

    /// Returns whether a user may open a connection to a virtual host.
    fn may_enter(&mut self, user: &str, virtual_host: &str) -> bool;

    /// Returns whether a user may do everything in a virtual host: then [`permits`](Self::permits) is never called for
    /// it.
    fn permits_all(&mut self, user: &str, virtual_host: &str) -> bool;

    /// Returns whether a user has a permission for the exchange or queue of this name; the default exchange is
    /// `amq.default`.
    fn permits(&mut self, user: &str, virtual_host: &str, permission: Permission, name: &str) -> bool;

    /// Returns whether a user may publish in the name of others.
    fn may_impersonate(&mut self, _user: &str) -> bool {
        false
    }

    /// Returns the user's limit on these; `None` is unlimited.
    fn limit(&mut self, _user: &str, _limited: Limited) -> Option<usize> {
        None
    }

    /// Returns whether routing keys are checked, too: otherwise [`permits_topic`](Self::permits_topic) is never called.
    fn limits_topics(&mut self, _user: &str, _virtual_host: &str) -> bool {
        false
    }

    /// Returns whether a user may publish to an exchange of type `topic`, or bind to it, with this routing key.
    fn permits_topic(&mut self, _user: &str, _virtual_host: &str, _: Permission, _exchange: &str, _key: &str) -> bool {
        true
    }

    /// Passes on the new secret of a user who is logged in. Returns whether it is accepted.
    fn update_secret(&mut self, user: &str, secret: &str) -> bool;
}

impl fmt::Debug for dyn Access + '_ {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Access")
    }
}

/// One user, `guest` with the password `guest`, who may do everything, from this machine only.
#[derive(Clone, Copy, Debug, Default)]
pub struct GuestOnly;

impl Access for GuestOnly {
    fn log_in(&mut self, user: &str, password: &str, loopback: bool) -> Option<Box<str>> {
        (loopback && (user, password) == ("guest", "guest")).then(|| user.into())
    }

    fn log_in_by_certificate(&mut self, _: &str) -> Option<Box<str>> {
        None
    }

    fn may_enter(&mut self, _: &str, _: &str) -> bool {
        true
    }

    fn permits_all(&mut self, _: &str, _: &str) -> bool {
        true
    }

    fn permits(&mut self, _: &str, _: &str, _: Permission, _: &str) -> bool {
        true
    }

    fn update_secret(&mut self, _: &str, _: &str) -> bool {
        true
    }
}

/// Number of results that [`Permissions`] cache; a connection that uses more names at a time calls `Access` more often.
const CACHED_MAX: usize = 16;

/// Permissions of a user in a virtual host. They cache what [`Access`] has returned.
#[derive(Debug)]
pub struct Permissions {
    /// The user.
    pub user: Box<str>,
    /// The virtual host.
    pub virtual_host: Box<str>,
    is_unlimited: bool,
    limits_topics: bool,
    /// The most recently used one first.
    cached: Vec<Cached>,
}

#[derive(Debug)]
struct Cached {
    permission: Permission,
    name: Box<str>,
    /// Routing key, if it is for a topic exchange of that name.
    routing_key: Option<Box<str>>,
    is_permitted: bool,
}

impl Permissions {
    /// Makes the permissions of a user who may enter the virtual host.
    pub fn new(access: &mut dyn Access, user: &str, virtual_host: &str) -> Self {
        let is_unlimited = access.permits_all(user, virtual_host);
        let limits_topics = access.limits_topics(user, virtual_host);
        Self { user: user.into(), virtual_host: virtual_host.into(), is_unlimited, limits_topics, cached: Vec::new() }
    }

    /// Clears the cache, as permissions may have changed.
    pub fn refresh(&mut self, access: &mut dyn Access) {
        *self = Self::new(access, &self.user, &self.virtual_host);
    }

    /// Returns whether the user lacks any permission.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        !self.is_unlimited
    }

    /// Returns whether the user has a permission for the exchange or queue of this name.
    pub fn permits(&mut self, access: &mut dyn Access, permission: Permission, name: &str) -> bool {
        self.is_unlimited || self.check(access, permission, name, None)
    }

    /// Returns whether routing keys are checked.
    #[must_use]
    pub fn limits_topics(&self) -> bool {
        self.limits_topics
    }

    /// Returns whether the user may publish to an exchange of type `topic`, or bind to it, with this routing key.
    pub fn permits_topic(
        &mut self,
        access: &mut dyn Access,
        permission: Permission,
        exchange: &str,
        key: &str,
    ) -> bool {
        !self.limits_topics || self.check(access, permission, exchange, Some(key))
    }

    fn check(&mut self, access: &mut dyn Access, permission: Permission, name: &str, key: Option<&str>) -> bool {
        let is_meant = |cached: &Cached| {
            cached.permission == permission && *cached.name == *name && cached.routing_key.as_deref() == key
        };
        let place = self.cached.iter().position(is_meant).unwrap_or_else(|| {
            let (user, host) = (&*self.user, &*self.virtual_host);
            let is_permitted = match key {
                Some(key) => access.permits_topic(user, host, permission, name, key),
                None => access.permits(user, host, permission, name),
            };
            self.cached.truncate(CACHED_MAX - 1);
            self.cached.push(Cached { permission, name: name.into(), routing_key: key.map(Box::from), is_permitted });
            self.cached.len() - 1
        });
        self.cached[..=place].rotate_right(1);
        self.cached[0].is_permitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Permits to read names that begin with `r`, and counts the calls.
    #[derive(Debug, Default)]
    struct Reader {
        asked: usize,
    }

    impl Access for Reader {
        fn log_in(&mut self, _: &str, _: &str, _: bool) -> Option<Box<str>> {
            None
        }

        fn log_in_by_certificate(&mut self, _: &str) -> Option<Box<str>> {
            None
        }

        fn may_enter(&mut self, _: &str, _: &str) -> bool {
            true
        }

        fn permits_all(&mut self, _: &str, _: &str) -> bool {
            false
        }

        fn permits(&mut self, _: &str, _: &str, permission: Permission, name: &str) -> bool {
            self.asked += 1;
            permission == Permission::Read && name.starts_with('r')
        }

        fn limits_topics(&mut self, _: &str, virtual_host: &str) -> bool {
            virtual_host == "topics"
        }

        fn permits_topic(&mut self, _: &str, _: &str, permission: Permission, exchange: &str, key: &str) -> bool {
            self.asked += 1;
            permission == Permission::Read && exchange == key
        }

        fn update_secret(&mut self, _: &str, _: &str) -> bool {
            false
        }
    }

    #[test]
    fn topics_are_asked_about_where_there_are_any_and_once() {
        let mut access = Reader::default();
        let mut permissions = Permissions::new(&mut access, "user", "/");
        assert!(permissions.permits_topic(&mut access, Permission::Write, "x", "k") && access.asked == 0);
        let mut permissions = Permissions::new(&mut access, "user", "topics");
        for _ in 0..2 {
            assert!(permissions.permits_topic(&mut access, Permission::Read, "x", "x"));
            assert!(!permissions.permits_topic(&mut access, Permission::Read, "x", "k"));
            assert!(!permissions.permits_topic(&mut access, Permission::Write, "x", "x"));
            assert!(
                !permissions.permits(&mut access, Permission::Read, "x"),
                "the exchange itself is another question"
            );
        }
        assert_eq!(access.asked, 4);
    }

    #[test]
    fn guests_come_from_this_machine() {
        assert_eq!(GuestOnly.log_in("guest", "guest", true).as_deref(), Some("guest"));
        for (user, password, loopback) in [("guest", "guest", false), ("guest", "x", true), ("x", "guest", true)] {
            assert_eq!(GuestOnly.log_in(user, password, loopback), None);
        }
    }

    #[test]
    fn an_answer_is_kept_until_others_are_wanted_more() {
        let mut access = Reader::default();
        let mut permissions = Permissions::new(&mut access, "user", "/");
        for _ in 0..2 {
            assert!(permissions.permits(&mut access, Permission::Read, "r"));
            assert!(!permissions.permits(&mut access, Permission::Write, "r"));
        }
        assert_eq!(access.asked, 2);
        for number in 0..CACHED_MAX {
            assert!(!permissions.permits(&mut access, Permission::Read, &number.to_string()));
            assert!(permissions.permits(&mut access, Permission::Read, "r"));
        }
        assert_eq!((access.asked, permissions.cached.len()), (2 + CACHED_MAX, CACHED_MAX));
        assert!(!permissions.permits(&mut access, Permission::Write, "r"));
        assert_eq!(access.asked, 3 + CACHED_MAX, "the oldest was forgotten");
    }

    #[test]
    fn who_may_do_everything_is_not_asked_about() {
        let mut permissions = Permissions::new(&mut GuestOnly, "guest", "/");
        let mut access = Reader::default();
        assert!(permissions.permits(&mut access, Permission::Configure, "x") && access.asked == 0);
        permissions.refresh(&mut access);
        assert!(!permissions.permits(&mut access, Permission::Configure, "x") && access.asked == 1);
    }
}
