//! The registers as one function uses them: some hold its locals, the others are temporary.

use crate::Registers;
use crate::ir::{Node, Pin, Place, Slot};
use crate::op::Ty;

use super::expr::Term;

/// How many registers of a kind that could hold a local are temporary instead. Each takes a slot of
/// the frame, where the function saves it if it uses it.
const MOST_BORROWED: u8 = 2;

/// But not in a body of fewer bytes: it has few values at once, and its frame stays small.
const SHORT_BODY: usize = 40;

/// What the executor offers, and what the function's locals leave of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Use {
    ints: Kind,
    floats: Kind,
}

/// The registers of a kind.
#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    /// So many hold locals, from the first on.
    pinned: u8,
    /// Those from there up to here are temporary, and are saved if they are used.
    borrowed: u8,
    /// From here on there are those that are temporary everywhere.
    temp: u8,
    end: u8,
}

impl Kind {
    fn new(pinned: u8, most_pinned: u8, temps: u8, most_borrowed: u8) -> Kind {
        Kind {
            pinned,
            borrowed: most_pinned.min(pinned + most_borrowed),
            temp: most_pinned,
            end: most_pinned + temps,
        }
    }

    /// The temporary ones, those first that need not be saved.
    fn temps(self) -> impl Iterator<Item = u8> {
        (self.temp..self.end).chain(self.pinned..self.borrowed)
    }

    /// How many have to be saved if these are set.
    fn saved(self, set: u32) -> u8 {
        let borrowed = set & ((1 << self.borrowed) - 1);
        self.pinned
            .max((u32::BITS - borrowed.leading_zeros()) as u8)
    }
}

impl Use {
    /// What a function has that pins these locals, with a body of so many bytes.
    pub(super) fn new(offered: Registers, pins: &[Pin], body: usize) -> Use {
        let of_floats = pins
            .iter()
            .filter(|pin| matches!(pin.place, Place::Float(_)));
        let floats = of_floats.count() as u8;
        let ints = pins.len() as u8 - floats;
        let most_ints = if body < SHORT_BODY { 0 } else { MOST_BORROWED };
        // Without a float local there is hardly a float temporary.
        let most_floats = if floats == 0 { 0 } else { most_ints };
        let Registers {
            pinned_ints,
            temp_ints,
            pinned_floats,
            temp_floats,
        } = offered;
        Use {
            ints: Kind::new(ints, pinned_ints, temp_ints, most_ints),
            floats: Kind::new(floats, pinned_floats, temp_floats, most_floats),
        }
    }

    /// Whether a place is a register that holds a local.
    #[inline]
    pub(super) fn is_pinned(&self, place: Place) -> bool {
        match place {
            Place::Slot(_) | Place::Vector(_) => false,
            Place::Int(n) => n < self.ints.pinned,
            Place::Float(n) => n < self.floats.pinned,
        }
    }

    /// The most slots that saving registers takes.
    pub(super) fn save_slots(&self) -> Slot {
        Slot::from(self.ints.borrowed) + Slot::from(self.floats.borrowed)
    }

    /// How many integer and how many float registers the function has to save if it sets these.
    pub(super) fn saved(&self, set: Temps) -> (u8, u8) {
        let Temps(set) = set;
        (
            self.ints.saved(set & 0xffff),
            self.floats.saved(set >> FLOATS),
        )
    }
}

/// A set of registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Temps(u32);

/// The number of the first float register's bit.
const FLOATS: u32 = 16;

impl Temps {
    pub(super) const NONE: Temps = Temps(0);

    /// The register, if it is one.
    #[inline]
    pub(super) fn of_register(place: Place) -> Temps {
        match place {
            Place::Slot(_) | Place::Vector(_) => Temps::NONE,
            Place::Int(n) => Temps(1 << n),
            Place::Float(n) => Temps(1 << (FLOATS + u32::from(n))),
        }
    }

    /// The same, if it holds no local.
    #[inline]
    pub(super) fn of_place(place: Place, registers: &Use) -> Temps {
        if registers.is_pinned(place) {
            Temps::NONE
        } else {
            Temps::of_register(place)
        }
    }

    /// The registers that these trees read and that hold no local.
    pub(super) fn of(terms: &[Term], registers: &Use) -> Temps {
        let mut temps = Temps::NONE;
        for term in terms {
            if let Node::Place(place) = term.node {
                temps = temps | Temps::of_place(place, registers);
            }
        }
        temps
    }

    /// A temporary register for a value of a type that is not in the set.
    pub(super) fn free(self, ty: Ty, registers: &Use) -> Option<Place> {
        let is_free = |place: &Place| self.0 & Temps::of_register(*place).0 == 0;
        match ty {
            Ty::V128 => None,
            Ty::F32 | Ty::F64 => registers.floats.temps().map(Place::Float).find(is_free),
            Ty::I32 | Ty::I64 => registers.ints.temps().map(Place::Int).find(is_free),
        }
    }
}

impl std::ops::BitOr for Temps {
    type Output = Temps;

    fn bitor(self, other: Temps) -> Temps {
        Temps(self.0 | other.0)
    }
}
