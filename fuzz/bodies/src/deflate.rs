use ws_proto::{
    Client, Config, Endpoint, Event, Fault, HandshakeError, Instant, Message, MessageBuffer, MessageKind,
    Negotiated, Part, ReceiveErrorKind, Role, Server, Side, client,
    deflate::{Deflater, INFLATER_BYTES, Inflater, Parameters, Settings, WindowBits},
    server::{self, OriginPolicy},
};

use super::{
    choices::{Choices, Keys},
    plain_inflate::{Plain, Wrong},
    reference::Told,
};

const NOW: Instant = Instant::ZERO;
const FIELD: &str = "Sec-WebSocket-Extensions";

/// Runs something and tells by how many bytes the heap has grown at the end of it, and at most meanwhile.
pub type Watch = fn(&mut dyn FnMut()) -> [isize; 2];

/// Settings of any kind.
fn settings(choices: &mut Choices<'_>) -> Settings {
    let mut settings = Settings::small();
    let flags = choices.take();
    settings.server_no_context_takeover = flags & 1 != 0;
    settings.client_no_context_takeover = flags & 2 != 0;
    settings.threshold = [0, 1, 32, 128][usize::from(flags >> 2 & 3)];
    settings.require_server_parameters = flags & 0x10 != 0;
    let bits = choices.take();
    settings.server_max_window_bits = window_bits(bits & 7);
    settings.client_max_window_bits = window_bits(bits >> 3 & 7);
    let level = choices.take();
    settings.level = level % 11;
    settings.memory_level = level / 11 % 11;
    settings
}

fn window_bits(less: u8) -> WindowBits {
    WindowBits::new(15 - less).expect("8 to 15")
}

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

fn answer(client: &Settings, server: &Settings) -> Option<Parameters> {
    let offer = client.to_string();
    let fields = || {
        [("sec-websocket-version", "13"), (FIELD, &offer)]
            .into_iter()
            .map(|(name, value)| (name, value.as_bytes()))
    };
    let offer = server::negotiate_extended_connect("example.com", fields, OriginPolicy::AllowAny);
    offer.expect("our own offer").deflate(server)
}

/// What a client that has offered `settings` makes of an answer.
fn check_answer<'h, I: Iterator<Item = (&'h str, &'h [u8])>>(
    settings: &Settings,
    fields: impl Fn() -> I,
) -> Result<Negotiated, HandshakeError> {
    let request = client::Request::new("example.com", "/").deflate(Some(*settings));
    let offer = client::Offer::extended_connect(request).expect("no field of the caller's");
    let acceptance = offer.check(client::HttpVersion::Other, 200, fields)?.expect("200 accepts");
    Ok(acceptance.negotiated())
}

