//! Where runs can stop in encoded code, and how its frames are laid out: what an executor keeps of a function if runs that have
//! stopped are to be taken apart and made anew.

use std::collections::HashMap;

use vm_translate::ir::{Pin, Slot};
use vm_translate::{Function, Point, PointKind, Site, Sites};

use crate::registers::SavedRegisters;

/// What is to be known of a function's frames.
#[derive(Debug)]
pub(crate) struct FrameSites {
    sites: Sites,
    /// Slots of its frame.
    pub(crate) frame_slots: Slot,
    /// Locals that live in registers.
    pub(crate) pins: Box<[Pin]>,
    /// Where it saves its caller's.
    pub(crate) saved: SavedRegisters,
}

impl FrameSites {
    /// Those of a function, whose sites have been located, with so many slots.
    pub(crate) fn of(function: &Function, sites: Sites, frame_slots: Slot) -> FrameSites {
        FrameSites {
            sites: sites.into_kept(),
            frame_slots,
            pins: function.pins().into(),
            saved: SavedRegisters::of(function),
        }
    }

    /// Those of a function that has all its locals in slots and changes no register.
    #[cfg(palisade_direct)]
    pub(crate) fn without_registers(sites: Sites, frame_slots: Slot) -> FrameSites {
        FrameSites {
            sites: sites.into_kept(),
            frame_slots,
            pins: Box::default(),
            saved: SavedRegisters::default(),
        }
    }

    /// The bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<FrameSites>() + self.sites.bytes() + size_of_val(&*self.pins)
    }

    /// The sites.
    pub(crate) fn sites(&self) -> &Sites {
        &self.sites
    }

    /// The sites of the points.
    pub(crate) fn by_point(&self) -> HashMap<Point, &Site> {
        let sites = self.sites.sites().iter();
        sites.map(|site| (site.point, site)).collect()
    }

    /// The call behind which a run goes on at a position: where it takes its context back, or behind that if the context has not
    /// changed.
    pub(crate) fn call_going_on_at(&self, position: u32) -> Option<&Site> {
        let calls = |of| self.at(position, of).find(is_call);
        calls(|site| site.back).or_else(|| calls(|site| site.at))
    }

    /// What is no call, and goes on at a position.
    pub(crate) fn stop_at(&self, position: u32) -> Option<&Site> {
        self.at(position, |site| site.at)
            .find(|site| !is_call(site))
    }

    /// The sites of which something is at a position. There are few.
    fn at(&self, position: u32, of: fn(&Site) -> u32) -> impl Iterator<Item = &Site> {
        let sites = self.sites.sites();
        let first = sites.partition_point(|site| of(site) < position);
        (sites[first..].iter()).take_while(move |site| of(site) == position)
    }
}

fn is_call(site: &&Site) -> bool {
    site.point.kind == PointKind::Call
}
