//! Shapes as text: the notation of shape tables, and of listings.
//!
//! A table is lines of instructions over operand classes, each of which stands for many shapes:
//!
//! ```text
//! # a comment
//! set rs ({i32,i64}.{add,sub} rs rsc)
//! ```
//!
//! | text | stands for |
//! | --- | --- |
//! | `{a,b}` | either text |
//! | a word of the letters `s v r p t c w` | any of the leaves: a slot, a vector in two slots, any register of the kind that is wanted there, a pinned one, a temporary one, a constant of 32 bits, one of 64 |
//! | `i1`, `i2` …; `f1`, `f2` … | a pinned register of integers or floats: the same wherever the word is written in the line, and not that of another such word |
//! | `%i0`, `%f0` … | one certain register |
//! | `;` | between roots that share a cell |
//! | `br`, `loop`, `call`, `return.2` | roots without trees that end a cell; the number is that of the integer registers which the return takes back |
//! | `@4` before a line | in this line, the only pinned registers are the first 4 of each kind |
//!
//! ```
//! use vm_translate::shape::{Registers, table};
//!
//! let registers = Registers { pinned_ints: 3, ..Registers::NONE };
//! let shapes = table::read("set i1 (i32.add i1 c) ; br_if i1", registers)?;
//! assert_eq!(shapes.len(), 3);
//! assert_eq!(shapes[0].to_string(), "set %i0 (i32.add %i0 c) ; br_if %i0");
//! # Ok::<(), table::TableError>(())
//! ```

use std::fmt;

use super::{Registers, SetSymbol, ShapeKey, Symbol};
use crate::{Op, StoreOp, Ty};

/// A line of a shape table that cannot be read.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line} of the shape table: {message}")]
pub struct TableError {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// A tree of operators over leaf symbols.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// A leaf.
    Leaf(Symbol),
    /// An operator and its operands.
    Op(Op, Vec<Tree>),
}

/// A root and its trees.
#[derive(Clone, Debug, PartialEq)]
pub struct RootShape {
    /// The root's symbol.
    pub root: Symbol,
    /// One tree for each operand that the root takes.
    pub trees: Vec<Tree>,
}

/// A shape: the roots of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The roots in the order in which they are done.
    pub roots: Vec<RootShape>,
}

impl Tree {
    /// The key of its symbols alone, unless they are more than a key can hold.
    pub fn key(&self) -> Option<ShapeKey> {
        self.append(ShapeKey::new())
    }

    fn append(&self, key: ShapeKey) -> Option<ShapeKey> {
        match self {
            Tree::Leaf(symbol) => key.with(*symbol),
            Tree::Op(op, trees) => trees
                .iter()
                .try_fold(key.with(Symbol::Op(*op))?, |key, tree| tree.append(key)),
        }
    }

    fn from_symbols(symbols: &mut impl Iterator<Item = Symbol>) -> Option<Tree> {
        Some(match symbols.next()? {
            Symbol::Op(op) => {
                let operands = op.params().iter();
                let operands = operands.map(|_| Tree::from_symbols(symbols));
                Tree::Op(op, operands.collect::<Option<_>>()?)
            }
            leaf => Tree::Leaf(leaf),
        })
    }

    /// How many operators it has.
    pub fn operators(&self) -> usize {
        match self {
            Tree::Leaf(_) => 0,
            Tree::Op(_, operands) => 1 + operands.iter().map(Tree::operators).sum::<usize>(),
        }
    }

    /// Whether any operator in it satisfies `f`.
    pub fn any_op(&self, f: &dyn Fn(Op) -> bool) -> bool {
        match self {
            Tree::Leaf(_) => false,
            Tree::Op(op, trees) => f(*op) || trees.iter().any(|tree| tree.any_op(f)),
        }
    }

    /// Whether `symbol` is among its leaves.
    pub fn has_leaf(&self, symbol: Symbol) -> bool {
        match self {
            Tree::Leaf(leaf) => *leaf == symbol,
            Tree::Op(_, trees) => trees.iter().any(|tree| tree.has_leaf(symbol)),
        }
    }
}

impl Shape {
    /// Its key, unless it has more symbols than a key can hold.
    pub fn key(&self) -> Option<ShapeKey> {
        self.roots.iter().try_fold(ShapeKey::new(), |key, root| {
            root.trees
                .iter()
                .try_fold(key.with(root.root)?, |key, tree| tree.append(key))
        })
    }

