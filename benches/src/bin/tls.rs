//! CPU time per byte through TLS over loopback: `tls [--rounds N] [--cell TEXT] [--only NAME] [--messages N]`.
//!
//! One side sends messages and the other one receives them, each on a thread of its own; the time is that of both threads.
//! The raw contenders are rustls and tokio-rustls as their documentation shows them: a message is written by `write_all`, and
//! read by `read_exact` to a buffer of its length. The framed rows add the work that RFC 6455 section 5 wants: a header, which
//! makes two records of a message of 16 KiB, and from a client the mask, applied to 16 KiB at a time. Contenders take turns round
//! by round; all connections are open from the start, and all contenders use the same two threads. With --messages a round has
//! that many messages, for counting instructions.

use std::{
    error::Error,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    ops::DerefMut,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, ServerConfig, ServerConnection, SideData, StreamOwned,
    pki_types::ServerName,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Runtime,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use ws_benches::{measure::thread_time, results::entry};
use ws_proto::{
    mask::{Mask, MaskingKey},
    role::Side as PeerSide,
};
use ws_std::{ClientTls, ServerTls, role::Role};

/// The lengths of messages, with the most that ours may cost, as a multiple of the raw contender.
const SIZES: [(usize, f64); 2] = [(16 << 10, 1.2), (1 << 20, 1.1)];
/// The bytes of a round.
const ROUND: usize = 4 << 20;
/// The size of each buffer of a socket.
const SOCKET_BUFFER: usize = 128 << 10;
/// The length of the pieces in which framed payloads are masked and written.
const PIECE: usize = 16 << 10;
/// As long as the header of a client's message of 16 KiB.
const HEADER: [u8; 8] = [0x82; 8];
const MASK: Mask = Mask::new(MaskingKey::new([0x37, 0xFA, 0x21, 0x3D]));
const URL: &str = "wss://localhost/";

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// One side of a connection.
trait Side: Send {
    fn send(&mut self, payload: &[u8]);
    fn receive(&mut self, len: usize);
}

struct Contender {
    name: &'static str,
    /// The name of the one that it is compared with.
    base: &'static str,
    client: Box<dyn Side>,
    server: Box<dyn Side>,
}

/// rustls over a blocking socket.
struct Raw<C> {
    stream: StreamOwned<C, TcpStream>,
    payloads: Payloads,
}

/// tokio-rustls on a runtime of one thread.
struct RawTokio {
    runtime: Runtime,
    stream: TlsStream<tokio::net::TcpStream>,
    payloads: Payloads,
}

/// How payloads go through a stream, and a buffer for what is received or sent.
struct Payloads {
    buffer: Vec<u8>,
    /// The side whose frames these are. `None`: without frames.
    framed: Option<PeerSide>,
}

impl Payloads {
    const fn new(framed: Option<PeerSide>) -> Self {
        Self { buffer: Vec::new(), framed }
    }

    /// Sends a payload by `write`, which writes all of its argument.
    fn send(&mut self, payload: &[u8], mut write: impl FnMut(&[u8])) {
        let Some(side) = self.framed else { return write(payload) };
        let mut mask = MASK;
        self.buffer.clear();
        self.buffer.extend_from_slice(&HEADER);
        for piece in payload.chunks(PIECE) {
            let start = self.buffer.len();
            self.buffer.extend_from_slice(piece);
            if side == PeerSide::Client {
                mask.apply(&mut self.buffer[start..]);
            }
            write(&self.buffer);
            self.buffer.clear();
        }
    }

    /// Receives a payload by `read`, which fills all of its argument.
    fn receive(&mut self, len: usize, mut read: impl FnMut(&mut [u8])) {
        self.buffer.resize(len, 0);
        let Some(side) = self.framed else { return read(&mut self.buffer) };
        let mut mask = MASK;
        read(&mut HEADER.clone());
        for piece in self.buffer.chunks_mut(PIECE) {
            read(piece);
            if side == PeerSide::Server {
                mask.apply(piece);
            }
        }
    }
}

impl<C, S> Side for Raw<C>
where
    C: DerefMut<Target = ConnectionCommon<S>> + Send,
    S: SideData,
{
    fn send(&mut self, payload: &[u8]) {
        self.payloads.send(payload, |bytes| self.stream.write_all(bytes).unwrap());
    }

    fn receive(&mut self, len: usize) {
        self.payloads.receive(len, |bytes| self.stream.read_exact(bytes).unwrap());
    }
}

impl Side for RawTokio {
    fn send(&mut self, payload: &[u8]) {
        let Self { runtime, stream, payloads } = self;
        payloads.send(payload, |bytes| {
            runtime.block_on(async {
                stream.write_all(bytes).await.unwrap();
                stream.flush().await.unwrap();
            });
        });
    }

    fn receive(&mut self, len: usize) {
        let Self { runtime, stream, payloads } = self;
        payloads.receive(len, |bytes| _ = runtime.block_on(stream.read_exact(bytes)).unwrap());
    }
}

impl<R: Role + Send> Side for ws_std::WebSocket<R> {
    fn send(&mut self, payload: &[u8]) {
        self.send(payload).unwrap();
    }

    fn receive(&mut self, len: usize) {
        assert_eq!(self.read().unwrap().unwrap().message.as_bytes().len(), len);
    }
}

impl<R: Role + Send> Side for (Runtime, ws_tokio::WebSocket<R, ws_tokio::NetStream>) {
    fn send(&mut self, payload: &[u8]) {
        self.0.block_on(self.1.send(payload)).unwrap();
    }

    fn receive(&mut self, len: usize) {
        let received = self.0.block_on(self.1.read()).unwrap().unwrap();
        assert_eq!(received.message.as_bytes().len(), len);
    }
}

/// The settings of both sides.
struct Settings {
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
}

impl Settings {
    fn new() -> Result<Self> {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let certificate = certified.cert.pem();
        let server = ServerTls::new(&certificate, certified.signing_key.serialize_pem())?;
        let client = ClientTls::builder().add_roots(&certificate)?.only_added_roots().build()?;
        Ok(Self { client: client.config()?, server: server.config() })
    }

    fn name() -> ServerName<'static> {
        ServerName::try_from("localhost").unwrap()
    }
}

