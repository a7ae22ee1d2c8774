//! Sorting: the standard library's two sorts, radix sort, shell sort, merge sort bottom up, a heap
//! with four children, selection of the median, binary searches, merging of runs.

mod common;

use common::{Digest, Random, run};

const STANDARD_ROUNDS: u32 = 35;

fn radix(values: &mut Vec<u32>) {
    let mut other = vec![0; values.len()];
    for shift in [0, 8, 16, 24] {
        let mut starts = [0_usize; 257];
        for value in values.iter() {
            starts[(value >> shift & 255) as usize + 1] += 1;
        }
        for index in 0..256 {
            starts[index + 1] += starts[index];
        }
        for value in values.iter() {
            let start = &mut starts[(value >> shift & 255) as usize];
            other[*start] = *value;
            *start += 1;
        }
        std::mem::swap(values, &mut other);
    }
}

fn shell<T: PartialOrd + Copy>(values: &mut [T]) {
    for gap in [701, 301, 132, 57, 23, 10, 4, 1] {
        for from in gap..values.len() {
            let value = values[from];
            let mut at = from;
            while at >= gap && values[at - gap] > value {
                values[at] = values[at - gap];
                at -= gap;
            }
            values[at] = value;
        }
    }
}

fn merge_sort(values: &mut Vec<i64>) {
    let mut other = values.clone();
    let mut width = 1;
    while width < values.len() {
        for (from, to) in values.chunks(2 * width).zip(other.chunks_mut(2 * width)) {
            let (mut left, mut right) = from.split_at(width.min(from.len()));
            for slot in to {
                let side = match (left.first(), right.first()) {
                    (Some(a), Some(b)) if b < a => &mut right,
                    (Some(_), _) => &mut left,
                    (None, _) => &mut right,
                };
                *slot = side[0];
                *side = &side[1..];
            }
        }
        std::mem::swap(values, &mut other);
        width *= 2;
    }
}

fn heap_sort(values: &mut [f64]) {
    fn sink(values: &mut [f64], mut at: usize) {
        loop {
            let mut largest = at;
            for child in 4 * at + 1..(4 * at + 5).min(values.len()) {
                if values[child] > values[largest] {
                    largest = child;
                }
            }
            if largest == at {
                return;
            }
            values.swap(at, largest);
            at = largest;
        }
    }
    for at in (0..values.len()).rev() {
        sink(values, at);
    }
    for end in (1..values.len()).rev() {
        values.swap(0, end);
        sink(&mut values[..end], 0);
    }
}

fn check<T: PartialOrd>(values: &[T], digest: &mut Digest, bits: impl Fn(&T) -> u64) {
    assert!(values.is_sorted());
    for value in values.iter().step_by(97) {
        digest.add(bits(value));
    }
}

fn main() {
    let mut random = Random::new(37);
    run(STANDARD_ROUNDS, |digest| {
        let mut numbers = Vec::new();
        for _ in 0..2500 {
            numbers.push(random.next());
        }
        let mut small: Vec<u32> = numbers.iter().map(|n| *n as u32).collect();
        radix(&mut small);
        check(&small, digest, |n| u64::from(*n));
        let mut halves: Vec<u16> = numbers.iter().map(|n| *n as u16).collect();
        shell(&mut halves);
        check(&halves, digest, |n| u64::from(*n));
        let mut signed: Vec<i64> = numbers.iter().map(|n| *n as i64).collect();
        merge_sort(&mut signed);
        check(&signed, digest, |n| *n as u64);
        let mut floats: Vec<f64> = numbers.iter().map(|n| (*n >> 12) as f64).collect();
        heap_sort(&mut floats);
        check(&floats, digest, |n| n.to_bits());
        let mut pairs: Vec<(u8, u32)> = numbers
            .iter()
            .map(|n| (*n as u8, (n >> 8) as u32))
            .collect();
        pairs.sort_by_key(|pair| pair.0);
        for key in [3, 100, 255] {
            let at = pairs.partition_point(|pair| pair.0 < key);
            digest.add(pairs.get(at).map_or(0, |pair| u64::from(pair.1)));
        }
        let (_, median, _) = numbers.select_nth_unstable(1250);
        digest.add(*median);
        numbers.sort_unstable();
        check(&numbers, digest, |n| *n);
    });
}
