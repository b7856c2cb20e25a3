//! `pulseboardd --health`: asks the daemon that runs whether it lives, for a container's health check
//! and for scripts on machines without an HTTP client. Reads nothing but its own settings.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any daemon that lives takes for this.
const WITHIN: Duration = Duration::from_secs(2);
/// More than its answer has.
const ANSWER_BYTES: u64 = 4 * 1024;

/// Whether the daemon that listens on `bind` answers `GET /health`; else what to look at.
pub fn alive(bind: SocketAddr) -> Result<(), String> {
    let address = SocketAddr::new(reachable(bind.ip()), bind.port());
    let answer =
        ask(address).map_err(|error| format!("no daemon answers on {address}: {error}"))?;
    if answer.starts_with("HTTP/1.1 200 ") {
        return Ok(());
    }
    let said = answer.lines().next().unwrap_or("nothing");
    Err(format!("what listens on {address} is no daemon that is well: it answered {said:?}"))
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, WITHIN)?;
    stream.set_read_timeout(Some(WITHIN))?;
    stream.set_write_timeout(Some(WITHIN))?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Where a daemon that listens on every address of the machine is reached.
fn reachable(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(all) if all.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(all) if all.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        one => one,
    }
}
