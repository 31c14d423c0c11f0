//! The opening handshake, by calls that take the stream, each dropped at any of its waits.
//!
//! The oracle:
//!
//! - a call that is dropped ends its stream: the peer sees at most one answer, which may be cut, and then the end;
//! - after all tasks have ended, no stream is in memory;
//! - if no call is dropped, each request gets its answer, and a connection loses no byte that follows the handshake.

use core::{future::Future, time::Duration};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};
use ws_proto::{Server, endpoint::Negotiated};
use ws_tokio::{
    AcceptError, Acceptor, Answer, Config, ConnectError, Connector, OsEntropy, Page, WebSocket, accept,
    role::Client,
};

use crate::{
    Schedule,
    executor::{Executor, cut},
    ledger::{Ledger, Place},
    pipe::{End, Pipe},
    settings,
    side::{Ending, Task},
};

/// The time after which the end of every dropped connection has been written or given up.
const FAREWELL: Duration = Duration::from_secs(20);
/// The time for which a client without timeouts of its own waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The way in which a client opens a connection.
#[derive(Clone, Copy, Debug)]
enum Opener {
    Connector,
    /// Frames follow the request before the answer has come.
    Early,
    /// The request is for a page.
    Plain,
    /// The request is not one of HTTP.
    Invalid,
}

/// The way in which a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepting {
    Free,
    Acceptor,
    Exchange,
    ExchangeWith,
    RefuseWith,
    Refuse,
    Page,
    /// The exchange is dropped, which answers as far as the stream takes that without a wait.
    Drop,
}

#[derive(Clone, Copy, Debug)]
struct Opening {
    opener: Opener,
    accepting: Accepting,
    /// The side whose calls may be dropped.
    drops: Option<usize>,
    may_fail: bool,
    /// Calls that write may have to wait.
    stalls: bool,
}

/// Runs a schedule on the opening handshake: its stream, its compression and its frost.
pub(crate) async fn run(schedule: &Schedule, rng: &mut Rng) -> Result<(), String> {
    let (pipe, left, right) = Pipe::new(schedule.habits, rng.fork());
    let opening = Opening::draw(rng, schedule);
    let (connector, acceptor) = settings(schedule.is_compressed);
    let mut executor = Executor::new(pipe.clone(), rng.fork());
    if let Some(side) = schedule.freezes {
        executor.freeze(side);
    }
    let [ours, theirs] = [Ledger::default(), Ledger::default()];
    let task = |ours: &Ledger, theirs: &Ledger, rng: &mut Rng| {
        let (ours, theirs) = (ours.clone(), theirs.clone());
        Task { ours, theirs, rng: rng.fork(), may_fail: opening.may_fail, watch: None }
    };
    let (client, server) = (task(&ours, &theirs, rng), task(&theirs, &ours, rng));
    executor.spawn("a client", opening.open(connector, left, client));
    executor.spawn("a server", opening.accept(acceptor, right, server));
    let result = executor.run().await.map_err(|error| format!("{error}; {opening:?}"));
    pipe.calm();
    sleep(FAREWELL).await;
    match pipe.ends() {
        0 => result,
        ends => Err(format!("{ends} ends of the stream are in memory; {opening:?}, {result:?}")),
    }
}

impl Opening {
    fn draw(rng: &mut Rng, schedule: &Schedule) -> Self {
        use Accepting::{Acceptor, Drop, Exchange, ExchangeWith, Free, Page, Refuse, RefuseWith};
        let opener = match rng.u8(..8) {
            0..=3 => Opener::Connector,
            4..=5 => Opener::Early,
            6 => Opener::Plain,
            _ => Opener::Invalid,
        };
        let ways = [Free, Acceptor, Exchange, ExchangeWith, RefuseWith, Refuse, Page, Drop];
        let accepting = rng.choice(ways).unwrap_or(Free);
        let drops = rng.bool().then(|| rng.usize(..2));
        let may_fail = schedule.freezes.is_some() || drops.is_some();
        Self { opener, accepting, drops, may_fail, stalls: schedule.habits.stalls > 0 }
    }

