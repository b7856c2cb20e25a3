//! Bodies of several events, in as many pieces as the daemon wants: one that is larger than it takes
//! at once is split, and the ones after it are split before they are sent.

use bytes::Bytes;
use pulseboard::wire::server::Ack;

use super::{Courier, DeliverError, Delivered, NDJSON, as_rejection};
use crate::commands::waiting::Waiting;
use crate::target::Target;

/// Sends NDJSON, and knows how much of it fits.
pub(in crate::commands) struct Pieces {
    courier: Courier,
    /// Events that are sent in one call, as far as that is known.
    events_max: usize,
}

impl Pieces {
    /// By this courier, whole until the daemon says otherwise.
    pub(in crate::commands) fn new(courier: Courier) -> Self {
        Self { courier, events_max: usize::MAX }
    }

    /// The courier itself.
    pub(in crate::commands) fn courier(&mut self) -> &mut Courier {
        &mut self.courier
    }

    /// Delivers all of a body that holds so many events, one a line.
    pub(in crate::commands) async fn deliver(
        &mut self,
        target: &Target,
        body: Bytes,
        events: usize,
        waiting: &Waiting,
    ) -> Result<Delivered, DeliverError> {
        let mut total = Delivered::of(Ack::default());
        let mut first_index = 0;
        // The next piece to send is the last.
        let mut pieces = vec![(body, events)];
        while let Some((body, events)) = pieces.pop() {
            if events > self.events_max {
                let (first, second) = split(&body, events, self.events_max);
                pieces.extend([second, first]);
                continue;
            }
            let result = self.courier.deliver(target, NDJSON, &body, waiting).await;
            let delivered = match result {
                Err(DeliverError::Refused { status: 413 | 429, fits, .. }) if events > 1 => {
                    let fits = fits.map_or(events / 2, half);
                    self.events_max = fits.clamp(1, events - 1);
                    pieces.push((body, events));
                    continue;
                }
                Err(error) if events == 1 => {
                    let verdict = as_rejection(&error).ok_or(error)?;
                    Delivered::of(verdict)
                }
                other => other?,
            };
            if let Some(quota) = delivered.quota {
                self.events_max = self.events_max.min(half(quota));
            }
            let verdict = delivered.verdict;
            total.verdict.accepted += verdict.accepted;
            total.verdict.duplicates += verdict.duplicates;
            total.verdict.rejected_total += verdict.rejected_total;
            for mut rejection in verdict.rejected {
                rejection.index += first_index;
                total.verdict.rejected.push(rejection);
            }
            total.ack_time = total.ack_time.max(delivered.ack_time);
            total.repeats += delivered.repeats;
            total.limited += delivered.limited;
            first_index += events as u64;
        }
        Ok(total)
    }
}

/// Half of what a bucket holds: a piece that takes it all has to wait until it is full, and then some,
/// since waits are told in whole seconds.
fn half(quota: usize) -> usize {
    quota.div_ceil(2).max(1)
}

/// Splits NDJSON after its first `at` events.
fn split(body: &Bytes, events: usize, at: usize) -> ((Bytes, usize), (Bytes, usize)) {
    let mut ends =
        body.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let end = ends.nth(at - 1).unwrap_or(body.len());
    ((body.slice(..end), at), (body.slice(end..), events - at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_hold_all_events_in_order() {
        let body = Bytes::from_static(b"{1}\n{2}\n{3}\n");
        let ((first, one), (second, two)) = split(&body, 3, 1);
        assert_eq!((&*first, one), (&b"{1}\n"[..], 1));
        assert_eq!((&*second, two), (&b"{2}\n{3}\n"[..], 2));
        // Without a line's end after the last event.
        let ((first, _), (second, _)) = split(&body.slice(..11), 3, 2);
        assert_eq!((&*first, &*second), (&b"{1}\n{2}\n"[..], &b"{3}"[..]));
    }
}
