//! The x86-64 back end: GNU assembler text in Intel syntax, System V calling convention.
//!
//! | role | register |
//! | --- | --- |
//! | instruction pointer, frame, memory, context | rbx, r12, r14, r15 |
//! | scratch: S0, Address, S1, S2 | rax, rcx, rdx, r11 |
//! | values 0 .. 6 | rbp, r13, rsi, rdi, r8, r9, r10 |
//! | float scratch | xmm0, xmm1, xmm8 |
//! | float values 0 .. 5 | xmm2 .. xmm7 |
//! | vector scratch | xmm9 .. xmm15 |
//!
//! `rsp` stays where the entry trampoline put it: handlers push nothing. Below it stand the
//! registers that the calling convention does not preserve, while a called function runs.

mod atomics;
mod conversions;
mod length;
mod vectors;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::asm::*;
use crate::layout::{Handler, Jump, Piece};

/// How handlers go on: with the handler of the cell that `rbx` points to.
pub(crate) const DISPATCH: &str = "jmp [rbx]";

/// Value registers that a call of the executor's functions must save, by their number: all that the
/// calling convention lets a function change, the temporary one too. To translation, an operator
/// without a template is one like any other, and a temporary may live across it.
const VOLATILE: [u8; 5] = [2, 3, 4, 5, 6];
/// Float registers, all volatile.
const FLOATS: u8 = 6;
/// Bytes below the trampoline's saved registers: volatile registers, then the addresses of the flag
/// that the run has been asked to end, and of the activation's flag. Keeps `rsp` aligned to 16 at calls: 7 words are above (six registers and
/// the return address).
pub(crate) const SPILL_BYTES: u32 = 104;
const FLAG: u32 = 96;
const ASKED: u32 = 88;
const FLOAT_SPILL: u32 = 40;

pub(crate) struct X86_64 {
    pub(crate) text: String,
    labels: u32,
    /// How far the handler at hand has come with what can end the run.
    sites: Sites,
    /// Exits from what is not its handler's first to end the run, with its number.
    exits: BTreeSet<(String, usize)>,
    /// The handler at hand, as far as it has come.
    pieces: Vec<Piece>,
    /// How many bytes it takes at most since the last piece.
    bytes: usize,
    /// Where its text goes on since then.
    from: usize,
}

/// What can end the run in a handler.
#[derive(Default)]
struct Sites {
    /// How many there have been; the last is the one at hand.
    count: usize,
    /// Whether the one at hand is an access that may fault.
    faults: bool,
    /// The accesses that may fault: of those that are not the first, where they are, and their numbers.
    accesses: usize,
    marked: Vec<(Label, usize)>,
}

fn name(width: Width, reg: Reg) -> &'static str {
    let (wide, narrow) = match reg {
        Reg::Ip => ("rbx", "ebx"),
        Reg::Frame => ("r12", "r12d"),
        Reg::Memory => ("r14", "r14d"),
        Reg::Context => ("r15", "r15d"),
        Reg::S0 => ("rax", "eax"),
        Reg::Address => ("rcx", "ecx"),
        Reg::S1 => ("rdx", "edx"),
        Reg::S2 => ("r11", "r11d"),
        Reg::Value(0) => ("rbp", "ebp"),
        Reg::Value(1) => ("r13", "r13d"),
        Reg::Value(2) => ("rsi", "esi"),
        Reg::Value(3) => ("rdi", "edi"),
        Reg::Value(4) => ("r8", "r8d"),
        Reg::Value(5) => ("r9", "r9d"),
        Reg::Value(6) => ("r10", "r10d"),
        Reg::Value(n) => panic!("no register for value {n}"),
    };
    if width == Width::W64 { wide } else { narrow }
}

fn narrow_name(bytes: u32, reg: Reg) -> String {
    let wide = name(Width::W64, reg);
    match (bytes, wide) {
        (1, "rax") => "al".into(),
        (1, "rbx") => "bl".into(),
        (1, "rcx") => "cl".into(),
        (1, "rdx") => "dl".into(),
        (1, "rsi" | "rdi" | "rbp") => format!("{}l", &wide[1..]),
        (1, _) => format!("{wide}b"),
        (2, _) if wide.as_bytes()[1].is_ascii_digit() => format!("{wide}w"),
        (2, _) => wide[1..].into(),
        (4, _) => name(Width::W32, reg).into(),
        _ => wide.into(),
    }
}

fn float_name(float: Float) -> String {
    match float {
        Float::S0 => "xmm0".into(),
        Float::S1 => "xmm1".into(),
        Float::S2 => "xmm8".into(),
        Float::Value(n) => format!("xmm{}", n + 2),
        Float::Vector(n) => format!("xmm{}", n + 9),
    }
}

