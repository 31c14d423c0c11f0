//! The limits of an echo server, which parse nothing: `echo_raw threads` or `echo_raw epoll`.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    process::ExitCode,
};

const READ_LEN: usize = 64 << 10;

fn main() -> io::Result<ExitCode> {
    let kind = std::env::args().nth(1);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on raw://{}/", listener.local_addr()?);
    match kind.as_deref() {
        Some("threads") => threads(&listener)?,
        Some("epoll") => epoll(listener)?,
        _ => {
            eprintln!("usage: echo_raw threads|epoll");
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A thread for each connection.
fn threads(listener: &TcpListener) -> io::Result<()> {
    for stream in listener.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        std::thread::spawn(move || echo(stream));
    }
    Ok(())
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; READ_LEN];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            len => stream.write_all(&buffer[..len])?,
        }
    }
}

/// One thread, one buffer; what the kernel does not take at once waits until it does.
fn epoll(listener: TcpListener) -> io::Result<()> {
    use mio::{Events, Interest, Poll, Token};

    listener.set_nonblocking(true)?;
    let mut listener = mio::net::TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Option<(mio::net::TcpStream, Vec<u8>)>> = Vec::new();
    let mut buffer = vec![0; READ_LEN];
    poll.registry().register(&mut listener, Token(usize::MAX), Interest::READABLE)?;
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == Token(usize::MAX) {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true)?;
                    let token = Token(connections.len());
                    poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
                    connections.push(Some((stream, Vec::new())));
                }
                continue;
            }
            let connection = &mut connections[event.token().0];
            if let Some((stream, pending)) = connection
                && serve(stream, pending, &mut buffer).is_err()
            {
                *connection = None;
            }
        }
    }
}

/// Echoes until there is nothing to read or no room to write.
fn serve(stream: &mut mio::net::TcpStream, pending: &mut Vec<u8>, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        while !pending.is_empty() {
            match stream.write(pending) {
                Ok(len) => drop(pending.drain(..len)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let len = match stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        match stream.write(&buffer[..len]) {
            Ok(written) => pending.extend_from_slice(&buffer[written..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => pending.extend_from_slice(&buffer[..len]),
            Err(error) => return Err(error),
        }
        // A short read has emptied the socket; the next one is announced.
        if len < buffer.len() && pending.is_empty() {
            return Ok(());
        }
    }
}
