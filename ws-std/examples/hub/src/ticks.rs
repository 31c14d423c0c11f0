//! Ticker: the newest price wins.
//!
//! A client opens `/ticks`, or `/ticks?symbols=3,7` for some of them. The first message is `{"symbols":[NAME, ...]}` with the
//! names of all, and then come `{"seq":NUMBER,"at":MILLISECONDS,"prices":[[SYMBOL,CENTS], ...]}`, the prices that have changed
//! since the last message, where SYMBOL is a place in the list of names.
//!
//! Each change has a number, and a price has that of its last change. What a client has to be told are the prices with higher
//! numbers than the last one it was told. So a client that takes messages slowly gets fewer of them, each with the newest
//! prices, and costs one number. Those that keep up with all prices share one message, encoded once.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde_json::json;
use ws_std::{CloseCode, Exchange, HandlerResult, Reader, Writer, deflate::Deflater, role::Server};

use crate::{
    duplex,
    shared::{COMPRESSION, Shared},
    text::value_of,
    watched::{Leave, Watched},
};

pub(crate) const SYMBOLS: usize = 2_000;
/// The shortest and the longest time between two messages.
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(1);
/// Time between two messages of many changes.
const MANY: Duration = Duration::from_millis(50);
/// Time for which prices change after the last client has left, because clients that poll come back.
const IDLE: Duration = Duration::from_secs(60);
/// The number of messages that are kept for those that keep up.
const KEPT: usize = 8;

/// The prices of all symbols.
pub(crate) struct Ticks {
    board: Watched<Board>,
    /// Changes in a second, in all.
    rate: u32,
}

struct Board {
    /// For each symbol its price in cents, and the number of its last change.
    prices: Vec<(u32, u64)>,
    seq: u64,
    /// Time of the last change, in milliseconds since 1970.
    at: f64,
    /// The newest messages, each with the numbers of the last change before it and in it.
    messages: VecDeque<(u64, u64, Arc<Shared>)>,
    clients: usize,
    /// Time at which a client came or left last.
    used: Instant,
    is_over: bool,
}

/// What a client is to be told.
enum News {
    Shared(Arc<Shared>, u64),
    /// A text of its own, with the number of the last change in it.
    Own(String, u64),
    End,
}

/// A client, until it is dropped. Prices change as long as there is one, and for a while after it.
pub(crate) struct Watcher<'t>(&'t Ticks);

impl Ticks {
    pub(crate) fn new(rate: u32) -> Self {
        let prices = (0..SYMBOLS).map(|_| (fastrand::u32(1_000..100_000), 0)).collect();
        let board = Board {
            prices,
            seq: 0,
            at: now(),
            messages: VecDeque::new(),
            clients: 0,
            used: Instant::now(),
            is_over: false,
        };
        Self { board: Watched::new(board), rate }
    }

    /// Changes prices at random until the process ends.
    pub(crate) fn run(&self) {
        let mut encoder = Deflater::new(COMPRESSION);
        let single = Duration::from_secs(1) / self.rate.max(1);
        let pause = if single < SHORTEST { MANY } else { single.min(LONGEST) };
        let changes = (pause.as_secs_f64() * f64::from(self.rate)).round().max(1.0);
        let mut due = Instant::now();
        while self.board.wait(None, None, Board::is_used) == Some(false) {
            due = (due + pause).max(Instant::now());
            thread::sleep(due - Instant::now());
            // No number of changes that fits a second is cut.
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a whole number below 2^32"
            )]
            self.change(changes as u32, &mut encoder);
        }
    }

    /// Changes some prices, and encodes the message for those that keep up.
    fn change(&self, changes: u32, encoder: &mut Deflater) {
        let (before, seq, text) = self.board.change(|board| {
            let before = board.seq;
            (0..changes).for_each(|_| board.step());
            board.at = now();
            (before, board.seq, board.text(before, None))
        });
        let Some(message) = Shared::new(&text, encoder).map(Arc::new) else { return };
        self.board.change(|board| {
            board.messages.push_back((before, seq, message));
            if board.messages.len() > KEPT {
                board.messages.pop_front();
            }
        });
    }

    pub(crate) fn watch(&self) -> Watcher<'_> {
        self.board.change(|board| board.count(1));
        Watcher(self)
    }

    /// Tells all clients that the process ends.
    pub(crate) fn end(&self) {
        self.board.change(|board| board.is_over = true);
    }
}

