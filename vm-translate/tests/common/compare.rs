//! Runs a program before and after translation, for several sets of shapes and in both tiers, and compares.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::shapes::{RICH, RandomShapes};
use super::{Outcome, Trap, eval, generate, oracle};
use vm_translate::{
    Additions, Features, FuelCosts, Function, Module, PlainShapes, Point, PointKind, Registers,
    Shapes, Site, TranslateOptions, check,
};

/// A module in the text format, and how it is translated.
pub struct Program<'a> {
    /// What to call it where it goes wrong.
    pub name: String,
    text: &'a str,
    pub module: Module,
    /// The random sets of shapes among those to translate for.
    chosen: [RandomShapes; 2],
    /// Whether accesses with small offsets need no check.
    unchecked: bool,
    pub costs: FuelCosts,
    /// Whether epochs are looked at and calls counted.
    epochs: bool,
    /// Whether it says where runs can stop.
    sites: bool,
    /// Of each function that has been translated, where.
    points: RefCell<BTreeMap<u32, BTreeSet<Point>>>,
    pub canonical_nans: bool,
}

/// How many functions a program has, and how many of them the baseline tier has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tiers {
    pub functions: usize,
    pub in_baseline: usize,
}

impl Program<'_> {
    /// The number says which random shapes to translate for, and whether with unchecked accesses.
    pub fn new(name: String, text: &str, number: u64) -> Program<'_> {
        let fails = |error: &dyn std::fmt::Display| -> ! { panic!("{name}: {error}\n{text}") };
        let bytes = wat::parse_str(text).unwrap_or_else(|error| fails(&error));
        let mut features = Features::default();
        // Where they are on, modules that do not use them are what they are else.
        features.set("legacy-exceptions", true).unwrap();
        let module = Module::new(bytes, &features).unwrap_or_else(|error| fails(&error));
        Program {
            name,
            text,
            module,
            chosen: [
                random_shapes(number),
                random_shapes(number.wrapping_add(1 << 40)),
            ],
            unchecked: number.is_multiple_of(2),
            costs: random_costs(number),
            epochs: number.is_multiple_of(5),
            sites: number.is_multiple_of(4),
            points: RefCell::default(),
            canonical_nans: number.is_multiple_of(3),
        }
    }

    fn options<'a>(&'a self, shapes: &'a dyn Shapes) -> TranslateOptions<'a> {
        TranslateOptions {
            hottest_loop: None,
            shapes,
            unchecked: (self.unchecked).then_some(&|offset, _| offset < 8),
            additions: Additions {
                fuel: Some(&self.costs),
                epochs: self.epochs,
                canonical_nans: self.canonical_nans,
                call_depth: self.epochs,
                sites: self.sites,
            },
        }
    }

    /// The sets of shapes that it is translated for.
    pub fn shapes(&self) -> [&dyn Shapes; 4] {
        [&PlainShapes, &RICH, &self.chosen[0], &self.chosen[1]]
    }

    pub fn translate(&self, shapes: &dyn Shapes) -> Vec<Function> {
        (self.module.imported_funcs()..self.module.func_count())
            .map(|func| {
                let function = self.module.translate(func, &self.options(shapes)).unwrap();
                self.check(&function, shapes);
                function
            })
            .collect()
    }

    /// Puts those functions into the baseline tier that it has, and answers what they were.
    pub fn to_baseline(
        &self,
        shapes: &dyn Shapes,
        functions: &mut [Function],
    ) -> Vec<Option<Function>> {
        let options = self.options(shapes);
        let optimized = functions.iter_mut().map(|function| {
            let translated = self.module.translate_baseline(function.index(), &options);
            let baseline = translated.unwrap()?;
            self.check(&baseline, shapes);
            Some(std::mem::replace(function, baseline))
        });
        optimized.collect()
    }

    fn check(&self, function: &Function, shapes: &dyn Shapes) {
        if let Err(broken) = check(&self.module, function, shapes) {
            let listing = function.listing(&self.module);
            panic!("{}: {broken}\n{listing}\n{}", self.name, self.text);
        }
        self.check_sites(function);
    }

    /// Checks that the points of a function are those that WebAssembly has, in every translation.
    fn check_sites(&self, function: &Function) {
        let func = function.index();
        let sites = function.sites();
        let height = |site: &Site| site.height as usize;
        let points = sites.sites().iter();
        let types = self
            .module
            .frame_types(points.map(|site| (func, site.point, height(site))))
            .unwrap();
        for site in sites.sites() {
            let values = (types.operands(func, site.point))
                .and_then(|types| sites.values(site, types))
                .map(|values| values.len());
            let is_call = site.point.kind == PointKind::Call;
            let callee = types.callee(&self.module, func, site.point);
            if values != Some(height(site)) || callee.is_some() != is_call {
                let listing = function.listing(&self.module);
                panic!(
                    "{}: {site:?} is no point\n{listing}\n{}",
                    self.name, self.text
                );
            }
        }
        let found: BTreeSet<_> = sites.sites().iter().map(|site| site.point).collect();
        assert_eq!(
            found.len(),
            sites.sites().len(),
            "{}: some are doubled",
            self.name
        );
        let mut known = self.points.borrow_mut();
        let expected = known.entry(func).or_insert_with(|| found.clone());
        assert_eq!(found, *expected, "{}, {func}: other points", self.name);
        assert!(
            self.sites || found.is_empty(),
            "{}: nobody asked",
            self.name
        );
    }

    /// Runs a function of no parameters by every translation, with more fuel than it needs and then with less. Answers
    /// what the specification says of it.
    pub fn run(&self, func: u32) -> (Outcome, Tiers) {
        let (mut expected, trapped_at) =
            oracle::run(&self.module, &self.costs, self.canonical_nans, func, &[]);
        let executed = expected.fuel;
        // What has called a function that throws has paid for the rest of its piece.
        let exact = expected.exceptions.is_empty();
        let mut fuel = None;
        let tiers = self.run_with(u64::MAX, func, |found, at| {
            // Where it traps or throws, the rest of the piece is paid for.
            let same_fuel = match found.result {
                Ok(_) if exact => found.fuel == executed,
                _ => *fuel.get_or_insert(found.fuel) == found.fuel && found.fuel >= executed,
            };
            let known = std::mem::replace(&mut expected.fuel, found.fuel);
            let same = *found == expected && at == trapped_at && same_fuel;
            expected.fuel = known;
            (!same).then(|| (expected.clone(), trapped_at))
        });
        if executed > 0 {
            let mut first = None;
            let less = generate::Random::new(executed).below(executed as usize) as u64;
            self.run_with(less, func, |found, at| {
                let (expected, trapped_at) = first.get_or_insert_with(|| (found.clone(), at));
                let same = found == expected && at == *trapped_at;
                // It needs more up to where it ends, even if that is a trap.
                let same = same && found.result == Err(Trap::OutOfFuel) && found.fuel <= less;
                (!same).then(|| (expected.clone(), *trapped_at))
            });
        }
        (expected, tiers)
    }

    /// Runs a function by every translation, with so much fuel; `check` answers what else should have come out.
    fn run_with(
        &self,
        fuel: u64,
        func: u32,
        mut check: impl FnMut(&Outcome, Option<u32>) -> Option<(Outcome, Option<u32>)>,
    ) -> Tiers {
        let mut tiers = Tiers::default();
        let sets = self.shapes().into_iter();
        for (shapes, is_baseline) in sets.flat_map(|set| [(set, false), (set, true)]) {
            let registers = shapes.registers();
            let mut functions = self.translate(shapes);
            let (found, at) = if is_baseline {
                let optimized = self.to_baseline(shapes, &mut functions);
                tiers = Tiers {
                    functions: functions.len(),
                    in_baseline: optimized.iter().flatten().count(),
                };
                eval::run_tiers(&self.module, &functions, &optimized, registers, func, fuel)
            } else {
                eval::run(&self.module, &functions, registers, func, fuel)
            };
            let Some((expected, trapped_at)) = check(&found, at) else {
                continue;
            };
            for function in &functions {
                println!("{}", function.listing(&self.module));
            }
            let (name, text, chosen) = (&self.name, self.text, &self.chosen);
            println!("{text}\nregisters {registers:?}, shapes {chosen:?}, baseline {is_baseline}");
            panic!(
                "{name}, function {func}: expected {:x?} at {trapped_at:x?}, found {:x?} at {at:x?}; fuel {} {}; globals {:x?} {:x?}; calls {:x?} {:x?}; exceptions {:x?} {:x?}; memory {:x?}",
                expected.result,
                found.result,
                expected.fuel,
                found.fuel,
                expected.globals,
                found.globals,
                expected.host_calls,
                found.host_calls,
                expected.exceptions,
                found.exceptions,
                difference(&expected, &found),
            );
        }
        tiers
    }
}

