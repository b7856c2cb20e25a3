//! What is not as it should be, for every frame to say: put here by `app`, read by whoever makes a
//! frame of now. Decides nothing; what is looked back at never carries it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use pulseboard::wire::server::Notice;

/// The notices that hold now; clones are one board. Bounded by [`Notice::MOST`].
#[derive(Clone, Debug, Default)]
pub struct Board(Arc<ArcSwap<Vec<Notice>>>);

impl Board {
    /// Takes what holds from now on; past [`Notice::MOST`] the rest is left out.
    pub fn put(&self, mut notices: Vec<Notice>) {
        notices.truncate(Notice::MOST);
        if **self.0.load() != notices {
            self.0.store(Arc::new(notices));
        }
    }

    /// What holds now.
    pub fn read(&self) -> Vec<Notice> {
        (**self.0.load()).clone()
    }
}
