//! The tables, and what origins are admitted under each policy.

use ws_proto::server::OriginPolicy;
use ws_tests::Edit::{self, Add};

use super::{
    ACCEPT_KEY, FRAMES, bytes, parsed, run,
    tables::{
        Case, EXTENSIONS, HOST, KEY, ORIGIN, PLAIN, REQUEST_LINE, SUBPROTOCOLS, SYNTAX, TABLES, TARGET, UPGRADE,
        VERSION,
    },
};

fn check(table: &[Case], policy: OriginPolicy<'_>) {
    for &(expected, what, edits) in table {
        let request = bytes(edits);
        let at_once = run(&request, request.len(), policy);
        assert_eq!(at_once.1, expected, "{what}");
        assert_eq!(run(&request, 1, policy), at_once, "{what}, byte by byte");
        // R9110-8: what follows the head is neither looked at nor lost.
        let followed = [&request[..], FRAMES].concat();
        assert_eq!(run(&followed, followed.len(), policy), at_once, "{what}, with frames behind it");
        assert_eq!(run(&followed, 1, policy), at_once, "{what}, byte by byte with frames behind it");
        if expected == 101 {
            assert_eq!(at_once.0, Some(request.len()), "{what}");
            assert_eq!(parsed(&request).upgrade().accept_key(), ACCEPT_KEY, "{what}");
        }
    }
}

#[test]
fn request_lines() {
    check(REQUEST_LINE, OriginPolicy::SameHost);
}

#[test]
fn targets() {
    check(TARGET, OriginPolicy::SameHost);
}

#[test]
fn hosts() {
    check(HOST, OriginPolicy::SameHost);
}

#[test]
fn upgrade_and_connection() {
    check(UPGRADE, OriginPolicy::SameHost);
}

#[test]
fn keys() {
    check(KEY, OriginPolicy::SameHost);
}

#[test]
fn versions() {
    check(VERSION, OriginPolicy::SameHost);
}

#[test]
fn subprotocols() {
    check(SUBPROTOCOLS, OriginPolicy::SameHost);
}

#[test]
fn extensions() {
    check(EXTENSIONS, OriginPolicy::SameHost);
}

#[test]
fn syntax() {
    check(SYNTAX, OriginPolicy::SameHost);
}

#[test]
fn plain_requests() {
    check(PLAIN, OriginPolicy::SameHost);
}

#[test]
fn origins() {
    check(ORIGIN, OriginPolicy::SameHost);
}

#[test]
fn the_tables_have_150_cases() {
    assert!(TABLES.iter().map(|table| table.len()).sum::<usize>() >= 150);
}

fn status_under(policy: OriginPolicy<'_>, edits: &[Edit]) -> u16 {
    let request = bytes(edits);
    run(&request, request.len(), policy).1
}

#[test]
fn an_allow_list_admits_what_it_names() {
    // R4.2.2-3
    let policy =
        OriginPolicy::allow(&["https://app.example", "intranet:8080", "*.cdn.example", "file://"]).unwrap();
    assert_eq!(status_under(policy, &[]), 101);
    assert_eq!(status_under(policy, &[Add("Origin: https://app.example")]), 101);
    assert_eq!(status_under(policy, &[Add("Origin: https://APP.example:443")]), 101);
    assert_eq!(status_under(policy, &[Add("Origin: http://intranet:8080")]), 101);
    assert_eq!(status_under(policy, &[Add("Origin: http://app.example")]), 403);
    assert_eq!(status_under(policy, &[Add("Origin: https://app.example:8443")]), 403);
    assert_eq!(status_under(policy, &[Add("Origin: https://intranet")]), 403);
    assert_eq!(status_under(policy, &[Add("Origin: http://intranet")]), 403);
    // The host that the request names is no help: a page could have chosen it.
    assert_eq!(status_under(policy, &[Add("Origin: https://example.com")]), 403);
    assert_eq!(status_under(policy, &[Add("Origin: https://a.b.cdn.example")]), 101);
    assert_eq!(status_under(policy, &[Add("Origin: https://cdn.example")]), 403);
    assert_eq!(status_under(policy, &[Add("Origin: file://")]), 101);
    assert_eq!(status_under(policy, &[Add("Origin: null")]), 403);
    let null = OriginPolicy::allow(&["null"]).unwrap();
    assert_eq!(status_under(null, &[Add("Origin: null")]), 101);
    assert_eq!(status_under(null, &[Add("Origin: file://")]), 403);
    assert!(OriginPolicy::allow(&["*"]).is_err(), "what can never match");
}

#[test]
fn any_origin_is_admitted_only_if_asked_for() {
    assert_eq!(OriginPolicy::default(), OriginPolicy::SameHost);
    for origin in ["Origin: https://evil.example", "Origin: null", "Origin: file://", "Origin: a://b c://d"] {
        assert_eq!(status_under(OriginPolicy::AllowAny, &[Add(origin)]), 101);
    }
    let repeated = [Add("Origin: https://a.example"), Add("Origin: https://b.example")];
    assert_eq!(status_under(OriginPolicy::AllowAny, &repeated), 403);
    // R8.1-1: what is handed to the application is ASCII.
    assert_eq!(status_under(OriginPolicy::AllowAny, &[Add("Origin: https://exämple.com")]), 403);
}
