//! What a session may do, from its welcome on: tokens that come as messages, scopes, and what
//! becomes of its rooms when a token is renewed or keys change.
//!
//! A bad token ends the session, at first and in a renewal: whoever sent it believes in it, and
//! would go on with rights it does not have.

use pulseboard::claims::Scope;
use pulseboard::wire;
use pulseboard::wire::close;
use pulseboard::wire::server::{AuthState, ServerMessage, Welcome, WelcomeLimits};

use super::super::admission::{Standing, Token, TurnedOut, count_refused};
use super::super::feed::Refusal;
use super::super::protocol::Ending;
use super::Session;

/// What is answered to whatever is asked before a token.
pub(super) fn unauthorized() -> Refusal {
    Refusal::new("unauthorized", "this needs a token; send `auth` first")
}

impl Session {
    /// Welcomes a client with what its upgrade request said.
    pub(super) fn begin(&mut self) {
        self.member.may_stay(&self.standing.author.grant, self.hub.settings.auth_within);
        self.welcome();
    }

    /// Says what this session may do: the first message, and the answer to `auth`.
    fn welcome(&mut self) {
        let limits = self.limits();
        let settings = &self.hub.settings;
        let tick = match self.hub.newest() {
            Some(set) => set.tick,
            None => self.hub.clock.now_ms().div_euclid(1_000) - 1,
        };
        let author = &self.standing.author;
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
            limits,
        }));
        self.told = Some(limits);
    }

    /// What this session may do at most.
    fn limits(&self) -> WelcomeLimits {
        let author = &self.standing.author;
        let publishes = author.grant.allows(Scope::Ingest);
        WelcomeLimits {
            publish_bytes: self.frame_bytes() as u64,
            events_per_second: author.budget.events_per_second().filter(|_| publishes),
            rooms: self.hub.limits.rooms_per_socket() as u64,
        }
    }

    /// Welcomes again when the limits a client was told are others now.
    pub(super) fn tell_limits(&mut self) {
        let version = self.hub.limits.version();
        if std::mem::replace(&mut self.limits_version, version) == version {
            return;
        }
        if self.told != Some(self.limits()) {
            self.welcome();
        }
    }

    /// Takes a token that came as a message.
    pub(super) fn authenticate(&mut self, token: Token) -> Result<(), Ending> {
        // What it published before, it published with the token it had.
        self.launch();
        let admission = &self.hub.admission;
        let standing = match admission.admit(Some(token), Some(&self.standing)) {
            Ok(standing) => standing,
            Err(denied) => {
                let too_many = admission.count_attempt(self.address);
                return Err(self.turn_out(too_many.unwrap_or(denied.into())));
            }
        };
        self.stand(standing);
        Ok(())
    }

    /// Has its token verified again if keys changed.
    pub(super) fn verify_again(&mut self) -> Result<(), Ending> {
        if !self.hub.admission.is_outdated(&self.standing) {
            return Ok(());
        }
        let admitted = self.hub.admission.again(&self.standing);
        let standing = admitted.map_err(|denied| self.turn_out(denied.into()))?;
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
    pub(super) fn frame_bytes(&self) -> usize {
        let limits = &self.hub.limits;
        if self.standing.author.grant.allows(Scope::Ingest) {
            limits.publish_bytes()
        } else {
            limits.frame_bytes()
        }
    }

    /// Says what is wrong with a token. The session ends with the same code as reason.
    fn turn_out(&self, why: TurnedOut) -> Ending {
        let TurnedOut { code, message, retry_after_ms } = why;
        count_refused(code);
        let refusal = Refusal { retry_after_ms, ..Refusal::new(code, message) };
        self.refuse(None, None, refusal);
        Ending::Close(close::POLICY, code)
    }
}
