use core::{cell::RefCell, time::Duration};
use std::{
    process,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
};

/// The longest time of a test, far longer than any takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(240);

thread_local! {
    static DOG: RefCell<Option<mpsc::Sender<()>>> = const { RefCell::new(None) };
}

/// Starts a watchdog. It prints the name of the test and ends the process unless the calling thread ends, or calls this
/// again, within four minutes.
///
/// So a test that hangs fails. The test harness runs each test on a thread of its own, or all on one thread, where each
/// test restarts the watchdog.
pub fn watch() {
    watch_for(LIMIT);
}

fn watch_for(limit: Duration) {
    DOG.with_borrow_mut(|dog| {
        if dog.as_ref().is_some_and(|dog| dog.send(()).is_ok()) {
            return;
        }
        let (alive, signs) = mpsc::channel();
        let name = thread::current().name().unwrap_or("a thread of a test").to_owned();
        thread::spawn(move || {
            loop {
                match signs.recv_timeout(limit) {
                    Ok(()) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                    Err(RecvTimeoutError::Timeout) => break,
                }
            }
            eprintln!("{name} hangs: it has not ended within {limit:?}");
            process::abort();
        });
        *dog = Some(alive);
    });
}

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use super::*;

    #[test]
    fn a_test_that_hangs_ends_the_process_and_is_named() {
        const CHILD: &str = "WS_TESTS_HANG";
        const NAME: &str = "watchdog::tests::a_test_that_hangs_ends_the_process_and_is_named";
        if env::var_os(CHILD).is_some() {
            watch_for(Duration::from_millis(10));
            loop {
                thread::park();
            }
        }
        let mut child = Command::new(env::current_exe().unwrap());
        let output =
            child.args(["--exact", NAME, "--nocapture", "--test-threads=2"]).env(CHILD, "1").output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(&format!("{NAME} hangs")), "{told}");
    }

    #[test]
    fn a_thread_that_ends_or_begins_anew_in_time_is_left_alone() {
        thread::spawn(|| watch_for(Duration::from_millis(20))).join().unwrap();
        // Longer than the limit of the thread that has ended.
        thread::sleep(Duration::from_millis(60));
        watch();
        watch();
    }
}