    /// The shapes of its first roots: of one, of two, and so on, without itself.
    pub fn starts(&self) -> impl Iterator<Item = Shape> {
        (1..self.roots.len()).map(|roots| Shape {
            roots: self.roots[..roots].to_vec(),
        })
    }

    /// The shape with this key, if it is one's key.
    pub fn from_key(key: ShapeKey) -> Option<Shape> {
        let mut symbols = key.iter();
        let mut roots = Vec::new();
        while let Some(root) = symbols.next() {
            let trees = root.root_operands()?;
            let trees = (0..trees).map(|_| Tree::from_symbols(&mut symbols));
            roots.push(RootShape {
                root,
                trees: trees.collect::<Option<_>>()?,
            });
        }
        Some(Shape { roots })
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Tree::Leaf(symbol) => write!(f, "{symbol}"),
            Tree::Op(op, operands) => {
                write!(f, "({op}")?;
                operands.iter().try_for_each(|tree| write!(f, " {tree}"))?;
                f.write_str(")")
            }
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, root) in self.roots.iter().enumerate() {
            write!(f, "{}{}", if n > 0 { " ; " } else { "" }, root.root)?;
            let mut trees = root.trees.iter();
            trees.try_for_each(|tree| write!(f, " {tree}"))?;
        }
        Ok(())
    }
}

/// Reads the table's text.
///
/// # Errors
///
/// The first line that is not in the notation.
pub fn read(text: &str, registers: Registers) -> Result<Vec<Shape>, TableError> {
    let mut shapes = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if !line.is_empty() {
            let error = |message| TableError {
                line: number + 1,
                message,
            };
            read_line(line, registers, &mut shapes).map_err(error)?;
        }
    }
    Ok(shapes)
}

fn read_line(line: &str, registers: Registers, shapes: &mut Vec<Shape>) -> Result<(), String> {
    let (first, line) = match line.strip_prefix('@') {
        Some(rest) => {
            let (first, line) = rest.split_once(' ').ok_or("a line of nothing but @")?;
            let first = first.parse::<u8>().map_err(|e| format!("@{first}: {e}"))?;
            (first, line)
        }
        None => (u8::MAX, line),
    };
    let offered = Offered { registers, first };
    for line in braces(line) {
        for line in variables(&line, &mut Vec::new(), offered) {
            shapes.extend(parse_line(&line)?.expand(offered)?);
        }
    }
    Ok(())
}

/// The registers that a line may name: of the pinned ones the first few only.
#[derive(Clone, Copy)]
struct Offered {
    registers: Registers,
    first: u8,
}

impl Offered {
    fn pinned(self, float: bool) -> std::ops::Range<u8> {
        let pinned = match float {
            true => self.registers.pinned_floats,
            false => self.registers.pinned_ints,
        };
        0..pinned.min(self.first)
    }

    fn temps(self, float: bool) -> std::ops::Range<u8> {
        let Registers {
            pinned_ints,
            temp_ints,
            pinned_floats,
            temp_floats,
        } = self.registers;
        match float {
            true => pinned_floats..pinned_floats + temp_floats,
            false => pinned_ints..pinned_ints + temp_ints,
        }
    }
}

/// Every text that `line` stands for when each `{a,b}` is replaced by one of its alternatives.
fn braces(line: &str) -> Vec<String> {
    let Some(open) = line.find('{') else {
        return vec![line.to_owned()];
    };
    let close = open + line[open..].find('}').unwrap_or(line.len() - open - 1);
    let rest = braces(&line[close + 1..]);
    line[open + 1..close]
        .split(',')
        .flat_map(|word| {
            rest.iter()
                .map(move |rest| format!("{}{word}{rest}", &line[..open]))
        })
        .collect()
}

/// Every text that `line` stands for when each variable is replaced by a register, written `%i0`,
/// that is not among `taken`.
fn variables(line: &str, taken: &mut Vec<String>, offered: Offered) -> Vec<String> {
    let is_variable =
        |word: &&str| matches!(word.as_bytes(), [b'i' | b'f', digit] if digit.is_ascii_digit());
    let mut words = line.split(|c: char| c.is_whitespace() || "();".contains(c));
    let Some(variable) = words.find(is_variable) else {
        return vec![line.to_owned()];
    };
    let float = variable.starts_with('f');
    let mut lines = Vec::new();
    for n in offered.pinned(float) {
        let register = format!("%{}{n}", &variable[..1]);
        if !taken.contains(&register) {
            let replaced = replace_word(line, variable, &register);
            taken.push(register);
            lines.extend(variables(&replaced, taken, offered));
            taken.pop();
        }
    }
    lines
}

