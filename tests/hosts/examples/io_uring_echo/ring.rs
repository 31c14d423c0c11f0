//! A ring whose operations own what they point to: the kernel's buffers for receiving, and the bytes that it sends.

use std::{
    io,
    net::{TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd, RawFd},
    ptr,
    time::Duration,
};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use slab::Slab;

/// The buffers that all connections receive to: how many, and how long each.
const BUFFERS: u16 = 64;
const BUFFER_LEN: i32 = 64 * 1024;
const GROUP: u16 = 0;
/// Before accepting again when that has failed: for want of descriptors, most likely.
static PAUSE: types::Timespec = types::Timespec::new().nsec(100_000_000);

/// The kinds of operations. A completion tells `key * KINDS + kind`.
const ACCEPT: u64 = 0;
const PAUSED: u64 = 1;
const PROVIDE: u64 = 2;
const RECEIVE: u64 = 3;
const SEND: u64 = 4;
const KINDS: u64 = 5;

pub(crate) struct Ring {
    uring: IoUring,
    listener: TcpListener,
    buffers: Vec<Vec<u8>>,
    sends: Slab<Send>,
}

struct Send {
    id: usize,
    stream: RawFd,
    bytes: Vec<u8>,
    sent: usize,
}

/// A buffer that the kernel has received to.
pub(crate) struct Filled(u16);

/// What is complete, and for which connection.
pub(crate) enum Done {
    Accepted(TcpStream),
    /// So many bytes are in this buffer, which is to be [provided](Ring::provide) again.
    Received(usize, io::Result<usize>, Option<Filled>),
    Sent(usize, io::Result<()>),
}

impl Ring {
    /// A ring that accepts connections. Leaked: whatever becomes of the host, the kernel may still write to what it
    /// was given.
    pub(crate) fn new(listener: TcpListener) -> io::Result<&'static mut Self> {
        let buffers = vec![vec![0; BUFFER_LEN.unsigned_abs() as usize]; usize::from(BUFFERS)];
        let ring = Self { uring: IoUring::new(1024)?, listener, buffers, sends: Slab::new() };
        let ring = Box::leak(Box::new(ring));
        (0..BUFFERS).for_each(|index| ring.provide(Filled(index)));
        ring.accept();
        Ok(ring)
    }

    /// Waits for a completion, but no longer than `timeout`.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        let timeout = timeout.map(types::Timespec::from);
        let args = timeout.iter().fold(types::SubmitArgs::new(), |args, timeout| args.timespec(timeout));
        match self.uring.submitter().submit_with_args(1, &args) {
            // Completions that found no room have to be taken first.
            Err(e) if !matches!(e.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY)) => Err(e),
            _ => Ok(()),
        }
    }

    /// The next operation that is complete.
    pub(crate) fn next(&mut self) -> Option<Done> {
        loop {
            let completion = self.uring.completion().next()?;
            let key = usize::try_from(completion.user_data() / KINDS).expect("made of one");
            let result = completion.result();
            let len = usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result));
            match (completion.user_data() % KINDS, len) {
                (ACCEPT, accepted) => {
                    if !cqueue::more(completion.flags()) {
                        self.push(opcode::Timeout::new(&raw const PAUSE).build(), PAUSED, 0);
                    }
                    if accepted.is_ok() {
                        // SAFETY: the descriptor was made by this completion, and nobody else has it.
                        #[allow(unsafe_code)]
                        return Some(Done::Accepted(unsafe { TcpStream::from_raw_fd(result) }));
                    }
                }
                (PAUSED, _) => self.accept(),
                (RECEIVE, len) => {
                    let filled = cqueue::buffer_select(completion.flags()).map(Filled);
                    return Some(Done::Received(key, len, filled));
                }
                (SEND, Ok(len)) if self.sends[key].sent + len < self.sends[key].bytes.len() => {
                    self.sends[key].sent += len;
                    self.go_on(key);
                }
                (SEND, result) => return Some(Done::Sent(self.sends.remove(key).id, result.map(drop))),
                // A buffer could not be provided; only failures of that are told.
                _ => {}
            }
        }
    }

    fn accept(&mut self) {
        self.push(opcode::AcceptMulti::new(types::Fd(self.listener.as_raw_fd())).build(), ACCEPT, 0);
    }

    pub(crate) fn buffer(&mut self, filled: &Filled) -> &mut [u8] {
        &mut self.buffers[usize::from(filled.0)]
    }

    /// Lets the kernel receive to a buffer.
    pub(crate) fn provide(&mut self, Filled(index): Filled) {
        let start = self.buffers[usize::from(index)].as_mut_ptr();
        let entry = opcode::ProvideBuffers::new(start, BUFFER_LEN, 1, GROUP, index).build();
        self.push(entry.flags(squeue::Flags::SKIP_SUCCESS), PROVIDE, 0);
    }

    pub(crate) fn receive(&mut self, id: usize, stream: &TcpStream) {
        let stream = types::Fd(stream.as_raw_fd());
        let entry = opcode::Recv::new(stream, ptr::null_mut(), BUFFER_LEN.unsigned_abs()).buf_group(GROUP).build();
        self.push(entry.flags(squeue::Flags::BUFFER_SELECT), RECEIVE, id);
    }

    /// Sends all of the bytes.
    pub(crate) fn send(&mut self, id: usize, stream: &TcpStream, bytes: Vec<u8>) {
        let key = self.sends.insert(Send { id, stream: stream.as_raw_fd(), bytes, sent: 0 });
        self.go_on(key);
    }

    fn go_on(&mut self, key: usize) {
        let send = &self.sends[key];
        let rest = &send.bytes[send.sent..];
        let len = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        self.push(opcode::Send::new(types::Fd(send.stream), rest.as_ptr(), len).build(), SEND, key);
    }

    fn push(&mut self, entry: squeue::Entry, kind: u64, key: usize) {
        let entry = entry.user_data(key as u64 * KINDS + kind);
        // SAFETY: what an entry points to is valid until its completion: PAUSE for ever; bytes to be sent until they
        // leave `sends`, unchanged; a buffer for receiving for ever, and nobody looks at it between `provide` and the
        // completion, which makes the `Filled` that `buffer` asks for.
        #[allow(unsafe_code)]
        while unsafe { self.uring.submission().push(&entry) }.is_err() {
            // There is room once the kernel has taken what is there.
            let _ = self.uring.submit();
        }
    }
}
