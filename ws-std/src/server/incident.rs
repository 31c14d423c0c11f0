//! Reports of a server, and their rate.

use core::{
    error::Error,
    fmt::{self, Write as _},
    time::Duration,
};
use std::{
    io::{self, Write as _},
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Characters of an incident's text; longer ones are cut.
const LONGEST_TEXT: usize = 400;

/// Something that went wrong while the server goes on, for its log.
///
/// `Display` writes one line of at most some 500 characters: the peer, the error and its sources, with control
/// characters and those that are invisible or change the direction of text escaped.
#[derive(Debug)]
pub struct Incident<'a> {
    peer: Option<SocketAddr>,
    error: &'a (dyn Error + 'static),
    suppressed: u64,
}

impl<'a> Incident<'a> {
    /// Returns the peer of the connection that failed. `None`: the server itself lacks something, such as files or
    /// threads.
    #[must_use]
    pub const fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Returns the error of the handler, of the opening handshake, or of the operating system.
    #[must_use]
    pub const fn error(&self) -> &'a (dyn Error + 'static) {
        self.error
    }

    /// Returns how many incidents of this kind came since the last one that was reported.
    #[must_use]
    pub const fn suppressed(&self) -> u64 {
        self.suppressed
    }
}

impl fmt::Display for Incident<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.peer {
            Some(peer) => write!(f, "{peer}: ")?,
            None => f.write_str("server lacks something: ")?,
        }
        let mut text = self.error.to_string();
        let mut source = self.error.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        write_escaped(f, &text)?;
        match self.suppressed {
            0 => Ok(()),
            more => write!(f, " (and {more} more since the last line)"),
        }
    }
}

/// Writes the first characters of `text`, those escaped that a terminal would not just show.
fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for character in text.chars().take(LONGEST_TEXT) {
        match character {
            '"' | '\'' | '\\' => f.write_char(character)?,
            _ => write!(f, "{}", character.escape_debug())?,
        }
    }
    if text.chars().nth(LONGEST_TEXT).is_some() { f.write_str(" …") } else { Ok(()) }
}

/// Passes incidents to a hook, not too many of them.
pub(super) struct Log {
    hook: Box<dyn Fn(&Incident<'_>) + Send + Sync>,
    /// Of connections: peers decide how many there are.
    connections: Mutex<Allowance>,
    /// Of the server itself, so that peers cannot hide them.
    server: Mutex<Allowance>,
}

impl Log {
    pub(super) fn new(hook: impl Fn(&Incident<'_>) + Send + Sync + 'static) -> Self {
        Self {
            hook: Box::new(hook),
            connections: Mutex::new(Allowance::new(10, Duration::from_secs(1))),
            server: Mutex::new(Allowance::new(1, Duration::from_secs(10))),
        }
    }

    /// Reports `error`, of the connection with `peer` or of the server itself, unless there were too many of late.
    pub(super) fn report(&self, peer: Option<SocketAddr>, error: &(dyn Error + 'static)) {
        let allowance = if peer.is_some() { &self.connections } else { &self.server };
        let taken = allowance.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        if let Some(suppressed) = taken {
            (self.hook)(&Incident { peer, error, suppressed });
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        // A server whose standard error is closed goes on.
        Self::new(|incident| drop(writeln!(io::stderr(), "{incident}")))
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

/// A number of reports that may be made at once, each of which comes back after a time.
struct Allowance {
    burst: u32,
    each: Duration,
    /// When all have come back; `None` if none was taken yet.
    whole_at: Option<Instant>,
    suppressed: u64,
}

impl Allowance {
    const fn new(burst: u32, each: Duration) -> Self {
        Self { burst, each, whole_at: None, suppressed: 0 }
    }

    /// Takes one; returns how often there was none since the last time.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let whole_at = self.whole_at.map_or(now, |at| at.max(now)) + self.each;
        if whole_at - now > self.each * self.burst {
            self.suppressed += 1;
            return None;
        }
        self.whole_at = Some(whole_at);
        Some(core::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowance_is_a_burst_and_then_one_each_time() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut allowance = Allowance::new(2, Duration::from_secs(10));
        assert_eq!(allowance.take(at(0)), Some(0));
        assert_eq!(allowance.take(at(0)), Some(0));
        assert_eq!(allowance.take(at(0)), None);
        assert_eq!(allowance.take(at(9)), None);
        assert_eq!(allowance.take(at(10)), Some(2));
        assert_eq!(allowance.take(at(11)), None);
        assert_eq!(allowance.take(at(60)), Some(1));
        assert_eq!(allowance.take(at(60)), Some(0));
        assert_eq!(allowance.take(at(60)), None);
    }

    #[test]
    fn line_is_bounded_and_escaped_and_names_sources() {
        let source = io::Error::other(format!("a\nb\u{202E}c\u{200B}\u{1b}[2J {}", "x".repeat(1_000)));
        let error = crate::AcceptError::Io(source);
        let incident = Incident { peer: Some(([127, 0, 0, 1], 80).into()), error: &error, suppressed: 3 };
        let line = incident.to_string();
        assert!(line.starts_with("127.0.0.1:80: transport failed"), "{line}");
        assert!(line.contains(r": a\nb\u{202e}c\u{200b}\u{1b}[2J x"), "{line}");
        assert!(line.ends_with("x … (and 3 more since the last line)"), "{line}");
        assert!(line.chars().count() < 500 && !line.chars().any(char::is_control), "{line}");
    }
}
