//! The documents of one answer, batch by batch, handed from a task of the runtime to the thread that
//! asked. One batch is ahead; the server waits for who reads slowly.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use mongodb::bson::{RawDocument, RawDocumentBuf};
use mongodb::error::Error;
use tokio::sync::{mpsc, watch};

use super::super::State;
use super::super::queries::Find;
use super::super::reason::{Trouble, trouble};
use super::{Archive, ArchiveError, GRACE, WORKS_FOR};

/// Batches that came and are not taken yet.
const AHEAD: usize = 1;

/// How long the next batch of an answer without an end may take: what does not match is passed over.
const ENDLESS_WITHIN: Duration = Duration::from_mins(5);
/// How long the first batch of such an answer is waited for before the answer begins: longer than it
/// takes to find out that the store no longer answers.
const BEGINS_WITHIN: Duration = Duration::from_secs(8);

type Batch = Result<RawDocumentBuf, Trouble>;

/// Made by [`Archive::find`].
pub(super) struct Documents<'a> {
    archive: &'a Archive,
    batches: Batches,
}

/// The same without who asked, to be kept.
pub(super) struct Batches {
    coming: mpsc::Receiver<Batch>,
    /// One that came and was not looked at.
    first: Option<RawDocumentBuf>,
    /// When the whole answer must be there, as [`crate::clock::Clock::elapsed`]; none: the next batch
    /// may take [`ENDLESS_WITHIN`].
    until: Option<Duration>,
}

impl Batches {
    /// With who asked.
    pub(super) fn of(self, archive: &Archive) -> Documents<'_> {
        Documents { archive, batches: self }
    }
}

impl Archive {
    /// When a question that is asked now must be answered.
    pub(super) fn until(&self) -> Duration {
        self.0.clock.elapsed() + WORKS_FOR + GRACE
    }

    /// Asks. A question without an end (no `until`) may take as long as there is progress.
    pub(super) fn find(
        &self,
        find: Find,
        until: Option<Duration>,
    ) -> Result<Documents<'_>, ArchiveError> {
        let (ready, slot) = (self.ready()?, self.slot()?);
        let (sender, batches) = mpsc::channel(AHEAD);
        let is_endless = until.is_none();
        self.0.runtime.spawn(async move {
            let _slot = slot;
            let collection = ready.database.collection::<RawDocumentBuf>(find.collection);
            if let Err(error) = run(&collection, find, is_endless, &sender).await {
                // Whoever asked may have left.
                let _ = sender.send(Err(trouble(&error))).await;
            }
        });
        Ok(Batches { coming: batches, first: None, until }.of(self))
    }
}

/// What waiting for a batch came to.
enum Came {
    Batch(Option<Batch>),
    /// The store is away.
    Away,
    /// The daemon is about to end.
    Closed,
    /// It took too long.
    Late,
}

/// Waits until the store cannot be asked.
async fn away(mut state: watch::Receiver<State>) {
    let _ = state.wait_for(|state| !matches!(state, State::Ready(_))).await;
}

async fn run(
    collection: &mongodb::Collection<RawDocumentBuf>,
    find: Find,
    is_endless: bool,
    sender: &mpsc::Sender<Batch>,
) -> Result<(), Error> {
    let hint = mongodb::options::Hint::Keys(find.hint);
    let mut asked = collection.find(find.filter).hint(hint).batch_size(find.batch_size);
    if !find.sort.is_empty() {
        asked = asked.sort(find.sort);
    }
    if !find.projection.is_empty() {
        asked = asked.projection(find.projection);
    }
    if find.limit > 0 {
        asked = asked.limit(find.limit);
    }
    if !is_endless {
        asked = asked.max_time(WORKS_FOR);
    }
    let mut cursor = asked.batch().await?;
    while let Some(batch) = cursor.try_next().await? {
        if sender.send(Ok(batch.as_raw_document().to_owned())).await.is_err() {
            break;
        }
    }
    Ok(())
}

impl Documents<'_> {
    /// Waits for the first batch; a store that no longer answers is an error. What takes longer than
    /// that to be found may still come.
    pub(super) fn begin(&mut self) -> Result<(), ArchiveError> {
        match self.wait(BEGINS_WITHIN, true) {
            Came::Late => Ok(()),
            came => {
                self.batches.first = self.came(came, BEGINS_WITHIN)?;
                Ok(())
            }
        }
    }

    fn wait(&mut self, within: Duration, heeds_away: bool) -> Came {
        let inner = &self.archive.0;
        let (state, mut closed) = (inner.mongo.watch(), inner.closed.subscribe());
        let coming = &mut self.batches.coming;
        inner.runtime.block_on(async {
            tokio::select! {
                biased;
                batch = coming.recv() => Came::Batch(batch),
                _ = closed.wait_for(|closed| *closed) => Came::Closed,
                () = away(state), if heeds_away => Came::Away,
                () = tokio::time::sleep(within) => Came::Late,
            }
        })
    }

    fn came(&self, came: Came, within: Duration) -> Result<Option<RawDocumentBuf>, ArchiveError> {
        match came {
            Came::Batch(Some(Ok(batch))) => Ok(Some(batch)),
            Came::Batch(None) => Ok(None),
            Came::Batch(Some(Err(trouble))) => Err(self.archive.failed(&trouble)),
            Came::Away => {
                let away = self.archive.ready().err();
                Err(away.unwrap_or_else(|| self.archive.unavailable("it went away meanwhile")))
            }
            Came::Closed => Err(self.archive.unavailable("not asked any more: the daemon stops")),
            Came::Late => {
                let problem = format!("the server does not answer within {} s", within.as_secs());
                Err(self.archive.unavailable(&problem))
            }
        }
    }

    /// Gives each document of the next batch; `false` after the last.
    pub(super) fn next(
        &mut self,
        mut visit: impl FnMut(&RawDocument) -> Result<(), ArchiveError>,
    ) -> Result<bool, ArchiveError> {
        let batch = match (self.batches.first.take(), self.batches.until) {
            (Some(first), _) => first,
            (None, until) => {
                let elapsed = self.archive.0.clock.elapsed();
                let left = until.map(|until| until.saturating_sub(elapsed));
                // What is under way without an end may outlive a pause of the store's.
                let came = self.wait(left.unwrap_or(ENDLESS_WITHIN), until.is_some());
                let within = until.map_or(ENDLESS_WITHIN, |_| WORKS_FOR + GRACE);
                match self.came(came, within)? {
                    Some(batch) => batch,
                    None => return Ok(false),
                }
            }
        };
        let damaged = |_| self.archive.unavailable("the server's answer is damaged");
        let cursor = batch.get_document("cursor").map_err(damaged)?;
        let documents = cursor.get_array("firstBatch").or_else(|_| cursor.get_array("nextBatch"));
        for document in documents.map_err(damaged)? {
            let document =
                document.map_err(|_| self.archive.unavailable("a document is damaged"))?;
            if let Some(document) = document.as_document() {
                visit(document)?;
            }
        }
        Ok(true)
    }

    /// To go on later.
    pub(super) fn into_batches(self) -> Batches {
        self.batches
    }

    /// Gives each document.
    pub(super) fn each(
        mut self,
        mut visit: impl FnMut(&RawDocument) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        while self.next(&mut visit)? {}
        Ok(())
    }
}
