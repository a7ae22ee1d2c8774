//! Running one script on the engine.
//!
//! Directives: <https://github.com/WebAssembly/spec/tree/main/interpreter#scripts>.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use anyhow::{Context as _, Error, Result, anyhow, bail, ensure};
use vm_engine::{
    CodeError, Config, Engine, Extern, Instance, Linker, Module, ModuleError, Store,
    ThrownException, Translation, Trap, Val,
};
use vm_translate::Features;
use wast::lexer::Lexer;
use wast::parser::{ParseBuffer, parse};
use wast::token::Id;
use wast::{QuoteWat, Wast, WastDirective, WastExecute, WastInvoke, Wat};

use super::proposal::{Needs, imports};
use super::report::{Failure, Report};
use super::source::{Script, precedes_memory64, precedes_multi_memory, precedes_reference_types};
use super::{spectest, value};
use crate::mode::Mode;

/// Runs `script` in `mode`. What goes wrong, panics included, is in the report.
pub(crate) fn run(script: &Script, mode: Mode, lazily: bool) -> Report {
    let mut config = mode.config();
    if lazily {
        config.translation(Translation::LazyAll);
    }
    run_with(script, mode, config, &mut None)
}

/// The same with settings besides the mode's, and `fuel` for what each run of guests has consumed.
pub(crate) fn run_with(
    script: &Script,
    mode: Mode,
    config: Config,
    fuel: &mut Option<Vec<u64>>,
) -> Report {
    catch_unwind(AssertUnwindSafe(|| {
        try_run(script, mode, config, fuel)
            .unwrap_or_else(|error| Report::broken(format!("{error:#}")))
    }))
    .unwrap_or_else(|panic| Report::broken(format!("panic: {}", panic_text(&*panic))))
}

fn try_run(
    script: &Script,
    mode: Mode,
    mut config: Config,
    fuel: &mut Option<Vec<u64>>,
) -> Result<Report> {
    config
        .wasm_reference_types(!precedes_reference_types(&script.name))
        .wasm_multi_memory(!precedes_multi_memory(&script.name))
        .wasm_memory64(!precedes_memory64(&script.name))
        .wasm_legacy_exceptions(script.legacy_exceptions);
    let engine = mode.engine_with(&config)?;
    let buffer = tokens(script)?;
    let mut wast = grammar(script, &buffer)?;
    let mut features = Features::default();
    features.set("legacy-exceptions", script.legacy_exceptions)?;
    let mut needs = Needs::of(&mut wast, &features);
    Needs::spread(&mut needs);

    let mut report = Report::default();
    let mut runner = Runner::new(&engine, fuel)?;
    // Parsed again, since encoding a module resolves its names in place, as `Needs::of` has done. A
    // buffer remembers how far it has been parsed, so this takes another one.
    let buffer = tokens(script)?;
    for (directive, needs) in grammar(script, &buffer)?.directives.into_iter().zip(needs) {
        let (line, _) = directive.span().linecol_in(&script.text);
        let assertions = count_assertions(&directive);
        if !needs.proposals.is_empty() {
            skip(&mut report, script, &engine, &needs);
            report.skipped += assertions;
            runner.skipped(&directive, &needs);
            continue;
        }
        let result = catch_unwind(AssertUnwindSafe(|| runner.directive(directive)))
            .unwrap_or_else(|panic| Err(anyhow!("panic: {}", panic_text(&*panic))));
        match result {
            Ok(()) => report.passed += assertions,
            Err(error) if error.is::<Missing>() => report.skipped += assertions,
            Err(error) => report.failures.push(Failure {
                line: line + 1,
                message: format!("{error:#}"),
            }),
        }
    }
    Ok(report)
}

