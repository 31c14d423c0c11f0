//! ws-tokio's echo server on one thread, a task for each connection.

use tokio::net::TcpListener;

fn main() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on ws://{}/", listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(async move {
                let mut ws = ws_tokio::accept(stream).await?;
                while let Some(mut received) = ws.read().await? {
                    received.reply.queue(received.message).await?;
                }
                Result::<(), Box<dyn std::error::Error + Send + Sync>>::Ok(())
            });
        }
    })
}
