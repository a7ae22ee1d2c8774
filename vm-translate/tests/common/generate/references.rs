//! References to functions.

use super::Generator;

impl Generator {
    /// Pushes a reference to a function, of this type, which is not in `self.stack`. Hardly ever it is null.
    pub(super) fn push_reference(&mut self, func: usize, ty: usize) {
        match self.random.below(8) {
            0 => {
                self.line(&format!("ref.func {func} ref.as_non_null"));
            }
            1 if func == self.referent => {
                let local = self.reference_local();
                self.line(&format!("ref.func {func} local.tee {local}"));
            }
            2 => {
                // One way or the other it is the function.
                self.line(&format!("block (result (ref {ty}))"));
                self.push_either(func);
                self.line(&format!("br_on_non_null 0 ref.func {func} end"));
            }
            3 if self.random.chance(10) => self.line(&format!("ref.null {ty}")),
            4 => {
                self.line(&format!("ref.func {func}"));
                self.value("i32", 2);
                self.stack.pop();
                self.line("drop");
            }
            _ => self.line(&format!("ref.func {func}")),
        }
    }

    fn reference_local(&self) -> usize {
        self.fuel + 1
    }

    /// Pushes a reference to a function or null.
    fn push_either(&mut self, func: usize) {
        self.value("i32", 2);
        self.stack.pop();
        self.line(&format!(
            "if (result (ref null {func})) ref.func {func} else ref.null {func} end"
        ));
    }

    /// What there is to do with references besides calls. What becomes of them shows in what is pushed or where is
    /// gone to.
    pub(super) fn reference(&mut self) {
        let (local, func) = (self.reference_local(), self.referent);
        match self.random.below(6) {
            0 => {
                self.push_either(func);
                self.line(&format!("local.set {local}"));
            }
            1 => self.push("i32", &format!("local.get {local} ref.is_null")),
            2 if self.random.chance(self.wild) => {
                self.line(&format!("local.get {local} ref.as_non_null drop"));
            }
            2 | 3 => {
                let (depth, operands) = self.target();
                self.operands(&operands);
                match self.random.below(3) {
                    0 => self.push_either(func),
                    1 => self.line(&format!("local.get {local}")),
                    _ => self.line(&format!("ref.func {func} local.tee {local}")),
                }
                self.line(&format!("br_on_null {depth}"));
                // It stays, and is not null any more.
                match self.funcs[func].params.is_empty() && func > self.at {
                    true => {
                        self.line(&format!("call_ref {func}"));
                        let results = self.funcs[func].results.clone();
                        self.stack.extend(results);
                    }
                    false => self.line("drop"),
                }
            }
            _ => {
                // With operands below it, to a block that passes both on.
                let count = self.random.below(3).min(self.stack.len());
                let operands = self.stack[self.stack.len() - count..].join(" ");
                self.line(&format!(
                    "block (param {operands}) (result {operands} (ref {func}))"
                ));
                match self.random.below(2) {
                    0 => self.push_either(func),
                    _ => self.line(&format!("local.get {local}")),
                }
                self.line(&format!("br_on_non_null 0 ref.func {func} end"));
                match self.random.chance(50) {
                    true => self.line(&format!("local.set {local}")),
                    false => self.line("drop"),
                }
            }
        }
    }
}
