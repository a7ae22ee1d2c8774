//! The handlers that no shape describes: every one of [`Fixed::all`].
//!
//! What needs a machine around it (calls, the host, growth) is tested with one, in the crate's
//! `tests/` and in `vm-engine`; which handlers these are, `every_fixed_handler_is_tested` says.

use std::sync::atomic::Ordering;

use vm_translate::ir::FRAME_HEADER;
use vm_translate::op::Effect;
use vm_translate::{Op, StoreOp, Ty};
use vm_trap::TrapCode;

use super::super::fixed::{Bulk, Fixed, Returned, Wide};
use super::super::fixed_handler;
use super::super::operands::{LOOP_HEAD_SLOT, cell_bytes};
use super::atomics;
use super::values::{INTS, Random};
use super::world::*;
use crate::semantics;

const ZEROED: usize = 98;
const PARAMS: usize = 106;

/// A cell with 32-bit operands between one that gives every register a value and one that stores
/// them all.
fn run_between(world: &mut World, random: &mut Random, fixed: Fixed, operands: &[u32]) -> u32 {
    for n in 0..INT_REGISTERS + FLOAT_REGISTERS {
        world.slots[BEFORE + n] = random.next();
        world.slots[AFTER + n] = UNSET;
    }
    let mut program = registers_before();
    let bytes: Vec<u8> = operands
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect();
    program.cell(fixed_handler(fixed), &bytes);
    let after = mark(1);
    // Whatever returns goes on behind the cell, in the same frame.
    let start = program.bytes.len();
    program.bytes.extend(after.bytes);
    let words = program.words();
    world.slots[0] = words[start / 8..].as_ptr().addr() as u64;
    world.slots[1] = world.slots.as_ptr().addr() as u64;
    world.run(&words)
}

fn before(world: &World, n: usize) -> u64 {
    world.slots[BEFORE + n]
}

fn after(world: &World, n: usize) -> u64 {
    world.slots[AFTER + n]
}

fn assert_unchanged(world: &World, registers: std::ops::Range<usize>, what: Fixed) {
    for n in registers {
        assert_eq!(
            after(world, n),
            before(world, n),
            "register {n} by {what:?}"
        );
    }
}

fn enter(world: &mut World, random: &mut Random, fixed: Fixed) {
    let Fixed::Enter {
        zero, ints, params, ..
    } = fixed
    else {
        panic!("{fixed:?} enters nothing")
    };
    let (ints, params) = (usize::from(ints), usize::from(params));
    world.slots[SAVED - 1..PARAMS + 8].fill(UNSET);
    for n in 0..params {
        world.slots[PARAMS + n] = random.next();
    }
    let zeroed = if zero { 5 } else { 0 };
    let mut operands = vec![slot(SLOTS), slot(SAVED), slot(ZEROED), zeroed as u32];
    operands.extend((0..params).map(|n| slot(PARAMS + n)));
    assert_eq!(run_between(world, random, fixed, &operands), 0, "{fixed:?}");

    for n in 0..ints {
        assert_eq!(world.slots[SAVED + n], before(world, n), "{fixed:?}");
        let expected = if n < params {
            world.slots[PARAMS + n]
        } else {
            0
        };
        assert_eq!(after(world, n), expected, "register {n} by {fixed:?}");
    }
    assert_eq!(world.slots[SAVED + ints], UNSET, "{fixed:?}");
    assert_unchanged(world, ints..INT_REGISTERS + FLOAT_REGISTERS, fixed);
    assert_eq!(world.slots[ZEROED - 1], UNSET, "{fixed:?}");
    assert_eq!(
        world.slots[ZEROED..][..zeroed],
        vec![0; zeroed],
        "{fixed:?}"
    );
    assert_eq!(world.slots[ZEROED + zeroed], UNSET, "{fixed:?}");

    if let Fixed::Enter { touch: false, .. } = fixed {
        operands[0] += 8;
        let status = run_between(world, random, fixed, &operands);
        assert_eq!(status, TrapCode::StackOverflow as u32, "{fixed:?}");
    }
}

