//! What an authority decides, on a clock that stands still.

use pulseboard::claims::{Claims, Scope};

use super::{Authority, Grant, Key, Keys, ModeChange, mint, new_secret};
use crate::clock::Clock;

const NOW_MS: i64 = 1_763_900_000_000;

fn keys(secret: &str) -> Keys {
    Keys { key: Key::secret(secret).unwrap(), iss: None, aud: None }
}

fn claims() -> Claims {
    Claims {
        sub: "ann".to_owned(),
        scope: "read ingest".to_owned(),
        iat: NOW_MS / 1_000,
        exp: NOW_MS / 1_000 + 60,
        iss: None,
        aud: None,
        rate: Some(70),
        site: Some("shop".to_owned()),
    }
}

#[test]
fn a_token_becomes_a_grant_and_is_refused_once_it_expired() {
    let (secret, clock) = (new_secret().unwrap(), Clock::manual(NOW_MS));
    let authority = Authority::tokens(keys(&secret), clock.clone());
    assert!(authority.open_to_all().is_none());
    let token = mint(&claims(), secret.as_bytes());
    let grant = authority.verify(&token).unwrap();
    assert_eq!((&*grant.subject, grant.site.as_deref()), ("ann", Some("shop")));
    assert_eq!(grant.rate.map(u32::from), Some(70));
    assert!(grant.allows(Scope::Read) && !grant.allows(Scope::Admin));
    assert_eq!(grant.expires_ms, Some(NOW_MS + 90_000), "exp and the leeway");
    assert!(!format!("{grant:?} {authority:?}").contains(&token[..20]));
    clock.set_ms(NOW_MS + 89_999);
    let again = authority.verify(&token).unwrap();
    assert!(std::sync::Arc::ptr_eq(&grant, &again), "it was remembered");
    clock.set_ms(NOW_MS + 90_000);
    assert_eq!(authority.verify(&token).unwrap_err().code, "token_expired");
}

#[test]
fn a_reload_reaches_every_clone_and_ends_tokens_of_the_old_key() {
    let (old, new) = (new_secret().unwrap(), new_secret().unwrap());
    let authority = Authority::tokens(keys(&old), Clock::manual(NOW_MS));
    let clone = authority.clone();
    let token = mint(&claims(), old.as_bytes());
    clone.verify(&token).unwrap();
    let version = clone.version();
    assert_eq!(authority.reload(Some(keys(&old))), Ok(false));
    assert_eq!(clone.version(), version, "the same key changes nothing");
    assert_eq!(authority.reload(Some(keys(&new))), Ok(true));
    assert_ne!(clone.version(), version);
    assert_eq!(clone.verify(&token).unwrap_err().code, "token_signature");
    assert!(clone.verify(&mint(&claims(), new.as_bytes())).is_ok());
    assert_eq!(authority.reload(None), Err(ModeChange::ToDev));
    assert!(clone.verify(&mint(&claims(), new.as_bytes())).is_ok(), "the keys stay");
}

#[test]
fn an_audience_that_comes_later_ends_the_tokens_that_do_not_name_it() {
    let secret = new_secret().unwrap();
    let authority = Authority::tokens(keys(&secret), Clock::manual(NOW_MS));
    let named = Claims { aud: Some("pulse".to_owned()), ..claims() };
    let named = mint(&named, secret.as_bytes());
    let unnamed = mint(&claims(), secret.as_bytes());
    assert!(authority.verify(&named).is_ok() && authority.verify(&unnamed).is_ok());
    let aud = Some("pulse".to_owned());
    assert_eq!(authority.reload(Some(Keys { aud, ..keys(&secret) })), Ok(true));
    assert!(authority.verify(&named).is_ok());
    assert_eq!(authority.verify(&unnamed).unwrap_err().code, "token_claim_missing");
}

#[test]
fn dev_mode_takes_everyone_and_stays_dev_mode() {
    let authority = Authority::dev();
    assert_eq!(authority.open_to_all().map(|grant| &**grant), Some(&Grant::dev()));
    assert_eq!(*authority.verify("anything").unwrap(), Grant::dev());
    let keys = keys(&new_secret().unwrap());
    assert_eq!(authority.reload(Some(keys)), Err(ModeChange::ToTokens));
    assert_eq!(authority.reload(None), Ok(false));
}