fn mem(mem: Mem) -> String {
    match mem {
        Mem::Operand(offset) => format!("[rbx + {offset}]"),
        Mem::Slot(reg) => format!("[r12 + {}]", name(Width::W64, reg)),
        Mem::Guest(reg) => format!("[r14 + {}]", name(Width::W64, reg)),
        Mem::ContextWord(reg) => format!("[r15 + {}]", name(Width::W64, reg)),
        Mem::At(reg, offset) => format!("[{} + {offset}]", name(Width::W64, reg)),
    }
}

fn size(width: Width) -> &'static str {
    match width {
        Width::W32 => "dword ptr ",
        Width::W64 => "qword ptr ",
    }
}

fn size_of_bytes(bytes: u32) -> &'static str {
    match bytes {
        1 => "byte ptr ",
        2 => "word ptr ",
        4 => size(Width::W32),
        _ => size(Width::W64),
    }
}

fn source(width: Width, src: Src) -> String {
    match src {
        Src::Reg(reg) => name(width, reg).into(),
        Src::Mem(m) => format!("{}{}", size(width), mem(m)),
    }
}

fn float_source(width: Width, src: FloatSrc) -> String {
    match src {
        FloatSrc::Reg(float) => float_name(float),
        FloatSrc::Mem(m) => format!("{}{}", size(width), mem(m)),
    }
}

/// The suffix of a scalar float instruction.
fn scalar(width: Width) -> &'static str {
    match width {
        Width::W32 => "ss",
        Width::W64 => "sd",
    }
}

/// The suffix of a packed float instruction.
fn packed(width: Width) -> &'static str {
    match width {
        Width::W32 => "ps",
        Width::W64 => "pd",
    }
}

fn condition(cond: Cond) -> &'static str {
    match cond {
        Cond::Eq => "e",
        Cond::Ne => "ne",
        Cond::LtS => "l",
        Cond::LtU => "b",
        Cond::GtS => "g",
        Cond::GtU => "a",
        Cond::LeS => "le",
        Cond::LeU => "be",
        Cond::GeS => "ge",
        Cond::GeU => "ae",
    }
}

fn exit_name(exit: Exit) -> String {
    format!("palisade_exit_{}", exit as u32)
}

fn site_exit(exit: &str, number: usize) -> String {
    format!("{exit}_site_{number}")
}

/// Names the place at the end of the text for Rust.
pub(crate) fn global(text: &mut String, name: &str) {
    let _ = writeln!(text, "\t.globl {name}\n\t.hidden {name}\n{name}:");
}

impl X86_64 {
    pub(crate) fn new() -> X86_64 {
        X86_64 {
            text: String::new(),
            labels: 0,
            sites: Sites::default(),
            exits: BTreeSet::new(),
            pieces: Vec::new(),
            bytes: 0,
            from: 0,
        }
    }

    fn line(&mut self, args: std::fmt::Arguments<'_>) {
        let start = self.text.len();
        self.text.push('\t');
        let _ = self.text.write_fmt(args);
        self.bytes += length::instruction(&self.text[start..]);
        self.text.push('\n');
        // Whatever the instruction is: it may fault just if it goes through the memory's base.
        if self.sites.faults && self.text[start..].contains("[r14 + ") {
            self.sites.accesses += 1;
            if let number @ 1.. = self.sites.count - 1 {
                let label = self.new_label();
                self.text.insert_str(start, &format!(".L{}:\n", label.0));
                self.sites.marked.push((label, number));
            }
        }
    }

    /// The place to jump to in order to end the run. Of what is not its handler's first to do so that place says
    /// which it was, at no cost to who does not go there.
    fn exit_place(&mut self, exit: Exit) -> String {
        let name = exit_name(exit);
        match self.sites.count {
            0 | 1 => name,
            count => {
                let place = site_exit(&name, count - 1);
                self.exits.insert((name, count - 1));
                place
            }
        }
    }

    /// Starts a handler.
    pub(crate) fn begin(&mut self, number: usize) {
        self.sites = Sites::default();
        self.from = self.text.len();
        self.bytes = 0;
        let _ = writeln!(self.text, ".Lh{number}:");
    }

    /// Takes it out of the text.
    pub(crate) fn take_handler(&mut self) -> Handler {
        if self.bytes > 0 {
            self.end_piece(None);
        }
        let Sites {
            count,
            accesses,
            marked,
            ..
        } = std::mem::take(&mut self.sites);
        Handler {
            pieces: std::mem::take(&mut self.pieces),
            traps: count,
            accesses,
            sites: marked,
        }
    }

