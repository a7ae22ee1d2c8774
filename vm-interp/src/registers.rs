//! The registers for values: which is which in what the runtime keeps of a run that has ended, and where frames save those of
//! their callers.

use vm_translate::Function;
use vm_translate::ir::{Place, Slot};

use crate::context::{INT_REGISTERS, REGISTERS};

/// The number of a register among all that are kept when a run ends: integers, then floats. Nothing if the place is none.
pub(crate) fn number(place: Place) -> Option<usize> {
    let number = match place {
        Place::Int(n) => usize::from(n),
        Place::Float(n) => INT_REGISTERS + usize::from(n),
        Place::Slot(_) | Place::Vector(_) => return None,
    };
    (number < REGISTERS).then_some(number)
}

/// Where a frame has the values that its caller had in registers. By default, it has changed none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SavedRegisters {
    /// The first slot: integers, then floats.
    first: Slot,
    /// How many integer registers, from the first on.
    ints: u8,
    /// How many float registers, from the first on.
    floats: u8,
}

impl SavedRegisters {
    /// Those of a frame of a function's.
    pub(crate) fn of(function: &Function) -> SavedRegisters {
        SavedRegisters {
            first: function.saves().start,
            ints: function.saved_ints(),
            floats: function.saved_floats(),
        }
    }

    /// The numbers of the registers, each with the slot where it is saved.
    pub(crate) fn slots(self) -> impl Iterator<Item = (usize, Slot)> {
        let ints = 0..usize::from(self.ints);
        let floats = INT_REGISTERS..INT_REGISTERS + usize::from(self.floats);
        ints.chain(floats).zip(self.first..)
    }
}
