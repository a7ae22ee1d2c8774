//! Exceptions, as the host sees them.

use crate::engine::Engine;
use crate::error::{Error, Result, WrongStore};
use crate::handles::{ExnRef, Tag};
use crate::low::ExnId;
use crate::store::{AsContext, AsContextMut, Store, StoreContext, StoreContextMut};
use crate::types::{FuncType, TagType, ValType};
use crate::values::Val;

/// What exceptions with tags of a type have as values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExnType(TagType);

impl ExnType {
    /// That of exceptions with values of these types.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn new(_: &Engine, fields: impl IntoIterator<Item = ValType>) -> Result<ExnType> {
        Ok(ExnType(TagType::new(FuncType::new(fields, []))))
    }

    /// That of exceptions with a tag of this type.
    ///
    /// # Errors
    ///
    /// None at present.
    pub fn from_tag_type(ty: &TagType) -> Result<ExnType> {
        Ok(ExnType(ty.clone()))
    }

    /// The type of the tag.
    pub fn tag_type(&self) -> TagType {
        self.0.clone()
    }

    /// The types of the values.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = ValType> + '_ {
        self.0.ty().params()
    }
}

/// What makes exceptions of a type.
#[derive(Clone, Debug)]
pub struct ExnRefPre(ExnType);

impl ExnRefPre {
    /// For exceptions of this type.
    pub fn new(_: impl AsContextMut, ty: ExnType) -> ExnRefPre {
        ExnRefPre(ty)
    }
}

impl ExnRef {
    /// An exception. It is not thrown yet: see [`Store::throw`].
    ///
    /// # Errors
    ///
    /// If the tag or the values are not of the type of `allocator`; if the exceptions of the store, those that guests hold included, take too much memory;
    /// [`WrongStore`].
    pub fn new(
        mut store: impl AsContextMut,
        allocator: &ExnRefPre,
        tag: &Tag,
        fields: &[Val],
    ) -> Result<ExnRef> {
        let mut store = store.as_context_mut();
        let own = tag.ty_in(store.opaque())?;
        if own != allocator.0.0 {
            return Err(Error::msg(format!(
                "the exception is to be one of a {}, and the tag is a {own}",
                allocator.0.0
            )));
        }
        let tag = tag.id_in(store.opaque())?;
        let values = fields.iter().map(|value| value.lower(store.opaque()));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let id = store.world_mut().new_exception(tag, &values);
        Ok(ExnRef::new_in(store.opaque(), id.map_err(Error::new)?))
    }

    /// Its tag.
    ///
    /// # Errors
    ///
    /// [`WrongStore`], also if the host has no hold of it any more.
    pub fn tag(&self, mut store: impl AsContextMut) -> Result<Tag> {
        let store = store.as_context_mut();
        let id = self.id_in(store.opaque())?;
        let tag = store.opaque().world().exception_tag(id).ok_or(WrongStore)?;
        Ok(Tag::new_in(store.opaque(), tag))
    }

    /// Its type.
    ///
    /// # Errors
    ///
    /// As for [`ExnRef::tag`].
    pub fn ty(&self, mut store: impl AsContextMut) -> Result<ExnType> {
        let mut store = store.as_context_mut();
        let tag = self.tag(&mut store)?;
        Ok(ExnType(tag.ty_in(store.opaque())?))
    }

    /// Its values.
    ///
    /// # Errors
    ///
    /// As for [`ExnRef::tag`].
    pub fn fields(
        &self,
        mut store: impl AsContextMut,
    ) -> Result<impl ExactSizeIterator<Item = Val>> {
        let store = store.as_context_mut();
        let id = self.id_in(store.opaque())?;
        let world = store.opaque().world();
        let values = world.exception_values(id).ok_or(WrongStore)?;
        let values = values
            .into_iter()
            .map(|value| Val::lift(value, store.opaque()));
        Ok(values.collect::<Vec<_>>().into_iter())
    }

    /// One of its values.
    ///
    /// # Errors
    ///
    /// As for [`ExnRef::tag`]; and if it has no such value.
    pub fn field(&self, store: impl AsContextMut, index: usize) -> Result<Val> {
        let mut fields = self.fields(store)?;
        let count = fields.len();
        fields.nth(index).ok_or_else(|| {
            Error::msg(format!(
                "the exception has {count} values, and none of number {index}"
            ))
        })
    }
}