    fn end_piece(&mut self, jump: Option<Jump>) {
        self.pieces.push(Piece {
            text: self.text.split_off(self.from),
            bytes: std::mem::take(&mut self.bytes),
            jump,
        });
    }

    /// Goes on with the cell that `rbx` points to.
    fn jump(&mut self, jump: Jump) {
        self.line(format_args!("{DISPATCH}"));
        self.end_piece(Some(jump));
    }

    /// Where exits of handlers lead that are not from their first site: the place that stopped the run is so many
    /// bytes into its cell.
    pub(crate) fn site_exits(&mut self) {
        for (name, number) in std::mem::take(&mut self.exits) {
            self.place(&site_exit(&name, number));
            self.line(format_args!("add rbx, {number}"));
            self.line(format_args!("jmp {name}"));
        }
    }

    /// The list of accesses that are not their handler's first site, given in the order of their addresses,
    /// with their numbers in the handler.
    pub(crate) fn sites(&mut self, sites: &[(Label, usize)]) {
        self.text.push_str("\t.p2align 2\n");
        global(&mut self.text, "palisade_sites");
        for (label, number) in sites {
            let _ = writeln!(
                self.text,
                "\t.long .L{} - palisade_enter, {number}",
                label.0
            );
        }
    }

    fn place(&mut self, name: &str) {
        let _ = writeln!(self.text, "{name}:");
    }

    /// The entry trampoline, the ways out and the landing pad.
    ///
    /// `u32 palisade_enter(first cell, frame, context, function object, flag, asked)`. The flag is a
    /// byte that is not zero while guest code runs; the other one is not zero if the run has been asked to
    /// end, which is looked at whenever the first has been set. From then on the thread may be told by a signal.
    pub(crate) fn trampoline(&mut self, trap_codes: &[(Exit, u32)], fault: u32) {
        let saved = ["rbx", "rbp", "r12", "r13", "r14", "r15"];
        self.text.push_str(
            "\t.globl palisade_enter\n\t.hidden palisade_enter\n\t.type palisade_enter, @function\n\t.p2align 4\npalisade_enter:\n\t.cfi_startproc\n",
        );
        for (n, reg) in saved.iter().enumerate() {
            self.line(format_args!("push {reg}"));
            self.line(format_args!(".cfi_def_cfa_offset {}", 16 + 8 * n));
            self.line(format_args!(".cfi_offset {reg}, {}", -16 - 8 * n as i32));
        }
        self.line(format_args!("sub rsp, {SPILL_BYTES}"));
        self.line(format_args!(".cfi_def_cfa_offset {}", 56 + SPILL_BYTES));
        self.line(format_args!("mov [rsp + {FLAG}], r8"));
        self.line(format_args!("mov [rsp + {ASKED}], r9"));
        self.line(format_args!("mov rbx, rdi"));
        self.line(format_args!("mov r12, rsi"));
        self.line(format_args!("mov r15, rdx"));
        self.line(format_args!("mov r14, [r15]"));
        self.line(format_args!("mov byte ptr [r8], 1"));
        global(&mut self.text, "palisade_armed");
        self.line(format_args!("cmp byte ptr [r9], 0"));
        self.line(format_args!("jne {}", exit_name(Exit::Interrupt)));
        self.line(format_args!("{DISPATCH}"));
        global(&mut self.text, "palisade_started");

        for (exit, code) in trap_codes {
            self.place(&exit_name(*exit));
            self.line(format_args!("mov eax, {code}"));
            self.line(format_args!("jmp {}", exit_name(Exit::Status)));
        }
        global(&mut self.text, "palisade_landing_pad");
        self.line(format_args!("mov eax, {fault}"));
        // The runtime's first three words say where the run stopped, see context.rs.
        self.place(&exit_name(Exit::Status));
        self.line(format_args!("mov rcx, [r15 + 24]"));
        self.line(format_args!("mov [rcx], rbx"));
        self.line(format_args!("mov [rcx + 8], r12"));
        self.line(format_args!("mov [rcx + 16], r15"));
        // And these, with what the run would go on.
        for (n, at) in crate::control::saved_ints() {
            let reg = name(Width::W64, Reg::Value(n));
            self.line(format_args!("mov [rcx + {at}], {reg}"));
        }
        for (n, at) in crate::control::saved_floats() {
            let reg = float_name(Float::Value(n));
            self.line(format_args!("movsd [rcx + {at}], {reg}"));
        }
        self.place("palisade_leave");
        self.line(format_args!("mov rcx, [rsp + {FLAG}]"));
        self.line(format_args!("mov byte ptr [rcx], 0"));
        self.line(format_args!("add rsp, {SPILL_BYTES}"));
        self.line(format_args!(".cfi_remember_state"));
        self.line(format_args!(".cfi_def_cfa_offset 56"));
        for (n, reg) in saved.iter().enumerate().rev() {
            self.line(format_args!("pop {reg}"));
            self.line(format_args!(".cfi_def_cfa_offset {}", 8 + 8 * n));
        }
        self.line(format_args!("ret"));
        // All handlers stand in this function and keep `rsp`: one description serves them all.
        self.line(format_args!(".cfi_restore_state"));
    }

