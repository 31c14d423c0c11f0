//! Offers and answers as fields, for a client whose HTTP stack writes and parses them.

use ws_proto::{
    Client, Config, EntropyError, Instant, State,
    client::{HttpVersion, Offer, Request},
    endpoint::Negotiated,
    handshake::{HandshakeError as E, WriteError},
};
use ws_tests::Edit::Before;

use super::{
    BASE, NONCE,
    Verdict::{self, Failed, Open, Refused},
    bytes, request,
    tables::{NEGOTIATION, TABLES},
    written,
};

/// The result of an offer for the fields of an answer that another library has parsed.
fn check_fields(offer: &Offer<'static>, version: HttpVersion, status: u16, fields: &[(&str, &[u8])]) -> Verdict {
    match offer.check(version, status, || fields.iter().copied()) {
        Ok(Some(acceptance)) => {
            let entropy = |_: &mut [u8]| Err(EntropyError);
            let endpoint = acceptance.open(Client::new(entropy), &Config::default(), Instant::ZERO);
            assert_eq!((endpoint.state(), acceptance.negotiated()), (State::Open, Negotiated::default()));
            Open(acceptance.subprotocol())
        }
        Ok(None) => Refused(status),
        Err(error) => Failed(error),
    }
}

/// The version, the status and the fields of a head that an HTTP library would take.
fn parsed(head: &[u8]) -> (HttpVersion, u16, Vec<(&str, &[u8])>) {
    let mut lines = head.strip_suffix(b"\r\n\r\n").unwrap().split(|&byte| byte == b'\n').map(trim);
    let start = String::from_utf8_lossy(lines.next().unwrap()).into_owned();
    let mut words = start.split(' ');
    let version = match words.next() {
        Some("HTTP/1.0") => HttpVersion::Http10,
        Some("HTTP/1.1") => HttpVersion::Http11,
        _ => HttpVersion::Other,
    };
    let status = words.next().unwrap().parse().unwrap();
    let fields = lines.map(|line| {
        let colon = line.iter().position(|&byte| byte == b':').unwrap();
        (std::str::from_utf8(&line[..colon]).unwrap(), trim(&line[colon + 1..]))
    });
    (version, status, fields.collect())
}

fn trim(bytes: &[u8]) -> &[u8] {
    bytes.trim_ascii()
}

#[test]
fn fields_are_judged_as_the_bytes_that_they_come_from() {
    let offer = Offer::new(request(), NONCE).unwrap();
    let mut compared = 0;
    for (expected, what, edits) in TABLES.concat() {
        // An HTTP library refuses these itself, or passes over them.
        let its_own = matches!(expected, Failed(E::Syntax | E::NotHttp(_)));
        if its_own || edits.iter().any(|edit| matches!(edit, Before(_))) {
            continue;
        }
        let answer = bytes(edits);
        let (version, status, fields) = parsed(&answer);
        assert_eq!(check_fields(&offer, version, status, &fields), expected, "{what}");
        compared += 1;
    }
    assert!(compared >= 70, "{compared}");
}

#[test]
fn an_extended_connect_is_answered_by_what_was_offered() {
    // R8441-5
    let offer = Offer::extended_connect(request()).unwrap();
    for &(expected, what, edits) in NEGOTIATION {
        let answer = bytes(edits);
        let (.., fields) = parsed(&answer);
        // Upgrade, Connection and the answer to a key mean nothing here.
        for fields in [&fields[..], &fields[BASE.len() - 1..]] {
            assert_eq!(check_fields(&offer, HttpVersion::Other, 200, fields), expected, "{what}");
        }
    }
    let check = |version, status| check_fields(&offer, version, status, &[]);
    for (status, expected) in [
        (200, Open(None)),
        (204, Open(None)),
        (299, Open(None)),
        (300, Refused(300)),
        (403, Refused(403)),
        (999, Refused(999)),
        (99, Failed(E::Status)),
        (101, Failed(E::Status)),
        (103, Failed(E::Status)),
        (1_000, Failed(E::Status)),
    ] {
        assert_eq!(check(HttpVersion::Other, status), expected, "{status}");
    }
    for version in [HttpVersion::Http10, HttpVersion::Http11] {
        assert_eq!(check(version, 200), Failed(E::HttpVersion));
    }
}

#[test]
fn an_offer_has_the_fields_of_the_request_that_is_written() {
    let headers = [("x-Second", "2"), ("Authorization", "Basic ü")];
    let request = request().origin("https://example.com").headers(&headers);
    let fields = |offer: &Offer<'_>| -> Vec<(String, String)> {
        offer.fields().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    };
    let upgrade = fields(&Offer::new(request, NONCE).unwrap());
    let text = written(request).unwrap();
    let (_, lines) = text.split_once("\r\nHost: example.com\r\n").unwrap();
    let lines: Vec<_> = lines.trim_end().lines().map(|line| line.split_once(": ").unwrap()).collect();
    assert_eq!(upgrade.len(), lines.len());
    for ((name, value), line) in upgrade.iter().zip(&lines) {
        assert!(name.eq_ignore_ascii_case(line.0) && value == line.1, "{name}: {value} is not {line:?}");
        assert!(headers.iter().any(|(own, _)| own == name) || *name == name.to_lowercase(), "{name}");
    }
    // R8441-5
    assert_eq!(fields(&Offer::extended_connect(request).unwrap()), upgrade[3..], "no upgrade and no key");
}

#[test]
fn an_offer_that_can_not_be_sent_is_refused() {
    let resource_is_not_looked_at = Request::new("", "no path");
    for offer in
        [|request| Offer::new(request, NONCE).map(drop), |request| Offer::extended_connect(request).map(drop)]
    {
        assert_eq!(offer(resource_is_not_looked_at), Ok(()));
        assert_eq!(offer(request().origin("a b")), Err(WriteError::InvalidOrigin));
        assert_eq!(offer(request().subprotocols(&["a", "a"])), Err(WriteError::InvalidSubprotocol));
        assert_eq!(offer(request().headers(&[("Upgrade", "h2c")])), Err(WriteError::InvalidHeader));
    }
}
