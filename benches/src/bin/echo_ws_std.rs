//! ws-std's echo server, a thread for each connection.

use std::net::TcpListener;

fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on ws://{}/", listener.local_addr()?);
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            let Ok(mut socket) = ws_std::accept(stream) else {
                return;
            };
            while let Ok(Some(mut received)) = socket.read() {
                if received.reply.queue(received.message).is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}
