//! The instructions of a validated body, one after the other.
//!
//! The most frequent ones are told from their opcode alone, which takes a fraction of the time
//! that the parser takes. All others are the parser's.

use wasmparser::{BinaryReader, BlockType, Operator, OperatorsReader, OperatorsReaderAllocations};

use crate::Error;
use crate::bodies::ValidBody;
use crate::op::{Op, StoreOp, Ty};

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Step {
    /// One without immediates that is an operator of the IR.
    Numeric(Op),
    /// A load from memory 0, in its checked form, with its offset.
    Load(Op, u64),
    /// A store to memory 0, in its checked form, with its offset.
    Store(StoreOp, u64),
    /// An integer constant, as the bits a slot would hold.
    Const(Ty, u64),
    LocalGet(u32),
    LocalSet(u32),
    LocalTee(u32),
    End,
    /// Any other: [`Code::operator`] says which.
    Other,
}

/// What an opcode stands for.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Numeric(Op),
    Load(Op),
    Store(StoreOp),
    I32Const,
    I64Const,
    LocalGet,
    LocalSet,
    LocalTee,
    End,
    Other,
}

/// From the opcode of `i32.load` on.
const LOADS: [Op; 14] = {
    use Op::*;
    [
        I32Load, I64Load, F32Load, F64Load, I32Load8S, I32Load8U, I32Load16S, I32Load16U,
        I64Load8S, I64Load8U, I64Load16S, I64Load16U, I64Load32S, I64Load32U,
    ]
};

/// From the opcode of `i32.store` on.
const STORES: [StoreOp; 9] = {
    use StoreOp::*;
    [
        I32Store, I64Store, F32Store, F64Store, I32Store8, I32Store16, I64Store8, I64Store16,
        I64Store32,
    ]
};

/// From the opcode of `i32.eqz` on.
#[rustfmt::skip]
const NUMERIC: [Op; 128] = {
    use Op::*;
    [
        I32Eqz, I32Eq, I32Ne, I32LtS, I32LtU, I32GtS, I32GtU, I32LeS, I32LeU, I32GeS, I32GeU,
        I64Eqz, I64Eq, I64Ne, I64LtS, I64LtU, I64GtS, I64GtU, I64LeS, I64LeU, I64GeS, I64GeU,
        F32Eq, F32Ne, F32Lt, F32Gt, F32Le, F32Ge,
        F64Eq, F64Ne, F64Lt, F64Gt, F64Le, F64Ge,
        I32Clz, I32Ctz, I32Popcnt, I32Add, I32Sub, I32Mul, I32DivS, I32DivU, I32RemS, I32RemU,
        I32And, I32Or, I32Xor, I32Shl, I32ShrS, I32ShrU, I32Rotl, I32Rotr,
        I64Clz, I64Ctz, I64Popcnt, I64Add, I64Sub, I64Mul, I64DivS, I64DivU, I64RemS, I64RemU,
        I64And, I64Or, I64Xor, I64Shl, I64ShrS, I64ShrU, I64Rotl, I64Rotr,
        F32Abs, F32Neg, F32Ceil, F32Floor, F32Trunc, F32Nearest, F32Sqrt,
        F32Add, F32Sub, F32Mul, F32Div, F32Min, F32Max, F32Copysign,
        F64Abs, F64Neg, F64Ceil, F64Floor, F64Trunc, F64Nearest, F64Sqrt,
        F64Add, F64Sub, F64Mul, F64Div, F64Min, F64Max, F64Copysign,
        I32WrapI64, I32TruncF32S, I32TruncF32U, I32TruncF64S, I32TruncF64U,
        I64ExtendI32S, I64ExtendI32U, I64TruncF32S, I64TruncF32U, I64TruncF64S, I64TruncF64U,
        F32ConvertI32S, F32ConvertI32U, F32ConvertI64S, F32ConvertI64U, F32DemoteF64,
        F64ConvertI32S, F64ConvertI32U, F64ConvertI64S, F64ConvertI64U, F64PromoteF32,
        I32ReinterpretF32, I64ReinterpretF64, F32ReinterpretI32, F64ReinterpretI64,
        I32Extend8S, I32Extend16S, I64Extend8S, I64Extend16S, I64Extend32S,
    ]
};

