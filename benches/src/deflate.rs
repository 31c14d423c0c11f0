//! The group `deflate`: a server that echoes compressed messages, what it takes, sends and holds.

use ws_proto::{
    Client, Config, Endpoint, Event, Instant, Message, MessageBuffer, Server,
    deflate::{Deflater, Inflater, Parameters, Settings},
    endpoint::Negotiated,
    frame::{FrameHeader, Rsv},
    server,
};

use crate::{
    allocations,
    contender::{REQUEST, Run},
    measure::Cell,
    ours,
    results::Echoed,
    transport::{READ_LEN, Transport},
};

/// Length of a message in bytes.
const LEN: usize = 1 << 10;
/// Messages in one pass. What a pass brings is far more than a window, so that no contender finds the pass before.
const COUNT: usize = 256;
/// How many echoes a connection has behind it when its memory is looked at.
const SETTLED: usize = 100;

/// A server that answers each compressed text message with the same, compressed.
pub trait Echo: Sized {
    /// What the connections of a thread share.
    type Thread: Default;

    /// A connection on `transport`, open already.
    fn new(transport: Transport) -> Self;

    /// Answers the `count` messages that the transport has, each before the next.
    fn echo(&mut self, thread: &mut Self::Thread, count: usize);
}

/// What a market's ticker sends: `count` texts of the same shape, no two alike.
fn messages(count: usize) -> Vec<String> {
    const MARKETS: [&str; 8] =
        ["BTC-EUR", "ETH-EUR", "SOL-EUR", "XRP-EUR", "BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD"];
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    };
    let one = |at: usize| {
        let market = MARKETS[usize::try_from(random(8)).unwrap_or(0)];
        let price = 6_000_000 + random(40_000);
        let mut text = format!(
            "{{\"type\":\"ticker\",\"sequence\":{},\"product_id\":\"{market}\",\"time\":\"2026-03-14T15:09:{:02}.{:06}Z\",\
             \"price\":\"{}.{:02}\",\"last_size\":\"0.{:08}\",\"side\":\"{}\",\"trade_id\":{},\"levels\":[",
            48_215_310_000 + at,
            at / 20 % 60,
            random(1_000_000),
            price / 100,
            price % 100,
            random(100_000_000),
            if random(2) == 0 { "buy" } else { "sell" },
            871_345_000 + 3 * at,
        );
        for level in 0.. {
            let price = price + 7 * level + random(7);
            let entry = format!(
                "{{\"price\":\"{}.{:02}\",\"size\":\"{}.{:04}\",\"orders\":{}}},",
                price / 100,
                price % 100,
                random(4),
                random(10_000),
                1 + random(30)
            );
            // Room for the end, whose name and quotes are 16 bytes.
            if text.len() + entry.len() + 16 > LEN {
                break;
            }
            text += &entry;
        }
        text.pop();
        text += "],\"source\":\"";
        let rest = LEN - 2 - text.len();
        text.extend(std::iter::repeat_n("eu-central-", rest / 11 + 1).collect::<String>().chars().take(rest));
        text + "\"}"
    };
    (0..count).map(one).collect()
}

/// What the server makes of a browser's offer.
fn agreed(settings: &Settings) -> Option<Parameters> {
    match server::Request::parse(REQUEST, server::OriginPolicy::SameHost) {
        Ok(server::Head::Upgrade(request)) => request.deflate(settings),
        _ => None,
    }
}

/// Window 15, level 6, context takeover: what all the contenders can be set to.
pub(crate) fn common() -> Settings {
    let mut settings = Settings::best_ratio();
    settings.level = 6;
    settings.memory_level = 8;
    settings
}

/// The same with blocks of 1,024 symbols, in which a message of the cell fits.
fn short_blocks() -> Settings {
    let mut settings = common();
    settings.memory_level = 4;
    settings
}

/// A cell for servers that echo.
pub struct Echoes {
    cell: Cell,
    settings: Settings,
}

impl Echoes {
    /// Creates a cell whose contenders compress by `settings`.
    pub(crate) fn new(column: &str, settings: Settings) -> Self {
        let cell = Cell::new("deflate", column.into(), u32::try_from(COUNT).unwrap_or(1));
        Self { cell, settings }
    }

    pub(crate) fn into_cell(self) -> Cell {
        self.cell
    }

    /// Lets `E` take part.
    pub fn enter<E: Echo + 'static>(&mut self, name: &'static str) {
        let mut echoed = None;
        let settings = self.settings;
        self.cell.enter(name, || {
            let (run, found) = contend::<E>(&settings)?;
            echoed = Some(found);
            Ok(run)
        });
        if let Some(echoed) = echoed {
            self.cell.mark_echoed(name, echoed);
        }
    }

    /// Lets `E` take part beside the others, which compresses in blocks of another length.
    pub(crate) fn enter_aside<E: Echo + 'static>(&mut self, name: &'static str) {
        self.enter::<E>(name);
        self.cell.mark_aside(name);
    }

    /// Lets `E` take part, which does not validate text.
    #[cfg(feature = "ratchet-deflate")]
    pub(crate) fn enter_unvalidated<E: Echo + 'static>(&mut self, name: &'static str) {
        self.enter::<E>(name);
        self.cell.mark_incomparable(name);
    }
}

