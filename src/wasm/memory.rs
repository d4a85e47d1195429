//! Memory: it grows well ahead of the need. The allocator asks for 64 KiB at a time, and each time JavaScript's view of the
//! memory is made anew and its garbage collected, which costs more than the messages that the memory is for.

use std::arch::wasm32::memory_size;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

const PAGE_BYTES: usize = 64 << 10;
/// So large a part of the memory is added.
const SHARE: usize = 8;

/// How many pages there were when this was looked at last.
static PAGES: AtomicUsize = AtomicUsize::new(0);

/// If the memory has grown, it grows by an eighth more, which is there for whoever comes next.
pub(super) fn grow_ahead() {
    let pages = memory_size::<0>();
    if pages == PAGES.load(Relaxed) {
        return;
    }
    let mut ahead = Vec::<u8>::new();
    // If there is no room, there is none ahead.
    let _ = ahead.try_reserve_exact(pages * PAGE_BYTES / SHARE);
    drop(black_box(ahead));
    PAGES.store(memory_size::<0>(), Relaxed);
}
