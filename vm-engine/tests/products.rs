//! Helpers that put a product of 128 bits together from halves are recognised by translation. What
//! they compute is the product; and a body that differs from such a helper in one instruction computes
//! what it says, as does the same body with a `nop`, which is never recognised.

mod common;

use std::fmt::Write as _;

use vm_engine::{Instance, Store, Trap};

/// Stores `$a * $b` and adds `$c * $b` to the upper half, as LLVM's compiler-rt does it; one
/// instruction a line.
const BY_PARTS: &str = "local.get $b
i64.const 4294967295
i64.and
local.tee $b0
local.get $a
i64.const 4294967295
i64.and
local.tee $a0
i64.mul
local.set $low
local.get $a0
local.get $b
i64.const 32
i64.shr_u
local.tee $b1
i64.mul
local.get $low
i64.const 32
i64.shr_u
i64.add
local.set $t
local.get $b0
local.get $a
i64.const 32
i64.shr_u
local.tee $a1
i64.mul
local.get $t
i64.const 4294967295
i64.and
i64.add
local.set $u
local.get $to
local.get $c
local.get $b
i64.mul
local.get $a1
local.get $b1
i64.mul
i64.add
local.get $t
i64.const 32
i64.shr_u
i64.add
local.get $u
i64.const 32
i64.shr_u
i64.add
i64.store offset=8
local.get $to
local.get $low
i64.const 4294967295
i64.and
local.get $u
i64.const 32
i64.shl
i64.or
i64.store";

/// The same as Rust's compiler-builtins do it.
const BY_CARRIES: &str = "local.get $to
local.get $b
i64.const 4294967295
i64.and
local.tee $b0
local.get $a
i64.const 4294967295
i64.and
local.tee $a0
i64.mul
local.tee $low
local.get $b
i64.const 32
i64.shr_u
local.tee $b1
local.get $a0
i64.mul
local.tee $u
local.get $b0
local.get $a
i64.const 32
i64.shr_u
local.tee $a1
i64.mul
i64.add
local.tee $t
i64.const 32
i64.shl
i64.add
local.tee $b0
i64.store
local.get $to
local.get $b1
local.get $a1
i64.mul
local.get $t
local.get $u
i64.lt_u
i64.extend_i32_u
i64.const 32
i64.shl
local.get $t
i64.const 32
i64.shr_u
i64.or
i64.add
local.get $b0
local.get $low
i64.lt_u
i64.extend_i32_u
i64.add
local.get $c
local.get $b
i64.mul
i64.add
i64.store offset=8";

const VALUES: [u64; 9] = [
    0,
    1,
    0xffff_ffff,
    0x1_0000_0000,
    0x8000_0000_8000_0000,
    0x0123_4567_89ab_cdef,
    0xfedc_ba98_7654_3210,
    0xffff_ffff_0000_0001,
    u64::MAX,
];

fn function(name: &str, body: &str) -> String {
    format!(
        "(func (export \"{name}\") (param $to i32) (param $a i64) (param $c i64) (param $b i64)
        (local $a0 i64) (local $a1 i64) (local $b0 i64) (local $b1 i64)
        (local $low i64) (local $t i64) (local $u i64)\n{body})\n"
    )
}

type Params = (u32, u64, u64, u64);

/// What a function leaves in 32 bytes around the address 8.
fn run(store: &mut Store<()>, instance: Instance, name: &str, values: [u64; 3]) -> [u8; 32] {
    let memory = instance.get_memory(&mut *store, "memory").unwrap();
    memory.data_mut(&mut *store)[..32].fill(0x5a);
    let function = instance.get_typed_func::<Params, ()>(&mut *store, name);
    let [a, b, c] = values;
    function.unwrap().call(&mut *store, (8, a, c, b)).unwrap();
    memory.data(&*store)[..32].try_into().unwrap()
}

