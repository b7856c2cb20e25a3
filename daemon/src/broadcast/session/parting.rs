//! How a session ends: the close frame, and a moment for the client to take it and answer. Nothing a
//! client still says is done.

use std::io;

use tokio::io::Interest;

use super::super::protocol::{Ending, Heard};
use super::Session;

/// One read of what is no longer looked at, bytes.
const READ_BYTES: usize = 4 * 1024;

impl Session {
    /// Sends the close frame, if there is one to send. It is we who close the connection, as soon
    /// as the client has answered (RFC 6455, section 7.1.1) or the time for it is over.
    pub(super) async fn end(&mut self, ending: Ending) {
        if let Ending::Close(code, reason) = ending {
            self.member.seal(code, reason);
        }
        let linger = self.hub.settings.linger;
        // Past it the connection is simply dropped.
        let _ = tokio::time::timeout(linger, self.part(ending)).await;
    }

    async fn part(&mut self, ending: Ending) {
        let unread = std::mem::take(&mut self.unread);
        let mut answered = ending == Ending::Gone || self.says_goodbye(&unread);
        let mut rest = vec![0; READ_BYTES];
        loop {
            if self.member.go_on(|| None, None).is_err() {
                return;
            }
            let waits = self.member.with(|outbox| outbox.has_pending());
            if !waits && answered {
                return;
            }
            let interest =
                if waits { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE };
            if self.member.tcp.ready(interest).await.is_err() {
                return;
            }
            match self.member.tcp.try_read(&mut rest) {
                Ok(0) => return,
                Ok(bytes) => answered |= self.says_goodbye(&rest[..bytes]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
            // Whoever goes on sending is not read for ever.
            tokio::task::coop::consume_budget().await;
        }
    }

    /// Whether a close frame is among what was received. Where the protocol is broken nobody can
    /// tell any more.
    fn says_goodbye(&mut self, mut received: &[u8]) -> bool {
        let mut control = Vec::new();
        loop {
            match self.reader.next(&mut received, &mut control) {
                Ok(Heard::Text(_)) => {}
                Ok(Heard::Nothing) | Err(Ending::Close(..)) => return false,
                Err(Ending::Gone) => return true,
            }
        }
    }
}
