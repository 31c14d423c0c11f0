//! The command line.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use ws_std::deflate::Settings;

const AFTER_HELP: &str = "\
Lines that begin with a slash, at a terminal:
  /ping                  send a Ping; the round trip is shown
  /close [CODE [REASON]] close the connection (default 1000)
  /hex 00ff              send a binary message, given in hexadecimal digits
  /file PATH             send a file as a binary message
  /help                  list these
  //x                    send the text /x

Exit status:
  0  ended as asked for, or closed by the peer with 1000, 1001 or no code
  1  no connection: refused, not found, not trusted, or answered with another status than 101
  2  usage: an option, URL or header field that cannot be used
  3  closed by the peer with another code
  4  lost without a closing handshake, or broken protocol
  5  a file, standard input or output, or the address to listen at failed
  130  interrupted by Ctrl-C without a connection, or twice

Examples:
  ws ws://127.0.0.1:9001/                          talk to a server
  echo hello | ws wss://example.com/               send lines, print the answers
  ws -x '{\"op\":\"follow\"}' -j --wait inf URL        send a text, print what comes
  ws --binary --exit-after 1 URL <in.bin >out.bin  one binary message each way
  ws --auth me:secret -H 'X-Id: 7' URL             credentials and a field
  ws --listen                                      echo on ws://127.0.0.1:9001/
  ws --listen 0.0.0.0:9001 -- wc -c                a command for each connection
  ws bench --connections 64 --depth 16 URL         measure a server that echoes";

/// WebSocket client, server and load generator for the terminal.
///
/// `ws URL` sends each line of input as a text message and prints each message. Messages go to standard output, all other
/// lines to standard error. Ctrl-D or Ctrl-C closes the connection.
#[derive(Debug, Parser)]
#[command(name = "ws", version, after_help = AFTER_HELP, max_term_width = 100)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) mode: Option<Mode>,
    #[arg(help = "URL to connect to: ws://HOST[:PORT][/PATH][?QUERY], or wss://…; without a scheme, ws")]
    #[arg(value_name = "URL", required_unless_present = "listen")]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) messages: Messages,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) connecting: Connecting,
    #[command(flatten)]
    pub(crate) listening: Listening,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Measure the round trips of a server that echoes.
    Bench(Box<Bench>),
}

/// Input and output of messages.
#[derive(Debug, Args)]
#[command(next_help_heading = "Messages")]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub(crate) struct Messages {
    /// Send this text instead of standard input; may be given several times.
    #[arg(short = 'x', long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) execute: Vec<String>,
    /// Send all of standard input as one binary message, and write the payload of binary messages to a pipe or file as it is.
    #[arg(short, long)]
    pub(crate) binary: bool,
    /// Send each line as a message (default, except with --binary).
    #[arg(long, overrides_with = "no_lines")]
    pub(crate) lines: bool,
    /// Send all of standard input as one message.
    #[arg(long, overrides_with = "lines")]
    pub(crate) no_lines: bool,
    /// After the end of input, close when the server has been silent for this long; `inf`: never. Default 0.5, or inf with
    /// --exit-after.
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) wait: Option<Duration>,
    /// Close after this number of messages.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) exit_after: Option<u64>,
    /// Print texts that are JSON with indentation.
    #[arg(short, long)]
    pub(crate) json: bool,
    /// Print the time (UTC) before each message.
    #[arg(short, long)]
    pub(crate) timestamps: bool,
    /// Send a Ping at this interval (default 5) and print the round trips.
    #[arg(long, value_name = "SECONDS", value_parser = interval, num_args = 0..=1, default_missing_value = "5", require_equals = true)]
    pub(crate) ping: Option<Duration>,
    /// Connect again when the connection is lost or the server goes away, after a pause that grows from up to 1 to 30 seconds,
    /// or is as long as a server that refuses asks for.
    #[arg(long)]
    pub(crate) reconnect: bool,
}

/// Options of clients and servers.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Common {
    /// Refuse messages of more than this many bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 20)]
    pub(crate) max_message: u64,
    /// Offer or accept compression (RFC 7692). Default: balanced, but no with bench.
    #[arg(long, value_name = "PROFILE", num_args = 0..=1, require_equals = true, default_missing_value = "balanced")]
    pub(crate) compress: Option<Compress>,
    /// Certificate chain in PEM: of a client that the server asks for it, or of the server with --listen, which is wss then.
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Private key of --cert, in PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Print the fields of the server's answer, and counters at the end; with --listen, each connection and message.
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// Print nothing on standard error but errors.
    #[arg(short, long, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// Options of clients.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connecting {
    /// Add a header field to the request; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// Send these credentials (Basic, RFC 7617).
    #[arg(long, value_name = "USER:PASSWORD", value_parser = credentials)]
    pub(crate) auth: Option<String>,
    /// Offer this subprotocol; may be given several times, the preferred one first.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) subprotocol: Vec<String>,
    /// Send this Origin, as a browser would.
    #[arg(short, long)]
    pub(crate) origin: Option<String>,
    /// Connect by this proxy (http, https, socks5 or socks5h), or by none. Default: the environment, as curl reads it.
    #[arg(long, value_name = "URL|none")]
    pub(crate) proxy: Option<String>,
    /// Trust the certificates in this PEM file too, as roots.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Vec<PathBuf>,
    /// Accept any certificate. Whoever is on the way can then read and change all messages.
    #[arg(short = 'k', long)]
    pub(crate) insecure: bool,
    /// Follow up to N redirects.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) redirects: u16,
    /// Give up if there is no connection after this time, and once more if there is no answer to the request.
    #[arg(long, value_name = "SECONDS", value_parser = interval, default_value = "10")]
    pub(crate) connect_timeout: Duration,
}

