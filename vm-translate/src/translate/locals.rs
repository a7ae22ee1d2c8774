//! Where locals live: the most used ones in registers, the others in slots.

use std::ops::Range;

use wasmparser::FunctionBody;

use crate::ir::{FRAME_HEADER, Pin, Place, Slot};
use crate::op::Ty;
use crate::{Error, FuncType, Registers, ValType};

use super::lookahead::Lookahead;

/// A local is pinned only if its uses weigh at least this: saving and restoring the register
/// costs about as much as so many accesses of a slot.
const MIN_PIN_WEIGHT: u32 = 3;

/// The layout of the frame up to the operand stack.
pub(super) struct Locals {
    pub(super) places: Vec<(Place, Ty)>,
    pub(super) pins: Vec<Pin>,
    pub(super) zeroed: Range<Slot>,
    /// The first slot for saved registers.
    pub(super) saves: Slot,
    /// The first slot of the operand stack.
    pub(super) end: Slot,
    pub(super) lookahead: Lookahead,
}

impl Locals {
    pub(super) fn new(
        ty: &FuncType,
        body: &FunctionBody<'_>,
        registers: &Registers,
    ) -> Result<Locals, Error> {
        let mut types: Vec<Ty> = ty.params().iter().map(|ty| ty.ty()).collect();
        for group in body.get_locals_reader()? {
            let (count, ty) = group?;
            // Validation has refused all other types.
            let ty = ValType::from_wasm(ty).map_or(Ty::I64, ValType::ty);
            types.extend(std::iter::repeat_n(ty, count as usize));
        }
        let params = ty.params().len();
        let mut places = vec![None; types.len()];
        // Where the parameters arrive.
        let arrivals: Vec<Slot> = (types[..params].iter())
            .scan(FRAME_HEADER, |next, ty| {
                *next += ty.slots();
                Some(*next - ty.slots())
            })
            .collect();
        let mut pins = Vec::new();
        let lookahead = Lookahead::new(body, types.len())?;
        if registers.pinned_ints > 0 || registers.pinned_floats > 0 {
            for float in [false, true] {
                let (count, register): (_, fn(u8) -> Place) = if float {
                    (registers.pinned_floats, Place::Float)
                } else {
                    (registers.pinned_ints, Place::Int)
                };
                let candidates = (0..types.len())
                    .filter(|local| types[*local] != Ty::V128 && types[*local].is_float() == float);
                let chosen = heaviest(candidates, &lookahead.weights, count.into());
                for (number, local) in (0..).zip(chosen) {
                    let place = register(number);
                    places[local] = Some(place);
                    pins.push(Pin {
                        place,
                        local: local as u32,
                        parameter: arrivals.get(local).copied(),
                    });
                }
            }
        }
        let mut next = FRAME_HEADER;
        let mut place = |local: usize, pinned: Option<Place>| {
            // A parameter has its slot even if it lives in a register: it arrives there.
            let (slot, ty) = (next, types[local]);
            if pinned.is_none() || local < params {
                next += ty.slots();
            }
            pinned.unwrap_or(Place::in_slots(slot, ty))
        };
        let places: Vec<(Place, Ty)> = places
            .into_iter()
            .enumerate()
            .map(|(local, pinned)| (place(local, pinned), types[local]))
            .collect();
        // The results stand where the parameters and locals were; the registers are restored
        // after the results have been put there.
        let saves = next.max(FRAME_HEADER + ty.result_slots());
        Ok(Locals {
            places,
            zeroed: FRAME_HEADER + ty.param_slots()..next,
            saves,
            end: saves + pins.len() as Slot,
            pins,
            lookahead,
        })
    }
}

/// The `count` heaviest candidates that are worth a register, heaviest first.
fn heaviest(
    candidates: impl Iterator<Item = usize>,
    weights: &[u32],
    count: usize,
) -> impl Iterator<Item = usize> {
    let mut candidates: Vec<usize> = candidates
        .filter(|local| weights[*local] >= MIN_PIN_WEIGHT)
        .collect();
    // The sort is stable: of equally heavy locals the first wins.
    candidates.sort_by_key(|local| std::cmp::Reverse(weights[*local]));
    candidates.truncate(count);
    candidates.into_iter()
}