/// All bodies with one instruction replaced by another of the same type.
fn changed(body: &str) -> Vec<String> {
    let lines: Vec<&str> = body.lines().collect();
    let locals = ["$a", "$b", "$c", "$a0", "$b0", "$low", "$t", "$u"];
    let mut all = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        let instead: Vec<String> = match line.split_once(' ') {
            Some(("local.get", name)) if name != "$to" => (locals.iter())
                .filter(|other| **other != name)
                .map(|other| format!("local.get {other}"))
                .collect(),
            Some(("i64.const", "32")) => ["31", "33", "0", "96"]
                .map(|bits| format!("i64.const {bits}"))
                .to_vec(),
            Some(("i64.const", _)) => ["4294967294", "-1", "2147483647", "8589934591"]
                .map(|bits| format!("i64.const {bits}"))
                .to_vec(),
            Some(("i64.store", _)) => {
                let others = [
                    "i64.store offset=4",
                    "i64.store offset=16",
                    "i64.store32 offset=8",
                ];
                others.map(str::to_owned).to_vec()
            }
            None if *line == "i64.store" => ["i64.store offset=8", "i64.store32", "i64.store16"]
                .map(str::to_owned)
                .to_vec(),
            None if *line == "i64.lt_u" => ["i64.lt_s", "i64.le_u", "i64.gt_u", "i64.ne"]
                .map(str::to_owned)
                .to_vec(),
            None if *line == "i64.extend_i32_u" => vec!["i64.extend_i32_s".to_owned()],
            None => [
                "add", "sub", "mul", "and", "or", "xor", "shl", "shr_u", "shr_s", "rotl",
            ]
            .iter()
            .map(|op| format!("i64.{op}"))
            .filter(|op| op != line)
            .collect(),
            Some(_) => Vec::new(),
        };
        for line in instead {
            let mut lines = lines.clone();
            lines[n] = &line;
            all.push(lines.join("\n"));
        }
    }
    all
}

#[test]
fn a_helper_for_products_computes_the_product() {
    let text = format!(
        "(module (memory (export \"memory\") 1) {} {})",
        function("parts", BY_PARTS),
        function("carries", BY_CARRIES)
    );
    common::in_each_mode(&text, |store, instance| {
        for (a, b) in VALUES.into_iter().flat_map(|a| VALUES.map(|b| (a, b))) {
            for c in [0_u64, 1, 0xfedc_ba98_7654_3211] {
                let product = u128::from(a) * u128::from(b);
                let added = u128::from(c.wrapping_mul(b)) << 64;
                let mut expected = [0x5a; 32];
                expected[8..24].copy_from_slice(&product.wrapping_add(added).to_le_bytes());
                for name in ["parts", "carries"] {
                    let found = run(store, instance, name, [a, b, c]);
                    assert_eq!(found, expected, "{name}({a:#x}, {b:#x}, {c:#x})");
                }
            }
        }
    });
}

#[test]
fn a_body_that_is_nearly_a_helper_computes_what_it_says() {
    let mut text = String::from("(module (memory (export \"memory\") 1)");
    let bodies: Vec<String> = [BY_PARTS, BY_CARRIES]
        .into_iter()
        .flat_map(changed)
        .collect();
    assert!(bodies.len() > 500);
    for (n, body) in bodies.iter().enumerate() {
        let _ = write!(text, "{}", function(&format!("it{n}"), body));
        let _ = write!(
            text,
            "{}",
            function(&format!("nop{n}"), &format!("nop\n{body}"))
        );
    }
    text.push(')');
    common::in_each_mode(&text, |store, instance| {
        for (n, body) in bodies.iter().enumerate() {
            for values in [
                [u64::MAX, u64::MAX, 1],
                [0xffff_ffff_8000_0001, 0x0123_4567_89ab_cdef, 3],
                [0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210, u64::MAX],
                [0xffff_ffff, 0x1_0000_0000, 0],
            ] {
                let [it, nop] = [format!("it{n}"), format!("nop{n}")]
                    .map(|name| run(store, instance, &name, values));
                assert_eq!(it, nop, "{values:x?}\n{body}");
            }
        }
    });
}

#[test]
fn a_helper_traps_at_the_store_that_is_out_of_bounds() {
    let text = format!(
        "(module (memory (export \"memory\") 1) {})",
        function("it", BY_PARTS)
    );
    // i64.store align=8 offset=8, which comes first.
    let store_upper = [0x37, 0x03, 0x08];
    let binary = wat::parse_str(&text).unwrap();
    let place = binary.windows(3).position(|bytes| bytes == store_upper);
    common::in_each_mode(&text, |store, instance| {
        // The upper half alone, or both.
        for to in [65536 - 15, 65536 - 8, 65536, u32::MAX] {
            let function = instance.get_typed_func::<Params, ()>(&mut *store, "it");
            let error = function.unwrap().call(&mut *store, (to, 7, 0, 6));
            let error = error.unwrap_err();
            assert_eq!(error.trap(), Some(Trap::MemoryOutOfBounds));
            let frames = error.backtrace().unwrap().frames();
            assert_eq!(frames[0].module_offset(), place);
            let memory = instance.get_memory(&mut *store, "memory").unwrap();
            assert!(memory.data(&*store).iter().all(|byte| *byte == 0));
        }
    });
}
