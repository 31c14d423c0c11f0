//! ws-std through TLS against peers by others.

use core::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, path::PathBuf, process, thread};

use libtest_mimic::Trial;
use ws_std::{ClientTls, CloseCode, Connector, Message, Server, ServerTls};
use ws_tests::{Authority, Days, noise};

use crate::{PATIENCE, Peer, Program, node, python};

/// The tests, each with its peer.
pub(crate) fn trials() -> Vec<Trial> {
    let of = |name: &str, peer: fn() -> Peer| {
        [
            Trial::test(format!("{name}_exchanges_messages_with_our_server_through_tls"), move || {
                peer_visits(&peer());
                Ok(())
            }),
            Trial::test(format!("our_client_converses_with_{name}_through_tls"), move || {
                our_client_converses(&peer());
                Ok(())
            }),
        ]
        .map(|trial| trial.with_ignored_flag(peer().is_missing_and_may_be()))
    };
    [of("node", node), of("python", python)].into_iter().flatten().collect()
}

/// A folder with an authority's root, and a certificate and its key; removed when dropped.
struct Files(PathBuf);

impl Files {
    fn new(authority: &Authority) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("ws-interop-{}-{number}", process::id()));
        fs::create_dir_all(&folder).unwrap();
        let identity = authority.issue("localhost", Days::NOW);
        for (name, pem) in [("root", &authority.root), ("chain", &identity.chain), ("key", &identity.key)] {
            fs::write(folder.join(name), pem).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // The system clears its folder for temporary files too.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn peer_visits(peer: &Peer) {
    let files = Files::new(&Authority::new());
    let tls =
        ServerTls::new(fs::read(files.path("chain")).unwrap(), fs::read(files.path("key")).unwrap()).unwrap();
    let server = Server::bind("127.0.0.1:0").unwrap().tls(tls);
    let (url, handle) = (format!("wss://localhost:{}/", server.local_addr().unwrap().port()), server.handle());
    let serving = thread::spawn(|| {
        server.run(|exchange| {
            let mut ws = exchange.accept()?;
            while let Some(mut received) = ws.read()? {
                received.reply.queue(received.message)?;
            }
            Ok(())
        })
    });
    let mut command = peer.command(&["visit", &url]);
    command.env("NODE_EXTRA_CA_CERTS", files.path("root")).env("SSL_CERT_FILE", files.path("root"));
    Program::start(command).succeeds();
    handle.stop();
    serving.join().unwrap().unwrap();
}

fn our_client_converses(peer: &Peer) {
    let authority = Authority::new();
    let files = Files::new(&authority);
    let server = Program::start(peer.command(&["serve-tls", &files.path("chain"), &files.path("key")]));
    let tls = ClientTls::builder().add_roots(&authority.root).unwrap().only_added_roots().build().unwrap();
    let mut ws = Connector::new().tls(tls).connect(&server.url()).unwrap();
    ws.set_read_timeout(Some(PATIENCE));
    for len in [0, 1, 126, 20_000, 70_000, 1 << 20] {
        let message = noise(len);
        ws.send(&*message).unwrap();
        assert!(ws.read().unwrap().unwrap().message == Message::Binary(&message), "{len}");
    }
    assert!(ws.close(CloseCode::NORMAL, "").unwrap().clean);
    // Drains the transport.
    assert!(ws.read().unwrap().is_none());
}
