//! A transport in memory that takes as much of each write as a test says.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, Read},
    net::Shutdown,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Instant,
};

use ws_std::{ClientTls, Duplex, ServerTls, TlsStream, Transport};

use crate::{name, patient};

/// The bytes of one direction.
#[derive(Default)]
struct Queue {
    bytes: Mutex<(VecDeque<u8>, bool)>,
    changed: Condvar,
}

/// Returns the most bytes that the next write takes; 0: it times out.
type Script = Box<dyn FnMut() -> usize + Send>;

/// One end of the transport.
pub(crate) struct End {
    input: Arc<Queue>,
    output: Arc<Queue>,
    script: Mutex<Script>,
    /// The byte of the output that is changed on its way, counted from here.
    changed: Mutex<Option<usize>>,
}

impl Queue {
    fn push(&self, bytes: &[u8]) {
        self.bytes.lock().unwrap().0.extend(bytes);
        self.changed.notify_all();
    }

    fn end(&self) {
        self.bytes.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

impl End {
    fn new(input: &Arc<Queue>, output: &Arc<Queue>) -> Self {
        let script: Script = Box::new(|| usize::MAX);
        let (input, output) = (Arc::clone(input), Arc::clone(output));
        Self { input, output, script: Mutex::new(script), changed: Mutex::default() }
    }

    pub(crate) fn takes(&self, script: impl FnMut() -> usize + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// Returns the bytes that have been written and not read.
    pub(crate) fn under_way(&self) -> usize {
        self.output.bytes.lock().unwrap().0.len()
    }

    /// Returns whether there is nothing to read now.
    pub(crate) fn is_empty(&self) -> bool {
        self.input.bytes.lock().unwrap().0.is_empty()
    }

    /// Returns whether our direction has been ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.output.bytes.lock().unwrap().1
    }

    /// Changes the byte of the output that comes after `at` others.
    pub(crate) fn change(&self, at: usize) {
        *self.changed.lock().unwrap() = Some(at);
    }

    /// Changes the last byte that has been written.
    pub(crate) fn damage(&self) {
        *self.output.bytes.lock().unwrap().0.back_mut().unwrap() ^= 1;
    }
}

impl Transport for End {
    fn read(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        let mut queue = self.input.bytes.lock().unwrap();
        loop {
            if !queue.0.is_empty() || queue.1 {
                return queue.0.read(buffer);
            }
            let left = deadline.unwrap().saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            queue = self.input.changed.wait_timeout(queue, left).unwrap().0;
        }
    }

    fn write(&self, slices: &[IoSlice<'_>], _deadline: Option<Instant>) -> io::Result<usize> {
        let most = (self.script.lock().unwrap())();
        if most == 0 {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).take(most).collect();
        let mut changed = self.changed.lock().unwrap();
        if let Some(byte) = changed.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1;
        }
        *changed = changed.and_then(|at| at.checked_sub(bytes.len()));
        self.output.push(&bytes);
        Ok(bytes.len())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Write {
            self.input.end();
        }
        self.output.end();
        Ok(())
    }
}

impl Duplex for End {}

impl Drop for End {
    fn drop(&mut self) {
        self.output.end();
    }
}

/// Both ends of a transport.
pub(crate) fn ends() -> (End, End) {
    let queues = [Arc::default(), Arc::default()];
    (End::new(&queues[0], &queues[1]), End::new(&queues[1], &queues[0]))
}

/// Both ends of a TLS connection in memory.
pub(crate) fn streams((client, server): &(ClientTls, ServerTls)) -> (TlsStream<End>, TlsStream<End>) {
    ws_tests::watch();
    let ends = ends();
    let streams = thread::scope(|scope| {
        let accepting = scope.spawn(|| TlsStream::accept(ends.1, server, patient()).unwrap());
        let client = TlsStream::connect(ends.0, client, name(), patient()).unwrap();
        (client, accepting.join().unwrap())
    });
    // The session tickets, after which neither side has output.
    assert!(streams.0.read(&mut [0; 2_048], Some(Instant::now())).is_err());
    assert_eq!((streams.0.transport().under_way(), streams.1.transport().under_way()), (0, 0));
    streams
}
