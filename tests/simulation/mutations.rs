//! Mutations: bugs that are planted around the core, so that one sees that the checker finds them.

use super::client::Mode;
use super::disk::{Disk, Lie};
use super::forge::Forgery;
use super::ledger::Checked;
use super::random::Random;
use super::workload::{Plan, run};
use super::world::{Ending, World};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// The server is told of a flush before it happened.
    ConfirmsBeforeFlush,
    /// A transaction is written as several.
    CommitsInParts,
    /// What the disk does.
    OfDisk(Lie),
}

impl Mutation {
    pub fn disk(self) -> Disk {
        match self {
            Self::OfDisk(lie) => Disk::lying(lie),
            _ => Disk::default(),
        }
    }
}

/// A bug that hides in so many workloads is not found.
const SEEDS: u64 = 100;
const STEPS: usize = 100;

/// Without a bug these find nothing, as the other tests prove.
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

/// What is said of the first workload that finds it must be one of these.
fn assert_found(mutation: Mutation, expected: &[&str], run: impl Fn(Mutation, u64) -> Checked) {
    let told = (0..SEEDS).find_map(|seed| run(mutation, seed).err().map(|found| format!("seed {seed}: {found}")));
    let told = told.unwrap_or_else(|| panic!("{mutation:?} was not found"));
    println!("{mutation:?}: {told}");
    assert!(expected.iter().any(|text| told.contains(text)), "{mutation:?}: {told}");
}

#[test]
fn a_confirm_before_the_flush_is_found() {
    assert_found(Mutation::ConfirmsBeforeFlush, &["lost", "instead of", "promise"], crash_at_random);
}

#[test]
fn a_flush_that_does_nothing_is_found() {
    assert_found(Mutation::OfDisk(Lie::FlushesNothing), &["lost", "instead of", "no queue"], crash_at_random);
}

#[test]
fn a_last_write_that_no_flush_covers_is_found() {
    assert_found(Mutation::OfDisk(Lie::ForgetsLastWrite), &["lost", "instead of", "no queue"], crash_at_random);
}

#[test]
fn a_segment_that_goes_before_its_copies_are_durable_is_found() {
    assert_found(Mutation::OfDisk(Lie::RemovesEarly), &["lost", "instead of", "damaged", "refused"], crash_at_random);
}

#[test]
fn a_transaction_in_parts_is_found() {
    assert_found(
        Mutation::CommitsInParts,
        &["lost", "half", "went back", "instead of", "not delivered"],
        crash_after_a_commit,
    );
}

#[test]
fn an_ack_that_is_not_written_is_found() {
    assert_found(Mutation::OfDisk(Lie::Forges(Forgery::ForgetsAcks)), &["returned", "instead of"], crash_at_random);
}

#[test]
fn half_a_fan_out_is_found() {
    assert_found(
        Mutation::OfDisk(Lie::Forges(Forgery::HalvesFanOut)),
        &["lost", "half", "passed", "instead of"],
        crash_at_random,
    );
}

#[test]
fn a_position_that_is_lost_in_cleaning_is_found() {
    assert_found(
        Mutation::OfDisk(Lie::Forges(Forgery::LosesPositions)),
        &["passed over", "returned", "redelivered", "not as it was closed"],
        crash_at_random,
    );
}

#[test]
fn returns_that_are_not_written_are_found() {
    assert_found(Mutation::OfDisk(Lie::Forges(Forgery::ForgetsReturns)), &["returns=0"], crash_at_random);
}
