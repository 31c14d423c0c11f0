//! Both directions at once.

use core::time::Duration;
use std::{env, thread, time::Instant};

use ws_std::{Error, Message, Reader, Writer, role::Role};
use ws_tests::noise;

use crate::{PATIENCE, pair};

/// The deadlines of reads, which pass while a message comes in.
const TICK: Duration = Duration::from_millis(50);
/// The time after which a side changes its keys.
const KEY_TIME: Duration = Duration::from_millis(100);
/// The text that ends a direction, after its messages.
const END: &str = "end";

/// Sends numbered messages and Pings for `time`, with new keys ten times a second, then the end. Returns the number of
/// messages.
fn send<R: Role>(writer: &mut Writer<R>, payload: &[u8], time: Duration) -> u64 {
    let mut message = payload.to_vec();
    let (started, mut count, mut keys) = (Instant::now(), 0_u64, 0);
    while started.elapsed() < time {
        message[..8].copy_from_slice(&count.to_be_bytes());
        writer.send(&*message).unwrap();
        count += 1;
        if count % 16 == 0 {
            writer.ping(&count.to_be_bytes()).unwrap();
        }
        if started.elapsed() > KEY_TIME * keys {
            keys += 1;
            writer.transport().tls().unwrap().refresh_traffic_keys().unwrap();
        }
    }
    writer.send(END).unwrap();
    count
}

/// Reads messages, whose numbers are in order, to the end. Returns their number.
fn receive<R: Role>(reader: &mut Reader<R>, payload: &[u8]) -> u64 {
    let mut count = 0_u64;
    let started = Instant::now();
    loop {
        match reader.read() {
            Ok(Some(Message::Binary(message))) => {
                assert_eq!(message[..8], count.to_be_bytes());
                assert!(message[8..] == payload[8..], "message {count} is damaged");
                count += 1;
            }
            Ok(Some(message)) => {
                assert_eq!(message, Message::Text(END));
                return count;
            }
            Err(Error::TimedOut) if started.elapsed() < 3 * PATIENCE => {}
            other => panic!("{other:?} after {count} messages"),
        }
    }
}

#[test]
fn both_directions_are_saturated_while_keys_change_and_deadlines_pass() {
    // 60 in the long form of this test.
    let time = env::var("WS_TLS_SECONDS").map_or(1, |seconds| seconds.parse().unwrap());
    let time = Duration::from_secs(time);
    for len in [16 * 1024, 300_000] {
        let (mut client, mut server) = pair();
        client.set_read_timeout(Some(TICK));
        server.set_read_timeout(Some(TICK));
        let ((mut from_server, mut to_server), (mut from_client, mut to_client)) =
            (client.split(), server.split());
        let payload = noise(len);
        thread::scope(|scope| {
            let sent = [
                scope.spawn(|| send(&mut to_server, &payload, time)),
                scope.spawn(|| send(&mut to_client, &payload, time)),
            ];
            let received = [
                scope.spawn(|| receive(&mut from_client, &payload)),
                scope.spawn(|| receive(&mut from_server, &payload)),
            ];
            let sent = sent.map(|thread| thread.join().unwrap());
            assert_eq!(received.map(|thread| thread.join().unwrap()), sent);
            assert!(sent.iter().all(|count| *count > 0));
        });
    }
}
