//! The real programs in the tree keep the IR's promises, whatever the shapes.

mod common;

use std::path::Path;

use common::shapes::{RICH, RandomShapes};
use vm_translate::ir::{Handlers, Label, Node, Root, Slot};
use vm_translate::shape::Symbol;
use vm_translate::{
    Additions, BaselineFrame, BaselineSink, BaselineTranslator, Features, Function, Module, Op,
    PlainShapes, Registers, Shapes, TranslateAllocations, TranslateOptions, check,
};

fn programs() -> Vec<(String, Module)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut programs = Vec::new();
    for folder in ["programs", "examples"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "wasm")
            {
                let bytes = std::fs::read(&path).unwrap();
                let module = Module::new(bytes, &Features::default()).unwrap();
                programs.push((path.display().to_string(), module));
            }
        }
    }
    assert!(
        programs.len() >= 6,
        "the programs are missing: {}",
        programs.len()
    );
    programs
}

#[test]
fn every_function_keeps_the_promises() {
    let poor = RandomShapes {
        seed: 5,
        share: 30,
        operators: 3,
        registers: Registers {
            pinned_ints: 2,
            temp_ints: 2,
            pinned_floats: 0,
            temp_floats: 1,
        },
    };
    let sets: [&dyn Shapes; 3] = [&PlainShapes, &RICH, &poor];
    let some = |offset: u64, width: u32| offset + u64::from(width) < 64;
    for (path, module) in programs() {
        for shapes in sets {
            let options = TranslateOptions {
                unchecked: Some(&some),
                ..TranslateOptions::new(shapes)
            };
            for func in module.imported_funcs()..module.func_count() {
                let function = module.translate(func, &options).unwrap();
                if let Err(broken) = check(&module, &function, shapes) {
                    panic!("{path}: {broken}\n{}", function.listing(&module));
                }
            }
        }
    }
}

#[test]
fn both_tiers_have_the_same_loops() {
    let some = |offset: u64, width: u32| offset + u64::from(width) < 64;
    let (mut functions, mut in_baseline, mut loops) = (0, 0, 0);
    for (path, module) in programs() {
        let options = TranslateOptions {
            unchecked: Some(&some),
            ..TranslateOptions::new(&RICH)
        };
        for func in module.imported_funcs()..module.func_count() {
            functions += 1;
            let Some(baseline) = module.translate_baseline(func, &options).unwrap() else {
                continue;
            };
            in_baseline += 1;
            if let Err(broken) = check(&module, &baseline, &RICH) {
                panic!("{path}: {broken}\n{}", baseline.listing(&module));
            }
            let optimized = module.translate(func, &options).unwrap();
            let offsets = |function: &Function| -> Vec<u32> {
                function.loops().iter().map(|head| head.offset).collect()
            };
            assert_eq!(offsets(&baseline), offsets(&optimized), "{path}: {func}");
            loops += baseline.loops().len();
            // Locals are all that the other tier takes over.
            let locals = baseline.local_places().count();
            assert_eq!(optimized.local_places().count(), locals, "{path}: {func}");
        }
    }
    assert!(
        in_baseline * 10 > functions * 9,
        "{in_baseline} of {functions}"
    );
    assert!(loops > 500, "{loops}");
}

#[test]
fn memory_that_other_functions_have_left_changes_nothing() {
    let mut allocations = TranslateAllocations::default();
    for (path, module) in programs() {
        let options = TranslateOptions::new(&RICH);
        // Of functions that are not recycled some memory stays as well.
        for func in module.imported_funcs()..module.func_count() {
            let reused = (module.translate_with(func, &options, &mut allocations)).unwrap();
            let fresh = module.translate(func, &options).unwrap();
            assert_eq!(format!("{reused:?}"), format!("{fresh:?}"), "{path}");
            if func % 3 > 0 {
                allocations.recycle(reused);
            }
        }
    }
}

/// Writes down what it gets.
#[derive(Debug, Default, PartialEq)]
struct Recorder(Vec<String>);

impl BaselineSink for Recorder {
    type Found = Symbol;

    fn begin(&mut self, frame: &BaselineFrame) {
        self.0.push(format!("{frame:?}"));
    }

