//! Types that are defined, with numbers: equal types have equal numbers in the whole process, so that an indirect call
//! compares one word.
//!
//! Types are equal if their recursion groups are, in which they stand at the same place (specification: "Types", "Recursive
//! Types"). So what is registered, counted and forgotten is groups.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use crate::types::FuncType;

/// A type that is defined, of a function's so far, and has a number for as long as anybody holds it.
///
/// Translated code and function objects have the number in them, so whoever owns these holds the type.
#[derive(Clone)]
pub struct RegisteredType {
    group: Arc<Group>,
    index: u32,
}

/// By what types refer to others, which they do not hold: the number of a [`RegisteredType`].
///
/// While nobody holds the type it stands for nothing, and later perhaps for another one. What is made of types that
/// refer to others holds these from then on: it is what they are at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeId(u32);

/// A type as a group defines it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SubType {
    pub(crate) ty: FuncType,
    pub(crate) supertype: Option<TypeId>,
    pub(crate) is_final: bool,
}

/// Types that are defined together, and may refer to each other.
#[derive(Debug)]
struct Group {
    /// What they are known by: as they were defined, those that refer to one of the group do so by its place in it.
    key: Key,
    types: Box<[Registration]>,
    /// The groups of other types that they refer to.
    needs: Vec<Arc<Group>>,
}

/// The types of a group, and their hash, which takes as long as the rest of a registration.
#[derive(Clone, Debug)]
struct Key {
    hash: u64,
    types: Arc<[SubType]>,
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.hash == other.hash && self.types == other.types
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

#[derive(Debug)]
struct Registration {
    ty: FuncType,
    number: u32,
    is_final: bool,
    /// The numbers of its supertypes, the topmost first.
    supertypes: Box<[u32]>,
}

#[derive(Default)]
struct Registry {
    /// The groups, and the number of the first type of each.
    groups: HashMap<Key, (Weak<Group>, u32)>,
    /// Of keys. What hostile modules define is not to fall into one place.
    hasher: RandomState,
    /// Of each number, the group and the place in it.
    types: Vec<(Weak<Group>, u32)>,
    /// Numbers that are in use by nobody any more.
    free: Vec<u32>,
}

fn registry() -> MutexGuard<'static, Registry> {
    static REGISTRY: OnceLock<Mutex<Registry>> = OnceLock::new();
    let registry = REGISTRY.get_or_init(Mutex::default);
    // Nothing that holds the lock can panic half way through a change.
    registry.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TypeId {
    /// Of a type that refers to one of its own group, whose place is in the lower bits. No number is as large.
    const WITHIN_GROUP: u32 = 1 << 31;

    pub(crate) fn within_group(index: u32) -> TypeId {
        TypeId(index | TypeId::WITHIN_GROUP)
    }

    fn index_within_group(self) -> Option<usize> {
        (self.0 >= TypeId::WITHIN_GROUP).then_some((self.0 & !TypeId::WITHIN_GROUP) as usize)
    }

    /// Whether what is of this type is of the other.
    pub(crate) fn is_subtype_of(self, other: TypeId) -> bool {
        self == other || RegisteredType::of(self).is_some_and(|ty| ty.is_subtype_of(other))
    }
}

/// The type itself, but for types that it refers to in turn.
impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ty) = RegisteredType::of(*self) else {
            return f.write_str("unknown");
        };
        let list = |f: &mut fmt::Formatter<'_>, name, types: &[crate::ValType]| {
            if types.is_empty() {
                return Ok(());
            }
            write!(f, " ({name}")?;
            for ty in types {
                match ty {
                    crate::ValType::Ref(crate::RefType {
                        nullable,
                        heap: crate::HeapType::Concrete(_),
                    }) => {
                        let null = if *nullable { "null " } else { "" };
                        write!(f, " (ref {null}…)")?;
                    }
                    ty => write!(f, " {ty}")?,
                }
            }
            f.write_str(")")
        };
        f.write_str("(func")?;
        list(f, "param", ty.params())?;
        list(f, "result", ty.results())?;
        f.write_str(")")
    }
}

