//! The atomic instructions: one row each, from which the enum and its properties come.
//!
//! Names and meanings are those of <https://github.com/WebAssembly/threads>.

use std::fmt;

use crate::op::Ty;

/// What an atomic instruction does with the bytes that it accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AtomicKind {
    /// Reads them.
    Load,
    /// Writes them.
    Store,
    /// Adds to them; the result is what they were before, here and in what follows.
    Add,
    /// Subtracts from them.
    Sub,
    /// And.
    And,
    /// Or.
    Or,
    /// Exclusive or.
    Xor,
    /// Exchanges them.
    Xchg,
    /// Exchanges them if they are what is expected.
    Cmpxchg,
    /// Wakes those that wait for them.
    Notify,
    /// Waits if they are what is expected.
    Wait,
    /// Accesses nothing: orders what comes before and what comes after.
    Fence,
}

impl AtomicKind {
    /// Those that access bytes and do nothing else.
    pub const ACCESSES: [AtomicKind; 9] = [
        AtomicKind::Load,
        AtomicKind::Store,
        AtomicKind::Add,
        AtomicKind::Sub,
        AtomicKind::And,
        AtomicKind::Or,
        AtomicKind::Xor,
        AtomicKind::Xchg,
        AtomicKind::Cmpxchg,
    ];

    /// Whether it accesses bytes and does nothing else.
    pub const fn is_access(self) -> bool {
        !matches!(
            self,
            AtomicKind::Notify | AtomicKind::Wait | AtomicKind::Fence
        )
    }
}

macro_rules! atomics {
    ($($name:ident $text:literal $kind:ident $width:literal ($($param:ident),*) -> $result:ident;)*) => {
        /// An atomic instruction.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each is the instruction of its text form")]
        pub enum AtomicOp { $($name),* }

        impl AtomicOp {
            /// Every atomic instruction, in the order of its number.
            pub const ALL: &'static [AtomicOp] = &[$(AtomicOp::$name),*];

            /// The instruction's name in the text format.
            pub const fn name(self) -> &'static str {
                match self { $(AtomicOp::$name => $text),* }
            }

            /// What it does.
            pub const fn kind(self) -> AtomicKind {
                match self { $(AtomicOp::$name => AtomicKind::$kind),* }
            }

            /// Bytes accessed, of which its address must be a multiple: 1, 2, 4 or 8. Of a fence, which has no address, 1.
            pub const fn width(self) -> u32 {
                match self { $(AtomicOp::$name => $width),* }
            }

            /// The types of its operands that come after the address.
            pub const fn params(self) -> &'static [Ty] {
                match self { $(AtomicOp::$name => &[$(Ty::$param),*]),* }
            }

            /// The type of its result, if it has one.
            pub const fn result(self) -> Option<Ty> {
                match self { $(AtomicOp::$name => result!($result)),* }
            }
        }

        /// The instruction, and where it accesses memory.
        pub(crate) fn atomic(operator: &wasmparser::Operator<'_>) -> Option<(AtomicOp, Option<wasmparser::MemArg>)> {
            use wasmparser::Operator;
            Some(match *operator {
                $(operator!($name memarg) => (AtomicOp::$name, access!($name memarg)),)*
                _ => return None,
            })
        }
    };
}

macro_rules! result {
    (Nothing) => {
        None
    };
    ($ty:ident) => {
        Some(Ty::$ty)
    };
}

macro_rules! operator {
    (AtomicFence $memarg:ident) => {
        Operator::AtomicFence { .. }
    };
    ($name:ident $memarg:ident) => {
        Operator::$name { memarg: $memarg }
    };
}

macro_rules! access {
    (AtomicFence $memarg:ident) => {
        None
    };
    ($name:ident $memarg:ident) => {
        Some($memarg)
    };
}

