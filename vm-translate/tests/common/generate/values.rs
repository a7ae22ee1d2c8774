//! Trees of operators, and loads and stores.

use super::operators::{self, Operator};
use super::{EXNREF, GLOBALS, Generator, Type};

/// A memory, one with another index, one with 64-bit addresses.
const MEMORIES: [usize; 6] = [0, 0, 0, 0, 1, 2];

/// Loads, by the type of what they give.
const LOADS: &[(Type, &[&str])] = &[
    (
        "i32",
        &[
            "i32.load",
            "i32.load",
            "i32.load8_s",
            "i32.load8_u",
            "i32.load16_s",
            "i32.load16_u",
        ],
    ),
    (
        "i64",
        &[
            "i64.load",
            "i64.load",
            "i64.load8_s",
            "i64.load8_u",
            "i64.load16_s",
            "i64.load16_u",
            "i64.load32_s",
            "i64.load32_u",
        ],
    ),
    ("f32", &["f32.load"]),
    ("f64", &["f64.load"]),
    (
        "v128",
        &[
            "v128.load",
            "v128.load",
            "v128.load8x8_s",
            "v128.load8x8_u",
            "v128.load16x4_s",
            "v128.load16x4_u",
            "v128.load32x2_s",
            "v128.load32x2_u",
            "v128.load8_splat",
            "v128.load16_splat",
            "v128.load32_splat",
            "v128.load64_splat",
            "v128.load32_zero",
            "v128.load64_zero",
        ],
    ),
];

/// Stores, by the type of what they take.
const STORES: &[(Type, &[&str])] = &[
    ("i32", &["i32.store", "i32.store8", "i32.store16"]),
    (
        "i64",
        &["i64.store", "i64.store8", "i64.store16", "i64.store32"],
    ),
    ("f32", &["f32.store"]),
    ("f64", &["f64.store"]),
    ("v128", &["v128.store"]),
];

/// The bits of lanes, and how many there are.
const LANES: &[(&str, usize)] = &[("8", 16), ("16", 8), ("32", 4), ("64", 2)];

/// Those of a type.
fn of_type(table: &[(Type, &'static [&'static str])], ty: Type) -> &'static [&'static str] {
    let row = table.iter().find(|(of, _)| *of == ty);
    row.unwrap().1
}

impl Generator {
    /// Pushes a value of a type.
    pub(super) fn value(&mut self, ty: Type, depth: usize) {
        if ty == EXNREF {
            return self.exception(depth);
        }
        let choice = if depth == 0 {
            self.random.below(3)
        } else {
            self.random.below(12)
        };
        match choice {
            0 => self.constant(ty),
            1 | 2 => match self.local(ty) {
                Some(local) => self.push(ty, &format!("local.get {local}")),
                None => self.constant(ty),
            },
            3 => {
                let global = GLOBALS.iter().position(|global| *global == ty).unwrap();
                self.push(ty, &format!("global.get {global}"));
            }
            4 if self.random.chance(20) && matches!(ty, "i32" | "i64") => {
                self.atomic(ty, depth - 1);
            }
            4 => self.load(ty, depth - 1),
            5 => {
                self.value(ty, depth - 1);
                self.value(ty, depth - 1);
                self.value("i32", depth - 1);
                self.select();
            }
            6 if self.local(ty).is_some() => {
                self.value(ty, depth - 1);
                self.set_local("local.tee");
            }
            _ => {
                let operator = operators::choose(&mut self.random, self.baseline, |operator| {
                    operator.result == ty
                });
                self.operator(operator.unwrap(), depth - 1);
            }
        }
    }

    pub(super) fn constant(&mut self, ty: Type) {
        if ty == EXNREF {
            return self.push(ty, "ref.null exn");
        }
        if ty == "v128" {
            let lanes: Vec<String> = (0..4)
                .map(|_| match self.random.below(3) {
                    0 => (self.random.next() as i32).to_string(),
                    1 => self.random.of(&["0", "-1", "255", "0x80000000"]).to_owned(),
                    _ => self.random.below(100).to_string(),
                })
                .collect();
            return self.push(ty, &format!("v128.const i32x4 {}", lanes.join(" ")));
        }
        let value = match self.random.below(4) {
            0 => self
                .random
                .of(&["0", "1", "-1", "2", "31", "64"])
                .to_owned(),
            1 if ty == "i32" => (self.random.next() as i32).to_string(),
            1 if ty == "i64" => (self.random.next() as i64).to_string(),
            _ => self.random.below(100).to_string(),
        };
        self.push(ty, &format!("{ty}.const {value}"));
    }

    /// An operator and its operands.
    fn operator(&mut self, operator: &Operator, depth: usize) {
        for ty in &operator.params {
            self.value(ty, depth);
        }
        self.apply(operator);
    }

