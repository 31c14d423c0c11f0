//! An endpoint holds no heap: a counting allocator watches it take every hostile input.

use ws_proto::{
    Client, Config, Endpoint, Event, Instant, MessageBuffer, MessageKind, Part, Server, Transmit,
    endpoint::Negotiated,
    error::Fault,
    role::{Role, Side},
};
use ws_tests::{Counting, Keys, allocations, hostile_inputs};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Receives `input` in pieces, and does everything else that an endpoint can be asked to.
fn exercise<R: Role>(mut endpoint: Endpoint<R>, input: &mut [u8], piece: usize) {
    let mut out = [0; 200];
    let mut payload = [7; 50];
    let now = Instant::ZERO;
    let _ = endpoint.send(MessageKind::Binary, Part::First, &mut payload);
    let _ = endpoint.write_part(MessageKind::Binary, Part::Last, &payload, &mut out);
    let _ = endpoint.write("text".into(), &mut out);
    for mut piece in input.chunks_mut(piece) {
        while let Ok(Some(event)) = endpoint.receive(now, &mut piece) {
            if let Event::Data(data) = event {
                std::hint::black_box(data.as_str());
            }
            std::hint::black_box((endpoint.control_payload(), endpoint.close_frame()));
            drain(&mut endpoint);
        }
        drain(&mut endpoint);
        let _ = endpoint.write_ping(b"ping", &mut out);
    }
    endpoint.handle_timeout(Instant::from_millis(40_000));
    drain(&mut endpoint);
    let _ = endpoint.write_close(now, ws_proto::CloseCode::NORMAL, "bye", &mut out);
    endpoint.fail(now, Fault::Internal);
    drain(&mut endpoint);
    endpoint.handle_timeout(Instant::from_millis(80_000));
    endpoint.receive_eof();
    drain(&mut endpoint);
    std::hint::black_box(endpoint.state());
}

fn drain<R: Role>(endpoint: &mut Endpoint<R>) {
    while let Some(transmit) = endpoint.poll_transmit() {
        if let Transmit::Control(frame) = transmit {
            std::hint::black_box(frame.as_bytes());
        }
    }
}

/// The same through a `MessageBuffer` on a slice.
fn assemble<R: Role>(mut endpoint: Endpoint<R>, mut input: &mut [u8], storage: &mut [u8]) {
    let mut buffer = MessageBuffer::new(storage);
    while let Ok(Some(found)) = buffer.next_in(&mut endpoint, Instant::ZERO, &mut input) {
        std::hint::black_box(found);
        drain(&mut endpoint);
    }
}

// R10.1-1 R10.4-1 R10.7-1
#[test]
fn an_endpoint_allocates_nothing_whatever_it_receives() {
    let config = Config::default();
    let negotiated = Negotiated::default();
    let mut storage = [0; 1000];
    for piece in [1, 7, usize::MAX] {
        for input in hostile_inputs(Side::Server) {
            let (mut one, mut two) = (input.clone(), input);
            let endpoint = || Endpoint::new(Server, &config, negotiated, Instant::ZERO);
            assert_eq!(allocations(|| exercise(endpoint(), &mut one, piece)), 0);
            assert_eq!(allocations(|| assemble(endpoint(), &mut two, &mut storage)), 0);
        }
        for input in hostile_inputs(Side::Client) {
            let (mut one, mut two) = (input.clone(), input);
            let endpoint = || Endpoint::new(Client::new(Keys::Counted(1)), &config, negotiated, Instant::ZERO);
            assert_eq!(allocations(|| exercise(endpoint(), &mut one, piece)), 0);
            assert_eq!(allocations(|| assemble(endpoint(), &mut two, &mut storage)), 0);
        }
    }
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1, 2, 3]))), 1);
}

#[test]
fn a_servers_endpoint_fits_256_bytes() {
    let size = size_of::<Endpoint<Server>>();
    println!("Endpoint<Server>: {size} bytes");
    assert!(size <= 256, "{size}");
}