impl RegisteredType {
    /// The registration of a type that is final and has no supertype: that of whoever holds an equal one, else a new one.
    ///
    /// # Panics
    ///
    /// If it refers to types that nobody holds.
    pub fn new(ty: &FuncType) -> RegisteredType {
        RegisteredType::define(ty, true, None)
    }

    /// The same of a type that may have subtypes, or a supertype; nothing if that is final or no supertype of this one.
    ///
    /// # Panics
    ///
    /// If it refers to types that nobody holds.
    pub fn with_supertype(
        ty: &FuncType,
        is_final: bool,
        supertype: Option<&RegisteredType>,
    ) -> Option<RegisteredType> {
        if supertype.is_some_and(|above| above.is_final() || !ty.matches(above.ty())) {
            return None;
        }
        let supertype = supertype.map(RegisteredType::id);
        Some(RegisteredType::define(ty, is_final, supertype))
    }

    fn define(ty: &FuncType, is_final: bool, supertype: Option<TypeId>) -> RegisteredType {
        let ty = SubType {
            ty: ty.clone(),
            supertype,
            is_final,
        };
        let mut group = RegisteredType::group(vec![ty]);
        group.remove(0)
    }

    /// The types of a group that is valid.
    pub(crate) fn group(types: Vec<SubType>) -> Vec<RegisteredType> {
        if types.is_empty() {
            return Vec::new();
        }
        let count = types.len() as u32;
        let group = Group::registered(types);
        let ty = |index| RegisteredType {
            group: Arc::clone(&group),
            index,
        };
        (0..count).map(ty).collect()
    }

    /// The type of this number, if somebody holds it.
    pub fn of(id: TypeId) -> Option<RegisteredType> {
        let registry = registry();
        let (group, index) = registry.types.get(id.0 as usize)?;
        let group = group.upgrade()?;
        let index = *index;
        Some(RegisteredType { group, index })
    }

    fn registration(&self) -> &Registration {
        &self.group.types[self.index as usize]
    }

    /// The type.
    pub fn ty(&self) -> &FuncType {
        &self.registration().ty
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.registration().number
    }

    /// The same, to refer to it.
    pub fn id(&self) -> TypeId {
        TypeId(self.number())
    }

    /// Whether it has no subtypes.
    pub fn is_final(&self) -> bool {
        self.registration().is_final
    }

    /// The type that it was defined as a subtype of.
    pub fn supertype(&self) -> Option<RegisteredType> {
        RegisteredType::of(TypeId(*self.registration().supertypes.last()?))
    }

    /// The numbers of its supertypes, the topmost first.
    pub fn supertypes(&self) -> &[u32] {
        &self.registration().supertypes
    }

    /// Whether it is the other, or below it. Specification: "Matching", "Defined Types".
    pub fn is_subtype_of(&self, other: TypeId) -> bool {
        self.number() == other.0 || self.supertypes().contains(&other.0)
    }
}

/// As [`RegisteredType::new`] has it.
impl From<FuncType> for RegisteredType {
    fn from(ty: FuncType) -> RegisteredType {
        RegisteredType::new(&ty)
    }
}

impl Deref for RegisteredType {
    type Target = FuncType;

    fn deref(&self) -> &FuncType {
        self.ty()
    }
}

/// Whether the types are the same.
impl PartialEq for RegisteredType {
    fn eq(&self, other: &RegisteredType) -> bool {
        Arc::ptr_eq(&self.group, &other.group) && self.index == other.index
    }
}

impl Eq for RegisteredType {}

impl Hash for RegisteredType {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u32(self.number());
    }
}

impl fmt::Debug for RegisteredType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegisteredType").field(self.ty()).finish()
    }
}

impl Group {
    /// The group of these types: that of whoever holds an equal one, else a new one.
    fn registered(types: Vec<SubType>) -> Arc<Group> {
        let answer = registry().group(types);
        // Only now: what is dropped may be the last of its kind, and ask for the lock.
        match answer {
            Ok(group) => group,
            Err((id, _)) => panic!(
                "a type refers to another, number {}, that nobody holds",
                id.0
            ),
        }
    }
}

