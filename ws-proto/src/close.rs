//! Close codes and the body of a Close frame (RFC 6455 sections 5.5.1 and 7.4).

use core::fmt;

use crate::{frame::MAX_CONTROL_LEN, part::sure, utf8};

/// The reason for the end of a connection (RFC 6455 section 7.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// 1000: the purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// 1001: a server goes down, a browser leaves the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// 1003: data of a type that the endpoint can't take.
    pub const UNSUPPORTED_DATA: Self = Self(1003);
    /// 1005: the peer's Close had no code. Never on the wire.
    pub const NO_STATUS: Self = Self(1005);
    /// 1006: the connection ended without the peer's Close. Never on the wire.
    pub const ABNORMAL: Self = Self(1006);
    /// 1007: payload that does not fit its type, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// 1008: a policy is violated and no other code fits.
    pub const POLICY_VIOLATION: Self = Self(1008);
    /// 1009: the message is too big to process.
    pub const MESSAGE_TOO_BIG: Self = Self(1009);
    /// 1010: the server did not negotiate an extension that the client needs. Sent by clients only.
    pub const MANDATORY_EXTENSION: Self = Self(1010);
    /// 1011: the endpoint met a condition that it did not expect.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// 1012: the service restarts.
    pub const SERVICE_RESTART: Self = Self(1012);
    /// 1013: try again later.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 1014: a gateway got an invalid response from its upstream.
    pub const BAD_GATEWAY: Self = Self(1014);
    /// 1015: the TLS handshake failed. Never on the wire.
    pub const TLS_HANDSHAKE: Self = Self(1015);

    /// Creates the code with this number. Any number is a code, but not every code may be sent.
    #[must_use]
    pub const fn new(code: u16) -> Self {
        Self(code)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Returns whether a Close frame may carry this code: 1000–1003, 1007–1014 and 3000–4999.
    ///
    /// The registered codes 1004, 1005, 1006 and 1015 are never sent, nor are numbers without a definition.
    #[must_use]
    pub const fn is_allowed_on_wire(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The longest reason in bytes: a control payload less the two bytes of the code.
pub const MAX_REASON_LEN: usize = MAX_CONTROL_LEN - 2;

/// Returns the longest start of `reason` that ends between characters and fits a Close frame.
#[must_use]
pub(crate) fn cut_reason(reason: &str) -> &str {
    let mut len = reason.len().min(MAX_REASON_LEN);
    while !reason.is_char_boundary(len) {
        len -= 1;
    }
    sure(reason.get(..len))
}

/// Returns the code and the reason in the body of a Close frame, or [`NO_STATUS`](CloseCode::NO_STATUS) for an
/// empty body.
pub(crate) fn parse_body(body: &[u8]) -> Result<(CloseCode, &str), BodyError> {
    if body.is_empty() {
        return Ok((CloseCode::NO_STATUS, ""));
    }
    let Some((code, reason)) = body.split_first_chunk() else {
        return Err(BodyError::Short);
    };
    let code = CloseCode(u16::from_be_bytes(*code));
    if !code.is_allowed_on_wire() {
        return Err(BodyError::Code);
    }
    let reason = utf8::to_str(reason).map_err(|_| BodyError::Reason)?;
    Ok((code, reason))
}

/// A fault of the body of a Close frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    Short,
    Code,
    Reason,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_sorted_as_section_7_4_says() {
        for code in 0..=u16::MAX {
            let registered = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
            let allowed = registered.contains(&code) || (3000..5000).contains(&code);
            assert_eq!(CloseCode::new(code).is_allowed_on_wire(), allowed, "{code}");
        }
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        assert_eq!(cut_reason(&"x".repeat(200)).len(), 123);
        assert_eq!(cut_reason(&"é".repeat(100)).len(), 122);
        assert_eq!(cut_reason(&"🦀".repeat(100)).len(), 120);
        assert_eq!(cut_reason("short"), "short");
    }

    #[test]
    fn a_body_is_empty_or_code_and_reason() {
        assert_eq!(parse_body(&[]), Ok((CloseCode::NO_STATUS, "")));
        assert_eq!(parse_body(&[3]), Err(BodyError::Short));
        assert_eq!(parse_body(&[3, 0xE8]), Ok((CloseCode::NORMAL, "")));
        assert_eq!(parse_body(&[3, 0xED]), Err(BodyError::Code));
        assert_eq!(parse_body(b"\x0F\xA0bye"), Ok((CloseCode::new(4000), "bye")));
        assert_eq!(parse_body(b"\x03\xE8\xC3"), Err(BodyError::Reason));
    }
}
