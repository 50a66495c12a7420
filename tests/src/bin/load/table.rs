//! Latencies as cells, cells as rows, rows as Markdown.

use std::time::Duration;

/// One line of the table: the cells by number of connections.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) cells: Vec<Cell>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) connections: usize,
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Cell {
    /// Each connection has one request under way all the time, so the rate
    /// follows from the latencies, also where two kinds of request take turns.
    pub(crate) fn of(connections: usize, mut latencies: Vec<Duration>) -> Self {
        latencies.sort_unstable();
        let total: Duration = latencies.iter().sum();
        Self {
            connections,
            per_second: latencies.len() as f64 / total.as_secs_f64() * connections as f64,
            p50: at(&latencies, 0.5),
            p99: at(&latencies, 0.99),
        }
    }
}

impl Row {
    pub(crate) fn line(&self) -> String {
        let cells = self.cells.iter();
        let cells = cells.map(|c| {
            format!(
                "{}: {:.0}/s, p50 {}",
                c.connections,
                c.per_second,
                ms(c.p50)
            )
        });
        format!("{}: {}", self.name, cells.collect::<Vec<_>>().join("; "))
    }
}

/// The value below which this share of a sorted list lies.
pub(crate) fn at<T: Copy + Default>(sorted: &[T], share: f64) -> T {
    let last = sorted.len().saturating_sub(1);
    let place = (last as f64 * share) as usize;
    sorted.get(place).copied().unwrap_or_default()
}

pub(crate) fn ms(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1_000.0)
}

/// A table's head with as many columns of numbers as follow the first.
pub(crate) fn head(names: &[&str]) {
    println!("\n| {} |", names.join(" | "));
    println!("|---|{}", "---:|".repeat(names.len() - 1));
}

pub(crate) fn line(cells: &[String]) {
    println!("| {} |", cells.join(" | "));
}