/// What a client and a server know of each other.
fn agreed(client: &Settings, server: &Settings) -> [Negotiated; 2] {
    let parameters = answer(client, server).expect("a window that a compressor can keep to");
    let answer = parameters.to_string();
    let near = check_answer(client, || [(FIELD, answer.as_bytes())].into_iter()).expect("our own answer");
    [near, Negotiated::new().with_deflate(Some(parameters))]
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

/// Whatever comes compressed, it is inflated as by the text of RFC 1951, or fails as it should, and memory is bounded.
pub fn inflate(data: &[u8]) {
    inflate_watched(data, |work| {
        work();
        [0, 0]
    });
}

/// [`inflate`] where somebody counts the heap.
pub fn inflate_watched(data: &[u8], watch: Watch) {
    let (mut choices, script) = Choices::split(data);
    let mode = choices.take();
    let mut config = Config::new();
    config.max_message_len = [1 << 20, 0, 1, 300, 5_000, 70_000][usize::from(mode % 6)];
    config.max_fragments = Some(1_000);
    let mut settings = Settings::best_ratio();
    settings.client_no_context_takeover = mode & 0x80 != 0;
    let case = Case::of_script(script, &config, !settings.client_no_context_takeover);
    let pieces: Vec<&[u8]> = choices.pieces(case.wire.len()).into_iter().map(|piece| &case.wire[piece]).collect();
    let [_, negotiated] = agreed(&settings, &settings);
    let way = || Way::new(&config, negotiated, watch);
    // A read's worth of storage, or none.
    way().next(&pieces).check(&case, 64 * 1024);
    way().next_in(&pieces).check(&case, 8 * 1024);
    way().next_part(&pieces).check(&case, 64 * 1024);
    way().receive(&pieces, &mut choices).check(&case, 0);
}

/// Messages of a client, and what has to come of them.
struct Case {
    wire: Vec<u8>,
    told: Vec<Told>,
    wrong: Option<Wrong>,
    limit: usize,
}

impl Case {
    /// Each message of the script is a byte of flags, one of length, and a payload.
    fn of_script(mut script: &[u8], config: &Config, takeover: bool) -> Self {
        let limit = usize::try_from(config.max_message_len).expect("small");
        let mut case = Self { wire: Vec::new(), told: Vec::new(), wrong: None, limit };
        let mut plain = Plain::default();
        while let ([flags, len, rest @ ..], None) = (script, case.wrong) {
            let len = usize::from(*len) << if flags & 0x80 == 0 { 0 } else { 4 };
            let (payload, rest) = rest.split_at(rest.len().min(len));
            script = rest;
            let kind = if flags & 1 == 0 { MessageKind::Binary } else { MessageKind::Text };
            let most = if flags & 2 == 0 { limit + limit / 8 + 64 } else { limit };
            let payload = &payload[..payload.len().min(most)];
            case.send(*flags, kind, payload);
            let message =
                if flags & 2 == 0 { plain.message(payload, limit, takeover) } else { Ok(payload.to_vec()) };
            match message {
                Ok(message) if kind == MessageKind::Binary || core::str::from_utf8(&message).is_ok() => {
                    case.told.push(Told::Message(kind, message));
                }
                Ok(_) => case.wrong = Some(Wrong::Corrupt),
                Err(wrong) => case.wrong = Some(wrong),
            }
        }
        case
    }

    /// In one to four frames, a Ping before the last.
    fn send(&mut self, flags: u8, kind: MessageKind, payload: &[u8]) {
        let frames = usize::from(flags >> 2 & 3);
        let mut rest = payload;
        for index in 0..=frames {
            let (part, behind) =
                rest.split_at(if index == frames { rest.len() } else { payload.len() / (frames + 1) });
            rest = behind;
            if index == frames && flags & 0x10 != 0 {
                self.frame(0x89, &[]);
                self.told.push(Told::Ping(vec![]));
            }
            let opcode = match (index, kind) {
                (1.., _) => 0x00,
                (0, MessageKind::Text) => 0x01,
                (0, MessageKind::Binary) => 0x02,
            };
            let rsv1 = if index == 0 && flags & 2 == 0 { 0x40 } else { 0 };
            self.frame(opcode | rsv1 | if index == frames { 0x80 } else { 0 }, part);
        }
    }

    /// A masked frame, whose key is zero.
    fn frame(&mut self, first: u8, payload: &[u8]) {
        self.wire.push(first);
        match payload.len() {
            len @ 0..126 => self.wire.push(0x80 | len.to_le_bytes()[0]),
            len => self.wire.extend([0xFE, len.to_le_bytes()[1], len.to_le_bytes()[0]]),
        }
        self.wire.extend([0; 4]);
        self.wire.extend(payload);
    }
}

/// One way to receive, what it has told, and how much memory that took.
struct Way {
    endpoint: Endpoint<Server>,
    limit: usize,
    watch: Watch,
    held: isize,
    most: isize,
    told: Vec<Told>,
    begun: Vec<u8>,
    error: Option<ReceiveErrorKind>,
}

impl Way {
    fn new(config: &Config, negotiated: Negotiated, watch: Watch) -> Self {
        let endpoint = Endpoint::new(Server, config, negotiated, NOW);
        let limit = usize::try_from(config.max_message_len).expect("small");
        Self { endpoint, limit, watch, held: 0, most: 0, told: Vec::new(), begun: Vec::new(), error: None }
    }

    fn watched<X>(&mut self, work: impl FnOnce(&mut Endpoint<Server>) -> X) -> X {
        let (mut work, mut result) = (Some(work), None);
        let endpoint = &mut self.endpoint;
        let [held, most] = (self.watch)(&mut || result = work.take().map(|work| work(endpoint)));
        self.most = self.most.max(self.held + most);
        self.held += held;
        result.expect("done")
    }

    fn drain(&mut self) {
        while self.endpoint.poll_transmit().is_some() {}
    }

    fn check(&self, case: &Case, storage: usize) {
        let fault = |fault| Some(ReceiveErrorKind::Fault(fault));
        match case.wrong {
            None => assert_eq!((&self.told, self.error), (&case.told, None)),
            Some(wrong) => {
                assert!(case.told.starts_with(&self.told), "{:?} of {:?}", self.told, case.told);
                // What is too big may be found to be corrupt first, behind its limit or as text.
                let plain = Some(ReceiveErrorKind::InvalidUtf8);
                let corrupt = self.error == fault(Fault::InvalidPayload) || self.error == plain;
                assert!(corrupt || wrong == Wrong::TooBig && self.error == fault(Fault::MessageTooBig));
            }
        }
        let bound = case.limit + 64 * 1024 + INFLATER_BYTES + storage + 1024;
        assert!(usize::try_from(self.most).unwrap_or_default() <= bound, "{} of {bound} bytes", self.most);
    }

    /// Notes what was found; whether there may be more.
    fn note(&mut self, found: Result<Option<Told>, ReceiveErrorKind>) -> bool {
        self.drain();
        match found {
            Ok(Some(told)) => self.told.push(told),
            Ok(None) => return false,
            Err(error) => {
                self.error = Some(error);
                return false;
            }
        }
        true
    }

    fn next(mut self, pieces: &[&[u8]]) -> Self {
        let mut buffer = MessageBuffer::new(vec![]);
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() && self.error.is_none() {
                piece = self.read(&mut buffer, piece);
                while {
                    let found = self.watched(|endpoint| {
                        buffer.next(endpoint, NOW).map(|found| found.map(|event| event.control()))
                    });
                    let told = found.map(|found| {
                        found.map(|found| match found {
                            None => owned(buffer.message().expect("told")),
                            Some(_) => Told::Ping(vec![]),
                        })
                    });
                    self.note(told.map_err(|error| error.kind()))
                } {}
            }
        }
        self
    }

    fn read<'p>(&mut self, buffer: &mut MessageBuffer<Vec<u8>>, piece: &'p [u8]) -> &'p [u8] {
        self.watched(|endpoint| {
            let room = buffer.unfilled(endpoint);
            let (read, rest) = piece.split_at(room.len().min(piece.len()));
            room[..read.len()].copy_from_slice(read);
            buffer.filled(read.len());
            rest
        })
    }

    fn next_in(mut self, pieces: &[&[u8]]) -> Self {
        let mut buffer = MessageBuffer::new(vec![]);
        for piece in pieces {
            let mut bytes = piece.to_vec();
            let mut input = &mut bytes[..];
            while self.error.is_none() {
                let mut told = None;
                let found = self.watched(|endpoint| {
                    buffer.next_in(endpoint, NOW, &mut input).map(|found| {
                        found.map(|found| match found {
                            // Where it lies is known without another allocation.
                            Event::Data(message) => {
                                Some((message.kind(), message.as_bytes().as_ptr(), message.as_bytes().len()))
                            }
                            _ => None,
                        })
                    })
                });
                match found {
                    Ok(Some(Some((kind, at, len)))) => {
                        // SAFETY: neither the buffer nor the input has been touched since the message was lent from one of them.
                        #[allow(unsafe_code)]
                        let payload = unsafe { core::slice::from_raw_parts(at, len) };
                        told = Some(Told::Message(kind, payload.to_vec()));
                    }
                    Ok(Some(None)) => told = Some(Told::Ping(vec![])),
                    Ok(None) | Err(_) => {}
                }
                if !self.note(found.map(|_| told).map_err(|error| error.kind())) {
                    break;
                }
            }
        }
        self
    }

    fn next_part(mut self, pieces: &[&[u8]]) -> Self {
        let mut buffer = MessageBuffer::new(vec![]);
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() && self.error.is_none() {
                piece = self.read(&mut buffer, piece);
                loop {
                    let found = self.watched(|endpoint| buffer.next_part(endpoint, NOW));
                    if found == Ok(Some(Event::Data(()))) {
                        let data = buffer.take_part().expect("told");
                        assert!(!data.is_compressed());
                        self.add(data.kind(), data.part(), data.as_bytes());
                        continue;
                    }
                    let found = found.map(|found| found.map(|_| Told::Ping(vec![])));
                    if !self.note(found.map_err(|error| error.kind())) {
                        break;
                    }
                }
            }
        }
        self
    }

    fn add(&mut self, kind: MessageKind, part: Part, payload: &[u8]) {
        assert_eq!(part.is_first(), self.begun.is_empty() || payload.is_empty() && self.begun.is_empty());
        self.begun.extend(payload);
        if part.is_last() {
            let message = std::mem::take(&mut self.begun);
            assert!(kind == MessageKind::Binary || core::str::from_utf8(&message).is_ok());
            self.told.push(Told::Message(kind, message));
        }
    }

    /// With an inflater of the host's, through room of any size.
    fn receive(mut self, pieces: &[&[u8]], choices: &mut Choices<'_>) -> Self {
        let mut inflater = Inflater::new();
        let limit = self.limit;
        let alone = self.endpoint.deflate().expect("agreed").no_context_takeover(Side::Client);
        let mut room = vec![0; 1 + usize::from(choices.take()) * 16];
        let mut message = Vec::new();
        for piece in pieces {
            let mut bytes = piece.to_vec();
            let mut input = &mut bytes[..];
            while self.error.is_none() {
                let found = self.endpoint.receive(NOW, &mut input);
                let data = match found {
                    Ok(Some(Event::Data(data))) => data,
                    Ok(Some(_)) => {
                        self.note(Ok(Some(Told::Ping(vec![]))));
                        continue;
                    }
                    Ok(None) => break,
                    Err(error) => {
                        self.note(Err(error.kind()));
                        break;
                    }
                };
                let (kind, part) = (data.kind(), data.part());
                let mut payload = data.as_bytes();
                let mut result = Ok(());
                if data.is_compressed() {
                    if part.is_first() {
                        inflater.begin(alone);
                    }
                    loop {
                        let mut made = Ok(0);
                        let [held, most] = (self.watch)(&mut || made = inflater.inflate(&mut payload, &mut room));
                        self.most = self.most.max(self.held + most);
                        self.held += held;
                        let Ok(made) = made else {
                            result = made.map(drop);
                            break;
                        };
                        message.extend_from_slice(&room[..made]);
                        if message.len() > limit {
                            result = Err(Fault::MessageTooBig);
                            break;
                        }
                        if made < room.len() {
                            break;
                        }
                    }
                    if part.is_last() && result.is_ok() {
                        result = inflater.finish();
                    }
                } else {
                    message.extend_from_slice(payload);
                }
                if result.is_ok() && part.is_last() {
                    let message = std::mem::take(&mut message);
                    if kind == MessageKind::Binary || core::str::from_utf8(&message).is_ok() {
                        self.told.push(Told::Message(kind, message));
                    } else {
                        result = Err(Fault::InvalidPayload);
                    }
                }
                if let Err(fault) = result {
                    let error = self.endpoint.fail(NOW, fault);
                    self.note(Err(error.kind()));
                }
            }
        }
        self
    }
}

