//! The documents of one answer, batch by batch, handed from a task of the runtime to the thread that
//! asked. One batch is ahead; the server waits for who reads slowly.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use mongodb::bson::{RawDocument, RawDocumentBuf};
use mongodb::error::Error;
use tokio::sync::mpsc;

use super::super::queries::Find;
use super::super::reason::{Trouble, trouble};
use super::{Archive, ArchiveError, GRACE, WORKS_FOR};

/// Batches that came and are not taken yet.
const AHEAD: usize = 1;

/// How long the next batch of an answer without an end may take: what does not match is passed over.
const ENDLESS_WITHIN: Duration = Duration::from_mins(5);

type Batch = Result<RawDocumentBuf, Trouble>;

/// Made by [`Archive::find`].
pub(super) struct Documents<'a> {
    archive: &'a Archive,
    batches: Batches,
}

/// The same without who asked, to be kept.
pub(super) struct Batches {
    batches: mpsc::Receiver<Batch>,
    /// How long the next one may take.
    within: Duration,
}

impl Batches {
    /// With who asked.
    pub(super) fn of(self, archive: &Archive) -> Documents<'_> {
        Documents { archive, batches: self }
    }
}

impl Archive {
    /// Asks. A question without an end may take as long as there is progress.
    pub(super) fn find(&self, find: Find, is_endless: bool) -> Result<Documents<'_>, ArchiveError> {
        let (ready, slot) = (self.ready()?, self.slot()?);
        let (sender, batches) = mpsc::channel(AHEAD);
        self.0.runtime.spawn(async move {
            let _slot = slot;
            let collection = ready.database.collection::<RawDocumentBuf>(find.collection);
            if let Err(error) = run(&collection, find, is_endless, &sender).await {
                // Whoever asked may have left.
                let _ = sender.send(Err(trouble(&error))).await;
            }
        });
        let within = if is_endless { ENDLESS_WITHIN } else { WORKS_FOR + GRACE };
        Ok(Batches { batches, within }.of(self))
    }
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
    /// Gives each document of the next batch; `false` after the last.
    pub(super) fn next(
        &mut self,
        mut visit: impl FnMut(&RawDocument) -> Result<(), ArchiveError>,
    ) -> Result<bool, ArchiveError> {
        let within = self.batches.within;
        let batches = &mut self.batches.batches;
        let waited = async { tokio::time::timeout(within, batches.recv()).await };
        let batch = match self.archive.0.runtime.block_on(waited) {
            Ok(None) => return Ok(false),
            Ok(Some(Ok(batch))) => batch,
            Ok(Some(Err(trouble))) => return Err(self.archive.failed(&trouble)),
            Err(_) => {
                let problem = format!("the server does not answer within {} s", within.as_secs());
                return Err(self.archive.unavailable(&problem));
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
