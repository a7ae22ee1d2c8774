//! Running a target on random cases within a budget.

use std::fs;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use cpu_time::ProcessTime;

use crate::counts::Counts;
use crate::targets::{self, Finding, Target};

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// After so many cases.
    Runs(u64),
    /// After so many seconds.
    Seconds(u64),
}

/// How to run a target.
#[derive(Clone, Debug)]
pub struct Plan {
    /// When to stop.
    pub budget: Budget,
    /// The first case; the next one has the next seed.
    pub seed: u64,
    /// Where to keep what is needed to look into a finding.
    pub findings: PathBuf,
    /// After how many findings to stop.
    pub most: u64,
    /// Also count by mode.
    pub verbose: bool,
}

/// How much of the processor's time a case may take: what takes more loops, or costs far more than its size.
const MOST_WORK: Duration = Duration::from_secs(60);
/// How long it may last: what lasts longer waits for something that never comes. Machines are busy at times.
const MOST_WAITING: Duration = Duration::from_secs(900);

/// Runs cases, prints one line of counts, and answers how many findings there were.
///
/// # Errors
///
/// If what is found cannot be kept.
pub fn run(target: &Target, plan: &Plan) -> Result<u64> {
    let start = Instant::now();
    let watch = Watch::start(target.name);
    let mut counts = Counts::new();
    let (mut cases, mut found) = (0, 0);
    while found < plan.most
        && match plan.budget {
            Budget::Runs(most) => cases < most,
            Budget::Seconds(most) => start.elapsed().as_secs() < most,
        }
    {
        let seed = plan.seed + cases;
        watch.case(seed);
        cases += 1;
        if let Err(finding) = case(target, seed, &mut counts) {
            found += 1;
            println!("{}, case {seed}: {}", target.name, finding.text);
            keep(target, seed, &finding, &plan.findings)?;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = cases as f64 / seconds.max(0.001);
    println!(
        "{}: {cases} cases in {seconds:.0} s ({rate:.1}/s), {found} findings; {counts}",
        target.name
    );
    if plan.verbose {
        print!("{}", counts.details());
    }
    Ok(found)
}

/// The bytes of a case.
pub fn bytes(target: &Target, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut data = vec![0; random.usize(target.bytes.clone())];
    random.fill(&mut data);
    data
}

/// A panic is a finding as well.
fn case(target: &Target, seed: u64, counts: &mut Counts) -> Result<(), Finding> {
    let data = bytes(target, seed);
    let result = panic::catch_unwind(AssertUnwindSafe(|| (target.body)(&data, counts)));
    result.unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or(payload.downcast_ref::<&str>().copied())
            .unwrap_or("no message");
        Err(Finding {
            text: format!("panic: {text}"),
            files: vec![("bin", data)],
        })
    })
}

fn keep(target: &Target, seed: u64, finding: &Finding, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let write = |ending: &str, bytes: &[u8]| {
        let file = folder.join(format!("{}-{seed}.{ending}", target.name));
        fs::write(&file, bytes).with_context(|| format!("cannot write {}", file.display()))
    };
    write("txt", finding.text.as_bytes())?;
    finding
        .files
        .iter()
        .try_for_each(|(ending, bytes)| write(ending, bytes))
}

/// Ends the process if a case takes too long, and says which one it was.
struct Watch(Arc<Mutex<Option<Started>>>);

/// A case at hand: when it began, by the process's time and by the clock on the wall.
#[derive(Clone, Copy)]
struct Started {
    seed: u64,
    work: ProcessTime,
    time: Instant,
}

impl Watch {
    fn start(target: &'static str) -> Watch {
        let case = Arc::new(Mutex::new(None));
        let watched: Weak<Mutex<Option<Started>>> = Arc::downgrade(&case);
        thread::spawn(move || {
            while let Some(case) = watched.upgrade() {
                let started: Option<Started> = *case.lock().unwrap_or_else(PoisonError::into_inner);
                drop(case);
                if let Some(started) = started
                    && (started.work.elapsed() > MOST_WORK || started.time.elapsed() > MOST_WAITING)
                {
                    println!("{target}, case {}: takes too long", started.seed);
                    std::process::exit(1);
                }
                thread::sleep(Duration::from_secs(1));
            }
        });
        Watch(case)
    }

    fn case(&self, seed: u64) {
        let started = Started {
            seed,
            work: ProcessTime::now(),
            time: Instant::now(),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
    }
}

/// Runs on a thread with room for the oracle's guests.
pub fn with_stack<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .stack_size(2 * crate::vm::STACK)
            .spawn_scoped(scope, body);
        match thread.map(|thread| thread.join()) {
            Ok(Ok(value)) => value,
            Ok(Err(payload)) => panic::resume_unwind(payload),
            Err(error) => panic!("cannot start a thread: {error}"),
        }
    })
}

/// One input of a fuzzer's.
///
/// # Panics
///
/// With the finding, if there is one.
pub fn fuzz(target: &str, data: &[u8]) {
    let Some(target) = targets::find(target) else {
        panic!("there is no target `{target}`");
    };
    let result = with_stack(|| (target.body)(data, &mut Counts::new()));
    if let Err(finding) = result {
        panic!("{}", finding.text);
    }
}
