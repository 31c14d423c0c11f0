//! The limits of an echo server, which parse nothing: `echo_raw threads` or `echo_raw epoll`; and that of a room, which finds
//! where a frame ends and sends its bytes to all: `echo_raw room`.

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
        Some("epoll") => epoll(listener, |connections, id, buffer| {
            if let Some((stream, pending)) = &mut connections[id]
                && serve(stream, pending, buffer).is_err()
            {
                connections[id] = None;
            }
        })?,
        Some("room") => epoll(listener, tell_all)?,
        _ => {
            eprintln!("usage: echo_raw threads|epoll|room");
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

/// The connections of one thread, and what the kernel has not taken yet of each one's output.
type Connections = Vec<Option<(mio::net::TcpStream, Vec<u8>)>>;

/// One thread, one buffer; `run` does what a connection can do.
fn epoll(listener: TcpListener, mut run: impl FnMut(&mut Connections, usize, &mut [u8])) -> io::Result<()> {
    use mio::{Events, Interest, Poll, Token};

    listener.set_nonblocking(true)?;
    let mut listener = mio::net::TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut connections = Connections::new();
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
            run(&mut connections, event.token().0, &mut buffer);
        }
    }
}

/// Echoes until there is nothing to read or no room to write.
fn serve(stream: &mut mio::net::TcpStream, pending: &mut Vec<u8>, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        if !flush(stream, pending)? {
            return Ok(());
        }
        let len = match stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        send(stream, pending, &buffer[..len])?;
        // A short read has emptied the socket; the next one is announced.
        if len < buffer.len() && pending.is_empty() {
            return Ok(());
        }
    }
}

/// Writes what waits; returns whether the kernel has taken all of it.
fn flush(stream: &mut mio::net::TcpStream, pending: &mut Vec<u8>) -> io::Result<bool> {
    while !pending.is_empty() {
        match stream.write(pending) {
            Ok(len) => drop(pending.drain(..len)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// Writes `bytes`, for which no others wait; those that the kernel does not take wait.
fn send(stream: &mut mio::net::TcpStream, pending: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    let written = match stream.write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        result => result?,
    };
    pending.extend_from_slice(&bytes[written..]);
    Ok(())
}

/// Sends each frame that a member has said to all members, masked as it is. A member whose output waits, and one that sends
/// part of a frame, are left out: the load does neither.
fn tell_all(members: &mut Connections, id: usize, buffer: &mut [u8]) {
    let Some((stream, pending)) = &mut members[id] else { return };
    let read = match flush(stream, pending) {
        Ok(true) => stream.read(buffer),
        Ok(false) => return,
        Err(error) => Err(error),
    };
    let mut said = match read {
        Ok(len @ 1..) => &buffer[..len],
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
        Ok(0) | Err(_) => return members[id] = None,
    };
    while let Some((frame, rest)) = said.split_at_checked(frame_len(said)) {
        if frame.is_empty() {
            return;
        }
        for member in members.iter_mut() {
            if let Some((stream, pending)) = member
                && pending.is_empty()
                && send(stream, pending, frame).is_err()
            {
                *member = None;
            }
        }
        said = rest;
    }
}

/// Returns the length of the masked frame that `bytes` begin with, up to 64 KiB; 0 if there is no header.
fn frame_len(bytes: &[u8]) -> usize {
    match bytes {
        [_, len @ 0x80..=0xFD, ..] => 6 + usize::from(len & 0x7F),
        [_, 0xFE, high, low, ..] => 8 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    }
}