fn enter_floats(world: &mut World, random: &mut Random, floats: u8, params: u8) {
    let fixed = Fixed::EnterFloats { floats, params };
    let (floats, params) = (usize::from(floats), usize::from(params));
    world.slots[SAVED..][..8].fill(UNSET);
    for n in 0..params {
        world.slots[PARAMS + n] = random.next();
    }
    let mut operands = vec![slot(SAVED)];
    operands.extend((0..params).map(|n| slot(PARAMS + n)));
    assert_eq!(run_between(world, random, fixed, &operands), 0, "{fixed:?}");
    for n in 0..floats {
        let register = INT_REGISTERS + n;
        assert_eq!(world.slots[SAVED + n], before(world, register), "{fixed:?}");
        let expected = if n < params {
            world.slots[PARAMS + n]
        } else {
            0
        };
        assert_eq!(after(world, register), expected, "{fixed:?}");
    }
    assert_eq!(world.slots[SAVED + floats], UNSET, "{fixed:?}");
    let others = INT_REGISTERS + floats..INT_REGISTERS + FLOAT_REGISTERS;
    assert_unchanged(world, others, fixed);
    assert_unchanged(world, 0..INT_REGISTERS, fixed);
}

fn restore_floats(world: &mut World, random: &mut Random, floats: u8) {
    let fixed = Fixed::RestoreFloats { floats };
    world.slots[SAVED..][..8].fill_with(|| random.next());
    assert_eq!(run_between(world, random, fixed, &[slot(SAVED)]), 0);
    let end = INT_REGISTERS + usize::from(floats);
    for n in INT_REGISTERS..end {
        assert_eq!(
            after(world, n),
            world.slots[SAVED + n - INT_REGISTERS],
            "{fixed:?}"
        );
    }
    assert_unchanged(world, end..INT_REGISTERS + FLOAT_REGISTERS, fixed);
    assert_unchanged(world, 0..INT_REGISTERS, fixed);
}

fn returns(world: &mut World, random: &mut Random, fixed: Fixed) {
    const FIRST: usize = FRAME_HEADER as usize;
    let (ints, value) = match fixed {
        Fixed::Return { ints } => (ints, None),
        Fixed::ReturnValue { ints, value } => (ints, Some(value)),
        _ => panic!("{fixed:?} does not return"),
    };
    world.slots[SAVED..][..8].fill_with(|| random.next());
    world.slots[OPERANDS] = random.next();
    world.slots[FIRST] = UNSET;
    let constant = random.next() as i32;
    let mut operands = vec![slot(SAVED)];
    match value {
        Some(Returned::Slot) => operands.push(slot(OPERANDS)),
        Some(Returned::Const) => operands.push(constant as u32),
        _ => {}
    }
    assert_eq!(run_between(world, random, fixed, &operands), 0, "{fixed:?}");
    let expected = match value {
        None => UNSET,
        Some(Returned::Slot) => world.slots[OPERANDS],
        Some(Returned::Const) => i64::from(constant) as u64,
        Some(Returned::Int(n)) => before(world, usize::from(n)),
        Some(Returned::Float(n)) => before(world, INT_REGISTERS + usize::from(n)),
    };
    assert_eq!(world.slots[FIRST], expected, "{fixed:?}");
    for n in 0..usize::from(ints) {
        assert_eq!(after(world, n), world.slots[SAVED + n], "{fixed:?}");
    }
    let others = usize::from(ints)..INT_REGISTERS + FLOAT_REGISTERS;
    assert_unchanged(world, others, fixed);
}

