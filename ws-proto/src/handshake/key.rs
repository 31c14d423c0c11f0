//! Sec-WebSocket-Key and Sec-WebSocket-Accept (RFC 6455 sections 1.3 and 11.3).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};

use super::field::ByteSet;

// §1.3: unlikely to be used by an endpoint that does not understand the protocol.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const NONCE_LEN: usize = 16;
pub(super) const KEY_LEN: usize = 24;
pub(super) const ACCEPT_LEN: usize = 28;

/// Returns the value of Sec-WebSocket-Key for a nonce.
pub(super) fn encode(nonce: [u8; NONCE_LEN]) -> [u8; KEY_LEN] {
    let mut key = [b'='; KEY_LEN];
    // 16 bytes take 24 characters, so this cannot fail.
    let _ = STANDARD.encode_slice(nonce, &mut key);
    key
}

/// Returns `key` if it is the base64 of 16 bytes: 22 characters and the padding.
///
/// The last character has four unused bits, which an encoder leaves 0. They are not checked: the key that RFC 6455
/// section 1.3 once showed as an example has other values (erratum 3150), clients have copied it, and no server
/// needs the decoded bytes.
pub(super) fn check(key: &[u8]) -> Option<&[u8; KEY_LEN]> {
    const ALPHABET: ByteSet = ByteSet::alphanumeric().with(b"+/");
    let characters = key.strip_suffix(b"==")?;
    let is_valid = characters.iter().all(|&byte| ALPHABET.contains(byte));
    key.try_into().ok().filter(|_| is_valid)
}

/// Returns the value of Sec-WebSocket-Accept that answers `key`.
pub(super) fn accept(key: &[u8; KEY_LEN]) -> [u8; ACCEPT_LEN] {
    // The hash is faster with all bytes at once.
    let mut input = [0; KEY_LEN + GUID.len()];
    let (start, end) = input.split_at_mut(KEY_LEN);
    start.copy_from_slice(key);
    end.copy_from_slice(GUID);
    let mut accept = [b'='; ACCEPT_LEN];
    // 20 bytes take 28 characters, so this cannot fail.
    let _ = STANDARD.encode_slice(Sha1::digest(input), &mut accept);
    accept
}

/// Returns whether two values are equal, in a time that does not depend on the place of a difference.
pub(super) fn equal(ours: &[u8; ACCEPT_LEN], theirs: &[u8]) -> bool {
    ours.len() == theirs.len() && ours.iter().zip(theirs).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_answered() {
        // R1.3-1
        let key = encode(*b"the sample nonce");
        assert_eq!(&key, b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(&accept(&key), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn a_key_has_22_characters_and_the_padding() {
        for key in [
            "dGhlIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZR==",
            "AQIDBAUGBwgJCgsMDQ4PEC==",
            "++//++//++//++//++//++==",
        ] {
            assert_eq!(check(key.as_bytes()).map(|key| &key[..]), Some(key.as_bytes()));
        }
        for key in [
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ=====",
            "dGhlIHNhbXBsZSBub25jZWU=",
            "dGhlIHNhbXBsZSBub25jZWVl",
            "dGhlIHNhbXBsZSBub25j====",
            "dGhlIHNhbXBsZSBub25-ZQ==",
            "dGhlIHNhbXBsZSBub25j=Q==",
            "======================",
            "",
        ] {
            assert_eq!(check(key.as_bytes()), None, "{key}");
        }
    }

    #[test]
    fn values_are_equal_only_as_a_whole() {
        let ours = accept(b"dGhlIHNhbXBsZSBub25jZQ==");
        assert!(equal(&ours, &ours));
        assert!(!equal(&ours, &ours[..27]));
        let mut theirs = ours;
        theirs[27] = b'-';
        assert!(!equal(&ours, &theirs));
    }
}