/// Replaces a word wherever it stands alone.
fn replace_word(line: &str, word: &str, with: &str) -> String {
    let delimiters = |c: char| c.is_whitespace() || "();".contains(c);
    line.split_inclusive(delimiters)
        .map(|piece| match piece.strip_prefix(word) {
            Some(rest) if rest.chars().all(delimiters) => format!("{with}{rest}"),
            _ => piece.to_owned(),
        })
        .collect()
}

enum Pattern {
    Class(String),
    Op(Op, Vec<Pattern>),
}

struct RootPattern {
    /// The root, with the class of its place if it is a set.
    root: RootName,
    trees: Vec<Pattern>,
}

enum RootName {
    Set(String),
    Plain(Symbol),
}

struct LinePattern(Vec<RootPattern>);

fn parse_line(line: &str) -> Result<LinePattern, String> {
    line.split(';')
        .map(parse_root)
        .collect::<Result<_, _>>()
        .map(LinePattern)
}

fn parse_root(text: &str) -> Result<RootPattern, String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace();
    let name = words.next().ok_or("no root")?;
    let root = match name {
        "set" => RootName::Set(words.next().ok_or("a set without a place")?.to_owned()),
        "global.set" => RootName::Plain(Symbol::GlobalSet),
        "global.set.float" => RootName::Plain(Symbol::GlobalSetFloat),
        "global.set.vector" => RootName::Plain(Symbol::GlobalSetVector),
        "br_if" => RootName::Plain(Symbol::BrIf),
        "br_unless" => RootName::Plain(Symbol::BrUnless),
        "loop_if" => RootName::Plain(Symbol::LoopIf),
        "loop_unless" => RootName::Plain(Symbol::LoopUnless),
        "br_table" => RootName::Plain(Symbol::BrTable),
        "call_indirect" => RootName::Plain(Symbol::CallIndirect),
        "call_ref" => RootName::Plain(Symbol::CallRef),
        "br" => RootName::Plain(Symbol::Br),
        "loop" => RootName::Plain(Symbol::Loop),
        "call" => RootName::Plain(Symbol::Call),
        name if let Some(ints) = name.strip_prefix("return.") => RootName::Plain(
            (ints.parse().ok())
                .and_then(Symbol::returning)
                .ok_or_else(|| format!("no root is called {name}"))?,
        ),
        _ => RootName::Plain(Symbol::Store(
            StoreOp::ALL
                .iter()
                .copied()
                .find(|op| op.name() == name)
                .ok_or_else(|| format!("no root is called {name}"))?,
        )),
    };
    let mut trees = Vec::new();
    while let Some(word) = words.next() {
        trees.push(parse_tree(word, &mut words)?);
    }
    Ok(RootPattern { root, trees })
}

fn parse_tree<'a>(
    word: &str,
    words: &mut impl Iterator<Item = &'a str>,
) -> Result<Pattern, String> {
    if word != "(" {
        return Ok(Pattern::Class(word.to_owned()));
    }
    let name = words.next().ok_or("an operator is missing")?;
    let op = Op::ALL
        .iter()
        .copied()
        .find(|op| op.name() == name)
        .ok_or_else(|| format!("no operator is called {name}"))?;
    let operands = op
        .params()
        .iter()
        .map(|_| parse_tree(words.next().ok_or("an operand is missing")?, words))
        .collect::<Result<_, String>>()?;
    match words.next() {
        Some(")") => Ok(Pattern::Op(op, operands)),
        _ => Err(format!("{name} has too many operands, or no )")),
    }
}

/// The leaves that a class stands for where a value of type `ty` is wanted.
fn leaves(class: &str, ty: Ty, offered: Offered) -> Result<Vec<Symbol>, String> {
    let pinned = offered.pinned(ty.is_float());
    let temps = offered.temps(ty.is_float());
    let register = |n| {
        if ty.is_float() {
            Symbol::Float(n)
        } else {
            Symbol::Int(n)
        }
    };
    if let Some(name) = class.strip_prefix('%') {
        let number = name[1..]
            .parse()
            .map_err(|_| format!("no register {class}"))?;
        return Ok(vec![match &name[..1] {
            "i" => Symbol::Int(number),
            _ => Symbol::Float(number),
        }]);
    }
    let mut leaves = Vec::new();
    for letter in class.chars() {
        match letter {
            'v' => leaves.push(Symbol::Vector),
            other if ty == Ty::V128 => return Err(format!("{other} is not a vector")),
            's' => leaves.push(Symbol::Slot),
            'r' => leaves.extend(pinned.clone().chain(temps.clone()).map(register)),
            'p' => leaves.extend(pinned.clone().map(register)),
            't' => leaves.extend(temps.clone().map(register)),
            // A 64-bit float has no 32-bit form.
            'c' if ty == Ty::F64 => leaves.push(Symbol::Const64),
            'c' => leaves.push(Symbol::Const32),
            'w' => leaves.push(Symbol::Const64),
            other => return Err(format!("no operand class is called {other}")),
        }
    }
    Ok(leaves)
}

