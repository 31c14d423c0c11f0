//! A log in Redis, which any number of processes share.
//!
//! A room has a stream for its entries, a key for its epoch, and a key for the last number of each author. Scripts change
//! them, so that no other client sees one without the others. With `appendfsync always` Redis answers an append when the
//! entry is on its disk.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ::redis::{
    Client, Connection, RedisResult, Script, cmd,
    streams::{StreamId, StreamRangeReply, StreamReadReply},
};

use super::{Batch, Entry, LONGEST_WAIT, Log, MOST_ENTRIES, NONE, Place, Position, RETENTION, Result, new_name};
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
    if last[1] and redis.call('EXISTS', KEYS[1]) == 1 and tonumber(ARGV[1]) <= tonumber(last[1]) then
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

/// Keys: stream, epoch. Arguments: the reader's epoch and position, most entries, the epoch of an empty log.
///
/// The log has the reader's position if it has that entry, or if the reader has seen none and none has been trimmed.
const READ: &str = r"
    local epoch = redis.call('GET', KEYS[2])
    if not epoch then
        return false
    end
    local known = false
    if ARGV[1] == epoch or ARGV[1] == ARGV[4] then
        local stream = {}
        if redis.call('EXISTS', KEYS[1]) == 1 then
            local found = redis.call('XINFO', 'STREAM', KEYS[1])
            for i = 1, #found, 2 do stream[found[i]] = found[i + 1] end
        end
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
    /// Connections that append and read, and the number of the last one that was used.
    pool: [Slot; MOST_CONNECTIONS],
    last: AtomicUsize,
    /// The connection that waits.
    waiting: Slot,
}

/// A connection that one thread uses at a time.
type Slot = Mutex<Option<Connection>>;

impl RedisLog {
    /// # Errors
    ///
    /// The URL is none of a Redis server, or the server does not answer.
    pub(crate) fn new(url: &str) -> RedisResult<Self> {
        let (client, append, read) = (Client::open(url)?, Script::new(APPEND), Script::new(READ));
        let (pool, last, waiting) = Default::default();
        let log = Self { client, append, read, pool, last, waiting };
        log.with(|connection| cmd("PING").query::<String>(connection))?;
        Ok(log)
    }

    /// Calls `command` with the next connection of the pool.
    fn with<X>(&self, command: impl Fn(&mut Connection) -> RedisResult<X>) -> RedisResult<X> {
        let next = self.last.fetch_add(1, Ordering::Relaxed);
        self.with_slot(&self.pool[next % MOST_CONNECTIONS], command)
    }

    /// Calls `command` with the connection in `slot`, and again with a new one if it has failed or there is none: Redis may
    /// have been away since it was used.
    fn with_slot<X>(&self, slot: &Slot, command: impl Fn(&mut Connection) -> RedisResult<X>) -> RedisResult<X> {
        let mut slot = lock(slot);
        // After a failure the answer to one command could be taken for that to the next: the connection is not kept.
        let result = slot.as_mut().map(&command);
        if let Some(Ok(result)) = result {
            return Ok(result);
        }
        *slot = None;
        let mut connection = self.client.get_connection_with_timeout(PATIENCE)?;
        connection.set_read_timeout(Some(PATIENCE))?;
        connection.set_write_timeout(Some(PATIENCE))?;
        let result = command(&mut connection)?;
        *slot = Some(connection);
        Ok(result)
    }
}

impl Log for RedisLog {
    fn append(&self, room: &str, author: &str, number: u64, payload: &[u8]) -> Result<Position> {
        let mut script = self.append.key(stream(room));
        script.key(format!("{}:epoch", stream(room))).key(format!("{}:by:{author}", stream(room)));
        script.arg(number).arg(payload).arg(author).arg(MOST_ENTRIES).arg(RETENTION.as_secs()).arg(new_name());
        let position: String = self.with(|connection| script.invoke(connection))?;
        position.parse()
    }

