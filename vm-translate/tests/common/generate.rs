//! Random programs in the text format: valid, and sure to end.

use std::fmt::Write;

/// A small generator of random numbers (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, n: usize) -> usize {
        ((self.next() >> 32) % n as u64) as usize
    }

    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }
}

type Ty = &'static str;

#[derive(Clone)]
struct Func {
    params: Vec<Ty>,
    results: Vec<Ty>,
}

struct Label {
    /// What a branch to it takes.
    operands: Vec<Ty>,
    is_loop: bool,
}

const TYPES: [Ty; 6] = ["i32", "i64", "f32", "f64", "v128", "i32"];
const GLOBALS: [Ty; 6] = ["i32", "i64", "f32", "f64", "i32", "v128"];
/// A memory, one with another index, one with 64-bit addresses.
const MEMORIES: [usize; 6] = [0, 0, 0, 0, 1, 2];

struct Generator {
    random: Random,
    text: String,
    funcs: Vec<Func>,
    locals: Vec<Ty>,
    /// The function at hand, the number of its local that bounds loops, and its results.
    at: usize,
    fuel: usize,
    labels: Vec<Label>,
    /// Types of the operands pushed in the block at hand.
    stack: Vec<Ty>,
    budget: usize,
    /// Operands on the stack below the block at hand.
    below: usize,
    /// Whether to keep to what the baseline tier has.
    baseline: bool,
}

/// A module whose function `main`, of no parameters, is index 2.
pub fn module(seed: u64) -> String {
    generate(seed, false)
}

/// The same with nothing that the baseline tier leaves to the other.
pub fn baseline_module(seed: u64) -> String {
    generate(seed, true)
}

fn generate(seed: u64, baseline: bool) -> String {
    let mut random = Random::new(seed);
    let chosen = |random: &mut Random| scalar(random.of(&TYPES), baseline);
    let mut funcs = vec![
        Func {
            params: vec!["i32", "i64"],
            results: vec!["i32"],
        },
        Func {
            params: vec!["f64", "f32"],
            results: vec!["f64", "i32"],
        },
    ];
    let types = |random: &mut Random, most: usize| -> Vec<Ty> {
        let count = few_or_many(random, most + 1);
        (0..count).map(|_| chosen(random)).collect()
    };
    let defined = 1 + random.below(5);
    for n in 0..defined {
        let params = if n == 0 {
            Vec::new()
        } else {
            types(&mut random, 5)
        };
        // Often the same as the function's before, so that it can end with a call.
        let results = match funcs.last() {
            Some(last) if random.chance(50) => last.results.clone(),
            _ => types(&mut random, 3),
        };
        funcs.push(Func { params, results });
    }
    let mut generator = Generator {
        random,
        text: String::new(),
        funcs,
        locals: Vec::new(),
        at: 0,
        fuel: 0,
        labels: Vec::new(),
        stack: Vec::new(),
        budget: 0,
        below: 0,
        baseline,
    };
    generator.module();
    generator.text
}

/// How many values: mostly fewer than that, but now and then so many that they are worth an instruction of their own.
fn few_or_many(random: &mut Random, bound: usize) -> usize {
    match random.chance(8) {
        true => 8 + random.below(5),
        false => random.below(bound),
    }
}

/// The type, or one that is no vector if it has to be.
fn scalar(ty: Ty, has_to_be: bool) -> Ty {
    match ty {
        "v128" if has_to_be => "i64",
        ty => ty,
    }
}

fn list(keyword: &str, types: &[Ty]) -> String {
    if types.is_empty() {
        String::new()
    } else {
        format!(" ({keyword} {})", types.join(" "))
    }
}

impl Generator {
    fn ty(&mut self) -> Ty {
        scalar(self.random.of(&TYPES), self.baseline)
    }

