//! Function bodies that a few operators can stand for: products of 64 by 64 bits.
//!
//! WebAssembly has no multiplication that keeps the upper half (the proposal for wide arithmetic adds
//! one), so compilers call a helper that puts a product of 128 bits together from products of 32-bit
//! halves: `__multi3` of LLVM's compiler-rt and of Rust's compiler-builtins, often with parameters
//! removed. Cryptography spends most of its time there.
//!
//! A helper is recognised by what it computes, never by its name. Its straight line of instructions is
//! evaluated over unknown parameters, and the two values that it stores are compared with the sums
//! that are known to be a product. What is recognised is therefore exact for all parameters; anything
//! else is translated as it is written.

use crate::FuncType;
use crate::bodies::ValidBody;
use crate::op::{Op, StoreOp, Ty};

use super::Translator;
use super::code::{Code, Step};

/// A body that stores the product of two parameters, of which further products of two parameters are
/// added to the upper half, and does nothing else.
#[derive(Debug, PartialEq)]
pub(super) struct WideProduct {
    factors: [u32; 2],
    added: Vec<[u32; 2]>,
    /// In program order.
    stores: [Store; 2],
}

/// Where a half of the product goes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Store {
    upper: bool,
    /// The constant offset of the access.
    memory_offset: u64,
    /// The offset of the instruction in the module.
    offset: u32,
}

/// The parameter with the address.
const ADDRESS: u32 = 0;
/// A body is looked at only if its length is among these, in bytes.
const LENGTHS: std::ops::Range<u64> = 60..256;
/// The most values that are told apart.
const MAX_VALUES: usize = 64;
const LOW_HALF: u64 = 0xffff_ffff;

impl WideProduct {
    /// Recognises the body of a function of this type.
    pub(super) fn of(ty: &FuncType, body: &ValidBody<'_>) -> Option<WideProduct> {
        let [address, rest @ ..] = ty.params() else {
            return None;
        };
        let wanted = address.ty() == Ty::I32
            && (2..=4).contains(&rest.len())
            && rest.iter().all(|ty| ty.ty() == Ty::I64)
            && ty.results().is_empty()
            && LENGTHS.contains(&(body.range().end - body.range().start));
        if !wanted {
            return None;
        }
        let mut values = Values::default();
        let params = ty.params().len();
        let stored = values.run(params, body)?;
        let factors = 1..params as u32;
        let pairs = factors
            .clone()
            .flat_map(|a| factors.clone().map(move |b| [a, b]));
        pairs
            .filter(|[a, b]| a != b)
            .find_map(|pair| values.product(pair, &stored))
    }

    /// Translates what has been recognised.
    pub(super) fn translate(&self, translator: &mut Translator<'_>) {
        for store in self.stores {
            translator.offset = store.offset;
            local_get(translator, ADDRESS);
            if store.upper {
                self.product(translator, self.factors, Op::I64MulHighU);
                for factors in &self.added {
                    self.product(translator, *factors, Op::I64Mul);
                    translator.numeric(Op::I64Add);
                }
            } else {
                self.product(translator, self.factors, Op::I64Mul);
            }
            translator.store_to(StoreOp::I64Store, 0, store.memory_offset);
        }
        translator.end();
    }

    fn product(&self, translator: &mut Translator<'_>, factors: [u32; 2], op: Op) {
        for factor in factors {
            local_get(translator, factor);
        }
        translator.numeric(op);
    }
}

fn local_get(translator: &mut Translator<'_>, local: u32) {
    translator.push_local(translator.locals.get(local));
}

/// What an instruction computes, of other values by their numbers.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Param(u32),
    Const(u64),
    /// The value's lower 32 bits.
    Low(u32),
    /// The value's upper 32 bits, moved down.
    High(u32),
    /// The value's lower 32 bits, moved up.
    Up(u32),
    /// The factors in order: multiplication commutes.
    Product(u32, u32),
    /// The summands in order, none of them a sum: addition modulo 2⁶⁴ commutes and associates.
    Sum(Vec<u32>),
    /// Whether the first is less than the second, as 0 or 1.
    Less(u32, u32),
}

/// Values by their numbers, all different.
#[derive(Default)]
struct Values {
    known: Vec<Value>,
}

