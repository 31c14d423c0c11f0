//! Compares the contenders: `compare [GROUP…] [--rounds N] [--only NAME]… [--cell TEXT] [--out FILE.json]`, only those whose
//! names contain a NAME, only in cells whose names contain TEXT.

use std::{fs, process::ExitCode};

use ws_benches::{allocations::Counting, groups, measure::keep_only, results::Results};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Arguments {
    groups: Vec<String>,
    rounds: usize,
    only: Vec<String>,
    cell: String,
    out: Option<String>,
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed =
        Arguments { groups: Vec::new(), rounds: 15, only: Vec::new(), cell: String::new(), out: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--rounds" => parsed.rounds = value()?.parse().map_err(|_| "--rounds needs a number")?,
            "--only" => parsed.only.push(value()?),
            "--cell" => parsed.cell = value()?,
            "--out" => parsed.out = Some(value()?),
            group if groups::GROUPS.contains(&group) => parsed.groups.push(argument),
            _ => return Err(format!("'{argument}' is neither an option nor one of {:?}", groups::GROUPS)),
        }
    }
    if parsed.groups.is_empty() {
        parsed.groups = groups::GROUPS.map(String::from).to_vec();
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    match arguments().and_then(|arguments| compare(&arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Arguments) -> Result<(), String> {
    let mut results = Results { environment: environment(), rounds: arguments.rounds, cells: Vec::new() };
    keep_only(arguments.only.clone());
    for group in &arguments.groups {
        for make in groups::cells(group) {
            let cell = make();
            if cell.column().contains(&arguments.cell) {
                results.cells.push(cell.measure(arguments.rounds));
                eprint!(".");
            }
        }
        eprintln!(" {group}, so far {}", results.tally());
        if let Some(out) = &arguments.out {
            let json = serde_json::to_string_pretty(&results).map_err(|error| error.to_string())?;
            fs::write(out, json).map_err(|error| format!("{out}: {error}"))?;
        }
    }
    println!("{}", results.page(|_| String::new()));
    Ok(())
}

fn environment() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores, {}", model.unwrap_or("unknown processor"), std::env::consts::OS)
}