    /// Returns whether a connection is opened.
    const fn opens(&self) -> bool {
        matches!(
            (self.opener, self.accepting),
            (
                Opener::Connector | Opener::Early,
                Accepting::Free | Accepting::Acceptor | Accepting::Exchange | Accepting::ExchangeWith
            )
        )
    }

    /// Returns the status of the answer.
    const fn status(&self) -> u16 {
        match (self.opener, self.accepting) {
            (Opener::Invalid, _) => 400,
            (_, Accepting::Page) => 200,
            (_, Accepting::Refuse) => 410,
            (Opener::Plain, _) => 426,
            (_, Accepting::RefuseWith) => 403,
            (_, Accepting::Drop) => 404,
            _ => 101,
        }
    }

    /// Checks the status of an answer, which is that of a dropped exchange if the answer was dropped before its first poll.
    fn check_status(&self, status: u16) {
        let unanswered = Self { accepting: Accepting::Drop, ..*self }.status();
        let may_be_unanswered = self.drops == Some(1);
        assert!(status == self.status() || (may_be_unanswered && status == unanswered), "{status}");
    }

    /// Returns whether the answer may not come, or not come whole.
    fn may_be_cut(&self) -> bool {
        self.may_fail || (self.accepting == Accepting::Drop && self.stalls)
    }

    async fn call<X>(&self, side: usize, rng: &mut Rng, operation: impl Future<Output = X>) -> Option<X> {
        match self.drops {
            Some(drops) if drops == side => match rng.u8(..16) {
                0 => None,
                _ => cut(rng, operation).await,
            },
            _ => Some(operation.await),
        }
    }

    /// Opens a connection from one end of the stream, and uses it.
    async fn open(self, connector: Connector<'static>, stream: End, mut task: Task) {
        let mut rng = task.rng.fork();
        match self.opener {
            Opener::Connector => {
                let connecting = connector.connect_over("ws://localhost/", stream, |_| ());
                let Some(result) = self.call(0, &mut rng, connecting).await else { return };
                if let Some(ws) = self.connected(result) {
                    converse(ws, task).await;
                }
            }
            _ => {
                let raw = timeout(PATIENCE, self.open_raw(stream, &mut task));
                match self.call(0, &mut rng, raw).await {
                    Some(Ok(Some(ws))) => converse(ws, task).await,
                    Some(Ok(None)) | None => {}
                    Some(Err(_)) => assert!(self.may_fail, "no answer"),
                }
            }
        }
    }

    fn connected(&self, result: Result<WebSocket<Client, End>, ConnectError>) -> Option<WebSocket<Client, End>> {
        match result {
            Ok(ws) => {
                assert!(self.opens(), "opened");
                return Some(ws);
            }
            Err(ConnectError::Refused(refused)) => self.check_status(refused.status()),
            Err(error) => assert!(self.may_be_cut(), "{error:?}"),
        }
        None
    }

    /// Sends a request, frames that do not wait for its answer, and reads the answer; returns the connection that it opens.
    async fn open_raw(self, mut stream: End, task: &mut Task) -> Option<WebSocket<Client, End>> {
        let mut request = self.request();
        let mut early = Vec::new();
        if matches!(self.opener, Opener::Early) {
            for _ in 0..task.rng.u8(..4) {
                let chunk = task.ours.chunk(0, Place::Whole);
                push_frame(&mut request, &chunk.encode(task.rng.usize(..3_000)));
                early.push(chunk);
            }
        }
        // A server that has refused the request may read no further.
        let is_sent = stream.write_all(&request).await.is_ok() && stream.flush().await.is_ok();
        let mut answer = Vec::new();
        let head_len = read_head(&mut stream, &mut answer).await;
        match head_len {
            Some(len) if answer.starts_with(b"HTTP/1.1 101 ") => {
                assert!(self.opens() && (is_sent || self.may_fail));
                early.into_iter().for_each(|chunk| task.ours.promise(chunk));
                let (config, received) = (Config::default(), answer.split_off(len));
                let role = Client::new(OsEntropy);
                return Some(WebSocket::from_handshake(role, stream, received, Negotiated::default(), &config));
            }
            Some(len) => {
                let _ = stream.read_to_end(&mut answer).await;
                self.check_answer(&answer, len);
            }
            None => assert!(self.may_be_cut(), "the stream ended in the head of the answer"),
        }
        assert!(answer.len() < 9 || answer.starts_with(b"HTTP/1.1 "));
        None
    }

