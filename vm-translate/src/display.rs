//! The text form of the IR, for people and for tests. It may change.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};

use crate::atomic::AtomicKind;
use crate::ir::{Catch, Function, Inst, Node, Place, Root};
use crate::op::Ty;
use crate::{Module, Point};

impl Function {
    /// The function's instructions as text, headed by its name and type in `module`, which is
    /// the one it has been translated from.
    pub fn listing<'a>(&'a self, module: &'a Module) -> impl Display + 'a {
        Listing {
            function: self,
            module: Some(module),
        }
    }
}

impl Display for Function {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let function = self;
        let module = None;
        Listing { function, module }.fmt(f)
    }
}

struct Listing<'a> {
    function: &'a Function,
    module: Option<&'a Module>,
}

impl Display for Listing<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let function = self.function;
        write!(f, "func {}", function.index())?;
        if let Some(name) = self
            .module
            .and_then(|module| module.func_name(function.index()))
        {
            write!(f, " {name:?}")?;
        }
        match self.module {
            Some(module) => writeln!(f, " {}", module.func_type(function.index()).ty())?,
            None => writeln!(
                f,
                " with {} parameters and {} results",
                function.param_slots(),
                function.result_slots()
            )?,
        }
        write!(f, "  frame {}", function.frame_slots())?;
        for pin in function.pins() {
            write!(f, ", {} = local {}", pin.place, pin.local)?;
            if let Some(slot) = pin.parameter {
                write!(f, " from s{slot}")?;
            }
        }
        let saves = function.saves();
        if !saves.is_empty() {
            write!(f, ", saves s{}..s{}", saves.start, saves.end)?;
        }
        if !function.zeroed().is_empty() {
            write!(
                f,
                ", zero s{}..s{}",
                function.zeroed().start,
                function.zeroed().end
            )?;
        }
        writeln!(f)?;
        // Labels are named by where they are, so that those nothing branches to do not count.
        let used: BTreeSet<u32> = function
            .branches()
            .map(|label| self.position(label))
            .collect();
        for (index, inst) in function.insts().iter().enumerate() {
            if used.contains(&(index as u32)) {
                writeln!(f, "@{index}:")?;
            }
            write!(f, "  {:04x}  ", inst.offset)?;
            self.inst(f, inst)?;
            writeln!(f)?;
        }
        self.handlers(f)?;
        for site in function.sites().sites() {
            let Point { offset, kind } = site.point;
            write!(f, "  site @{} {offset:04x} {kind:?}", site.at)?;
            if let Some(head) = site.head {
                write!(f, " in @{head}")?;
            }
            writeln!(f, ": {}", function.sites().listed(site))?;
        }
        Ok(())
    }
}

