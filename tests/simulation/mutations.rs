//! Mutations: planted bugs around the core; the checker must find each.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::SEEDS;
use super::client::{Cause, Mode};
use super::disk::{Disk, Lie};
use super::forge::{Forgery, Kind, Phase};
use super::ledger::Checked;
use super::random::Random;
use super::workload::{Plan, run};
use super::world::{Ending, World};

/// The bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The server hears of a flush before it happened.
    ConfirmsBeforeFlush,
    /// Replies that wait for this cause alone leave before it is durable.
    Hastens(Cause),
    /// A transaction is written as several commits.
    CommitsInParts,
    /// A bug of the disk.
    OfDisk(Lie),
}

impl Mutation {
    pub fn disk(self) -> Disk {
        match self {
            Self::OfDisk(lie) => Disk::lying(lie),
            Self::Hastens(_) => Disk::lying(Lie::Forges(Forgery::HidesFlushes)),
            _ => Disk::default(),
        }
    }
}

const fn forges(forgery: Forgery) -> Mutation {
    Mutation::OfDisk(Lie::Forges(forgery))
}

const fn forgets(kind: Kind, phase: Phase) -> Mutation {
    forges(Forgery::Forgets(kind, phase))
}

/// The bugs that random crashes have to find, by the phase in which they act.
const MUTATIONS: &[Mutation] = &[
    forgets(Kind::VirtualHost, Phase::Write),
    forgets(Kind::VirtualHostGone, Phase::Write),
    forgets(Kind::Exchange, Phase::Write),
    forgets(Kind::ExchangeGone, Phase::Write),
    forgets(Kind::Queue, Phase::Write),
    forgets(Kind::QueueGone, Phase::Write),
    forgets(Kind::Partitions, Phase::Write),
    forgets(Kind::Bound, Phase::Write),
    forgets(Kind::Unbound, Phase::Write),
    forgets(Kind::Policy, Phase::Write),
    forgets(Kind::PolicyGone, Phase::Write),
    forgets(Kind::Message, Phase::Write),
    forgets(Kind::Waiting, Phase::Write),
    forgets(Kind::Delayed, Phase::Write),
    forgets(Kind::Gone, Phase::Write),
    forgets(Kind::WaitingGone, Phase::Write),
    forgets(Kind::DelayGone, Phase::Write),
    forgets(Kind::Returned, Phase::Write),
    forgets(Kind::Era, Phase::Write),
    forges(Forgery::HalvesFanOut),
    // Replies and flushes.
    Mutation::ConfirmsBeforeFlush,
    Mutation::Hastens(Cause::Published),
    Mutation::Hastens(Cause::Settled),
    Mutation::Hastens(Cause::Declared),
    Mutation::Hastens(Cause::Deleted),
    Mutation::Hastens(Cause::Bound),
    Mutation::Hastens(Cause::Unbound),
    Mutation::Hastens(Cause::Purged),
    Mutation::Hastens(Cause::Others),
    Mutation::OfDisk(Lie::FlushesNothing),
    Mutation::OfDisk(Lie::ForgetsLastWrite),
    // Cleaning.
    forgets(Kind::VirtualHost, Phase::Clean),
    forgets(Kind::Exchange, Phase::Clean),
    forgets(Kind::Queue, Phase::Clean),
    forgets(Kind::Partitions, Phase::Clean),
    forgets(Kind::Bound, Phase::Clean),
    forgets(Kind::Policy, Phase::Clean),
    forgets(Kind::Message, Phase::Clean),
    forgets(Kind::Waiting, Phase::Clean),
    forgets(Kind::Delayed, Phase::Clean),
    forgets(Kind::Returned, Phase::Clean),
    forgets(Kind::Publisher, Phase::Clean),
    forgets(Kind::Era, Phase::Clean),
    forges(Forgery::LosesPositions),
    Mutation::OfDisk(Lie::RemovesEarly),
    // Recovery.
    forgets(Kind::Exchange, Phase::Recover),
    forgets(Kind::Queue, Phase::Recover),
    forgets(Kind::Partitions, Phase::Recover),
    forgets(Kind::Bound, Phase::Recover),
    forgets(Kind::Unbound, Phase::Recover),
    forgets(Kind::Policy, Phase::Recover),
    forgets(Kind::Message, Phase::Recover),
    forgets(Kind::Waiting, Phase::Recover),
    forgets(Kind::Delayed, Phase::Recover),
    forgets(Kind::Gone, Phase::Recover),
    forgets(Kind::Returned, Phase::Recover),
    forgets(Kind::Publisher, Phase::Recover),
    forgets(Kind::Era, Phase::Recover),
    forges(Forgery::MissesLastBatch),
    // A clean end.
    forgets(Kind::Delivered, Phase::Write),
    forges(Forgery::NeverCloses),
];

const STEPS: usize = 100;
/// At least one in this many workloads must find each bug.
const SHARE: usize = 25;

/// Without a bug these workloads find nothing, as the other tests prove.
fn crash_at_random(mutation: Mutation, seed: u64) -> Checked {
    run(Plan { seed, steps: STEPS, crashes: 40, mutation: Some(mutation) }).map(|_| ())
}

/// The power fails after a commit, before any flush.
fn crash_after_a_commit(mutation: Mutation, seed: u64) -> Checked {
    let mut world = World::new(Random::new(seed), Some(mutation))?;
    world.recover()?;
    world.meet()?;
    world.answer_all()?;
    let number = world.open_channel(0, Mode::Transactions);
    world.turn()?;
    world.publish_some(0, number);
    world.commit(0, number);
    world.turn()?;
    world.restart(Ending::PowerLoss)?;
    world.drain()
}

/// Returns the violations of the workloads that find the bug. Those that the journal itself refuses do not count.
fn findings(mutation: Mutation, run: impl Fn(Mutation, u64) -> Checked) -> impl Iterator<Item = String> {
    (0..SEEDS).filter_map(move |seed| {
        let found = match catch_unwind(AssertUnwindSafe(|| run(mutation, seed))) {
            Ok(found) => found.err()?.0,
            Err(_) => "the core has panicked".into(),
        };
        (!found.starts_with("the journal is refused")).then(|| format!("seed {seed}: {found}"))
    })
}

/// A soak requires that a share of all workloads finds each bug; otherwise the first that does is enough.
#[test]
fn every_planted_bug_is_found() {
    let is_soak = std::env::var_os("POCKETMQ_SOAK").is_some();
    let (wanted, most) = if is_soak { (SEEDS as usize / SHARE, usize::MAX) } else { (1, 1) };
    let next = AtomicUsize::new(0);
    let work = || {
        let mut missed = Vec::new();
        while let Some(&mutation) = MUTATIONS.get(next.fetch_add(1, Ordering::Relaxed)) {
            let found: Vec<_> = findings(mutation, crash_at_random).take(most).collect();
            println!("{mutation:?}: {} found it, as {:?}", found.len(), found.first());
            if found.len() < wanted {
                missed.push(mutation);
            }
        }
        missed
    };
    let missed: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a panic is caught")).collect()
    });
    assert!(missed.is_empty(), "of {SEEDS} workloads fewer than {wanted} notice {missed:?}");
}

#[test]
fn a_transaction_in_parts_is_found() {
    let found = findings(Mutation::CommitsInParts, crash_after_a_commit).next().expect("it is found");
    let expected = ["lost", "half", "went back", "instead of", "not delivered"];
    assert!(expected.iter().any(|text| found.contains(text)), "{found}");
}
