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
        // Longer than the watch of the thread that has ended.
        thread::sleep(Duration::from_millis(60));
        watch();
        watch();
    }
}
