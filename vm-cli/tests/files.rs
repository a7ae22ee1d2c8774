//! Whatever a file contains, the command ends with a status and one line.

mod common;

use std::path::Path;

use common::{Run, example, palisade};

/// Anything but a panic or a signal, said in one line.
fn ends_well(run: &Run, what: &str) {
    match run.status {
        Some(0) => {}
        Some(1) => run.assert_one_line(1),
        _ => panic!("{what}: {run:?}"),
    }
    assert!(!run.stderr.contains("panicked"), "{what}: {run:?}");
}

fn write(dir: &Path, contents: &[u8]) -> String {
    let path = dir.join("module");
    std::fs::write(&path, contents).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn no_module_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let files: [&[u8]; 12] = [
        b"",
        b"\0",
        b"\0asm",
        b"\0asm\x01\0\0",
        b"\0asm\x02\0\0\0",
        b"\0asm\x0d\0\x01\0", // a component
        b"\0asm\x01\0\0\0\x01\xff\xff\xff\xff\x0f",
        b"\x7fELF\x02\x01\x01",
        b"\xff\xfe\xfd",
        b"(module",
        b"(module (func (export \"_start\") i32.add))",
        b"no module\nbut several\nlines of text",
    ];
    for contents in files {
        let file = write(dir.path(), contents);
        palisade(&["run", &file]).assert_one_line(1);
        palisade(&["explore", &file]).assert_one_line(1);
    }
    let deep = "(block ".repeat(100_000);
    let file = write(dir.path(), format!("(module (func {deep}").as_bytes());
    palisade(&["run", &file]).assert_one_line(1);
    palisade(&["run", dir.path().to_str().unwrap()]).assert_one_line(1);
    palisade(&["run", "/no/such/file"]).assert_one_line(1);
}

#[test]
fn a_syntax_error_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let file = write(
        dir.path(),
        b"(module\n  (func (export \"_start\") i32.nonsense))",
    );
    let run = palisade(&["run", &file]);
    run.assert_one_line(1);
    assert!(run.stderr.contains("line 2, column"), "{run:?}");
    assert!(run.stderr.contains(&file), "{run:?}");
}

#[test]
fn every_truncation_of_a_program() {
    let dir = tempfile::tempdir().unwrap();
    let whole = std::fs::read(example("hello.wasm")).unwrap();
    // All of the first bytes, then ever larger steps.
    let mut len = 0;
    while len < whole.len() {
        let file = write(dir.path(), &whole[..len]);
        ends_well(&palisade(&["explore", &file]), &format!("{len} bytes"));
        len += 1 + len / 16;
    }
}

#[test]
fn bytes_changed_here_and_there() {
    let dir = tempfile::tempdir().unwrap();
    let whole = std::fs::read(example("hello.wasm")).unwrap();
    // A fixed sequence, so that a failure can be repeated.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..60 {
        let mut bytes = whole.clone();
        for _ in 0..=round % 4 {
            let at = usize::try_from(random() % bytes.len() as u64).unwrap();
            bytes[at] = random().to_le_bytes()[0];
        }
        let file = write(dir.path(), &bytes);
        // Not run: what it would do then is its own affair.
        ends_well(&palisade(&["explore", &file]), &format!("round {round}"));
    }
}

#[test]
fn functions_are_shown_with_their_names() {
    let file = example("out_of_bounds.wat");
    let all = palisade(&["explore", &file]);
    assert_eq!((all.status, all.stderr.as_str()), (Some(0), ""), "{all:?}");
    for (index, name) in ["load", "middle", "outer", "_start"].iter().enumerate() {
        assert!(
            all.stdout
                .contains(&format!("; function {index}: {name}\n")),
            "{all:?}"
        );
    }
    let by_name = palisade(&["explore", &file, "--func", "middle"]);
    let by_index = palisade(&["explore", "--func", "1", &file]);
    for run in [by_name, by_index] {
        assert!(run.stdout.contains("; function 1: middle\n"), "{run:?}");
        assert_eq!(run.stdout.matches("; function ").count(), 1, "{run:?}");
    }
    palisade(&["explore", &file, "--func", "nobody"]).assert_one_line(1);
    palisade(&["explore", &file, "--func", "4"]).assert_one_line(1);
    let imported = palisade(&["explore", &example("hello.wasm"), "--func", "0"]);
    imported.assert_one_line(1);
    assert!(imported.stderr.contains("imported"), "{imported:?}");
}
