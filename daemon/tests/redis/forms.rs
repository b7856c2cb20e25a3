//! One server, a Redis Cluster, sentinels; with TLS.

use pulseboardd::clock::Clock;
use pulseboardd::cluster::{Heard, Link, LinkSettings, State, Subscriber};

use super::servers::{RedisCluster, Sentinels, Tls};
use super::shared::redis::Redis;
use super::{link, until, up, works};

/// What is published by one link is heard by another.
async fn is_heard(one: &Link, other: &Link) {
    let mut subscriber = Subscriber::open(one, vec![one.key("test")], 100);
    assert_eq!(subscriber.next().await, Some(Heard::Anew));
    assert!(subscriber.listening().is_subscribed() || one.is_up());
    let mut publish = redis::cmd("PUBLISH");
    publish.arg(other.key("test")).arg("\0binary\r\n".as_bytes());
    other.pipeline(&[publish]).await.unwrap()[0].as_ref().unwrap();
    assert_eq!(subscriber.next().await, Some(Heard::Message(b"\0binary\r\n".to_vec())));
}

#[tokio::test]
async fn one_server_answers_pipelines_scripts_and_listeners() {
    let redis = Redis::start_with(Some("swordfish"), &[]);
    let url = redis.url().replace("swordfish", "sword%66ish");
    let (one, other) = (link(&url), link(&redis.url()));
    up(&one).await;
    up(&other).await;
    works(&one).await;
    is_heard(&one, &other).await;
}

#[tokio::test]
async fn databases_of_one_server_do_not_hear_each_other() {
    let redis = Redis::start();
    let (zero, two) = (link(&redis.url()), link(&format!("{}/2", redis.url())));
    assert_ne!(zero.key("ticks"), two.key("ticks"));
    up(&two).await;
    works(&two).await;
}

#[tokio::test]
async fn a_redis_cluster_answers_for_keys_of_every_node() {
    let cluster = RedisCluster::start();
    let (one, other) = (link(&cluster.url()), link(&cluster.url()));
    up(&one).await;
    up(&other).await;
    works(&one).await;
    is_heard(&one, &other).await;
}

#[tokio::test]
async fn sentinels_lead_to_the_primary_and_to_the_next_one_after_a_failover() {
    let mut sentinels = Sentinels::start();
    let link = link(&sentinels.url());
    up(&link).await;
    works(&link).await;
    let number = link.number();
    sentinels.kill_primary();
    until(&link, "the primary is missed", |state| !state.is_up()).await;
    up(&link).await;
    assert!(link.number() > number);
    works(&link).await;
}

#[tokio::test]
async fn a_sentinel_that_does_not_know_the_primary_is_named() {
    let sentinels = Sentinels::start();
    let link = link(&sentinels.url().replace("/main", "/other"));
    let why = super::refused(&link).await;
    assert_eq!(why, "its sentinels know no primary named other");
}

#[tokio::test]
async fn tls_is_spoken_with_a_named_authority_and_with_a_certificate_of_ours() {
    let tls = Tls::start();
    let mut settings = LinkSettings::parse("cluster.redis_url", &tls.url()).unwrap();
    settings.ca_file = Some(tls.authority());
    settings.own_files = Some(tls.own());
    let one = Link::open(&settings, Clock::system()).unwrap();
    up(&one).await;
    works(&one).await;
    is_heard(&one, &one).await;

    settings.own_files = None;
    let without = Link::open(&settings, Clock::system()).unwrap();
    let why = super::refused(&without).await;
    assert!(why.contains("cluster.redis_cert_file"), "{why}");

    settings.ca_file = None;
    let stranger = Link::open(&settings, Clock::system()).unwrap();
    let why = super::refused(&stranger).await;
    assert!(why.contains("cluster.redis_ca_file"), "{why}");

    let plain = Redis::start();
    let mixed = link(&plain.url().replace("redis://", "rediss://"));
    let state = until(&mixed, "it is down", |state| matches!(state, State::Down { .. })).await;
    assert!(format!("{state:?}").contains("it does not answer in TLS"), "{state:?}");
}