/// Makes both sides of a connection, each on a thread, since they shake hands.
fn both<C: Send, S: Send>(
    connect: impl FnOnce(TcpStream) -> Result<C> + Send,
    accept: impl FnOnce(TcpStream) -> Result<S>,
) -> Result<(C, S)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (client, server) = (TcpStream::connect(listener.local_addr()?)?, listener.accept()?.0);
    for socket in [&client, &server] {
        socket.set_nodelay(true)?;
        // Otherwise the system lets each buffer grow as it finds, until its bytes do not fit the processor's cache.
        socket2::SockRef::from(socket).set_send_buffer_size(SOCKET_BUFFER)?;
        socket2::SockRef::from(socket).set_recv_buffer_size(SOCKET_BUFFER)?;
    }
    thread::scope(|scope| {
        let connecting = scope.spawn(|| connect(client));
        let server = accept(server)?;
        Ok((connecting.join().unwrap()?, server))
    })
}

fn runtime() -> Result<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Registers the socket with the runtime, inside of which this is called.
fn registered(socket: TcpStream) -> Result<tokio::net::TcpStream> {
    socket.set_nonblocking(true)?;
    Ok(tokio::net::TcpStream::from_std(socket)?)
}

fn raw(settings: &Settings, is_framed: bool) -> Result<(Box<dyn Side>, Box<dyn Side>)> {
    fn shaken<C, S>(connection: C, mut socket: TcpStream, framed: Option<PeerSide>) -> Result<Raw<C>>
    where
        C: DerefMut<Target = ConnectionCommon<S>>,
        S: SideData,
    {
        let mut connection = connection;
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(Raw { stream: StreamOwned::new(connection, socket), payloads: Payloads::new(framed) })
    }
    let (client, server) = both(
        |socket| {
            shaken(
                ClientConnection::new(Arc::clone(&settings.client), Settings::name())?,
                socket,
                is_framed.then_some(PeerSide::Client),
            )
        },
        |socket| {
            shaken(
                ServerConnection::new(Arc::clone(&settings.server))?,
                socket,
                is_framed.then_some(PeerSide::Server),
            )
        },
    )?;
    Ok((Box::new(client), Box::new(server)))
}