    fn request(&self) -> Vec<u8> {
        let fields = match self.opener {
            Opener::Invalid => return b"no request\r\n\r\n".to_vec(),
            Opener::Plain => "",
            _ => {
                "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                 Sec-WebSocket-Version: 13\r\n"
            }
        };
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n").into_bytes()
    }

    /// Checks an answer without a connection: its status, and the length of its body.
    fn check_answer(&self, answer: &[u8], head_len: usize) {
        let (head, body) = answer.split_at(head_len);
        let head = core::str::from_utf8(head).unwrap();
        self.check_status(head["HTTP/1.1 ".len()..][..3].parse().unwrap());
        let len = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let len: usize = len.expect("a length").parse().unwrap();
        assert!(body.len() == len || (body.len() < len && self.may_be_cut()), "{} of {len} bytes", body.len());
    }

    /// Answers the request that comes from the other end, and uses the connection.
    async fn accept(self, acceptor: Acceptor<'static>, stream: End, mut task: Task) {
        let mut rng = task.rng.fork();
        let result = match self.accepting {
            Accepting::Free => self.call(1, &mut rng, accept(stream)).await,
            Accepting::Acceptor => self.call(1, &mut rng, acceptor.accept(stream)).await,
            _ => self.exchange(acceptor, stream, &mut rng).await,
        };
        match result {
            Some(Ok(ws)) => {
                assert!(self.opens(), "opened");
                converse(ws, task).await;
            }
            Some(Err(error)) => assert!(!self.opens() || self.may_fail, "{error:?}"),
            None => {}
        }
    }

    async fn exchange(
        self,
        acceptor: Acceptor<'static>,
        stream: End,
        rng: &mut Rng,
    ) -> Option<Result<WebSocket<Server, End>, AcceptError>> {
        let exchange = match self.call(1, rng, acceptor.receive(stream)).await? {
            Ok(exchange) => exchange,
            Err(error) => return Some(Err(error)),
        };
        let answered = match self.accepting {
            Accepting::Exchange => return self.call(1, rng, exchange.accept()).await,
            Accepting::ExchangeWith => return self.call(1, rng, exchange.accept_with(Answer::accept())).await,
            Accepting::RefuseWith => return self.call(1, rng, exchange.accept_with(Answer::refuse(403))).await,
            Accepting::Refuse => self.call(1, rng, exchange.refuse(410)).await?,
            Accepting::Page => {
                let page = Page::html("x".repeat(rng.choice([0, 300, 20_000]).unwrap_or_default()));
                self.call(1, rng, exchange.page(&page)).await?
            }
            _ => return None,
        };
        if let Err(error) = answered {
            // The client may leave as soon as it has seen the status.
            assert!(self.may_fail || matches!(self.opener, Opener::Connector), "{error:?}");
        }
        None
    }
}

/// Uses a new connection until both sides have sent all messages.
async fn converse<R: ws_tokio::role::Role + Send + 'static>(ws: WebSocket<R, End>, task: Task)
where
    WebSocket<R, End>: crate::calls::Sends,
{
    Task::end(task.may_fail, task.unsplit(ws, 1, Ending::Close).await);
}

/// Reads until the head of an answer has come and returns its length. `None`: the stream has ended before.
async fn read_head(stream: &mut End, answer: &mut Vec<u8>) -> Option<usize> {
    loop {
        if let Some(at) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            return Some(at + 4);
        }
        if stream.read_buf(answer).await.is_ok_and(|len| len > 0) {
            continue;
        }
        return None;
    }
}

/// Appends a binary message of a client, with a masking key of zeros (RFC 6455 section 5.2).
fn push_frame(out: &mut Vec<u8>, payload: &[u8]) {
    out.push(0x82);
    match u8::try_from(payload.len()) {
        Ok(len @ ..126) => out.push(0x80 | len),
        _ => {
            out.push(0x80 | 126);
            out.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    out.extend([0; 4]);
    out.extend(payload);
}
