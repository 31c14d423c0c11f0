//! A global allocator that counts what it is asked for and what is held.

#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// The system's allocator, counting. A program that wants to use [`Allocated`] makes it its global allocator.
pub struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static HELD: AtomicU64 = AtomicU64::new(0);

/// The memory that was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allocated {
    /// The allocations, growing ones included.
    pub count: u64,
    /// The bytes that they brought: of one that grew, those that were added.
    pub bytes: u64,
}

impl Allocated {
    /// Returns what was asked for so far. Threads may be behind each other.
    #[must_use]
    pub fn so_far() -> Self {
        Self { count: ALLOCATIONS.load(Relaxed), bytes: BYTES.load(Relaxed) }
    }

    /// Returns what was asked for after `earlier`.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self { count: self.count - earlier.count, bytes: self.bytes - earlier.bytes }
    }
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
fn add_one(bytes: usize) {
    ALLOCATIONS.store(ALLOCATIONS.load(Relaxed) + 1, Relaxed);
    BYTES.store(BYTES.load(Relaxed) + bytes as u64, Relaxed);
}

// SAFETY: hands every call on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add_one(layout.size());
        add_held(layout.size(), 0);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add_one(layout.size());
        add_held(layout.size(), 0);
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        add_one(new_size.saturating_sub(layout.size()));
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