const FIRST_LOAD: usize = 0x28;
const FIRST_STORE: usize = 0x36;
const FIRST_NUMERIC: usize = 0x45;

static KINDS: [Kind; 256] = {
    let mut kinds = [Kind::Other; 256];
    let mut n = 0;
    while n < LOADS.len() {
        kinds[FIRST_LOAD + n] = Kind::Load(LOADS[n]);
        n += 1;
    }
    n = 0;
    while n < STORES.len() {
        kinds[FIRST_STORE + n] = Kind::Store(STORES[n]);
        n += 1;
    }
    n = 0;
    while n < NUMERIC.len() {
        kinds[FIRST_NUMERIC + n] = Kind::Numeric(NUMERIC[n]);
        n += 1;
    }
    kinds[0x0b] = Kind::End;
    kinds[0x20] = Kind::LocalGet;
    kinds[0x21] = Kind::LocalSet;
    kinds[0x22] = Kind::LocalTee;
    kinds[0x41] = Kind::I32Const;
    kinds[0x42] = Kind::I64Const;
    kinds
};

/// What a quick look over the instructions tells of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Glance {
    LocalGet(u32),
    /// `local.set` or `local.tee`.
    LocalSet(u32),
    Block,
    Loop,
    Else,
    End,
    Return,
    /// Any other.
    Other,
}

/// What follows an opcode, as far as the quick look knows.
#[derive(Clone, Copy)]
enum Tail {
    /// Nothing.
    Nothing,
    /// One number.
    Number,
    /// An access of memory 0 if it is a plain one.
    Access,
    /// A local's number.
    Local,
    /// The number of a local that is set.
    SetLocal,
    /// A block's type.
    Block,
    Loop,
    Else,
    End,
    Return,
    /// Anything else.
    Other,
}

static TAILS: [Tail; 256] = {
    let mut tails = [Tail::Other; 256];
    let mut n = 0;
    while n < tails.len() {
        tails[n] = match KINDS[n] {
            Kind::Numeric(_) => Tail::Nothing,
            Kind::Load(_) | Kind::Store(_) => Tail::Access,
            Kind::I32Const | Kind::I64Const => Tail::Number,
            Kind::LocalGet => Tail::Local,
            Kind::LocalSet | Kind::LocalTee => Tail::SetLocal,
            Kind::End => Tail::End,
            Kind::Other => match n {
                0x00 | 0x01 | 0x1a | 0x1b => Tail::Nothing,
                0x02 | 0x04 => Tail::Block,
                0x03 => Tail::Loop,
                0x05 => Tail::Else,
                0x0c | 0x0d | 0x10 | 0x23 | 0x24 => Tail::Number,
                0x0f => Tail::Return,
                _ => Tail::Other,
            },
        };
        n += 1;
    }
    tails
};

/// An instruction that can be skipped without a branch: how long it is, told from its opcode and
/// from where the numbers after it end.
#[derive(Clone, Copy)]
struct Simple {
    /// The byte after the opcode is below this. 0 if the instruction is not simple.
    limit: u16,
    /// All ones if it ends with the first number, and zeros if not.
    one: u32,
    /// All ones if it ends with the second.
    two: u32,
    /// Whether the first is a local's.
    local: bool,
}

static SIMPLE: [Simple; 256] = {
    const fn simple(limit: u16, numbers: u32, local: bool) -> Simple {
        Simple {
            limit,
            one: if numbers == 1 { u32::MAX } else { 0 },
            two: if numbers == 2 { u32::MAX } else { 0 },
            local,
        }
    }
    let mut all = [simple(0, 0, false); 256];
    let mut n = 0;
    while n < all.len() {
        all[n] = match TAILS[n] {
            Tail::Nothing => simple(0x100, 0, false),
            Tail::Number => simple(0x100, 1, false),
            Tail::Access => simple(PLAIN_ALIGNMENT as u16, 2, false),
            // Its number is one byte.
            Tail::Local | Tail::SetLocal => simple(0x80, 1, true),
            _ => simple(0, 0, false),
        };
        n += 1;
    }
    all
};