    /// The handler of [`crate::fixed::Fixed::Exit`].
    pub(crate) fn leave(&mut self) {
        self.line(format_args!("xor eax, eax"));
        self.line(format_args!("jmp palisade_leave"));
    }

    pub(crate) fn end(&mut self) {
        self.text
            .push_str("\t.cfi_endproc\n\t.size palisade_enter, . - palisade_enter\n");
    }

    /// The constant masks that some float operators need.
    pub(crate) fn constants(&mut self) {
        self.text.push_str(
            "\t.p2align 4\n\
             palisade_sign_ps:\t.long 0x80000000, 0, 0, 0\n\
             palisade_sign_pd:\t.quad 0x8000000000000000, 0\n\
             palisade_abs_ps:\t.long 0x7fffffff, 0, 0, 0\n\
             palisade_abs_pd:\t.quad 0x7fffffffffffffff, 0\n",
        );
        self.text.push_str(&vectors::constants());
    }
}

impl Assembler for X86_64 {
    fn new_label(&mut self) -> Label {
        self.labels += 1;
        Label(self.labels)
    }

    fn bind(&mut self, label: Label) {
        self.place(&format!(".L{}", label.0));
    }

    fn load(&mut self, width: Width, dst: Reg, src: Src) {
        if let Src::Reg(reg) = src
            && reg == dst
            && width == Width::W64
        {
            return;
        }
        self.line(format_args!(
            "mov {}, {}",
            name(width, dst),
            source(width, src)
        ));
    }

    fn load_signed32(&mut self, dst: Reg, m: Mem) {
        self.line(format_args!(
            "movsxd {}, dword ptr {}",
            name(Width::W64, dst),
            mem(m)
        ));
    }

    fn store(&mut self, width: Width, m: Mem, src: Reg) {
        self.line(format_args!("mov {}, {}", mem(m), name(width, src)));
    }

    fn store_narrow(&mut self, bytes: u32, m: Mem, src: Reg) {
        self.line(format_args!("mov {}, {}", mem(m), narrow_name(bytes, src)));
    }

    fn load_extend(&mut self, extend: Extend, dst: Reg, m: Mem) {
        let dst64 = name(Width::W64, dst);
        let dst32 = name(Width::W32, dst);
        let to = name(extend.to, dst);
        let m = mem(m);
        match (extend.bytes, extend.signed) {
            (1, true) => self.line(format_args!("movsx {to}, byte ptr {m}")),
            (2, true) => self.line(format_args!("movsx {to}, word ptr {m}")),
            (4, true) if extend.to == Width::W64 => {
                self.line(format_args!("movsxd {dst64}, dword ptr {m}"));
            }
            (1, false) => self.line(format_args!("movzx {dst32}, byte ptr {m}")),
            (2, false) => self.line(format_args!("movzx {dst32}, word ptr {m}")),
            (4, _) => self.line(format_args!("mov {dst32}, dword ptr {m}")),
            _ => self.line(format_args!("mov {dst64}, qword ptr {m}")),
        }
    }

    fn zero(&mut self, dst: Reg) {
        let dst = name(Width::W32, dst);
        self.line(format_args!("xor {dst}, {dst}"));
    }

    fn alu(&mut self, op: Alu, width: Width, dst: Reg, src: Src) {
        let op = match op {
            Alu::Add => "add",
            Alu::Sub => "sub",
            Alu::AddCarry => "adc",
            Alu::SubBorrow => "sbb",
            Alu::And => "and",
            Alu::Or => "or",
            Alu::Xor => "xor",
            Alu::Mul => "imul",
        };
        self.line(format_args!(
            "{op} {}, {}",
            name(width, dst),
            source(width, src)
        ));
    }

    fn address_of(&mut self, dst: Reg, m: Mem) {
        self.line(format_args!("lea {}, {}", name(Width::W64, dst), mem(m)));
    }

    fn table_entry(&mut self, dst: Reg, index: Reg) {
        let wide = |reg| name(Width::W64, reg);
        self.line(format_args!("lea {}, [rbx + 8*{}]", wide(dst), wide(index)));
    }

