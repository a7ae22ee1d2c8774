//! Waiting: `poll_oneoff`.

use std::time::Duration;

use crate::abi::{
    ClockId, EVENT_SIZE, Event, SUBSCRIPTION_SIZE, SubclockFlags, Subscription, SubscriptionKind,
};
use crate::ctx::WasiCtx;
use crate::errno::Errno;
use crate::memory::GuestMemory;
use crate::table::Object;

/// `poll_oneoff`: waits until at least one subscription has something to say.
///
/// A descriptor always counts as ready: reading or writing one waits for as
/// long as it has to. So only clocks are ever waited for, and only if nothing
/// else was asked. Nothing is allocated, however many subscriptions there are.
pub(crate) fn poll_oneoff(
    ctx: &mut WasiCtx,
    memory: &mut GuestMemory<'_>,
    subscriptions: u32,
    events: u32,
    count: u32,
    result: u32,
) -> Result<(), Errno> {
    if count == 0 {
        return Err(Errno::Inval);
    }
    let size = |each: u32| count.checked_mul(each).ok_or(Errno::Fault);
    memory.check(subscriptions, size(SUBSCRIPTION_SIZE)?)?;
    memory.check(events, size(EVENT_SIZE)?)?;
    memory.check(result, 4)?;

    let mut wait: Option<Duration> = None;
    for index in 0..count {
        let next = match state(ctx, &subscription(memory, subscriptions, index)?) {
            State::Now(_) => Duration::ZERO,
            State::In(wait) => wait,
        };
        wait = Some(wait.map_or(next, |wait| wait.min(next)));
    }
    // Absolute timeouts are measured again afterwards; relative ones that are
    // as short as the wait are over by definition.
    let wait = wait.unwrap_or_default();
    if !wait.is_zero() {
        std::thread::sleep(wait);
    }

    let mut happened = 0;
    for index in 0..count {
        let event = match state(ctx, &subscription(memory, subscriptions, index)?) {
            State::Now(event) => Some(event),
            State::In(rest) if rest <= wait => Some(clock_event(
                &subscription(memory, subscriptions, index)?,
                Errno::Success,
            )),
            State::In(_) => None,
        };
        if let Some(event) = event {
            memory.write(events + happened * EVENT_SIZE, &event.encode())?;
            happened += 1;
        }
    }
    memory.write_u32(result, happened)
}

enum State {
    /// Something to report at once.
    Now(Event),
    /// A clock that goes off later.
    In(Duration),
}

fn subscription(
    memory: &GuestMemory<'_>,
    subscriptions: u32,
    index: u32,
) -> Result<Subscription, Errno> {
    // In range: the whole array was checked.
    let at = subscriptions.wrapping_add(index.wrapping_mul(SUBSCRIPTION_SIZE));
    memory
        .read_array(at)
        .map(|bytes| Subscription::decode(&bytes))
}

fn clock_event(subscription: &Subscription, error: Errno) -> Event {
    Event {
        userdata: subscription.userdata,
        error,
        event_type: 0,
        bytes: 0,
    }
}

fn state(ctx: &WasiCtx, subscription: &Subscription) -> State {
    let fd_event = |event_type, ready: Result<u64, Errno>| {
        State::Now(Event {
            userdata: subscription.userdata,
            error: ready.err().unwrap_or(Errno::Success),
            event_type,
            bytes: ready.unwrap_or(0),
        })
    };
    match subscription.kind {
        SubscriptionKind::Clock { id, timeout, flags } => {
            let wait = || {
                let clock = ClockId::from_guest(id)?;
                let flags = SubclockFlags::from_guest(flags)?;
                let absolute = flags.contains(SubclockFlags::ABSTIME);
                ctx.clocks.until(clock, timeout, absolute)
            };
            match wait() {
                Ok(Duration::ZERO) => State::Now(clock_event(subscription, Errno::Success)),
                Ok(wait) => State::In(wait),
                Err(errno) => State::Now(clock_event(subscription, errno)),
            }
        }
        SubscriptionKind::FdRead(fd) => fd_event(1, readable(ctx, fd)),
        SubscriptionKind::FdWrite(fd) => fd_event(2, writable(ctx, fd)),
        SubscriptionKind::Unknown(tag) => State::Now(Event {
            userdata: subscription.userdata,
            error: Errno::Inval,
            event_type: tag,
            bytes: 0,
        }),
    }
}

/// How many bytes a read can count on; at least 1 for a stream, of which
/// nobody knows.
fn readable(ctx: &WasiCtx, fd: u32) -> Result<u64, Errno> {
    use std::io::Seek;
    match &ctx.table.get(fd)?.object {
        Object::Input(_) => Ok(1),
        Object::File(file) => {
            let size = file.metadata()?.len();
            // What can't seek has no position to subtract.
            let position = { file }.stream_position().unwrap_or(0);
            Ok(size.saturating_sub(position))
        }
        Object::Output(_) | Object::Directory(_) => Err(Errno::Badf),
    }
}

fn writable(ctx: &WasiCtx, fd: u32) -> Result<u64, Errno> {
    match &ctx.table.get(fd)?.object {
        Object::Output(_) | Object::File(_) => Ok(1),
        Object::Input(_) | Object::Directory(_) => Err(Errno::Badf),
    }
}
