//! Turns the file of a comparison into Markdown tables and SVG plots: `report RESULTS.json DIRECTORY`.

use std::{error::Error, fs, path::Path, process::ExitCode};

use plotters::prelude::*;
use ws_benches::results::{Cell, Results, is_peer};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [results, directory] = &arguments[..] else {
        eprintln!("usage: report RESULTS.json DIRECTORY");
        return ExitCode::from(2);
    };
    match report(results, Path::new(directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn report(results: &str, directory: &Path) -> Result<(), Box<dyn Error>> {
    let results: Results = serde_json::from_str(&fs::read_to_string(results)?)?;
    let mut page = format!("{}; medians of {} rounds.\n", results.environment, results.rounds);
    for group in results.groups() {
        page += &format!("\n## {group}\n\n{}\n{}", results.summary(group, "limit-fused"), results.table(group));
        page += &format!("\n{}", results.echoed(group));
        let columns: Vec<&Cell> = results.group(group).collect();
        for (at, columns) in columns.chunks(6).enumerate() {
            let name = format!("{group}-{at}.svg");
            plot(&directory.join(&name), group, columns, &results.contenders(group))?;
            page += &format!("\n![{group}]({name})\n");
        }
    }
    fs::write(directory.join("report.md"), page)?;
    Ok(())
}

/// Six workloads side by side, the time of each contender as a multiple of the fastest peer's.
fn plot(path: &Path, group: &str, columns: &[&Cell], contenders: &[&str]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::new(path, (1100, 520)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(format!("{group}: time ÷ fastest peer"), ("sans-serif", 20))
        .margin(12)
        .margin_right(180)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(-0.5..columns.len() as f64 - 0.5, (0.2..16.0).log_scale())?;
    let label = |at: &f64| {
        let near = at.fract().abs() < 0.01 && *at >= 0.0;
        let column = columns.iter().enumerate().find(|(index, _)| near && (*index as f64 - at).abs() < 0.01);
        column.map_or(String::new(), |(_, cell)| cell.column.clone())
    };
    chart.configure_mesh().disable_x_mesh().x_labels(2 * columns.len()).x_label_formatter(&label).draw()?;
    for (index, contender) in contenders.iter().enumerate() {
        let points: Vec<(f64, f64)> = columns
            .iter()
            .enumerate()
            .filter_map(|(at, cell)| {
                let fastest = cell.fastest_peer()?.median;
                Some((at as f64, (cell.entry(contender)?.median / fastest).clamp(0.2, 16.0)))
            })
            .collect();
        let color = match *contender {
            ours if ours.starts_with("ours") => RED.to_rgba(),
            peer if is_peer(peer) => Palette99::pick(index).to_rgba(),
            _ => BLACK.mix(0.4),
        };
        let line =
            LineSeries::new(points, color.stroke_width(if is_peer(contender) { 1 } else { 2 })).point_size(3);
        chart
            .draw_series(line)?
            .label(*contender)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::Coordinate(860, 0))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    root.present()?;
    Ok(())
}
