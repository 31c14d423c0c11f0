//! The program at a terminal of its own.

use std::{process::Command, sync::mpsc};

use rexpect::session::{PtySession, spawn_command};
use ws_std::{CloseCode, Message, WebSocket, role::Server};

use crate::{
    program::{echo_url, serve},
    watchdog::watch,
};

/// The longest wait for a text, in milliseconds.
const PATIENCE: u64 = 60_000;

fn start(command: Command) -> PtySession {
    watch();
    spawn_command(command, Some(PATIENCE)).unwrap()
}

/// Returns `ws` at a terminal of the usual size, and after it what `then` does.
fn sized(url: &str, then: &str) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("stty cols 80 rows 24; \"$0\" \"$1\"; status=$?; {then} exit $status");
    shell.args(["-c", &script, env!("CARGO_BIN_EXE_ws"), url]);
    shell
}

/// Starts `ws` for a server whose connection is returned.
fn start_with_server(then: &str) -> (PtySession, WebSocket<Server>) {
    let (sender, connections) = mpsc::channel();
    let address = serve(move |exchange| Ok(sender.send(exchange.accept()?)?));
    let session = start(sized(&format!("ws://{address}/"), then));
    (session, connections.recv().unwrap())
}

fn status(session: &PtySession) -> i32 {
    match session.process().wait().unwrap() {
        rexpect::process::WaitStatus::Exited(_, status) => status,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_user_types_lines_and_commands() {
    let mut session = start(sized(&echo_url(), ""));
    session.exp_string("connected to ws://").unwrap();
    for (line, answer) in [
        ("hello", "< hello"),
        ("//help", "< /help"),
        ("/hex 00 ff", "< [2 bytes: 00 ff]"),
        ("/ping", "* pong after "),
        ("/nothing", "* no command /nothing"),
        ("/file /nonexistent", "* /nonexistent: No such file"),
        ("/help", "* /ping "),
    ] {
        session.send_line(line).unwrap();
        session.exp_string(answer).unwrap();
    }
    // Ctrl-D.
    session.send_control('d').unwrap();
    session.exp_eof().unwrap();
    assert_eq!(status(&session), 0);
}

#[test]
fn a_message_does_not_tear_the_line_being_typed() {
    let (mut session, mut ws) = start_with_server("");
    session.exp_string("> ").unwrap();
    session.send("hal").unwrap();
    session.flush().unwrap();
    session.exp_string("hal").unwrap();
    ws.send("a\u{1b}[2Jb").unwrap();
    session.exp_string(r"< a\u{1b}[2Jb").unwrap();
    // The line is shown again after the message.
    session.exp_string("> hal").unwrap();
    session.send_line("lo").unwrap();
    assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("hallo"));
    session.send_line("/close 4001 good bye").unwrap();
    assert!(ws.read().unwrap().is_none());
    assert_eq!(ws.close_frame().unwrap(), (CloseCode::new(4001), "good bye".to_owned()));
    session.exp_eof().unwrap();
    assert_eq!(status(&session), 0);
}

#[test]
fn ctrl_c_closes_in_good_order() {
    let (mut session, mut ws) = start_with_server("");
    session.exp_string("> ").unwrap();
    session.send_control('c').unwrap();
    assert!(ws.read().unwrap().is_none());
    assert_eq!(ws.close_frame().unwrap().0, CloseCode::NORMAL);
    session.exp_eof().unwrap();
    assert_eq!(status(&session), 0);
}

#[test]
fn the_terminal_is_as_before_when_the_server_closes() {
    let (mut session, mut ws) = start_with_server("stty -a;");
    session.exp_string("> ").unwrap();
    ws.send("last words").unwrap();
    ws.close(CloseCode::POLICY_VIOLATION, "that is why").unwrap();
    session.exp_string("< last words").unwrap();
    session.exp_string("ws: closed by the server: 1008 (policy violation): that is why").unwrap();
    let settings = session.exp_eof().unwrap();
    let has = |flag| settings.split_whitespace().any(|word| word.trim_end_matches(';') == flag);
    assert!(has("icanon") && has("isig") && has("icrnl") && has("opost"), "{settings}");
    assert_eq!(status(&session), 3);
}
