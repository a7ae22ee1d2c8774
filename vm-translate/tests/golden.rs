//! The shape of the IR, pinned: each `golden/*.wat` and, next to it, the expected listing.
//!
//! `BLESS=1 cargo test -p vm-translate --test golden` rewrites the listings.

mod common;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use common::shapes::RICH;
use vm_translate::{
    Additions, Features, FuelCosts, Module, PlainShapes, Shapes, TranslateOptions, check,
};

fn listing(module: &Module, additions: Additions<'_>) -> String {
    let always = |_: u64, _: u32| true;
    let sets: [(&str, &dyn Shapes, _); 2] = [
        ("plain shapes, checked", &PlainShapes, None),
        (
            "two operators a shape, registers, unchecked",
            &RICH,
            Some(&always as &dyn Fn(u64, u32) -> bool),
        ),
    ];
    let mut text = String::from(";; baseline\n\n");
    let (shapes, unchecked) = (&RICH, Some(&always as &dyn Fn(u64, u32) -> bool));
    let options = TranslateOptions {
        hottest_loop: None,
        shapes,
        unchecked,
        additions,
    };
    for func in module.imported_funcs()..module.func_count() {
        match module.translate_baseline(func, &options).unwrap() {
            Some(function) => {
                check(module, &function, &RICH).unwrap();
                writeln!(text, "{}", function.listing(module)).unwrap();
            }
            None => writeln!(text, "func {func}: none\n").unwrap(),
        }
    }
    for (name, shapes, unchecked) in sets {
        writeln!(text, ";; {name}\n").unwrap();
        let options = TranslateOptions {
            hottest_loop: None,
            shapes,
            unchecked,
            additions,
        };
        for func in module.imported_funcs()..module.func_count() {
            let function = module.translate(func, &options).unwrap();
            check(module, &function, shapes).unwrap();
            writeln!(text, "{}", function.listing(module)).unwrap();
        }
    }
    text
}

#[test]
fn listings_are_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut inputs: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wat"))
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 8, "the golden files are missing");
    let mut wrong = Vec::new();
    for input in inputs {
        let bytes = wat::parse_file(&input).unwrap();
        let module = Module::new(bytes, &Features::default()).unwrap();
        let costs = FuelCosts::default();
        let stem = input.file_stem().and_then(|stem| stem.to_str());
        let additions = match stem {
            Some("additions") => Additions {
                fuel: Some(&costs),
                epochs: true,
                canonical_nans: true,
                call_depth: true,
                ..Additions::default()
            },
            Some("sites") => Additions {
                fuel: Some(&costs),
                epochs: true,
                sites: true,
                ..Additions::default()
            },
            _ => Additions::default(),
        };
        let found = listing(&module, additions);
        let output = input.with_extension("ir");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&output, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&output)
            .unwrap_or_default()
            .replace("\r\n", "\n");
        if expected != found {
            println!("{}:\n{found}", output.display());
            wrong.push(output);
        }
    }
    assert!(
        wrong.is_empty(),
        "not as expected (BLESS=1 accepts them): {wrong:?}"
    );
}
