//! The link to real Redis servers in each form they come in, and what it says when they are wrong,
//! gone or frozen.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/shared.rs"]
mod shared;

mod daemons;
mod forms;
mod hour;
mod refusals;
mod servers;
mod trouble;
mod under_load;

use pulseboardd::clock::Clock;
use pulseboardd::cluster::{Call, Link, LinkSettings, Script, State};

/// A link to a URL.
fn link(url: &str) -> Link {
    let settings = LinkSettings::parse("cluster.redis_url", url).unwrap();
    Link::open(&settings, Clock::system()).unwrap()
}

/// Waits until the link's state is as wanted; a minute is a failure.
async fn until(link: &Link, what: &str, wanted: impl FnMut(&State) -> bool) -> State {
    let mut state = link.state();
    let found = tokio::time::timeout(std::time::Duration::from_mins(1), state.wait_for(wanted));
    match found.await {
        Ok(state) => state.unwrap().clone(),
        Err(late) => panic!("{late}: {what}; it is {:?}", *link.state().borrow()),
    }
}

async fn up(link: &Link) {
    until(link, "the link is up", State::is_up).await;
}

/// Why the link is refused.
async fn refused(link: &Link) -> String {
    match until(link, "a refusal", |state| matches!(state, State::Refused { .. })).await {
        State::Refused { reason, .. } => reason.to_string(),
        _ => unreachable!(),
    }
}

/// Sets and reads keys of many slots, by pipeline and by script.
async fn works(link: &Link) {
    let keys: Vec<String> = (0..64).map(|number| link.key(&format!("{{{number}}}:key"))).collect();
    let set = |(number, key): (usize, &String)| {
        let mut set = redis::cmd("SET");
        set.arg(key).arg(number).arg("PX").arg(60_000);
        set
    };
    let sets: Vec<redis::Cmd> = keys.iter().enumerate().map(set).collect();
    let answers = link.pipeline(&sets).await.unwrap();
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let add = Script::new("return tonumber(redis.call('GET', KEYS[1])) + ARGV[1]");
    let calls: Vec<Call> = keys
        .iter()
        .map(|key| Call { keys: vec![key.clone().into_bytes()], args: vec![b"1000".to_vec()] })
        .collect();
    // The second time it is known.
    for _ in 0..2 {
        let answers = link.scripts(&add, &calls).await.unwrap();
        let sums: Vec<i64> =
            answers.into_iter().map(|sum| redis::from_redis_value(sum.unwrap()).unwrap()).collect();
        assert_eq!(sums, (1_000..1_064).collect::<Vec<i64>>());
    }
}
