//! Ticker: the newest price wins.
//!
//! A client opens `/ticks`, or `/ticks?symbols=3,7` for some of them. It gets
//! `{"seq":NUMBER,"at":MILLISECONDS,"prices":[[SYMBOL,CENTS], ...]}`, at first with all prices in several messages, then with those that have
//! changed since the last message. SYMBOL is a number, for which the page has a name.
//!
//! Each change has a number, and a price has that of its last change. What a client has to be told are the prices with higher
//! numbers than the last one it was told. So a client that takes messages slowly gets fewer of them, each with the newest
//! prices, and costs one number. Those that keep up with all prices share one message, encoded once.

use std::{
    collections::VecDeque,
    sync::Arc,
    thread,
    time::{Duration, Instant, SystemTime},
};

use serde::Serialize;
use ws_std::{CloseCode, Exchange, HandlerResult, MessageKind, Writer, deflate::Deflater, role::Server};

use crate::{
    client::{self, COMPRESSION, Fault, Shared},
    text::value_of,
    watched::{Waiter, Watched},
};

const SYMBOLS: usize = 2_000;
/// The most changes in a second that each have a message of their own. With more, there are 20 messages in a second.
const MOST_SINGLE: u32 = 100;
const PER_SECOND: u32 = 20;
/// The most prices in a message for one client, which holds it until the client takes it.
const MOST_OWN: usize = 500;
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
}

/// Prices that have changed.
#[derive(Serialize)]
struct Update {
    /// The number of the last change.
    seq: u64,
    at: f64,
    prices: Vec<(usize, u32)>,
}

/// The next message to a client.
enum News {
    /// A message for all, with the number of the last change in it.
    Shared(Arc<Shared>, u64),
    Own(Update),
}

impl Ticks {
    pub(crate) fn new(rate: u32) -> Self {
        let prices = (1..=SYMBOLS as u64).map(|seq| (fastrand::u32(1_000..100_000), seq)).collect();
        let board = Board { prices, seq: SYMBOLS as u64, at: now(), messages: VecDeque::new() };
        Self { board: Watched::new(board), rate }
    }

    /// Changes prices at random until the process ends.
    pub(crate) fn run(&self) {
        let mut encoder = Deflater::new(COMPRESSION);
        let messages = if self.rate <= MOST_SINGLE { self.rate } else { PER_SECOND };
        let mut due = Instant::now();
        while !self.board.is_over() {
            due = (due + Duration::from_secs(1) / messages).max(Instant::now());
            thread::sleep(due - Instant::now());
            self.change(self.rate / messages, &mut encoder);
        }
    }

    /// Changes some prices, and encodes the message for those that keep up.
    fn change(&self, changes: u32, encoder: &mut Deflater) {
        let (before, update) = self.board.change(|board| {
            let before = board.seq;
            (0..changes).for_each(|_| board.step());
            board.at = now();
            (before, board.since(before, None))
        });
        let payload = update.text().into_bytes();
        let Some(message) = Shared::new(MessageKind::Text, payload, encoder).map(Arc::new) else { return };
        self.board.change(|board| {
            board.messages.push_back((before, update.seq, message));
            if board.messages.len() > KEPT {
                board.messages.pop_front();
            }
        });
    }

