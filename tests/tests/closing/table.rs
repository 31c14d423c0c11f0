//! Every order of events of a length, by a model of the closing table.

use ws_proto::{
    Cause, CloseCode, Closed, SendError, State,
    config::CloseReply,
    error::Fault,
    role::{Role, Side},
};
use ws_tests::{BINARY, CLOSE, FIN, Host, PING, PONG, Say, TEXT, from_peer, on_both};

use super::{body, replying};

/// Something that happens to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    LocalClose,
    PeerClose,
    /// A frame that breaks the protocol.
    PeerBreaks,
    HostFails,
    Eof,
    /// A binary message of more than the drain bound.
    BigMessage,
    /// The next deadline passes.
    Deadline,
    Ping,
    SendText,
}

const STEPS: [Step; 9] = [
    Step::LocalClose,
    Step::PeerClose,
    Step::PeerBreaks,
    Step::HostFails,
    Step::Eof,
    Step::BigMessage,
    Step::Deadline,
    Step::Ping,
    Step::SendText,
];

/// The closing table of the design, as plainly as it can be put.
#[derive(Clone, Debug)]
struct Model {
    side: Side,
    reply: CloseReply,
    /// The code of our Close.
    sent: Option<u16>,
    /// The code of the peer's Close.
    received: Option<u16>,
    failed: bool,
    cause: Option<Cause>,
    shut_down: bool,
    over: bool,
    told: usize,
    pongs: usize,
    texts: usize,
    refused: usize,
}

impl Model {
    fn new(side: Side, reply: CloseReply) -> Self {
        Self {
            side,
            reply,
            sent: None,
            received: None,
            failed: false,
            cause: None,
            shut_down: false,
            over: false,
            told: 0,
            pongs: 0,
            texts: 0,
            refused: 0,
        }
    }

    fn is_open(&self) -> bool {
        self.sent.is_none() && self.is_receiving()
    }

    /// Whether the host is to answer the peer's Close.
    fn is_left_to_host(&self) -> bool {
        self.received.is_some() && self.sent.is_none() && !self.over
    }

    /// Whether one direction goes on without a deadline: the peer's after our Close, or ours after the peer's.
    fn is_half_closed(&self) -> bool {
        let is_theirs = self.cause == Some(Cause::Local) && self.is_receiving();
        self.reply == CloseReply::HalfClose && (is_theirs || self.is_left_to_host())
    }

    /// Our Close answers the peer's.
    fn answer(&mut self, code: u16) {
        self.sent = Some(code);
        self.shut_down |= self.side == Side::Server;
    }

    fn is_receiving(&self) -> bool {
        self.received.is_none() && !self.failed && !self.over
    }

    fn end(&mut self) {
        self.over = true;
        self.shut_down = true;
    }

    fn fail(&mut self, code: u16) {
        self.failed = true;
        self.sent.get_or_insert(code);
        self.cause = Some(Cause::Failure);
        self.shut_down = true;
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::LocalClose if self.is_open() => {
                self.sent = Some(4000);
                self.cause = Some(Cause::Local);
            }
            Step::LocalClose if self.is_left_to_host() => self.answer(4000),
            Step::SendText if self.is_open() || (self.is_half_closed() && self.is_left_to_host()) => {
                self.texts += 1
            }
            Step::LocalClose | Step::SendText => self.refused += 1,
            Step::PeerClose if self.is_receiving() => {
                self.told += 1;
                self.received = Some(1001);
                self.cause.get_or_insert(Cause::Peer);
                if self.reply == CloseReply::Echo || self.sent.is_some() {
                    self.answer(self.sent.unwrap_or(1001));
                }
            }
            Step::HostFails if self.is_left_to_host() => self.fail(1008),
            Step::PeerBreaks if self.is_receiving() => self.fail(1002),
            Step::HostFails if self.is_receiving() => self.fail(1008),
            Step::Eof if self.is_receiving() => {
                self.cause = Some(Cause::Eof);
                self.end();
            }
            Step::BigMessage if self.is_receiving() => self.told += 1,
            Step::Eof | Step::BigMessage => {
                if self.is_left_to_host() {
                    self.answer(1001);
                }
                self.end();
            }
            Step::Deadline if self.is_open() || self.is_half_closed() || self.over => {}
            Step::Deadline if self.is_left_to_host() => self.answer(1001),
            Step::Deadline => {
                if self.is_receiving() {
                    self.cause = Some(Cause::CloseTimeout);
                }
                self.end();
            }
            Step::Ping if self.is_receiving() => {
                self.told += 1;
                self.pongs += usize::from(self.is_open());
            }
            _ => {}
        }
    }

    fn state(&self) -> State {
        match self.cause {
            None => State::Open,
            Some(cause) if self.over => State::Closed(Closed {
                clean: self.received.is_some() && self.sent.is_some(),
                code: self.received.map_or(CloseCode::ABNORMAL, CloseCode::new),
                cause,
            }),
            Some(_) => State::Closing,
        }
    }
}

