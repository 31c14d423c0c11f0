//! The accounting of plaintext and ciphertext, over a transport that takes as much as it is told.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    time::Instant,
};

use ws_std::{
    Transport,
    rustls::{self, AlertDescription, DEFAULT_VERSIONS, SupportedProtocolVersion, version},
};
use ws_tests::{Authority, noise};

use crate::{
    PATIENCE, SHORT,
    certificates::{self, client_with},
    patient,
    pipe::{End, streams},
    settings, soon,
};

type TlsStream = ws_std::TlsStream<End>;

fn past() -> Option<Instant> {
    Some(Instant::now())
}

fn is_timeout<X>(result: &io::Result<X>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

/// The fault that rustls has found.
fn fault(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Writes all bytes, and repeats each call that times out. Returns the number of these.
fn write_all(stream: &TlsStream, bytes: &[u8]) -> usize {
    let (mut at, mut timeouts) = (0, 0);
    while at < bytes.len() {
        // Slices as those of the driver: output that waits, a header, the payload.
        let rest = &bytes[at..];
        let (one, two) = rest.split_at(rest.len().min(10));
        let (two, three) = two.split_at(two.len().min(4));
        match stream.write(&[one, two, three].map(IoSlice::new), past()) {
            Ok(len) => {
                assert!((1..=rest.len()).contains(&len), "{len}");
                at += len;
            }
            result => {
                assert!(is_timeout(&result), "{result:?}");
                timeouts += 1;
            }
        }
    }
    timeouts
}

/// Reads all that has arrived, through a buffer of `len` bytes.
fn read_all(stream: &TlsStream, len: usize) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; len]);
    loop {
        match stream.read(&mut buffer, past()) {
            Ok(len) => all.extend_from_slice(&buffer[..len]),
            // Of a record that has come in part, a call with a deadline in the past takes one piece.
            Err(_) if stream.transport().is_empty() => return all,
            result => assert!(is_timeout(&result), "{result:?}"),
        }
    }
}