/// The empty type of a block.
const EMPTY: u8 = 0x40;

/// The alignment of an access is below this where it names no memory and is one byte long.
const PLAIN_ALIGNMENT: u8 = 0x40;

/// Reads the instructions of a body.
pub(super) struct Code<'a> {
    /// From the first instruction on.
    bytes: &'a [u8],
    /// How many bytes have been read.
    at: usize,
    /// Where the instruction starts that was read last.
    from: usize,
    /// From the first instruction on.
    start: BinaryReader<'a>,
    /// Where the first instruction is, as an offset in the module.
    offset: u32,
    /// The parser's, for the next time that it is asked.
    allocations: OperatorsReaderAllocations,
}

impl<'a> Code<'a> {
    pub(super) fn new(body: &ValidBody<'a>) -> Result<Code<'a>, Error> {
        let start = body.get_binary_reader_for_operators()?;
        let bytes = start.clone().read_bytes(start.bytes_remaining())?;
        Ok(Code {
            bytes,
            at: 0,
            from: 0,
            offset: start.original_position() as u32,
            start,
            allocations: OperatorsReaderAllocations::default(),
        })
    }

    /// The offset in the module of the next instruction.
    #[inline]
    pub(super) fn offset(&self) -> u32 {
        self.offset + self.at as u32
    }

    /// What the next instruction's opcode stands for; nothing after the last one. If it is none of
    /// those without immediates, [`Code::unsigned`], [`Code::signed`], [`Code::access`] or
    /// [`Code::operator`] has to read these.
    #[inline(always)]
    pub(super) fn kind(&mut self) -> Option<Kind> {
        self.opcode().map(|opcode| KINDS[usize::from(opcode)])
    }

    /// The next instruction; nothing after the last one.
    pub(super) fn next(&mut self) -> Option<Step> {
        Some(match self.kind()? {
            Kind::Numeric(op) => Step::Numeric(op),
            Kind::LocalGet => Step::LocalGet(self.unsigned() as u32),
            Kind::LocalSet => Step::LocalSet(self.unsigned() as u32),
            Kind::LocalTee => Step::LocalTee(self.unsigned() as u32),
            Kind::I32Const => Step::Const(Ty::I32, u64::from(self.signed() as u32)),
            Kind::I64Const => Step::Const(Ty::I64, self.signed() as u64),
            Kind::Load(op) => match self.access() {
                Some(offset) => Step::Load(op, offset),
                None => Step::Other,
            },
            Kind::Store(op) => match self.access() {
                Some(offset) => Step::Store(op, offset),
                None => Step::Other,
            },
            Kind::End => Step::End,
            Kind::Other => Step::Other,
        })
    }

    #[inline(always)]
    fn opcode(&mut self) -> Option<u8> {
        let opcode = *self.bytes.get(self.at)?;
        self.from = self.at;
        self.at += 1;
        Some(opcode)
    }

    /// The next byte, which is not read yet.
    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The offset of an access of memory 0. If it is another, [`Code::operator`] says which.
    #[inline(always)]
    pub(super) fn access(&mut self) -> Option<u64> {
        if self.peek()? >= PLAIN_ALIGNMENT {
            return None;
        }
        self.at += 1;
        Some(self.unsigned())
    }

    /// Skips instructions up to one that [`Code::glance`] should look at, and adds `weight` to that of
    /// each local that they name. The last of the weights is of no local and says nothing.
    ///
    /// Which of them comes next is hard to foresee, so there is no branch on it.
    #[inline(always)]
    pub(super) fn skim(&mut self, weights: &mut [u32], weight: u32) {
        /// The bit of a byte that says that a number goes on, in eight bytes.
        const GOES_ON: u64 = 0x8080_8080_8080_8080;
        let nobody = weights.len() - 1;
        while let Some([opcode, rest @ ..]) = self.bytes[self.at..].first_chunk::<9>() {
            let simple = &SIMPLE[usize::from(*opcode)];
            let ends = !u64::from_le_bytes(*rest) & GOES_ON;
            let later = ends & ends.wrapping_sub(1);
            if u16::from(rest[0]) >= simple.limit || later == 0 {
                return;
            }
            let bits = ends.trailing_zeros() & simple.one | later.trailing_zeros() & simple.two;
            // An end is the highest bit of a byte.
            self.at += 1 + ((bits + 1) / 8) as usize;
            let local = if simple.local {
                usize::from(rest[0])
            } else {
                nobody
            };
            let sum = &mut weights[local];
            *sum = sum.saturating_add(weight);
        }
    }

    /// Looks at the next instruction and skips it; nothing after the last one.
    #[inline(always)]
    pub(super) fn glance(&mut self) -> Result<Option<Glance>, Error> {
        let Some(opcode) = self.opcode() else {
            return Ok(None);
        };
        let tail = TAILS[usize::from(opcode)];
        Ok(Some(match tail {
            Tail::Local => Glance::LocalGet(self.unsigned() as u32),
            Tail::SetLocal => Glance::LocalSet(self.unsigned() as u32),
            Tail::Nothing => Glance::Other,
            Tail::Number => {
                self.leb();
                Glance::Other
            }
            Tail::Access if self.access().is_some() => Glance::Other,
            // Most have the empty type.
            Tail::Block | Tail::Loop if self.peek() == Some(EMPTY) => {
                self.at += 1;
                match tail {
                    Tail::Loop => Glance::Loop,
                    _ => Glance::Block,
                }
            }
            Tail::Else => Glance::Else,
            Tail::End => Glance::End,
            Tail::Return => Glance::Return,
            Tail::Access | Tail::Block | Tail::Loop | Tail::Other => match self.operator()? {
                Operator::Block { .. }
                | Operator::If { .. }
                | Operator::TryTable { .. }
                | Operator::Try { .. } => Glance::Block,
                Operator::Catch { .. } | Operator::CatchAll => Glance::Else,
                Operator::Delegate { .. } => Glance::End,
                Operator::Loop { .. } => Glance::Loop,
                _ => Glance::Other,
            },
        }))
    }

    /// The instruction that the opcode alone did not tell.
    pub(super) fn operator(&mut self) -> Result<Operator<'a>, Error> {
        let opcode = self.bytes[self.from];
        Ok(match opcode {
            0x02..=0x04 if self.peek() == Some(EMPTY) => {
                self.at += 1;
                let blockty = BlockType::Empty;
                match opcode {
                    0x02 => Operator::Block { blockty },
                    0x03 => Operator::Loop { blockty },
                    _ => Operator::If { blockty },
                }
            }
            // Alone, the parser would miss the conditional, or the `try`.
            0x05 => Operator::Else,
            0x07 => Operator::Catch {
                tag_index: self.unsigned() as u32,
            },
            0x18 => Operator::Delegate {
                relative_depth: self.unsigned() as u32,
            },
            0x19 => Operator::CatchAll,
            0x0c => Operator::Br {
                relative_depth: self.unsigned() as u32,
            },
            0x0d => Operator::BrIf {
                relative_depth: self.unsigned() as u32,
            },
            0x0f => Operator::Return,
            0x10 => Operator::Call {
                function_index: self.unsigned() as u32,
            },
            0x1a => Operator::Drop,
            0x1b => Operator::Select,
            0x23 => Operator::GlobalGet {
                global_index: self.unsigned() as u32,
            },
            0x24 => Operator::GlobalSet {
                global_index: self.unsigned() as u32,
            },
            _ => self.parse()?,
        })
    }