atomics! {
    MemoryAtomicNotify "memory.atomic.notify" Notify 4 (I32) -> I32;
    MemoryAtomicWait32 "memory.atomic.wait32" Wait 4 (I32, I64) -> I32;
    MemoryAtomicWait64 "memory.atomic.wait64" Wait 8 (I64, I64) -> I32;
    AtomicFence "atomic.fence" Fence 1 () -> Nothing;
    I32AtomicLoad "i32.atomic.load" Load 4 () -> I32;
    I32AtomicLoad8U "i32.atomic.load8_u" Load 1 () -> I32;
    I32AtomicLoad16U "i32.atomic.load16_u" Load 2 () -> I32;
    I32AtomicStore "i32.atomic.store" Store 4 (I32) -> Nothing;
    I32AtomicStore8 "i32.atomic.store8" Store 1 (I32) -> Nothing;
    I32AtomicStore16 "i32.atomic.store16" Store 2 (I32) -> Nothing;
    I32AtomicRmwAdd "i32.atomic.rmw.add" Add 4 (I32) -> I32;
    I32AtomicRmw8AddU "i32.atomic.rmw8.add_u" Add 1 (I32) -> I32;
    I32AtomicRmw16AddU "i32.atomic.rmw16.add_u" Add 2 (I32) -> I32;
    I32AtomicRmwSub "i32.atomic.rmw.sub" Sub 4 (I32) -> I32;
    I32AtomicRmw8SubU "i32.atomic.rmw8.sub_u" Sub 1 (I32) -> I32;
    I32AtomicRmw16SubU "i32.atomic.rmw16.sub_u" Sub 2 (I32) -> I32;
    I32AtomicRmwAnd "i32.atomic.rmw.and" And 4 (I32) -> I32;
    I32AtomicRmw8AndU "i32.atomic.rmw8.and_u" And 1 (I32) -> I32;
    I32AtomicRmw16AndU "i32.atomic.rmw16.and_u" And 2 (I32) -> I32;
    I32AtomicRmwOr "i32.atomic.rmw.or" Or 4 (I32) -> I32;
    I32AtomicRmw8OrU "i32.atomic.rmw8.or_u" Or 1 (I32) -> I32;
    I32AtomicRmw16OrU "i32.atomic.rmw16.or_u" Or 2 (I32) -> I32;
    I32AtomicRmwXor "i32.atomic.rmw.xor" Xor 4 (I32) -> I32;
    I32AtomicRmw8XorU "i32.atomic.rmw8.xor_u" Xor 1 (I32) -> I32;
    I32AtomicRmw16XorU "i32.atomic.rmw16.xor_u" Xor 2 (I32) -> I32;
    I32AtomicRmwXchg "i32.atomic.rmw.xchg" Xchg 4 (I32) -> I32;
    I32AtomicRmw8XchgU "i32.atomic.rmw8.xchg_u" Xchg 1 (I32) -> I32;
    I32AtomicRmw16XchgU "i32.atomic.rmw16.xchg_u" Xchg 2 (I32) -> I32;
    I32AtomicRmwCmpxchg "i32.atomic.rmw.cmpxchg" Cmpxchg 4 (I32, I32) -> I32;
    I32AtomicRmw8CmpxchgU "i32.atomic.rmw8.cmpxchg_u" Cmpxchg 1 (I32, I32) -> I32;
    I32AtomicRmw16CmpxchgU "i32.atomic.rmw16.cmpxchg_u" Cmpxchg 2 (I32, I32) -> I32;
    I64AtomicLoad "i64.atomic.load" Load 8 () -> I64;
    I64AtomicLoad8U "i64.atomic.load8_u" Load 1 () -> I64;
    I64AtomicLoad16U "i64.atomic.load16_u" Load 2 () -> I64;
    I64AtomicLoad32U "i64.atomic.load32_u" Load 4 () -> I64;
    I64AtomicStore "i64.atomic.store" Store 8 (I64) -> Nothing;
    I64AtomicStore8 "i64.atomic.store8" Store 1 (I64) -> Nothing;
    I64AtomicStore16 "i64.atomic.store16" Store 2 (I64) -> Nothing;
    I64AtomicStore32 "i64.atomic.store32" Store 4 (I64) -> Nothing;
    I64AtomicRmwAdd "i64.atomic.rmw.add" Add 8 (I64) -> I64;
    I64AtomicRmw8AddU "i64.atomic.rmw8.add_u" Add 1 (I64) -> I64;
    I64AtomicRmw16AddU "i64.atomic.rmw16.add_u" Add 2 (I64) -> I64;
    I64AtomicRmw32AddU "i64.atomic.rmw32.add_u" Add 4 (I64) -> I64;
    I64AtomicRmwSub "i64.atomic.rmw.sub" Sub 8 (I64) -> I64;
    I64AtomicRmw8SubU "i64.atomic.rmw8.sub_u" Sub 1 (I64) -> I64;
    I64AtomicRmw16SubU "i64.atomic.rmw16.sub_u" Sub 2 (I64) -> I64;
    I64AtomicRmw32SubU "i64.atomic.rmw32.sub_u" Sub 4 (I64) -> I64;
    I64AtomicRmwAnd "i64.atomic.rmw.and" And 8 (I64) -> I64;
    I64AtomicRmw8AndU "i64.atomic.rmw8.and_u" And 1 (I64) -> I64;
    I64AtomicRmw16AndU "i64.atomic.rmw16.and_u" And 2 (I64) -> I64;
    I64AtomicRmw32AndU "i64.atomic.rmw32.and_u" And 4 (I64) -> I64;
    I64AtomicRmwOr "i64.atomic.rmw.or" Or 8 (I64) -> I64;
    I64AtomicRmw8OrU "i64.atomic.rmw8.or_u" Or 1 (I64) -> I64;
    I64AtomicRmw16OrU "i64.atomic.rmw16.or_u" Or 2 (I64) -> I64;
    I64AtomicRmw32OrU "i64.atomic.rmw32.or_u" Or 4 (I64) -> I64;
    I64AtomicRmwXor "i64.atomic.rmw.xor" Xor 8 (I64) -> I64;
    I64AtomicRmw8XorU "i64.atomic.rmw8.xor_u" Xor 1 (I64) -> I64;
    I64AtomicRmw16XorU "i64.atomic.rmw16.xor_u" Xor 2 (I64) -> I64;
    I64AtomicRmw32XorU "i64.atomic.rmw32.xor_u" Xor 4 (I64) -> I64;
    I64AtomicRmwXchg "i64.atomic.rmw.xchg" Xchg 8 (I64) -> I64;
    I64AtomicRmw8XchgU "i64.atomic.rmw8.xchg_u" Xchg 1 (I64) -> I64;
    I64AtomicRmw16XchgU "i64.atomic.rmw16.xchg_u" Xchg 2 (I64) -> I64;
    I64AtomicRmw32XchgU "i64.atomic.rmw32.xchg_u" Xchg 4 (I64) -> I64;
    I64AtomicRmwCmpxchg "i64.atomic.rmw.cmpxchg" Cmpxchg 8 (I64, I64) -> I64;
    I64AtomicRmw8CmpxchgU "i64.atomic.rmw8.cmpxchg_u" Cmpxchg 1 (I64, I64) -> I64;
    I64AtomicRmw16CmpxchgU "i64.atomic.rmw16.cmpxchg_u" Cmpxchg 2 (I64, I64) -> I64;
    I64AtomicRmw32CmpxchgU "i64.atomic.rmw32.cmpxchg_u" Cmpxchg 4 (I64, I64) -> I64;
}

impl fmt::Display for AtomicOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl AtomicOp {
    /// What an access makes of the bytes that it finds, and of its operands: the bytes that there are then. Bits above
    /// its width are ignored and none is set; an operand that there is not is ignored too.
    ///
    /// # Panics
    ///
    /// If it is not an [access](AtomicKind::is_access).
    pub const fn apply(self, found: u64, [value, replacement]: [u64; 2]) -> u64 {
        let mask = u64::MAX >> (64 - 8 * self.width());
        let new = match self.kind() {
            AtomicKind::Load => found,
            AtomicKind::Store | AtomicKind::Xchg => value,
            AtomicKind::Add => found.wrapping_add(value),
            AtomicKind::Sub => found.wrapping_sub(value),
            AtomicKind::And => found & value,
            AtomicKind::Or => found | value,
            AtomicKind::Xor => found ^ value,
            AtomicKind::Cmpxchg if (found ^ value) & mask == 0 => replacement,
            AtomicKind::Cmpxchg => found,
            AtomicKind::Notify | AtomicKind::Wait | AtomicKind::Fence => {
                panic!("no access of bytes alone")
            }
        };
        new & mask
    }
}
