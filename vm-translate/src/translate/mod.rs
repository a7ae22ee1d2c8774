//! Translation of a validated body to the register IR: one pass over its instructions, after a
//! quick look ahead.
//!
//! | module | what |
//! | --- | --- |
//! | `baseline` | a translation that is quicker, to slower code |
//! | `code` | the body's instructions, one after the other |
//! | `expr` | trees of operators, their shapes and effects |
//! | `stack` | the symbolic operand stack, and the rules that keep its entries' values |
//! | `lookahead` | what has to be known in advance |
//! | `local_types` | the types of locals |
//! | `metering` | what is charged where, for hosts that bound how long code runs |
//! | `locals` | where locals live |
//! | `registers` | which registers hold locals, and which are temporary |
//! | `emit` | from trees to instructions that the executor has; `emit/copy` has copies of trees |
//! | `pending` | computing pending trees when their time has come |
//! | `control` | blocks, branches, returns |
//! | `moves` | many values at once |
//! | `calls` | calls and rare operations |
//! | `runtime` | which instructions are rare operations |
//! | `operators` | one WebAssembly instruction at a time |
//! | `sites` | where runs can stop and go on later |
//! | `exceptions` | throwing and catching |
//! | `idiom` | bodies that a few operators can stand for |
//! | `vectors` | those on vectors |

mod atomics;
mod baseline;
mod calls;
mod code;
mod control;
mod emit;
mod exceptions;
mod expr;
mod idiom;
mod labels;
mod local_types;
mod locals;
mod lookahead;
mod metering;
mod moves;
mod operators;
mod pending;
mod registers;
mod runtime;
mod sites;
mod stack;
mod vectors;

use std::collections::HashMap;
use std::ops::Range;

use crate::ir::{FRAME_HEADER, Label, Root, Slot};
use crate::op::Op;
use crate::{Error, Function, Module, PointKind, Registers, Shapes};

pub use baseline::{BaselineFrame, BaselineSink, BaselineTranslator};
use code::Code;
use control::Frame;
use emit::Output;
use expr::Effects;
use idiom::WideProduct;
use locals::Locals;
use lookahead::Lookahead;
pub use metering::Additions;
use metering::Pieces;
use operators::Unchecked;
use registers::Use;
use stack::Stack;

/// What a translation depends on besides the module.
#[derive(Clone, Copy)]
pub struct TranslateOptions<'a> {
    /// What the executor can do in one step.
    pub shapes: &'a dyn Shapes,
    /// Whether an access of memory 0 with this constant offset and this width in bytes needs no
    /// check, because every address it can reach is in the memory's reservation. Without it
    /// every access is checked.
    pub unchecked: Option<&'a dyn Fn(u64, u32) -> bool>,
    /// What is added to code beyond what its WebAssembly says.
    pub additions: Additions<'a>,
    /// The offset in the module of the function's loop that is known to have turned most often. Without it, what is in more
    /// loops is taken to run more often, which is wrong for interpreters: each instruction of theirs has small loops, and runs less
    /// often than the one around all of them.
    pub hottest_loop: Option<u32>,
}

impl<'a> TranslateOptions<'a> {
    /// For these shapes: every access is checked, and nothing is added.
    pub fn new(shapes: &'a dyn Shapes) -> TranslateOptions<'a> {
        TranslateOptions {
            shapes,
            unchecked: None,
            additions: Additions::default(),
            hottest_loop: None,
        }
    }
}

impl std::fmt::Debug for TranslateOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TranslateOptions")
            .field("registers", &self.shapes.registers())
            .field("unchecked", &self.unchecked.is_some())
            .field("additions", &self.additions)
            .finish_non_exhaustive()
    }
}

/// The most slots of a frame: eight times as many bytes fit an i32 many times over, and no value
/// stack is as large.
pub(crate) const MAX_FRAME_SLOTS: Slot = 1 << 24;

