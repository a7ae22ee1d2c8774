//! Random programs in the text format: valid, and sure to end.
//!
//! What a program computes shows in a sum that outlives it, so that a value that is wrong anywhere is likely to be
//! seen. Few programs trap early. They have much of what translation has to be careful with: operands that wait
//! for what is computed above them; values that were on the stack at a label and are then teed; locals that are
//! set soon after.
//!
//! | module | what |
//! | --- | --- |
//! | `atomics` | atomic instructions |
//! | `operators` | the instructions that compute a value from operands |
//! | `values` | trees of them, loads and stores |
//! | `control` | calls, blocks and branches |
//! | `references` | references to functions |
//! | `exceptions` | throwing and catching |

mod atomics;
mod control;
mod exceptions;
mod operators;
mod references;
mod values;

use std::collections::HashMap;
use std::fmt::Write;

use control::By;

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

type Type = &'static str;

#[derive(Clone)]
struct Func {
    params: Vec<Type>,
    results: Vec<Type>,
    /// How its type is defined besides: final, or as one that has subtypes, maybe one itself.
    definition: Definition,
}

#[derive(Clone, Copy, PartialEq)]
enum Definition {
    Final,
    Open,
    /// A subtype of that of an earlier function with the same parameters and results.
    Below(usize),
}

struct Label {
    /// What a branch to it takes.
    operands: Vec<Type>,
    is_loop: bool,
    /// Whether the block is a `try` at one of its clauses.
    has_caught: bool,
}

/// What programs have of exceptions.
#[derive(Clone, Copy, PartialEq)]
enum Exceptions {
    Nothing,
    Standard,
    /// The instructions of the older proposal besides.
    Older,
}

/// A reference to an exception, or null: not among what operators compute with.
const EXNREF: Type = "exnref";

const TYPES: [Type; 6] = ["i32", "i64", "f32", "f64", "v128", "i32"];
/// Behind them stand the sum that values are noted in, how many calls are left, and an exception.
const GLOBALS: [Type; 6] = ["i32", "i64", "f32", "f64", "i32", "v128"];

struct Generator {
    random: Random,
    text: String,
    funcs: Vec<Func>,
    locals: Vec<Type>,
    /// Of each type, the local that was named last.
    favourites: HashMap<Type, usize>,
    /// The function at hand, and the number of its local that bounds loops.
    at: usize,
    fuel: usize,
    /// Which function the reference is to that its last local holds, or null.
    referent: usize,
    labels: Vec<Label>,
    /// Types of the operands pushed in the block at hand.
    stack: Vec<Type>,
    budget: usize,
    /// Operands on the stack below the block at hand.
    below: usize,
    /// Whether to keep to what the baseline tier has.
    baseline: bool,
    /// How many addresses and divisors of a hundred may be anything.
    wild: usize,
    exceptions: Exceptions,
    /// The types of each tag's values.
    tags: Vec<Vec<Type>>,
    /// The tags of exceptions that clauses around catch, as often as they do.
    caught: Vec<usize>,
    /// Whether the function at hand throws exceptions that it does not catch.
    escapes: bool,
}

/// So many addresses and divisors are anything, of a hundred, in programs that seldom trap, and in those that do.
const SELDOM: usize = 3;
const OFTEN: usize = 30;

/// A module whose function `main`, of no parameters, is index 2. Half of them throw exceptions.
pub fn module(seed: u64) -> String {
    generate(seed, false, SELDOM, half(seed))
}

/// The same of which most trap.
pub fn trapping_module(seed: u64) -> String {
    generate(seed, false, OFTEN, half(seed))
}

/// The same with nothing that the baseline tier leaves to the other.
pub fn baseline_module(seed: u64) -> String {
    generate(seed, true, SELDOM, half(seed))
}

/// The same of which all throw exceptions, and catch them by the instructions of the older proposal too.
pub fn older_exceptions_module(seed: u64) -> String {
    generate(seed, seed.is_multiple_of(2), SELDOM, Exceptions::Older)
}