/// Notes in the report that a directive needs missing proposals. The engine has to refuse its modules.
fn skip(report: &mut Report, script: &Script, engine: &Engine, needs: &Needs) {
    for name in &needs.proposals {
        if !report.missing.iter().any(|known| known == name) {
            report.missing.push((*name).to_owned());
        }
    }
    report.missing.sort();
    for witness in &needs.witnesses {
        if refusal(engine, &witness.module).is_none() {
            let before = script.text.get(..witness.offset).unwrap_or(&script.text);
            report.failures.push(Failure {
                line: before.lines().count(),
                message: "the engine takes a module that needs a missing proposal".to_owned(),
            });
        }
    }
}

/// Why a module is refused; of one whose functions are not validated before, why the first is that is not valid.
fn refusal(engine: &Engine, bytes: &[u8]) -> Option<vm_engine::Error> {
    let module = match Module::from_binary(engine, bytes) {
        Ok(module) => module,
        Err(error) => return Some(error),
    };
    let is_invalid = |error: &vm_engine::Error| {
        matches!(
            error.downcast_ref(),
            Some(ModuleError::Translate(CodeError::Invalid { .. }))
        )
    };
    let functions = module.imported_function_count()..module.function_count();
    let mut errors = functions.filter_map(|func| module.explore(func).err());
    errors.find(is_invalid)
}

fn tokens(script: &Script) -> Result<ParseBuffer<'_>> {
    let mut lexer = Lexer::new(&script.text);
    // Scripts contain such characters in order to test them.
    lexer.allow_confusing_unicode(true);
    ParseBuffer::new_with_lexer(lexer).map_err(|error| located(error, script))
}

fn grammar<'a>(script: &'a Script, buffer: &'a ParseBuffer<'_>) -> Result<Wast<'a>> {
    parse(buffer).map_err(|error| located(error, script))
}

fn located(mut error: wast::Error, script: &Script) -> Error {
    error.set_path(script.name.as_ref());
    error.set_text(&script.text);
    Error::from(error)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}

/// How many assertions a directive stands for: one for `assert_*`, none for an action, the sum of its
/// directives for a thread.
fn count_assertions(directive: &WastDirective<'_>) -> usize {
    match directive {
        WastDirective::AssertMalformed { .. }
        | WastDirective::AssertInvalid { .. }
        | WastDirective::AssertMalformedCustom { .. }
        | WastDirective::AssertInvalidCustom { .. }
        | WastDirective::AssertTrap { .. }
        | WastDirective::AssertReturn { .. }
        | WastDirective::AssertExhaustion { .. }
        | WastDirective::AssertUnlinkable { .. }
        | WastDirective::AssertException { .. }
        | WastDirective::AssertSuspension { .. } => 1,
        WastDirective::Thread(thread) => thread.directives.iter().map(count_assertions).sum(),
        WastDirective::Module(_)
        | WastDirective::ModuleDefinition(_)
        | WastDirective::ModuleInstance { .. }
        | WastDirective::Register { .. }
        | WastDirective::Invoke(_)
        | WastDirective::Wait { .. } => 0,
    }
}

/// A directive is about something that was skipped, or that what was skipped might have changed.
#[derive(Debug)]
struct Missing;

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("what the directive is about needs a missing proposal")
    }
}

impl std::error::Error for Missing {}

/// An instance and its number in the script, unless it was skipped.
type Known = Result<(usize, Instance), ()>;

/// The state of a script: what its directives have made so far.
struct Runner<'a> {
    store: Store<()>,
    /// What each run of guests has consumed, if they consume fuel.
    fuel: &'a mut Option<Vec<u64>>,
    linker: Linker<()>,
    /// Modules by the name of their definition; the last one also under "".
    definitions: HashMap<String, Option<Module>>,
    /// Instances by the name that the script gives them.
    instances: HashMap<String, Known>,
    current: Option<Known>,
    /// Instances by the name that other modules import from.
    registered: HashMap<String, Known>,
    /// How many instances there have been.
    count: usize,
    /// The numbers of those that a skipped module has imported from: it would have changed them.
    stale: HashSet<usize>,
}

