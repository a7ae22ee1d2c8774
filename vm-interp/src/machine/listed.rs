//! The exceptions of a run that has stopped, as a list: what references to them are in [`GuestFrames`](super::GuestFrames).
//!
//! An exception in the list refers to earlier ones only, as it was made when they were there. So a list from anyone is read from its
//! beginning, and none of it can refer to itself.

use std::collections::HashMap;

use vm_translate::ValType;

use crate::context::Word;
use crate::machine::exceptions::{Exception, Exceptions, is_exception};
use crate::machine::{EntityError, World};
use crate::value::{ExnId, Raw, TagId, Val};

/// An exception that frames refer to.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestException {
    /// Its tag.
    pub tag: TagId,
    /// Its values. A reference to an exception is the number of an earlier one in the list.
    pub values: Vec<Val>,
}

/// Reads values, and lists the exceptions that they refer to.
pub(super) struct Lister<'a> {
    world: &'a World,
    /// The number of each, by its address.
    numbers: HashMap<usize, u32>,
    list: Vec<GuestException>,
}

impl<'a> Lister<'a> {
    pub(super) fn new(world: &'a World) -> Lister<'a> {
        Lister {
            world,
            numbers: HashMap::new(),
            list: Vec::new(),
        }
    }

    /// The exceptions that values have referred to so far.
    pub(super) fn into_list(self) -> Vec<GuestException> {
        self.list
    }

    /// A value of a type, as in slots.
    pub(super) fn read(&mut self, ty: ValType, words: &[Word; 2]) -> Val {
        if is_exception(ty)
            && let Some(exception) = self.world.exception_at(words[0])
        {
            self.list(&exception);
        }
        self.read_known(ty, words)
    }

    /// The same, if an exception that it refers to has a number.
    fn read_known(&self, ty: ValType, words: &[Word; 2]) -> Val {
        if !is_exception(ty) {
            return self.world.read_raw(ty, &words.map(Raw));
        }
        let exception = self.world.exception_at(words[0]);
        let number = exception.and_then(|exception| self.numbers.get(&exception.address()));
        Val::ExnRef(number.map(|number| ExnId::at(*number)))
    }

    /// Gives an exception a number, and those before it that it refers to. Not by recursion: there may be very many.
    fn list(&mut self, exception: &Exception) {
        let mut open = vec![(exception.clone(), 0)];
        while let Some((exception, done)) = open.last_mut() {
            if self.numbers.contains_key(&exception.address()) {
                open.pop();
                continue;
            }
            if let Some(next) = exception.held().get(*done) {
                *done += 1;
                let next = next.clone();
                open.push((next, 0));
                continue;
            }
            let exception = exception.clone();
            let ty = self.world.tag_type(exception.tag());
            let values = exception
                .values(ty)
                .map(|(ty, words)| self.read_known(ty, &words))
                .collect();
            let number = self.list.len() as u32;
            self.list.push(GuestException {
                tag: exception.tag(),
                values,
            });
            self.numbers.insert(exception.address(), number);
        }
    }
}

/// The exceptions of a list that have been made: they live as long as this, and references to them mean something.
pub(super) struct MadeExceptions(Vec<Exception>);

impl MadeExceptions {
    /// Makes them.
    pub(super) fn new(
        world: &mut World,
        list: &[GuestException],
    ) -> Result<MadeExceptions, EntityError> {
        let mut made = MadeExceptions(Vec::with_capacity(list.len()));
        for GuestException { tag, values } in list {
            let exception = world.make_exception(*tag, values, |_, number| made.word(number))?;
            made.0.push(exception);
        }
        Ok(made)
    }

    /// A value as in slots, if it is of a type. Of references to exceptions those to ones of the list are.
    pub(super) fn words(
        &self,
        world: &World,
        ty: ValType,
        value: &Val,
    ) -> Result<[Word; 2], EntityError> {
        world.words_with(ty, value, |number| self.word(number))
    }

    /// A reference for guests to the exception of this number.
    fn word(&self, number: ExnId) -> Option<Word> {
        let number = usize::try_from(number.number()).ok()?;
        self.0.get(number).map(Exceptions::word)
    }
}
