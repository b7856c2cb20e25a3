//! A redis-server of one's own: on a free port, keeping nothing, killed when dropped.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running redis-server.
pub(crate) struct Redis {
    child: Child,
    url: String,
}

impl Redis {
    /// Starts `REDIS_SERVER`, or the one on the PATH.
    pub(crate) fn start(dir: &Path) -> Self {
        let program = std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".into());
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let child = Command::new(program)
            .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(dir)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, url: format!("redis://127.0.0.1:{port}") }
    }

    /// Its address, as the daemon takes it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
