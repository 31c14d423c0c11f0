//! Memory that many connections use in turn.

use ws_proto::host::Pool;
use ws_tests::{BINARY, FIN, REQUEST, TEXT, echo, masked, noise, take_pending};

use super::*;

fn pool_of(deflate: Option<Settings>) -> Pool {
    deflate.into_iter().fold(Pool::new(&Config::default()), Pool::deflate)
}

/// A connection without memory.
fn without_memory() -> Connection<'static, Server> {
    Connection::accept_in(None, &Config::default(), OriginPolicy::SameHost, Instant::ZERO)
}

/// Lends memory of `pool` to `connection` for a read, a write of all that is pending, and its timers.
fn turn(pool: &mut Pool, connection: &mut Connection<'_, Server>, bytes: &[u8]) -> Vec<u8> {
    pool.lend(connection);
    echo(connection, Instant::ZERO, bytes);
    let (sent, _) = take_pending(connection, Instant::ZERO);
    pool.take_back(connection);
    sent
}

/// Returns what all free memories of `pool` hold, by lending them; how many these are.
fn free_memories(pool: &mut Pool) -> Vec<usize> {
    let mut held = Vec::new();
    loop {
        let mut connection = without_memory();
        pool.lend(&mut connection);
        let Some(memory) = connection.detach() else { panic!("new memory is empty") };
        if memory.held_bytes() == 0 {
            return held;
        }
        held.push(memory.held_bytes());
    }
}

#[test]
fn memory_stays_with_an_unfinished_connection() {
    let mut pool = pool_of(None);
    let mut connection = without_memory();
    assert_eq!(turn(&mut pool, &mut connection, &REQUEST[..40]), b"");
    assert!(connection.has_memory(), "a head is cut");
    turn(&mut pool, &mut connection, &REQUEST[40..]);
    assert!(!connection.has_memory());
    let message = masked(FIN | TEXT, b"message");
    turn(&mut pool, &mut connection, &message[..8]);
    assert!(connection.has_memory(), "a message is cut");
    // Another connection uses the pool meanwhile.
    let mut other = without_memory();
    turn(&mut pool, &mut other, REQUEST);
    assert!(!other.has_memory());
    assert!(turn(&mut pool, &mut connection, &message[8..]).ends_with(b"message"));
    assert!(!connection.has_memory());
    // Output that is not written.
    pool.lend(&mut connection);
    echo(&mut connection, Instant::ZERO, &message);
    connection.written(Instant::ZERO, 3);
    pool.take_back(&mut connection);
    assert!(connection.has_memory());
    // An end that is not told.
    take_pending(&mut connection, Instant::ZERO);
    pool.take_back(&mut connection);
    assert!(!connection.has_memory());
    let mut left = without_memory();
    pool.lend(&mut left);
    left.received(Instant::ZERO, 0);
    pool.take_back(&mut left);
    assert!(left.has_memory() && matches!(left.next(), Some(Next::Closed(Ok(_)))));
    pool.take_back(&mut left);
    assert!(!left.has_memory());
}

#[test]
fn a_pool_lends_the_memory_that_it_got_back() {
    let mut pool = pool_of(None);
    let mut connection = without_memory();
    turn(&mut pool, &mut connection, &[REQUEST, &masked(FIN | BINARY, &noise(200_000))].concat());
    assert!(!connection.has_memory());
    let mut other = without_memory();
    pool.lend(&mut other);
    assert!(other.detach().is_some_and(|memory| memory.held_bytes() > 0));
    // One that has memory is lent none.
    pool.lend(&mut connection);
    pool.lend(&mut connection);
    assert!(connection.attach(Box::new(Memory::new(&Config::default()))).is_some());
}

#[test]
fn a_pool_keeps_memories_up_to_its_bound() {
    // Each is cut in the middle of a big message, so that its room is in the memory.
    let message = masked(FIN | BINARY, &noise(100_000));
    for (kept, expected) in [(usize::MAX, 8), (250_000, 2), (0, 1)] {
        let mut pool = pool_of(None).keeping(kept);
        let mut connections: Vec<_> = (0..8).map(|_| without_memory()).collect();
        for connection in &mut connections {
            turn(&mut pool, connection, &[REQUEST, &message[..50_000]].concat());
            assert!(connection.has_memory());
        }
        for connection in &mut connections {
            turn(&mut pool, connection, &message[50_000..]);
            assert!(!connection.has_memory());
        }
        let held = free_memories(&mut pool);
        assert!(held.len() <= expected && !held.is_empty(), "{held:?} of {kept}");
        assert!(held.len() == 1 || held.iter().sum::<usize>() <= kept, "{held:?} of {kept}");
    }
}

#[test]
fn a_pool_keeps_empty_memories_up_to_its_bound_too() {
    let kept = 10 * size_of::<Memory>();
    let mut pool = pool_of(None).keeping(kept);
    let mut connections: Vec<_> = (0..100).map(|_| without_memory()).collect();
    connections.iter_mut().for_each(|connection| pool.lend(connection));
    connections.iter_mut().for_each(|connection| pool.take_back(connection));
    assert_eq!(format!("{pool:?}"), format!("Pool {{ free: 10, free_bytes: {kept}, .. }}"));
}

#[test]
fn compressors_that_take_their_context_over_stay_with_their_connection() {
    let offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let request = [&REQUEST[..REQUEST.len() - 2], offer].concat();
    let message = masked(FIN | TEXT, "again ".repeat(100).as_bytes());
    for (settings, stays) in [(Settings::small(), false), (Settings::balanced(), true)] {
        let mut pool = pool_of(Some(settings));
        let mut connection = without_memory();
        turn(&mut pool, &mut connection, &request);
        let first = turn(&mut pool, &mut connection, &message);
        assert_eq!(connection.has_memory(), stays);
        let second = turn(&mut pool, &mut connection, &message);
        assert_eq!(second.len() < first.len(), stays, "what was sent before is referred to");
    }
}
