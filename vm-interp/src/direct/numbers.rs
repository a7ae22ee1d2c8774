//! The numbers of the fixed handlers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::LazyLock;

use super::fixed::Fixed;
use super::{FIXED, run};

/// Looked up for many cells, and no input chooses the keys: a multiplication is enough.
#[derive(Default)]
struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        // The table takes its bits from both ends.
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64((*byte).into());
        }
    }

    fn write_u8(&mut self, n: u8) {
        self.write_u64(n.into());
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_isize(&mut self, n: isize) {
        self.write_u64(n as u64);
    }
}

static NUMBERS: LazyLock<HashMap<Fixed, usize, BuildHasherDefault<Multiply>>> =
    LazyLock::new(|| {
        let all = Fixed::all().into_iter().enumerate();
        all.map(|(n, fixed)| (fixed, n)).collect()
    });

unsafe extern "C" {
    /// How far each fixed handler is from [`run::palisade_enter`].
    safe static palisade_fixed: [u32; FIXED];
}

/// The address of a fixed handler.
pub(super) fn fixed_handler(fixed: Fixed) -> u64 {
    run::text_base() + u64::from(palisade_fixed[NUMBERS[&fixed]])
}
