//! Our examples against WebSocket peers by others. Each peer is a program under `interop/`, where README.md
//! defines its roles. The tests of a peer that is not installed are ignored, under CI they fail. Also how our client ends, and
//! our proxies.

#![cfg(unix)]

mod proxy;
#[cfg(feature = "rustls")]
mod tls;

use core::time::Duration;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::{env, thread};

use libtest_mimic::{Arguments, Trial};

/// How long a program may stay silent: a browser on a busy machine takes seconds to start.
const PATIENCE: Duration = Duration::from_secs(90);

/// A driver, by the beginning of its examples' names.
#[derive(Clone, Copy)]
struct Driver(&'static str);

const WS_STD: Driver = Driver("");
const WS_TOKIO: Driver = Driver("tokio_");

/// Pairs each test with the peer that it needs.
macro_rules! trials {
    ($driver:expr; $($test:ident => $peer:ident,)*) => {
        [$({
            let name = format!("{}{}", $driver.0, stringify!($test));
            Trial::test(name, move || Ok($test($driver))).with_ignored_flag($peer().is_missing_and_may_be())
        }),*]
    };
}

fn main() -> ExitCode {
    let mut trials = with_peers(WS_STD);
    trials.extend(with_peers(WS_TOKIO));
    trials.extend([WS_STD, WS_TOKIO].into_iter().flat_map(proxy::trials));
    #[cfg(feature = "rustls")]
    trials.extend(tls::trials());
    trials.push(Trial::test("client_escapes_messages_and_closes_at_ctrl_c", || {
        client_escapes_messages_and_closes_at_ctrl_c();
        Ok(())
    }));
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn with_peers(driver: Driver) -> Vec<Trial> {
    trials![
        driver;
        chromium_exchanges_messages_with_our_server => chromium,
        chromium_sees_our_server_going_away => chromium,
        chromium_exchanges_compressed_messages_with_our_server => chromium,
        node_exchanges_messages_with_our_server => node,
        node_sees_our_server_going_away => node,
        our_client_echoes_what_node_sends => node,
        our_client_converses_with_node => node,
        node_exchanges_compressed_messages_with_our_server => node,
        our_client_echoes_what_node_sends_compressed => node,
        python_exchanges_messages_with_our_server => python,
        python_sees_our_server_going_away => python,
        our_client_echoes_what_python_sends => python,
        our_client_converses_with_python => python,
        our_client_converses_with_python_in_a_subprotocol => python,
        python_exchanges_compressed_messages_with_our_server => python,
        our_client_echoes_what_python_sends_compressed => python,
        our_client_converses_with_fastapi => fastapi,
    ]
    .into()
}

fn chromium_exchanges_messages_with_our_server(driver: Driver) {
    exchanges_messages_with_our_server(driver, chromium());
}

fn node_exchanges_messages_with_our_server(driver: Driver) {
    exchanges_messages_with_our_server(driver, node());
}

fn python_exchanges_messages_with_our_server(driver: Driver) {
    exchanges_messages_with_our_server(driver, python());
}

fn chromium_sees_our_server_going_away(driver: Driver) {
    sees_our_server_going_away(driver, chromium());
}

fn node_sees_our_server_going_away(driver: Driver) {
    sees_our_server_going_away(driver, node());
}

fn python_sees_our_server_going_away(driver: Driver) {
    sees_our_server_going_away(driver, python());
}

fn our_client_echoes_what_node_sends(driver: Driver) {
    our_client_echoes(driver, node);
}

fn our_client_echoes_what_python_sends(driver: Driver) {
    our_client_echoes(driver, python);
}

fn our_client_converses_with_node(driver: Driver) {
    our_client_converses(driver, node().command(&["serve"]), &[]);
}

fn our_client_converses_with_python(driver: Driver) {
    our_client_converses(driver, python().command(&["serve"]), &[]);
}

fn our_client_converses_with_python_in_a_subprotocol(driver: Driver) {
    our_client_converses(driver, python().command(&["serve"]), &["--subprotocol", "echo"]);
}

fn our_client_converses_with_fastapi(driver: Driver) {
    our_client_converses(driver, fastapi().command(&[]), &[]);
}

// R7692-7.1.1.1 R7692-7.1.1.2 R7692-7.1.2.1 R7692-7.1.2.2 R7692-7.2.1 R7692-7.2.2
fn chromium_exchanges_compressed_messages_with_our_server(driver: Driver) {
    exchanges_compressed_messages_with_our_server(driver, chromium(), "small");
    exchanges_compressed_messages_with_our_server(driver, chromium(), "balanced");
}

fn node_exchanges_compressed_messages_with_our_server(driver: Driver) {
    exchanges_compressed_messages_with_our_server(driver, node(), "best");
}

fn python_exchanges_compressed_messages_with_our_server(driver: Driver) {
    exchanges_compressed_messages_with_our_server(driver, python(), "best");
}

fn our_client_echoes_what_node_sends_compressed(driver: Driver) {
    our_client_echoes_what_is_compressed(driver, node());
}

fn our_client_echoes_what_python_sends_compressed(driver: Driver) {
    our_client_echoes_what_is_compressed(driver, python());
}

fn client_escapes_messages_and_closes_at_ctrl_c() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let mut client = Program::start(with(WS_STD.example("client"), &[&url]));
    let mut ws = ws_std::accept(listener.accept().unwrap().0).unwrap();
    client.type_line("one");
    ws.set_read_timeout(Some(PATIENCE));
    assert_eq!(ws.read().unwrap().unwrap().message, ws_std::Message::Text("one"));
    ws.send("answer\u{1b}[31m\u{202E}\nof two lines").unwrap();
    assert_eq!(client.line(), r"answer\u{1b}[31m\u{202e}\nof two lines");
    client.interrupt();
    assert!(ws.read().unwrap().is_none());
    assert_eq!(ws.close_frame().unwrap().0, ws_std::CloseCode::NORMAL);
    client.succeeds();
}

fn exchanges_compressed_messages_with_our_server(driver: Driver, peer: Peer, profile: &str) {
    let deflate = format!("--deflate={profile}");
    let server = Program::start(with(driver.example("echo_server"), &["127.0.0.1:0", &deflate]));
    Program::start(peer.command(&["visit-compressed", &server.url()])).succeeds();
}

/// The windows that a peer has for its servers, each with context takeover and without.
fn our_client_echoes_what_is_compressed(driver: Driver, peer: Peer) {
    let server = Program::start(peer.command(&["drive-compressed"]));
    for _ in 0..14 {
        let client = Program::start(with(driver.example("echo_client"), &[&server.url(), "--deflate=best"]));
        client.succeeds();
    }
    server.succeeds();
}

fn exchanges_messages_with_our_server(driver: Driver, peer: Peer) {
    let server = our_server(driver);
    Program::start(peer.command(&["visit", &server.url()])).succeeds();
}

fn sees_our_server_going_away(driver: Driver, peer: Peer) {
    let server = our_server(driver);
    let client = Program::start(peer.command(&["await-close", &server.url(), "1001"]));
    assert_eq!(client.line(), "open");
    server.interrupt();
    client.succeeds();
    server.succeeds();
}

fn our_client_echoes(driver: Driver, peer: fn() -> Peer) {
    for (code, reason) in [("1000", ""), ("4001", "bye – 再见")] {
        let server = Program::start(peer().command(&["drive", code, reason]));
        let client = Program::start(with(driver.example("echo_client"), &[&server.url()]));
        server.succeeds();
        client.succeeds();
    }
}

fn our_client_converses(driver: Driver, server: Command, options: &[&str]) {
    let server = Program::start(server);
    let mut client = Program::start(with(with(driver.example("client"), options), &[&server.url()]));
    for line in ["hello", "", "Grüße, 世界! שלום 🦀", &"long ".repeat(20_000)] {
        client.type_line(line);
        assert_eq!(client.line(), line);
    }
    client.succeeds();
}

fn our_server(driver: Driver) -> Program {
    Program::start(with(driver.example("echo_server"), &["127.0.0.1:0"]))
}

impl Driver {
    /// Returns an example of the driver, built by the same `cargo test`, as a command.
    fn example(self, name: &str) -> Command {
        // This program is target/PROFILE/deps/interop-HASH.
        let test = env::current_exe().expect("a running program has a path");
        let profile = test.ancestors().nth(2).expect("cargo builds tests two folders deep");
        let program = profile.join("examples").join(format!("{}{name}", self.0));
        assert!(program.exists(), "{} is missing: run `cargo test`, or build the examples", program.display());
        Command::new(program)
    }
}

/// A program of other people's libraries.
struct Peer {
    is_installed: bool,
    interpreter: PathBuf,
    script: &'static str,
}

impl Peer {
    /// The peer in one of its roles.
    ///
    /// # Panics
    ///
    /// It is not installed.
    fn command(&self, arguments: &[&str]) -> Command {
        assert!(self.is_installed, "{}", self.hint());
        let mut command = Command::new(&self.interpreter);
        command.arg(interop().join(self.script)).args(arguments);
        command
    }

    /// Returns whether the peer is not installed, and says so, unless that is a failure.
    fn is_missing_and_may_be(&self) -> bool {
        let is_missing = !self.is_installed && env::var_os("CI").is_none();
        if is_missing {
            eprintln!("skipped: {}", self.hint());
        }
        is_missing
    }

    fn hint(&self) -> String {
        format!("tests/interop/{} lacks what it needs: run `tests/install interop`", self.script)
    }
}

fn chromium() -> Peer {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_installed = env::split_paths(&path).any(|folder| folder.join("chromium").exists());
    Peer { is_installed, interpreter: "python3".into(), script: "browser/peer.py" }
}

fn node() -> Peer {
    let is_installed = interop().join("node/node_modules/ws").exists();
    Peer { is_installed, interpreter: "node".into(), script: "node/peer.js" }
}

fn python() -> Peer {
    in_venv("python/peer.py")
}

fn fastapi() -> Peer {
    in_venv("python/fastapi_echo.py")
}

fn in_venv(script: &'static str) -> Peer {
    let venv = interop().join("../../target/interop/venv");
    // Written last by tests/install.
    let is_installed = venv.join("requirements.txt").exists();
    Peer { is_installed, interpreter: venv.join("bin/python"), script }
}

fn interop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop")
}

