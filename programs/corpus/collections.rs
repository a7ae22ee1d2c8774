//! The standard library's collections: hash maps (SipHash), B-trees, heaps, deques, sets of strings.

mod common;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};

use common::{Digest, Random, run};

const STANDARD_ROUNDS: u32 = 30;

fn maps(random: &mut Random, digest: &mut Digest) {
    let mut counts: HashMap<u32, u64> = HashMap::new();
    let mut ordered: BTreeMap<u32, u64> = BTreeMap::new();
    for _ in 0..3000 {
        let key = random.below(800);
        *counts.entry(key).or_default() += 1;
        *ordered.entry(key.wrapping_mul(2_654_435_761)).or_insert(0) += u64::from(key);
        if key % 5 == 0 {
            counts.remove(&random.below(800));
            ordered.remove(&random.below(800).wrapping_mul(2_654_435_761));
        }
    }
    digest.add(
        counts
            .iter()
            .map(|(key, count)| u64::from(*key) * count)
            .sum(),
    );
    for (key, sum) in ordered.range(1 << 30..3 << 30) {
        digest.add(u64::from(*key) << 32 | sum);
    }
}

fn queues(random: &mut Random, digest: &mut Digest) {
    let mut heap = BinaryHeap::new();
    let mut window = VecDeque::new();
    for step in 0..3000_u32 {
        heap.push(Reverse((random.below(10_000), step)));
        if heap.len() > 100 {
            if let Some(Reverse((value, step))) = heap.pop() {
                digest.add(u64::from(value) << 32 | u64::from(step));
            }
        }
        // The greatest of the last 50 numbers, by a queue that falls.
        let value = random.below(1000);
        while window.back().is_some_and(|(_, last)| *last <= value) {
            window.pop_back();
        }
        window.push_back((step, value));
        while window.front().is_some_and(|(at, _)| at + 50 <= step) {
            window.pop_front();
        }
        if let Some((_, greatest)) = window.front() {
            digest.add(u64::from(*greatest));
        }
    }
}

fn strings(random: &mut Random, digest: &mut Digest) {
    let mut seen = HashSet::new();
    let mut index: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for position in 0..500 {
        let word: String = (0..2)
            .map(|_| char::from(b'a' + random.below(26) as u8))
            .collect();
        if !seen.insert(word.clone()) {
            digest.add(u64::from(position));
        }
        index.entry(word).or_default().push(position);
    }
    for (word, positions) in &index {
        digest.add_text(word);
        digest.add(positions.iter().map(|at| u64::from(*at)).sum());
    }
}

fn main() {
    let mut random = Random::new(31);
    run(STANDARD_ROUNDS, |digest| {
        maps(&mut random, digest);
        queues(&mut random, digest);
        strings(&mut random, digest);
    });
}
