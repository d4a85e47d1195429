//! Simulation: crashes at any moment, on a disk that tears and reorders unflushed writes, and a checker that knows what
//! clients were promised.
//!
//! `POCKETMQ_SEEDS` sets the number of seeds, `POCKETMQ_FIRST_SEED` the first one, `POCKETMQ_SEED` a single one,
//! `POCKETMQ_STEPS` the length of each run, and `POCKETMQ_TRACE` prints what happens. `POCKETMQ_RECORD` names a file for the
//! recording of the last server.
#![cfg(not(target_arch = "wasm32"))]

mod client;
mod disk;
mod dump;
mod forge;
mod ledger;
mod mutations;
#[path = "../peer/mod.rs"]
mod peer;
mod random;
mod timeline;
mod topology;
mod workload;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use ledger::Checked;
use workload::{Plan, Tally, run, run_every_boundary, run_full, run_recorded};

const SEEDS: u64 = 200;
/// With `POCKETMQ_SOAK`, this many times as many.
const SOAK: u64 = 10;
const STEPS: u64 = 100;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

/// Runs each seed, and fails with the lines that replay the failed ones.
fn for_each_seed(test: &str, seeds: u64, steps: u64, run: impl Fn(u64, usize) -> Checked<Tally>) {
    let steps = number("POCKETMQ_STEPS").unwrap_or(steps);
    let seeds = match number("POCKETMQ_SEED") {
        Some(seed) => seed..seed + 1,
        None => {
            let times = if std::env::var_os("POCKETMQ_SOAK").is_some() { SOAK } else { 1 };
            let first = number("POCKETMQ_FIRST_SEED").unwrap_or(0);
            first..first + number("POCKETMQ_SEEDS").unwrap_or(seeds * times)
        }
    };
    let mut sum = Tally::default();
    let mut failed = Vec::new();
    for seed in seeds {
        let replay = format!("POCKETMQ_SEED={seed} POCKETMQ_STEPS={steps} cargo test --test simulation {test}");
        match catch_unwind(AssertUnwindSafe(|| run(seed, steps as usize))) {
            Ok(Ok(tally)) => {
                sum.operations += tally.operations;
                sum.crashes += tally.crashes;
            }
            Ok(Err(violation)) => failed.push(format!("{violation}\n{replay}")),
            Err(_) => failed.push(format!("the core has panicked\n{replay}")),
        }
    }
    println!("{} operations, {} restarts", sum.operations, sum.crashes);
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn promises_survive_crashes_at_random() {
    for_each_seed("promises_survive_crashes_at_random", SEEDS, STEPS, |seed, steps| {
        run(Plan { seed, steps, crashes: 40, mutation: None })
    });
}

#[test]
fn a_replay_writes_the_same_bytes() {
    for_each_seed("a_replay_writes_the_same_bytes", SEEDS / 20, STEPS, |seed, steps| {
        run_recorded(Plan { seed, steps, crashes: 40, mutation: None })
    });
}

#[test]
fn promises_survive_a_crash_at_every_flush() {
    for_each_seed("promises_survive_a_crash_at_every_flush", 10, 60, |seed, steps| {
        run_every_boundary(Plan { seed, steps, crashes: 0, mutation: None })
    });
}

#[test]
fn promises_survive_a_full_disk() {
    for_each_seed("promises_survive_a_full_disk", SEEDS / 2, STEPS, |seed, steps| {
        run_full(Plan { seed, steps, crashes: 0, mutation: None })
    });
}
