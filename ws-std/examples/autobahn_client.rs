//! Runs all cases of an Autobahn fuzzing server and updates its reports.
//!
//! ```sh
//! cargo run --release --example autobahn_client ws://127.0.0.1:9002
//! ```

use std::{error::Error, process::ExitCode};

use ws_std::{Config, Connector, Message, deflate::Settings};

mod program;

const HELP: &str = "\
usage: autobahn_client URL [AGENT]

Runs all cases of the Autobahn fuzzing server at URL and has it write its reports
for AGENT (default ws-std).

  -h, --help   this text";

fn main() -> ExitCode {
    program::run(HELP, program::values(2), |values| {
        let url = values.first().ok_or("no URL given; --help tells more")?;
        run_all(url.trim_end_matches('/'), values.get(1).map_or("ws-std", String::as_str))
    })
}

fn run_all(url: &str, agent: &str) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    // Servers without compression ignore the offer.
    let connector = Connector::new().config(config).deflate(Settings::balanced());
    let count = case_count(&connector, url)?;
    for case in 1..=count {
        let case_url = format!("{url}/runCase?case={case}&agent={agent}");
        if let Err(error) = run_case(&connector, &case_url) {
            // Many cases provoke an error on purpose; the server judges the result.
            println!("case {case}/{count}: {}", program::explained(&*error));
        }
    }
    connector.connect(&format!("{url}/updateReports?agent={agent}"))?.read()?;
    println!("{count} cases run");
    Ok(())
}

fn case_count(connector: &Connector<'_>, url: &str) -> Result<u32, Box<dyn Error>> {
    let mut ws = connector.connect(&format!("{url}/getCaseCount"))?;
    let received = ws.read()?.ok_or("the server tells no number of cases")?;
    let Message::Text(count) = received.message else {
        return Err("the number of cases is not a text".into());
    };
    Ok(count.parse()?)
}

fn run_case(connector: &Connector<'_>, url: &str) -> Result<(), Box<dyn Error>> {
    let mut ws = connector.connect(url)?;
    while let Some(mut received) = ws.read()? {
        received.reply.queue(received.message)?;
    }
    Ok(())
}