    fn module(&mut self) {
        self.text.push_str("(module\n");
        for (n, func) in self.funcs.clone().iter().enumerate() {
            let ty = list("param", &func.params) + &list("result", &func.results);
            writeln!(self.text, " (type (func{ty}))").unwrap();
            if n < 2 {
                writeln!(self.text, " (import \"host\" \"f{n}\" (func (type {n})))").unwrap();
            }
        }
        self.text
            .push_str(" (memory 1)\n (memory 1)\n (memory i64 1)\n");
        for ty in GLOBALS {
            let value = match ty {
                "v128" => "(v128.const i32x4 7 -7 77 -77)".to_owned(),
                "i32" | "i64" => format!(
                    "({ty}.mul ({ty}.const 3) ({ty}.sub ({ty}.const -5) ({ty}.const {})))",
                    self.random.below(9)
                ),
                _ => format!("({ty}.const 7)"),
            };
            writeln!(self.text, " (global (mut {ty}) {value})").unwrap();
        }
        let all: Vec<String> = (0..self.funcs.len()).map(|n| n.to_string()).collect();
        writeln!(self.text, " (table {} funcref)", self.funcs.len() + 1).unwrap();
        writeln!(self.text, " (elem (i32.const 0) func {})", all.join(" ")).unwrap();
        for at in 2..self.funcs.len() {
            self.function(at);
        }
        self.text.push_str(")\n");
    }

    fn function(&mut self, at: usize) {
        let func = self.funcs[at].clone();
        let extra = self.random.below(6);
        self.locals.clone_from(&func.params);
        let locals: Vec<Ty> = (0..extra).map(|_| self.ty()).collect();
        self.locals.extend(&locals);
        self.at = at;
        self.fuel = self.locals.len();
        self.budget = 10 + self.random.below(80);
        writeln!(
            self.text,
            " (func (type {at}){} (local i32)",
            list("local", &locals)
        )
        .unwrap();
        let fuel = self.random.below(5) + 1;
        self.line(&format!("i32.const {fuel} local.set {}", self.fuel));
        self.labels = vec![Label {
            operands: func.results.clone(),
            is_loop: false,
        }];
        self.stack = Vec::new();
        self.block_body(&func.results);
        self.text.push_str(" )\n");
    }

    fn line(&mut self, line: &str) {
        writeln!(self.text, "  {}{line}", " ".repeat(self.labels.len())).unwrap();
    }

    /// Instructions up to the end of a block whose operands are `self.stack`.
    fn block_body(&mut self, results: &[Ty]) {
        while self.budget > 0 && self.random.chance(93) {
            self.budget -= 1;
            if !self.instruction() {
                if self.random.chance(50) {
                    self.dead_code();
                }
                return;
            }
        }
        // Often what is there already will do; else it goes and the results are made anew.
        if !self.stack.ends_with(results) || self.stack.len() > results.len() {
            while !self.stack.is_empty() {
                self.consume();
            }
            if self.budget > 0 && self.random.chance(30) {
                // The last thing in a block is a block.
                self.nested_to(results);
            } else {
                for ty in results {
                    self.value(ty, 2);
                }
            }
        }
    }

    /// Code that cannot be reached but has to be valid.
    fn dead_code(&mut self) {
        self.line("i32.const 1 if (result i32) i32.const 2 else unreachable end drop");
        self.line("block br 0 end");
        if self.random.chance(50) {
            self.line("i32.add drop unreachable");
        } else {
            self.line("br 0");
        }
    }

    fn consume(&mut self) {
        let ty = self.stack.pop().unwrap();
        match self.random.below(3) {
            0 => self.line("drop"),
            1 => match self.local(ty) {
                Some(local) => self.line(&format!("local.set {local}")),
                None => self.line("drop"),
            },
            _ => {
                let global = GLOBALS.iter().position(|global| *global == ty).unwrap();
                self.line(&format!("global.set {global}"));
            }
        }
    }

    fn local(&mut self, ty: Ty) -> Option<usize> {
        let locals: Vec<usize> = (0..self.fuel).filter(|n| self.locals[*n] == ty).collect();
        (!locals.is_empty()).then(|| self.random.of(&locals))
    }

    fn push(&mut self, ty: Ty, line: &str) {
        self.line(line);
        self.stack.push(ty);
    }

    /// Pushes a value of a type.
    fn value(&mut self, ty: Ty, depth: usize) {
        let choice = if depth == 0 {
            self.random.below(2)
        } else {
            self.random.below(8)
        };
        match choice {
            0 => self.constant(ty),
            1 => match self.local(ty) {
                Some(local) => self.push(ty, &format!("local.get {local}")),
                None => self.constant(ty),
            },
            2 => {
                let global = GLOBALS.iter().position(|global| *global == ty).unwrap();
                self.push(ty, &format!("global.get {global}"));
            }
            3 => {
                self.value("i32", depth - 1);
                self.load(ty);
            }
            4 => {
                self.value(ty, depth - 1);
                self.unary();
                if *self.stack.last().unwrap() != ty {
                    self.line("drop");
                    self.stack.pop();
                    self.constant(ty);
                }
            }
            5 => {
                self.value(ty, depth - 1);
                self.value(ty, depth - 1);
                self.value("i32", depth - 1);
                self.select();
            }
            _ => {
                self.value(ty, depth - 1);
                self.value(ty, depth - 1);
                self.binary(false);
            }
        }
    }

