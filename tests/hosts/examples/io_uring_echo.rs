//! Completions instead of readiness: an echo server on io_uring (Linux 6.1), one thread, one ring, by `compio`.
//!
//! The kernel receives to buffers of its choice out of a few that all connections share, and what else it takes to receive
//! and to send is lent to a connection when that has something to do: waiting for a peer costs no memory. What is being sent
//! belongs to the ring until that is complete; what is owed meanwhile waits in the connection's output, and nothing more is
//! received as long as that has anything. A deadline interrupts no operation: that goes on, and is waited for again.
//!
//! ```sh
//! cargo run --release -p ws-hosts --example io_uring_echo 127.0.0.1:9001
//! ```

use std::{
    cell::RefCell,
    io,
    num::NonZero,
    pin::pin,
    rc::Rc,
    time::{Duration, Instant},
};

use compio::{
    buf::BufResult,
    driver::{BufferRef, ProactorBuilder},
    io::{AsyncReadManaged, AsyncWrite},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
    time::{sleep, sleep_until},
};
use ws_proto::{
    Config, Connection, Next, Server,
    host::Pool,
    server::{Accept, OriginPolicy},
};

const BUFFERS: NonZero<u16> = NonZero::new(64).unwrap();
const BUFFER_LEN: usize = 64 * 1024;

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let mut ring = ProactorBuilder::new();
    ring.buffer_pool_size(BUFFERS).buffer_pool_buffer_len(BUFFER_LEN);
    // The one thread that asks is told what is complete when it waits, and not interrupted for that.
    ring.single_issuer(true).defer_taskrun(true).capacity(4096);
    Runtime::builder().with_proactor(ring).build()?.block_on(async {
        let listener = TcpListener::bind(address).await?;
        let mut config = Config::default();
        config.max_message_len = 64 << 20;
        let pool = Rc::new(RefCell::new(Pool::new(&config).keeping(1 << 20)));
        let config = Rc::new(config);
        println!("listening on ws://{}/", listener.local_addr()?);
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    compio::runtime::spawn(serve(stream, Rc::clone(&config), Rc::clone(&pool))).detach();
                }
                // Out of files, say.
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    })
}

async fn serve(stream: TcpStream, config: Rc<Config>, pool: Rc<RefCell<Pool>>) -> io::Result<()> {
    // Replies are sent together as it is.
    stream.set_nodelay(true)?;
    let epoch = Instant::now();
    let now = || epoch.elapsed().into();
    let timer = |deadline| sleep_until(epoch + Duration::from(deadline));
    let mut connection = Connection::accept_in(None, &config, OriginPolicy::AllowAny, now());
    let mut sink = &stream;
    let mut reading = pin!(read(&stream));
    while !connection.is_over() {
        // `None`: the read is still under way, but there is something to write.
        if let Some(bytes) = connection.wait_for(reading.as_mut(), now, timer).await {
            pool.borrow_mut().lend(&mut connection);
            receive(&mut connection, now(), bytes?);
            reading.set(read(&stream));
        }
        while connection.pending_len() > 0 {
            let bytes = connection.lend_output(now());
            let mut writing = pin!(sink.write(bytes));
            let Some(BufResult(written, bytes)) = connection.wait_for(writing.as_mut(), now, timer).await else {
                // The peer has been given up.
                return Ok(());
            };
            connection.put_back(now(), bytes, written?);
        }
        if connection.shut_down() {
            // A peer that is gone needs no farewell.
            let _ = sink.shutdown().await;
        }
        pool.borrow_mut().take_back(&mut connection);
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

/// Takes what has been read; nothing is the end.
fn receive(connection: &mut Connection<'_, Server>, now: ws_proto::Instant, bytes: Option<BufferRef>) {
    let Some(mut bytes) = bytes else { return connection.received(now, 0) };
    let mut reading = connection.received_in(now, &mut bytes);
    // Refused once the connection is closing: then nobody waits for an echo.
    while let Some(next) = reading.each_message(|message, reply| _ = reply.send(message)) {
        if let Next::Opening(mut request) = next {
            request.accept(&Accept::new().any_subprotocol()).expect("there is no other field");
        }
    }
}
