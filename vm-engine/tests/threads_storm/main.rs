//! Sixty-four guests on threads of their own do everything at once to one memory: atomic instructions of every width, waits and wakes, growth, traps; and
//! some wait for ever until they are interrupted. What comes of it is known, whatever the order, and nothing of it stays behind.

#[path = "../common/mod.rs"]
mod common;
mod rmw;

use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use common::threads::{few, instance, read, without_hanging};
use common::{call, modes, modes_with};
use vm_engine::{
    Engine, Hotness, Instance, InterruptHandle, MemoryType, Module, SharedMemory, Store, Threading,
    Trap,
};

const THREADS: u32 = 64;

/// Pages that a guest may see; no memory here has as many.
const MOST_PAGES: u32 = 400;

// Where what is. Words that threads wait at are in cache lines of their own.
const BARRIER: u32 = 0;
const PHASE: u32 = 128;
const PAGES: u32 = 192;
const CELLS: u32 = 1024;
const NAPS: u32 = 4096;
const RING: u32 = 8192;
const FOREVER: u32 = 16_384;

/// So many places there are to nap at, and where the next one is.
const PLACES: u32 = 8;
const LINE: u32 = 64;

const GUEST: &str = r#"
  ;; All come, and then all go on. Answers how many times any has come, at that moment.
  (func (export "barrier") (param $threads i32) (result i32)
    (local $generation i32)
    (local.set $generation (i32.atomic.load (global.get $barrier_generation)))
    (drop (i32.atomic.rmw.add (global.get $phase) (i32.const 1)))
    (if (i32.eq (i32.atomic.rmw.add (global.get $barrier) (i32.const 1)) (i32.sub (local.get $threads) (i32.const 1)))
      (then
        (i32.atomic.store (global.get $barrier) (i32.const 0))
        (drop (i32.atomic.rmw.add (global.get $barrier_generation) (i32.const 1)))
        (drop (memory.atomic.notify (global.get $barrier_generation) (i32.const -1))))
      (else
        (loop $again
          (drop (memory.atomic.wait32 (global.get $barrier_generation) (local.get $generation) (i64.const -1)))
          (br_if $again (i32.eq (i32.atomic.load (global.get $barrier_generation)) (local.get $generation))))))
    (i32.atomic.load (global.get $phase)))
  ;; Takes a token that is at one place and puts it to the next, so many times.
  (func (export "ring") (param $me i32) (param $next i32) (param $rounds i32)
    (local $tokens i32)
    (loop $round
      (block $taken
        (loop $wait
          (local.set $tokens (i32.atomic.load (local.get $me)))
          (if (i32.eqz (local.get $tokens))
            (then (drop (memory.atomic.wait32 (local.get $me) (i32.const 0) (i64.const -1))))
            (else (br_if $taken (i32.eq (local.get $tokens)
              (i32.atomic.rmw.cmpxchg (local.get $me) (local.get $tokens) (i32.sub (local.get $tokens) (i32.const 1)))))))
          (br $wait)))
      (drop (i32.atomic.rmw.add (local.get $next) (i32.const 1)))
      (drop (memory.atomic.notify (local.get $next) (i32.const 1)))
      (br_if $round (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1))))))
  (func $random (param $seed i32) (result i32)
    (local.set $seed (i32.xor (local.get $seed) (i32.shl (local.get $seed) (i32.const 13))))
    (local.set $seed (i32.xor (local.get $seed) (i32.shr_u (local.get $seed) (i32.const 17))))
    (i32.xor (local.get $seed) (i32.shl (local.get $seed) (i32.const 5))))
  (func $place (param $seed i32) (result i32)
    (i32.add (global.get $naps) (i32.mul (i32.const 64) (i32.and (local.get $seed) (i32.const 7)))))
  ;; Waits so many times for up to a quarter of a millisecond. Answers how many times it was woken.
  (func (export "nap") (param $seed i32) (param $times i32) (result i32)
    (local $woken i32) (local $time i64)
    (loop $again
      (local.set $seed (call $random (local.get $seed)))
      (local.set $time (i64.extend_i32_u (i32.and (i32.shr_u (local.get $seed) (i32.const 8)) (i32.const 0x3ffff))))
      (local.set $woken (i32.add (local.get $woken) (i32.eqz
        (if (result i32) (i32.lt_s (local.get $seed) (i32.const 0))
          (then (memory.atomic.wait32 (call $place (local.get $seed)) (i32.const 0) (local.get $time)))
          (else (memory.atomic.wait64 (call $place (local.get $seed)) (i64.const 0) (local.get $time)))))))
      (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
    (local.get $woken))
  ;; Wakes up to three of them, so many times. Answers how many that were.
  (func (export "wake") (param $seed i32) (param $times i32) (result i32)
    (local $woken i32)
    (loop $again
      (local.set $seed (call $random (local.get $seed)))
      (local.set $woken (i32.add (local.get $woken)
        (memory.atomic.notify (call $place (local.get $seed)) (i32.and (i32.shr_u (local.get $seed) (i32.const 8)) (i32.const 3)))))
      (br_if $again (local.tee $times (i32.sub (local.get $times) (i32.const 1)))))
    (local.get $woken))
  ;; Grows by a page, writes its number to its end, and tells.
  (func (export "grow")
    (local $before i32)
    (local.set $before (memory.grow (i32.const 1)))
    (if (i32.eq (local.get $before) (i32.const -1)) (then unreachable))
    (i32.store (i32.add (i32.mul (local.get $before) (i32.const 65536)) (i32.const 65532)) (local.get $before))
    (i32.atomic.store (global.get $pages) (i32.add (local.get $before) (i32.const 1)))
    (drop (memory.atomic.notify (global.get $pages) (i32.const -1))))
  ;; Waits until there are more pages, and reads across the old end and at the new one. Answers how many there are.
  (func (export "probe") (param $before i32) (result i32)
    (local $now i32)
    (loop $again
      (local.set $now (i32.atomic.load (global.get $pages)))
      (if (i32.le_u (local.get $now) (local.get $before))
        (then
          (drop (memory.atomic.wait32 (global.get $pages) (local.get $now) (i64.const -1)))
          (br $again))))
    (if (i32.gt_u (local.get $now) (memory.size)) (then unreachable))
    (drop (i64.load (i32.sub (i32.mul (local.get $before) (i32.const 65536)) (i32.const 3))))
    (if (i32.ne (i32.sub (local.get $now) (i32.const 1))
          (i32.load (i32.sub (i32.mul (local.get $now) (i32.const 65536)) (i32.const 4))))
      (then unreachable))
    (local.get $now))
  (func (export "forever32") (param i32) (result i32)
    (memory.atomic.wait32 (local.get 0) (i32.const 0) (i64.const -1)))
  (func (export "forever64") (param i32) (result i32)
    (memory.atomic.wait64 (local.get 0) (i64.const 0) (i64.const -1)))
  ;; What traps, each at the address that it is given.
  (func (export "trap0") (param i32) (drop (i32.load (local.get 0))))
  (func (export "trap1") (param i32) (i64.store offset=7 (local.get 0) (i64.const 1)))
  (func (export "trap2") (param i32) (drop (i64.atomic.load (local.get 0))))
  (func (export "trap3") (param i32) (drop (i32.atomic.rmw.add (local.get 0) (i32.const 1))))
  (func (export "trap4") (param i32) (drop (i64.atomic.rmw16.cmpxchg_u (local.get 0) (i64.const 0) (i64.const 1))))
  (func (export "trap5") (param i32) (i64.atomic.store (local.get 0) (i64.const 1)))
  (func (export "trap6") (param i32) (drop (memory.atomic.wait32 (local.get 0) (i32.const 0) (i64.const -1))))
  (func (export "trap7") (param i32) (drop (memory.atomic.notify (local.get 0) (i32.const -1))))
  (func (export "trap8") (param i32) (memory.fill (local.get 0) (i32.const 1) (i32.const 8)))
  (func (export "trap9") (param i32) (drop (memory.atomic.wait64 (local.get 0) (i64.const 0) (i64.const -1))))"#;

fn guest(engine: &Engine) -> Module {
    let mut text =
        format!(r#"(module (import "env" "memory" (memory 1 {MOST_PAGES} shared)) {GUEST}"#);
    let generation = BARRIER + LINE;
    for (name, at) in [
        ("barrier", BARRIER),
        ("barrier_generation", generation),
        ("phase", PHASE),
        ("pages", PAGES),
        ("naps", NAPS),
    ] {
        write!(text, "(global ${name} i32 (i32.const {at}))").unwrap();
    }
    text.push_str(&rmw::text(CELLS));
    text.push(')');
    Module::new(engine, text).unwrap()
}

/// The modes, and direct code that never gets past its first tier.
fn all_modes() -> Vec<Engine> {
    let never = Hotness {
        calls: u32::MAX,
        turns: u32::MAX,
    };
    let mut cold = modes_with(|config| {
        config.baseline(Some(never));
    });
    cold.retain(|engine| engine.strategy().threading == Threading::Direct);
    cold.dedup_by_key(|engine| engine.strategy().bounds);
    let mut all = modes();
    all.append(&mut cold);
    all
}

/// How much of everything.
#[derive(Clone, Copy)]
struct Storm {
    rounds: u32,
    /// Of each function that reads, modifies and writes, in a round.
    turns: u32,
    /// Of tokens around the ring, in a round.
    passes: u32,
    /// Of a thread, in a round.
    naps: u32,
}

/// A thread that is interrupted when it waits for ever, and not before and after.
struct Waits {
    waits: Mutex<bool>,
    handle: InterruptHandle,
}

/// What a storm counts.
struct Counts {
    sums: [AtomicU64; rmw::FUNCTIONS],
    naps_woken: AtomicU32,
    wakes: AtomicU32,
    interrupted: AtomicU32,
}

/// One thread of a storm.
struct Guest<'a> {
    number: u32,
    storm: Storm,
    store: Store<()>,
    instance: Instance,
    counts: &'a Counts,
    /// Only for one of those that wait for ever.
    waits: Option<&'a Waits>,
}

impl Guest<'_> {
    fn call<P: vm_engine::WasmParams, R: vm_engine::WasmResults>(
        &mut self,
        name: &str,
        params: P,
    ) -> Result<R, Trap> {
        call(&mut self.store, self.instance, name, params).map_err(|error| error.trap().unwrap())
    }

    fn run(mut self) {
        for round in 0..self.storm.rounds {
            let come = self.call::<_, i32>("barrier", THREADS as i32).unwrap() as u32;
            // All of this round, and none of the round after the next.
            let all = THREADS * (round + 1);
            assert!((all..all + THREADS).contains(&come), "{come} of {all}");
            for step in 0..rmw::FUNCTIONS as u32 {
                // No two neighbours begin with the same one.
                let function = (step + self.number * 9) as usize % rmw::FUNCTIONS;
                let params = (self.number as i32, self.storm.turns as i32);
                let sum = self.call::<_, i64>(&rmw::name(function), params).unwrap();
                self.counts.sums[function].fetch_add(sum.cast_unsigned(), Ordering::Relaxed);
                if step % 7 == 3 {
                    self.also(round * 5 + step / 7);
                }
            }
            let place = |thread: u32| (RING + LINE * (thread % THREADS)) as i32;
            let (me, next) = (place(self.number), place(self.number + 1));
            let params = (me, next, self.storm.passes as i32);
            self.call::<_, ()>("ring", params).unwrap();
        }
    }

    /// What this thread does besides, five times in a round.
    fn also(&mut self, time: u32) {
        let seed = (1 + time * THREADS + self.number).wrapping_mul(0x9e37_79b9);
        let params = (seed.cast_signed(), self.storm.naps as i32);
        match self.number % 8 {
            0 if self.number == 0 => self.call::<_, ()>("grow", ()).unwrap(),
            0 => {
                // It has grown as often by now, or is going to.
                let before = 1 + time as i32;
                let now = self.call::<_, i32>("probe", before).unwrap();
                assert!(now > before);
            }
            1 | 2 => self.trap(time),
            3 => self.wait_for_ever(time),
            4 | 5 => {
                let woken = self.call::<_, i32>("nap", params).unwrap();
                (self.counts.naps_woken).fetch_add(woken as u32, Ordering::Relaxed);
            }
            _ => {
                let woken = self.call::<_, i32>("wake", params).unwrap();
                (self.counts.wakes).fetch_add(woken as u32, Ordering::Relaxed);
            }
        }
    }

    fn trap(&mut self, time: u32) {
        // Past what there will ever be, and past what an index reaches.
        let end = (MOST_PAGES * 65_536) as i32;
        for (n, unaligned) in (0..10).zip([0, 0, 4, 2, 1, 1, 2, 1, 0, 4]) {
            let name = format!("trap{n}");
            let trap = self.call::<_, ()>(&name, end - i32::from(n == 1) * 8);
            assert_eq!(trap, Err(Trap::MemoryOutOfBounds), "{name}, time {time}");
            let trap = self.call::<_, ()>(&name, -8);
            assert_eq!(trap, Err(Trap::MemoryOutOfBounds), "{name}, time {time}");
            if unaligned != 0 {
                let trap = self.call::<_, ()>(&name, CELLS as i32 + unaligned);
                assert_eq!(trap, Err(Trap::UnalignedAtomic), "{name}, time {time}");
            }
        }
    }

    fn wait_for_ever(&mut self, time: u32) {
        let waits = self.waits.unwrap();
        let name = if time.is_multiple_of(2) {
            "forever32"
        } else {
            "forever64"
        };
        *waits.waits.lock().unwrap() = true;
        let end = self.call::<_, i32>(name, (FOREVER + LINE * self.number) as i32);
        *waits.waits.lock().unwrap() = false;
        assert_eq!(end, Err(Trap::Interrupt));
        self.counts.interrupted.fetch_add(1, Ordering::Relaxed);
    }
}

impl Storm {
    fn run(self, module: &Module) {
        let engine = module.engine();
        let last = 1 + 5 * self.rounds;
        let memory = SharedMemory::new(engine, MemoryType::shared(1, last)).unwrap();
        memory.write(PAGES as usize, &1_u32.to_le_bytes()).unwrap();
        let token = |thread: u32| u32::from(thread.is_multiple_of(8));
        for thread in 0..THREADS {
            let at = (RING + LINE * thread) as usize;
            memory.write(at, &token(thread).to_le_bytes()).unwrap();
        }
        let counts = Counts {
            sums: std::array::from_fn(|_| AtomicU64::new(0)),
            naps_woken: AtomicU32::new(0),
            wakes: AtomicU32::new(0),
            interrupted: AtomicU32::new(0),
        };
        self.threads(module, &memory, &counts);

        let cells = read::<{ rmw::BYTES as usize }>(&memory, CELLS as usize);
        let sums = counts.sums.map(AtomicU64::into_inner);
        rmw::check(&sums, self.rounds, self.turns, CELLS, &cells);
        assert_eq!(memory.size(), u64::from(last));
        for thread in 0..THREADS {
            let at = (RING + LINE * thread) as usize;
            assert_eq!(u32::from_le_bytes(read(&memory, at)), token(thread));
        }
        // Whoever was told to have been woken was counted, once.
        assert_eq!(counts.naps_woken.into_inner(), counts.wakes.into_inner());
        let times = THREADS / 8 * 5 * self.rounds;
        assert_eq!(counts.interrupted.into_inner(), times);
        // Nobody is left anywhere.
        let places = (0..PLACES).map(|place| NAPS + LINE * place);
        let rest = (0..THREADS).flat_map(|n| [RING + LINE * n, FOREVER + LINE * n]);
        for at in places.chain(rest).chain([BARRIER + LINE, PAGES]) {
            assert_eq!(memory.atomic_notify(at.into(), u32::MAX), Ok(0), "{at}");
        }
    }

    fn threads(self, module: &Module, memory: &SharedMemory, counts: &Counts) {
        let mut guests: Vec<_> = (0..THREADS)
            .map(|number| (number, instance(module, memory)))
            .collect();
        let mut waits = Vec::new();
        for (number, (store, _)) in &mut guests {
            if *number % 8 == 3 {
                waits.push(Waits {
                    waits: Mutex::new(false),
                    handle: store.interrupt_handle().unwrap(),
                });
            }
        }
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    for waits in &waits {
                        // While this is locked, the call that waits is the last one that there was.
                        let is_waiting = waits.waits.lock().unwrap();
                        if *is_waiting {
                            waits.handle.interrupt();
                        }
                    }
                    thread::sleep(Duration::from_micros(100));
                }
            });
            let mut next = waits.iter();
            let threads: Vec<_> = (guests.into_iter())
                .map(|(number, (store, instance))| {
                    let guest = Guest {
                        number,
                        storm: self,
                        store,
                        instance,
                        counts,
                        waits: (number % 8 == 3).then(|| next.next().unwrap()),
                    };
                    scope.spawn(move || guest.run())
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            over.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_storm_of_sixty_four_threads_ends_as_it_must() {
    let storm = Storm {
        rounds: 3,
        turns: few(1600),
        passes: few(320),
        naps: few(240),
    };
    for engine in all_modes() {
        let module = guest(&engine);
        without_hanging(&engine, || storm.run(&module));
        eprintln!("{}", engine.strategy());
    }
}

/// What of a process grows if something stays behind.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug)]
struct Size {
    resident_kib: u64,
    mappings: usize,
}

#[cfg(target_os = "linux")]
impl Size {
    fn of_this_process() -> Size {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.unwrap().trim().strip_suffix(" kB").unwrap();
        let mappings = std::fs::read_to_string("/proc/self/maps").unwrap();
        Size {
            resident_kib: resident.parse().unwrap(),
            mappings: mappings.lines().count(),
        }
    }
}

/// The same storm again and again, with memories, stores and threads of its own: after four times as many the process is as large as it was.
#[cfg(target_os = "linux")]
#[test]
fn storms_leave_memory_mappings_and_threads_flat() {
    const SOME: u32 = 4;
    let storm = Storm {
        rounds: 1,
        turns: 8,
        passes: 8,
        naps: 64,
    };
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let body = || {
        let own = threads();
        for engine in all_modes() {
            let module = guest(&engine);
            let storms = |count: u32| {
                without_hanging(&engine, || {
                    for _ in 0..count {
                        storm.run(&module);
                    }
                });
                // Threads that have been joined are listed for a moment yet; one more looks whether this hangs.
                without_hanging(&engine, || {
                    while threads() > own + 1 {
                        thread::yield_now();
                    }
                });
                Size::of_this_process()
            };
            let before = storms(SOME);
            let after = storms(3 * SOME);
            let case = format!("{}: {before:?}, {after:?}", engine.strategy());
            eprintln!("{case}");
            // In between, 768 threads have come and gone, each with a store: a page of each that stays behind is 3 MiB. 64 bytes that
            // stay behind of each nap are 3.7 MiB.
            let kib = match vm_interp::sanitizer() {
                None => 1024,
                // Sanitizers keep freed memory for a while, and notes of their own.
                Some(_) => 16_384,
            };
            assert!(after.resident_kib <= before.resident_kib + kib, "{case}");
            // Two for the stack of each thread, which the host's library keeps for the next one or does not; one for each store would be 768.
            assert!(after.mappings <= before.mappings + 128, "{case}");
        }
    };
    // Alone in its process, and with one heap for all threads: which of several a thread gets is chance.
    let test = "storms_leave_memory_mappings_and_threads_flat";
    common::process::after("export MALLOC_ARENA_MAX=1", test, body);
}
