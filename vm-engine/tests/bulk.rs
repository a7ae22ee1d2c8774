//! `memory.copy`, `memory.fill` and `memory.size`: every small length, overlapping in every way, up to the last byte and one
//! beyond it, in memories of every kind.

mod common;

use common::{call, modes_with};
use vm_engine::{Instance, Memory, Module, Result, SharedMemory, Store, Trap};

/// A memory of this type and everything that is done in bulk with it. Each function is called several times, so hot ones
/// are among them.
fn module(address: &str, memory: &str) -> String {
    format!(
        r#"(module
          {memory}
          (func (export "copy") (param $to {address}) (param $from {address}) (param $len {address})
            (memory.copy (local.get $to) (local.get $from) (local.get $len)))
          (func (export "fill") (param $to {address}) (param $byte i32) (param $len {address})
            (memory.fill (local.get $to) (local.get $byte) (local.get $len)))
          (func (export "size") (result {address}) (memory.size))
          (func (export "grow") (param {address}) (result {address}) (memory.grow (local.get 0))))"#
    )
}

/// Longer than what is done without a call, on either side of every length at which the way changes.
const LENGTHS: std::ops::RangeInclusive<usize> = 0..=70;

/// Addresses whose ranges lie apart, next to each other and over each other, and end where the memory does.
fn addresses(len: usize, size: usize) -> Vec<usize> {
    let end = size - len;
    [
        0,
        1,
        7,
        8,
        15,
        16,
        33,
        64,
        100,
        end,
        end - 1,
        end - 16,
        end - 40,
        end - 71,
    ]
    .to_vec()
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| (n * 7 + n / 251) as u8).collect()
}

/// What tells the tests how a memory is called and looked at.
struct Guest<'a> {
    store: &'a mut Store<()>,
    instance: Instance,
    /// Whether addresses have 64 bits.
    wide: bool,
}

impl Guest<'_> {
    fn copy(&mut self, to: u64, from: u64, len: u64) -> Result<()> {
        match self.wide {
            true => call(self.store, self.instance, "copy", (to, from, len)),
            false => {
                let narrow = (to as u32, from as u32, len as u32);
                call(self.store, self.instance, "copy", narrow)
            }
        }
    }

    fn fill(&mut self, to: u64, byte: u32, len: u64) -> Result<()> {
        match self.wide {
            true => call(self.store, self.instance, "fill", (to, byte, len)),
            false => {
                let narrow = (to as u32, byte, len as u32);
                call(self.store, self.instance, "fill", narrow)
            }
        }
    }

    fn size(&mut self) -> u64 {
        match self.wide {
            true => call(self.store, self.instance, "size", ()).unwrap(),
            false => {
                let size: u32 = call(self.store, self.instance, "size", ()).unwrap();
                size.into()
            }
        }
    }

    fn memory(&mut self) -> Memory {
        self.instance
            .get_memory(&mut *self.store, "memory")
            .unwrap()
    }
}

fn is_out_of_bounds(result: Result<()>) -> bool {
    let error = result.unwrap_err();
    error.downcast_ref::<Trap>() == Some(&Trap::MemoryOutOfBounds)
}

