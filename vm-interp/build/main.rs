//! Generates the direct executor's handlers from the shape table.
//!
//! Writes to the build's output folder:
//!
//! - `handlers.s`: the handlers' text and the list of their places;
//! - `shapes.keys`: the key of every shape, 16 bytes each, grouped by hash bucket, its highest
//!   eight bits saying which roots come next in shapes that start with it; a shape's handler is the
//!   one at the same place after the fixed handlers;
//! - `shapes.buckets`: for every bucket the number of its first key, 4 bytes each, and the total;
//! - `trees.keys`, `trees.buckets`: the same of all trees of operators in shapes, and in their trees;
//! - `generated.rs`: how many there are of each.

mod asm;
mod control;
#[path = "../src/direct/fixed.rs"]
#[allow(dead_code)]
mod fixed;
#[path = "../src/direct/hash.rs"]
mod hash;
#[path = "../src/direct/operands.rs"]
mod operands;
mod operators;
#[path = "../src/shapes.rs"]
mod shapes;
mod templates;
mod x86_64;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use vm_translate::{Effect, StoreOp};

use asm::{Assembler as _, Exit};
use fixed::Fixed;
use vm_translate::shape::table::{self, RootShape, Shape, Tree};
use vm_translate::shape::{Next, ShapeKey, Symbol};
use x86_64::X86_64;

/// Trap codes by their numbers in `vm-trap`, which a test of the executor compares.
const TRAPS: [(Exit, u32); 10] = [
    (Exit::Unreachable, 1),
    (Exit::MemoryOutOfBounds, 2),
    (Exit::UndefinedElement, 4),
    (Exit::UninitializedElement, 5),
    (Exit::TypeMismatch, 6),
    (Exit::DivideByZero, 7),
    (Exit::IntegerOverflow, 8),
    (Exit::InvalidConversion, 9),
    (Exit::StackOverflow, 10),
    (Exit::Host, 0x100),
];

/// Names a file with more shapes: those of the embedder's own programs.
const USER_SHAPES: &str = "PALISADE_SHAPES";

/// The status of a run that a fault ended.
const STATUS_FAULT: u32 = 0x200;

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
    if !supported || env::var_os("CARGO_CFG_MIRI").is_some() {
        return;
    }
    println!("cargo::rustc-cfg=palisade_direct");
    let mut tables = Vec::new();
    for (name, text) in [("default", shapes::BASE), ("vectors", shapes::VECTORS)] {
        let read = table::read(text, shapes::REGISTERS);
        tables.extend(read.unwrap_or_else(|e| panic!("shapes/{name}.shapes: {e}")));
    }
    // Those that were chosen by counting are what programs want, which is not always what templates
    // can do: registers run out.
    let trained = table::read(shapes::TRAINED, shapes::REGISTERS);
    let mut chosen = trained.unwrap_or_else(|e| panic!("shapes/trained.shapes: {e}"));
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