impl Board {
    fn count(&mut self, change: isize) {
        self.clients = self.clients.saturating_add_signed(change);
        self.used = Instant::now();
    }

    /// Returns whether the process ends. `None`: there is no use for changes.
    fn is_used(&self) -> Option<bool> {
        (self.clients > 0 || self.used.elapsed() < IDLE || self.is_over).then_some(self.is_over)
    }

    fn step(&mut self) {
        self.seq += 1;
        let symbol = fastrand::usize(..self.prices.len());
        let (price, seq) = &mut self.prices[symbol];
        let most = *price / 100 + 1;
        *price = (*price + fastrand::u32(0..=2 * most)).saturating_sub(most).max(100);
        *seq = self.seq;
    }

    /// Returns the message with the prices that have changed after the change number `seen`.
    fn text(&self, seen: u64, chosen: Option<&[usize]>) -> String {
        let mut text = format!(r#"{{"seq":{},"at":{:.2},"prices":["#, self.seq, self.at);
        let mut add = |symbol: usize| {
            if let Some(&(price, seq)) = self.prices.get(symbol)
                && seq > seen
            {
                // Writing to a text does not fail.
                let _ = write!(text, "[{symbol},{price}],");
            }
        };
        match chosen {
            None => (0..self.prices.len()).for_each(add),
            Some(symbols) => symbols.iter().for_each(|&symbol| add(symbol)),
        }
        if text.ends_with(',') {
            text.pop();
        }
        text + "]}"
    }

    fn has_news(&self, seen: u64, chosen: Option<&[usize]>) -> bool {
        match chosen {
            None => self.seq > seen,
            Some(symbols) => {
                symbols.iter().any(|&symbol| self.prices.get(symbol).is_some_and(|&(_, seq)| seq > seen))
            }
        }
    }

    fn news(&self, seen: u64, chosen: Option<&[usize]>) -> Option<News> {
        if self.is_over {
            return Some(News::End);
        }
        if chosen.is_none() {
            // The message of the newest changes may still be on its way.
            let (_, newest, _) = self.messages.back()?;
            if seen >= *newest {
                return None;
            }
            if let Some((_, seq, message)) = self.messages.iter().find(|(before, ..)| *before == seen) {
                return Some(News::Shared(Arc::clone(message), *seq));
            }
        }
        self.has_news(seen, chosen).then(|| News::Own(self.text(seen, chosen), self.seq))
    }
}

impl Watcher<'_> {
    /// Waits for changes after the change number `seen`, at most until `until`; returns the message.
    pub(crate) fn poll(&self, seen: u64, chosen: Option<&[usize]>, until: Instant) -> String {
        let look =
            |board: &Board| (board.is_over || board.has_news(seen, chosen)).then(|| board.text(seen, chosen));
        let found = self.0.board.wait(Some(until), None, look);
        found.unwrap_or_else(|| self.0.board.look(|board| board.text(seen, chosen)))
    }

    fn write(&self, writer: &mut Writer<Server>, chosen: Option<&[usize]>, leave: &Leave) -> ws_std::Result<()> {
        let mut seen = 0;
        writer.queue(&*json!({ "symbols": (0..SYMBOLS).map(name_of).collect::<Vec<_>>() }).to_string())?;
        while let Some(news) = self.0.board.wait(None, Some(leave), |board| board.news(seen, chosen)) {
            seen = match news {
                News::Shared(message, seq) => {
                    message.queue(writer)?;
                    seq
                }
                News::Own(text, seq) => {
                    writer.queue(&*text)?;
                    seq
                }
                News::End => return writer.send_close(CloseCode::SERVICE_RESTART, "the server restarts"),
            };
            writer.flush()?;
        }
        Ok(())
    }
}

