//! Generates the direct executor's handlers from the shape table.
//!
//! Writes to the build's output folder:
//!
//! - `handlers.s`: the handlers' text, the list of where the fixed ones are, the table in which
//!   translation finds those of shapes, the one with simple shapes only, and the set of trees in shapes;
//! - `generated.rs`: how many there are of each, and the numbers of the fixed ones.

mod asm;
mod bulk;
mod control;
#[path = "../src/direct/fixed.rs"]
#[allow(dead_code)]
mod fixed;
#[path = "../src/direct/hash.rs"]
mod hash;
mod layout;
mod lines;
#[path = "../src/direct/operands.rs"]
mod operands;
mod operators;
#[path = "../src/shapes.rs"]
#[allow(dead_code)]
mod shapes;
mod simple;
mod templates;
mod trees;
mod x86_64;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use vm_translate::{Effect, Op};

use asm::Exit;
use fixed::Fixed;
use layout::{Handler, Layout};
use lines::Lines;
use simple::Simple;
use trees::Trees;
use vm_translate::shape::table::{self, RootShape, Shape, Tree};
use vm_translate::shape::{ShapeKey, Symbol};
use x86_64::{DISPATCH, X86_64, global};

/// Trap codes by their numbers in `vm-trap`, which a test of the executor compares.
const TRAPS: [(Exit, u32); 14] = [
    (Exit::Unreachable, 1),
    (Exit::MemoryOutOfBounds, 2),
    (Exit::UndefinedElement, 4),
    (Exit::UninitializedElement, 5),
    (Exit::TypeMismatch, 6),
    (Exit::DivideByZero, 7),
    (Exit::IntegerOverflow, 8),
    (Exit::InvalidConversion, 9),
    (Exit::StackOverflow, 10),
    (Exit::OutOfFuel, 11),
    (Exit::Interrupt, 12),
    (Exit::NullReference, 13),
    (Exit::UnalignedAtomic, 14),
    (Exit::Host, 0x100),
];

/// Names a file with more shapes: those of the embedder's own programs.
const USER_SHAPES: &str = "PALISADE_SHAPES";

/// The status of a run that a fault ended.
const STATUS_FAULT: u32 = 0x200;

/// The most that can end the run in a handler. Which did is said by an address in the cell, of which each has so
/// many bytes.
const MOST_TRAPS: usize = operands::HANDLER_BYTES as usize;

/// The text's parts, by what its handlers may touch; each is one range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// Touches neither guest memory nor the stack's guard.
    Plain,
    /// Touches the stack's guard.
    Stack,
    /// Touches guest memory without a check.
    Memory,
}

fn main() {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=shapes");
    println!("cargo::rerun-if-changed=src/direct");
    println!("cargo::rustc-check-cfg=cfg(palisade_direct)");
    // Set by cargo for builds with `-Z sanitizer`, which compilers of the stable channel only take with
    // RUSTC_BOOTSTRAP.
    if let Some(sanitizer) = env::var_os("CARGO_CFG_SANITIZE") {
        println!(
            "cargo::rustc-env=PALISADE_SANITIZER={}",
            sanitizer.display()
        );
    }
    let var = |name: &str| env::var(name).unwrap_or_default();
    let supported =
        var("CARGO_CFG_TARGET_ARCH") == "x86_64" && var("CARGO_CFG_TARGET_OS") == "linux";
    let feature = |name: &str| env::var_os(format!("CARGO_FEATURE_{name}")).is_some();
    if !supported || !feature("DIRECT") || env::var_os("CARGO_CFG_MIRI").is_some() {
        return;
    }
    println!("cargo::rustc-cfg=palisade_direct");
    let read = |name: &str, text: &str| {
        let read = table::read(text, shapes::REGISTERS);
        read.unwrap_or_else(|e| panic!("shapes/{name}.shapes: {e}"))
    };
    let mut tables = read("base", shapes::BASE);
    tables.extend(read("vectors", shapes::VECTORS));
    // Those that were chosen by counting are what programs want, which is not always what templates
    // can do: registers run out.
    let mut chosen = read("trained", shapes::TRAINED);
    if feature("LARGE_TABLE") {
        tables.extend(read("families", shapes::FAMILIES));
        chosen.extend(read("large", shapes::LARGE));
    }
    println!("cargo::rerun-if-env-changed={USER_SHAPES}");
    if let Some(path) = env::var_os(USER_SHAPES) {
        let path = Path::new(&path);
        println!("cargo::rerun-if-changed={}", path.display());
        let fail =
            |e: &dyn std::fmt::Display| -> ! { panic!("{USER_SHAPES}={}: {e}", path.display()) };
        let text = fs::read_to_string(path).unwrap_or_else(|e| fail(&e));
        chosen.extend(table::read(&text, shapes::REGISTERS).unwrap_or_else(|e| fail(&e)));
    }
    // The chosen ones stand first in the text: they are the ones that run.
    tables.splice(0..0, possible(chosen, &tables));
    let shapes = tables;
    generate(shapes, &PathBuf::from(var("OUT_DIR")));
}

