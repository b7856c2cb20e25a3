//! The dashboard's loop: waits for keys, news and deadlines, hands them to the state one at a time,
//! carries out what it asks for, and draws when something visible changed. It alone knows the
//! terminal, the connection and the clock at once; it holds no knowledge of its own.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use crossterm::event::EventStream;
use futures_util::StreamExt as _;
use jiff::tz::TimeZone;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::{Charts, Cli, ThemeName};
use crate::clock;
use crate::connection::{self, Ask};
use crate::event::Event;
use crate::input::{self, Input, Report};
use crate::state::{Effect, Screen as Shown, Setup, State};
use crate::target::Target;
use crate::terminal::{self, Screen};
use crate::view::{self, Hits, Look};

/// With nothing due the loop still looks around this often.
const IDLE: Duration = Duration::from_hours(1);

/// What the command line says about the dashboard.
#[derive(Clone, Debug)]
pub struct Options {
    window: String,
    charts: Option<Charts>,
    theme: Option<ThemeName>,
}

impl Options {
    /// Takes them from the command line.
    pub fn from_cli(cli: &Cli) -> Self {
        Self { window: cli.window.clone(), charts: cli.charts, theme: cli.theme }
    }
}

/// Shows the dashboard until its reader leaves.
pub async fn run(target: Target, options: Options) -> anyhow::Result<ExitCode> {
    anyhow::ensure!(
        io::stdout().is_terminal() && io::stdin().is_terminal(),
        "the dashboard needs a terminal; for scripts: pulseboard --once --json"
    );
    let variable = |name: &str| std::env::var(name).ok();
    let depth = terminal::depth(variable);
    let look = Look {
        depth,
        charts: options.charts.unwrap_or_else(|| terminal::charts(variable)),
        zone: TimeZone::system(),
    };
    let mut screen = Screen::enter().context("could not take the terminal over")?;
    let setup = Setup {
        url: target.to_string(),
        authority: target.authority().to_owned(),
        window: options.window,
        theme: options.theme.unwrap_or_else(|| terminal::theme(depth, variable)),
        size: screen.size()?,
        start_unix_ms: clock::unix_ms(),
    };
    let start = clock::now();
    let connection = connection::start(target);
    let app =
        App { state: State::new(setup), look, hits: Hits::default(), asks: connection.asks, start };
    app.watch(&mut screen, connection.feed).await?;
    Ok(ExitCode::SUCCESS)
}

struct App {
    state: State,
    look: Look,
    hits: Hits,
    asks: mpsc::Sender<Ask>,
    start: Instant,
}

/// Whether to go on.
enum Next {
    Go,
    Leave,
}

impl App {
    async fn watch(
        mut self,
        screen: &mut Screen,
        mut feed: mpsc::Receiver<crate::event::Feed>,
    ) -> anyhow::Result<()> {
        let mut inputs = EventStream::new();
        let mut term = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        self.draw(screen)?;
        loop {
            let deadline = self
                .state
                .deadline_ms()
                .map_or(IDLE, |at| Duration::from_millis(at.saturating_sub(self.now_ms())));
            let event = tokio::select! {
                raw = inputs.next() => match raw {
                    Some(Ok(raw)) => self.read(&raw),
                    Some(Err(error)) => return Err(error).context("could not read the terminal"),
                    None => return Ok(()),
                },
                news = feed.recv() => match news {
                    Some(news) => Some(Event::Feed(news)),
                    None => anyhow::bail!("the connection's task ended; this is a fault of ours"),
                },
                () = tokio::time::sleep(deadline) => Some(Event::Time),
                _ = term.recv() => return Ok(()),
                _ = hangup.recv() => return Ok(()),
            };
            if let Some(event) = event
                && let Next::Leave = self.handle(event, screen)?
            {
                return Ok(());
            }
        }
    }

    /// Gives a click its meaning from what was drawn last.
    fn read(&self, raw: &crossterm::event::Event) -> Option<Event> {
        let input = match input::report(raw)? {
            Report::Input(input) => input,
            Report::Press { x, y } => Input::Click(self.hits.at(x, y)?),
        };
        Some(Event::Input(input))
    }

    fn handle(&mut self, event: Event, screen: &mut Screen) -> anyhow::Result<Next> {
        let reaction = self.state.update(event, self.now_ms());
        match reaction.effect {
            None => {}
            Some(Effect::Quit) => return Ok(Next::Leave),
            Some(Effect::Suspend) => screen.suspend()?,
            Some(Effect::Repaint) => screen.repaint()?,
            // A full queue means the connection has as many wishes as it can use.
            Some(Effect::Retry) => drop(self.asks.try_send(Ask::Retry)),
            Some(Effect::Demo(on)) => drop(self.asks.try_send(Ask::Demo(on))),
            Some(Effect::Figures(on)) => drop(self.asks.try_send(Ask::Figures(on))),
            Some(Effect::Token(token)) => drop(self.asks.try_send(Ask::Token(token))),
        }
        if reaction.redraw {
            self.draw(screen)?;
        }
        Ok(Next::Go)
    }

    fn draw(&mut self, screen: &mut Screen) -> anyhow::Result<()> {
        // A line to copy must be selectable, and the middle button pastes: no mouse for us then.
        screen.listen_to_mouse(!self.state.is_first_run() && self.state.field.is_none())?;
        let (state, look) = (&self.state, &self.look);
        let mut hits = Hits::default();
        screen.draw(|frame| hits = view::draw(frame, state, look))?;
        if self.state.screen == Shown::System {
            let scroll_max = hits.scroll_max();
            self.state.update(Event::Drawn { scroll_max }, self.now_ms());
        }
        self.hits = hits;
        Ok(())
    }

    /// The state's clock: ms since the start.
    fn now_ms(&self) -> u64 {
        clock::now().duration_since(self.start).as_millis() as u64
    }
}
