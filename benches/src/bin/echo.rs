//! Server CPU time per echoed message over loopback: `echo [--rounds N] [--cell TEXT] [--out FILE.json] NAME=COMMAND…`; or
//! per delivered message, if each server is a room of N members in which one speaks: `echo --members N …`. For rooms it also
//! prints the time from the message to the last delivery that the load has to wait for.
//!
//! Each command is a server that prints `listening on ws://ADDRESS/`, or `raw://ADDRESS/` if it echoes bytes without a
//! handshake. All servers run at once; in each cell, or only in those whose names contain TEXT, they are measured round
//! by round. Linux only: the time is that of all threads of the server in `/proc`.

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::TcpStream,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use ws_benches::{
    Content, client_frames,
    contender::REQUEST,
    results::{self, Cell, Results},
};

const CONNECTIONS: [usize; 3] = [1, 64, 1000];
const DEPTHS: [usize; 3] = [1, 16, 128];
const SIZES: [usize; 4] = [16, 1 << 10, 16 << 10, 256 << 10];
/// Cells in the shape of the public HttpArena league, whose messages are text.
const LEAGUE: [(usize, usize, usize); 2] = [(512, 16, TEXT_LEN), (4_096, 16, TEXT_LEN)];
const TEXT_LEN: usize = 5;
/// What may be under way on a connection: all of it is sent before anything is read.
const LARGEST_BATCH: usize = 128 << 10;
/// Lengths of what is said to all members of a room.
const SAID: [usize; 2] = [125, 1 << 10];
/// A sample is at least so long.
const SAMPLE: Duration = Duration::from_millis(200);

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Server {
    name: String,
    child: Child,
    address: String,
    raw: bool,
}

impl Server {
    fn start(name: &str, command: &str) -> Result<Self> {
        let mut child =
            Command::new("sh").arg("-c").arg(format!("exec {command}")).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let url =
            line.trim_end().strip_prefix("listening on ").ok_or_else(|| format!("{name} printed {line:?}"))?;
        let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
        let address = rest.trim_end_matches('/').to_string();
        Ok(Self { name: name.into(), child, address, raw: scheme == "raw" })
    }

    /// Time on a processor of all threads that live.
    fn cpu_time(&self) -> Result<Duration> {
        let mut time = Duration::ZERO;
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let stat = fs::read_to_string(task?.path().join("schedstat"))?;
            let nanoseconds = stat.split(' ').next().unwrap_or_default().parse()?;
            time += Duration::from_nanos(nanoseconds);
        }
        Ok(time)
    }

    fn connect(&self) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        if self.raw {
            return Ok(stream);
        }
        stream.write_all(REQUEST)?;
        let mut response = Vec::new();
        let mut byte = [0];
        while !response.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte)?;
            response.push(byte[0]);
        }
        Ok(stream)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The connections to one server in one cell.
struct Load<'s> {
    server: &'s Server,
    streams: Vec<TcpStream>,
    /// The number of connections that send; all get answers.
    senders: usize,
    batch: Vec<u8>,
    answer: Vec<u8>,
    depth: usize,
}

/// The load of a cell.
#[derive(Clone, Copy)]
struct Shape {
    connections: usize,
    senders: usize,
    depth: usize,
    len: usize,
}

impl<'s> Load<'s> {
    fn new(server: &'s Server, Shape { connections, senders, depth, len }: Shape) -> Result<Self> {
        let content = if len == TEXT_LEN { Content::Ascii } else { Content::Binary };
        let batch = client_frames(content, len, depth);
        // A server's frames are without the 4 bytes of key.
        let answer = vec![0; if server.raw { batch.len() } else { batch.len() - 4 * depth }];
        let streams = (0..connections).map(|_| server.connect()).collect::<Result<_>>()?;
        let mut load = Self { server, streams, senders, batch, answer, depth };
        load.round()?;
        let payload = content.payload(len);
        let right = if server.raw { load.answer == load.batch } else { load.answer.ends_with(&payload) };
        if right { Ok(load) } else { Err("the echo is wrong".into()) }
    }

    /// Sends to the server and reads all that it sends. Returns the time to the last read that had to wait.
    fn round(&mut self) -> Result<Duration> {
        let start = Instant::now();
        for stream in &mut self.streams[..self.senders] {
            stream.write_all(&self.batch)?;
        }
        if self.senders == self.streams.len() {
            for stream in &mut self.streams {
                stream.read_exact(&mut self.answer)?;
            }
            return Ok(start.elapsed());
        }
        let mut last = start;
        // From the last member on: most rooms begin with the first, and a load that waits for each would have to be woken
        // for each, which the server pays for.
        for stream in self.streams.iter_mut().rev() {
            if read_late(stream, &mut self.answer)? {
                last = Instant::now();
            }
        }
        Ok(last - start)
    }

