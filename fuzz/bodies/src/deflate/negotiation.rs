//! The answer to an offer, and the answers that are understood (RFC 7692 section 7.1).

use ws_proto::{
    client,
    deflate::{Settings, WindowBits},
    endpoint::Negotiated,
    handshake::HandshakeError,
    role::Side,
    server::{self, OriginPolicy},
};

use super::{FIELD, agreed, answer, settings};
use crate::choices::Choices;

/// A server answers the first offer that it can, within it; a client takes exactly the answers that are within its own.
pub fn deflate_negotiation(data: &[u8]) {
    let (mut choices, wire) = Choices::split(data);
    let settings = settings(&mut choices);
    let lines: Vec<&[u8]> = wire.split(|byte| *byte == b'\n').collect();
    let named: Option<Vec<Named>> =
        lines.iter().map(|line| parse(line)).collect::<Option<Vec<_>>>().map(|lines| lines.concat());

    let fields =
        || [("sec-websocket-version", &b"13"[..])].into_iter().chain(lines.iter().map(|line| (FIELD, *line)));
    match (server::negotiate_extended_connect("example.com", fields, OriginPolicy::AllowAny), &named) {
        (Ok(offer), Some(named)) => {
            let agreed = offer.deflate(&settings);
            let expected = named.iter().find_map(|offer| expected_answer(&settings, offer));
            assert_eq!(agreed.map(|agreed| agreed.to_string()), expected);
        }
        (Err(rejection), None) => assert_eq!(rejection.error(), HandshakeError::Extensions),
        (found, _) => panic!("{found:?} of {named:?}"),
    }

    let answered = check_answer(&settings, || lines.iter().map(|line| (FIELD, *line)));
    let expected = named.as_ref().and_then(|named| understood(&settings, named));
    let found = answered.ok().map(|negotiated| {
        let deflate = negotiated.deflate.expect("there is an answer");
        [Side::Server, Side::Client]
            .map(|side| (deflate.no_context_takeover(side), deflate.max_window_bits(side).get()))
    });
    assert_eq!(found, expected);

    check_agreement(&settings, &self::settings(&mut choices));
}

/// A client with these settings understands what a server with those answers.
fn check_agreement(client: &Settings, server: &Settings) {
    let required = client.require_server_parameters && client.server_max_window_bits == WindowBits::MIN;
    let hard = required || server.server_max_window_bits == WindowBits::MIN;
    assert_eq!(answer(client, server).is_none(), hard);
    if let Some(parameters) = answer(client, server) {
        let [near, far] = agreed(client, server).map(|negotiated| negotiated.deflate.expect("agreed"));
        assert_eq!(parameters, far);
        let server = Side::Server;
        assert_eq!(near.no_context_takeover(server), far.no_context_takeover(server));
        // The server may keep to less than it says.
        assert!(near.max_window_bits(server) >= far.max_window_bits(server));
        // The client's own messages may be easier than the server has asked for.
        assert!(near.no_context_takeover(Side::Client) || !far.no_context_takeover(Side::Client));
        assert!(near.max_window_bits(Side::Client) <= far.max_window_bits(Side::Client));
    }
}

/// The result of an answer for a client that has offered `settings`.
pub(super) fn check_answer<'h, I: Iterator<Item = (&'h str, &'h [u8])>>(
    settings: &Settings,
    fields: impl Fn() -> I,
) -> Result<Negotiated, HandshakeError> {
    let request = client::Request::new("example.com", "/").deflate(Some(*settings));
    let offer = client::Offer::extended_connect(request).expect("no field of the caller's");
    let acceptance = offer.check(client::HttpVersion::Other, 200, fields)?.expect("200 accepts");
    Ok(acceptance.negotiated())
}

/// An extension and its parameters.
type Named = (String, Vec<(String, Option<String>)>);

