//! Atomic instructions that read, modify and write, of every width, and what becomes of them whatever the order: each is a function of the guest
//! that many threads call, whose answers have a sum that does not depend on the order either.

use super::THREADS;

/// One type and width: the type, the bits, and where its cell is among those of one operation. They lie next to each other, so that an instruction
/// that wrote more than its own bytes would be noticed.
struct Width {
    ty: &'static str,
    bits: u32,
    at: u32,
}

const fn width(ty: &'static str, bits: u32, at: u32) -> Width {
    Width { ty, bits, at }
}

const WIDTHS: [Width; 7] = [
    width("i64", 64, 0),
    width("i32", 32, 8),
    width("i64", 32, 12),
    width("i32", 16, 16),
    width("i64", 16, 18),
    width("i32", 8, 20),
    width("i64", 8, 21),
];

/// Bytes of the cells of one operation; nobody writes the last two.
const CELLS: u32 = 24;

/// What is added again and again. Odd, so that every byte takes every value.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// From a value to what is summed of it, so that other values have another sum.
const MIX: u64 = 0xd1b5_4a32_d192_ed03;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Add,
    Sub,
    CmpXchg,
    Xchg,
    /// Or, xor and and, of a bit that each thread has for itself.
    Bits,
}

const KINDS: [Kind; 5] = [Kind::Add, Kind::Sub, Kind::CmpXchg, Kind::Xchg, Kind::Bits];

/// How many functions there are.
pub(crate) const FUNCTIONS: usize = KINDS.len() * WIDTHS.len();

/// The name of a function: of a thread's number and of how often to do it. It answers a sum.
pub(crate) fn name(function: usize) -> String {
    format!("rmw{function}")
}

fn parts(function: usize) -> (Kind, &'static Width) {
    (
        KINDS[function / WIDTHS.len()],
        &WIDTHS[function % WIDTHS.len()],
    )
}

impl Width {
    fn mask(&self) -> u64 {
        u64::MAX >> (64 - self.bits)
    }

    /// The name of an instruction. Those of less bits than the type say how many, and that they extend by zeros.
    fn instruction(&self, name: &str) -> String {
        let Width { ty, bits, .. } = self;
        let of = |what: &str| match *ty == format!("i{bits}") {
            true => what.to_owned(),
            false => format!("{what}{bits}"),
        };
        let extends = if *ty == format!("i{bits}") { "" } else { "_u" };
        match name {
            "load" => format!("{ty}.atomic.{}{extends}", of("load")),
            _ => format!("{ty}.atomic.{}.{name}{extends}", of("rmw")),
        }
    }
}

/// Where the cells of an operation are.
fn base(kind: Kind, at: u32) -> u32 {
    match kind {
        // Eight bytes for each width: as many bits as there are threads.
        Kind::Bits => at + 4 * CELLS,
        _ => at + CELLS * kind as u32,
    }
}

/// All functions, on cells from a place on.
pub(crate) fn text(at: u32) -> String {
    (0..FUNCTIONS).map(|function| one(function, at)).collect()
}