impl Drop for Watcher<'_> {
    fn drop(&mut self) {
        self.0.board.change(|board| board.count(-1));
    }
}

/// Serves a client until it leaves.
pub(crate) fn serve(ticks: &Ticks, exchange: Exchange) -> HandlerResult {
    let watcher = ticks.watch();
    let chosen = chosen_in(exchange.query());
    duplex::serve(
        exchange,
        |writer, leave| watcher.write(writer, chosen.as_deref(), leave),
        |reader, _| read(reader),
    )
}

/// A client has nothing to say.
fn read(mut reader: Reader<Server>) -> ws_std::Result<()> {
    if reader.read()?.is_some() {
        reader.close(CloseCode::POLICY_VIOLATION, "a ticker takes no messages")?;
    }
    Ok(())
}

/// Returns the symbols that a client has chosen in the query. `None`: all.
pub(crate) fn chosen_in(query: Option<&str>) -> Option<Vec<usize>> {
    let list = value_of(query, "symbols")?;
    let mut symbols: Vec<_> =
        list.split(',').filter_map(|symbol| symbol.parse().ok()).filter(|symbol| *symbol < SYMBOLS).collect();
    symbols.sort_unstable();
    symbols.dedup();
    Some(symbols)
}

/// Returns the name of a symbol: four letters.
fn name_of(symbol: usize) -> String {
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    // Steps of a number that has no factor in common with 26^4, so that neighbours have different names.
    let mut rest = (symbol * 48_611 + 123_457) % 26_usize.pow(4);
    let mut name = String::new();
    for _ in 0..4 {
        name.push(char::from(letters[rest % 26]));
        rest /= 26;
    }
    name
}

/// Returns the time in milliseconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn prices(text: &str) -> Vec<(usize, u32)> {
        let message: serde_json::Value = serde_json::from_str(text).unwrap();
        serde_json::from_value(message["prices"].clone()).unwrap()
    }

    #[test]
    fn a_message_has_the_newest_prices_of_what_has_changed() {
        let ticks = Ticks::new(1);
        let mut encoder = Deflater::new(COMPRESSION);
        ticks.change(10, &mut encoder);
        ticks.change(3_000, &mut encoder);
        ticks.board.look(|board| {
            let expected: Vec<_> = board.prices.iter().enumerate().filter(|(_, (_, seq))| *seq > 10).collect();
            let expected: Vec<_> = expected.into_iter().map(|(symbol, (price, _))| (symbol, *price)).collect();
            assert_eq!(prices(&board.text(10, None)), expected);
            assert_eq!(prices(&board.text(board.seq, None)), []);
            let chosen = prices(&board.text(10, Some(&[expected[1].0, expected[0].0])));
            assert_eq!(chosen, [expected[1], expected[0]]);
        });
    }

    #[test]
    fn those_that_keep_up_share_a_message_and_slow_ones_skip_some() {
        let ticks = Ticks::new(1);
        let mut encoder = Deflater::new(COMPRESSION);
        assert!(ticks.board.look(|board| board.news(0, None).is_none()));
        (0..=KEPT).for_each(|_| ticks.change(2, &mut encoder));
        ticks.board.look(|board| {
            let last = board.seq;
            assert!(matches!(board.news(last - 2, None), Some(News::Shared(_, seq)) if seq == last));
            assert!(matches!(board.news(last - 4, None), Some(News::Shared(_, seq)) if seq == last - 2));
            assert!(matches!(board.news(0, None), Some(News::Own(_, seq)) if seq == last), "too old");
            assert!(matches!(board.news(last - 1, None), Some(News::Own(_, seq)) if seq == last), "between two");
            assert!(board.news(last, None).is_none());
        });
    }

    #[test]
    fn symbols_have_different_names_and_a_choice_is_cleaned() {
        assert_eq!((0..SYMBOLS).map(name_of).collect::<HashSet<_>>().len(), SYMBOLS);
        assert_eq!(chosen_in(Some("symbols=7,3,x,7,999999,-1")), Some(vec![3, 7]));
        assert_eq!(chosen_in(Some("a=b")), None);
    }
}
