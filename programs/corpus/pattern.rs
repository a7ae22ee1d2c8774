//! A regular expression matcher: parsed, compiled to a small program, run as a set of threads (Pike)
//! and by backtracking; both have to agree.

mod common;

use common::{Random, run};

const STANDARD_ROUNDS: u32 = 90;

#[derive(Clone, Copy, Debug)]
enum Op {
    Byte(u8),
    Any,
    Class(u8, u8),
    Split(usize, usize),
    Jump(usize),
    Match,
}

struct Compiler<'a> {
    text: &'a [u8],
    at: usize,
    ops: Vec<Op>,
}

impl Compiler<'_> {
    fn alternatives(&mut self) {
        let start = self.ops.len();
        self.sequence();
        while self.text.get(self.at) == Some(&b'|') {
            self.at += 1;
            self.insert(start, Op::Split(start + 1, self.ops.len() + 2));
            let jump = self.ops.len();
            self.ops.push(Op::Match);
            self.sequence();
            self.ops[jump] = Op::Jump(self.ops.len());
        }
    }

    fn sequence(&mut self) {
        while !matches!(self.text.get(self.at), None | Some(b'|' | b')')) {
            let start = self.ops.len();
            self.atom();
            let next = self.ops.len() + 1;
            match self.text.get(self.at) {
                Some(b'*') => {
                    self.insert(start, Op::Split(start + 1, next + 1));
                    self.ops.push(Op::Jump(start));
                }
                Some(b'+') => self.ops.push(Op::Split(start, next)),
                Some(b'?') => self.insert(start, Op::Split(start + 1, next)),
                _ => continue,
            }
            self.at += 1;
        }
    }

    fn atom(&mut self) {
        let byte = self.text[self.at];
        self.at += 1;
        match byte {
            b'(' => {
                self.alternatives();
                self.at += 1;
            }
            b'.' => self.ops.push(Op::Any),
            b'[' => {
                self.ops
                    .push(Op::Class(self.text[self.at], self.text[self.at + 2]));
                self.at += 4;
            }
            _ => self.ops.push(Op::Byte(byte)),
        }
    }

    /// Inserts an instruction and moves the targets behind it.
    fn insert(&mut self, at: usize, op: Op) {
        let moved = |target: usize| if target >= at { target + 1 } else { target };
        for op in &mut self.ops[at..] {
            match op {
                Op::Split(a, b) => (*a, *b) = (moved(*a), moved(*b)),
                Op::Jump(target) => *target = moved(*target),
                _ => {}
            }
        }
        self.ops.insert(at, op);
    }
}

fn compile(pattern: &str) -> Vec<Op> {
    let mut compiler = Compiler {
        text: pattern.as_bytes(),
        at: 0,
        ops: Vec::new(),
    };
    compiler.alternatives();
    compiler.ops.push(Op::Match);
    compiler.ops
}

fn accepts(op: Op, byte: u8) -> bool {
    match op {
        Op::Byte(wanted) => wanted == byte,
        Op::Any => true,
        Op::Class(least, greatest) => (least..=greatest).contains(&byte),
        _ => false,
    }
}

fn follow(ops: &[Op], at: usize, seen: &mut [u32], step: u32, threads: &mut Vec<usize>) {
    if seen[at] == step {
        return;
    }
    seen[at] = step;
    match ops[at] {
        Op::Jump(target) => follow(ops, target, seen, step, threads),
        Op::Split(a, b) => {
            follow(ops, a, seen, step, threads);
            follow(ops, b, seen, step, threads);
        }
        _ => threads.push(at),
    }
}

/// How many prefixes of `text` match.
fn threads(ops: &[Op], text: &[u8]) -> u32 {
    let (mut now, mut next, mut seen) = (Vec::new(), Vec::new(), vec![0; ops.len()]);
    let mut matches = 0;
    follow(ops, 0, &mut seen, 1, &mut now);
    for (step, byte) in (2..).zip(text.iter().map(Some).chain([None])) {
        matches += u32::from(now.iter().any(|at| matches!(ops[*at], Op::Match)));
        let Some(byte) = byte else { break };
        for at in now.drain(..) {
            if accepts(ops[at], *byte) {
                follow(ops, at + 1, &mut seen, step, &mut next);
            }
        }
        std::mem::swap(&mut now, &mut next);
    }
    matches
}

/// Whether a prefix of `text` matches; patterns here have no loop around nothing.
fn backtrack(ops: &[Op], at: usize, text: &[u8]) -> bool {
    match ops[at] {
        Op::Match => true,
        Op::Jump(target) => backtrack(ops, target, text),
        Op::Split(a, b) => backtrack(ops, a, text) || backtrack(ops, b, text),
        op => text
            .split_first()
            .is_some_and(|(byte, rest)| accepts(op, *byte) && backtrack(ops, at + 1, rest)),
    }
}

fn main() {
    let patterns = [
        "(a|b)*abb",
        "a+b?c",
        "[a-c]+d.*e",
        "(ab|ba)+(c|d)?e",
        ".*(abc|bcd)",
        "a(bc)*d",
    ];
    let programs = patterns.map(compile);
    let mut random = Random::new(34);
    run(STANDARD_ROUNDS, |digest| {
        for program in &programs {
            for _ in 0..60 {
                let text: Vec<u8> = (0..24).map(|_| b'a' + random.below(5) as u8).collect();
                let count = threads(program, &text);
                assert_eq!(count > 0, backtrack(program, 0, &text));
                digest.add(u64::from(count));
            }
        }
    });
}
