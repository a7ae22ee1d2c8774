//! How many bytes an instruction takes, told from its text.
//!
//! Handlers are put into cache lines, for which their sizes have to be known before the assembler
//! sees them. This knows the forms that handlers use (AMD64 Architecture Programmer's Manual, volume
//! 3, "Instruction Encoding"), and says rather too much than too little: the text is right anyway,
//! but one that is longer than was thought would move others out of their lines. A test compares the
//! sizes of all lines.

/// What an operand is, as far as its encoding goes.
#[derive(Clone, Copy, PartialEq)]
enum Operand<'a> {
    /// A general register.
    Int(&'a str),
    /// A vector register.
    Vector(&'a str),
    Memory(&'a str),
    Immediate(i64),
    /// A place in the text.
    Label(&'a str),
}

/// The bytes that a line of assembly takes at most; 0 for a directive.
pub(super) fn instruction(line: &str) -> usize {
    let line = line.trim();
    let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
    if name.starts_with('.') {
        return 0;
    }
    if name == "lock" {
        return 1 + instruction(rest);
    }
    if name == "{disp32}" {
        // A conditional jump that is not to be a short one.
        return 6;
    }
    let operands: Vec<Operand<'_>> = match rest {
        "" => Vec::new(),
        rest => rest.split(", ").map(operand).collect(),
    };
    match (name, &operands[..]) {
        ("jmp", [Operand::Label(label)]) => jump(label, 5),
        (_, [Operand::Label(label)]) => jump(label, 6),
        ("cdq" | "ret", []) => 1,
        ("cqo", []) => 2,
        ("mfence", []) => 3,
        ("push" | "pop", [Operand::Int(reg)]) => 1 + usize::from(is_high(reg)),
        ("mov", [Operand::Int(reg), Operand::Immediate(value)]) => {
            let rex = usize::from(is_wide(reg) || is_high(reg));
            // A value of 32 bits is written to the lower half.
            let long = is_wide(reg) && u32::try_from(*value).is_err();
            rex + if long { 9 } else { 5 }
        }
        _ => prefixes(name, &operands) + opcode(name) + 1 + tail(name, rest, &operands),
    }
}

fn operand(text: &str) -> Operand<'_> {
    let text = text.trim();
    let memory = text.find('[').map(|at| &text[at..]);
    if let Some(memory) = memory {
        return Operand::Memory(memory);
    }
    let number = match text.strip_prefix("0x") {
        // Sixty-four bits, whatever their sign.
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(|bits| bits as i64),
        None => text.parse().ok(),
    };
    if let Some(number) = number {
        return Operand::Immediate(number);
    }
    match text {
        _ if text.starts_with("xmm") => Operand::Vector(text),
        _ if text.starts_with('.') || text.contains('_') => Operand::Label(text),
        _ => Operand::Int(text),
    }
}

/// A jump to a place in its handler takes two bytes; handlers are short.
fn jump(label: &str, far: usize) -> usize {
    if label.starts_with(".L") { 2 } else { far }
}

/// Whether a name of a register is one of r8 to r15, or xmm8 to xmm15.
fn is_high(register: &str) -> bool {
    let number = register.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let number = number.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    number.parse::<u32>().is_ok_and(|number| number >= 8)
}

fn is_wide(register: &str) -> bool {
    register.starts_with('r') && !register.ends_with(['d', 'w', 'b'])
}

/// The registers of an address, without its distance.
fn address_registers(memory: &str) -> impl Iterator<Item = &str> {
    memory
        .trim_matches(['[', ']'])
        .split(" + ")
        .map(|term| term.rsplit('*').next().unwrap_or(term))
        .filter(|term| term.starts_with('r') && *term != "rip")
}

/// Bytes before the opcode: those that choose a form of it, and REX.
fn prefixes(name: &str, operands: &[Operand<'_>]) -> usize {
    let vector = operands
        .iter()
        .any(|operand| matches!(operand, Operand::Vector(_)));
    // Packed singles alone have no prefix; half-words have one too.
    let plain =
        name.ends_with("ps") && !matches!(name, "roundps" | "cvtpd2ps") || name == "ucomiss";
    // What is extended from a half-word is told by the opcode.
    let words = !name.starts_with("mov") || name == "mov";
    let words = words
        && operands.iter().any(|operand| match operand {
            Operand::Int(reg) => {
                reg.ends_with('w') || matches!(*reg, "ax" | "cx" | "dx" | "si" | "di" | "bp")
            }
            _ => false,
        });
    let form = usize::from(vector && !plain || words || name == "popcnt");
    let rex = operands.iter().any(|operand| match operand {
        Operand::Int(reg) => is_wide(reg) || is_high(reg) || matches!(*reg, "sil" | "dil" | "bpl"),
        Operand::Vector(reg) => is_high(reg),
        Operand::Memory(memory) => {
            memory_is_wide(name, operands) || address_registers(memory).any(is_high)
        }
        Operand::Immediate(_) | Operand::Label(_) => false,
    });
    form + usize::from(rex)
}

/// Whether the memory operand is what makes an instruction one of 64 bits: nothing else is there.
fn memory_is_wide(name: &str, operands: &[Operand<'_>]) -> bool {
    matches!(operands, [Operand::Memory(_)]) && !matches!(name, "jmp" | "call")
}

fn opcode(name: &str) -> usize {
    const ONE: [&str; 27] = [
        "mov", "add", "sub", "adc", "sbb", "and", "or", "xor", "cmp", "test", "lea", "movsxd",
        "shl", "shr", "sar", "rol", "ror", "neg", "not", "mul", "div", "idiv", "jmp", "call",
        "inc", "dec", "xchg",
    ];
    // Those that came with SSSE3 and SSE4.1 and are used here.
    const THREE: [&str; 6] = ["round", "pmovsx", "pmovzx", "phadd", "pabs", "pblend"];
    const THREE_EXACTLY: [&str; 16] = [
        "pshufb",
        "pmaddubsw",
        "pmulhrsw",
        "ptest",
        "pmulld",
        "pmuldq",
        "pminsb",
        "pminsd",
        "pminuw",
        "pminud",
        "pmaxsb",
        "pmaxsd",
        "pmaxuw",
        "pmaxud",
        "packusdw",
        "pcmpeqq",
    ];
    let three = THREE.iter().any(|start| name.starts_with(start))
        || THREE_EXACTLY.contains(&name)
        || name == "pcmpgtq";
    match name {
        _ if ONE.contains(&name) => 1,
        _ if three => 3,
        _ => 2,
    }
}

/// Bytes after the byte that says what the operands are.
fn tail(name: &str, rest: &str, operands: &[Operand<'_>]) -> usize {
    let place = operands.iter().map(|operand| match operand {
        Operand::Memory(memory) => address(memory),
        _ => 0,
    });
    let byte = rest.starts_with("byte ptr")
        || operands.iter().any(
            |operand| matches!(operand, Operand::Int(reg) if reg.len() == 2 && reg.ends_with('l')),
        );
    let vector = matches!(operands, [Operand::Vector(_), ..]);
    let immediate = operands.iter().map(|operand| match operand {
        Operand::Immediate(_) if byte || vector => 1,
        Operand::Immediate(value)
            if i8::try_from(*value).is_ok() && name != "test" && name != "mov" =>
        {
            1
        }
        Operand::Immediate(_) => match name {
            "shl" | "shr" | "sar" | "rol" | "ror" => 1,
            _ => 4,
        },
        _ => 0,
    });
    place.sum::<usize>() + immediate.sum::<usize>()
}

/// Bytes that an address takes: a distance, and a byte for an index or for a base that needs it.
fn address(memory: &str) -> usize {
    if memory.contains("rip") {
        return 4;
    }
    let registers: Vec<&str> = address_registers(memory).collect();
    let base = registers.first().copied().unwrap_or("rsp");
    let index = usize::from(registers.len() > 1 || matches!(base, "r12" | "rsp"));
    let distance = memory
        .trim_matches(['[', ']'])
        .split(" + ")
        .find_map(|term| term.parse::<i64>().ok())
        .unwrap_or(0);
    let distance = match distance {
        0 if !matches!(base, "rbp" | "r13") => 0,
        near if i8::try_from(near).is_ok() => 1,
        _ => 4,
    };
    index + distance
}
