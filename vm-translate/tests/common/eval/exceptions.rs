//! Where exceptions are caught: by the tables that the code has.

use super::Eval;
use crate::common::{Exception, Value};
use vm_translate::Function;
use vm_translate::ir::{Catch, Label, Place};

impl Eval<'_> {
    /// Where an exception goes on that an instruction has thrown, or what it has called: there its values are where the
    /// clause that catches it wants them. Nothing if none does.
    pub(super) fn catch(
        &mut self,
        function: &Function,
        index: usize,
        frame: usize,
        number: u32,
    ) -> Option<Label> {
        let Exception { tag, values } = self.state.exceptions[number as usize].clone();
        let mut around = function.handlers().around(index as u32);
        let matches = |catch: &&Catch| catch.tag.is_none_or(|wanted| wanted == tag);
        let catch = *around.find(matches)?;
        // Nothing of what the frames had that it has left.
        self.spoil_temps();
        self.trapped_at = None;
        let types = self.module.tag_type(tag).params().iter();
        match catch.values {
            Some(Place::Slot(slot) | Place::Vector(slot)) => {
                let mut at = frame + slot as usize;
                for (ty, value) in types.zip(values) {
                    self.put(at, ty.ty(), value);
                    at += ty.slots() as usize;
                }
            }
            Some(register) => {
                assert_eq!(values.len(), 1, "a register has one value");
                self.write(register, frame, values[0]);
            }
            None => assert!(catch.tag.is_none() || values.is_empty(), "values are lost"),
        }
        if let Some(place) = catch.exception {
            self.write(place, frame, Value::from(number) + 1);
        }
        Some(catch.label)
    }
}
