//! Throwing and catching exceptions.
//!
//! A clause goes to a block around it that takes what it gives, so there are blocks for that. What it has caught is
//! then on the operand stack, among what programs compute with. Most of what is thrown is caught in the end.

use super::{EXNREF, Exceptions, Func, GLOBALS, Generator, Label, Random, Type, few_or_many, list};

/// The global with an exception.
const GLOBAL: usize = GLOBALS.len() + 2;

/// What the values of a few tags are. Some have those of another, or what a function returns: labels are then as good
/// for the one as for the other.
pub(super) fn tags(
    random: &mut Random,
    funcs: &[Func],
    types: impl Fn(&mut Random, usize) -> Vec<Type>,
) -> Vec<Vec<Type>> {
    let mut tags = vec![types(random, 3)];
    for _ in 0..1 + random.below(4) {
        let other = random.below(tags.len());
        tags.push(match random.below(6) {
            0 => Vec::new(),
            1 => tags[other].clone(),
            2 => funcs[random.below(funcs.len())].results.clone(),
            _ => types(random, 3),
        });
    }
    tags
}

impl Generator {
    pub(super) fn throws(&self) -> bool {
        self.exceptions != Exceptions::Nothing
    }

    /// The first tag is an import.
    pub(super) fn define_tags(&mut self) {
        for (n, values) in self.tags.iter().enumerate() {
            let values = list("param", values);
            self.text += &match n {
                0 => format!(" (import \"host\" \"t0\" (tag{values}))\n"),
                _ => format!(" (tag{values})\n"),
            };
        }
    }

    /// Whether an exception may be thrown here.
    pub(super) fn may_throw(&self) -> bool {
        self.escapes || !self.caught.is_empty()
    }

    pub(super) fn kind_of_try(&mut self) -> Type {
        match self.exceptions == Exceptions::Older && self.random.chance(60) {
            true => "try",
            false => "try_table",
        }
    }

    /// What there is to do with exceptions. Answers whether what follows can be reached.
    pub(super) fn exceptional(&mut self) -> bool {
        match self.random.below(8) {
            0..4 => {
                let blocks = 1 + self.random.below(2);
                self.catching(blocks);
            }
            4 | 5 if self.may_throw() => return self.maybe_throw(),
            6 => {
                self.exception(2);
                self.look();
            }
            _ => {
                self.exception(2);
                self.consume_exception();
            }
        }
        true
    }

    /// Blocks for clauses to go to, one in the other, and in the innermost what has the clauses.
    fn catching(&mut self, blocks: usize) {
        if blocks == 0 || self.labels.len() > 5 {
            let count = self.random.below(3);
            let results: Vec<Type> = (0..count).map(|_| self.any_type()).collect();
            let kind = self.kind_of_try();
            return self.nested_as(kind, &results);
        }
        let mut operands = match self.random.below(5) {
            0 => Vec::new(),
            _ => self.tag().1,
        };
        if self.random.chance(40) {
            operands.push(EXNREF);
        }
        let count = few_or_many(&mut self.random, 4).min(self.stack.len());
        let params = self.stack.split_off(self.stack.len() - count);
        let ty = list("param", &params) + &list("result", &operands);
        self.line(&format!("block{ty}"));
        self.labels.push(Label {
            operands: operands.clone(),
            is_loop: false,
            has_caught: false,
        });
        let outer = std::mem::replace(&mut self.stack, params);
        self.below += outer.len();
        self.catching(blocks - 1);
        self.block_body(&operands);
        self.below -= outer.len();
        self.stack = outer;
        self.labels.pop();
        self.line("end");
        self.stack.extend(operands);
    }

    /// A tag, and what its values are.
    fn tag(&mut self) -> (usize, Vec<Type>) {
        let tag = self.random.below(self.tags.len());
        (tag, self.tags[tag].clone())
    }

    /// A tag whose exceptions may be thrown here: mostly one that is caught.
    fn tag_to_throw(&mut self) -> (usize, Vec<Type>) {
        if self.caught.is_empty() || (self.escapes && self.random.chance(20)) {
            return self.tag();
        }
        let tag = self.random.of(&self.caught);
        (tag, self.tags[tag].clone())
    }