    /// Tells all clients that the process ends.
    pub(crate) fn end(&self) {
        self.board.end();
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

    /// Returns the prices that have changed after the change number `seen`.
    fn since(&self, seen: u64, chosen: Option<&[usize]>) -> Update {
        let changed = |symbol: usize| {
            let (price, seq) = self.prices[symbol];
            (seq > seen).then_some((symbol, price))
        };
        let prices = match chosen {
            None => (0..SYMBOLS).filter_map(changed).collect(),
            Some(symbols) => symbols.iter().copied().filter_map(changed).collect(),
        };
        Update { seq: self.seq, at: self.at, prices }
    }

    /// The same, but at most some, with the oldest changes: `seq` is the number of the last one of these.
    fn oldest_since(&self, seen: u64, chosen: Option<&[usize]>) -> Update {
        let mut update = self.since(seen, chosen);
        if update.prices.len() > MOST_OWN {
            update.prices.select_nth_unstable_by_key(MOST_OWN, |(symbol, _)| self.prices[*symbol].1);
            update.prices.truncate(MOST_OWN);
            update.seq = update.prices.iter().map(|(symbol, _)| self.prices[*symbol].1).max().unwrap_or(seen);
        }
        update
    }

    fn news(&self, seen: u64, chosen: Option<&[usize]>) -> Option<News> {
        if chosen.is_none() {
            // The message of the newest changes may still be on its way.
            if self.messages.back().is_some_and(|(_, newest, _)| seen >= *newest) {
                return None;
            }
            if let Some((_, seq, message)) = self.messages.iter().find(|(before, ..)| *before == seen) {
                return Some(News::Shared(Arc::clone(message), *seq));
            }
        }
        self.oldest_since(seen, chosen).if_any().map(News::Own)
    }
}

impl Update {
    fn if_any(self) -> Option<Self> {
        (!self.prices.is_empty()).then_some(self)
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl Ticks {
    /// Waits for changes after the change number `seen`, at most until `until`; returns the message.
    pub(crate) fn poll(&self, seen: u64, chosen: Option<&[usize]>, until: Instant) -> String {
        self.board.wait(&Waiter::until(until), |board| board.since(seen, chosen).if_any());
        self.board.look(|board| board.since(seen, chosen)).text()
    }

    fn write(&self, writer: &mut Writer<Server>, waiter: &Waiter, chosen: Option<&[usize]>) -> ws_std::Result<()> {
        let mut seen = 0;
        while let Some(news) = self.board.wait(waiter, |board| board.news(seen, chosen)) {
            match news {
                News::Shared(message, seq) => {
                    message.queue(writer)?;
                    seen = seq;
                }
                News::Own(update) => {
                    seen = update.seq;
                    writer.queue(&*update.text())?;
                }
            }
            writer.flush()?;
        }
        Ok(())
    }
}

/// Serves a client until it leaves.
#[inline(never)]
pub(crate) fn serve(ticks: &Ticks, exchange: Exchange) -> HandlerResult {
    let chosen = chosen_in(exchange.query());
    client::serve(
        exchange,
        |writer, waiter| ticks.write(writer, waiter, chosen.as_deref()),
        |_, _| Err(Fault::Client(CloseCode::POLICY_VIOLATION, "a ticker takes no messages")),
    )
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

/// Returns the time in milliseconds since 1970, with two decimal places.
fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (since.as_secs_f64() * 100_000.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prices(update: &Update) -> Vec<(usize, u32)> {
        let message: serde_json::Value = serde_json::from_str(&update.text()).unwrap();
        assert_eq!(message["seq"], update.seq);
        serde_json::from_value(message["prices"].clone()).unwrap()
    }

    #[test]
    fn a_message_has_the_newest_prices_of_what_has_changed() {
        let ticks = Ticks::new(1);
        let mut encoder = Deflater::new(COMPRESSION);
        assert_eq!(ticks.board.look(|board| prices(&board.since(0, None)).len()), SYMBOLS, "all at first");
        ticks.change(9, &mut encoder);
        ticks.change(3_000, &mut encoder);
        ticks.board.look(|board| {
            let seen = SYMBOLS as u64 + 9;
            let expected: Vec<_> = board.prices.iter().enumerate().filter(|(_, (_, seq))| *seq > seen).collect();
            let expected: Vec<_> = expected.into_iter().map(|(symbol, (price, _))| (symbol, *price)).collect();
            assert_eq!(prices(&board.since(seen, None)), expected);
            assert_eq!(prices(&board.since(board.seq, None)), []);
            let chosen = prices(&board.since(seen, Some(&[expected[1].0, expected[0].0])));
            assert_eq!(chosen, [expected[1], expected[0]]);
        });
    }

    #[test]
    fn those_that_keep_up_share_a_message_and_slow_ones_skip_some() {
        let ticks = Ticks::new(1);
        let mut encoder = Deflater::new(COMPRESSION);
        (0..=KEPT).for_each(|_| ticks.change(2, &mut encoder));
        ticks.board.look(|board| {
            let last = board.seq;
            assert!(matches!(board.news(last - 2, None), Some(News::Shared(_, seq)) if seq == last));
            assert!(matches!(board.news(last - 4, None), Some(News::Shared(_, seq)) if seq == last - 2));
            let old = SYMBOLS as u64;
            assert!(matches!(board.news(old, None), Some(News::Own(update)) if update.seq == last), "too old");
            assert!(
                matches!(board.news(last - 1, None), Some(News::Own(update)) if update.seq == last),
                "between two"
            );
            assert!(board.news(last, None).is_none());
        });
    }

    #[test]
    fn a_client_is_told_much_in_some_messages_the_oldest_changes_first() {
        let ticks = Ticks::new(1);
        ticks.change(3_000, &mut Deflater::new(COMPRESSION));
        ticks.board.look(|board| {
            let (mut seen, mut told) = (0, Vec::new());
            while let Some(News::Own(update)) = board.news(seen, None) {
                assert!(update.prices.len() <= MOST_OWN && update.seq > seen);
                let seqs = update.prices.iter().map(|(symbol, _)| board.prices[*symbol].1);
                assert!({ seqs }.all(|seq| (seen + 1..=update.seq).contains(&seq)));
                seen = update.seq;
                told.extend(prices(&update));
            }
            told.sort_unstable();
            assert_eq!((told, seen), (prices(&board.since(0, None)), board.seq));
        });
    }

    #[test]
    fn a_choice_is_cleaned() {
        assert_eq!(chosen_in(Some("symbols=7,3,x,7,999999,-1")), Some(vec![3, 7]));
        assert_eq!(chosen_in(Some("a=b")), None);
    }
}