/// As much fuel as a script may need.
const PLENTY: u64 = u64::MAX;

impl<'a> Runner<'a> {
    fn new(engine: &Engine, fuel: &'a mut Option<Vec<u64>>) -> Result<Runner<'a>> {
        let mut store = Store::new(engine, ());
        let mut linker = Linker::new(engine);
        // Scripts register several instances under one name; the last one counts.
        linker.allow_shadowing(true);
        spectest::define(&mut linker, &mut store)?;
        Ok(Runner {
            store,
            fuel,
            linker,
            definitions: HashMap::new(),
            instances: HashMap::new(),
            current: None,
            registered: HashMap::new(),
            count: 0,
            stale: HashSet::new(),
        })
    }

    /// Takes note of a directive that is left out.
    fn skipped(&mut self, directive: &WastDirective<'_>, needs: &Needs) {
        for (module, _) in needs.witnesses.iter().flat_map(|w| imports(&w.module)) {
            if let Some(Ok((number, _))) = self.registered.get(&module) {
                self.stale.insert(*number);
            }
        }
        match directive {
            WastDirective::Module(module) => self.know(module.name(), Err(())),
            WastDirective::ModuleDefinition(module) => {
                let name = module.name().map_or("", |name| name.name()).to_owned();
                self.definitions.insert(String::new(), None);
                self.definitions.insert(name, None);
            }
            _ => {}
        }
    }

    /// The instance that is current from now on, and known by a name.
    fn know(&mut self, name: Option<Id<'_>>, instance: Known) {
        if let Some(name) = name {
            self.instances.insert(name.name().to_owned(), instance);
        }
        self.current = Some(instance);
    }

    fn directive(&mut self, directive: WastDirective<'_>) -> Result<()> {
        match directive {
            WastDirective::Module(mut module) => {
                let name = module.name();
                let module = self.module(&mut module)?;
                self.instance(name, &module)
            }
            WastDirective::ModuleDefinition(mut module) => {
                let name = module.name().map_or("", |name| name.name()).to_owned();
                let module = self.module(&mut module)?;
                self.definitions.insert(String::new(), Some(module.clone()));
                self.definitions.insert(name, Some(module));
                Ok(())
            }
            WastDirective::ModuleInstance {
                instance, module, ..
            } => {
                let name = module.map_or("", |name| name.name());
                let module = self
                    .definitions
                    .get(name)
                    .cloned()
                    .ok_or_else(|| anyhow!("no module definition named {name:?}"))?;
                let Some(module) = module else {
                    self.know(instance, Err(()));
                    return Err(Missing.into());
                };
                self.instance(instance, &module)
            }
            WastDirective::Register { name, module, .. } => {
                let known = self.find_known(module)?;
                self.registered.insert(name.to_owned(), known);
                let instance = self.find_instance(module)?;
                self.linker.instance(&mut self.store, name, instance)?;
                Ok(())
            }
            WastDirective::Invoke(call) => self.invoke(&call).map(drop),
            WastDirective::AssertReturn { exec, results, .. } => {
                let actual = self.execute(exec)?;
                value::expect(&self.store, &actual, &results)
            }
            WastDirective::AssertTrap { exec, message, .. } => {
                let result = self.execute(exec);
                expect_trap(result, message)
            }
            WastDirective::AssertExhaustion { call, message, .. } => {
                let result = self.invoke(&call);
                expect_trap(result, message)
            }
            WastDirective::AssertMalformed {
                mut module,
                message,
                ..
            }
            | WastDirective::AssertInvalid {
                mut module,
                message,
                ..
            } => self.expect_refused(&mut module, message),
            WastDirective::AssertMalformedCustom {
                mut module,
                message,
                ..
            }
            | WastDirective::AssertInvalidCustom {
                mut module,
                message,
                ..
            } => self.expect_custom_error(&mut module, message),
            WastDirective::AssertUnlinkable {
                module, message, ..
            } => self.expect_unlinkable(module, message),
            WastDirective::AssertException { exec, .. } => {
                let result = self.execute(exec);
                self.expect_exception(result)
            }
            WastDirective::AssertSuspension { .. }
            | WastDirective::Thread(_)
            | WastDirective::Wait { .. } => bail!("a directive of a missing proposal"),
        }
    }

    fn module(&self, module: &mut QuoteWat<'_>) -> Result<Module> {
        let bytes = module.encode()?;
        Ok(Module::from_binary(self.store.engine(), &bytes)?)
    }

    fn instance(&mut self, name: Option<Id<'_>>, module: &Module) -> Result<()> {
        match self.instantiate(module) {
            Ok(instance) => {
                self.count += 1;
                self.know(name, Ok((self.count, instance)));
                Ok(())
            }
            Err(error) => {
                if error.is::<Missing>() {
                    self.know(name, Err(()));
                }
                Err(error)
            }
        }
    }

    fn instantiate(&mut self, module: &Module) -> Result<Instance> {
        let missing = |import: vm_engine::ImportType<'_>| {
            let known = self.registered.get(import.module());
            known.is_some_and(|known| self.usable(*known).is_none())
        };
        if module.imports().any(missing) {
            // It would have changed what else it imports.
            for import in module.imports() {
                if let Some(Ok((number, _))) = self.registered.get(import.module()) {
                    self.stale.insert(*number);
                }
            }
            return Err(Missing.into());
        }
        self.metered(|runner| runner.linker.instantiate(&mut runner.store, module))
    }

