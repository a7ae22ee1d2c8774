//! The frames of a run that has stopped, as WebAssembly has them, and runs made of such frames.
//!
//! What a [`Suspended`] holds depends on its executor, on the tiers that its functions had, and on where all of that is in
//! memory. [`GuestFrames`] says the same by functions, points and values, of which none does. Code that keeps its
//! sites ([`CodeOptions::sites`](crate::CodeOptions::sites)) knows the way from one to the other.
//!
//! # Why any frames at all are safe
//!
//! [`World::suspended`] takes frames from anyone. What code relies on where it goes on is: a value of the right type in
//! the place of every local and of every entry of the operand stack; a header that leads to such a frame of a function
//! that has called something with the same results; registers that the callers get back as they were; and room. All of it
//! is made here, and nothing of it is taken over: addresses are those of this machine's own code, looked up by point; types
//! are asked of the validator, not of the frames, and each value has to have the type of its place, a constant
//! even the same bits; references are those of functions that the machine has, by their numbers. So a run made of frames that nobody has ever
//! had is one that a guest could be in, as far as types go, which is all that validated code needs.

use std::collections::HashMap;
use std::sync::Arc;

use vm_translate::ir::{FRAME_HEADER, Place, Slot, places_of_locals};
use vm_translate::{FrameTypes, Point, RegisteredType, Site, SiteValue, ValType};

use crate::code::Code;
use crate::context::{
    Context, FRAME_CALLER, FRAME_CONTEXT, FRAME_LOOP, FRAME_RETURN, REGISTERS, Word,
};
use crate::machine::listed::{GuestException, Lister, MadeExceptions};
use crate::machine::suspend::Suspended;
use crate::machine::{EntityError, Function, World};
use crate::options::CodeError;
use crate::registers;
use crate::sites::FrameSites;
use crate::value::{FuncId, InstanceId, Val};

/// A run that has stopped: what has to be known of it, besides its instance, for it to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestFrames {
    /// The function that the host has called.
    pub called: FuncId,
    /// The functions that are running, outermost first. None if a host function has stopped in whose place nobody waits
    /// any more but the host.
    pub frames: Vec<GuestFrame>,
    /// The exceptions that values of the frames refer to. A reference to one is its number here ([`ExnId::at`](crate::ExnId::at)).
    pub exceptions: Vec<GuestException>,
}

/// A function that is running.
#[derive(Clone, Debug, PartialEq)]
pub struct GuestFrame {
    /// Its index in the module.
    pub func: u32,
    /// Where it has stopped: at a call, if it is not the innermost.
    pub point: Point,
    /// Its locals, parameters first.
    pub locals: Vec<Val>,
    /// What is on its operand stack.
    pub operands: Vec<Val>,
}

/// Why a run cannot be taken apart, or none be made of frames.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FramesError {
    /// The code does not keep where its values are.
    #[error("its code does not keep where its values are (CodeOptions::sites)")]
    NoSites,
    /// The run is one of another machine.
    #[error("the run is one of another machine")]
    OtherMachine,
    /// A function of another instance than that of the called function is running.
    #[error("a function of another instance is running")]
    OtherInstance,
    /// There is no such function or no such place in it, or its values are not of these types.
    #[error("frame {frame}: {what}")]
    Mismatch {
        /// The frame's number, counted from the outermost.
        frame: usize,
        /// What does not fit.
        what: &'static str,
    },
    /// There is no room for the frames, or for so many calls inside of each other.
    #[error("there is no room for {frames} frames on the value stack, or in the limit of calls")]
    NoRoom {
        /// How many.
        frames: usize,
    },
    /// An exception is none that the machine can have.
    #[error("an exception: {0}")]
    Exception(#[from] EntityError),
    /// A function could not be translated.
    #[error(transparent)]
    Code(#[from] CodeError),
}

/// A frame that has been found on a stack.
struct Found<'a> {
    func: u32,
    sites: &'a FrameSites,
    site: &'a Site,
    /// Where its header is, in words from the first frame's.
    at: usize,
    /// What is in the registers while it is the innermost.
    registers: [Word; REGISTERS],
}