/// The other end: ours, as a client.
struct Peer {
    endpoint: Endpoint<Client<ours::Keys>>,
    messages: MessageBuffer<Vec<u8>>,
    deflater: Deflater,
}

impl Peer {
    fn new(settings: &Settings) -> Self {
        let negotiated = Negotiated::new().with_deflate(agreed(settings));
        let endpoint = Endpoint::new(ours::keyed_client(), &Config::default(), negotiated, Instant::ZERO);
        Self { endpoint, messages: MessageBuffer::new(Vec::new()), deflater: Deflater::new(*settings) }
    }

    /// What it sends for `texts`.
    fn sent(&mut self, texts: &[String]) -> Vec<u8> {
        let mut out = Vec::new();
        for text in texts {
            let sent = self.endpoint.write_deflated_to(Message::Text(text), &mut self.deflater, &mut out);
            assert_eq!(sent, Ok(()));
        }
        out
    }

    /// Whether it receives these texts from `wire`, and nothing else.
    fn check(&mut self, wire: &[u8], texts: &[String]) -> Result<(), String> {
        let mut rest = wire;
        while !rest.is_empty() {
            let Ok(Some((header, len))) = FrameHeader::decode(rest) else {
                return Err("a frame has no header".into());
            };
            if header.rsv != Rsv::RSV1 {
                return Err(format!("not compressed: {header:?}"));
            }
            let end = len + usize::try_from(header.payload_len).unwrap_or(usize::MAX);
            rest = rest.get(end..).ok_or("a frame is cut")?;
        }
        let mut wire = wire.to_vec();
        let mut input = &mut wire[..];
        let mut expected = texts.iter();
        loop {
            let found = self.messages.next_in(&mut self.endpoint, Instant::ZERO, &mut input);
            match found.map_err(|error| format!("{error:?}"))? {
                Some(Event::Data(Message::Text(text))) if expected.next().is_some_and(|sent| sent == text) => {}
                Some(other) => return Err(format!("not what was sent: {other:?}")),
                None if expected.next().is_some() => return Err("a message is missing".into()),
                None => return Ok(()),
            }
        }
    }
}

fn contend<E: Echo + 'static>(settings: &Settings) -> Result<(Run, Echoed), String> {
    let texts = messages(COUNT);
    let mut thread = E::Thread::default();
    // A connection that has come and gone first leaves behind what the thread keeps anyway.
    let mut held = 0;
    for _ in 0..2 {
        let transport = Transport::new(Peer::new(settings).sent(&texts[..SETTLED]), READ_LEN);
        let before = allocations::held();
        let mut contender = E::new(transport.clone());
        contender.echo(&mut thread, SETTLED);
        held = allocations::held().saturating_sub(before);
        drop(contender);
        Peer::new(settings).check(&transport.output(), &texts[..SETTLED])?;
    }

    let mut peer = Peer::new(settings);
    let transport = Transport::new(peer.sent(&texts), READ_LEN);
    let mut contender = E::new(transport.clone());
    let mut pass = move |transport: &Transport| {
        // It refers to nothing before its first byte, so that it may come again.
        transport.rewind();
        transport.clear_output();
        contender.echo(&mut thread, COUNT);
    };
    let mut sent = 0;
    for _ in 0..3 {
        pass(&transport);
        let output = transport.output();
        peer.check(&output, &texts)?;
        sent = output.len();
    }
    let bytes_per_kib = sent as f64 * 1024.0 / (COUNT * LEN) as f64;
    let run = move |passes| {
        for _ in 0..passes {
            pass(&transport);
        }
    };
    Ok((Box::new(run), Echoed { bytes_per_kib, held_bytes: held, object_bytes: size_of::<E>() as u64 }))
}

/// Settings as a type.
pub trait Profile {
    /// The settings.
    fn settings() -> Settings;
}

macro_rules! profiles {
    ($($name:ident $settings:expr;)*) => {$(
        #[doc = stringify!($settings)]
        pub struct $name;

        impl Profile for $name {
            fn settings() -> Settings {
                $settings
            }
        }
    )*};
}

profiles! {
    Common common();
    ShortBlocks short_blocks();
    Small Settings::small();
    Balanced Settings::balanced();
    BestRatio Settings::best_ratio();
}

fn endpoint<P: Profile>() -> Endpoint<Server> {
    let negotiated = Negotiated::new().with_deflate(agreed(&P::settings()));
    Endpoint::new(Server, &Config::default(), negotiated, Instant::ZERO)
}

