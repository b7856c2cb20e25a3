//! What tokens and limits cost: a token that was verified before, one that was not, one that is
//! refused; a bucket charged; the whole gate around a route; and ingest over REST with tokens on
//! against dev mode.
//!
//! `cargo bench -p pulseboardd --bench auth`. Demanded: 3 µs a request for a token, 0.5 µs for the
//! limits, and ingest with tokens within 5 % of dev mode. Each figure is the median of rounds.

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used, reason = "a bench")]

mod support;

use std::future::pending;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use pulseboard::claims::Claims;
use pulseboardd::auth::{Authority, Key, Keys, mint};
use pulseboardd::clock::Clock;
use pulseboardd::gate::{self, Gate};
use pulseboardd::rate_limit::{Limits, RateLimits, Who};
use pulseboardd::server::origin::Origins;
use pulseboardd::server::{self, Peer};
use support::body::{ndjson, post_with};
use support::http::drive;
use support::process::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tower::ServiceExt as _;

const SECRET: &str = "a-secret-of-benchmarks-that-nobody-else-has";
const ROUNDS: usize = 7;
/// As long as the bench may run: tokens must outlive it.
const FOR_SECS: i64 = 86_400;

fn main() {
    if std::env::args().any(|argument| argument == "--ceiling") {
        return support::ceiling::serve();
    }
    println!("tokens and limits ({}), ns each", support::machine());
    tokens();
    limits();
    gate_around_a_route();
    ingest_with_tokens();
}

/// The median of rounds, in ns a call.
fn measure(calls: usize, mut round: impl FnMut()) -> f64 {
    let mut took: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let started = Instant::now();
            round();
            started.elapsed().as_nanos() as f64 / calls as f64
        })
        .collect();
    took.sort_by(f64::total_cmp);
    took[ROUNDS / 2]
}

fn say(name: &str, nanos: f64, wanted: Option<f64>) {
    let wanted = wanted.map_or_else(String::new, |wanted| format!(" (wanted at most {wanted:.0})"));
    println!("  {name:<52} {nanos:>9.0}{wanted}");
}

fn claims(number: usize) -> Claims {
    let now = Clock::system().now_ms() / 1_000;
    Claims {
        sub: format!("subject-{number}"),
        scope: "read ingest".to_owned(),
        iat: now,
        exp: now + FOR_SECS,
        iss: None,
        aud: None,
        rate: Some(1_000_000_000),
        site: None,
    }
}

fn keys(key: Key) -> Keys {
    Keys { key, iss: None, aud: None }
}

fn authority() -> Authority {
    Authority::tokens(keys(Key::secret(SECRET).unwrap()), Clock::system())
}

fn tokens() {
    let minted = |count: usize| -> Vec<String> {
        (0..count).map(|number| mint(&claims(number), SECRET.as_bytes())).collect()
    };
    for (name, count) in [("one", 1), ("one of 4,000", 4_000)] {
        let (authority, tokens) = (authority(), minted(count));
        for token in &tokens {
            authority.verify(token).unwrap();
        }
        let calls = 400_000;
        let nanos = measure(calls, || {
            for token in tokens.iter().cycle().take(calls) {
                black_box(authority.verify(black_box(token)).unwrap());
            }
        });
        say(&format!("a token verified before: {name}"), nanos, Some(3_000.0));
    }
    for (name, key, tokens) in signed(500) {
        let nanos = measure(tokens.len(), || {
            let authority = Authority::tokens(keys(key.clone()), Clock::system());
            for token in &tokens {
                black_box(authority.verify(black_box(token)).unwrap());
            }
        });
        say(&format!("a token seen first: {name}"), nanos, None);
        let forged: Vec<String> = tokens.iter().map(|token| token.replacen('.', ".e", 1)).collect();
        let authority = Authority::tokens(keys(key), Clock::system());
        let nanos = measure(forged.len(), || {
            for token in &forged {
                black_box(authority.verify(black_box(token)).unwrap_err());
            }
        });
        say(&format!("a forged token: {name}"), nanos, None);
    }
    let (authority, many) = (authority(), minted(40_000));
    let nanos = measure(many.len(), || {
        for token in &many {
            black_box(authority.verify(black_box(token)).unwrap());
        }
    });
    say("five times as many tokens as are remembered: HS256", nanos, None);
}

/// Tokens of every kind of key.
fn signed(count: usize) -> Vec<(&'static str, Key, Vec<String>)> {
    let message = |algorithm: &str, number: usize| {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"{algorithm}"}}"#));
        let payload = serde_json::to_vec(&claims(number)).unwrap();
        format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload))
    };
    let whole = |message: String, signature: &[u8]| {
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    };
    let public = |der: PublicKeyX509Der<'_>| {
        let body = STANDARD.encode(der.as_ref());
        Key::public(&format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"))
            .unwrap()
    };
    let random = aws_lc_rs::rand::SystemRandom::new();
    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let ed = Ed25519KeyPair::generate().unwrap();
    let rs256 = |number| {
        let message = message("RS256", number);
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
        whole(message, &signature)
    };
    let es256 = |number| {
        let message = message("ES256", number);
        let signature = ec.sign(&random, message.as_bytes()).unwrap();
        whole(message, signature.as_ref())
    };
    let eddsa = |number| {
        let message = message("EdDSA", number);
        let signature = ed.sign(message.as_bytes());
        whole(message, signature.as_ref())
    };
    let hs256 = |number| mint(&claims(number), SECRET.as_bytes());
    vec![
        ("HS256", Key::secret(SECRET).unwrap(), (0..count).map(hs256).collect()),
        ("RS256", public(rsa.public_key().as_der().unwrap()), (0..count).map(rs256).collect()),
        ("ES256", public(ec.public_key().as_der().unwrap()), (0..count).map(es256).collect()),
        ("EdDSA", public(ed.public_key().as_der().unwrap()), (0..count).map(eddsa).collect()),
    ]
}

