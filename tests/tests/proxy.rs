//! Dialogues with proxies and the choice among them, with any input: no panic, and no cut of the input changes the outcome.

use proptest::{collection::vec, prelude::*, sample::select};
use ws_proto::{
    Instant,
    driver::{
        ConnectError, ConnectSettings, Proxy, ProxyDialogue, ProxyEnvironment, ProxyError, Redirects, Route,
        ServerUrl,
    },
};

const PROXIES: [&str; 4] = ["http://proxy", "https://user:pw@proxy", "socks5://proxy", "socks5h://user:pw@proxy"];

/// Parts of URLs, which make valid ones in some orders.
const URL_PARTS: [&str; 32] = [
    "ws://",
    "wss://",
    "http://",
    "https://",
    "ws+unix:",
    "ws+unix://",
    "ftp://",
    "/",
    "//",
    "\\",
    ":",
    "@",
    "?",
    "#",
    "[",
    "]",
    "[fe80::1%25eth0]",
    "[::1]",
    "%25",
    "%00",
    "%2F",
    "%",
    "a",
    "localhost",
    "user",
    "80",
    "65536",
    ".",
    " ",
    "\n",
    "\u{fc}",
    "|",
];

/// Parts of answers, which make valid ones in some orders.
const PARTS: [&[u8]; 20] = [
    b"HTTP/1.1 200 Connection established\r\n\r\n",
    b"HTTP/1.1 200\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n",
    b"HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\n\r\n",
    b"HTTP/1.1 503 Service Unavailable\r\n",
    b"HTTP/1.1 ",
    b"200 ",
    b"A: b\r\n",
    b"\r\n",
    b"\n",
    b"\x05\x00",
    b"\x05\x02",
    b"\x05\xFF",
    b"\x01\x00",
    b"\x05\x00\x00\x01\x7F\x00\x00\x01\x00\x50",
    b"\x05\x00\x00\x03\x05local\x00\x50",
    b"\x05\x00\x00\x04",
    b"\x05\x00\x05\x00\x00\x01\x7F\x00\x00\x01\x00\x50",
    b"\x05\x02\x01\x00\x05\x00\x00\x03\x05local\x00\x50",
];

/// The outcome of a dialogue: its result, its output, and the error if the transport ends then.
type Outcome = (Result<bool, ProxyError>, Vec<u8>, ProxyError);

fn answers() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![8 => select(&PARTS[..]).prop_map(<[u8]>::to_vec), 1 => vec(any::<u8>(), 0..40)];
    vec(part, 0..8).prop_map(|parts| parts.concat())
}

fn dialogue(proxy: &str) -> ProxyDialogue {
    let proxy = Proxy::parse(proxy).expect("the table has valid URLs");
    ProxyDialogue::new(&proxy, "example.com", 443).expect("the target is valid")
}

/// Moves what is pending to `output`.
fn write(dialogue: &mut ProxyDialogue, output: &mut Vec<u8>) {
    output.extend_from_slice(dialogue.pending());
    dialogue.written(dialogue.pending().len());
}

/// Hands over the answer in pieces of these lengths, which repeat.
fn in_pieces(proxy: &str, mut answer: &[u8], lens: &[usize]) -> Outcome {
    let (mut dialogue, mut output) = (dialogue(proxy), Vec::new());
    let mut result = Ok(false);
    for len in lens.iter().cycle() {
        write(&mut dialogue, &mut output);
        if answer.is_empty() {
            break;
        }
        let (piece, rest) = answer.split_at(answer.len().min(*len));
        result = dialogue.received(piece);
        answer = rest;
    }
    (result, output, dialogue.closed())
}

