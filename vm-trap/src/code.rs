//! Why a guest stopped: one code for every trap of WebAssembly, and for the
//! two reasons for which an embedder stops a guest.

/// The reason of a trap.
///
/// The texts are those that the official test scripts expect
/// (`assert_trap` in <https://github.com/WebAssembly/spec/tree/main/test>),
/// so a runner may compare them as prefixes. The numbers are part of the
/// interface: assembly and tables store them, and a number is never given to
/// another trap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
#[repr(u8)]
#[non_exhaustive]
pub enum TrapCode {
    /// The instruction `unreachable` was executed.
    #[error("unreachable")]
    Unreachable = 1,
    /// A memory access, or a bulk operation on memory, past the end.
    #[error("out of bounds memory access")]
    MemoryOutOfBounds = 2,
    /// A table access, or a bulk operation on a table, past the end.
    #[error("out of bounds table access")]
    TableOutOfBounds = 3,
    /// `call_indirect` with an index past the end of the table.
    #[error("undefined element")]
    UndefinedElement = 4,
    /// `call_indirect` found a null reference in the table.
    #[error("uninitialized element")]
    UninitializedElement = 5,
    /// `call_indirect` found a function of another type.
    #[error("indirect call type mismatch")]
    IndirectCallTypeMismatch = 6,
    /// Integer division or remainder by zero.
    #[error("integer divide by zero")]
    IntegerDivideByZero = 7,
    /// The result of a signed division, or of a conversion from a float, does
    /// not fit.
    #[error("integer overflow")]
    IntegerOverflow = 8,
    /// A NaN was converted to an integer.
    #[error("invalid conversion to integer")]
    InvalidConversionToInteger = 9,
    /// The guest used up its stack.
    #[error("call stack exhausted")]
    StackOverflow = 10,
    /// The guest used up the fuel that it was given.
    #[error("all fuel consumed by WebAssembly")]
    OutOfFuel = 11,
    /// The embedder interrupted the guest.
    #[error("interrupt")]
    Interrupt = 12,
    /// A null reference was used where an object is needed.
    #[error("null reference")]
    NullReference = 13,
    /// An atomic access at an address that is no multiple of its width.
    #[error("unaligned atomic")]
    UnalignedAtomic = 14,
    /// `memory.atomic.wait` on a memory that is not shared.
    #[error("expected shared memory")]
    ExpectedSharedMemory = 15,
    /// An array access past the end.
    #[error("out of bounds array access")]
    ArrayOutOfBounds = 16,
    /// A reference was cast to a type that it does not have.
    #[error("cast failure")]
    CastFailure = 17,
    /// An object was asked for that is larger than the host can give.
    #[error("allocation size too large")]
    AllocationTooLarge = 18,
    /// An exception left the outermost function.
    #[error("uncaught exception")]
    UncaughtException = 19,
}

impl TrapCode {
    /// Every code, in the order of their numbers.
    pub const ALL: [TrapCode; 19] = [
        TrapCode::Unreachable,
        TrapCode::MemoryOutOfBounds,
        TrapCode::TableOutOfBounds,
        TrapCode::UndefinedElement,
        TrapCode::UninitializedElement,
        TrapCode::IndirectCallTypeMismatch,
        TrapCode::IntegerDivideByZero,
        TrapCode::IntegerOverflow,
        TrapCode::InvalidConversionToInteger,
        TrapCode::StackOverflow,
        TrapCode::OutOfFuel,
        TrapCode::Interrupt,
        TrapCode::NullReference,
        TrapCode::UnalignedAtomic,
        TrapCode::ExpectedSharedMemory,
        TrapCode::ArrayOutOfBounds,
        TrapCode::CastFailure,
        TrapCode::AllocationTooLarge,
        TrapCode::UncaughtException,
    ];

    /// The code with this number, or `None` if no trap has it. Zero is never
    /// a code: assembly may use it for "no trap".
    pub const fn from_u8(number: u8) -> Option<TrapCode> {
        match number {
            0 => None,
            n if (n as usize) <= Self::ALL.len() => Some(Self::ALL[n as usize - 1]),
            _ => None,
        }
    }

    /// The number of this code.
    pub const fn as_u8(self) -> u8 {
        self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::TrapCode;

    #[test]
    fn numbers_and_codes_are_inverse() {
        let mut known = 0;
        for number in 0..=u8::MAX {
            if let Some(code) = TrapCode::from_u8(number) {
                assert_eq!(code.as_u8(), number);
                known += 1;
            }
        }
        assert_eq!(known, TrapCode::ALL.len());
        assert_eq!(TrapCode::from_u8(0), None);
    }

    #[test]
    fn texts_are_those_of_the_test_scripts() {
        for (code, text) in [
            (TrapCode::Unreachable, "unreachable"),
            (TrapCode::MemoryOutOfBounds, "out of bounds memory access"),
            (TrapCode::TableOutOfBounds, "out of bounds table access"),
            (TrapCode::UndefinedElement, "undefined element"),
            (TrapCode::UninitializedElement, "uninitialized element"),
            (
                TrapCode::IndirectCallTypeMismatch,
                "indirect call type mismatch",
            ),
            (TrapCode::IntegerDivideByZero, "integer divide by zero"),
            (TrapCode::IntegerOverflow, "integer overflow"),
            (
                TrapCode::InvalidConversionToInteger,
                "invalid conversion to integer",
            ),
            (TrapCode::StackOverflow, "call stack exhausted"),
        ] {
            assert_eq!(code.to_string(), text);
        }
    }
}