/// The most instructions of a function. Code of a few bytes can branch with a thousand operands,
/// so without a limit a small module could take all memory of its host.
const MAX_INSTS: usize = 1 << 23;

struct Translator<'a> {
    module: &'a Module,
    shapes: &'a dyn Shapes,
    registers: Use,
    unchecked: Unchecked<'a>,
    /// See [`Shapes::least_copy`].
    least_copy: usize,
    /// Ways to blocks, given by their numbers, for many operands that start in a slot.
    ways: HashMap<(u32, Slot), Label>,
    locals: Locals,
    stack: Stack,
    frames: Vec<Frame>,
    lookahead: Lookahead,
    additions: Additions<'a>,
    pieces: Pieces,
    /// How many blocks have begun, those that cannot be reached included.
    blocks: usize,
    out: Output,
    /// The next slot that nothing uses while an instruction is being emitted.
    scratch: Slot,
    /// Slots below this one are not scratch: arguments are being put there.
    reserved: Slot,
    /// The entries that nobody reads any more, because a branch to where they do not exist is on its way.
    given_up: Range<usize>,
    /// Offset of the WebAssembly instruction at hand.
    offset: u32,
    /// How many blocks deep we are in code that cannot be reached, if we are.
    unreachable: Option<u32>,
}

/// Memory that translations use one after the other, so that each need not ask for its own.
#[derive(Debug, Default)]
pub struct TranslateAllocations {
    lookahead: Lookahead,
    pieces: Pieces,
    locals: Locals,
    stack: Stack,
    frames: Vec<Frame>,
    out: Output,
}

impl TranslateAllocations {
    /// Takes the memory of a function that is no longer needed.
    pub fn recycle(&mut self, mut function: Function) {
        self.locals.pins = std::mem::take(&mut function.pins);
        self.out = Output::reuse(function);
    }
}

impl Module {
    /// Translates the body of a function, given by its index.
    ///
    /// # Errors
    ///
    /// If the function has no body in this module, or needs a frame beyond what the IR can hold.
    pub fn translate(&self, func: u32, options: &TranslateOptions<'_>) -> Result<Function, Error> {
        self.translate_with(func, options, &mut TranslateAllocations::default())
    }