impl World {
    /// The instance and the frames of a run that has stopped.
    ///
    /// # Errors
    ///
    /// [`FramesError::NoSites`], [`FramesError::OtherMachine`] and [`FramesError::OtherInstance`].
    pub fn frames_of(
        &self,
        suspended: &Suspended,
    ) -> Result<(InstanceId, GuestFrames), FramesError> {
        if suspended.machine != self.id {
            return Err(FramesError::OtherMachine);
        }
        let called = suspended.func;
        let object = self.functions[called.index()].object;
        // SAFETY: the machine keeps its functions' objects; a run is one of a guest's function, which has a context, and
        // that lives as long as the machine.
        let (context, instance) = unsafe {
            let context = object.as_ref().context;
            (context, InstanceId((*context).instance))
        };
        let code = &self.instances[instance.index()].code;
        if !code.options().sites {
            return Err(FramesError::NoSites);
        }
        let mut found = walk(code, context, suspended)?;
        found.reverse();
        let points = found
            .iter()
            .map(|frame| (frame.func, frame.site.point, frame.site.height as usize));
        let types = code.module().frame_types(points).map_err(CodeError::from)?;
        let mut lister = Lister::new(self);
        let frames = (found.iter().enumerate()).map(|(n, frame)| {
            let read = read(&mut lister, &types, &suspended.frames, frame);
            read.ok_or(mismatch(n, "its code does not say where its values are"))
        });
        let frames = frames.collect::<Result<_, _>>()?;
        let exceptions = lister.into_list();
        let run = GuestFrames {
            called,
            frames,
            exceptions,
        };
        Ok((instance, run))
    }

    /// A run that has stopped with these frames, of functions of an instance; the called function is one of its own too. If the innermost has
    /// stopped at a call, that was of a host function. They may come from anyone.
    ///
    /// # Errors
    ///
    /// [`FramesError`]: the code has no such places, the values are of other types, or there is no room for them.
    ///
    /// # Panics
    ///
    /// If the machine has no instance or function of this number.
    pub fn suspended(
        &mut self,
        instance: InstanceId,
        run: &GuestFrames,
    ) -> Result<Suspended, FramesError> {
        let code = Arc::clone(&self.instances[instance.index()].code);
        let context = self.instances[instance.index()].context();
        let Function { object, .. } = &self.functions[run.called.index()];
        // SAFETY: the machine keeps its functions' objects.
        if unsafe { object.as_ref().context } != context {
            return Err(FramesError::OtherInstance);
        }
        if !code.options().sites {
            return Err(FramesError::NoSites);
        }
        let frames = &run.frames;
        let no_room = FramesError::NoRoom {
            frames: frames.len(),
        };
        // SAFETY: the runtime lives as long as the machine.
        let calls_left = unsafe { (*self.runtime.as_ptr()).calls_left };
        let calls = match code.options().call_depth {
            true => frames.len() as u64,
            false => 0,
        };
        if calls > calls_left {
            return Err(no_room);
        }
        let called = self.functions[run.called.index()].ty.clone();
        let points = frames
            .iter()
            .map(|frame| (frame.func, frame.point, frame.operands.len()));
        let types = code.module().frame_types(points).map_err(CodeError::from)?;
        let exceptions = MadeExceptions::new(self, &run.exceptions)?;
        let mut maker = Maker {
            world: self,
            exceptions: &exceptions,
            code: &code,
            context,
            types,
            known: HashMap::new(),
            words: Vec::new(),
            at: 0,
            registers: [0; REGISTERS],
            caller: None,
        };
        for (n, frame) in frames.iter().enumerate() {
            // What the caller has called, or the host, returns the same.
            let results = match &maker.caller {
                Some(caller) => caller.callee.as_ref().map(|callee| callee.results()),
                None => Some(called.results()),
            };
            maker
                .check_function(frame, results)
                .map_err(|what| mismatch(n, what))?;
            if !maker.push(frame).map_err(|error| error.of(n))? {
                return Err(no_room);
            }
        }
        let Maker {
            mut words,
            at,
            registers,
            caller: innermost,
            ..
        } = maker;
        let base = self.stack_top.addr();
        let header = FRAME_HEADER as usize;
        let (ip, frame, results, host_type);
        match innermost {
            Some(Made {
                start,
                site,
                callee,
            }) => {
                ip = start.wrapping_add(site.at as usize);
                frame = base + at * size_of::<Word>();
                results = at + site.base as usize + header;
                host_type = callee;
            }
            None => {
                ip = self.executor.finish();
                (frame, results) = (0, header);
                host_type = Some(called.clone());
            }
        }
        // The results of the host function have a place, and so have the parameters and results of the called function.
        let of_host = host_type.as_ref().map_or(0, |ty| ty.slots()) as usize;
        let needed = (results + of_host).max(header + called.slots() as usize);
        words.resize(words.len().max(needed), 0);
        if words.len() > self.free_slots() {
            return Err(no_room);
        }
        let exceptions = self.exceptions.among(&words);
        Ok(Suspended {
            host_type,
            machine: self.id,
            func: run.called,
            frames: words.into(),
            base,
            frame,
            results,
            ip,
            context,
            registers,
            calls,
            _exceptions: exceptions,
        })
    }
}

