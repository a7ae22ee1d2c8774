//! From where an exception is thrown to where it is caught.
//!
//! A run that throws ends as one that fails: what was in the registers is in the runtime, and all frames are on the
//! stack. From the innermost on, the clauses around each call are looked at, in the tables of the code that a frame returns to. What
//! a frame has saved of its caller's registers is restored as it is left. Where a clause matches, the run goes on: the executor is told where, as for a
//! run that has been suspended. Nothing has changed if none does.

use vm_translate::ir::Place;

use crate::context::{FRAME_CALLER, FRAME_RETURN, REGISTERS, STATUS_HOST, Word};
use crate::executor::Back;
use crate::handlers::{Clause, FrameCode};
use crate::machine::exceptions::Exception;
use crate::machine::{Pending, World};
use crate::registers;

impl World {
    /// Whether a run that has just ended with this status goes on where the runtime says now, because it has thrown an exception and
    /// catches it.
    ///
    /// # Safety
    ///
    /// The executor has set the runtime's exit fields, and the frames of the run are still on the value stack.
    pub(super) unsafe fn catches(&mut self, status: u32) -> bool {
        if status != STATUS_HOST {
            return false;
        }
        match &self.pending {
            Some(Pending::Error(error)) if (self.questions.throws)(error) => {}
            _ => return false,
        }
        let Some(exception) = self.thrown().take() else {
            return false;
        };
        // SAFETY: the runtime lives as long as the world. Nobody resumes the host function that has thrown, if one has.
        unsafe { (*self.runtime.as_ptr()).host_code = std::ptr::null() };
        // SAFETY: the caller's promise.
        let catches = unsafe { self.unwind(&exception) };
        match catches {
            true => self.pending = None,
            false => *self.thrown() = Some(exception),
        }
        catches
    }

    /// Of a run that would go on behind a call, says in the runtime that it has stopped at the call instead, in the context of the
    /// frame.
    ///
    /// # Safety
    ///
    /// The runtime's exit fields are those of such a run, and its frames are on the value stack.
    pub(super) unsafe fn at_call_before(&mut self) {
        // SAFETY: the runtime lives as long as the world.
        let runtime = unsafe { &mut *self.runtime.as_ptr() };
        let (ip, frame) = (runtime.exit_ip, runtime.exit_frame);
        if !frame.is_null() {
            // SAFETY: the caller's promise.
            match unsafe { self.executor.goes_back(ip, frame, runtime.exit_context) } {
                Back::End => {}
                Back::Frame(context) | Back::Adapter(context) => runtime.exit_context = context,
            }
        }
        runtime.exit_ip = ip.wrapping_sub(1);
    }

    /// Finds where an exception is caught, and says in the runtime that the run is to go on there.
    ///
    /// # Safety
    ///
    /// As for [`World::catches`].
    unsafe fn unwind(&mut self, exception: &Exception) -> bool {
        let runtime = self.runtime.as_ptr();
        // SAFETY: the runtime lives as long as the world.
        let (mut ip, mut frame, mut context, mut registers) = unsafe {
            let runtime = &*runtime;
            let context = runtime.exit_context;
            (
                runtime.exit_ip,
                runtime.exit_frame,
                context,
                runtime.registers,
            )
        };
        let mut calls = 0;
        while !frame.is_null() {
            // SAFETY: the context is that of the frame, and contexts live as long as the world.
            let number = unsafe { (*context).instance } as usize;
            let instance = &self.instances[number];
            let code = std::sync::Arc::clone(&instance.code);
            if let Some(found) = code.executor().frame_code(ip) {
                let tags = &instance.tags;
                let matches = |clause: &&Clause| {
                    (clause.tag).is_none_or(|tag| tags[tag as usize] == exception.tag())
                };
                if let Some(clause) = found.clauses().find(matches) {
                    // SAFETY: the frame is one of this code, and the clause is one of its.
                    unsafe {
                        self.enter_clause(exception, &found, clause, frame, &mut registers);
                        let runtime = &mut *runtime;
                        runtime.exit_ip = found.target(clause);
                        runtime.exit_frame = frame;
                        runtime.exit_context = context;
                        runtime.registers = registers;
                        // They have been left in another way.
                        runtime.calls_left += calls;
                    }
                    return true;
                }
                // SAFETY: as above.
                unsafe { restore_registers(&found, frame, &mut registers) };
                calls += u64::from(code.options().call_depth);
            }
            loop {
                // SAFETY: frames of the run have headers, which say where they return to and to whose frame.
                let (back, caller) = unsafe {
                    (
                        frame.add(FRAME_RETURN).cast::<*const u8>().read(),
                        frame.add(FRAME_CALLER).cast::<*mut Word>().read(),
                    )
                };
                // SAFETY: as above.
                match unsafe { self.executor.goes_back(back, caller, context) } {
                    Back::End => return false,
                    Back::Frame(context_there) => {
                        // The call is just before the place where its callee returns to.
                        (ip, frame, context) = (back.wrapping_sub(1), caller, context_there);
                        break;
                    }
                    Back::Adapter(context_there) => (frame, context) = (caller, context_there),
                }
            }
        }
        false
    }

    /// Puts an exception's values where a clause wants them.
    ///
    /// # Safety
    ///
    /// The frame is the innermost one from now on, its code is this, and the clause one of its.
    unsafe fn enter_clause(
        &mut self,
        exception: &Exception,
        found: &FrameCode<'_>,
        clause: &Clause,
        frame: *mut Word,
        registers: &mut [Word; REGISTERS],
    ) {
        // SAFETY: the frame has so many slots.
        let top = unsafe { frame.add(found.slots as usize) };
        let mut put = |place: Place, words: &[Word]| match place {
            Place::Slot(slot) | Place::Vector(slot) => {
                // SAFETY: the translator has made room for the values in the frame, and the checker has seen it.
                unsafe {
                    let to = frame.add(slot as usize);
                    to.copy_from_nonoverlapping(words.as_ptr(), words.len());
                }
            }
            Place::Int(_) | Place::Float(_) => {
                if let Some(register) = registers::number(place) {
                    registers[register] = words[0];
                }
            }
        };
        if let Some(place) = clause.values {
            put(place, exception.words());
        }
        if let Some(place) = clause.exception {
            self.look_for_exceptions(top);
            let word = self.refer_to(exception);
            put(place, &[word]);
        }
    }
}

/// Brings back what was in registers when the frame's function was called.
///
/// # Safety
///
/// The frame is one of this code, and in the middle of its body.
unsafe fn restore_registers(
    found: &FrameCode<'_>,
    frame: *mut Word,
    registers: &mut [Word; REGISTERS],
) {
    for (register, slot) in found.saved.slots() {
        // SAFETY: the caller's promise: the function has saved so many registers as it was entered.
        registers[register] = unsafe { frame.add(slot as usize).read() };
    }
}
