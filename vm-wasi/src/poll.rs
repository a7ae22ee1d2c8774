//! Waiting: `poll_oneoff`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::abi::{EVENT_SIZE, Event, SubclockFlags, Subscription, SubscriptionKind, Version};
use crate::clocks::{ClockId, Start, Timer};
use crate::ctx::Ctx;
use crate::errno::Errno;
use crate::memory::GuestMemory;
use crate::stream::Readiness;
use crate::table::Descriptor;
use crate::waiter::{Found, Interest};

/// The raw arguments of `poll_oneoff`, in the order of its signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PollOneoff {
    pub(crate) subscriptions: u32,
    pub(crate) events: u32,
    pub(crate) count: u32,
    pub(crate) result: u32,
}

/// What has come of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Polled {
    /// Something has happened, and the guest has been told.
    Something,
    /// Nothing yet, and for so long nothing will but by descriptors.
    Nothing(Option<Duration>),
}

/// `poll_oneoff`: waits until at least one subscription has something to say. If it is not to wait, it may have to be asked again, with
/// the same `start`, which is the default at first.
///
/// Every descriptor that the host or the embedder can be asked about is asked. What is allocated grows with the
/// number of open descriptors, not with that of subscriptions, which is the guest's to choose.
pub(crate) fn poll_oneoff(
    ctx: &mut Ctx,
    memory: &mut GuestMemory<'_>,
    version: Version,
    args: PollOneoff,
    start: &mut Start,
    waits: bool,
) -> Result<Polled, Errno> {
    let PollOneoff {
        subscriptions,
        events,
        count,
        result,
    } = args;
    if count == 0 {
        return Err(Errno::Inval);
    }
    let size = |each: u32| count.checked_mul(each).ok_or(Errno::Fault);
    memory.check(subscriptions, size(version.subscription_size())?)?;
    memory.check(events, size(EVENT_SIZE)?)?;
    memory.check(result, 4)?;

    let list = List {
        version,
        at: subscriptions,
        count,
    };
    let found = match list.wait(ctx, memory, start, waits)? {
        Ok(found) => found,
        Err(left) => return Ok(Polled::Nothing(left)),
    };
    let mut happened = 0;
    for index in 0..count {
        let subscription = list.get(memory, index)?;
        if let Some(event) = event(ctx, &subscription, start, &found) {
            memory.write(events + happened * EVENT_SIZE, &event.encode())?;
            happened += 1;
        }
    }
    memory.write_u32(result, happened)?;
    Ok(Polled::Something)
}

/// The subscriptions of one call, in guest memory, all in range.
#[derive(Clone, Copy)]
struct List {
    version: Version,
    at: u32,
    count: u32,
}

impl List {
    fn get(self, memory: &GuestMemory<'_>, index: u32) -> Result<Subscription, Errno> {
        let size = self.version.subscription_size();
        let at = self.at.wrapping_add(index.wrapping_mul(size));
        memory
            .slice(at, size)
            .map(|bytes| Subscription::decode(&bytes, self.version))
    }

    /// Waits until there is something to say, and returns which descriptors are ready. If it is not to wait, and there is nothing, how long
    /// until there is if no descriptor gets ready before.
    fn wait(
        self,
        ctx: &mut Ctx,
        memory: &GuestMemory<'_>,
        start: &mut Start,
        waits: bool,
    ) -> Result<Result<BTreeMap<u32, Found>, Option<Duration>>, Errno> {
        loop {
            let plan = self.plan(ctx, memory, start)?;
            let mut ask = |timeout| ctx.waiter.ask(&mut ctx.table, &plan.interests, timeout);
            let found = ask(Some(Duration::ZERO))?;
            if plan.is_over || !found.is_empty() {
                return Ok(Ok(found));
            }
            if memory.until().is_over() {
                return Err(Errno::Intr);
            }
            // Only now does time pass for a clock that has none of its own.
            let timeout = plan.next.map(|(timer, left)| ctx.clocks.wait(&timer, left));
            if !waits {
                return Ok(Err(timeout));
            }
            let found = ctx.waiter.ask(&mut ctx.table, &plan.interests, timeout)?;
            if !found.is_empty() {
                return Ok(Ok(found));
            }
        }
    }

