//! A guest under either engine: its exports are the functions themselves.

use std::io::Cursor;
use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, anyhow};
use cap_std::ambient_authority;
use cap_std::fs::Dir;
use vm_wasi::pipe::MemoryOutputPipe;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::pipe as their_pipe;

use super::folder::ROOT;
use super::functions::{self, Call, Word};
use crate::modes::{self, Mode};

const STDIN: &str = "what the guest reads, a line\nand another one\n";
const ROOM: usize = 1 << 20;

/// Palisade's.
pub(super) struct Ours {
    store: vm_engine::Store<vm_wasi::WasiCtx>,
    instance: vm_engine::Instance,
    memory: vm_engine::Memory,
    output: [MemoryOutputPipe; 2],
}

impl Ours {
    pub(super) fn new(mode: &Mode, folder: &Path) -> Result<Ours> {
        let output = [MemoryOutputPipe::new(ROOM), MemoryOutputPipe::new(ROOM)];
        let ctx = vm_wasi::WasiCtxBuilder::new()
            .args(&["guest", "argument"])
            .env("NAME", "value")
            .stdin(Cursor::new(STDIN))
            .stdout(output[0].clone())
            .stderr(output[1].clone())
            .preopened_dir(
                Dir::open_ambient_dir(folder.join(ROOT), ambient_authority())?,
                "/",
            )
            .build()?;
        let mut linker = vm_engine::Linker::new(&mode.engine);
        vm_wasi::add_to_linker(&mut linker, |ctx| ctx)?;
        let mut store = vm_engine::Store::try_new(&mode.engine, ctx)?;
        modes::provide(&mut store)?;
        let module = vm_engine::Module::new(&mode.engine, functions::module())?;
        let instance = linker.instantiate(&mut store, &module)?;
        let memory = instance
            .get_memory(&mut store, "memory")
            .context("no memory")?;
        Ok(Ours {
            store,
            instance,
            memory,
            output,
        })
    }
}

impl Ours {
    /// Calls a function; its errno.
    pub(super) fn call(&mut self, call: &Call) -> Result<i32> {
        let function = self
            .instance
            .get_func(&mut self.store, call.function.name)
            .context("no such function")?;
        let args = call.words.iter().map(|word| match *word {
            Word::I32(word) => vm_engine::Val::from(word),
            Word::I64(word) => vm_engine::Val::from(word),
        });
        let mut results = [vm_engine::Val::I32(0)];
        function
            .call(&mut self.store, &args.collect::<Vec<_>>(), &mut results)
            .with_context(|| format!("Palisade: {call}"))?;
        results[0].i32().context("an errno is an i32")
    }

    /// The guest's memory.
    pub(super) fn memory(&mut self) -> &mut [u8] {
        self.memory.data_mut(&mut self.store)
    }

    /// What it has written to standard output and error.
    pub(super) fn output(&self) -> [Vec<u8>; 2] {
        self.output.each_ref().map(MemoryOutputPipe::contents)
    }
}

/// Wasmtime's.
pub(super) struct Theirs {
    store: wasmtime::Store<WasiP1Ctx>,
    instance: wasmtime::Instance,
    memory: wasmtime::Memory,
    output: [their_pipe::MemoryOutputPipe; 2],
}

impl Theirs {
    pub(super) fn new(folder: &Path) -> Result<Theirs> {
        let (engine, module) = their_module()?;
        let output = [
            their_pipe::MemoryOutputPipe::new(ROOM),
            their_pipe::MemoryOutputPipe::new(ROOM),
        ];
        let ctx = wasmtime_wasi::WasiCtxBuilder::new()
            .args(&["guest", "argument"])
            .env("NAME", "value")
            .stdin(their_pipe::MemoryInputPipe::new(STDIN))
            .stdout(output[0].clone())
            .stderr(output[1].clone())
            .allow_blocking_current_thread(true)
            .preopened_dir(folder.join(ROOT), "/", wasmtime_wasi::FsPerms::ReadWrite)
            .map_err(|error| anyhow!("{error:?}"))?
            .build_p1();
        Theirs::instantiate(engine, module, ctx, output).map_err(|error| anyhow!("{error:?}"))
    }

    fn instantiate(
        engine: &wasmtime::Engine,
        module: &wasmtime::Module,
        ctx: WasiP1Ctx,
        output: [their_pipe::MemoryOutputPipe; 2],
    ) -> wasmtime::Result<Theirs> {
        let mut linker = wasmtime::Linker::new(engine);
        wasmtime_wasi::p1::add_to_linker_sync(&mut linker, |ctx| ctx)?;
        let mut store = wasmtime::Store::new(engine, ctx);
        let instance = linker.instantiate(&mut store, module)?;
        let memory = instance.get_memory(&mut store, "memory");
        let memory = memory.ok_or_else(|| wasmtime::format_err!("no memory"))?;
        Ok(Theirs {
            store,
            instance,
            memory,
            output,
        })
    }
}

/// Compiled once.
fn their_module() -> Result<&'static (wasmtime::Engine, wasmtime::Module)> {
    static MODULE: OnceLock<Result<(wasmtime::Engine, wasmtime::Module), String>> = OnceLock::new();
    let made = MODULE.get_or_init(|| {
        let mut config = wasmtime::Config::new();
        config
            .signals_based_traps(false)
            .memory_reservation(0)
            .memory_guard_size(0);
        let engine = wasmtime::Engine::new(&config).map_err(|error| format!("{error:?}"))?;
        let wasm = wat::parse_str(functions::module()).map_err(|error| error.to_string())?;
        let module = wasmtime::Module::new(&engine, wasm).map_err(|error| format!("{error:?}"))?;
        Ok((engine, module))
    });
    made.as_ref().map_err(|error| anyhow!("Wasmtime: {error}"))
}

impl Theirs {
    /// Calls a function; its errno, or nothing if it trapped.
    pub(super) fn call(&mut self, call: &Call) -> Option<i32> {
        let function = self
            .instance
            .get_func(&mut self.store, call.function.name)?;
        let args = call.words.iter().map(|word| match *word {
            Word::I32(word) => wasmtime::Val::I32(word.cast_signed()),
            Word::I64(word) => wasmtime::Val::I64(word.cast_signed()),
        });
        let mut results = [wasmtime::Val::I32(0)];
        let called = function.call(&mut self.store, &args.collect::<Vec<_>>(), &mut results);
        called.ok().and_then(|()| results[0].i32())
    }

    /// The guest's memory.
    pub(super) fn memory(&mut self) -> &mut [u8] {
        self.memory.data_mut(&mut self.store)
    }

    /// What it has written to standard output and error.
    pub(super) fn output(&self) -> [Vec<u8>; 2] {
        self.output.each_ref().map(|pipe| pipe.contents().to_vec())
    }
}
