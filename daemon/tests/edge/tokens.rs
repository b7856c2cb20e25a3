//! Tokens nobody should have made, and those that look odd but are good: over REST, and at the
//! socket by header, subprotocol, first message and query.

use serde_json::{Value, json};

use crate::client::{Dial, Request};
use crate::harness::{Edge, Expect, Meets};
use crate::support::token::{self, SECRET, Signer, base64url, changed, claims};
use crate::support::{eventually, now_ms};

/// What every way in asks for: nothing but a good token is needed to get it.
const ASKED: &str = "/api/aggregates?window=1s";

fn signed(changes: &Value) -> String {
    Signer::secret(SECRET).token(&changed(claims("ann", "read"), changes))
}

fn headed(header: &Value) -> String {
    Signer::secret(SECRET).token_with(header, &claims("ann", "read"))
}

fn auth(token: &str) -> String {
    json!({"op": "auth", "token": token}).to_string()
}

/// One token over every way in; each must be refused with `code`.
fn refused(edge: &mut Edge, name: &str, token: &str, code: &'static str) {
    let unauthorized = Expect::problem(401, code).header("www-authenticate", "Bearer");
    let request = Request::get(ASKED).bearer(token);
    edge.rest(&format!("{name}: REST"), &request, &unauthorized);
    let meets = Meets::Refused(Expect::problem(401, code).header("www-authenticate", "Bearer"));
    edge.socket(&format!("{name}: header"), &Dial::bearer(token), &[], &meets);
    let is_subprotocol =
        token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    if is_subprotocol && !token.is_empty() {
        edge.socket(&format!("{name}: subprotocol"), &Dial::subprotocol(token), &[], &meets);
        edge.socket(&format!("{name}: query"), &Dial::query(token), &[], &meets);
    }
    let meets = Meets::Ended(code, 1008);
    edge.socket(&format!("{name}: message"), &Dial::plain(), &[auth(token)], &meets);
}

/// One token over every way in; each must be taken, with this scope.
fn taken(edge: &mut Edge, name: &str, token: &str, scope: &'static str) {
    let request = Request::get(ASKED).bearer(token);
    edge.rest(&format!("{name}: REST"), &request, &Expect::status(200));
    let meets = Meets::Welcome("ok", scope);
    edge.socket(&format!("{name}: header"), &Dial::bearer(token), &[], &meets);
    edge.socket(&format!("{name}: subprotocol"), &Dial::subprotocol(token), &[], &meets);
    edge.socket(&format!("{name}: query"), &Dial::query(token), &[], &meets);
    edge.socket(&format!("{name}: message"), &Dial::plain(), &[auth(token)], &meets);
}

fn start() -> Edge {
    let edge = Edge::start(&[("PULSEBOARD_AUTH__ALLOW_QUERY_TOKEN", "true")]);
    // What is asked for must be there, so that its absence is never taken for a refusal.
    eventually("the first tick", || {
        let request = Request::get(ASKED).bearer(&token::good("ann", "read"));
        (request.send(edge.address())?.status == 200).then_some(())
    });
    edge
}

