//! Policies: an operator sets and deletes them, and they apply at once.

use super::Broker;
use crate::broker::model::error::Error;
use crate::broker::model::names::is_reply_address;
use crate::broker::model::policy::{Matcher, Policy};
use crate::broker::model::record::Record;
use crate::broker::model::settings::Settings;

impl Broker {
    /// Sets the function that matches patterns. Without one a pattern only matches the name that equals it.
    pub fn set_matcher(&mut self, matcher: Matcher) {
        self.state.set_matcher(matcher);
    }

    /// Sets a policy, or changes the one of this name. It applies at once, also to existing queues.
    ///
    /// # Errors
    /// When its definition has unknown keys or invalid values.
    pub fn set_policy(&mut self, name: &str, policy: &Policy) -> Result<(), Error> {
        check(policy)?;
        self.check_room(policy.room(name))?;
        self.check_keeping(true)?;
        self.commit(&Record::PolicySet { name, policy });
        self.tend_all();
        Ok(())
    }

    /// Sets a policy that limits the values of other policies and of arguments, or deletes it if there is none. It is
    /// not kept: the host sets it at each start.
    ///
    /// # Errors
    /// As for [`set_policy`](Self::set_policy).
    pub fn set_operator_policy(&mut self, name: &str, policy: Option<&Policy>) -> Result<(), Error> {
        policy.map_or(Ok(()), check)?;
        self.state.set_operator_policy(name, policy);
        self.tend_all();
        Ok(())
    }

    /// Deletes a policy, and returns whether there was one.
    ///
    /// # Errors
    /// When nothing can be kept any more.
    pub fn delete_policy(&mut self, name: &str) -> Result<bool, Error> {
        let exists = self.state.policies().contains(name);
        if exists {
            self.check_keeping(true)?;
            self.commit(&Record::PolicyDeleted { name });
            self.tend_all();
        }
        Ok(exists)
    }

    /// Returns all policies, by name.
    pub fn policies(&self) -> impl Iterator<Item = (&str, &Policy)> {
        self.state.policies().iter()
    }

    /// Returns the names of the queues and exchanges, to which policies apply.
    pub fn policy_targets(&self) -> impl Iterator<Item = &str> {
        let queues = self.state.queues().map(|(_, queue)| &*queue.name);
        queues.filter(|name| !is_reply_address(name)).chain(self.state.exchanges().map(|(name, _)| name))
    }
}

fn check(policy: &Policy) -> Result<(), Error> {
    Settings::of_policy(&policy.definition)
        .map(drop)
        .map_err(|bad| Error::BadArgument(bad.name, bad.reason.to_string().into()))
}
