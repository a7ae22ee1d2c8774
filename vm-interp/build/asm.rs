//! What templates are written against: the operations of a machine, without its names.

mod atomics;
mod vectors;

pub(crate) use atomics::AtomicAssembler;
pub(crate) use vectors::VectorAssembler;

/// An integer register by its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reg {
    /// The virtual instruction pointer: the current cell.
    Ip,
    /// The frame pointer.
    Frame,
    /// Where memory 0 starts.
    Memory,
    /// The running instance's context.
    Context,
    /// Scratch for values.
    S0,
    /// Scratch for addresses, slot offsets and shift counts: short-lived.
    Address,
    /// Scratch for values.
    S1,
    /// Scratch for values.
    S2,
    /// A register that shapes name.
    Value(u8),
}

/// A float register by its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Float {
    S0,
    S1,
    S2,
    /// A register that shapes name.
    Value(u8),
    /// Scratch for vectors: one of [`VECTORS`].
    Vector(u8),
}

/// How many [`Float::Vector`] there are.
pub(crate) const VECTORS: u8 = 7;

/// Where an operand is in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mem {
    /// An operand of the cell, so many bytes from its start.
    Operand(u32),
    /// The slot whose byte offset is in the register.
    Slot(Reg),
    /// Guest memory at the address in the register.
    Guest(Reg),
    /// The context's word whose byte offset is in the register.
    ContextWord(Reg),
    /// So many bytes from the address in the register.
    At(Reg, i32),
}

/// An integer operand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Src {
    Reg(Reg),
    Mem(Mem),
}

/// A float operand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FloatSrc {
    Reg(Float),
    Mem(Mem),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    W32,
    W64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alu {
    Add,
    Sub,
    /// With the carry of the addition just before.
    AddCarry,
    /// With the borrow of the subtraction just before.
    SubBorrow,
    And,
    Or,
    Xor,
    Mul,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    Shl,
    ShrS,
    ShrU,
    Rotl,
    Rotr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Clz,
    Ctz,
    Popcnt,
    /// Sign-extends the low 8, 16 or 32 bits.
    Extend8,
    Extend16,
    Extend32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Div {
    DivS,
    DivU,
    RemS,
    RemU,
}

/// An integer condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cond {
    Eq,
    Ne,
    LtS,
    LtU,
    GtS,
    GtU,
    LeS,
    LeU,
    GeS,
    GeU,
}

impl Cond {
    /// The condition that holds just when this one does not.
    pub(crate) fn negated(self) -> Cond {
        match self {
            Cond::Eq => Cond::Ne,
            Cond::Ne => Cond::Eq,
            Cond::LtS => Cond::GeS,
            Cond::LtU => Cond::GeU,
            Cond::GtS => Cond::LeS,
            Cond::GtU => Cond::LeU,
            Cond::LeS => Cond::GtS,
            Cond::LeU => Cond::GtU,
            Cond::GeS => Cond::LtS,
            Cond::GeU => Cond::LtU,
        }
    }
}

/// A float condition: false if an operand is NaN, but for `Ne`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FloatCond {
    Eq,
    Ne,
    Lt,
    Gt,
    Le,
    Ge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FloatAlu {
    Add,
    Sub,
    Mul,
    Div,
    Min,
    Max,
    Copysign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FloatUnary {
    Abs,
    Neg,
    Sqrt,
    Ceil,
    Floor,
    Trunc,
    Nearest,
    /// Makes a NaN the canonical one.
    Canonical,
}

/// A guest load: bytes read and how they become a register's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Extend {
    pub(crate) bytes: u32,
    pub(crate) signed: bool,
    pub(crate) to: Width,
}

/// Why a handler ends the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Unreachable,
    NullReference,
    MemoryOutOfBounds,
    UndefinedElement,
    UninitializedElement,
    TypeMismatch,
    DivideByZero,
    IntegerOverflow,
    InvalidConversion,
    StackOverflow,
    OutOfFuel,
    UnalignedAtomic,
    /// Someone has asked the run to end.
    Interrupt,
    /// A function could not be translated; the machine knows why.
    Host,
    /// With the status that a called function returned.
    Status,
}

/// A place in the handler being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label(pub(crate) u32);

/// Functions of the executor that handlers call, see `direct/calls.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Callee {
    /// The host function whose code is the second argument. Temporaries are not preserved.
    Host,
    Resolve,
    Continue,
    Evaluate,
    EpochDeadline,
    /// Answers two words: the second is in `S1`.
    TailCall,
    /// The function whose address is in the cell at this operand.
    Operand(u32),
}

/// A machine's code, written as assembly text.
pub(crate) trait Assembler: VectorAssembler + AtomicAssembler {
    fn new_label(&mut self) -> Label;
    fn bind(&mut self, label: Label);