    /// An operator whose operands are at the top of the stack.
    fn apply(&mut self, operator: &Operator) {
        if operator.divides && !self.random.chance(self.wild) {
            let ty = operator.result;
            self.line(&format!("{ty}.const 1 {ty}.or"));
        }
        self.pop(operator.params.len());
        let line = match operator.lanes {
            Some(lanes) => format!("{} {}", operator.text, self.random.below(lanes)),
            None => operator.text.clone(),
        };
        self.push(operator.result, &line);
    }

    /// An operator on what is at the top of the stack, on so many operands, if there is one.
    pub(super) fn apply_to_top(&mut self, operands: usize) {
        let Some(first) = self.stack.len().checked_sub(operands) else {
            return;
        };
        let types = self.stack[first..].to_vec();
        if types == ["v128"; 2] && self.random.chance(15) {
            self.pop(2);
            let line = "i8x16.shuffle 0 17 2 19 4 21 6 23 31 30 29 28 3 2 1 0";
            return self.push("v128", line);
        }
        let fits = |operator: &Operator| operator.params == types;
        if let Some(operator) = operators::choose(&mut self.random, self.baseline, fits)
            // Conversions that trap do so for most operands.
            && (!operator.text.contains(".trunc_f") || self.random.chance(10))
        {
            self.apply(operator);
        }
    }

    pub(super) fn select(&mut self) {
        self.pop(2);
        match self.top(0) {
            Some(EXNREF) => self.line("select (result exnref)"),
            _ => self.line("select"),
        }
    }

    /// A load, of an address of its own.
    fn load(&mut self, ty: Type, depth: usize) {
        let memory = self.address(depth);
        let offset = self.offset();
        if ty == "v128" && self.random.chance(30) {
            let (bits, lanes) = self.random.of(LANES);
            self.value(ty, depth);
            self.pop(2);
            let lane = self.random.below(lanes);
            return self.push(
                ty,
                &format!("v128.load{bits}_lane {memory} offset={offset} {lane}"),
            );
        }
        self.pop(1);
        let op = self.random.of(of_type(LOADS, ty));
        self.push(ty, &format!("{op} {memory} offset={offset}"));
    }

    pub(super) fn store(&mut self) {
        if self.random.chance(10) {
            return self.atomic_store();
        }
        let ty = self.ty();
        let memory = self.address(2);
        self.value(ty, 3);
        self.pop(2);
        let offset = self.offset();
        if ty == "v128" && self.random.chance(60) {
            let (bits, lanes) = self.random.of(LANES);
            let lane = self.random.below(lanes);
            return self.line(&format!(
                "v128.store{bits}_lane {memory} offset={offset} {lane}"
            ));
        }
        let op = self.random.of(of_type(STORES, ty));
        self.line(&format!("{op} {memory} offset={offset}"));
    }

    /// Pushes an address, and answers of which memory. Most are inside it.
    pub(super) fn address(&mut self, depth: usize) -> usize {
        self.value("i32", depth);
        if !self.random.chance(self.wild) {
            self.line("i32.const 0xff i32.and");
        }
        let memory = match self.baseline {
            true => 0,
            false => self.random.of(&MEMORIES),
        };
        if memory == 2 {
            self.line("i64.extend_i32_u");
        }
        memory
    }

    pub(super) fn offset(&mut self) -> usize {
        // With the last one only some addresses are inside.
        match self.random.below(60) {
            0 => 65_530,
            n => [0, 0, 1, 3, 7, 8][n % 6],
        }
    }

    /// 128-bit arithmetic: its two results stay, or one goes.
    pub(super) fn wide(&mut self) {
        let (op, operands) = self.random.of(&[
            ("i64.add128", 4),
            ("i64.sub128", 4),
            ("i64.mul_wide_s", 2),
            ("i64.mul_wide_u", 2),
        ]);
        for _ in 0..operands {
            self.value("i64", 2);
        }
        self.pop(operands);
        self.line(op);
        self.stack.extend(["i64", "i64"]);
    }

    /// Adds the value at the top of the stack to a sum that outlives the run.
    pub(super) fn note(&mut self) {
        let ty = self.stack.pop().unwrap();
        let sum = GLOBALS.len();
        let bits = match ty {
            "i32" => "i64.extend_i32_u",
            "f32" => "i32.reinterpret_f32 i64.extend_i32_u",
            "f64" => "i64.reinterpret_f64",
            "v128" => self
                .random
                .of(&["i64x2.extract_lane 0", "i64x2.extract_lane 1"]),
            EXNREF => "ref.is_null i64.extend_i32_u",
            _ => "nop",
        };
        self.line(&format!(
            "{bits} global.get {sum} i64.add i64.const 7 i64.rotl global.set {sum}"
        ));
    }
}
