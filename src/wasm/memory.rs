//! Memory: grows wasm's memory well ahead of the need. The allocator requests 64 KiB at a time, and each time
//! JavaScript makes its view of the memory anew and collects its garbage, which costs more than the messages that the
//! memory is for.

use std::arch::wasm32::memory_size;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const PAGE_BYTES: usize = 64 << 10;
/// Fraction of the memory that is added: one in this many.
const SHARE: usize = 8;

/// Number of pages when this was last checked.
static PAGES: AtomicUsize = AtomicUsize::new(0);

/// Grows the memory by a further eighth if it has grown, for later allocations.
pub(super) fn grow_ahead() {
    let pages = memory_size::<0>();
    if pages == PAGES.load(Relaxed) {
        return;
    }
    let mut ahead = Vec::<u8>::new();
    // Without room for it, the memory does not grow ahead.
    let _ = ahead.try_reserve_exact(pages * PAGE_BYTES / SHARE);
    drop(black_box(ahead));
    PAGES.store(memory_size::<0>(), Relaxed);
}
