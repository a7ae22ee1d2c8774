//! The shapes of the table, read back from their keys.

use vm_translate::op::Effect;
use vm_translate::shape::{SetSymbol, ShapeKey, Symbol};
use vm_translate::{Op, Ty};

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

/// A root and its trees.
pub(super) type RootTrees = (Symbol, Vec<Tree>);

/// Reads a key: its roots and their trees.
pub(super) fn read(key: ShapeKey) -> Vec<RootTrees> {
    let symbols = key.iter().collect();
    let mut reader = Reader { symbols, next: 0 };
    let mut roots: Vec<RootTrees> = Vec::new();
    while reader.next < reader.symbols.len() {
        let root = reader.take();
        assert!(
            root.root_operands().is_some(),
            "{root:?} in {:?}",
            reader.symbols
        );
        let types = match root {
            Symbol::Set(SetSymbol::Float(_)) | Symbol::GlobalSetFloat => vec![Ty::F64],
            Symbol::Set(SetSymbol::Vector) | Symbol::GlobalSetVector => vec![Ty::V128],
            Symbol::Set(_) | Symbol::GlobalSet => vec![Ty::I64],
            Symbol::Store(op) => vec![Ty::I32, op.value()],
            _ if root.root_operands() == Some(0) => vec![],
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
