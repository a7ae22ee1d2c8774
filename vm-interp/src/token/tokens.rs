//! The tokens: what the executor can do in one step, and which operator each stands for.

use vm_translate::{Op, StoreOp};

/// Gives the tables of tokens that come in families to a macro.
///
/// `Imm` tokens have a constant for the last operand, `At` tokens a constant address.
macro_rules! with_tokens {
    ($then:ident) => {
        $then! {
            // Operator and token, meaning.
            unary {
                I32Eqz i32_eqz;
                I32Clz i32_clz;
                I32Ctz i32_ctz;
                I32Popcnt i32_popcnt;
                I64Eqz i64_eqz;
                I64Clz i64_clz;
                I64Ctz i64_ctz;
                I64Popcnt i64_popcnt;
                F32Abs f32_abs;
                F32Neg f32_neg;
                F32Ceil f32_ceil;
                F32Floor f32_floor;
                F32Trunc f32_trunc;
                F32Nearest f32_nearest;
                F32Sqrt f32_sqrt;
                F64Abs f64_abs;
                F64Neg f64_neg;
                F64Ceil f64_ceil;
                F64Floor f64_floor;
                F64Trunc f64_trunc;
                F64Nearest f64_nearest;
                F64Sqrt f64_sqrt;
                F32Canonical f32_canonical;
                F64Canonical f64_canonical;
                I32WrapI64 i32_wrap_i64;
                I32TruncSatF32S i32_trunc_sat_f32_s;
                I32TruncSatF32U i32_trunc_sat_f32_u;
                I32TruncSatF64S i32_trunc_sat_f64_s;
                I32TruncSatF64U i32_trunc_sat_f64_u;
                I64TruncSatF32S i64_trunc_sat_f32_s;
                I64TruncSatF32U i64_trunc_sat_f32_u;
                I64TruncSatF64S i64_trunc_sat_f64_s;
                I64TruncSatF64U i64_trunc_sat_f64_u;
                I64ExtendI32S i64_extend_i32_s;
                I64ExtendI32U i64_extend_i32_u;
                F32ConvertI32S f32_convert_i32_s;
                F32ConvertI32U f32_convert_i32_u;
                F32ConvertI64S f32_convert_i64_s;
                F32ConvertI64U f32_convert_i64_u;
                F64ConvertI32S f64_convert_i32_s;
                F64ConvertI32U f64_convert_i32_u;
                F64ConvertI64S f64_convert_i64_s;
                F64ConvertI64U f64_convert_i64_u;
                F32DemoteF64 f32_demote_f64;
                F64PromoteF32 f64_promote_f32;
                I32ReinterpretF32 i32_reinterpret_f32;
                I64ReinterpretF64 i64_reinterpret_f64;
                F32ReinterpretI32 f32_reinterpret_i32;
                F64ReinterpretI64 f64_reinterpret_i64;
                I32Extend8S i32_extend8_s;
                I32Extend16S i32_extend16_s;
                I64Extend8S i64_extend8_s;
                I64Extend16S i64_extend16_s;
                I64Extend32S i64_extend32_s;
            }
            // Operator and token, meaning.
            unary_traps {
                I32WrapAddress i32_wrap_address;
                I32TruncF32S i32_trunc_f32_s;
                I32TruncF32U i32_trunc_f32_u;
                I32TruncF64S i32_trunc_f64_s;
                I32TruncF64U i32_trunc_f64_u;
                I64TruncF32S i64_trunc_f32_s;
                I64TruncF32U i64_trunc_f32_u;
                I64TruncF64S i64_trunc_f64_s;
                I64TruncF64U i64_trunc_f64_u;
            }
            // Operator and token, token with a sign-extended constant, meaning.
            binary {
                I32Eq I32EqImm i32_eq;
                I32Ne I32NeImm i32_ne;
                I32LtS I32LtSImm i32_lt_s;
                I32LtU I32LtUImm i32_lt_u;
                I32GtS I32GtSImm i32_gt_s;
                I32GtU I32GtUImm i32_gt_u;
                I32LeS I32LeSImm i32_le_s;
                I32LeU I32LeUImm i32_le_u;
                I32GeS I32GeSImm i32_ge_s;
                I32GeU I32GeUImm i32_ge_u;
                I32Add I32AddImm i32_add;
                I32Sub I32SubImm i32_sub;
                I32Mul I32MulImm i32_mul;
                I32And I32AndImm i32_and;
                I32Or I32OrImm i32_or;
                I32Xor I32XorImm i32_xor;
                I32Shl I32ShlImm i32_shl;
                I32ShrS I32ShrSImm i32_shr_s;
                I32ShrU I32ShrUImm i32_shr_u;
                I32Rotl I32RotlImm i32_rotl;
                I32Rotr I32RotrImm i32_rotr;
                I64Eq I64EqImm i64_eq;
                I64Ne I64NeImm i64_ne;
                I64LtS I64LtSImm i64_lt_s;
                I64LtU I64LtUImm i64_lt_u;
                I64GtS I64GtSImm i64_gt_s;
                I64GtU I64GtUImm i64_gt_u;
                I64LeS I64LeSImm i64_le_s;
                I64LeU I64LeUImm i64_le_u;
                I64GeS I64GeSImm i64_ge_s;
                I64GeU I64GeUImm i64_ge_u;
                I64Add I64AddImm i64_add;
                I64Sub I64SubImm i64_sub;
                I64Mul I64MulImm i64_mul;
                I64MulHighU I64MulHighUImm i64_mul_high_u;
                I64And I64AndImm i64_and;
                I64Or I64OrImm i64_or;
                I64Xor I64XorImm i64_xor;
                I64Shl I64ShlImm i64_shl;
                I64ShrS I64ShrSImm i64_shr_s;
                I64ShrU I64ShrUImm i64_shr_u;
                I64Rotl I64RotlImm i64_rotl;
                I64Rotr I64RotrImm i64_rotr;
                F32Eq F32EqImm f32_eq;
                F32Ne F32NeImm f32_ne;
                F32Lt F32LtImm f32_lt;
                F32Gt F32GtImm f32_gt;
                F32Le F32LeImm f32_le;
                F32Ge F32GeImm f32_ge;
                F32Add F32AddImm f32_add;
                F32Sub F32SubImm f32_sub;
                F32Mul F32MulImm f32_mul;
                F32Div F32DivImm f32_div;
                F32Min F32MinImm f32_min;
                F32Max F32MaxImm f32_max;
                F32Copysign F32CopysignImm f32_copysign;
            }
            // The same; the constant is the upper half, and the lower half is zero.
            binary_high {
                F64Eq F64EqImm f64_eq;
                F64Ne F64NeImm f64_ne;
                F64Lt F64LtImm f64_lt;
                F64Gt F64GtImm f64_gt;
                F64Le F64LeImm f64_le;
                F64Ge F64GeImm f64_ge;
                F64Add F64AddImm f64_add;
                F64Sub F64SubImm f64_sub;
                F64Mul F64MulImm f64_mul;
                F64Div F64DivImm f64_div;
                F64Min F64MinImm f64_min;
                F64Max F64MaxImm f64_max;
                F64Copysign F64CopysignImm f64_copysign;
            }
            // As `binary`.
            binary_traps {
                I32DivS I32DivSImm i32_div_s;
                I32DivU I32DivUImm i32_div_u;
                I32RemS I32RemSImm i32_rem_s;
                I32RemU I32RemUImm i32_rem_u;
                I64DivS I64DivSImm i64_div_s;
                I64DivU I64DivUImm i64_div_u;
                I64RemS I64RemSImm i64_rem_s;
                I64RemU I64RemUImm i64_rem_u;
            }
            // Operator and token, token with a constant address, meaning, what is read.
            loads {
                I32Load I32LoadAt i32_load u32;
                I64Load I64LoadAt i64_load u64;
                F32Load F32LoadAt f32_load u32;
                F64Load F64LoadAt f64_load u64;
                I32Load8S I32Load8SAt i32_load8_s u8;
                I32Load8U I32Load8UAt i32_load8_u u8;
                I32Load16S I32Load16SAt i32_load16_s u16;
                I32Load16U I32Load16UAt i32_load16_u u16;
                I64Load8S I64Load8SAt i64_load8_s u8;
                I64Load8U I64Load8UAt i64_load8_u u8;
                I64Load16S I64Load16SAt i64_load16_s u16;
                I64Load16U I64Load16UAt i64_load16_u u16;
                I64Load32S I64Load32SAt i64_load32_s u32;
                I64Load32U I64Load32UAt i64_load32_u u32;
            }
            // Store and token, with a constant value, address, both; what is written.
            stores {
                I32Store I32StoreImm I32StoreAt I32StoreImmAt u32;
                I64Store I64StoreImm I64StoreAt I64StoreImmAt u64;
                F32Store F32StoreImm F32StoreAt F32StoreImmAt u32;
                F64Store F64StoreImm F64StoreAt F64StoreImmAt u64;
                I32Store8 I32Store8Imm I32Store8At I32Store8ImmAt u8;
                I32Store16 I32Store16Imm I32Store16At I32Store16ImmAt u16;
                I64Store8 I64Store8Imm I64Store8At I64Store8ImmAt u8;
                I64Store16 I64Store16Imm I64Store16At I64Store16ImmAt u16;
                I64Store32 I64Store32Imm I64Store32At I64Store32ImmAt u32;
            }
            // Operator, token that branches on it, the same with a constant, meaning.
            branches {
                I32Eq BrI32Eq BrI32EqImm i32_eq;
                I32Ne BrI32Ne BrI32NeImm i32_ne;
                I32LtS BrI32LtS BrI32LtSImm i32_lt_s;
                I32LtU BrI32LtU BrI32LtUImm i32_lt_u;
                I32GtS BrI32GtS BrI32GtSImm i32_gt_s;
                I32GtU BrI32GtU BrI32GtUImm i32_gt_u;
                I32LeS BrI32LeS BrI32LeSImm i32_le_s;
                I32LeU BrI32LeU BrI32LeUImm i32_le_u;
                I32GeS BrI32GeS BrI32GeSImm i32_ge_s;
                I32GeU BrI32GeU BrI32GeUImm i32_ge_u;
                I64Eq BrI64Eq BrI64EqImm i64_eq;
                I64Ne BrI64Ne BrI64NeImm i64_ne;
                I64LtS BrI64LtS BrI64LtSImm i64_lt_s;
                I64LtU BrI64LtU BrI64LtUImm i64_lt_u;
                I64GtS BrI64GtS BrI64GtSImm i64_gt_s;
                I64GtU BrI64GtU BrI64GtUImm i64_gt_u;
                I64LeS BrI64LeS BrI64LeSImm i64_le_s;
                I64LeU BrI64LeU BrI64LeUImm i64_le_u;
                I64GeS BrI64GeS BrI64GeSImm i64_ge_s;
                I64GeU BrI64GeU BrI64GeUImm i64_ge_u;
            }
            // Operator, tokens that branch on it being true or false, meaning.
            float_branches {
                F32Eq BrF32Eq BrNotF32Eq f32_eq;
                F32Ne BrF32Ne BrNotF32Ne f32_ne;
                F32Lt BrF32Lt BrNotF32Lt f32_lt;
                F32Gt BrF32Gt BrNotF32Gt f32_gt;
                F32Le BrF32Le BrNotF32Le f32_le;
                F32Ge BrF32Ge BrNotF32Ge f32_ge;
                F64Eq BrF64Eq BrNotF64Eq f64_eq;
                F64Ne BrF64Ne BrNotF64Ne f64_ne;
                F64Lt BrF64Lt BrNotF64Lt f64_lt;
                F64Gt BrF64Gt BrNotF64Gt f64_gt;
                F64Le BrF64Le BrNotF64Le f64_le;
                F64Ge BrF64Ge BrNotF64Ge f64_ge;
            }
        }
    };
}

