//! Numbers for function types: equal types have equal numbers in the whole process, so that an
//! indirect call compares one word.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use vm_translate::FuncType;

/// A function type that has a number, for as long as anybody holds it.
///
/// Translated code and function objects have the number in them, so whoever owns these holds the type.
#[derive(Clone, Debug)]
pub(crate) struct RegisteredType(Arc<Registration>);

#[derive(Debug)]
struct Registration {
    ty: Arc<FuncType>,
    number: u32,
}

#[derive(Default)]
struct Registry {
    types: HashMap<Arc<FuncType>, Weak<Registration>>,
    /// Numbers that are in use by nobody any more.
    free: Vec<u32>,
    /// The least number that never was in use.
    next: u32,
}

fn registry() -> MutexGuard<'static, Registry> {
    static REGISTRY: OnceLock<Mutex<Registry>> = OnceLock::new();
    let registry = REGISTRY.get_or_init(Mutex::default);
    // Nothing that holds the lock can panic half way through a change.
    registry.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RegisteredType {
    /// The type's registration: that of whoever holds an equal one, else a new one.
    pub(crate) fn new(ty: &FuncType) -> RegisteredType {
        let mut registry = registry();
        if let Some(known) = registry.types.get(ty).and_then(Weak::upgrade) {
            return RegisteredType(known);
        }
        let number = registry.free.pop().unwrap_or_else(|| {
            // A registration takes more than a byte: memory ends before the numbers do.
            let number = registry.next;
            registry.next += 1;
            number
        });
        let ty = Arc::new(ty.clone());
        let registration = Arc::new(Registration {
            ty: Arc::clone(&ty),
            number,
        });
        registry.types.insert(ty, Arc::downgrade(&registration));
        RegisteredType(registration)
    }

    /// The type.
    pub(crate) fn ty(&self) -> &FuncType {
        &self.0.ty
    }

    /// Its number.
    pub(crate) fn number(&self) -> u32 {
        self.0.number
    }
}

/// Whether the types are equal.
impl PartialEq for RegisteredType {
    fn eq(&self, other: &RegisteredType) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut registry = registry();
        registry.free.push(self.number);
        // Someone may have registered the type anew since the last holder let go of this.
        let is_this = |known: &Weak<Registration>| std::ptr::eq(known.as_ptr(), self);
        if registry.types.get(&self.ty).is_some_and(is_this) {
            registry.types.remove(&self.ty);
        }
        if registry.types.is_empty() {
            registry.types.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use vm_translate::{FuncType, ValType};

    use super::{RegisteredType, registry};

    /// A type that no other test has: of so many parameters.
    fn ty(params: usize) -> FuncType {
        FuncType::new(vec![ValType::F32; params], [ValType::F64])
    }

    #[test]
    fn equal_types_have_one_number_while_they_are_held() {
        let (one, other) = (RegisteredType::new(&ty(901)), RegisteredType::new(&ty(902)));
        assert_ne!(one.number(), other.number());
        let again = RegisteredType::new(&ty(901));
        assert_eq!(again.number(), one.number());
        assert!(again == one && one != other);
        drop(one);
        assert_eq!(RegisteredType::new(&ty(901)).number(), again.number());
        assert_eq!(again.ty(), &ty(901));
    }

    #[test]
    fn what_nobody_holds_is_forgotten() {
        let held = RegisteredType::new(&ty(911));
        let many: Vec<_> = (920..1020).map(|n| RegisteredType::new(&ty(n))).collect();
        drop(many);
        let registry = registry();
        assert!(registry.types.contains_key(&ty(911)));
        assert!((920..1020).all(|n| !registry.types.contains_key(&ty(n))));
        assert!(!registry.free.contains(&held.number()));
    }

    #[test]
    fn threads_that_register_and_forget_the_same_type_agree_while_they_hold_it() {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let one = RegisteredType::new(&ty(930));
                        let again = RegisteredType::new(&ty(930));
                        assert!(one == again && one.number() == again.number());
                    }
                });
            }
        });
        assert!(!registry().types.contains_key(&ty(930)));
    }
}
