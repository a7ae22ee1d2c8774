//! Cells that make a frame and return from it.

use std::ops::Range;

use vm_translate::ir::{FRAME_HEADER, Node, Pin, Place, Root, Slot};
use vm_translate::shape::ShapeKey;

use super::cells::{Writer, slot_bytes};
use super::fixed::{Fixed, Returned};
use super::{fixed_handler, shapes};
use crate::machine::STACK_GUARD_BYTES;

/// Words of the cell that enters a function without pinned registers.
const PLAIN_ENTRY_WORDS: usize = 3;

impl Writer<'_> {
    /// The cells that check for room, save registers, zero slots, and give every pinned local the value in
    /// the slot that `from` says, or zero.
    pub(super) fn enter(
        &mut self,
        frame_slots: Slot,
        zeroed: Range<Slot>,
        pins: &[Pin],
        from: impl Fn(usize, &Pin) -> Option<Slot>,
    ) {
        let kind = |float: bool| {
            let pins = pins.iter().enumerate();
            let pins = pins.map(|(n, pin)| (pin.place, from(n, pin)));
            pins.filter(move |(place, _)| matches!(place, Place::Float(_)) == float)
        };
        let leading = |float| kind(float).map_while(|(_, slot)| slot).collect::<Vec<_>>();

        let frame_bytes = slot_bytes(frame_slots);
        let params = leading(false);
        self.fixed(self.entry(frame_bytes, &zeroed, params.len()));
        self.put32(frame_bytes);
        self.put_slot(self.frame.saves);
        self.put_slot(zeroed.start);
        self.put32(zeroed.len() as u32);
        params.iter().for_each(|slot| self.put_slot(*slot));
        self.pad();

        if self.frame.floats > 0 {
            let params = leading(true);
            self.fixed(Fixed::EnterFloats {
                floats: self.frame.floats,
                params: params.len() as u8,
            });
            self.put_slot(self.saved_floats());
            params.iter().for_each(|slot| self.put_slot(*slot));
            self.pad();
        }
        // Entry sets parameters only up to the first pin that is none.
        for float in [false, true] {
            for (place, slot) in kind(float).skip_while(|(_, slot)| slot.is_some()) {
                if let Some(slot) = slot {
                    let (root, from) = (Root::Set(place), [Node::Place(Place::Slot(slot))]);
                    // The shapes promise a set of any place from a slot.
                    let key = ShapeKey::new().with_inst(&root, &from);
                    if let Some(key) = key
                        && let Some(found) = shapes::find(key)
                    {
                        let roots = [(&root, &from[..], key)].into_iter();
                        self.handler(found.handler, roots);
                    }
                }
            }
        }
    }

    /// Leaves room for the cell that [`Writer::fill_entry`] writes.
    pub(super) fn leave_room_to_enter(&mut self) {
        (0..PLAIN_ENTRY_WORDS).for_each(|_| self.put(0));
    }

    /// Writes the first cell, for which there is room, of a function without pinned registers.
    pub(super) fn fill_entry(&mut self, frame_slots: Slot, zeroed: Range<Slot>) {
        let frame_bytes = slot_bytes(frame_slots);
        let handler = fixed_handler(self.entry(frame_bytes, &zeroed, 0));
        // Two operands a word, as `enter` writes them.
        let pair = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
        let words: [u64; PLAIN_ENTRY_WORDS] = [
            handler,
            pair(frame_bytes, slot_bytes(self.frame.saves)),
            pair(slot_bytes(zeroed.start), zeroed.len() as u32),
        ];
        for (n, word) in words.into_iter().enumerate() {
            self.out.words.fill(8 * n, word);
        }
    }

    fn entry(&self, frame_bytes: u32, zeroed: &Range<Slot>, params: usize) -> Fixed {
        Fixed::Enter {
            touch: self.around.guarded_stack && frame_bytes as usize <= STACK_GUARD_BYTES,
            zero: !zeroed.is_empty(),
            ints: self.frame.ints,
            params: params as u8,
        }
    }

    /// Where float registers are saved.
    fn saved_floats(&self) -> Slot {
        self.frame.saves + Slot::from(self.frame.ints)
    }

    /// Writes the cell of a set of the first result and the return behind it, if there is a handler for both.
    pub(super) fn return_value(&mut self, leaf: &Node, offset: u32) -> bool {
        let (value, operand) = match *leaf {
            Node::Place(Place::Slot(slot)) => (Returned::Slot, Some(slot_bytes(slot))),
            Node::Place(Place::Int(n)) => (Returned::Int(n), None),
            // Float registers are restored before the result is set.
            Node::Place(Place::Float(n)) if self.frame.floats == 0 => (Returned::Float(n), None),
            Node::Const(bits) if bits as i64 == i64::from(bits as i32) => {
                (Returned::Const, Some(bits as u32))
            }
            _ => return false,
        };
        self.note(0, offset);
        self.restore_floats();
        self.fixed(Fixed::ReturnValue {
            ints: self.frame.ints,
            value,
        });
        self.put_slot(self.frame.saves);
        if let Some(operand) = operand {
            self.put32(operand);
        }
        self.pad();
        true
    }

    pub(super) fn restore_floats(&mut self) {
        if self.frame.floats > 0 {
            self.fixed(Fixed::RestoreFloats {
                floats: self.frame.floats,
            });
            self.put_slot(self.saved_floats());
            self.pad();
        }
    }
}

/// Whether an instruction sets the first result.
pub(super) fn sets_result(root: &Root) -> bool {
    matches!(root, Root::Set(Place::Slot(FRAME_HEADER)))
}
