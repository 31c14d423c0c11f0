//! Recognition of peers that do not answer in HTTP/1, by their first bytes.

/// The methods of HTTP (RFC 9110 section 9.3, RFC 5789).
pub(super) const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// The protocol that the received bytes look like where an HTTP response was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LooksLike {
    /// The banner of an SSH server (RFC 4253 section 4.2).
    Ssh,
    /// `220`, the greeting of an SMTP or FTP server (RFC 5321 section 3.1, RFC 959 section 5.4).
    Greeting,
    /// An alert or a handshake of TLS (RFC 8446 section 5.1): the port is for `wss`.
    Tls,
    /// The preface of HTTP/2, or its SETTINGS (RFC 9113 section 3.4).
    Http2,
    /// A request of HTTP/1: the peer is a client too, or sends back the bytes that it receives.
    HttpRequest,
    /// None of these.
    Unknown,
}

/// The protocol of an answer, as far as its first bytes show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Http,
    /// More bytes are needed.
    Undecided,
    Foreign(LooksLike),
}

/// The value that matches any byte in a pattern.
const ANY: u8 = 0xFF;

/// The first bytes of other protocols. No pattern is the start of another.
const PATTERNS: [(&[u8], LooksLike); 7] = [
    (b"SSH-", LooksLike::Ssh),
    (b"220 ", LooksLike::Greeting),
    (b"220-", LooksLike::Greeting),
    (b"\x15\x03", LooksLike::Tls),
    (b"\x16\x03", LooksLike::Tls),
    (b"PRI * HTTP/2", LooksLike::Http2),
    // The upper bytes of a length of at most 255, and the type SETTINGS.
    (&[0x00, 0x00, ANY, 0x04], LooksLike::Http2),
];

/// Returns the protocol that `received` begins with. More bytes never change a result other than
/// [`Verdict::Undecided`].
pub(super) fn judge(received: &[u8]) -> Verdict {
    const HTTP: &[u8] = b"HTTP/";
    if received.starts_with(HTTP) {
        return Verdict::Http;
    }
    let mut verdict =
        if HTTP.starts_with(received) { Verdict::Undecided } else { Verdict::Foreign(LooksLike::Unknown) };
    let requests = METHODS.iter().map(|method| (method.as_bytes(), LooksLike::HttpRequest));
    for (pattern, looks_like) in PATTERNS.into_iter().chain(requests) {
        if !pattern.iter().zip(received).all(|(expected, byte)| expected == byte || *expected == ANY) {
            continue;
        }
        if received.len() >= pattern.len() {
            return Verdict::Foreign(looks_like);
        }
        verdict = Verdict::Undecided;
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_recognised_by_its_first_bytes_and_no_later() {
        for (bytes, len, looks_like) in [
            (&b"SSH-2.0-OpenSSH_9.9\r\n"[..], 4, LooksLike::Ssh),
            (b"220 mail.example ESMTP\r\n", 4, LooksLike::Greeting),
            (b"220-Welcome\r\n", 4, LooksLike::Greeting),
            (b"\x15\x03\x01\x00\x02\x02\x46", 2, LooksLike::Tls),
            (b"\x16\x03\x03\x00\x7A", 2, LooksLike::Tls),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 12, LooksLike::Http2),
            (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", 4, LooksLike::Http2),
            (b"GET / HTTP/1.1\r\n", 3, LooksLike::HttpRequest),
            (b"HEAD / HTTP/1.1\r\n", 4, LooksLike::HttpRequest),
            (b"OPTIONS * HTTP/1.1\r\n", 7, LooksLike::HttpRequest),
            (b"http/1.1 101", 1, LooksLike::Unknown),
            (b"HTTX", 4, LooksLike::Unknown),
            (b"22 ", 3, LooksLike::Unknown),
            (b"\r\nHTTP/1.1", 1, LooksLike::Unknown),
            (b" HTTP/1.1", 1, LooksLike::Unknown),
            (b"<html>", 1, LooksLike::Unknown),
            (b"\x16\x04", 2, LooksLike::Unknown),
        ] {
            for end in 0..=bytes.len() {
                let expected = if end < len { Verdict::Undecided } else { Verdict::Foreign(looks_like) };
                assert_eq!(judge(&bytes[..end]), expected, "{:?}", &bytes[..end]);
            }
        }
        assert_eq!(judge(b"HTTP"), Verdict::Undecided);
        assert_eq!(judge(b"HTTP/1.1 101"), Verdict::Http);
    }
}
