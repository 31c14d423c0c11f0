//! The members of the room, and the lines that they exchange.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use ws_std::{
    CloseCode, Error, Exchange, HandlerResult, Message, MessageKind, Prepared, Reader, Writer,
    deflate::{Deflater, Settings},
    proto::SendError,
    role::Server,
};

use crate::{
    pace::Pace,
    program::is_plain,
    queue::{self, Queue},
};

/// The longest line in bytes. A longer one closes the connection with 1009.
pub(crate) const LONGEST_LINE: u64 = 4 * 1024;
pub(crate) const COMPRESSION: Settings = Settings::small();
/// The longest name in characters.
const LONGEST_NAME: usize = 32;
/// Stack, in bytes, of the thread that writes to a member.
const WRITER_STACK: usize = 128 * 1024;

/// A line for all members, plain and compressed: some connections do not compress.
struct Line {
    plain: Prepared<Vec<u8>>,
    deflated: Prepared<Vec<u8>>,
    len: usize,
}

impl queue::Line for Arc<Line> {
    fn len(&self) -> usize {
        self.len
    }
}

pub(crate) struct Room {
    members: Mutex<Members>,
    deflater: Mutex<Deflater>,
}

#[derive(Default)]
struct Members {
    by_id: HashMap<u64, Member>,
    next: u64,
}

struct Member {
    queue: Arc<Queue<Arc<Line>>>,
    writer: Writer<Server>,
}

impl Room {
    pub(crate) fn new() -> Self {
        Self { members: Mutex::default(), deflater: Mutex::new(Deflater::new(COMPRESSION)) }
    }

    /// Serves a member until it leaves.
    pub(crate) fn serve(&self, exchange: Exchange) -> HandlerResult {
        let name = name_in(exchange.query());
        let (reader, writer) = exchange.accept()?.split();
        let queue = Arc::new(Queue::new());
        thread::scope(|scope| {
            let (lines, to_member) = (Arc::clone(&queue), writer.clone());
            // If the system has no thread, the connection ends, and the page tries again later.
            let thread = thread::Builder::new().stack_size(WRITER_STACK);
            thread.spawn_scoped(scope, move || write_lines(to_member, &lines))?;
            let id = self.join(Member { queue: Arc::clone(&queue), writer });
            self.say(&format!("join\t{name}"));
            let result = self.read_lines(reader, &name);
            self.leave(id);
            queue.close();
            self.say(&format!("leave\t{name}"));
            Ok(result?)
        })
    }

    fn read_lines(&self, mut reader: Reader<Server>, name: &str) -> ws_std::Result<()> {
        let mut pace = Pace::default();
        while let Some(message) = reader.read()? {
            let Message::Text(text) = message else {
                reader.close(CloseCode::POLICY_VIOLATION, "lines of text only")?;
                return Ok(());
            };
            let line = plain(text);
            let Some(wait) = pace.line(Instant::now()) else {
                reader.close(CloseCode::POLICY_VIOLATION, "too many lines")?;
                return Ok(());
            };
            thread::sleep(wait);
            if !line.is_empty() {
                self.say(&format!("say\t{name}\t{line}"));
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, member: Member) -> u64 {
        let mut members = self.lock();
        members.next += 1;
        let id = members.next;
        members.by_id.insert(id, member);
        id
    }

    fn leave(&self, id: u64) {
        self.lock().by_id.remove(&id);
    }

    /// Encodes a line once and queues it for all members, without waiting for any.
    fn say(&self, line: &str) {
        let Ok(plain) = Prepared::new(MessageKind::Text, line.as_bytes().to_vec()) else {
            return;
        };
        let mut deflater = self.deflater.lock().unwrap_or_else(PoisonError::into_inner);
        let deflated = deflater.prepare(Message::Text(line), COMPRESSION.server_max_window_bits);
        drop(deflater);
        let line = Arc::new(Line { plain, deflated, len: line.len() });
        let (now, mut late) = (Instant::now(), Vec::new());
        self.lock().by_id.retain(|_, member| {
            let keeps_up = member.queue.push(now, Arc::clone(&line));
            if !keeps_up {
                late.push(member.writer.clone());
            }
            keeps_up
        });
        // The threads of these members see the connection end.
        late.iter().for_each(Writer::abort);
    }
}

/// Writes the lines of a member's queue until the member has left.
fn write_lines(mut writer: Writer<Server>, lines: &Queue<Arc<Line>>) {
    while let Some(line) = lines.pop() {
        let sent = match writer.send_prepared(&line.deflated) {
            Err(Error::Send(SendError::NotNegotiated)) => writer.send_prepared(&line.plain),
            sent => sent,
        };
        if sent.is_err() {
            // The thread that reads reports the error.
            return;
        }
    }
}

/// Returns the name that a member has chosen in the query, cut and cleaned; "guest" if none is left.
fn name_in(query: Option<&str>) -> String {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let name = pairs.filter(|(key, _)| key == "name").map(|(_, name)| name).next().unwrap_or_default();
    let name: String = plain(&name).chars().take(LONGEST_NAME).collect();
    if name.is_empty() { "guest".into() } else { name }
}

/// Returns a text without characters that are invisible or change how others are shown.
fn plain(text: &str) -> String {
    text.replace('\t', " ").chars().filter(|&character| is_plain(character)).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_lines_have_no_characters_that_deceive() {
        let hidden = "a\u{1b}\u{202E}\u{2066}\u{200E}\u{061C}\u{200B}\u{2060}\u{FEFF}\r\n\u{85}b\tc ";
        assert_eq!(plain(hidden), "ab c");
        assert_eq!(plain("Grüße, 世界 🦀"), "Grüße, 世界 🦀");
        assert_eq!(name_in(Some("x=1&name=%E2%80%AEEve+")), "Eve");
        assert_eq!(name_in(Some(&format!("name={}", "x".repeat(100)))).len(), LONGEST_NAME);
        assert_eq!([name_in(None), name_in(Some("name=%E2%80%8B"))], ["guest", "guest"]);
    }
}
