//! What the host does when a guest calls it: the same for both engines.

use vm_engine::ValType;

use crate::value::Value;

/// The host of one instance: answers depend on everything that it was ever told, so that the order of calls shows.
#[derive(Clone, Debug)]
pub struct Host {
    seed: u64,
    calls: u64,
    /// A digest of the calls so far and their arguments.
    digest: u64,
}

/// The error that a host function ends a guest with now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostError;

impl std::fmt::Display for HostError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the host's own error")
    }
}

impl std::error::Error for HostError {}

impl Host {
    /// A host that nobody has called yet.
    pub fn new(seed: u64) -> Host {
        Host {
            seed,
            calls: 0,
            digest: seed,
        }
    }

    /// How often it was called, and a digest of what with.
    pub fn heard(&self) -> (u64, u64) {
        (self.calls, self.digest)
    }

    /// A call of the import of this number.
    ///
    /// # Errors
    ///
    /// Once in a hundred calls or so.
    pub fn call(
        &mut self,
        import: usize,
        args: &[Value],
        results: &[ValType],
    ) -> Result<Vec<Value>, HostError> {
        self.calls += 1;
        self.tell(import as u64);
        for arg in args {
            self.tell_value(arg);
        }
        let mut random = fastrand::Rng::with_seed(self.seed ^ self.digest);
        if random.u8(..128) == 0 {
            return Err(HostError);
        }
        Ok(results
            .iter()
            .map(|ty| match ty {
                // Back to where it came from: the host has no functions of its own to give.
                ValType::Ref(ty) if ty.heap_type().top().is_func() => {
                    let functions = args.iter().filter(|arg| matches!(arg, Value::Func(_)));
                    functions.copied().next().unwrap_or(Value::Func(None))
                }
                ty => Value::random(ty.clone(), &mut random),
            })
            .collect())
    }

    /// Whether the call that it has just been asked about ends by an exception instead, with a tag out of so many: then which
    /// tag, and what the exception's values are made from.
    pub fn throws(&self, tags: usize) -> Option<(usize, fastrand::Rng)> {
        let mut random = fastrand::Rng::with_seed(self.seed ^ !self.digest);
        let throws = tags > 0 && random.u8(..16) == 0;
        throws.then(|| (random.usize(..tags), random))
    }

    fn tell_value(&mut self, value: &Value) {
        match *value {
            Value::I32(value) => self.tell(value as u32 as u64),
            Value::I64(value) => self.tell(value as u64),
            Value::F32(bits) => self.tell(bits.into()),
            Value::F64(bits) => self.tell(bits),
            Value::V128(bits) => {
                self.tell(bits as u64);
                self.tell((bits >> 64) as u64);
            }
            Value::Func(function) => self.tell(function.is_some().into()),
            Value::Extern(number) => self.tell(number.map_or(u64::MAX, u64::from)),
            Value::Exn(is_some) => self.tell(u64::from(is_some)),
        }
    }

    fn tell(&mut self, word: u64) {
        self.digest = (self.digest ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
    }
}