fn raw_tokio(settings: &Settings, is_framed: bool) -> Result<(Box<dyn Side>, Box<dyn Side>)> {
    let connector = TlsConnector::from(Arc::clone(&settings.client));
    let acceptor = TlsAcceptor::from(Arc::clone(&settings.server));
    let (client, server) = both(
        |socket| {
            let runtime = runtime()?;
            let stream = runtime
                .block_on(async { Result::Ok(connector.connect(Settings::name(), registered(socket)?).await?) })?;
            let payloads = Payloads::new(is_framed.then_some(PeerSide::Client));
            Ok(RawTokio { runtime, stream: stream.into(), payloads })
        },
        |socket| {
            let runtime = runtime()?;
            let stream = runtime.block_on(async { Result::Ok(acceptor.accept(registered(socket)?).await?) })?;
            let payloads = Payloads::new(is_framed.then_some(PeerSide::Server));
            Ok(RawTokio { runtime, stream: stream.into(), payloads })
        },
    )?;
    Ok((Box::new(client), Box::new(server)))
}

fn ours(settings: &Settings) -> Result<(Box<dyn Side>, Box<dyn Side>)> {
    use ws_std::{Acceptor, Connector, NetStream, TlsStream};
    let (client_tls, server_tls) = (Arc::clone(&settings.client).into(), Arc::clone(&settings.server).into());
    let (client, server) = both(
        |socket| {
            let stream = TlsStream::connect(NetStream::try_from(socket)?, &client_tls, Settings::name(), None)?;
            Ok(Connector::new().connect_over(URL, NetStream::from(stream), |_| ())?)
        },
        |socket| {
            let stream = TlsStream::accept(NetStream::try_from(socket)?, &server_tls, None)?;
            Ok(Acceptor::new().receive(NetStream::from(stream))?.accept()?)
        },
    )?;
    Ok((Box::new(client), Box::new(server)))
}

fn ours_on_tokio(settings: &Settings) -> Result<(Box<dyn Side>, Box<dyn Side>)> {
    use ws_tokio::{Acceptor, Connector, NetStream};
    let (client_tls, server_tls) = (Arc::clone(&settings.client).into(), Arc::clone(&settings.server).into());
    let (client, server) = both(
        |socket| {
            let runtime = runtime()?;
            let ws = runtime.block_on(async {
                let stream = NetStream::connect_tls(registered(socket)?, &client_tls, Settings::name()).await?;
                Result::Ok(Connector::new().connect_over(URL, stream, |_| ()).await?)
            })?;
            Ok((runtime, ws))
        },
        |socket| {
            let runtime = runtime()?;
            let ws = runtime.block_on(async {
                let stream = NetStream::accept_tls(registered(socket)?, &server_tls).await?;
                Result::Ok(Acceptor::new().receive(stream).await?.accept().await?)
            })?;
            Ok((runtime, ws))
        },
    )?;
    Ok((Box::new(client), Box::new(server)))
}

fn contenders(settings: &Settings) -> Result<Vec<Contender>> {
    let contender = |name, base, (client, server)| Contender { name, base, client, server };
    Ok(vec![
        contender("rustls", "rustls", raw(settings, false)?),
        contender("rustls, framed", "rustls", raw(settings, true)?),
        contender("ws-std", "rustls", ours(settings)?),
        contender("tokio-rustls", "tokio-rustls", raw_tokio(settings, false)?),
        contender("tokio-rustls, framed", "tokio-rustls", raw_tokio(settings, true)?),
        contender("ws-tokio", "tokio-rustls", ours_on_tokio(settings)?),
    ])
}