    fn plan(
        self,
        ctx: &mut Ctx,
        memory: &GuestMemory<'_>,
        start: &mut Start,
    ) -> Result<Plan, Errno> {
        let mut plan = Plan::default();
        for index in 0..self.count {
            match self.get(memory, index)?.kind {
                SubscriptionKind::Clock { id, timeout, flags } => {
                    match clock(ctx, start, id, timeout, flags) {
                        Ok((_, Duration::ZERO)) | Err(_) => plan.is_over = true,
                        Ok((timer, left)) => {
                            if plan.next.is_none_or(|(_, least)| left < least) {
                                plan.next = Some((timer, left));
                            }
                        }
                    }
                }
                SubscriptionKind::FdRead(fd) => {
                    match ctx.table.get(fd).and_then(Descriptor::to_read) {
                        Ok(_) => plan.interests.entry(fd).or_default().read = true,
                        Err(_) => plan.is_over = true,
                    }
                }
                SubscriptionKind::FdWrite(fd) => {
                    match ctx.table.get(fd).and_then(Descriptor::to_write) {
                        Ok(_) => plan.interests.entry(fd).or_default().write = true,
                        Err(_) => plan.is_over = true,
                    }
                }
                SubscriptionKind::Unknown(_) => plan.is_over = true,
            }
        }
        Ok(plan)
    }
}

/// What a list of subscriptions waits for.
#[derive(Default)]
struct Plan {
    /// There is something to say already.
    is_over: bool,
    /// The timer that goes off first, and in how long.
    next: Option<(Timer, Duration)>,
    interests: BTreeMap<u32, Interest>,
}

/// A subscription's timer, and how long it has to go.
fn clock(
    ctx: &mut Ctx,
    start: &mut Start,
    id: u32,
    timeout: u64,
    flags: u16,
) -> Result<(Timer, Duration), Errno> {
    let id = ClockId::from_guest(id)?;
    let absolute = SubclockFlags::from_guest(flags)?.contains(SubclockFlags::ABSTIME);
    let timer = ctx.clocks.timer(start, id, timeout, absolute)?;
    Ok((timer, ctx.clocks.left(&timer)?))
}

/// What is to be said about a subscription, if anything is. Mistakes in one are events, too.
fn event(
    ctx: &mut Ctx,
    subscription: &Subscription,
    start: &mut Start,
    found: &BTreeMap<u32, Found>,
) -> Option<Event> {
    let (event_type, said) = match subscription.kind {
        SubscriptionKind::Clock { id, timeout, flags } => {
            let left = clock(ctx, start, id, timeout, flags).map(|(_, left)| left);
            let said = match left {
                Ok(Duration::ZERO) => Some(Ok(Readiness::bytes(0))),
                Ok(_) => None,
                Err(errno) => Some(Err(errno)),
            };
            (0, said)
        }
        SubscriptionKind::FdRead(fd) => {
            let said = match ctx.table.get(fd).and_then(Descriptor::to_read) {
                Ok(_) => found.get(&fd).and_then(|found| found.read),
                Err(errno) => Some(Err(errno)),
            };
            (1, said)
        }
        SubscriptionKind::FdWrite(fd) => {
            let said = match ctx.table.get(fd).and_then(Descriptor::to_write) {
                Ok(_) => found.get(&fd).and_then(|found| found.write),
                Err(errno) => Some(Err(errno)),
            };
            (2, said)
        }
        SubscriptionKind::Unknown(tag) => (tag, Some(Err(Errno::Inval))),
    };
    let said = said?;
    let readiness = said.unwrap_or(Readiness::bytes(0));
    Some(Event {
        userdata: subscription.userdata,
        error: said.err().unwrap_or(Errno::Success),
        event_type,
        bytes: readiness.bytes,
        hangup: readiness.hangup,
    })
}