    fn table_element(&mut self, dst: Reg, index: Reg) {
        let wide = |reg| name(Width::W64, reg);
        self.line(format_args!("mov {0}, [{0}]", wide(dst)));
        self.line(format_args!(
            "mov {0}, [{0} + 8*{1}]",
            wide(dst),
            wide(index)
        ));
    }

    fn shift(&mut self, op: Shift, width: Width, dst: Reg, count: Src) {
        let op = match op {
            Shift::Shl => "shl",
            Shift::ShrS => "sar",
            Shift::ShrU => "shr",
            Shift::Rotl => "rol",
            Shift::Rotr => "ror",
        };
        // Only the low bits count, so the count's width does not matter.
        self.load_count(count);
        self.line(format_args!("{op} {}, cl", name(width, dst)));
    }

    fn unary(&mut self, op: Unary, width: Width, dst: Reg, src: Reg) {
        let to = name(width, dst);
        let from = name(width, src);
        let bits = if width == Width::W32 { 32 } else { 64 };
        match op {
            // Without lzcnt and tzcnt, which are not part of x86-64-v2.
            Unary::Clz => {
                self.line(format_args!("mov ecx, {}", 2 * bits - 1));
                self.line(format_args!("bsr {to}, {from}"));
                self.line(format_args!("cmovz {to}, {}", name(width, Reg::Address)));
                self.line(format_args!("xor {to}, {}", bits - 1));
            }
            Unary::Ctz => {
                self.line(format_args!("mov ecx, {bits}"));
                self.line(format_args!("bsf {to}, {from}"));
                self.line(format_args!("cmovz {to}, {}", name(width, Reg::Address)));
            }
            Unary::Popcnt => self.line(format_args!("popcnt {to}, {from}")),
            Unary::Extend8 => self.line(format_args!("movsx {to}, {}", narrow_name(1, src))),
            Unary::Extend16 => self.line(format_args!("movsx {to}, {}", narrow_name(2, src))),
            Unary::Extend32 => self.line(format_args!("movsxd {to}, {}", narrow_name(4, src))),
        }
    }

    fn div(&mut self, op: Div, width: Width, dst: Reg, dividend: Src, divisor: Src) {
        let divisor_name = name(width, Reg::Address);
        let low = name(width, Reg::S0);
        self.load(width, Reg::Address, divisor);
        self.load(width, Reg::S0, dividend);
        self.test(width, Reg::Address);
        self.exit_if(Cond::Eq, Exit::DivideByZero);
        let (signed, result) = match op {
            Div::DivS => (true, Reg::S0),
            Div::DivU => (false, Reg::S0),
            Div::RemS => (true, Reg::S1),
            Div::RemU => (false, Reg::S1),
        };
        if signed {
            let divide = self.new_label();
            let done = self.new_label();
            self.line(format_args!("cmp {divisor_name}, -1"));
            self.line(format_args!("jne .L{}", divide.0));
            if op == Div::RemS {
                self.zero(Reg::S1);
            } else {
                // Overflows just for the least dividend.
                self.line(format_args!("neg {low}"));
                let overflow = self.exit_place(Exit::IntegerOverflow);
                self.line(format_args!("jo {overflow}"));
            }
            self.line(format_args!("jmp .L{}", done.0));
            self.bind(divide);
            self.line(format_args!(
                "{}",
                if width == Width::W32 { "cdq" } else { "cqo" }
            ));
            self.line(format_args!("idiv {divisor_name}"));
            self.bind(done);
        } else {
            self.zero(Reg::S1);
            self.line(format_args!("div {divisor_name}"));
        }
        if result != dst {
            self.load(width, dst, Src::Reg(result));
        }
    }

    fn mul_wide(&mut self, signed: bool, src: Src) {
        let op = if signed { "imul" } else { "mul" };
        self.line(format_args!("{op} {}", source(Width::W64, src)));
    }

    fn compare(&mut self, width: Width, a: Reg, b: Src) {
        self.line(format_args!("cmp {}, {}", name(width, a), source(width, b)));
    }

    fn test(&mut self, width: Width, a: Reg) {
        self.line(format_args!("test {0}, {0}", name(width, a)));
    }

    fn set_condition(&mut self, cond: Cond, dst: Reg) {
        let low = narrow_name(1, dst);
        self.line(format_args!("set{} {low}", condition(cond)));
        self.line(format_args!("movzx {}, {low}", name(Width::W32, dst)));
    }

    fn move_unless(&mut self, cond: Cond, width: Width, dst: Reg, src: Reg) {
        self.line(format_args!(
            "cmov{} {}, {}",
            condition(cond.negated()),
            name(width, dst),
            name(width, src)
        ));
    }

