//! What the dashboard knows, and how each [`Event`] changes it. Updating is pure: no clock, no
//! terminal, no socket; `app` hands in events with the time and carries out the [`Effect`]s. The
//! view reads it and never writes. Never names ratatui or crossterm.

mod actions;
pub mod field;
pub mod figures;
pub mod held;
pub mod keys;
pub mod link;
pub mod picture;
pub mod routes;
pub mod scale;
pub mod series;
pub mod system;
mod token;
pub mod words;

use std::sync::Arc;

use pulseboard::wire::server::{self, AuthState, Nodes, Welcome};

use crate::cli::ThemeName;
use crate::event::{Event, Feed, Frame};
use crate::token::Token;
use field::Field;
use figures::Figures;
use held::Held;
pub use link::Link;
pub use picture::{Measure, Picture};
use routes::Routes;

/// How long a key without a meaning is answered for.
const NOTICE_MS: u64 = 2_000;
/// How long a refusal stands.
const REFUSAL_MS: u64 = 6_000;
/// How long merged ticks are told of.
const LAG_MS: u64 = 10_000;
/// After this long without a frame the picture counts as old.
const STALE_MS: u64 = 3_000;
/// Windows kept; a daemon has a handful.
const WINDOWS_MAX: usize = 9;

/// What the loop must do after an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Leave.
    Quit,
    /// Give the terminal back and stop until continued.
    Suspend,
    /// Clear the terminal before the next draw.
    Repaint,
    /// Connect now.
    Retry,
    /// Start or stop demo traffic.
    Demo(bool),
    /// Start or stop reading the daemon's own figures.
    Figures(bool),
    /// Go on with this token.
    Token(Token),
}

/// What came of an update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reaction {
    /// Whether anything visible may have changed.
    pub redraw: bool,
    /// What is to be done.
    pub effect: Option<Effect>,
}

impl Reaction {
    fn redraw() -> Self {
        Self { redraw: true, effect: None }
    }

    fn with(effect: Effect) -> Self {
        Self { redraw: true, effect: Some(effect) }
    }
}

/// What stands between title and foot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// The windows' numbers.
    Overview,
    /// What is not as it should be, in full, and the daemon's own figures.
    System,
}

/// What fits the terminal's size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Four charts and the routes: from 80x24.
    Full,
    /// One line of numbers, one chart, the routes: from 60x16.
    Compact,
    /// Nothing sensible.
    TooSmall,
}

impl Shape {
    /// What fits so many columns and rows.
    pub fn of(width: u16, height: u16) -> Self {
        match (width, height) {
            (80.., 24..) => Self::Full,
            (60.., 16..) => Self::Compact,
            _ => Self::TooSmall,
        }
    }
}

/// A sentence at the foot of the screen, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The sentence.
    pub text: String,
    /// Whether it is a refusal.
    pub bad: bool,
    until_ms: u64,
}

/// What the state starts from.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `http://host:port`.
    pub url: String,
    /// `host:port`.
    pub authority: String,
    /// The window to start with.
    pub window: String,
    /// The theme to start with.
    pub theme: ThemeName,
    /// Columns and rows.
    pub size: (u16, u16),
    /// Wall time when the state's clock was 0, Unix ms.
    pub start_unix_ms: i64,
}

/// Everything that is known.
#[derive(Clone, Debug)]
pub struct State {
    /// Where it connects to, and what was asked for at the start.
    pub setup: Setup,
    /// The connection.
    pub link: Link,
    /// The daemon's introduction, the last one.
    pub welcome: Option<Arc<Welcome>>,
    /// The colours.
    pub theme: ThemeName,
    /// What stands between title and foot.
    pub screen: Screen,
    /// The daemon's own figures, while the System screen is open.
    pub figures: Figures,
    /// How many rows the System screen is scrolled down by.
    pub scrolled: usize,
    /// The chart of the compact layout.
    pub chart: Measure,
    /// The routes' order and selection.
    pub routes: Routes,
    /// Whether the help is open.
    pub help: bool,
    /// The field for a token, while it is open.
    pub field: Option<Field>,
    /// Whether demo traffic runs.
    pub demo: bool,
    /// A sentence at the foot.
    pub notice: Option<Notice>,
    /// Why the last attempt to connect failed, until one succeeds.
    pub lost: Option<String>,
    /// Ticks merged for us in all.
    pub lagged_total: u64,
    live: Vec<Picture>,
    paused: Option<Vec<Picture>>,
    window: usize,
    lagged: Option<(u64, u64)>,
    size: (u16, u16),
    now_ms: u64,
    frame_ms: u64,
    /// The token in use, and when that was heard.
    held: Option<(Held, u64)>,
    /// How far down it may be scrolled, as it was drawn last.
    scroll_max: usize,
    /// Whether there were ever several instances.
    is_cluster: bool,
}