#[test]
fn a_header_that_names_another_algorithm_or_key_gets_nobody_in() {
    let mut edge = start();
    for alg in ["none", "None", "NONE", "nOnE", "", "HS384", "HS512", "hs256", "RS256", "ES256"] {
        let token = Signer::Nobody.token_with(&json!({"alg": alg}), &claims("eve", "admin"));
        refused(&mut edge, &format!("alg {alg:?}, no signature"), &token, "token_algorithm");
    }
    let none_but_signed = headed(&json!({"alg": "none"}));
    refused(&mut edge, "alg none, signed all the same", &none_but_signed, "token_algorithm");
    for alg in [json!(null), json!(["HS256"]), json!(256), json!({"HS256": 1})] {
        let token = headed(&json!({"alg": alg}));
        refused(&mut edge, &format!("alg {alg}"), &token, "token_algorithm");
    }
    refused(&mut edge, "no alg", &headed(&json!({"typ": "JWT"})), "token_algorithm");
    let own = Signer::new_rs256();
    let forged = |header: &Value| {
        Signer::secret("a key of her own, long enough to be one")
            .token_with(header, &claims("eve", "admin"))
    };
    for (name, header) in [
        ("kid of a known file", json!({"alg": "HS256", "kid": "/dev/null"})),
        ("kid that climbs", json!({"alg": "HS256", "kid": "../../../../dev/null"})),
        ("kid with SQL", json!({"alg": "HS256", "kid": "' UNION SELECT 'key"})),
        ("jku", json!({"alg": "HS256", "jku": "http://127.0.0.1:1/jwks.json"})),
        ("x5u", json!({"alg": "HS256", "x5u": "http://127.0.0.1:1/cert.pem"})),
        (
            "jwk of its own secret",
            json!({"alg": "HS256", "jwk": {"kty": "oct", "k": base64url("a key of her own, long enough to be one")}}),
        ),
        ("x5c", json!({"alg": "HS256", "x5c": ["MIIB"]})),
    ] {
        refused(&mut edge, name, &forged(&header), "token_signature");
    }
    let embedded =
        own.token_with(&json!({"alg": "RS256", "jwk": {"kty": "RSA"}}), &claims("eve", "admin"));
    refused(&mut edge, "a key of another kind in the header", &embedded, "token_algorithm");
    let empty_secret = Signer::Hs256(Vec::new()).token(&claims("eve", "admin"));
    refused(&mut edge, "the empty secret", &empty_secret, "token_signature");
    for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!("b64")] {
        let token = headed(&json!({"alg": "HS256", "crit": crit, "b64": false}));
        refused(&mut edge, &format!("crit {crit}"), &token, "token_malformed");
    }
    taken(
        &mut edge,
        "kid beside a good signature",
        &headed(&json!({"alg": "HS256", "kid": "7", "jku": "http://127.0.0.1:1/"})),
        "read",
    );
    edge.finish();
}

