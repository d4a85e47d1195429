//! Core: how fast it is natively, how flat that stays, and the memory and the allocations of a message. Prints one line
//! of JSON.

mod flat;
mod workload;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use flat::Row;
use workload::{BODY_BYTES, Setup, Workload};

/// Counts what the system's allocator hands out.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);

#[expect(unsafe_code, reason = "an allocator cannot be written otherwise")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        LIVE_BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised to us.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as the caller promised to us.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MESSAGES: usize = 500_000;
const QUEUED: usize = 1_000_000;
const BATCH: usize = 100;
/// What the gates allow: bytes of a queued message beside its body, and allocations of a message.
const OVERHEAD_MAX_BYTES: f64 = 100.0;
const ALLOCATIONS_MAX: f64 = 1.01;

fn main() {
    // `cargo test` wants the gates alone, and `--quick` to see that it runs.
    let is_asked = |option: &str| std::env::args().any(|argument| argument == option);
    let scale = if is_asked("--bench") && !is_asked("--quick") { 1 } else { 100 };
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

/// Messages a second: the best of five runs, as everything else on the machine only makes it slower.
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

/// Bytes beside the body of a message that waits in the queue, and allocations of one that passes through.
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

/// How many there were so far.
fn allocations() -> usize {
    ALLOCATIONS.load(Ordering::Relaxed)
}
