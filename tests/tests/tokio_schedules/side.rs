//! The calls of one side of a connection, in an order that a seed says, each dropped at any of its waits.

use std::{cell::RefCell, rc::Rc};

use fastrand::Rng;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::{io::AsyncWriteExt, sync::Semaphore};
use ws_tokio::{
    Control, Error, Message, MessageKind, MessageWriter, OwnedMessage, Part, Reader, Reply, Result, TrySendError,
    WebSocket, Writer, proto::SendError, role::Role,
};

use crate::{
    calls::{Form, Reads, Received, Sends},
    executor::{Executor, cut},
    ledger::{Chunk, Ledger, Place, length},
    pipe::End,
    watch::Watch,
};

/// The way in which a task sends or receives on its side of the connection.
pub(crate) struct Task {
    pub(crate) ours: Ledger,
    pub(crate) theirs: Ledger,
    pub(crate) rng: Rng,
    /// Errors end a task; the peer's stream may fail.
    pub(crate) may_fail: bool,
    /// `None`: no tracker watches the connection.
    pub(crate) watch: Option<Rc<Watch>>,
}

/// The way in which a side ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// By `close` of the whole connection or the reading half.
    Close,
    /// By `send_close` or the sink's `close`; then it reads to the end.
    SendClose,
    /// By `close` of a writing half, while the reading half reads.
    CloseWriter,
    /// By `close` after the halves have been put together.
    Reunite,
    /// By `abort` of a writing half.
    Abort,
    /// By a tracker, while this side reads.
    Tracker,
    /// The peer does it.
    Wait,
}

fn text(bytes: &[u8], is_text: bool) -> Message<'_> {
    if is_text { Message::Text(core::str::from_utf8(bytes).unwrap()) } else { Message::Binary(bytes) }
}

fn owned(bytes: Vec<u8>, is_text: bool) -> OwnedMessage {
    if is_text { String::from_utf8(bytes).unwrap().into() } else { bytes.into() }
}

impl Task {
    pub(crate) fn fork(&mut self) -> Self {
        let (ours, theirs) = (self.ours.clone(), self.theirs.clone());
        Self { ours, theirs, rng: self.rng.fork(), may_fail: self.may_fail, watch: self.watch.clone() }
    }

    /// Ends a task: with an error only where the stream may fail.
    pub(crate) fn end(may_fail: bool, result: Result<()>) {
        match result {
            Err(error) if !may_fail => panic!("{error:?}"),
            _ => {}
        }
    }

    /// Lets a tracker close the connection, if one does.
    fn settle(&self) {
        self.watch.iter().for_each(|watch| watch.settle());
    }

    fn chunk(&mut self, writer: u8, place: Place) -> (Chunk, Vec<u8>) {
        let chunk = self.ours.chunk(writer, place);
        (chunk, chunk.encode(length(&mut self.rng)))
    }

    /// Sends something in some way.
    async fn write(&mut self, link: &mut impl Sends, writer: u8, has_parts: bool) -> Result<()> {
        match self.rng.u8(..if has_parts { 15 } else { 11 }) {
            9 => return self.ping(link).await,
            10 => drop(cut(&mut self.rng, link.flush()).await.transpose()?),
            11 | 12 => return self.write_parts(link, writer).await,
            13 => return self.write_stream(link, writer).await,
            14 => return self.write_finished(link, writer).await,
            way => return self.write_whole(link, writer, Place::Whole, way).await.map(drop),
        }
        Ok(())
    }

    /// Sends a whole message; returns whether that is certain.
    async fn write_whole(&mut self, link: &mut impl Sends, writer: u8, place: Place, way: u8) -> Result<bool> {
        let (chunk, bytes) = self.chunk(writer, place);
        let is_text = self.rng.bool();
        let message = text(&bytes, is_text);
        let rng = &mut self.rng;
        let sent = match way {
            0..=1 => cut(rng, link.send(message)).await,
            2 => cut(rng, link.queue(message)).await,
            3 => match link.try_send(message) {
                Ok(()) => Some(Ok(())),
                Err(TrySendError::Full) => None,
                Err(TrySendError::Failed(error)) => return Err(error),
                Err(error) => panic!("{error:?}"),
            },
            4 => cut(rng, link.sink_send(owned(bytes, is_text))).await,
            5 => cut(rng, link.sink_feed(owned(bytes, is_text))).await,
            6 => cut(rng, link.send_prepared(message)).await,
            7 => cut(rng, link.queue_prepared(message)).await,
            _ => cut(rng, link.send_part(message_kind(is_text), Part::Whole, &bytes)).await,
        };
        if let Some(result) = sent {
            result?;
            self.ours.promise(chunk);
            return Ok(true);
        }
        Ok(false)
    }