    /// The clauses of a `try_table`, in any order, of those that there are labels for; and the tags of what they catch.
    pub(super) fn clauses(&mut self) -> (String, Vec<usize>) {
        let all: Vec<usize> = (0..self.tags.len()).collect();
        let mut fitting = Vec::new();
        for (depth, label) in self.labels.iter().rev().enumerate() {
            let operands = &*label.operands;
            let before = match operands.split_last() {
                Some((last, before)) if *last == EXNREF => Some(before),
                _ => None,
            };
            for (tag, values) in self.tags.iter().enumerate() {
                if operands == values {
                    fitting.push((format!(" (catch {tag} {depth})"), vec![tag]));
                }
                if before == Some(values) {
                    fitting.push((format!(" (catch_ref {tag} {depth})"), vec![tag]));
                }
            }
            if operands.is_empty() {
                fitting.push((format!(" (catch_all {depth})"), all.clone()));
            }
            if before == Some(&[]) {
                fitting.push((format!(" (catch_all_ref {depth})"), all.clone()));
            }
        }
        let (mut clauses, mut caught) = (String::new(), Vec::new());
        let most = match self.random.chance(10) {
            true => 0,
            false => 1 + self.random.below(4),
        };
        for _ in 0..most.min(fitting.len()) {
            // Often to a label nearby.
            let near = match self.random.chance(60) {
                true => fitting.len().min(3),
                false => fitting.len(),
            };
            let (clause, tags) = &fitting[self.random.below(near)];
            clauses += clause;
            caught.extend(tags);
        }
        (clauses, caught)
    }

    /// What is inside of a `try_table`, or of a `try` before its clauses, which catch exceptions with these tags.
    pub(super) fn try_body(&mut self, caught: &[usize], results: &[Type]) {
        let around = self.caught.len();
        self.caught.extend(caught);
        // What locals are at a throw is what they are where it is caught.
        for _ in 0..self.random.below(4) {
            let ty = self.ty();
            self.value(ty, 2);
            match self.local(ty) {
                Some(_) => self.set_local("local.set"),
                None => self.note(),
            }
        }
        // Before long, since most of it is behind something that leads elsewhere.
        let goes_on = self.random.chance(30) || self.throw_or_call();
        if goes_on {
            self.block_body(results);
        }
        self.caught.truncate(around);
    }

    /// An instruction or a few, and then something that throws, or calls what may. Answers whether what follows can be reached.
    fn throw_or_call(&mut self) -> bool {
        for _ in 0..self.random.below(3) {
            if !self.instruction() {
                return false;
            }
        }
        let callees = self.at + 1..self.funcs.len();
        if callees.is_empty() || self.random.chance(40) {
            return self.maybe_throw();
        }
        let func = callees.start + self.random.below(callees.len());
        let by = self.way_to_call();
        self.call(func, by);
        true
    }

    /// What a function begins with: what stands later may never be reached.
    pub(super) fn throw_early(&mut self) {
        if self.throws() && self.random.chance(60) {
            let blocks = 1 + self.random.below(2);
            self.catching(blocks);
        }
        if self.escapes && self.random.chance(50) {
            self.throw_on_condition();
        }
    }

    /// What is inside of a `try`, and what comes then. Answers how it ends.
    pub(super) fn try_and_clauses(&mut self, results: &[Type]) -> String {
        let at = self.labels.len() - 1;
        if self.random.chance(25) {
            let depth = self.random.below(at);
            self.try_body(&[], results);
            return format!("delegate {depth}");
        }
        let tags: Vec<usize> = (0..self.random.below(3)).map(|_| self.tag().0).collect();
        let all = self.random.chance(60);
        match all {
            true => self.try_body(&Vec::from_iter(0..self.tags.len()), results),
            false => self.try_body(&tags, results),
        }
        // While a clause lasts, what has been caught is on the stack.
        self.labels[at].has_caught = true;
        self.below += 1;
        for tag in tags {
            self.line(&format!("catch {tag}"));
            self.stack = self.tags[tag].clone();
            self.block_body(results);
        }
        if all {
            self.line("catch_all");
            self.stack = Vec::new();
            self.block_body(results);
        }
        self.below -= 1;
        "end".to_owned()
    }

    /// What bounds loops, if there is one around that what is thrown may begin again.
    fn burn_in_loops(&mut self) {
        if self.labels.iter().any(|label| label.is_loop) {
            self.burn();
        }
    }

    /// Throws, in whichever way. Answers that what follows cannot be reached.
    pub(super) fn throw(&mut self) -> bool {
        self.burn_in_loops();
        let caught: Vec<usize> = (self.labels.iter().rev().enumerate())
            .filter_map(|(depth, label)| label.has_caught.then_some(depth))
            .collect();
        if !caught.is_empty() && self.random.chance(60) {
            let depth = self.random.of(&caught);
            self.line(&format!("rethrow {depth}"));
            return false;
        }
        if self.top(0) == Some(EXNREF) && self.random.chance(60) {
            // Null is thrown by nobody.
            self.line("block (param exnref) br_on_null 0 throw_ref end");
            self.pop(1);
        }
        let (tag, values) = self.tag_to_throw();
        self.operands(&values);
        self.line(&format!("throw {tag}"));
        false
    }

