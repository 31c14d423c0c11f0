//! Ticker: the newest price wins.
//!
//! A client opens `/ticks`, or `/ticks?symbols=3,7` for some of them. It gets
//! `{"seq":NUMBER,"at":MILLISECONDS,"prices":[[SYMBOL,CENTS], ...]}`, at first with all prices, then with those that have changed
//! since the last message. SYMBOL is a number, for which the page has a name.
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

use ws_std::{CloseCode, Exchange, HandlerResult, Message, Reader, Writer, deflate::Deflater, role::Server};

use crate::{
    duplex,
    shared::{COMPRESSION, Shared},
    text::value_of,
    watched::{Leave, Watched},
};

pub(crate) const SYMBOLS: usize = 2_000;
/// The most changes in a second that each have a message of their own. With more, there are 20 messages in a second.
const MOST_SINGLE: u32 = 100;
const PER_SECOND: u32 = 20;
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
    is_over: bool,
}

/// The next message to a client.
enum News {
    Shared(Arc<Shared>, u64),
    /// A text of its own, with the number of the last change in it.
    Own(String, u64),
    End,
}

impl Ticks {
    pub(crate) fn new(rate: u32) -> Self {
        let prices = (0..SYMBOLS).map(|_| (fastrand::u32(1_000..100_000), 1)).collect();
        let board = Board { prices, seq: 1, at: now(), messages: VecDeque::new(), is_over: false };
        Self { board: Watched::new(board), rate }
    }

    /// Changes prices at random until the process ends.
    pub(crate) fn run(&self) {
        let mut encoder = Deflater::new(COMPRESSION);
        let messages = if self.rate <= MOST_SINGLE { self.rate } else { PER_SECOND };
        let mut due = Instant::now();
        while !self.board.look(|board| board.is_over) {
            due = (due + Duration::from_secs(1) / messages).max(Instant::now());
            thread::sleep(due - Instant::now());
            self.change(self.rate / messages, &mut encoder);
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
        let Some(message) = Shared::new(Message::Text(&text), encoder).map(Arc::new) else { return };
        self.board.change(|board| {
            board.messages.push_back((before, seq, message));
            if board.messages.len() > KEPT {
                board.messages.pop_front();
            }
        });
    }

    /// Tells all clients that the process ends.
    pub(crate) fn end(&self) {
        self.board.change(|board| board.is_over = true);
    }
}

impl Board {
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
            if self.messages.back().is_some_and(|(_, newest, _)| seen >= *newest) {
                return None;
            }
            if let Some((_, seq, message)) = self.messages.iter().find(|(before, ..)| *before == seen) {
                return Some(News::Shared(Arc::clone(message), *seq));
            }
        }
        self.has_news(seen, chosen).then(|| News::Own(self.text(seen, chosen), self.seq))
    }
}

impl Ticks {
    /// Waits for changes after the change number `seen`, at most until `until`; returns the message.
    pub(crate) fn poll(&self, seen: u64, chosen: Option<&[usize]>, until: Instant) -> String {
        let look =
            |board: &Board| (board.is_over || board.has_news(seen, chosen)).then(|| board.text(seen, chosen));
        let found = self.board.wait(Some(until), None, look);
        found.unwrap_or_else(|| self.board.look(|board| board.text(seen, chosen)))
    }

    fn write(&self, writer: &mut Writer<Server>, chosen: Option<&[usize]>, leave: &Leave) -> ws_std::Result<()> {
        let mut seen = 0;
        while let Some(news) = self.board.wait(None, Some(leave), |board| board.news(seen, chosen)) {
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

/// Serves a client until it leaves.
pub(crate) fn serve(ticks: &Ticks, exchange: Exchange) -> HandlerResult {
    let chosen = chosen_in(exchange.query());
    duplex::serve(
        exchange,
        |writer, leave| ticks.write(writer, chosen.as_deref(), leave),
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

/// Returns the time in milliseconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices(text: &str) -> Vec<(usize, u32)> {
        let message: serde_json::Value = serde_json::from_str(text).unwrap();
        serde_json::from_value(message["prices"].clone()).unwrap()
    }

    #[test]
    fn a_message_has_the_newest_prices_of_what_has_changed() {
        let ticks = Ticks::new(1);
        let mut encoder = Deflater::new(COMPRESSION);
        assert_eq!(ticks.board.look(|board| prices(&board.text(0, None)).len()), SYMBOLS, "all at first");
        ticks.change(9, &mut encoder);
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
        assert!(ticks.board.look(|board| matches!(board.news(0, None), Some(News::Own(_, 1)))));
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
    fn a_choice_is_cleaned() {
        assert_eq!(chosen_in(Some("symbols=7,3,x,7,999999,-1")), Some(vec![3, 7]));
        assert_eq!(chosen_in(Some("a=b")), None);
    }
}