    /// Runs guests, and notes what they have consumed. How deep they come before their stack is exhausted is not the same
    /// everywhere.
    fn metered<T>(&mut self, run: impl FnOnce(&mut Self) -> vm_engine::Result<T>) -> Result<T> {
        if self.fuel.is_none() {
            return Ok(run(self)?);
        }
        self.store.set_fuel(PLENTY)?;
        let result = run(self);
        let exhausted = |error: &vm_engine::Error| error.trap() == Some(Trap::StackOverflow);
        if !result.as_ref().is_err_and(exhausted) {
            let consumed = PLENTY - self.store.get_fuel()?;
            self.fuel.get_or_insert_default().push(consumed);
        }
        Ok(result?)
    }

    /// The instance, unless it was skipped or ought to have been changed since.
    fn usable(&self, known: Known) -> Option<Instance> {
        let (number, instance) = known.ok()?;
        (!self.stale.contains(&number)).then_some(instance)
    }

    fn find_known(&self, name: Option<Id<'_>>) -> Result<Known> {
        match name {
            Some(name) => self.instances.get(name.name()).copied(),
            None => self.current,
        }
        .ok_or_else(|| anyhow!("no instance named {name:?}"))
    }

    fn find_instance(&self, name: Option<Id<'_>>) -> Result<Instance> {
        let known = self.find_known(name)?;
        self.usable(known).ok_or_else(|| Missing.into())
    }

    fn export(&mut self, module: Option<Id<'_>>, name: &str) -> Result<Extern> {
        self.find_instance(module)?
            .get_export(&mut self.store, name)
            .ok_or_else(|| anyhow!("no export named {name:?}"))
    }

    fn execute(&mut self, execute: WastExecute<'_>) -> Result<Vec<Val>> {
        match execute {
            WastExecute::Invoke(call) => self.invoke(&call),
            WastExecute::Wat(module) => {
                let module = self.module(&mut QuoteWat::Wat(module))?;
                self.instantiate(&module)?;
                Ok(Vec::new())
            }
            WastExecute::Get { module, global, .. } => {
                let global = self
                    .export(module, global)?
                    .into_global()
                    .with_context(|| format!("the export {global:?} is not a global"))?;
                Ok(vec![global.get(&mut self.store)])
            }
        }
    }