/// The values of a frame, in the words of all frames.
fn read(
    lister: &mut Lister<'_>,
    types: &FrameTypes,
    words: &[Word],
    found: &Found<'_>,
) -> Option<GuestFrame> {
    let (func, point) = (found.func, found.site.point);
    let slots = words.get(found.at..)?;
    let slot = |slot: Slot| slots.get(slot as usize).copied();
    let words = |place: Place| {
        Some(match place {
            Place::Int(_) | Place::Float(_) => [found.registers[registers::number(place)?], 0],
            Place::Slot(at) => [slot(at)?, 0],
            Place::Vector(at) => [slot(at)?, slot(at + 1)?],
        })
    };
    let locals = types.locals(func)?;
    let places = places_of_locals(locals, &found.sites.pins);
    let locals = (locals.iter().zip(places))
        .map(|(ty, place)| Some(lister.read(*ty, &words(place)?)))
        .collect::<Option<_>>()?;
    let operands = types.operands(func, point)?;
    let values = found.sites.sites().values(found.site, operands)?;
    let operands = operands.iter().zip(values).map(|(ty, at)| {
        let words = match at {
            SiteValue::Slot(slot) => words(Place::in_slots(slot, ty.ty()))?,
            SiteValue::Const(bits) => [bits, 0],
        };
        Some(lister.read(*ty, &words))
    });
    Some(GuestFrame {
        func,
        point,
        locals,
        operands: operands.collect::<Option<_>>()?,
    })
}

fn mismatch(frame: usize, what: &'static str) -> FramesError {
    FramesError::Mismatch { frame, what }
}

/// The frames of a run that has stopped, innermost first, if all are of the instance with this context.
fn walk<'a>(
    code: &'a Code,
    context: *mut Context,
    suspended: &Suspended,
) -> Result<Vec<Found<'a>>, FramesError> {
    let words = &suspended.frames;
    let index = |address: usize| address.wrapping_sub(suspended.base) / size_of::<Word>();
    let word = |at: usize| words.get(at).copied().unwrap_or(0);
    let is_own = |word: Word| word as usize == context.addr();
    let mut found = Vec::new();
    let mut registers = suspended.registers;
    let (mut frame, mut ip) = (suspended.frame, suspended.ip);
    let is_in_host = suspended.host_type.is_some();
    if !is_in_host && suspended.context != context {
        return Err(FramesError::OtherInstance);
    }
    let mut is_innermost = true;
    while frame != 0 {
        // Code of another instance, or what takes its context back behind a tail call to it.
        let other = FramesError::OtherInstance;
        let Some((func, sites, position)) = code.executor().sites_at(ip) else {
            return Err(other);
        };
        let at = index(frame);
        let site = match is_innermost && !is_in_host {
            true => sites.stop_at(position),
            false => sites.call_going_on_at(position),
        };
        let Some(site) = site else {
            return Err(mismatch(
                found.len(),
                "it has stopped at no place that its code knows",
            ));
        };
        // Two instances of a module have the same code.
        if site.restores && site.back == position {
            if !is_own(word(at + site.base as usize + FRAME_CONTEXT)) {
                return Err(other);
            }
        } else if is_innermost && suspended.context != context {
            return Err(other);
        }
        found.push(Found {
            func,
            sites,
            site,
            at,
            registers,
        });
        // What its caller has had in the registers.
        for (register, slot) in sites.saved.slots() {
            registers[register] = word(at + slot as usize);
        }
        ip = std::ptr::with_exposed_provenance(word(at + FRAME_RETURN) as usize);
        frame = word(at + FRAME_CALLER) as usize;
        is_innermost = false;
    }
    Ok(found)
}

/// Makes frames, outermost first.
struct Maker<'a> {
    world: &'a World,
    exceptions: &'a MadeExceptions,
    code: &'a Code,
    context: *mut Context,
    types: FrameTypes,
    /// Of each function that has a frame, its code, and its sites.
    known: HashMap<u32, Known<'a>>,
    words: Vec<Word>,
    /// Where the last frame's header is.
    at: usize,
    registers: [Word; REGISTERS],
    /// The last frame.
    caller: Option<Made>,
}

/// The code of a function.
struct Known<'a> {
    start: *const u8,
    sites: &'a FrameSites,
    points: HashMap<Point, &'a Site>,
    /// Of its locals.
    places: Vec<Place>,
}

/// A frame that has been made.
struct Made {
    /// Where its code starts.
    start: *const u8,
    site: Site,
    /// If it has stopped at a call, the type of the callee.
    callee: Option<RegisteredType>,
}

/// Why a frame cannot be made.
enum Unmade {
    What(&'static str),
    Error(FramesError),
}

impl Unmade {
    fn of(self, frame: usize) -> FramesError {
        match self {
            Unmade::What(what) => mismatch(frame, what),
            Unmade::Error(error) => error,
        }
    }
}

impl From<&'static str> for Unmade {
    fn from(what: &'static str) -> Unmade {
        Unmade::What(what)
    }
}