    /// `dst = src`; a 32-bit move clears the upper half.
    fn load(&mut self, width: Width, dst: Reg, src: Src);
    /// `dst` = the 32 bits at `mem`, sign-extended to 64.
    fn load_signed32(&mut self, dst: Reg, mem: Mem);
    fn store(&mut self, width: Width, mem: Mem, src: Reg);
    fn store_narrow(&mut self, bytes: u32, mem: Mem, src: Reg);
    fn load_extend(&mut self, extend: Extend, dst: Reg, mem: Mem);
    fn zero(&mut self, dst: Reg);

    /// `dst = dst op src`.
    fn alu(&mut self, op: Alu, width: Width, dst: Reg, src: Src);
    /// `dst` = the address that `mem` names.
    fn address_of(&mut self, dst: Reg, mem: Mem);
    /// `dst` = the address of the 32-bit element `index` of a table at [`Reg::Ip`].
    fn table_entry(&mut self, dst: Reg, index: Reg);
    /// `dst` = the element `index` of the table whose cell `dst` points to.
    fn table_element(&mut self, dst: Reg, index: Reg);
    /// `dst = dst op count`, the count modulo the width. Uses [`Reg::Address`].
    fn shift(&mut self, op: Shift, width: Width, dst: Reg, count: Src);
    fn unary(&mut self, op: Unary, width: Width, dst: Reg, src: Reg);
    /// `dst = dividend op divisor` with the traps of WebAssembly. May use all scratch registers;
    /// the operands are not in `S0` and `S1`.
    fn div(&mut self, op: Div, width: Width, dst: Reg, dividend: Src, divisor: Src);

    /// `S1:S0 = S0 * src`, 64 bits to 128.
    fn mul_wide(&mut self, signed: bool, src: Src);

    fn compare(&mut self, width: Width, a: Reg, b: Src);
    fn test(&mut self, width: Width, a: Reg);
    /// `dst = 1` if the condition of the last comparison holds, else 0.
    fn set_condition(&mut self, cond: Cond, dst: Reg);
    /// `dst = src` unless the condition of the last comparison holds.
    fn move_unless(&mut self, cond: Cond, width: Width, dst: Reg, src: Reg);
    fn jump_if(&mut self, cond: Cond, label: Label);
    /// The same, in a handler that is too long for [`Assembler::jump_if`].
    fn jump_far_if(&mut self, cond: Cond, label: Label);
    fn jump_always(&mut self, label: Label);
    /// What comes next is the next of what can end the run in a handler of a shape: an access that may fault,
    /// or else a comparison with exits.
    fn trap_site(&mut self, faults: bool);
    fn exit_if(&mut self, cond: Cond, exit: Exit);
    fn exit(&mut self, exit: Exit);

    fn float_load(&mut self, width: Width, dst: Float, src: FloatSrc);
    fn float_store(&mut self, width: Width, mem: Mem, src: Float);
    fn float_alu(&mut self, op: FloatAlu, width: Width, dst: Float, src: FloatSrc);
    fn float_unary(&mut self, op: FloatUnary, width: Width, dst: Float, src: FloatSrc);
    /// Jumps if the condition does not hold.
    fn float_jump_unless(
        &mut self,
        cond: FloatCond,
        width: Width,
        a: Float,
        b: Float,
        label: Label,
    );
    /// `dst = 1` if the condition holds, else 0.
    fn float_set_condition(&mut self, cond: FloatCond, width: Width, a: Float, b: Float, dst: Reg);
    fn float_to_bits(&mut self, width: Width, dst: Reg, src: Float);
    fn float_from_bits(&mut self, width: Width, dst: Float, src: Reg);
    /// Float to float of the other width.
    fn float_resize(&mut self, to: Width, dst: Float, src: FloatSrc);
    /// Signed integer to float.
    fn float_from_int(&mut self, to: Width, dst: Float, from: Width, src: Reg);
    /// Unsigned integer of 64 bits to float. May use [`Reg::Address`].
    fn float_from_unsigned(&mut self, to: Width, dst: Float, src: Reg);
    /// Float to integer with the traps of WebAssembly. May use [`Reg::Address`] and [`Float::S2`].
    fn float_to_int(&mut self, to: Width, signed: bool, dst: Reg, from: Width, src: Float);
    /// Float to the nearest integer there is, and what is no number to 0. May use [`Reg::Address`] and [`Float::S2`].
    fn float_saturate(&mut self, to: Width, signed: bool, dst: Reg, from: Width, src: Float);

    /// Goes on with the cell so many bytes further.
    fn dispatch(&mut self, bytes: u32);
    /// Goes on with the cell whose address is the operand.
    fn branch(&mut self, operand: u32);
    /// Goes on with the cell that [`Reg::Ip`] points to.
    fn dispatch_here(&mut self);
    /// Goes on with the cell whose address is at `mem`.
    fn branch_to(&mut self, mem: Mem);

    /// Calls a function of the executor out of guest mode, named registers preserved: with
    /// `arguments`, then the 32-bit operands at `operands`. Its answer is in `S0`; the other
    /// scratch registers and the temporaries are not preserved.
    fn call(&mut self, callee: Callee, arguments: &[Reg], operands: &[u32]);
}
