//! Many threads that end guests in every way, over pooled and unpooled memories: every result right,
//! and nothing left over. The only test of this program: it looks at the whole process.
#![cfg(target_os = "linux")]

use std::fmt;

use vm_engine::{
    Bounds, Caller, Config, Engine, Error, InstanceAllocationStrategy, Linker, Module,
    PoolingAllocationConfig, Result, Store, Trap, TypedFunc,
};

const THREADS: u32 = 64;

/// In debug builds a twentieth of the full size.
const RUNS: u32 = if cfg!(debug_assertions) { 500 } else { 10_000 };

/// A store is used for so many runs.
const RUNS_OF_A_STORE: u32 = 50;

const GUEST: &str = r#"(module
    (import "host" "refuse" (func $refuse (param i32)))
    (import "host" "again" (func $again (param i32) (result i32)))
    (memory 1 4)
    (global $runs (mut i32) (i32.const 0))
    (func $deep (param i32) (result i32)
      (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
    (func $sum (param i32) (result i32) (local i32)
      (loop $next
        (i32.store (i32.mul (local.get 0) (i32.const 4)) (local.get 0))
        (local.set 1 (i32.add (local.get 1) (i32.load (i32.mul (local.get 0) (i32.const 4)))))
        (br_if $next (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (local.get 1))
    (func (export "runs") (result i32) (global.get $runs))
    (func (export "run") (param $kind i32) (param $n i32) (result i32)
      (global.set $runs (i32.add (global.get $runs) (i32.const 1)))
      (block $again (block $grow (block $host (block $divide (block $stack (block $bounds (block $ends
        (br_table $ends $bounds $stack $divide $host $grow $again (local.get $kind)))
        (return (call $sum (local.get $n))))
        (return (i32.load (i32.add (i32.const 262141) (local.get $n)))))
        (return (call $deep (i32.const 0))))
        (return (i32.div_u (local.get $n) (i32.const 0))))
        (call $refuse (local.get $n)) (return (i32.const 0)))
        (return (memory.grow (i32.const 1))))
      (call $again (local.get $n))))"#;

/// What the host's function ends a guest with.
#[derive(Debug)]
struct Refused(i32);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused {}", self.0)
    }
}

impl std::error::Error for Refused {}

/// The host's data: the guest's own export, for runs inside runs.
type Data = Option<TypedFunc<(i32, i32), i32>>;

fn linker(engine: &Engine) -> Linker<Data> {
    let mut linker = Linker::new(engine);
    linker
        .func_wrap("host", "refuse", |n: i32| -> Result<(), Error> {
            Err(Error::new(Refused(n)))
        })
        .unwrap();
    linker
        .func_wrap(
            "host",
            "again",
            |mut caller: Caller<'_, Data>, n: i32| -> Result<i32> {
                let run = caller.data().expect("set before the first run");
                // One guest traps inside another, which goes on.
                let inner = run.call(&mut caller, (1, n)).unwrap_err();
                assert_eq!(inner.trap(), Some(Trap::MemoryOutOfBounds));
                run.call(&mut caller, (0, n))
            },
        )
        .unwrap();
    linker
}

/// One thread's share of the load.
fn work(linker: &Linker<Data>, module: &Module, thread: u32, runs: u32) {
    let mut store = Store::new(module.engine(), None);
    let mut instance = None;
    let mut grown = 1;
    let mut counted = 0;
    for i in 0..runs {
        if i % RUNS_OF_A_STORE == 0 {
            store = Store::new(module.engine(), None);
            instance = Some(linker.instantiate(&mut store, module).unwrap());
            *store.data_mut() = None;
            (grown, counted) = (1, 0);
        }
        let instance = instance.unwrap();
        let run = instance
            .get_typed_func::<(i32, i32), i32>(&mut store, "run")
            .unwrap();
        *store.data_mut() = Some(run);
        let n = 1 + (i.wrapping_mul(2_654_435_761) >> 16) as i32 % 100;
        let kind = (i + thread) % 7;
        let result = run.call(&mut store, (kind as i32, n));
        counted += 1;
        let trap = result.as_ref().err().and_then(Error::trap);
        match kind {
            0 => assert_eq!(result.unwrap(), n * (n + 1) / 2),
            1 => assert_eq!(trap, Some(Trap::MemoryOutOfBounds)),
            2 => assert_eq!(trap, Some(Trap::StackOverflow)),
            3 => assert_eq!(trap, Some(Trap::IntegerDivideByZero)),
            4 => {
                let error = result.unwrap_err();
                assert_eq!(error.downcast_ref::<Refused>().unwrap().0, n);
                assert_eq!(error.backtrace().unwrap().frames().len(), 1);
            }
            5 if grown == 4 => assert_eq!(result.unwrap(), -1),
            5 => {
                assert_eq!(result.unwrap(), grown);
                grown += 1;
            }
            _ => {
                assert_eq!(result.unwrap(), n * (n + 1) / 2);
                counted += 2;
            }
        }
        if i % RUNS_OF_A_STORE == RUNS_OF_A_STORE - 1 {
            let runs = instance
                .get_typed_func::<(), i32>(&mut store, "runs")
                .unwrap();
            assert_eq!(runs.call(&mut store, ()).unwrap(), counted);
        }
    }
}

/// How many mappings the process has, and its resident memory in KiB.
fn size() -> (usize, u64) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let resident = resident.trim().trim_end_matches(" kB").parse().unwrap();
    (maps.lines().count(), resident)
}