    fn jump_if(&mut self, cond: Cond, label: Label) {
        self.line(format_args!("j{} .L{}", condition(cond), label.0));
    }

    fn jump_far_if(&mut self, cond: Cond, label: Label) {
        let condition = condition(cond);
        self.line(format_args!("{{disp32}} j{condition} .L{}", label.0));
    }

    fn jump_always(&mut self, label: Label) {
        self.line(format_args!("jmp .L{}", label.0));
    }

    fn trap_site(&mut self, faults: bool) {
        self.sites.count += 1;
        self.sites.faults = faults;
    }

    fn exit_if(&mut self, cond: Cond, exit: Exit) {
        let place = self.exit_place(exit);
        self.line(format_args!("j{} {place}", condition(cond)));
    }

    fn exit(&mut self, exit: Exit) {
        let place = self.exit_place(exit);
        self.line(format_args!("jmp {place}"));
    }

    fn float_load(&mut self, width: Width, dst: Float, src: FloatSrc) {
        let to = float_name(dst);
        match src {
            FloatSrc::Reg(reg) if reg == dst => {}
            FloatSrc::Reg(reg) => self.line(format_args!("movaps {to}, {}", float_name(reg))),
            FloatSrc::Mem(_) => self.line(format_args!(
                "mov{} {to}, {}",
                scalar(width),
                float_source(width, src)
            )),
        }
    }

    fn float_store(&mut self, width: Width, m: Mem, src: Float) {
        self.line(format_args!(
            "mov{} {}, {}",
            scalar(width),
            mem(m),
            float_name(src)
        ));
    }

    fn float_alu(&mut self, op: FloatAlu, width: Width, dst: Float, src: FloatSrc) {
        let to = float_name(dst);
        let from = float_source(width, src);
        let (s, p) = (scalar(width), packed(width));
        match op {
            FloatAlu::Add => self.line(format_args!("add{s} {to}, {from}")),
            FloatAlu::Sub => self.line(format_args!("sub{s} {to}, {from}")),
            FloatAlu::Mul => self.line(format_args!("mul{s} {to}, {from}")),
            FloatAlu::Div => self.line(format_args!("div{s} {to}, {from}")),
            FloatAlu::Min | FloatAlu::Max => {
                let (name, combine) = if op == FloatAlu::Min {
                    ("min", "or")
                } else {
                    ("max", "and")
                };
                let (differ, nan, done) = (self.new_label(), self.new_label(), self.new_label());
                // Through a register: the packed operators read 16 bytes.
                self.float_load(width, Float::S2, src);
                self.line(format_args!("ucomi{s} {to}, xmm8"));
                self.line(format_args!("jne .L{}", differ.0));
                self.line(format_args!("jp .L{}", nan.0));
                // Equal: the same, or zeros of either sign.
                self.line(format_args!("{combine}{p} {to}, xmm8"));
                self.line(format_args!("jmp .L{}", done.0));
                self.bind(nan);
                self.line(format_args!("add{s} {to}, xmm8"));
                self.line(format_args!("jmp .L{}", done.0));
                self.bind(differ);
                self.line(format_args!("{name}{s} {to}, xmm8"));
                self.bind(done);
            }
            FloatAlu::Copysign => {
                self.float_load(width, Float::S2, src);
                self.line(format_args!("and{p} xmm8, [rip + palisade_sign_{p}]"));
                self.line(format_args!("and{p} {to}, [rip + palisade_abs_{p}]"));
                self.line(format_args!("or{p} {to}, xmm8"));
            }
        }
    }

    fn float_unary(&mut self, op: FloatUnary, width: Width, dst: Float, src: FloatSrc) {
        let to = float_name(dst);
        let (s, p) = (scalar(width), packed(width));
        let round = match op {
            FloatUnary::Abs => {
                self.float_load(width, dst, src);
                return self.line(format_args!("and{p} {to}, [rip + palisade_abs_{p}]"));
            }
            FloatUnary::Neg => {
                self.float_load(width, dst, src);
                return self.line(format_args!("xor{p} {to}, [rip + palisade_sign_{p}]"));
            }
            FloatUnary::Canonical => {
                let number = self.new_label();
                self.float_load(width, dst, src);
                self.line(format_args!("ucomi{s} {to}, {to}"));
                self.line(format_args!("jnp .L{}", number.0));
                self.line(format_args!("mov{s} {to}, [rip + palisade_v_nan_{p}]"));
                return self.bind(number);
            }
            FloatUnary::Sqrt => {
                let from = float_source(width, src);
                return self.line(format_args!("sqrt{s} {to}, {from}"));
            }
            // Bit 3 keeps the inexact flag quiet.
            FloatUnary::Nearest => 8,
            FloatUnary::Floor => 9,
            FloatUnary::Ceil => 10,
            FloatUnary::Trunc => 11,
        };
        let from = float_source(width, src);
        self.line(format_args!("round{s} {to}, {from}, {round}"));
    }

