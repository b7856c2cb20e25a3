//! Frames as they should not be: each is told with its close code, and nobody else notices.

use std::time::Duration;

use crate::client::{Client, Raw, frame};
use crate::daemon::{Daemon, Setup};

const TEXT: u8 = 0x81;

/// Sends bytes on a socket of its own, gives the close code, and checks that a neighbour goes on.
async fn close_code_after(bytes: &[u8]) -> Option<u16> {
    let daemon = Daemon::start().await;
    daemon.tick();
    let mut neighbour = Client::connect_to_rooms(daemon.address, &["window:1s"]).await;
    assert_eq!(neighbour.next().await["op"], "snapshot");
    let mut raw = Raw::connect(daemon.address).await;
    raw.write(bytes).await;
    let code = raw.close_code().await;
    drop(raw);
    let tick = daemon.tick();
    let delta = neighbour.next().await;
    assert_eq!((&delta["op"], delta["tick"].as_i64()), (&"delta".into(), Some(tick)));
    daemon.sockets(1).await;
    code
}

#[tokio::test]
async fn an_unmasked_frame_breaks_the_protocol() {
    assert_eq!(close_code_after(&[TEXT, 2, b'{', b'}']).await, Some(1002));
}

#[tokio::test]
async fn reserved_bits_break_the_protocol() {
    for bit in [0x40, 0x20, 0x10] {
        assert_eq!(close_code_after(&frame(TEXT | bit, b"{}")).await, Some(1002));
    }
}

#[tokio::test]
async fn reserved_opcodes_break_the_protocol() {
    for opcode in [0x83, 0x87, 0x8b, 0x8f] {
        assert_eq!(close_code_after(&frame(opcode, b"")).await, Some(1002));
    }
}

#[tokio::test]
async fn a_control_frame_is_whole_and_short() {
    assert_eq!(close_code_after(&frame(0x09, b"")).await, Some(1002), "a fragmented ping");
    assert_eq!(close_code_after(&frame(0x89, &[0; 126])).await, Some(1002), "a long ping");
}

#[tokio::test]
async fn a_continuation_continues_something() {
    assert_eq!(close_code_after(&frame(0x80, b"{}")).await, Some(1002));
    let mut interrupted = frame(0x01, b"{\"op\":");
    interrupted.extend(frame(TEXT, b"{}"));
    assert_eq!(close_code_after(&interrupted).await, Some(1002));
}

#[tokio::test]
async fn a_binary_message_is_not_of_this_protocol() {
    assert_eq!(close_code_after(&frame(0x82, b"{}")).await, Some(1003));
}

#[tokio::test]
async fn text_that_is_not_utf8_is_told_so() {
    assert_eq!(close_code_after(&frame(TEXT, b"{\"op\":\"\xff\"}")).await, Some(1007));
    let mut fragments = frame(0x01, b"{\"op\":\"\xc3");
    fragments.extend(frame(0x80, b"(\"}"));
    assert_eq!(close_code_after(&fragments).await, Some(1007));
}

#[tokio::test]
async fn a_message_over_the_limit_is_too_big_before_it_is_whole() {
    let mut header = vec![TEXT, 0xff];
    header.extend((1_048_577_u64).to_be_bytes());
    header.extend([0; 4]);
    assert_eq!(close_code_after(&header).await, Some(1009));
    header[2..10].copy_from_slice(&i64::MAX.to_be_bytes());
    assert_eq!(close_code_after(&header).await, Some(1009));
}

#[tokio::test]
async fn fragments_over_the_limit_together_are_too_big() {
    let mut fragments = frame(0x01, &vec![b' '; 600_000]);
    fragments.extend(frame(0x80, &vec![b' '; 600_000]));
    assert_eq!(close_code_after(&fragments).await, Some(1009));
}

#[tokio::test]
async fn a_close_with_a_broken_body_breaks_the_protocol() {
    assert_eq!(close_code_after(&frame(0x88, &[3])).await, Some(1002));
    assert_eq!(close_code_after(&frame(0x88, &[0x03, 0xe8, 0xff])).await, Some(1007));
}

#[tokio::test]
async fn a_goodbye_is_answered_with_its_code() {
    assert_eq!(close_code_after(&frame(0x88, &1000_u16.to_be_bytes())).await, Some(1000));
}

#[tokio::test]
async fn a_message_in_fragments_is_one_message_even_with_a_ping_between() {
    let daemon = Daemon::start().await;
    let mut raw = Raw::connect(daemon.address).await;
    raw.write(&frame(0x01, b"{\"op\":\"pi")).await;
    raw.write(&frame(0x89, b"mid")).await;
    assert_eq!(raw.frame().await.unwrap(), (0x8a, b"mid".to_vec()));
    raw.write(&frame(0x00, b"ng\",\"i")).await;
    raw.write(&frame(0x80, b"d\":9}")).await;
    let (_, pong) = raw.frame().await.unwrap();
    assert_eq!(pong, br#"{"op":"pong","id":9}"#);
}

#[tokio::test]
async fn a_frame_may_arrive_byte_by_byte_and_many_at_once() {
    let daemon = Daemon::start().await;
    let mut raw = Raw::connect(daemon.address).await;
    for byte in frame(TEXT, br#"{"op":"ping","id":1}"#) {
        raw.write(&[byte]).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(raw.frame().await.unwrap().1, br#"{"op":"pong","id":1}"#);
    let many: Vec<u8> = (0..2_000)
        .flat_map(|id| frame(TEXT, format!(r#"{{"op":"ping","id":{id}}}"#).as_bytes()))
        .collect();
    let (mut read, mut write) = raw.0.into_split();
    let writing = tokio::spawn(async move {
        tokio::io::AsyncWriteExt::write_all(&mut write, &many).await.unwrap();
        write
    });
    let mut answers = vec![0; 0];
    let expected: Vec<u8> = (0..2_000)
        .flat_map(|id| {
            let text = format!(r#"{{"op":"pong","id":{id}}}"#).into_bytes();
            [vec![TEXT, text.len() as u8], text].concat()
        })
        .collect();
    while answers.len() < expected.len() {
        tokio::io::AsyncReadExt::read_buf(&mut read, &mut answers).await.unwrap();
    }
    assert!(answers == expected, "every ping is answered, in order");
    writing.await.unwrap();
}

#[tokio::test]
async fn what_came_with_the_upgrade_request_is_not_lost() {
    let daemon = Daemon::start().await;
    let mut raw = Raw::dial(daemon.address).await;
    let mut both = crate::client::upgrade(daemon.address, "").into_bytes();
    both.extend(frame(TEXT, br#"{"op":"ping","id":5}"#));
    raw.write(&both).await;
    raw.head().await;
    assert!(raw.frame().await.unwrap().1.starts_with(br#"{"op":"welcome""#));
    assert_eq!(raw.frame().await.unwrap().1, br#"{"op":"pong","id":5}"#);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_frame_is_forgotten() {
    let daemon = Daemon::with(Setup::default()).await;
    let mut raw = Raw::connect(daemon.address).await;
    let whole = frame(TEXT, br#"{"op":"ping","id":1}"#);
    raw.write(&whole[..whole.len() / 2]).await;
    daemon.sockets(1).await;
    drop(raw);
    daemon.sockets(0).await;
}
