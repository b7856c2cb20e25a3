//! Everything that can change what the dashboard shows, as one closed set. The loop in `app`
//! receives them in order and hands each to [`crate::state::State::update`]; nothing else does.

use std::sync::Arc;

use pulseboard::wire::server::{Aggregate, History, Welcome};

use crate::input::Input;
use crate::socket::Denial;
use crate::state::figures::Metrics;
use crate::state::held::Held;

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The person at the keyboard did something.
    Input(Input),
    /// The connection has news.
    Feed(Feed),
    /// The System screen was drawn, and how many rows of it did not fit.
    Drawn {
        /// How far down it may be scrolled.
        scroll_max: usize,
    },
    /// A moment the state asked to be woken at has come.
    Time,
}

/// News of the connection.
#[derive(Clone, Debug)]
pub enum Feed {
    /// An attempt to connect begins; the first is 1.
    Connecting {
        /// Counted since a snapshot last arrived.
        attempt: u32,
    },
    /// The attempt failed, or the connection was lost.
    Waiting {
        /// The attempt that will come next.
        attempt: u32,
        /// Why, as a clause.
        reason: String,
        /// Until it comes.
        retry_ms: u64,
    },
    /// The daemon introduced itself.
    Welcome(Arc<Welcome>),
    /// A window moved to a tick.
    Frame(Box<Frame>),
    /// The daemon will not have us as we are: no use to come back the same.
    Denied(Denial),
    /// The token in use from now on; none in dev mode.
    Token(Option<Held>),
    /// A token given meanwhile was not taken; the one before goes on.
    TokenRefused {
        /// What the daemon said, as a clause.
        reason: String,
    },
    /// What comes now is of another site: nothing shown so far belongs to it.
    OtherSite,
    /// The daemon's own figures, or why there are none, as a clause.
    Figures(Result<Arc<Metrics>, String>),
    /// The daemon refused something asked for; the connection stays.
    Refused {
        /// Its sentence.
        message: String,
    },
}

/// A window at a tick: its numbers, and what became known of earlier ticks.
#[derive(Clone, Debug)]
pub struct Frame {
    /// `5s`.
    pub window: Arc<str>,
    /// The tick.
    pub tick: i64,
    /// Its numbers.
    pub aggregate: Aggregate,
    /// The ticks missed, or the last 300 at first.
    pub history: Option<History>,
    /// Earlier ticks that changed.
    pub corrections: Option<History>,
    /// Ticks the daemon merged into this one because nobody read them in time.
    pub lagged: u64,
}