fn one(function: usize, at: u32) -> String {
    let (kind, width) = parts(function);
    let ty = width.ty;
    let op = |name: &str| width.instruction(name);
    let extend = |value: &str| match ty {
        "i32" => format!("(i64.extend_i32_u {value})"),
        _ => value.to_owned(),
    };
    let wrap = |value: u64| match ty {
        "i32" => format!("(i32.const {:#x})", value as u32),
        _ => format!("(i64.const {value:#x})"),
    };
    let cell = format!("(i32.const {})", base(kind, at) + width.at);
    let old = extend("(local.get $old)");
    let body = match kind {
        Kind::Add | Kind::Sub => format!(
            "(local.set $old ({} {cell} {}))
             (local.set $sum (i64.add (local.get $sum) {old}))",
            op(if kind == Kind::Add { "add" } else { "sub" }),
            wrap(STEP),
        ),
        Kind::CmpXchg => format!(
            "(local.set $old ({load} {cell}))
             (loop $again
               (local.set $found ({cmpxchg} {cell} (local.get $old) ({ty}.add (local.get $old) ({ty}.const 1))))
               (if ({ty}.ne (local.get $found) (local.get $old))
                 (then (local.set $old (local.get $found)) (br $again))))
             (local.set $sum (i64.add (local.get $sum) {old}))",
            load = op("load"),
            cmpxchg = op("cmpxchg"),
        ),
        Kind::Xchg => {
            let value = "(i64.mul (i64.extend_i32_u (i32.add (i32.mul (local.get $thread) (i32.const 65536)) (local.get $turns)))";
            let value = format!("{value} (i64.const {STEP:#x}))");
            let value = match ty {
                "i32" => format!("(i32.wrap_i64 {value})"),
                _ => value,
            };
            format!(
                "(local.set $old ({} {cell} {value}))
                 (local.set $sum (i64.add (local.get $sum) (i64.mul {old} (i64.xor {old} (i64.const {MIX:#x})))))",
                op("xchg")
            )
        }
        Kind::Bits => {
            let first = base(kind, at) + 8 * (function % WIDTHS.len()) as u32;
            let cell = format!(
                "(i32.add (i32.const {first}) (i32.mul (i32.div_u (local.get $thread) (i32.const {bits})) (i32.const {bytes})))",
                bits = width.bits,
                bytes = width.bits / 8,
            );
            let thread = match ty {
                "i32" => "(local.get $thread)".to_owned(),
                _ => "(i64.extend_i32_u (local.get $thread))".to_owned(),
            };
            let bit = format!(
                "({ty}.shl ({ty}.const 1) ({ty}.rem_u {thread} ({ty}.const {})))",
                width.bits
            );
            let others = format!("({ty}.xor {bit} ({ty}.const -1))");
            // The bit is as this thread has left it, whatever others do to the rest. Each time that it is not counts.
            let step = |name: &str, with: &str, was: u32| {
                format!(
                    "(local.set $old ({ty}.and {bit} ({} {cell} {with})))
                     (if (i32.ne ({ty}.eqz (local.get $old)) (i32.const {}))
                       (then (local.set $sum (i64.add (local.get $sum) (i64.const 1)))))",
                    op(name),
                    1 - was,
                )
            };
            let steps = [
                step("or", &bit, 0),
                step("xor", &bit, 1),
                step("xor", &bit, 0),
                step("and", &others, 1),
                step("and", &others, 0),
            ];
            // What the function was called for before is undone at first; in the end odd threads leave it set.
            return format!(
                r#"(func (export "{name}") (param $thread i32) (param $turns i32) (result i64)
                  (local $sum i64) (local $old {ty})
                  (drop ({and} {cell} {others}))
                  (loop $turn {steps}
                    (br_if $turn (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
                  (if (i32.and (local.get $thread) (i32.const 1)) (then (drop ({or} {cell} {bit}))))
                  (local.get $sum))"#,
                name = name(function),
                and = op("and"),
                or = op("or"),
                steps = steps.concat(),
            );
        }
    };
    format!(
        r#"(func (export "{}") (param $thread i32) (param $turns i32) (result i64)
          (local $sum i64) (local $old {ty}) (local $found {ty})
          (loop $turn {body}
            (br_if $turn (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
          (local.get $sum))"#,
        name(function)
    )
}

/// Holds the sums of all answers, by function, and the cells against the model. Every thread has called each function so many times, for so many turns.
pub(crate) fn check(sums: &[u64; FUNCTIONS], calls: u32, turns: u32, at: u32, bytes: &[u8]) {
    let mut untouched = vec![true; bytes.len()];
    for (function, &sum) in sums.iter().enumerate() {
        let (kind, width) = parts(function);
        let (first, len) = match kind {
            Kind::Bits => (base(kind, at) + 8 * (function % WIDTHS.len()) as u32, 8),
            _ => (base(kind, at) + width.at, width.bits / 8),
        };
        let range = (first - at) as usize..(first - at + len) as usize;
        untouched[range.clone()].fill(false);
        let mut cell = [0; 8];
        cell[..range.len()].copy_from_slice(&bytes[range]);
        let cell = u64::from_le_bytes(cell);
        let case = format!("{kind:?} of {} bits in {}", width.bits, width.ty);
        let step = match kind {
            Kind::Add => STEP,
            Kind::Sub => STEP.wrapping_neg(),
            Kind::CmpXchg => 1,
            Kind::Xchg => {
                let mix = |value: u64| value.wrapping_mul(value ^ MIX);
                let mut put = 0_u64;
                for (thread, turn) in (0..THREADS).flat_map(|t| (1..=turns).map(move |n| (t, n))) {
                    let value = u64::from(thread * 65_536 + turn).wrapping_mul(STEP) & width.mask();
                    put = put.wrapping_add(mix(value).wrapping_mul(calls.into()));
                }
                // What was put is what was taken, and what is there now.
                assert_eq!(sum.wrapping_add(mix(cell)), put, "{case}");
                continue;
            }
            Kind::Bits => {
                assert_eq!(sum, 0, "bits of a thread that others have changed: {case}");
                // Every other bit.
                assert_eq!(cell, 0xaaaa_aaaa_aaaa_aaaa, "{case}");
                continue;
            }
        };
        // One after the other, in whichever order: the values before are always the same.
        let (mut value, mut before) = (0_u64, 0_u64);
        for _ in 0..THREADS * calls * turns {
            before = before.wrapping_add(value);
            value = value.wrapping_add(step) & width.mask();
        }
        assert_eq!((cell, sum), (value, before), "{case}");
    }
    let untouched = untouched.iter().zip(bytes).filter(|(is, _)| **is);
    assert!(untouched.clone().count() >= 8, "there are bytes between");
    for (_, byte) in untouched {
        assert_eq!(*byte, 0, "a byte that is nobody's");
    }
}

/// Bytes of all cells.
pub(crate) const BYTES: u32 = 4 * CELLS + 8 * WIDTHS.len() as u32;
