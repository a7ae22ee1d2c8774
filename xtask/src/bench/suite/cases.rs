//! What the suite runs: which files, with which inputs. As its `benches/criterion` has it.

/// A number, as the suite's cases take and give them. Floats are their bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    I32(i32),
    I64(i64),
    F32(u32),
    F64(u64),
}

/// A case whose execution is measured.
pub(super) struct Execution {
    pub(super) name: &'static str,
    pub(super) work: Work,
}

pub(super) enum Work {
    /// Text in `res/wat`; `run` is called with this number.
    Text(Value),
    /// A Rust program in `res/rust/cases`, or a bare module in `res/wasm`.
    Program {
        /// The argument of `setup`, which answers what the other functions are given.
        setup: Setup,
        /// Functions to ask afterwards, and what they answer.
        answers: &'static [(&'static str, Value)],
    },
    /// `res/wasm/coremark.wasm`, whose `run` measures itself and answers its score.
    CoreMark,
}

#[derive(Clone, Copy)]
pub(super) enum Setup {
    Nothing,
    Size(Value),
    /// The size of this file below `res/rust/res`, which is then written to where `input_ptr` says.
    Input(&'static str),
}

const fn text(name: &'static str, value: Value) -> Execution {
    Execution {
        name,
        work: Work::Text(value),
    }
}

const fn program(
    name: &'static str,
    setup: Setup,
    answers: &'static [(&'static str, Value)],
) -> Execution {
    Execution {
        name,
        work: Work::Program { setup, answers },
    }
}

const fn size(size: i32) -> Setup {
    Setup::Size(Value::I32(size))
}

/// The suite's text.
const TEXT: Setup = Setup::Input("alice29.txt");

pub(super) const EXECUTION: &[Execution] = &[
    text("counter-local", Value::I32(1_000_000)),
    text("counter-param", Value::I32(1_000_000)),
    text("counter-global", Value::I32(500_000)),
    text("fibonacci-rec", Value::I64(30)),
    text("fibonacci-iter", Value::I64(2_000_000)),
    text("fibonacci-tail", Value::I64(1_000_000)),
    text("primes", Value::I64(1_000)),
    text("bulk-ops", Value::I64(5_000)),
    program("sort", size(1_000_000), &[]),
    program("sort-dyn", size(1_000_000), &[]),
    program(
        "prime-sieve",
        Setup::Size(Value::I64(10_000_000)),
        &[
            ("len_primes", Value::I64(664_579)),
            ("largest_prime", Value::I64(9_999_991)),
        ],
    ),
    program("matrix-mul", size(400), &[]),
    program("nbody", size(400), &[]),
    program(
        "argon2",
        size(10_000),
        &[("output", Value::I64(0x04CD_BBC7_DE0E_AA94))],
    ),
    program("tiny-keccak", Setup::Nothing, &[]),
    program(
        "mandelbrot",
        size(150),
        &[("output", Value::I64(5_595_328))],
    ),
    program(
        "spectralnorm",
        size(500),
        // 1.2742241159529095
        &[("output", Value::F64(0x3FF4_6338_D39C_AD17))],
    ),
    program(
        "compression",
        TEXT,
        &[("len_compressed", Value::I64(97_649))],
    ),
    program("word-count", TEXT, &[]),
    program("json-parse", Setup::Input("citm_catalog.json"), &[]),
    Execution {
        name: "coremark",
        work: Work::CoreMark,
    },
];

/// Modules whose instantiation is measured, in `res/wasm`.
pub(super) const START_UP: &[&str] = &[
    "bz2",
    "pulldown-cmark",
    "spidermonkey",
    "ffmpeg",
    "coremark",
    "argon2",
    "erc20",
];
