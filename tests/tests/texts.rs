//! The texts of errors, and of `Debug` and `Display` of the other types: enough for a log, and no secrets.

use core::fmt::Debug;

use ws_proto::{
    Client, CloseCode, Config, Endpoint, EntropyError, Instant, Message, MessageBuffer, MessageKind, Part,
    SendError, Server, Transmit, client,
    connection::{Failure, Memory, Output},
    deflate::{Deflater, Inflater, Settings, WindowBits},
    endpoint::{ControlFrame, Negotiated, Prepared},
    error::Fault,
    frame::Frame,
    handshake::{HandshakeError, SingleField, WriteError},
    host::Pool,
    mask::MaskingKey,
    server::{self, OriginPolicy},
};
use ws_tests::{FIN, PING, REQUEST, TEXT, accepting, answer_to, echo, masked, opened};

/// Texts start in lower case, end without a full stop and name the section of an RFC.
fn check(text: &str) {
    assert!(text.contains("(RFC ") && text.ends_with(')'), "{text}");
    assert!(text.contains(" section "), "{text}");
    let first = text.split(' ').next().unwrap();
    let is_name = first.contains(|c: char| c == '-' || c.is_uppercase()) || first.contains('_');
    assert!(is_name || first.chars().all(|c| c.is_lowercase()), "{text}");
}

fn all_different<T: ToString>(errors: &[T]) {
    let mut texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    texts.iter().for_each(|text| check(text));
    let count = texts.len();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!(texts.len(), count, "{texts:#?}");
}

#[test]
fn every_fault_and_every_refusal_to_send_says_what_it_is() {
    all_different(&[
        Fault::StorageFull,
        Fault::MessageTooBig,
        Fault::InflatesTooMuch,
        Fault::InvalidPayload,
        Fault::UnsupportedData,
        Fault::PolicyViolation,
        Fault::Internal,
    ]);
    all_different(&[
        SendError::Closing,
        SendError::MessageInProgress,
        SendError::NoMessage,
        SendError::KindMismatch,
        SendError::InvalidUtf8,
        SendError::BufferTooSmall { needed: 7 },
        SendError::ControlTooLong,
        SendError::InvalidCloseCode,
        SendError::NotNegotiated,
        SendError::NotOpen,
        SendError::Entropy,
    ]);
    check(&EntropyError.to_string());
    let error = Message::new(MessageKind::Text, b"ab\xFF").unwrap_err();
    assert_eq!(error.to_string(), "text is not UTF-8 from byte 2 on (RFC 6455 section 8.1)");
    check(&WriteError::InvalidHost.to_string());
}

#[test]
fn errors_of_the_opening_handshake_name_the_field_at_fault() {
    use HandshakeError as E;
    for (error, field) in [
        (E::Host, Some("Host")),
        (E::UpgradeRequired, Some("Upgrade")),
        (E::Upgrade, Some("Upgrade")),
        (E::Connection, Some("Connection")),
        (E::Version, Some("Sec-WebSocket-Version")),
        (E::UnsupportedVersion, Some("Sec-WebSocket-Version")),
        (E::Key, Some("Sec-WebSocket-Key")),
        (E::Extensions, Some("Sec-WebSocket-Extensions")),
        (E::ServerContextTakeover, Some("Sec-WebSocket-Extensions")),
        (E::ServerMaxWindowBits, Some("Sec-WebSocket-Extensions")),
        (E::Subprotocol, Some("Sec-WebSocket-Protocol")),
        (E::Origin, Some("Origin")),
        (E::Accept, Some("Sec-WebSocket-Accept")),
        (E::DuplicateField(SingleField::Host), Some("Host")),
        (E::DuplicateField(SingleField::ContentLength), Some("Content-Length")),
        (E::DuplicateField(SingleField::Upgrade), Some("Upgrade")),
        (E::DuplicateField(SingleField::Key), Some("Sec-WebSocket-Key")),
        (E::DuplicateField(SingleField::Version), Some("Sec-WebSocket-Version")),
        (E::DuplicateField(SingleField::Accept), Some("Sec-WebSocket-Accept")),
        (E::DuplicateField(SingleField::Subprotocol), Some("Sec-WebSocket-Protocol")),
        (E::Syntax, None),
        (E::Timeout, None),
    ] {
        assert_eq!(error.field(), field, "{error:?}");
        check(&error.to_string());
    }
}

