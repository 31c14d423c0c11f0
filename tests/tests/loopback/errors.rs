//! The text of each error, and its source.

use std::{io, thread};

use ws_std::{
    AcceptError, Acceptor, Answer, Cause, CloseCode, Closed, Config, ConnectError, Connector, Error, Target,
    proto::{
        Endpoint, EntropyError, Instant, SendError,
        endpoint::Negotiated,
        error::Fault,
        handshake::{HandshakeError, WriteError},
    },
    role,
};

use crate::sockets;

fn cause() -> io::Error {
    io::Error::other("the cause")
}

/// Checks what an error says and what its source says, if it has one.
fn check(error: &dyn std::error::Error, text: &str, source: Option<&str>) {
    assert_eq!(error.to_string(), text);
    assert_eq!(error.source().map(ToString::to_string).as_deref(), source, "{text}");
}

#[test]
fn errors_of_a_connection_say_what_failed() {
    let closed = Closed { clean: false, code: CloseCode::ABNORMAL, cause: Cause::Eof };
    let (mut peer, mut ws) = crate::peer::Peer::client(&Acceptor::new());
    peer.send(&[0xFF, 0xFF]);
    let received = ws.read().unwrap_err();
    let Error::Receive(receive) = &received else { panic!("{received:?}") };
    check(&received, "connection failed", Some(&receive.to_string()));
    let mut endpoint = Endpoint::new(role::Server, &Config::default(), Negotiated::default(), Instant::ZERO);
    let full = endpoint.fail(Instant::ZERO, Fault::StorageFull);
    let fault = Error::from(full);
    assert!(matches!(fault, Error::Fault(error) if error == full), "{fault:?}");
    check(&fault, "connection failed by a fault of this side", Some(&full.to_string()));
    check(&Error::Io(cause()), "transport failed", Some("the cause"));
    check(&Error::TimedOut, "timeout passed, the call may be repeated", None);
    check(&Error::Send(SendError::Closing), "message can't be sent", Some(&SendError::Closing.to_string()));
    check(&Error::Unclean(closed), "connection ended without the closing handshake: Eof", None);
}

#[test]
fn errors_of_a_connection_become_errors_of_io() {
    assert_eq!(io::Error::from(Error::Io(io::ErrorKind::BrokenPipe.into())).kind(), io::ErrorKind::BrokenPipe);
    assert_eq!(io::Error::from(Error::TimedOut).kind(), io::ErrorKind::TimedOut);
    let other = io::Error::from(Error::Send(SendError::Closing));
    assert_eq!((other.kind(), other.to_string()), (io::ErrorKind::Other, "message can't be sent".to_owned()));
}

#[test]
fn errors_of_connecting_say_what_failed() {
    let address = "127.0.0.1:80".parse().unwrap();
    let plain = |url: &str| Connector::new().connect(url).unwrap_err();
    check(&plain("ws://"), "not a WebSocket URL: it does not parse (RFC 6455 section 3)", None);
    check(
        &plain("ftp://localhost/"),
        "not a WebSocket URL: its scheme is none of ws, wss, http and https (RFC 6455 section 3)",
        None,
    );
    check(
        &plain("ws://localhost/#a"),
        "not a WebSocket URL: it has a fragment; write %23 for a literal # (RFC 6455 section 3)",
        None,
    );
    check(&ConnectError::NeedsTls, "wss needs the feature `rustls`, or TLS of your own and connect_over", None);
    check(&ConnectError::Resolve(cause()), "addresses of the host can't be found", Some("the cause"));
    check(
        &ConnectError::Connect { address, error: cause() },
        "can't connect to 127.0.0.1:80",
        Some("the cause"),
    );
    let target = Target::Unix("/run/a".into());
    check(&ConnectError::Dial { target, error: cause() }, "can't connect to /run/a", Some("the cause"));
    check(&ConnectError::NoSubprotocol, "server chose none of the subprotocols", None);
    check(
        &ConnectError::Closed(cause()),
        "server closed before it answered; does it speak TLS?",
        Some("the cause"),
    );
    check(&ConnectError::from(cause()), "transport failed in the opening handshake", Some("the cause"));
    let header = Connector::new().header("X-Good", "yes").header("X-Bad", "a\nb").connect("ws://localhost/");
    check(&header.unwrap_err(), "header field \"X-Bad\" can't be sent (RFC 9110 section 5.5)", None);
    let host = WriteError::InvalidHost;
    check(&ConnectError::from(host), "request can't be written", Some(&host.to_string()));
    let accept = HandshakeError::Accept;
    check(
        &ConnectError::from(accept),
        "server's answer is invalid, in Sec-WebSocket-Accept",
        Some(&accept.to_string()),
    );
    let timeout = HandshakeError::Timeout;
    check(&ConnectError::from(timeout), "server's answer is invalid", Some(&timeout.to_string()));
    check(&ConnectError::from(EntropyError), "no key for the request", Some(&EntropyError.to_string()));
}

#[test]
fn errors_of_accepting_say_what_failed() {
    check(&AcceptError::NoRequest, "peer left without a request", None);
    check(&AcceptError::from(cause()), "transport failed before the connection was open", Some("the cause"));
    let host = HandshakeError::Host;
    check(&AcceptError::Handshake(host), "no opening handshake", Some(&host.to_string()));
    check(&AcceptError::Origin("a at b".into()), "refused: a at b", None);
    check(&AcceptError::Refused(403), "refused with status 403", None);
    let header = WriteError::InvalidHeader;
    check(&AcceptError::Answer(header), "answer cannot be sent", Some(&header.to_string()));
}

#[test]
fn refusal_is_an_error_on_both_sides_and_shows_its_parts() {
    let (client, server) = sockets();
    let (refused, accepted) = thread::scope(|scope| {
        let accepting = scope.spawn(|| {
            let acceptor = Acceptor::new();
            let result = acceptor.accept_over(server, |_| Answer::refuse(403).header("X-Why", "because"));
            result.map(|_| ()).unwrap_err()
        });
        let refused = Connector::new().connect_over("ws://localhost/", client, |_| ()).map(|_| ()).unwrap_err();
        (refused, accepting.join().unwrap())
    });
    check(&refused, "server answered with status 403 and opened no connection", None);
    check(&accepted, "refused with status 403", None);
    let ConnectError::Refused(refused) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.header("x-why"), Some(&b"because"[..]));
}
