use core::fmt;
use std::vec::Vec;

use super::{
    Proxy, ProxyError,
    address::Protocol,
    connect_head::{self, ConnectHead},
    socks::Socks,
    tunnel_target::Target,
};

/// The dialogue with a proxy, from the first byte to the open tunnel.
///
/// It has no transport and no clock: the driver writes [`pending`](Self::pending), reads at most [`wanted`](Self::wanted)
/// bytes, and ends the dialogue when its own time is over ([`ProxyError::Timeout`]). As it never wants a byte that may be
/// one of the tunnel, no read takes anything from those who use the transport after it.
///
/// ```
/// use std::io::{Read, Write};
/// use ws_proto::driver::{Proxy, ProxyDialogue, ProxyError};
///
/// fn tunnel(mut transport: impl Read + Write, proxy: &Proxy) -> Result<(), Box<dyn std::error::Error>> {
///     let mut dialogue = ProxyDialogue::new(proxy, "example.com", 443)?;
///     let mut buffer = [0; ProxyDialogue::MAX_WANTED];
///     while !dialogue.is_open() {
///         while !dialogue.pending().is_empty() {
///             let len = transport.write(dialogue.pending())?;
///             dialogue.written(len);
///         }
///         let wanted = dialogue.wanted();
///         match transport.read(&mut buffer[..wanted])? {
///             0 => return Err(dialogue.closed().into()),
///             len => dialogue.received(&buffer[..len])?,
///         };
///     }
///     Ok(())
/// }
/// ```
pub struct ProxyDialogue {
    /// `written <= output.len()`
    output: Vec<u8>,
    written: usize,
    state: State,
}

enum State {
    Connect(ConnectHead),
    Socks(Socks),
    Open,
    Failed(ProxyError),
}

impl ProxyDialogue {
    /// The greatest number of bytes that [`wanted`](Self::wanted) returns: a name and a port in a reply of SOCKS.
    pub const MAX_WANTED: usize = 255 + 2;

    /// Begins a dialogue that asks for a tunnel to a host, which is a name or an address, with or without brackets.
    ///
    /// # Errors
    ///
    /// [`ProxyError::InvalidTarget`].
    pub fn new(proxy: &Proxy, target_host: &str, target_port: u16) -> Result<Self, ProxyError> {
        let target = Target::new(target_host, target_port)?;
        let credentials = proxy.credentials();
        let mut output = Vec::new();
        let state = match proxy.protocol() {
            Protocol::Http | Protocol::Https => {
                output = connect_head::request(&target, credentials);
                State::Connect(ConnectHead::new(credentials.is_some()))
            }
            Protocol::Socks5 => State::Socks(Socks::begin(target, credentials, &mut output)),
        };
        Ok(Self { output, written: 0, state })
    }

    /// Returns the bytes to be written to the proxy.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        self.output.get(self.written..).unwrap_or_default()
    }

    /// Records that the first `len` bytes of [`pending`](Self::pending) have been written.
    pub fn written(&mut self, len: usize) {
        self.written = self.written.saturating_add(len).min(self.output.len());
        if self.pending().is_empty() {
            // It may have been a password.
            self.output.clear();
            self.written = 0;
        }
    }

    /// Returns the maximum number of bytes that may be read from the transport now; 0 if the dialogue is over.
    #[must_use]
    pub fn wanted(&self) -> usize {
        match &self.state {
            State::Connect(head) => head.wanted(),
            State::Socks(socks) => socks.wanted(),
            State::Open | State::Failed(_) => 0,
        }
    }

    /// Returns whether the tunnel is open: all that follows is between this side and the target.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Takes bytes that have been read, and returns whether the tunnel is open.
    ///
    /// # Errors
    ///
    /// The proxy opens no tunnel, or its answer is not valid. More bytes than [`wanted`](Self::wanted) are
    /// [`ProxyError::Malformed`] if they come after the answer. All later calls return the same error.
    pub fn received(&mut self, bytes: &[u8]) -> Result<bool, ProxyError> {
        for &byte in bytes {
            let step = match &mut self.state {
                State::Connect(head) => head.push(byte),
                State::Socks(socks) => socks.push(byte, &mut self.output),
                State::Open => Err(ProxyError::Malformed("bytes follow it that were not asked for")),
                State::Failed(error) => Err(error.clone()),
            };
            match step {
                Ok(false) => {}
                Ok(true) => self.state = State::Open,
                Err(error) => self.state = State::Failed(error),
            }
        }
        match &self.state {
            State::Failed(error) => Err(error.clone()),
            state => Ok(matches!(state, State::Open)),
        }
    }

    /// Returns the error of a transport that has ended or was reset before the tunnel was open.
    #[must_use]
    pub fn closed(&self) -> ProxyError {
        match &self.state {
            State::Failed(error) => error.clone(),
            _ => ProxyError::Closed,
        }
    }
}

