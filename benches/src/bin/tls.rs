//! CPU time per byte through TLS over loopback: `tls [--rounds N] [--cell TEXT] [--only NAME] [--messages N]`.
//!
//! One side sends messages and the other one receives them, each on a thread of its own; the time is that of both threads.
//! The raw contenders are rustls and tokio-rustls as their documentation shows them: a message is written by `write_all`, and
//! read by `read_exact` to a buffer of its length. The framed rows add the work that RFC 6455 section 5 wants: a header, which
//! makes two records of a message of 16 KiB, and from a client the mask, applied to 16 KiB at a time. Contenders take turns round
//! by round. Each has a process of its own with one connection, so that none finds the heap as another has left it, and a new one
//! after some rounds; the first round of a process is not counted.
//! With --messages a round has that many messages, for counting instructions. `tls round NAME CELL LEN MESSAGES` is such a
//! process: it does a round for each line of its input, and prints the time.

use std::{
    error::Error,
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    ops::DerefMut,
    process::{Child, ChildStdout, Command, Stdio},
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
/// The rounds of a process. Where its memory lies decides how long all its rounds take, so a contender has several.
const PROCESS_ROUNDS: usize = 5;
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

/// Both sides of a connection, the client's first.
type Sides = (Box<dyn Side>, Box<dyn Side>);

struct Contender {
    name: &'static str,
    /// The name of the one that it is compared with.
    base: &'static str,
    connect: fn(&Settings) -> Result<Sides>,
}

const CONTENDERS: [Contender; 6] = [
    Contender { name: "rustls", base: "rustls", connect: |settings| raw(settings, false) },
    Contender { name: "rustls, framed", base: "rustls", connect: |settings| raw(settings, true) },
    Contender { name: "ws-std", base: "rustls", connect: ours },
    Contender { name: "tokio-rustls", base: "tokio-rustls", connect: |settings| raw_tokio(settings, false) },
    Contender {
        name: "tokio-rustls, framed",
        base: "tokio-rustls",
        connect: |settings| raw_tokio(settings, true),
    },
    Contender { name: "ws-tokio", base: "tokio-rustls", connect: ours_on_tokio },
];

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

fn raw(settings: &Settings, is_framed: bool) -> Result<Sides> {
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

fn raw_tokio(settings: &Settings, is_framed: bool) -> Result<Sides> {
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

fn ours(settings: &Settings) -> Result<Sides> {
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

fn ours_on_tokio(settings: &Settings) -> Result<Sides> {
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

/// Returns the time of this thread that `work` takes, done `times` times.
fn timed(times: usize, mut work: impl FnMut()) -> Duration {
    let before = thread_time();
    (0..times).for_each(|_| work());
    thread_time() - before
}

/// Does a round for each line of the input: one thread sends `messages` of `len` bytes, another one receives them. Prints the
/// nanoseconds of both for each KiB.
fn do_rounds(name: &str, cell: &str, len: usize, messages: usize) -> Result<()> {
    let contender = CONTENDERS.iter().find(|contender| contender.name == name).ok_or("no such contender")?;
    let (client, server) = (contender.connect)(&Settings::new()?)?;
    let (mut sender, mut receiver) = if cell.starts_with("client") { (client, server) } else { (server, client) };
    let payload: Vec<u8> = (0..len).map(|at| u8::try_from(at * 31 % 251).unwrap_or(0)).collect();
    let (start, turns) = mpsc::channel::<()>();
    let (report, received) = mpsc::channel();
    let receiving = thread::spawn(move || {
        for () in turns {
            report.send(timed(messages, || receiver.receive(len))).unwrap();
        }
    });
    for line in io::stdin().lines() {
        line?;
        start.send(())?;
        let time = timed(messages, || sender.send(&payload)) + received.recv()?;
        println!("{}", time.as_secs_f64() * 1e9 / (messages * len) as f64 * 1024.0);
    }
    drop(start);
    receiving.join().map_err(|_| "the receiver has panicked".into())
}

/// A process of a contender in a cell.
struct Entrant {
    child: Child,
    answers: io::Lines<BufReader<ChildStdout>>,
}

impl Entrant {
    fn new(contender: &Contender, cell: &str, len: usize, messages: usize) -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["round", contender.name, cell, &len.to_string(), &messages.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let answers = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let mut entrant = Self { child, answers };
        entrant.do_round()?;
        Ok(entrant)
    }

    /// Returns the time of a round.
    fn do_round(&mut self) -> Result<f64> {
        self.child.stdin.as_mut().ok_or("no input")?.write_all(b"\n")?;
        Ok(self.answers.next().ok_or("the process has ended")??.parse()?)
    }

    fn finish(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        self.child.wait()?;
        Ok(())
    }
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
fn measure(cell: &str, (len, most): (usize, f64), arguments: &Arguments) -> Result<()> {
    let messages = arguments.messages.unwrap_or(ROUND / len);
    let is_wanted = |contender: &&Contender| arguments.only.is_empty() || contender.name == arguments.only;
    let contenders: Vec<_> = CONTENDERS.iter().filter(is_wanted).collect();
    let mut samples = vec![Vec::new(); contenders.len()];
    for begun in (0..arguments.rounds).step_by(PROCESS_ROUNDS) {
        let entrants = contenders.iter().map(|contender| Entrant::new(contender, cell, len, messages));
        let mut entrants = entrants.collect::<Result<Vec<_>>>()?;
        for round in begun..arguments.rounds.min(begun + PROCESS_ROUNDS) {
            // Each is the first one of a round in turn.
            for turn in 0..entrants.len() {
                let index = (round + turn) % entrants.len();
                samples[index].push(entrants[index].do_round()?);
            }
        }
        entrants.into_iter().try_for_each(Entrant::finish)?;
    }
    let median = |(contender, samples): (_, Vec<f64>)| (contender, entry("", true, samples).median);
    let medians: Vec<(&Contender, f64)> = contenders.into_iter().zip(samples).map(median).collect();
    for (contender, time) in &medians {
        let base = medians.iter().find(|(other, _)| other.name == contender.base);
        let ratio = base.map_or(f64::NAN, |(_, base)| time / base);
        println!("| {cell} | {} | {time:.0} ns | {ratio:.2} | {most} |", contender.name);
    }
    Ok(())
}

fn main() -> Result<()> {
    let command_line: Vec<String> = std::env::args().collect();
    match &command_line[..] {
        [_, round, name, cell, len, messages] if round == "round" => {
            return do_rounds(name, cell, len.parse()?, messages.parse()?);
        }
        _ => {}
    }
    let arguments = arguments()?;
    println!("| cell | contender | CPU time per KiB | raw = 1 | at most |\n|---|---|--:|--:|--:|");
    for direction in ["server to client", "client to server"] {
        for size in SIZES {
            let cell = format!("{direction}, {} KiB", size.0 >> 10);
            if cell.contains(&arguments.cell) {
                measure(&cell, size, &arguments)?;
            }
        }
    }
    Ok(())
}
