//! Numbers for function types: equal types have equal numbers in the whole process, so that an
//! indirect call compares one word.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use vm_translate::FuncType;

type Registry = Mutex<HashMap<Arc<FuncType>, u32>>;

/// The number of a type, and the registry's own copy of the type.
///
/// Types are never forgotten: translated code holds their numbers.
pub(crate) fn register(ty: &FuncType) -> (u32, Arc<FuncType>) {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    let registry = REGISTRY.get_or_init(Registry::default);
    // Nothing below can panic half way through a change.
    let mut types = registry.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, number)) = types.get_key_value(ty) {
        return (*number, Arc::clone(known));
    }
    let ty = Arc::new(ty.clone());
    let number = types.len() as u32;
    types.insert(Arc::clone(&ty), number);
    (number, ty)
}
