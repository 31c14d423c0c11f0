//! An event loop on `mio`: its sockets, and the turns of their connections.

use std::{error::Error, io::ErrorKind, net::Shutdown};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use slab::Slab;
use ws_proto::{
    Config, Connection, Instant, Server,
    connection::Reading,
    host::{Deadlines, Pool, ReadUntil, Turns},
    server::OriginPolicy,
};

/// A connection, its socket, and what the program keeps of it.
pub(crate) struct Peer<P> {
    pub(crate) stream: TcpStream,
    pub(crate) connection: Connection<'static, Server>,
    pub(crate) state: P,
}

/// All connections of a program.
pub(crate) struct Host<P> {
    pub(crate) peers: Slab<Peer<P>>,
    pub(crate) turns: Turns<TcpStream>,
}

/// Accepts connections at `address`, with memory from `pool`. `run` is called for each connection that can go on, and has to
/// give it a [`turn`](Host::turn); its last argument says whether the peer will send no more.
pub(crate) fn main_loop<P: Default>(
    address: &str,
    pool: Pool,
    config: &Config,
    mut run: impl FnMut(&mut Host<P>, usize, Instant, bool),
) -> Result<(), Box<dyn Error>> {
    const LISTENER: Token = Token(usize::MAX);
    // For so many address space is reserved; there may be more.
    const CONNECTIONS: usize = 1 << 16;
    let mut listener = TcpListener::bind(address.parse()?)?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let deadlines = Deadlines::with_capacity(CONNECTIONS);
    let turns = Turns::new(pool, deadlines, |stream: &mut TcpStream| stream.shutdown(Shutdown::Write));
    let mut host = Host { peers: Slab::with_capacity(CONNECTIONS), turns };
    let mut events = Events::with_capacity(1024);
    let epoch = std::time::Instant::now();
    let clock = || Instant::from(epoch.elapsed());
    loop {
        match poll.poll(&mut events, host.turns.wait(clock())) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let now = clock();
        for event in &events {
            if event.token() != LISTENER {
                run(&mut host, event.token().0, now, event.is_read_closed());
                continue;
            }
            // An error means that no client waits any more, or that there is no file for one that does.
            while let Ok((mut stream, _)) = listener.accept() {
                let entry = host.peers.vacant_entry();
                let id = entry.key();
                poll.registry().register(&mut stream, Token(id), Interest::READABLE | Interest::WRITABLE)?;
                // Replies are written together as it is.
                let _ = stream.set_nodelay(true);
                let connection = Connection::accept_in(None, config, OriginPolicy::AllowAny, now);
                entry.insert(Peer { stream, connection, state: P::default() });
                run(&mut host, id, now, false);
            }
        }
        while let Some(id) = host.turns.due(now) {
            run(&mut host, id, now, false);
        }
    }
}

impl<P> Host<P> {
    /// Does all that a connection can do without waiting. `ended`: the peer will send no more.
    pub(crate) fn turn(
        &mut self,
        id: usize,
        now: Instant,
        ended: bool,
        mut on_read: impl FnMut(&mut P, &mut Reading<'_, '_, Server>),
    ) {
        let Some(Peer { stream, connection, state }) = self.peers.get_mut(id) else { return };
        // Linux announces what comes after a read that has emptied the socket.
        let is_announced = cfg!(target_os = "linux") && !ended;
        let until = if is_announced { ReadUntil::Short } else { ReadUntil::WouldBlock };
        let turn =
            self.turns.turn(id, now).until(until).run(stream, connection, |reading| on_read(state, reading));
        if turn.is_break() {
            self.peers.remove(id);
        }
    }
}
