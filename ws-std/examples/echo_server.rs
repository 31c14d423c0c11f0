//! Echoes every message: a thread per connection, replies written together, Ctrl-C closes in good order.
//!
//! ```sh
//! cargo run --release --example echo_server 127.0.0.1:9001
//! ```

use std::{
    collections::HashMap,
    error::Error,
    net::{TcpListener, TcpStream},
    process::ExitCode,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use ws_std::{
    Acceptor, Answer, CloseCode, Config, Reader, Socket, Writer, deflate::Settings, proto::server::OriginPolicy,
    role::Server,
};

mod program;

const HELP: &str = "\
usage: echo_server [ADDR] [--deflate[=PROFILE]]

Echoes every message on ws://ADDR/ (default 127.0.0.1:9001), of up to 64 MiB, to pages of any origin.
Ctrl-C closes every connection with 1001 and exits.

  -d, --deflate[=PROFILE]
                        compress messages: small (default), balanced, best
  -c, --connections N   serve at most N connections at once, answer 503 beyond (default 10000)
  -h, --help            this text";

/// Stack of a connection's thread: what the opening handshake needs, twice over.
const STACK: usize = 128 * 1024;
const GOING_DOWN: &str = "server is going down";
/// Connections over the cap that are being told so.
const REFUSALS: usize = 64;

struct Arguments {
    address: String,
    connections: usize,
    deflate: Option<Settings>,
}

/// The writing half of each open connection, and how many threads there are.
struct Connections {
    acceptor: Acceptor<'static>,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    open: HashMap<u64, Writer<Server>>,
    next: u64,
    threads: usize,
    stopping: bool,
}

fn arguments() -> program::Arguments<Arguments> {
    let (mut address, mut connections, mut deflate) = (None, 10_000, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(None),
            lexopt::Arg::Short('c') | lexopt::Arg::Long("connections") => {
                connections = lexopt::ValueExt::parse(&parser.value()?)?;
            }
            lexopt::Arg::Short('d') | lexopt::Arg::Long("deflate") => {
                deflate = Some(program::profile(parser.optional_value())?);
            }
            lexopt::Arg::Value(value) if address.is_none() => {
                address = Some(lexopt::ValueExt::string(value)?);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(Arguments {
        address: address.unwrap_or_else(|| "127.0.0.1:9001".into()),
        connections,
        deflate,
    }))
}

fn main() -> ExitCode {
    program::run(HELP, arguments(), |found| serve(&found))
}

fn serve(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    // A connection is a file: as many as the system allows.
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(1024);
    let cap = arguments.connections.min(usize::try_from(files.saturating_sub(64)).unwrap_or(usize::MAX));
    let address = &arguments.address;
    let listener = TcpListener::bind(address).map_err(|error| format!("can't listen on {address}: {error}"))?;
    println!("listening on ws://{}/", listener.local_addr()?);

    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let acceptor = Acceptor::new().config(config).origin(OriginPolicy::AllowAny);
    let acceptor = match arguments.deflate {
        Some(settings) => acceptor.deflate(settings),
        None => acceptor,
    };
    let connections = Arc::new(Connections { acceptor, state: Mutex::default(), ended: Condvar::new() });
    ctrlc::set_handler({
        let connections = Arc::clone(&connections);
        move || {
            connections.close_all();
            std::process::exit(0);
        }
    })?;
    for stream in listener.incoming() {
        match stream {
            Ok(stream) => connections.serve(stream, cap),
            Err(error) => {
                // Out of files, say: some will be closed in a moment.
                eprintln!("can't accept: {error}");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
    Ok(())
}

impl Connections {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a connection on a thread of its own.
    fn serve(self: &Arc<Self>, stream: TcpStream, cap: usize) {
        let mut state = self.lock();
        if state.stopping || state.threads >= cap + REFUSALS {
            return;
        }
        let full = state.threads >= cap;
        state.threads += 1;
        drop(state);
        let this = Arc::clone(self);
        let started = thread::Builder::new().stack_size(STACK).spawn(move || {
            if let Err(error) = this.accept(stream, full) {
                eprintln!("{error}");
            }
            this.thread_ended();
        });
        if let Err(error) = started {
            eprintln!("can't start a thread: {error}");
            self.thread_ended();
        }
    }

    fn thread_ended(&self) {
        self.lock().threads -= 1;
    }

    fn accept(&self, stream: TcpStream, full: bool) -> Result<(), Box<dyn Error>> {
        let answer = if full { Answer::refuse(503) } else { Answer::accept() };
        let (mut reader, writer) = self.acceptor.accept_over(Socket::try_from(stream)?, |_| answer)?.split();
        let Some(id) = self.opened(&writer) else {
            reader.close(CloseCode::GOING_AWAY, GOING_DOWN)?;
            return Ok(());
        };
        let result = echo(reader, writer);
        self.lock().open.remove(&id);
        self.ended.notify_all();
        Ok(result?)
    }

    /// Counts a connection in; `None` if it has come too late.
    fn opened(&self, writer: &Writer<Server>) -> Option<u64> {
        let mut state = self.lock();
        state.next += 1;
        let id = state.next;
        if !state.stopping {
            state.open.insert(id, writer.clone());
        }
        (!state.stopping).then_some(id)
    }

    /// Closes every connection with 1001; returns when they have ended, or after the time that takes at most.
    fn close_all(&self) {
        let mut state = self.lock();
        state.stopping = true;
        let open: Vec<_> = state.open.values().cloned().collect();
        drop(state);
        for mut writer in open {
            // Whoever is gone already needs no farewell.
            let _ = writer.send_close(CloseCode::GOING_AWAY, GOING_DOWN);
        }
        let state = self.lock();
        let longest = Duration::from_secs(12);
        drop(self.ended.wait_timeout_while(state, longest, |state| !state.open.is_empty()));
    }
}

/// Queued echoes are written together, before the next read waits for the socket.
fn echo(mut reader: Reader<Server>, mut writer: Writer<Server>) -> ws_std::Result<()> {
    while let Some(message) = reader.read()? {
        writer.queue(message)?;
    }
    Ok(())
}
