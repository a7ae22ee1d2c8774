//! The functions of preview 1, and random calls of them.

use std::fmt;

use arbitrary::{Result, Unstructured};

/// What an argument means: one word of the call, or two.
#[derive(Clone, Copy, Debug)]
pub(super) enum Param {
    /// A descriptor.
    Fd,
    /// A descriptor that is closed, or a number for one: seldom the directory's, and none of the standard streams',
    /// whose numbers Wasmtime does not use again.
    Closable,
    /// A path: where it is, and its length.
    Path,
    /// Buffers: where their list is, and its length.
    Buffers,
    /// A buffer: where it is, and its length.
    Buffer,
    /// Where a result goes.
    Result,
    /// Any of these flags.
    Flags(u32),
    /// One of so many numbers.
    OneOf(u32),
    /// A position in a file or a length.
    Size,
    /// A distance to seek.
    Delta,
    /// Rights.
    Rights,
    /// A point in time.
    Time,
    /// Where a listing goes on.
    Cookie,
}

/// A function: its name and its parameters.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) params: &'static [Param],
    /// How often it is called in relation to others.
    weight: u32,
}

const fn function(name: &'static str, weight: u32, params: &'static [Param]) -> Function {
    Function {
        name,
        params,
        weight,
    }
}

use Param::*;

const APPEND: u32 = 1 << 0;
const NONBLOCK: u32 = 1 << 2;

/// All functions but those that answer what no two runs share (clocks, randomness), wait, or end the guest.
pub(super) const FUNCTIONS: &[Function] = &[
    function("args_sizes_get", 1, &[Result, Result]),
    function("args_get", 1, &[Result, Result]),
    function("environ_sizes_get", 1, &[Result, Result]),
    function("environ_get", 1, &[Result, Result]),
    function("clock_res_get", 1, &[OneOf(2), Result]),
    function("fd_advise", 1, &[Fd, Size, Size, OneOf(6)]),
    function("fd_close", 2, &[Closable]),
    function("fd_datasync", 1, &[Fd]),
    function("fd_fdstat_get", 3, &[Fd, Result]),
    function("fd_fdstat_set_flags", 2, &[Fd, Flags(APPEND | NONBLOCK)]),
    function("fd_fdstat_set_rights", 1, &[Fd, Rights, Rights]),
    function("fd_filestat_get", 3, &[Fd, Result]),
    function("fd_filestat_set_size", 3, &[Fd, Size]),
    function("fd_filestat_set_times", 1, &[Fd, Time, Time, Flags(0b1111)]),
    function("fd_pread", 4, &[Fd, Buffers, Size, Result]),
    function("fd_prestat_dir_name", 1, &[Fd, Buffer]),
    function("fd_prestat_get", 1, &[Fd, Result]),
    function("fd_pwrite", 4, &[Fd, Buffers, Size, Result]),
    function("fd_read", 6, &[Fd, Buffers, Result]),
    function("fd_readdir", 2, &[Fd, Buffer, Cookie, Result]),
    function("fd_renumber", 2, &[Closable, Closable]),
    function("fd_seek", 4, &[Fd, Delta, OneOf(3), Result]),
    function("fd_sync", 1, &[Fd]),
    function("fd_tell", 3, &[Fd, Result]),
    function("fd_write", 6, &[Fd, Buffers, Result]),
    function("path_create_directory", 3, &[Fd, Path]),
    function("path_filestat_get", 4, &[Fd, Flags(0b1), Path, Result]),
    function(
        "path_filestat_set_times",
        1,
        &[Fd, Flags(0b1), Path, Time, Time, Flags(0b1111)],
    ),
    function("path_link", 3, &[Fd, Flags(0b1), Path, Fd, Path]),
    function(
        "path_open",
        16,
        &[
            Fd,
            Flags(0b1),
            Path,
            Flags(0b1111),
            Rights,
            Rights,
            Flags(APPEND | NONBLOCK),
            Result,
        ],
    ),
    function("path_readlink", 2, &[Fd, Path, Buffer, Result]),
    function("path_remove_directory", 3, &[Fd, Path]),
    function("path_rename", 3, &[Fd, Path, Fd, Path]),
    function("path_symlink", 3, &[Path, Fd, Path]),
    function("path_unlink_file", 3, &[Fd, Path]),
    function("sched_yield", 1, &[]),
];