    async fn ping(&mut self, link: &mut impl Sends) -> Result<()> {
        let payload = self.ours.ping();
        cut(&mut self.rng, link.ping(&payload)).await.transpose().map(drop)
    }

    /// Sends one part; `None`: it is not known whether it was queued.
    async fn write_part(
        &mut self,
        link: &mut impl Sends,
        writer: u8,
        kind: MessageKind,
        part: Part,
    ) -> Option<Result<()>> {
        let place = match part {
            Part::First => Place::First,
            Part::Middle => Place::Middle,
            _ => Place::Last,
        };
        let (chunk, bytes) = self.chunk(writer, place);
        let sent = cut(&mut self.rng, link.send_part(kind, part, &bytes)).await;
        if matches!(sent, Some(Ok(()))) {
            self.ours.promise(chunk);
        }
        sent
    }

    /// Sends a message in parts. After a call that was dropped, an error of the next one says whether it had queued its part.
    async fn write_parts(&mut self, link: &mut impl Sends, writer: u8) -> Result<()> {
        let kind = message_kind(self.rng.bool());
        let mut part = Part::First;
        loop {
            match self.write_part(link, writer, kind, part).await {
                Some(Ok(())) => break,
                Some(Err(Error::Send(SendError::NoMessage))) if part == Part::Middle => part = Part::First,
                Some(Err(error)) => return Err(error),
                None => part = Part::Middle,
            }
        }
        for _ in 0..self.rng.u8(..3) {
            self.write_part(link, writer, kind, Part::Middle).await.transpose()?;
        }
        loop {
            match self.write_part(link, writer, kind, Part::Last).await {
                Some(Ok(()) | Err(Error::Send(SendError::NoMessage))) => return Ok(()),
                Some(Err(error)) => return Err(error),
                None => {}
            }
        }
    }

    /// Sends a message by `finish`, which takes the writer. A call that was dropped has sent the last part or lost it, and then
    /// the message can be completed by that part.
    async fn write_finished(&mut self, link: &mut impl Sends, writer: u8) -> Result<()> {
        let kind = message_kind(self.rng.bool());
        let first = self.rng.bool().then(|| self.chunk(writer, Place::First));
        let last = self.ours.chunk(writer, if first.is_some() { Place::Last } else { Place::Whole });
        let bytes = last.encode(self.rng.usize(..3_000));
        let mut stream = link.message_writer(kind);
        if let Some((_, bytes)) = &first {
            write_pieces(&mut self.rng, &mut stream, bytes).await?;
            while cut(&mut self.rng, stream.flush()).await.transpose()?.is_none() {}
        }
        stream.write_all(&bytes).await?;
        let finished = cut(&mut self.rng, stream.finish()).await.transpose()?.is_some();
        if finished || first.is_some() {
            let mut is_sent = finished;
            while !is_sent {
                is_sent = match cut(&mut self.rng, link.send_part(kind, Part::Last, &bytes)).await {
                    Some(Ok(()) | Err(Error::Send(SendError::NoMessage))) => true,
                    Some(Err(error)) => return Err(error),
                    None => false,
                };
            }
            first.map(|(chunk, _)| chunk).into_iter().chain([last]).for_each(|chunk| self.ours.promise(chunk));
        }
        Ok(())
    }

    async fn write_stream(&mut self, link: &mut impl Sends, writer: u8) -> Result<()> {
        let is_text = self.rng.bool();
        let mut places = vec![Place::First];
        places.extend((0..self.rng.u8(..3)).map(|_| Place::Middle));
        places.push(Place::Last);
        let chunks: Vec<_> = places.into_iter().map(|place| self.chunk(writer, place)).collect();
        let mut stream = link.message_writer(message_kind(is_text));
        for (_, bytes) in &chunks {
            write_pieces(&mut self.rng, &mut stream, bytes).await?;
        }
        while cut(&mut self.rng, stream.shutdown()).await.transpose()?.is_none() {}
        chunks.into_iter().for_each(|(chunk, _)| self.ours.promise(chunk));
        Ok(())
    }

