//! A command for each connection: messages are lines of its input, and lines of its output are messages.

#[cfg(unix)]
use std::time::{Duration, Instant};
use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

#[cfg(unix)]
use rustix::process::Signal;
use ws_std::{CloseCode, Exchange, HandlerResult, Message, Reader, Writer, role::Server};

use super::log::{Connection, Log};

/// Stack, in bytes, of the thread that reads from a command.
const READER_STACK: usize = 256 * 1024;

/// The most bytes of a command's output in a binary message.
const CHUNK: usize = 16 * 1024;

/// The time that a command has to end when it is asked to, and the pause between looks whether it has.
#[cfg(unix)]
const GRACE: Duration = Duration::from_secs(1);
#[cfg(unix)]
const TICK: Duration = Duration::from_millis(10);

/// How the streams of a command are cut into messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Lines,
    Bytes,
}

pub(super) struct Programs {
    name: OsString,
    arguments: Vec<OsString>,
    stream: Stream,
    running: Mutex<HashSet<u32>>,
}

/// The request, as the environment of a command tells it.
pub(super) struct Request(Vec<(&'static str, String)>);

impl Request {
    pub(super) fn of(exchange: &Exchange) -> Self {
        let peer = exchange.peer_addr().map(|address| address.to_string()).unwrap_or_default();
        Self(vec![
            ("WS_PEER", peer),
            ("WS_PATH", exchange.path().to_owned()),
            ("WS_QUERY", exchange.query().unwrap_or_default().to_owned()),
            ("WS_ORIGIN", exchange.origin().unwrap_or_default().to_owned()),
        ])
    }
}

impl Programs {
    pub(super) fn new(name: &OsStr, arguments: &[OsString], stream: Stream) -> Self {
        Self { name: name.to_owned(), arguments: arguments.to_vec(), stream, running: Mutex::default() }
    }

    fn running(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the command until it or the connection ends.
    pub(super) fn serve(&self, mut ws: Connection, request: &Request, log: &Log, peer: &str) -> HandlerResult {
        let (mut child, stdin, stdout) = match self.start(request) {
            Ok(started) => started,
            Err(error) => {
                ws.close(CloseCode::INTERNAL_ERROR, "the command cannot be run")?;
                return Err(format!("{}: {error}", self.name.to_string_lossy()).into());
            }
        };
        let (mut reader, writer) = ws.split();
        let id = child.id();
        let result = thread::scope(|scope| {
            let thread = thread::Builder::new().stack_size(READER_STACK);
            let started = thread.spawn_scoped(scope, || send_output(writer, stdout, self.stream, id));
            let result = started.map_err(Into::into).and_then(|_| self.read_all(&mut reader, stdin, log, peer));
            // The end of its output ends the thread above.
            end(&mut child);
            result
        });
        self.running().remove(&id);
        child.wait()?;
        result
    }

    fn start(&self, request: &Request) -> io::Result<(Child, ChildStdin, ChildStdout)> {
        let mut command = Command::new(&self.name);
        command.args(&self.arguments).envs(request.0.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // A group of its own: Ctrl-C at the terminal is for the server, and the end is for all processes of the command.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn()?;
        self.running().insert(child.id());
        match (child.stdin.take(), child.stdout.take()) {
            (Some(stdin), Some(stdout)) => Ok((child, stdin, stdout)),
            _ => Err(io::Error::other("it has no standard input or output")),
        }
    }

    fn read_all(
        &self,
        reader: &mut Reader<Server>,
        mut stdin: ChildStdin,
        log: &Log,
        peer: &str,
    ) -> HandlerResult {
        while let Some(message) = reader.read()? {
            log.message(peer, message);
            // A command that reads no more may still have output.
            let _ = self.write(&mut stdin, message);
        }
        log.closed(peer, reader.close_frame());
        Ok(())
    }

    fn write(&self, stdin: &mut ChildStdin, message: Message<'_>) -> io::Result<()> {
        stdin.write_all(message.as_bytes())?;
        match self.stream {
            Stream::Lines => stdin.write_all(b"\n"),
            Stream::Bytes => Ok(()),
        }
    }

    /// Ends the commands of connections that did not close in time.
    pub(super) fn end_all(&self) {
        #[cfg(unix)]
        self.running().iter().for_each(|id| signal(*id, Signal::KILL));
    }
}

/// Sends the output of a command, and closes the connection after it.
fn send_output(mut writer: Writer<Server>, stdout: ChildStdout, stream: Stream, id: u32) {
    let sent = match stream {
        Stream::Lines => send_lines(&mut writer, BufReader::new(stdout)),
        Stream::Bytes => send_bytes(&mut writer, stdout),
    };
    let (code, reason) = match sent {
        Ok(()) => outcome(id),
        Err(_) => (CloseCode::INTERNAL_ERROR, "the output of the command cannot be sent".to_owned()),
    };
    // The thread that reads reports an error.
    let _ = writer.send_close(code, &reason);
}

fn send_lines(writer: &mut Writer<Server>, mut stdout: BufReader<ChildStdout>) -> io::Result<()> {
    let mut line = Vec::new();
    while stdout.read_until(b'\n', &mut line)? > 0 {
        let payload = line.strip_suffix(b"\n").unwrap_or(&line);
        match core::str::from_utf8(payload) {
            Ok(text) => writer.send(text)?,
            Err(_) => writer.send(payload)?,
        }
        line.clear();
    }
    Ok(())
}

fn send_bytes(writer: &mut Writer<Server>, mut stdout: ChildStdout) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match stdout.read(&mut chunk)? {
            0 => return Ok(()),
            len => writer.send(chunk.get(..len).unwrap_or_default())?,
        }
    }
}

/// Waits for the end of a command, and returns the code that tells it.
#[cfg(unix)]
fn outcome(id: u32) -> (CloseCode, String) {
    use rustix::process::{WaitId, WaitIdOptions, waitid};

    let Some(pid) = pid(id) else {
        return (CloseCode::NORMAL, String::new());
    };
    // It stays a zombie until the connection has ended, so that its number names no other process.
    match waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        Ok(Some(status)) if status.exit_status() != Some(0) => {
            let how = status.exit_status().map_or_else(
                || "was ended by a signal".to_owned(),
                |status| format!("ended with status {status}"),
            );
            (CloseCode::INTERNAL_ERROR, format!("the command {how}"))
        }
        _ => (CloseCode::NORMAL, String::new()),
    }
}

#[cfg(not(unix))]
fn outcome(_: u32) -> (CloseCode, String) {
    (CloseCode::NORMAL, String::new())
}

/// Ends a command, which has not been waited for, and all processes of its group: by a request, and after a moment by force.
#[cfg(unix)]
fn end(child: &mut Child) {
    use rustix::process::{WaitId, WaitIdOptions, waitid};

    let Some(pid) = pid(child.id()) else { return };
    signal(child.id(), Signal::TERM);
    let asked = Instant::now();
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    while asked.elapsed() < GRACE && matches!(waitid(WaitId::Pid(pid), options), Ok(None)) {
        thread::sleep(TICK);
    }
    signal(child.id(), Signal::KILL);
}

#[cfg(not(unix))]
fn end(child: &mut Child) {
    let _ = child.kill();
}

/// Sends a signal to all processes of a group.
#[cfg(unix)]
fn signal(id: u32, signal: Signal) {
    if let Some(pid) = pid(id) {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

#[cfg(unix)]
fn pid(id: u32) -> Option<rustix::process::Pid> {
    rustix::process::Pid::from_raw(id.try_into().ok()?)
}
