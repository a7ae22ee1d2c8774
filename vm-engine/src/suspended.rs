//! Snapshots of calls that wait, and calls that go on from them.

use crate::error::{Error, Result, SnapshotError, TypeError, WrongStore};
use crate::handles::Instance;
use crate::instance_pre::InstancePre;
use crate::instantiate;
use crate::low::{self, InstanceId};
use crate::resumable::{
    Outcome, ResumableCall, ResumableCallEpochDeadline, ResumableCallHostTrap,
    ResumableCallOutOfFuel, Stopped, TypedResumableCall, TypedResumableCallEpochDeadline,
    TypedResumableCallHostTrap, TypedResumableCallOutOfFuel,
};
use crate::snapshot::Snapshot;
use crate::snapshot_call::{Call, Exception, Frame, Kind, Value, Why};
use crate::store::{AsContext, AsContextMut, StoreContextMut, StoreOpaque};
use crate::typed::WasmResults;
use crate::types::{FuncType, ValType};

/// The setting without which nothing of this can be done.
const SETTING: &str = "Config::suspended_snapshots(true)";

impl Stopped {
    /// A snapshot of the call's instance, with the call, which waits for this.
    fn snapshot(&self, store: StoreOpaque<'_>, why: Why) -> Result<Snapshot> {
        if self.store != store.id() {
            return Err(WrongStore.into());
        }
        let world = store.world();
        let (id, run) = world.frames_of(&self.suspended).map_err(of_frames)?;
        let functions = world.instance_funcs(id);
        let value = |value: &low::Val| {
            Value::of(*value, |func| functions.get(&func).copied())
                .ok_or(SnapshotError::Reference { what: "frame" })
        };
        let values = |values: &[low::Val]| values.iter().map(value).collect::<Result<_, _>>();
        let frames = run.frames.iter().map(|frame| {
            Ok(Frame {
                func: frame.func,
                offset: frame.point.offset,
                kind: Kind::of(frame.point.kind),
                locals: values(&frame.locals)?,
                operands: values(&frame.operands)?,
            })
        });
        let tags = 0..instantiate::module_of(store, id)?.low().tag_count();
        let tags: Vec<_> = tags.map(|tag| world.instance_tag(id, tag)).collect();
        let exceptions = run.exceptions.iter().map(|exception| {
            let tag = tags.iter().position(|tag| *tag == exception.tag);
            Ok(Exception {
                tag: tag.ok_or(SnapshotError::Reference { what: "frame" })? as u32,
                values: values(&exception.values)?,
            })
        });
        let call = Call {
            func: (functions.get(&run.called).copied()).ok_or(SnapshotError::OtherInstance)?,
            why,
            frames: frames.collect::<Result<_, SnapshotError>>()?,
            exceptions: exceptions.collect::<Result<_, SnapshotError>>()?,
        };
        let mut snapshot = Snapshot::of(store, id)?;
        snapshot.call = Some(call);
        Ok(snapshot)
    }
}

/// Why frames are not what they should be, to embedders.
fn of_frames(error: low::FramesError) -> Error {
    match error {
        low::FramesError::NoSites => SnapshotError::Config { setting: SETTING }.into(),
        low::FramesError::OtherInstance => SnapshotError::OtherInstance.into(),
        low::FramesError::Mismatch { frame, what } => SnapshotError::Frame { frame, what }.into(),
        low::FramesError::NoRoom { frames } => SnapshotError::NoRoom { frames }.into(),
        other => Error::new(other),
    }
}

/// The frames of a call that waits in a snapshot, which has been checked, in an instance of its module.
fn frames(world: &mut low::World, id: InstanceId, call: &Call) -> low::GuestFrames {
    let frames = (call.frames.iter()).map(|frame| low::GuestFrame {
        func: frame.func,
        point: low::Point {
            offset: frame.offset,
            kind: frame.kind.low(),
        },
        locals: values(world, id, &frame.locals),
        operands: values(world, id, &frame.operands),
    });
    let frames = frames.collect();
    let exceptions = (call.exceptions.iter()).map(|exception| low::GuestException {
        tag: world.instance_tag(id, exception.tag),
        values: values(world, id, &exception.values),
    });
    let exceptions = exceptions.collect();
    low::GuestFrames {
        called: world.instance_func(id, call.func),
        frames,
        exceptions,
    }
}

fn values(world: &mut low::World, id: InstanceId, values: &[Value]) -> Vec<low::Val> {
    let low = |value: &Value| value.low(|func| world.instance_func(id, func));
    values.iter().map(low).collect()
}