    /// Sends the last message of a writer.
    async fn write_end(&mut self, link: &mut impl Sends, writer: u8) -> Result<()> {
        loop {
            match self.write_whole(link, writer, Place::End, 0).await {
                Ok(false) => {}
                // The peer has received the message of a call that was dropped, and has closed.
                Ok(true) | Err(Error::Send(SendError::Closing)) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads once, in any form that may follow what has been read. Returns `false` at the end of the connection.
    async fn read(&mut self, link: &mut impl Reads, parts: &mut Option<Vec<u8>>) -> Result<bool> {
        let forms = [Form::Part, Form::PartEvent, Form::Read, Form::Event, Form::Owned, Form::Next];
        let form = forms[self.rng.usize(..if parts.is_some() { 2 } else { forms.len() })];
        match cut(&mut self.rng, link.receive(form)).await.transpose()? {
            None => {}
            Some(Received::End) => return Ok(false),
            Some(Received::Message(message)) => self.theirs.receive(&message),
            Some(Received::Control(Control::Pong)) => self.ours.pong(&link.pong()),
            Some(Received::Control(_)) => {}
            Some(Received::Part(bytes, part)) => self.receive_part(parts, &bytes, part),
        }
        Ok(true)
    }

    /// Adds a part to the message in progress, and checks that when it is complete.
    fn receive_part(&mut self, parts: &mut Option<Vec<u8>>, bytes: &[u8], part: Part) {
        parts.get_or_insert_default().extend(bytes);
        if matches!(part, Part::Whole | Part::Last) {
            self.theirs.receive(&parts.take().unwrap_or_default());
        }
    }

    async fn read_ends(
        &mut self,
        link: &mut impl Reads,
        parts: &mut Option<Vec<u8>>,
        writers: usize,
    ) -> Result<()> {
        while !self.theirs.has_ended(writers) {
            assert!(self.read(link, parts).await?, "the connection ended before all messages had come");
        }
        Ok(())
    }

    async fn read_to_end(&mut self, link: &mut impl Reads, mut parts: Option<Vec<u8>>) -> Result<()> {
        while self.read(link, &mut parts).await? {}
        Ok(())
    }

    /// Calls `close` until it returns.
    async fn close(&mut self, link: &mut impl Reads) -> Result<()> {
        loop {
            if let Some(closed) = cut(&mut self.rng, link.close()).await.transpose()? {
                assert!(closed.clean || self.may_fail, "{closed:?}");
                return Ok(());
            }
        }
    }

    async fn send_close(&mut self, link: &mut impl Sends) -> Result<()> {
        loop {
            let sent = match self.rng.bool() {
                true => cut(&mut self.rng, link.send_close()).await,
                false => cut(&mut self.rng, link.sink_close()).await,
            };
            if sent.transpose()?.is_some() {
                return Ok(());
            }
        }
    }

    /// Uses a connection that is not split, with one peer of `writers` writers.
    pub(crate) async fn unsplit<R: Role + Send + 'static>(
        mut self,
        mut ws: WebSocket<R, End>,
        writers: usize,
        ending: Ending,
    ) -> Result<()>
    where
        WebSocket<R, End>: Sends,
    {
        let mut parts = None;
        for _ in 0..self.rng.u8(..12) {
            match self.rng.u8(..8) {
                0..=2 if self.theirs.owes() => drop(self.read(&mut ws, &mut parts).await?),
                3 if self.theirs.owes() && parts.is_none() => self.reply(&mut ws).await?,
                4 if self.theirs.owes() => self.reply_to_part(&mut ws, &mut parts).await?,
                _ => self.write(&mut ws, 0, true).await?,
            }
        }
        self.write_end(&mut ws, 0).await?;
        self.read_ends(&mut ws, &mut parts, writers).await?;
        match ending {
            Ending::Wait | Ending::Tracker => {
                self.settle();
                self.read_to_end(&mut ws, parts).await
            }
            Ending::SendClose => {
                self.send_close(&mut ws).await?;
                self.read_to_end(&mut ws, parts).await
            }
            _ => self.close(&mut ws).await,
        }
    }

    /// Reads a message, and sends one while that is borrowed.
    async fn reply<R: Role + Send + 'static>(&mut self, ws: &mut WebSocket<R, End>) -> Result<()> {
        let Some(Some(mut received)) = cut(&mut self.rng, ws.read()).await.transpose()? else { return Ok(()) };
        self.theirs.receive(received.message.as_bytes());
        self.send_reply(&mut received.reply).await
    }

    /// Reads a part of a message, and sends a message while that is borrowed.
    async fn reply_to_part<R: Role + Send + 'static>(
        &mut self,
        ws: &mut WebSocket<R, End>,
        parts: &mut Option<Vec<u8>>,
    ) -> Result<()> {
        let Some(Some(mut received)) = cut(&mut self.rng, ws.read_part()).await.transpose()? else {
            return Ok(());
        };
        self.receive_part(parts, received.data.as_bytes(), received.data.part());
        self.send_reply(&mut received.reply).await
    }