/// An argument as WebAssembly has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    I32(u32),
    I64(u64),
}

impl Param {
    /// The types of its words: whether each has 64 bits.
    pub(super) fn wide(self) -> &'static [bool] {
        match self {
            Param::Fd | Param::Closable | Param::Result | Param::Flags(_) | Param::OneOf(_) => {
                &[false]
            }
            Param::Path | Param::Buffers | Param::Buffer => &[false, false],
            Param::Size | Param::Delta | Param::Rights | Param::Time | Param::Cookie => &[true],
        }
    }
}

/// A call: the function, and its arguments.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) function: &'static Function,
    pub(super) words: Vec<Word>,
    /// The paths among the arguments.
    paths: Vec<&'static [u8]>,
    /// The list of buffers, if there is one: where each is, and its length.
    buffers: Vec<(u32, u32)>,
}

/// Where in memory inputs are, and results go.
const PATHS: usize = 0x1000;
const PATH_ROOM: usize = 0x800;
const BUFFERS: usize = 0x3000;
const DATA: u32 = 0x4000;
const RESULTS: u32 = 0x8000;
const MEMORY: u32 = 0x10000;

/// Every right that there is: Wasmtime traps at others.
const ALL_RIGHTS: u64 = (1 << 30) - 1;

const NAMES: &[&[u8]] = &[
    b"file",
    b"file",
    b"new",
    b"new",
    b"dir",
    b"dir",
    b"dir/inner",
    b"dir/new",
    b"dir/sub",
    b"empty",
    b"nothing",
    b"link",
    b"dirlink",
    b"dirlink/inner",
    b"broken",
    b"loop",
    b"up",
    b"out",
    b"absolute",
    b"up/outside",
    b"dir/back",
    b".",
    b"..",
    b"",
    b"/",
    b"/file",
    b"./file",
    b"dir/../file",
    b"dir/..",
    b"../outside",
    b"dir/../../outside",
    b"file/",
    b"new/",
    b"dir/",
    b"dir/.",
    b"dir//inner",
    b"file/below",
    b"none/below",
    b"dirlink/",
    b"link/",
    b"a\0b",
    b"\xff\xfe",
    b"\xc3\xa4",
    &[b'n'; 300],
];

impl Call {
    /// A random call.
    pub(super) fn new(u: &mut Unstructured<'_>) -> Result<Call> {
        let total: u32 = FUNCTIONS.iter().map(|function| function.weight).sum();
        let mut at = u.int_in_range(0..=total - 1)?;
        let function = FUNCTIONS.iter().find(|function| {
            let found = at < function.weight;
            at = at.saturating_sub(function.weight);
            found
        });
        let function = function.unwrap_or(&FUNCTIONS[0]);
        let mut call = Call {
            function,
            words: Vec::new(),
            paths: Vec::new(),
            buffers: Vec::new(),
        };
        for param in function.params {
            call.add(*param, u)?;
        }
        Ok(call)
    }