fn take_step<R: Role>(host: &mut Host<R>, step: Step, big_message: &[u8]) -> Result<(), SendError> {
    match step {
        Step::LocalClose => {
            Say::Close(Some(4000), "enough").by(host)?;
            host.transmit();
        }
        Step::SendText => return Say::text("x").by(host),
        Step::PeerClose => host.receive_frame(CLOSE, &body(1001, "going")),
        Step::PeerBreaks => host.receive(&[0x83]),
        Step::HostFails => {
            host.endpoint.fail(host.now, Fault::PolicyViolation);
            host.transmit();
        }
        Step::Eof => host.receive_eof(),
        Step::BigMessage => host.receive(big_message),
        Step::Deadline => {
            host.step_clock();
        }
        Step::Ping => host.receive_frame(PING, b"are you there"),
    }
    Ok(())
}

fn check_order<R: Role>(mut host: Host<R>, reply: CloseReply, steps: &[Step], big_message: &[u8]) {
    let mut model = Model::new(R::SIDE, reply);
    let mut refused = 0;
    for step in steps {
        match take_step(&mut host, *step, big_message) {
            Ok(()) => {}
            Err(SendError::Closing) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        model.step(*step);
        let sent = ws_tests::parse(&host.output);
        let closes: Vec<_> = sent.iter().filter(|frame| frame.first == CLOSE).collect();
        let code = closes.first().map(|close| u16::from_be_bytes([close.payload[0], close.payload[1]]));
        assert_eq!(host.endpoint.state(), model.state(), "{steps:?}");
        assert_eq!(host.shutdowns, usize::from(model.shut_down), "{steps:?}");
        assert_eq!(host.told.len(), model.told, "{steps:?}");
        assert_eq!(refused, model.refused, "{steps:?}");
        assert_eq!(code, model.sent, "{steps:?}");
        assert!(closes.len() <= 1, "{steps:?}");
        assert_eq!(sent.iter().filter(|frame| frame.first == FIN | TEXT).count(), model.texts, "{steps:?}");
        assert_eq!(sent.iter().filter(|frame| frame.first == PONG).count(), model.pongs, "{steps:?}");
        assert!(closes.is_empty() || sent.last().unwrap().first == CLOSE, "nothing behind the Close: {steps:?}");
    }
}

fn orders(len: u32) -> impl Iterator<Item = Vec<Step>> {
    (0..STEPS.len().pow(len))
        .map(move |order| (0..len).map(|at| STEPS[order / STEPS.len().pow(at) % STEPS.len()]).collect())
}

// R5.5.1-2 R5.5.1-3 R5.5.1-4 R5.5.2-1 R7.1.1-1 R7.1.1-2 R7.1.2-1 R7.1.4/5/6 R7.1.7-1 R7.2.1-1 R6.1-1
#[test]
fn every_order_of_events_goes_by_the_closing_table() {
    let big =
        [from_peer(Side::Client, FIN | BINARY, &[7; 70_000]), from_peer(Side::Server, FIN | BINARY, &[7; 70_000])];
    for reply in [CloseReply::Echo, CloseReply::ByHost, CloseReply::HalfClose] {
        for steps in orders(4) {
            let [to_client, to_server] = &big;
            on_both(
                &replying(reply),
                |host| check_order(host, reply, &steps, to_client),
                |host| check_order(host, reply, &steps, to_server),
            );
        }
    }
}