fn with(mut command: Command, arguments: &[&str]) -> Command {
    command.args(arguments);
    command
}

/// A running program, killed when dropped. Its output is read by a thread, so that waiting for it can be bounded.
struct Program {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Program {
    fn start(mut command: Command) -> Self {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("standard output is piped"));
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { name, child, input, lines }
    }

    /// The address that a server prints first.
    fn url(&self) -> String {
        let line = self.line();
        let url = line.strip_prefix("listening on ");
        url.unwrap_or_else(|| panic!("{} prints no address but {line:?}", self.name)).to_owned()
    }

    /// The next line of its output.
    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("no line of {}: {error}", self.name))
    }

    fn type_line(&mut self, line: &str) {
        let input = self.input.as_mut().expect("input is open until `succeeds`");
        writeln!(input, "{line}").unwrap_or_else(|error| panic!("{} does not read: {error}", self.name));
    }

    /// What Ctrl-C does.
    fn interrupt(&self) {
        let kill = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        assert!(kill.expect("kill is a program of every Unix").success());
    }

    /// Ends its input and waits for its own end.
    fn succeeds(mut self) {
        self.input = None;
        let silence = loop {
            if let Err(silence) = self.lines.recv_timeout(PATIENCE) {
                break silence;
            }
        };
        assert_eq!(silence, RecvTimeoutError::Disconnected, "{} does not end", self.name);
        let status = self.child.wait().expect("a child can be waited for");
        assert!(status.success(), "{}: {status}", self.name);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
