//! What can be typed while a cluster runs: kill, stop, freeze, thaw, start a part, let the primary
//! step down, look at the whole.

use anyhow::ensure;
use rustix::process::Signal;

use super::parts::Parts;
use super::status;
use crate::workspace;

const HELP: &str = "\
  status            what runs, and what each daemon says of itself
  kill PART         kill -9: no time for a last word
  stop PART         SIGTERM: it stops in order
  freeze PART       SIGSTOP: it keeps its connections and answers nothing
  thaw PART         SIGCONT
  start PART        again, as it was
  step-down         the replica set's primary gives way to another member
  quit              or Ctrl-C: stops all
  PART is daemon1 to daemon3, mongo1 to mongo3, redis, balancer or traffic";

/// What a line came to.
pub(super) enum Line {
    /// To be printed.
    Said(String),
    Quit,
}

/// Does what a line says.
pub(super) fn act(line: &str, parts: &mut Parts) -> Line {
    let words: Vec<&str> = line.split_whitespace().collect();
    let said = match words[..] {
        [] => return Line::Said(String::new()),
        ["quit" | "exit" | "q"] => return Line::Quit,
        ["help" | "?"] => Ok(HELP.to_owned()),
        ["status" | "s"] => Ok(status::table(parts)),
        ["step-down"] => parts.replica_set("step-down").map(|now| {
            let name = parts.name_at(&now).unwrap_or(&now);
            format!("the primary is now {name}")
        }),
        [what @ ("kill" | "stop" | "freeze" | "thaw" | "start")] => {
            Err(anyhow::anyhow!("{what} which part? As in `{what} daemon2`; `status` lists them"))
        }
        [what, name] => on_part(what, name, parts),
        _ => Err(anyhow::anyhow!("`{line}` is not understood; `help` says what is")),
    };
    Line::Said(said.unwrap_or_else(|error| format!("{error:#}")))
}

fn on_part(what: &str, name: &str, parts: &mut Parts) -> anyhow::Result<String> {
    let Some(part) = parts.find(name) else {
        anyhow::bail!("there is no {name}; `status` lists what there is");
    };
    match what {
        "kill" => part.signal(Signal::KILL)?,
        "freeze" => part.signal(Signal::STOP)?,
        "thaw" => {
            ensure!(part.is_frozen || !part.is_running(), "{name} is not frozen");
            part.signal(Signal::CONT)?;
        }
        "stop" => {
            ensure!(part.is_running(), "{name} does not run");
            part.stop();
        }
        "start" => {
            ensure!(!part.is_frozen || !part.is_running(), "{name} is frozen: `thaw {name}`");
            part.start()?;
            if part.port > 0 {
                part.wait()?;
            }
        }
        _ => anyhow::bail!("`{what}` is not understood; `help` says what is"),
    }
    let done = match what {
        "kill" => "is killed",
        "freeze" => "is frozen",
        "thaw" => "goes on",
        "stop" => "has stopped",
        _ => "runs",
    };
    Ok(format!("{name} {done}"))
}

/// Where to look, and what to try.
pub(super) fn welcome(parts: &Parts) -> String {
    let url = format!("http://127.0.0.1:{}", parts.ports.balancer);
    let pulseboard = workspace::program("pulseboard");
    format!(
        "Open {url} in a browser, or in another terminal: {} --url {url}\n\
         One daemon's own view: --url http://127.0.0.1:{}\n\n\
         Failures to try, typed here; each line names what to watch for:\n  \
         kill daemon2        2 of 3 instances, and the dashboards go on; start daemon2: 3 of 3\n  \
         freeze daemon3      the same, without its connections closing; thaw daemon3\n  \
         step-down           about 2 s without a primary: lag in `status`, nothing lost\n  \
         stop mongo1         with mongo2 too there is no majority: lag grows; start mongo1\n  \
         freeze mongo1       a server that takes connections and answers nothing\n  \
         stop redis          each instance shows its own numbers, and says so; start redis\n  \
         kill balancer       dashboards say where they look, and come back; start balancer\n\
         The same from another terminal, by the process ids above: kill -9 PID, kill -STOP PID.\n\
         `status` looks again, `help` lists everything, Ctrl-C stops all.",
        pulseboard.display(),
        parts.ports.daemons[0],
    )
}
