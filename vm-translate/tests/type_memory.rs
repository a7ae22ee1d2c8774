//! How many bytes types take: while a module is parsed, and as long as it is held. By an allocator that counts, in a process
//! of its own.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use vm_translate::{Features, Module};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is the system's allocator's, which upholds the contract; the counters are beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(now, Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Types of ten parameters and a result, all different.
fn module(types: usize) -> Vec<u8> {
    const KINDS: [u8; 4] = [0x7f, 0x7e, 0x7d, 0x7c];
    let mut section = leb(types);
    for n in 0..types {
        section.extend([0x60, 10]);
        section.extend((0..10).map(|place| KINDS[(n >> (2 * place)) % KINDS.len()]));
        section.extend([1, 0x7f]);
    }
    let mut bytes = b"\0asm\x01\0\0\0\x01".to_vec();
    bytes.extend(leb(section.len()));
    bytes.extend(section);
    bytes
}

fn leb(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[test]
fn types_are_not_kept_twice() {
    const TYPES: usize = 50_000;
    let bytes = vm_translate::Binary::from(module(TYPES));
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    let module = Module::new(bytes, &Features::default()).unwrap();
    let each = |bytes: usize| (bytes - before) / TYPES;
    let (most, kept) = (each(MOST.load(Relaxed)), each(NOW.load(Relaxed)));
    // 447 both when this was written. When the validator kept types in order as well, and until all were registered, the
    // most was some 1,000.
    assert!(most < 600 && kept < 500, "{most}, then {kept}");
    drop(module);
    assert!(each(NOW.load(Relaxed)) < 60, "{}", each(NOW.load(Relaxed)));
}
