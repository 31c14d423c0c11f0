//! A log in Redis, which any number of processes share.
//!
//! A room has a stream for its entries, a key for its epoch, and a key for the last number of each author. Scripts change
//! them, so that no other client sees one without the others. With `appendfsync always` Redis answers an append when the
//! entry is on its disk.

use std::{
    sync::{Condvar, Mutex, PoisonError},
    time::Duration,
};

use ::redis::{
    Client, Connection, RedisError, RedisResult, Script, cmd, pipe,
    streams::{StreamId, StreamRangeReply, StreamReadReply},
};

use super::{
    Batch, Entry, LONGEST_WAIT, Log, LogError, MOST_ENTRIES, NONE, Place, Position, RETENTION, Result, new_epoch,
};
use crate::lock;

/// The most connections that append or read at a time. Redis writes what they append at the same moment to its disk together.
const MOST_CONNECTIONS: usize = 32;
/// Time within which Redis has to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Keys: stream, epoch, author. Arguments: number, payload, author, most entries, retention in seconds, a new epoch.
const APPEND: &str = r"
    redis.call('SET', KEYS[2], ARGV[6], 'NX')
    redis.call('EXPIRE', KEYS[2], ARGV[5])
    redis.call('EXPIRE', KEYS[1], ARGV[5])
    local last = redis.call('HMGET', KEYS[3], 'number', 'position')
    if last[1] and tonumber(ARGV[1]) <= tonumber(last[1]) then
        return last[2]
    end
    local position = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[4], '*', 'by', ARGV[3], 'number', ARGV[1], 'payload', ARGV[2])
    local oldest = (redis.call('TIME')[1] - ARGV[5]) * 1000
    redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', oldest))
    redis.call('EXPIRE', KEYS[1], ARGV[5])
    redis.call('HSET', KEYS[3], 'number', ARGV[1], 'position', position)
    redis.call('EXPIRE', KEYS[3], ARGV[5])
    return position
";

/// Keys: stream, epoch. Arguments: the reader's epoch and position, most entries.
///
/// The log has the reader's position if it has that entry, or if the reader has seen none and none has been trimmed.
const READ: &str = r"
    local epoch = redis.call('GET', KEYS[2])
    if not epoch then
        return false
    end
    local known = false
    if epoch == ARGV[1] then
        local stream = {}
        local found = redis.call('XINFO', 'STREAM', KEYS[1])
        for i = 1, #found, 2 do stream[found[i]] = found[i + 1] end
        known = #redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2]) == 1
            or ARGV[2] == '0-0' and stream['entries-added'] == stream['length']
    end
    local entries
    if known then
        entries = redis.call('XRANGE', KEYS[1], '(' .. ARGV[2], '+', 'COUNT', ARGV[3])
    else
        entries = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[3])
    end
    return {epoch, known and 1 or 0, entries}
";

pub(crate) struct RedisLog {
    client: Client,
    append: Script,
    read: Script,
    pool: Mutex<Pool>,
    returned: Condvar,
    waiting: Mutex<Waiting>,
    wake_key: String,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Connection>,
    in_use: usize,
}

/// The connection that waits, and the last entry of the stream by which a wait is ended.
struct Waiting {
    connection: Option<Connection>,
    woken: String,
}

impl RedisLog {
    /// # Errors
    ///
    /// The URL is none of a Redis server, or the server does not answer.
    pub(crate) fn new(url: &str) -> Result<Self> {
        let log = Self {
            client: Client::open(url)?,
            append: Script::new(APPEND),
            read: Script::new(READ),
            pool: Mutex::default(),
            returned: Condvar::new(),
            waiting: Mutex::new(Waiting { connection: None, woken: "0-0".into() }),
            wake_key: format!("hub:wake:{}", new_epoch()),
        };
        log.with(|connection| cmd("PING").query::<String>(connection))?;
        Ok(log)
    }

    fn connect(&self) -> RedisResult<Connection> {
        let connection = self.client.get_connection_with_timeout(PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.set_write_timeout(Some(PATIENCE))?;
        Ok(connection)
    }

    /// Calls `command` with a connection that no other thread uses.
    fn with<X>(&self, command: impl FnOnce(&mut Connection) -> RedisResult<X>) -> Result<X> {
        let is_full = |pool: &mut Pool| pool.in_use == MOST_CONNECTIONS;
        let mut pool = self.returned.wait_while(lock(&self.pool), is_full).unwrap_or_else(PoisonError::into_inner);
        pool.in_use += 1;
        let idle = pool.idle.pop();
        drop(pool);
        let mut connection = idle.map_or_else(|| self.connect(), Ok);
        let result = connection.as_mut().map_err(|error| error.clone()).and_then(command);
        let mut pool = lock(&self.pool);
        pool.in_use -= 1;
        // After a failure the answer to one command could be taken for that to the next.
        match (&result, connection) {
            (Ok(_), Ok(connection)) => pool.idle.push(connection),
            // The others are as old.
            _ => pool.idle.clear(),
        }
        drop(pool);
        self.returned.notify_one();
        Ok(result?)
    }
}

impl Log for RedisLog {
    fn append(&self, room: &str, author: &str, number: u64, payload: &str) -> Result<Position> {
        let mut script = self.append.key(stream(room));
        script.key(format!("{}:epoch", stream(room))).key(format!("{}:by:{author}", stream(room)));
        script.arg(number).arg(payload).arg(author).arg(MOST_ENTRIES).arg(RETENTION.as_secs()).arg(new_epoch());
        let position: String = self.with(|connection| script.invoke(connection))?;
        position.parse().map_err(LogError)
    }

