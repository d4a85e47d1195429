//! Core: the native speed of the core, how flat it stays under load, and memory and allocations per message. Prints one
//! line of JSON.

mod flat;
mod workload;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use flat::Row;
use workload::{BODY_BYTES, Setup, Workload};

/// Counts the allocations of the system's allocator.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator cannot be written otherwise")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        LIVE_BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller upholds the same contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MESSAGES: usize = 500_000;
const QUEUED: usize = 1_000_000;
const BATCH: usize = 100;
/// Limits of the gates: bytes of a queued message beside its body, and allocations per message.
const OVERHEAD_MAX_BYTES: f64 = 100.0;
const ALLOCATIONS_MAX: f64 = 1.01;

fn main() {
    // `cargo test` runs the gates only, and `--quick` only checks that the benchmark runs.
    let has = |option: &str| std::env::args().any(|argument| argument == option);
    let scale = if has("--bench") && !has("--quick") { 1 } else { 100 };
    let one_by_one = rate(MESSAGES / scale, 1);
    let in_batches = rate(MESSAGES / scale, BATCH);
    let (overhead_bytes, allocations) = memory(QUEUED / scale);
    let flat = flat::measure(scale);
    let (only, of_many) = flat::deletion(scale);
    println!(
        "{{\"oneByOne\":{one_by_one:.0},\"inBatches\":{in_batches:.0},\
         \"overheadBytes\":{overhead_bytes:.1},\"allocations\":{allocations:.3},\
         \"deletion\":[{only:.0},{of_many:.0}],\"flat\":[{}]}}",
        flat.iter().map(json).collect::<Vec<_>>().join(",")
    );
    assert!(
        overhead_bytes <= OVERHEAD_MAX_BYTES,
        "a queued message takes {overhead_bytes:.1} bytes beside its body, and may take {OVERHEAD_MAX_BYTES}"
    );
    assert!(
        allocations <= ALLOCATIONS_MAX,
        "a message takes {allocations:.3} allocations, and may take {ALLOCATIONS_MAX}"
    );
    for Row { name, allocations, allocations_max, .. } in flat {
        assert!(
            allocations <= allocations_max,
            "{name}: a message takes {allocations:.3} allocations, and may take {allocations_max}"
        );
    }
}

fn json(Row { name, nanoseconds, ratio, allocations, .. }: &Row) -> String {
    format!("[\"{name}\",{nanoseconds:.0},{ratio:.2},{allocations:.2}]")
}

/// Returns messages per second: the best of five runs, as other work on the machine only makes a run slower.
fn rate(count: usize, batch: usize) -> f64 {
    let mut workload = Workload::new(&Setup::default());
    workload.consume();
    workload.run(count / 10, batch);
    let run = |_| {
        let start = Instant::now();
        workload.run(count, batch);
        count as f64 / start.elapsed().as_secs_f64()
    };
    (0..5).map(run).fold(0.0, f64::max)
}

/// Returns the bytes of a queued message beside its body, and the allocations of a message that passes through.
fn memory(count: usize) -> (f64, f64) {
    let mut workload = Workload::new(&Setup::default());
    let live = LIVE_BYTES.load(Ordering::Relaxed);
    (0..count).for_each(|_| workload.publish());
    let overhead = (LIVE_BYTES.load(Ordering::Relaxed) - live) as f64 / count as f64 - BODY_BYTES as f64;

    let mut workload = Workload::new(&Setup::default());
    workload.consume();
    workload.run(1000, 10);
    let before = allocations();
    workload.run(count, 10);
    (overhead, (allocations() - before) as f64 / count as f64)
}

/// Returns the number of allocations so far.
fn allocations() -> usize {
    ALLOCATIONS.load(Ordering::Relaxed)
}
