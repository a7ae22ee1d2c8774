//! The table of access sites. One test: the table is the process's.

use std::sync::Mutex;

use vm_trap::{AccessSites, MAX_SITES, RegionClass, RegisterError, register_sites};

/// Text that never runs: numbers suffice.
fn sites(texts: impl IntoIterator<Item = std::ops::Range<usize>>) -> &'static [AccessSites] {
    /// So that leak checks find them.
    static LEAKED: Mutex<Vec<&'static [AccessSites]>> = Mutex::new(Vec::new());
    let class = RegionClass::Memory;
    let sites: Vec<_> = texts
        .into_iter()
        .map(|text| AccessSites { text, class })
        .collect();
    let sites: &'static [AccessSites] = sites.leak();
    LEAKED.lock().expect("no panic").push(sites);
    sites
}

#[test]
fn the_table_takes_each_range_once_and_says_when_it_is_full() {
    // SAFETY: of all these registrations: no code is at such addresses.
    let register = |sites| unsafe { register_sites(sites) };

    let half = sites((0..MAX_SITES / 2).map(|n| n * 16..n * 16 + 8));
    for _ in 0..MAX_SITES {
        assert_eq!(register(half), Ok(()));
    }

    let empty = 5000..5000;
    assert_eq!(
        register(sites([4000..4001, empty.clone()])),
        Err(RegisterError::Empty { text: empty })
    );

    // One too many, and none is registered: all but one still fit.
    let rest = MAX_SITES - half.len();
    let too_many = sites((0..=rest).map(|n| 10_000 + n..10_001 + n));
    assert_eq!(register(too_many), Err(RegisterError::Full));
    assert_eq!(register(&too_many[1..]), Ok(()));
    assert_eq!(register(too_many), Err(RegisterError::Full));

    // What is there already needs no room.
    assert_eq!(register(half), Ok(()));
    assert_eq!(register(&too_many[1..]), Ok(()));
}
