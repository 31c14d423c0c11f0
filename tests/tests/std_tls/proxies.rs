//! Connections through proxies: tunnels with and without TLS, and proxies that open none.

use core::time::Duration;
use std::{
    io::{Read, Write, copy},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

use ws_std::{
    CloseCode, Config, ConnectError, Connector, Message, NetStream, Proxy, ProxyError, TlsError, TlsStream,
};
use ws_tests::{Authority, noise};

use crate::{
    PATIENCE,
    certificates::{client, server},
    connections::Running,
    patient, settings,
};

/// Runs a proxy for one connection; the handle returns what the client has asked for.
fn proxy(serve: impl FnOnce(TcpStream) -> String + Send + 'static) -> (SocketAddr, thread::JoinHandle<String>) {
    ws_tests::watch();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, thread::spawn(move || serve(listener.accept().unwrap().0)))
}

/// Reads the head of a request for a tunnel.
fn read_head(mut read: impl FnMut(&mut [u8]) -> usize) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && read(&mut byte) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Passes bytes on in both directions, until both have ended.
fn relay(client: &TcpStream, target: SocketAddr) {
    let server = TcpStream::connect(target).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = copy(&mut &*client, &mut &server);
            let _ = server.shutdown(Shutdown::Write);
        });
        let _ = copy(&mut &server, &mut &*client);
        let _ = client.shutdown(Shutdown::Write);
    });
}

/// Serves CONNECT, with a tunnel to `target` whatever the client names.
fn tunnel(mut client: TcpStream, target: SocketAddr) -> String {
    let head = read_head(|byte| client.read(byte).unwrap());
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
    relay(&client, target);
    head
}

fn by_proxy(url: &str) -> Connector<'static> {
    Connector::new().proxy(Some(Proxy::parse(url).unwrap()))
}

/// Has a message echoed, and closes.
fn talk(connector: &Connector<'_>, url: &str) {
    let mut ws = connector.connect(url).unwrap();
    ws.set_read_timeout(Some(PATIENCE));
    let payload = noise(100_000);
    ws.send(&payload[..]).unwrap();
    assert!(ws.read().unwrap().unwrap().message == Message::Binary(&payload));
    assert!(ws.close(CloseCode::NORMAL, "").unwrap().clean);
}

// R4.1-3
#[test]
fn wss_goes_through_connect_with_credentials_and_the_proxy_sees_no_request() {
    let (trusted, tls) = settings();
    let server = Running::new(tls, |server| server);
    let target = server.address;
    let (address, asked) = proxy(move |client| tunnel(client, target));
    let connector = by_proxy(&format!("http://user:pass@{address}")).tls(trusted);
    talk(&connector, "wss://localhost:9443/secret?token=1");
    let head = asked.join().unwrap();
    assert!(head.starts_with("CONNECT localhost:9443 HTTP/1.1\r\n") && !head.contains("secret"), "{head}");
    assert!(head.contains("\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n"), "{head}");
    server.stop_and_expect_no_incident();
}

#[test]
fn wss_goes_through_socks_and_the_proxy_resolves_the_name() {
    let (trusted, tls) = settings();
    let server = Running::new(tls, |server| server);
    let target = server.address;
    let (address, asked) = proxy(move |mut client| {
        let mut greeting = [0; 3];
        client.read_exact(&mut greeting).unwrap();
        assert_eq!(greeting, [5, 1, 0]);
        client.write_all(&[5, 0]).unwrap();
        let mut request = [0; 5 + 9 + 2];
        client.read_exact(&mut request).unwrap();
        client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 80]).unwrap();
        relay(&client, target);
        String::from_utf8_lossy(&request[5..14]).into_owned()
    });
    talk(&by_proxy(&format!("socks5h://{address}")).tls(trusted), "wss://localhost/");
    assert_eq!(asked.join().unwrap(), "localhost");
}