impl State {
    /// Nothing known yet.
    pub fn new(setup: Setup) -> Self {
        Self {
            link: Link::Connecting { attempt: 1 },
            welcome: None,
            theme: setup.theme,
            screen: Screen::Overview,
            figures: Figures::default(),
            scrolled: 0,
            chart: Measure::Events,
            routes: Routes::default(),
            help: false,
            field: None,
            demo: false,
            notice: None,
            lost: None,
            lagged_total: 0,
            live: Vec::new(),
            paused: None,
            window: 0,
            lagged: None,
            size: setup.size,
            now_ms: 0,
            frame_ms: 0,
            held: None,
            scroll_max: 1_000,
            is_cluster: false,
            setup,
        }
    }

    /// Takes one event at a time, ms on any steady clock.
    pub fn update(&mut self, event: Event, now_ms: u64) -> Reaction {
        self.now_ms = now_ms;
        if self.notice.as_ref().is_some_and(|notice| notice.until_ms <= now_ms) {
            self.notice = None;
        }
        if self.lagged.is_some_and(|(_, until_ms)| until_ms <= now_ms) {
            self.lagged = None;
        }
        match event {
            Event::Time => Reaction::redraw(),
            Event::Drawn { scroll_max } => {
                self.scroll_max = scroll_max;
                self.scrolled = self.scrolled.min(scroll_max);
                Reaction::default()
            }
            Event::Feed(feed) => self.feed(feed),
            Event::Input(input) => self.input(input),
        }
    }