/// Addresses and offsets of an access of so many bytes, and where it is if it is inside.
fn accesses(width: u64) -> Vec<(u64, u64, Option<usize>)> {
    let memory = MEMORY as u64;
    let top = 1 << 63;
    let mut accesses: Vec<_> = [(0, 0), (5, 3), (memory - width, 0), (0, memory - width)]
        .map(|(address, offset)| (address, offset, Some((address + offset) as usize)))
        .into();
    accesses.extend(
        [
            (memory - width + 1, 0),
            (memory - width, 1),
            (1, memory - width),
            (u32::MAX.into(), u32::MAX.into()),
            (u64::MAX, 0),
            (0, u64::MAX),
            // Sums that wrap around, some of them to inside.
            (u64::MAX, 1),
            (top, top),
            (top, top + 8),
            (u64::MAX - 3, 2),
            (u64::MAX - width, 0),
            (u64::MAX - width + 1, 0),
        ]
        .map(|(address, offset)| (address, offset, None)),
    );
    accesses
}

/// A cell of an access by a memory's cell, and one behind it.
fn access_cells(fixed: Fixed, offset: u64) -> Vec<u64> {
    let mut operands = Vec::new();
    operands.extend_from_slice(&MEMORY_AT.to_ne_bytes());
    operands.extend_from_slice(&slot(OPERANDS).to_ne_bytes());
    operands.extend_from_slice(&offset.to_ne_bytes());
    let mut program = Program::default();
    program.cell(fixed_handler(fixed), &operands);
    program.cell(fixed_handler(Fixed::Exit), &[]);
    program.words()
}

fn memory_load(world: &mut World, op: Op) {
    let Effect::Load { width, .. } = op.effect() else {
        panic!("{op} is no load")
    };
    for (address, offset, inside) in accesses(width.into()) {
        world.slots[OPERANDS..][..2].copy_from_slice(&[address, UNSET]);
        let status = world.run(&access_cells(Fixed::MemoryLoad(op), offset));
        let what = format!("{op} at {address:#x} + {offset:#x}");
        let Some(at) = inside else {
            assert_eq!(status, TrapCode::MemoryOutOfBounds as u32, "{what}");
            continue;
        };
        assert_eq!(status, 0, "{what}");
        let mut bytes = [0; 16];
        bytes[..width as usize].copy_from_slice(&world.memory[at..][..width as usize]);
        let raw = u128::from_le_bytes(bytes);
        if op.result() == Ty::V128 {
            let got = pair([world.slots[OPERANDS], world.slots[OPERANDS + 1]]);
            assert_eq!(got, raw, "{what}");
        } else {
            let expected = semantics::eval(op, raw as u64, 0, 0).expect("loads do not trap there");
            assert_eq!(world.slots[OPERANDS], expected, "{what}");
            assert_eq!(world.slots[OPERANDS + 1], UNSET, "{what}");
        }
    }
}

fn memory_store(world: &mut World, random: &mut Random, op: StoreOp) {
    let width = op.width() as usize;
    for (address, offset, inside) in accesses(width as u64) {
        let value = [random.next(), random.next()];
        world.slots[OPERANDS] = address;
        world.slots[OPERANDS + 1..][..2].copy_from_slice(&value);
        let mut expected = world.memory.clone();
        let status = world.run(&access_cells(Fixed::MemoryStore(op), offset));
        let what = format!("{op} at {address:#x} + {offset:#x}");
        match inside {
            Some(at) => {
                assert_eq!(status, 0, "{what}");
                expected[at..][..width].copy_from_slice(&pair(value).to_le_bytes()[..width]);
            }
            None => assert_eq!(status, TrapCode::MemoryOutOfBounds as u32, "{what}"),
        }
        assert!(world.memory == expected, "{what}");
    }
}

