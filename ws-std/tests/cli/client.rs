use std::sync::atomic::{AtomicUsize, Ordering};

use ws_std::{Answer, CloseCode, Exchange, HandlerResult, Message};

use crate::program::{Program, abandon, closed_port, echo, echo_url, run, serve};

#[test]
fn lines_of_a_pipe_are_messages_and_messages_are_lines() {
    let ended = run(&[&echo_url()], "one\n\nzwei ü\r\nlast");
    assert_eq!(ended.text(0), "one\n\nzwei ü\nlast\n");
    assert!(ended.errors.starts_with("connected to ws://127.0.0.1:"), "{ended:?}");
}

#[test]
fn control_characters_reach_a_pipe_unchanged() {
    assert_eq!(run(&[&echo_url()], "\u{1b}[31m\n").text(0), "\u{1b}[31m\n");
}

#[test]
fn texts_of_the_command_line_are_sent_in_place_of_input() {
    let ended = run(&["-x", "one", "--execute", "-two", "-q", &echo_url()], "input");
    assert_eq!(ended.text(0), "one\n-two\n");
    assert_eq!(ended.errors, "");
}

#[test]
fn input_can_be_one_message() {
    let ended = run(&["--no-lines", "-v", &echo_url()], "two\nlines\n");
    assert_eq!(ended.text(0), "two\nlines\n\n");
    assert!(ended.errors.contains("sent 1 message of 10 bytes; on the wire"), "{ended:?}");
    let ended = run(&["--no-lines", "--lines", &echo_url()], "two\nlines\n");
    assert_eq!(ended.text(0), "two\nlines\n");
}

#[test]
fn binary_input_and_output_are_bytes() {
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let ended = run(&["--binary", "--exit-after", "1", &echo_url()], &bytes);
    assert_eq!((ended.status, ended.output == bytes), (Some(0), true));
    let ended = run(&["--binary", "--lines", &echo_url()], b"\xff\n\x00\r\n");
    assert_eq!((ended.status, ended.output.as_slice()), (Some(0), &b"\xff\x00\r"[..]));
}

#[test]
fn binary_messages_are_shown_by_length_and_first_bytes() {
    let address = serve(|exchange| {
        let mut ws = exchange.accept()?;
        ws.send(&[0xAB; 17][..])?;
        Ok(_ = ws.close(CloseCode::NORMAL, "")?)
    });
    let shown = format!("[17 bytes:{} …]\n", " ab".repeat(16));
    assert_eq!(run(&[&format!("ws://{address}")], "").text(0), shown);
}

#[test]
fn a_number_of_messages_ends_the_session() {
    let address = serve(|exchange| {
        let mut ws = exchange.accept()?;
        for number in 0_u32.. {
            ws.send(number.to_string().as_str())?;
        }
        Ok(())
    });
    assert_eq!(run(&["-n", "3", &format!("ws://{address}/")], "").text(0), "0\n1\n2\n");
}

#[test]
fn json_is_indented_and_times_are_shown() {
    let url = echo_url();
    assert_eq!(
        run(&["-j", &url], "{\"b\":[1.0],\"a\":2}\nno json\n").text(0),
        "{\n  \"b\": [\n    1.0\n  ],\n  \"a\": 2\n}\nno json\n"
    );
    let ended = run(&["-t", &url], "x\n");
    let (time, message) = ended.text(0).trim_end().split_once(' ').unwrap();
    assert!(time.len() == "2026-01-01T00:00:00.000Z".len() && time.ends_with('Z') && message == "x", "{ended:?}");
}

#[test]
fn fields_of_the_request_are_those_of_the_options() {
    let address = serve(|exchange: Exchange| {
        let named = ["X-Id", "Authorization", "Origin", "Sec-WebSocket-Protocol"];
        let values: Vec<_> = named
            .map(|name| String::from_utf8_lossy(exchange.header(name).unwrap_or_default()).into_owned())
            .into();
        let answer = Answer::accept().subprotocol(exchange.select(&["b"]));
        let mut ws = exchange.accept_with(answer)?;
        ws.send(values.join("|").as_str())?;
        Ok(_ = ws.close(CloseCode::NORMAL, "")?)
    });
    let url = format!("me:hidden@{address}/x");
    let options =
        ["-H", "X-Id: 7: 8", "--auth", "Aladdin:open sesame", "--origin", "https://a", "-s", "a", "-s", "b"];
    let ended = run(&[&options[..], &[url.as_str()]].concat(), "");
    assert_eq!(ended.text(0), "7: 8|Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==|https://a|a, b\n");
    let connected = format!("connected to ws://{address}/x (subprotocol b, compressed)\n");
    assert!(ended.errors.starts_with(&connected), "{ended:?}");
}