macro_rules! define_tokens {
    (
        unary { $($unary:ident $unary_fn:ident;)* }
        unary_traps { $($unary_trap:ident $unary_trap_fn:ident;)* }
        binary { $($binary:ident $binary_imm:ident $binary_fn:ident;)* }
        binary_high { $($high:ident $high_imm:ident $high_fn:ident;)* }
        binary_traps { $($binary_trap:ident $binary_trap_imm:ident $binary_trap_fn:ident;)* }
        loads { $($load:ident $load_at:ident $load_fn:ident $load_ty:ident;)* }
        stores { $($store:ident $store_imm:ident $store_at:ident $store_imm_at:ident $store_ty:ident;)* }
        branches { $($branch:ident $br:ident $br_imm:ident $br_fn:ident;)* }
        float_branches { $($float:ident $float_br:ident $float_not:ident $float_fn:ident;)* }
    ) => {
        /// What the executor does in one step: the first word of an instruction. The words that
        /// follow are listed here for the tokens that are in no family.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub(super) enum Token {
            /// Ends the run.
            Finish,
            /// After a call that may have changed the context: slot of the callee's frame.
            RestoreContext,
            /// Traps.
            Unreachable,
            /// Distance.
            Br,
            /// Slot, distance.
            BrIf,
            /// Slot, distance.
            BrUnless,
            /// Slots a and b, distance: branches if a bit is set in both.
            BrAnd,
            /// Slot, constant, distance.
            BrAndImm,
            /// Slots a and b, distance: branches if no bit is set in both.
            BrNand,
            /// Slot, constant, distance.
            BrNandImm,
            /// Slot, number of targets, distances.
            BrTable,
            Return,
            /// Slot of the callee's frame, function, address of the cell that holds its code
            /// (two words).
            Call,
            /// Slot of the callee's frame, offset in the context.
            CallImport,
            /// Slot of the index, slot of the callee's frame, offset of the table in the context,
            /// number of the type.
            CallIndirect,
            /// Slot of the arguments, how many, function, address of the cell that holds its code
            /// (two words).
            ReturnCall,
            /// Slot of the arguments, how many, number of results, offset in the context.
            ReturnCallImport,
            /// Slot of the arguments (the index follows), how many, number of results, offset of
            /// the table in the context, number of the type.
            ReturnCallIndirect,
            /// Slot of the reference, slot of the callee's frame.
            CallRef,
            /// Slot of the arguments (the reference follows), how many, number of results.
            ReturnCallRef,
            /// Nothing.
            NullReference,
            /// Where a tail call that changed the context returns to if its caller does not
            /// expect that.
            ReturnAdapter,
            /// Slot of the address and of the value, offset of the memory in the context, operator,
            /// offset (two words).
            MemoryLoad,
            /// Slot of the address, offset of the memory in the context, store, offset (two words).
            MemoryStore,
            /// As [`Token::MemoryLoad`], from a memory that threads share.
            SharedLoad,
            /// As [`Token::MemoryStore`], to a memory that threads share.
            SharedStore,
            /// Slot of the operands and of the result, instruction, offset of the memory in the context, offset (two words).
            Atomic,
            /// Nothing.
            Fence,
            /// Slot of the operands and of the result, instruction, memory, offset: its lower and its upper half.
            Wait,
            /// Slot of the operands, operation, immediates.
            Runtime,
            /// Destination, source.
            Copy,
            /// Destination, constant, zero-extended.
            Const,
            /// Destination, constant, sign-extended.
            ConstSigned,
            /// Destination, lower half, upper half.
            Const64,
            /// Destination, offset in the context.
            GlobalGet,
            /// Source, offset in the context.
            GlobalSet,
            /// Destination, slots of both values and of the condition.
            Select,
            /// Destination, source: two slots each.
            CopyVector,
            /// Destination, source, how many slots.
            CopySlots,
            /// How much.
            ConsumeFuel,
            /// Nothing.
            CheckEpoch,
            /// Nothing.
            EnterCall,
            /// Nothing.
            LeaveCall,
            /// Destination, offset in the context.
            GlobalGetVector,
            /// Source, offset in the context.
            GlobalSetVector,
            /// Destination, slot of the address, offset.
            V128Load,
            /// Destination, address.
            V128LoadAt,
            /// Slot of the address, source, offset.
            V128Store,
            /// Address, source.
            V128StoreAt,
            /// Destination, operator, lane, which operands (bits 0 to 2) and whether the result
            /// (bit 3) are vectors, slots of three operands (0 for those that there are not).
            Vector,
            // Destination, slot.
            $($unary,)*
            $($unary_trap,)*
            // Destination, slot, slot or constant.
            $($binary, $binary_imm,)*
            $($high, $high_imm,)*
            $($binary_trap, $binary_trap_imm,)*
            // Destination, slot, offset; or destination, address.
            $($load, $load_at,)*
            // Slot of the address, value (slot or constant), offset; or address, value.
            $($store, $store_imm, $store_at, $store_imm_at,)*
            // Slot, slot or constant, distance.
            $($br, $br_imm,)*
            $($float_br, $float_not,)*
        }

        /// The names of all tokens, by number.
        pub(super) const NAMES: &[&str] = &[
            "Finish", "RestoreContext", "Unreachable", "Br", "BrIf", "BrUnless", "BrAnd",
            "BrAndImm", "BrNand", "BrNandImm", "BrTable", "Return", "Call", "CallImport",
            "CallIndirect", "ReturnCall", "ReturnCallImport", "ReturnCallIndirect", "CallRef",
            "ReturnCallRef", "NullReference",
            "ReturnAdapter", "MemoryLoad", "MemoryStore", "SharedLoad",
            "SharedStore", "Atomic",
            "Fence", "Wait", "Runtime", "Copy", "Const",
            "ConstSigned", "Const64", "GlobalGet", "GlobalSet", "Select", "CopyVector",
            "CopySlots", "ConsumeFuel", "CheckEpoch", "EnterCall", "LeaveCall", "GlobalGetVector", "GlobalSetVector", "V128Load", "V128LoadAt", "V128Store",
            "V128StoreAt", "Vector",
            $(stringify!($unary),)*
            $(stringify!($unary_trap),)*
            $(stringify!($binary), stringify!($binary_imm),)*
            $(stringify!($high), stringify!($high_imm),)*
            $(stringify!($binary_trap), stringify!($binary_trap_imm),)*
            $(stringify!($load), stringify!($load_at),)*
            $(stringify!($store), stringify!($store_imm), stringify!($store_at),
                stringify!($store_imm_at),)*
            $(stringify!($br), stringify!($br_imm),)*
            $(stringify!($float_br), stringify!($float_not),)*
        ];

        /// The token of an operator with one operand.
        pub(super) fn unary(op: Op) -> Option<Token> {
            match op {
                $(Op::$unary => Some(Token::$unary),)*
                $(Op::$unary_trap => Some(Token::$unary_trap),)*
                _ => None,
            }
        }

        /// The tokens of an operator with two operands: for slots; with a constant, sign-extended.
        pub(super) fn binary(op: Op) -> Option<(Token, Token)> {
            match op {
                $(Op::$binary => Some((Token::$binary, Token::$binary_imm)),)*
                $(Op::$binary_trap => Some((Token::$binary_trap, Token::$binary_trap_imm)),)*
                _ => None,
            }
        }

        /// The tokens of an operator with two operands: for slots; with the upper half of a
        /// constant.
        pub(super) fn binary_high(op: Op) -> Option<(Token, Token)> {
            match op {
                $(Op::$high => Some((Token::$high, Token::$high_imm)),)*
                _ => None,
            }
        }

        /// The tokens of a load: with the address in a slot; with a constant address.
        pub(super) fn load(op: Op) -> Option<(Token, Token)> {
            match op {
                $(Op::$load => Some((Token::$load, Token::$load_at)),)*
                _ => None,
            }
        }

        /// The tokens of a store: from slots; with a constant value; address; both.
        pub(super) fn store(op: StoreOp) -> Option<[Token; 4]> {
            match op {
                $(StoreOp::$store => Some([
                    Token::$store,
                    Token::$store_imm,
                    Token::$store_at,
                    Token::$store_imm_at,
                ]),)*
                _ => None,
            }
        }

        /// The tokens that branch when a comparison of integers holds: of slots; with a constant.
        pub(super) fn branch(op: Op) -> Option<(Token, Token)> {
            match op {
                $(Op::$branch => Some((Token::$br, Token::$br_imm)),)*
                _ => None,
            }
        }

        /// The tokens that branch when a comparison of floats holds, or does not.
        pub(super) fn float_branch(op: Op) -> Option<(Token, Token)> {
            match op {
                $(Op::$float => Some((Token::$float_br, Token::$float_not)),)*
                _ => None,
            }
        }
    };
}

with_tokens!(define_tokens);

pub(super) use with_tokens;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_tokens() {
        for token in [
            Token::Finish,
            Token::BrTable,
            Token::Select,
            Token::Vector,
            Token::I32Eqz,
            Token::F64Add,
        ] {
            assert_eq!(NAMES[token as usize], format!("{token:?}"));
        }
        assert_eq!(NAMES.len(), Token::BrNotF64Ge as usize + 1);
    }

    #[test]
    fn every_operator_has_a_token() {
        for &op in Op::ALL {
            let unchecked = matches!(
                op.effect(),
                vm_translate::Effect::Load {
                    unchecked: true,
                    ..
                }
            );
            let own = matches!(
                op,
                Op::GlobalGet | Op::GlobalGetFloat | Op::Select | Op::SelectFloat
            ) || op.is_vector();
            let found = unary(op).is_some()
                || binary(op).is_some()
                || binary_high(op).is_some()
                || load(op).is_some();
            assert_eq!(found, !unchecked && !own, "{op}");
        }
        for &op in StoreOp::ALL {
            let own = op == StoreOp::V128Store;
            assert_eq!(store(op).is_some(), !op.unchecked() && !own, "{op}");
        }
    }
}