fn wide(world: &mut World, random: &mut Random, wide: Wide) {
    let operands = slot(OPERANDS).to_ne_bytes();
    let mut program = Program::default();
    program.cell(fixed_handler(Fixed::Wide(wide)), &operands);
    program.cell(fixed_handler(Fixed::Exit), &[]);
    let cells = program.words();
    let mut check = |words: [u64; 4]| {
        world.slots[OPERANDS..][..4].copy_from_slice(&words);
        assert_eq!(world.run(&cells), 0);
        let [a, b, ..] = words;
        let (x, y) = (pair([words[0], words[1]]), pair([words[2], words[3]]));
        let expected = match wide {
            Wide::Add => x.wrapping_add(y),
            Wide::Sub => x.wrapping_sub(y),
            Wide::MulS => (i128::from(a as i64) * i128::from(b as i64)) as u128,
            Wide::MulU => u128::from(a) * u128::from(b),
        };
        let got = pair([world.slots[OPERANDS], world.slots[OPERANDS + 1]]);
        assert_eq!(got, expected, "{wide:?} of {words:x?}");
    };
    for a in INTS {
        for b in INTS {
            for c in INTS {
                check([a, b, c, b.rotate_left(7)]);
            }
        }
    }
    for _ in 0..1000 {
        check([(); 4].map(|()| random.next()));
    }
}

/// The short ways only; the others, and what is out of bounds: `vm-engine/tests/bulk.rs`.
fn bulk(world: &mut World, random: &mut Random, bulk: Bulk) {
    // Without a function to call.
    let mut operands = 0u64.to_ne_bytes().to_vec();
    operands.extend(slot(OPERANDS).to_ne_bytes());
    operands.extend([0; 8]);
    let mut program = Program::default();
    program.cell(fixed_handler(Fixed::Bulk(bulk)), &operands);
    program.cell(fixed_handler(Fixed::Exit), &[]);
    let cells = program.words();
    for len in 0..=64 {
        for _ in 0..50 {
            let mut address = || random.next() % (MEMORY as u64 - len + 1);
            let words = [address(), address(), len];
            world.slots[OPERANDS..][..3].copy_from_slice(&words);
            let mut expected = world.memory.clone();
            let [to, from, len] = words.map(|word| word as usize);
            match bulk {
                Bulk::Copy => expected.copy_within(from..from + len, to),
                // The rest of the word says nothing.
                Bulk::Fill => expected[to..to + len].fill(from as u8),
            }
            assert_eq!(world.run(&cells), 0);
            assert!(world.memory == expected, "{bulk:?} of {words:?}");
            let noise = random.next() as usize;
            world.memory[noise % MEMORY] ^= noise as u8;
        }
    }
}

fn memory_size(world: &mut World) {
    for shift in [0u32, 11] {
        let mut operands = slot(OPERANDS).to_ne_bytes().to_vec();
        operands.extend(shift.to_ne_bytes());
        let mut program = Program::default();
        program.cell(fixed_handler(Fixed::MemorySize), &operands);
        program.cell(fixed_handler(Fixed::Exit), &[]);
        assert_eq!(world.run(&program.words()), 0);
        assert_eq!(world.slots[OPERANDS], MEMORY as u64 >> shift);
    }
}

fn branch(world: &mut World) {
    let mut program = Program::default();
    let bytes = cell_bytes(8);
    let marks = [mark(1), mark(2)];
    let over = u64::from(bytes) + marks[0].bytes.len() as u64;
    program.targets.push(8);
    program.cell(fixed_handler(Fixed::Br), &over.to_ne_bytes());
    for mark in marks {
        program.bytes.extend(mark.bytes);
    }
    assert_eq!(world.run(&program.words()), 0);
    assert_eq!(world.slots[MARK], 2);
}

/// Entering a loop notes the cell behind it.
fn enter_loop(world: &mut World) {
    let mut program = Program::default();
    program.cell(fixed_handler(Fixed::EnterLoop), &[]);
    let head = program.bytes.len() / 8;
    program.cell(fixed_handler(Fixed::Exit), &[]);
    let words = program.words();
    world.slots[LOOP_HEAD_SLOT as usize] = UNSET;
    assert_eq!(world.run(&words), 0);
    let noted = world.slots[LOOP_HEAD_SLOT as usize];
    assert_eq!(noted, words[head..].as_ptr().addr() as u64);
}