impl fmt::Debug for ProxyDialogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The output may hold credentials.
        f.debug_struct("ProxyDialogue")
            .field("pending", &self.pending().len())
            .field("wanted", &self.wanted())
            .field("is_open", &self.is_open())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test panics where it fails")]
mod tests {
    use std::{
        borrow::ToOwned,
        format, str,
        string::{String, ToString},
        vec,
    };

    use super::{super::SocksReply, *};

    const OPEN: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

    /// A dialogue with a proxy, which gets these answers, each after all output before it. Returns the output.
    fn run(proxy: &str, target: (&str, u16), answers: &[&[u8]]) -> (Vec<Vec<u8>>, Result<bool, ProxyError>) {
        let proxy = Proxy::parse(proxy).unwrap();
        let mut dialogue = ProxyDialogue::new(&proxy, target.0, target.1).unwrap();
        let (mut output, mut result) = (Vec::new(), Ok(false));
        for answer in answers {
            output.push(dialogue.pending().to_vec());
            dialogue.written(dialogue.pending().len());
            result = take(&mut dialogue, answer);
        }
        if !dialogue.pending().is_empty() {
            output.push(dialogue.pending().to_vec());
        }
        (output, result)
    }

    /// Reads as a driver does: never more than is wanted. All of `answer` has to be wanted unless it is an error.
    fn take(dialogue: &mut ProxyDialogue, mut answer: &[u8]) -> Result<bool, ProxyError> {
        while !answer.is_empty() {
            let len = dialogue.wanted().min(answer.len());
            assert!(len > 0 && len <= ProxyDialogue::MAX_WANTED, "{} bytes are left", answer.len());
            dialogue.received(&answer[..len])?;
            answer = &answer[len..];
        }
        Ok(dialogue.is_open())
    }

    fn http(answer: &[u8]) -> Result<bool, ProxyError> {
        run("http://proxy", ("example.com", 443), &[answer]).1
    }

    fn http_with_credentials(answer: &[u8]) -> Result<bool, ProxyError> {
        run("https://user:pw@proxy", ("example.com", 443), &[answer]).1
    }

    fn refused(status: u16, reason: &str) -> Result<bool, ProxyError> {
        Err(ProxyError::Refused { status, reason: reason.to_owned() })
    }

    fn is_malformed(result: &Result<bool, ProxyError>, part: &str) -> bool {
        matches!(result, Err(ProxyError::Malformed(fault)) if fault.contains(part))
    }

    // K-proxy
    #[test]
    fn connect_names_the_target_in_its_line_and_in_host() {
        for (target, port, authority) in [
            ("example.com", 443, "example.com:443"),
            ("example.com", 80, "example.com:80"),
            ("192.0.2.1", 9_000, "192.0.2.1:9000"),
            ("::1", 443, "[::1]:443"),
            ("[2001:db8::1]", 80, "[2001:db8::1]:80"),
        ] {
            let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
            for proxy in ["http://proxy", "https://proxy"] {
                let (output, result) = run(proxy, (target, port), &[OPEN]);
                assert_eq!((output, result), (vec![request.clone().into_bytes()], Ok(true)));
            }
        }
    }

    #[test]
    fn connect_has_the_credentials_of_the_proxy() {
        // RFC 7617 section 2: the example.
        let (output, _) = run("http://Aladdin:open%20sesame@proxy", ("example.com", 443), &[OPEN]);
        let field = "\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n";
        assert!(str::from_utf8(&output[0]).unwrap().contains(field));
    }

    // K-proxy
    #[test]
    fn any_2xx_opens_the_tunnel_and_its_body_fields_mean_nothing() {
        for answer in [
            "HTTP/1.1 200 Connection established\r\n\r\n",
            "HTTP/1.0 200 OK\r\nProxy-Agent: x\r\n\r\n",
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.1 200 \r\n\r\n",
            "HTTP/1.1 204 x\r\n\r\n",
            "HTTP/1.1 299 x\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ] {
            assert_eq!(http(answer.as_bytes()), Ok(true), "{answer}");
        }
    }

