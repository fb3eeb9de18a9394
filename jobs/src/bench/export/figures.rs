//! What a line of the result says.

use std::time::Duration;

use serde::Serialize;

use super::super::{mib, rounded};
use super::{Exported, Place, others::Measured, stage::Stage};
use crate::export::Format;

/// One line of the result.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    bench: &'static str,
    format: Format,
    sealed: bool,
    storage: String,
    source_mib: f64,
    output_mib: f64,
    stored_mib: f64,
    seconds: f64,
    mib_per_s: f64,
    peak_mib: f64,
    zstd3_seconds: f64,
    zstd3_mib_per_s: f64,
    times_zstd3: f64,
    stage: Stage,
    baseline: Option<Baseline>,
}

/// Another program beside ours on the same small book. Both are measured as processes, from start to end: ours opens its
/// database and takes the job from its queue meanwhile.
#[derive(Debug, Serialize)]
pub(in crate::bench) struct Baseline {
    program: &'static str,
    source_mib: f64,
    seconds: f64,
    peak_mib: f64,
    our_seconds: f64,
    our_peak_mib: f64,
    times_its_speed: f64,
    part_of_its_memory: f64,
}

impl Baseline {
    /// Theirs, and how long our process lived and what it had at most.
    pub(in crate::bench) fn of(
        program: &'static str,
        source_bytes: u64,
        theirs: Measured,
        (lived, peak_bytes): (Duration, u64),
    ) -> Self {
        let (their_seconds, our_seconds) = (theirs.elapsed.as_secs_f64(), lived.as_secs_f64());
        let (their_mib, our_mib) = (mib(theirs.peak_bytes), mib(peak_bytes));
        Self {
            program,
            source_mib: rounded(mib(source_bytes)),
            seconds: rounded(their_seconds),
            peak_mib: rounded(their_mib),
            our_seconds: rounded(our_seconds),
            our_peak_mib: rounded(our_mib),
            times_its_speed: rounded(their_seconds / our_seconds.max(1e-9)),
            part_of_its_memory: rounded(our_mib / their_mib.max(1e-9)),
        }
    }

    /// For people.
    pub(in crate::bench) fn shown(&self) -> String {
        let Self { program, source_mib, times_its_speed, part_of_its_memory, .. } = self;
        format!(
            "{times_its_speed:.1} x {program}'s speed, {part_of_its_memory:.2} of its memory at {source_mib:.1} MiB"
        )
    }
}

impl Figures {
    pub(super) fn of(
        format: Format,
        place: &Place,
        source_bytes: u64,
        exported: &Exported,
        zstd: Duration,
        stage: Stage,
        baseline: Option<Baseline>,
    ) -> Self {
        let (source_mib, output_mib) = (mib(source_bytes), mib(exported.artifact.plain_bytes));
        let zstd3_seconds = zstd.as_secs_f64();
        Self {
            bench: "export",
            format,
            sealed: place.sealed,
            storage: place.storage.clone(),
            source_mib: rounded(source_mib),
            output_mib: rounded(output_mib),
            stored_mib: rounded(mib(exported.artifact.stored_bytes)),
            seconds: rounded(exported.seconds),
            mib_per_s: rounded(source_mib / exported.seconds.max(1e-9)),
            peak_mib: rounded(mib(exported.peak_bytes)),
            zstd3_seconds: rounded(zstd3_seconds),
            zstd3_mib_per_s: rounded(output_mib / zstd3_seconds.max(1e-9)),
            times_zstd3: rounded(exported.seconds / zstd3_seconds.max(1e-9)),
            stage,
            baseline,
        }
    }

    pub(super) fn row(&self) -> Vec<String> {
        let beside = self.baseline.as_ref().map_or_else(|| "-".to_owned(), Baseline::shown);
        vec![
            self.format.name().to_owned(),
            format!("{:.0} MiB", self.output_mib),
            format!("{:.0} MiB", self.stored_mib),
            format!("{:.1} s", self.seconds),
            format!("{:.0} MiB/s", self.mib_per_s),
            format!("{:.1} MiB", self.peak_mib),
            format!("{:.1} s", self.zstd3_seconds),
            format!("{:.2}", self.times_zstd3),
            format!("{:.0} %", self.stage.adds * 100.0),
            beside,
        ]
    }
}
