//! A shard: an OS thread that walks its sessions when a tick is out and tries to write to each.
//!
//! A walk takes its members in small lots, so that joining and leaving never wait for it. A tick
//! that comes during a walk is walked next; of several only the newest.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use parking_lot::{Condvar, Mutex};

use super::hub::Totals;
use super::member::Member;
use super::outbox::Sent;
use super::room::TickSet;

/// Members taken at a time.
const LOT: usize = 64;

/// See the module.
#[derive(Default)]
pub(super) struct Shard {
    members: Mutex<Slots>,
    signal: Mutex<Signal>,
    ring: Condvar,
    /// The newest set that every member was offered.
    walked: AtomicU64,
}

#[derive(Default)]
struct Slots {
    /// As long as there were ever members at once: bounded by the limit on sockets.
    slots: Vec<Option<Arc<Member>>>,
    free: Vec<usize>,
}

#[derive(Default)]
struct Signal {
    ticks: u64,
    /// Of filtered views.
    view_ticks: u64,
    stop: bool,
}

impl Shard {
    /// Adds a session; gives its slot.
    pub(super) fn join(&self, member: Arc<Member>) -> usize {
        let mut members = self.members.lock();
        if let Some(slot) = members.free.pop() {
            members.slots[slot] = Some(member);
            return slot;
        }
        members.slots.push(Some(member));
        members.slots.len() - 1
    }

    /// Removes the session in a slot.
    pub(super) fn leave(&self, slot: usize) {
        let mut members = self.members.lock();
        if members.slots[slot].take().is_some() {
            members.free.push(slot);
        }
    }

    /// Calls `visit` for every member, without holding the lock meanwhile.
    pub(super) fn each(&self, mut visit: impl FnMut(&Member)) {
        let mut lot = Vec::with_capacity(LOT);
        let mut next = 0;
        loop {
            {
                let members = self.members.lock();
                if next >= members.slots.len() {
                    return;
                }
                let end = (next + LOT).min(members.slots.len());
                lot.extend(members.slots[next..end].iter().flatten().cloned());
                next = end;
            }
            for member in lot.drain(..) {
                visit(&member);
            }
        }
    }

    /// Tells the thread that a tick is out.
    pub(super) fn ring(&self) {
        self.signal.lock().ticks += 1;
        self.ring.notify_one();
    }

    /// Tells the thread that ticks of filtered views are out.
    pub(super) fn ring_views(&self) {
        self.signal.lock().view_ticks += 1;
        self.ring.notify_one();
    }

    /// Lets the thread end.
    pub(super) fn stop(&self) {
        self.signal.lock().stop = true;
        self.ring.notify_one();
    }

    /// The newest set that every member was offered.
    pub(super) fn walked(&self) -> u64 {
        self.walked.load(Ordering::Acquire)
    }

    fn walk(&self, mut offer: impl FnMut(&Member) -> Sent) -> Sent {
        let mut total = Sent::default();
        self.each(|member| {
            let sent = offer(member);
            total.frames += sent.frames;
            total.lagged += sent.lagged;
        });
        total
    }

    /// The thread: walks until [`Shard::stop`].
    pub(super) fn run(&self, current: &ArcSwapOption<TickSet>, totals: &Totals) {
        let (mut seen, mut views_seen) = (0, 0);
        let mut pieces = Vec::new();
        loop {
            let (ticked, views_ticked) = {
                let mut signal = self.signal.lock();
                let nothing = |signal: &mut Signal| {
                    (signal.ticks, signal.view_ticks) == (seen, views_seen) && !signal.stop
                };
                self.ring.wait_while(&mut signal, nothing);
                if signal.stop {
                    return;
                }
                let ticked = (signal.ticks != seen, signal.view_ticks != views_seen);
                (seen, views_seen) = (signal.ticks, signal.view_ticks);
                ticked
            };
            if ticked && let Some(set) = current.load_full() {
                totals.add(self.walk(|member| member.offer(&set, &mut pieces)));
                self.walked.store(set.seq, Ordering::Release);
            }
            if views_ticked {
                totals.add(self.walk(|member| member.offer_views(&mut pieces)));
            }
        }
    }
}
