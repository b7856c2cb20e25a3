//! Tokens of sockets: in every place, twice, too late, too long, and what is asked without one.

use serde_json::{Value, json};

use super::{reader, sender};
use crate::client::{Dial, Heard};
use crate::harness::{Edge, Expect, Meets};
use crate::support::now_ms;
use crate::support::token::{self, Signer, changed, claims};

fn auth(token: &str) -> String {
    json!({"op": "auth", "token": token}).to_string()
}

fn signed(changes: &Value) -> String {
    Signer::secret(token::SECRET).token(&changed(claims("mallory", "read"), changes))
}

fn refused(status: u16, code: &'static str) -> Meets {
    Meets::Refused(Expect::problem(status, code))
}

fn offer(subprotocols: &str) -> Dial {
    Dial::plain().header("Sec-WebSocket-Protocol", subprotocols)
}

#[test]
fn a_token_stands_in_one_place_and_is_good_or_there_is_no_socket() {
    let mut edge = Edge::start(&[]);
    let good = reader();
    let expired = signed(&json!({"exp": 1_700_000_000}));
    let challenged =
        |code| Meets::Refused(Expect::problem(401, code).header("www-authenticate", "Bearer"));
    let welcome = Meets::Welcome("ok", "read");
    let none = Meets::Welcome("required", "");
    for (name, dial, meets) in [
        ("in the header", Dial::bearer(&good), &welcome),
        ("as subprotocol", Dial::subprotocol(&good), &welcome),
        ("as subprotocol, first", offer(&format!("bearer.{good}, pulseboard.v1")), &welcome),
        ("no token", Dial::plain(), &none),
        ("no token, our subprotocol", offer("pulseboard.v1"), &none),
        ("another subprotocol beside ours", offer("chat, pulseboard.v1"), &none),
        ("Bearer is no bearer", offer(&format!("Bearer.{good}, pulseboard.v1")), &none),
        ("expired, in the header", Dial::bearer(&expired), &challenged("token_expired")),
        ("expired, as subprotocol", Dial::subprotocol(&expired), &challenged("token_expired")),
        ("nonsense, as subprotocol", Dial::subprotocol("x"), &challenged("token_malformed")),
        ("empty, as subprotocol", Dial::subprotocol(""), &challenged("token_malformed")),
        ("cut by a comma", Dial::subprotocol("a,b"), &challenged("token_malformed")),
        (
            "a password instead",
            Dial::plain().header("Authorization", "Basic bWFsbG9yeTpvcGVu"),
            &challenged("unauthorized"),
        ),
        ("no scheme", Dial::plain().header("Authorization", &good), &challenged("unauthorized")),
        (
            "twice in the header",
            Dial::bearer(&good).header("Authorization", &format!("Bearer {good}")),
            &refused(400, "several_tokens"),
        ),
        ("in the query", Dial::query(&good), &challenged("query_token_off")),
        ("empty, in the query", Dial::query(""), &challenged("query_token_off")),
        ("an unknown subprotocol", offer("pulseboard.v2"), &refused(400, "unknown_subprotocol")),
        (
            "a token without our subprotocol",
            offer(&format!("bearer.{good}")),
            &refused(400, "subprotocol_missing"),
        ),
        (
            "twice as subprotocol",
            offer(&format!("pulseboard.v1, bearer.{good}, bearer.{good}")),
            &refused(400, "several_tokens"),
        ),
        (
            "in the header and as subprotocol",
            Dial::subprotocol(&good).header("Authorization", &format!("Bearer {good}")),
            &refused(400, "several_tokens"),
        ),
    ] {
        edge.socket(name, &dial, &[], meets);
    }
    edge.finish();

    let mut edge = Edge::start(&[("PULSEBOARD_AUTH__ALLOW_QUERY_TOKEN", "true")]);
    for (name, dial, meets) in [
        ("in the query, allowed", Dial::query(&good), &welcome),
        ("expired, in the query", Dial::query(&expired), &challenged("token_expired")),
        ("empty, in the query, allowed", Dial::query(""), &challenged("token_malformed")),
        (
            "twice in the query",
            Dial::query(&format!("{good}&token={good}")),
            &refused(400, "several_tokens"),
        ),
        (
            "in the query and as subprotocol",
            Dial::query(&good)
                .header("Sec-WebSocket-Protocol", &format!("pulseboard.v1, bearer.{good}")),
            &refused(400, "several_tokens"),
        ),
    ] {
        edge.socket(name, &dial, &[], meets);
    }
    edge.finish();
}