/// Goes through all lengths and addresses, and compares with slices. `read` and `write` reach the memory's bytes.
fn behaves_as_slices(
    guest: &mut Guest<'_>,
    read: impl Fn(&mut Guest<'_>) -> Vec<u8>,
    write: impl Fn(&mut Guest<'_>, &[u8]),
) {
    let size = read(guest).len();
    let mut model = bytes(size);
    write(guest, &model);
    for len in LENGTHS {
        for to in addresses(len, size) {
            for from in addresses(len, size) {
                guest.copy(to as u64, from as u64, len as u64).unwrap();
                model.copy_within(from..from + len, to);
            }
            let byte = 0x1200 + to as u32 + len as u32;
            guest.fill(to as u64, byte, len as u64).unwrap();
            model[to..to + len].fill(byte as u8);
        }
        assert!(read(guest) == model, "length {len}");
        model = bytes(size);
        write(guest, &model);
        // One byte too many, wherever it is, and sums that wrap around: nothing is written.
        let [len, size] = [len as u64, size as u64];
        let end = size - len;
        let most = if guest.wide {
            u64::MAX
        } else {
            u32::MAX.into()
        };
        for (to, from, len) in [
            (end + 1, 0, len),
            (0, end + 1, len),
            (most, 0, len.max(1)),
            (0, most, len.max(1)),
            (most - len.max(1) + 1, 0, len.max(1)),
            (0, 0, most - len),
            (size, 0, 1),
            (size + 1, size, 0),
        ] {
            assert!(
                is_out_of_bounds(guest.copy(to, from, len)),
                "{to} {from} {len}"
            );
            let beyond = to.max(from);
            assert!(
                is_out_of_bounds(guest.fill(beyond, 1, len)),
                "{beyond} {len}"
            );
        }
        // Nothing at the end is in bounds.
        guest.copy(size, size, 0).unwrap();
        guest.fill(size, 1, 0).unwrap();
        assert!(read(guest) == model, "length {len}");
    }
}

fn own_memory(address: &str, memory: &str) {
    let text = module(address, memory);
    let engines = modes_with(|config| {
        config.wasm_memory64(true).wasm_custom_page_sizes(true);
    });
    for engine in engines {
        let module = Module::new(&engine, &text).unwrap();
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[]).unwrap();
        let mut guest = Guest {
            store: &mut store,
            instance,
            wide: address == "i64",
        };
        let pages = guest.size();
        behaves_as_slices(
            &mut guest,
            |guest| guest.memory().data(&*guest.store).to_vec(),
            |guest, bytes| {
                let memory = guest.memory();
                memory.data_mut(&mut *guest.store).copy_from_slice(bytes);
            },
        );
        assert_eq!(guest.size(), pages);
        let memory = guest.memory();
        let before = memory.data(&*guest.store).len();
        assert_eq!(memory.grow(&mut *guest.store, 4).unwrap(), pages);
        assert_eq!(guest.size(), pages + 4);
        // What is new is in bounds from now on.
        let size = memory.data(&*guest.store).len() as u64;
        assert!(size > before as u64);
        guest.fill(size - 3, 9, 3).unwrap();
        assert_eq!(
            memory.data(&*guest.store)[size as usize - 4..],
            [0, 9, 9, 9][..]
        );
    }
}

#[test]
fn in_a_memory_of_32_bits() {
    own_memory("i32", r#"(memory (export "memory") 1 8)"#);
}

#[test]
fn in_a_memory_of_64_bits() {
    own_memory("i64", r#"(memory (export "memory") i64 1 8)"#);
}

#[test]
fn in_a_memory_with_pages_of_a_byte() {
    own_memory("i32", r#"(memory (export "memory") 300 400 (pagesize 1))"#);
}

#[test]
fn in_a_shared_memory() {
    let text = module("i32", r#"(import "" "memory" (memory 1 8 shared))"#);
    for engine in modes_with(|config| {
        config.wasm_threads(true);
    }) {
        let module = Module::new(&engine, &text).unwrap();
        let mut store = Store::new(&engine, ());
        let shared = SharedMemory::new(&engine, vm_engine::MemoryType::shared(1, 8)).unwrap();
        let instance = Instance::new(&mut store, &module, &[shared.clone().into()]).unwrap();
        let mut guest = Guest {
            store: &mut store,
            instance,
            wide: false,
        };
        let (from, to) = (shared.clone(), shared.clone());
        behaves_as_slices(
            &mut guest,
            move |_| {
                let mut bytes = vec![0; 65536];
                from.read(0, &mut bytes).unwrap();
                bytes
            },
            move |_, bytes| to.write(0, bytes).unwrap(),
        );
        assert_eq!(guest.size(), 1);
        shared.grow(2).unwrap();
        assert_eq!(guest.size(), 3);
    }
}