impl Maker<'_> {
    /// Checks that a frame's function has code of its own, and results of these types.
    fn check_function(
        &self,
        frame: &GuestFrame,
        results: Option<&[ValType]>,
    ) -> Result<(), &'static str> {
        let module = self.code.module();
        if frame.func < module.imported_funcs() || frame.func >= module.func_count() {
            return Err("its function is none that the module defines");
        }
        let results = results.ok_or("the function that has called it is at no call")?;
        let own = module.func_type(frame.func).results();
        let fits = |(own, wanted): (&ValType, &ValType)| own.matches(*wanted);
        if own.len() != results.len() || !own.iter().zip(results).all(fits) {
            return Err("its function does not return what its caller waits for");
        }
        Ok(())
    }

    fn known(&mut self, func: u32) -> Result<&Known<'_>, Unmade> {
        if !self.known.contains_key(&func) {
            let executor = self.code.executor();
            let code = executor
                .sites_of(func)
                .map_err(|error| Unmade::Error(error.into()))?;
            let (start, sites) = code.ok_or(Unmade::Error(FramesError::NoSites))?;
            let locals = self.types.locals(func).unwrap_or_default();
            let known = Known {
                start,
                sites,
                points: sites.by_point(),
                places: places_of_locals(locals, &sites.pins),
            };
            self.known.insert(func, known);
        }
        Ok(&self.known[&func])
    }

    /// Makes the next frame. Answers no if there is no room for it. Its function has been checked.
    fn push(&mut self, frame: &GuestFrame) -> Result<bool, Unmade> {
        let GuestFrame { func, point, .. } = *frame;
        self.known(func)?;
        let Maker {
            world,
            exceptions,
            code,
            types,
            known,
            words,
            ..
        } = self;
        let known = &known[&func];
        let sites = known.sites;
        let locals = types.locals(func).ok_or("its function has unknown types")?;
        let operands = (types.operands(func, point)).ok_or("there is no such place")?;
        let site = **known.points.get(&point).ok_or("it cannot stop there")?;
        let values = sites.sites().values(&site, operands);
        let values = values.ok_or("it has not as many values there")?;
        if frame.locals.len() != locals.len() {
            return Err("it has not as many locals".into());
        }

        let at = match &self.caller {
            Some(caller) => self.at + caller.site.base as usize,
            None => 0,
        };
        let end = at + sites.frame_slots as usize;
        if end > world.free_slots() {
            return Ok(false);
        }
        words.resize(words.len().max(end), 0);
        // A caller's operands end where this starts, and what is above has not been written.
        let slots = &mut words[at..end];
        let (back, caller) = match &self.caller {
            Some(Made { start, site, .. }) => (
                start.wrapping_add(site.back as usize),
                world.stack_top.addr() + self.at * size_of::<Word>(),
            ),
            None => (world.executor.finish(), 0),
        };
        slots[FRAME_RETURN] = back.expose_provenance() as Word;
        slots[FRAME_CALLER] = caller as Word;
        slots[FRAME_CONTEXT] = self.context.expose_provenance() as Word;
        if let Some(head) = site.head {
            let head = known.start.wrapping_add(head as usize);
            slots[FRAME_LOOP] = head.expose_provenance() as Word;
        }

        // As its entry would do it: callers get back what they have in registers.
        for (register, slot) in sites.saved.slots() {
            slots[slot as usize] = self.registers[register];
        }

        let wrong = |_: EntityError| Unmade::What("a value is not of the type that it has there");
        for ((ty, value), place) in locals.iter().zip(&frame.locals).zip(&known.places) {
            let [low, high] = exceptions.words(world, *ty, value).map_err(wrong)?;
            match (*place, registers::number(*place)) {
                (_, Some(register)) => self.registers[register] = low,
                (Place::Slot(slot) | Place::Vector(slot), None) => {
                    slots[slot as usize] = low;
                    if ty.slots() > 1 {
                        slots[slot as usize + 1] = high;
                    }
                }
                _ => return Err("a local is nowhere".into()),
            }
        }
        for ((ty, value), place) in operands.iter().zip(&frame.operands).zip(values) {
            let [low, high] = exceptions.words(world, *ty, value).map_err(wrong)?;
            match place {
                SiteValue::Slot(slot) => {
                    slots[slot as usize] = low;
                    if ty.slots() > 1 {
                        slots[slot as usize + 1] = high;
                    }
                }
                SiteValue::Const(bits) if (low, high) == (bits, 0) => {}
                SiteValue::Const(_) => {
                    return Err("a value is not the constant that it has to be there".into());
                }
            }
        }
        let callee = types.callee(code.module(), func, point).cloned();
        self.at = at;
        self.caller = Some(Made {
            start: known.start,
            site,
            callee,
        });
        Ok(true)
    }
}