/// How many of a shape's accesses rely on the memory's guard.
fn accesses(shape: &Shape) -> usize {
    fn unchecked(tree: &Tree) -> usize {
        match tree {
            Tree::Leaf(_) => 0,
            Tree::Op(op, operands) => {
                let own = matches!(
                    op.effect(),
                    Effect::Load {
                        unchecked: true,
                        ..
                    }
                );
                usize::from(own) + operands.iter().map(unchecked).sum::<usize>()
            }
        }
    }
    let root = |root: &RootShape| {
        let store = matches!(root.root, Symbol::Store(op) if StoreOp::unchecked(op));
        usize::from(store) + root.trees.iter().map(unchecked).sum::<usize>()
    };
    shape.roots.iter().map(root).sum()
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

    // A cell is found root by root, so each shape has to be told that it is the start of another.
    let mut prefixes: HashMap<ShapeKey, Next> = HashMap::new();
    for (_, shape) in &keyed {
        for prefix in shape.starts() {
            let key = prefix.key().filter(|key| seen.contains(key));
            let key = key.unwrap_or_else(|| panic!("no shape is the start of {shape}: {prefix}"));
            let next = Shape {
                roots: vec![shape.roots[prefix.roots.len()].clone()],
            };
            let next = next.key().map_or(Next::ALL, Next::of);
            let all = prefixes.entry(key).or_default();
            *all = all.and(next);
        }
    }
    let keys: Vec<ShapeKey> = keyed.iter().map(|(key, _)| *key).collect();
    let shapes = HashTable::new(&keys, &prefixes);
    let mut trees = HashSet::new();
    let roots = keyed.iter().flat_map(|(_, shape)| &shape.roots);
    for tree in roots.flat_map(|root| &root.trees) {
        add_trees(tree, &mut trees);
    }
    let trees: Vec<ShapeKey> = trees.into_iter().collect();
    let trees = HashTable::new(&trees, &HashMap::new());

    // The handler's number is its shape's place in the table; its text stands where the table has
    // it, so that families that the table lists together stay together.
    let fixed = Fixed::all();
    let mut number = vec![0; keyed.len()];
    for (place, n) in shapes.order.iter().enumerate() {
        number[*n] = fixed.len() + place;
    }
    let count = fixed.len() + keyed.len();

    let mut refused = Vec::new();
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
        let _ = writeln!(asm.text, "\t.globl {name}\n\t.hidden {name}\n{name}:");
        for (n, fixed) in fixed.iter().enumerate() {
            let own = match fixed {
                Fixed::Enter { touch: true, .. } => Part::Stack,
                _ => Part::Plain,
            };
            if own == part {
                begin(&mut asm, n);
                if *fixed == Fixed::Exit {
                    asm.leave();
                } else {
                    control::emit(&mut asm, *fixed);
                }
            }
        }
        for (n, (_, shape)) in keyed.iter().enumerate() {
            if self::part(shape) == part {
                begin(&mut asm, number[n]);
                let start = asm.text.len();
                let accesses = accesses(shape);
                asm.mark_sites(accesses > 1);
                if let Err(reason) = templates::emit(&mut asm, shape) {
                    refused.push(format!("no handler for {shape}: {}", reason.0));
                    continue;
                }
                let marked = asm.marked_sites();
                assert!(
                    marked == 0 || marked == accesses,
                    "{shape} has {marked} instructions that may fault"
                );
                check_text(shape, &asm.text[start..]);
            }
        }
    }
    asm.text.push_str(
        "\t.globl palisade_sites_end\n\t.hidden palisade_sites_end\npalisade_sites_end:\n",
    );
    asm.end();
    asm.text
        .push_str("\t.section .rodata.palisade, \"a\", @progbits\n");
    asm.constants();
    asm.text.push_str(
        "\t.p2align 2\n\t.globl palisade_handlers\n\t.hidden palisade_handlers\npalisade_handlers:\n",
    );
    for n in 0..count {
        let _ = writeln!(asm.text, "\t.long .Lh{n} - palisade_enter");
    }
    asm.sites();
    asm.text.push_str("\t.text\n");

    assert!(refused.is_empty(), "{}", refused.join("\n"));

    let generated = format!(
        "pub(super) const FIXED: usize = {};\npub(super) const HANDLERS: usize = {count};\npub(super) const SHAPE_BITS: u32 = {};\npub(super) const TREE_BITS: u32 = {};\npub(super) const STATUS_FAULT: u32 = {STATUS_FAULT};\npub(super) const SITES: usize = {};\n",
        fixed.len(),
        shapes.bits,
        trees.bits,
        asm.site_count(),
    );
    let write = |name: &str, bytes: &[u8]| {
        fs::write(out.join(name), bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
    };
    write("handlers.s", asm.text.as_bytes());
    write("shapes.keys", &shapes.keys);
    write("shapes.buckets", &shapes.buckets);
    write("trees.keys", &trees.keys);
    write("trees.buckets", &trees.buckets);
    write("generated.rs", generated.as_bytes());
}

/// Checks what makes a handler of a shape fast: it calls nothing and leaves the native stack alone,
/// and it has a dispatch of its own for each way it can go.
fn check_text(shape: &Shape, text: &str) {
    let ways = match shape.roots.last().map(|root| root.root) {
        Some(Symbol::BrIf | Symbol::BrUnless | Symbol::CallIndirect) => 2,
        _ => 1,
    };
    let mut dispatches = 0;
    for line in text.lines().map(str::trim_start) {
        let stack = line.contains("rsp") || line.starts_with("push") || line.starts_with("pop ");
        assert!(
            !stack && !line.starts_with("call"),
            "the handler of {shape} has {line:?}"
        );
        dispatches += usize::from(line == "jmp [rbx]");
    }
    assert_eq!(dispatches, ways, "dispatches of {shape}: {text}");
}

/// Keys grouped by hash bucket.
struct HashTable {
    /// The keys by their places in the table.
    order: Vec<usize>,
    bits: u32,
    keys: Vec<u8>,
    buckets: Vec<u8>,
}

impl HashTable {
    /// The table of different keys; those in `next` have it in their highest bits.
    fn new(keys: &[ShapeKey], next: &HashMap<ShapeKey, Next>) -> HashTable {
        let bits = (keys.len().max(2) as u32).ilog2();
        let bucket = |n: &usize| hash::bucket(keys[*n].bits(), bits);
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_by_key(bucket);
        let starts = (0..=1 << bits).map(|wanted| order.partition_point(|n| bucket(n) < wanted));
        let buckets = starts
            .flat_map(|start| (start as u32).to_le_bytes())
            .collect();
        let words = order.iter().flat_map(|n| {
            let next = next.get(&keys[*n]).copied().unwrap_or_default();
            let mark = u128::from(next.bits()) << 120;
            (keys[*n].bits() | mark).to_le_bytes()
        });
        HashTable {
            keys: words.collect(),
            order,
            bits,
            buckets,
        }
    }
}

/// Adds the keys of all trees of operators in a tree.
fn add_trees(tree: &Tree, keys: &mut HashSet<ShapeKey>) {
    if let Tree::Op(_, operands) = tree {
        keys.extend(tree.key());
        operands.iter().for_each(|tree| add_trees(tree, keys));
    }
}

fn begin(asm: &mut X86_64, number: usize) {
    let _ = writeln!(asm.text, "\t.p2align 3\n.Lh{number}:");
    let _ = asm.new_label();
}