    fn float_jump_unless(
        &mut self,
        cond: FloatCond,
        width: Width,
        a: Float,
        b: Float,
        label: Label,
    ) {
        let (first, second, jumps): (_, _, &[&str]) = match cond {
            FloatCond::Eq => (a, b, &["jne", "jp"]),
            FloatCond::Ne => (a, b, &[]),
            FloatCond::Gt => (a, b, &["jbe"]),
            FloatCond::Ge => (a, b, &["jb"]),
            FloatCond::Lt => (b, a, &["jbe"]),
            FloatCond::Le => (b, a, &["jb"]),
        };
        self.line(format_args!(
            "ucomi{} {}, {}",
            scalar(width),
            float_name(first),
            float_name(second)
        ));
        if cond == FloatCond::Ne {
            let holds = self.new_label();
            self.line(format_args!("jp .L{}", holds.0));
            self.line(format_args!("je .L{}", label.0));
            self.bind(holds);
        }
        for jump in jumps {
            self.line(format_args!("{jump} .L{}", label.0));
        }
    }

    fn float_set_condition(&mut self, cond: FloatCond, width: Width, a: Float, b: Float, dst: Reg) {
        let over = self.new_label();
        self.zero(dst);
        self.float_jump_unless(cond, width, a, b, over);
        self.line(format_args!("mov {}, 1", name(Width::W32, dst)));
        self.bind(over);
    }

    fn float_to_bits(&mut self, width: Width, dst: Reg, src: Float) {
        let op = if width == Width::W32 { "movd" } else { "movq" };
        self.line(format_args!(
            "{op} {}, {}",
            name(width, dst),
            float_name(src)
        ));
    }

    fn float_from_bits(&mut self, width: Width, dst: Float, src: Reg) {
        let op = if width == Width::W32 { "movd" } else { "movq" };
        self.line(format_args!(
            "{op} {}, {}",
            float_name(dst),
            name(width, src)
        ));
    }

    fn float_resize(&mut self, to: Width, dst: Float, src: FloatSrc) {
        let (op, from) = match to {
            Width::W32 => ("cvtsd2ss", Width::W64),
            Width::W64 => ("cvtss2sd", Width::W32),
        };
        self.line(format_args!(
            "{op} {}, {}",
            float_name(dst),
            float_source(from, src)
        ));
    }

    fn float_from_int(&mut self, to: Width, dst: Float, from: Width, src: Reg) {
        let float = float_name(dst);
        // The conversion keeps the upper half, and so waits for whoever wrote it.
        self.line(format_args!("xorps {float}, {float}"));
        self.line(format_args!(
            "cvtsi2{} {float}, {}",
            scalar(to),
            name(from, src)
        ));
    }

    fn float_from_unsigned(&mut self, to: Width, dst: Float, src: Reg) {
        self.unsigned_to_float(to, dst, src);
    }

    fn float_saturate(&mut self, to: Width, signed: bool, dst: Reg, from: Width, src: Float) {
        self.saturate(to, signed, dst, from, src);
    }

    fn float_to_int(&mut self, to: Width, signed: bool, dst: Reg, from: Width, src: Float) {
        if (to, signed) == (Width::W64, false) {
            return self.float_to_unsigned(false, dst, from, src);
        }
        let s = scalar(from);
        let float = float_name(src);
        let (good, wide) = (self.new_label(), name(Width::W64, dst));
        let invalid = self.exit_place(Exit::InvalidConversion);
        self.line(format_args!("cvtt{s}2si {wide}, {float}"));
        match (to, signed) {
            (Width::W32, _) => {
                // In range just if 32 bits hold the 64-bit result.
                let narrow = name(Width::W32, dst);
                if signed {
                    self.line(format_args!("movsxd rcx, {narrow}"));
                } else {
                    self.line(format_args!("mov ecx, {narrow}"));
                }
                self.line(format_args!("cmp {wide}, rcx"));
            }
            (Width::W64, _) => {
                // Failure gives the least integer, which is also a good result for its own value.
                self.line(format_args!("mov rcx, {wide}"));
                self.line(format_args!("neg rcx"));
                self.line(format_args!("jno .L{}", good.0));
                match from {
                    Width::W32 => {
                        self.line(format_args!("mov ecx, 0xdf000000"));
                        self.line(format_args!("movd xmm8, ecx"));
                    }
                    Width::W64 => {
                        self.line(format_args!("mov rcx, 0xc3e0000000000000"));
                        self.line(format_args!("movq xmm8, rcx"));
                    }
                }
                self.line(format_args!("ucomi{s} {float}, xmm8"));
                self.line(format_args!("jp {invalid}"));
            }
        }
        self.line(format_args!("je .L{}", good.0));
        self.line(format_args!("ucomi{s} {float}, {float}"));
        self.line(format_args!("jp {invalid}"));
        self.exit(Exit::IntegerOverflow);
        self.bind(good);
        if to == Width::W32 {
            self.load(Width::W32, dst, Src::Reg(dst));
        }
    }

