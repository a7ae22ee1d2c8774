//! Every handler of the shape table.

use vm_trap::TrapCode;

use super::super::{SHAPES, TEXT_LINES, run, shapes};
use super::case::Tester;
use super::shape::{operators, read};

/// Operand sets that each handler runs with: more if it has just one operator. There are about
/// 100 000 handlers, and a build without optimisation is slow.
const ROUNDS: usize = if cfg!(debug_assertions) { 3 } else { 16 };
const SIMPLE_ROUNDS: usize = 2 * ROUNDS;

#[test]
fn every_handler_agrees_with_the_semantics() {
    let mut tester = Tester::new();
    let mut tested = 0;
    for (key, handler) in shapes::all() {
        let roots = read(key);
        let operators: usize = roots.iter().map(|(_, trees)| operators(trees)).sum();
        let rounds = if operators > 1 { ROUNDS } else { SIMPLE_ROUNDS };
        // Few of the values that are read are addresses themselves.
        let run = (0..1000 * rounds)
            .filter(|_| tester.check(handler, &roots))
            .take(rounds);
        assert_eq!(run.count(), rounds, "{roots:?} is never inside memory");
        tested += 1;
    }
    assert_eq!(tested, SHAPES);
}

#[test]
fn no_handler_is_longer_than_the_generator_thinks() {
    // Each line of the cache that one needs more would move all that follow.
    assert_eq!(run::text_bytes(), 64 * TEXT_LINES);
}

#[test]
fn the_generator_knows_the_numbers_of_trap_codes() {
    // `build/main.rs` cannot depend on vm-trap's enum by name without building it twice.
    let codes = [
        (TrapCode::Unreachable, 1),
        (TrapCode::MemoryOutOfBounds, 2),
        (TrapCode::UndefinedElement, 4),
        (TrapCode::UninitializedElement, 5),
        (TrapCode::IndirectCallTypeMismatch, 6),
        (TrapCode::IntegerDivideByZero, 7),
        (TrapCode::IntegerOverflow, 8),
        (TrapCode::InvalidConversionToInteger, 9),
        (TrapCode::StackOverflow, 10),
        (TrapCode::NullReference, 13),
    ];
    for (code, number) in codes {
        assert_eq!(code as u32, number);
    }
}