impl<T: 'static> StoreContextMut<'_, T> {
    /// See [`Store::throw`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn throw<R>(&mut self, exception: ExnRef) -> Result<R> {
        let id = exception.id_in(self.opaque())?;
        Err(Error::from_boxed(self.world_mut().throw(id)))
    }

    /// See [`Store::take_pending_exception`].
    pub fn take_pending_exception(&mut self) -> Option<ExnRef> {
        let id = self.world_mut().take_exception()?;
        Some(ExnRef::new_in(self.opaque(), id))
    }

    /// See [`Store::has_pending_exception`].
    pub fn has_pending_exception(&self) -> bool {
        self.opaque().world().has_thrown()
    }
}

impl<T> Store<T> {
    /// Throws an exception: it becomes the one that is pending, and a host function that returns the error throws it into the guest that
    /// has called it.
    ///
    /// A guest's call whose exception nobody has caught fails with the same error: [`ThrownException`](crate::ThrownException). Then a host function can
    /// return that in turn, or [take](Store::take_pending_exception) the exception.
    ///
    /// # Errors
    ///
    /// Always [`ThrownException`](crate::ThrownException); or [`WrongStore`], or that the host has no hold of the exception any more.
    ///
    /// ```
    /// use vm_engine::*;
    ///
    /// # fn main() -> Result<()> {
    /// let engine = Engine::default();
    /// let module = Module::new(&engine, r#"(module
    ///   (import "host" "tag" (tag $t (param i32)))
    ///   (import "host" "fail" (func $fail))
    ///   (func (export "run") (result i32)
    ///     (block $caught (result i32)
    ///       (try_table (catch $t $caught) (call $fail))
    ///       (i32.const 0))))"#)?;
    /// let mut store = Store::new(&engine, ());
    /// let ty = TagType::new(FuncType::new([ValType::I32], []));
    /// let tag = Tag::new(&mut store, &ty);
    /// let mut linker = Linker::new(&engine);
    /// linker.define(&store, "host", "tag", tag)?;
    /// linker.func_wrap("host", "fail", move |mut caller: Caller<'_, ()>| -> Result<()> {
    ///     let allocator = ExnRefPre::new(&mut caller, ExnType::from_tag_type(&ty)?);
    ///     let exception = ExnRef::new(&mut caller, &allocator, &tag, &[Val::I32(42)])?;
    ///     caller.as_context_mut().throw(exception)
    /// })?;
    /// let instance = linker.instantiate(&mut store, &module)?;
    /// let run = instance.get_typed_func::<(), i32>(&mut store, "run")?;
    /// assert_eq!(run.call(&mut store, ())?, 42);
    /// # Ok(())
    /// # }
    /// ```
    pub fn throw<R>(&mut self, exception: ExnRef) -> Result<R> {
        self.as_context_mut().throw(exception)
    }

    /// Takes the exception that has been thrown and that nobody has caught, if there is one: nothing is pending any more.
    pub fn take_pending_exception(&mut self) -> Option<ExnRef> {
        self.as_context_mut().take_pending_exception()
    }

    /// Whether there is an exception that has been thrown and that nobody has caught.
    pub fn has_pending_exception(&self) -> bool {
        self.as_context().opaque().world().has_thrown()
    }
}

/// The host lets go of the exceptions that it has got hold of since this began when it ends: [`ExnRef`]s from within it are no longer of
/// use then. So a loop outside of host functions that looks at exceptions needs no more memory with every one.
pub struct RootScope<C: AsContextMut> {
    store: C,
    from: ExnId,
}

impl<C: AsContextMut> RootScope<C> {
    /// Begins here.
    pub fn new(mut store: C) -> RootScope<C> {
        let from = store.as_context_mut().opaque().world().next_held();
        RootScope { store, from }
    }
}

impl<C: AsContextMut> Drop for RootScope<C> {
    fn drop(&mut self) {
        self.store.as_context_mut().world_mut().let_go(self.from);
    }
}

impl<C: AsContextMut> std::fmt::Debug for RootScope<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RootScope").finish_non_exhaustive()
    }
}

impl<C: AsContextMut> AsContext for RootScope<C> {
    type Data = C::Data;

    fn as_context(&self) -> StoreContext<'_, C::Data> {
        self.store.as_context()
    }
}

impl<C: AsContextMut> AsContextMut for RootScope<C> {
    fn as_context_mut(&mut self) -> StoreContextMut<'_, C::Data> {
        self.store.as_context_mut()
    }
}
