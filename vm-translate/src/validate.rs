//! Validation of function bodies.
//!
//! The validator is the library's; the most frequent instructions are told from their opcode here,
//! which takes a fraction of the time that the library's reader takes. Whatever is not as plain as
//! it usually is goes through the reader, so that errors are the reader's.

use wasmparser::{
    BinaryReader, BinaryReaderError, BlockType, FuncValidator, FunctionBody, MemArg, MemArgTarget,
    OperatorsReader, ValidatorResources, VisitOperator,
};

use crate::{Error, missing, segment};

/// The most operands that a function may have on its stack. A few bytes of code can push a
/// thousand, so without a limit a small module could take all memory of its host.
const MAX_OPERANDS: u32 = 1 << 20;

/// The type of a block without parameters and results.
const EMPTY_BLOCK: u8 = 0x40;

/// Validates a body as `FuncValidator::validate` does, but within `MAX_OPERANDS`, and if it is said so without objects of the
/// proposal gc, whatever the validator lets through.
pub(crate) fn body(
    func: &mut FuncValidator<ValidatorResources>,
    body: &FunctionBody<'_>,
    refuses_objects: bool,
) -> Result<(), Error> {
    let mut reader = body.get_binary_reader();
    func.read_locals(&mut reader)?;
    let start = reader.original_position();
    if refuses_objects {
        refuse_local_objects(body, start)?;
    }
    let code = reader.clone().read_bytes(reader.bytes_remaining())?;
    // How much of the code is done, and how much of that the reader has been told of.
    let (mut done, mut told) = (0, 0);
    while done < code.len() {
        let offset = start + done as u64;
        // When the body has ended, the reader says what is wrong.
        let length = match func.control_stack_height() {
            0 => 0,
            _ => quick(func, &code[done..], offset)?,
        };
        if length > 0 {
            done += length;
        } else {
            reader.read_bytes(done - told)?;
            if refuses_objects && may_need_objects(&code[done..]) {
                refuse_objects(&reader)?;
            }
            reader.visit_operator(&mut func.visitor(offset))??;
            done = code.len() - reader.bytes_remaining();
            told = done;
        }
        if func.operand_stack_height() > MAX_OPERANDS {
            return Err(Error::Limit {
                what: "the height of the operand stack",
                limit: MAX_OPERANDS.into(),
                offset,
            });
        }
    }
    reader.read_bytes(done - told)?;
    reader.finish_expression(&func.visitor(reader.original_position()))?;
    Ok(())
}

/// Whether an instruction can be of the proposal gc, or name a type of it: blocks, `select` with a type, `ref.null`, `ref.eq`, and
/// those that have the proposal's prefix.
fn may_need_objects(code: &[u8]) -> bool {
    matches!(code.first(), Some(0x02..=0x04 | 0x1c | 0xd0 | 0xd3 | 0xfb))
}

/// Refuses an instruction with objects. What cannot be read is for the validator to say.
///
/// Out of line, as most bodies have hardly any such instruction, and the loop has no room in registers for what it needs.
#[cold]
#[inline(never)]
fn refuse_objects(reader: &BinaryReader<'_>) -> Result<(), Error> {
    match OperatorsReader::new(reader.clone()).read() {
        Ok(operator) if missing::needs_objects(&operator) => Err(segment::unknown(
            "an instruction",
            reader.original_position(),
        )),
        _ => Ok(()),
    }
}

/// Refuses locals that are objects, where the first instruction is known.
fn refuse_local_objects(body: &FunctionBody<'_>, first: u64) -> Result<(), Error> {
    let mut declarations = body.get_binary_reader();
    let offset = declarations.original_position();
    let bytes = declarations.read_bytes((first - offset) as usize)?;
    // The codes of all types that are no numbers or vectors, and of a part of those.
    if bytes.iter().any(|byte| matches!(byte, 0x60..=0x78)) {
        for local in body.get_locals_reader()? {
            if missing::is_object(local?.1) {
                return Err(segment::unknown("a local", offset));
            }
        }
    }
    Ok(())
}

