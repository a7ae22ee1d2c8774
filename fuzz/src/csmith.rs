//! Programs of csmith's: compiled to WebAssembly at every level of optimisation, with vectors and without, and run in
//! every mode; what they print is compared with what the same program prints as a process of this host.
//!
//! The native program is one of 32 bits, with 64-bit integers aligned as in WebAssembly: types are as wide and laid out
//! as there, which the checksum depends on.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use vm_engine::{Linker, Module, Store};
use vm_wasi::pipe::MemoryOutputPipe;
use vm_wasi::{I32Exit, WasiCtx, WasiCtxBuilder};

use crate::counts::Counts;
use crate::modes::{self, Mode};

/// What to generate, and with what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed of the first program; the next one has the next.
    pub seed: u64,
    /// How many programs.
    pub programs: u64,
    /// Start no program after so many seconds.
    pub seconds: Option<u64>,
    /// The compiler.
    pub clang: String,
    /// Where csmith's headers are.
    pub headers: PathBuf,
    /// Where to keep programs that differ.
    pub findings: PathBuf,
}

const LEVELS: [&str; 4] = ["-O0", "-O1", "-O2", "-O3"];
const VECTORS: [Option<&str>; 2] = [None, Some("-msimd128")];
/// Programs that take longer natively are left out: some of csmith's never end.
const NATIVE: Duration = Duration::from_millis(250);
/// Where the time that an interpreter may take for one of them ends.
const SLOW: Duration = Duration::from_secs(50);

/// Runs programs, prints one line of counts, and answers how many findings there were.
///
/// # Errors
///
/// If a tool is missing, or fails at something else than a program of csmith's.
pub fn run(plan: &Plan) -> Result<u64> {
    let start = Instant::now();
    let folder = tempfile::tempdir()?;
    let mut counts = Counts::new();
    let (mut programs, mut found) = (0, 0);
    while programs < plan.programs
        && plan
            .seconds
            .is_none_or(|most| start.elapsed().as_secs() < most)
    {
        let seed = plan.seed + programs;
        programs += 1;
        let findings = program(plan, seed, folder.path(), &mut counts)?;
        for text in &findings {
            println!("csmith, program {seed}: {text}");
        }
        if !findings.is_empty() {
            fs::create_dir_all(&plan.findings)?;
            fs::copy(
                folder.path().join("program.c"),
                plan.findings.join(format!("csmith-{seed}.c")),
            )?;
        }
        found += findings.len() as u64;
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = programs as f64 / seconds.max(0.001);
    println!(
        "csmith: {programs} programs in {seconds:.0} s ({rate:.2}/s), {found} findings; {counts}"
    );
    print!("{}", counts.details());
    Ok(found)
}

fn program(plan: &Plan, seed: u64, folder: &Path, counts: &mut Counts) -> Result<Vec<String>> {
    let source = folder.join("program.c");
    let mut csmith = Command::new("csmith");
    csmith
        .arg("--seed")
        .arg(seed.to_string())
        .arg("--output")
        .arg(&source);
    csmith.args(["--concise", "--max-funcs", "6"]);
    if seed.is_multiple_of(2) {
        csmith.arg("--float");
    }
    succeed(csmith.current_dir(folder))?;

    let native = folder.join("native");
    let mut compile = Command::new(&plan.clang);
    compile.args(["-m32", "-malign-double", "-msse2", "-mfpmath=sse", "-O1"]);
    succeed(with_source(&mut compile, plan, &source, &native))?;
    let Some(expected) = native_output(&native)? else {
        counts.add("programs too slow natively", 1);
        return Ok(Vec::new());
    };

    let mut findings = Vec::new();
    for (level, vectors) in LEVELS
        .iter()
        .flat_map(|level| VECTORS.map(|vectors| (level, vectors)))
    {
        let wasm = folder.join("program.wasm");
        let mut compile = Command::new(&plan.clang);
        compile
            .args(["--target=wasm32-wasi", "--sysroot=/usr", level])
            .args(vectors);
        succeed(with_source(&mut compile, plan, &source, &wasm))?;
        let wasm = fs::read(wasm)?;
        counts.add("modules", 1);
        for mode in modes::all()? {
            let started = Instant::now();
            let found = output(mode, &wasm, counts)?;
            let what = || {
                format!(
                    "{level} {} {}",
                    vectors.unwrap_or("without vectors"),
                    mode.name
                )
            };
            if found != expected {
                findings.push(format!(
                    "{}: {expected:?} expected, {found:?} found",
                    what()
                ));
            }
            if started.elapsed() > SLOW {
                findings.push(format!("{}: took {:?}", what(), started.elapsed()));
            }
        }
    }
    Ok(findings)
}

fn with_source<'a>(
    compile: &'a mut Command,
    plan: &Plan,
    source: &Path,
    output: &Path,
) -> &'a mut Command {
    compile
        .arg("-w")
        .arg("-I")
        .arg(&plan.headers)
        .arg(source)
        .arg("-o")
        .arg(output)
}

fn succeed(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// What the native program prints, unless it takes too long.
fn native_output(program: &Path) -> Result<Option<String>> {
    let mut child = Command::new(program).stdout(Stdio::piped()).spawn()?;
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > NATIVE {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output()?;
    Ok(output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// What the program prints in a mode, or why it ended otherwise.
fn output(mode: &Mode, wasm: &[u8], counts: &mut Counts) -> Result<String> {
    let stdout = MemoryOutputPipe::new(1 << 16);
    let ctx = WasiCtxBuilder::new()
        .arg("program")
        .stdout(stdout.clone())
        .build()?;
    let mut linker = Linker::new(&mode.engine);
    vm_wasi::add_to_linker(&mut linker, |ctx: &mut WasiCtx| ctx)?;
    let mut store = Store::try_new(&mode.engine, ctx)?;
    modes::provide(&mut store)?;
    let module = Module::from_binary(&mode.engine, wasm)?;
    let instance = linker.instantiate(&mut store, &module)?;
    let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
    let called = start.call(&mut store, ());
    let counts = counts.mode(&mode.name);
    counts.instances += 1;
    counts.calls += 1;
    counts.functions += module.code_size().functions as u64;
    let printed = String::from_utf8_lossy(&stdout.contents()).into_owned();
    Ok(match called {
        Ok(()) => printed,
        Err(error) if error.downcast_ref() == Some(&I32Exit(0)) => printed,
        Err(error) => format!("{printed}{error}"),
    })
}
