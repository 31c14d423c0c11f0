use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde_json::Value;
use ws_std::{CloseCode, Message};

use crate::program::{echo_url, run, serve};

fn figures(arguments: &[&str]) -> Value {
    let ended = run(&[&["bench", "-q", "--json-out", "-"], arguments].concat(), "");
    serde_json::from_str(ended.text(0)).unwrap()
}

fn number(figures: &Value, path: &str) -> f64 {
    figures.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path}: {figures}"))
}

#[test]
fn figures_add_up() {
    let own = std::process::id().to_string();
    let url = echo_url();
    let options = ["-c", "3", "-d", "4", "--size", "100", "--text", "-t", "0.5", "--server-pid", &own, &url];
    let figures = figures(&options);
    let messages = number(&figures, "/messages");
    assert!(messages > 0.0 && messages <= number(&figures, "/echoed_in_all"), "{figures}");
    assert_eq!(number(&figures, "/sent_in_all"), number(&figures, "/echoed_in_all"));
    assert_eq!(number(&figures, "/messages_per_second"), messages / 0.5);
    assert_eq!(number(&figures, "/payload_bytes_per_second"), messages / 0.5 * 100.0);
    let trips =
        ["p50", "p90", "p99", "p99.9", "max"].map(|name| number(&figures, &format!("/round_trip_ns/{name}")));
    assert!(trips[0] > 1_000.0 && trips.is_sorted(), "{figures}");
    assert!(number(&figures, "/cpu_ns_per_message") > 0.0 && number(&figures, "/server_cpu_ns_per_message") > 0.0);
    assert!(figures["errors"].as_object().unwrap().values().all(|count| *count == 0), "{figures}");
}

#[test]
fn a_batch_is_sent_when_all_echoes_have_come() {
    let figures = figures(&["-c", "3", "-d", "8", "--batch", "-t", "0.2", &echo_url()]);
    let sent = number(&figures, "/sent_in_all");
    assert!(sent >= 24.0 && sent % 24.0 == 0.0 && sent == number(&figures, "/echoed_in_all"), "{figures}");
}

#[test]
fn a_connection_that_a_batch_loses_does_not_end_the_others() {
    let opened = AtomicUsize::new(0);
    let address = serve(move |exchange| {
        let is_first = opened.fetch_add(1, Ordering::Relaxed) == 0;
        let mut ws = exchange.accept()?;
        for count in 0.. {
            let Some(mut received) = ws.read()? else { break };
            if is_first && count == 20 {
                ws.close(CloseCode::GOING_AWAY, "")?;
                break;
            }
            received.reply.send(received.message)?;
        }
        Ok(())
    });
    let url = format!("ws://{address}/");
    let ended = run(&["bench", "-q", "-c", "3", "-d", "8", "--batch", "-t", "0.5", "--json-out", "-", &url], "");
    let figures: Value = serde_json::from_str(ended.text(4)).unwrap();
    assert_eq!(number(&figures, "/errors/connections_lost"), 1.0, "{figures}");
    assert!(number(&figures, "/echoed_in_all") > 100.0, "{figures}");
}

#[test]
fn a_rate_is_kept_and_a_stall_counts_for_all_messages_that_were_due() {
    const STALL: Duration = Duration::from_millis(400);
    let count = AtomicUsize::new(0);
    let address = serve(move |exchange| {
        let mut ws = exchange.accept()?;
        while let Some(mut received) = ws.read()? {
            if count.fetch_add(1, Ordering::Relaxed) == 50 {
                thread::sleep(STALL);
            }
            received.reply.send(received.message)?;
        }
        Ok(())
    });
    let figures = figures(&["-r", "100", "-t", "1", &format!("ws://{address}/")]);
    // 0.1 s to warm up, and 1 s.
    assert_eq!(number(&figures, "/sent_in_all"), 110.0, "{figures}");
    // Of about 100 messages the stall delays 40, whose first waits for its whole length.
    assert!(number(&figures, "/round_trip_ns/max") >= STALL.as_nanos() as f64, "{figures}");
    assert!(number(&figures, "/round_trip_ns/p90") >= 1e8, "{figures}");
}

#[test]
fn a_server_that_does_not_echo_is_a_failure() {
    let address = serve(|exchange| {
        let mut ws = exchange.accept()?;
        while let Some(mut received) = ws.read()? {
            received.reply.queue(Message::Text("no"))?;
        }
        Ok(())
    });
    let ended = run(&["bench", "-q", "-t", "0.1", &format!("ws://{address}/")], "");
    assert!(
        ended.text(4).contains("wrong echoes") && ended.errors.contains("does the server echo?"),
        "{ended:?}"
    );
}

#[test]
fn a_connection_that_ends_is_counted_as_lost() {
    let address = serve(|exchange| {
        let mut ws = exchange.accept()?;
        ws.read()?;
        Ok(())
    });
    let ended = run(&["bench", "-q", "-t", "0.1", &format!("ws://{address}/")], "");
    assert!(ended.text(4).contains("1 connections lost, 1 messages not echoed"), "{ended:?}");
}