    async fn send_reply<R: Role + Send + 'static>(&mut self, reply: &mut Reply<'_, R, End>) -> Result<()> {
        let (chunk, bytes) = self.chunk(0, Place::Whole);
        let (kind, rng) = (MessageKind::Binary, &mut self.rng);
        let sent = match rng.u8(..6) {
            0 => cut(rng, reply.queue(&*bytes)).await,
            1 => cut(rng, reply.send(&*bytes)).await,
            2 => cut(rng, reply.queue_part(kind, Part::Whole, &bytes)).await,
            3 => cut(rng, reply.send_part(kind, Part::Whole, &bytes)).await,
            4 => {
                let mut stream = reply.message_writer(kind);
                write_pieces(rng, &mut stream, &bytes).await?;
                while cut(rng, stream.shutdown()).await.transpose()?.is_none() {}
                Some(Ok(()))
            }
            _ => return cut(rng, reply.flush()).await.transpose().map(drop),
        };
        if sent.transpose()?.is_some() {
            self.ours.promise(chunk);
        }
        Ok(())
    }
}

/// Writes to a streamed message, and flushes it now and then.
async fn write_pieces(rng: &mut Rng, stream: &mut MessageWriter<'_>, bytes: &[u8]) -> Result<()> {
    let mut at = 0;
    while at < bytes.len() {
        if let Some(result) = cut(rng, stream.write(&bytes[at..])).await {
            at += result?;
        }
        if rng.u8(..4) == 0 {
            cut(rng, stream.flush()).await.transpose()?;
        }
    }
    Ok(())
}

const fn message_kind(is_text: bool) -> MessageKind {
    if is_text { MessageKind::Text } else { MessageKind::Binary }
}

/// Lets a task wait for others, whether they succeed or fail.
pub(crate) struct Done(pub(crate) Rc<Semaphore>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

pub(crate) async fn wait_for(count: u8, gate: &Semaphore) {
    gate.acquire_many(count.into()).await.unwrap().forget();
}

/// Uses the halves of a connection in tasks of their own.
pub(crate) fn halves<R: Role + Send + 'static>(
    executor: &mut Executor,
    mut task: Task,
    ws: WebSocket<R, End>,
    (own, peers): (u8, usize),
    ending: Ending,
) where
    Writer<R, End>: Sends,
{
    let (reader, writer) = ws.split();
    let written = Rc::new(Semaphore::new(0));
    let read = Rc::new(Semaphore::new(0));
    let finished = Rc::new(RefCell::new(Vec::new()));
    let may_fail = task.may_fail;
    for id in 0..own {
        let (task, writer, finished) = (task.fork(), writer.clone(), Rc::clone(&finished));
        let (done, read) = (Done(Rc::clone(&written)), Rc::clone(&read));
        // One writer may end the connection.
        let ending = if id == 0 { ending } else { Ending::Wait };
        executor.spawn("a writer", async move {
            Task::end(may_fail, task.write_half(writer, (id, own), done, (ending, read), finished).await);
        });
    }
    drop(writer);
    executor.spawn("a reader", async move {
        let done = Done(read);
        Task::end(may_fail, task.read_half(reader, (own, peers), (done, &written), ending, &finished).await);
    });
}