#[test]
fn numbers_and_frames_show_their_value() {
    assert_eq!(format!("{:?} {}", CloseCode::NORMAL, CloseCode::NORMAL), "CloseCode(1000) 1000");
    assert_eq!(u16::from(CloseCode::GOING_AWAY), 1_001);
    assert_eq!(format!("{:?}", MaskingKey::new([1, 2, 3, 0xFF])), "MaskingKey(010203ff)");
    assert_eq!(format!("{:?}", WindowBits::new(9).unwrap()), "9");
    let parameters = answer_to(&Settings::small(), &["permessage-deflate"]).unwrap();
    assert!(format!("{parameters:?}").contains("no_context_takeover: true"), "{parameters:?}");
    let mut endpoint = Endpoint::new(Server, &Config::new(), Negotiated::default(), Instant::ZERO);
    let mut ping = masked(FIN | PING, b"?");
    let _ = endpoint.receive(Instant::ZERO, &mut &mut *ping).unwrap();
    let Some(Transmit::Control(pong)) = endpoint.poll_transmit() else { panic!("no Pong") };
    assert_eq!(format!("{pong:?}"), "ControlFrame([138, 1, 63])");
    assert_eq!(AsRef::<[u8]>::as_ref(&pong), b"\x8A\x01?");
    let _: &ControlFrame = &pong;
    let mut payload = *b"hi";
    let frame: Frame<'_> = endpoint.send(MessageKind::Text, Part::Whole, &mut payload).unwrap();
    assert_eq!(format!("{frame:?}"), "[[129, 2], [104, 105]]");
    assert!(format!("{endpoint:?}").starts_with("Endpoint"));
}

fn starts_with(value: &dyn Debug, name: &str) {
    let text = format!("{value:?}");
    assert!(text.starts_with(name) && !text.contains("secret"), "{text}");
}

#[test]
fn debug_output_names_the_type_and_shows_no_payload_or_key() {
    let entropy = |_: &mut [u8]| Ok::<_, EntropyError>(());
    starts_with(&Client::new(entropy), "Client");
    starts_with(&Deflater::new(Settings::small()), "Deflater");
    starts_with(&Inflater::default(), "Inflater");
    starts_with(&Prepared::new(MessageKind::Text, "secret").unwrap(), "Prepared");
    let mut endpoint = Endpoint::new(Server, &Config::new(), Negotiated::default(), Instant::ZERO);
    let mut buffer = MessageBuffer::from(masked(FIN | TEXT, b"secret"));
    starts_with(&buffer, "MessageBuffer");
    assert!(buffer.next_part(&mut endpoint, Instant::ZERO).unwrap().is_some());
    let part = buffer.take_part().unwrap();
    // A part that is printed is shown.
    assert!(format!("{part:?}").starts_with("Data { kind: Text, part: Whole"), "{part:?}");
    let mut output = Output::new();
    output.send(&mut endpoint, Message::Text("secret")).unwrap();
    starts_with(&output, "Output { len: 8, shutdown_owed: false }");
}

#[test]
fn debug_output_of_the_opening_handshake_shows_no_values() {
    let fields = || {
        [
            ("sec-websocket-version", &b"13"[..]),
            ("sec-websocket-extensions", b"x-secret; y=\"secret\""),
            ("sec-websocket-protocol", b"chat"),
        ]
        .into_iter()
    };
    let offer = server::negotiate_extended_connect("example.com", fields, OriginPolicy::AllowAny).unwrap();
    assert!(format!("{offer:?}").starts_with("Offer"));
    assert_eq!(offer.favourite().unwrap().as_str(), "chat");
    let extension = offer.extensions().next().unwrap();
    assert!(format!("{extension:?}").contains("Extension"));
    let (name, value) = extension.parameters().next().unwrap();
    assert_eq!((name, format!("{:?}", extension.parameters())), ("y", "[\"y\"]".to_owned()));
    assert_eq!(format!("{:?}", value.unwrap()), "secret");
    let handshake =
        client::Handshake::new(client::Request::new("a", "/"), [7; 16], Instant::ZERO, &Config::new()).unwrap();
    assert!(format!("{handshake:?}").starts_with("Handshake"));
}

#[test]
fn debug_output_of_a_connection_shows_no_payload() {
    let mut connection = opened(&Config::new());
    echo(&mut connection, Instant::ZERO, &masked(FIN | TEXT, b"secret"));
    starts_with(&connection, "Connection { side: Server, state: Some(Open)");
    starts_with(&connection.reading(&mut []), "Reading { connection: Connection");
    starts_with(&connection.sender().unwrap(), "Reply { output: Output { len: 8");
    let (memory, pool) = (Memory::new(&Config::new()), Pool::new(&Config::new()));
    starts_with(&memory, "Memory { held_bytes: 0, is_empty: true");
    starts_with(&pool, "Pool { free: 0");
    let (_, outgoing) = connection.split().unwrap();
    starts_with(&outgoing, "Outgoing { endpoint: Endpoint");
    let mut connection = accepting(&Config::new());
    starts_with(&connection, "Connection { side: Server, state: None");
    let mut request = REQUEST.to_vec();
    let mut reading = connection.received_in(Instant::ZERO, &mut request);
    let next = reading.next().unwrap();
    starts_with(&next, "Opening(");
}

#[test]
fn every_failure_of_a_connection_says_what_it_is() {
    all_different(&[Failure::Handshake(HandshakeError::Timeout), Failure::Refused(404), Failure::WriteTimeout]);
    assert!(Failure::Refused(404).to_string().contains("404"));
}
