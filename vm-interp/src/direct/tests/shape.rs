//! The shapes of the table, read back from their keys.

use std::collections::HashMap;

use vm_translate::op::Effect;
use vm_translate::shape::{SetSymbol, ShapeKey, Symbol};
use vm_translate::{Op, StoreOp, Ty};

#[derive(Debug)]
pub(super) enum Tree {
    Leaf(Symbol, Ty),
    Op(Op, Vec<Tree>),
}

/// Reads a key back into its root and trees.
struct Reader {
    symbols: Vec<Symbol>,
    next: usize,
}

impl Reader {
    fn take(&mut self) -> Symbol {
        self.next += 1;
        self.symbols[self.next - 1]
    }

    fn tree(&mut self, ty: Ty) -> Tree {
        match self.take() {
            Symbol::Op(op) => Tree::Op(op, op.params().iter().map(|ty| self.tree(*ty)).collect()),
            leaf => Tree::Leaf(leaf, ty),
        }
    }
}

pub(super) fn symbols_by_number() -> HashMap<u16, Symbol> {
    let mut all = vec![
        Symbol::Slot,
        Symbol::Const32,
        Symbol::Const64,
        Symbol::GlobalSet,
        Symbol::GlobalSetFloat,
        Symbol::GlobalSetVector,
        Symbol::Vector,
        Symbol::Set(SetSymbol::Vector),
        Symbol::BrIf,
        Symbol::BrUnless,
        Symbol::BrTable,
        Symbol::CallIndirect,
        Symbol::Return,
        Symbol::Set(SetSymbol::Slot),
    ];
    for n in 0..Symbol::MAX_REGISTERS {
        all.extend([
            Symbol::Int(n),
            Symbol::Float(n),
            Symbol::Set(SetSymbol::Int(n)),
            Symbol::Set(SetSymbol::Float(n)),
        ]);
    }
    all.extend(StoreOp::ALL.iter().copied().map(Symbol::Store));
    all.extend(Op::ALL.iter().copied().map(Symbol::Op));
    all.into_iter().map(|s| (s.number(), s)).collect()
}

/// A root and its trees.
pub(super) type RootTrees = (Symbol, Vec<Tree>);

/// Reads a key: its roots and their trees.
pub(super) fn read(names: &HashMap<u16, Symbol>, key: ShapeKey) -> Vec<RootTrees> {
    let bits = key.bits();
    let symbols = (0..key.symbols())
        .map(|n| names[&((bits >> (10 * n)) as u16 & 1023)])
        .collect();
    let mut reader = Reader { symbols, next: 0 };
    let mut roots: Vec<RootTrees> = Vec::new();
    while reader.next < reader.symbols.len() {
        let root = reader.take();
        assert!(is_root(root), "{root:?} in {:?}", reader.symbols);
        let types = match root {
            Symbol::Set(SetSymbol::Float(_)) | Symbol::GlobalSetFloat => vec![Ty::F64],
            Symbol::Set(SetSymbol::Vector) | Symbol::GlobalSetVector => vec![Ty::V128],
            Symbol::Set(_) | Symbol::GlobalSet => vec![Ty::I64],
            Symbol::Store(op) => vec![Ty::I32, op.value()],
            _ => vec![Ty::I32],
        };
        let trees = types.iter().map(|ty| reader.tree(*ty)).collect();
        roots.push((root, trees));
    }
    roots
}

/// How many operators there are in trees.
pub(super) fn operators(trees: &[Tree]) -> usize {
    trees
        .iter()
        .map(|tree| match tree {
            Tree::Leaf(..) => 0,
            Tree::Op(_, operands) => 1 + operators(operands),
        })
        .sum()
}

fn is_root(symbol: Symbol) -> bool {
    !matches!(
        symbol,
        Symbol::Slot
            | Symbol::Const32
            | Symbol::Const64
            | Symbol::Int(_)
            | Symbol::Float(_)
            | Symbol::Vector
            | Symbol::Op(_)
    )
}

/// The registers among the leaves of the addresses of a shape.
pub(super) fn address_registers(roots: &[RootTrees]) -> Vec<Symbol> {
    pub(super) fn walk(tree: &Tree, address: bool, found: &mut Vec<Symbol>) {
        match tree {
            Tree::Leaf(symbol @ Symbol::Int(_), _) if address => found.push(*symbol),
            Tree::Leaf(..) => {}
            Tree::Op(op, operands) => {
                let address = address || matches!(op.effect(), Effect::Load { .. });
                operands.iter().for_each(|tree| walk(tree, address, found));
            }
        }
    }
    let mut found = Vec::new();
    for (root, trees) in roots {
        for (n, tree) in trees.iter().enumerate() {
            let address = matches!(root, Symbol::Store(_)) && n == 0;
            walk(tree, address, &mut found);
        }
    }
    found
}
