//! Baseline code as IR, for listings and tests.

use crate::ir::{Handlers, Inst, Label, Node, Root, Slot};
use crate::shape::{Found, ShapeKey, Shapes, Traps};
use crate::{Error, Function, Module, PointKind, Sites};

use super::super::TranslateOptions;
use super::super::emit::Output;
use super::BaselineTranslator;
use super::sink::{BaselineFrame, BaselineSink};

impl Module {
    /// Translates the body of a function, given by its index, to baseline code as IR: what a
    /// [`BaselineTranslator`] gives to its sink. Answers nothing if it has none.
    ///
    /// # Errors
    ///
    /// Those of [`Module::translate`].
    pub fn translate_baseline(
        &self,
        func: u32,
        options: &TranslateOptions<'_>,
    ) -> Result<Option<Function>, Error> {
        let mut listed = Listed {
            shapes: options.shapes,
            out: Output::default(),
            labels: Vec::new(),
            frame: None,
        };
        let mut translator = BaselineTranslator::default();
        if !translator.translate(
            self,
            func,
            options.unchecked,
            options.additions,
            &mut listed,
        )? {
            return Ok(None);
        }
        let Listed {
            frame, out, labels, ..
        } = listed;
        let ty = self.func_type(func);
        let mut out = out;
        // Of IR, a call's is the instruction itself.
        (out.sites).locate(|site| site.at -= u32::from(site.point.kind == PointKind::Call));
        Ok(frame.map(|frame| Function {
            index: func,
            param_slots: ty.param_slots(),
            result_slots: ty.result_slots(),
            zeroed: frame.zeroed,
            saves: frame.base,
            saved_ints: 0,
            saved_floats: 0,
            frame_slots: out.slots,
            pins: Vec::new(),
            vectors: translator.0.locals.vectors().collect(),
            insts: out.insts,
            nodes: out.nodes,
            labels,
            tables: out.tables,
            loops: out.loops,
            trap_sites: out.trap_sites,
            sites: out.sites,
            handlers: out.handlers,
            start_offset: frame.offset,
        }))
    }
}

struct Listed<'a> {
    shapes: &'a dyn Shapes,
    out: Output,
    labels: Vec<u32>,
    frame: Option<BaselineFrame>,
}

impl BaselineSink for Listed<'_> {
    type Found = (ShapeKey, Found);

    fn begin(&mut self, frame: &BaselineFrame) {
        self.frame = Some(frame.clone());
    }

    fn find(&mut self, root: &Root, nodes: &[Node]) -> Option<(ShapeKey, Found)> {
        let key = ShapeKey::new().with_inst(root, nodes)?;
        Some((key, self.shapes.find(key)?))
    }

    fn inst(&mut self, root: &Root, nodes: &[Node], found: Option<(ShapeKey, Found)>, offset: u32) {
        let (key, found) = found.unwrap_or_else(|| match ShapeKey::new().with_inst(root, nodes) {
            Some(key) => (key, Found::UNKNOWN),
            None => (ShapeKey::new(), Found::OTHERWISE),
        });
        let mut traps = Traps::of_root(root);
        if let Some(Node::Op(op, _)) = nodes.first() {
            traps = traps.with_operator(*op);
        }
        let first_node = self.out.nodes.len() as u32;
        self.out.nodes.extend_from_slice(nodes);
        self.out.insts.push(Inst {
            root: *root,
            first_node,
            node_count: nodes.len() as u32,
            key,
            found: found.alone(),
            traps,
            offset,
        });
    }

    fn plain(&mut self, root: &Root, offset: u32) {
        self.inst(root, &[], None, offset);
    }

    fn return_value(&mut self, _: &Node, _: u32) -> bool {
        false
    }

    fn table(&mut self, labels: &[Label]) -> u32 {
        let first = self.out.tables.len() as u32;
        self.out.tables.extend(labels);
        first
    }

    fn least_copy(&self) -> usize {
        self.shapes.least_copy()
    }

    fn loop_begins(&mut self, offset: u32) {
        self.out.loop_begins(offset);
    }

    fn sites(&mut self) -> Option<&mut Sites> {
        Some(&mut self.out.sites)
    }

    fn position(&self) -> u32 {
        self.out.insts.len() as u32
    }

    fn finish(&mut self, frame_slots: Slot, labels: &[u32], handlers: &Handlers) {
        self.out.handlers = handlers.clone();
        self.out.slots = frame_slots;
        self.labels.extend(labels);
    }
}