/// Options of `--listen`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct Listening {
    /// Serve instead of connecting; port 0 is any free port. Ctrl-C closes all connections with 1001.
    #[arg(short, long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:9001")]
    pub(crate) listen: Option<String>,
    /// Send each message back to its sender (default).
    #[arg(long, requires = "listen", conflicts_with_all = ["broadcast", "program"])]
    pub(crate) echo: bool,
    /// Send each message to all other clients.
    #[arg(long, requires = "listen", conflicts_with = "program")]
    pub(crate) broadcast: bool,
    /// Let pages of this origin connect; may be given several times; `any`: all. Default: pages of the same host.
    #[arg(long, value_name = "ORIGIN", requires = "listen")]
    pub(crate) allow_origin: Vec<String>,
    /// Serve at most this many connections at once. Default 1000, or 100 with a command.
    #[arg(long, value_name = "N", requires = "listen")]
    pub(crate) max_connections: Option<usize>,
    /// Run this command for each connection: messages are lines of its input, lines of its output are messages. With --binary,
    /// both are bytes as they come. It is ended with the connection.
    #[arg(last = true, value_name = "COMMAND", requires = "listen")]
    pub(crate) program: Vec<OsString>,
}

/// Options of `ws bench`.
#[derive(Debug, Args)]
pub(crate) struct Bench {
    /// URL of a server that echoes.
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// Number of connections.
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) connections: u16,
    /// Messages a second on each connection. Each round trip counts from the time that its message was due, so that a server
    /// that stalls does not hide its delay. Default: as fast as the echoes come.
    #[arg(short, long, value_name = "N", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// Messages under way at once on each connection. Default 1, or 1000 with --rate.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) depth: Option<u32>,
    /// Load all connections by one thread, which sends the messages of --depth on each, and the next ones when all echoes have
    /// come. Default: a thread for each connection, which sends a message after each echo.
    #[arg(long, conflicts_with = "rate")]
    pub(crate) batch: bool,
    /// Payload of each message in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 16, value_parser = clap::value_parser!(u32).range(..=64 << 20))]
    pub(crate) size: u32,
    /// Time of measuring, after a tenth of it (at most 1 second) to warm up.
    #[arg(short = 't', long, value_name = "SECONDS", value_parser = interval, default_value = "10")]
    pub(crate) duration: Duration,
    /// Send text messages instead of binary ones.
    #[arg(long, overrides_with = "binary")]
    pub(crate) text: bool,
    /// Send binary messages (default).
    #[arg(long, overrides_with = "text")]
    pub(crate) binary: bool,
    /// Write the result to this file as JSON; `-`: to standard output, in place of the table.
    #[arg(long, value_name = "FILE")]
    pub(crate) json_out: Option<PathBuf>,
    /// Measure the CPU time of this process too, which is the server's (Linux).
    #[arg(long, value_name = "PID")]
    pub(crate) server_pid: Option<u32>,
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) connecting: Connecting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Compress {
    /// No compression
    No,
    /// The least memory
    Small,
    /// Between both
    #[value(alias = "yes")]
    Balanced,
    /// The best ratio
    Best,
}

impl Common {
    /// Returns the settings of compression, `default` if the user does not choose.
    pub(crate) fn deflate(&self, default: Compress) -> Option<Settings> {
        self.compress.unwrap_or(default).settings()
    }
}

impl Compress {
    const fn settings(self) -> Option<Settings> {
        match self {
            Self::No => None,
            Self::Small => Some(Settings::small()),
            Self::Balanced => Some(Settings::balanced()),
            Self::Best => Some(Settings::best_ratio()),
        }
    }
}

/// The longest time that an option can have, which `inf` stands for: 30 years.
const LONGEST: Duration = Duration::from_secs(1_000_000_000);

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if seconds.is_nan() || seconds < 0.0 {
        return Err("not a time: it is negative".into());
    }
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST))
}

fn interval(text: &str) -> Result<Duration, String> {
    match seconds(text) {
        Ok(time) if time < Duration::from_millis(1) => Err("less than 0.001 seconds".into()),
        result => result,
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err("not a number from 0.001 to 1000000".into()),
    }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("the form is 'NAME: VALUE'")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn credentials(text: &str) -> Result<String, String> {
    // RFC 7617 section 2: the first colon ends the user's name.
    if text.contains(':') { Ok(text.to_owned()) } else { Err("the form is USER:PASSWORD".into()) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_are_seconds_or_endless() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert_eq!(seconds("inf"), Ok(LONGEST));
        for text in ["", "x", "-1", "NaN", "-inf"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert!(interval("0").is_err() && interval("0.001").is_ok());
    }

    #[test]
    fn a_url_an_address_or_bench_chooses_the_mode() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' '));
        assert_eq!(parse("ws ws://x/ -x a").unwrap().url.as_deref(), Some("ws://x/"));
        assert_eq!(parse("ws --listen").unwrap().listening.listen.as_deref(), Some("127.0.0.1:9001"));
        let command = parse("ws --listen :0 -- wc -c").unwrap().listening.program;
        assert_eq!(command, ["wc", "-c"]);
        assert!(
            matches!(parse("ws bench ws://x/ -c 2").unwrap().mode, Some(Mode::Bench(bench)) if bench.connections == 2)
        );
        assert_eq!(parse("ws URL --ping").unwrap().messages.ping, Some(Duration::from_secs(5)));
        assert_eq!(parse("ws URL --compress=no").unwrap().common.compress, Some(Compress::No));
        for line in
            ["ws", "ws --broadcast URL", "ws URL -- wc", "ws --listen :0 --echo --broadcast", "ws URL --cert a"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
