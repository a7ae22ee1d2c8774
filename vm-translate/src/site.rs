//! Places in code where a run can stop and go on later, and where the values of a frame are there.
//!
//! A *point* is such a place in WebAssembly: it names the same in every tier and executor. A *site* is where a point
//! is in the code of one translation. At a site all that is on the operand stack stands in slots, or is a constant; locals
//! are where they always are.
//!
//! Many sites have most of the operand stack in common, and a thousand operands may have come from two bytes of a
//! body. So the stack is a list that sites share from below, in which those in adjacent slots are one node.

use std::ops::Range;

use crate::ValType;
use crate::ir::{Root, Slot};

/// Where in a function a run can stop and go on later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Point {
    /// The offset of the instruction in the module's bytes; of a function's beginning that of its body.
    pub offset: u32,
    /// What happens there.
    pub kind: PointKind,
}

/// What a run stops for at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PointKind {
    /// The function has called another, which is to return. The arguments have been taken off the operand stack.
    Call,
    /// Fuel is taken for what comes next. The instruction has not begun.
    Fuel,
    /// A function or a loop looks at the deadline in epochs. Of a loop, it has been entered.
    Epoch,
    /// A bulk operation takes its fuel. The instruction's operands are on the operand stack.
    Bulk,
}

impl PointKind {
    /// Every kind.
    pub const ALL: [PointKind; 4] = [
        PointKind::Call,
        PointKind::Fuel,
        PointKind::Epoch,
        PointKind::Bulk,
    ];
}

/// Where a point is in code.
#[derive(Clone, Copy, Debug)]
pub struct Site {
    /// The point.
    pub point: Point,
    /// The instruction: of IR its index, of encoded code the position at which a run goes on.
    pub at: u32,
    /// Of a call in encoded code, the position that the callee returns to.
    pub back: u32,
    /// Of a call, whether it may change the context, so that an instruction of its own takes it back.
    pub restores: bool,
    /// Of a call, the slot where the callee's frame starts; else 0.
    pub base: Slot,
    /// Where the loop begins that was entered last and is not over, if there is one that the executor keeps: a number
    /// of the same kind as [`Site::at`].
    pub head: Option<u32>,
    /// How many values are on the operand stack.
    pub height: u32,
    /// The node of the uppermost.
    top: u32,
}

/// Where a value of the operand stack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SiteValue {
    /// In a slot; a vector in this and the next.
    Slot(Slot),
    /// It is this constant, as the bits a slot would hold.
    Const(u64),
}

/// The sites of a function, in the order of their instructions.
#[derive(Clone, Debug, Default)]
pub struct Sites {
    sites: Vec<Site>,
    nodes: Vec<Node>,
    constants: Vec<u64>,
    /// While translating: of each entry of the operand stack that has been noted, its node, and the slot after it.
    noted: Vec<(u32, Slot)>,
}

/// Some entries of the operand stack, from the one with the number `start` up.
#[derive(Clone, Copy, Debug)]
struct Node {
    start: u32,
    /// The node of the entry below.
    below: u32,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    /// They are in adjacent slots from this one up.
    Slots(Slot),
    /// It is one, and this of the constants.
    Constant(u32),
}

const NOTHING: u32 = u32::MAX;

