//! Ten thousand guarded instances alive in one process, from a pool. The only test of this program:
//! it looks at the whole process, and needs most of the mappings that a process may have.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use vm_engine::{
    Bounds, Config, Engine, Instance, Module, PoolingAllocationConfig, Store, Trap, TypedFunc,
};

/// How many live at once. A sanitizer leaves less address space than ten thousand memories take.
fn instances() -> u32 {
    match vm_interp::sanitizer() {
        None => 10_000,
        Some(_) => 1_000,
    }
}

const GUEST: &str = r#"(module
    (memory 1 3)
    (global $seen (mut i32) (i32.const 0))
    (data (i32.const 8) "\2a")
    (func (export "load") (param i32) (result i32) (i32.load (local.get 0)))
    (func (export "store") (param i32 i32) (i32.store (local.get 0) (local.get 1)))
    (func (export "grow") (result i32) (memory.grow (i32.const 1)))
    (func $deep (export "deep") (call $deep)))"#;

struct Guest {
    store: Store<()>,
    load: TypedFunc<u32, i32>,
    write: TypedFunc<(u32, u32), ()>,
    grow: TypedFunc<(), i32>,
    deep: TypedFunc<(), ()>,
}

impl Guest {
    /// A new guest, in which nothing of the slot's last user is left.
    fn new(module: &Module) -> Guest {
        let mut store = Store::new(module.engine(), ());
        let instance = Instance::new(&mut store, module, &[]).unwrap();
        assert_eq!(instance.bounds(&store), Bounds::Guarded);
        let load = instance.get_typed_func(&mut store, "load").unwrap();
        let write = instance.get_typed_func(&mut store, "store").unwrap();
        let grow = instance.get_typed_func(&mut store, "grow").unwrap();
        let deep = instance.get_typed_func(&mut store, "deep").unwrap();
        let mut guest = Guest {
            store,
            load,
            write,
            grow,
            deep,
        };
        for (at, value) in [(0, 0), (8, 42), (12, 0), (65532, 0)] {
            assert_eq!(guest.load.call(&mut guest.store, at).unwrap(), value);
        }
        guest.traps_past(65536);
        guest
    }

    fn traps_past(&mut self, end: u32) {
        for at in [end - 3, end, end + 65536, u32::MAX] {
            let error = self.load.call(&mut self.store, at).unwrap_err();
            assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
        }
    }

    /// Leaves the guest's number all over its memory, and grows it.
    fn live(&mut self, number: u32) {
        for at in [0, 8, 65532] {
            self.write.call(&mut self.store, (at, number)).unwrap();
        }
        assert_eq!(self.grow.call(&mut self.store, ()).unwrap(), 1);
        assert_eq!(self.load.call(&mut self.store, 65536).unwrap(), 0);
        self.write.call(&mut self.store, (131_068, number)).unwrap();
        self.traps_past(131_072);
        let error = self.deep.call(&mut self.store, ()).unwrap_err();
        assert_eq!(error.trap(), Some(Trap::StackOverflow));
    }

    fn check(&mut self, number: u32) {
        for at in [0, 8, 65532, 131_068] {
            let value = self.load.call(&mut self.store, at).unwrap();
            assert_eq!(value.cast_unsigned(), number);
        }
        self.traps_past(131_072);
    }
}

fn mappings() -> usize {
    std::fs::read_to_string("/proc/self/maps")
        .unwrap()
        .lines()
        .count()
}

#[test]
fn ten_thousand_guarded_instances_live_trap_grow_and_are_used_again() {
    let instances = instances();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_memories(instances)
        .total_stacks(instances)
        // Little memory a guest matters more here than quick reuse.
        .linear_memory_keep_resident(0);
    let mut config = Config::new();
    config
        .bounds(Bounds::Guarded)
        .allocation_strategy(pool)
        .max_wasm_stack(16 << 10);
    let engine = Engine::new(&config).unwrap();
    let module = Module::new(&engine, GUEST).unwrap();
    let before = mappings();

    let mut guests: Vec<Guest> = (0..instances).map(|_| Guest::new(&module)).collect();
    for (guest, number) in guests.iter_mut().zip(1000..) {
        guest.live(number);
    }
    let used = mappings();
    // Two for each memory and two for each stack.
    assert!(used - before <= 4 * instances as usize + 100, "{used}");
    assert!(Store::try_new(&engine, ()).is_err());

    // Every third goes and a new one comes, in its slot, beside the others; twice.
    for round in [1u32, 2] {
        for (guest, number) in guests.iter_mut().zip(1000..) {
            guest.check(number);
        }
        let (gone, kept): (Vec<_>, Vec<_>) = guests
            .into_iter()
            .zip(1000..)
            .partition(|(_, n)| n % 3 == round);
        let numbers: Vec<u32> = gone.iter().map(|(_, number)| *number).collect();
        drop(gone);
        let new = numbers.into_iter().map(|number| {
            let mut guest = Guest::new(&module);
            guest.live(number);
            (guest, number)
        });
        let mut all: Vec<_> = new.chain(kept).collect();
        all.sort_by_key(|(_, number)| *number);
        guests = all.into_iter().map(|(guest, _)| guest).collect();
        assert!(mappings() <= used + 100);
    }
    for (guest, number) in guests.iter_mut().zip(1000..) {
        guest.check(number);
    }
    drop(guests);
    drop((module, engine));
    assert!(mappings() <= before + 100);
}
