//! What a store has to be after each operation.

use vm_engine::Trap;

use super::{
    Answer, Call, DEPTH, ELEMENTS, FRAMES, Function, INSTANCES, LIMITED_INSTANCES, New, Outcome,
    PAGES, TIMES,
};

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
}

impl Store {
    pub(super) fn new(limited: bool, depth: usize) -> Store {
        Store {
            limited,
            memories: Vec::new(),
            tables: Vec::new(),
            globals: Vec::new(),
            instances: Vec::new(),
            depth,
        }
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
        if self.limited && self.instances.len() >= LIMITED_INSTANCES {
            return false;
        }
        let shared = match new {
            New::Own => None,
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
        let most = self.limit(PAGES);
        let memory = &mut self.memories[self.instances[instance]];
        let old = memory.len() / PAGE;
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
        let most = self.limit(ELEMENTS);
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
        let memory = &mut self.memories[self.instances[instance]];
        memory
            .get_mut(address..address + len)
            .ok_or(Outcome::Trap(Trap::MemoryOutOfBounds, 1))
    }

    /// Writes from the host; whether it was inside.
    pub(super) fn write(&mut self, instance: usize, address: u32, value: u32) -> bool {
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
        match self.function(instance, call) {
            Ok(value) => Outcome::Value(value),
            Err(stop) => stop,
        }
    }

    fn function(&mut self, instance: usize, call: &Call) -> Result<i64, Outcome> {
        Ok(match call.function {
            Function::Add(number) => self.add(instance, number),
            Function::Load(address) => {
                let bytes = self.bytes(instance, address.get(), 4)?;
                i32::from_le_bytes(bytes.try_into().unwrap_or_default()).into()
            }
            Function::Store(address, value) => {
                self.bytes(instance, address.get(), 4)?
                    .copy_from_slice(&value.to_le_bytes());
                0
            }
            Function::Fill(address, value, len) => {
                self.bytes(instance, address.get(), len.into())?.fill(value);
                0
            }
            Function::Grow(pages) => self.grow(instance, pages.into()).map_or(-1, i64::from),
            Function::GrowTable(elements) => self
                .grow_table(instance, elements.into(), Some(instance))
                .map_or(-1, i64::from),
            Function::Through(index, number) => {
                match self.table(instance).get(usize::from(index)) {
                    None => return Err(Outcome::Trap(Trap::UndefinedElement, 1)),
                    Some(None) => return Err(Outcome::Trap(Trap::UninitializedElement, 1)),
                    Some(Some(other)) => self.add(*other, number),
                }
            }
            Function::Ask(frames, number, times) => {
                let frames = usize::from(frames % FRAMES) + 1;
                for time in 0..usize::from(times % TIMES) {
                    let answer = call.answers.get(time);
                    let said = self.answer(instance, number, answer);
                    let said = said.map_err(|stop| stop.further_in(frames))?;
                    self.add(instance, said);
                }
                *self.global(instance)
            }
            Function::Spin(turns) => (0..i64::from(turns)).sum(),
            Function::Divide(dividend, divisor) => match dividend.checked_div(divisor.into()) {
                Some(quotient) => quotient.into(),
                None if divisor == 0 => return Err(Outcome::Trap(Trap::IntegerDivideByZero, 1)),
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
                    _ if *goes_on => -1,
                    stop => return Err(stop),
                }
            }
            Answer::OtherStore(call) if self.depth < DEPTH => {
                let mut other = Store::new(false, self.depth + 1);
                other.make(New::Own);
                match other.call(call) {
                    Outcome::Value(value) => value,
                    _ => -1,
                }
            }
            Answer::Call { .. } | Answer::OtherStore(_) => 0,
            Answer::Grow(pages) => self.grow(instance, (*pages).into()).map_or(-1, i64::from),
            Answer::SetGlobal(value) => {
                *self.global(instance) = *value;
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
