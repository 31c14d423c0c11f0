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
    fs::create_dir_all(directory)?;
    let results: Results = serde_json::from_str(&fs::read_to_string(results)?)?;
    for group in results.groups() {
        let contenders = results.contenders(group);
        for (name, columns) in plots(&results, group) {
            plot(&directory.join(&name), group, &columns, &contenders)?;
        }
    }
    let links = |group: &str| -> String {
        plots(&results, group).map(|(name, _)| format!("![{group}]({name})\n")).collect::<Vec<_>>().join("\n")
    };
    fs::write(directory.join("report.md"), results.page(links))?;
    Ok(())
}

/// The plots of `group`: the name of each file and its cells.
fn plots<'a>(results: &'a Results, group: &'a str) -> impl Iterator<Item = (String, Vec<&'a Cell>)> {
    let cells: Vec<&Cell> = results.group(group).collect();
    let plots: Vec<Vec<&Cell>> = cells.chunks(6).map(<[&Cell]>::to_vec).collect();
    plots.into_iter().enumerate().map(move |(at, cells)| (format!("{group}-{at}.svg"), cells))
}

/// Dark enough on white, and told apart by most.
const COLORS: [RGBColor; 9] = [
    RGBColor(0x1F, 0x77, 0xB4),
    RGBColor(0xFF, 0x7F, 0x0E),
    RGBColor(0x2C, 0xA0, 0x2C),
    RGBColor(0x94, 0x67, 0xBD),
    RGBColor(0x8C, 0x56, 0x4B),
    RGBColor(0xE3, 0x77, 0xC2),
    RGBColor(0x17, 0xBE, 0xCF),
    RGBColor(0xBC, 0xBD, 0x22),
    RGBColor(0x50, 0x50, 0x50),
];

/// Ours, one after the other.
const REDS: [RGBColor; 4] = [
    RGBColor(0xD6, 0x00, 0x1C),
    RGBColor(0x7A, 0x00, 0x10),
    RGBColor(0xFF, 0x5A, 0x4A),
    RGBColor(0xFF, 0xA0, 0x90),
];

/// Six workloads side by side, the time of each contender as a multiple of the fastest peer's: ours, the limits, and the
/// nearest peers.
fn plot(path: &Path, group: &str, columns: &[&Cell], contenders: &[&str]) -> Result<(), Box<dyn Error>> {
    let ratios = |contender: &str| -> Vec<(f64, f64)> {
        let ratio = |cell: &&Cell| Some(cell.entry(contender)?.ratio(cell.fastest_peer()?));
        columns
            .iter()
            .enumerate()
            .filter_map(|(at, cell)| Some((at as f64, ratio(cell)?.clamp(0.2, 32.0))))
            .collect()
    };
    let mean = |contender: &str| {
        let ratios = ratios(contender);
        ratios.iter().map(|(_, ratio)| ratio.ln()).sum::<f64>() / ratios.len().max(1) as f64
    };
    let (mut peers, mut shown): (Vec<&str>, Vec<&str>) =
        contenders.iter().partition(|contender| is_peer(contender));
    peers.retain(|peer| ratios(peer).len() == columns.len());
    peers.sort_by(|a, b| mean(a).total_cmp(&mean(b)));
    peers.truncate(COLORS.len());
    shown.extend(&peers);

    let root = SVGBackend::new(path, (1000, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let (left, right) = root.split_horizontally(800);
    let mut chart = ChartBuilder::on(&left)
        .caption(format!("{group}: time ÷ fastest peer"), ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(40)
        .build_cartesian_2d(-0.5..columns.len() as f64 - 0.5, (0.25..32.0).log_scale())?;
    let label = |at: &f64| {
        let near = at.fract().abs() < 0.01 && *at >= 0.0;
        let column = columns.iter().enumerate().find(|(index, _)| near && (*index as f64 - at).abs() < 0.01);
        column.map_or(String::new(), |(_, cell)| cell.column.replace(" connections, depth ", "×"))
    };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(2 * columns.len())
        .x_label_formatter(&label)
        .draw()?;
    let (mut ours, mut limits) = (0, 0);
    for (index, contender) in shown.iter().enumerate() {
        let style = match peers.iter().position(|peer| peer == contender) {
            Some(peer) => COLORS[peer].stroke_width(1),
            None if contender.starts_with("ours") => {
                ours += 1;
                REDS[(ours - 1) % REDS.len()].stroke_width(3)
            }
            None => {
                limits += 1;
                BLACK.mix(0.15 * f64::from(limits)).stroke_width(2)
            }
        };
        chart.draw_series(LineSeries::new(ratios(contender), style).point_size(3))?;
        let y = 48 + 20 * i32::try_from(index)?;
        right.draw(&PathElement::new([(0, y + 6), (22, y + 6)], style))?;
        right.draw(&Text::new((*contender).to_string(), (28, y), ("sans-serif", 13)))?;
    }
    root.present()?;
    Ok(())
}