    fn find(&mut self, root: &Root, _: &[Node]) -> Option<Symbol> {
        Symbol::root(root)
    }

    fn inst(&mut self, root: &Root, nodes: &[Node], found: Option<Symbol>, offset: u32) {
        assert_eq!(found, Symbol::root(root));
        self.0.push(format!("{offset:x} {root:?} {nodes:?}"));
    }

    fn plain(&mut self, root: &Root, offset: u32) {
        self.0.push(format!("{offset:x} {root:?}"));
    }

    fn return_value(&mut self, value: &Node, offset: u32) -> bool {
        self.0.push(format!("{offset:x} return {value:?}"));
        true
    }

    fn table(&mut self, labels: &[Label]) -> u32 {
        self.0.push(format!("{labels:?}"));
        0
    }

    fn loop_begins(&mut self, offset: u32) {
        self.0.push(format!("{offset:x} loop"));
    }

    fn position(&self) -> u32 {
        self.0.len() as u32
    }

    fn finish(&mut self, frame_slots: Slot, labels: &[u32], handlers: &Handlers) {
        let here = self.position();
        assert!(labels.iter().all(|label| *label <= here), "{labels:?}");
        self.0
            .push(format!("{frame_slots} {labels:?} {handlers:?}"));
    }
}

#[test]
fn memory_that_other_functions_have_left_changes_no_baseline_code() {
    let mut reused = BaselineTranslator::default();
    let mut instructions = 0;
    for (path, module) in programs() {
        for func in module.imported_funcs()..module.func_count() {
            let record = |translator: &mut BaselineTranslator| {
                let mut recorder = Recorder::default();
                let additions = Additions::default();
                let done = translator.translate(&module, func, None, additions, &mut recorder);
                let done = done.unwrap();
                done.then_some(recorder)
            };
            let found = record(&mut reused);
            assert_eq!(
                found,
                record(&mut BaselineTranslator::default()),
                "{path}: {func}"
            );
            instructions += found.map_or(0, |recorder| recorder.0.len());
        }
    }
    assert!(instructions > 10_000, "{instructions}");
}

#[test]
fn the_predicate_alone_decides_what_is_checked() {
    let small = |offset: u64, width: u32| offset < 16 && width == 4;
    for (path, module) in programs() {
        let options = TranslateOptions {
            unchecked: Some(&small),
            ..TranslateOptions::new(&RICH)
        };
        let mut seen = [0; 2];
        for func in module.imported_funcs()..module.func_count() {
            let function = module.translate(func, &options).unwrap();
            for inst in function.insts() {
                let mut access = |unchecked: bool, offset: u64, width: u32| {
                    assert_eq!(unchecked, small(offset, width), "{path}: {inst:?}");
                    seen[usize::from(unchecked)] += 1;
                };
                if let Root::Store { op, offset } = inst.root {
                    access(op.unchecked(), offset, op.width());
                }
                for node in function.nodes(inst) {
                    if let Node::Op(op, offset) = node
                        && let vm_translate::Effect::Load { width, unchecked } = op.effect()
                    {
                        access(unchecked, *offset, width);
                    }
                }
            }
        }
        assert!(seen[0] > 0 && seen[1] > 0, "{path}: {seen:?}");
    }
}

#[test]
fn every_load_and_store_has_both_forms() {
    for op in Op::ALL {
        if let vm_translate::Effect::Load { width, unchecked } = op.effect() {
            let other = op.to_unchecked();
            let expected = vm_translate::Effect::Load {
                width,
                unchecked: true,
            };
            assert_eq!(other.effect(), expected);
            assert_eq!(other.result(), op.result());
            assert_eq!(
                other.name().strip_suffix(".unchecked").unwrap(),
                op.name().strip_suffix(".unchecked").unwrap_or(op.name())
            );
            assert_eq!(other == *op, unchecked);
        } else {
            assert_eq!(op.to_unchecked(), *op);
        }
    }
    for op in vm_translate::StoreOp::ALL {
        let other = op.to_unchecked();
        assert!(other.unchecked());
        assert_eq!((other.width(), other.value()), (op.width(), op.value()));
        assert_eq!(other == *op, op.unchecked());
    }
}
