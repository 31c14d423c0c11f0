//! A global allocator that counts what it is asked for and what is held.

#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The system's allocator, counting. A program that wants to use [`count`] makes it its global allocator.
pub struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicU64 = AtomicU64::new(0);

/// How many allocations, growing ones included, were made so far. Threads may be behind each other.
#[must_use]
pub fn count() -> u64 {
    ALLOCATIONS.load(Relaxed)
}

/// How many bytes are allocated now. Threads may be behind each other.
#[must_use]
pub fn held() -> u64 {
    HELD.load(Relaxed)
}

fn add_held(more: usize, less: usize) {
    HELD.store(HELD.load(Relaxed).wrapping_add(more as u64).wrapping_sub(less as u64), Relaxed);
}

/// Load and store instead of an atomic addition: the price is paid by contenders, and they have one thread.
fn add_one() {
    ALLOCATIONS.store(ALLOCATIONS.load(Relaxed) + 1, Relaxed);
}

// SAFETY: hands every call on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add_one();
        add_held(layout.size(), 0);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add_one();
        add_held(layout.size(), 0);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        add_one();
        add_held(new_size, layout.size());
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        add_held(0, layout.size());
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.dealloc(block, layout) }
    }
}