    fn constant(&mut self, ty: Ty) {
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

    fn load(&mut self, ty: Ty) {
        self.bound_address();
        let memory = self.memory();
        self.stack.pop();
        let op = match ty {
            "v128" => self.random.of(&[
                "load",
                "load",
                "load32_splat",
                "load64_zero",
                "load8x8_u",
                "load16_lane",
            ]),
            "i32" => self
                .random
                .of(&["load", "load8_s", "load8_u", "load16_s", "load16_u"]),
            "i64" => self
                .random
                .of(&["load", "load8_s", "load16_u", "load32_s", "load32_u"]),
            _ => "load",
        };
        let offset = self.random.of(&[0, 0, 1, 8, 65_530]);
        if op == "load16_lane" {
            self.constant("v128");
            self.stack.pop();
            let lane = self.random.below(8);
            return self.push(
                ty,
                &format!("v128.load16_lane {memory} offset={offset} {lane}"),
            );
        }
        self.push(ty, &format!("{ty}.{op} {memory} offset={offset}"));
    }

    /// Chooses a memory, and makes the i32 at the top of the stack an address in it.
    fn memory(&mut self) -> usize {
        let memory = match self.baseline {
            true => 0,
            false => self.random.of(&MEMORIES),
        };
        if memory == 2 {
            self.line("i64.extend_i32_u");
        }
        memory
    }

    /// Keeps most addresses inside the memory.
    fn bound_address(&mut self) {
        if self.random.chance(85) {
            self.line("i32.const 0xff i32.and");
        }
    }

    fn unary(&mut self) {
        let ty = self.stack.pop().unwrap();
        let (to, op) = match ty {
            "i32" => self.random.of(&[
                ("i32", "i32.eqz"),
                ("i32", "i32.eqz"),
                ("i32", "i32.clz"),
                ("i32", "i32.popcnt"),
                ("i32", "i32.extend8_s"),
                ("i64", "i64.extend_i32_s"),
                ("i64", "i64.extend_i32_u"),
                ("f32", "f32.convert_i32_s"),
                ("f64", "f64.convert_i32_s"),
                ("f32", "f32.reinterpret_i32"),
                ("v128", "i8x16.splat"),
                ("v128", "i32x4.splat"),
            ]),
            "i64" => self.random.of(&[
                ("i32", "i64.eqz"),
                ("i64", "i64.ctz"),
                ("i32", "i32.wrap_i64"),
                ("i64", "i64.extend32_s"),
                ("f64", "f64.convert_i64_s"),
                ("f64", "f64.reinterpret_i64"),
                ("v128", "i64x2.splat"),
            ]),
            "v128" => self.random.of(&[
                ("v128", "v128.not"),
                ("v128", "i16x8.extend_low_i8x16_u"),
                ("v128", "i64x2.extend_low_i32x4_s"),
                ("v128", "i32.const 3 i32x4.shl"),
                ("v128", "i32.const 37 i32x4.shr_u"),
                ("v128", "i32.const 65 i64x2.shr_s"),
                ("v128", "i32.const 200 i8x16.replace_lane 15"),
                ("v128", "i32.const -1 i32x4.replace_lane 2"),
                ("i32", "v128.any_true"),
                ("i32", "i32x4.all_true"),
                ("i32", "i8x16.bitmask"),
                ("i32", "i8x16.extract_lane_s 3"),
                ("i32", "i16x8.extract_lane_u 7"),
                ("i32", "i32x4.extract_lane 1"),
                ("i64", "i64x2.extract_lane 1"),
            ]),
            "f32" => self.random.of(&[
                ("f32", "f32.neg"),
                ("i32", "i32.reinterpret_f32"),
                ("f64", "f64.promote_f32"),
                ("i32", "i32.trunc_f32_s"),
            ]),
            _ => self.random.of(&[
                ("f64", "f64.neg"),
                ("i64", "i64.reinterpret_f64"),
                ("f32", "f32.demote_f64"),
                ("i32", "i32.trunc_f64_s"),
            ]),
        };
        let (to, op) = match to {
            "v128" if self.baseline => ("i32", "drop i32.const 11"),
            _ => (to, op),
        };
        self.push(to, op);
    }

    /// An operator on two operands of one type at the top of the stack.
    fn binary(&mut self, compare: bool) {
        self.stack.pop();
        let ty = self.stack.pop().unwrap();
        let float = ty.starts_with('f');
        if ty == "v128" {
            let op = if compare {
                self.random
                    .of(&["i8x16.eq v128.any_true", "i32x4.lt_s i8x16.bitmask"])
            } else {
                self.random.of(&[
                    "v128.and",
                    "v128.andnot",
                    "v128.or",
                    "v128.xor",
                    "i8x16.add",
                    "i16x8.sub",
                    "i32x4.add",
                    "i32x4.mul",
                    "i64x2.add",
                    "i64x2.sub",
                    "i8x16.eq",
                    "i32x4.lt_s",
                    "i32x4.gt_s",
                    "i8x16.shuffle 0 17 2 19 4 21 6 23 31 30 29 28 3 2 1 0",
                    "v128.const i64x2 0x00ff00ff00ff00ff -1 v128.bitselect",
                ])
            };
            let result = if compare { "i32" } else { "v128" };
            return self.push(result, op);
        }
        if compare {
            let op = if float {
                self.random.of(&["eq", "lt"])
            } else {
                self.random.of(&[
                    "eq", "ne", "lt_s", "lt_u", "gt_s", "gt_u", "le_s", "le_u", "ge_s", "ge_u",
                ])
            };
            self.push("i32", &format!("{ty}.{op}"));
        } else {
            let op = if float {
                self.random.of(&["add", "sub", "mul", "div"])
            } else {
                self.random.of(&[
                    "add", "add", "sub", "mul", "and", "or", "xor", "shl", "shr_s", "shr_u",
                    "rotl", "div_s", "div_u", "rem_s", "rem_u",
                ])
            };
            self.push(ty, &format!("{ty}.{op}"));
        }
    }

    fn select(&mut self) {
        self.stack.pop();
        self.stack.pop();
        self.line("select");
    }

    fn top(&self, n: usize) -> Option<Ty> {
        self.stack.len().checked_sub(n + 1).map(|at| self.stack[at])
    }

    /// Pushes operands, unless by chance they are there already.
    fn operands(&mut self, types: &[Ty]) {
        if !self.stack.ends_with(types) || self.random.chance(50) {
            for ty in types {
                self.value(ty, 2);
            }
        }
    }

    fn pop(&mut self, count: usize) {
        self.stack.truncate(self.stack.len() - count);
    }

    /// Emits an instruction or a few. Returns whether what follows can be reached.
    fn instruction(&mut self) -> bool {
        let same = self.top(0).is_some() && self.top(0) == self.top(1);
        match self.random.below(24) {
            0..4 => {
                let ty = self.ty();
                self.value(ty, 2);
            }
            4 if self.top(0).is_some() => self.unary(),
            5 | 6 if same => self.binary(false),
            7 if same => self.binary(true),
            8 if self.top(0).is_some() => self.consume(),
            9 | 10 => {
                if let Some(ty) = self.top(0)
                    && let Some(local) = self.local(ty)
                {
                    let op = self.random.of(&["local.set", "local.tee"]);
                    self.line(&format!("{op} {local}"));
                    if op == "local.set" {
                        self.stack.pop();
                    }
                }
            }
            11 | 12 => {
                let ty = self.ty();
                self.value("i32", 1);
                self.bound_address();
                let memory = self.memory();
                self.value(ty, 2);
                self.pop(2);
                let offset = self.text.len() % 5;
                if ty == "v128" && self.random.chance(30) {
                    let lane = self.random.below(4);
                    self.line(&format!(
                        "v128.store32_lane {memory} offset={offset} {lane}"
                    ));
                    return true;
                }
                let op = match ty {
                    "i32" => self.random.of(&["store", "store8", "store16"]),
                    "i64" => self.random.of(&["store", "store8", "store32"]),
                    _ => "store",
                };
                self.line(&format!("{ty}.{op} {memory} offset={offset}"));
            }
            13 if same => {
                self.value("i32", 2);
                self.select();
            }
            14 if self.at + 1 < self.funcs.len() => {
                let func = self.at + 1 + self.random.below(self.funcs.len() - self.at - 1);
                self.call(func, false);
            }
            15 => {
                let func = self.random.below(2);
                self.call(func, false);
            }
            16 if self.at + 1 < self.funcs.len() => {
                let func = self.at + 1 + self.random.below(self.funcs.len() - self.at - 1);
                self.call(func, true);
            }
            17 if !self.baseline && self.random.chance(30) => self.wide(),
            17 => self.runtime(),
            18 | 19 => self.nested(),
            20 => self.br_if(),
            21 => return self.leave(),
            22 => return self.br_table(),
            _ => {
                let ty = self.ty();
                if let Some(local) = self.local(ty) {
                    self.push(ty, &format!("local.get {local}"));
                }
            }
        }
        true
    }

    fn call(&mut self, func: usize, indirect: bool) {
        let Func { params, results } = self.funcs[func].clone();
        self.operands(&params);
        if indirect {
            // Mostly the right one: never an earlier one, which would make it recursive.
            if self.random.chance(10) {
                let index = self.funcs.len() + self.random.below(2);
                self.line(&format!("i32.const {index}"));
            } else {
                self.line(&format!("i32.const {func}"));
            }
            if self.random.chance(50) {
                self.line("i32.const 0 i32.load offset=70 i32.const 0 i32.and i32.add");
            }
            self.line(&format!("call_indirect (type {func})"));
        } else {
            self.line(&format!("call {func}"));
        }
        self.pop(params.len());
        self.stack.extend(results);
    }

    /// 128-bit arithmetic: its two results stay, or one goes.
    fn wide(&mut self) {
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

    fn runtime(&mut self) {
        let choices = if self.baseline { 4 } else { 7 };
        let memories = if self.baseline { 1 } else { 2 };
        match self.random.below(choices) {
            0 => {
                let memory = self.random.below(memories);
                self.push("i32", &format!("memory.size {memory}"));
            }
            1 => {
                let memory = self.random.below(memories);
                self.value("i32", 1);
                self.line(&format!("i32.const 1 i32.and memory.grow {memory}"));
            }
            4 => {
                self.value("i64", 1);
                self.line("i64.const 1 i64.and memory.grow 2");
            }
            5 => {
                // From a memory of one kind of addresses to one of the other.
                for (ty, mask) in [("i64", 0xfff), ("i32", 0xfff), ("i32", 0xff)] {
                    self.value(ty, 2);
                    self.line(&format!("{ty}.const {mask} {ty}.and"));
                }
                self.pop(3);
                self.line("memory.copy 2 0");
            }
            2 => {
                for mask in [0xfff, 0xff, 0xff] {
                    self.value("i32", 2);
                    self.line(&format!("i32.const {mask} i32.and"));
                }
                self.pop(3);
                let memory = self.random.below(memories);
                self.line(&format!("memory.fill {memory}"));
            }
            3 => {
                for mask in [0xfff, 0x1ffff, 0xff] {
                    self.value("i32", 2);
                    self.line(&format!("i32.const {mask} i32.and"));
                }
                self.pop(3);
                let memories = match self.baseline {
                    true => "0 0",
                    false => self.random.of(&["0 0", "0 0", "0 1", "1 0"]),
                };
                self.line(&format!("memory.copy {memories}"));
            }
            _ => self.push("i32", "ref.func 2 ref.is_null"),
        }
    }

    /// A block, loop or if with some of the operands at hand as parameters.
    fn nested(&mut self) {
        // Sometimes what another function takes.
        let callees = self.at + 1..self.funcs.len();
        let callee = (!callees.is_empty() && self.random.chance(25))
            .then(|| callees.start + self.random.below(callees.len()));
        if let Some(func) = callee {
            let params = self.funcs[func].params.clone();
            self.nested_to(&params);
            let indirect = self.random.chance(30);
            return self.call(func, indirect);
        }
        let count = few_or_many(&mut self.random, 3);
        let results: Vec<Ty> = (0..count).map(|_| self.ty()).collect();
        self.nested_to(&results);
        // A result that goes straight to a local.
        if let [ty] = results[..]
            && self.top(0) == Some(ty)
            && self.random.chance(60)
            && let Some(local) = self.local(ty)
        {
            let op = self.random.of(&["local.set", "local.tee"]);
            self.line(&format!("{op} {local}"));
            if op == "local.set" {
                self.stack.pop();
            }
        }
    }

    fn nested_to(&mut self, results: &[Ty]) {
        if self.labels.len() > 6 {
            for ty in results {
                self.value(ty, 1);
            }
            return;
        }
        let kind = self.random.of(&["block", "loop", "if"]);
        let mut count = few_or_many(&mut self.random, 3).min(self.stack.len());
        if self.baseline && kind == "loop" {
            // Loops begin with nothing on the stack.
            count = 0;
            while !self.stack.is_empty() {
                self.consume();
            }
            if self.below > 0 {
                return results.iter().for_each(|ty| self.value(ty, 1));
            }
        }
        let params = self.stack.split_off(self.stack.len() - count);
        let results = results.to_vec();
        if kind == "if" {
            self.value("i32", 3);
            self.stack.pop();
        }
        let ty = list("param", &params) + &list("result", &results);
        self.line(&format!("{kind}{ty}"));
        let is_loop = kind == "loop";
        let operands = if is_loop { &params } else { &results };
        self.labels.push(Label {
            operands: operands.clone(),
            is_loop,
        });
        let outer = std::mem::replace(&mut self.stack, params.clone());
        self.below += outer.len();
        self.block_body(&results);
        if kind == "if" && (params != results || self.random.chance(70)) {
            self.line("else");
            self.stack = params;
            self.block_body(&results);
        }
        self.below -= outer.len();
        self.stack = outer;
        self.labels.pop();
        self.line("end");
        self.stack.extend(results);
    }

    /// A branch's target; first what bounds loops.
    fn target(&mut self) -> (usize, Vec<Ty>) {
        let depth = self.random.below(self.labels.len());
        let label = &self.labels[self.labels.len() - 1 - depth];
        let operands = label.operands.clone();
        if label.is_loop {
            self.burn();
        }
        (depth, operands)
    }

    fn burn(&mut self) {
        let fuel = self.fuel;
        self.line(&format!("local.get {fuel} i32.eqz if unreachable end"));
        self.line(&format!(
            "local.get {fuel} i32.const 1 i32.sub local.set {fuel}"
        ));
    }

    fn br_if(&mut self) {
        let (depth, operands) = self.target();
        self.operands(&operands);
        if self.random.chance(50) {
            self.value("i32", 3);
        } else {
            let ty = self.ty();
            self.value(ty, 2);
            self.value(ty, 2);
            self.binary(true);
        }
        self.stack.pop();
        self.line(&format!("br_if {depth}"));
    }

    /// A call in the place of the function, if one with its results comes later.
    fn tail_call(&mut self) -> bool {
        if self.baseline {
            return false;
        }
        let results = &self.funcs[self.at].results;
        let same = |func: &usize| self.funcs[*func].results == *results;
        let mut callees: Vec<usize> = (self.at + 1..self.funcs.len()).filter(same).collect();
        callees.extend((0..2).filter(same));
        if callees.is_empty() {
            return false;
        }
        let func = self.random.of(&callees);
        let params = self.funcs[func].params.clone();
        self.operands(&params);
        if self.random.chance(30) {
            self.line(&format!(
                "i32.const {func} return_call_indirect (type {func})"
            ));
        } else {
            self.line(&format!("return_call {func}"));
        }
        true
    }

    fn leave(&mut self) -> bool {
        match self.random.below(7) {
            5 | 6 if self.tail_call() => {}
            0 => {
                let results = self.funcs[self.at].results.clone();
                self.operands(&results);
                self.line("return");
            }
            1 if self.random.chance(20) => self.line("unreachable"),
            _ => {
                let (depth, operands) = self.target();
                self.operands(&operands);
                self.line(&format!("br {depth}"));
            }
        }
        false
    }

    fn br_table(&mut self) -> bool {
        let (depth, operands) = self.target();
        let same: Vec<usize> = (0..self.labels.len())
            .filter(|depth| self.labels[self.labels.len() - 1 - depth].operands == operands)
            .collect();
        if same
            .iter()
            .any(|depth| self.labels[self.labels.len() - 1 - depth].is_loop)
        {
            self.burn();
        }
        self.operands(&operands);
        self.value("i32", 3);
        let count = self.random.below(4);
        let targets: Vec<String> = (0..count)
            .map(|_| self.random.of(&same).to_string())
            .collect();
        if self.random.chance(80) {
            self.line("i32.const 3 i32.and");
        }
        self.line(&format!("br_table {} {depth}", targets.join(" ")));
        false
    }
}