/// Reads as a driver does, at most as many bytes as are wanted and `len`. Returns what is left of the answer too.
fn as_driver<'a>(proxy: &str, mut answer: &'a [u8], len: usize) -> (Outcome, &'a [u8]) {
    let (mut dialogue, mut output) = (dialogue(proxy), Vec::new());
    let mut result = Ok(false);
    while result == Ok(false) {
        write(&mut dialogue, &mut output);
        let wanted = dialogue.wanted();
        assert!((1..=ProxyDialogue::MAX_WANTED).contains(&wanted), "{wanted} bytes are wanted");
        let (piece, rest) = answer.split_at(wanted.min(answer.len()).min(len));
        if piece.is_empty() {
            break;
        }
        result = dialogue.received(piece);
        answer = rest;
    }
    write(&mut dialogue, &mut output);
    assert_eq!(dialogue.is_open(), result == Ok(true));
    assert_eq!(dialogue.wanted() == 0, result != Ok(false), "{result:?}");
    ((result, output, dialogue.closed()), answer)
}

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(2_000))]

    // R4.1-1
    #[test]
    fn a_url_that_is_accepted_makes_a_request_that_can_be_sent(parts in vec(select(&URL_PARTS[..]), 0..10)) {
        let text = parts.concat();
        if let Ok(url) = ServerUrl::parse(&text) {
            let mut settings = ConnectSettings::new();
            settings.set_proxy(None);
            let begun = settings.for_url(&url).begin(&url, Instant::ZERO).map(drop);
            prop_assert!(begun.is_ok(), "{text:?}: {begun:?}");
            match Route::new(&settings, &url) {
                Ok(route) => prop_assert!(url.unix_socket().is_some() || !route.target().to_string().contains('@')),
                // The host can be no name in a certificate.
                Err(error) => prop_assert!(url.is_secure() && matches!(error, ConnectError::InvalidUrl(_) | ConnectError::NeedsTls)),
            }
        }
    }

    // K-proxy
    #[test]
    fn no_cut_of_an_answer_changes_the_outcome(
        proxy in select(&PROXIES[..]), answer in answers(), lens in vec(1_usize..50, 1..6),
    ) {
        let whole = in_pieces(proxy, &answer, &[answer.len().max(1)]);
        prop_assert_eq!(&in_pieces(proxy, &answer, &[1]), &whole);
        prop_assert_eq!(&in_pieces(proxy, &answer, &lens), &whole);
    }

    // K-proxy
    #[test]
    fn a_driver_takes_no_byte_of_the_tunnel(
        proxy in select(&PROXIES[..]), answer in answers(), len in 1_usize..50, tunnel in vec(any::<u8>(), 1..300),
    ) {
        let (alone, rest) = as_driver(proxy, &answer, usize::MAX);
        prop_assert_eq!(&as_driver(proxy, &answer, len).0, &alone);
        if alone.0 == Ok(true) {
            let bytes = [&answer[..], &tunnel].concat();
            let (with_tunnel, left) = as_driver(proxy, &bytes, len);
            prop_assert_eq!(with_tunnel, alone);
            prop_assert_eq!(left, [rest, &tunnel].concat());
        }
    }

    #[test]
    fn any_text_is_a_url_of_a_proxy_or_an_error(text in "\\PC{0,40}", scheme in select(&["", "http://", "socks5://"][..])) {
        if let Ok(proxy) = Proxy::parse(&format!("{scheme}{text}")) {
            prop_assert!(!proxy.host_name().is_empty());
            prop_assert_eq!(Proxy::parse(&proxy.to_string()).map(|own| own.to_string()), Ok(proxy.to_string()));
        }
    }

    #[test]
    fn any_list_is_a_no_proxy(list in "[a-c.:/,*\\[\\]0-9 ]{0,30}", host in "[a-c.:0-9\\[\\]]{0,12}", port in any::<u16>()) {
        let environment = ProxyEnvironment::new(|name| match name {
            "all_proxy" => Some("proxy".to_owned()),
            "no_proxy" => Some(list.clone()),
            _ => None,
        });
        prop_assert!(environment.proxy_for(true, &host, port).is_ok());
    }

    // K-redirect
    #[test]
    fn no_location_leads_from_tls_to_a_plain_transport(
        scheme in select(&["", "ws:", "http:", "wss:", "https:", "//"][..]), location in "[a-c./:?#@\\[\\]%0-9\\\\]{0,20}",
    ) {
        let from = ServerUrl::parse("wss://a.example/b/c?d").expect("the URL is valid");
        let mut redirects = Redirects::new(1);
        if let Ok(next) = redirects.follow(&from, 302, Some(format!("{scheme}{location}").as_bytes())) {
            let next = next.expect("302 is followed");
            prop_assert!(next.is_secure());
            let is_same = (next.host_name(), next.port()) == (from.host_name(), from.port());
            prop_assert_eq!(redirects.keeps_credentials(), is_same);
        }
    }
}
