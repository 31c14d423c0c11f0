//! Connections that follow each other.

use core::{
    future::{Ready, ready},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
};

use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, timeout},
};
use ws_tokio::{Backoff, ConnectError, Connector, Message, Reconnect, ReconnectError};

const SECOND: Duration = Duration::from_secs(1);

fn transient() -> Result<usize, ReconnectError> {
    Err(ConnectError::Closed(io::ErrorKind::ConnectionReset.into()).into())
}

/// Returns connections that are opened with these results.
fn with(
    results: Vec<Result<usize, ReconnectError>>,
) -> Reconnect<impl FnMut() -> Ready<Result<usize, ReconnectError>>> {
    let mut results = VecDeque::from(results);
    Reconnect::new(move || ready(results.pop_front().unwrap()))
}

// R7.2.3-1
#[tokio::test(start_paused = true)]
async fn what_fails_for_a_while_is_tried_again() {
    let failures = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&failures);
    let mut connections = with(vec![Ok(1), transient(), transient(), Ok(2)])
        .on_failure(move |error, delay| seen.lock().unwrap().push((error.to_string(), delay)));
    let begun = Instant::now();
    assert_eq!(connections.next().await.unwrap(), 1);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(connections.next().await.unwrap(), 2);
    let failures = failures.lock().unwrap();
    let [(text, first), (_, second)] = &failures[..] else { panic!("{failures:?}") };
    assert!(text == "no connection" && (8 * SECOND..16 * SECOND).contains(first), "{failures:?}");
    assert!((16 * SECOND..32 * SECOND).contains(second), "{failures:?}");
    let waited = begun.elapsed() - *first - *second;
    assert!(waited <= 8 * SECOND + SECOND / 10, "{waited:?} after the end of the first connection");
}

#[tokio::test(start_paused = true)]
async fn what_can_not_succeed_is_returned_and_may_be_tried_again_after_a_delay() {
    let tries = vec![Err(ConnectError::NeedsTls.into()), Ok(1), transient(), transient()];
    let mut connections = with(tries).max_tries(1);
    let error = connections.next().await.unwrap_err();
    assert!(matches!(error, ReconnectError::Connect(ConnectError::NeedsTls)), "{error:?}");
    let begun = Instant::now();
    assert_eq!(connections.next().await.unwrap(), 1);
    assert!(!begun.elapsed().is_zero());
    let begun = Instant::now();
    connections.try_now();
    assert!(connections.next().await.unwrap_err().is_transient(), "one try may fail");
    assert!(begun.elapsed().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_delay_goes_on_though_its_future_is_dropped() {
    let mut backoff = Backoff::new();
    (backoff.first, backoff.longest) = (20 * SECOND, 20 * SECOND);
    let mut connections = with(vec![transient(), transient(), Ok(1)]).backoff(backoff);
    let begun = Instant::now();
    let mut given_up = 0;
    while timeout(SECOND, connections.next()).await.is_err() {
        given_up += 1;
    }
    // The second delay is at least half of the longest.
    assert!((10..=41).contains(&given_up), "{given_up}");
    assert!(begun.elapsed() <= 41 * SECOND);
}

// R7.2.3-1
#[tokio::test(start_paused = true)]
async fn a_thousand_clients_of_a_server_that_restarts_come_back_evenly() {
    let mut clients = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..1_000 {
        clients.spawn(async move {
            let mut connections = Reconnect::new(|| ready(Ok(Instant::now())));
            connections.next().await.unwrap();
            connections.next().await.unwrap() - begun
        });
    }
    let mut slots = [0; 80];
    while let Some(back) = clients.join_next().await {
        slots[usize::try_from(back.unwrap().as_millis() / 100).unwrap().min(79)] += 1;
    }
    // Three in a hundred are 30, which one of ten thousand such runs exceeds; the test in ws-proto has fixed numbers and that limit.
    assert!(slots.iter().all(|count| (1..=40).contains(count)), "{slots:?}");
}

// The futures can be moved to other threads, although the function borrows what it uses.
#[tokio::test]
async fn a_task_reconnects_by_a_function_that_borrows() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let client = tokio::spawn(async move {
        let connector = Connector::new().proxy(None);
        let tries = AtomicU32::new(0);
        let mut connections = Reconnect::new(|| async {
            tries.fetch_add(1, Ordering::Relaxed);
            let mut ws = connector.connect(&url).await?;
            ws.send("subscribe").await?;
            Ok(ws)
        });
        let ws = connections.next().await.unwrap();
        (tries.load(Ordering::Relaxed), ws)
    });
    let mut server = ws_tokio::accept(listener.accept().await.unwrap().0).await.unwrap();
    assert_eq!(server.read().await.unwrap().unwrap().message, Message::Text("subscribe"));
    assert_eq!(client.await.unwrap().0, 1);
}