    /// Throws, or does so on a condition. Answers whether what follows can be reached.
    pub(super) fn maybe_throw(&mut self) -> bool {
        if self.random.chance(35) {
            return self.throw();
        }
        self.throw_on_condition();
        true
    }

    fn throw_on_condition(&mut self) {
        self.value("i32", 2);
        self.pop(1);
        match self.random.chance(50) {
            true => self.line("if"),
            false => self.line("block (param i32) i32.eqz br_if 0"),
        }
        // Whatever is on the stack is not in this block.
        let outer = std::mem::take(&mut self.stack);
        self.labels.push(Label {
            operands: Vec::new(),
            is_loop: false,
            has_caught: false,
        });
        self.throw();
        self.labels.pop();
        self.line("end");
        self.stack = outer;
    }

    /// Pushes a reference to an exception, or null.
    pub(super) fn exception(&mut self, depth: usize) {
        let fresh = if depth == 0 { 0 } else { 3 };
        match self.random.below(4 + fresh) {
            4 if self.random.chance(30) => {
                self.exception(depth - 1);
                self.exception(depth - 1);
                self.value("i32", 1);
                self.select();
            }
            0 => self.constant(EXNREF),
            1 => self.push(EXNREF, &format!("global.get {GLOBAL}")),
            2 | 3 => match self.local(EXNREF) {
                Some(local) => self.push(EXNREF, &format!("local.get {local}")),
                None => self.push(EXNREF, &format!("global.get {GLOBAL}")),
            },
            _ => {
                let (tag, values) = self.tag();
                let ty = self.random.of(&[EXNREF, "(ref exn)"]);
                self.line(&format!("block (result {ty}) try_table (catch_all_ref 0)"));
                for ty in &values {
                    self.value(ty, depth - 1);
                }
                self.pop(values.len());
                self.push(EXNREF, &format!("throw {tag} end unreachable end"));
            }
        }
    }

    /// Makes something of the exception at the top of the stack, which goes.
    pub(super) fn consume_exception(&mut self) {
        match self.random.below(8) {
            0 => {
                self.pop(1);
                self.line("drop");
            }
            1 | 2 if self.local(EXNREF).is_some() => self.set_local("local.set"),
            1..4 => {
                self.pop(1);
                self.line(&format!("global.set {GLOBAL}"));
            }
            4 | 5 if self.may_throw() => {
                self.burn_in_loops();
                self.pop(1);
                self.line("block (param exnref) br_on_null 0 throw_ref end");
            }
            4 if self.random.chance(self.wild) => {
                self.pop(1);
                self.line("ref.as_non_null drop");
            }
            6 => self.note(),
            _ => self.look(),
        }
    }

    /// Throws the exception at the top of the stack, which goes, unless it is null, and notes its values if it is one of a
    /// certain tag.
    fn look(&mut self) {
        let (tag, values) = self.tag();
        let others = match self.may_throw() && self.random.chance(20) {
            // They go on outside.
            true => "",
            false => " (catch_all 1)",
        };
        self.burn_in_loops();
        self.pop(1);
        let results = list("result", &values);
        self.line(&format!(
            "block (param exnref) block (param exnref){results} br_on_null 1"
        ));
        self.line(&format!(
            "try_table (param (ref exn)) (catch {tag} 0){others} throw_ref end unreachable end"
        ));
        let count = values.len();
        self.stack.extend(values);
        for _ in 0..count {
            self.note();
        }
        self.line("end");
    }

    /// Whether whatever is thrown here is caught in the function at hand.
    fn catches_all(&self) -> bool {
        (0..self.tags.len()).all(|tag| self.caught.contains(&tag))
    }

    /// Whether a call is to throw nothing out of the function at hand.
    pub(super) fn guards(&mut self) -> bool {
        self.throws() && !self.escapes && !self.catches_all() && self.random.chance(85)
    }

    /// Begins a block around a call, whose arguments are on the stack, that catches everything.
    /// Answers whether there is a reference to it then.
    pub(super) fn guard(&mut self, params: &[Type], results: &[Type]) -> bool {
        let (params, results) = (list("param", params), list("result", results));
        let (clause, caught) = match self.random.chance(50) {
            true => ("catch_all_ref", " (result exnref)"),
            false => ("catch_all", ""),
        };
        self.line(&format!(
            "block{params}{results} block{params}{caught} try_table{params}{results} ({clause} 0)"
        ));
        !caught.is_empty()
    }

    /// Ends it. If something has been caught, the call's results are others.
    pub(super) fn end_of_guard(&mut self, results: &[Type], has_reference: bool) {
        self.line("end br 1 end");
        if has_reference {
            self.line(&format!("global.set {GLOBAL}"));
        }
        for ty in results {
            self.value(ty, 1);
        }
        self.pop(results.len());
        self.line("end");
    }
}
