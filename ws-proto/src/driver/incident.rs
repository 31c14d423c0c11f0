//! Reports of a server, with a limited rate.

use core::{
    error::Error,
    fmt::{self, Write as _},
    time::Duration,
};
use std::{
    boxed::Box,
    format,
    net::SocketAddr,
    string::ToString,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// The most characters of an error's text; the rest is cut.
const LONGEST_TEXT: usize = 400;

/// An error that the server survived, for its log.
///
/// `Display` writes one line of at most about 500 characters: the peer, the error and its sources. Characters that are
/// invisible, control a terminal or change the direction of text are escaped.
#[derive(Debug)]
pub struct Incident<'a> {
    place: Place,
    error: &'a (dyn Error + 'static),
    suppressed: u64,
}

/// The place of an incident.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// The server itself.
    Server,
    /// A connection; the address of its peer may not be known.
    Connection(Option<SocketAddr>),
}

impl<'a> Incident<'a> {
    /// Returns the peer of the connection that failed. `None`: its address is not known, or the server itself lacks a
    /// resource, such as file descriptors or threads.
    #[must_use]
    pub const fn peer(&self) -> Option<SocketAddr> {
        match self.place {
            Place::Server => None,
            Place::Connection(peer) => peer,
        }
    }

    /// Returns the error of the handler, of the opening handshake, or of the operating system.
    #[must_use]
    pub const fn error(&self) -> &'a (dyn Error + 'static) {
        self.error
    }

    /// Returns the number of incidents of this kind since the last one that was reported.
    #[must_use]
    pub const fn suppressed(&self) -> u64 {
        self.suppressed
    }
}

impl fmt::Display for Incident<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Place::Server => f.write_str("server lacks something: ")?,
            Place::Connection(None) => f.write_str("connection: ")?,
            Place::Connection(Some(peer)) => write!(f, "{peer}: ")?,
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

/// Writes the first [`LONGEST_TEXT`] characters of `text`, and escapes those that a terminal would not simply show.
fn write_escaped(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    for character in text.chars().take(LONGEST_TEXT) {
        match character {
            '"' | '\'' | '\\' => f.write_char(character)?,
            _ => write!(f, "{}", character.escape_debug())?,
        }
    }
    if text.chars().nth(LONGEST_TEXT).is_some() { f.write_str(" …") } else { Ok(()) }
}

/// A log that passes incidents to a hook, at a limited rate.
pub struct Log {
    hook: Box<dyn Fn(&Incident<'_>) + Send + Sync>,
    /// The allowance for incidents of connections, whose number peers decide.
    connections: Mutex<Allowance>,
    /// The allowance for incidents of the server itself, a separate one so that peers cannot use it up.
    server: Mutex<Allowance>,
}

impl Log {
    /// Creates a log that passes incidents to `hook`.
    pub fn new(hook: impl Fn(&Incident<'_>) + Send + Sync + 'static) -> Self {
        Self {
            hook: Box::new(hook),
            connections: Mutex::new(Allowance::new(10, Duration::from_secs(1))),
            server: Mutex::new(Allowance::new(1, Duration::from_secs(10))),
        }
    }

    /// Reports `error` of the connection with `peer`, if the allowance permits it. `None`: its address is not known.
    ///
    /// A call that was too late because a side had begun to close is not an incident.
    pub fn report(&self, peer: Option<SocketAddr>, error: &(dyn Error + 'static)) {
        if !error.downcast_ref::<super::Error>().is_some_and(super::Error::is_closing) {
            self.pass(&self.connections, Place::Connection(peer), error);
        }
    }

    /// Reports `error` of the server itself, which lacks a resource, if the allowance permits it.
    pub fn report_lack(&self, error: &(dyn Error + 'static)) {
        self.pass(&self.server, Place::Server, error);
    }

    fn pass(&self, allowance: &Mutex<Allowance>, place: Place, error: &(dyn Error + 'static)) {
        let taken = allowance.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        if let Some(suppressed) = taken {
            (self.hook)(&Incident { place, error, suppressed });
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        #[cfg(feature = "tracing")]
        let report = |incident: &Incident<'_>| tracing::warn!("{incident}");
        // A closed standard error does not end the server.
        #[cfg(not(feature = "tracing"))]
        let report = |incident: &Incident<'_>| {
            drop(std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{incident}\n")));
        };
        Self::new(report)
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

/// An allowance of reports: `burst` at once, and another one after each `each`.
struct Allowance {
    burst: u32,
    each: Duration,
    /// Time at which a whole burst is allowed again; `None` before the first report.
    whole_at: Option<Instant>,
    suppressed: u64,
}

impl Allowance {
    const fn new(burst: u32, each: Duration) -> Self {
        Self { burst, each, whole_at: None, suppressed: 0 }
    }

    /// Takes one report and returns the number of refusals since the last one. `None`: no report is left.
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
    use std::io;

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
    fn a_call_that_is_too_late_is_no_incident() {
        let reported = std::sync::Arc::new(Mutex::new(0));
        let count = std::sync::Arc::clone(&reported);
        let log = Log::new(move |_| *count.lock().unwrap() += 1);
        let peer = Some(([127, 0, 0, 1], 80).into());
        log.report(peer, &crate::driver::Error::from(crate::SendError::Closing));
        assert_eq!(*reported.lock().unwrap(), 0);
        log.report(peer, &crate::driver::Error::from(crate::SendError::ControlTooLong));
        assert_eq!(*reported.lock().unwrap(), 1);
    }

    #[test]
    fn line_is_bounded_and_escaped_and_names_sources() {
        let source = io::Error::other(format!("a\nb\u{202E}c\u{200B}\u{1b}[2J {}", "x".repeat(1_000)));
        let error = crate::driver::AcceptError::Io(source);
        let place = Place::Connection(Some(([127, 0, 0, 1], 80).into()));
        let incident = Incident { place, error: &error, suppressed: 3 };
        let line = incident.to_string();
        assert!(line.starts_with("127.0.0.1:80: transport failed"), "{line}");
        assert!(line.contains(r": a\nb\u{202e}c\u{200b}\u{1b}[2J x"), "{line}");
        assert!(line.ends_with("x … (and 3 more since the last line)"), "{line}");
        assert!(line.chars().count() < 500 && !line.chars().any(char::is_control), "{line}");
    }
}
