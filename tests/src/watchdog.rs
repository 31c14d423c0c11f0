use core::{cell::RefCell, time::Duration};
use std::{
    process,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
};

/// How long a test may take: far longer than any takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);

thread_local! {
    static DOG: RefCell<Option<mpsc::Sender<()>>> = const { RefCell::new(None) };
}

/// Ends the process, naming the test, if the calling thread neither ends nor calls this again within four minutes.
///
/// A test that would hang fails then. The test harness gives each test a thread of its own, or runs one after another on
/// one thread, where each begins anew.
pub fn watch() {
    DOG.with_borrow_mut(|dog| {
        if dog.as_ref().is_some_and(|dog| dog.send(()).is_ok()) {
            return;
        }
        let (alive, signs) = mpsc::channel();
        let name = thread::current().name().unwrap_or("a thread of a test").to_owned();
        thread::spawn(move || {
            loop {
                match signs.recv_timeout(LIMIT) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => break,
                }
            }
            eprintln!("{name} hangs: it has not ended within {LIMIT:?}");
            process::abort();
        });
        *dog = Some(alive);
    });
}
