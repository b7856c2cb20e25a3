//! A session's publishes: gathered while one read is decoded, sent on together, acknowledged
//! together. Several groups may be on their way; how many publishes, the session limits.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{BufMut, Bytes};
use pulseboard::wire::server::{Ack, ServerMessage};

use super::super::admission::Author;
use super::super::feed::{Publish, Refusal, Verdict};
use super::super::member::Member;
use super::super::wire_frame;
use super::error;

/// An acknowledgement without rejections, with its header, about.
const ACK_BYTES: usize = 96;

/// Publishes that wait for the end of the read they came with.
#[derive(Default)]
pub(super) struct Gathered {
    ids: Vec<Option<u64>>,
    bodies: Vec<Bytes>,
}

impl Gathered {
    pub(super) fn push(&mut self, id: Option<u64>, events: Bytes) {
        self.ids.push(id);
        self.bodies.push(events);
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

/// Counts publishes of a session until they are answered, whatever becomes of them.
struct Inflight {
    member: Arc<Member>,
    count: usize,
}

impl Drop for Inflight {
    fn drop(&mut self) {
        self.member.inflight.fetch_sub(self.count, Ordering::AcqRel);
        // Its reading may have been paused for this.
        self.member.wake.notify_one();
    }
}

/// Sends a group on its way, in a task that outlives the session: what was taken is finished.
pub(super) fn launch(gathered: Gathered, to: &dyn Publish, by: &Author, member: &Arc<Member>) {
    let Gathered { ids, bodies } = gathered;
    let count = ids.len();
    member.inflight.fetch_add(count, Ordering::AcqRel);
    let inflight = Inflight { member: member.clone(), count };
    let publishing = to.publish(bodies, by);
    tokio::spawn(async move {
        let verdicts = publishing.await;
        inflight.member.send(encode(ids, verdicts));
        drop(inflight);
    });
}

fn encode(ids: Vec<Option<u64>>, verdicts: Vec<Result<Verdict, Refusal>>) -> Bytes {
    let mut frames = Vec::with_capacity(ids.len() * ACK_BYTES);
    let mut text = Vec::with_capacity(ACK_BYTES);
    let missing = || Err(Refusal::new("internal", "the publish was not answered"));
    let verdicts = verdicts.into_iter().chain(std::iter::repeat_with(missing));
    for (id, verdict) in ids.into_iter().zip(verdicts) {
        text.clear();
        match verdict {
            Ok(verdict) if verdict.rejected.is_empty() => put_plain(&mut text, id, &verdict),
            Ok(verdict) => put(
                &mut text,
                &ServerMessage::Ack(Ack {
                    id,
                    accepted: verdict.accepted,
                    duplicates: verdict.duplicates,
                    rejected: verdict.rejected,
                    rejected_total: verdict.rejected_total,
                }),
            ),
            Err(refusal) => put(&mut text, &error(id, None, refusal)),
        }
        wire_frame::put_text_header(&mut frames, text.len());
        frames.put_slice(&text);
    }
    frames.into()
}

fn put(text: &mut Vec<u8>, message: &ServerMessage) {
    serde_json::to_writer(text, message).expect("messages have string keys only");
}

/// The usual acknowledgement, as serde would write it.
fn put_plain(text: &mut Vec<u8>, id: Option<u64>, verdict: &Verdict) {
    let Verdict { accepted, duplicates, rejected_total, .. } = verdict;
    let written = (|| {
        text.write_all(b"{\"op\":\"ack\"")?;
        if let Some(id) = id {
            write!(text, ",\"id\":{id}")?;
        }
        write!(
            text,
            ",\"accepted\":{accepted},\"duplicates\":{duplicates},\"rejected\":[],\
             \"rejectedTotal\":{rejected_total}}}"
        )
    })();
    written.expect("a vector takes every write");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_to_write_an_acknowledgement_gives_the_same_bytes() {
        for id in [None, Some(7)] {
            let verdict = Verdict { accepted: 2, duplicates: 1, ..Verdict::default() };
            let (mut short, mut long) = (Vec::new(), Vec::new());
            put_plain(&mut short, id, &verdict);
            let ack = Ack { id, accepted: 2, duplicates: 1, ..Ack::default() };
            put(&mut long, &ServerMessage::Ack(ack));
            assert_eq!(short, long);
        }
    }

    #[test]
    fn a_publish_that_got_no_verdict_is_answered_all_the_same() {
        let frames = encode(vec![Some(1), Some(2)], vec![Ok(Verdict::default())]);
        let text = String::from_utf8_lossy(&frames);
        assert!(text.contains("\"id\":1") && text.contains("\"id\":2,\"code\":\"internal\""));
    }
}
