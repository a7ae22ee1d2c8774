//! Every operator that a cell can compute, on every pair of corner values.
//!
//! The cell is that of the operator over slots: a handler of its own if there is one, else the
//! one that calls the semantics.

use vm_translate::op::Effect;
use vm_translate::shape::{SetSymbol, ShapeKey, Symbol};
use vm_translate::{Op, Ty};

use super::super::fixed::Fixed;
use super::super::{fixed_handler, shapes};
use super::values::{Kind, Lanes, corners, payloads, result, same};
use super::world::*;

/// The operands that a type or the lanes of an operator's vectors have, as sets of which every
/// pair is tried.
fn operands(op: Op, n: usize) -> Vec<u128> {
    let ty = op.params()[n];
    if ty != Ty::V128 {
        return corners(ty).into_iter().map(u128::from).collect();
    }
    if op == Op::I8x16Shuffle && n == 2 {
        // Validation allows no index above 31.
        return [[0, 7], [15, 5], [16, 11], [31, 3]]
            .iter()
            .map(|[first, step]| Lanes::I8.vector(|lane| (first + step * lane as u64) % 32))
            .collect();
    }
    let lanes = match Lanes::of_operands(op) {
        Some(lanes) => vec![lanes],
        // All bits are the same to it.
        None => vec![Lanes::I8, Lanes::I64],
    };
    let vectors = |lanes: &Lanes| {
        let corners = lanes.corners();
        let count = 128 / lanes.bits();
        // The first operand has different corners in its lanes, the others one in all: so every
        // two meet. Distances within the first differ, for operators on neighbours.
        let step = if n == 0 { count } else { 1 };
        let mut vectors = Vec::new();
        for start in (0..corners.len()).step_by(step) {
            let of = |lane: usize| match n {
                0 => corners[(start + lane) % corners.len()],
                _ => corners[start],
            };
            vectors.push(lanes.vector(of));
        }
        if n > 0 {
            vectors.push(lanes.vector(|lane| corners[(5 * lane + 3) % corners.len()]));
        }
        vectors
    };
    lanes.iter().flat_map(vectors).collect()
}

/// The number of lanes that an operator's immediate counts.
fn lanes(op: Op) -> usize {
    match Lanes::of_operands(op) {
        Some(lanes) if op.has_lane() => 128 / lanes.bits(),
        _ => 1,
    }
}

struct Cell {
    op: Op,
    handler: Option<u32>,
}

impl Cell {
    fn of(op: Op) -> Cell {
        let place = match op.result() {
            Ty::V128 => SetSymbol::Vector,
            _ => SetSymbol::Slot,
        };
        let leaves = op.params().iter().map(|ty| match ty {
            Ty::V128 => Symbol::Vector,
            _ => Symbol::Slot,
        });
        let key = [Symbol::Set(place), Symbol::Op(op)]
            .into_iter()
            .chain(leaves)
            .try_fold(ShapeKey::new(), ShapeKey::with)
            .expect("few symbols");
        let handler = shapes::find(key).map(|found| found.handler);
        assert!(
            handler.is_some() || key.slots_operator() == Some(op),
            "no cell computes {op}"
        );
        Cell { op, handler }
    }

    /// The cell's operands: what is at `slots`, into [`RESULT`].
    fn program(&self, slots: [usize; 3], lane: usize) -> Program {
        let count = self.op.params().len();
        let mut operands = Vec::new();
        let mut put = |word: u32| operands.extend_from_slice(&word.to_ne_bytes());
        let address = match self.handler {
            Some(handler) => {
                put(slot(RESULT));
                if self.op.has_immediate() {
                    put(lane as u32);
                }
                slots[..count].iter().for_each(|n| put(slot(*n)));
                shapes::address(handler)
            }
            None => {
                put(self.op as u32);
                put(slot(RESULT));
                for (n, at) in slots.iter().enumerate() {
                    put(if n < count { slot(*at) } else { 0 });
                }
                put(lane as u32);
                fixed_handler(Fixed::Evaluate)
            }
        };
        let mut program = Program::default();
        program.cell(address, &operands);
        program.cell(fixed_handler(Fixed::Exit), &[]);
        program
    }

    fn check(&self, world: &mut World, cells: &[u64], words: [u128; 3], lane: usize) {
        let op = self.op;
        for (n, word) in words.iter().enumerate() {
            world.slots[OPERANDS + 2 * n] = *word as u64;
            world.slots[OPERANDS + 2 * n + 1] = (*word >> 64) as u64;
        }
        world.slots[RESULT..][..2].fill(UNSET);
        let expected = result(op, words, lane);
        let status = world.run(cells);
        let what = || format!("{op} of {words:x?}, lane {lane}");
        match expected {
            Err(code) => assert_eq!(status, code as u32, "{}", what()),
            Ok(value) => {
                assert_eq!(status, 0, "{}", what());
                let got = pair([world.slots[RESULT], world.slots[RESULT + 1]]);
                let vector = op.result() == Ty::V128;
                let got = if vector { got } else { u128::from(got as u64) };
                assert!(
                    same(Kind::of_op(op), payloads(op, &words), got, value),
                    "{got:#x}, not {value:#x}: {}",
                    what()
                );
                if !vector {
                    assert_eq!(world.slots[RESULT + 1], UNSET, "{}", what());
                }
            }
        }
    }
}

#[test]
fn every_operator_agrees_with_the_semantics_on_every_pair_of_corners() {
    let mut world = World::new();
    let computed = Op::ALL
        .iter()
        .copied()
        .filter(|op| matches!(op.effect(), Effect::Pure | Effect::Traps));
    for op in computed {
        let cell = Cell::of(op);
        let sets: Vec<_> = (0..3)
            .map(|n| match op.params().len() > n {
                true => operands(op, n),
                false => vec![0],
            })
            .collect();
        for lane in 0..lanes(op) {
            let cells = cell
                .program([OPERANDS, OPERANDS + 2, OPERANDS + 4], lane)
                .words();
            for a in &sets[0] {
                for b in &sets[1] {
                    for c in &sets[2] {
                        cell.check(&mut world, &cells, [*a, *b, *c], lane);
                    }
                }
            }
        }
    }
}

#[test]
fn a_vector_may_replace_what_it_is_computed_from() {
    // The destination is one of the operands, or half of one.
    let mut world = World::new();
    let cell = Cell::of(Op::I8x16Sub);
    for (from, other) in [(RESULT, OPERANDS), (RESULT - 1, RESULT + 1)] {
        let cells = cell.program([from, other, 0], 0).words();
        world.slots.fill(0x8001_7f03_ff00_1234);
        world.slots[other] = 0x0102_0304_0506_0708;
        let operands = [from, other].map(|n| pair([world.slots[n], world.slots[n + 1]]));
        let expected = result(Op::I8x16Sub, [operands[0], operands[1], 0], 0);
        assert_eq!(world.run(&cells), 0);
        let got = pair([world.slots[RESULT], world.slots[RESULT + 1]]);
        assert_eq!(Ok(got), expected);
    }
}

/// All vector operators that may be called often have a handler of their own.
#[test]
fn every_vector_operator_has_a_handler() {
    let vectors = Op::ALL.iter().copied().filter(|op| op.is_vector());
    let called: Vec<_> = vectors
        .filter(|op| matches!(op.effect(), Effect::Pure | Effect::Traps))
        .filter(|op| Cell::of(*op).handler.is_none())
        // It has constants for operands.
        .filter(|op| *op != Op::V128Const)
        .collect();
    assert_eq!(called, []);
}
