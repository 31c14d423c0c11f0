//! Completions instead of readiness: an echo server on io_uring (Linux 6.1), one thread, one ring, by `compio`.
//!
//! The kernel receives to buffers of its choice out of a few that all connections share, so that waiting for a
//! peer costs no memory. What is being sent belongs to the ring until that is complete; what is owed meanwhile
//! waits in the connection's output, and nothing more is received as long as that has anything. A deadline
//! interrupts no operation: that goes on, and is waited for again.
//!
//! ```sh
//! cargo run --release -p ws-hosts --example io_uring_echo 127.0.0.1:9001
//! ```

use std::{
    future::Future,
    io,
    num::NonZero,
    pin::{Pin, pin},
    time::{Duration, Instant},
};

use compio::{
    buf::BufResult,
    driver::{BufferRef, ProactorBuilder},
    io::{AsyncReadManaged, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    time::{sleep, timeout_at},
};
use ws_proto::{
    Config, Connection, Next, Pending, Server,
    server::{Accept, OriginPolicy},
};

const BUFFERS: NonZero<u16> = NonZero::new(64).unwrap();
const BUFFER_LEN: usize = 64 * 1024;

struct Peer {
    connection: Connection<'static, Server>,
    epoch: Instant,
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let mut ring = ProactorBuilder::new();
    ring.buffer_pool_size(BUFFERS).buffer_pool_buffer_len(BUFFER_LEN);
    // The one thread that asks is told what is complete when it waits, and not interrupted for that.
    ring.single_issuer(true).defer_taskrun(true).capacity(4096);
    Runtime::builder().with_proactor(ring).build()?.block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("listening on ws://{}/", listener.local_addr()?);
        loop {
            match listener.accept().await {
                Ok((stream, _)) => compio::runtime::spawn(serve(stream)).detach(),
                // Out of files, say.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    })
}

async fn serve(stream: TcpStream) -> io::Result<()> {
    // Replies are sent together as it is.
    stream.set_nodelay(true)?;
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let connection = Connection::accept(&config, OriginPolicy::AllowAny, ws_proto::Instant::ZERO);
    let mut peer = Peer { connection, epoch: Instant::now() };
    let mut reading = pin!(read(&stream));
    while !peer.connection.is_over() {
        if let Some(bytes) = peer.wait(reading.as_mut()).await {
            peer.receive(bytes?);
            reading.set(read(&stream));
        }
        peer.flush(&stream).await?;
    }
    Ok(())
}

async fn read(mut stream: &TcpStream) -> io::Result<Option<BufferRef>> {
    loop {
        match stream.read_managed(0).await {
            // All buffers are in use, each until a task has had its turn.
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => sleep(Duration::from_millis(1)).await,
            result => return result,
        }
    }
}

impl Peer {
    fn now(&self) -> ws_proto::Instant {
        self.epoch.elapsed().into()
    }

    /// Waits for an operation, which is still under way if a deadline comes first: `None`.
    async fn wait<T>(&self, operation: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        let Some(deadline) = self.connection.poll_timeout() else { return Some(operation.await) };
        timeout_at(self.epoch + Duration::from(deadline), operation).await.ok()
    }

    /// Takes what has been read; nothing is the end.
    fn receive(&mut self, bytes: Option<BufferRef>) {
        let now = self.now();
        let Some(mut bytes) = bytes else { return self.connection.received(now, 0) };
        let mut reading = self.connection.received_in(now, &mut bytes);
        // Refused once the connection is closing: then nobody waits for an echo.
        while let Some(next) = reading.each_message(|message, reply| _ = reply.send(message)) {
            if let Next::Opening(mut request) = next {
                request.accept(&Accept::new().any_subprotocol()).expect("there is no other field");
            }
        }
    }

    /// Writes all that is owed.
    async fn flush(&mut self, mut stream: &TcpStream) -> io::Result<()> {
        self.connection.handle_timeout(self.now());
        while let Some(pending) = self.connection.pending() {
            if let Pending::Shutdown = pending {
                // A peer that is gone needs no farewell.
                let _ = stream.shutdown().await;
                self.connection.shut_down();
                continue;
            }
            let bytes = self.connection.lend_output(self.now());
            let mut writing = pin!(stream.write(bytes));
            let BufResult(written, bytes) = loop {
                if let Some(done) = self.wait(writing.as_mut()).await {
                    break done;
                }
                self.connection.handle_timeout(self.now());
                if self.connection.is_over() {
                    // The peer has been given up.
                    return Ok(());
                }
            };
            self.connection.put_back(self.now(), bytes, *written.as_ref().unwrap_or(&0));
            written?;
        }
        Ok(())
    }
}
