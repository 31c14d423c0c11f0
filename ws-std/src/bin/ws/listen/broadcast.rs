//! A room: each message goes to all other clients.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
};

use ws_std::{HandlerResult, Message, Prepared, Reader, Writer, proto::utf8::InvalidUtf8, role::Server};

use super::log::{Connection, Log};

/// The messages that may wait for a client. One that takes them too slowly is disconnected.
const WAITING: usize = 256;

/// Stack, in bytes, of the thread that writes to a client.
const WRITER_STACK: usize = 128 * 1024;

type Shared = Arc<Prepared<Vec<u8>>>;

#[derive(Default)]
pub(super) struct Room {
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    by_id: HashMap<u64, Member>,
    next: u64,
}

struct Member {
    messages: SyncSender<Shared>,
    writer: Writer<Server>,
}

impl Room {
    pub(super) fn serve(&self, ws: Connection, log: &Log, peer: &str) -> HandlerResult {
        let (mut reader, writer) = ws.split();
        let (messages, waiting) = mpsc::sync_channel(WAITING);
        thread::scope(|scope| {
            let to_member = writer.clone();
            let thread = thread::Builder::new().stack_size(WRITER_STACK);
            thread.spawn_scoped(scope, move || write_all(to_member, &waiting))?;
            let id = self.join(Member { messages, writer });
            let result = self.read_all(&mut reader, id, log, peer);
            // Without its sender the thread above ends.
            self.members().by_id.remove(&id);
            result
        })
    }

    fn read_all(&self, reader: &mut Reader<Server>, id: u64, log: &Log, peer: &str) -> HandlerResult {
        while let Some(message) = reader.read()? {
            log.message(peer, message);
            self.send(id, Arc::new(prepared(message)?));
        }
        log.closed(peer, reader.close_frame());
        Ok(())
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, member: Member) -> u64 {
        let mut members = self.members();
        members.next += 1;
        let id = members.next;
        members.by_id.insert(id, member);
        id
    }

    fn send(&self, from: u64, message: Shared) {
        for (_, member) in self.members().by_id.iter().filter(|(id, _)| **id != from) {
            if member.messages.try_send(Arc::clone(&message)).is_err() {
                member.writer.abort();
            }
        }
    }
}

fn prepared(message: Message<'_>) -> Result<Prepared<Vec<u8>>, InvalidUtf8> {
    Prepared::new(message.kind(), message.as_bytes().to_vec())
}

fn write_all(mut writer: Writer<Server>, waiting: &Receiver<Shared>) {
    for message in waiting {
        if writer.send_prepared(&message).is_err() {
            return;
        }
    }
}
