//! Where a body's pieces of straight line begin, and what each costs in fuel.
//!
//! This looks at WebAssembly alone, once before each translation, so every tier and executor charges the same
//! at the same places. [`FuelCosts`] says what a piece is.

use wasmparser::Operator;

use super::exceptions;
use crate::bodies::ValidBody;
use crate::{Error, FuelCosts};

/// What is added to code beyond what its WebAssembly says: so that its host can bound how long it runs, and that it computes
/// the same everywhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Additions<'a> {
    /// Whether to charge fuel ([`Root::ConsumeFuel`](crate::ir::Root::ConsumeFuel)), and how much.
    pub fuel: Option<&'a FuelCosts>,
    /// Whether functions and loops look at the epoch as they begin
    /// ([`Root::CheckEpoch`](crate::ir::Root::CheckEpoch)).
    pub epochs: bool,
    /// Whether calls count ([`Root::EnterCall`](crate::ir::Root::EnterCall)), so that the host can bound how many are inside of each other.
    pub call_depth: bool,
    /// Whether operators of floats have the canonical NaN for a result wherever the specification allows several
    /// ([`Op::canonical`](crate::Op::canonical)).
    pub canonical_nans: bool,
    /// Whether to say where runs can stop and go on, and where their values are then
    /// ([`Function::sites`](crate::Function::sites)): at calls, and wherever fuel is taken or the epoch looked at. Code keeps fewer values in
    /// registers then.
    pub sites: bool,
}

/// What is charged where.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    /// In the order of their offsets.
    pieces: Vec<Piece>,
    /// How many have been passed.
    passed: usize,
    open: Vec<Block>,
}

/// A piece that costs something.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// That of its first operator in the module.
    offset: u32,
    cost: u32,
}

/// A block that is open.
#[derive(Clone, Copy, Debug)]
struct Block {
    kind: Kind,
    /// Whether some branch arrives at its end.
    is_target: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Plain,
    Loop,
    /// Without an `else` so far.
    If,
}

impl Pieces {
    /// No operator has this offset.
    const NOWHERE: u32 = u32::MAX;

    /// Looks at a body. What was known of another is forgotten.
    pub(super) fn look(
        &mut self,
        body: &ValidBody<'_>,
        additions: Additions<'_>,
    ) -> Result<(), Error> {
        self.pieces.clear();
        self.passed = 0;
        let Some(costs) = additions.fuel else {
            return Ok(());
        };
        self.open.clear();
        self.open(Kind::Plain);
        let mut reachable = true;
        // How many blocks are open that began where nothing can be reached.
        let mut unreachable_blocks = 0_u32;
        let mut begins = true;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset()?;
            if unreachable_blocks > 0 || !reachable {
                match operator {
                    Operator::Block { .. }
                    | Operator::Loop { .. }
                    | Operator::If { .. }
                    | Operator::TryTable { .. }
                    | Operator::Try { .. } => {
                        unreachable_blocks += 1;
                        continue;
                    }
                    Operator::End | Operator::Delegate { .. } if unreachable_blocks > 0 => {
                        unreachable_blocks -= 1;
                        continue;
                    }
                    Operator::End | Operator::Delegate { .. } => {}
                    Operator::Else | Operator::Catch { .. } | Operator::CatchAll
                        if unreachable_blocks == 0 => {}
                    _ => continue,
                }
            } else {
                if begins {
                    let offset = offset as u32;
                    self.pieces.push(Piece { offset, cost: 0 });
                    begins = false;
                }
                if let Some(piece) = self.pieces.last_mut() {
                    piece.cost = piece.cost.saturating_add(costs.of(&operator));
                }
            }
            match operator {
                Operator::Block { .. } | Operator::Try { .. } => self.open(Kind::Plain),
                Operator::TryTable { ref try_table } => {
                    for catch in &try_table.catches {
                        self.branch(exceptions::label(catch));
                    }
                    self.open(Kind::Plain);
                }
                Operator::Loop { .. } => {
                    self.open(Kind::Loop);
                    begins = true;
                }
                Operator::If { .. } => {
                    self.open(Kind::If);
                    begins = true;
                }
                Operator::Else | Operator::Catch { .. } | Operator::CatchAll => {
                    if let Some(block) = self.open.last_mut() {
                        block.kind = Kind::Plain;
                        block.is_target |= reachable;
                    }
                    reachable = true;
                    begins = true;
                }
                Operator::End | Operator::Delegate { .. } => {
                    let arrives = self.open.pop().is_some_and(|block| match block.kind {
                        Kind::Plain => block.is_target,
                        Kind::Loop => false,
                        // Where there is no `else`, that is where the condition leads.
                        Kind::If => true,
                    });
                    reachable |= arrives;
                    begins |= arrives;
                }
                Operator::BrIf { relative_depth }
                | Operator::BrOnNull { relative_depth }
                | Operator::BrOnNonNull { relative_depth } => {
                    self.branch(relative_depth);
                    begins = true;
                }
                Operator::Br { relative_depth } => {
                    self.branch(relative_depth);
                    reachable = false;
                }
                Operator::BrTable { ref targets } => {
                    for depth in targets.targets() {
                        self.branch(depth?);
                    }
                    self.branch(targets.default());
                    reachable = false;
                }
                Operator::Return
                | Operator::Unreachable
                | Operator::Throw { .. }
                | Operator::ThrowRef
                | Operator::Rethrow { .. }
                | Operator::ReturnCall { .. }
                | Operator::ReturnCallIndirect { .. }
                | Operator::ReturnCallRef { .. } => reachable = false,
                _ => {}
            }
        }
        self.pieces.retain(|piece| piece.cost > 0);
        Ok(())
    }

    fn open(&mut self, kind: Kind) {
        self.open.push(Block {
            kind,
            is_target: false,
        });
    }

    fn branch(&mut self, depth: u32) {
        // Validation has found the block.
        if let Some(at) = self.open.len().checked_sub(depth as usize + 1) {
            self.open[at].is_target = true;
        }
    }

    /// The offset at which [`Pieces::charge`] is to be asked next.
    #[inline]
    pub(super) fn next(&self) -> u32 {
        (self.pieces.get(self.passed)).map_or(Self::NOWHERE, |piece| piece.offset)
    }

    /// What is charged before the operator at [`Pieces::next`].
    pub(super) fn charge(&mut self) -> u32 {
        let cost = self.pieces[self.passed].cost;
        self.passed += 1;
        cost
    }

    /// Builds with debug assertions check that translation has been where every piece begins.
    pub(super) fn check_passed(&self) {
        debug_assert_eq!(self.next(), Self::NOWHERE, "a piece has not been charged");
    }

    /// What a body that is a single piece costs.
    pub(super) fn whole(&self) -> u32 {
        self.pieces.first().map_or(0, |piece| piece.cost)
    }
}
