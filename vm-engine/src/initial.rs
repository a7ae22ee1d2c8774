//! Initial data that memories can start with, instead of having it copied when an instance is made.

use std::sync::OnceLock;

use vm_memory::MemoryImage;

use crate::low::{self, ConstOp};

/// Less data than this is copied faster than mapped: the guest's first write to a page costs a fault
/// and a copy, on top of the mapping.
const LEAST_BYTES: u64 = 16 << 10;

/// What a module's memories start with, if that is known before the module is instantiated.
pub(crate) struct InitialData {
    /// By memory; none if it is not known.
    memories: Box<[Initial]>,
}

#[derive(Default)]
struct Initial {
    /// Bytes of data.
    bytes: u64,
    /// Where the last of it ends.
    end: u64,
    image: OnceLock<MemoryImage>,
}

impl InitialData {
    pub(crate) fn of(module: &low::Module) -> InitialData {
        let memories = extents(module).unwrap_or_default().into();
        InitialData { memories }
    }

    /// The image of a memory, if it has enough data beyond the first `resident` bytes, which are
    /// cheap to copy to. Nothing if the host refuses: it is asked again the next time.
    pub(crate) fn image(
        &self,
        module: &low::Module,
        memory: u32,
        resident: usize,
    ) -> Option<&MemoryImage> {
        let initial = self.memories.get(memory as usize)?;
        if initial.bytes < LEAST_BYTES || initial.end <= resident as u64 {
            return None;
        }
        if let Some(image) = initial.image.get() {
            return Some(image);
        }
        let pieces: Vec<(u64, &[u8])> = module
            .data_segments()
            .iter()
            .filter_map(|segment| match &segment.mode {
                low::DataMode::Active { memory: of, offset } if *of == memory => {
                    Some((constant(offset)?, module.data(segment)))
                }
                _ => None,
            })
            .collect();
        let image = MemoryImage::new(&pieces).ok()?;
        // If another thread was faster, its image is the one everyone uses.
        Some(initial.image.get_or_init(|| image))
    }
}

/// Whether no one can tell an image from copying: no segment can trap, or depend on what only
/// instantiation knows, and nobody can see the memory before all segments have been copied. They
/// could if an element segment put functions into an imported table.
fn extents(module: &low::Module) -> Option<Vec<Initial>> {
    let imported = module.imported_tables();
    let into_imported = |segment: &low::ElemSegment| match segment.mode {
        low::ElemMode::Active { table, .. } => table < imported,
        _ => false,
    };
    if module.elem_segments().iter().any(into_imported) {
        return None;
    }
    let mut memories: Vec<Initial> = Vec::new();
    memories.resize_with(module.memories().len(), Initial::default);
    for segment in module.data_segments() {
        let low::DataMode::Active { memory, offset } = &segment.mode else {
            continue;
        };
        let ty = module.memories().get(*memory as usize)?;
        let size = vm_memory::MemoryType::from(crate::MemoryType::from(*ty)).bytes(ty.minimum)?;
        let len = segment.bytes.len() as u64;
        let end = constant(offset)?.checked_add(len)?;
        if *memory < module.imported_memories() || end > size {
            return None;
        }
        let initial = &mut memories[*memory as usize];
        initial.bytes += len;
        initial.end = initial.end.max(end);
    }
    Some(memories)
}

/// The address that an expression is, if it is one constant.
fn constant(expr: &low::ConstExpr) -> Option<u64> {
    match expr.ops() {
        [ConstOp::I32(offset)] => Some(u64::from(offset.cast_unsigned())),
        [ConstOp::I64(offset)] => Some(offset.cast_unsigned()),
        _ => None,
    }
}