    /// Returns nanoseconds of the server's per message, and adds the time that each round takes to `times`.
    fn sample(&mut self, times: &mut Vec<f64>) -> Result<f64> {
        let before = self.server.cpu_time()?;
        let (start, begun) = (Instant::now(), times.len());
        while start.elapsed() < SAMPLE {
            times.push(self.round()?.as_secs_f64() * 1e9);
        }
        let messages = ((times.len() - begun) * self.streams.len() * self.depth) as f64;
        Ok((self.server.cpu_time()? - before).as_secs_f64() * 1e9 / messages)
    }
}

/// Fills `answer`; returns whether it had to wait for that.
fn read_late(stream: &mut TcpStream, answer: &mut [u8]) -> Result<bool> {
    stream.set_nonblocking(true)?;
    let len = match stream.read(answer) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
        result => result?,
    };
    stream.set_nonblocking(false)?;
    stream.read_exact(&mut answer[len..])?;
    Ok(len < answer.len())
}

/// Returns the load of each cell in which servers echo.
fn echoes() -> impl Iterator<Item = Shape> {
    let all = CONNECTIONS.into_iter().flat_map(|connections| DEPTHS.map(|depth| (connections, depth)));
    let all = all.flat_map(|(connections, depth)| SIZES.map(|len| (connections, depth, len)));
    all.filter(|(_, depth, len)| *depth == 1 || depth * len <= LARGEST_BATCH)
        .chain(LEAGUE)
        .map(|(connections, depth, len)| Shape { connections, senders: connections, depth, len })
}

/// Returns the load of each cell in which one member of a room speaks to all.
fn speeches(members: usize) -> impl Iterator<Item = Shape> {
    SAID.into_iter().map(move |len| Shape { connections: members, senders: 1, depth: 1, len })
}

impl Shape {
    const fn is_room(self) -> bool {
        self.senders < self.connections
    }

    fn column(self) -> String {
        let Self { connections, depth, len, .. } = self;
        if self.is_room() {
            return format!("to {connections} members, {len} B");
        }
        format!("{connections} connections, depth {depth}, {len} B")
    }
}

/// Returns a cell of the server's time for `shape`, and for rooms two of the time to the last member.
fn measure(servers: &[Server], shape: Shape, rounds: usize) -> Vec<Cell> {
    let cell = |column| Cell { group: "echo".into(), column, entries: Vec::new(), left_out: Vec::new() };
    let mut cells = vec![cell(shape.column())];
    if shape.is_room() {
        cells.extend(["median", "p99"].map(|of| cell(format!("to the last, {of}"))));
    }
    let mut loads = Vec::new();
    for server in servers {
        match Load::new(server, shape) {
            Ok(load) => loads.push((load, Vec::new(), Vec::new())),
            Err(error) => cells[0].left_out.push((server.name.clone(), error.to_string())),
        }
    }
    for _ in 0..rounds {
        for (load, samples, times) in &mut loads {
            samples.extend(load.sample(times));
        }
    }
    for (load, samples, mut times) in loads.into_iter().filter(|(_, samples, _)| !samples.is_empty()) {
        times.sort_by(f64::total_cmp);
        let last = [times[(times.len() - 1) / 2], times[(times.len() - 1) * 99 / 100]].map(|time| vec![time]);
        for (cell, samples) in cells.iter_mut().zip([samples].into_iter().chain(last)) {
            cell.entries.push(results::entry(&load.server.name, true, samples));
        }
    }
    cells
}

fn run() -> Result<()> {
    let (mut rounds, mut cells, mut out, mut servers) = (3, String::new(), None, Vec::new());
    let mut shapes: Vec<_> = echoes().collect();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), argument.split_once('=')) {
            ("--rounds", _) => rounds = arguments.next().ok_or("--rounds needs a number")?.parse()?,
            ("--cell", _) => cells = arguments.next().ok_or("--cell needs part of a name")?,
            ("--members", _) => {
                shapes = speeches(arguments.next().ok_or("--members needs a number")?.parse()?).collect();
            }
            ("--out", _) => out = arguments.next(),
            (_, Some((name, command))) => servers.push(Server::start(name, command)?),
            _ => return Err(format!("'{argument}' is not NAME=COMMAND").into()),
        }
    }
    let mut results = Results { environment: "loopback".into(), rounds, cells: Vec::new() };
    for shape in shapes.into_iter().filter(|shape| shape.column().contains(&cells)) {
        results.cells.extend(measure(&servers, shape, rounds));
        eprintln!("{}", shape.column());
        if let Some(out) = &out {
            fs::write(out, serde_json::to_string_pretty(&results)?)?;
        }
    }
    println!("{}\n{}", results.table("echo"), results.left_out("echo"));
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echo: {error}");
            ExitCode::FAILURE
        }
    }
}