fn limits() {
    let rates = RateLimits::new(generous(), Clock::system());
    let authority = authority();
    let token = |number| mint(&claims(number), SECRET.as_bytes());
    let grants: Vec<_> =
        (0..4_000).map(|number| authority.verify(&token(number)).unwrap()).collect();
    let calls = 400_000;
    let nanos = measure(calls, || {
        for grant in grants.iter().cycle().take(calls) {
            black_box(rates.call(Who::Subject(&grant.subject)).unwrap());
        }
    });
    say("a call counted: one of 4,000 subjects", nanos, Some(500.0));
    let nanos = measure(calls, || {
        for number in 0..calls as u32 {
            let address = IpAddr::V4(Ipv4Addr::from(number % 4_000));
            black_box(rates.call(Who::Address(address)).unwrap());
        }
    });
    say("a call counted: one of 4,000 addresses", nanos, Some(500.0));
    let nanos = measure(calls, || {
        for grant in grants.iter().cycle().take(calls) {
            black_box(rates.events(grant).charge(1).unwrap());
        }
    });
    say("an event charged over REST: one of 4,000 subjects", nanos, Some(500.0));
    let budget = rates.socket(&grants[0], None);
    let nanos = measure(calls, || {
        for _ in 0..calls {
            black_box(budget.charge(1).unwrap());
        }
    });
    say("an event charged on a socket", nanos, Some(500.0));
}

/// Limits that are counted and never reached.
fn generous() -> Limits {
    let most = std::num::NonZeroU32::new(1_000_000_000).unwrap();
    Limits {
        api_per_minute: most,
        ingest_events_per_second: most,
        socket_events_per_second: most,
        socket_events_burst: most,
    }
}

fn gate_around_a_route() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let peer = runtime.block_on(peer());
    let token = format!("Bearer {}", mint(&claims(0), SECRET.as_bytes()));
    let request = || {
        let mut request = Request::builder()
            .uri("/api/history")
            .header("host", "localhost")
            .header("authorization", &token)
            .body(Body::empty())
            .unwrap();
        request.extensions_mut().insert(peer.clone());
        request
    };
    let calls = 50_000;
    let nanos_of = |router: Router| {
        measure(calls, || {
            runtime.block_on(async {
                for _ in 0..calls {
                    let answer = router.clone().oneshot(request()).await.unwrap();
                    assert_eq!(black_box(answer).status(), 200);
                }
            });
        })
    };
    let bare = Router::new().route("/api/history", get(async || "ok"));
    let gate = |authority: Authority, rates: RateLimits| {
        let gate = Gate::new(authority, rates, Origins::default(), gate::Settings::default());
        bare.clone().layer(axum::middleware::from_fn_with_state(gate, gate::layer))
    };
    let without = nanos_of(bare.clone());
    let dev = nanos_of(gate(Authority::dev(), RateLimits::default()));
    let tokens = nanos_of(gate(authority(), RateLimits::new(generous(), Clock::system())));
    say("the gate around a route, dev mode", dev - without, None);
    say("tokens and limits on top of it", tokens - dev, Some(3_500.0));
}

/// Who is at the other end of a connection: only the server makes one, so it is asked of one.
async fn peer() -> Peer {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    let router = Router::new().fallback(async move |request: Request| {
        tell.send(request.extensions().get::<Peer>().cloned()).unwrap();
    });
    let listener = server::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = listener.local_addr().unwrap();
    let serving = server::serve(listener, router, server::Settings::default(), pending());
    let serving = tokio::spawn(serving);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    stream.read_u8().await.unwrap();
    serving.abort();
    told.recv().unwrap().unwrap()
}

fn ingest_with_tokens() {
    println!("ingest over REST, events/s, tokens on / dev mode");
    let token = mint(&claims(0), SECRET.as_bytes());
    let header = format!("Authorization: Bearer {token}\r\n");
    for (name, connections, events, kind) in [
        ("NDJSON by 1,000, 8 connections", 8, 1_000, "application/x-ndjson"),
        ("one event a request, 128 connections", 128, 1, "application/json"),
    ] {
        let reached = |settings: &[(&str, &str)], header: &str, round: u64| {
            let mut all = vec![("PULSEBOARD_DEDUPE__MAX_IDS", "200000000")];
            all.extend_from_slice(settings);
            let folder = tempfile::tempdir().unwrap();
            let daemon = Server::daemon(folder.path(), &all);
            let request = |connection| post_with(&ndjson(events, connection), kind, header);
            let seconds = support::seconds();
            drive(daemon.address, connections, events, request, seconds, round).events_per_second
        };
        let mut ratios: Vec<(f64, f64, f64)> = (0..5)
            .map(|round| {
                let dev = reached(&[], "", round);
                let tokens = reached(&[("PULSEBOARD_AUTH__SECRET", SECRET)], &header, round);
                (tokens / dev, tokens, dev)
            })
            .collect();
        ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (ratio, tokens, dev) = ratios[2];
        println!("  {name}: {tokens:.0} / {dev:.0} = {ratio:.3} (wanted 0.95)");
    }
}