fn load(engine: &Engine, runs: u32) {
    let module = Module::new(engine, GUEST).unwrap();
    let linker = linker(engine);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (linker, module) = (&linker, &module);
            scope.spawn(move || work(linker, module, thread, runs));
        }
    });
}

#[test]
fn many_threads_end_guests_in_every_way_and_nothing_is_left() {
    let mut pool = PoolingAllocationConfig::new();
    // One store each thread is about to drop, and one that it has just made.
    pool.total_memories(2 * THREADS).total_stacks(2 * THREADS);
    let pooled = InstanceAllocationStrategy::Pooling(pool);
    let configs = [
        (Bounds::Guarded, pooled),
        (Bounds::Guarded, InstanceAllocationStrategy::OnDemand),
        (Bounds::Software, InstanceAllocationStrategy::OnDemand),
    ]
    .map(|(bounds, allocation)| {
        let mut config = Config::new();
        // A small stack, so that exhausting it often takes little time.
        config
            .bounds(bounds)
            .allocation_strategy(allocation)
            .max_wasm_stack(64 << 10);
        config
    });
    let engine = |config: &Config| match Engine::new(config) {
        Ok(engine) => Some(engine),
        Err(error) if cfg!(target_arch = "x86_64") => panic!("{error}"),
        // No guard pages, or no code that relies on them.
        Err(_) => None,
    };

    // Whatever a process allocates once (the allocator's arenas, for one) is there afterwards.
    for engine in configs.iter().filter_map(engine) {
        load(&engine, 2 * RUNS_OF_A_STORE);
    }
    let (mappings, resident) = size();
    let (more_mappings, more_kib) = match vm_interp::sanitizer() {
        None => (256, 16 << 10),
        // Sanitizers keep freed memory for a while, and notes of their own.
        Some(_) => (512, 256 << 10),
    };
    for config in &configs {
        let Some(engine) = engine(config) else {
            continue;
        };
        load(&engine, RUNS);
        let (with_pool, _) = size();
        let strategy = engine.strategy().clone();
        drop(engine);
        let (mappings_after, resident_after) = size();
        let text = format!(
            "{THREADS} threads, {RUNS} runs each: {mappings} mappings and {resident} KiB before, \
             {mappings_after} and {resident_after} after: {strategy}"
        );
        println!("{text}");
        // The allocator's arenas come and go with the threads, and so do the stacks of threads that
        // have ended, which the C library keeps for the next ones. There are at least 640 stores:
        // a mapping left by every second one would be more than this.
        assert!(mappings_after <= mappings + more_mappings, "{text}");
        assert!(resident_after <= resident + more_kib, "{text}");
        // A pool keeps what its slots have: two mappings for a memory, two for a stack.
        let kept = match strategy.allocation {
            InstanceAllocationStrategy::Pooling(_) => 4 * 2 * THREADS as usize,
            _ => 0,
        };
        assert!(
            with_pool <= mappings + kept + more_mappings,
            "{with_pool}: {text}"
        );
    }
}
