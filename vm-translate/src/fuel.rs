//! What executing WebAssembly costs in fuel.
//!
//! Fuel is charged by a module's own operators, not by what they are translated to. So what a program consumes
//! depends on the program and on the costs alone, and is the same in every executor, tier and version.

use std::num::NonZero;

use wasmparser::Operator;

/// The cost of every operator, and of what bulk operations do.
///
/// A body is divided into pieces of straight line. One begins with the function, with a loop, with either
/// branch of an `if`, behind a conditional branch, and where branches arrive; a call does not end one. Before
/// anything of a piece is executed, the costs of its operators are taken from the fuel that there is. If there is less, nothing is
/// taken, and the run ends with `all fuel consumed`. A trap in the middle of a piece therefore leaves the fuel
/// that the rest of the piece would have needed taken.
///
/// By default an operator costs 1, and those that are but structure or take a value away nothing: `nop`,
/// `block`, `loop`, `else`, `end`, `drop`, `return`, `unreachable`, as with Wasmtime,
/// and `catch`, `catch_all` and `delegate`.
///
/// Bulk operations cost in proportion to what they do besides, see [`FuelCosts::bytes_per_unit`]; that is taken when they have
/// found their operands to be in bounds, and before they do anything.
///
/// # Examples
///
/// ```
/// use vm_translate::FuelCosts;
///
/// let mut costs = FuelCosts::default();
/// assert_eq!(costs.operator("I32Mul"), Some(1));
/// costs.set_operator("I32Mul", 3)?;
/// assert_eq!(costs.operator("I32Mul"), Some(3));
/// assert!(costs.set_operator("i32.mul", 3).is_err());
/// # Ok::<(), vm_translate::UnknownOperator>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FuelCosts {
    operators: Box<[u32]>,
    bytes_per_unit: NonZero<u32>,
}

/// An operator that costs were asked for does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no operator {name:?}; names are those of wasmparser's `Operator`, as `I32Add`")]
pub struct UnknownOperator {
    /// What it was called.
    pub name: String,
}

macro_rules! define_operators {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $ty:ty),* })? => $visit:ident ($($note:tt)*))*) => {
        /// Their numbers.
        #[derive(Clone, Copy)]
        enum Number { $($op,)* }

        const NAMES: &[&str] = &[$(stringify!($op),)*];

        impl Number {
            fn of(operator: &Operator<'_>) -> Option<Number> {
                match operator {
                    $(Operator::$op { .. } => Some(Number::$op),)*
                    _ => None,
                }
            }
        }
    };
}

wasmparser::for_each_operator!(define_operators);

/// Operators that cost nothing by default.
const FREE: [Number; 11] = [
    Number::Nop,
    Number::Block,
    Number::Loop,
    Number::Else,
    Number::End,
    Number::Drop,
    Number::Return,
    Number::Unreachable,
    Number::Catch,
    Number::CatchAll,
    Number::Delegate,
];

/// About what a host copies in the time that an operator takes.
const BYTES_PER_UNIT: NonZero<u32> = NonZero::new(64).unwrap();

impl Default for FuelCosts {
    fn default() -> FuelCosts {
        let mut costs = FuelCosts::uniform(1);
        for number in FREE {
            costs.operators[number as usize] = 0;
        }
        costs
    }
}

impl FuelCosts {
    /// Every operator costs the same, those of structure included.
    pub fn uniform(cost: u32) -> FuelCosts {
        FuelCosts {
            operators: NAMES.iter().map(|_| cost).collect(),
            bytes_per_unit: BYTES_PER_UNIT,
        }
    }

    /// The cost of an operator, by the name that [`wasmparser::Operator`] has for it; nothing if there is no such
    /// operator.
    pub fn operator(&self, name: &str) -> Option<u32> {
        let number = NAMES.iter().position(|known| *known == name)?;
        Some(self.operators[number])
    }

    /// Sets the cost of an operator, by the name that [`wasmparser::Operator`] has for it. A loop whose operators
    /// cost nothing runs as long as it likes.
    ///
    /// # Errors
    ///
    /// If there is no operator of this name.
    pub fn set_operator(
        &mut self,
        name: &str,
        cost: u32,
    ) -> Result<&mut FuelCosts, UnknownOperator> {
        let number = NAMES.iter().position(|known| *known == name);
        let number = number.ok_or_else(|| UnknownOperator {
            name: name.to_owned(),
        })?;
        self.operators[number] = cost;
        Ok(self)
    }

    /// The names and costs of all operators.
    pub fn operators(&self) -> impl Iterator<Item = (&'static str, u32)> {
        NAMES.iter().copied().zip(self.operators.iter().copied())
    }

    /// Bytes that a unit of fuel pays for, besides the operator's own cost, in `memory.fill`, `memory.copy`, `memory.init` and
    /// `memory.grow`; in `table.fill`, `table.copy`, `table.init` and `table.grow`, where an element counts as
    /// eight bytes. 64 by default; a part of a unit is free.
    pub fn bytes_per_unit(&self) -> NonZero<u32> {
        self.bytes_per_unit
    }

    /// Sets [`FuelCosts::bytes_per_unit`].
    pub fn set_bytes_per_unit(&mut self, bytes: NonZero<u32>) -> &mut FuelCosts {
        self.bytes_per_unit = bytes;
        self
    }

    /// What so many bytes cost in a bulk operation.
    pub fn bytes(&self, bytes: u64) -> u64 {
        bytes / u64::from(self.bytes_per_unit.get())
    }

    pub(crate) fn of(&self, operator: &Operator<'_>) -> u32 {
        // Validation lets no operator through that has no number.
        Number::of(operator).map_or(0, |number| self.operators[number as usize])
    }

    /// Whether leaving a function behind a block costs nothing.
    pub(crate) fn returning_is_free(&self) -> bool {
        [
            Number::End,
            Number::Else,
            Number::Return,
            Number::Catch,
            Number::CatchAll,
            Number::Delegate,
        ]
        .iter()
        .all(|number| self.operators[*number as usize] == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_structure_is_free_and_all_else_costs_the_same() {
        let costs = FuelCosts::default();
        let free: Vec<_> = (costs.operators().filter(|(_, cost)| *cost == 0))
            .map(|(name, _)| name)
            .collect();
        let expected = [
            "Unreachable",
            "Nop",
            "Block",
            "Loop",
            "Else",
            "End",
            "Return",
            "Drop",
            "Catch",
            "Delegate",
            "CatchAll",
        ];
        assert_eq!(free, expected);
        assert!(costs.operators().all(|(_, cost)| cost <= 1));
        assert_eq!(costs.of(&Operator::I32Add), 1);
        assert_eq!(costs.of(&Operator::I8x16Splat), 1);
        assert_eq!(
            (costs.bytes(63), costs.bytes(64), costs.bytes(u64::MAX)),
            (0, 1, u64::MAX / 64)
        );
    }
}