fn of_versions(mut test: impl FnMut(&TlsStream, &TlsStream)) {
    let authority = Authority::new();
    let versions: [&[&'static SupportedProtocolVersion]; 2] = [DEFAULT_VERSIONS, &[&version::TLS12]];
    for versions in versions {
        let (client, server) =
            streams(&(client_with(&authority, &[], versions), certificates::server(&authority)));
        test(&client, &server);
    }
}

#[test]
fn writes_that_time_out_anywhere_lose_nothing_and_send_nothing_twice() {
    let message = noise(40_000);
    of_versions(|client, server| {
        for step in [
            1, 4, 5, 21, 22, 23, 1_000, 7_231, 7_253, 7_254, 7_255, 16_384, 16_405, 16_406, 16_407, 30_000, 50_000,
        ] {
            let mut takes = false;
            client.transport().takes(move || {
                takes = !takes;
                if takes { step } else { 0 }
            });
            let timeouts = write_all(client, &message);
            // Three records, a short one first: each byte of ciphertext is made and sent once.
            let ciphertext = client.transport().under_way();
            assert!((message.len()..message.len() + 100).contains(&ciphertext), "{step}: {ciphertext}");
            assert!(timeouts > 0 || step >= 7_254, "{step}");
            assert!(read_all(server, 4_096) == message, "{step}");
        }
    });
}

#[test]
fn a_write_of_fewer_bytes_counts_those_that_were_encrypted_before() {
    let (client, server) = streams(&settings());
    client.transport().takes(|| 0);
    assert!(is_timeout(&client.write(&[IoSlice::new(b"one two")], past())));
    client.transport().takes(|| usize::MAX);
    assert_eq!(client.write(&[IoSlice::new(b"one")], past()).unwrap(), 3);
    assert_eq!(client.write(&[IoSlice::new(b" two three")], past()).unwrap(), 10);
    assert_eq!(read_all(&server, 4_096), b"one two three");
}

#[test]
fn a_buffer_of_any_length_gives_the_same_plaintext() {
    let message = noise(100_000);
    of_versions(|client, server| {
        for len in [1, 2, 1_000, 1_023, 1_024, 1_025, 4_096, 16_384, 70_000, 200_000] {
            // Records of one byte, of the most, and others.
            let mut written = 0;
            for piece in [1, 16_384, 1, 1, 300, 20_000, 33_000].into_iter().cycle() {
                let end = (written + piece).min(message.len());
                write_all(client, &message[written..end]);
                written = end;
                if written == message.len() {
                    break;
                }
            }
            assert!(read_all(server, len) == message, "{len}");
        }
    });
}

#[test]
fn records_that_have_come_are_read_before_the_transport_is_asked() {
    let message = noise(60_000);
    of_versions(|client, server| {
        for len in [1_500, 20_000, 70_000] {
            for record in message.chunks(7_000) {
                write_all(client, record);
            }
            // A read that takes as much as it can shows that more has come, and the next one takes all of that.
            let (mut received, mut buffer) = (Vec::new(), vec![0; len]);
            let mut reads = 0;
            while received.len() < message.len() {
                let was_ready = server.is_ready();
                let left = client.transport().under_way();
                let read = server.read(&mut buffer, patient()).unwrap();
                assert!(!was_ready || client.transport().under_way() == left, "{len}");
                received.extend_from_slice(&buffer[..read]);
                reads += usize::from(was_ready);
            }
            assert!(received == message && !server.is_ready(), "{len}");
            assert!(reads > 0 || len == 70_000, "{len}");
        }
    });
}

#[test]
fn a_read_ends_at_its_deadline_although_ciphertext_goes_on_coming() {
    let (client, server) = streams(&settings());
    write_all(&client, &noise(10_000));
    let under_way = client.transport().under_way();
    assert!(is_timeout(&server.read(&mut [0; 1_024], past())));
    assert_eq!(client.transport().under_way(), under_way - 1_024);
    assert!(read_all(&server, 1_024) == noise(10_000));
}

#[test]
fn keys_change_in_the_middle_of_a_write() {
    let message = noise(50_000);
    let (client, server) = streams(&settings());
    client.transport().takes({
        let mut left = 20_000;
        move || std::mem::take(&mut left)
    });
    // The first record has left, and part of the second one.
    assert_eq!(client.write(&[IoSlice::new(&message)], past()).unwrap(), 16_384);
    server.refresh_traffic_keys().unwrap();
    client.refresh_traffic_keys().unwrap();
    assert!(is_timeout(&client.read(&mut [0; 2_048], past())));
    client.transport().takes(|| usize::MAX);
    write_all(&client, &message[16_384..]);
    assert!(read_all(&server, 4_096) == message);
    for (from, to) in [(&server, &client), (&client, &server)] {
        write_all(from, b"after");
        assert_eq!(read_all(to, 4_096), b"after");
    }
}

#[test]
fn all_records_before_a_fault_are_read_however_much_has_come() {
    const RECORD: usize = 16 * 1024;
    for len in [RECORD, 60_000, 1 << 20] {
        let (client, server) = streams(&settings());
        let sent = noise(20 * RECORD);
        for record in sent.chunks(RECORD) {
            client.write(&[IoSlice::new(record)], patient()).unwrap();
        }
        client.transport().damage();
        let (mut received, mut buffer) = (Vec::new(), vec![0; len]);
        let error = loop {
            match server.read(&mut buffer, patient()) {
                Ok(len) => received.extend_from_slice(&buffer[..len]),
                Err(error) => break error,
            }
        };
        assert_eq!(fault(&error), Some(&rustls::Error::DecryptError), "{error:?}");
        assert!(received == sent[..19 * RECORD], "{} bytes through a buffer of {len}", received.len());
    }
}

#[test]
fn plaintext_before_a_fault_is_read_and_the_peer_is_told_the_fault() {
    for len in [100, 4_096] {
        let (client, server) = streams(&settings());
        write_all(&client, b"good");
        write_all(&client, b"damaged");
        client.transport().damage();
        // The alert has to wait.
        server.transport().takes(|| 0);
        let mut buffer = vec![0; len];
        assert_eq!(server.read(&mut buffer, past()).unwrap(), 4);
        for _ in 0..2 {
            let error = server.read(&mut buffer, past()).unwrap_err();
            assert_eq!(fault(&error), Some(&rustls::Error::DecryptError), "{error:?}");
        }
        assert!(server.write(&[IoSlice::new(b"more")], past()).is_err());
        assert!(is_timeout(&client.read(&mut buffer, past())));
        server.transport().takes(|| usize::MAX);
        assert!(server.read(&mut buffer, past()).is_err());
        let error = client.read(&mut buffer, past()).unwrap_err();
        assert_eq!(fault(&error), Some(&rustls::Error::AlertReceived(AlertDescription::BadRecordMac)));
    }
}

#[test]
fn a_read_that_waits_sends_the_output_of_tls_as_soon_as_there_is_room() {
    let (client, server) = streams(&settings());
    server.transport().takes({
        let mut tries = 0;
        move || {
            tries += 1;
            if tries > 3 { usize::MAX } else { 0 }
        }
    });
    server.refresh_traffic_keys().unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert!(!server.transport().has_ended());
    assert!(is_timeout(&client.read(&mut [0; 2_048], past())));
    let started = Instant::now();
    std::thread::scope(|scope| {
        // Its first tries are without effect.
        let waiting = scope.spawn(|| server.read(&mut [0; 4], patient()));
        assert_eq!(client.read(&mut [0; 2_048], patient()).unwrap(), 0);
        write_all(&client, b"last");
        assert_eq!(waiting.join().unwrap().unwrap(), 4);
    });
    assert!(started.elapsed() < PATIENCE);
    assert!(server.transport().has_ended());
    assert!(server.write(&[IoSlice::new(b"more")], past()).is_err());
}

#[test]
fn a_read_ends_at_its_deadline_although_output_of_tls_waits() {
    let (client, _server) = streams(&settings());
    client.transport().takes(|| 0);
    client.refresh_traffic_keys().unwrap();
    let started = Instant::now();
    assert!(is_timeout(&client.read(&mut [0; 2_048], soon())));
    assert!((SHORT..PATIENCE).contains(&started.elapsed()), "{:?}", started.elapsed());
    // Part of a record is none.
    let started = Instant::now();
    let (client, server) = streams(&settings());
    client.transport().takes({
        let mut left = 10;
        move || std::mem::take(&mut left)
    });
    assert!(is_timeout(&client.write(&[IoSlice::new(b"record")], past())));
    assert!(is_timeout(&server.read(&mut [0; 2_048], soon())));
    assert!((SHORT..PATIENCE).contains(&started.elapsed()), "{:?}", started.elapsed());
}
