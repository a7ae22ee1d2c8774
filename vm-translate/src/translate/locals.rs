//! Where locals live: the most used ones in registers, the others in slots.

use std::ops::Range;

use crate::bodies::ValidBody;
use crate::ir::{FRAME_HEADER, Pin, Place, Slot};
use crate::op::Ty;
use crate::{Error, FuncType, Registers};

use super::local_types::{Group, LocalTypes};
use super::lookahead::Lookahead;
use super::stack::Local;

/// A local is pinned only if its uses weigh at least this: saving and restoring the register
/// costs about as much as so many accesses of a slot.
const MIN_PIN_WEIGHT: u32 = 3;

/// And only if they are at least one in so many of all uses of locals: as a temporary the register is
/// worth as much.
const MIN_PIN_SHARE: u64 = 50;

/// The layout of the frame up to the operand stack.
#[derive(Debug, Default)]
pub(super) struct Locals {
    /// Where each of the first locals lives.
    near: Vec<Local>,
    /// The others: of each group the first local, the first slot and the type.
    far: Vec<(u32, Slot, Ty)>,
    pub(super) pins: Vec<Pin>,
    pub(super) zeroed: Range<Slot>,
    /// The first slot for saved registers.
    pub(super) saves: Slot,
    /// While laying out.
    types: LocalTypes,
    /// While laying out: the heaviest locals of a kind, with their weights.
    heaviest: Vec<(u32, usize)>,
}

impl Locals {
    /// Lays out the locals of a function of this type, by what `lookahead` finds in its body. What was
    /// laid out before is forgotten.
    pub(super) fn lay_out(
        &mut self,
        ty: &FuncType,
        body: &ValidBody<'_>,
        registers: &Registers,
        lookahead: &mut Lookahead,
        hottest: Option<u32>,
    ) -> Result<(), Error> {
        self.types.read(ty, body)?;
        lookahead.look(body, self.types.near().len(), hottest)?;
        // Who looks for references to exceptions looks into frames, not into registers.
        for local in self.types.exceptions() {
            lookahead.weights[*local as usize] = 0;
        }
        self.pins.clear();
        self.pin(false, registers.pinned_ints, Place::Int, &lookahead.weights);
        self.pin(
            true,
            registers.pinned_floats,
            Place::Float,
            &lookahead.weights,
        );

        let params = ty.params().len();
        let mut next = FRAME_HEADER;
        self.near.clear();
        for (local, ty) in self.types.near().iter().enumerate() {
            let slot = next;
            let pin = (self.pins.iter_mut()).find(|pin| pin.local as usize == local);
            // A parameter has its slot even if it lives in a register: it arrives there.
            if pin.is_none() || local < params {
                next += ty.slots();
            }
            let place = match pin {
                Some(pin) => {
                    pin.parameter = (local < params).then_some(slot);
                    pin.place
                }
                None => Place::in_slots(slot, *ty),
            };
            self.near.push(Local::new(place, *ty));
        }
        self.far.clear();
        let near = self.near.len() as u32;
        for Group {
            first, count, ty, ..
        } in self.types.groups()
        {
            let from = near.max(*first);
            if from < first + count {
                self.far.push((from, next, *ty));
                next += (first + count - from) * ty.slots();
            }
        }
        self.zeroed = FRAME_HEADER + ty.param_slots()..next;
        // The results stand where the parameters and locals were; the registers are restored
        // after the results have been put there.
        self.saves = next.max(FRAME_HEADER + ty.result_slots());
        Ok(())
    }

    /// Where a local lives.
    #[inline]
    pub(super) fn get(&self, local: u32) -> Local {
        match self.near.get(local as usize) {
            Some(local) => *local,
            None => self.far(local),
        }
    }

    #[cold]
    fn far(&self, local: u32) -> Local {
        let after = self.far.partition_point(|(first, ..)| *first <= local);
        let (first, slot, ty) = self.far[after - 1];
        Local::new(Place::in_slots(slot + (local - first) * ty.slots(), ty), ty)
    }

    /// Which locals are vectors, those that are adjacent together.
    pub(super) fn vectors(&self) -> Vec<Range<u32>> {
        self.types.vectors().collect()
    }

    /// Gives the heaviest of the first locals of a kind that are worth it a register, of so many.
    fn pin(&mut self, float: bool, registers: u8, register: fn(u8) -> Place, weights: &[u32]) {
        let all: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let least = u64::from(MIN_PIN_WEIGHT).max(all / MIN_PIN_SHARE);
        let heaviest = &mut self.heaviest;
        heaviest.clear();
        for (local, (ty, weight)) in self.types.near().iter().zip(weights).enumerate() {
            if u64::from(*weight) < least || *ty == Ty::V128 || ty.is_float() != float {
                continue;
            }
            // Of equally heavy locals the first comes first.
            let at = heaviest.partition_point(|(other, _)| other >= weight);
            if at < usize::from(registers) {
                heaviest.insert(at, (*weight, local));
                heaviest.truncate(registers.into());
            }
        }
        let chosen = (0..).zip(&*heaviest);
        self.pins.extend(chosen.map(|(number, (_, local))| Pin {
            place: register(number),
            local: *local as u32,
            parameter: None,
        }));
    }
}