impl Values {
    /// Runs a straight line of instructions. Returns what it stores, in program order, each with the
    /// number of its address and of its value.
    fn run(&mut self, params: usize, body: &ValidBody<'_>) -> Option<[(Store, u32, u32); 2]> {
        let mut locals = Vec::new();
        for n in 0..params as u32 {
            locals.push(self.number(Value::Param(n))?);
        }
        for group in body.get_locals_reader().ok()? {
            let (count, _) = group.ok()?;
            if locals.len() + count as usize > MAX_VALUES {
                return None;
            }
            let zero = self.number(Value::Const(0))?;
            locals.extend(std::iter::repeat_n(zero, count as usize));
        }
        let mut stack: Vec<u32> = Vec::new();
        let mut stores = Vec::new();
        let mut code = Code::new(body).ok()?;
        loop {
            let offset = code.offset();
            match code.next()? {
                Step::LocalGet(local) => stack.push(locals[local as usize]),
                Step::LocalSet(local) => locals[local as usize] = stack.pop()?,
                Step::LocalTee(local) => locals[local as usize] = *stack.last()?,
                Step::Const(_, bits) => stack.push(self.number(Value::Const(bits))?),
                Step::Numeric(Op::I64ExtendI32U) => {
                    // Nothing but comparisons makes an i32 here, and those are 0 or 1 as they are.
                    let less = *stack.last()?;
                    matches!(self.known[less as usize], Value::Less(..)).then_some(())?;
                }
                Step::Numeric(op) => {
                    let (b, a) = (stack.pop()?, stack.pop()?);
                    stack.push(self.binary(op, a, b)?);
                }
                Step::Store(StoreOp::I64Store, memory_offset) => {
                    let (value, address) = (stack.pop()?, stack.pop()?);
                    let upper = false;
                    stores.push((
                        Store {
                            upper,
                            memory_offset,
                            offset,
                        },
                        address,
                        value,
                    ));
                }
                Step::End => break,
                Step::Load(..) | Step::Store(..) | Step::Other => return None,
            }
        }
        stores.try_into().ok()
    }

    fn binary(&mut self, op: Op, a: u32, b: u32) -> Option<u32> {
        let constant = |values: &Values, wanted| values.known[b as usize] == Value::Const(wanted);
        let value = match op {
            Op::I64And if constant(self, LOW_HALF) => Value::Low(a),
            Op::I64ShrU if constant(self, 32) => Value::High(a),
            Op::I64Shl if constant(self, 32) => Value::Up(a),
            Op::I64Mul => Value::Product(a.min(b), a.max(b)),
            Op::I64LtU => Value::Less(a, b),
            Op::I64Add => return self.sum([a, b]),
            Op::I64Or if self.apart(a, b) || self.apart(b, a) => return self.sum([a, b]),
            _ => return None,
        };
        self.number(value)
    }

    /// Whether one has bits in its upper half only, the other in its lower half only.
    fn apart(&self, upper: u32, lower: u32) -> bool {
        matches!(self.known[upper as usize], Value::Up(_))
            && matches!(self.known[lower as usize], Value::Low(_) | Value::High(_))
    }

    fn sum(&mut self, of: impl IntoIterator<Item = u32>) -> Option<u32> {
        let mut summands = Vec::new();
        for n in of {
            match &self.known[n as usize] {
                Value::Sum(own) => summands.extend_from_slice(own),
                _ => summands.push(n),
            }
        }
        summands.sort_unstable();
        if let [one] = summands[..] {
            return Some(one);
        }
        self.number(Value::Sum(summands))
    }

    /// The number of a value, which is a new one if the value is.
    fn number(&mut self, value: Value) -> Option<u32> {
        if let Some(number) = self.known.iter().position(|known| *known == value) {
            return Some(number as u32);
        }
        self.known.push(value);
        (self.known.len() <= MAX_VALUES).then_some(self.known.len() as u32 - 1)
    }

    /// Whether what is stored are the halves of the product of two parameters.
    fn product(
        &mut self,
        factors: [u32; 2],
        stored: &[(Store, u32, u32); 2],
    ) -> Option<WideProduct> {
        let known = self.known.len();
        let found = self.halves(factors).into_iter().find_map(|(lower, upper)| {
            let [first, second] = *stored;
            let upper_first = second.2 == lower;
            let (low, high) = match upper_first {
                true => (second, first),
                false => (first, second),
            };
            let same_address =
                low.1 == high.1 && self.known[low.1 as usize] == Value::Param(ADDRESS);
            if low.2 != lower || !same_address {
                return None;
            }
            let added = self.rest(high.2, upper)?;
            let mut stores = [first.0, second.0];
            stores[usize::from(!upper_first)].upper = true;
            Some(WideProduct {
                factors,
                added,
                stores,
            })
        });
        // What was put together for the comparison is not the body's.
        self.known.truncate(known);
        found
    }