/// Those of the shapes that there are templates for, and the starts of.
fn possible(shapes: Vec<Shape>, others: &[Shape]) -> Vec<Shape> {
    let mut known: HashSet<ShapeKey> = others.iter().filter_map(Shape::key).collect();
    let mut possible = Vec::new();
    for shape in shapes {
        // A line stands behind those that it needs.
        let started =
            (shape.starts().filter_map(|start| start.key())).all(|key| known.contains(&key));
        if started && templates::emit(&mut X86_64::new(), &shape).is_ok() {
            known.extend(shape.key());
            possible.push(shape);
        }
    }
    possible
}

/// How many of a shape's operators fit.
fn operators(shape: &Shape, fits: impl Fn(Op) -> bool) -> usize {
    fn count(tree: &Tree, fits: &impl Fn(Op) -> bool) -> usize {
        match tree {
            Tree::Leaf(_) => 0,
            Tree::Op(op, operands) => {
                let own = usize::from(fits(*op));
                own + operands.iter().map(|tree| count(tree, fits)).sum::<usize>()
            }
        }
    }
    let trees = shape.roots.iter().flat_map(|root| &root.trees);
    trees.map(|tree| count(tree, &fits)).sum()
}

/// How many of a shape's accesses rely on the memory's guard.
fn accesses(shape: &Shape) -> usize {
    let unchecked = |op: Op| {
        matches!(
            op.effect(),
            Effect::Load {
                unchecked: true,
                ..
            }
        )
    };
    let stores = |root: &&RootShape| matches!(root.root, Symbol::Store(op) if op.unchecked());
    operators(shape, unchecked) + shape.roots.iter().filter(stores).count()
}

/// How many of a shape's operators and roots can end the run.
fn traps(shape: &Shape) -> usize {
    let roots = |root: &&RootShape| {
        matches!(
            root.root,
            Symbol::Store(_) | Symbol::CallIndirect | Symbol::CallRef
        )
    };
    operators(shape, Op::may_trap) + shape.roots.iter().filter(roots).count()
}

/// Which part of the text a shape's handler belongs to.
fn part(shape: &Shape) -> Part {
    if accesses(shape) > 0 {
        Part::Memory
    } else {
        Part::Plain
    }
}