impl Listing<'_> {
    /// Which instructions are in which region, and what each region catches.
    fn handlers(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let handlers = self.function.handlers();
        let end = self.function.insts().len() as u32;
        let ends = handlers.changes().iter().skip(1).map(|(at, _)| *at);
        for ((start, region), end) in handlers.changes().iter().zip(ends.chain([end])) {
            if let Some(region) = region.filter(|_| *start < end) {
                writeln!(f, "  region {region}: @{start}..@{end}")?;
            }
        }
        for region in 0..handlers.regions() {
            let (catches, next) = handlers.region(region);
            for catch in catches {
                let Catch {
                    tag,
                    label,
                    values,
                    exception,
                } = catch;
                write!(f, "  region {region}: catch")?;
                match tag {
                    Some(tag) => write!(f, " {tag}")?,
                    None => write!(f, "_all")?,
                }
                if let Some(place) = values {
                    write!(f, " values {place}")?;
                }
                if let Some(place) = exception {
                    write!(f, " exception {place}")?;
                }
                writeln!(f, " @{}", self.position(*label))?;
            }
            if let Some(next) = next {
                writeln!(f, "  region {region}: then region {next}")?;
            }
        }
        Ok(())
    }

    fn position(&self, label: u32) -> u32 {
        self.function.labels()[label as usize]
    }

    fn inst(&self, f: &mut Formatter<'_>, inst: &Inst) -> fmt::Result {
        let mut trees = Trees {
            nodes: self.function.nodes(inst),
        };
        let at = |label: u32| format!("@{}", self.position(label));
        match inst.root {
            Root::Set(place) => write!(
                f,
                "{place} = {}",
                trees.next(match place {
                    Place::Float(_) => Ty::F64,
                    Place::Vector(_) => Ty::V128,
                    _ => Ty::I64,
                })
            ),
            Root::Copy { from, to, count } => {
                let slots = |first: u32| format!("s{first}..s{}", first + count);
                write!(f, "{} = {}", slots(to), slots(from))
            }
            Root::Store { op, offset } => {
                write!(f, "{op} ")?;
                if offset != 0 {
                    write!(f, "offset={offset} ")?;
                }
                let address = trees.next(Ty::I32);
                write!(f, "({address}), {}", trees.next(op.value()))
            }
            Root::MemoryLoad {
                op,
                memory,
                offset,
                base,
            } => write!(f, "s{base} = {op} {memory} offset={offset} (s{base})"),
            Root::MemoryStore {
                op,
                memory,
                offset,
                base,
            } => {
                let value = base + 1;
                write!(f, "{op} {memory} offset={offset} (s{base}), s{value}")
            }
            Root::Atomic {
                op,
                memory,
                offset,
                base,
                unchecked,
            } => {
                if op.result().is_some() {
                    write!(f, "s{base} = ")?;
                }
                write!(f, "{op}{}", if unchecked { ".unchecked" } else { "" })?;
                if op.kind() == AtomicKind::Fence {
                    return Ok(());
                }
                write!(f, " {memory} offset={offset} (s{base})")?;
                let values = (base + 1..).zip(op.params());
                (values.map(|(slot, _)| slot)).try_for_each(|slot| write!(f, ", s{slot}"))
            }
            Root::GlobalSet { global, kind } => {
                write!(f, "global.set {global}, {}", trees.next(kind))
            }
            Root::ConsumeFuel { cost } => write!(f, "consume_fuel {cost}"),
            Root::CheckEpoch => f.write_str("check_epoch"),
            Root::EnterCall => f.write_str("enter_call"),
            Root::LeaveCall => f.write_str("leave_call"),
            Root::Br(label) => write!(f, "br {}", at(label)),
            Root::BrIf(label) => write!(f, "br_if {} {}", trees.next(Ty::I32), at(label)),
            Root::BrUnless(label) => write!(f, "br_unless {} {}", trees.next(Ty::I32), at(label)),
            Root::EnterLoop => f.write_str("enter_loop"),
            Root::Loop(label) => write!(f, "loop {}", at(label)),
            Root::LoopIf(label) => write!(f, "loop_if {} {}", trees.next(Ty::I32), at(label)),
            Root::LoopUnless(label) => {
                write!(f, "loop_unless {} {}", trees.next(Ty::I32), at(label))
            }
            Root::BrTable { first, count } => {
                write!(f, "br_table {}", trees.next(Ty::I32))?;
                let table = &self.function.tables()[first as usize..][..count as usize];
                table
                    .iter()
                    .try_for_each(|label| write!(f, " {}", at(*label)))
            }
            Root::Return => f.write_str("return"),
            Root::Unreachable => f.write_str("unreachable"),
            Root::NullReference => f.write_str("null_reference"),
            Root::Call { func, base } => write!(f, "call {func}{} base s{base}", self.name(func)),
            Root::CallImport { func, base } => {
                write!(f, "call_import {func}{} base s{base}", self.name(func))
            }
            Root::CallIndirect { table, ty, base } => {
                let index = trees.next(Ty::I32);
                write!(f, "call_indirect {table} type {ty} ({index}) base s{base}")
            }
            Root::CallRef { ty, base } => {
                let reference = trees.next(Ty::I64);
                write!(f, "call_ref type {ty} ({reference}) base s{base}")
            }
            Root::ReturnCall { func, base, .. } => {
                write!(f, "return_call {func}{} base s{base}", self.name(func))
            }
            Root::ReturnCallImport { func, base, .. } => {
                write!(
                    f,
                    "return_call_import {func}{} base s{base}",
                    self.name(func)
                )
            }
            Root::ReturnCallIndirect {
                table,
                ty,
                base,
                args,
            } => {
                let index = base + crate::ir::FRAME_HEADER + args;
                write!(
                    f,
                    "return_call_indirect {table} type {ty} (s{index}) base s{base}"
                )
            }
            Root::ReturnCallRef { ty, base, args } => {
                let reference = base + crate::ir::FRAME_HEADER + args;
                write!(f, "return_call_ref type {ty} (s{reference}) base s{base}")
            }
            Root::Runtime { op, base, imm } => {
                write!(f, "{} {} {} base s{base}", op.name(), imm[0], imm[1])
            }
        }
    }

    fn name(&self, func: u32) -> String {
        match self.module.and_then(|module| module.func_name(func)) {
            Some(name) => format!(" {name:?}"),
            None => String::new(),
        }
    }
}

/// Takes trees off the front of nodes.
struct Trees<'a> {
    nodes: &'a [Node],
}

impl Trees<'_> {
    /// The text of the next tree, read as `ty`.
    fn next(&mut self, ty: Ty) -> String {
        let Some((node, rest)) = self.nodes.split_first() else {
            return "?".to_owned();
        };
        self.nodes = rest;
        match *node {
            Node::Place(place) => place.to_string(),
            Node::Const(bits) => constant(bits, ty),
            Node::Op(op, immediate) => {
                let mut text = op.to_string();
                if op.params().is_empty() {
                    return format!("{text} {immediate}");
                }
                if op.has_lane() {
                    text += &format!(" {immediate} ");
                } else if op.has_immediate() && immediate != 0 {
                    text += &format!(" offset={immediate} ");
                }
                let operands: Vec<String> = op.params().iter().map(|ty| self.next(*ty)).collect();
                format!("{text}({})", operands.join(", "))
            }
        }
    }
}

fn constant(bits: u64, ty: Ty) -> String {
    match ty {
        Ty::I32 => (bits as i32).to_string(),
        Ty::I64 | Ty::V128 => (bits as i64).to_string(),
        Ty::F32 => float(f64::from(f32::from_bits(bits as u32)), bits),
        Ty::F64 => float(f64::from_bits(bits), bits),
    }
}

fn float(value: f64, bits: u64) -> String {
    if value.is_nan() {
        format!("nan:{bits:#x}")
    } else {
        format!("{value:?}")
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Place::Slot(slot) => write!(f, "s{slot}"),
            Place::Int(n) => write!(f, "r{n}"),
            Place::Float(n) => write!(f, "f{n}"),
            Place::Vector(slot) => write!(f, "v{slot}"),
        }
    }
}