#[test]
fn a_token_out_of_shape_is_refused_before_anything_in_it_counts() {
    let mut edge = start();
    let good = signed(&json!({}));
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, signature] = parts[..] else { panic!("three parts") };
    // Whole bytes, so that it is base64 still.
    let cut = &signature[..40];
    let flipped = flip(signature);
    let other_payload = base64url(claims("eve", "admin").to_string());
    for (name, token, code) in [
        ("one part", header.to_owned(), "token_malformed"),
        ("two parts", format!("{header}.{payload}"), "token_malformed"),
        ("four parts", format!("{good}.{signature}"), "token_malformed"),
        ("five parts, as JWE has", format!("{good}.a.b"), "token_malformed"),
        ("dots alone", "..".to_owned(), "token_malformed"),
        ("no token at all", "x".to_owned(), "token_malformed"),
        ("signature stripped", format!("{header}.{payload}."), "token_signature"),
        ("signature cut", format!("{header}.{payload}.{cut}"), "token_signature"),
        ("signature flipped", format!("{header}.{payload}.{flipped}"), "token_signature"),
        ("payload of another", format!("{header}.{other_payload}.{signature}"), "token_signature"),
        (
            "header and payload swapped",
            format!("{payload}.{header}.{signature}"),
            "token_algorithm",
        ),
        ("padded signature", format!("{good}="), "token_malformed"),
        ("padded header", format!("{header}=.{payload}.{signature}"), "token_malformed"),
        ("standard base64", format!("{header}.{payload}.+/+/"), "token_malformed"),
        ("a signature with bits left over", format!("{header}.{payload}.QQQ_A"), "token_malformed"),
        ("an empty header", format!(".{payload}.{signature}"), "token_malformed"),
        (
            "header no JSON",
            format!("{}.{payload}.{signature}", base64url("alg")),
            "token_malformed",
        ),
        (
            "header an array",
            format!("{}.{payload}.{signature}", base64url("[\"HS256\"]")),
            "token_malformed",
        ),
        (
            "alg twice",
            format!("{}.{payload}.{signature}", base64url(r#"{"alg":"none","alg":"HS256"}"#)),
            "token_malformed",
        ),
        ("5 KB", "e".repeat(5_000), "token_malformed"),
    ] {
        refused(&mut edge, name, &token, code);
    }
    let of = |payload: &str| Signer::secret(SECRET).token_of(r#"{"alg":"HS256"}"#, payload);
    let deep = "[".repeat(1_000);
    for (name, payload) in [
        ("payload no JSON", "exp"),
        ("payload null", "null"),
        ("payload an array", "[1,2,3]"),
        ("payload cut", r#"{"sub":"ann""#),
        ("payload nested deep", &format!("{{\"a\":{deep}")),
        ("exp twice", r#"{"sub":"a","scope":"read","exp":1,"exp":9999999999}"#),
        ("exp beyond what numbers hold", r#"{"sub":"a","scope":"read","exp":1e999}"#),
        ("a lone surrogate", r#"{"sub":"\ud800","scope":"read","exp":9999999999}"#),
    ] {
        refused(&mut edge, name, &of(payload), "token_malformed");
    }
    refused(
        &mut edge,
        "a token of 4,097 bytes that is good otherwise",
        &sized(4_097),
        "token_malformed",
    );
    taken(&mut edge, "a token of 4,096 bytes", &sized(4_096), "read");
    edge.finish();
}

/// A good token of so many bytes.
fn sized(bytes: usize) -> String {
    let of = |filler: usize| signed(&json!({"filler": "x".repeat(filler)}));
    let found =
        (0..bytes).map(|extra| of(bytes * 3 / 4 - 300 + extra)).find(|token| token.len() >= bytes);
    let token = found.unwrap();
    assert_eq!(token.len(), bytes, "not every length can be had: choose another");
    token
}

fn flip(signature: &str) -> String {
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{first}{}", &signature[1..])
}

#[test]
fn claims_that_are_missing_or_of_another_type_are_named() {
    let mut edge = start();
    let now = now_ms() / 1_000;
    for (name, changes, code) in [
        ("no exp", json!({"exp": null}), "token_claim_missing"),
        ("exp as text", json!({"exp": "9999999999"}), "token_claim_invalid"),
        ("exp true", json!({"exp": true}), "token_claim_invalid"),
        ("exp a list", json!({"exp": [9_999_999_999_i64]}), "token_claim_invalid"),
        ("exp over", json!({"exp": now - 31}), "token_expired"),
        ("exp over, and a fraction", json!({"exp": now as f64 - 31.5}), "token_expired"),
        ("exp zero", json!({"exp": 0}), "token_expired"),
        ("exp negative", json!({"exp": -1}), "token_expired"),
        ("exp far below zero", json!({"exp": -1e300}), "token_expired"),
        ("nbf ahead", json!({"nbf": now + 600}), "token_not_yet_valid"),
        ("nbf far ahead", json!({"nbf": 1e300}), "token_not_yet_valid"),
        ("nbf as text", json!({"nbf": "0"}), "token_claim_invalid"),
        ("no sub", json!({"sub": null}), "token_claim_missing"),
        ("sub a number", json!({"sub": 7}), "token_claim_invalid"),
        ("sub empty", json!({"sub": ""}), "token_claim_invalid"),
        ("sub of 257 bytes", json!({"sub": "s".repeat(257)}), "token_claim_invalid"),
        ("sub with a line end", json!({"sub": "ann\nlevel=error"}), "token_claim_invalid"),
        ("no scope", json!({"scope": null}), "token_claim_missing"),
        ("scope a list", json!({"scope": ["read", "admin"]}), "token_claim_invalid"),
        ("scope a number", json!({"scope": 7}), "token_claim_invalid"),
        ("rate zero", json!({"rate": 0}), "token_claim_invalid"),
        ("rate negative", json!({"rate": -5}), "token_claim_invalid"),
        ("rate a fraction", json!({"rate": 1.5}), "token_claim_invalid"),
        ("rate as text", json!({"rate": "100"}), "token_claim_invalid"),
        ("rate over a billion", json!({"rate": 1_000_000_001}), "token_claim_invalid"),
        ("site empty", json!({"site": ""}), "token_claim_invalid"),
        ("site with a slash", json!({"site": "a/b"}), "token_claim_invalid"),
        ("site in capitals", json!({"site": "Shop"}), "token_claim_invalid"),
        ("site a list", json!({"site": ["shop"]}), "token_claim_invalid"),
        ("site of 65 bytes", json!({"site": "s".repeat(65)}), "token_claim_invalid"),
    ] {
        refused(&mut edge, name, &signed(&changes), code);
    }
    let with_null = |claim: &str| {
        let mut claims = claims("ann", "read");
        claims[claim] = Value::Null;
        Signer::secret(SECRET).token(&claims)
    };
    for claim in ["exp", "nbf", "sub", "scope", "rate", "site"] {
        let name = format!("{claim} null");
        refused(&mut edge, &name, &with_null(claim), "token_claim_invalid");
    }
    // So many rows take their time.
    let now = now_ms() / 1_000;
    for (name, changes, scope) in [
        ("exp over by less than the leeway", json!({"exp": now - 5}), "read"),
        ("exp a fraction", json!({"exp": now as f64 + 100.5}), "read"),
        ("exp in ten thousand years", json!({"exp": 1e300}), "read"),
        ("nbf ahead by less than the leeway", json!({"nbf": now + 10}), "read"),
        ("iat ahead", json!({"iat": now + 5_000}), "read"),
        ("iat missing", json!({"iat": null}), "read"),
        ("sub of 256 bytes", json!({"sub": "s".repeat(256)}), "read"),
        ("scopes of others beside", json!({"scope": "openid read  profile"}), "read"),
        ("claims of others beside", json!({"roles": ["x"], "name": "Ann"}), "read"),
        ("admin", json!({"scope": "admin"}), "admin"),
        ("an audience nobody asked for", json!({"aud": 7, "iss": 7}), "read"),
        ("a rate of one", json!({"rate": 1}), "read"),
    ] {
        taken(&mut edge, name, &signed(&changes), scope);
    }
    for (name, scope) in [("no scope at all", ""), ("unknown words alone", "reads write *")] {
        let token = signed(&json!({"scope": scope}));
        let request = Request::get(ASKED).bearer(&token);
        edge.rest(name, &request, &Expect::problem(403, "wrong_scope"));
        let subscribe = json!({"op": "subscribe", "rooms": ["window:1s"]}).to_string();
        let meets = Meets::Error("wrong_scope");
        edge.socket(name, &Dial::bearer(&token), &[subscribe], &meets);
    }
    edge.finish();
}

#[test]
fn issuer_and_audience_are_asked_for_when_they_are_configured() {
    let mut edge = Edge::with_settings_and_no_neighbour(&[
        ("PULSEBOARD_AUTH__SECRET", SECRET),
        ("PULSEBOARD_AUTH__ISS", "https://id.example.org"),
        ("PULSEBOARD_AUTH__AUD", "pulseboard"),
        ("PULSEBOARD_AUTH__ALLOW_QUERY_TOKEN", "true"),
    ]);
    let iss = "https://id.example.org";
    let both = json!({"iss": iss, "aud": "pulseboard"});
    taken(&mut edge, "both named", &signed(&both), "read");
    let several = json!({"iss": iss, "aud": ["mail", "pulseboard"]});
    taken(&mut edge, "aud a list that names it", &signed(&several), "read");
    for (name, changes, code) in [
        ("no iss", json!({"aud": "pulseboard"}), "token_claim_missing"),
        (
            "another iss",
            json!({"iss": "https://id.example.com", "aud": "pulseboard"}),
            "token_issuer",
        ),
        (
            "iss with a slash more",
            json!({"iss": "https://id.example.org/", "aud": "pulseboard"}),
            "token_issuer",
        ),
        ("iss a list", json!({"iss": [iss], "aud": "pulseboard"}), "token_claim_invalid"),
        ("no aud", json!({"iss": iss}), "token_claim_missing"),
        ("another aud", json!({"iss": iss, "aud": "Pulseboard"}), "token_audience"),
        ("aud a list without it", json!({"iss": iss, "aud": ["mail"]}), "token_audience"),
        ("aud an empty list", json!({"iss": iss, "aud": []}), "token_audience"),
        ("aud a number", json!({"iss": iss, "aud": 7}), "token_claim_invalid"),
        (
            "aud a list with a number",
            json!({"iss": iss, "aud": ["pulseboard", 7]}),
            "token_claim_invalid",
        ),
        ("aud an object", json!({"iss": iss, "aud": {"pulseboard": true}}), "token_claim_invalid"),
    ] {
        refused(&mut edge, name, &signed(&changes), code);
    }
    edge.finish();
}

#[test]
fn the_authorization_header_is_read_as_it_is_defined() {
    let mut edge = start();
    let good = signed(&json!({}));
    let asked = |values: &[&str]| {
        values
            .iter()
            .fold(Request::get(ASKED), |request, value| request.header("Authorization", value))
    };
    let fine = Expect::status(200);
    for scheme in ["Bearer", "bearer", "BEARER"] {
        edge.rest(scheme, &asked(&[&format!("{scheme} {good}")]), &fine);
    }
    let nobody = Expect::problem(401, "unauthorized").header("www-authenticate", "Bearer");
    edge.rest("none at all", &asked(&[]), &nobody);
    edge.rest("Basic", &asked(&["Basic YW5uOnNlY3JldA=="]), &nobody);
    edge.rest(
        "Bearer in a query where it is not taken",
        &Request::get(&format!("{ASKED}&token={good}")),
        &nobody,
    );
    let wrong = Expect::status(401).header("www-authenticate", "Bearer");
    edge.rest("Bearer without a token", &asked(&["Bearer"]), &wrong);
    edge.rest("Bearer and a space", &asked(&["Bearer "]), &wrong);
    edge.rest(
        "a token in pieces",
        &asked(&[&format!("Bearer {}", good.replace('.', ". "))]),
        &wrong,
    );
    edge.rest("the token without a scheme", &asked(&[&good]), &wrong);
    let twice = asked(&[&format!("Bearer {good}"), &format!("Bearer {good}")]);
    edge.rest("two headers", &twice, &Expect::status(400));
    let mixed = asked(&["Basic YW5uOnNlY3JldA==", &format!("Bearer {good}")]);
    edge.rest("two headers of two schemes", &mixed, &Expect::status(400));
    edge.finish();
}

#[test]
fn a_public_key_takes_tokens_of_its_private_key_and_of_nothing_else() {
    for (signer, other) in [
        (Signer::new_rs256(), Signer::new_rs256()),
        (Signer::new_es256(), Signer::new_es256()),
        (Signer::new_eddsa(), Signer::new_eddsa()),
    ] {
        let pem = signer.public_pem();
        let settings = [("PULSEBOARD_AUTH__ALLOW_QUERY_TOKEN", "true")];
        let mut edge = Edge::with_public_key(&pem, &settings);
        let name = signer.name();
        let good = signer.token(&claims("ann", "read"));
        taken(&mut edge, name, &good, "read");
        let wrong_key = other.token(&claims("eve", "admin"));
        refused(&mut edge, &format!("{name}, another key"), &wrong_key, "token_signature");
        let der = pem.lines().filter(|line| !line.starts_with('-')).collect::<String>();
        for (what, secret) in
            [("PEM", pem.clone()), ("its text trimmed", pem.trim().to_owned()), ("base64", der)]
        {
            let confused = Signer::secret(&secret).token(&claims("eve", "admin"));
            let name = format!("{name}, HS256 with the public key ({what})");
            refused(&mut edge, &name, &confused, "token_algorithm");
            // The same signature under the right name.
            let renamed = Signer::secret(&secret)
                .token_with(&json!({"alg": signer.name()}), &claims("eve", "admin"));
            refused(&mut edge, &format!("{name}, renamed"), &renamed, "token_signature");
        }
        let none = Signer::Nobody.token(&claims("eve", "admin"));
        refused(&mut edge, &format!("{name}, none"), &none, "token_algorithm");
        let changed = good.replacen('.', ".e", 1);
        refused(&mut edge, &format!("{name}, changed after"), &changed, "token_signature");
        edge.finish();
    }
}