impl Pattern {
    fn expand(&self, ty: Ty, offered: Offered) -> Result<Vec<Tree>, String> {
        match self {
            Pattern::Class(class) => Ok(leaves(class, ty, offered)?
                .into_iter()
                .map(Tree::Leaf)
                .collect()),
            Pattern::Op(op, operands) => {
                let operands = operands
                    .iter()
                    .zip(op.params())
                    .map(|(operand, ty)| operand.expand(*ty, offered))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(product(&operands)
                    .into_iter()
                    .map(|operands| Tree::Op(*op, operands))
                    .collect())
            }
        }
    }

    /// The type of the value it computes, if it is an operator.
    fn ty(&self) -> Option<Ty> {
        match self {
            Pattern::Class(_) => None,
            Pattern::Op(op, _) => Some(op.result()),
        }
    }
}

impl LinePattern {
    fn expand(&self, offered: Offered) -> Result<Vec<Shape>, String> {
        let roots = self
            .0
            .iter()
            .map(|root| root.expand(offered))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(product(&roots)
            .into_iter()
            .map(|roots| Shape { roots })
            .collect())
    }
}

impl RootPattern {
    fn expand(&self, offered: Offered) -> Result<Vec<RootShape>, String> {
        let mut roots = Vec::new();
        match &self.root {
            RootName::Set(class) => {
                let [tree] = &self.trees[..] else {
                    return Err("a set takes one tree".to_owned());
                };
                // A set of a leaf is written with the kind as a letter: `set.f` is not needed,
                // because both kinds of place can take a slot's bits.
                // A register says which of them.
                let leaf = match tree {
                    Pattern::Class(leaf) => &leaf[..],
                    Pattern::Op(..) => "",
                };
                let any = if class == "v" {
                    vec![Ty::V128]
                } else if [class, leaf].iter().any(|class| class.starts_with("%i")) {
                    vec![Ty::I64]
                } else if [class, leaf].iter().any(|class| class.starts_with("%f")) {
                    vec![Ty::F64]
                } else {
                    vec![Ty::I64, Ty::F64]
                };
                for ty in tree.ty().map_or(any, |ty| vec![ty]) {
                    for place in leaves(class, ty, offered)? {
                        let root = Symbol::Set(match place {
                            Symbol::Int(n) => SetSymbol::Int(n),
                            Symbol::Float(n) => SetSymbol::Float(n),
                            Symbol::Vector => SetSymbol::Vector,
                            _ => SetSymbol::Slot,
                        });
                        for tree in tree.expand(ty, offered)? {
                            roots.push(RootShape {
                                root,
                                trees: vec![tree],
                            });
                        }
                    }
                }
            }
            RootName::Plain(root) => {
                let types: &[Ty] = match root {
                    Symbol::Store(op) => &[Ty::I32, op.value()],
                    Symbol::GlobalSet => &[Ty::I64],
                    Symbol::GlobalSetFloat => &[Ty::F64],
                    Symbol::GlobalSetVector => &[Ty::V128],
                    root if root.root_operands() == Some(0) => &[],
                    _ => &[Ty::I32],
                };
                if types.len() != self.trees.len() {
                    return Err(format!("{root:?} takes {} trees", types.len()));
                }
                let trees = self
                    .trees
                    .iter()
                    .zip(types)
                    .map(|(tree, ty)| tree.expand(*ty, offered))
                    .collect::<Result<Vec<_>, _>>()?;
                for trees in product(&trees) {
                    roots.push(RootShape { root: *root, trees });
                }
            }
        }
        Ok(roots)
    }
}

/// Every way to take one element of each list.
fn product<T: Clone>(lists: &[Vec<T>]) -> Vec<Vec<T>> {
    lists.iter().fold(vec![Vec::new()], |rows, list| {
        rows.iter()
            .flat_map(|row| {
                list.iter().map(move |item| {
                    let mut row = row.clone();
                    row.push(item.clone());
                    row
                })
            })
            .collect()
    })
}
