//! The binary in a real terminal: a pseudo-terminal whose other end is read here.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use pulseboard_tui::clock;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

const PATIENCE: Duration = Duration::from_secs(20);

struct Tty {
    child: Child,
    keys: File,
    line: File,
    chunks: Receiver<Vec<u8>>,
    seen: String,
}

impl Tty {
    fn start(arguments: &[&str]) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
        let controller = openpt(flags).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
        let line = OpenOptions::new().read(true).write(true).open(name).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&line, size).unwrap();
        let end = || line.try_clone().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_pulseboard"))
            .args(arguments)
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .env_remove("NO_COLOR")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let keys = File::from(controller);
        let mut output = keys.try_clone().unwrap();
        let (sender, chunks) = sync_channel(1_024);
        std::thread::spawn(move || {
            let mut buffer = [0; 4_096];
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..length].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, line, chunks, seen: String::new() }
    }

    /// Reads until `text` was written since the last call.
    fn wait_for(&mut self, text: &str) {
        let start = clock::now();
        while !self.seen.contains(text) {
            let left = PATIENCE.saturating_sub(start.elapsed());
            let chunk = self.chunks.recv_timeout(left);
            let chunk = chunk.unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.seen));
            self.seen.push_str(&String::from_utf8_lossy(&chunk));
        }
        let end = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..end);
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.line).unwrap().local_modes.contains(LocalModes::ICANON)
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_terminal_is_given_back_as_it_was() {
    let start = clock::now();
    let mut tty = Tty::start(&["--url", "http://127.0.0.1:9"]);
    tty.wait_for("\u{1b}[?1049h");
    tty.wait_for("Not connected to http://127.0.0.1:9");
    println!("the first picture took {} ms", start.elapsed().as_millis());
    assert!(tty.is_raw());
    // Only cells that change are written, so one word of the sentence has to do.
    tty.press("x");
    tty.wait_for("nothing");
    tty.press("q");
    tty.wait_for("\u{1b}[?1049l");
    assert!(tty.child.wait().unwrap().success());
    assert!(!tty.is_raw());
}

#[test]
fn a_smaller_terminal_is_drawn_anew_and_ctrl_c_leaves() {
    let mut tty = Tty::start(&["--url", "http://127.0.0.1:9"]);
    tty.wait_for("Not connected");
    let size = Winsize { ws_row: 10, ws_col: 40, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&tty.line, size).unwrap();
    // No controlling terminal here, so the signal that goes with a resize is sent by hand.
    let child = rustix::process::Pid::from_child(&tty.child);
    rustix::process::kill_process(child, rustix::process::Signal::WINCH).unwrap();
    tty.wait_for("needs 60 x 16");
    tty.press("\u{3}");
    tty.wait_for("\u{1b}[?1049l");
    assert!(tty.child.wait().unwrap().success());
}
