//! Runs a workload of `benches/instructions`: `instructions WORKLOAD PASSES`. Without arguments it lists them, each
//! with its messages per pass.

use std::process::ExitCode;

use ws_benches::instructions::{MESSAGES, workload, workloads};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, passes] = &arguments[..] else {
        for (name, _) in workloads() {
            let messages = if name == "handshake" { 1 } else { MESSAGES };
            println!("{name} {messages}");
        }
        return ExitCode::SUCCESS;
    };
    match workload(name) {
        Ok(mut run) => {
            run(passes.parse().unwrap_or(0));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}