/// Those by default, or others, where structure costs something too.
fn random_costs(seed: u64) -> FuelCosts {
    let mut random = generate::Random::new(seed ^ 0xf0e1);
    let mut costs = FuelCosts::default();
    if random.chance(50) {
        let names: Vec<_> = costs.operators().map(|(name, _)| name).collect();
        for name in names {
            costs.set_operator(name, random.below(4) as u32).unwrap();
        }
    }
    costs
}

/// The first byte of memory that is different: which memory, its address, what it should be and what it is.
fn difference(expected: &Outcome, found: &Outcome) -> Option<(usize, usize, u8, u8)> {
    let memories = expected.memories.iter().zip(&found.memories).enumerate();
    memories
        .into_iter()
        .find_map(|(memory, (expected, found))| {
            let mut bytes = expected.iter().zip(found).enumerate();
            let (at, (expected, found)) = bytes.find(|(_, (expected, found))| expected != found)?;
            Some((memory, at, *expected, *found))
        })
}

fn random_shapes(seed: u64) -> RandomShapes {
    let mut random = generate::Random::new(seed ^ 0xabcd);
    // Now and then all there are, so that trees become large.
    let all = random.chance(30);
    RandomShapes {
        seed,
        share: if all { 100 } else { random.below(101) as u64 },
        operators: if all { 5 } else { random.below(5) },
        registers: Registers {
            pinned_ints: random.below(5) as u8,
            temp_ints: random.below(4) as u8,
            pinned_floats: random.below(4) as u8,
            temp_floats: random.below(3) as u8,
        },
    }
}
