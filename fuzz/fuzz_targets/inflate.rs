#![no_main]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| ws_fuzz_bodies::inflate_watched(data, watch));

thread_local! {
    /// Bytes that are allocated now, and the most since somebody looked.
    static HELD: Cell<[isize; 2]> = const { Cell::new([0; 2]) };
}

/// The system's allocator, counting per thread.
struct Counting;

fn count(bytes: isize) {
    // A thread that ends allocates no more.
    let _ = HELD.try_with(|held| {
        let [now, most] = held.get();
        held.set([now + bytes, most.max(now + bytes)]);
    });
}

fn signed(len: usize) -> isize {
    isize::try_from(len).expect("no allocation is longer")
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: the caller's promise is this function's own contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: the caller's promise is this function's own contract.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, len: usize) -> *mut u8 {
        count(signed(len) - signed(layout.size()));
        // SAFETY: the caller's promise is this function's own contract.
        unsafe { System.realloc(memory, layout, len) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn watch(work: &mut dyn FnMut()) -> [isize; 2] {
    let [before, _] = HELD.get();
    HELD.set([before; 2]);
    work();
    HELD.get().map(|held| held - before)
}