    /// When something visible changes by itself, if anything will.
    pub fn deadline_ms(&self) -> Option<u64> {
        let stale = (self.link == Link::Live && self.frame_ms > 0).then(|| {
            let age_ms = self.now_ms.saturating_sub(self.frame_ms);
            self.frame_ms + STALE_MS.max((age_ms / 1_000 + 1) * 1_000)
        });
        [
            self.notice.as_ref().map(|notice| notice.until_ms),
            self.lagged.map(|(_, until_ms)| until_ms),
            self.link.next_change_ms(self.now_ms),
            self.token_changes_ms(),
            stale,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The windows, as shown: held ones while paused.
    pub fn pictures(&self) -> &[Picture] {
        self.paused.as_ref().unwrap_or(&self.live)
    }

    /// The chosen window, once it has numbers.
    pub fn shown(&self) -> Option<&Picture> {
        self.pictures().get(self.window).filter(|picture| picture.aggregate.is_some())
    }

    /// The chosen window's place.
    pub fn window(&self) -> usize {
        self.window
    }

    /// Whether the picture is held.
    pub fn is_paused(&self) -> bool {
        self.paused.is_some()
    }

    /// While paused: how far behind live, seconds.
    pub fn behind_secs(&self) -> Option<i64> {
        let held = self.paused.as_ref()?.get(self.window)?.tick()?;
        let live = self.live.iter().filter_map(Picture::tick).max()?;
        Some((live - held).max(0))
    }

    /// Whether nobody ever sent an event.
    pub fn is_first_run(&self) -> bool {
        self.link == Link::Live
            && !self.live.is_empty()
            && self.live.iter().all(Picture::never_counted)
    }

    /// Whether the daemon lets anyone on this machine do anything.
    pub fn is_dev_mode(&self) -> bool {
        self.welcome.as_ref().is_some_and(|welcome| welcome.auth == AuthState::Dev)
    }

    /// Whether there is no picture, nor any hope that one comes at once.
    pub fn is_without_daemon(&self) -> bool {
        let failed = match self.link {
            Link::Waiting { .. } | Link::Denied { .. } => true,
            Link::Connecting { .. } => self.lost.is_some(),
            Link::Live => false,
        };
        failed && self.shown().is_none()
    }

    /// Whether demo traffic may be sent.
    pub fn may_demo(&self) -> bool {
        self.is_dev_mode() && self.link == Link::Live
    }

    /// Whether there are routes to sort and select.
    pub fn has_routes(&self) -> bool {
        self.shown()
            .and_then(|picture| picture.aggregate.as_ref())
            .is_some_and(|aggregate| !aggregate.top_routes.is_empty())
    }

    /// What the daemon says is not as it should be; of now, also while the picture is held.
    pub fn notices(&self) -> &[server::Notice] {
        let newest = self.newest().map(|aggregate| &*aggregate.notices);
        newest.unwrap_or_default()
    }

    /// Instances in the numbers now, and how many there are.
    pub fn nodes(&self) -> Option<Nodes> {
        self.newest().map(|aggregate| aggregate.nodes)
    }

    /// Whether there were ever several instances: then what is said of them keeps its place.
    pub fn is_cluster(&self) -> bool {
        self.is_cluster
    }

    fn newest(&self) -> Option<&server::Aggregate> {
        let newest = self.live.iter().filter_map(|picture| picture.aggregate.as_deref());
        newest.max_by_key(|aggregate| aggregate.tick)
    }

    /// What fits the terminal.
    pub fn shape(&self) -> Shape {
        Shape::of(self.size.0, self.size.1)
    }

    /// Ticks just merged for us, while that is news.
    pub fn lagged(&self) -> Option<u64> {
        self.lagged.map(|(ticks, _)| ticks)
    }

    /// Seconds since the last frame, once that is unusual.
    pub fn stale_secs(&self) -> Option<u64> {
        let age_ms = self.now_ms.saturating_sub(self.frame_ms);
        (self.link == Link::Live && self.frame_ms > 0 && age_ms >= STALE_MS)
            .then_some(age_ms / 1_000)
    }

    /// Whole seconds until the next attempt to connect.
    pub fn retry_in_secs(&self) -> Option<u64> {
        self.link.retry_in_secs(self.now_ms)
    }

    fn feed(&mut self, feed: Feed) -> Reaction {
        match feed {
            Feed::Connecting { attempt } => self.link = Link::Connecting { attempt },
            Feed::Waiting { attempt, reason, retry_ms } => {
                let retry_at_ms = self.now_ms + retry_ms;
                self.lost = Some(reason);
                self.link = Link::Waiting { attempt, retry_at_ms };
            }
            Feed::Denied(denial) => self.denied(denial),
            Feed::Token(held) => self.held = held.map(|held| (held, self.now_ms)),
            Feed::TokenRefused { reason } => self.token_refused(&reason),
            Feed::OtherSite => {
                self.live.clear();
                self.paused = None;
            }
            Feed::Figures(Ok(metrics)) => {
                self.figures.read(metrics, self.now_ms);
                return Reaction { redraw: self.screen == Screen::System, effect: None };
            }
            Feed::Figures(Err(reason)) => self.figures.failed(reason),
            Feed::Refused { message } => self.say(message, true, REFUSAL_MS),
            Feed::Welcome(welcome) => self.welcome(welcome),
            Feed::Frame(frame) => return self.frame(*frame),
        }
        Reaction::redraw()
    }

    fn welcome(&mut self, welcome: Arc<Welcome>) {
        let first = self.welcome.is_none();
        let chosen = self.live.get(self.window).map(|picture| picture.window.to_string());
        let wanted = chosen.unwrap_or_else(|| self.setup.window.clone());
        let mut old = std::mem::take(&mut self.live);
        for name in welcome.windows.iter().take(WINDOWS_MAX) {
            let held = old.iter().position(|picture| *picture.window == **name);
            self.live.push(match held {
                Some(place) => old.swap_remove(place),
                None => Picture::new(name.as_str().into()),
            });
        }
        if let Some(place) = self.live.iter().position(|picture| *picture.window == *wanted) {
            self.window = place;
        } else {
            self.window = 0;
            if first {
                let known = welcome.windows.join(", ");
                self.say(format!("no window {wanted} here, only {known}"), true, REFUSAL_MS);
            }
        }
        if self.paused.as_ref().is_some_and(|held| held.len() != self.live.len()) {
            self.paused = None;
        }
        self.frame_ms = self.now_ms.max(1);
        self.token_taken();
        self.link = Link::Live;
        self.lost = None;
        // Made-up traffic is for a daemon that is made to play with; this one may have changed.
        self.demo &= welcome.auth == AuthState::Dev;
        self.welcome = Some(welcome);
    }

    fn frame(&mut self, frame: Frame) -> Reaction {
        let place = self.live.iter().position(|picture| picture.window == frame.window);
        let Some(place) = place else { return Reaction::default() };
        self.frame_ms = self.now_ms.max(1);
        if frame.lagged > 0 && place == self.window {
            self.lagged_total = self.lagged_total.saturating_add(frame.lagged);
            self.lagged = Some((frame.lagged, self.now_ms + LAG_MS));
        }
        self.is_cluster |= frame.aggregate.nodes.expected > 1;
        self.live[place].apply(frame);
        Reaction { redraw: place == self.window, effect: None }
    }

    fn say(&mut self, text: String, bad: bool, for_ms: u64) {
        self.notice = Some(Notice { text, bad, until_ms: self.now_ms + for_ms });
    }
}

#[cfg(test)]
mod tests;