    // K-proxy
    #[test]
    fn each_refusal_of_connect_has_its_error() {
        use ProxyError::{AuthenticationRequired, AuthenticationUnsupported, CredentialsRefused};
        let plain = "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
        let basic = "HTTP/1.1 407 x\r\nproxy-authenticate: Negotiate, BASIC realm=\"a\"\r\n\r\n";
        let others = "HTTP/1.1 407 x\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Digest a=basic\r\n\r\n";
        for (answer, without, with) in [
            (plain, AuthenticationRequired, CredentialsRefused),
            (basic, AuthenticationRequired, CredentialsRefused),
            (others, AuthenticationUnsupported, AuthenticationUnsupported),
        ] {
            assert_eq!(http(answer.as_bytes()), Err(without), "{answer}");
            assert_eq!(http_with_credentials(answer.as_bytes()), Err(with), "{answer}");
        }
        for (status, reason) in
            [(403, "Forbidden"), (502, "Bad Gateway"), (302, ""), (101, "x"), (401, "x"), (99, "x")]
        {
            let answer = format!("HTTP/1.1 {status:03} {reason}\r\nContent-Length: 9\r\n\r\n");
            assert_eq!(http(answer.as_bytes()), refused(status, reason));
        }
        let status_of_servers = b"HTTP/1.1 401 Unauthorized\r\n\r\n";
        assert_eq!(http_with_credentials(status_of_servers), Err(CredentialsRefused));
        let long = "y".repeat(500);
        let answer = format!("HTTP/1.1 503 {long}\r\n\r\n");
        assert_eq!(http(answer.as_bytes()), refused(503, &long[..80]));
    }

    // K-proxy
    #[test]
    fn answers_that_are_not_http_are_named_at_once() {
        for (answer, part) in [
            (&b"\x05\xFF"[..], "SOCKS5"),
            (b"\x15\x03\x01\x00\x02\x02\x28", "TLS"),
            (b"\x16\x03", "TLS"),
            (b"SSH-2.0-OpenSSH", "HTTP/1.1 head"),
            (b"HTTP 200", "HTTP/1.1 head"),
            (b"\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 head"),
            (b"HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 head"),
            (b"HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 head"),
            (b"HTTP/1.1 200 OK\n", "without CR"),
            (b"HTTP/1.1 200 OK\r\nA\x00: b\r\n\r\n", "HTTP/1.1 head"),
        ] {
            let result = http(answer);
            assert!(is_malformed(&result, part), "{}: {result:?}", answer.escape_ascii());
        }
    }