impl Registry {
    /// Drops no group, and changes nothing before it is sure that all is there.
    fn group(&mut self, types: Vec<SubType>) -> Result<Arc<Group>, (TypeId, Vec<Arc<Group>>)> {
        let key = self.key(types);
        let types = &key.types;
        if let Some((known, _)) = self.groups.get(&key)
            && let Some(known) = known.upgrade()
        {
            return Ok(known);
        }
        let mut needs = HashMap::new();
        for id in (types.iter()).flat_map(|ty| ty.ty.ids().chain(ty.supertype)) {
            if id.index_within_group().is_some() {
                continue;
            }
            let known = self.types.get(id.0 as usize);
            let known = known.filter(|(group, _)| !needs.contains_key(&group.as_ptr()));
            match known.map(|(group, _)| (group.as_ptr(), group.upgrade())) {
                Some((at, Some(group))) => {
                    needs.insert(at, group);
                }
                None if (id.0 as usize) < self.types.len() => {}
                _ => return Err((id, needs.into_values().collect())),
            }
        }
        let numbers: Vec<u32> = types.iter().map(|_| self.new_number()).collect();
        let resolve = |id: TypeId| match id.index_within_group() {
            Some(index) => TypeId(numbers[index]),
            None => id,
        };
        let mut registrations: Vec<Registration> = Vec::with_capacity(types.len());
        for (ty, number) in types.iter().zip(&numbers) {
            let is_own = |id: TypeId| id.index_within_group().is_some();
            let supertypes = ty.supertype.map(|id| match id.index_within_group() {
                Some(index) => registrations[index].chain(),
                None => {
                    let (group, index) = &self.types[id.0 as usize];
                    // All that is referred to has been put there.
                    let group = needs.get(&group.as_ptr());
                    group.map_or_else(Box::default, |group| group.types[*index as usize].chain())
                }
            });
            registrations.push(Registration {
                ty: match ty.ty.ids().any(is_own) {
                    true => ty.ty.map(resolve),
                    false => ty.ty.clone(),
                },
                number: *number,
                is_final: ty.is_final,
                supertypes: supertypes.unwrap_or_default(),
            });
        }
        let group = Arc::new(Group {
            key: key.clone(),
            types: registrations.into(),
            needs: needs.into_values().collect(),
        });
        let weak = Arc::downgrade(&group);
        for (index, number) in (0..).zip(&numbers) {
            self.types[*number as usize] = (weak.clone(), index);
        }
        let entry = (weak, numbers[0]);
        self.groups.insert(key, entry);
        Ok(group)
    }

    fn key(&self, types: Vec<SubType>) -> Key {
        Key {
            hash: self.hasher.hash_one(&types),
            types: types.into(),
        }
    }

    fn new_number(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            let number = self.types.len() as u32;
            // A registration takes a hundred bytes at least.
            assert!(number < TypeId::WITHIN_GROUP, "fewer than 2^31 types");
            self.types.push((Weak::new(), 0));
            number
        })
    }

    fn forget(&mut self, group: &Group) {
        for ty in &group.types {
            self.types[ty.number as usize] = (Weak::new(), 0);
            self.free.push(ty.number);
        }
        // Someone may have registered the same types anew since the last holder let go of these.
        let first = group.types.first().map(|ty| ty.number);
        let known = self.groups.get(&group.key).map(|(_, number)| *number);
        if known == first {
            self.groups.remove(&group.key);
        }
        if self.groups.is_empty() {
            self.groups.shrink_to_fit();
        }
    }
}

