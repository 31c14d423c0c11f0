//! The program under test, and servers for it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio},
    thread,
};

use ws_std::{Acceptor, Exchange, HandlerResult, OriginPolicy, Server, ServerTls, deflate::Settings};

use crate::watchdog::watch;

/// A run of `ws` that goes on.
pub(crate) struct Program {
    child: Running,
    pub(crate) input: Option<ChildStdin>,
    pub(crate) output: BufReader<ChildStdout>,
    pub(crate) errors: BufReader<ChildStderr>,
}

/// A process that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A run of `ws` that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) output: Vec<u8>,
    pub(crate) errors: String,
}

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ws"));
    command.args(arguments);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command
}

/// Runs `ws` to its end.
pub(crate) fn run(arguments: &[&str], input: impl AsRef<[u8]>) -> Ended {
    let mut program = Program::start(arguments);
    let (mut stdin, input) = (program.input.take().unwrap(), input.as_ref().to_vec());
    // It may end before it has read all.
    thread::spawn(move || _ = stdin.write_all(&input));
    program.end()
}

impl Program {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        watch();
        let mut command = command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        let errors = BufReader::new(child.stderr.take().unwrap());
        Self { child: Running(child), input, output, errors }
    }

    /// Starts `ws --listen` at a free port, and returns its URL too.
    pub(crate) fn listen(arguments: &[&str]) -> (Self, String) {
        let mut program = Self::start(&[&["--listen", "127.0.0.1:0"], arguments].concat());
        let line = program.line();
        let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line:?}"));
        (program, url.to_owned())
    }

    /// Returns the next line of its output.
    pub(crate) fn line(&mut self) -> String {
        next_line(&mut self.output)
    }

    /// Returns the next line of its errors that contains `text`.
    pub(crate) fn error_with(&mut self, text: &str) -> String {
        loop {
            let line = next_line(&mut self.errors);
            if line.contains(text) {
                return line;
            }
        }
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Sends SIGINT, as a terminal does at Ctrl-C.
    #[cfg(unix)]
    pub(crate) fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child.0);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        drop(self.input.take());
        let mut errors = self.errors;
        let reader = thread::spawn(move || {
            let mut text = String::new();
            errors.read_to_string(&mut text).unwrap();
            text
        });
        let mut output = Vec::new();
        self.output.read_to_end(&mut output).unwrap();
        let errors = reader.join().unwrap();
        Ended { status: self.child.0.wait().unwrap().code(), output, errors }
    }
}

fn next_line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    assert!(reader.read_line(&mut line).unwrap() > 0, "the program has ended");
    line.trim_end_matches('\n').to_owned()
}

impl Ended {
    /// Checks the status, and returns the output.
    pub(crate) fn text(&self, status: i32) -> &str {
        assert_eq!(self.status, Some(status), "{self:?}");
        core::str::from_utf8(&self.output).unwrap()
    }
}

/// Serves connections in this process, as long as it lives.
pub(crate) fn serve(handler: impl Fn(Exchange) -> HandlerResult + Send + Sync + 'static) -> SocketAddr {
    serve_with(None, handler)
}

/// Does the same through TLS, if there are settings.
pub(crate) fn serve_with(
    tls: Option<ServerTls>,
    handler: impl Fn(Exchange) -> HandlerResult + Send + Sync + 'static,
) -> SocketAddr {
    let acceptor = Acceptor::new().origin(OriginPolicy::AllowAny).deflate(Settings::small());
    let mut server = Server::bind("127.0.0.1:0").unwrap().acceptor(acceptor).on_error(|_| ());
    if let Some(tls) = tls {
        server = server.tls(tls);
    }
    let address = server.local_addr().unwrap();
    thread::spawn(move || server.run(handler));
    address
}

pub(crate) fn echo(exchange: Exchange) -> HandlerResult {
    let mut ws = exchange.accept()?;
    while let Some(mut received) = ws.read()? {
        received.reply.queue(received.message)?;
    }
    Ok(())
}

/// Opens a connection and ends it without a Close.
pub(crate) fn abandon(exchange: Exchange) -> HandlerResult {
    drop(exchange.accept()?);
    Ok(())
}

/// Returns the URL of a server that echoes.
pub(crate) fn echo_url() -> String {
    format!("ws://{}/", serve(echo))
}

/// Serves transports as they are.
pub(crate) fn serve_raw(handler: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().flatten().for_each(handler));
    address
}

/// Returns an address at which no server listens.
pub(crate) fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Reads a request up to its empty line.
pub(crate) fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) > 0 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Sends an answer and ends the transport.
pub(crate) fn answer(mut stream: TcpStream, response: &str) {
    read_head(&mut stream);
    let _ = stream.write_all(response.as_bytes());
}
