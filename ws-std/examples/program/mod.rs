//! Parts that the example programs share: arguments, help, signals, and errors in a line.

use std::{
    error::Error,
    ffi::{OsStr, OsString},
    io::Write,
    process::ExitCode,
    sync::mpsc,
    thread,
};

#[path = "../../src/bin/ws/plain.rs"]
mod plain;

#[allow(unused_imports, reason = "some examples show no text of others")]
pub(crate) use plain::{escaped, explained, is_plain};
use ws_std::{Message, Server, WebSocket, deflate::Settings, role::Role};

/// The arguments of a program. `None`: the user asks for help.
pub(crate) type Arguments<A> = Result<Option<A>, Box<dyn Error>>;

/// Returns the values on a command line with up to `most` values and no option but `--help`.
#[allow(dead_code, reason = "some examples have options of their own")]
pub(crate) fn values(most: usize) -> Arguments<Vec<String>> {
    let mut values = Vec::new();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(None),
            lexopt::Arg::Value(value) if values.len() < most => values.push(lexopt::ValueExt::string(value)?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(values))
}

/// Returns the settings that the value of `--deflate` names.
#[allow(dead_code, reason = "some examples don't compress")]
pub(crate) fn profile(name: Option<OsString>) -> Result<Settings, Box<dyn Error>> {
    match name.as_deref().map(OsStr::to_str) {
        None | Some(Some("small")) => Ok(Settings::small()),
        Some(Some("balanced")) => Ok(Settings::balanced()),
        Some(Some("best")) => Ok(Settings::best_ratio()),
        Some(_) => Err("the profile is none of small, balanced, best".into()),
    }
}

/// Echoes every message until the connection ends.
#[allow(dead_code, reason = "most examples do something else")]
pub(crate) fn echo<R: Role>(mut ws: WebSocket<R>) -> ws_std::Result<()> {
    // Queued echoes are written together, before the next `read` waits for the peer.
    while let Some(mut received) = ws.read()? {
        received.reply.queue(received.message)?;
    }
    Ok(())
}

/// Echoes every message until the connection ends: this thread reads, and another one writes.
///
/// The next message is read once an echo is queued, so that a Close which follows a message is answered after its echo.
#[allow(dead_code, reason = "most examples do something else")]
pub(crate) fn echo_split<R: Role + Send>(ws: WebSocket<R>) -> ws_std::Result<()> {
    let (mut reader, mut writer) = ws.split();
    let (sender, receiver) = mpsc::channel::<(_, Vec<u8>)>();
    let (queued, is_queued) = mpsc::channel();
    thread::scope(move |scope| {
        scope.spawn(move || {
            for (kind, payload) in receiver {
                let Ok(echo) = Message::new(kind, &payload) else { break };
                if writer.queue(echo).is_err() || queued.send(()).is_err() || writer.flush().is_err() {
                    break;
                }
            }
        });
        while let Some(message) = reader.read()? {
            // If the other thread has ended, the connection is closing or has failed, which the next read reports.
            if sender.send((message.kind(), message.as_bytes().to_vec())).is_ok() {
                let _ = is_queued.recv();
            }
        }
        Ok(())
    })
}

/// Creates a server with as many connections as the system allows.
#[allow(dead_code, reason = "some examples are clients")]
pub(crate) fn bind(address: &str) -> Result<Server, Box<dyn Error>> {
    // Each connection needs a file. With a lower limit of files the server has a lower limit of connections.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    Ok(Server::bind(address).map_err(|error| format!("can't listen on {address}: {error}"))?)
}

/// Creates a server as [`bind`] does. The first Ctrl-C or SIGTERM closes all connections and stops it.
#[allow(dead_code, reason = "some examples are clients")]
pub(crate) fn server(address: &str) -> Result<Server, Box<dyn Error>> {
    let server = bind(address)?;
    let handle = server.handle();
    at_signal(move || handle.stop())?;
    Ok(server)
}

/// Calls `stop` on a thread at the first Ctrl-C or SIGTERM. A second one ends the process at once.
#[allow(dead_code, reason = "some examples just end")]
pub(crate) fn at_signal(stop: impl FnOnce() + Send + 'static) -> Result<(), Box<dyn Error>> {
    let mut stop = Some(stop);
    ctrlc::set_handler(move || {
        let started = stop.take().map(|stop| thread::Builder::new().spawn(stop));
        if !matches!(started, Some(Ok(_))) {
            // The status that a shell gives an interrupted program.
            std::process::exit(130);
        }
    })?;
    Ok(())
}

/// Runs `program`, or prints its help or the error in its arguments.
pub(crate) fn run<A>(
    help: &str,
    arguments: Arguments<A>,
    program: impl FnOnce(A) -> Result<(), Box<dyn Error>>,
) -> ExitCode {
    let result = arguments.and_then(|arguments| match arguments {
        Some(arguments) => program(arguments),
        None => {
            // Printing fails if the reader of a pipe, such as a pager, has ended.
            let _ = writeln!(std::io::stdout(), "{help}");
            Ok(())
        }
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", explained(&*error));
            ExitCode::FAILURE
        }
    }
}
