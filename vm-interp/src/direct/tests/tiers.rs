//! Functions whose optimized code is beyond a limit go on in their baseline code.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use vm_translate::{Features, Module};

use super::super::DirectCode;
use crate::{
    CallError, Code, CodeOptions, Entities, Hotness, InstanceId, Machine, MachineConfig, Raw,
    Threading, TrapCode,
};

/// Calls, loops, and traps at the end if asked to.
const MODULE: &str = r#"(module
    (func $divide (param i32 i32) (result i32)
        (i32.div_u (local.get 0) (local.get 1)))
    (func $without (param i32 i32) (result i32)
        i32.const 0
        loop end
        drop
        (call $divide (local.get 0) (local.get 1)))
    (func (export "sum") (param $n i32) (param $divisor i32) (result i32) (local $sum i32)
        (loop
            (local.set $sum (i32.add (local.get $sum) (call $divide (local.get $n) (i32.const 1))))
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
        (call $divide (local.get $sum) (local.get $divisor)))
    (func (export "without") (param $n i32) (param $divisor i32) (result i32)
        (call $without (local.get $n) (local.get $divisor))))"#;

const DIVIDE: u32 = 0;
const SUM: u32 = 2;

struct World {
    machine: Box<Machine<()>>,
    code: Arc<Code>,
    id: InstanceId,
    /// The most words that optimized code may have.
    limit: Arc<AtomicU64>,
}

impl World {
    /// With functions that are hot after so many calls, or turns, and never have optimized code.
    fn new(baseline: Hotness) -> World {
        let module = Module::new(wat::parse_str(MODULE).unwrap(), &Features::default()).unwrap();
        let options = CodeOptions {
            baseline: Some(baseline),
            ..CodeOptions::new(Threading::Direct)
        };
        let limit = Arc::new(AtomicU64::new(0));
        let code = Code::with_executor(Arc::new(module), options.clone(), |module, layout| {
            DirectCode::new(module, layout, options.clone()).limited(Arc::clone(&limit))
        });
        crate::install_signal_handlers().unwrap();
        let config = MachineConfig {
            threading: Threading::Direct,
            guarded_stack: true,
            stack_bytes: MachineConfig::DEFAULT_STACK_BYTES,
        };
        let mut machine = Machine::new(config, ()).unwrap();
        let id = machine.instantiate(&code, Entities::default()).unwrap();
        World {
            machine,
            code,
            id,
            limit,
        }
    }

    fn limit(&self, words: u64) {
        self.limit.store(words, Ordering::Relaxed);
    }

    /// How many bytes of code a function has.
    fn size(&self, func: u32) -> usize {
        self.code.executor().size(func).unwrap()
    }

    fn call(&mut self, name: &str, args: [u64; 2]) -> Result<u64, CallError> {
        let exports = self.code.module().exports();
        let index = exports
            .iter()
            .find(|export| export.name == name)
            .unwrap()
            .index;
        let func = self.machine.instance_func(self.id, index);
        let mut slots = args.map(Raw::from);
        self.machine.call(func, &mut slots)?;
        Ok(slots[0].bits())
    }
}

#[test]
fn a_function_that_is_called_often_goes_on_in_baseline_code() {
    let calls = Hotness {
        calls: 2,
        turns: u32::MAX,
    };
    let mut world = World::new(calls);
    // A function with a loop that has operands below it has no baseline code.
    world.limit(u64::MAX);
    assert_eq!(world.call("without", [8, 2]).unwrap(), 4);
    world.limit(0);
    let before = world.size(DIVIDE);
    for n in 1..20u64 {
        assert_eq!(world.call("sum", [n, 1]).unwrap(), n * (n + 1) / 2);
        assert_eq!(world.call("without", [10 * n, 10]).unwrap(), n);
    }
    assert_eq!(world.size(DIVIDE), before);
    let error = world.call("sum", [5, 0]).unwrap_err();
    let CallError::Trap(trap) = error else {
        panic!("{error:?}");
    };
    assert_eq!(trap.code, TrapCode::IntegerDivideByZero);
    let functions: Vec<u32> = trap.frames.iter().map(|frame| frame.func_index).collect();
    assert_eq!(functions, [DIVIDE, SUM]);
}

#[test]
fn a_loop_that_turns_often_goes_on_in_baseline_code() {
    let turns = Hotness {
        calls: u32::MAX,
        turns: 3,
    };
    let mut world = World::new(turns);
    assert_eq!(world.call("sum", [1000, 1]).unwrap(), 500_500);
    let before = world.size(SUM);
    // Nobody tries again.
    world.limit(u64::MAX);
    assert_eq!(world.call("sum", [1000, 1]).unwrap(), 500_500);
    assert_eq!(world.size(SUM), before);
}

#[test]
fn a_function_that_has_no_baseline_code_says_which_limit_it_is_beyond() {
    let mut world = World::new(Hotness { calls: 0, turns: 1 });
    let error = world.call("without", [1, 1]).unwrap_err();
    let text = format!("{error:?}");
    assert!(text.contains("a limit of tests"), "{text}");
}
