//! One token: its shape, its header, its signature, its claims, in this order (RFC 7515, 7519). The
//! first thing wrong is the answer, so that somebody without a key learns nothing about claims.
//!
//! What a header says about keys (`kid`, `jku`, `jwk`, `x5u`, `x5c`) is not looked at, and nothing
//! is ever fetched: there is one key, and it is configured.

use std::num::NonZeroU32;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pulseboard::claims::Scopes;
use pulseboard::validate;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Denied, Grant, Keys};

/// The longest token that is looked at; ours have about 250 bytes.
pub(super) const TOKEN_BYTES_MAX: usize = 4 * 1024;
/// How far clocks may differ.
const LEEWAY_MS: i64 = 30_000;
/// The last moment that is told apart, Unix ms: the end of the year 9999.
const FOREVER_MS: i64 = 253_402_300_799_000;
const SUBJECT_BYTES_MAX: usize = 256;
const RATE_MAX: u64 = 1_000_000_000;

#[derive(Deserialize)]
struct Header {
    #[serde(default, deserialize_with = "present")]
    alg: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    crit: Option<Value>,
}

/// The claims that are looked at, of whatever type they came. A claim that stands twice is an
/// error of the parser.
#[derive(Deserialize)]
struct Claims {
    #[serde(default, deserialize_with = "present")]
    exp: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    sub: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    scope: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    iss: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    aud: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    rate: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    site: Option<Value>,
}

/// A field that is there, `null` too: a claim without a value is a mistake, not an absence.
fn present<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(field).map(Some)
}

/// What a token stands for at this time.
pub(super) fn verify(keys: &Keys, token: &str, now_ms: i64) -> Result<Grant, Denied> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(malformed(format!(
            "it has {} bytes, and at most {TOKEN_BYTES_MAX} are taken",
            token.len()
        )));
    }
    let shape = || malformed("it is not three parts joined by dots");
    let (message, signature) = token.rsplit_once('.').ok_or_else(shape)?;
    let (header, payload) = message.split_once('.').ok_or_else(shape)?;
    if payload.contains('.') {
        return Err(shape());
    }
    let header: Header = part(header, "header")?;
    if header.crit.is_some() {
        return Err(malformed("its header demands extensions (crit), and none are known here"));
    }
    let algorithm = keys.key.algorithm_name();
    if header.alg.as_ref().and_then(Value::as_str) != Some(algorithm) {
        return Err(Denied::new(
            "token_algorithm",
            format!("tokens are signed with {algorithm} here, and this one says otherwise"),
        ));
    }
    match keys.key.signed(message, signature) {
        Some(true) => {}
        Some(false) => {
            return Err(Denied::new(
                "token_signature",
                "the token was not signed with this daemon's key, or was changed after",
            ));
        }
        None => return Err(malformed("its signature is not base64url without padding")),
    }
    grant(&part(payload, "payload")?, keys, now_ms)
}

fn part<'de, T: for<'any> Deserialize<'any>>(encoded: &'de str, name: &str) -> Result<T, Denied> {
    let json = URL_SAFE_NO_PAD
        .decode(encoded)
        .map_err(|_| malformed(format!("its {name} is not base64url without padding")))?;
    // An array would pass for an object: serde takes it as the fields in their order.
    if json.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(malformed(format!("its {name} is not a JSON object")));
    }
    serde_json::from_slice(&json).map_err(|_| malformed(format!("its {name} is not a JSON object")))
}

fn grant(claims: &Claims, keys: &Keys, now_ms: i64) -> Result<Grant, Denied> {
    let expires_ms = time_ms("exp", claims.exp.as_ref())?
        .ok_or_else(|| missing("exp"))?
        .saturating_add(LEEWAY_MS);
    if now_ms >= expires_ms {
        return Err(Denied::new(
            "token_expired",
            "the token has expired; mint another with `pulseboard token`",
        ));
    }
    if time_ms("nbf", claims.nbf.as_ref())?.is_some_and(|nbf_ms| now_ms < nbf_ms - LEEWAY_MS) {
        return Err(Denied::new("token_not_yet_valid", "the token is not valid yet (nbf)"));
    }
    if let Some(wanted) = &keys.iss
        && text("iss", claims.iss.as_ref())? != wanted
    {
        return Err(Denied::new("token_issuer", "the token names another issuer (iss)"));
    }
    if let Some(wanted) = &keys.aud
        && !audience(claims.aud.as_ref())?.contains(&wanted.as_str())
    {
        return Err(Denied::new("token_audience", "the token is meant for others (aud)"));
    }
    let subject = text("sub", claims.sub.as_ref())?;
    if !(1..=SUBJECT_BYTES_MAX).contains(&subject.len()) || subject.contains(char::is_control) {
        return Err(invalid("sub", "text of 1 to 256 bytes"));
    }
    Ok(Grant {
        subject: Arc::from(subject),
        scopes: Scopes::of_claim(text("scope", claims.scope.as_ref())?),
        site: claims.site.as_ref().map(site).transpose()?,
        rate: claims.rate.as_ref().map(rate).transpose()?,
        expires_ms: Some(expires_ms),
    })
}

/// A `NumericDate`: seconds since 1970, a fraction allowed (RFC 7519, 2).
fn time_ms(name: &'static str, claim: Option<&Value>) -> Result<Option<i64>, Denied> {
    let Some(claim) = claim else { return Ok(None) };
    let seconds = claim.as_f64().ok_or_else(|| invalid(name, "a number of seconds since 1970"))?;
    Ok(Some((seconds * 1e3).clamp(0.0, FOREVER_MS as f64) as i64))
}

fn text<'a>(name: &'static str, claim: Option<&'a Value>) -> Result<&'a str, Denied> {
    let claim = claim.ok_or_else(|| missing(name))?;
    claim.as_str().ok_or_else(|| invalid(name, "text"))
}

/// One audience, or an array of them.
fn audience(claim: Option<&Value>) -> Result<Vec<&str>, Denied> {
    let claim = claim.ok_or_else(|| missing("aud"))?;
    let one = std::slice::from_ref(claim);
    let all = claim.as_array().map_or(one, Vec::as_slice).iter().map(Value::as_str);
    all.collect::<Option<_>>().ok_or_else(|| invalid("aud", "text, or an array of texts"))
}

fn rate(claim: &Value) -> Result<NonZeroU32, Denied> {
    claim
        .as_u64()
        .filter(|rate| (1..=RATE_MAX).contains(rate))
        .and_then(|rate| NonZeroU32::new(rate as u32))
        .ok_or_else(|| invalid("rate", "a whole number of 1 to 1000000000"))
}

fn site(claim: &Value) -> Result<Arc<str>, Denied> {
    claim
        .as_str()
        .filter(|site| validate::site(site, None).is_ok())
        .map(Arc::from)
        .ok_or_else(|| invalid("site", "1 to 64 of a-z 0-9 . _ -"))
}

fn malformed(what: impl std::fmt::Display) -> Denied {
    Denied::new("token_malformed", format!("the token cannot be read: {what}"))
}

fn missing(claim: &str) -> Denied {
    Denied::new("token_claim_missing", format!("the token has no claim `{claim}`"))
}

fn invalid(claim: &str, wanted: &str) -> Denied {
    Denied::new("token_claim_invalid", format!("the token's claim `{claim}` is not {wanted}"))
}