fn generate(shapes: Vec<Shape>, out: &Path) {
    let mut seen = HashSet::new();
    let mut keyed: Vec<(ShapeKey, Shape)> = Vec::new();
    for shape in shapes {
        let key = shape
            .key()
            .unwrap_or_else(|| panic!("too many symbols for a key: {shape:?}"));
        if seen.insert(key) {
            keyed.push((key, shape));
        }
    }

    // The handlers of shapes are numbered after the fixed ones, and their text stands where the
    // table has it, so that families that it lists together stay together.
    let fixed = Fixed::all();
    let number = |n: usize| fixed.len() + n;
    let lines = Lines::new(&keyed, number);
    let simple = Simple::new(&keyed, number);
    let trees = Trees::new(keyed.iter().map(|(_, shape)| shape));

    let mut refused = Vec::new();
    let (mut sites, mut text_lines) = (Vec::new(), 0);
    let mut asm = X86_64::new();
    asm.text
        .push_str("\t.section .text.palisade, \"ax\", @progbits\n");
    asm.trampoline(&TRAPS, STATUS_FAULT);
    for part in [Part::Plain, Part::Stack, Part::Memory] {
        let name = match part {
            Part::Plain => "palisade_plain",
            Part::Stack => "palisade_stack_sites",
            Part::Memory => "palisade_memory_sites",
        };
        let mut layout = Layout::default();
        for (n, fixed) in fixed.iter().enumerate() {
            let own = match fixed {
                Fixed::Enter { touch: true, .. } => Part::Stack,
                Fixed::Atomic {
                    unchecked: true, ..
                } => Part::Memory,
                _ => Part::Plain,
            };
            if own == part {
                asm.begin(n);
                if *fixed == Fixed::Exit {
                    asm.leave();
                } else {
                    control::emit(&mut asm, *fixed);
                }
                layout.add(&asm.take_handler());
            }
        }
        for (n, (_, shape)) in keyed.iter().enumerate() {
            if self::part(shape) == part {
                asm.begin(number(n));
                if let Err(reason) = templates::emit(&mut asm, shape) {
                    refused.push(format!("no handler for {shape}: {}", reason.0));
                    continue;
                }
                let handler = asm.take_handler();
                assert_eq!(
                    handler.accesses,
                    accesses(shape),
                    "accesses that fault: {shape}"
                );
                assert_eq!(handler.traps, traps(shape), "ways to end the run: {shape}");
                assert!(
                    handler.traps <= MOST_TRAPS,
                    "a cell has room for no more: {shape}"
                );
                check_text(shape, &handler);
                layout.add(&handler);
            }
        }
        asm.text.push_str("\t.p2align 6\n");
        global(&mut asm.text, name);
        text_lines += layout.write(&mut asm.text, &mut sites);
    }
    asm.text.push_str("\t.p2align 6\n");
    global(&mut asm.text, "palisade_sites_end");
    asm.site_exits();
    asm.end();
    asm.text
        .push_str("\t.section .rodata.palisade, \"a\", @progbits\n");
    asm.constants();
    lines.write(&mut asm.text);
    simple.write(&mut asm.text);
    trees.write(&mut asm.text);
    global(&mut asm.text, "palisade_fixed");
    for n in 0..fixed.len() {
        let _ = writeln!(asm.text, "\t.long .Lh{n} - palisade_enter");
    }
    asm.sites(&sites);
    asm.text.push_str("\t.text\n");

    assert!(refused.is_empty(), "{}", refused.join("\n"));

    let consts = [
        ("FIXED: usize", fixed.len()),
        ("SHAPE_LINES: usize", lines.count()),
        ("SIMPLE_PLACES: usize", simple.count()),
        ("TREE_WORDS: usize", trees.words()),
        ("STATUS_FAULT: u32", STATUS_FAULT as usize),
        ("SITES: usize", sites.len()),
    ];
    let mut generated = String::new();
    for (name, value) in consts {
        let _ = writeln!(generated, "pub(super) const {name} = {value};");
    }
    let count = keyed.len();
    let _ = writeln!(
        generated,
        "#[cfg(test)]\npub(super) const SHAPES: usize = {count};\n\
         #[cfg(test)]\npub(super) const TEXT_LINES: usize = {text_lines};"
    );
    generated.push_str(
        "\n#[rustfmt::skip]\nfn fixed_number(fixed: Fixed) -> usize {\n    \
         use {Fixed::*, fixed::{Returned::*, Wide::*}, vm_translate::{AtomicKind, Op::*, StoreOp::*}};\n    \
         match fixed {\n",
    );
    for (n, fixed) in fixed.iter().enumerate() {
        // Some are called like others.
        let fixed = format!("{fixed:?}").replace("kind: ", "kind: AtomicKind::");
        let fixed = fixed.replace("Bulk(", "Bulk(fixed::Bulk::");
        let _ = writeln!(generated, "        {fixed} => {n},");
    }
    generated.push_str("        fixed => unreachable!(\"no handler for {fixed:?}\"),\n    }\n}\n");
    let write = |name: &str, bytes: &[u8]| {
        fs::write(out.join(name), bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    };
    write("handlers.s", asm.text.as_bytes());
    write("generated.rs", generated.as_bytes());
}

/// Checks what makes a handler of a shape fast: it calls nothing and leaves the native stack alone,
/// and it has a dispatch of its own for each way it can go.
fn check_text(shape: &Shape, handler: &Handler) {
    let leaves = |root: &&RootShape| {
        root.root.is_conditional() || matches!(root.root, Symbol::CallIndirect | Symbol::CallRef)
    };
    let ways = 1 + shape.roots.iter().filter(leaves).count();
    let mut dispatches = 0;
    let lines = handler.pieces.iter().flat_map(|piece| piece.text.lines());
    for line in lines.clone().map(str::trim_start) {
        let stack = line.contains("rsp") || line.starts_with("push") || line.starts_with("pop ");
        assert!(
            !stack && !line.starts_with("call"),
            "the handler of {shape} has {line:?}"
        );
        dispatches += usize::from(line == DISPATCH);
    }
    let text = || lines.clone().collect::<Vec<_>>().join("\n");
    assert_eq!(dispatches, ways, "dispatches of {shape}: {}", text());
}