    fn read(&self, room: &str, after: &Place, most: usize) -> Result<Batch> {
        let mut script = self.read.key(stream(room));
        script.key(format!("{}:epoch", stream(room)));
        script.arg(&after.epoch).arg(after.position.to_string()).arg(most);
        let found: Option<(String, bool, StreamRangeReply)> = self.with(|connection| script.invoke(connection))?;
        let Some((epoch, known, found)) = found else { return Ok(Batch::none(after)) };
        let mut entries = found.ids.iter().map(entry).collect::<Result<Vec<_>>>()?;
        // The newest entries come in reverse.
        entries.sort_by_key(|entry| entry.position);
        let start = if known { after.position } else { Position::default() };
        let end = entries.last().map_or(start, |entry| entry.position);
        Ok(Batch { epoch, is_reset: !known, entries, end })
    }

    fn trim(&self, room: &str, first: Position) -> Result<()> {
        let mut trim = cmd("XTRIM");
        trim.arg(stream(room)).arg("MINID").arg(first.to_string());
        self.with(|connection| trim.query(connection))
    }

    fn wait(&self, rooms: &[(String, Place)]) -> Result<Vec<usize>> {
        let mut waiting = lock(&self.waiting);
        let Waiting { connection, woken } = &mut *waiting;
        let mut found = connection.take().map_or_else(|| self.connect(), Ok)?;
        let streams: Vec<_> = rooms.iter().map(|(room, _)| stream(room)).collect();
        let mut read = cmd("XREAD");
        read.arg("COUNT").arg(1).arg("BLOCK").arg(u64::try_from(LONGEST_WAIT.as_millis()).unwrap_or(u64::MAX));
        read.arg("STREAMS").arg(&self.wake_key).arg(&streams).arg(&*woken);
        rooms.iter().for_each(|(_, place)| _ = read.arg(place.position.to_string()));
        let news: Option<StreamReadReply> = read.query(&mut found)?;
        let news = news.map(|reply| reply.keys).unwrap_or_default();
        if let Some(last) =
            news.iter().find(|stream| stream.key == self.wake_key).and_then(|stream| stream.ids.last())
        {
            woken.clone_from(&last.id);
        }
        let mut epochs = cmd("MGET");
        epochs.arg(&self.wake_key).arg(streams.iter().map(|stream| format!("{stream}:epoch")).collect::<Vec<_>>());
        let epochs: Vec<Option<String>> = epochs.query(&mut found)?;
        *connection = Some(found);
        let is_changed = |index: &usize| {
            epochs.get(index + 1).and_then(Option::as_deref).unwrap_or(NONE) != rooms[*index].1.epoch
                || news.iter().any(|stream| stream.key == streams[*index])
        };
        Ok((0..rooms.len()).filter(is_changed).collect())
    }

    fn wake(&self) {
        // Without an answer the wait ends by itself.
        let _ = self.with(|connection| {
            let mut add = pipe();
            add.cmd("XADD").arg(&self.wake_key).arg("MAXLEN").arg(1).arg("*").arg("wake").arg(1).ignore();
            add.cmd("EXPIRE").arg(&self.wake_key).arg(RETENTION.as_secs()).ignore();
            add.query::<()>(connection)
        });
    }
}

/// Returns the key of a room's stream.
fn stream(room: &str) -> String {
    format!("hub:{room}")
}

fn entry(found: &StreamId) -> Result<Entry> {
    let field = |name| found.get(name).ok_or_else(|| LogError(format!("an entry has no field '{name}'").into()));
    let number: String = field("number")?;
    Ok(Entry {
        position: found.id.parse().map_err(LogError)?,
        author: field("by")?,
        number: number.parse().map_err(|error| LogError(Box::new(error)))?,
        payload: field("payload")?,
    })
}

impl From<RedisError> for LogError {
    fn from(error: RedisError) -> Self {
        Self(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests::contract;

    #[test]
    #[ignore = "needs a Redis, whose URL is in HUB_REDIS: tests/hub/run has one"]
    fn keeps_the_contract() {
        let log = RedisLog::new(&std::env::var("HUB_REDIS").unwrap()).unwrap();
        contract(&log);
        log.append("gone", "ada", 1, "gone").unwrap();
        let place = Place { epoch: log.read("gone", &Place::default(), 1).unwrap().epoch, ..Place::default() };
        log.with(|connection| cmd("DEL").arg("hub:gone:epoch").query::<()>(connection)).unwrap();
        assert_eq!(log.wait(&[("gone".to_owned(), place.clone())]).unwrap(), [0]);
        let batch = log.read("gone", &place, 1).unwrap();
        assert!(batch.is_reset && batch.epoch != place.epoch);
    }
}
