//! What a frame consists of where a run can stop: as WebAssembly has it, whatever the code is.
//!
//! The validator says it, which walks through the bodies in question once more. So it depends on no translation, and whoever
//! gets a frame from elsewhere can compare it with what the function must have there.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};

use wasmparser::types::CoreTypeId;
use wasmparser::{
    FrameKind, FuncValidator, FuncValidatorAllocations, FunctionBody, HeapType, Operator, Parser,
    Payload, RefType, UnpackedIndex, ValidPayload, Validator, ValidatorResources,
    WasmModuleResources,
};

use crate::{Error, Module, Point, PointKind, RegisteredType, ValType};

/// The types of the values of frames at some points of a module.
#[derive(Debug, Default)]
pub struct FrameTypes {
    locals: HashMap<u32, Box<[ValType]>>,
    points: HashMap<(u32, Point), AtPoint>,
}

/// What a frame has at a point besides its locals.
#[derive(Debug)]
struct AtPoint {
    operands: Box<[ValType]>,
    /// Of a call, the index of the callee's type.
    callee: Option<u32>,
}

impl FrameTypes {
    /// The types of a function's locals, parameters first, if it has one of the points.
    pub fn locals(&self, func: u32) -> Option<&[ValType]> {
        self.locals.get(&func).map(|types| &**types)
    }

    /// The types of what is on the operand stack at a point of a function. Nothing if there is no such point, or not as
    /// much on the stack as was said.
    ///
    /// Inside of the clauses of a `try` of the older instructions, what they have caught is on the stack too, below their values, as `rethrow`
    /// may need it.
    pub fn operands(&self, func: u32, point: Point) -> Option<&[ValType]> {
        Some(&self.points.get(&(func, point))?.operands)
    }

    /// The type of the function that is called at a point of a function, if it is a call.
    pub fn callee<'a>(
        &self,
        module: &'a Module,
        func: u32,
        point: Point,
    ) -> Option<&'a RegisteredType> {
        let ty = self.points.get(&(func, point))?.callee?;
        module.types().get(ty as usize)
    }
}

impl Module {
    /// The types of frames at some points, each of a function and with so many values on the operand stack. What is no point, and
    /// what has another number of values there, is left out.
    ///
    /// # Errors
    ///
    /// If one of the functions has a body that is not valid.
    pub fn frame_types(
        &self,
        wanted: impl IntoIterator<Item = (u32, Point, usize)>,
    ) -> Result<FrameTypes, Error> {
        let mut functions: BTreeMap<u32, HashMap<Point, usize>> = BTreeMap::new();
        for (func, point, height) in wanted {
            functions.entry(func).or_default().insert(point, height);
        }
        let mut found = FrameTypes::default();
        let mut validator = Validator::new_with_features(self.wasm_features());
        let mut parser = Parser::new(0);
        parser.set_features(self.wasm_features());
        let mut allocations = FuncValidatorAllocations::default();
        for payload in parser.parse_all(self.bytes()) {
            let payload = payload?;
            let code_is_over = matches!(payload, Payload::DataSection(_));
            if code_is_over {
                break;
            }
            if let ValidPayload::Func(func, body) = validator.payload(&payload)? {
                let index = func.index;
                let Some(wanted) = functions.remove(&index) else {
                    continue;
                };
                // The walk looks ahead of its validator.
                self.function_body(index)?;
                let mut walk = Walk {
                    module: self,
                    func: index,
                    validator: func.into_validator(allocations),
                    wanted,
                    indices: OnceCell::new(),
                    found: &mut found,
                };
                walk.body(&body)?;
                allocations = walk.validator.into_allocations();
                if functions.is_empty() {
                    break;
                }
            }
        }
        Ok(found)
    }
}

/// The type of what a clause of the older instructions has caught.
const CAUGHT: crate::RefType = crate::RefType::new(false, crate::HeapType::Exn);