fn half(seed: u64) -> Exceptions {
    match Random::new(seed ^ 0xe4c).chance(50) {
        true => Exceptions::Standard,
        false => Exceptions::Nothing,
    }
}

/// The instructions that programs compute values with.
pub fn operators() -> impl Iterator<Item = &'static str> {
    operators::names()
}

fn generate(seed: u64, baseline: bool, wild: usize, exceptions: Exceptions) -> String {
    let mut random = Random::new(seed);
    let throws = exceptions != Exceptions::Nothing;
    let chosen = |random: &mut Random| match throws && random.chance(6) {
        true => EXNREF,
        false => scalar(random.of(&TYPES), baseline),
    };
    let mut funcs = vec![
        Func {
            params: vec!["i32", "i64"],
            results: vec!["i32"],
            definition: Definition::Final,
        },
        Func {
            params: vec!["f64", "f32"],
            results: vec!["f64", "i32"],
            definition: Definition::Final,
        },
    ];
    let types = |random: &mut Random, most: usize| -> Vec<Type> {
        let count = few_or_many(random, most + 1);
        (0..count).map(|_| chosen(random)).collect()
    };
    let defined = 1 + random.below(5);
    for n in 0..defined {
        // Now and then all of it is the same, and the type is a subtype.
        let open: Vec<usize> = (0..funcs.len())
            .filter(|at| n > 0 && funcs[*at].definition != Definition::Final)
            .collect();
        if !open.is_empty() && random.chance(40) {
            let above = random.of(&open);
            let func: &Func = &funcs[above];
            funcs.push(Func {
                definition: Definition::Below(above),
                ..func.clone()
            });
            continue;
        }
        let params = if n == 0 {
            Vec::new()
        } else {
            types(&mut random, 5)
        };
        let definition = match random.chance(40) {
            true => Definition::Open,
            false => Definition::Final,
        };
        // Often the same as the function's before, so that it can end with a call.
        let results = match funcs.last() {
            Some(last) if random.chance(50) => last.results.clone(),
            _ => types(&mut random, 3),
        };
        funcs.push(Func {
            params,
            results,
            definition,
        });
    }
    let tags = match throws {
        true => exceptions::tags(&mut random, &funcs, types),
        false => Vec::new(),
    };
    let mut generator = Generator {
        random,
        text: String::new(),
        funcs,
        locals: Vec::new(),
        favourites: HashMap::new(),
        at: 0,
        fuel: 0,
        referent: 0,
        labels: Vec::new(),
        stack: Vec::new(),
        budget: 0,
        below: 0,
        baseline,
        wild,
        exceptions,
        tags,
        caught: Vec::new(),
        escapes: false,
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
fn scalar(ty: Type, has_to_be: bool) -> Type {
    match ty {
        "v128" if has_to_be => "i64",
        ty => ty,
    }
}

fn list(keyword: &str, types: &[Type]) -> String {
    if types.is_empty() {
        String::new()
    } else {
        format!(" ({keyword} {})", types.join(" "))
    }
}

impl Generator {
    fn ty(&mut self) -> Type {
        scalar(self.random.of(&TYPES), self.baseline)
    }

    /// A type of what is in locals, and of what blocks take and give.
    fn any_type(&mut self) -> Type {
        match self.throws() && self.random.chance(6) {
            true => EXNREF,
            false => self.ty(),
        }
    }

    fn module(&mut self) {
        self.text.push_str("(module\n");
        for (n, func) in self.funcs.clone().iter().enumerate() {
            let ty = list("param", &func.params) + &list("result", &func.results);
            let ty = match func.definition {
                Definition::Final => format!("(func{ty})"),
                Definition::Open => format!("(sub (func{ty}))"),
                Definition::Below(above) => format!("(sub {above} (func{ty}))"),
            };
            writeln!(self.text, " (type {ty})").unwrap();
            if n < 2 {
                writeln!(self.text, " (import \"host\" \"f{n}\" (func (type {n})))").unwrap();
            }
        }
        self.define_tags();
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
        let calls = 10 + self.random.below(30);
        writeln!(self.text, " (global (mut i64) (i64.const 1))").unwrap();
        writeln!(self.text, " (global (mut i32) (i32.const {calls}))").unwrap();
        if self.throws() {
            self.text
                .push_str(" (global (mut exnref) (ref.null exn))\n");
        }
        for memory in 0..3 {
            let at = if memory == 2 { "i64" } else { "i32" };
            let bytes: String = (0..256)
                .map(|_| format!("\\{:02x}", self.random.below(256)))
                .collect();
            writeln!(
                self.text,
                " (data (memory {memory}) ({at}.const 0) \"{bytes}\")"
            )
            .unwrap();
        }
        let all: Vec<String> = (0..self.funcs.len()).map(|n| n.to_string()).collect();
        let (all, size) = (all.join(" "), self.funcs.len() + 1);
        writeln!(
            self.text,
            " (table {size} funcref) (table i64 {size} funcref)
 (elem (table 0) (i32.const 0) func {all})
 (elem (table 1) (i64.const 0) func {all})"
        )
        .unwrap();
        for at in 2..self.funcs.len() {
            self.function(at);
        }
        self.text.push_str(")\n");
    }

    fn function(&mut self, at: usize) {
        let func = self.funcs[at].clone();
        let extra = self.random.below(6);
        let later = self.funcs.len() - at - 1;
        // What its reference is to; a reference to a function further down is called by nobody.
        self.referent = match later {
            0 => at,
            _ => at + 1 + self.random.below(later),
        };
        self.locals.clone_from(&func.params);
        let locals: Vec<Type> = (0..extra).map(|_| self.any_type()).collect();
        self.locals.extend(&locals);
        self.favourites.clear();
        self.at = at;
        self.fuel = self.locals.len();
        self.budget = 10 + self.random.below(80);
        writeln!(
            self.text,
            " (func (type {at}){} (local i32 (ref null {}))",
            list("local", &locals),
            self.referent
        )
        .unwrap();
        let calls = GLOBALS.len() + 1;
        self.labels = vec![Label {
            operands: func.results.clone(),
            is_loop: false,
            has_caught: false,
        }];
        self.caught.clear();
        // What nobody catches ends the program.
        self.escapes = self.throws() && self.random.chance(if at == 2 { 10 } else { 60 });
        self.line(&format!("global.get {calls} i32.eqz"));
        self.return_if();
        self.line(&format!(
            "global.get {calls} i32.const 1 i32.sub global.set {calls}"
        ));
        let fuel = self.random.below(5) + 1;
        self.line(&format!("i32.const {fuel} local.set {}", self.fuel));
        self.stack = Vec::new();
        self.throw_early();
        if self.block_body(&func.results) {
            self.stack = Vec::new();
            for local in 0..self.fuel {
                if self.random.chance(70) {
                    self.push(self.locals[local], &format!("local.get {local}"));
                    self.note();
                }
            }
        }
        self.text.push_str(" )\n");
    }

    /// Returns something if the i32 at the top of the stack, which is not in `self.stack`, is not zero.
    fn return_if(&mut self) {
        let results = &self.funcs[self.at].results;
        let values: Vec<String> = (results.iter())
            .map(|ty| match *ty {
                "v128" => "v128.const i64x2 5 6".to_owned(),
                EXNREF => "ref.null exn".to_owned(),
                ty => format!("{ty}.const 5"),
            })
            .collect();
        self.line(&format!("if {} return end", values.join(" ")));
    }

    fn line(&mut self, line: &str) {
        writeln!(self.text, "  {}{line}", " ".repeat(self.labels.len())).unwrap();
    }

    /// Instructions up to the end of a block whose operands are `self.stack`. Answers whether its end can be
    /// reached.
    fn block_body(&mut self, results: &[Type]) -> bool {
        while self.budget > 0 && self.random.chance(93) {
            self.budget -= 1;
            if !self.instruction() {
                if self.random.chance(50) {
                    self.dead_code();
                }
                return false;
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
        true
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
        let ty = self.stack[self.stack.len() - 1];
        if ty == EXNREF {
            return self.consume_exception();
        }
        match self.random.below(10) {
            0 => {
                self.pop(1);
                self.line("drop");
            }
            1..4 if self.local(ty).is_some() => self.set_local("local.set"),
            4 | 5 => {
                let global = GLOBALS.iter().position(|global| *global == ty).unwrap();
                self.pop(1);
                self.line(&format!("global.set {global}"));
            }
            _ => self.note(),
        }
    }

    /// A local of a type, more often than not the one that was named last.
    fn local(&mut self, ty: Type) -> Option<usize> {
        let locals: Vec<usize> = (0..self.fuel).filter(|n| self.locals[*n] == ty).collect();
        match self.favourites.get(ty) {
            Some(local) if self.random.chance(60) => Some(*local),
            _ => (!locals.is_empty()).then(|| self.random.of(&locals)),
        }
    }

    /// Sets or tees a local from the top of the stack, if there is one of its type.
    fn set_local(&mut self, op: &str) {
        let ty = self.stack[self.stack.len() - 1];
        if let Some(local) = self.local(ty) {
            self.favourites.insert(ty, local);
            self.line(&format!("{op} {local}"));
            if op == "local.set" {
                self.pop(1);
            }
        }
    }

    /// Tees what is at the top of the stack, where a label may have been just before, and then often sets the
    /// same local.
    fn tee(&mut self) {
        let Some(ty) = self.top(0) else { return };
        self.set_local("local.tee");
        if self.random.chance(60) {
            self.value(ty, 1);
            match self.local(ty) {
                Some(_) => self.set_local("local.set"),
                None => self.note(),
            }
        }
    }

    fn push(&mut self, ty: Type, line: &str) {
        self.line(line);
        self.stack.push(ty);
    }

    fn top(&self, n: usize) -> Option<Type> {
        self.stack.len().checked_sub(n + 1).map(|at| self.stack[at])
    }

    /// Pushes operands, unless by chance they are there already.
    fn operands(&mut self, types: &[Type]) {
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
        let later = self.funcs.len() - self.at - 1;
        let choices = if self.throws() { 33 } else { 28 };
        if !self.caught.is_empty() && self.random.chance(8) {
            return self.maybe_throw();
        }
        match self.random.below(choices) {
            28.. => return self.exceptional(),
            0..3 => {
                let ty = self.ty();
                self.value(ty, 3);
            }
            3 => self.apply_to_top(1),
            4..7 => self.apply_to_top(2),
            7 => self.apply_to_top(3),
            8 if self.top(0).is_some() => self.consume(),
            9 if self.top(0).is_some() => self.set_local("local.set"),
            10 => self.tee(),
            11 | 12 => self.store(),
            13 if same => {
                self.value("i32", 2);
                self.select();
            }
            14 | 16 if later > 0 => {
                let func = self.at + 1 + self.random.below(later);
                let by = self.way_to_call();
                self.call(func, by);
            }
            15 => {
                let func = self.random.below(2);
                self.call(func, By::Number);
            }
            17 if !self.baseline && self.random.chance(30) => self.wide(),
            17 => self.runtime(),
            26 | 27 => self.reference(),
            18..21 => self.nested(),
            21 | 22 => self.br_if(),
            23 if self.random.chance(30) => return self.leave(),
            24 if self.random.chance(30) => return self.br_table(),
            _ => {
                let ty = self.ty();
                if let Some(local) = self.local(ty) {
                    self.push(ty, &format!("local.get {local}"));
                }
            }
        }
        true
    }
}
