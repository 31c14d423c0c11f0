use ws_std::{ClientTls, CloseCode, ConnectError, Connector, Message, WebSocket, role::Client};

use crate::program::{Program, run};

fn connect(url: &str) -> WebSocket<Client> {
    ws_std::connect(url).unwrap()
}

fn text(ws: &mut WebSocket<Client>) -> String {
    match ws.read().unwrap().unwrap().message {
        Message::Text(text) => text.to_owned(),
        Message::Binary(bytes) => format!("{bytes:?}"),
    }
}

#[test]
fn a_server_echoes_and_goes_away_at_ctrl_c() {
    let (mut server, url) = Program::listen(&["-v"]);
    let mut ws = connect(&format!("{url}room"));
    ws.send("hello").unwrap();
    assert_eq!(text(&mut ws), "hello");
    ws.send(&[0, 255][..]).unwrap();
    assert_eq!(text(&mut ws), "[0, 255]");
    assert!(server.error_with("connected to /room").starts_with("127.0.0.1:"));
    server.error_with(": hello");
    server.interrupt();
    assert!(ws.read().unwrap().is_none());
    assert_eq!(ws.close_frame().unwrap().0, CloseCode::GOING_AWAY);
    assert_eq!(server.end().status, Some(0));
}

#[test]
fn a_broadcast_reaches_all_others() {
    let (server, url) = Program::listen(&["--broadcast"]);
    let (mut speaker, mut others) = (connect(&url), [connect(&url), connect(&url)]);
    speaker.set_read_timeout(Some(std::time::Duration::from_millis(100)));
    // A member from whom a message comes is in the room. Others may have been there first.
    for (other, name) in others.iter_mut().zip(["first", "second"]) {
        loop {
            other.send(name).unwrap();
            if matches!(speaker.read(), Ok(Some(received)) if received.message == Message::Text(name)) {
                break;
            }
        }
    }
    speaker.send("to all").unwrap();
    for other in &mut others {
        while text(other) != "to all" {}
    }
    server.interrupt();
    speaker.set_read_timeout(None);
    for mut member in others.into_iter().chain([speaker]) {
        while member.read().unwrap().is_some() {}
        assert_eq!(member.close_frame().unwrap().0, CloseCode::GOING_AWAY);
    }
    assert_eq!(server.end().status, Some(0));
}

#[test]
fn a_command_speaks_for_each_connection() {
    let script = "echo \"$WS_PATH $WS_QUERY\"; while read line; do echo \"got $line\"; done";
    let (server, url) = Program::listen(&["--", "sh", "-c", script]);
    let mut both = [connect(&format!("{url}a?b")), connect(&url)];
    for (ws, first) in both.iter_mut().zip(["/a b", "/ "]) {
        assert_eq!(text(ws), first);
        ws.send("x y").unwrap();
        assert_eq!(text(ws), "got x y");
    }
    server.interrupt();
    assert_eq!(server.end().status, Some(0));
}

#[test]
fn the_end_of_a_command_is_told_by_its_code() {
    for (script, code, reason) in
        [("echo bye", 1000, ""), ("exit 3", 1011, "ended with status 3"), ("kill $$", 1011, "ended by a signal")]
    {
        let (server, url) = Program::listen(&["--", "sh", "-c", script]);
        let mut ws = connect(&url);
        while ws.read().unwrap().is_some() {}
        let (told, why) = ws.close_frame().unwrap();
        assert!(told.get() == code && why.ends_with(reason), "{script}: {told} {why}");
        server.interrupt();
        assert_eq!(server.end().status, Some(0));
    }
    let (_server, url) = Program::listen(&["--", "/nonexistent"]);
    let mut ws = connect(&url);
    assert!(ws.read().unwrap().is_none());
    assert_eq!(ws.close_frame().unwrap(), (CloseCode::INTERNAL_ERROR, "the command cannot be run".to_owned()));
}

#[test]
#[cfg(target_os = "linux")]
fn a_command_ends_with_its_connection_and_leaves_no_process() {
    // The second is a child of the first, and ignores the request to end.
    let script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; sleep 1000' & echo $$; wait";
    let (server, url) = Program::listen(&["--", "sh", "-c", script]);
    let mut ws = connect(&url);
    let ids = [text(&mut ws), text(&mut ws)];
    let lives = |id: &String| std::path::Path::new("/proc").join(id).exists();
    assert!(ids.iter().all(lives), "{ids:?}");
    assert!(ws.close(CloseCode::NORMAL, "").unwrap().clean);
    // The watchdog ends a test in which they live on.
    while ids.iter().any(lives) {
        std::thread::yield_now();
    }
    server.interrupt();
    assert_eq!(server.end().status, Some(0));
}

#[test]
fn bytes_of_a_command_are_binary_messages() {
    let (server, url) = Program::listen(&["--binary", "--", "cat"]);
    let mut ws = connect(&url);
    ws.send(&[0, 10, 255][..]).unwrap();
    let mut received = Vec::new();
    while received.len() < 3 {
        let Message::Binary(bytes) = ws.read().unwrap().unwrap().message else { panic!("it is text") };
        received.extend_from_slice(bytes);
    }
    assert_eq!(received, [0, 10, 255]);
    server.interrupt();
    assert_eq!(server.end().status, Some(0));
}

#[test]
fn pages_of_other_origins_are_refused_unless_they_are_allowed() {
    for (options, status) in [
        (&[][..], Some(403)),
        (&["--allow-origin", "https://other.example"], Some(403)),
        (&["--allow-origin", "https://page.example"], None),
        (&["--allow-origin", "any"], None),
    ] {
        let (_server, url) = Program::listen(options);
        let result = Connector::new().origin("https://page.example").connect(&url);
        let refused = match result {
            Ok(_) => None,
            Err(ConnectError::Refused(refused)) => Some(refused.status()),
            Err(error) => panic!("{error}"),
        };
        assert_eq!(refused, status, "{options:?}");
    }
}

#[test]
fn a_server_with_a_certificate_serves_wss() {
    let authority = crate::certificates::Authority::new();
    let certificate = authority.issue("localhost", crate::certificates::Days::NOW);
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    let [chain, key, root] = [("chain", &certificate.chain), ("key", &certificate.key), ("ca", &authority.root)]
        .map(|(name, content)| {
            let path = folder.join(format!("{}-listen-{name}.pem", std::process::id()));
            std::fs::write(&path, content).unwrap();
            path.to_str().unwrap().to_owned()
        });
    let (_server, url) = Program::listen(&["--cert", &chain, "--key", &key]);
    let url = url.replace("127.0.0.1", "localhost");
    assert!(url.starts_with("wss://localhost:"), "{url}");
    let tls = ClientTls::builder().add_roots(&authority.root).unwrap().build().unwrap();
    let mut ws = Connector::new().tls(tls).connect(&url).unwrap();
    ws.send("hello").unwrap();
    assert_eq!(text(&mut ws), "hello");
    assert_eq!(run(&["--ca", &root, &url], "hello\n").text(0), "hello\n");
}