impl Registration {
    /// The supertypes of one that is directly below it.
    fn chain(&self) -> Box<[u32]> {
        self.supertypes
            .iter()
            .copied()
            .chain([self.number])
            .collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        registry().forget(self);
        // Not one inside the other: they may be a million.
        let mut rest = std::mem::take(&mut self.needs);
        while let Some(group) = rest.pop() {
            if let Some(mut group) = Arc::into_inner(group) {
                rest.append(&mut group.needs);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::{RegisteredType, SubType, TypeId, registry};
    use crate::{FuncType, HeapType, RefType, ValType};

    /// A type that no other test has: of so many parameters.
    fn ty(params: usize) -> FuncType {
        FuncType::new(vec![ValType::F32; params], [ValType::F64])
    }

    fn is_known(ty: &FuncType) -> bool {
        let ty = SubType {
            ty: ty.clone(),
            supertype: None,
            is_final: true,
        };
        let registry = registry();
        registry.groups.contains_key(&registry.key(vec![ty]))
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
        assert!(is_known(&ty(911)));
        assert!((920..1020).all(|n| !is_known(&ty(n))));
        assert!(!registry().free.contains(&held.number()));
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
        assert!(!is_known(&ty(930)));
    }

    fn reference(id: TypeId) -> ValType {
        RefType::new(true, HeapType::Concrete(id)).into()
    }

    /// A group of two types that refer to each other and to another type.
    fn two(other: &RegisteredType) -> Vec<RegisteredType> {
        let ty = |within| SubType {
            ty: FuncType::new(
                [
                    reference(TypeId::within_group(within)),
                    reference(other.id()),
                ],
                [],
            ),
            supertype: None,
            is_final: true,
        };
        RegisteredType::group(vec![ty(1), ty(0)])
    }

    #[test]
    fn types_of_equal_groups_are_the_same_and_hold_what_they_refer_to() {
        let other = RegisteredType::new(&ty(940));
        let (one, again) = (two(&other), two(&other));
        assert!(one == again && one[0] != one[1]);
        let id = other.id();
        drop((other, again));
        assert!(RegisteredType::of(id).is_some());
        // As they are in the group, so are they seen from outside.
        assert_eq!(one[0].params()[0], reference(one[1].id()));
        // The same type, defined alone, is another one.
        let alone = RegisteredType::new(one[0].ty());
        assert!(alone != one[0] && !alone.is_subtype_of(one[0].id()));
        drop((one, alone));
        assert!(!is_known(&ty(940)));
    }

    #[test]
    fn subtypes_know_all_that_is_above_them() {
        let top = RegisteredType::with_supertype(&ty(950), false, None).unwrap();
        let middle = RegisteredType::with_supertype(&ty(950), false, Some(&top)).unwrap();
        let bottom = RegisteredType::with_supertype(&ty(950), true, Some(&middle)).unwrap();
        assert!(bottom.is_subtype_of(top.id()) && bottom.is_subtype_of(middle.id()));
        assert!(middle.is_subtype_of(top.id()) && !middle.is_subtype_of(bottom.id()));
        assert_eq!(bottom.supertype(), Some(middle.clone()));
        assert_eq!(bottom.supertypes(), [top.number(), middle.number()]);
        assert!(RegisteredType::with_supertype(&ty(950), true, Some(&bottom)).is_none());
        assert!(RegisteredType::with_supertype(&ty(951), true, Some(&top)).is_none());
        let heap = |ty: &RegisteredType| HeapType::Concrete(ty.id());
        assert!(heap(&bottom).matches(heap(&top)) && !heap(&top).matches(heap(&bottom)));
        assert!(heap(&top).matches(HeapType::Func) && HeapType::NoFunc.matches(heap(&top)));
        // It is held by what is below it.
        let number = top.id();
        drop((top, middle));
        assert!(RegisteredType::of(number).is_some());
    }

    #[test]
    fn a_long_chain_of_types_is_dropped_without_recursion() {
        let mut last = RegisteredType::new(&ty(960));
        for _ in 0..200_000 {
            last = RegisteredType::new(&FuncType::new([reference(last.id())], []));
        }
        drop(last);
        assert!(!is_known(&ty(960)));
    }

    #[test]
    #[should_panic(expected = "that nobody holds")]
    fn what_nobody_holds_cannot_be_referred_to() {
        RegisteredType::new(&FuncType::new([reference(TypeId((1 << 30) + 7))], []));
    }
}
