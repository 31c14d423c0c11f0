//! `ws --listen`: a server that echoes, broadcasts, or runs a command for each connection.

mod broadcast;
mod log;
mod program;

use std::{
    io::{self, Write as _},
    sync::Arc,
};

use ws_std::{Acceptor, Answer, Exchange, HandlerResult, Incident, OriginPolicy, Server};

use crate::{
    arguments::{Common, Compress, Listening, Messages},
    connecting::{config, server_tls},
    failure::Failure,
    plain::escaped,
};
use broadcast::Room;
use log::{Connection, Log};
use program::{Programs, Stream};

/// The most connections that have a command or an echo each.
const MOST_PROGRAMS: usize = 100;
const MOST_CONNECTIONS: usize = 1_000;

/// The action for messages.
enum Action {
    Echo,
    Broadcast(Room),
    Run(Programs),
}

/// Serves at `address` until Ctrl-C.
pub(crate) fn run(
    address: &str,
    listening: &Listening,
    common: &Common,
    messages: &Messages,
) -> Result<(), Failure> {
    // Each connection needs a file. With a lower limit of files the server has a lower limit of connections.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let tls = server_tls(common)?;
    let scheme = if tls.is_some() { "wss" } else { "ws" };
    let at = |error| Failure::local(&format!("can't listen on {address}"), &error);
    let server = Server::bind(address).map_err(at)?;
    let local = server.local_addr().map_err(at)?;
    let is_program = !listening.program.is_empty();
    let most = listening.max_connections.unwrap_or(if is_program { MOST_PROGRAMS } else { MOST_CONNECTIONS });
    let mut server = server.acceptor(acceptor(common, listening)?).max_connections(most).on_error(report);
    if let Some(tls) = tls {
        server = server.tls(tls);
    }
    let handle = server.handle();
    let mut stop = Some(handle);
    let on_signal = move || match stop.take() {
        Some(handle) => handle.stop(),
        None => std::process::exit(130),
    };
    ctrlc::set_handler(on_signal).map_err(|error| Failure::local("Ctrl-C", &io::Error::other(error)))?;
    let log = Arc::new(Log::new(common, messages));
    let stream = if messages.binary { Stream::Bytes } else { Stream::Lines };
    let action = Arc::new(Action::of(listening, stream));
    let mut out = io::stdout();
    writeln!(out, "listening on {scheme}://{local}/")
        .and_then(|()| out.flush())
        .map_err(|error| Failure::local("standard output", &error))?;
    let serving = Arc::clone(&action);
    let result = server.run(move |exchange| serve(&serving, &log, exchange));
    if let Action::Run(programs) = &*action {
        programs.end_all();
    }
    result.map_err(at)
}

fn acceptor(common: &Common, listening: &Listening) -> Result<Acceptor<'static>, Failure> {
    let acceptor = Acceptor::new().config(config(common)).origin(origins(&listening.allow_origin)?);
    Ok(match common.deflate(Compress::Balanced) {
        Some(settings) => acceptor.deflate(settings),
        None => acceptor,
    })
}

/// Returns the policy. The names are needed as long as the process lives.
fn origins(allowed: &[String]) -> Result<OriginPolicy<'static>, Failure> {
    if allowed.is_empty() {
        return Ok(OriginPolicy::SameHost);
    }
    if allowed.iter().any(|origin| origin == "any") {
        return Ok(OriginPolicy::AllowAny);
    }
    let names: Vec<&'static str> = allowed.iter().map(|origin| &*origin.clone().leak()).collect();
    OriginPolicy::allow(names.leak()).map_err(|error| Failure::usage(format!("--allow-origin: {error}")))
}

fn report(incident: &Incident<'_>) {
    eprintln!("ws: {}", escaped(&incident.to_string()));
}

fn serve(action: &Action, log: &Log, exchange: Exchange) -> HandlerResult {
    let peer = exchange.peer_addr().map_or_else(|| "a client".to_owned(), |address| address.to_string());
    if !exchange.is_upgrade() {
        return Ok(exchange.refuse(426)?);
    }
    let request = program::Request::of(&exchange);
    log.line(&format!("{peer} connected to {}", escaped(exchange.target())));
    // The first subprotocol that the client offers: there is no application that has one of its own.
    let subprotocol = exchange.subprotocols().next().unwrap_or_default().to_owned();
    let answer = Answer::accept().subprotocol(exchange.select(&[&subprotocol]));
    let ws = exchange.accept_with(answer)?;
    match action {
        Action::Echo => echo(ws, log, &peer),
        Action::Broadcast(room) => room.serve(ws, log, &peer),
        Action::Run(programs) => programs.serve(ws, &request, log, &peer),
    }
}

fn echo(mut ws: Connection, log: &Log, peer: &str) -> HandlerResult {
    // Queued echoes are written together, before the next `read` waits for the client.
    while let Some(mut received) = ws.read()? {
        log.message(peer, received.message);
        received.reply.queue(received.message)?;
    }
    log.closed(peer, ws.close_frame());
    Ok(())
}

impl Action {
    fn of(listening: &Listening, stream: Stream) -> Self {
        match listening.program.split_first() {
            Some((name, arguments)) => Self::Run(Programs::new(name, arguments, stream)),
            None if listening.broadcast => Self::Broadcast(Room::default()),
            None => Self::Echo,
        }
    }
}
