//! An allocator that counts, so that "bounded" is a number of bytes and not of milliseconds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static CALLS: Cell<usize> = const { Cell::new(0) };
    static BYTES: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.with(|calls| calls.set(calls.get() + 1));
        BYTES.with(|bytes| bytes.set(bytes.get() + layout.size()));
        // SAFETY: as promised by our caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as promised by our caller.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often and how much this thread asked the allocator for while `work` was done.
pub fn taken<T>(work: impl FnOnce() -> T) -> (usize, usize, T) {
    let before = (CALLS.with(Cell::get), BYTES.with(Cell::get));
    let result = work();
    (CALLS.with(Cell::get) - before.0, BYTES.with(Cell::get) - before.1, result)
}
