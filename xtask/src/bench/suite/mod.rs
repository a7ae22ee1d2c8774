//! `cargo xtask bench --only suite --suite DIR`: the public suite `wasmi-labs/wasmi-benchmarks`, of which DIR is a
//! checkout, with its submodule.
//!
//! As the suite has it, all engines are linked and run in one process, each case is instantiated once and its `run`
//! called again and again, and for start-up a module is made and instantiated. Figures are CPU time of the thread.
//! Whatever a case answers, and what it leaves in memory, has to be the same for all engines. A case whose file is
//! not there is listed, and counted nowhere.

mod cases;
mod palisade;
mod subject;
#[cfg(feature = "peers")]
mod wasmi;

use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::time::{ClockId, clock_gettime};

use self::cases::{EXECUTION, Execution, START_UP, Setup, Value, Work};
use self::palisade::Palisade;
use self::subject::{Guest, Ready, Subject};
use super::figures::subject::Translation;
use super::statistics::Sample;
use super::table::{Group, Row, Table};
use crate::mode::Mode;

/// A figure is the mean of as many calls as take this long together.
const LEAST_TIME: Duration = Duration::from_millis(100);

/// Measures everything and makes the table. Says on stderr what it does, and sets `failed` if one of Palisade's modes
/// cannot run a case.
pub(super) fn measure(
    dir: &Path,
    modes: &[Mode],
    filter: &str,
    passes: usize,
    failed: &mut bool,
) -> Result<Table> {
    ensure!(
        dir.join("res").is_dir(),
        "{} has no folder `res`: it is no checkout of wasmi-labs/wasmi-benchmarks",
        dir.display()
    );
    let mut subjects = linked();
    for mode in modes {
        subjects.push(Box::new(Palisade(*mode)));
    }
    let suite = Suite {
        dir,
        subjects: &subjects,
        passes,
    };
    let mut rows = Vec::new();
    for case in EXECUTION {
        if case.name.contains(filter) {
            rows.push(suite.execution(case, failed)?);
        }
    }
    let mut groups = vec![Group {
        name: "execution".to_owned(),
        programs: true,
        rows,
    }];
    for (name, translation) in [
        (
            "start-up, functions translated when they are called",
            Translation::Lazy,
        ),
        (
            "start-up, all functions translated at once",
            Translation::Eager,
        ),
    ] {
        let mut rows = Vec::new();
        for case in START_UP {
            if case.contains(filter) {
                rows.push(suite.start_up(case, translation, failed)?);
            }
        }
        groups.push(Group {
            name: name.to_owned(),
            programs: true,
            rows,
        });
    }
    groups.retain(|group| !group.rows.is_empty());
    ensure!(!groups.is_empty(), "no case has {filter:?} in its name");
    Ok(Table {
        contestants: subjects.iter().map(|subject| subject.name()).collect(),
        groups,
        passes,
        seconds: "CPU seconds of the thread",
    })
}

#[cfg(feature = "peers")]
fn linked() -> Vec<Box<dyn Subject>> {
    vec![Box::new(wasmi::Wasmi)]
}

#[cfg(not(feature = "peers"))]
fn linked() -> Vec<Box<dyn Subject>> {
    Vec::new()
}

struct Suite<'a> {
    dir: &'a Path,
    subjects: &'a [Box<dyn Subject>],
    passes: usize,
}

/// One engine with a case that it can run.
struct Ran<'a> {
    /// Does what is measured, once, and says what it came to.
    once: Box<dyn FnMut() -> Result<Once> + 'a>,
    calls: u32,
    figures: Vec<f64>,
}

/// What doing it once came to.
enum Once {
    /// It is to be timed.
    Time,
    /// It has timed itself.
    Score(f64),
}

