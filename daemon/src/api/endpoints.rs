//! The table of everything that is answered over HTTP: what may be asked, by whom, with which
//! parameters, and what comes back.
//!
//! The router is made from it, queries are read by it and the OpenAPI document is written from it,
//! so that none of the three can say anything else than the others. A tool that knows nothing of
//! this code holds the document against a running daemon.

mod codes;
mod parameters;
mod table;

use crate::gate::Access;

pub use codes::{EVENT_CODES, is_known};
pub use table::ALL;

/// Which handler answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Id {
    /// `POST /api/events`.
    SendEvents,
    /// `GET /api/events`.
    ListEvents,
    /// `GET /api/export`.
    ExportEvents,
    /// `GET /api/aggregates`.
    ReadAggregate,
    /// `GET /api/history`.
    ReadHistory,
    /// `GET /api/routes`.
    ListRoutes,
    /// `GET /api/openapi.json`.
    DescribeApi,
    /// `GET /health`.
    CheckAlive,
    /// `GET /health/ready`.
    CheckReady,
    /// `GET /metrics`.
    ReadMetrics,
    /// `GET /ws`.
    OpenSocket,
    /// `GET /`, and the page's files beside it.
    OpenPage,
}

/// A method of a path.
#[derive(Debug)]
pub struct Endpoint {
    /// Which handler answers.
    pub id: Id,
    /// GET answers HEAD too.
    pub method: Verb,
    /// As routed.
    pub path: &'static str,
    /// The name generated clients give it.
    pub name: &'static str,
    /// A line.
    pub summary: &'static str,
    /// What else there is to know.
    pub detail: &'static str,
    /// Who may.
    pub access: Access,
    /// In query and headers.
    pub parameters: &'static [Parameter],
    /// Media types and shapes of a request's body.
    pub body: &'static [(&'static str, Shape)],
    /// What comes back; refusals that every endpoint of this access has are added.
    pub answers: &'static [Answer],
}

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// And HEAD.
    Get,
    /// Only this.
    Post,
}

/// A parameter.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// As written.
    pub name: &'static str,
    /// Whether a request without it is refused.
    pub required: bool,
    /// Whether it is a header; else in the query.
    pub in_header: bool,
    /// What it may be.
    pub kind: Kind,
    /// A sentence.
    pub help: &'static str,
}

/// What a parameter may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text of 1 to so many bytes.
    Text(usize),
    /// What a pattern fits.
    Pattern(&'static str),
    /// A filter expression.
    Filter,
    /// Unix ms, RFC 3339, `now` or relative.
    Time,
    /// A whole number from, to, and what it is when left out.
    Number(i64, i64, Option<i64>),
    /// One of these; the first when left out.
    OneOf(&'static [&'static str]),
    /// `true` or `false`; false when left out.
    Flag,
    /// `Ns`, `Nm`, `Nh`, `Nd`.
    Span,
}

/// An answer with its status.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// When it is given.
    pub help: &'static str,
    /// Media types and shapes.
    pub content: &'static [(&'static str, Shape)],
    /// For problem documents: their codes.
    pub codes: &'static [&'static str],
    /// Headers, and whether each is always there.
    pub headers: &'static [(&'static str, bool, &'static str)],
}

/// What a body looks like; `openapi/schemas.rs` writes each out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// No body.
    Nothing,
    /// Text without a schema.
    Text,
    /// An event or an array of events, as sent.
    Events,
    /// The verdict on one event.
    Verdict,
    /// The verdicts on several.
    Verdicts,
    /// A page of stored events.
    Page,
    /// One stored event a line.
    StoredEvents,
    /// A snapshot.
    Snapshot,
    /// Buckets.
    History,
    /// Rows of routes.
    Routes,
    /// A problem document with one of the answer's codes.
    Problem,
    /// `{"status":"ok"}`.
    Alive,
    /// Checks.
    Readiness,
    /// Numbers by name.
    Metrics,
    /// This document.
    OpenApi,
}

impl Endpoint {
    /// The one with this id.
    pub fn of(id: Id) -> &'static Self {
        let found = ALL.iter().find(|endpoint| endpoint.id == id);
        found.expect("every id has its row; a test sees to it")
    }

    /// The names of its parameters in the query.
    pub fn query(&self) -> Vec<&'static str> {
        let in_query = self.parameters.iter().filter(|parameter| !parameter.in_header);
        in_query.map(|parameter| parameter.name).collect()
    }
}

impl Verb {
    /// As HTTP writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// What `Allow` says of a path.
pub fn allow(path: &str) -> String {
    let mut methods = Vec::new();
    for endpoint in ALL.iter().filter(|endpoint| endpoint.path == path) {
        match endpoint.method {
            Verb::Get => methods.extend(["GET", "HEAD"]),
            Verb::Post => methods.push("POST"),
        }
    }
    methods.push("OPTIONS");
    methods.sort_unstable();
    methods.join(", ")
}

/// The refusals every endpoint of an access can give, beside those of its own.
pub fn common(access: Access) -> &'static [Answer] {
    match access {
        Access::Free => table::FREE,
        Access::Anyone => table::ANYONE,
        Access::Socket => table::SOCKET,
        Access::Read | Access::ReadAll | Access::Ingest => table::WITH_TOKEN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate;

    #[test]
    fn the_table_says_what_the_gate_enforces() {
        for endpoint in ALL {
            let method = endpoint.method.as_str().parse().unwrap();
            let enforced = gate::access(&method, endpoint.path, false);
            assert_eq!(enforced, endpoint.access, "{} {}", method, endpoint.path);
        }
    }

    #[test]
    fn every_endpoint_stands_once_under_a_name_of_its_own() {
        let mut names: Vec<_> = ALL.iter().map(|endpoint| endpoint.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
        for endpoint in ALL {
            assert!(std::ptr::eq(Endpoint::of(endpoint.id), endpoint), "{}", endpoint.name);
        }
    }

    #[test]
    fn every_code_of_an_answer_is_in_the_table_of_codes() {
        for endpoint in ALL {
            for answer in endpoint.answers.iter().chain(common(endpoint.access)) {
                for code in answer.codes {
                    assert!(is_known(code), "{} {code}", endpoint.path);
                }
                let is_problem = answer.content.iter().any(|(_, shape)| *shape == Shape::Problem);
                assert_eq!(
                    is_problem,
                    !answer.codes.is_empty(),
                    "{} {}",
                    endpoint.path,
                    answer.status
                );
            }
        }
    }

    #[test]
    fn a_path_allows_what_is_in_the_table() {
        assert_eq!(allow("/api/events"), "GET, HEAD, OPTIONS, POST");
        assert_eq!(allow("/health"), "GET, HEAD, OPTIONS");
    }
}
