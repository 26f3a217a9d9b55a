//! The page on speed: its tables and plots are drawn from what was measured (`benches/growth.csv`, `benches/history.csv`).
//!
//! `UPDATE_DOCS=1 cargo test --test it speed` redraws them.

use std::fmt::Write;

const PAGE: &str = "docs/SPEED.md";
/// Characters of the longest bar.
const WIDTH: f64 = 40.0;

/// Rows of a file of measurements, without its head.
fn rows(path: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// One workload's cost for each Pod, by the number of nodes: bars, and how it grew since the row before.
fn growth(workload: &str) -> String {
    let measured: Vec<(String, f64)> = rows("benches/growth.csv")
        .into_iter()
        .filter(|row| row[2] == workload)
        .map(|row| (row[3].clone(), row[5].parse().unwrap()))
        .collect();
    let most = measured.iter().map(|(_, micros)| *micros).fold(0.0, f64::max);
    let mut out = format!("{workload}\n   nodes   µs a Pod\n");
    for (nodes, micros) in &measured {
        let bar = "█".repeat((micros / most * WIDTH).round() as usize);
        writeln!(out, "{nodes:>8} {micros:>10.2}  {bar}").unwrap();
    }
    let (first, last) = (&measured[0], &measured[measured.len() - 1]);
    let nodes = |row: &(String, f64)| row.0.parse::<f64>().unwrap();
    let logarithm = nodes(last).ln() / nodes(first).ln();
    writeln!(
        out,
        "{:.0} times as many nodes: {:.1} times the cost; their logarithm grows {logarithm:.1} times",
        nodes(last) / nodes(first),
        last.1 / first.1
    )
    .unwrap();
    out
}

/// The newest measurement of each peer workload and size.
fn peers() -> String {
    let mut newest: Vec<Vec<String>> = Vec::new();
    for row in rows("benches/history.csv").into_iter().filter(|row| row[3].starts_with("peer/")) {
        newest.retain(|old| (&old[3], &old[4], &old[5]) != (&row[3], &row[4], &row[5]));
        newest.push(row);
    }
    let mut out = String::from(
        "| workload | nodes | Pods | Pods a CPU second | beside kube-scheduler's code |\n|---|---:|---:|---:|---|\n",
    );
    for row in newest {
        let rate = row[5].parse::<f64>().unwrap() / row[6].parse::<f64>().unwrap();
        let times = row[8].split("; ").find_map(|part| part.split_once(" times as many"));
        let times = times.map_or_else(|| "–".to_owned(), |(times, _)| format!("{times} times"));
        writeln!(out, "| {} | {} | {} | {rate:.0} | {times} |", row[3], row[4], row[5]).unwrap();
    }
    out
}

/// The page with what stands between its marks drawn anew.
fn redrawn(page: &str) -> String {
    let mut out = String::new();
    let mut rest = page;
    let close = "<!-- end -->";
    while let Some((before, after)) = rest.split_once("<!-- drawn: ") {
        let (name, after) = after.split_once(" -->\n").unwrap();
        let (_, after) = after.split_once(close).unwrap();
        let drawn = if name == "peers" { peers() } else { format!("```text\n{}```\n", growth(name)) };
        write!(out, "{before}<!-- drawn: {name} -->\n{drawn}{close}").unwrap();
        rest = after;
    }
    out + rest
}

#[test]
fn the_page_on_speed_is_drawn_from_the_measurements() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let now = redrawn(&page);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(PAGE, &now).unwrap();
    } else {
        assert!(page == now, "{PAGE} is old; run `UPDATE_DOCS=1 cargo test --test it speed`");
    }
}
