//! Calls, blocks and branches.

use super::{Definition, Func, Generator, Label, Type, few_or_many, list};

/// How a function is called.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum By {
    Number,
    Table,
    Reference,
}

impl Generator {
    pub(super) fn way_to_call(&mut self) -> By {
        self.random
            .of(&[By::Number, By::Number, By::Table, By::Table, By::Reference])
    }

    /// The type of a function, or one above it.
    pub(super) fn type_of(&mut self, func: usize) -> usize {
        match self.funcs[func].definition {
            Definition::Below(above) if self.random.chance(50) => self.type_of(above),
            _ => func,
        }
    }

    pub(super) fn call(&mut self, func: usize, by: By) {
        let Func {
            params, results, ..
        } = self.funcs[func].clone();
        self.operands(&params);
        let ty = self.type_of(func);
        let guard = (self.guards()).then(|| self.guard(&params, &results));
        if by == By::Reference {
            self.push_reference(func, ty);
            self.line(&format!("call_ref {ty}"));
        } else if by == By::Table {
            // Mostly the right one: never an earlier one, which would make it recursive.
            if self.random.chance(3) {
                let index = self.funcs.len() + self.random.below(2);
                self.line(&format!("i32.const {index}"));
            } else {
                self.line(&format!("i32.const {func}"));
            }
            if self.random.chance(50) {
                self.value("i32", 1);
                self.stack.pop();
                self.line("i32.const 0 i32.and i32.add");
            }
            if self.baseline || self.random.chance(60) {
                self.line(&format!("call_indirect (type {ty})"));
            } else {
                // The table's index has 64 bits. Of too large a one no part counts.
                let extend = match self.random.below(30) {
                    0 => "i64.extend_i32_u i64.const 0x100000000 i64.or",
                    _ => "i64.extend_i32_u",
                };
                self.line(&format!("{extend} call_indirect 1 (type {ty})"));
            }
        } else {
            self.line(&format!("call {func}"));
        }
        if let Some(has_reference) = guard {
            self.end_of_guard(&results, has_reference);
        }
        self.pop(params.len());
        self.stack.extend(results);
    }

    pub(super) fn runtime(&mut self) {
        let choices = if self.baseline { 4 } else { 7 };
        let memories = if self.baseline { 1 } else { 2 };
        match self.random.below(choices) {
            0 => {
                let memory = self.random.below(memories);
                self.push("i32", &format!("memory.size {memory}"));
            }
            1 => {
                let memory = self.random.below(memories);
                self.value("i32", 1);
                self.line(&format!("i32.const 1 i32.and memory.grow {memory}"));
            }
            4 => {
                self.value("i64", 1);
                self.line("i64.const 1 i64.and memory.grow 2");
            }
            5 => {
                // From a memory of one kind of addresses to one of the other.
                for (ty, mask) in [("i64", 0xfff), ("i32", 0xfff), ("i32", 0xff)] {
                    self.value(ty, 2);
                    self.line(&format!("{ty}.const {mask} {ty}.and"));
                }
                self.pop(3);
                self.line("memory.copy 2 0");
            }
            2 => {
                for mask in [0xfff, 0xff, 0xff] {
                    self.value("i32", 2);
                    self.line(&format!("i32.const {mask} i32.and"));
                }
                self.pop(3);
                let memory = self.random.below(memories);
                self.line(&format!("memory.fill {memory}"));
            }
            3 => {
                for mask in [0xfff, 0xfff, 0xff] {
                    self.value("i32", 2);
                    self.line(&format!("i32.const {mask} i32.and"));
                }
                self.pop(3);
                let memories = match self.baseline {
                    true => "0 0",
                    false => self.random.of(&["0 0", "0 0", "0 1", "1 0"]),
                };
                self.line(&format!("memory.copy {memories}"));
            }
            _ => self.push("i32", "ref.func 2 ref.is_null"),
        }
    }

    /// A block, loop or if with some of the operands at hand as parameters.
    pub(super) fn nested(&mut self) {
        // Sometimes what another function takes.
        let callees = self.at + 1..self.funcs.len();
        let callee = (!callees.is_empty() && self.random.chance(25))
            .then(|| callees.start + self.random.below(callees.len()));
        if let Some(func) = callee {
            let params = self.funcs[func].params.clone();
            self.nested_to(&params);
            let by = self.way_to_call();
            return self.call(func, by);
        }
        let count = few_or_many(&mut self.random, 4);
        let results: Vec<Type> = (0..count).map(|_| self.any_type()).collect();
        self.nested_to(&results);
        match self.random.below(4) {
            // A result that goes straight to a local.
            0 if count > 0 => self.set_local("local.set"),
            1 | 2 => self.tee(),
            _ => {}
        }
    }

    pub(super) fn nested_to(&mut self, results: &[Type]) {
        let kind = match self.throws() && self.random.chance(15) {
            true => self.kind_of_try(),
            false => self.random.of(&["block", "loop", "if"]),
        };
        self.nested_as(kind, results);
    }

