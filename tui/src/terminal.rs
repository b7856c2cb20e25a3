//! The terminal itself: what it can do, and taking it over and giving it back whole, also after a
//! panic or a suspend. Draws nothing.

use std::io::{self, BufWriter, Stdout, Write as _};

use crossterm::cursor::{Hide, Show};
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{execute, queue};
use ratatui::backend::CrosstermBackend;
use ratatui::{Frame, Terminal};
use rustix::process::{Signal, getpid, kill_process};

use crate::cli::{Charts, ThemeName};
use crate::theme::Depth;

/// A picture of 160 x 48 with colours fits, so that it leaves in one write.
const WRITE_BYTES: usize = 64 << 10;

type Backend = CrosstermBackend<BufWriter<Stdout>>;

/// The terminal while it is ours.
pub struct Screen {
    terminal: Terminal<Backend>,
    mouse: bool,
}

impl Screen {
    /// Takes the terminal over; gives it back when dropped and when something panics.
    pub fn enter() -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
        take_over()?;
        let backend = CrosstermBackend::new(BufWriter::with_capacity(WRITE_BYTES, io::stdout()));
        match Terminal::new(backend) {
            Ok(terminal) => Ok(Self { terminal, mouse: false }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// Columns and rows.
    pub fn size(&self) -> io::Result<(u16, u16)> {
        self.terminal.size().map(|size| (size.width, size.height))
    }

    /// Draws one picture; terminals that know synchronized updates show it in one piece.
    pub fn draw(&mut self, picture: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(picture)?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Draws the next picture in full, whatever the terminal shows.
    pub fn repaint(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// Whether clicks come to us; while they do, the terminal selects no text.
    pub fn listen_to_mouse(&mut self, mouse: bool) -> io::Result<()> {
        if mouse == self.mouse {
            return Ok(());
        }
        self.mouse = mouse;
        if mouse {
            execute!(self.terminal.backend_mut(), EnableMouseCapture)
        } else {
            execute!(self.terminal.backend_mut(), DisableMouseCapture)
        }
    }

    /// Gives the terminal back, stops the process as Ctrl-Z does everywhere, and takes the
    /// terminal over again once the shell continues it.
    pub fn suspend(&mut self) -> io::Result<()> {
        let mouse = self.mouse;
        self.listen_to_mouse(false)?;
        restore();
        kill_process(getpid(), Signal::TSTP)?;
        take_over()?;
        self.listen_to_mouse(mouse)?;
        self.repaint()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
        // Back to the default hook: it prints, and there is nothing to restore any more.
        if !std::thread::panicking() {
            drop(std::panic::take_hook());
        }
    }
}

fn take_over() -> io::Result<()> {
    enable_raw_mode()?;
    // A pasted text arrives as one event and not as keys.
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, Hide)
}

/// Leaves nothing behind. Errors are ignored: there is no better place to go from here.
fn restore() {
    let mut out = io::stdout();
    let _ = execute!(
        out,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Show
    );
    let _ = disable_raw_mode();
    let _ = out.flush();
}

/// How many colours there are, from the environment.
pub fn depth(variable: impl Fn(&str) -> Option<String>) -> Depth {
    let value = |name: &str| variable(name).unwrap_or_default();
    let term = value("TERM");
    let colorterm = value("COLORTERM");
    if !value("NO_COLOR").is_empty() || term == "dumb" || term.starts_with("vt1") {
        Depth::None
    } else if colorterm == "truecolor" || colorterm == "24bit" || term.ends_with("-direct") {
        Depth::True
    } else if term.contains("256color") {
        Depth::Indexed
    } else {
        Depth::Sixteen
    }
}

/// Braille where the terminal's encoding has it and its font is likely to.
pub fn charts(variable: impl Fn(&str) -> Option<String>) -> Charts {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    let is_utf8 = locale.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    });
    let is_console = set("TERM").is_some_and(|term| term == "linux" || term.starts_with("vt"));
    if is_utf8 && !is_console { Charts::Braille } else { Charts::Block }
}

/// Dark or light as far as the terminal tells; its own colours where it has few.
pub fn theme(depth: Depth, variable: impl Fn(&str) -> Option<String>) -> ThemeName {
    let is_light = variable("COLORFGBG")
        .and_then(|colours| colours.rsplit(';').next()?.parse::<u8>().ok())
        .is_some_and(|background| background == 7 || background >= 9);
    match depth {
        Depth::Sixteen | Depth::None => ThemeName::Terminal,
        _ if is_light => ThemeName::Light,
        _ => ThemeName::Dark,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn colours_follow_the_environment() {
        assert_eq!(depth(env(&[("TERM", "xterm-256color")])), Depth::Indexed);
        assert_eq!(depth(env(&[("TERM", "xterm"), ("COLORTERM", "truecolor")])), Depth::True);
        assert_eq!(depth(env(&[("TERM", "linux")])), Depth::Sixteen);
        let set = [("TERM", "xterm-256color"), ("COLORTERM", "truecolor"), ("NO_COLOR", "1")];
        assert_eq!(depth(env(&set)), Depth::None);
        assert_eq!(depth(env(&[("TERM", "xterm-256color"), ("NO_COLOR", "")])), Depth::Indexed);
    }

    #[test]
    fn braille_needs_utf8_and_a_font() {
        assert_eq!(charts(env(&[("LANG", "de_DE.UTF-8"), ("TERM", "xterm")])), Charts::Braille);
        assert_eq!(charts(env(&[("LC_ALL", "C"), ("LANG", "de_DE.UTF-8")])), Charts::Block);
        assert_eq!(charts(env(&[("LANG", "C.utf8"), ("TERM", "linux")])), Charts::Block);
    }

    #[test]
    fn a_light_terminal_gets_the_light_theme() {
        assert_eq!(theme(Depth::True, env(&[("COLORFGBG", "0;15")])), ThemeName::Light);
        assert_eq!(theme(Depth::True, env(&[("COLORFGBG", "15;0")])), ThemeName::Dark);
        assert_eq!(theme(Depth::Sixteen, env(&[])), ThemeName::Terminal);
    }
}