#[test]
fn compression_is_on_unless_it_is_switched_off() {
    let url = echo_url();
    let text = "compressible ".repeat(1_000);
    let ended = run(&["-v", &url], &text);
    assert!(ended.text(0) == format!("{text}\n") && ended.errors.contains("(compressed)"), "{ended:?}");
    assert!(ended.errors.contains("Sec-WebSocket-Extensions: permessage-deflate"), "{ended:?}");
    assert!(
        ended.errors.contains("sent 1 message of 13000 bytes; on the wire 2 frames")
            && ended.errors.contains(" %\n"),
        "{ended:?}"
    );
    let ended = run(&["--compress=no", &url], &text);
    assert!(ended.text(0) == format!("{text}\n") && !ended.errors.contains("compressed"), "{ended:?}");
}

#[test]
fn round_trips_are_shown() {
    let mut program = Program::start(&["--ping=0.01", "--wait", "inf", &echo_url()]);
    for _ in 0..3 {
        let line = program.error_with("pong after ");
        assert!(line.ends_with(" ms"), "{line}");
    }
    program.interrupt();
    assert_eq!(program.end().status, Some(0));
}

#[test]
fn the_end_of_input_waits_for_answers_and_ctrl_c_does_not() {
    let (sender, connections) = std::sync::mpsc::channel();
    let address = serve(move |exchange| Ok(sender.send(exchange.accept()?)?));
    let mut program = Program::start(&["--wait", "600", &format!("ws://{address}/")]);
    program.type_line("one");
    drop(program.input.take());
    let mut ws = connections.recv().unwrap();
    assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("one"));
    // No Close follows.
    ws.set_read_timeout(Some(std::time::Duration::from_millis(200)));
    assert!(matches!(ws.read(), Err(ws_std::Error::TimedOut)));
    ws.send("answer").unwrap();
    assert_eq!(program.line(), "answer");
    program.interrupt();
    ws.set_read_timeout(None);
    assert!(ws.read().unwrap().is_none());
    assert_eq!(ws.close_frame().unwrap().0, CloseCode::NORMAL);
    assert_eq!(program.end().status, Some(0));
}

#[test]
fn a_reader_that_has_enough_ends_the_session_well() {
    let address = serve(|exchange| {
        let mut ws = exchange.accept()?;
        loop {
            ws.send("again")?;
        }
    });
    let mut program = Program::start(&["--wait", "inf", &format!("ws://{address}/")]);
    assert_eq!(program.line(), "again");
    let Program { output, .. } = &mut program;
    // Another reader takes its place, and the pipe is closed.
    drop(std::mem::replace(output, empty_output()));
    assert_eq!(program.end().status, Some(0));
}

/// Returns the output of a program that has none.
fn empty_output() -> std::io::BufReader<std::process::ChildStdout> {
    let mut child = crate::program::command(&["--version"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let output = child.stdout.take().unwrap();
    child.wait().unwrap();
    std::io::BufReader::new(output)
}

#[test]
fn a_lost_connection_is_opened_again_and_input_goes_on() {
    let count = AtomicUsize::new(0);
    let address = serve(move |exchange| -> HandlerResult {
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            // It ends without a Close.
            return abandon(exchange);
        }
        echo(exchange)
    });
    let mut program = Program::start(&["--reconnect", "-n", "1", &format!("ws://{address}/")]);
    let line = program.error_with("trying again in ");
    assert!(line.starts_with("connection lost: "), "{line}");
    program.error_with("connected to ");
    program.type_line("hello");
    assert_eq!(program.end().text(0), "hello\n");
}

#[test]
fn a_server_that_names_a_time_is_not_asked_sooner() {
    let count = AtomicUsize::new(0);
    let address = serve(move |exchange| -> HandlerResult {
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            // An answer that refuses is reported as an error.
            let _ = exchange.accept_with(Answer::refuse(503).header("Retry-After", "2"));
            return Ok(());
        }
        echo(exchange)
    });
    let mut program = Program::start(&["--reconnect", "-n", "1", &format!("ws://{address}/")]);
    let line = program.error_with("trying again in ");
    assert!(line.contains("answered 503") && line.ends_with("trying again in 2.0 s"), "{line}");
    program.type_line("hello");
    assert_eq!(program.end().text(0), "hello\n");
}

#[test]
fn a_server_that_is_not_there_is_tried_again_until_ctrl_c() {
    let mut program = Program::start(&["--reconnect", &format!("ws://{}/", closed_port())]);
    for _ in 0..2 {
        program.error_with("refused the connection");
    }
    program.interrupt();
    assert_eq!(program.end().status, Some(130));
}