    fn dispatch(&mut self, bytes: u32) {
        self.line(format_args!("add rbx, {bytes}"));
        self.jump(Jump::Next);
    }

    fn branch(&mut self, operand: u32) {
        self.branch_to(Mem::Operand(operand));
    }

    fn dispatch_here(&mut self) {
        self.jump(Jump::Away);
    }

    fn branch_to(&mut self, m: Mem) {
        self.line(format_args!("mov rbx, {}", mem(m)));
        self.jump(Jump::Away);
    }

    fn call(&mut self, callee: Callee, arguments: &[Reg], operands: &[u32]) {
        const ARGUMENTS: [&str; 5] = ["rdi", "rsi", "rdx", "rcx", "r8"];
        // All that functions pin is preserved, not just what this one does: a function saves what it
        // takes, so the rest belongs to its callers.
        let (ints, floats) = match callee {
            Callee::Host => (crate::fixed::PINNED_INTS, crate::fixed::PINNED_FLOATS),
            _ => (u8::MAX, FLOATS),
        };
        let saved = || (0..).zip(VOLATILE).filter(|(_, value)| *value < ints);
        for (n, value) in saved() {
            let reg = name(Width::W64, Reg::Value(value));
            self.line(format_args!("mov [rsp + {}], {reg}", 8 * n));
        }
        for n in 0..floats {
            let reg = float_name(Float::Value(n));
            let at = FLOAT_SPILL + 8 * u32::from(n);
            self.line(format_args!("movsd [rsp + {at}], {reg}"));
        }
        // Arguments come from registers that no earlier argument overwrites.
        for (to, from) in ARGUMENTS.iter().zip(arguments) {
            let from = name(Width::W64, *from);
            if *to != from {
                self.line(format_args!("mov {to}, {from}"));
            }
        }
        for (to, operand) in ARGUMENTS[arguments.len()..].iter().zip(operands) {
            let narrow = match *to {
                "r8" => "r8d".to_owned(),
                to => format!("e{}", &to[1..]),
            };
            self.line(format_args!("mov {narrow}, [rbx + {operand}]"));
        }
        self.line(format_args!("mov rax, [rsp + {FLAG}]"));
        self.line(format_args!("mov byte ptr [rax], 0"));
        match callee {
            // The second argument points to the function's code.
            Callee::Host => self.line(format_args!("call [rsi + 8]")),
            Callee::Resolve => self.line(format_args!("call [rip + palisade_callees]")),
            Callee::Evaluate => self.line(format_args!("call [rip + palisade_callees + 8]")),
            Callee::TailCall => self.line(format_args!("call [rip + palisade_callees + 16]")),
            Callee::Continue => self.line(format_args!("call [rip + palisade_callees + 24]")),
            Callee::EpochDeadline => self.line(format_args!("call [rip + palisade_callees + 32]")),
            Callee::Operand(operand) => self.line(format_args!("call [rbx + {operand}]")),
        }
        self.line(format_args!("mov rcx, [rsp + {FLAG}]"));
        self.line(format_args!("mov byte ptr [rcx], 1"));
        self.line(format_args!("mov rcx, [rsp + {ASKED}]"));
        self.line(format_args!("cmp byte ptr [rcx], 0"));
        self.exit_if(Cond::Ne, Exit::Interrupt);
        for (n, value) in saved() {
            let reg = name(Width::W64, Reg::Value(value));
            self.line(format_args!("mov {reg}, [rsp + {}]", 8 * n));
        }
        for n in 0..floats {
            let reg = float_name(Float::Value(n));
            let at = FLOAT_SPILL + 8 * u32::from(n);
            self.line(format_args!("movsd {reg}, [rsp + {at}]"));
        }
        // Memory 0 may have grown and, if it is bounded, moved.
        self.line(format_args!("mov r14, [r15]"));
    }
}

impl X86_64 {
    fn load_count(&mut self, count: Src) {
        match count {
            Src::Reg(Reg::Address) => {}
            count => self.load(Width::W32, Reg::Address, count),
        }
    }
}