    pub(super) fn nested_as(&mut self, kind: Type, results: &[Type]) {
        if self.labels.len() > 6 {
            for ty in results {
                self.value(ty, 1);
            }
            return;
        }
        let mut count = few_or_many(&mut self.random, 4).min(self.stack.len());
        if self.baseline && kind == "loop" {
            // Loops begin with nothing on the stack.
            count = 0;
            while !self.stack.is_empty() {
                self.consume();
            }
            if self.below > 0 {
                return results.iter().for_each(|ty| self.value(ty, 1));
            }
        }
        let params = self.stack.split_off(self.stack.len() - count);
        let results = results.to_vec();
        if kind == "if" {
            self.value("i32", 3);
            self.stack.pop();
        }
        let ty = list("param", &params) + &list("result", &results);
        let (clauses, caught) = match kind {
            "try_table" => self.clauses(),
            _ => (String::new(), Vec::new()),
        };
        self.line(&format!("{kind}{ty}{clauses}"));
        let is_loop = kind == "loop";
        let operands = if is_loop { &params } else { &results };
        self.labels.push(Label {
            operands: operands.clone(),
            is_loop,
            has_caught: false,
        });
        let outer = std::mem::replace(&mut self.stack, params.clone());
        self.below += outer.len();
        let mut ends = "end".to_owned();
        match kind {
            "try_table" => self.try_body(&caught, &results),
            "try" => ends = self.try_and_clauses(&results),
            _ => {
                self.block_body(&results);
            }
        }
        if kind == "if" && (params != results || self.random.chance(70)) {
            self.line("else");
            self.stack = params;
            self.block_body(&results);
        }
        self.below -= outer.len();
        self.stack = outer;
        self.labels.pop();
        self.line(&ends);
        self.stack.extend(results);
    }

    /// A branch's target; first what bounds loops.
    pub(super) fn target(&mut self) -> (usize, Vec<Type>) {
        let depth = self.random.below(self.labels.len());
        let label = &self.labels[self.labels.len() - 1 - depth];
        let operands = label.operands.clone();
        if label.is_loop {
            self.burn();
        }
        (depth, operands)
    }

    pub(super) fn burn(&mut self) {
        let fuel = self.fuel;
        self.line(&format!("local.get {fuel} i32.eqz"));
        self.return_if();
        self.line(&format!(
            "local.get {fuel} i32.const 1 i32.sub local.set {fuel}"
        ));
    }

    pub(super) fn br_if(&mut self) {
        let (depth, operands) = self.target();
        self.operands(&operands);
        if self.random.chance(50) {
            self.value("i32", 3);
        } else {
            let ty = self.random.of(&["i32", "i64", "f32", "f64"]);
            self.value(ty, 2);
            self.value(ty, 2);
            self.pop(2);
            self.push(
                "i32",
                &format!("{ty}.{}", if ty < "i" { "lt" } else { "lt_u" }),
            );
        }
        self.stack.pop();
        self.line(&format!("br_if {depth}"));
        if self.random.chance(30) {
            self.tee();
        }
    }

    /// A call in the place of the function, if one with its results comes later.
    pub(super) fn tail_call(&mut self) -> bool {
        if self.baseline {
            return false;
        }
        let results = &self.funcs[self.at].results;
        let same = |func: &usize| self.funcs[*func].results == *results;
        let mut callees: Vec<usize> = (self.at + 1..self.funcs.len()).filter(same).collect();
        callees.extend((0..2).filter(same));
        if callees.is_empty() {
            return false;
        }
        let func = self.random.of(&callees);
        let params = self.funcs[func].params.clone();
        self.operands(&params);
        let ty = self.type_of(func);
        match self.way_to_call() {
            By::Table => self.line(&format!(
                "i32.const {func} return_call_indirect (type {ty})"
            )),
            By::Reference => {
                self.push_reference(func, ty);
                self.line(&format!("return_call_ref {ty}"));
            }
            By::Number => self.line(&format!("return_call {func}")),
        }
        true
    }

    pub(super) fn leave(&mut self) -> bool {
        if self.may_throw() && self.random.chance(25) {
            return self.throw();
        }
        match self.random.below(7) {
            5 | 6 if self.tail_call() => {}
            0 => {
                let results = self.funcs[self.at].results.clone();
                self.operands(&results);
                self.line("return");
            }
            1 if self.random.chance(20) => self.line("unreachable"),
            _ => {
                let (depth, operands) = self.target();
                self.operands(&operands);
                self.line(&format!("br {depth}"));
            }
        }
        false
    }

    pub(super) fn br_table(&mut self) -> bool {
        let (depth, operands) = self.target();
        let same: Vec<usize> = (0..self.labels.len())
            .filter(|depth| self.labels[self.labels.len() - 1 - depth].operands == operands)
            .collect();
        if same
            .iter()
            .any(|depth| self.labels[self.labels.len() - 1 - depth].is_loop)
        {
            self.burn();
        }
        self.operands(&operands);
        self.value("i32", 3);
        let count = self.random.below(4);
        let targets: Vec<String> = (0..count)
            .map(|_| self.random.of(&same).to_string())
            .collect();
        if self.random.chance(80) {
            self.line("i32.const 3 i32.and");
        }
        self.line(&format!("br_table {} {depth}", targets.join(" ")));
        false
    }
}
