//! Any sequence of operations on memories of either kind behaves as on plain vectors.

use proptest::prelude::*;
use vm_memory::{
    GrowError, LinearMemory, MemoryType, OutOfBounds, WASM_PAGE_SIZE, copy, host_page_size,
};
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]
use vm_memory::{Layout, MemoryImage, Pool, PoolConfig};

mod common;

/// Few enough that comparing whole memories after each step stays cheap.
const MOST_PAGES: u64 = 5;

#[derive(Clone, Debug)]
enum Op {
    Grow { delta: u64 },
    Read { offset: u64, len: u64 },
    Write { offset: u64, bytes: Vec<u8> },
    Fill { offset: u64, len: u64, byte: u8 },
    CopyWithin { dst: u64, src: u64, len: u64 },
    CopyFromOther { dst: u64, src: u64, len: u64 },
}

/// Offsets inside, at the edges of pages, and far outside.
fn offsets() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..MOST_PAGES * WASM_PAGE_SIZE,
        6 => (0..=MOST_PAGES, -20i64..20)
            .prop_map(|(page, near)| (page * WASM_PAGE_SIZE).saturating_add_signed(near)),
        1 => (1u64 << 32) - 20..(1 << 32) + 20,
        1 => any::<u64>(),
        1 => u64::MAX - 20..=u64::MAX,
    ]
}

fn lengths() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0u64..40,
        3 => 0..2 * WASM_PAGE_SIZE,
        1 => offsets(),
    ]
}

fn deltas() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 0u64..3,
        1 => 0..=MOST_PAGES + 1,
        1 => prop::sample::select(&[65535, 65536, 65537, 1 << 32, u64::MAX - 1, u64::MAX][..]),
    ]
}

fn ops() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => deltas().prop_map(|delta| Op::Grow { delta }),
        1 => (offsets(), lengths()).prop_map(|(offset, len)| Op::Read { offset, len }),
        2 => (offsets(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(offset, bytes)| Op::Write { offset, bytes }),
        2 => (offsets(), lengths(), any::<u8>())
            .prop_map(|(offset, len, byte)| Op::Fill { offset, len, byte }),
        2 => (offsets(), offsets(), lengths())
            .prop_map(|(dst, src, len)| Op::CopyWithin { dst, src, len }),
        1 => (offsets(), offsets(), lengths())
            .prop_map(|(dst, src, len)| Op::CopyFromOther { dst, src, len }),
    ]
}

fn types() -> impl Strategy<Value = MemoryType> {
    (0..=MOST_PAGES, 0..=MOST_PAGES)
        .prop_map(|(one, other)| MemoryType::new(one.min(other), Some(one.max(other))))
}

/// What a memory must look like: a vector, and how far it may grow.
struct Model {
    bytes: Vec<u8>,
    page: u64,
    limit: u64,
}

impl Model {
    fn new(ty: &MemoryType) -> Model {
        Model {
            bytes: vec![0; (ty.minimum * ty.page_size()) as usize],
            page: ty.page_size(),
            limit: ty.maximum.expect("the test bounds every memory"),
        }
    }

    fn pages(&self) -> u64 {
        self.bytes.len() as u64 / self.page
    }

    /// `Some` with the pages before, or `None` if it may not grow that far.
    fn grow(&mut self, delta: u64) -> Option<u64> {
        let pages = self.pages();
        if u128::from(pages) + u128::from(delta) > u128::from(self.limit) {
            return None;
        }
        self.bytes.resize(((pages + delta) * self.page) as usize, 0);
        Some(pages)
    }

    fn get(&self, offset: u64, len: u64) -> Option<&[u8]> {
        let start = usize::try_from(offset).ok()?;
        let end = start.checked_add(usize::try_from(len).ok()?)?;
        self.bytes.get(start..end)
    }

    fn set(&mut self, offset: u64, bytes: &[u8]) -> Option<()> {
        self.get(offset, bytes.len() as u64)?;
        let start = offset as usize;
        self.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        Some(())
    }
}

