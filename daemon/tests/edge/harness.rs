//! A daemon that takes tokens, the neighbour beside it, and rows with their exact answers.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;

use serde_json::Value;

use crate::client::{Dial, Heard, Request, Socket};
use crate::neighbour::Neighbour;
use crate::support::{Answer, Daemon, eventually, plain, token};

/// A table that is being gone through.
pub(crate) struct Edge {
    pub(crate) daemon: Daemon,
    neighbour: Option<Neighbour>,
    rows: usize,
    failures: String,
    folder: tempfile::TempDir,
}

/// The exact answer to a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expect {
    status: u16,
    code: Option<&'static str>,
    headers: Vec<(&'static str, String)>,
    without: Vec<&'static str>,
}

impl Expect {
    pub(crate) fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A problem document with this code.
    pub(crate) fn problem(status: u16, code: &'static str) -> Self {
        Self { status, code: Some(code), ..Self::default() }
    }

    /// A header that must be there and begin with this.
    pub(crate) fn header(mut self, name: &'static str, starts: &str) -> Self {
        self.headers.push((name, starts.to_owned()));
        self
    }

    /// A header that must not be there.
    pub(crate) fn without(mut self, name: &'static str) -> Self {
        self.without.push(name);
        self
    }

    /// No answer at all: the connection is closed.
    pub(crate) fn closed() -> Self {
        Self::default()
    }

    pub(crate) fn check(&self, answer: Option<&Answer>) -> Result<(), String> {
        let Some(answer) = answer else {
            if self.status == 0 {
                return Ok(());
            }
            return Err(format!("expected {}, but there was no answer", self.status));
        };
        let start = || answer.text().chars().take(300).collect::<String>();
        let shown = || format!("{}\n{}", answer.head, start());
        if answer.status != self.status {
            return Err(format!("expected {}, got {}", self.status, shown()));
        }
        if let Some(code) = self.code {
            let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let is_problem = answer.header("content-type") == Some("application/problem+json");
            if document["code"] != code || document["status"] != self.status || !is_problem {
                return Err(format!("expected the code {code}, got {}", shown()));
            }
        }
        if let Some(name) = self.without.iter().find(|name| answer.header(name).is_some()) {
            return Err(format!("expected no {name}, got {}", shown()));
        }
        for (name, starts) in &self.headers {
            if !answer.header(name).is_some_and(|value| value.starts_with(starts.as_str())) {
                return Err(format!("expected {name}: {starts}…, got {}", shown()));
            }
        }
        Ok(())
    }
}

/// What a socket must meet with.
#[derive(Clone, Debug)]
pub(crate) enum Meets {
    /// No socket: this answer.
    Refused(Expect),
    /// A welcome with these `auth` and `scope`, as the last of so many as there are messages.
    Welcome(&'static str, &'static str),
    /// An `error` with this code; the socket stays and answers a ping.
    Error(&'static str),
    /// An `error` with this code, then this close code.
    Ended(&'static str, u16),
    /// This close code.
    Closed(u16),
    /// A close frame without a code.
    ClosedPlainly,
    /// The connection ends without a close frame.
    Dropped,
    /// A pong, sooner or later.
    Pong,
}

impl Edge {
    /// A daemon with the scenarios' secret and a neighbour. `settings` are environment variables.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        Self::with_key(&[("PULSEBOARD_AUTH__SECRET", token::SECRET)], settings, true)
    }

    /// A daemon with another key, which no neighbour has a token for.
    pub(crate) fn with_public_key(pem: &str, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("public.pem");
        std::fs::write(&path, pem).unwrap();
        let path = path.display().to_string();
        Self::with_key(&[("PULSEBOARD_AUTH__PUBLIC_KEY_FILE", &path)], settings, false)
    }

    /// A daemon whose settings would let no neighbour in.
    pub(crate) fn with_settings_and_no_neighbour(settings: &[(&str, &str)]) -> Self {
        Self::with_key(&[], settings, false)
    }

    /// A daemon whose settings stand in a file, to be read again; beside it the neighbour, whose
    /// tokens are signed with the secret in the file `secret` beside it.
    pub(crate) fn with_config(toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("secret"), token::SECRET).unwrap();
        std::fs::write(folder.path().join("pulseboard.toml"), toml).unwrap();
        let mut command = plain();
        command.current_dir(folder.path()).args(["--bind", "127.0.0.1:0"]);
        let daemon = Daemon::spawn(command);
        let neighbour = Some(Neighbour::start(daemon.address));
        Self { daemon, neighbour, rows: 0, failures: String::new(), folder }
    }

    /// Writes a file beside the settings, or the settings.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Has the settings read again, and waits until the log says so; what it says.
    pub(crate) fn reload(&self) -> String {
        let before = self.daemon.stderr().len();
        self.daemon.hang_up();
        eventually("the settings are read again", || {
            let said = self.daemon.stderr()[before..].to_owned();
            let over = said.contains("the configuration was read again")
                || said.contains("the configuration stays as it was");
            over.then_some(())
        });
        self.daemon.stderr()[before..].to_owned()
    }