    fn invoke(&mut self, call: &WastInvoke<'_>) -> Result<Vec<Val>> {
        let func = self
            .export(call.module, call.name)?
            .into_func()
            .with_context(|| format!("the export {:?} is not a function", call.name))?;
        let arguments = call
            .args
            .iter()
            .map(|argument| value::argument(&mut self.store, argument))
            .collect::<Result<Vec<_>>>()?;
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        self.metered(|runner| func.call(&mut runner.store, &arguments, &mut results))?;
        Ok(results)
    }

    /// The module has to be refused, by the text format or by the engine, which has to say where.
    /// Messages are not compared: they are `wasmparser`'s.
    fn expect_refused(&self, module: &mut QuoteWat<'_>, message: &str) -> Result<()> {
        let Ok(bytes) = module.encode() else {
            return Ok(());
        };
        let Some(error) = refusal(self.store.engine(), &bytes) else {
            bail!("taken, although the script expects: {message}");
        };
        let offset = match error.downcast_ref() {
            Some(ModuleError::Invalid(error)) => error.offset(),
            Some(ModuleError::Translate(CodeError::Invalid { error, .. })) => error.offset(),
            _ => None,
        };
        ensure!(offset.is_some(), "refused without saying where: {error}");
        Ok(())
    }

    /// The text format refuses the annotations; or the engine takes the module, as it does whatever
    /// custom sections are like, and the section that they have become is reported as ignored.
    fn expect_custom_error(&self, module: &mut QuoteWat<'_>, message: &str) -> Result<()> {
        let Ok(bytes) = module.encode() else {
            return Ok(());
        };
        Module::from_binary(self.store.engine(), &bytes)
            .context("a custom section is no reason to refuse a module")?;
        let module = vm_translate::Module::new(bytes, &Features::default())?;
        ensure!(
            !module.custom_section_errors().is_empty(),
            "taken without a word, although the script expects: {message}"
        );
        Ok(())
    }

    /// `result` has to be an exception that nobody has caught, which the store has then.
    fn expect_exception(&mut self, result: Result<Vec<Val>>) -> Result<()> {
        match result {
            Ok(values) => bail!("returned {values:?}, although the script expects an exception"),
            Err(error) if error.is::<Missing>() => Err(error),
            Err(error) => {
                let thrown = error.downcast_ref::<vm_engine::Error>();
                let thrown = thrown.is_some_and(|error| error.is::<ThrownException>());
                if !thrown {
                    return Err(error.context("not an exception, which the script expects"));
                }
                Ok(())
            }
        }
    }

    fn expect_unlinkable(&mut self, module: Wat<'_>, message: &str) -> Result<()> {
        let module = self.module(&mut QuoteWat::Wat(module))?;
        match self.instantiate(&module) {
            Err(error) if error.is::<Missing>() => Err(error),
            Ok(_) => bail!("linked, although the script expects: {message}"),
            Err(error) => {
                let text = format!("{error:#}");
                ensure!(
                    text.contains(message),
                    "the script expects {message:?}, the engine says: {text}"
                );
                Ok(())
            }
        }
    }
}

/// `result` has to be a trap whose message is the script's. The script's may say more ("uninitialized
/// element 2", "null function reference"), and so may ours ("out of bounds memory access at …").
fn expect_trap(result: Result<Vec<Val>>, message: &str) -> Result<()> {
    match result {
        Ok(values) => bail!("returned {values:?}, although the script expects the trap: {message}"),
        Err(error) if error.is::<Missing>() => Err(error),
        Err(error) => {
            let trap = error.downcast_ref().and_then(vm_engine::Error::trap);
            let Some(trap) = trap else {
                return Err(error.context(format!("not a trap; the script expects: {message}")));
            };
            let text = trap.to_string();
            let names_kind = trap == vm_engine::Trap::NullReference
                && message.starts_with("null ")
                && message.ends_with(" reference");
            ensure!(
                text.contains(message) || message.starts_with(&text) || names_kind,
                "the script expects the trap {message:?}, the engine says {text:?}"
            );
            Ok(())
        }
    }
}