#[test]
fn auth_messages_are_taken_or_end_the_session() {
    let mut edge = Edge::start(&[]);
    let (plain, known) = (Dial::plain(), Dial::bearer(&reader()));
    let expired = signed(&json!({"exp": 1_700_000_000}));
    let early = signed(&json!({"nbf": 4_000_000_000_u32}));
    let foreign = Signer::secret("a secret that this daemon has never heard of");
    let foreign = foreign.token(&claims("mallory", "admin"));
    for (who, dial) in [("a stranger", &plain), ("a renewal", &known)] {
        let name = |what: &str| format!("{who}: {what}");
        for (what, token, code) in [
            ("expired", &expired, "token_expired"),
            ("not yet valid", &early, "token_not_yet_valid"),
            ("another key's", &foreign, "token_signature"),
            ("empty", &String::new(), "token_malformed"),
            ("three dots", &"...".to_owned(), "token_malformed"),
            ("NUL", &"\0".to_owned(), "token_malformed"),
            ("ten thousand bytes", &"a".repeat(10_000), "token_malformed"),
        ] {
            edge.socket(&name(what), dial, &[auth(token)], &Meets::Ended(code, 1008));
        }
        edge.socket(&name("20 KB"), dial, &[auth(&"a".repeat(20_000))], &Meets::Closed(1009));
        let twice = [auth(&reader()), auth(&sender())];
        edge.socket(&name("twice"), dial, &twice, &Meets::Welcome("ok", "ingest"));
        let good_then_bad = [auth(&reader()), auth(&expired)];
        let ended = Meets::Ended("token_expired", 1008);
        edge.socket(&name("good, then expired"), dial, &good_then_bad, &ended);
        let many: Vec<String> = (0..500).map(|_| auth(&reader())).collect();
        edge.socket(&name("500 renewals"), dial, &many, &Meets::Welcome("ok", "read"));
    }
    for (name, message, code) in [
        ("auth without a token", r#"{"op":"auth"}"#, "missing_field"),
        ("auth with a number", r#"{"op":"auth","token":1}"#, "wrong_type"),
        ("auth with a list", r#"{"op":"auth","token":["a.b.c"]}"#, "wrong_type"),
        ("auth with two tokens", r#"{"op":"auth","token":"a","token":"b"}"#, "bad_json"),
        ("auth with half a surrogate", r#"{"op":"auth","token":"\ud800"}"#, "wrong_type"),
    ] {
        edge.socket(name, &known, &[message.to_owned()], &Meets::Error(code));
    }
    edge.finish();
}

#[test]
fn whoever_shows_no_token_learns_nothing_and_is_shown_out() {
    let mut edge = Edge::start(&[]);
    for (name, message, about) in [
        ("subscribe", r#"{"op":"subscribe","rooms":["window:1s"]}"#, json!({"room": "window:1s"})),
        (
            "subscribe to a filter",
            r#"{"op":"subscribe","rooms":["window:1s?filter=site=shop"]}"#,
            json!({"room": "window:1s?filter=site=shop"}),
        ),
        ("subscribe to tail", r#"{"op":"subscribe","rooms":["tail"]}"#, json!({"room": "tail"})),
        (
            "subscribe to system",
            r#"{"op":"subscribe","rooms":["system"]}"#,
            json!({"room": "system"}),
        ),
        (
            "unsubscribe",
            r#"{"op":"unsubscribe","rooms":["window:1s"]}"#,
            json!({"room": "window:1s"}),
        ),
        (
            "get",
            r#"{"op":"get","id":3,"room":"window:1s","at":1}"#,
            json!({"id": 3, "room": "window:1s"}),
        ),
        (
            "publish",
            r#"{"op":"publish","id":4,"events":[{"type":"t","route":"/"}]}"#,
            json!({"id": 4}),
        ),
        ("ping", r#"{"op":"ping","id":5}"#, json!({"id": 5})),
    ] {
        edge.row(&format!("{name} without a token"), |edge| {
            let mut socket = Dial::plain().open(edge.address()).map_err(|answer| answer.head)?;
            socket.hear_op("welcome");
            socket.say(message);
            let Heard::Message(mut error) = socket.hear() else { return Err("no answer".into()) };
            let sentence = error.as_object_mut().and_then(|error| error.remove("message"));
            let mut expected = json!({"op": "error", "code": "unauthorized"});
            expected.as_object_mut().unwrap().extend(about.as_object().unwrap().clone());
            if error == expected && sentence.is_some() { Ok(()) } else { Err(error.to_string()) }
        });
    }
    edge.row("says nothing for ten seconds", |edge| {
        let mut socket = Dial::plain().open(edge.address()).map_err(|answer| answer.head)?;
        let began_ms = now_ms();
        socket.hear_op("welcome");
        let error = socket.hear();
        let end = socket.hear();
        let is_told = matches!(&error, Heard::Message(error) if error["code"] == "unauthorized");
        let is_shown_out = matches!(end, Heard::Close(Some(1008), _));
        if is_told && is_shown_out && now_ms() - began_ms >= 9_500 {
            Ok(())
        } else {
            Err(format!("{error:?}, {end:?} after {} ms", now_ms() - began_ms))
        }
    });
    edge.finish();
}

#[test]
fn whoever_sends_too_much_is_told_when_to_come_back() {
    let mut edge = Edge::start(&[
        ("PULSEBOARD_LIMITS__SOCKET_EVENTS_PER_SECOND", "1"),
        ("PULSEBOARD_LIMITS__SOCKET_EVENTS_BURST", "20"),
    ]);
    let event = json!({"type": "t", "route": "/"});
    let publish = |events: usize| {
        json!({"op": "publish", "id": 1, "events": vec![&event; events]}).to_string()
    };
    let slow = Dial::bearer(&sender());
    let burst = [publish(21)];
    edge.socket("more at once than ever fits", &slow, &burst, &Meets::Error("batch_exceeds_burst"));
    let twice = [publish(15), publish(15)];
    edge.socket("more than there is", &slow, &twice, &Meets::Error("rate_limited"));
    edge.row("when to come back", |edge| {
        let mut socket = slow.open(edge.address()).map_err(|answer| answer.head)?;
        let Heard::Message(welcome) = socket.hear() else { return Err("no welcome".into()) };
        if welcome["limits"]["eventsPerSecond"] != 1 {
            return Err(welcome.to_string());
        }
        socket.say(&publish(20));
        socket.say(&publish(10));
        let Heard::Message(error) = socket.hear_op("error") else { return Err("none".into()) };
        let after_ms = error["retryAfterMs"].as_u64().unwrap_or_default();
        // Ten events at one a second; the clock goes on meanwhile.
        let is_right = error["id"] == 1 && (5_000..=10_000).contains(&after_ms);
        if is_right { Ok(()) } else { Err(error.to_string()) }
    });
    edge.row("a renewal fills no bucket", |edge| {
        let mut socket = slow.open(edge.address()).map_err(|answer| answer.head)?;
        socket.say(&publish(20));
        socket.say(&auth(&sender()));
        socket.say(&publish(20));
        match socket.hear_op("error") {
            Heard::Message(error) if error["code"] == "rate_limited" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let fast = Dial::bearer(&signed(&json!({"scope": "ingest", "rate": 1_000, "sub": "fast"})));
    edge.row("a rate of its own", |edge| {
        let mut socket = fast.open(edge.address()).map_err(|answer| answer.head)?;
        let Heard::Message(welcome) = socket.hear() else { return Err("no welcome".into()) };
        socket.say(&publish(900));
        match socket.hear() {
            Heard::Message(ack)
                if ack["accepted"] == 900 && welcome["limits"]["eventsPerSecond"] == 1_000 =>
            {
                Ok(())
            }
            other => Err(format!("{other:?} after {welcome}")),
        }
    });
    edge.finish();
}

#[test]
fn each_scope_keeps_to_its_own() {
    let mut edge = Edge::start(&[]);
    let dial = |scope: &str| Dial::bearer(&token::good("mallory", scope));
    let subscribe = r#"{"op":"subscribe","rooms":["window:1s"]}"#.to_owned();
    let get = r#"{"op":"get","room":"window:1s","at":1}"#.to_owned();
    let publish = r#"{"op":"publish","events":[{"type":"t","route":"/"}]}"#.to_owned();
    let system = r#"{"op":"subscribe","rooms":["system"]}"#.to_owned();
    for (scope, message, code) in [
        ("ingest", &subscribe, "wrong_scope"),
        ("ingest", &get, "wrong_scope"),
        ("ingest", &system, "wrong_scope"),
        ("read", &publish, "wrong_scope"),
        ("read", &system, "wrong_scope"),
        ("read ingest", &system, "wrong_scope"),
        ("openid", &subscribe, "wrong_scope"),
        ("openid", &publish, "wrong_scope"),
        ("READ", &subscribe, "wrong_scope"),
    ] {
        let name = format!("{scope}: {message}");
        edge.socket(&name, &dial(scope), std::slice::from_ref(message), &Meets::Error(code));
    }
    let site = Signer::secret(token::SECRET);
    let shop = changed(claims("mallory", "read ingest"), &json!({"site": "shop"}));
    let shop = Dial::bearer(&site.token(&shop));
    edge.row("a token of one site writes to another", |edge| {
        let mut socket = shop.open(edge.address()).map_err(|answer| answer.head)?;
        socket.say(r#"{"op":"publish","events":[{"type":"t","route":"/","site":"bank"}]}"#);
        let heard = socket.hear_op("ack");
        let Heard::Message(ack) = &heard else { return Err(format!("{heard:?}")) };
        let told = (&ack["accepted"], &ack["rejected"][0]["code"]);
        if told == (&json!(0), &json!("wrong_site")) { Ok(()) } else { Err(ack.to_string()) }
    });
    edge.finish();
}
