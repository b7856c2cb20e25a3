//! What a session may do, from its welcome on: tokens that come as messages, scopes, and what
//! becomes of its rooms when a token is renewed or keys change.
//!
//! A bad token ends the session, at first and in a renewal: whoever sent it believes in it, and
//! would go on with rights it does not have.

use pulseboard::claims::Scope;
use pulseboard::wire;
use pulseboard::wire::close;
use pulseboard::wire::server::{AuthState, ServerMessage, Welcome, WelcomeLimits};

use super::super::admission::{Standing, Token};
use super::super::feed::Refusal;
use super::super::protocol::Ending;
use super::Session;
use crate::auth::Denied;

/// What is answered to whatever is asked before a token.
pub(super) fn unauthorized() -> Refusal {
    Refusal::new("unauthorized", "this needs a token; send `auth` first")
}

impl Session {
    /// Welcomes a client with what its upgrade request said.
    pub(super) fn begin(&mut self) {
        self.member.may_stay(&self.standing.author.grant, self.hub.settings.auth_within);
        self.reader.limit(self.frame_bytes());
        self.welcome();
    }

    /// Says what this session may do: the first message, and the answer to `auth`.
    fn welcome(&self) {
        let settings = &self.hub.settings;
        let tick = match self.hub.newest() {
            Some(set) => set.tick,
            None => self.hub.clock.now_ms().div_euclid(1_000) - 1,
        };
        let author = &self.standing.author;
        let publishes = author.grant.allows(Scope::Ingest);
        let auth = match self.hub.admission.authority.open_to_all() {
            Some(_) => AuthState::Dev,
            None if author.grant.is_nothing() => AuthState::Required,
            None => AuthState::Ok,
        };
        self.say(&ServerMessage::Welcome(Welcome {
            protocol: wire::PROTOCOL,
            node: settings.node.clone(),
            tick,
            windows: settings.windows.iter().map(ToString::to_string).collect(),
            auth,
            scope: author.grant.scopes.to_string(),
            limits: WelcomeLimits {
                publish_bytes: self.frame_bytes() as u64,
                events_per_second: author.budget.events_per_second().filter(|_| publishes),
                rooms: settings.rooms_per_socket as u64,
            },
        }));
    }

    /// Takes a token that came as a message.
    pub(super) fn authenticate(&mut self, token: Token) -> Result<(), Ending> {
        // What it published before, it published with the token it had.
        self.launch();
        let admitted = self.hub.admission.admit(Some(token), Some(&self.standing));
        let standing = admitted.map_err(|denied| self.turn_out(denied))?;
        self.stand(standing);
        Ok(())
    }

    /// Has its token verified again if keys changed.
    pub(super) fn verify_again(&mut self) -> Result<(), Ending> {
        if !self.hub.admission.is_outdated(&self.standing) {
            return Ok(());
        }
        let admitted = self.hub.admission.again(&self.standing);
        let standing = admitted.map_err(|denied| self.turn_out(denied))?;
        if standing.author.grant == self.standing.author.grant {
            // Nothing changed for it; while it shows no token its time goes on running.
            self.standing = standing;
        } else {
            self.stand(standing);
        }
        Ok(())
    }

    /// Whether it may do what needs `scope`.
    pub(super) fn may(&self, scope: Scope) -> Result<(), Refusal> {
        let grant = &self.standing.author.grant;
        if grant.allows(scope) {
            return Ok(());
        }
        if grant.is_nothing() {
            return Err(unauthorized());
        }
        let name = scope.as_str();
        let message = format!("this needs a token with the scope {name}; send `auth` with one");
        Err(Refusal::new("wrong_scope", message))
    }

    /// Goes on with what another token allows. Its rooms stay, as far as they may.
    fn stand(&mut self, standing: Standing) {
        let site_before = self.standing.author.grant.site.clone();
        self.standing = standing;
        let grant = &self.standing.author.grant;
        self.member.may_stay(grant, self.hub.settings.auth_within);
        let same_site = grant.site == site_before;
        self.reader.limit(self.frame_bytes());
        self.welcome();
        for (room, name) in self.rooms() {
            let stays = match self.room(&name) {
                Ok(_) if same_site => Ok(true),
                // The same name is another view now: its snapshot follows.
                Ok(_) => self.enter(&name, None),
                Err(refusal) => Err(refusal),
            };
            match stays {
                Ok(_) => {}
                Err(refusal) => {
                    self.leave(room.window, room.written.as_deref());
                    self.say(&ServerMessage::Unsubscribed { room: name.clone() });
                    self.refuse(None, Some(name), refusal);
                }
            }
        }
    }

    /// How long a message of this session may be.
    fn frame_bytes(&self) -> usize {
        let settings = &self.hub.settings;
        if self.standing.author.grant.allows(Scope::Ingest) {
            settings.publish_bytes
        } else {
            settings.frame_bytes
        }
    }

    /// Says what is wrong with a token. The session ends with the same code as reason.
    fn turn_out(&self, denied: Denied) -> Ending {
        let Denied { code, message } = denied;
        self.refuse(None, None, Refusal::new(code, message));
        Ending::Close(close::POLICY, code)
    }
}