/// Runs one operation on both, and checks that the results agree.
fn step(
    op: &Op,
    memory: &mut LinearMemory,
    model: &mut Model,
    other: (&LinearMemory, &Model),
) -> Result<(), TestCaseError> {
    let size = model.bytes.len() as u64;
    let refused = |offset, len| Err(OutOfBounds { offset, len, size });
    match op {
        Op::Grow { delta } => {
            let expected = model.grow(*delta).ok_or(GrowError::PastMaximum {
                pages: model.pages(),
                delta: *delta,
                limit: model.limit,
            });
            prop_assert_eq!(memory.grow(*delta), expected);
        }
        Op::Read { offset, len } => {
            let expected = model.get(*offset, *len);
            prop_assert_eq!(memory.slice(*offset, *len).ok(), expected);
            // A buffer of the host's: bounded, so that the test needs no memory for wild lengths.
            let mut buffer = vec![0xA5; (*len).min(100_000) as usize];
            let len = buffer.len() as u64;
            match model.get(*offset, len) {
                Some(bytes) => {
                    prop_assert_eq!(memory.read(*offset, &mut buffer), Ok(()));
                    prop_assert_eq!(&buffer[..], bytes);
                }
                None => {
                    prop_assert_eq!(memory.read(*offset, &mut buffer), refused(*offset, len));
                    prop_assert!(buffer.iter().all(|byte| *byte == 0xA5));
                }
            }
        }
        Op::Write { offset, bytes } => {
            let expected = match model.set(*offset, bytes) {
                Some(()) => Ok(()),
                None => refused(*offset, bytes.len() as u64),
            };
            prop_assert_eq!(memory.write(*offset, bytes), expected);
        }
        Op::Fill { offset, len, byte } => {
            let result = memory.fill(*offset, *len, *byte);
            if model.get(*offset, *len).is_some() {
                model.set(*offset, &vec![*byte; *len as usize]);
                prop_assert_eq!(result, Ok(()));
            } else {
                prop_assert_eq!(result, refused(*offset, *len));
            }
        }
        Op::CopyWithin { dst, src, len } => {
            let result = memory.copy_within(*dst, *src, *len);
            match model.get(*src, *len).map(<[u8]>::to_vec) {
                Some(bytes) if model.set(*dst, &bytes).is_some() => {
                    prop_assert_eq!(result, Ok(()));
                }
                Some(_) => prop_assert_eq!(result, refused(*dst, *len)),
                None => prop_assert_eq!(result, refused(*src, *len)),
            }
        }
        Op::CopyFromOther { dst, src, len } => {
            let result = copy(memory, *dst, other.0, *src, *len);
            match other.1.get(*src, *len) {
                Some(bytes) if model.set(*dst, bytes).is_some() => {
                    prop_assert_eq!(result, Ok(()));
                }
                Some(_) => prop_assert_eq!(result, refused(*dst, *len)),
                None => {
                    let size = other.1.bytes.len() as u64;
                    let (offset, len) = (*src, *len);
                    prop_assert_eq!(result, Err(OutOfBounds { offset, len, size }));
                }
            }
        }
    }
    Ok(())
}

/// Checks that a memory is what its model says, to the last byte and page.
fn agree(memory: &LinearMemory, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(memory.byte_len(), model.bytes.len() as u64);
    prop_assert_eq!(memory.pages(), model.pages());
    // Not `prop_assert_eq`: a failure should not print whole memories.
    prop_assert!(memory.data() == model.bytes);
    if memory.is_guarded() {
        common::assert_exactly_accessible(memory);
    }
    Ok(())
}

/// Runs a sequence on two new memories, each operation on the one that its flag says.
fn run(memories: [LinearMemory; 2], ops: &[(bool, Op)]) -> Result<(), TestCaseError> {
    let models = [Model::new(memories[0].ty()), Model::new(memories[1].ty())];
    run_from(memories, models, ops)
}

/// The same, of memories that start as their models say.
fn run_from(
    mut memories: [LinearMemory; 2],
    mut models: [Model; 2],
    ops: &[(bool, Op)],
) -> Result<(), TestCaseError> {
    let bases = [memories[0].base_ptr(), memories[1].base_ptr()];
    for (memory, model) in memories.iter().zip(&models) {
        agree(memory, model)?;
    }
    for (second, op) in ops {
        let [memory_a, memory_b] = &mut memories;
        let [model_a, model_b] = &mut models;
        if *second {
            step(op, memory_b, model_b, (memory_a, model_a))?;
        } else {
            step(op, memory_a, model_a, (memory_b, model_b))?;
        }
        for ((memory, model), base) in memories.iter().zip(&models).zip(bases) {
            agree(memory, model)?;
            prop_assert!(!memory.is_guarded() || memory.base_ptr() == base);
        }
    }
    Ok(())
}