    /// The products of parameters that the upper half has beyond those of the factors.
    fn rest(&self, high: u32, upper: u32) -> Option<Vec<[u32; 2]>> {
        let summands = |n: u32| match &self.known[n as usize] {
            Value::Sum(summands) => summands.clone(),
            _ => vec![n],
        };
        let mut rest = summands(high);
        for summand in summands(upper) {
            rest.swap_remove(rest.iter().position(|n| *n == summand)?);
        }
        let param = |n: u32| match self.known[n as usize] {
            Value::Param(n) => Some(n),
            _ => None,
        };
        rest.sort_unstable();
        rest.into_iter()
            .map(|n| match self.known[n as usize] {
                Value::Product(a, b) => Some([param(a)?, param(b)?]),
                _ => None,
            })
            .collect()
    }

    /// The lower and the upper half of a product, in each way that compilers put it together.
    ///
    /// With `a = a₁·2³² + a₀` and `b = b₁·2³² + b₀` it is `a₁b₁·2⁶⁴ + (a₁b₀ + a₀b₁)·2³² + a₀b₀`. No
    /// product of halves and two halves more exceeds 64 bits, so the sums marked with `≤` do not
    /// overflow; for the others, being less than a summand is the carry.
    fn halves(&mut self, [a, b]: [u32; 2]) -> Vec<(u32, u32)> {
        [Values::by_parts, Values::by_carries]
            .into_iter()
            .filter_map(|way| {
                let (a, b) = (self.number(Value::Param(a))?, self.number(Value::Param(b))?);
                way(self, a, b)
            })
            .collect()
    }

    /// The products of halves of two values: `a₀b₀`, `a₁b₀`, `a₀b₁`, `a₁b₁`.
    fn parts(&mut self, a: u32, b: u32) -> Option<[u32; 4]> {
        let (a0, a1) = (self.number(Value::Low(a))?, self.number(Value::High(a))?);
        let (b0, b1) = (self.number(Value::Low(b))?, self.number(Value::High(b))?);
        Some([
            self.binary(Op::I64Mul, a0, b0)?,
            self.binary(Op::I64Mul, a1, b0)?,
            self.binary(Op::I64Mul, a0, b1)?,
            self.binary(Op::I64Mul, a1, b1)?,
        ])
    }

    /// As compiler-rt does it:
    ///
    /// ```text
    /// t = a₁b₀ + (a₀b₀ >> 32)   ≤ 64 bits
    /// u = a₀b₁ + low(t)         ≤ 64 bits
    /// lower = low(a₀b₀) + (u << 32)
    /// upper = a₁b₁ + (t >> 32) + (u >> 32)
    /// ```
    fn by_parts(&mut self, a: u32, b: u32) -> Option<(u32, u32)> {
        let [p00, p10, p01, p11] = self.parts(a, b)?;
        let carried = self.number(Value::High(p00))?;
        let t = self.sum([p10, carried])?;
        let low_t = self.number(Value::Low(t))?;
        let u = self.sum([p01, low_t])?;
        let (low, up) = (self.number(Value::Low(p00))?, self.number(Value::Up(u))?);
        let (high_t, high_u) = (self.number(Value::High(t))?, self.number(Value::High(u))?);
        Some((self.sum([low, up])?, self.sum([p11, high_t, high_u])?))
    }

    /// As Rust's compiler-builtins do it:
    ///
    /// ```text
    /// m = a₁b₀ + a₀b₁
    /// lower = a₀b₀ + (m << 32)
    /// upper = a₁b₁ + (m >> 32) + ((m < a₀b₁) << 32) + (lower < a₀b₀)
    /// ```
    fn by_carries(&mut self, a: u32, b: u32) -> Option<(u32, u32)> {
        let [p00, p10, p01, p11] = self.parts(a, b)?;
        let m = self.sum([p10, p01])?;
        let up = self.number(Value::Up(m))?;
        let lower = self.sum([p00, up])?;
        let carry_m = self.number(Value::Less(m, p01))?;
        let carry_m = self.number(Value::Up(carry_m))?;
        let carry = self.number(Value::Less(lower, p00))?;
        let high = self.number(Value::High(m))?;
        Some((lower, self.sum([p11, high, carry_m, carry])?))
    }
}
