//! Clients of the hub, for measurements: of the ticker by WebSocket, polling or long polling, see overhead; of a chat, a game and a
//! document, see slow.
//!
//! usage: load ws|poll|long|chat|game|doc ADDRESS CLIENTS SECONDS RATE PID
//!
//! Further clients say RATE lines a second in a chat, and move their cursors in a document or steer in a game as often. What a game
//! sends has no time: its times are those from one frame to the next.
//!
//! Prints, as JSON, the updates that came, the bytes on the wire for each (without those of TCP and IP), the times in
//! milliseconds from a change to its arrival, and the time of the processor that the process PID has spent for each.

use std::{
    error::Error,
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    sync::Mutex,
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};
use ws_std::{Config, Connector, Message, WebSocket, role::Client};
use yrs::{
    ClientID,
    sync::{AwarenessUpdate, Message as YMessage, awareness::AwarenessUpdateEntry},
    updates::{decoder::Decode, encoder::Encode},
};

type Failure = Box<dyn Error>;

/// The length of what they say, in characters.
const LINE: usize = 900;
/// The prices of the hub.
const SYMBOLS: usize = 2_000;
/// Between two requests of a client that polls.
const INTERVAL: Duration = Duration::from_secs(1);
/// Time in which all clients of a room connect.
const SETTLE: Duration = Duration::from_secs(2);
/// Length of the processor's clock tick: `getconf CLK_TCK` is 100 on Linux.
const TICK: Duration = Duration::from_millis(10);

#[derive(Default)]
struct Seen {
    bytes: u64,
    /// For each update, in milliseconds.
    delays: Vec<f64>,
}

struct Load {
    way: String,
    address: String,
    /// Updates in a second.
    rate: f64,
    until: Instant,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [way, address, clients, seconds, rate, pid] = &arguments[..] else {
        return Err("usage: load ws|poll|long|chat|game|doc ADDRESS CLIENTS SECONDS RATE PID".into());
    };
    let until = Instant::now() + Duration::from_secs_f64(seconds.parse()?);
    let load = Load { way: way.clone(), address: address.clone(), rate: rate.parse()?, until };
    let (before, all) = (processor_time(pid)?, Mutex::new(Seen::default()));
    let client: fn(&Load, &mut Seen) -> Result<(), Failure> = match &way[..] {
        "ws" => Load::watch,
        "poll" => |load, seen| load.poll(seen, Some(INTERVAL)),
        "long" => |load, seen| load.poll(seen, None),
        "chat" | "game" | "doc" => Load::join,
        _ => return Err("the way is ws, poll, long, chat, game or doc".into()),
    };
    thread::scope(|scope| {
        for _ in 0..load.talkers() {
            scope.spawn(|| load.talk().expect("the hub serves each client to the end"));
        }
        for _ in 0..clients.parse()? {
            scope.spawn(|| {
                let mut seen = Seen::default();
                client(&load, &mut seen).expect("the hub serves each client to the end");
                let mut all = all.lock().expect("no client panics");
                all.bytes += seen.bytes;
                all.delays.append(&mut seen.delays);
            });
        }
        Ok::<_, Failure>(())
    })?;
    let spent = processor_time(pid)? - before;
    let Seen { bytes, mut delays } = all.into_inner()?;
    delays.sort_by(f64::total_cmp);
    let at = |part: usize| delays.get(delays.len() * part / 100).copied();
    let each = |total: f64| total / delays.len() as f64;
    let report = json!({
        "updates": delays.len(), "bytes": each(bytes as f64), "p50": at(50), "p99": at(99),
        "microseconds": each(spent.as_secs_f64() * 1e6),
    });
    println!("{report}");
    Ok(())
}

impl Load {
    /// Returns the number of clients that say something. The hub takes at most 10 lines a second of each in a chat. Each that steers is a
    /// part of all that a game sends.
    fn talkers(&self) -> u32 {
        match &self.way[..] {
            "chat" | "doc" => 8,
            "game" => 20,
            _ => 0,
        }
    }

    fn connect(&self, path: &str) -> Result<WebSocket<Client>, Failure> {
        let mut config = Config::default();
        config.max_message_len = 1 << 20;
        Ok(Connector::new().config(config).connect(&format!("ws://{}/{path}", self.address))?)
    }

    /// Enters a room as somebody whom nobody knows.
    fn enter(&self, name: &str) -> Result<WebSocket<Client>, Failure> {
        let author = format!("{name}{}", fastrand::u64(..));
        self.connect(&format!("{}/slow?author={author}&name={name}", self.way))
    }