    fn add(&mut self, param: Param, u: &mut Unstructured<'_>) -> Result<()> {
        // The descriptor comes first.
        let writes_file = self.function.name == "fd_write"
            && matches!(self.words.first(), Some(Word::I32(fd)) if *fd > 2);
        let words = &mut self.words;
        match param {
            Param::Fd => {
                // Mostly the first directory or something that was opened.
                let fd = match u.int_in_range(0..=9)? {
                    0..=3 => 3,
                    4..=7 => u.int_in_range(4..=9)?,
                    8 => u.int_in_range(0..=2)?,
                    _ => *u.choose(&[10, 100, 1 << 31, u32::MAX])?,
                };
                words.push(Word::I32(fd));
            }
            Param::Closable => words.push(Word::I32(match u.int_in_range(0..=19)? {
                0 => 3,
                1 => *u.choose(&[10, 100, 1 << 31, u32::MAX])?,
                _ => u.int_in_range(4..=9)?,
            })),
            Param::Path => {
                let name = *u.choose(NAMES)?;
                let at = PATHS + PATH_ROOM * self.paths.len();
                self.paths.push(name);
                match u.ratio(1, 200)? {
                    true => words.extend([Word::I32(MEMORY - 2), Word::I32(name.len() as u32)]),
                    false => words.extend([Word::I32(at as u32), Word::I32(name.len() as u32)]),
                }
            }
            Param::Buffers => {
                // At most one that is not empty, and a file is never written nothing: see `differences`.
                let len = match *u.choose(&[0, 1, 3, 10, 64, 1000, 5000])? {
                    0 if writes_file => 1,
                    len => len,
                };
                let at = match u.ratio(1, 100)? {
                    true => *u.choose(&[MEMORY - 1, MEMORY, u32::MAX])?,
                    false => DATA + u.int_in_range(0..=64)?,
                };
                let before = u.int_in_range(0..=1)?;
                self.buffers = vec![(DATA, 0); before];
                self.buffers.push((at, len));
                self.buffers.extend(vec![(DATA, 0); u.int_in_range(0..=1)?]);
                let list = match u.ratio(1, 200)? {
                    true => *u.choose(&[MEMORY - 4, u32::MAX])?,
                    false => BUFFERS as u32,
                };
                words.extend([Word::I32(list), Word::I32(self.buffers.len() as u32)]);
            }
            Param::Buffer => {
                let len = *u.choose(&[0, 1, 4, 24, 30, 100, 4096, 4096])?;
                let at = match u.ratio(1, 100)? {
                    true => *u.choose(&[MEMORY - 1, MEMORY, u32::MAX])?,
                    false => RESULTS + 0x1000,
                };
                words.extend([Word::I32(at), Word::I32(len)]);
            }
            Param::Result => {
                let at = RESULTS + 0x100 * words.len() as u32;
                words.push(Word::I32(match u.int_in_range(0..=199)? {
                    0 => *u.choose(&[MEMORY - 1, MEMORY, u32::MAX])?,
                    1 => at + u.int_in_range(1..=7)?,
                    _ => at,
                }));
            }
            // Wasmtime traps at flags and numbers that there are not.
            Param::Flags(flags) => words.push(Word::I32(match u.ratio(1, 2)? {
                true => u.arbitrary::<u32>()? & flags,
                false => *u.choose(&[0, 0, 1])? & flags,
            })),
            Param::OneOf(count) => words.push(Word::I32(u.int_in_range(0..=count - 1)?)),
            Param::Size => {
                words.push(Word::I64(*u.choose(&[
                    0,
                    0,
                    1,
                    4,
                    44,
                    45,
                    100,
                    4096,
                    70_000,
                    1 << 40,
                    i64::MAX as u64,
                    u64::MAX,
                ])?));
            }
            Param::Delta => {
                words.push(Word::I64(
                    *u.choose(&[0i64, 1, -1, 10, -10, 100, i64::MAX, i64::MIN])? as u64,
                ));
            }
            Param::Rights => {
                // All, to read, to write, those of a directory, none, any.
                let rights = [
                    ALL_RIGHTS,
                    ALL_RIGHTS,
                    0x1fff_ffff,
                    1 << 1,
                    1 << 6,
                    1 << 1 | 1 << 6,
                    1 << 14,
                    0,
                ];
                words.push(Word::I64(*u.choose(&rights)?));
            }
            Param::Time => words.push(Word::I64(*u.choose(&[
                0,
                1,
                1_700_000_000_123_456_789,
                u64::MAX,
            ])?)),
            Param::Cookie => words.push(Word::I64(*u.choose(&[0, 0, 0, 1, 2, 100, u64::MAX])?)),
        }
        Ok(())
    }

