//! What modules may contain, if the host says so.

use crate::low;

/// How much a module may have of each kind. Without a limit it may have as much as the specification and the host allow.
///
/// For hosts that take modules from anyone and charge for them, or want to know in advance what one can cost.
///
/// ```
/// use vm_engine::{Config, Engine, Module, ModuleLimits, Result};
///
/// # fn main() -> Result<()> {
/// let mut config = Config::new();
/// config.module_limits(ModuleLimits { functions: Some(1), ..ModuleLimits::default() });
/// let engine = Engine::new(&config)?;
/// assert!(Module::new(&engine, "(module (func))").is_ok());
/// let error = Module::new(&engine, "(module (func) (func))").unwrap_err();
/// assert_eq!(error.to_string(), "the module has 2 functions, and this engine allows 1");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ModuleLimits {
    /// The most functions that it defines.
    pub functions: Option<u32>,
    /// The most globals that it defines.
    pub globals: Option<u32>,
    /// The most tables that it defines.
    pub tables: Option<u32>,
    /// The most memories that it defines.
    pub memories: Option<u32>,
    /// The most element segments.
    pub element_segments: Option<u32>,
    /// The most data segments.
    pub data_segments: Option<u32>,
    /// The most parameters of a function type.
    pub params: Option<u32>,
    /// The most results of a function type.
    pub results: Option<u32>,
    /// The fewest bytes that the bodies of functions have on average, if there are more than a thousand: modules of very many very
    /// small functions cost more than their size.
    pub min_avg_bytes_per_function: Option<u32>,
}

/// How a module exceeds its limits.
pub(crate) enum Excess {
    Number {
        what: &'static str,
        found: u64,
        limit: u32,
    },
    SmallFunctions {
        functions: u64,
        bytes: u64,
        limit: u32,
    },
}

/// Of so few functions the average says nothing.
const FEW_FUNCTIONS: u32 = 1000;

impl ModuleLimits {
    /// Limits that no usual module meets: 10,000 functions, 1,000 globals, 100 tables, 1 memory, 1,000 segments of each kind,
    /// 32 parameters, 32 results, and 40 bytes a function.
    pub fn strict() -> ModuleLimits {
        ModuleLimits {
            functions: Some(10_000),
            globals: Some(1_000),
            tables: Some(100),
            memories: Some(1),
            element_segments: Some(1_000),
            data_segments: Some(1_000),
            params: Some(32),
            results: Some(32),
            min_avg_bytes_per_function: Some(40),
        }
    }

    /// Checks that a module keeps them.
    pub(crate) fn check(&self, module: &low::Module) -> Result<(), Excess> {
        let defined = |all: usize, imported: u32| all as u64 - u64::from(imported);
        let functions = u64::from(module.func_count() - module.imported_funcs());
        let most = |count: fn(&low::RegisteredType) -> usize| {
            module.types().iter().map(count).max().unwrap_or(0) as u64
        };
        let counts = [
            ("functions", functions, self.functions),
            (
                "globals",
                defined(module.globals().len(), module.imported_globals()),
                self.globals,
            ),
            (
                "tables",
                defined(module.tables().len(), module.imported_tables()),
                self.tables,
            ),
            (
                "memories",
                defined(module.memories().len(), module.imported_memories()),
                self.memories,
            ),
            (
                "element segments",
                module.elem_segments().len() as u64,
                self.element_segments,
            ),
            (
                "data segments",
                module.data_segments().len() as u64,
                self.data_segments,
            ),
            (
                "parameters in a function type",
                most(|ty| ty.params().len()),
                self.params,
            ),
            (
                "results in a function type",
                most(|ty| ty.results().len()),
                self.results,
            ),
        ];
        for (what, found, limit) in counts {
            if let Some(limit) = limit.filter(|limit| found > u64::from(*limit)) {
                return Err(Excess::Number { what, found, limit });
            }
        }
        if let Some(limit) = self.min_avg_bytes_per_function
            && functions > u64::from(FEW_FUNCTIONS)
        {
            let own = module.imported_funcs()..module.func_count();
            let bytes: u64 = own.map(|func| u64::from(module.func_size(func))).sum();
            if bytes < functions * u64::from(limit) {
                return Err(Excess::SmallFunctions {
                    functions,
                    bytes,
                    limit,
                });
            }
        }
        Ok(())
    }
}
