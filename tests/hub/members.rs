//! Members of a chat room, with ws-std; see run.
//!
//! usage: members URL PREFIX COUNT SECONDS CUTS SEED

use std::{
    error::Error,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};
use ws_std::{Message, Reader, Writer, connect, role::Client};

const PATIENCE: Duration = Duration::from_secs(30);
/// Between the lines of a member.
const INTERVAL: Duration = Duration::from_millis(250);
/// After the last line is acknowledged: time in which those of the others come.
const CALM: Duration = Duration::from_secs(5);

/// Says numbered lines for a time, sends those again that were not acknowledged, and keeps what it is told.
struct Member {
    url: String,
    identity: String,
    /// It speaks until then.
    until: Instant,
    /// Cuts of a connection in a second.
    cuts: f64,
    notes: Mutex<Notes>,
}

struct Notes {
    said: u64,
    pending: Vec<u64>,
    acknowledged: Vec<u64>,
    /// When each line was said, and when it was acknowledged.
    said_at: Vec<f64>,
    trips: Vec<(f64, f64)>,
    epoch: String,
    at: String,
    log: Vec<Value>,
    resets: u32,
    gaps: Vec<(f64, f64)>,
    closed_at: Option<f64>,
    last_news: Instant,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [url, prefix, count, seconds, cuts, ..] = &arguments[..] else {
        return Err("usage: members URL PREFIX COUNT SECONDS CUTS SEED".into());
    };
    let (count, cuts) = (count.parse::<u32>()?, cuts.parse()?);
    let until = Instant::now() + Duration::from_secs_f64(seconds.parse()?);
    let members: Vec<_> = (0..count)
        .map(|index| {
            let member = Arc::new(Member::new(url, format!("{prefix}-{index}"), until, cuts));
            (Arc::clone(&member), thread::spawn(move || member.run()))
        })
        .collect();
    for (member, thread) in members {
        thread.join().map_err(|_| "a member has panicked")?;
        println!("{}", member.report());
    }
    Ok(())
}

impl Member {
    fn new(url: &str, identity: String, until: Instant, cuts: f64) -> Self {
        let (said, pending, acknowledged, said_at, trips) = Default::default();
        let (at, log, resets, gaps, closed_at) = Default::default();
        // It gets the lines of those that come before it too.
        let (epoch, last_news) = ("none".to_owned(), Instant::now());
        let notes = Notes {
            said,
            pending,
            acknowledged,
            said_at,
            trips,
            epoch,
            at,
            log,
            resets,
            gaps,
            closed_at,
            last_news,
        };
        Self { url: url.into(), identity, until, cuts, notes: Mutex::new(notes) }
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while Instant::now() < self.until + PATIENCE && !self.is_done() {
            let _ = self.talk();
            self.notes().closed_at.get_or_insert_with(unix_time);
            thread::sleep(Duration::from_millis(50) + Duration::from_millis(250).mul_f64(chance()));
        }
    }

    fn is_done(&self) -> bool {
        let notes = self.notes();
        Instant::now() > self.until && notes.pending.is_empty() && notes.last_news.elapsed() > CALM
    }

    fn talk(&self) -> ws_std::Result<()> {
        let (url, again) = {
            let (identity, notes) = (&self.identity, self.notes());
            let query = format!("author={identity}&name={identity}&epoch={}&at={}", notes.epoch, notes.at);
            (format!("{}?{query}", self.url), notes.pending.clone())
        };
        let (reader, mut writer) = connect(&url).map_err(io::Error::other)?.split();
        again.iter().try_for_each(|&number| send(&mut writer, number))?;
        thread::scope(|scope| {
            let reading = scope.spawn(|| self.listen(reader));
            while !self.is_done() && !reading.is_finished() {
                thread::sleep(INTERVAL.mul_f64(0.5 + chance()));
                if self.speak(&mut writer).is_err() {
                    break;
                }
            }
            writer.abort();
        });
        Ok(())
    }

    fn speak(&self, writer: &mut Writer<Client>) -> ws_std::Result<()> {
        if Instant::now() > self.until {
            return Ok(());
        }
        let mut notes = self.notes();
        notes.said += 1;
        let number = notes.said;
        notes.pending.push(number);
        notes.said_at.push(unix_time());
        drop(notes);
        send(writer, number)?;
        if chance() < self.cuts * INTERVAL.as_secs_f64() {
            writer.abort();
        }
        Ok(())
    }

    fn listen(&self, mut reader: Reader<Client>) -> Option<()> {
        while let Ok(Some(Message::Text(text))) = reader.read() {
            self.hear(&serde_json::from_str(text).ok()?)?;
        }
        None
    }

    /// Notes a message of the hub. `None`: it is not as it should be.
    fn hear(&self, message: &Value) -> Option<()> {
        let mut notes = self.notes();
        if let Some(epoch) = message.get("epoch") {
            if !notes.at.is_empty() && message["reset"].as_bool()? {
                notes.resets += 1;
                notes.log.clear();
                notes.at.clear();
            }
            notes.epoch = epoch.as_str()?.into();
        } else if let Some(number) = message.get("ack") {
            let number = number.as_u64()?;
            if notes.pending.contains(&number) {
                notes.acknowledged.push(number);
                let said_at = *notes.said_at.get(usize::try_from(number).ok()? - 1)?;
                notes.trips.push((said_at, unix_time()));
            }
            notes.pending.retain(|pending| *pending > number);
        } else if message.get("live").is_some() {
            if let Some(closed) = notes.closed_at.take() {
                notes.gaps.push((closed, unix_time()));
            }
        } else {
            notes.at = message["at"].as_str()?.into();
            notes.log.push(json!([message["at"], message["name"], message["n"]]));
            notes.last_news = Instant::now();
        }
        Some(())
    }

    fn report(&self) -> Value {
        let notes = self.notes();
        json!({
            "member": self.identity, "said": notes.said, "acknowledged": notes.acknowledged, "log": notes.log,
            "resets": notes.resets, "gaps": notes.gaps, "trips": notes.trips,
        })
    }
}

fn send(writer: &mut Writer<Client>, number: u64) -> ws_std::Result<()> {
    writer.send(&*json!({ "n": number, "text": format!("line {number}") }).to_string())
}

fn unix_time() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Returns a random number from 0 to 1.
fn chance() -> f64 {
    let bits = getrandom::u32().unwrap_or_default();
    f64::from(bits) / f64::from(u32::MAX)
}