impl Sites {
    /// Whether there are none, as if they were not asked for.
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// The sites.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The bytes that they take besides this.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.sites) + size_of_val(&*self.nodes) + size_of_val(&*self.constants)
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        self.sites.clear();
        self.nodes.clear();
        self.constants.clear();
        self.noted.clear();
    }

    /// Gives every site its position in encoded code. They stay in their order.
    pub fn locate(&mut self, mut locate: impl FnMut(&mut Site)) {
        self.sites.iter_mut().for_each(&mut locate);
    }

    /// What encoded code keeps: nothing that only translation needs.
    pub fn into_kept(mut self) -> Sites {
        self.noted = Vec::new();
        self.sites.shrink_to_fit();
        self.nodes.shrink_to_fit();
        self.constants.shrink_to_fit();
        self
    }

    /// Where the values of the operand stack are at a site, if their types are these.
    pub fn values(&self, site: &Site, types: &[ValType]) -> Option<Vec<SiteValue>> {
        let mut end = site.height as usize;
        if types.len() != end {
            return None;
        }
        let mut values = vec![SiteValue::Const(0); end];
        let mut node = site.top;
        while end > 0 {
            let Node { start, below, what } = *self.nodes.get(node as usize)?;
            let start = start as usize;
            match what {
                What::Slots(mut slot) => {
                    for (value, ty) in values.get_mut(start..end)?.iter_mut().zip(&types[start..]) {
                        *value = SiteValue::Slot(slot);
                        slot += ty.slots();
                    }
                }
                What::Constant(index) => {
                    values[start] = SiteValue::Const(*self.constants.get(index as usize)?);
                }
            }
            (end, node) = (start, below);
        }
        Some(values)
    }

    /// Ranges of slots that hold the values of the operand stack at a site, the uppermost first. Of a range, vectors may take
    /// more than is said.
    pub(crate) fn slots(&self, site: &Site) -> impl Iterator<Item = Range<Slot>> + '_ {
        let mut end = site.height;
        let mut node = site.top;
        std::iter::from_fn(move || {
            while end > 0 {
                let Node { start, below, what } = *self.nodes.get(node as usize)?;
                let count = end - start;
                (end, node) = (start, below);
                if let What::Slots(slot) = what {
                    return Some(slot..slot + count);
                }
            }
            None
        })
    }

    /// Where the values of the operand stack are at a site, the uppermost first, for listings.
    pub(crate) fn listed(&self, site: &Site) -> String {
        let mut end = site.height;
        let mut node = site.top;
        let mut text = Vec::new();
        while end > 0 {
            let Some(Node { start, below, what }) = self.nodes.get(node as usize).copied() else {
                break;
            };
            text.push(match what {
                What::Slots(slot) if end - start == 1 => format!("s{slot}"),
                What::Slots(slot) => format!("{} from s{slot}", end - start),
                What::Constant(n) => format!("{:#x}", self.constants[n as usize]),
            });
            (end, node) = (start, below);
        }
        text.join(", ")
    }

    /// Notes a site. Of the entries of the operand stack the first `known` are what they were when a site was noted last;
    /// `entry` says of one where it is, and how many slots it takes.
    pub(crate) fn note(
        &mut self,
        mut site: Site,
        known: usize,
        entry: impl Fn(usize) -> (SiteValue, Slot),
    ) {
        self.noted.truncate(known);
        let height = site.height as usize;
        for index in self.noted.len()..height {
            let (value, slots) = entry(index);
            let (below, end) = self.noted.last().copied().unwrap_or((NOTHING, NOTHING));
            let (what, next) = match value {
                SiteValue::Slot(slot) if slot == end => {
                    self.noted.push((below, slot + slots));
                    continue;
                }
                SiteValue::Slot(slot) => (What::Slots(slot), slot + slots),
                SiteValue::Const(bits) => {
                    let index = self.constants.len() as u32;
                    self.constants.push(bits);
                    (What::Constant(index), NOTHING)
                }
            };
            let node = self.nodes.len() as u32;
            let start = index as u32;
            self.nodes.push(Node { start, below, what });
            self.noted.push((node, next));
        }
        site.top = match height.checked_sub(1) {
            Some(last) => self.noted[last].0,
            None => NOTHING,
        };
        self.sites.push(site);
    }
}

impl Site {
    /// One at a point, at an instruction with so many values on the operand stack.
    pub(crate) fn new(point: Point, at: u32, height: usize) -> Site {
        Site {
            point,
            at,
            back: 0,
            restores: false,
            base: 0,
            head: None,
            height: height as u32,
            top: NOTHING,
        }
    }

    /// The same of a call like this one; nothing if it is no call.
    pub(crate) fn of_call(self, root: &Root) -> Option<Site> {
        match *root {
            Root::Call { base, .. } => Some(Site { base, ..self }),
            Root::CallImport { base, .. }
            | Root::CallIndirect { base, .. }
            | Root::CallRef { base, .. } => Some(Site {
                base,
                restores: true,
                ..self
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Point, PointKind, Site, SiteValue, Sites};
    use crate::ValType;

    fn site(at: u32, height: usize) -> Site {
        let kind = PointKind::Fuel;
        Site::new(Point { offset: at, kind }, at, height)
    }

    #[test]
    fn sites_share_what_is_below_and_runs_are_one_node() {
        let mut sites = Sites::default();
        let slots = |first: u32| move |index: usize| (SiteValue::Slot(first + index as u32), 1);
        sites.note(site(0, 1000), 0, slots(10));
        sites.note(site(1, 500), 500, slots(10));
        // Cut in the middle, and others above.
        sites.note(site(2, 502), 500, |index| match index {
            500 => (SiteValue::Const(7), 1),
            _ => (SiteValue::Slot(900), 2),
        });
        sites.note(site(3, 0), 0, slots(0));
        assert_eq!(sites.nodes.len(), 3);
        let types = |height| vec![ValType::I64; height];
        let values = |n: usize, types: &[ValType]| sites.values(&sites.sites()[n], types);
        let all = values(0, &types(1000)).unwrap();
        assert_eq!(all[999], SiteValue::Slot(1009));
        assert_eq!(values(1, &types(500)).unwrap(), all[..500]);
        let mut mixed = types(501);
        mixed.push(ValType::V128);
        let mixed = values(2, &mixed).unwrap();
        assert_eq!(mixed[..500], all[..500]);
        assert_eq!(mixed[500..], [SiteValue::Const(7), SiteValue::Slot(900)]);
        assert_eq!(values(3, &[]).unwrap(), []);
        assert_eq!(values(3, &types(1)), None);
    }

    #[test]
    fn vectors_take_two_slots_of_a_run() {
        let mut sites = Sites::default();
        let places = [(10, 1), (11, 2), (13, 1)];
        let entry = |index: usize| (SiteValue::Slot(places[index].0), places[index].1);
        sites.note(site(0, 3), 0, entry);
        assert_eq!(sites.nodes.len(), 1);
        let types = [ValType::I32, ValType::V128, ValType::F64];
        let values = sites.values(&sites.sites()[0], &types).unwrap();
        assert_eq!(values, places.map(|(slot, _)| SiteValue::Slot(slot)));
    }
}
