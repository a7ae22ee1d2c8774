//! The set of regions against a plain model.

use std::ops::Range;

use proptest::prelude::*;
use vm_trap::{Region, RegionClass, RegionError, RegionSet};

#[derive(Clone, Debug)]
enum Step {
    Insert(Range<usize>, RegionClass),
    Remove(Range<usize>),
    RemoveNth(usize),
}

fn range() -> impl Strategy<Value = Range<usize>> {
    (0usize..60, 0usize..8).prop_map(|(start, length)| start..start + length)
}

fn step() -> impl Strategy<Value = Step> {
    let class = prop_oneof![Just(RegionClass::Memory), Just(RegionClass::Stack)];
    prop_oneof![
        4 => (range(), class).prop_map(|(range, class)| Step::Insert(range, class)),
        1 => range().prop_map(Step::Remove),
        1 => (0usize..8).prop_map(Step::RemoveNth),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn behaves_like_a_list_of_disjoint_ranges(
        steps in proptest::collection::vec(step(), 0..60)
    ) {
        let mut model: Vec<Region> = Vec::new();
        let mut set = RegionSet::new();
        for step in steps {
            match step {
                Step::Insert(range, class) => {
                    let region = Region { range: range.clone(), class };
                    let overlaps: Vec<_> = model
                        .iter()
                        .filter(|r| r.range.start < range.end && range.start < r.range.end)
                        .collect();
                    match set.insert(region.clone()) {
                        Ok(()) => {
                            prop_assert!(!range.is_empty() && overlaps.is_empty());
                            model.push(region);
                        }
                        Err(RegionError::Empty { .. }) => prop_assert!(range.is_empty()),
                        Err(RegionError::Overlap { existing, .. }) => {
                            prop_assert!(overlaps.iter().any(|r| r.range == existing));
                        }
                        Err(error) => return Err(TestCaseError::fail(error.to_string())),
                    }
                }
                Step::Remove(range) => {
                    let at = model.iter().position(|r| r.range == range);
                    prop_assert_eq!(set.remove(&range), at.map(|at| model.remove(at)));
                }
                Step::RemoveNth(n) => {
                    if let Some(range) = model.get(n).map(|r| r.range.clone()) {
                        prop_assert_eq!(set.remove(&range), Some(model.remove(n)));
                    }
                }
            }
            let mut sorted = model.clone();
            sorted.sort_by_key(|r| r.range.start);
            prop_assert!(set.iter().eq(&sorted));
            prop_assert_eq!(set.len(), model.len());
            prop_assert_eq!(set.is_empty(), model.is_empty());
            for address in 0..70 {
                let expected = model.iter().find(|r| r.range.contains(&address));
                prop_assert_eq!(set.find(address), expected);
            }
        }
    }
}

#[test]
fn a_region_at_the_end_of_the_address_space_is_found() {
    let mut set = RegionSet::new();
    let range = usize::MAX - 16..usize::MAX;
    let class = RegionClass::Memory;
    set.insert(Region { range, class }).expect("not empty");
    assert!(set.find(usize::MAX - 1).is_some());
    assert!(set.find(usize::MAX).is_none());
    assert!(set.find(0).is_none());
}
