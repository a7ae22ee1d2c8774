//! Reads the shape table: lines of instructions over operand classes, expanded to shapes.
//!
//! ```text
//! # a comment
//! set rs ({i32,i64}.{add,sub} rs rsc)
//! ```
//!
//! `{a,b}` stands for either text. A word of class letters stands for any of its leaves: `s` a
//! slot, `v` a vector in two slots, `r` any register of the kind that is wanted there, `p` a
//! pinned register, `t` a
//! temporary one, `c` a 32-bit constant, `w` a 64-bit one. A word of a letter and a digit stands
//! for one register wherever it is written in the line: `i1`, `i2` … any integer register, `f1` …
//! any float register. Roots that share a cell are separated by `;`.

use vm_translate::shape::{Registers, SetSymbol, ShapeKey, Symbol};
use vm_translate::{Op, StoreOp, Ty};

/// A tree of operators over leaf symbols.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Leaf(Symbol),
    Op(Op, Vec<Tree>),
}

/// A root and its trees.
#[derive(Clone, Debug)]
pub(crate) struct RootShape {
    pub(crate) root: Symbol,
    pub(crate) trees: Vec<Tree>,
}

/// A shape: the roots of a cell.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) roots: Vec<RootShape>,
}

impl Tree {
    fn key(&self, key: ShapeKey) -> Option<ShapeKey> {
        match self {
            Tree::Leaf(symbol) => key.with(*symbol),
            Tree::Op(op, trees) => trees
                .iter()
                .try_fold(key.with(Symbol::Op(*op))?, |key, tree| tree.key(key)),
        }
    }

    /// Whether any operator in it satisfies `f`.
    pub(crate) fn any_op(&self, f: &dyn Fn(Op) -> bool) -> bool {
        match self {
            Tree::Leaf(_) => false,
            Tree::Op(op, trees) => f(*op) || trees.iter().any(|tree| tree.any_op(f)),
        }
    }

    /// Whether `symbol` is among its leaves.
    pub(crate) fn has_leaf(&self, symbol: Symbol) -> bool {
        match self {
            Tree::Leaf(leaf) => *leaf == symbol,
            Tree::Op(_, trees) => trees.iter().any(|tree| tree.has_leaf(symbol)),
        }
    }
}

impl Shape {
    pub(crate) fn key(&self) -> Option<ShapeKey> {
        self.roots.iter().try_fold(ShapeKey::new(), |key, root| {
            root.trees
                .iter()
                .try_fold(key.with(root.root)?, |key, tree| tree.key(key))
        })
    }
}

/// Reads the table's text. Errors name the line.
pub(crate) fn read(text: &str, registers: Registers) -> Result<Vec<Shape>, String> {
    let mut shapes = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let lines = braces(line).into_iter();
        for line in lines.flat_map(|line| variables(&line, registers)) {
            let pattern = parse_line(&line).map_err(|e| format!("line {}: {e}", number + 1))?;
            shapes.extend(
                pattern
                    .expand(registers)
                    .map_err(|e| format!("line {}: {e}", number + 1))?,
            );
        }
    }
    Ok(shapes)
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

/// Every text that `line` stands for when each variable is replaced by a register, written `%i0`.
fn variables(line: &str, registers: Registers) -> Vec<String> {
    let is_variable =
        |word: &&str| matches!(word.as_bytes(), [b'i' | b'f', digit] if digit.is_ascii_digit());
    let mut words = line.split(|c: char| c.is_whitespace() || "();".contains(c));
    let Some(variable) = words.find(is_variable) else {
        return vec![line.to_owned()];
    };
    let (kind, count) = if variable.starts_with('i') {
        ('i', registers.pinned_ints + registers.temp_ints)
    } else {
        ('f', registers.pinned_floats + registers.temp_floats)
    };
    (0..count)
        .flat_map(|n| {
            let replaced = replace_word(line, variable, &format!("%{kind}{n}"));
            variables(&replaced, registers)
        })
        .collect()
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
        "br_table" => RootName::Plain(Symbol::BrTable),
        "call_indirect" => RootName::Plain(Symbol::CallIndirect),
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
fn leaves(class: &str, ty: Ty, registers: Registers) -> Result<Vec<Symbol>, String> {
    let (pinned, temps) = if ty.is_float() {
        (registers.pinned_floats, registers.temp_floats)
    } else {
        (registers.pinned_ints, registers.temp_ints)
    };
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
            'r' => leaves.extend((0..pinned + temps).map(register)),
            'p' => leaves.extend((0..pinned).map(register)),
            't' => leaves.extend((pinned..pinned + temps).map(register)),
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
    fn expand(&self, ty: Ty, registers: Registers) -> Result<Vec<Tree>, String> {
        match self {
            Pattern::Class(class) => Ok(leaves(class, ty, registers)?
                .into_iter()
                .map(Tree::Leaf)
                .collect()),
            Pattern::Op(op, operands) => {
                let operands = operands
                    .iter()
                    .zip(op.params())
                    .map(|(operand, ty)| operand.expand(*ty, registers))
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
    fn expand(&self, registers: Registers) -> Result<Vec<Shape>, String> {
        let roots = self
            .0
            .iter()
            .map(|root| root.expand(registers))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(product(&roots)
            .into_iter()
            .map(|roots| Shape { roots })
            .collect())
    }
}

impl RootPattern {
    fn expand(&self, registers: Registers) -> Result<Vec<RootShape>, String> {
        let mut roots = Vec::new();
        match &self.root {
            RootName::Set(class) => {
                let [tree] = &self.trees[..] else {
                    return Err("a set takes one tree".to_owned());
                };
                // A set of a leaf is written with the kind as a letter: `set.f` is not needed,
                // because both kinds of place can take a slot's bits.
                let any = match &class[..] {
                    "v" => vec![Ty::V128],
                    _ => vec![Ty::I64, Ty::F64],
                };
                for ty in tree.ty().map_or(any, |ty| vec![ty]) {
                    for place in leaves(class, ty, registers)? {
                        let root = Symbol::Set(match place {
                            Symbol::Int(n) => SetSymbol::Int(n),
                            Symbol::Float(n) => SetSymbol::Float(n),
                            Symbol::Vector => SetSymbol::Vector,
                            _ => SetSymbol::Slot,
                        });
                        for tree in tree.expand(ty, registers)? {
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
                    _ => &[Ty::I32],
                };
                if types.len() != self.trees.len() {
                    return Err(format!("{root:?} takes {} trees", types.len()));
                }
                let trees = self
                    .trees
                    .iter()
                    .zip(types)
                    .map(|(tree, ty)| tree.expand(*ty, registers))
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
