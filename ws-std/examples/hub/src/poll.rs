//! The same chat and ticker by HTTP: polling, and long polling with `wait`.
//!
//! - `GET /poll/ticks?seq=NUMBER[&symbols=...][&wait=SECONDS]` returns a message of the ticker.
//! - `GET /poll/chat/ROOM?epoch=EPOCH&at=POSITION[&wait=SECONDS]` returns
//!   `{"epoch":EPOCH,"reset":BOOL,"at":POSITION,"lines":[...]}`, where `epoch` and `at` are for the next request.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;
use ws_std::{Exchange, HandlerResult, Page};

use crate::{
    chat,
    log::{Batch, Place},
    rooms::{MOST_READ, Member, Rooms},
    text::{is_key, place_in, value_of},
    ticks::{Ticks, chosen_in},
};

/// The longest wait of a request. Proxies give up a request after 30 to 60 s.
const LONGEST_WAIT: Duration = Duration::from_secs(25);

pub(crate) fn ticks(ticks: &Ticks, exchange: Exchange) -> HandlerResult {
    let query = exchange.query();
    let seen = value_of(query, "seq").and_then(|seq| seq.parse().ok()).unwrap_or_default();
    let text = ticks.poll(seen, chosen_in(query).as_deref(), until(query));
    answer(exchange, text)
}

pub(crate) fn chat(rooms: &Arc<Rooms>, name: &str, exchange: Exchange) -> HandlerResult {
    if !is_key(name) {
        return Ok(exchange.refuse(400)?);
    }
    let (place, until) = (place_in(exchange.query()), until(exchange.query()));
    let Some(batch) = chat::enter(rooms, name).and_then(|member| read(&member, &place, until).ok()) else {
        return Ok(exchange.refuse(503)?);
    };
    let lines: Vec<_> = batch.entries.iter().map(chat::text_of).collect();
    let head = json!({ "epoch": batch.epoch, "reset": batch.is_reset, "at": batch.end.to_string() }).to_string();
    answer(exchange, format!(r#"{},"lines":[{}]}}"#, head.trim_end_matches('}'), lines.join(",")))
}

/// Reads what the log has after a place, and waits for it if there is nothing.
fn read(member: &Member, place: &Place, until: Instant) -> io::Result<Batch> {
    let batch = member.patiently(|| member.read(place, MOST_READ))?;
    if batch.is_reset || !batch.entries.is_empty() || !member.wait(place, until) {
        return Ok(batch);
    }
    member.patiently(|| member.read(place, MOST_READ))
}

fn until(query: Option<&str>) -> Instant {
    let wait =
        value_of(query, "wait").and_then(|wait| wait.parse().ok()).map_or(Duration::ZERO, Duration::from_secs);
    Instant::now() + wait.min(LONGEST_WAIT)
}

fn answer(exchange: Exchange, text: String) -> HandlerResult {
    let page = Page::new("application/json", text.into_bytes()).header("Cache-Control", "no-store");
    Ok(exchange.page(&page)?)
}