    fn with_key(key: &[(&str, &str)], settings: &[(&str, &str)], neighbour: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // A table is more than a client usually asks in a minute.
        let mut all = vec![("PULSEBOARD_LIMITS__API_PER_MINUTE", "1000000")];
        all.extend_from_slice(key);
        all.extend_from_slice(settings);
        let daemon = Daemon::start_with(folder.path(), &all);
        let neighbour = neighbour.then(|| Neighbour::start(daemon.address));
        Self { daemon, neighbour, rows: 0, failures: String::new(), folder }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.daemon.address
    }

    /// A row of any kind.
    pub(crate) fn row(&mut self, name: &str, row: impl FnOnce(&Self) -> Result<(), String>) {
        self.rows += 1;
        let outcome = row(self);
        let trouble = self.neighbour.as_ref().and_then(Neighbour::trouble);
        if let Err(failure) = outcome {
            let _ = writeln!(self.failures, "- {name}: {failure}");
        }
        if let Some(trouble) = trouble {
            let failures = &self.failures;
            panic!("{failures}\nby the row {name:?} the neighbour had suffered: {trouble}");
        }
    }

    /// A request and its answer.
    pub(crate) fn rest(&mut self, name: &str, request: &Request, expect: &Expect) {
        self.row(name, |edge| expect.check(request.send(edge.address()).as_ref()));
    }

    /// A socket, what is said over it after its welcome, and what that meets with.
    pub(crate) fn socket(&mut self, name: &str, dial: &Dial, messages: &[String], meets: &Meets) {
        self.row(name, |edge| match (dial.open(edge.address()), meets) {
            (Err(answer), Meets::Refused(expect)) => expect.check(Some(&answer)),
            (Err(answer), _) => Err(format!("refused by {}\n{}", answer.head, answer.text())),
            (Ok(_), Meets::Refused(expect)) => Err(format!("expected {}", expect.status)),
            (Ok(mut socket), meets) => {
                for message in messages {
                    socket.say(message);
                }
                met(&mut socket, meets, messages)
            }
        });
    }

    /// A socket, the bytes that follow its welcome, and what they meet with.
    pub(crate) fn bytes(&mut self, name: &str, dial: &Dial, bytes: &[u8], meets: &Meets) {
        self.row(name, |edge| {
            let mut socket = dial.open(edge.address()).map_err(|answer| answer.head)?;
            let mut writer = socket.handle();
            let bytes = bytes.to_vec();
            // It is written while the answers are read, however many there are on either side.
            let writing = std::thread::spawn(move || writer.write_all(&bytes));
            let outcome = met(&mut socket, meets, &[]);
            socket.hang_up();
            let _ = writing.join();
            outcome
        });
    }

    /// Ends the table: nothing failed, and the neighbour lives on.
    pub(crate) fn finish(mut self) {
        let trouble = self.neighbour.take().map(Neighbour::finish);
        let rows = self.rows;
        assert!(self.failures.is_empty(), "of {rows} rows these failed:\n{}", self.failures);
        match trouble {
            Some(Err(trouble)) => panic!("the neighbour suffered: {trouble}"),
            Some(Ok(what)) => println!("{rows} rows; the neighbour kept {what}"),
            None => println!("{rows} rows"),
        }
    }
}

fn met(socket: &mut Socket, meets: &Meets, messages: &[String]) -> Result<(), String> {
    let expect = |heard: Heard, what: &str, holds: &dyn Fn(&Heard) -> bool| {
        if holds(&heard) { Ok(()) } else { Err(format!("expected {what}, heard {heard:?}")) }
    };
    let field = |heard: &Heard, name: &str, value: &str| matches!(heard, Heard::Message(message) if message[name] == value);
    let last = |socket: &mut Socket| loop {
        match socket.hear() {
            Heard::Message(_) => {}
            heard => return heard,
        }
    };
    let closed = |socket: &mut Socket, code: u16| {
        expect(
            last(socket),
            &format!("close {code}"),
            &|heard| matches!(heard, Heard::Close(Some(found), _) if *found == code),
        )
    };
    let error = |socket: &mut Socket, code: &str| {
        let heard = socket.hear_op("error");
        expect(heard, &format!("the error {code}"), &|heard| field(heard, "code", code))
    };
    match meets {
        Meets::Refused(_) => Err("expected no socket".to_owned()),
        Meets::Welcome(auth, scope) => {
            let mut heard = socket.hear_op("welcome");
            for _ in messages {
                heard = socket.hear_op("welcome");
            }
            expect(heard, &format!("a welcome with {auth:?} and {scope:?}"), &|heard| {
                field(heard, "auth", auth) && field(heard, "scope", scope)
            })
        }
        Meets::Error(code) => {
            error(socket, code)?;
            socket.say(r#"{"op":"ping","id":7}"#);
            expect(socket.hear_op("pong"), "a pong", &|heard| matches!(heard, Heard::Message(_)))
        }
        Meets::Ended(code, close) => {
            error(socket, code)?;
            closed(socket, *close)
        }
        Meets::Closed(code) => closed(socket, *code),
        Meets::ClosedPlainly => {
            let heard = last(socket);
            expect(heard, "a close without a code", &|heard| matches!(heard, Heard::Close(None, _)))
        }
        Meets::Dropped => expect(last(socket), "the end", &|heard| matches!(heard, Heard::Gone)),
        Meets::Pong => {
            expect(socket.hear_op("pong"), "a pong", &|heard| matches!(heard, Heard::Message(_)))
        }
    }
}