/// A number in LEB128 of up to four bytes, and its length: with so few, all are in range. It is the
/// number if that is unsigned.
#[inline(always)]
fn short_number(bytes: &[u8]) -> Option<(u32, usize)> {
    let mut number = 0;
    for n in 0..4 {
        let byte = *bytes.get(n)?;
        number |= u32::from(byte & 0x7f) << (7 * n);
        if byte < 0x80 {
            return Some((number, n + 1));
        }
    }
    None
}

/// Validates an instruction if it is frequent and plain. Returns its length in bytes, or 0 if that
/// is left to the reader.
#[inline(always)]
fn quick(
    func: &mut FuncValidator<ValidatorResources>,
    code: &[u8],
    offset: u64,
) -> Result<usize, BinaryReaderError> {
    let [opcode, ref rest @ ..] = *code else {
        return Ok(0);
    };
    let mut visitor = func.visitor(offset);
    // Of a constant the number may be another one, which is as good.
    macro_rules! number {
        ($visit:ident) => {
            match short_number(rest) {
                Some((number, length)) => {
                    visitor.$visit(number as _)?;
                    1 + length
                }
                None => 0,
            }
        };
    }
    macro_rules! block {
        ($visit:ident) => {
            match rest.first() {
                Some(&EMPTY_BLOCK) => {
                    visitor.$visit(BlockType::Empty)?;
                    2
                }
                _ => 0,
            }
        };
    }
    macro_rules! access {
        ($visit:ident, $align:literal) => {
            match *rest {
                // The upper bits of the alignment say that there is more.
                [align @ 0..0x10, ref distance @ ..] => match short_number(distance) {
                    Some((offset, length)) => {
                        visitor.$visit(MemArg {
                            align,
                            max_align: $align,
                            offset: offset.into(),
                            target: MemArgTarget::Memory(0),
                            ordering: None,
                        })?;
                        2 + length
                    }
                    None => 0,
                },
                _ => 0,
            }
        };
    }
    macro_rules! instructions {
        (
            plain: $($opcode:literal $visit:ident)*;
            accesses: $($access:literal $visit_access:ident $align:literal)*;
        ) => {
            match opcode {
                0x02 => block!(visit_block),
                0x03 => block!(visit_loop),
                0x04 => block!(visit_if),
                0x0c => number!(visit_br),
                0x0d => number!(visit_br_if),
                0x10 => number!(visit_call),
                0x20 => number!(visit_local_get),
                0x21 => number!(visit_local_set),
                0x22 => number!(visit_local_tee),
                0x23 => number!(visit_global_get),
                0x24 => number!(visit_global_set),
                0x41 => number!(visit_i32_const),
                0x42 => number!(visit_i64_const),
                $($opcode => {
                    visitor.$visit()?;
                    1
                })*
                $($access => access!($visit_access, $align),)*
                _ => 0,
            }
        };
    }
    Ok(instructions! {
        plain:
            0x0b visit_end 0x0f visit_return 0x1a visit_drop 0x1b visit_select
            0x45 visit_i32_eqz 0x46 visit_i32_eq 0x47 visit_i32_ne 0x48 visit_i32_lt_s
            0x49 visit_i32_lt_u 0x4a visit_i32_gt_s 0x4b visit_i32_gt_u 0x4c visit_i32_le_s
            0x4d visit_i32_le_u 0x4e visit_i32_ge_s 0x4f visit_i32_ge_u 0x50 visit_i64_eqz
            0x51 visit_i64_eq 0x52 visit_i64_ne 0x53 visit_i64_lt_s 0x54 visit_i64_lt_u
            0x55 visit_i64_gt_s 0x56 visit_i64_gt_u 0x57 visit_i64_le_s 0x58 visit_i64_le_u
            0x59 visit_i64_ge_s 0x5a visit_i64_ge_u 0x5b visit_f32_eq 0x5c visit_f32_ne
            0x5d visit_f32_lt 0x5e visit_f32_gt 0x5f visit_f32_le 0x60 visit_f32_ge
            0x61 visit_f64_eq 0x62 visit_f64_ne 0x63 visit_f64_lt 0x64 visit_f64_gt
            0x65 visit_f64_le 0x66 visit_f64_ge 0x67 visit_i32_clz 0x68 visit_i32_ctz
            0x69 visit_i32_popcnt 0x6a visit_i32_add 0x6b visit_i32_sub 0x6c visit_i32_mul
            0x6d visit_i32_div_s 0x6e visit_i32_div_u 0x6f visit_i32_rem_s 0x70 visit_i32_rem_u
            0x71 visit_i32_and 0x72 visit_i32_or 0x73 visit_i32_xor 0x74 visit_i32_shl
            0x75 visit_i32_shr_s 0x76 visit_i32_shr_u 0x77 visit_i32_rotl 0x78 visit_i32_rotr
            0x79 visit_i64_clz 0x7a visit_i64_ctz 0x7b visit_i64_popcnt 0x7c visit_i64_add
            0x7d visit_i64_sub 0x7e visit_i64_mul 0x7f visit_i64_div_s 0x80 visit_i64_div_u
            0x81 visit_i64_rem_s 0x82 visit_i64_rem_u 0x83 visit_i64_and 0x84 visit_i64_or
            0x85 visit_i64_xor 0x86 visit_i64_shl 0x87 visit_i64_shr_s 0x88 visit_i64_shr_u
            0x89 visit_i64_rotl 0x8a visit_i64_rotr 0x8b visit_f32_abs 0x8c visit_f32_neg
            0x8d visit_f32_ceil 0x8e visit_f32_floor 0x8f visit_f32_trunc 0x90 visit_f32_nearest
            0x91 visit_f32_sqrt 0x92 visit_f32_add 0x93 visit_f32_sub 0x94 visit_f32_mul
            0x95 visit_f32_div 0x96 visit_f32_min 0x97 visit_f32_max 0x98 visit_f32_copysign
            0x99 visit_f64_abs 0x9a visit_f64_neg 0x9b visit_f64_ceil 0x9c visit_f64_floor
            0x9d visit_f64_trunc 0x9e visit_f64_nearest 0x9f visit_f64_sqrt 0xa0 visit_f64_add
            0xa1 visit_f64_sub 0xa2 visit_f64_mul 0xa3 visit_f64_div 0xa4 visit_f64_min
            0xa5 visit_f64_max 0xa6 visit_f64_copysign 0xa7 visit_i32_wrap_i64
            0xa8 visit_i32_trunc_f32_s 0xa9 visit_i32_trunc_f32_u 0xaa visit_i32_trunc_f64_s
            0xab visit_i32_trunc_f64_u 0xac visit_i64_extend_i32_s 0xad visit_i64_extend_i32_u
            0xae visit_i64_trunc_f32_s 0xaf visit_i64_trunc_f32_u 0xb0 visit_i64_trunc_f64_s
            0xb1 visit_i64_trunc_f64_u 0xb2 visit_f32_convert_i32_s 0xb3 visit_f32_convert_i32_u
            0xb4 visit_f32_convert_i64_s 0xb5 visit_f32_convert_i64_u 0xb6 visit_f32_demote_f64
            0xb7 visit_f64_convert_i32_s 0xb8 visit_f64_convert_i32_u
            0xb9 visit_f64_convert_i64_s 0xba visit_f64_convert_i64_u 0xbb visit_f64_promote_f32
            0xbc visit_i32_reinterpret_f32 0xbd visit_i64_reinterpret_f64
            0xbe visit_f32_reinterpret_i32 0xbf visit_f64_reinterpret_i64;
        accesses:
            0x28 visit_i32_load 2 0x29 visit_i64_load 3 0x2a visit_f32_load 2
            0x2b visit_f64_load 3 0x2c visit_i32_load8_s 0 0x2d visit_i32_load8_u 0
            0x2e visit_i32_load16_s 1 0x2f visit_i32_load16_u 1 0x30 visit_i64_load8_s 0
            0x31 visit_i64_load8_u 0 0x32 visit_i64_load16_s 1 0x33 visit_i64_load16_u 1
            0x34 visit_i64_load32_s 2 0x35 visit_i64_load32_u 2 0x36 visit_i32_store 2
            0x37 visit_i64_store 3 0x38 visit_f32_store 2 0x39 visit_f64_store 3
            0x3a visit_i32_store8 0 0x3b visit_i32_store16 1 0x3c visit_i64_store8 0
            0x3d visit_i64_store16 1 0x3e visit_i64_store32 2;
    })
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload, Validator, WasmFeatures};

    use crate::{Error, Features, Module};

    /// What is wrong with a module, and where.
    type Outcome = Result<(), (String, u64)>;

    fn outcome(error: Error) -> (String, u64) {
        match error {
            Error::Invalid { message, offset }
            | Error::MissingFeature {
                message, offset, ..
            } => (message, offset),
            error => panic!("{error}"),
        }
    }

    fn ours(bytes: &[u8]) -> Outcome {
        let module = Module::new(bytes, &Features::default());
        module.map(drop).map_err(outcome)
    }

    fn the_librarys(bytes: &[u8], features: WasmFeatures) -> Outcome {
        let mut validator = Validator::new_with_features(features);
        let types = validator.validate_all(bytes);
        types.map(drop).map_err(|error| outcome(error.into()))
    }

    #[test]
    fn of_damaged_bodies_it_says_what_the_library_says() {
        let texts = [
            include_str!("../tests/golden/control.wat"),
            include_str!("../tests/golden/memory.wat"),
            PLAIN,
        ];
        let (mut valid, mut invalid) = (0, 0);
        for text in texts {
            let module = wat::parse_str(text).unwrap();
            assert_eq!(ours(&module), Ok(()));
            for payload in Parser::new(0).parse_all(&module) {
                let Payload::CodeSectionEntry(body) = payload.unwrap() else {
                    continue;
                };
                let range = body.range();
                for at in range.start as usize..range.end as usize {
                    for damage in DAMAGES {
                        let mut damaged = module.clone();
                        damaged[at] = damage(damaged[at]);
                        let (features, found) = (Features::default(), ours(&damaged));
                        let mut expected = the_librarys(&damaged, features.validated());
                        if (found.as_ref())
                            .is_err_and(|(message, _)| message.ends_with("of objects"))
                        {
                            // They come with more than what is on.
                            expected = the_librarys(&damaged, features.wasm());
                            assert!(expected.is_err(), "{text} with {at} damaged");
                        } else {
                            assert_eq!(found, expected, "{text} with {at} damaged");
                        }
                        valid += u32::from(expected.is_ok());
                        invalid += u32::from(expected.is_err());
                    }
                }
            }
        }
        assert!(valid > 100 && invalid > 1000, "{valid} {invalid}");
    }

    const DAMAGES: [fn(u8) -> u8; 12] = [
        |_| 0x00,
        |_| 0x0b,
        |_| 0x0c,
        |_| 0x0d,
        |_| 0x20,
        |_| 0x28,
        |_| 0x41,
        |_| 0x6a,
        |_| 0xff,
        |byte| byte ^ 1,
        |byte| byte ^ 0x40,
        |byte| byte ^ 0x80,
    ];

    /// Instructions that are told from their opcode, with immediates of several lengths.
    const PLAIN: &str = r#"(module
        (memory 1)
        (func (param i32) (result i64) (local i32 i64 f64)
            block
                local.get 0 i32.const 100000 i32.add local.tee 1 br_if 0
                local.get 1 i64.load offset=300 local.set 2
                i32.const -5 i64.const -1234567890123 i64.store offset=7 align=4
                i32.const 4 f64.load f64.sqrt local.set 3
                i32.const 268435456 i32.const 8 i32.store16 offset=268435456
                br 0
            end
            local.get 2 i64.eqz i64.extend_i32_u local.get 3 i64.trunc_f64_s i64.rotl))"#;
}