/// The call that waits in a snapshot, which has been checked, in an instance of its module.
fn call<T: 'static>(
    store: &mut StoreContextMut<'_, T>,
    id: InstanceId,
    snapshot: &Snapshot,
) -> Result<(low::FuncId, Outcome)> {
    let call = snapshot.call.as_ref().ok_or(SnapshotError::NotSuspended)?;
    let opaque = store.opaque();
    let config = opaque.engine().config();
    let missing = match call.why {
        _ if !config.suspended_snapshots => Some(SETTING),
        Why::OutOfFuel { .. } if config.fuel().is_none() => Some("Config::consume_fuel(true)"),
        Why::Epoch if !config.epochs => Some("Config::epoch_interruption(true)"),
        _ => None,
    };
    if let Some(setting) = missing {
        return Err(SnapshotError::Config { setting }.into());
    }
    let store_id = opaque.id();
    let world = store.world_mut();
    let run = frames(world, id, call);
    let called = run.called;
    let suspended = world.suspended(id, &run).map_err(of_frames)?;
    let stopped = Stopped {
        store: store_id,
        suspended,
    };
    let outcome = match &call.why {
        Why::Host { error } => Outcome::HostTrap(ResumableCallHostTrap {
            stopped,
            error: Error::msg(error.clone()),
        }),
        Why::OutOfFuel { required } => Outcome::OutOfFuel(ResumableCallOutOfFuel {
            stopped,
            required: *required,
        }),
        Why::Epoch => Outcome::EpochDeadline(ResumableCallEpochDeadline { stopped }),
    };
    Ok((called, outcome))
}

/// Makes an instance what a snapshot says, with its call, whose function has these results if they are given.
fn restore<T: 'static>(
    mut store: StoreContextMut<'_, T>,
    instance: &Instance,
    snapshot: &Snapshot,
    results: Option<&[ValType]>,
) -> Result<(low::FuncId, Outcome)> {
    let id = instance.id_in(store.opaque())?;
    snapshot.check(instantiate::module_of(store.opaque(), id)?)?;
    // What may fail comes before what changes.
    let (func, outcome) = call(&mut store, id, snapshot)?;
    let found = FuncType::from(store.opaque().world().func_type(func));
    if let Some(results) = results {
        let own = found.low().results();
        let fits = own.len() == results.len()
            && (own.iter().zip(results)).all(|(ty, wanted)| ty.matches(wanted.low()));
        if !fits {
            let expected = FuncType::new(found.params(), results.iter().cloned());
            return Err(TypeError::Typed { expected, found }.into());
        }
    }
    instance.restore(&mut store, snapshot)?;
    Ok((func, outcome))
}

impl Instance {
    /// Makes the instance what a snapshot says, with the call that waits in it, to go on with: see [`InstancePre::restore_call`]. Calls of the
    /// instance that have waited before still do; what they find then is what the snapshot says.
    ///
    /// # Errors
    ///
    /// As there and for [`Instance::restore`].
    pub fn restore_call(
        &self,
        mut store: impl AsContextMut,
        snapshot: &Snapshot,
    ) -> Result<ResumableCall> {
        let mut store = store.as_context_mut();
        let (func, outcome) = restore(store.reborrow(), self, snapshot, None)?;
        Ok(ResumableCall::of(outcome, &store, func, &[], &mut []))
    }

    /// [`Instance::restore_call`], with types that are known.
    ///
    /// # Errors
    ///
    /// As there; [`TypeError`] if the function that was called has other results.
    pub fn restore_typed_call<Results: WasmResults>(
        &self,
        mut store: impl AsContextMut,
        snapshot: &Snapshot,
    ) -> Result<TypedResumableCall<Results>> {
        let mut store = store.as_context_mut();
        let (_, outcome) = restore(store.reborrow(), self, snapshot, Some(Results::TYPES))?;
        Ok(TypedResumableCall::of(outcome, &store, &[]))
    }
}