impl Suite<'_> {
    fn execution(&self, case: &Execution, failed: &mut bool) -> Result<Row> {
        let (unit, rate) = match case.work {
            Work::CoreMark => ("1/s", true),
            Work::Text(_) | Work::Program { .. } => ("ms", false),
        };
        let Some(module) = self.module(case)? else {
            return Ok(self.missing(case.name, unit));
        };
        let input = match case.work {
            Work::Program {
                setup: Setup::Input(name),
                ..
            } => match fs::read(self.dir.join("res/rust/res").join(name)) {
                Ok(bytes) => bytes,
                Err(_) => return Ok(self.missing(case.name, unit)),
            },
            _ => Vec::new(),
        };
        let mut first = None;
        let start = |subject: &dyn Subject| {
            let ready = subject.ready(&module, subject.usual_translation())?;
            let mut guest = ready.instantiate(&module)?;
            let (argument, outcome) = outcome(&mut *guest, &case.work, &input)?;
            let expected = first.get_or_insert_with(|| outcome.clone());
            ensure!(
                *expected == outcome,
                "it answers {outcome:x?}, the first engine {expected:x?}"
            );
            let coremark = matches!(case.work, Work::CoreMark);
            Ok(Box::new(move || {
                let answer = guest.call("run", argument.as_slice())?;
                match answer {
                    Some(Value::F32(score)) if coremark => {
                        Ok(Once::Score(f32::from_bits(score).into()))
                    }
                    _ => Ok(Once::Time),
                }
            }) as Box<dyn FnMut() -> Result<Once>>)
        };
        self.row(case.name, (unit, rate, 1e3), start, failed)
    }

    fn start_up(&self, name: &str, translation: Translation, failed: &mut bool) -> Result<Row> {
        let file = self.file(&[&format!("res/wasm/{name}.wasm")]);
        let Some(file) = file else {
            return Ok(self.missing(name, "µs"));
        };
        let module = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let start = |subject: &dyn Subject| {
            let ready: Box<dyn Ready> = subject.ready(&module, translation)?;
            let module = &module;
            Ok(Box::new(move || {
                drop(ready.instantiate(module)?);
                Ok(Once::Time)
            }) as Box<dyn FnMut() -> Result<Once>>)
        };
        self.row(name, ("µs", false, 1e6), start, failed)
    }

    /// Runs a case on all engines, in turns. The numbers of `what` are parts of a second.
    fn row<'a>(
        &self,
        name: &str,
        (unit, rate, parts): (&'static str, bool, f64),
        mut start: impl FnMut(&dyn Subject) -> Result<Box<dyn FnMut() -> Result<Once> + 'a>>,
        failed: &mut bool,
    ) -> Result<Row> {
        eprintln!("{name}");
        let mut note = None;
        let mut engines = Vec::new();
        for subject in self.subjects {
            let ran = start(&**subject).and_then(|once| Ran::warm(once, rate));
            match ran {
                Ok(ran) => engines.push(Some(ran)),
                Err(error) => {
                    *failed |= subject.is_palisade();
                    let text = format!("{}: {error:#}", subject.name());
                    eprintln!("  {text}");
                    note.get_or_insert(text);
                    engines.push(None);
                }
            }
        }
        for _ in 0..self.passes {
            for ran in engines.iter_mut().flatten() {
                ran.measure(parts)?;
            }
        }
        let samples = engines
            .into_iter()
            .map(|ran| Sample::of(ran.map_or_else(Vec::new, |ran| ran.figures)));
        Ok(Row {
            program: name.to_owned(),
            unit,
            rate,
            samples: samples.collect(),
            note,
        })
    }

    fn missing(&self, name: &str, unit: &'static str) -> Row {
        Row {
            program: name.to_owned(),
            unit,
            rate: false,
            samples: vec![None; self.subjects.len()],
            note: Some("its file is not there".to_owned()),
        }
    }

    /// The case's module, `None` if its file is not there.
    fn module(&self, case: &Execution) -> Result<Option<Vec<u8>>> {
        let name = case.name;
        let file = match case.work {
            Work::Text(_) => self.file(&[&format!("res/wat/{name}.wat")]),
            // The names of folders had underscores once.
            Work::Program { .. } => self.file(&[
                &format!("res/rust/cases/{name}/out.wasm"),
                &format!("res/rust/cases/{}/out.wasm", name.replace('-', "_")),
            ]),
            Work::CoreMark => self.file(&["res/wasm/coremark.wasm"]),
        };
        let Some(file) = file else { return Ok(None) };
        let module = wat::parse_file(&file).with_context(|| format!("in {}", file.display()))?;
        Ok(Some(module))
    }

    fn file(&self, names: &[&str]) -> Option<PathBuf> {
        let mut files = names.iter().map(|name| self.dir.join(name));
        files.find(|file| file.is_file())
    }
}