/// A branch to a loop leads to what has been noted.
fn repeat(world: &mut World) {
    let mut program = Program::default();
    program.cell(fixed_handler(Fixed::Loop), &[]);
    program.bytes.extend(mark(1).bytes);
    let head = program.bytes.len() / 8;
    program.bytes.extend(mark(2).bytes);
    let words = program.words();
    world.slots[LOOP_HEAD_SLOT as usize] = words[head..].as_ptr().addr() as u64;
    assert_eq!(world.run(&words), 0);
    assert_eq!(world.slots[MARK], 2);
}

/// Copies of slots, with their places overlapping in either direction and not at all.
fn copy(world: &mut World, random: &mut Random, fixed: Fixed) {
    let Fixed::Copy { down } = fixed else {
        panic!("{fixed:?} copies nothing")
    };
    let distances = if down { [1, 3, 9] } else { [-1, -3, -9] };
    for distance in distances {
        for count in 1..9 {
            let from = SAVED + 10;
            let to = from.strict_add_signed(distance);
            world.slots[SAVED..PARAMS + 8].fill_with(|| random.next());
            let mut expected = world.slots[SAVED..PARAMS + 8].to_vec();
            expected.copy_within(from - SAVED..from - SAVED + count, to - SAVED);
            let first = if down { count - 1 } else { 0 };
            let operands = [slot(from + first), slot(to + first), count as u32];
            assert_eq!(run_between(world, random, fixed, &operands), 0);
            assert_eq!(
                world.slots[SAVED..PARAMS + 8],
                expected,
                "{count} by {distance}"
            );
            assert_unchanged(world, 0..INT_REGISTERS + FLOAT_REGISTERS, fixed);
        }
    }
}

fn count(world: &mut World) {
    let mut counter = [u64::from(u32::MAX), 7];
    let mut program = Program::default();
    let address = counter.as_mut_ptr().expose_provenance() as u64;
    program.cell(fixed_handler(Fixed::Count), &address.to_ne_bytes());
    program.cell(fixed_handler(Fixed::Exit), &[]);
    assert_eq!(world.run(&program.words()), 0);
    assert_eq!(std::hint::black_box(counter), [1 << 32, 7]);
}

fn consume_fuel(world: &mut World) {
    let mut program = Program::default();
    let cost = u32::MAX;
    program.cell(fixed_handler(Fixed::ConsumeFuel), &cost.to_ne_bytes());
    program.cell(fixed_handler(Fixed::Exit), &[]);
    let words = program.words();
    let cost = u64::from(cost);
    let out = TrapCode::OutOfFuel as u32;
    for (fuel, left, status) in [
        (cost, 0, 0),
        (cost - 1, cost - 1, out),
        (0, 0, out),
        (u64::MAX, u64::MAX - cost, 0),
    ] {
        world.runtime.fuel = fuel;
        assert_eq!(world.run(&words), status, "with {fuel}");
        assert_eq!(std::hint::black_box(&world.runtime).fuel, left);
    }
}

/// Where the deadline has come, the machine is asked: `tests/metering.rs`.
fn check_epoch(world: &mut World) {
    let mut program = Program::default();
    program.cell(fixed_handler(Fixed::CheckEpoch), &[]);
    program.bytes.extend(mark(1).bytes);
    program.cell(fixed_handler(Fixed::Exit), &[]);
    let words = program.words();
    world.slots[MARK] = 0;
    world.runtime.epoch_deadline = EPOCH.load(Ordering::Relaxed) + 1;
    assert_eq!(world.run(&words), 0);
    assert_eq!(world.slots[MARK], 1);
}