    fn read(&self, room: &str, after: &Place, most: usize) -> Result<Batch> {
        let mut script = self.read.key(stream(room));
        script.key(format!("{}:epoch", stream(room)));
        script.arg(&after.epoch).arg(after.position.to_string()).arg(most).arg(NONE);
        let found: Option<(String, bool, StreamRangeReply)> = self.with(|connection| script.invoke(connection))?;
        let Some((epoch, known, found)) = found else { return Ok(Batch::none(after)) };
        let mut entries = found.ids.iter().map(entry).collect::<Result<Vec<_>>>()?;
        // The newest entries come in reverse.
        entries.sort_by_key(|entry| entry.position);
        let start = if known { after.position } else { Position::default() };
        Ok(Batch { is_reset: !known, ..Batch::after(&Place { epoch, position: start }, entries) })
    }

    fn trim(&self, room: &str, first: Position) -> Result<()> {
        let mut trim = cmd("XTRIM");
        trim.arg(stream(room)).arg("MINID").arg(first.to_string());
        Ok(self.with(|connection| trim.query(connection))?)
    }

    fn wait(&self, rooms: &[(String, Place)]) -> Result<Vec<usize>> {
        let streams: Vec<_> = rooms.iter().map(|(room, _)| stream(room)).collect();
        let mut read = cmd("XREAD");
        read.arg("COUNT").arg(1).arg("BLOCK").arg(u64::try_from(LONGEST_WAIT.as_millis()).unwrap_or(u64::MAX));
        read.arg("STREAMS").arg(&streams);
        rooms.iter().for_each(|(_, place)| _ = read.arg(place.position.to_string()));
        let mut epochs = cmd("MGET");
        epochs.arg(streams.iter().map(|stream| format!("{stream}:epoch")).collect::<Vec<_>>());
        let (news, epochs) = self.with_slot(&self.waiting, |connection| {
            let news: Option<StreamReadReply> = read.query(connection)?;
            Ok((news, epochs.query::<Vec<Option<String>>>(connection)?))
        })?;
        let news = news.map(|reply| reply.keys).unwrap_or_default();
        let is_changed = |index: &usize| {
            epochs[*index].as_deref().unwrap_or(NONE) != rooms[*index].1.epoch
                || news.iter().any(|stream| stream.key == streams[*index])
        };
        Ok((0..rooms.len()).filter(is_changed).collect())
    }
}

/// Returns the key of a room's stream.
fn stream(room: &str) -> String {
    format!("hub:{room}")
}

fn entry(found: &StreamId) -> Result<Entry> {
    let missing = "an entry of the log lacks a field";
    Ok(Entry {
        position: found.id.parse()?,
        author: found.get("by").ok_or(missing)?,
        number: found.get("number").ok_or(missing)?,
        payload: found.get::<Vec<u8>>("payload").ok_or(missing)?.into(),
    })
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
        log.append("gone", "ada", 1, b"gone").unwrap();
        let place = Place { epoch: log.read("gone", &Place::default(), 1).unwrap().end.epoch, ..Place::default() };
        log.with(|connection| cmd("DEL").arg("hub:gone:epoch").query::<()>(connection)).unwrap();
        assert_eq!(log.wait(&[("gone".to_owned(), place.clone())]).unwrap(), [0]);
        let batch = log.read("gone", &place, 1).unwrap();
        assert!(batch.is_reset && batch.end.epoch != place.epoch);
        // Redis may forget one key and not the others.
        log.with(|connection| cmd("DEL").arg("hub:gone").query::<()>(connection)).unwrap();
        log.append("gone", "ada", 1, b"again").unwrap();
        assert_eq!(log.read("gone", &Place::default(), 1).unwrap().entries.len(), 1);
        log.with(|connection| cmd("DEL").arg("hub:gone").query::<()>(connection)).unwrap();
        assert!(
            log.read("gone", &Place { epoch: NONE.into(), ..Place::default() }, 1).unwrap().entries.is_empty()
        );
    }
}