/// The buffers that an event loop has for whichever connection has something to do.
pub struct Buffers {
    input: Vec<u8>,
    out: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { input: vec![0; 64 << 10], out: Vec::new() }
    }
}

fn answer(
    endpoint: &mut Endpoint<Server>,
    text: &str,
    deflater: &mut Deflater,
    out: &mut Vec<u8>,
    transport: &Transport,
) {
    out.clear();
    if endpoint.write_deflated_to(Message::Text(text), deflater, out).is_ok() {
        transport.send(out);
    }
}

/// As an event loop's thread: reads and writes by its buffers; each connection has its context.
pub struct Shared<P> {
    transport: Transport,
    endpoint: Endpoint<Server>,
    messages: MessageBuffer<Vec<u8>>,
    deflater: Deflater,
    profile: std::marker::PhantomData<P>,
}

impl<P: Profile> Echo for Shared<P> {
    type Thread = Buffers;

    fn new(transport: Transport) -> Self {
        Self {
            transport,
            endpoint: endpoint::<P>(),
            messages: MessageBuffer::new(Vec::new()).keeping(4 << 10),
            deflater: Deflater::new(P::settings()),
            profile: std::marker::PhantomData,
        }
    }

    fn echo(&mut self, thread: &mut Buffers, _: usize) {
        let Self { transport, endpoint, messages, deflater, .. } = self;
        exchange(transport, endpoint, messages, thread, |endpoint, text, out| {
            answer(endpoint, text, deflater, out, transport);
        });
    }
}

fn exchange(
    transport: &Transport,
    endpoint: &mut Endpoint<Server>,
    messages: &mut MessageBuffer<Vec<u8>>,
    thread: &mut Buffers,
    mut each: impl FnMut(&mut Endpoint<Server>, &str, &mut Vec<u8>),
) {
    loop {
        let len = transport.receive(messages.unfilled_or(endpoint, &mut thread.input));
        if len == 0 {
            return;
        }
        let mut input = messages.filled_or(len, &mut thread.input);
        while let Ok(Some(incoming)) = messages.next_in(endpoint, Instant::ZERO, &mut input) {
            if let Event::Data(Message::Text(text)) = incoming {
                each(endpoint, text, &mut thread.out);
            }
        }
    }
}

/// As a connection with storage of its own.
pub struct Own<P> {
    transport: Transport,
    endpoint: Endpoint<Server>,
    messages: MessageBuffer<Vec<u8>>,
    deflater: Deflater,
    out: Vec<u8>,
    profile: std::marker::PhantomData<P>,
}

impl<P: Profile> Echo for Own<P> {
    type Thread = ();

    fn new(transport: Transport) -> Self {
        Self {
            transport,
            endpoint: endpoint::<P>(),
            messages: MessageBuffer::new(Vec::new()),
            deflater: Deflater::new(P::settings()),
            out: Vec::new(),
            profile: std::marker::PhantomData,
        }
    }

    fn echo(&mut self, (): &mut (), _: usize) {
        loop {
            let len = self.transport.receive(self.messages.unfilled(&self.endpoint));
            if len == 0 {
                return;
            }
            self.messages.filled(len);
            while let Ok(Some(incoming)) = self.messages.next(&mut self.endpoint, Instant::ZERO) {
                if let Event::Data(Message::Text(text)) = incoming {
                    answer(&mut self.endpoint, text, &mut self.deflater, &mut self.out, &self.transport);
                }
            }
        }
    }
}

/// Without context takeover: compressor and inflater are the thread's too, lent while there is something to do.
pub struct Pooled {
    transport: Transport,
    endpoint: Endpoint<Server>,
    messages: MessageBuffer<Vec<u8>>,
}

/// What [`Pooled`] connections share.
pub struct Pool {
    buffers: Buffers,
    deflater: Deflater,
    inflater: Option<Box<Inflater>>,
}

impl Default for Pool {
    fn default() -> Self {
        let deflater = Deflater::new(Small::settings());
        Self { buffers: Buffers::default(), deflater, inflater: Some(Box::default()) }
    }
}

impl Echo for Pooled {
    type Thread = Pool;

    fn new(transport: Transport) -> Self {
        Self { transport, endpoint: endpoint::<Small>(), messages: MessageBuffer::new(Vec::new()) }
    }

    fn echo(&mut self, thread: &mut Pool, _: usize) {
        let Pool { buffers, deflater, inflater } = thread;
        if let Some(inflater) = inflater.take() {
            self.messages.set_inflater(inflater);
        }
        let Self { transport, endpoint, messages } = self;
        exchange(transport, endpoint, messages, buffers, |endpoint, text, out| {
            answer(endpoint, text, deflater, out, transport);
        });
        *inflater = messages.take_inflater();
    }
}
