use std::{fs, io::Write, path::PathBuf};

use ws_std::{CloseCode, ServerTls};

use crate::{
    certificates::{Authority, Certificate, Days},
    program::{abandon, answer, closed_port, echo, read_head, run, serve, serve_raw, serve_with},
};

/// A run has to end with this status, and one line of errors with these texts.
fn fails(arguments: &[&str], status: i32, texts: &[&str]) {
    let ended = run(&[arguments, &["-q"]].concat(), "");
    assert_eq!(ended.status, Some(status), "{arguments:?}: {ended:?}");
    assert!(texts.iter().all(|text| ended.errors.contains(text)), "{arguments:?}: {ended:?}");
    assert!(ended.errors.starts_with("ws: ") && ended.errors.lines().count() == 1, "{arguments:?}: {ended:?}");
}

fn tls(certificate: &Certificate) -> ServerTls {
    ServerTls::new(&certificate.chain, &certificate.key).unwrap()
}

/// Writes a file for this test.
fn file(name: &str, content: &str) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn answers_that_open_nothing_name_the_status_and_a_remedy() {
    for (head, body, texts) in [
        ("401 X\r\nWWW-Authenticate: Basic realm=\"x\"", "", ["answered 401", "--auth USER:PASSWORD"]),
        ("403 X", "", ["answered 403", "--origin"]),
        ("404 X", "no such room\nmore", ["answered 404 (\"no such room\")", "path"]),
        ("407 X", "", ["answered 407", "--proxy"]),
        ("429 X\r\nRetry-After: 7", "", ["answered 429", "after 7 seconds"]),
        ("302 X\r\nLocation: /new", "", ["redirects to /new", "--redirects"]),
        ("200 OK", "<html>", ["answered 200:", "no WebSocket"]),
        ("503 X", "busy\u{1b}[2J", ["answered 503 (\"busy\\u{1b}[2J\")", "--reconnect"]),
    ] {
        let response = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let address = serve_raw(move |stream| answer(stream, &response));
        fails(&[&format!("ws://{address}/")], 1, &texts);
        fails(&["bench", &format!("ws://{address}/")], 1, &texts);
    }
}

#[test]
fn servers_that_are_not_there_or_do_not_answer_are_told_apart() {
    let closed = closed_port().to_string();
    fails(&[&format!("ws://{closed}/")], 1, &[&closed, "refused the connection: is a server listening there?"]);
    fails(&["ws://no.invalid/"], 1, &["no.invalid", "is the name right?"]);
    let silent = serve_raw(|mut stream| {
        // It reads the request, and the end.
        read_head(&mut stream);
        read_head(&mut stream);
    });
    fails(&["--connect-timeout", "0.1", &format!("ws://{silent}/")], 1, &["in time", "--connect-timeout"]);
    let gone = serve_raw(|mut stream| drop(read_head(&mut stream)));
    fails(&[&format!("ws://{gone}/")], 1, &["without an answer", "wss://"]);
    let proxy =
        format!("http://{}", serve_raw(|stream| answer(stream, "HTTP/1.1 403 X\r\nContent-Length: 0\r\n\r\n")));
    fails(&["--proxy", &proxy, "ws://a.invalid/"], 1, &["a.invalid:80", "proxy answered with status 403"]);
}

#[test]
fn tls_that_fails_names_the_certificate_and_a_remedy() {
    let authority = Authority::new();
    let serve = |host, days| serve_with(Some(tls(&authority.issue(host, days))), echo).port();
    let root = file("root.pem", &authority.root);
    let (good, other) = (serve("localhost", Days::NOW), serve("other.invalid", Days::NOW));
    let good_url = format!("wss://localhost:{good}/");
    fails(&[&good_url], 1, &["certificate of localhost is by an unknown issuer", "--ca FILE"]);
    fails(&["--ca", &root, &format!("wss://localhost:{other}/")], 1, &["is for another name than localhost"]);
    let past = serve("localhost", Days::PAST);
    fails(&["--ca", &root, &format!("wss://localhost:{past}/")], 1, &["certificate of localhost has expired"]);
    let future = serve("localhost", Days::FUTURE);
    fails(&["--ca", &root, &format!("wss://localhost:{future}/")], 1, &["is not valid yet"]);
    let plain = crate::program::serve(echo).port();
    fails(&[&format!("wss://localhost:{plain}/")], 1, &["does not speak TLS", "try ws://"]);
    fails(&[&format!("ws://localhost:{good}/")], 1, &["TLS", "ry wss://"]);

    assert_eq!(run(&["--ca", &root, &good_url], "hello\n").text(0), "hello\n");
    let ended = run(&["--insecure", &format!("wss://localhost:{other}/")], "hello\n");
    assert_eq!(ended.text(0), "hello\n");
    assert!(ended.errors.contains("--insecure: the server may be anyone"), "{ended:?}");
}

#[test]
fn options_and_files_that_cannot_be_used_have_statuses_of_their_own() {
    fails(&["ws://:/"], 2, &["is not the URL of a WebSocket"]);
    fails(&["--proxy", "ftp://a", "ws://a/"], 2, &["--proxy"]);
    fails(&["-H", "a b: c", "ws://localhost:1/"], 2, &["\"a b\""]);
    fails(&["--ca", &file("no.pem", "x"), "wss://a/"], 2, &["--ca"]);
    fails(&["--ca", "/nonexistent", "wss://a/"], 5, &["/nonexistent: No such file"]);
    fails(&["--listen", "256.0.0.1:0"], 5, &["can't listen on 256.0.0.1:0"]);
    for arguments in [&["--no-such"][..], &[], &["--wait", "x", "ws://a/"], &["bench"]] {
        assert_eq!(run(arguments, "").status, Some(2), "{arguments:?}");
    }
}

#[test]
fn ends_of_open_connections_have_statuses() {
    for (code, status) in [(1000, 0), (1001, 0), (1008, 3), (4000, 3)] {
        let address = serve(move |exchange| {
            let mut ws = exchange.accept()?;
            ws.read()?;
            Ok(_ = ws.close(CloseCode::new(code), "that is why")?)
        });
        let ended = run(&["-x", "a", "--wait", "inf", &format!("ws://{address}/")], "");
        assert_eq!(ended.status, Some(status), "{ended:?}");
        let line = ended.errors.lines().last().unwrap();
        assert!(
            line.contains(&format!("closed by the server: {code}")) && line.ends_with(": that is why"),
            "{ended:?}"
        );
    }
    let cut = serve(abandon);
    fails(&["--wait", "inf", &format!("ws://{cut}/")], 4, &["connection lost"]);
    let mad = serve(|exchange| {
        let (transport, _) = exchange.accept()?.into_inner();
        let mut socket = std::net::TcpStream::from(transport.into_socket().map_err(|_| "TLS")?.into_socket2()?);
        // A reserved bit (RFC 6455 section 5.2).
        Ok(socket.write_all(&[0xA1, 0x00])?)
    });
    fails(&["--compress=no", "--wait", "inf", &format!("ws://{mad}/")], 4, &["connection lost", "RFC 6455"]);
}

#[test]
fn input_that_is_not_text_is_a_failure_of_this_side() {
    let ended = run(&["-q", &crate::program::echo_url()], b"\xff\n");
    assert_eq!(ended.status, Some(5), "{ended:?}");
    assert!(ended.errors.starts_with("ws: standard input: "), "{ended:?}");
}
