//! Backtraces: from frames on the value stack to functions and offsets.

use std::fmt;
use std::sync::Arc;

use crate::code::Code;
use crate::context::{Context, FRAME_CALLER, FRAME_CONTEXT, FRAME_RETURN, Word};
use crate::machine::World;
use crate::value::InstanceId;

/// The most frames that a backtrace has: the innermost ones. More say little, and a guest that
/// exhausts its stack has very many.
pub const MAX_FRAMES: usize = 128;

/// One function in a backtrace.
#[derive(Clone)]
pub struct Frame {
    /// The instance that ran it.
    pub instance: InstanceId,
    /// The instance's code, and through it the module and its names.
    pub code: Arc<Code>,
    /// The function's index in the module.
    pub func_index: u32,
    /// The offset in the module's bytes of the instruction that trapped, or called.
    pub offset: u32,
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("instance", &self.instance)
            .field("func_index", &self.func_index)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

/// The opcode of `call` in the binary format.
const OPCODE_CALL: u8 = 0x10;

impl World {
    /// The frames of the innermost run, which has just failed.
    ///
    /// # Safety
    ///
    /// The executor has set `exit_ip`, `exit_frame` and `exit_context` of the runtime, and the
    /// frames of the run are still on the value stack.
    pub(crate) unsafe fn backtrace(&self) -> Vec<Frame> {
        let mut frames = Vec::new();
        // SAFETY: the runtime lives as long as the machine.
        let runtime = unsafe { self.runtime.as_ref() };
        let mut context = runtime.exit_context;
        let mut frame = runtime.exit_frame;
        if let Some(found) = self.frame_at(context, runtime.exit_ip) {
            frames.push(found);
        }
        while !frame.is_null() && frames.len() < MAX_FRAMES {
            // SAFETY: `frame` is a frame of the run, whose header the executor has written; words of
            // the header that it did not write are still initialised, as the whole value stack is.
            let (ip, caller, saved) = unsafe {
                (
                    frame.add(FRAME_RETURN).cast::<*const u8>().read(),
                    frame.add(FRAME_CALLER).cast::<*mut Word>().read(),
                    frame.add(FRAME_CONTEXT).cast::<*mut Context>().read(),
                )
            };
            if caller.is_null() {
                break;
            }
            // The call is just before the place where the callee returns to.
            let call = ip.wrapping_sub(1);
            match self.frame_at(context, call).filter(is_direct_call) {
                Some(found) => frames.push(found),
                None => {
                    context = saved;
                    frames.extend(self.frame_at(context, call));
                }
            }
            frame = caller;
        }
        frames
    }

    /// The frame whose code is at `ip`, if it belongs to the module of this context.
    fn frame_at(&self, context: *mut Context, ip: *const u8) -> Option<Frame> {
        // `context` may be a stale word of a frame header, so it is not read: it is looked up.
        let position = self.instances.iter().position(|i| i.context() == context)?;
        let code = &self.instances[position].code;
        let (func_index, offset) = code.executor().locate(ip)?;
        Some(Frame {
            instance: InstanceId(position as u32),
            code: Arc::clone(code),
            func_index,
            offset,
        })
    }
}

/// Whether the frame is at a call that stays in its instance, and so writes no context to the
/// callee's header.
fn is_direct_call(frame: &Frame) -> bool {
    let module = frame.code.module();
    let Some((&OPCODE_CALL, operand)) = module
        .bytes()
        .get(frame.offset as usize..)
        .and_then(<[u8]>::split_first)
    else {
        return false;
    };
    leb128(operand).is_some_and(|func| func >= module.imported_funcs())
}

/// An unsigned number in the binary format. Specification: "Binary Format", "Integers".
fn leb128(bytes: &[u8]) -> Option<u32> {
    let mut value = 0;
    for (byte, shift) in bytes.iter().zip((0..32).step_by(7)) {
        value |= u32::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::leb128;

    #[test]
    fn reads_numbers_of_the_binary_format() {
        assert_eq!(leb128(&[0x00]), Some(0));
        assert_eq!(leb128(&[0x7f, 0xff]), Some(127));
        assert_eq!(leb128(&[0xe5, 0x8e, 0x26]), Some(624_485));
        assert_eq!(leb128(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Some(u32::MAX));
        assert_eq!(leb128(&[0x80, 0x80]), None);
    }
}