    // K-proxy
    #[test]
    fn a_head_has_a_limit_over_all_its_parts() {
        let endless = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(20_000));
        let interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(1_000);
        let fields = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(65));
        for answer in [endless, interim, fields] {
            let result = http(answer.as_bytes());
            assert!(is_malformed(&result, "16 KiB or 64 fields"), "{result:?}");
        }
        let large = format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(16_000));
        assert_eq!(http(large.as_bytes()), Ok(true));
    }

    // K-proxy
    #[test]
    fn no_byte_of_the_tunnel_is_wanted() {
        let answers: [(&str, &[&[u8]]); 6] = [
            ("http://proxy", &[OPEN]),
            ("http://proxy", &[b"HTTP/1.1 200\r\n\r\n"]),
            ("http://proxy", &[b"HTTP/1.1 200 OK\r\nA:\r\n\r\n"]),
            ("socks5://proxy", &[b"\x05\x00", b"\x05\x00\x00\x01\x7F\x00\x00\x01\x00\x50"]),
            ("socks5://proxy", &[b"\x05\x00", b"\x05\x00\x00\x03\x00\x00\x50"]),
            ("socks5://proxy", &[b"\x05\x00", &[&b"\x05\x00\x00\x03\xFF"[..], &[b'x'; 257]].concat()]),
        ];
        for (proxy, answers) in answers {
            let mut dialogue = ProxyDialogue::new(&Proxy::parse(proxy).unwrap(), "example.com", 443).unwrap();
            let transport = [&answers.concat()[..], b"tunnel"].concat();
            let mut rest = &transport[..];
            while !dialogue.is_open() {
                let (read, unread) = rest.split_at(dialogue.wanted().min(rest.len()));
                dialogue.received(read).unwrap();
                rest = unread;
            }
            assert_eq!((rest, dialogue.wanted()), (&b"tunnel"[..], 0), "{proxy}");
        }
    }

    // K-proxy
    #[test]
    fn bytes_that_were_not_asked_for_are_an_error() {
        let result = Proxy::parse("http://proxy").map(|proxy| {
            let mut dialogue = ProxyDialogue::new(&proxy, "example.com", 443).unwrap();
            dialogue.received(&[OPEN, b"x"].concat())
        });
        assert!(is_malformed(&result.unwrap(), "not asked for"));
    }

    // K-proxy
    #[test]
    fn an_error_stays_and_is_that_of_the_end_too() {
        let proxy = Proxy::parse("socks5h://proxy").unwrap();
        let mut dialogue = ProxyDialogue::new(&proxy, "example.com", 443).unwrap();
        assert_eq!(dialogue.closed(), ProxyError::Closed);
        let error = dialogue.received(b"\x05\xFF").unwrap_err();
        assert_eq!(error, ProxyError::AuthenticationRequired);
        assert_eq!((dialogue.received(b"\x05\x00"), dialogue.closed()), (Err(error.clone()), error));
        assert_eq!(dialogue.wanted(), 0);
    }

    // K-proxy
    #[test]
    fn socks_without_credentials_asks_for_each_kind_of_address() {
        let requests: [(&str, &[u8]); 4] = [
            ("example.com", b"\x05\x01\x00\x03\x0Bexample.com\x01\xBB"),
            ("192.0.2.1", b"\x05\x01\x00\x01\xC0\x00\x02\x01\x01\xBB"),
            ("::1", b"\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xBB"),
            ("[::1]", b"\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x01\xBB"),
        ];
        let replies: [&[u8]; 3] = [
            b"\x05\x00\x00\x01\x7F\x00\x00\x01\x00\x50",
            b"\x05\x00\x00\x03\x05local\x00\x50",
            b"\x05\x00\xFF\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50",
        ];
        for (host, request) in requests {
            for (scheme, reply) in ["socks5", "socks5h", "socks5"].into_iter().zip(replies) {
                let (output, result) = run(&format!("{scheme}://proxy"), (host, 443), &[b"\x05\x00", reply]);
                assert_eq!(output, [&b"\x05\x01\x00"[..], request]);
                assert_eq!(result, Ok(true), "{}", reply.escape_ascii());
            }
        }
    }

    // K-proxy
    #[test]
    fn socks_with_credentials_sends_them_only_if_the_proxy_wants_them() {
        let (reply, proxy) = (&b"\x05\x00\x00\x01\0\0\0\0\0\0"[..], "socks5://us%65r:p%40w@proxy");
        let target = ("x", 80);
        let request = b"\x05\x01\x00\x03\x01x\x00\x50".to_vec();
        let offer = b"\x05\x02\x00\x02".to_vec();
        let (output, result) = run(proxy, target, &[b"\x05\x02", b"\x01\x00", reply]);
        assert_eq!(output, [offer.clone(), b"\x01\x04user\x03p@w".to_vec(), request.clone()]);
        assert_eq!(result, Ok(true));
        let (output, result) = run(proxy, target, &[b"\x05\x00", reply]);
        assert_eq!((output, result), (vec![offer, request], Ok(true)));
    }

    // K-proxy
    #[test]
    fn each_refusal_of_socks_has_its_error() {
        let answered = |proxy, answers: &[&[u8]]| run(proxy, ("example.com", 443), answers).1;
        let (without, with) = ("socks5://proxy", "socks5://user:pw@proxy");
        assert_eq!(answered(without, &[b"\x05\xFF"]), Err(ProxyError::AuthenticationRequired));
        assert_eq!(answered(with, &[b"\x05\xFF"]), Err(ProxyError::AuthenticationUnsupported));
        for answer in [b"\x01\x01", b"\x05\xFF"] {
            assert_eq!(answered(with, &[b"\x05\x02", answer]), Err(ProxyError::CredentialsRefused));
        }
        for (proxy, method) in [(without, 0x01), (without, 0x02), (with, 0x01), (with, 0x80)] {
            assert!(is_malformed(&answered(proxy, &[&[0x05, method]]), "not offered"), "{method}");
        }
        use SocksReply::*;
        for (code, reply) in [
            (1, GeneralFailure),
            (2, NotAllowed),
            (3, NetworkUnreachable),
            (4, HostUnreachable),
            (5, ConnectionRefused),
            (6, TtlExpired),
            (7, CommandNotSupported),
            (8, AddressTypeNotSupported),
            (9, Unassigned(9)),
            (255, Unassigned(255)),
        ] {
            // Some proxies send no more than the code.
            assert_eq!(answered(without, &[b"\x05\x00", &[0x05, code]]), Err(ProxyError::Socks(reply)));
        }
    }

    // K-proxy
    #[test]
    fn answers_that_are_not_socks_are_named_at_once() {
        for (answers, part) in [
            (&[&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..]][..], "HTTP"),
            (&[b"\x04\x5A"], "SOCKS5"),
            (&[b"\x00"], "SOCKS5"),
            (&[b"\x05\x00", b"\x04\x00"], "SOCKS5"),
            (&[b"\x05\x00", b"\x05\x00\x00\x02"], "type of its address"),
        ] {
            let result = run("socks5://proxy", ("example.com", 443), answers).1;
            assert!(is_malformed(&result, part), "{answers:?}: {result:?}");
        }
    }

    // K-proxy
    #[test]
    fn hosts_that_could_end_a_line_are_refused() {
        let (long, longest) = ("x".repeat(256), "x".repeat(255));
        let proxies = ["http://proxy", "socks5://proxy"].map(|proxy| Proxy::parse(proxy).unwrap());
        for proxy in &proxies {
            for host in ["", "a b", "a\r\nX: y", "a:80", "a/b", "user@a", "[::1", "::1%eth0", "b\u{fc}cher", &long]
            {
                let result = ProxyDialogue::new(proxy, host, 443);
                assert!(matches!(result, Err(ProxyError::InvalidTarget(_))), "{host}");
            }
            assert!(ProxyDialogue::new(proxy, &longest, 443).is_ok());
        }
    }

    // K-proxy
    #[test]
    fn output_may_be_written_in_pieces_and_is_forgotten_then() {
        let proxy = Proxy::parse("http://somebody:secret@proxy").unwrap();
        let mut dialogue = ProxyDialogue::new(&proxy, "example.com", 443).unwrap();
        let whole = dialogue.pending().to_vec();
        let mut written = Vec::new();
        while let [first, ..] = dialogue.pending() {
            written.push(*first);
            dialogue.written(1);
        }
        assert_eq!(written, whole);
        dialogue.written(usize::MAX);
        assert!(dialogue.output.is_empty());
    }

    #[test]
    fn credentials_are_in_no_debug_output_and_in_no_error() {
        for scheme in ["http", "socks5"] {
            let proxy = Proxy::parse(&format!("{scheme}://somebody:secret@proxy")).unwrap();
            let mut dialogue = ProxyDialogue::new(&proxy, "example.com", 443).unwrap();
            let mut shown = format!("{dialogue:?}");
            let error = dialogue.received(b"\x05\x02\x01\x01").unwrap_err();
            shown += &format!("{dialogue:?} {error:?} {error}");
            let encoded = "c29tZWJvZHk6c2VjcmV0";
            assert!(["secret", "somebody", encoded].iter().all(|text| !shown.contains(text)), "{shown}");
        }
    }

    #[test]
    fn each_error_is_one_line_that_says_what_to_do() {
        for error in [
            ProxyError::InvalidUrl("x"),
            ProxyError::InvalidTarget("x"),
            ProxyError::AuthenticationRequired,
            ProxyError::AuthenticationUnsupported,
            ProxyError::CredentialsRefused,
            ProxyError::Refused { status: 403, reason: String::new() },
            ProxyError::Refused { status: 403, reason: "Forbidden".to_owned() },
            ProxyError::Socks(SocksReply::ConnectionRefused),
            ProxyError::Malformed("x"),
            ProxyError::Closed,
            ProxyError::Timeout,
        ] {
            let shown = error.to_string();
            assert!(shown.starts_with(|first: char| first.is_ascii_lowercase()), "{shown}");
            assert!(!shown.ends_with('.') && !shown.contains('\n'), "{shown}");
            let source = std::error::Error::source(&error).map(ToString::to_string);
            assert_eq!(source.is_some(), matches!(error, ProxyError::Socks(_)), "{shown}");
        }
    }
}