fn count_calls(world: &mut World) {
    let mut program = Program::default();
    for fixed in [
        Fixed::EnterCall,
        Fixed::EnterCall,
        Fixed::LeaveCall,
        Fixed::Exit,
    ] {
        program.cell(fixed_handler(fixed), &[]);
    }
    let words = program.words();
    let overflow = TrapCode::StackOverflow as u32;
    for (calls, left, status) in [(3, 2, 0), (2, 1, 0), (1, 0, overflow), (0, 0, overflow)] {
        world.runtime.calls_left = calls;
        assert_eq!(world.run(&words), status, "with {calls}");
        assert_eq!(std::hint::black_box(&world.runtime).calls_left, left);
    }
}

fn turn(world: &mut World) {
    let mut program = Program::default();
    let mut operands = [0; 24];
    operands[16..].copy_from_slice(&(1_u64 << 32).to_ne_bytes());
    program.cell(fixed_handler(Fixed::Turn), &operands);
    program.bytes.extend(mark(1).bytes);
    program.cell(fixed_handler(Fixed::Exit), &[]);
    let words = program.words();
    world.slots[MARK] = 0;
    assert_eq!(world.run(&words), 0);
    assert_eq!(std::hint::black_box(&words)[3], (1 << 32) - 1);
    assert_eq!(world.slots[MARK], 1);
}

#[test]
fn every_fixed_handler_is_tested() {
    let mut world = World::new();
    let mut random = Random::new();
    world.memory.fill_with(|| random.next() as u8);
    for fixed in Fixed::all() {
        match fixed {
            Fixed::Enter { .. } => enter(&mut world, &mut random, fixed),
            Fixed::EnterFloats { floats, params } => {
                enter_floats(&mut world, &mut random, floats, params);
            }
            Fixed::RestoreFloats { floats } => restore_floats(&mut world, &mut random, floats),
            Fixed::Return { .. } | Fixed::ReturnValue { .. } => {
                returns(&mut world, &mut random, fixed);
            }
            Fixed::MemoryLoad(op) => memory_load(&mut world, op),
            Fixed::MemoryStore(op) => memory_store(&mut world, &mut random, op),
            Fixed::Atomic { .. } => atomics::check(&mut world, &mut random, fixed),
            Fixed::Fence => atomics::fence(&mut world),
            Fixed::Wide(operation) => wide(&mut world, &mut random, operation),
            Fixed::Bulk(operation) => bulk(&mut world, &mut random, operation),
            Fixed::MemorySize => memory_size(&mut world),
            Fixed::Br => branch(&mut world),
            Fixed::EnterLoop => enter_loop(&mut world),
            Fixed::Loop => repeat(&mut world),
            Fixed::Copy { .. } => copy(&mut world, &mut random, fixed),
            Fixed::Count => count(&mut world),
            // The last one, with a machine: `tests/tiers.rs`.
            Fixed::Turn => turn(&mut world),
            Fixed::ConsumeFuel => consume_fuel(&mut world),
            Fixed::CheckEpoch => check_epoch(&mut world),
            Fixed::EnterCall | Fixed::LeaveCall => count_calls(&mut world),
            Fixed::Unreachable => {
                let cells = [fixed_handler(fixed)];
                assert_eq!(world.run(&cells), TrapCode::Unreachable as u32);
            }
            Fixed::NullReference => {
                let cells = [fixed_handler(fixed)];
                assert_eq!(world.run(&cells), TrapCode::NullReference as u32);
            }
            // The other tests of this folder: they end all programs, and compute operators.
            Fixed::Exit | Fixed::Evaluate => {}
            // With a machine: `tests/resume.rs`, `tests/run.rs`, `tests/host.rs`, and the tail calls of `vm-engine`.
            Fixed::Resume
            | Fixed::Host
            | Fixed::Resolve
            | Fixed::Call
            | Fixed::CallImport
            | Fixed::Restore
            | Fixed::Runtime
            | Fixed::Wait
            | Fixed::Adapter
            | Fixed::ReturnCall { .. }
            | Fixed::ReturnCallImport { .. }
            | Fixed::ReturnCallIndirect { .. }
            | Fixed::ReturnCallRef { .. } => {}
        }
    }
}