impl<T: 'static> InstancePre<T> {
    /// An instance that is what a snapshot says, and the call that waits in it ([`Snapshot::is_suspended`]), to go on with: as if it had
    /// waited in this store. Its engine may run guests in another way than the one where the snapshot was taken, and be in another process.
    ///
    /// The bytes of a snapshot may come from anyone: whatever they say, the guest is one that its module allows. What it waits for is as
    /// it was, with the text of the host function's error in place of the error.
    ///
    /// ```
    /// use vm_engine::{Config, Engine, Linker, Module, Result, ResumableCall, Snapshot, Store, Threading, Val};
    ///
    /// const SUM: &str = r#"(module (func (export "sum") (param i32) (result i32) (local i32)
    ///   (loop
    ///     (local.set 1 (i32.add (local.get 1) (local.get 0)))
    ///     (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    ///   (local.get 1)))"#;
    ///
    /// # fn main() -> Result<()> {
    /// let engine = Engine::new(Config::new().consume_fuel(true).suspended_snapshots(true))?;
    /// let module = Module::new(&engine, SUM)?;
    /// let mut store = Store::new(&engine, ());
    /// let instance = Linker::new(&engine).instantiate(&mut store, &module)?;
    /// let sum = instance.get_func(&mut store, "sum").unwrap();
    /// store.set_fuel(100)?;
    /// let mut results = [Val::I32(0)];
    /// let call = sum.call_resumable(&mut store, &[Val::I32(1000)], &mut results)?;
    /// let ResumableCall::OutOfFuel(waits) = call else { panic!("it needs more") };
    /// let bytes = waits.snapshot(&store)?.to_bytes();
    ///
    /// // Somewhere else, and run in another way.
    /// let mut config = Config::new();
    /// config.consume_fuel(true).suspended_snapshots(true).threading(Threading::Token);
    /// let engine = Engine::new(&config)?;
    /// let module = Module::new(&engine, SUM)?;
    /// let mut store = Store::new(&engine, ());
    /// let pre = Linker::new(&engine).instantiate_pre(&module)?;
    /// let (_, call) = pre.restore_call(&mut store, &Snapshot::from_bytes(&bytes)?)?;
    /// let ResumableCall::OutOfFuel(waits) = call else { panic!("it still needs more") };
    /// store.set_fuel(10_000)?;
    /// waits.resume(&mut store, &mut results)?;
    /// assert_eq!(results[0].unwrap_i32(), 500_500);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`InstancePre::restore`]; [`SnapshotError::NotSuspended`]; [`SnapshotError::Config`] if the engine does not keep where guests'
    /// values are, or its guests do not consume the fuel or look at the epochs that the call waits for; [`SnapshotError::Frame`] if the
    /// call is none that this engine's guests can be in; [`SnapshotError::NoRoom`].
    pub fn restore_call(
        &self,
        mut store: impl AsContextMut<Data = T>,
        snapshot: &Snapshot,
    ) -> Result<(Instance, ResumableCall)> {
        let mut store = store.as_context_mut();
        let instance = self.new_for(&mut store, snapshot)?;
        let call = instance.restore_call(&mut store, snapshot)?;
        Ok((instance, call))
    }

    /// [`InstancePre::restore_call`], with types that are known.
    ///
    /// # Errors
    ///
    /// As there; [`TypeError`] if the function that was called has other results.
    pub fn restore_typed_call<Results: WasmResults>(
        &self,
        mut store: impl AsContextMut<Data = T>,
        snapshot: &Snapshot,
    ) -> Result<(Instance, TypedResumableCall<Results>)> {
        let mut store = store.as_context_mut();
        let instance = self.new_for(&mut store, snapshot)?;
        let call = instance.restore_typed_call(&mut store, snapshot)?;
        Ok((instance, call))
    }
}

impl ResumableCallHostTrap {
    /// A snapshot of the instance with the call as it waits, which goes on to wait here too. See [`InstancePre::restore_call`].
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Config`] unless its engine has [`Config::suspended_snapshots`](crate::Config::suspended_snapshots);
    /// [`SnapshotError::OtherInstance`] if functions of other instances wait too; [`SnapshotError::Reference`] if a value refers to
    /// a function that is not in the module's index space, to a value of the host's, or to an exception with a tag that the module does not
    /// have; [`WrongStore`].
    pub fn snapshot(&self, store: impl AsContext) -> Result<Snapshot> {
        let error = self.error.to_string();
        (self.stopped).snapshot(store.as_context().opaque(), Why::Host { error })
    }
}

impl ResumableCallOutOfFuel {
    /// [`ResumableCallHostTrap::snapshot`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn snapshot(&self, store: impl AsContext) -> Result<Snapshot> {
        let required = self.required;
        (self.stopped).snapshot(store.as_context().opaque(), Why::OutOfFuel { required })
    }
}

impl ResumableCallEpochDeadline {
    /// [`ResumableCallHostTrap::snapshot`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn snapshot(&self, store: impl AsContext) -> Result<Snapshot> {
        (self.stopped).snapshot(store.as_context().opaque(), Why::Epoch)
    }
}

impl<Results> TypedResumableCallHostTrap<Results> {
    /// [`ResumableCallHostTrap::snapshot`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn snapshot(&self, store: impl AsContext) -> Result<Snapshot> {
        self.call.snapshot(store)
    }
}

impl<Results> TypedResumableCallOutOfFuel<Results> {
    /// [`ResumableCallHostTrap::snapshot`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn snapshot(&self, store: impl AsContext) -> Result<Snapshot> {
        self.call.snapshot(store)
    }
}

impl<Results> TypedResumableCallEpochDeadline<Results> {
    /// [`ResumableCallHostTrap::snapshot`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn snapshot(&self, store: impl AsContext) -> Result<Snapshot> {
        self.call.snapshot(store)
    }
}