fn owned(message: Message<'_>) -> Told {
    Told::Message(message.kind(), message.as_bytes().to_vec())
}

/// What one side sends, compressed or not, whole or in parts, the other is told, whatever they have agreed on.
pub fn deflate_round_trip(data: &[u8]) {
    let (mut choices, script) = Choices::split(data);
    let mode = choices.take();
    let [mut ours, mut theirs] = [settings(&mut choices), settings(&mut choices)];
    for settings in [&mut ours, &mut theirs] {
        settings.server_max_window_bits = settings.server_max_window_bits.max(window_bits(6));
    }
    let [near, far] = agreed(&ours, &theirs);
    let client = Endpoint::new(Client::new(Keys::new(0)), &Config::new(), near, NOW);
    let server = Endpoint::new(Server, &Config::new(), far, NOW);
    if mode & 1 == 0 {
        converse(client, server, ours, |_, _, _, _| false, mode, choices, script);
    } else {
        converse(server, client, theirs, share, mode, choices, script);
    }
}

/// Sends a message as a server does that has it prepared for many.
fn share(
    server: &mut Endpoint<Server>,
    message: Message<'_>,
    deflater: &mut Deflater,
    wire: &mut Vec<u8>,
) -> bool {
    let agreed = server.deflate().expect("agreed");
    let prepared = deflater.prepare(message, agreed.max_window_bits(Side::Server));
    let fits = agreed.no_context_takeover(Side::Server) || prepared.window_bits().is_none();
    assert_eq!(server.send_prepared(&prepared).is_ok(), fits);
    if fits {
        wire.extend(prepared.slices().concat());
    }
    fits
}