impl Task {
    async fn write_half<R: Role + Send + 'static>(
        mut self,
        mut writer: Writer<R, End>,
        (id, own): (u8, u8),
        done: Done,
        (ending, read): (Ending, Rc<Semaphore>),
        finished: Rc<RefCell<Vec<Writer<R, End>>>>,
    ) -> Result<()>
    where
        Writer<R, End>: Sends,
    {
        for _ in 0..self.rng.u8(..8) {
            self.write(&mut writer, id, own == 1).await?;
        }
        // Some abort while others write, and some while the reading half waits for the end.
        if ending == Ending::Abort && self.rng.bool() {
            writer.abort();
            return Ok(());
        }
        self.write_end(&mut writer, id).await?;
        if !matches!(ending, Ending::CloseWriter | Ending::Abort) {
            finished.borrow_mut().push(writer);
            return Ok(());
        }
        drop(done);
        wait_for(1, &read).await;
        if ending == Ending::Abort {
            writer.abort();
            return Ok(());
        }
        loop {
            if let Some(closed) = cut(&mut self.rng, Sends::close(&mut writer)).await.transpose()? {
                assert!(closed.clean || self.may_fail, "{closed:?}");
                return Ok(());
            }
        }
    }

    async fn read_half<R: Role + Send + 'static>(
        mut self,
        mut reader: Reader<R, End>,
        (own, peers): (u8, usize),
        (done, written): (Done, &Semaphore),
        ending: Ending,
        finished: &RefCell<Vec<Writer<R, End>>>,
    ) -> Result<()>
    where
        Writer<R, End>: Sends,
    {
        let mut parts = None;
        self.read_ends(&mut reader, &mut parts, peers).await?;
        wait_for(own, written).await;
        drop(done);
        self.settle();
        let writers = core::mem::take(&mut *finished.borrow_mut());
        let mut writers = writers.into_iter();
        match (ending, writers.next()) {
            (Ending::Close, _) => self.close(&mut reader).await,
            (Ending::SendClose, Some(mut writer)) => {
                self.send_close(&mut writer).await?;
                self.read_to_end(&mut reader, parts).await
            }
            (Ending::Reunite, Some(writer)) => {
                writers.for_each(drop);
                match reader.reunite(writer) {
                    Ok(mut ws) => self.close(&mut ws).await,
                    // A writer that failed has not been dropped yet.
                    Err(_) => {
                        assert!(self.may_fail);
                        Ok(())
                    }
                }
            }
            _ => self.read_to_end(&mut reader, parts).await,
        }
    }
}

/// Uses a connection as a stream and a sink that are in two tasks.
pub(crate) fn stream_and_sink<R: Role + Send + 'static>(
    executor: &mut Executor,
    mut task: Task,
    ws: WebSocket<R, End>,
    peers: usize,
    ending: Ending,
) {
    let (sink, stream) = StreamExt::split(ws);
    let (read, may_fail) = (Rc::new(Semaphore::new(0)), task.may_fail);
    let (other, gate) = (task.fork(), Rc::clone(&read));
    executor.spawn("a sink", async move {
        Task::end(may_fail, other.feed(sink, &gate, ending).await);
    });
    executor.spawn("a stream", async move {
        Task::end(may_fail, task.drain(stream, peers, Done(read)).await);
    });
}

impl Task {
    async fn feed(
        mut self,
        mut sink: impl Sink<OwnedMessage, Error = Error> + Unpin,
        read: &Semaphore,
        ending: Ending,
    ) -> Result<()> {
        let mut left = self.rng.u8(..12);
        loop {
            let (chunk, bytes) = self.chunk(0, if left == 0 { Place::End } else { Place::Whole });
            let message = owned(bytes, self.rng.bool());
            let sent = match self.rng.u8(..if left == 0 { 1 } else { 3 }) {
                0 => cut(&mut self.rng, sink.send(message)).await,
                1 => cut(&mut self.rng, sink.feed(message)).await,
                _ => cut(&mut self.rng, sink.flush()).await.map(|_| Ok(())).filter(|_| false),
            };
            match sent {
                Some(Ok(())) => self.ours.promise(chunk),
                Some(Err(Error::Send(SendError::Closing))) if left == 0 => break,
                Some(Err(error)) => return Err(error),
                None => {}
            }
            if left == 0 && sent.is_some() {
                break;
            }
            left = left.saturating_sub(1);
        }
        wait_for(1, read).await;
        self.settle();
        if !matches!(ending, Ending::Wait | Ending::Tracker) {
            while cut(&mut self.rng, sink.close()).await.transpose()?.is_none() {}
        }
        Ok(())
    }

    async fn drain(
        mut self,
        mut stream: impl Stream<Item = Result<OwnedMessage>> + Unpin,
        peers: usize,
        done: Done,
    ) -> Result<()> {
        let mut done = Some(done);
        loop {
            match cut(&mut self.rng, stream.next()).await {
                Some(Some(message)) => self.theirs.receive(message?.as_bytes()),
                Some(None) => {
                    assert!(done.is_none() || self.may_fail, "the connection ended early");
                    return Ok(());
                }
                None => {}
            }
            if self.theirs.has_ended(peers) {
                done = None;
            }
        }
    }
}
