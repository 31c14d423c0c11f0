//! CPU time of a server that queues many messages and flushes once at their end, over loopback: `stream [--rounds N]`.
//!
//! The client reads 64 KiB at a time and looks at nothing. The time is that of the thread that sends, which does most of the
//! kernel's work for both. Contenders take turns round by round, each time with a new connection.

use std::{
    error::Error,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Duration,
};

use ws_benches::{contender::SHORT_REQUEST, measure::thread_time, results::entry};

/// Lengths of messages, in bytes.
const SIZES: [usize; 7] = [125, 1 << 10, 4 << 10, 15 << 10, 66_000, 128 << 10, 1 << 20];
/// Bytes of a round.
const ROUND: usize = 64 << 20;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Accepts a connection, sends a message so many times, and returns how long that has taken.
type Sender = fn(TcpStream, &[u8], usize) -> Result<Duration>;

const CONTENDERS: [(&str, Sender); 4] = [
    ("ws-std", |stream, payload, count| {
        let mut ws = ws_std::accept(stream)?;
        let begun = thread_time();
        (0..count).try_for_each(|_| ws.queue(payload))?;
        ws.flush()?;
        Ok(thread_time() - begun)
    }),
    ("tungstenite", |stream, payload, count| {
        let mut ws = tungstenite::accept(stream)?;
        let message = tungstenite::Message::binary(payload.to_vec());
        let begun = thread_time();
        (0..count).try_for_each(|_| ws.write(message.clone()))?;
        ws.flush()?;
        Ok(thread_time() - begun)
    }),
    ("ws-tokio", |stream, payload, count| {
        on_tokio(stream, async |stream| {
            let mut ws = ws_tokio::accept(stream).await?;
            let begun = thread_time();
            for _ in 0..count {
                ws.queue(payload).await?;
            }
            ws.flush().await?;
            Ok(thread_time() - begun)
        })
    }),
    ("tokio-tungstenite", |stream, payload, count| {
        use futures::SinkExt;
        on_tokio(stream, async |stream| {
            let mut ws = tokio_tungstenite::accept_async(stream).await?;
            let message = tungstenite::Message::binary(payload.to_vec());
            let begun = thread_time();
            for _ in 0..count {
                ws.feed(message.clone()).await?;
            }
            ws.flush().await?;
            Ok(thread_time() - begun)
        })
    }),
];

/// Runs `send` on a runtime of one thread.
fn on_tokio(
    stream: TcpStream,
    send: impl AsyncFnOnce(tokio::net::TcpStream) -> Result<Duration>,
) -> Result<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        stream.set_nonblocking(true)?;
        send(tokio::net::TcpStream::from_std(stream)?).await
    })
}

/// Times a round, in ns for each message.
fn round(send: Sender, len: usize) -> Result<f64> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    client.write_all(SHORT_REQUEST)?;
    let (server, _) = listener.accept()?;
    server.set_nodelay(true)?;
    let count = ROUND / len;
    thread::scope(|scope| {
        let sending = scope.spawn(move || send(server, &vec![7; len], count));
        let mut buffer = vec![0; 64 << 10];
        while client.read(&mut buffer).is_ok_and(|read| read > 0) {}
        let taken = sending.join().map_err(|_| "a contender has panicked")??;
        Ok(taken.as_secs_f64() * 1e9 / count as f64)
    })
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let rounds = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => 15,
        (Some("--rounds"), Some(rounds)) => rounds.parse::<usize>()?.max(1),
        _ => return Err("usage: stream [--rounds N]".into()),
    };
    println!("| queued, ns for each message | {} |", SIZES.map(|len| format!("{len} B")).join(" | "));
    println!("|---|{}", "--:|".repeat(SIZES.len()));
    let mut rows = CONTENDERS.map(|(name, _)| vec![name.to_owned()]);
    for len in SIZES {
        let mut samples = CONTENDERS.map(|_| Vec::new());
        for _ in 0..rounds {
            for ((name, send), samples) in CONTENDERS.iter().zip(&mut samples) {
                samples.push(round(*send, len).map_err(|error| format!("{name}, {len} B: {error}"))?);
            }
        }
        for (row, samples) in rows.iter_mut().zip(samples) {
            row.push(format!("{:.0}", entry("", true, samples).median));
        }
    }
    rows.iter().for_each(|row| println!("| {} |", row.join(" | ")));
    Ok(())
}