#[allow(clippy::too_many_arguments, reason = "the two directions differ in types")]
fn converse<A: Role, B: Role>(
    mut near: Endpoint<A>,
    far: Endpoint<B>,
    settings: Settings,
    share: fn(&mut Endpoint<A>, Message<'_>, &mut Deflater, &mut Vec<u8>) -> bool,
    mode: u8,
    mut choices: Choices<'_>,
    mut script: &[u8],
) {
    let (mut deflater, mut sharer) = (Deflater::new(settings), Deflater::new(settings));
    let (mut wire, mut expected): (Vec<u8>, Vec<Told>) = Default::default();
    let mut earlier = Vec::new();
    while let [action, len, rest @ ..] = script {
        if expected.len() > 100 || wire.len() > 200_000 {
            break;
        }
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        script = rest;
        let times = if action & 0x80 != 0 { 1 + usize::from(choices.take()) } else { 1 };
        let mut payload = payload.repeat(times);
        if action & 0x40 != 0 {
            payload.extend(&earlier);
            payload.truncate(100_000);
        }
        earlier.clone_from(&payload);
        let message = Message::new(MessageKind::Text, &payload).unwrap_or(Message::Binary(&payload));
        match action % 8 {
            0 | 1 => near.write_deflated_to(message, &mut deflater, &mut wire).expect("open"),
            2 => near.write_to(message, &mut wire).expect("open"),
            3 => {
                if !share(&mut near, message, &mut sharer, &mut wire) {
                    near.write_deflated_to(message, &mut deflater, &mut wire).expect("open");
                }
            }
            4 => {
                let mut out = [0; 131];
                let len = near.write_ping(&[], &mut out).expect("room");
                wire.extend(&out[..len]);
                expected.push(Told::Ping(vec![]));
                continue;
            }
            5 => {
                deflater.forget();
                continue;
            }
            _ => write_parts(&mut near, message, &mut deflater, &mut choices, &mut wire),
        }
        if near.deflate().expect("agreed").no_context_takeover(A::SIDE) {
            assert!(deflater.is_idle());
        }
        expected.push(owned(message));
    }
    let pieces = choices.pieces(wire.len());
    let pieces: Vec<&[u8]> = pieces.into_iter().map(|piece| &wire[piece]).collect();
    assert_eq!(hear(far, &pieces, mode), expected);
}

fn write_parts<R: Role>(
    near: &mut Endpoint<R>,
    message: Message<'_>,
    deflater: &mut Deflater,
    choices: &mut Choices<'_>,
    wire: &mut Vec<u8>,
) {
    let payload = message.as_bytes();
    let mut rest = payload;
    let mut part = Part::First;
    for _ in 0..choices.take() % 16 {
        let (piece, behind) =
            rest.split_at(rest.len().min(usize::from(choices.take()) * payload.len().div_ceil(64)));
        rest = behind;
        near.write_part_deflated_to(message.kind(), part, piece, deflater, wire).expect("in order");
        part = Part::Middle;
    }
    let part = if part == Part::First { Part::Whole } else { Part::Last };
    near.write_part_deflated_to(message.kind(), part, rest, deflater, wire).expect("in order");
}

/// Receives in one of three ways.
fn hear<R: Role>(mut far: Endpoint<R>, pieces: &[&[u8]], mode: u8) -> Vec<Told> {
    let mut told = Vec::new();
    let mut begun = Vec::new();
    let mut buffer = MessageBuffer::new(vec![]);
    let alone = far.deflate().expect("agreed").no_context_takeover(R::SIDE.peer());
    let mut pool: Vec<Box<Inflater>> = Vec::new();
    for piece in pieces {
        if mode & 2 == 0 {
            let mut bytes = piece.to_vec();
            let mut input = &mut bytes[..];
            while let Some(found) = buffer.next_in(&mut far, NOW, &mut input).expect("all is well") {
                told.push(match found {
                    Event::Data(message) => owned(message),
                    _ => Told::Ping(vec![]),
                });
                while far.poll_transmit().is_some() {}
            }
        } else {
            let mut piece = *piece;
            while !piece.is_empty() {
                let room = buffer.unfilled(&far);
                let (read, rest) = piece.split_at(room.len().min(piece.len()));
                room[..read.len()].copy_from_slice(read);
                buffer.filled(read.len());
                piece = rest;
                take(&mut far, &mut buffer, mode, &mut begun, &mut told);
            }
        }
        // Between messages an inflater that has nothing to remember serves others.
        if let Some(inflater) = buffer.take_inflater() {
            assert!(inflater.is_idle());
            pool.push(inflater);
        }
        if buffer.is_empty() && mode & 8 != 0 {
            if let Some(inflater) = pool.pop().filter(|_| alone) {
                buffer.set_inflater(inflater);
            }
        }
    }
    assert!(begun.is_empty());
    told
}

fn take<R: Role>(
    far: &mut Endpoint<R>,
    buffer: &mut MessageBuffer<Vec<u8>>,
    mode: u8,
    begun: &mut Vec<u8>,
    told: &mut Vec<Told>,
) {
    loop {
        if mode & 4 == 0 {
            match buffer.next(far, NOW).expect("all is well") {
                Some(Event::Data(message)) => told.push(owned(message)),
                Some(_) => told.push(Told::Ping(vec![])),
                None => return,
            }
        } else {
            match buffer.next_part(far, NOW).expect("all is well") {
                Some(Event::Data(())) => {
                    let data = buffer.take_part().expect("told");
                    begun.extend_from_slice(data.as_bytes());
                    if data.part().is_last() {
                        told.push(Told::Message(data.kind(), std::mem::take(begun)));
                    }
                }
                Some(_) => told.push(Told::Ping(vec![])),
                None => return,
            }
        }
        while far.poll_transmit().is_some() {}
    }
}
