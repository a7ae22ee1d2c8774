//! What guests get for the globals that they import.

use vm_engine::ValType;

use crate::value::Value;

/// The value of a global that is the import of this number. Often small: it may be a segment's offset.
pub fn global(number: usize, ty: ValType, seed: u64) -> Value {
    let mut random = fastrand::Rng::with_seed(seed ^ number as u64);
    let small = random.u8(..10);
    match ty {
        ValType::I32 if random.bool() => Value::I32(small.into()),
        ValType::I64 if random.bool() => Value::I64(small.into()),
        ty => Value::random(ty, &mut random),
    }
}