    /// Like [`Module::translate`], in memory that earlier translations have left.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn translate_with(
        &self,
        func: u32,
        options: &TranslateOptions<'_>,
        allocations: &mut TranslateAllocations,
    ) -> Result<Function, Error> {
        let body = self.function_body(func)?;
        let start_offset = self.func_offset(func);
        let bytes = self.func_size(func) as usize;
        let offered = options.shapes.registers();
        let ty = self.func_type(func);
        // What it does is not what its points say.
        let product = match options.additions.sites {
            true => None,
            false => WideProduct::of(ty, &body),
        };
        let pinned = match product {
            // Every parameter is read once or twice, so none is worth a register.
            Some(_) => Registers::NONE,
            None => offered,
        };
        let TranslateAllocations {
            mut lookahead,
            mut pieces,
            mut locals,
            stack,
            mut frames,
            mut out,
        } = std::mem::take(allocations);
        locals.lay_out(ty, &body, &pinned, &mut lookahead, options.hottest_loop)?;
        pieces.look(&body, options.additions)?;
        let registers = Use::new(offered, &locals.pins, bytes);
        let base = locals.saves + registers.save_slots();
        out.reserve_for_body(bytes);
        out.slots = base;
        frames.clear();
        frames.push(Frame::function(self.func_type_index(func), ty.results()));
        let mut translator = Translator {
            module: self,
            shapes: options.shapes,
            registers,
            unchecked: Unchecked(options.unchecked),
            // One has a place of its own, see `Frame::place`.
            least_copy: options.shapes.least_copy().max(2),
            ways: HashMap::new(),
            stack: Stack::reuse(stack, base, registers),
            locals,
            frames,
            lookahead,
            additions: options.additions,
            pieces,
            blocks: 0,
            out,
            scratch: 0,
            reserved: 0,
            given_up: 0..0,
            offset: start_offset,
            unreachable: None,
        };
        translator.enter_call();
        translator.check_epoch();
        match &product {
            Some(product) => {
                let cost = translator.pieces.whole();
                translator.consume_fuel(cost);
                product.translate(&mut translator);
            }
            None => {
                let mut code = Code::new(&body)?;
                while translator.instruction(&mut code)? {}
                translator.pieces.check_passed();
            }
        }
        translator.check_limits()?;
        let Translator {
            stack,
            mut locals,
            frames,
            lookahead,
            pieces,
            out,
            ..
        } = translator;
        let mut zeroed = locals.zeroed.clone();
        if product.is_some() {
            // A recognised body uses none of its own locals.
            zeroed.end = zeroed.start;
        }
        let (saved_ints, saved_floats) = registers.saved(out.set);
        let function = Function {
            index: func,
            param_slots: ty.param_slots(),
            result_slots: ty.result_slots(),
            zeroed,
            saves: locals.saves,
            saved_ints,
            saved_floats,
            frame_slots: out.slots.max(FRAME_HEADER),
            pins: std::mem::take(&mut locals.pins),
            vectors: locals.vectors(),
            insts: out.insts,
            nodes: out.nodes,
            labels: out.labels.into_positions(),
            tables: out.tables,
            loops: out.loops,
            trap_sites: out.trap_sites,
            sites: out.sites,
            handlers: out.handlers,
            start_offset,
        };
        *allocations = TranslateAllocations {
            lookahead,
            pieces,
            locals,
            stack,
            frames,
            out: Output::default(),
        };
        Ok(function)
    }
}

impl Translator<'_> {
    /// Fuel is taken here. What a guest has begun to compute before is done before.
    #[cold]
    fn consume_fuel(&mut self, cost: u32) {
        if cost > 0 {
            self.compute(Effects::TRAPS | Effects::GLOBAL, self.stack.len());
            self.can_stop(PointKind::Fuel);
            self.emit_plain(Root::ConsumeFuel { cost });
        }
    }

    /// Of an operator of floats that has been applied, makes a NaN the canonical one if that is asked for.
    #[inline]
    fn canonicalize(&mut self, op: Op) {
        if self.additions.canonical_nans
            && let Some(canonical) = op.canonical()
        {
            self.apply(canonical, 0);
        }
    }

    /// A function begins here.
    fn enter_call(&mut self) {
        if self.additions.call_depth {
            self.emit_plain(Root::EnterCall);
        }
    }

    /// A function returns here, or another takes its place.
    fn leave_call(&mut self) {
        if self.additions.call_depth {
            self.emit_plain(Root::LeaveCall);
        }
    }

    /// A function or a loop begins here.
    fn check_epoch(&mut self) {
        if self.additions.epochs {
            self.can_stop(PointKind::Epoch);
            self.emit_plain(Root::CheckEpoch);
        }
    }

    /// Checks that the function still is what the IR can hold.
    fn check_limits(&self) -> Result<(), Error> {
        let slots = self.out.slots.max(self.stack.end());
        check_limits(slots, self.out.insts.len(), self.offset)
    }
}

/// Checks that a function with a frame of so many slots and with so many instructions is what the IR can hold.
fn check_limits(slots: Slot, insts: usize, offset: u32) -> Result<(), Error> {
    let (what, limit) = if slots > MAX_FRAME_SLOTS {
        (
            "the size of a function's frame in slots",
            MAX_FRAME_SLOTS.into(),
        )
    } else if insts > MAX_INSTS {
        (
            "the number of instructions of a translated function",
            MAX_INSTS as u64,
        )
    } else {
        return Ok(());
    };
    Err(Error::Limit {
        what,
        limit,
        offset: offset.into(),
    })
}