#[test]
fn the_proxy_itself_may_be_reached_by_tls() {
    let authority = Authority::new();
    let server = Running::new(server(&authority), |server| server);
    let (target, tls) = (server.address, crate::certificates::server(&authority));
    let (address, asked) = proxy(move |socket| {
        let stream = TlsStream::accept(NetStream::try_from(socket).unwrap(), &tls, patient()).unwrap();
        let read = |buffer: &mut [u8]| ws_std::Transport::read(&stream, buffer, patient()).unwrap_or(0);
        let write = |bytes: &[u8]| ws_std::Transport::write(&stream, &[std::io::IoSlice::new(bytes)], patient());
        let head = read_head(read);
        write(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let target = TcpStream::connect(target).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut buffer = [0; 4_096];
                while let Ok(len @ 1..) = (&target).read(&mut buffer) {
                    let mut rest = &buffer[..len];
                    while let Ok(len) = write(rest) {
                        rest = &rest[len..];
                        if rest.is_empty() {
                            break;
                        }
                    }
                }
            });
            let mut buffer = [0; 4_096];
            while let len @ 1.. = read(&mut buffer) {
                (&target).write_all(&buffer[..len]).unwrap();
            }
            let _ = target.shutdown(Shutdown::Both);
        });
        head
    });
    let connector = by_proxy(&format!("https://localhost:{}", address.port())).tls(client(&authority));
    talk(&connector, "wss://localhost:9443/");
    assert!(asked.join().unwrap().starts_with("CONNECT localhost:9443 HTTP/1.1\r\n"));
}

#[test]
fn a_proxy_whose_certificate_is_not_trusted_is_told_apart_from_the_server() {
    let tls = server(&Authority::new());
    let (address, _) = proxy(move |socket| {
        drop(TlsStream::accept(NetStream::try_from(socket).unwrap(), &tls, patient()));
        String::new()
    });
    let connector = by_proxy(&format!("https://localhost:{}", address.port())).tls(settings().0);
    let error = connector.connect("wss://localhost:9443/").expect_err("it is not trusted");
    assert!(matches!(error, ConnectError::ProxyTls(TlsError::UnknownIssuer)), "{error:?}");
}

/// Returns the error of a client whose proxy answers this and then waits, or leaves.
fn refusal(answer: &'static [u8], leaves: bool) -> ProxyError {
    let (address, _) = proxy(move |mut client| {
        let head = read_head(|byte| client.read(byte).unwrap());
        client.write_all(answer).unwrap();
        if !leaves {
            let _ = client.read(&mut [0]);
        }
        head
    });
    let mut config = Config::default();
    config.handshake_timeout = Some(Duration::from_millis(300));
    let begun = std::time::Instant::now();
    let connector = by_proxy(&format!("http://{address}")).config(config);
    let error = connector.connect("ws://chat.example/").expect_err("there is no tunnel");
    assert!(begun.elapsed() < PATIENCE);
    let ConnectError::Proxy(error) = error else { panic!("{error:?}") };
    error
}

#[test]
fn proxies_that_open_no_tunnel_are_named() {
    use ProxyError::{AuthenticationRequired, Closed, Malformed, Refused, Timeout};
    let wants_password =
        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
    assert_eq!(refusal(wants_password, false), AuthenticationRequired);
    assert!(matches!(refusal(b"HTTP/1.1 403 Forbidden\r\n\r\n", false), Refused { status: 403, .. }));
    assert!(matches!(refusal(b"SSH-2.0-OpenSSH_9.2\r\n", false), Malformed(_)));
    assert_eq!(refusal(b"", true), Closed);
    assert_eq!(refusal(b"HTTP/1.1 200 OK\r\n", true), Closed);
    // It never answers, or never completes its answer.
    assert_eq!(refusal(b"", false), Timeout);
    assert_eq!(refusal(b"HTTP/1.1 200 OK\r\n", false), Timeout);
}
