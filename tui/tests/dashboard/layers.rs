//! Who may name what: the state knows no terminal, and only the connection's side knows sockets.

use std::fs;
use std::path::{Path, PathBuf};

fn files_under(place: &Path, found: &mut Vec<PathBuf>) {
    if place.is_file() {
        found.push(place.to_owned());
        return;
    }
    for entry in fs::read_dir(place).unwrap() {
        files_under(&entry.unwrap().path(), found);
    }
}

/// Code lines of these places under `src/` that name one of `words`, without comments.
fn naming(places: &[&str], words: &[&str]) -> Vec<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    for place in places {
        files_under(&source.join(place), &mut files);
    }
    assert!(!files.is_empty());
    let mut found = Vec::new();
    for file in files {
        for line in fs::read_to_string(&file).unwrap().lines() {
            let code = line.split("//").next().unwrap();
            if words.iter().any(|word| code.contains(word)) {
                found.push(format!("{}: {}", file.display(), line.trim()));
            }
        }
    }
    found
}

#[test]
fn the_state_names_no_terminal_no_socket_and_no_clock() {
    let words = ["ratatui", "crossterm", "tokio", "tungstenite", "crate::view", "crate::clock"];
    assert_eq!(naming(&["state.rs", "state", "event.rs"], &words), Vec::<String>::new());
}

#[test]
fn the_view_changes_no_state_and_reads_no_clock() {
    let words = ["&mut State", "crossterm", "tokio", "tungstenite", "crate::clock"];
    assert_eq!(naming(&["view.rs", "view", "theme.rs"], &words), Vec::<String>::new());
}

#[test]
fn the_connection_draws_nothing() {
    let places = ["connection.rs", "connection", "socket.rs", "rest.rs"];
    assert_eq!(naming(&places, &["ratatui", "crossterm", "crate::view"]), Vec::<String>::new());
}