/// Pieces of an image, which may overlap.
#[cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]
fn images() -> impl Strategy<Value = Vec<(u64, Vec<u8>)>> {
    let bytes = prop::collection::vec(any::<u8>(), 1..9000);
    prop::collection::vec((0..MOST_PAGES * WASM_PAGE_SIZE, bytes), 0..4)
}

fn sequences() -> impl Strategy<Value = Vec<(bool, Op)>> {
    let most = if cfg!(miri) { 6 } else { 40 };
    prop::collection::vec((any::<bool>(), ops()), 0..most)
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 128 },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn bounded_memories_behave_like_vectors(a in types(), b in types(), ops in sequences()) {
        let memories = [&a, &b].map(|ty| LinearMemory::new_bounded(ty).unwrap());
        run(memories, &ops)?;
    }

    #[cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]
    #[test]
    fn guarded_memories_behave_like_vectors(
        a in types(),
        b in types(),
        guard in prop::sample::select(vec![0, 65536, Layout::FULL.guard_bytes()]),
        ops in sequences(),
    ) {
        let layout = Layout::with_guard(guard).unwrap();
        let memories = [
            LinearMemory::new_guarded(&a, layout).unwrap(),
            LinearMemory::new_guarded(&b, Layout::FULL.with_front_guard(1 << 20)).unwrap(),
        ];
        run(memories, &ops)?;
    }

    #[cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]
    #[test]
    fn mixed_memories_behave_like_vectors(a in types(), b in types(), ops in sequences()) {
        let memories = [
            LinearMemory::new_guarded(&a, Layout::FULL).unwrap(),
            LinearMemory::new_bounded(&b).unwrap(),
        ];
        run(memories, &ops)?;
    }

    /// One slot, used by one memory after the other, beside a memory of another kind.
    #[cfg(all(target_os = "linux", target_pointer_width = "64", not(miri)))]
    #[test]
    fn memories_from_a_pool_behave_like_vectors(
        guard in prop::sample::select(vec![0, 65536, Layout::FULL.guard_bytes()]),
        keep in prop::sample::select(vec![0, 65536, 1 << 20]),
        uses in prop::collection::vec((types(), types(), images(), sequences()), 1..4),
    ) {
        let layout = Layout::with_guard(guard).unwrap();
        let pool = Pool::new(PoolConfig::new(1, layout).keep_resident(keep)).unwrap();
        for (a, b, pieces, ops) in uses {
            let size = a.minimum * a.page_size();
            let pieces: Vec<_> = pieces
                .iter()
                .map(|(offset, bytes)| (*offset, &bytes[..]))
                .filter(|(offset, bytes)| offset + bytes.len() as u64 <= size)
                .collect();
            let image = MemoryImage::new(&pieces).unwrap();
            // Without pieces sometimes without an image, too.
            let image = (!pieces.is_empty() || b.minimum == 0).then_some(&image);
            let mut model = Model::new(&a);
            for (offset, bytes) in &pieces {
                model.set(*offset, bytes);
            }
            let memories = [
                LinearMemory::new_pooled(&a, &pool, image).unwrap(),
                LinearMemory::new_bounded(&b).unwrap(),
            ];
            let models = [model, Model::new(&b)];
            run_from(memories, models, &ops)?;
            prop_assert_eq!(pool.in_use(), 0);
        }
    }

    #[test]
    fn memories_with_pages_of_one_byte_behave_like_vectors(
        (low, high) in (0u64..100, 0u64..100),
        deltas in prop::collection::vec(0u64..40, 0..12),
    ) {
        let ty = MemoryType {
            page_size_log2: 0,
            ..MemoryType::new(low.min(high), Some(low.max(high)))
        };
        let memories = [&ty, &ty].map(|ty| LinearMemory::new_bounded(ty).unwrap());
        let ops: Vec<_> = deltas
            .iter()
            .flat_map(|&delta| {
                let bytes = vec![delta as u8; delta as usize];
                [Op::Write { offset: delta, bytes }, Op::Grow { delta }]
            })
            .map(|op| (false, op))
            .collect();
        run(memories, &ops)?;
    }
}

#[test]
fn the_host_page_divides_the_wasm_page_or_guards_are_refused() {
    let ty = MemoryType::new(1, None);
    assert_eq!(
        ty.guardable().is_ok(),
        WASM_PAGE_SIZE.is_multiple_of(host_page_size() as u64)
    );
}
