//! The types of a function's locals.

use std::ops::Range;

use crate::bodies::ValidBody;
use crate::ir::{FRAME_HEADER, Slot};
use crate::op::Ty;
use crate::types::{ir_type, may_be_exception};
use crate::{Error, FuncType, HeapType, ValType};

/// So many locals, from the first on, are looked up in tables. A body of a few bytes may declare fifty thousand of which
/// it names hardly any: the others are looked for among the declarations.
const NEAR: usize = 1 << 10;

/// What is known of locals by their types.
#[derive(Debug, Default)]
pub(super) struct LocalTypes {
    /// Those of the first locals, parameters included.
    near: Vec<Ty>,
    groups: Vec<Group>,
    /// Whether there are vectors among them.
    vectors: bool,
    /// Those of the first locals that may be references to exceptions.
    exceptions: Vec<u32>,
}

/// Adjacent locals of a type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    /// The first of them.
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) ty: Ty,
    /// The slot of the first, if all locals stand side by side, in their order.
    slot: Slot,
}

impl Group {
    fn end(&self) -> Slot {
        self.slot + self.count * self.ty.slots()
    }
}

impl LocalTypes {
    /// Those of a function of this type. What was known of another is forgotten.
    pub(super) fn read(&mut self, ty: &FuncType, body: &ValidBody<'_>) -> Result<(), Error> {
        self.near.clear();
        self.groups.clear();
        self.vectors = false;
        self.exceptions.clear();
        for param in ty.params() {
            let is_exception = matches!(param, ValType::Ref(ty) if ty.heap.top() == HeapType::Exn);
            self.note(1, is_exception);
            self.add(1, param.ty());
        }
        for group in body.get_locals_reader()? {
            let (count, ty) = group?;
            self.note(count, may_be_exception(ty));
            self.add(count, ir_type(ty));
        }
        Ok(())
    }

    /// Notes whether the next locals may be references to exceptions.
    fn note(&mut self, count: u32, are_exceptions: bool) {
        if are_exceptions {
            let first = self.near.len() as u32;
            let near = count.min(NEAR as u32 - first);
            self.exceptions.extend(first..first + near);
        }
    }

    fn add(&mut self, count: u32, ty: Ty) {
        let near = (count as usize).min(NEAR - self.near.len());
        self.near.extend(std::iter::repeat_n(ty, near));
        self.vectors |= ty == Ty::V128 && count > 0;
        match self.groups.last_mut() {
            Some(last) if last.ty == ty => last.count += count,
            _ => {
                let (first, slot) = (self.count(), self.end());
                self.groups.push(Group {
                    first,
                    count,
                    ty,
                    slot,
                });
            }
        }
    }

    /// Those of the first locals that may be references to exceptions.
    pub(super) fn exceptions(&self) -> &[u32] {
        &self.exceptions
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.groups.last().map_or(0, |last| last.first + last.count)
    }

    /// Those of the first locals.
    pub(super) fn near(&self) -> &[Ty] {
        &self.near
    }

    /// All of them. Adjacent groups differ in their types.
    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// That of a local.
    #[inline]
    pub(super) fn get(&self, local: u32) -> Ty {
        match self.near.get(local as usize) {
            Some(ty) => *ty,
            None => self.far(local),
        }
    }

    #[cold]
    fn far(&self, local: u32) -> Ty {
        self.group(local).ty
    }

    fn group(&self, local: u32) -> &Group {
        let after = (self.groups).partition_point(|group| group.first <= local);
        &self.groups[after - 1]
    }

    /// The slot of a local if all stand side by side, in their order: a vector takes two.
    #[inline]
    pub(super) fn slot(&self, local: u32) -> Slot {
        match self.vectors {
            false => FRAME_HEADER + local,
            true => self.slot_among_vectors(local),
        }
    }

    fn slot_among_vectors(&self, local: u32) -> Slot {
        let group = self.group(local);
        group.slot + (local - group.first) * group.ty.slots()
    }

    /// One past the last of these slots.
    pub(super) fn end(&self) -> Slot {
        self.groups.last().map_or(FRAME_HEADER, Group::end)
    }

    /// Which locals are vectors, those that are adjacent together.
    pub(super) fn vectors(&self) -> impl Iterator<Item = Range<u32>> {
        (self.groups.iter())
            .filter(|group| group.ty == Ty::V128)
            .map(|group| group.first..group.first + group.count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wasmparser::{Parser, Payload};

    use super::*;
    use crate::ValType;

    const TYPES: [(&str, Ty); 5] = [
        ("i32", Ty::I32),
        ("i64", Ty::I64),
        ("f32", Ty::F32),
        ("f64", Ty::F64),
        ("v128", Ty::V128),
    ];

    proptest! {
        #[test]
        fn they_are_those_that_are_declared(
            groups in prop::collection::vec((0..TYPES.len(), 0..700_usize), 0..8),
        ) {
            let params = [ValType::I64, ValType::V128];
            let mut all: Vec<Ty> = params.iter().map(|ty| ty.ty()).collect();
            let mut text = String::from("(module (func (param i64 v128)");
            for (ty, count) in groups {
                let (name, ty) = TYPES[ty];
                all.extend(std::iter::repeat_n(ty, count));
                text += &format!("(local {})", format!("{name} ").repeat(count));
            }
            let module = wat::parse_str(text + "))").unwrap();
            let body = Parser::new(0).parse_all(&module).find_map(|payload| match payload.unwrap() {
                Payload::CodeSectionEntry(body) => Some(ValidBody::known(body)),
                _ => None,
            });
            let mut types = LocalTypes::default();
            // What was there before is forgotten.
            for _ in 0..2 {
                types.read(&FuncType::new(params, []), body.as_ref().unwrap()).unwrap();
            }
            prop_assert_eq!(types.count() as usize, all.len());
            let found: Vec<Ty> = (0..types.count()).map(|local| types.get(local)).collect();
            prop_assert_eq!(&found, &all);
            prop_assert_eq!(types.near(), &all[..all.len().min(NEAR)]);
            let mut slot = FRAME_HEADER;
            for (local, ty) in (0..).zip(&all) {
                prop_assert_eq!(types.slot(local), slot);
                slot += ty.slots();
            }
            prop_assert_eq!(types.end(), slot);
            let vectors: Vec<u32> = types.vectors().flatten().collect();
            let expected = (0..).zip(&all).filter(|(_, ty)| **ty == Ty::V128);
            prop_assert_eq!(vectors, expected.map(|(local, _)| local).collect::<Vec<u32>>());
            let groups = types.groups();
            prop_assert!(groups.windows(2).all(|two| two[0].ty != two[1].ty));
            let of_groups = groups.iter().flat_map(|group| {
                assert_eq!(all[group.first as usize], group.ty);
                std::iter::repeat_n(group.ty, group.count as usize)
            });
            prop_assert!(of_groups.eq(all.iter().copied()));
        }
    }
}