struct Walk<'a> {
    module: &'a Module,
    func: u32,
    validator: FuncValidator<ValidatorResources>,
    wanted: HashMap<Point, usize>,
    /// What the validator calls the module's types, once that has been asked.
    indices: OnceCell<HashMap<CoreTypeId, u32>>,
    found: &'a mut FrameTypes,
}

impl Walk<'_> {
    fn body(&mut self, body: &FunctionBody<'_>) -> Result<(), Error> {
        let mut reader = body.get_binary_reader();
        self.validator.read_locals(&mut reader)?;
        let locals = (0..self.validator.len_locals())
            .map(|local| self.known(self.validator.get_local_type(local)))
            .collect::<Option<_>>();
        let Some(locals) = locals else {
            return Ok(());
        };
        self.found.locals.insert(self.func, locals);
        self.note(
            self.module.func_offset(self.func),
            PointKind::Epoch,
            0,
            None,
        );
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset()?;
            let at = offset as u32;
            self.note(at, PointKind::Fuel, 0, None);
            self.note(at, PointKind::Bulk, 0, None);
            let types = self.module.types();
            let call = match operator {
                Operator::Call { function_index } => {
                    Some((self.module.func_type_index(function_index), 0))
                }
                Operator::CallIndirect { type_index, .. } | Operator::CallRef { type_index } => {
                    Some((type_index, 1))
                }
                _ => None,
            };
            if let Some((ty, above)) = call
                && let Some(callee) = types.get(ty as usize)
            {
                let taken = callee.params().len() + above;
                self.note(at, PointKind::Call, taken, Some(ty));
            }
            self.validator.op(offset, &operator)?;
            if let Operator::Loop { .. } = operator {
                self.note(at, PointKind::Epoch, 0, None);
            }
        }
        Ok(())
    }

    fn known(&self, ty: Option<wasmparser::ValType>) -> Option<ValType> {
        let mut ty = ty?;
        if let wasmparser::ValType::Ref(reference) = ty
            && let HeapType::Concrete(UnpackedIndex::Id(id)) = reference.heap_type()
        {
            let index = UnpackedIndex::Module(self.index_of(id)?);
            let heap = HeapType::Concrete(index);
            ty = wasmparser::ValType::Ref(RefType::new(reference.is_nullable(), heap)?);
        }
        ValType::from_wasm(ty, self.module.space())
    }

    /// The index of a type that the module has defined, or of one that is the same.
    fn index_of(&self, id: CoreTypeId) -> Option<u32> {
        let indices = self.indices.get_or_init(|| {
            let all = 0..self.module.types().len() as u32;
            let with_id = all.filter_map(|index| {
                let mut heap = HeapType::Concrete(UnpackedIndex::Module(index));
                // It replaces the index by what it goes by.
                (self.validator.resources().check_heap_type(&mut heap, 0)).ok()?;
                match heap {
                    HeapType::Concrete(UnpackedIndex::Id(id)) => Some((id, index)),
                    _ => None,
                }
            });
            with_id.collect()
        });
        indices.get(&id).copied()
    }

    /// Notes what is on the operand stack without the `taken` values at its top, if somebody wants to know.
    fn note(&mut self, offset: u32, kind: PointKind, taken: usize, callee: Option<u32>) {
        let point = Point { offset, kind };
        let Some(wanted) = self.wanted.get(&point) else {
            return;
        };
        let height = self.validator.operand_stack_height() as usize;
        let caught = self.caught();
        if (height + caught.len()).checked_sub(taken) != Some(*wanted) {
            return;
        }
        let operands = (taken..height)
            .rev()
            .map(|depth| self.known(self.validator.get_operand_type(depth).flatten()))
            .collect::<Option<Vec<_>>>();
        // Where nothing can be reached, not all have a type.
        if let Some(mut operands) = operands {
            for at in caught {
                if at > operands.len() {
                    return;
                }
                operands.insert(at, ValType::Ref(CAUGHT));
            }
            let operands = operands.into();
            let at = AtPoint { operands, callee };
            self.found.points.insert((self.func, point), at);
        }
    }

    /// Above how many values of the validator's exceptions are kept that older clauses have caught, the innermost first.
    fn caught(&self) -> Vec<usize> {
        let frames = (0..).map_while(|depth| self.validator.get_control_frame(depth));
        frames
            .filter(|frame| {
                matches!(
                    frame.kind,
                    FrameKind::LegacyCatch | FrameKind::LegacyCatchAll
                )
            })
            .map(|frame| frame.height)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Features, Module, Point, PointKind, ValType};

    #[test]
    fn it_says_what_is_on_the_stack() {
        let text = r#"(module
            (func $f (param i32 f64) (result i64) (i64.const 0))
            (type $g (func (param (ref null $g))))
            (func (param v128) (local funcref (ref null $g) exnref)
                (drop (i64.add (i64.const 1) (call $f (i32.const 2) (f64.const 3))))
                (loop (br 0))
                (drop (i64.const 0))))"#;
        let module = Module::new(wat::parse_str(text).unwrap(), &Features::default()).unwrap();
        let code = module.func_offset(1);
        let body = &module.bytes()[code as usize..][..module.func_size(1) as usize];
        let find = |opcode| code + body.iter().position(|byte| *byte == opcode).unwrap() as u32;
        // `call`, `loop`, `br`, and the function itself.
        let points = [
            (find(0x10), PointKind::Call, 1),
            (find(0x10), PointKind::Fuel, 3),
            (find(0x03), PointKind::Epoch, 0),
            (code, PointKind::Epoch, 0),
            // Not so many; no loop; no call.
            (find(0x0c), PointKind::Fuel, 1),
            (find(0x0c), PointKind::Epoch, 0),
            (find(0x0c), PointKind::Call, 0),
        ];
        let points = points.map(|(offset, kind, height)| (1, Point { offset, kind }, height));
        let types = module.frame_types(points).unwrap();
        let own = *module.types()[0].params().first().unwrap();
        assert!(matches!(own, ValType::Ref(ty) if ty.nullable), "{own}");
        let locals = [ValType::V128, ValType::FUNCREF, own, ValType::EXNREF];
        assert_eq!(types.locals(1).unwrap(), locals);
        assert_eq!(types.locals(0), None);
        let operands = |n: usize| types.operands(1, points[n].1);
        assert_eq!(operands(0).unwrap(), [ValType::I64]);
        let before = [ValType::I64, ValType::I32, ValType::F64];
        assert_eq!(operands(1).unwrap(), before);
        assert_eq!(operands(2).unwrap(), []);
        assert_eq!(operands(3).unwrap(), []);
        for n in 4..points.len() {
            assert_eq!(operands(n), None, "{n}");
        }
        assert_eq!(
            types.callee(&module, 1, points[0].1),
            Some(module.func_type(0))
        );
        assert_eq!(types.callee(&module, 1, points[1].1), None);
    }

    #[test]
    fn what_older_clauses_have_caught_is_below_their_values() {
        // In the text format as it is printed, without parentheses.
        let text = r#"(module
            (func $f)
            (tag $t (param i32 i64))
            (func (result f32)
                (f32.const 1)
                try
                catch $t
                    try
                    catch_all
                        (call $f)
                    end
                    (drop)
                    (drop)
                end))"#;
        let mut features = Features::default();
        features.set("legacy-exceptions", true).unwrap();
        let module = Module::new(wat::parse_str(text).unwrap(), &features).unwrap();
        let code = module.func_offset(1);
        let body = &module.bytes()[code as usize..][..module.func_size(1) as usize];
        let offset = code + body.iter().position(|byte| *byte == 0x10).unwrap() as u32;
        let kind = PointKind::Call;
        let point = Point { offset, kind };
        let caught = ValType::Ref(super::CAUGHT);
        let expected = [ValType::F32, caught, ValType::I32, ValType::I64, caught];
        let types = module.frame_types([(1, point, expected.len())]).unwrap();
        assert_eq!(types.operands(1, point).unwrap(), expected);
        // Without them it is none of this function's frames.
        let types = module.frame_types([(1, point, 3)]).unwrap();
        assert_eq!(types.operands(1, point), None);
    }
}
