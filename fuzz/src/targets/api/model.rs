//! What a store has to be after each operation.

use vm_engine::Trap;

use super::flaw::Flaw;
use super::ops::{Answer, Call, Function, New};
use super::{DEPTH, ELEMENTS, FRAMES, INSTANCES, LIMITED_INSTANCES, Outcome, PAGES};

/// Bytes in a page.
const PAGE: usize = 65536;
/// How many elements a table starts with.
const FIRST_ELEMENTS: usize = 4;

/// A store's contents.
#[derive(Debug)]
pub(super) struct Store {
    limited: bool,
    memories: Vec<Vec<u8>>,
    /// Of an element, the instance whose function `add` it is.
    tables: Vec<Vec<Option<usize>>>,
    globals: Vec<i64>,
    /// Of each instance, which memory, table and global it has: all three under one number.
    instances: Vec<usize>,
    /// How many answers' calls are active.
    depth: usize,
    /// Stores that answers made and that live on: none, but for a flaw.
    left: usize,
    /// How the model is wrong, if it is to be.
    flaw: Option<Flaw>,
}

impl Store {
    pub(super) fn new(limited: bool, depth: usize, flaw: Option<Flaw>) -> Store {
        Store {
            limited,
            memories: Vec::new(),
            tables: Vec::new(),
            globals: Vec::new(),
            instances: Vec::new(),
            depth,
            left: 0,
            flaw,
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// Stores that live on although they should not.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    pub(super) fn instances(&self) -> usize {
        self.instances.len()
    }

    fn limit(&self, limits: (u32, u32)) -> usize {
        let (general, limited) = limits;
        if self.limited {
            limited as usize
        } else {
            general as usize
        }
    }

    /// The instance that the number means.
    pub(super) fn instance(&self, number: u8) -> Option<usize> {
        usize::from(number).checked_rem(self.instances.len())
    }

    /// Whether there is room for one more: if not by the store's limits, making it fails, otherwise it is not tried.
    pub(super) fn tries(&self) -> bool {
        self.limited || self.instances.len() < INSTANCES
    }

    /// Makes an instance, if the limits allow it.
    pub(super) fn make(&mut self, new: New) -> bool {
        let most = LIMITED_INSTANCES + usize::from(self.has(Flaw::InstanceLimit));
        if self.limited && self.instances.len() >= most {
            return false;
        }
        let shared = match new {
            New::Own => None,
            New::Sharing(_) if self.has(Flaw::NothingShared) => None,
            New::Sharing(number) => self
                .instance(number)
                .map(|instance| self.instances[instance]),
        };
        let group = shared.unwrap_or_else(|| {
            self.memories.push(vec![0; PAGE]);
            self.tables.push(vec![None; FIRST_ELEMENTS]);
            self.globals.push(0);
            self.memories.len() - 1
        });
        self.instances.push(group);
        true
    }

    pub(super) fn grow(&mut self, instance: usize, pages: u32) -> Option<u32> {
        let most = self.limit(PAGES) - usize::from(self.has(Flaw::MemoryLimit));
        let refused = self.has(Flaw::NoGrowth) && pages == 0;
        let memory = &mut self.memories[self.instances[instance]];
        let old = memory.len() / PAGE;
        if refused && old == most {
            return None;
        }
        let new = old.checked_add(pages as usize).filter(|new| *new <= most)?;
        memory.resize(new * PAGE, 0);
        Some(old as u32)
    }

    pub(super) fn grow_table(
        &mut self,
        instance: usize,
        elements: u32,
        with: Option<usize>,
    ) -> Option<u32> {
        let most = self.limit(ELEMENTS) - usize::from(self.has(Flaw::TableLimit));
        let table = &mut self.tables[self.instances[instance]];
        let old = table.len();
        let new = old
            .checked_add(elements as usize)
            .filter(|new| *new <= most)?;
        table.resize(new, with);
        Some(old as u32)
    }

    pub(super) fn set_element(&mut self, instance: usize, index: usize, to: Option<usize>) -> bool {
        match self.tables[self.instances[instance]].get_mut(index) {
            Some(element) => {
                *element = to;
                true
            }
            None => false,
        }
    }

    pub(super) fn global(&mut self, instance: usize) -> &mut i64 {
        &mut self.globals[self.instances[instance]]
    }

    pub(super) fn memory(&self, instance: usize) -> &[u8] {
        &self.memories[self.instances[instance]]
    }

    pub(super) fn table(&self, instance: usize) -> &[Option<usize>] {
        &self.tables[self.instances[instance]]
    }

    fn bytes(&mut self, instance: usize, address: u32, len: usize) -> Result<&mut [u8], Outcome> {
        let address = address as usize;
        let last = usize::from(self.has(Flaw::LastBytes));
        let empty = self.has(Flaw::EmptyFill) && len == 0;
        let memory = &mut self.memories[self.instances[instance]];
        let within = memory.len() - last;
        let end = address + len + usize::from(empty);
        memory
            .get_mut(address..address + len)
            .filter(|_| end <= within)
            .ok_or(Outcome::Trap(Trap::MemoryOutOfBounds, 1))
    }

    /// Writes from the host; whether it was inside.
    pub(super) fn write(&mut self, instance: usize, address: u32, value: u32) -> bool {
        if self.has(Flaw::PartialWrite) {
            let memory = &mut self.memories[self.instances[instance]];
            let rest = memory.iter_mut().skip(address as usize);
            rest.zip(value.to_le_bytes())
                .for_each(|(to, byte)| *to = byte);
        }
        let bytes = self.bytes(instance, address, 4);
        bytes
            .map(|bytes| bytes.copy_from_slice(&value.to_le_bytes()))
            .is_ok()
    }

    /// Calls a function of an instance; without one, nothing happens.
    pub(super) fn call(&mut self, call: &Call) -> Outcome {
        let Some(instance) = self.instance(call.instance) else {
            return Outcome::Value(0);
        };
        let before = *self.global(instance);
        match self.function(instance, call) {
            Ok(value) => Outcome::Value(value),
            Err(stop) => {
                let undone = match stop {
                    Outcome::Trap(..) => self.has(Flaw::UndoneByTrap),
                    Outcome::Error(_) => self.has(Flaw::UndoneByError),
                    Outcome::Panic => self.has(Flaw::UndoneByPanic),
                    _ => false,
                };
                if undone {
                    *self.global(instance) = before;
                }
                stop
            }
        }
    }

    fn function(&mut self, instance: usize, call: &Call) -> Result<i64, Outcome> {
        Ok(match call.function {
            Function::Add(number) => self.add(instance, number),
            Function::Load(address) => {
                let bytes = self.bytes(instance, address, 4)?;
                i32::from_le_bytes(bytes.try_into().unwrap_or_default()).into()
            }
            Function::Store(address, value) => {
                self.bytes(instance, address, 4)?
                    .copy_from_slice(&value.to_le_bytes());
                0
            }
            Function::Fill(address, value, len) => {
                if self.has(Flaw::PartialFill) {
                    let memory = &mut self.memories[self.instances[instance]];
                    let rest = memory.iter_mut().skip(address as usize);
                    rest.take(len.into()).for_each(|byte| *byte = value);
                }
                self.bytes(instance, address, len.into())?.fill(value);
                0
            }
            Function::Grow(pages) => self.grow(instance, pages.into()).map_or(-1, i64::from),
            Function::GrowTable(elements) => {
                let with = (!self.has(Flaw::GrowthWithNull)).then_some(instance);
                self.grow_table(instance, elements.into(), with)
                    .map_or(-1, i64::from)
            }
            Function::Through(index, number) => {
                match self.table(instance).get(usize::from(index)) {
                    None => return Err(Outcome::Trap(Trap::UndefinedElement, 1)),
                    Some(None) if self.has(Flaw::NullElement) => {
                        return Err(Outcome::Trap(Trap::UndefinedElement, 1));
                    }
                    Some(None) => return Err(Outcome::Trap(Trap::UninitializedElement, 1)),
                    Some(Some(_)) if self.has(Flaw::WrongInstance) => self.add(instance, number),
                    Some(Some(other)) => self.add(*other, number),
                }
            }
            Function::Ask {
                frames,
                number,
                times,
            } => {
                let frames = usize::from(frames) + 1;
                let short =
                    usize::from(self.has(Flaw::DeepFrames) && frames == usize::from(FRAMES));
                for time in 0..usize::from(times) {
                    let answer = call.answers.get(time);
                    let said = self.answer(instance, number, answer);
                    let said = said.map_err(|stop| match stop {
                        Outcome::Trap(..) if self.has(Flaw::OuterFrames) => stop,
                        stop => stop.further_in(frames - short),
                    })?;
                    self.add(instance, said);
                }
                *self.global(instance)
            }
            Function::Spin(turns) => (0..i64::from(turns)).sum(),
            Function::Divide(dividend, divisor) => match dividend.checked_div(divisor.into()) {
                Some(quotient) => quotient.into(),
                None if divisor == 0 || self.has(Flaw::DivisionOverflow) => {
                    return Err(Outcome::Trap(Trap::IntegerDivideByZero, 1));
                }
                None => return Err(Outcome::Trap(Trap::IntegerOverflow, 1)),
            },
            Function::Stop => {
                *self.global(instance) = -1;
                return Err(Outcome::Trap(Trap::Unreachable, 1));
            }
            Function::Dive => return Err(Outcome::Exhausted),
        })
    }

    fn add(&mut self, instance: usize, number: i64) -> i64 {
        let global = self.global(instance);
        *global = global.wrapping_add(number);
        *global
    }

    /// What the host says to an instance that asks, or why it does not.
    fn answer(
        &mut self,
        instance: usize,
        number: i64,
        answer: Option<&Answer>,
    ) -> Result<i64, Outcome> {
        let Some(answer) = answer else {
            return Ok(number.wrapping_add(1));
        };
        Ok(match answer {
            Answer::Number(number) => *number,
            Answer::Error => return Err(Outcome::Error(0)),
            Answer::Panic => return Err(Outcome::Panic),
            Answer::Call { call, goes_on } if self.depth < DEPTH => {
                self.depth += 1;
                let outcome = self.call(call);
                self.depth -= 1;
                match outcome {
                    Outcome::Value(value) => value,
                    _ if *goes_on && !self.has(Flaw::NestedFailure) => -1,
                    stop => return Err(stop),
                }
            }
            Answer::OtherStore(call) if self.depth < DEPTH => {
                let mut other = Store::new(false, self.depth + 1, self.flaw);
                other.make(New::Own);
                let outcome = other.call(call);
                self.left += other.left + usize::from(self.has(Flaw::ForgottenOtherStore));
                match outcome {
                    Outcome::Value(value) => value,
                    stop if self.has(Flaw::OtherStore) => return Err(stop),
                    _ => -1,
                }
            }
            Answer::Call { .. } | Answer::OtherStore(_) => 0,
            Answer::Grow(_) if self.has(Flaw::GrowthDuringCall) => -1,
            Answer::Grow(pages) => self.grow(instance, (*pages).into()).map_or(-1, i64::from),
            Answer::SetGlobal(value) => {
                if !self.has(Flaw::SetDuringCall) {
                    *self.global(instance) = *value;
                }
                number
            }
            Answer::Instance(new) if self.tries() => i64::from(self.make(*new)),
            Answer::Instance(_) => 0,
        })
    }
}

impl Outcome {
    /// The same, seen from so many frames further out.
    fn further_in(self, frames: usize) -> Outcome {
        match self {
            Outcome::Trap(trap, inner) => Outcome::Trap(trap, inner + frames),
            Outcome::Error(inner) => Outcome::Error(inner + frames),
            other => other,
        }
    }
}
