//! What the Rust programs share: the same random numbers, digest and argument as `../common.h`.
#![allow(dead_code)] // No program needs all of it.

use std::env;
use std::process::exit;

pub struct Random {
    state: u64,
}

fn mix64(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

impl Random {
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix64(self.state)
    }

    /// A number in `0..bound`.
    pub fn below(&mut self, bound: u32) -> u32 {
        ((self.next() >> 32) * u64::from(bound) >> 32) as u32
    }
}

#[derive(Default)]
pub struct Digest {
    state: u64,
}

impl Digest {
    pub fn add(&mut self, value: u64) {
        self.state = mix64(self.state.rotate_left(23) ^ value).wrapping_add(0x632b_e59b_d9b4_e019);
    }

    pub fn add_text(&mut self, text: &str) {
        for chunk in text.as_bytes().chunks(8) {
            self.add(
                chunk
                    .iter()
                    .fold(0, |word, byte| word << 8 | u64::from(*byte)),
            );
        }
    }
}

/// Runs `round` as often as the argument says, and prints the digest. No argument means `standard`.
pub fn run(standard: u32, mut round: impl FnMut(&mut Digest)) {
    let mut arguments = env::args().skip(1);
    let rounds = match arguments.next() {
        None => standard,
        Some(text) => text.parse().unwrap_or(0),
    };
    if rounds == 0 || arguments.next().is_some() {
        eprintln!("usage: PROGRAM [ROUNDS], where ROUNDS is a positive number");
        exit(2);
    }
    let mut digest = Digest::default();
    for _ in 0..rounds {
        round(&mut digest);
    }
    println!("{:016x}", digest.state);
}
