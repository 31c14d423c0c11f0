//! Ours beside the best of the others, cell by cell.

use core::fmt;

/// Ours beside the fastest peer in one cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Ours takes less time.
    Won,
    /// Ours takes as long, or up to 1.05 times as long.
    Even,
    /// Ours takes longer, or could not take part.
    Lost,
}

/// Up to this ratio the difference is less than that between two runs.
const EVEN: f64 = 1.05;

impl Verdict {
    /// Judges the time of ours as a multiple of the fastest peer's.
    #[must_use]
    pub fn of(ratio: f64) -> Self {
        match ratio {
            ..1.0 => Self::Won,
            1.0..=EVEN => Self::Even,
            _ => Self::Lost,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Won => "won",
            Self::Even => "even",
            Self::Lost => "lost",
        })
    }
}

/// The number of cells for each verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cells that are [`Verdict::Won`].
    pub won: usize,
    /// Cells that are [`Verdict::Even`].
    pub even: usize,
    /// Cells that are [`Verdict::Lost`].
    pub lost: usize,
}

impl FromIterator<Verdict> for Tally {
    fn from_iter<I: IntoIterator<Item = Verdict>>(verdicts: I) -> Self {
        let mut tally = Self::default();
        for verdict in verdicts {
            match verdict {
                Verdict::Won => tally.won += 1,
                Verdict::Even => tally.even += 1,
                Verdict::Lost => tally.lost += 1,
            }
        }
        tally
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { won, even, lost } = self;
        write!(f, "won {won}, even {even}, lost {lost} of {}", won + even + lost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Cell, Entry, Results, entry};

    fn cell(entries: Vec<Entry>) -> Cell {
        Cell { group: "decode".into(), column: "16 B".into(), entries, left_out: Vec::new() }
    }

    fn timed(contender: &str, time: f64) -> Entry {
        entry(contender, true, vec![time])
    }

    #[test]
    fn a_ratio_below_one_is_won_and_up_to_five_percent_more_even() {
        let verdicts = [0.5, 0.999, 1.0, 1.05, 1.051, f64::NAN].map(Verdict::of);
        use Verdict::{Even, Lost, Won};
        assert_eq!(verdicts, [Won, Won, Even, Even, Lost, Lost]);
    }

    #[test]
    fn a_machine_that_is_slower_in_some_rounds_decides_nothing() {
        let ours = entry("ours", true, vec![1.0, 2.0, 2.0, 1.0, 1.0]);
        let slower = entry("peer", true, vec![1.1, 1.1, 2.2, 2.2, 1.1]);
        let cell = cell(vec![ours, slower]);
        assert!((cell.entries[0].ratio(&cell.entries[1]) - 1.0 / 1.1).abs() < 1e-9);
        assert_eq!(cell.verdict(), Some(Verdict::Won));
    }

    #[test]
    fn rows_with_pieces_of_their_own_do_not_win_for_ours_but_count_as_peers() {
        let aside = |contender, time| Entry { aside: true, ..timed(contender, time) };
        let ours = cell(vec![timed("ours", 2.0), aside("ours, 8 KiB reads", 0.5), timed("peer", 1.0)]);
        assert_eq!(ours.verdict(), Some(Verdict::Lost));
        let peers = cell(vec![timed("ours", 2.0), timed("peer", 3.0), aside("peer, 4 KiB reads", 1.0)]);
        assert_eq!(peers.verdict(), Some(Verdict::Lost));
    }

    #[test]
    fn limits_and_those_that_do_less_are_no_peers() {
        let unvalidated = Entry { comparable: false, ..timed("peer", 0.5) };
        let cell = cell(vec![timed("ours", 2.0), timed("limit-copy", 1.0), unvalidated, timed("other", 3.0)]);
        assert_eq!(cell.verdict(), Some(Verdict::Won));
    }

    #[test]
    fn a_cell_that_ours_was_left_out_of_is_lost() {
        let left_out = vec![("ours".into(), "panicked".into())];
        let cell = Cell { left_out, ..cell(vec![timed("peer", 1.0)]) };
        assert_eq!(cell.verdict(), Some(Verdict::Lost));
    }

    #[test]
    fn the_tally_counts_every_cell_that_has_a_peer() {
        let with = |ours, peer| cell(vec![timed("ours", ours), timed("peer", peer)]);
        let alone = cell(vec![timed("ours", 1.0)]);
        let cells = vec![with(1.0, 2.0), with(1.0, 1.0), alone, with(2.0, 1.0), with(1.0, 3.0)];
        let results = Results { environment: String::new(), rounds: 1, cells };
        assert_eq!(results.tally(), Tally { won: 2, even: 1, lost: 1 });
        assert_eq!(results.tally().to_string(), "won 2, even 1, lost 1 of 4");
        assert!(results.page(|_| String::new()).starts_with("won 2, even 1, lost 1 of 4"));
    }
}