/// RFC 6455 section 9.1 by words and signs: the extensions of a list, if it is one.
fn parse(line: &[u8]) -> Option<Vec<Named>> {
    let mut words = words(line)?.into_iter().peekable();
    let mut list: Vec<Named> = Vec::new();
    loop {
        match words.next() {
            None => return (!list.is_empty()).then_some(list),
            Some(Word::Sign(b',')) => continue,
            Some(Word::Token(name)) => list.push((name, Vec::new())),
            Some(_) => return None,
        }
        while words.next_if_eq(&Word::Sign(b';')).is_some() {
            let Some(Word::Token(name)) = words.next() else { return None };
            let value = if words.next_if_eq(&Word::Sign(b'=')).is_some() {
                match words.next() {
                    Some(Word::Token(value) | Word::Quoted(value)) => Some(value),
                    _ => return None,
                }
            } else {
                None
            };
            list.last_mut()?.1.push((name, value));
        }
        if !matches!(words.peek(), None | Some(Word::Sign(b','))) {
            return None;
        }
    }
}

#[derive(Debug, PartialEq)]
enum Word {
    Token(String),
    Quoted(String),
    Sign(u8),
}

fn words(line: &[u8]) -> Option<Vec<Word>> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(&byte) = line.get(at) {
        at += 1;
        match byte {
            b' ' | b'\t' => {}
            b',' | b';' | b'=' => words.push(Word::Sign(byte)),
            b'"' => {
                let mut text = String::new();
                loop {
                    let mut byte = *line.get(at)?;
                    at += 1;
                    if byte == b'"' {
                        break;
                    }
                    if byte == b'\\' {
                        byte = *line.get(at)?;
                        at += 1;
                    }
                    if !is_token(byte) {
                        return None;
                    }
                    text.push(byte.into());
                }
                if text.is_empty() {
                    return None;
                }
                words.push(Word::Quoted(text));
            }
            _ if is_token(byte) => {
                let mut text = String::from(char::from(byte));
                while let Some(&byte) = line.get(at).filter(|byte| is_token(**byte)) {
                    text.push(byte.into());
                    at += 1;
                }
                words.push(Word::Token(text));
            }
            _ => return None,
        }
    }
    Some(words)
}

/// The values of the four parameters, of one that each may come with, in RFC 7692's order; `None` if a rule is broken.
fn four((name, parameters): &Named) -> Option<[Option<Option<u8>>; 4]> {
    const NAMES: [&str; 4] = [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits",
        "client_max_window_bits",
    ];
    let mut found = [None; 4];
    for (name, value) in parameters {
        let index = NAMES.iter().position(|known| known == name)?;
        let value = match value {
            None => None,
            Some(value) => Some((8..=15).find(|bits: &u8| bits.to_string() == *value)?),
        };
        let fits = match index {
            0 | 1 => value.is_none(),
            2 => value.is_some(),
            _ => true,
        };
        if !fits || found[index].replace(value).is_some() {
            return None;
        }
    }
    (name == "permessage-deflate").then_some(found)
}

fn expected_answer(settings: &Settings, offer: &Named) -> Option<String> {
    let [server_alone, client_alone, server_bits, client_bits] = four(offer)?;
    let (server_bits, client_bits) = (server_bits.flatten(), client_bits.map(|bits| bits.unwrap_or(15)));
    let server = settings.server_max_window_bits.get().min(server_bits.unwrap_or(15));
    if server == 8 {
        return None;
    }
    let mut answer = String::from("permessage-deflate");
    if server_alone.is_some() || settings.server_no_context_takeover {
        answer += "; server_no_context_takeover";
    }
    if server_bits.is_some() {
        answer += &format!("; server_max_window_bits={server}");
    }
    if client_alone.is_some() || settings.client_no_context_takeover {
        answer += "; client_no_context_takeover";
    }
    if let Some(client) =
        client_bits.map(|bits| bits.min(settings.client_max_window_bits.get())).filter(|bits| *bits < 15)
    {
        answer += &format!("; client_max_window_bits={client}");
    }
    Some(answer)
}

fn understood(settings: &Settings, answers: &[Named]) -> Option<[(bool, u8); 2]> {
    let [answer] = answers else { return None };
    let [server_alone, client_alone, server_bits, client_bits] = four(answer)?;
    let server = server_bits.flatten().unwrap_or(15);
    let wide = server > settings.server_max_window_bits.get();
    let unconfirmed = wide || settings.server_no_context_takeover && server_alone.is_none();
    if settings.require_server_parameters && unconfirmed || client_bits == Some(None) {
        return None;
    }
    let client = client_bits.flatten().unwrap_or(15).min(settings.client_max_window_bits.get());
    Some([
        (server_alone.is_some(), server),
        (client_alone.is_some() || settings.client_no_context_takeover, client),
    ])
}
