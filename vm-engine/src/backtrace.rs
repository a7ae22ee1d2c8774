//! Where a guest was when it stopped.

use std::fmt;
use std::sync::Arc;

use crate::low;

/// Frames printed before and after the cut of a long backtrace.
const PRINTED_HEAD: usize = 32;
const PRINTED_TAIL: usize = 8;

/// The calls that were active when a guest stopped, innermost first.
#[derive(Clone)]
pub struct WasmBacktrace {
    frames: Vec<FrameInfo>,
    /// Whether frames of some run are missing: too many to be recorded.
    incomplete: bool,
}

impl WasmBacktrace {
    pub(crate) fn new(frames: Vec<low::Frame>) -> WasmBacktrace {
        let mut backtrace = WasmBacktrace {
            frames: Vec::new(),
            incomplete: false,
        };
        backtrace.extend(frames);
        backtrace
    }

    /// Appends the frames of a guest that called, through the host, the one of this backtrace.
    pub(crate) fn extend(&mut self, frames: Vec<low::Frame>) {
        self.incomplete |= frames.len() >= vm_interp::MAX_FRAMES;
        self.frames.extend(frames.into_iter().map(FrameInfo::new));
    }

    /// The frames, innermost first. Frames of host functions are not among them.
    ///
    /// Of each call from the host into a guest, only the innermost 128 are recorded.
    pub fn frames(&self) -> &[FrameInfo] {
        &self.frames
    }
}

/// One line for each frame, as in `0:   0x41 - module!function`. The middle of a very deep
/// backtrace is left out.
impl fmt::Display for WasmBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.frames.len();
        let cut = if count > PRINTED_HEAD + PRINTED_TAIL + 1 {
            PRINTED_HEAD..count - PRINTED_TAIL
        } else {
            count..count
        };
        let mut first = true;
        for (i, frame) in self.frames.iter().enumerate() {
            if cut.contains(&i) {
                if i == cut.start {
                    write!(f, "\n       ... {} more frames ...", cut.len())?;
                }
                continue;
            }
            if !std::mem::take(&mut first) {
                f.write_str("\n")?;
            }
            write!(f, "{i:>5}: {frame}")?;
        }
        if self.incomplete {
            f.write_str("\n       ... frames further out were not recorded")?;
        }
        Ok(())
    }
}

impl fmt::Debug for WasmBacktrace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.frames).finish()
    }
}

/// One active call of a function of a guest.
#[derive(Clone)]
pub struct FrameInfo {
    module: Arc<low::Module>,
    func_index: u32,
    offset: u32,
}

impl FrameInfo {
    fn new(frame: low::Frame) -> FrameInfo {
        FrameInfo {
            module: frame.code.module().clone(),
            func_index: frame.func_index,
            offset: frame.offset,
        }
    }

    /// The function's index in its module, imported functions included.
    pub fn func_index(&self) -> u32 {
        self.func_index
    }

    /// The function's name, if the module's name section gives one.
    pub fn func_name(&self) -> Option<&str> {
        self.module.func_name(self.func_index)
    }

    /// The module's name, if its name section gives one.
    pub fn module_name(&self) -> Option<&str> {
        self.module.name()
    }

    /// The offset of the instruction in the module's bytes: of the one that stopped in the
    /// innermost frame, of the call in the others.
    ///
    /// Always known at present.
    pub fn module_offset(&self) -> Option<usize> {
        Some(self.offset as usize)
    }
}

impl fmt::Display for FrameInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let module = self.module_name().unwrap_or("<unknown>");
        write!(f, "{:>#7x} - {module}!", self.offset)?;
        match self.func_name() {
            Some(name) => f.write_str(name),
            None => write!(f, "<wasm function {}>", self.func_index),
        }
    }
}

impl fmt::Debug for FrameInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameInfo")
            .field("module_name", &self.module_name())
            .field("func_index", &self.func_index)
            .field("func_name", &self.func_name())
            .field("module_offset", &self.offset)
            .finish()
    }
}
