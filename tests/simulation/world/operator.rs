//! Operator: changes and observations without a connection: policies, a virtual host that comes and goes, lists.

use pocketmq::broker::{ApplyTo, Policy};
use pocketmq::embedded::{Answer, Verb};
use pocketmq::table::{Table, Value};

use super::{GUEST, HOSTS, World};
use crate::ledger::{Checked, IDLE_POLICIES, Ledger, POLICIES, TTLS_MS, violation};
use crate::topology::{BINDINGS, BindingSpec, EXCHANGES, PARTED, QUEUES, TIMED, Target};

/// Returns a policy of the workload: it sets the time to live of its queue's messages, or has no effect.
fn policy(number: usize, version: u32) -> Policy {
    let (pattern, key, value) = match number.checked_sub(IDLE_POLICIES) {
        None => ("nothing", "max-length", 1000 + u64::from(version)),
        Some(place) => (QUEUES[TIMED[place]].name, "message-ttl", TTLS_MS[version as usize]),
    };
    let definition = [(key, Value::I32(value as i32))].into_iter().collect();
    Policy { pattern: pattern.into(), apply_to: ApplyTo::Queues, priority: version as i32, definition }
}

fn policy_name(number: usize) -> String {
    format!("rule {number}")
}

impl World {
    /// Does what the operator requests in a virtual host.
    fn request(&mut self, host: usize, verb: Verb<'_>) {
        let entered = self.server.verb(Verb::Enter { virtual_host: HOSTS[host] });
        assert!(entered.is_ok_and(Answer::flag), "it stays");
        self.server.verb(verb).expect("it makes sense");
    }

    /// Records a change by the operator, which the next flush must make durable.
    fn await_write(&mut self, host: usize) {
        let write = self.server.current_write();
        self.operator_writes.push((write, host, self.clock.turn));
        self.operations += 1;
    }

    pub(super) fn promise_operator_writes(&mut self) -> Checked {
        for (write, host, turn) in std::mem::take(&mut self.operator_writes) {
            if self.server.is_durable(write) {
                self.has_promised = true;
                self.ledgers[host].promise(turn)?;
            } else {
                self.operator_writes.push((write, host, turn));
            }
        }
        Ok(())
    }

    /// Sets, changes or deletes a policy.
    pub fn change_policy(&mut self) {
        let (host, number) = (self.random.below(HOSTS.len()), self.random.below(POLICIES));
        self.set_policy(host, number);
    }

    /// Sets the policies again that may not have survived, and that matter to new messages.
    pub(super) fn clear_up_policies(&mut self, host: usize) {
        for number in IDLE_POLICIES..POLICIES {
            if !self.ledgers[host].policies[number].is_clear() {
                self.set_policy(host, number);
            }
        }
    }

    pub fn set_policy(&mut self, host: usize, number: usize) {
        let version = if self.random.chance(30) { None } else { Some(self.random.below(TTLS_MS.len()) as u32) };
        if self.has_failed() {
            return;
        }
        let turn = self.clock.turn;
        let ledger = &mut self.ledgers[host];
        // A change without effect is not written, and no reply depends on it.
        if ledger.policies[number].must_be(|&known| known != version) {
            ledger.caused = turn;
        }
        ledger.policies[number].set(turn, version);
        let name = &*policy_name(number);
        match version {
            Some(version) => self.request(host, Verb::SetPolicy { name, policy: &policy(number, version) }),
            None => self.request(host, Verb::DeletePolicy { name }),
        }
        self.await_write(host);
    }

    /// Creates or deletes the virtual host.
    pub fn change_guest(&mut self) {
        if self.has_failed() {
            return;
        }
        let is_there = self.server.virtual_hosts().named(GUEST).is_some();
        self.ledgers[HOSTS.len()].lives.set(self.clock.turn, !is_there);
        if is_there {
            self.server.delete_virtual_host(GUEST);
        } else {
            self.server.add_virtual_host(GUEST);
        }
        self.await_write(HOSTS.len());
    }

