//! The measurements as JSON and as the table of docs/performance.md.

use std::{fmt::Write as _, fs};

use anyhow::Context;
use serde::Serialize;

/// Where the table stands in docs/performance.md.
const MARKERS: [&str; 2] = ["<!-- bench peers: begin -->\n", "<!-- bench peers: end -->\n"];

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub struct Results {
    processor: String,
    cores: usize,
    /// Of one thread, in a large matrix product.
    pub(crate) gemm_gflops: f64,
    pub(crate) networks: Vec<NetworkRow>,
    pub(crate) processes: Vec<ProcessRow>,
}

/// A network in all engines.
#[derive(Debug, Serialize)]
pub(crate) struct NetworkRow {
    pub(crate) title: String,
    pub(crate) gmac: f64,
    pub(crate) threads: usize,
    pub(crate) engines: Vec<Measured>,
}

/// Whole commands over the same images.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessRow {
    pub(crate) title: String,
    pub(crate) commands: Vec<Measured>,
    /// The largest of all rounds, a command.
    pub(crate) peak_mebibytes: Vec<f64>,
}

/// Something with its times.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    /// In milliseconds, in the order of the rounds.
    pub(crate) times: Vec<f64>,
    /// Of the first run of a network, before the rounds.
    pub(crate) first: Option<f64>,
}

/// The middle of the values, or the mean of the middle two; NaN of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which the given share of the values lies, interpolated.
fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = share * sorted.len().saturating_sub(1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    match (sorted.get(low), sorted.get(high)) {
        (Some(low), Some(high)) => low + (high - low) * at.fract(),
        _ => f64::NAN,
    }
}

impl Results {
    pub(crate) fn new() -> Self {
        Self {
            processor: processor(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            gemm_gflops: f64::NAN,
            networks: Vec::new(),
            processes: Vec::new(),
        }
    }

    /// The measurements with every single run, as JSON.
    ///
    /// # Errors
    /// If they cannot be serialised.
    pub fn to_json(&self) -> anyhow::Result<Vec<u8>> {
        Ok(serde_json::to_vec_pretty(self)?)
    }

    /// `documentation` with this table between its markers.
    ///
    /// # Errors
    /// If it lacks the markers.
    pub fn replace_table(&self, documentation: &str) -> anyhow::Result<String> {
        let [begin, end] = MARKERS;
        let missing = "docs/performance.md lacks the markers of the table";
        let (before, rest) = documentation.split_once(begin).context(missing)?;
        let (_, after) = rest.split_once(end).context(missing)?;
        Ok(format!("{before}{begin}{}{end}{after}", self.table()?))
    }

    /// The table in Markdown.
    ///
    /// # Errors
    /// If text cannot be written, which memory does not do.
    pub fn table(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        writeln!(
            text,
            "{}, {} cores; a large single-precision matrix product (NumPy, one thread) reaches \
             {:.0} GFLOP/s.\n",
            self.processor, self.cores, self.gemm_gflops
        )?;
        writeln!(
            text,
            "Milliseconds a run: median (first to third quartile). Shares of the peak count direct \
             convolutions, so Winograd's may pass 100 %.\n"
        )?;
        for row in &self.networks {
            let fused = row.engines.first().map_or(f64::NAN, |engine| median(&engine.times));
            let gflops = 2.0 * row.gmac / (fused / 1e3);
            let share = gflops / (self.gemm_gflops * row.threads as f64);
            let (title, threads) = (&row.title, plural(row.threads, "thread"));
            writeln!(
                text,
                "**{title}, {threads}** (fused: {:.0} % of that peak)\n",
                100.0 * share
            )?;
            writeln!(text, "| engine | ms | first run | fused takes |\n|---|---|---|---|")?;
            for engine in &row.engines {
                let own = median(&engine.times);
                writeln!(
                    text,
                    "| {} | {} | {:.1} | {:.2} x |",
                    engine.name,
                    spread(&engine.times),
                    engine.first.unwrap_or(f64::NAN),
                    fused / own
                )?;
            }
            writeln!(text)?;
        }
        for row in &self.processes {
            writeln!(text, "**Whole process, {}**\n", row.title)?;
            writeln!(
                text,
                "| command | ms | peak memory | of the first row's time |\n|---|---|---|---|"
            )?;
            let first = row.commands.first().map_or(f64::NAN, |command| median(&command.times));
            for (command, memory) in row.commands.iter().zip(&row.peak_mebibytes) {
                let ratio = median(&command.times) / first;
                let (name, spread) = (&command.name, spread(&command.times));
                writeln!(text, "| {name} | {spread} | {memory:.0} MiB | {ratio:.2} x |")?;
            }
            writeln!(text)?;
        }
        Ok(text)
    }
}

/// A number of things.
pub(crate) fn plural(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

fn spread(times: &[f64]) -> String {
    let [low, middle, high] = [0.25, 0.5, 0.75].map(|share| quantile(times, share));
    let digits = usize::from(middle < 1000.0);
    format!("{middle:.digits$} ({low:.digits$} to {high:.digits$})")
}

/// The processor's name, where the system tells it.
fn processor() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or_else(|| "An unnamed processor".to_owned(), |(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert!((median(&values) - 2.5).abs() < 1e-12);
        assert!((quantile(&values, 0.25) - 1.75).abs() < 1e-12);
        assert!((median(&[7.0]) - 7.0).abs() < 1e-12);
        assert!(median(&[]).is_nan());
    }
}
