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
    text::{is_key, parsed, place_in},
    ticks::{Ticks, chosen_in},
};

/// The longest wait of a request. Proxies give up a request after 30 to 60 s.
const LONGEST_WAIT: Duration = Duration::from_secs(25);

#[inline(never)]
pub(crate) fn ticks(ticks: &Ticks, exchange: Exchange) -> HandlerResult {
    let query = exchange.query();
    let text = ticks.poll(parsed(query, "seq"), chosen_in(query).as_deref(), until(query));
    answer(exchange, text)
}

#[inline(never)]
pub(crate) fn chat(rooms: &Arc<Rooms>, name: &str, exchange: Exchange) -> HandlerResult {
    if !is_key(name) {
        return Ok(exchange.refuse(400)?);
    }
    let (place, until) = (place_in(exchange.query()), until(exchange.query()));
    let Some(batch) = chat::enter(rooms, name).and_then(|member| read(&member, &place, until).ok()) else {
        return Ok(exchange.refuse(503)?);
    };
    let lines: Vec<_> = batch.entries.iter().map(chat::message_of).collect();
    let Place { epoch, position } = batch.end;
    let found = json!({ "epoch": epoch, "reset": batch.is_reset, "at": position.to_string(), "lines": lines });
    answer(exchange, found.to_string())
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
    Instant::now() + Duration::from_secs(parsed(query, "wait")).min(LONGEST_WAIT)
}

fn answer(exchange: Exchange, text: String) -> HandlerResult {
    let page = Page::new("application/json", text.into_bytes()).header("Cache-Control", "no-store");
    Ok(exchange.page(&page)?)
}
