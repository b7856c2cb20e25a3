//! Publishing: acknowledged with its id, in groups, within its limit.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;

use crate::client::{Client, Raw, frame};
use crate::daemon::{Daemon, Setup};
use crate::feed::Sink;

fn publish(id: usize) -> Vec<u8> {
    let text = format!(r#"{{"op":"publish","id":{id},"events":[{{"type":"t","route":"/"}}]}}"#);
    frame(0x81, text.as_bytes())
}

#[tokio::test]
async fn a_publish_is_acknowledged_with_its_id() {
    let daemon = Daemon::start().await;
    let mut client = Client::connect(daemon.address).await;
    client.send(json!({"op": "publish", "id": 7, "events": [{"a": 1}, {"b": 2}]})).await;
    assert_eq!(
        client.text().await,
        r#"{"op":"ack","id":7,"accepted":2,"duplicates":0,"rejected":[],"rejectedTotal":0}"#
    );
    client.send(json!({"op": "publish", "events": [{"a": 1}]})).await;
    let ack = client.next().await;
    assert_eq!((&ack["op"], ack.get("id")), (&"ack".into(), None));
}

#[tokio::test]
async fn a_refused_publish_is_an_error_with_its_id_and_when_to_come_back() {
    let daemon = Daemon::start().await;
    let mut client = Client::connect(daemon.address).await;
    client.send(json!({"op": "publish", "id": 8, "events": []})).await;
    let error = client.next().await;
    assert_eq!(
        error,
        json!({
            "op": "error", "id": 8, "code": "busy", "message": "try later", "retryAfterMs": 120
        })
    );
    client.is_alive().await;
}

#[tokio::test]
async fn what_arrives_together_is_one_group_and_is_acknowledged_in_order() {
    let daemon = Daemon::start().await;
    let mut raw = Raw::connect(daemon.address).await;
    raw.write(&(0..32).flat_map(publish).collect::<Vec<u8>>()).await;
    for id in 0..32 {
        let (_, payload) = raw.frame().await.unwrap();
        let ack: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!((&ack["op"], &ack["id"]), (&"ack".into(), &id.into()));
    }
    assert_eq!(*daemon.sink.groups.lock(), [32]);
}

#[tokio::test]
async fn reading_pauses_at_the_limit_of_unacknowledged_publishes_and_goes_on_after() {
    let sink = Sink::with_gate(0);
    let daemon = Daemon::with(Setup { sink, ..Setup::default() }).await;
    let mut raw = Raw::connect(daemon.address).await;
    raw.write(&(0..200).flat_map(publish).collect::<Vec<u8>>()).await;
    let taken = || daemon.sink.groups.lock().iter().sum::<usize>();
    while taken() < 64 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(taken(), 64, "not one more is read");
    daemon.tick();
    daemon.sink.gate.add_permits(1_000);
    for id in 0..200 {
        let (_, payload) = raw.frame().await.unwrap();
        let ack: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(ack["id"], id, "every one is answered");
    }
    raw.write(&frame(0x81, br#"{"op":"ping","id":1}"#)).await;
    assert_eq!(raw.frame().await.unwrap().1, br#"{"op":"pong","id":1}"#);
}

#[tokio::test]
async fn several_groups_are_on_their_way_at_once() {
    let sink = Sink::with_gate(0);
    let daemon = Daemon::with(Setup { sink, ..Setup::default() }).await;
    let mut raw = Raw::connect(daemon.address).await;
    for (index, id) in [1, 2, 3].into_iter().enumerate() {
        raw.write(&publish(id)).await;
        while daemon.sink.groups.lock().len() <= index {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(*daemon.sink.groups.lock(), [1, 1, 1]);
}

#[tokio::test]
async fn what_was_published_is_finished_even_if_its_client_left() {
    let sink = Sink::with_gate(0);
    let daemon = Daemon::with(Setup { sink, ..Setup::default() }).await;
    let mut raw = Raw::connect(daemon.address).await;
    raw.write(&publish(1)).await;
    while daemon.sink.groups.lock().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    drop(raw);
    daemon.sockets(0).await;
    daemon.sink.gate.add_permits(1);
    while daemon.sink.finished.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn frames_and_acknowledgements_never_mix_within_a_frame() {
    let daemon = Daemon::start().await;
    daemon.tick();
    let mut raw = Raw::connect(daemon.address).await;
    raw.write(&frame(0x81, br#"{"op":"subscribe","rooms":["window:1s","window:5s"]}"#)).await;
    let (mut read, mut write) = raw.0.into_split();
    let publisher = tokio::spawn(async move {
        for id in 0..2_000 {
            tokio::io::AsyncWriteExt::write_all(&mut write, &publish(id)).await.unwrap();
        }
        write
    });
    let reader = tokio::spawn(async move {
        let (mut acks, mut frames) = (0, 0);
        let mut bytes = Vec::new();
        while acks < 2_000 {
            tokio::io::AsyncReadExt::read_buf(&mut read, &mut bytes).await.unwrap();
            while let Some((payload, rest)) = whole_frame(&bytes) {
                let message: serde_json::Value = serde_json::from_slice(payload).unwrap();
                if message["op"] == "ack" {
                    acks += 1;
                } else {
                    frames += 1;
                }
                bytes = rest.to_vec();
            }
        }
        frames
    });
    while !reader.is_finished() {
        daemon.tick();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(reader.await.unwrap() > 2);
    publisher.await.unwrap();
}

fn whole_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (start, length) = match *bytes.get(1)? {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()) as usize),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize),
        short => (2, short as usize),
    };
    assert_eq!(bytes[0], 0x81, "a frame begins where the one before ended");
    Some((bytes.get(start..start + length)?, &bytes[start + length..]))
}
