//! What it costs to compress, seal and store, beside `zstd -3` alone on the same bytes: the pipeline's own part of an
//! export. Both sides compress by zstd at level 3 whatever the format is, what is compressed already (EPUB, PDF, DOCX) as
//! well: the target speaks of that. Must not know: how the bytes were made.

use std::time::{Duration, Instant};

use async_compression::{Level, tokio::write::ZstdEncoder};
use futures_util::StreamExt as _;
use presswork::{
    artifact::ArtifactOptions,
    cli::CliError,
    domain::{ArtifactPointer, Encoding, FileName, JobId, TenantId},
    engine::Engine,
};
use serde::Serialize;
use tokio::io::AsyncWriteExt as _;

use super::super::{mib, rounded};

/// So much of an artifact is taken: little enough for memory.
const MOST_BYTES: u64 = 128 << 20;
/// It goes through both sides again and again until they had so much: enough for what a beginning and an end cost to be as
/// little as in an artifact of this size.
const LEAST_BYTES: usize = 512 << 20;
/// Less goes through once: a compressor would see the time before (its window is 2 MiB).
const FAR_BYTES: usize = 8 << 20;
/// In turns, the best of each counts: what else the machine does only ever makes it slower.
const ROUNDS: usize = 3;
/// Bytes of a piece, as the export hands them on.
const PIECE_BYTES: usize = 32 << 10;
/// What the stage compresses by, as its baseline does.
const ENCODING: Encoding = Encoding::Zstd;

/// The stage beside its baseline.
#[derive(Debug, Serialize)]
pub(super) struct Stage {
    /// Plain bytes that went through, in MiB: the artifact's, or its first ones, several times over.
    mib: f64,
    /// How they are compressed on their way, whatever the export itself does.
    encoding: Encoding,
    /// Compress, seal where that is asked for, store.
    seconds: f64,
    /// The same bytes, compressed only, in one thread.
    zstd3_seconds: f64,
    /// What the stage takes more than its baseline, as a part of it; 0.3 is 30 %.
    pub(super) adds: f64,
}

impl Stage {
    /// Measures with an artifact's own bytes.
    pub(super) async fn measure(
        engine: &Engine,
        tenant: &TenantId,
        artifact: &ArtifactPointer,
    ) -> Result<Self, CliError> {
        let bytes = plain(engine, artifact, MOST_BYTES).await?;
        let times = if bytes.len() < FAR_BYTES { 1 } else { LEAST_BYTES.div_ceil(bytes.len()) };
        let (mut stage, mut alone) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            alone = alone.min(compressed(&bytes, times).await?);
            stage = stage.min(stored(engine, tenant, &artifact.name, &bytes, times).await?);
        }
        let (seconds, zstd3_seconds) = (stage.as_secs_f64(), alone.as_secs_f64());
        Ok(Self {
            mib: rounded(mib((bytes.len() * times) as u64)),
            encoding: ENCODING,
            seconds: rounded(seconds),
            zstd3_seconds: rounded(zstd3_seconds),
            adds: rounded(seconds / zstd3_seconds.max(1e-9) - 1.0),
        })
    }
}

/// The first plain bytes of an artifact, so many at most.
pub(super) async fn plain(
    engine: &Engine,
    artifact: &ArtifactPointer,
    most: u64,
) -> Result<Vec<u8>, CliError> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let (mut pieces, mut bytes) = (engine.artifacts.read(artifact).await?, Vec::new());
    while bytes.len() < most
        && let Some(piece) = pieces.next().await
    {
        bytes.extend_from_slice(&piece?);
    }
    bytes.truncate(most);
    Ok(bytes)
}

/// `zstd -3` alone.
async fn compressed(bytes: &[u8], times: usize) -> Result<Duration, CliError> {
    let begun = Instant::now();
    let mut encoder = ZstdEncoder::with_quality(tokio::io::sink(), Level::Precise(3));
    for piece in (0..times).flat_map(|_| bytes.chunks(PIECE_BYTES)) {
        encoder.write_all(piece).await.map_err(failed)?;
    }
    encoder.shutdown().await.map_err(failed)?;
    Ok(begun.elapsed())
}

/// The whole stage, as an export meets it.
async fn stored(
    engine: &Engine,
    tenant: &TenantId,
    name: &FileName,
    bytes: &[u8],
    times: usize,
) -> Result<Duration, CliError> {
    let options = ArtifactOptions { encoding: ENCODING, ..ArtifactOptions::default() };
    let job = JobId::new(engine.clock.now(), &*engine.random);
    let begun = Instant::now();
    let mut writer = engine.artifacts.create(tenant, job, 1, name, options).await?;
    for piece in (0..times).flat_map(|_| bytes.chunks(PIECE_BYTES)) {
        writer.write(piece).await?;
    }
    writer.finish().await?;
    let elapsed = begun.elapsed();
    engine.artifacts.remove_attempt(tenant, job, 1).await?;
    Ok(elapsed)
}

/// How long one thread takes to compress all of an artifact's bytes at level 3; reading and decoding them is not counted.
pub(super) async fn zstd3(engine: &Engine, artifact: &ArtifactPointer) -> Result<Duration, CliError> {
    let mut encoder = ZstdEncoder::with_quality(tokio::io::sink(), Level::Precise(3));
    let (mut pieces, mut spent) = (engine.artifacts.read(artifact).await?, Duration::ZERO);
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        let begun = Instant::now();
        encoder.write_all(&piece).await.map_err(failed)?;
        spent += begun.elapsed();
    }
    let begun = Instant::now();
    encoder.shutdown().await.map_err(failed)?;
    Ok(spent + begun.elapsed())
}

fn failed(error: std::io::Error) -> CliError {
    CliError::unavailable(format_args!("the baseline failed: {error}"))
}
