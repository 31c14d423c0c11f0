#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    /// Number of allocations of this thread.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
    /// Bytes that are allocated now, and the most since [`growth`] was called.
    static HELD: Cell<[usize; 2]> = const { Cell::new([0; 2]) };
}

/// The system's allocator with counts for each thread. A test binary that counts makes it its global allocator.
#[derive(Debug)]
pub struct Counting;

fn count(more: usize, less: usize) {
    // A thread that is ending may have dropped its counts already.
    let _ = ALLOCATIONS.try_with(|made| made.set(made.get() + usize::from(more > 0)));
    let _ = HELD.try_with(|held| {
        let [now, most] = held.get();
        // This thread may free memory that another thread has allocated.
        let now = (now + more).saturating_sub(less);
        held.set([now, most.max(now)]);
    });
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        // SAFETY: the caller's promise is this function's own contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(0, layout.size());
        // SAFETY: the caller's promise is this function's own contract.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        count(len, layout.size());
        // SAFETY: the caller's promise is this function's own contract.
        unsafe { System.realloc(memory, layout, len) }
    }
}

/// Returns the number of allocations that `work` makes, including those that grow a block.
pub fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

/// Returns the result of `work`, the bytes by which the heap has grown after it, and the most by which it grew during
/// it.
pub fn growth<X>(work: impl FnOnce() -> X) -> (X, usize, usize) {
    let [before, _] = HELD.get();
    HELD.set([before; 2]);
    let made = work();
    let [after, most] = HELD.get();
    (made, after.saturating_sub(before), most - before)
}