    /// Checks which virtual hosts exist.
    pub(super) fn look_at_hosts(&mut self) -> Checked {
        let is_there = self.server.virtual_hosts().named(GUEST).is_some();
        let guest = &mut self.ledgers[HOSTS.len()];
        guest.see("the virtual host that comes and goes", |ledger| &mut ledger.lives, &is_there)?;
        match HOSTS.iter().find(|name| self.server.virtual_hosts().named(name).is_none()) {
            Some(name) => violation(format!("the virtual host {name} is lost")),
            None => Ok(()),
        }
    }

    /// Checks the lists of a virtual host.
    pub(super) fn look_around(&mut self, host: usize) -> Checked {
        let name = HOSTS[host];
        let broker = self.server.virtual_hosts().named(name).expect("it was looked for").broker();
        let (queues, exchanges) = (broker.list_queues(None), broker.list_exchanges(None));
        let bindings: Vec<_> = broker.list_bindings().iter().map(describe_listed).collect();
        let policies: Vec<_> = broker.policies().map(|(name, policy)| (name.to_owned(), policy.clone())).collect();
        let ledger = &mut self.ledgers[host];
        let named = |list: &[Table], name: &str| list.iter().any(|item| text(item, "name") == name);
        for (number, spec) in QUEUES.iter().enumerate() {
            let is_there = named(&queues, spec.name);
            ledger.see(&format!("queue {}", spec.name), |ledger| &mut ledger.queues[number], &is_there)?;
        }
        for (number, spec) in EXCHANGES.iter().enumerate() {
            let is_there = named(&exchanges, spec.name);
            ledger.see(&format!("exchange {}", spec.name), |ledger| &mut ledger.exchanges[number], &is_there)?;
        }
        for (number, spec) in BINDINGS.iter().enumerate() {
            let is_there = bindings.contains(&describe(spec));
            ledger.see(&format!("{spec:?}"), |ledger| &mut ledger.bindings[number], &is_there)?;
        }
        let strange =
            |found: &&String| !BINDINGS.iter().any(|spec| describe(spec) == **found) && !found.starts_with("''");
        if let Some(strange) = bindings.iter().find(strange) {
            return violation(format!("nobody has made the binding {strange}"));
        }
        see_policies(ledger, &policies)?;
        let parted = queues.iter().find(|queue| text(queue, "name") == QUEUES[PARTED].name);
        let count = parted.and_then(|queue| queue.get("partitions")).and_then(Value::as_integer).unwrap_or(0);
        ledger.see("the number of partitions", |ledger| &mut ledger.partitions, &(count as u32))
    }
}

fn see_policies(ledger: &mut Ledger, policies: &[(String, Policy)]) -> Checked {
    for number in 0..POLICIES {
        let found = policies.iter().find(|(name, _)| *name == policy_name(number)).map(|(_, policy)| policy);
        let version = found.map(|found| found.priority as u32);
        if version.is_some_and(|version| found != Some(&policy(number, version))) {
            return violation(format!("nobody has set {found:?}"));
        }
        ledger.see(&policy_name(number), |ledger| &mut ledger.policies[number], &version)?;
    }
    Ok(())
}

fn text<'a>(table: &'a Table, name: &str) -> &'a str {
    table.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn describe_listed(binding: &Table) -> String {
    let label = match binding.get("arguments") {
        Some(Value::Table(arguments)) => text(arguments, "label"),
        _ => "",
    };
    let [source, kind, name, key] =
        ["source", "destination_type", "destination", "routing_key"].map(|name| text(binding, name));
    format!("'{source}' to {kind} '{name}' by '{key}' '{label}'")
}

/// Describes a binding of the workload in the same form.
fn describe(spec: &BindingSpec) -> String {
    let (kind, name) = match spec.target {
        Target::Queue(queue) => ("queue", QUEUES[queue].name),
        Target::Exchange(name) => ("exchange", name),
    };
    format!("'{}' to {kind} '{name}' by '{}' '{}'", spec.exchange, spec.key, spec.label.unwrap_or_default())
}