/// What a case came to, to be compared.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    answer: Option<Value>,
    /// A digest of what is in memory.
    memory: Option<u64>,
}

/// Readies a case and runs it once. Answers the argument of `run`, and what it came to.
fn outcome(guest: &mut dyn Guest, work: &Work, input: &[u8]) -> Result<(Option<Value>, Outcome)> {
    match work {
        Work::CoreMark => Ok((
            None,
            Outcome {
                answer: None,
                memory: None,
            },
        )),
        Work::Text(argument) => {
            let answer = guest.call("run", &[*argument])?;
            let outcome = Outcome {
                answer,
                memory: None,
            };
            Ok((Some(*argument), outcome))
        }
        Work::Program { setup, answers } => {
            let argument = match setup {
                Setup::Nothing => None,
                Setup::Size(size) => Some(*size),
                Setup::Input(_) => Some(Value::I32(i32::try_from(input.len())?)),
            };
            let data = guest.call("setup", argument.as_slice())?;
            let data = data.context("`setup` answers nothing")?;
            if let Setup::Input(_) = setup {
                let Some(Value::I32(place)) = guest.call("input_ptr", &[data])? else {
                    bail!("`input_ptr` answers no address");
                };
                let place = place.cast_unsigned() as usize;
                let memory = guest.memory("memory")?;
                memory
                    .get_mut(place..place + input.len())
                    .context("`input_ptr` lies outside of memory")?
                    .copy_from_slice(input);
            }
            let answer = guest.call("run", &[data])?;
            for (function, expected) in *answers {
                let found = guest.call(function, &[data])?;
                ensure!(
                    found == Some(*expected),
                    "`{function}` answers {found:x?} instead of {expected:x?}"
                );
            }
            let mut digest = DefaultHasher::new();
            digest.write(guest.memory("memory")?);
            let memory = Some(digest.finish());
            Ok((Some(data), Outcome { answer, memory }))
        }
    }
}

impl<'a> Ran<'a> {
    /// Does it often enough for code to be what it will be, and to know how often that is. `rate`: it times itself.
    fn warm(mut once: Box<dyn FnMut() -> Result<Once> + 'a>, rate: bool) -> Result<Ran<'a>> {
        let mut calls = 0;
        if !rate {
            let before = cpu_time()?;
            while calls == 0 || cpu_time()?.saturating_sub(before) < LEAST_TIME {
                once()?;
                calls += 1;
            }
        }
        Ok(Ran {
            once,
            calls: calls.max(1),
            figures: Vec::new(),
        })
    }

    fn measure(&mut self, parts: f64) -> Result<()> {
        let before = cpu_time()?;
        for _ in 0..self.calls {
            if let Once::Score(score) = (self.once)()? {
                self.figures.push(score);
                return Ok(());
            }
        }
        let spent = cpu_time()?.saturating_sub(before).as_secs_f64();
        self.figures.push(spent * parts / f64::from(self.calls));
        Ok(())
    }
}

fn cpu_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)?.into())
}

/// CoreMark's clock. It ends with an error of its own if the clock stands still, and takes differences only.
fn clock_milliseconds() -> i32 {
    cpu_time().map_or(0, |time| time.as_millis() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_no_checkout_is_refused() {
        let empty = tempfile::tempdir().expect("a folder");
        let refused = measure(empty.path(), &[], "", 1, &mut false);
        assert!(refused.is_err());
    }

    #[test]
    fn what_is_there_is_measured_and_what_is_not_is_listed() {
        let dir = tempfile::tempdir().expect("a folder");
        let texts = dir.path().join("res/wat");
        fs::create_dir_all(&texts).expect("a folder in it");
        let text = r#"(module (func (export "run") (param i32) (result i32) (local.get 0)))"#;
        fs::write(texts.join("counter-local.wat"), text).expect("a file");
        let mut failed = false;
        let table = measure(
            dir.path(),
            &[Mode::TokenSoftware],
            "counter",
            1,
            &mut failed,
        );
        let rows = &table.expect("a table").groups[0].rows;
        assert!(!failed);
        for row in rows {
            let measured = row.samples.iter().all(Option::is_some);
            assert_eq!(measured, row.program == "counter-local", "{}", row.program);
            assert_eq!(row.note.is_none(), measured);
        }
        assert_eq!(rows.len(), 3);
    }
}
