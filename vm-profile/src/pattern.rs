//! Shapes without their registers: what one line of a shape table stands for.

use std::fmt::Write as _;

use vm_translate::Registers;
use vm_translate::shape::table::{Shape, Tree};
use vm_translate::shape::{SetSymbol, Symbol};

/// A shape with its pinned registers replaced by variables, in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pattern {
    /// In the notation of shape tables.
    pub(crate) text: String,
    /// How many different pinned registers of integers it has.
    pub(crate) ints: u8,
    /// The same of floats.
    pub(crate) floats: u8,
}

/// The number of a shape's highest pinned register, plus one; 0 if it has none.
pub(crate) type Reach = u8;

impl Pattern {
    /// The pattern of a shape, and how far the shape's registers reach.
    pub(crate) fn of(shape: &Shape, registers: Registers) -> (Pattern, Reach) {
        let mut naming = Naming {
            registers,
            ints: Vec::new(),
            floats: Vec::new(),
            text: String::new(),
        };
        for (n, root) in shape.roots.iter().enumerate() {
            if n > 0 {
                naming.text.push_str(" ; ");
            }
            naming.root(root.root);
            for tree in &root.trees {
                naming.text.push(' ');
                naming.tree(tree);
            }
        }
        let reach = naming.ints.iter().chain(&naming.floats).max();
        let pattern = Pattern {
            ints: naming.ints.len() as u8,
            floats: naming.floats.len() as u8,
            text: naming.text,
        };
        (pattern, reach.map_or(0, |n| n + 1))
    }

    /// How many shapes it stands for if only the first `first` pinned registers of each kind are
    /// used.
    pub(crate) fn shapes(&self, first: u8, registers: Registers) -> u64 {
        // Different variables are different registers.
        let ways = |variables: u8, pinned: u8| {
            let pinned = pinned.min(first);
            (0..variables)
                .map(|n| u64::from(pinned.saturating_sub(n)))
                .product::<u64>()
        };
        ways(self.ints, registers.pinned_ints) * ways(self.floats, registers.pinned_floats)
    }

    /// The line of a shape table.
    pub(crate) fn line(&self, first: u8, registers: Registers) -> String {
        if first >= registers.pinned_ints.max(registers.pinned_floats)
            || self.ints + self.floats == 0
        {
            self.text.clone()
        } else {
            format!("@{first} {}", self.text)
        }
    }
}

struct Naming {
    registers: Registers,
    ints: Vec<u8>,
    floats: Vec<u8>,
    text: String,
}

impl Naming {
    fn register(&mut self, number: u8, float: bool) {
        let (pinned, known, letter) = match float {
            true => (self.registers.pinned_floats, &mut self.floats, 'f'),
            false => (self.registers.pinned_ints, &mut self.ints, 'i'),
        };
        if number >= pinned {
            self.text.push('t');
            return;
        }
        let at = known.iter().position(|other| *other == number);
        let at = at.unwrap_or_else(|| {
            known.push(number);
            known.len() - 1
        });
        let _ = write!(self.text, "{letter}{}", at + 1);
    }

    fn root(&mut self, root: Symbol) {
        match root {
            Symbol::Set(SetSymbol::Int(n)) => {
                self.text.push_str("set ");
                self.register(n, false);
            }
            Symbol::Set(SetSymbol::Float(n)) => {
                self.text.push_str("set ");
                self.register(n, true);
            }
            other => {
                let _ = write!(self.text, "{other}");
            }
        }
    }

    fn tree(&mut self, tree: &Tree) {
        match tree {
            Tree::Leaf(Symbol::Int(n)) => self.register(*n, false),
            Tree::Leaf(Symbol::Float(n)) => self.register(*n, true),
            Tree::Leaf(other) => {
                let _ = write!(self.text, "{other}");
            }
            Tree::Op(op, operands) => {
                let _ = write!(self.text, "({op}");
                for operand in operands {
                    self.text.push(' ');
                    self.tree(operand);
                }
                self.text.push(')');
            }
        }
    }
}
