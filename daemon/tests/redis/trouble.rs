//! Redis stopped, frozen, restarted empty and cut off: the link says so and comes back by itself.

use std::time::Duration;

use pulseboardd::cluster::{Heard, LinkError, State, Subscriber};

use super::servers::RedisCluster;
use super::shared::redis::Redis;
use super::{link, until, up, works};

#[tokio::test]
async fn a_frozen_redis_is_down_and_up_again_when_it_thaws() {
    let mut redis = Redis::start();
    let link = link(&redis.url());
    let mut subscriber = Subscriber::open(&link, vec![link.key("test")], 10);
    up(&link).await;
    assert_eq!(subscriber.next().await, Some(Heard::Anew));
    redis.process.freeze();
    let state = until(&link, "it is down", |state| !state.is_up()).await;
    assert!(matches!(&state, State::Down { reason, .. } if reason.contains("does not answer")));
    // Who asks does not wait.
    assert_eq!(link.pipeline(&[redis::cmd("PING")]).await.unwrap_err(), LinkError::Down);
    redis.process.thaw();
    up(&link).await;
    works(&link).await;
    assert_eq!(subscriber.next().await, Some(Heard::Anew), "what was said meanwhile is missed");
}

#[tokio::test]
async fn a_redis_that_restarts_empty_is_taken_again_scripts_too() {
    let mut redis = Redis::start();
    let link = link(&redis.url());
    up(&link).await;
    works(&link).await;
    redis.process.kill();
    until(&link, "it is down", |state| !state.is_up()).await;
    redis.restart();
    up(&link).await;
    works(&link).await;
    redis::cmd("FLUSHALL").exec(&mut redis.connection()).unwrap();
    redis::cmd("SCRIPT").arg("FLUSH").exec(&mut redis.connection()).unwrap();
    works(&link).await;
}

#[tokio::test]
async fn a_cluster_that_misses_a_node_goes_on_with_the_others() {
    let mut cluster = RedisCluster::start();
    let link = link(&cluster.url());
    up(&link).await;
    let mut keys = Vec::new();
    for number in 0..64 {
        let mut get = redis::cmd("GET");
        get.arg(link.key(&format!("{{{number}}}:key")));
        keys.push(get);
    }
    cluster.freeze_node_without(&link.key("{life}:written"));
    let answers = link.pipeline(&keys).await.unwrap();
    assert!(answers.iter().any(Result::is_ok) && answers.iter().any(Result::is_err));
    assert!(link.is_up());
    cluster.thaw();
    loop {
        match link.pipeline(&keys).await {
            Ok(answers) if answers.iter().all(Result::is_ok) => break,
            // A test that hangs here is ended by its runner.
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
    works(&link).await;
}
