//! The handlers of atomic accesses.

use vm_translate::{AtomicKind, AtomicOp};
use vm_trap::TrapCode;

use super::super::fixed::Fixed;
use super::super::fixed_handler;
use super::values::{INTS, Random};
use super::world::*;

/// The instruction of 64 bits that does the same.
fn instruction(kind: AtomicKind, width: u32) -> AtomicOp {
    let same = |op: &&AtomicOp| op.kind() == kind && op.width() == width;
    *AtomicOp::ALL.iter().rev().find(same).expect("an access")
}

/// Every handler on every pair of corner values, at places that are inside, outside and not aligned.
pub(super) fn check(world: &mut World, random: &mut Random, fixed: Fixed) {
    let Fixed::Atomic {
        kind,
        width,
        unchecked,
    } = fixed
    else {
        panic!("{fixed:?} is no atomic access")
    };
    // The vector of the tests is aligned as allocators align everything.
    assert!(world.memory.as_ptr().addr().is_multiple_of(8));
    let op = instruction(kind, width);
    let mut access = |address: u64, offset: u64, operands: [u64; 2]| {
        let mut program = Program::default();
        let mut bytes = MEMORY_AT.to_ne_bytes().to_vec();
        bytes.extend(slot(OPERANDS).to_ne_bytes());
        bytes.extend(offset.to_ne_bytes());
        program.cell(fixed_handler(fixed), &bytes);
        program.cell(fixed_handler(Fixed::Exit), &[]);
        let [value, replacement] = operands;
        world.slots[OPERANDS..][..4].copy_from_slice(&[address, value, replacement, UNSET]);
        let mut expected = world.memory.clone();
        let status = world.run(&program.words());
        let what = format!("{fixed:?} at {address:#x} + {offset:#x} of {operands:x?}");
        if status == 0 {
            let at = (address + offset) as usize;
            let bytes = &mut expected[at..at + width as usize];
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            let found = u64::from_le_bytes(word);
            let new = op.apply(found, operands);
            bytes.copy_from_slice(&new.to_le_bytes()[..width as usize]);
            let result = match kind {
                AtomicKind::Store => address,
                _ => found,
            };
            assert_eq!(world.slots[OPERANDS], result, "{what}");
        }
        assert_eq!(
            world.slots[OPERANDS + 1..][..3],
            [value, replacement, UNSET]
        );
        assert!(world.memory == expected, "{what}");
        status
    };
    let (memory, wide) = (MEMORY as u64, u64::from(width));
    for value in INTS {
        for replacement in INTS {
            assert_eq!(access(8, 16, [value, replacement]), 0);
        }
        assert_eq!(access(8, 16, [value, random.next()]), 0);
        // What is there now is expected, as far as the width goes.
        access(8, 16, [value, value]);
        let above = u64::MAX.checked_shl(8 * width).unwrap_or(0);
        assert_eq!(access(8, 16, [value | above, random.next()]), 0);
    }
    assert_eq!(access(0, 0, [1, 2]), 0);
    assert_eq!(access(memory - wide, 0, [3, 4]), 0);
    assert_eq!(access(0, memory - wide, [5, 6]), 0);
    if width > 1 {
        let unaligned = TrapCode::UnalignedAtomic as u32;
        for (address, offset) in [(1, 0), (0, 1), (wide - 1, wide), (8, wide / 2)] {
            assert_eq!(access(address, offset, [0, 0]), unaligned, "{fixed:?}");
        }
    }
    if !unchecked {
        let outside = TrapCode::MemoryOutOfBounds as u32;
        let top = 1 << 63;
        for (address, offset) in [
            (memory, 0),
            (0, memory),
            (memory - wide, wide),
            (u64::MAX - wide + 1, 0),
            (top, top),
            (top, top + 8),
            (u64::MAX, 1),
        ] {
            assert_eq!(access(address, offset, [0, 0]), outside, "{fixed:?}");
        }
    }
}

pub(super) fn fence(world: &mut World) {
    let mut program = Program::default();
    program.cell(fixed_handler(Fixed::Fence), &[]);
    program.bytes.extend(mark(1).bytes);
    world.slots[MARK] = 0;
    assert_eq!(world.run(&program.words()), 0);
    assert_eq!(world.slots[MARK], 1);
}