    /// Puts into memory what the arguments point to.
    pub(super) fn write_inputs(&self, memory: &mut [u8]) {
        for (number, path) in self.paths.iter().enumerate() {
            let at = PATHS + PATH_ROOM * number;
            memory[at..at + path.len()].copy_from_slice(path);
        }
        for (number, (at, len)) in self.buffers.iter().enumerate() {
            let place = BUFFERS + 8 * number;
            memory[place..place + 4].copy_from_slice(&at.to_le_bytes());
            memory[place + 4..place + 8].copy_from_slice(&len.to_le_bytes());
        }
        for (number, byte) in memory[DATA as usize..RESULTS as usize]
            .iter_mut()
            .enumerate()
        {
            *byte = b'a' + (number % 23) as u8;
        }
    }

    /// The words of the parameter of this number.
    pub(super) fn words_of(&self, param: usize) -> &[Word] {
        let before: usize = self.function.params[..param]
            .iter()
            .map(|param| param.wide().len())
            .sum();
        &self.words[before..before + self.function.params[param].wide().len()]
    }

    /// The 32-bit word with which the parameter of this number begins.
    pub(super) fn int(&self, param: usize) -> u32 {
        match self.words_of(param)[0] {
            Word::I32(word) => word,
            Word::I64(word) => word as u32,
        }
    }

    /// The first path among the arguments; empty if there is none.
    pub(super) fn path(&self) -> &'static [u8] {
        self.paths.first().copied().unwrap_or(b"")
    }

    /// Whether a result goes to an odd place.
    pub(super) fn is_unaligned(&self) -> bool {
        let mut params = self.function.params.iter().enumerate();
        params.any(|(at, param)| matches!(param, Param::Result) && !self.int(at).is_multiple_of(8))
    }

    /// Whether it changes nothing but memory.
    pub(super) fn only_asks(&self) -> bool {
        self.function.name.ends_with("_get") || self.function.name == "fd_tell"
    }

    /// Where the result of the parameter of this number goes.
    pub(super) fn place(&self, param: usize) -> usize {
        self.int(param) as usize
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function.name)?;
        for (at, word) in self.words.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            match word {
                Word::I32(word) => write!(f, "{comma}{:#x}", word)?,
                Word::I64(word) => write!(f, "{comma}{:#x}", word)?,
            }
        }
        f.write_str(")")?;
        for path in &self.paths {
            write!(f, " {:?}", path.escape_ascii().to_string())?;
        }
        if !self.buffers.is_empty() {
            write!(f, " buffers {:x?}", self.buffers)?;
        }
        Ok(())
    }
}

/// A module whose exports are the functions, and `memory`.
pub(super) fn module() -> String {
    use std::fmt::Write as _;
    let mut text = "(module\n".to_owned();
    let types = |function: &Function| -> String {
        let words = function.params.iter().flat_map(|param| param.wide());
        words
            .map(|wide| if *wide { " i64" } else { " i32" })
            .collect()
    };
    for Function { name, .. } in FUNCTIONS {
        let types = types(
            FUNCTIONS
                .iter()
                .find(|function| function.name == *name)
                .unwrap_or(&FUNCTIONS[0]),
        );
        let _ = writeln!(
            text,
            r#"(import "wasi_snapshot_preview1" "{name}" (func ${name} (param{types}) (result i32)))"#
        );
    }
    text.push_str("(memory (export \"memory\") 1 1)\n");
    for function in FUNCTIONS {
        let (name, types) = (function.name, types(function));
        let count = types.split_whitespace().count();
        let gets: String = (0..count)
            .map(|local| format!(" (local.get {local})"))
            .collect();
        let _ = writeln!(
            text,
            r#"(func (export "{name}") (param{types}) (result i32) (call ${name}{gets}))"#
        );
    }
    text.push(')');
    text
}