/// Returns the time of this thread that `work` takes, done `times` times.
fn timed(times: usize, mut work: impl FnMut()) -> Duration {
    let before = thread_time();
    (0..times).for_each(|_| work());
    thread_time() - before
}

/// Has the contenders send `messages` by turns in each round. One thread sends for all of them, another one receives. Returns, for
/// each contender, the nanoseconds of both threads for each KiB.
fn samples(
    senders: &mut [&mut dyn Side],
    receivers: Vec<&mut dyn Side>,
    payload: &[u8],
    (rounds, messages): (usize, usize),
) -> Vec<Vec<f64>> {
    let mut samples = vec![Vec::new(); senders.len()];
    let (start, turns) = mpsc::channel::<usize>();
    let (report, received) = mpsc::channel();
    thread::scope(|scope| {
        let mut receivers = receivers;
        scope.spawn(move || {
            for at in turns {
                report.send(timed(messages, || receivers[at].receive(payload.len()))).unwrap();
            }
        });
        for round in 0..rounds {
            for turn in 0..senders.len() {
                // Each is the first one of a round in turn.
                let at = (round + turn) % senders.len();
                start.send(at).unwrap();
                let time = timed(messages, || senders[at].send(payload)) + received.recv().unwrap();
                samples[at].push(time.as_secs_f64() * 1e9 / (messages * payload.len()) as f64 * 1024.0);
            }
        }
        drop(start);
    });
    samples
}

struct Arguments {
    rounds: usize,
    cell: String,
    only: String,
    messages: Option<usize>,
}

fn arguments() -> Result<Arguments> {
    let mut found = Arguments { rounds: 199, cell: String::new(), only: String::new(), messages: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let value = arguments.next().ok_or("an option without a value")?;
        match argument.as_str() {
            "--rounds" => found.rounds = value.parse()?,
            "--cell" => found.cell = value,
            "--only" => found.only = value,
            "--messages" => found.messages = Some(value.parse()?),
            _ => return Err(format!("no option {argument}").into()),
        }
    }
    Ok(found)
}

/// Measures a cell and prints its rows.
fn measure(name: &str, (len, most): (usize, f64), arguments: &Arguments, contenders: &mut [Contender]) {
    let from_client = name.starts_with("client");
    let payload: Vec<u8> = (0..len).map(|at| u8::try_from(at * 31 % 251).unwrap_or(0)).collect();
    let mut entrants = Vec::new();
    let (mut senders, mut receivers): (Vec<&mut dyn Side>, Vec<&mut dyn Side>) = (Vec::new(), Vec::new());
    for contender in &mut *contenders {
        let (client, server) = (&mut *contender.client, &mut *contender.server);
        let (from, to) = if from_client { (client, server) } else { (server, client) };
        senders.push(from);
        receivers.push(to);
        entrants.push((contender.name, contender.base));
    }
    let count = (arguments.rounds, arguments.messages.unwrap_or(ROUND / len));
    let samples = samples(&mut senders, receivers, &payload, count);
    let medians: Vec<_> = entrants
        .into_iter()
        .zip(samples)
        .map(|((contender, base), samples)| (contender, base, entry(contender, true, samples).median))
        .collect();
    for (contender, base, time) in &medians {
        let ratio = medians.iter().find(|(name, ..)| name == base).map_or(f64::NAN, |(.., base)| time / base);
        println!("| {name} | {contender} | {time:.0} ns | {ratio:.2} | {most} |");
    }
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    let mut contenders = contenders(&Settings::new()?)?;
    contenders.retain(|contender| arguments.only.is_empty() || contender.name == arguments.only);
    println!("| cell | contender | CPU time per KiB | raw = 1 | at most |\n|---|---|--:|--:|--:|");
    for direction in ["server to client", "client to server"] {
        for size in SIZES {
            let name = format!("{direction}, {} KiB", size.0 >> 10);
            if name.contains(&arguments.cell) {
                measure(&name, size, &arguments, &mut contenders);
            }
        }
    }
    Ok(())
}
