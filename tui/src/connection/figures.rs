//! Reads the daemon's own figures over REST while somebody looks at them: one question at a time, in
//! a task of its own, so that frames never wait for it.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::event::Feed;
use crate::rest::{self, AskError};
use crate::state::figures::Metrics;
use crate::target::Target;
use crate::token::Token;

/// What is asked for: every figure is part of one answer.
const PATH: &str = "/metrics";

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Reader {
    wanted: bool,
    asking: Option<JoinHandle<()>>,
}

impl Reader {
    pub(super) fn set(&mut self, on: bool) {
        self.wanted = on;
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Asks, unless an answer is still waited for.
    pub(super) fn read(
        &mut self,
        target: &Target,
        token: Option<&Token>,
        news: &mpsc::Sender<Feed>,
    ) {
        if self.asking.as_ref().is_some_and(|asking| !asking.is_finished()) {
            return;
        }
        let (target, token, news) = (target.clone(), token.cloned(), news.clone());
        self.asking = Some(tokio::spawn(async move {
            let answer = rest::get_with(&target, token.as_ref(), PATH).await;
            let figures = match answer {
                Ok(body) => serde_json::from_slice::<Metrics>(&body)
                    .map(Arc::new)
                    .map_err(|_| "the daemon's figures cannot be read".to_owned()),
                Err(AskError::Refused { detail, .. }) => Err(detail),
                Err(error) => Err(error.to_string()),
            };
            // The dashboard may be gone.
            let _ = news.send(Feed::Figures(figures)).await;
        }));
    }
}
