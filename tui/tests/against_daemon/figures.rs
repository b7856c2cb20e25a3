//! The daemon's own figures on the dashboard's connection: with a token that reads, in its own words
//! where a token does not suffice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use pulseboard_tui::connection::{self, Ask};
use pulseboard_tui::event::Feed;
use pulseboard_tui::target::Target;
use pulseboard_tui::token::{Source, Token};

use crate::daemon::Daemon;
use crate::tokens::{mint, start};

type Figures = Result<Arc<BTreeMap<String, f64>>, String>;

/// What the connection says when it is asked for figures.
async fn read(daemon: &Daemon, token: &str) -> Figures {
    let token = Token::read(token, "--token").unwrap().unwrap();
    let url = format!("http://{}", daemon.address());
    let target = Target::parse(&url, Source::Given(token)).unwrap();
    let mut handle = connection::start(target);
    handle.asks.send(Ask::Figures(true)).await.unwrap();
    let figures = async {
        loop {
            if let Feed::Figures(figures) = handle.feed.recv().await.unwrap() {
                return figures;
            }
        }
    };
    tokio::time::timeout(Duration::from_mins(1), figures).await.expect("figures in time")
}

#[tokio::test]
async fn a_token_that_reads_is_shown_how_far_the_store_is() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(folder.path());
    let figures = read(&daemon, &mint(&["--scope", "read"])).await.unwrap();
    for name in ["lag_events", "lag_bytes", "lag_seconds"] {
        assert_eq!(figures[&format!("pulseboard_store_{name}")], 0.0);
    }
}

#[tokio::test]
async fn a_token_of_one_site_is_told_why_it_is_shown_none() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = start(folder.path());
    let why = read(&daemon, &mint(&["--scope", "read", "--site", "shop"])).await.unwrap_err();
    assert!(why.contains("all sites") && why.contains("shop"), "{why}");
}
