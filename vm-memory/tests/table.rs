//! Tables of words behave as vectors do, and what is not touched takes no memory.

use proptest::prelude::*;
use vm_memory::{TableError, WordTable};

mod common;

#[derive(Clone, Debug)]
enum Op {
    Grow(usize, u64),
    Set(f64, u64),
    Fill(f64, f64, u64),
}

fn words() -> impl Strategy<Value = u64> {
    prop_oneof![Just(0), any::<u64>()]
}

fn ops() -> impl Strategy<Value = Op> {
    let most: usize = if cfg!(miri) { 200 } else { 50_000 };
    let deltas = prop_oneof![0usize..4, 0usize..200, 0..most, Just(usize::MAX)];
    prop_oneof![
        3 => (deltas, words()).prop_map(|(delta, init)| Op::Grow(delta, init)),
        2 => (0.0..1.0, words()).prop_map(|(at, word)| Op::Set(at, word)),
        1 => (0.0..=1.0, 0.0..=1.0, words()).prop_map(|(a, b, word)| Op::Fill(a, b, word)),
    ]
}

/// A table and the vector that it should be like.
fn run(len: usize, init: u64, limit: usize, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut table = match WordTable::new(len, init, limit) {
        Ok(table) => table,
        Err(error) => {
            let past = TableError::PastLimit {
                len: 0,
                delta: len,
                limit,
            };
            prop_assert!(error == past && len > limit);
            return Ok(());
        }
    };
    let mut model = vec![init; len];
    for op in ops {
        match *op {
            Op::Grow(delta, init) => {
                let len = model.len();
                let grown = table.grow(delta, init);
                if len.checked_add(delta).is_none_or(|sum| sum > limit) {
                    prop_assert_eq!(grown, Err(TableError::PastLimit { len, delta, limit }));
                } else {
                    prop_assert_eq!(grown, Ok(len));
                    model.resize(len + delta, init);
                }
            }
            Op::Set(share, word) => {
                let at = (model.len() as f64 * share) as usize;
                if at < model.len() {
                    table.as_mut_slice()[at] = word;
                    model[at] = word;
                }
            }
            Op::Fill(a, b, word) => {
                let [a, b] = [a, b].map(|share| (model.len() as f64 * share) as usize);
                table.as_mut_slice()[a.min(b)..a.max(b)].fill(word);
                model[a.min(b)..a.max(b)].fill(word);
            }
        }
        prop_assert_eq!(table.len(), model.len());
        prop_assert_eq!(table.is_empty(), model.is_empty());
        prop_assert!(table.as_slice() == model);
        prop_assert!(table.base_ptr().cast_const() == table.as_slice().as_ptr());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 128 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn tables_behave_like_vectors(
        len in prop_oneof![0usize..40, 0usize..40_000],
        init in words(),
        limit in prop_oneof![0usize..100, 0usize..200_000],
        ops in prop::collection::vec(ops(), 0..if cfg!(miri) { 6 } else { 25 }),
    ) {
        run(len, init, limit, &ops)?;
    }
}

#[test]
fn tables_can_be_sent_and_shared() {
    fn both<T: Send + Sync>() {}
    both::<WordTable>();
    let mut table = WordTable::new(3, 7, 10).unwrap();
    let table = std::thread::spawn(move || {
        table.grow(2, 8).unwrap();
        table
    });
    assert_eq!(table.join().unwrap().as_slice(), [7, 7, 7, 8, 8]);
}

#[test]
fn sizes_that_no_host_has_are_errors() {
    for (len, delta) in [
        (0, usize::MAX),
        (0, usize::MAX / 8),
        (1, usize::MAX / 16),
        (5, usize::MAX),
    ] {
        let mut table = WordTable::new(len, 1, usize::MAX).unwrap();
        assert!(table.grow(delta, 0).is_err());
        assert_eq!(table.as_slice(), vec![1; len]);
        assert!(delta == usize::MAX || WordTable::new(delta, 0, usize::MAX).is_err());
    }
    let error = WordTable::new(usize::MAX / 8, 0, usize::MAX).unwrap_err();
    assert_eq!(
        error,
        TableError::HostMemory {
            words: usize::MAX / 8
        }
    );
}

#[cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]
mod linux {
    use common::{passes_in_child, set_limit, status};
    use vm_memory::faults::FailingHost;

    use super::*;

    /// As many elements as an engine lets a table have.
    const LARGE: usize = 10_000_000;
    const MIB: u64 = 1 << 20;

    #[test]
    fn large_tables_take_no_memory_until_they_are_used() {
        passes_in_child(
            "linux::large_tables_take_no_memory_until_they_are_used",
            || {
                let mut tables: Vec<_> = (0..100)
                    .map(|_| WordTable::new(LARGE, 0, LARGE).unwrap())
                    .collect();
                for (n, table) in tables.iter_mut().enumerate() {
                    let at = n * 99_991;
                    assert_eq!(table.as_slice()[at], 0);
                    table.as_mut_slice()[at] = 1;
                    assert_eq!(table.as_slice()[at..at + 2], [1, 0]);
                }
                assert!(status("VmHWM") < 24 * MIB, "{}", status("VmHWM"));
            },
        );
    }

    #[test]
    fn tables_grow_without_being_touched() {
        passes_in_child("linux::tables_grow_without_being_touched", || {
            for limited in [false, true] {
                if limited {
                    set_limit(libc::RLIMIT_AS, 1 << 30);
                }
                let mut table = WordTable::new(1, 5, LARGE).unwrap();
                let (mut moves, mut delta) = (0, 1);
                while table.len() + delta <= LARGE {
                    let base = table.base_ptr();
                    table.grow(delta, 0).unwrap();
                    moves += u32::from(base != table.base_ptr());
                    delta = delta % 500 + 1;
                }
                // Doubled while it is on the heap.
                assert!(moves < 30, "{moves}");
                assert_eq!(table.as_slice()[0], 5);
                *table.as_mut_slice().last_mut().unwrap() = 6;
            }
            assert!(status("VmHWM") < 24 * MIB, "{}", status("VmHWM"));
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn growth_that_is_refused_changes_nothing(
            deltas in prop::collection::vec(1usize..40_000, 1..20),
            first in 1u64..12,
            all_after in any::<bool>(),
        ) {
            let plan = if all_after { FailingHost::from_nth } else { FailingHost::nth };
            let mut table = WordTable::new(3, 1, LARGE).unwrap();
            let mut model = vec![1; 3];
            let host = plan(first);
            for delta in deltas {
                let init = delta as u64 % 3;
                match table.grow(delta, init) {
                    Ok(before) => {
                        prop_assert_eq!(before, model.len());
                        model.resize(before + delta, init);
                    }
                    Err(error) => {
                        prop_assert_eq!(error, TableError::HostMemory { words: delta });
                        prop_assert!(host.failed().is_some());
                    }
                }
                prop_assert!(table.as_slice() == model);
            }
        }
    }
}