    /// Says the time, or steers, as often as all talkers together shall do so in a second.
    fn talk(&self) -> Result<(), Failure> {
        let client = ClientID::new(fastrand::u64(..1 << 53));
        let (mut reader, mut writer) = self.enter("talker")?.split();
        let hearing = thread::spawn(move || while let Ok(Some(_)) = reader.read() {});
        for number in 1.. {
            // Each watcher waits for one after the end.
            if Instant::now() > self.until + INTERVAL {
                break;
            }
            let text = format!("{} {:.>LINE$}", now(), "");
            match &self.way[..] {
                "chat" => writer.send(&*json!({ "n": number, "text": text }).to_string())?,
                "game" => writer.send(&*json!({ "x": fastrand::f32(), "y": fastrand::f32() }).to_string())?,
                _ => {
                    let entry =
                        AwarenessUpdateEntry { clock: number, json: json!({ "text": text }).to_string().into() };
                    let clients = [(client, entry)].into();
                    writer.send(&*YMessage::Awareness(AwarenessUpdate { clients }).encode_v1())?;
                }
            }
            thread::sleep(Duration::from_secs_f64(f64::from(self.talkers()) / self.rate));
        }
        writer.abort();
        hearing.join().expect("reading does not panic");
        Ok(())
    }

    /// Notes how old what is said is when it comes. What is said while all clients connect does not count.
    fn join(&self, seen: &mut Seen) -> Result<(), Failure> {
        let (begun, mut last) = (now() + SETTLE.as_secs_f64() * 1_000.0, None);
        let mut ws = self.enter("watcher")?;
        while Instant::now() < self.until {
            let message = ws.read()?.ok_or("the server has left")?.message;
            seen.bytes += message.as_bytes().len() as u64;
            match message {
                Message::Text(text) => {
                    let message: Value = serde_json::from_str(text)?;
                    if message["t"].is_u64() && now() >= begun {
                        seen.delays.extend(last.replace(now()).map(|last| now() - last));
                    }
                    seen.delays.extend(age(&message, begun));
                }
                Message::Binary(bytes) => {
                    if let YMessage::Awareness(update) = YMessage::decode_v1(bytes)? {
                        for entry in update.clients.values() {
                            seen.delays.extend(age(&serde_json::from_str(&entry.json)?, begun));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn watch(&self, seen: &mut Seen) -> Result<(), Failure> {
        let mut ws = self.connect("ticks")?;
        // The first messages have the prices that are there: no updates.
        let mut known = 0;
        while known < SYMBOLS {
            let message: Value =
                serde_json::from_slice(ws.read()?.ok_or("the server has left")?.message.as_bytes())?;
            known += message["prices"].as_array().ok_or("no prices")?.len();
        }
        while Instant::now() < self.until {
            if let Message::Text(text) = ws.read()?.ok_or("the server has left")?.message {
                // A server's frame has a header of 2 bytes, or of 4 before 126 to 65,535 bytes (RFC 6455 section 5.2).
                let header = if text.len() < 126 { 2 } else { 4 };
                seen.bytes += text.len() as u64 + header;
                self.note(seen, &serde_json::from_str(text)?)?;
            }
        }
        Ok(())
    }

    fn poll(&self, seen: &mut Seen, interval: Option<Duration>) -> Result<(), Failure> {
        let mut seq = 0;
        let mut due = Instant::now();
        while Instant::now() < self.until {
            let wait = if interval.is_some() { "" } else { "&wait=25" };
            let request = request(&self.address, &format!("/poll/ticks?seq={seq}{wait}"));
            let answer = exchange(&self.address, &request)?;
            let text = answer.split_once("\r\n\r\n").ok_or("the answer has no end")?.1;
            let message: Value = serde_json::from_str(text)?;
            if seq > 0 {
                seen.bytes += (request.len() + answer.len()) as u64;
                self.note(seen, &message)?;
            }
            seq = message["seq"].as_u64().ok_or("no number")?;
            if let Some(interval) = interval {
                due += interval;
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
        Ok(())
    }

    /// Notes the updates of a message: the newest is as old as it says, those before it are older in even steps.
    fn note(&self, seen: &mut Seen, message: &Value) -> Result<(), Failure> {
        let now = now();
        let at = message["at"].as_f64().ok_or("no time")?;
        let count = message["prices"].as_array().ok_or("no prices")?.len();
        seen.delays.extend((0..count).map(|index| now - at + index as f64 * 1_000.0 / self.rate));
        Ok(())
    }
}

/// Returns how old the time is that a talker has said, in milliseconds. `None`: there is none, or it is from before `begun`.
fn age(message: &Value, begun: f64) -> Option<f64> {
    let at = message["text"].as_str()?.split(' ').next()?.parse::<f64>().ok()?;
    (at >= begun).then(|| now() - at)
}

/// Returns the time in milliseconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1_000.0
}

/// Returns a request as a browser sends it; its fields are those of Chromium's `fetch` without cookies.
fn request(address: &str, target: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: keep-alive\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) \
         AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\nAccept: */*\r\nSec-Fetch-Site: same-origin\r\n\
         Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nReferer: http://{address}/\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
         Accept-Language: en-US,en;q=0.9\r\n\r\n"
    )
}

fn exchange(address: &str, request: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Returns the time of the processor that a process has spent.
fn processor_time(pid: &str) -> Result<Duration, Failure> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program may have blanks.
    let fields: Vec<_> = stat.rsplit_once(')').ok_or("no name")?.1.split_whitespace().collect();
    Ok(TICK * (fields[11].parse::<u32>()? + fields[12].parse::<u32>()?))
}