    /// The same by the parser.
    fn parse(&mut self) -> Result<Operator<'a>, Error> {
        let mut reader = self.start.clone();
        reader.read_bytes(self.from)?;
        let allocations = std::mem::take(&mut self.allocations);
        let mut operators = OperatorsReader::new_with_allocs(reader, allocations);
        let operator = operators.read()?;
        self.at = self.bytes.len() - operators.get_binary_reader().bytes_remaining();
        self.allocations = operators.into_allocations();
        Ok(operator)
    }

    /// An unsigned number in LEB128.
    #[inline(always)]
    pub(super) fn unsigned(&mut self) -> u64 {
        self.leb().0
    }

    /// A signed number in LEB128.
    #[inline(always)]
    pub(super) fn signed(&mut self) -> i64 {
        let (bits, unused) = self.leb();
        (bits.unbounded_shl(unused) as i64) >> unused.min(63)
    }

    /// The bits of a number in LEB128, and how many of 64 it leaves out.
    #[inline(always)]
    fn leb(&mut self) -> (u64, u32) {
        match self.peek() {
            Some(byte) if byte & 0x80 == 0 => {
                self.at += 1;
                (u64::from(byte), 64 - 7)
            }
            _ => self.long_leb(),
        }
    }

    fn long_leb(&mut self) -> (u64, u32) {
        let (mut bits, mut shift) = (0_u64, 0);
        while let Some(byte) = self.peek() {
            self.at += 1;
            bits |= u64::from(byte & 0x7f).unbounded_shl(shift);
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        (bits, 64_u32.saturating_sub(shift))
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::{MemArg, MemArgTarget, Operator, Parser, Payload};

    use crate::bodies::ValidBody;

    use super::super::operators::{load, numeric, store};
    use super::{Code, Glance, Step, Ty};

    /// An instruction of the parser's as a step, whether or not [`Code::next`] tells it.
    fn step(operator: Operator<'_>) -> String {
        let is_plain = |access: &MemArg| access.target == MemArgTarget::Memory(0);
        let step = match (load(&operator), store(&operator), numeric(&operator)) {
            (Some((op, access)), _, _) if is_plain(&access) => Step::Load(op, access.offset),
            (_, Some((op, access)), _) if is_plain(&access) => Step::Store(op, access.offset),
            (_, _, Some(op)) => Step::Numeric(op),
            _ => match operator {
                Operator::I32Const { value } => Step::Const(Ty::I32, u64::from(value as u32)),
                Operator::I64Const { value } => Step::Const(Ty::I64, value as u64),
                Operator::LocalGet { local_index } => Step::LocalGet(local_index),
                Operator::LocalSet { local_index } => Step::LocalSet(local_index),
                Operator::LocalTee { local_index } => Step::LocalTee(local_index),
                Operator::End => Step::End,
                operator => return format!("{operator:?}"),
            },
        };
        format!("{step:?}")
    }

    /// Offsets and instructions.
    fn read(body: &ValidBody<'_>) -> Vec<(u32, String)> {
        let mut code = Code::new(body).unwrap();
        let mut all = Vec::new();
        loop {
            let offset = code.offset();
            let read = match code.next() {
                Some(Step::Other) => step(code.operator().unwrap()),
                Some(read) => format!("{read:?}"),
                None => return all,
            };
            all.push((offset, read));
        }
    }

    /// The same by the parser.
    fn parsed(body: &ValidBody<'_>) -> Vec<(u32, String)> {
        let operators = body.get_operators_reader().unwrap();
        (operators.into_iter_with_offsets())
            .map(|operator| operator.unwrap())
            .map(|(operator, offset)| (offset as u32, step(operator)))
            .collect()
    }

    /// More than the locals of any body here.
    const LOCALS: usize = 8;

    /// How often each local is named, by the quick look.
    fn skimmed(body: &ValidBody<'_>) -> Vec<u32> {
        let mut code = Code::new(body).unwrap();
        let mut weights = vec![0; LOCALS + 1];
        loop {
            code.skim(&mut weights, 1);
            match code.glance().unwrap() {
                Some(Glance::LocalGet(local) | Glance::LocalSet(local)) => {
                    weights[local as usize] += 1;
                }
                Some(_) => {}
                None => break,
            }
        }
        weights.truncate(LOCALS);
        weights
    }

    /// The same by the parser.
    fn uses(body: &ValidBody<'_>) -> Vec<u32> {
        let mut weights = vec![0; LOCALS];
        for operator in body.get_operators_reader().unwrap() {
            if let Operator::LocalGet { local_index }
            | Operator::LocalSet { local_index }
            | Operator::LocalTee { local_index } = operator.unwrap()
            {
                weights[local_index as usize] += 1;
            }
        }
        weights
    }

    #[test]
    fn every_instruction_is_what_the_parser_says() {
        // Those without immediates, all of them.
        let numeric: Vec<u8> = (0x45..=0xc4).collect();
        let escaped: String = numeric.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let size = numeric.len() + 2;
        let (low, high) = (size & 0x7f | 0x80, size >> 7);
        let binary = format!(
            r#"(module binary "\00asm\01\00\00\00" "\01\04\01\60\00\00" "\03\02\01\00"
                "\0a\{:02x}\{:02x}\01\{low:02x}\{high:02x}\00{escaped}\0b")"#,
            (size + 3) & 0x7f | 0x80,
            (size + 3) >> 7,
        );
        let mut bodies = 0;
        for text in [MIXED, &binary] {
            let module = wat::parse_str(text).unwrap();
            for payload in Parser::new(0).parse_all(&module) {
                if let Payload::CodeSectionEntry(body) = payload.unwrap() {
                    let body = ValidBody::known(body);
                    let (read, parsed) = (read(&body), parsed(&body));
                    assert!(read.len() > 50);
                    assert_eq!(read, parsed);
                    assert_eq!(skimmed(&body), uses(&body));
                    bodies += 1;
                }
            }
        }
        assert_eq!(bodies, 2);
    }

    /// Immediates of every kind, with bytes in them that would be something else as opcodes. It
    /// need not be valid.
    const MIXED: &str = r#"(module
    (type $t (func (param i32) (result i32 i64)))
    (memory 1) (memory 1) (memory i64 1)
    (table $f 3 funcref) (table $e 3 externref)
    (global $g (mut i64) (i64.const 0))
    (data $d "") (elem $s func)
    (func $f (type $t) (local f32 f64 v128 externref)
        i32.const -2147483648 i32.const 2147483647 i32.const 63 i32.const 64 drop drop drop drop
        i64.const -9223372036854775808 i64.const 0x0b0b0b0b0b0b0b drop global.set $g
        f32.const -nan f64.const 0x1.0b0b0b0b0b0b0p11 local.set 2 local.set 1
        v128.const i64x2 0x0b0b0b0b0b0b0b0b 0x0505050505050505
        i8x16.shuffle 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 11 local.set 3
        i32.const 0 v128.load offset=11 align=1 i8x16.extract_lane_u 11 drop
        i32.const 0 i32.load offset=4294967295 drop
        i32.const 0 i32.load8_u 1 offset=11 drop
        i64.const 0 i64.load32_s 2 offset=0x0b0b0b0b0b0b0b0b drop
        i32.const 0 i32.const 0 i32.store16 offset=1000 align=1
        memory.size 1 memory.grow 2 drop
        i32.const 0 i32.const 0 i32.const 0 memory.copy 1 0
        i32.const 0 i32.const 0 i32.const 0 memory.fill 1
        i32.const 0 i32.const 0 i32.const 0 memory.init $d
        i32.const 0 i32.const 0 i32.const 0 table.init $f $s elem.drop $s data.drop $d
        ref.null extern ref.null func ref.func $f ref.is_null drop drop
        local.set 4 i32.const 11 local.get 4 table.set $e i32.const 0 table.get $e drop
        local.get 0 local.get 0 select (result i32)
        block $a (param i32) (result i32)
            block $b
                loop (result f64)
                    local.get 0 br_table $a $b $a 1000 end
                drop
            end
            if (result externref) unreachable else unreachable end
            nop
        end
        local.tee 0 i32.eqz if i32.const 1 call_indirect $f (type $t) return end
        i32.const 1 call $f i64.trunc_sat_f32_s
        i32.const 0 return_call_indirect $f (type $t))
    (export "f" (func $f)))"#;
}
