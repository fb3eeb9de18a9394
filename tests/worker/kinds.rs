//! Job kinds that do on purpose what handlers do by mistake.

use std::time::Duration;

use presswork::{
    artifact::ArtifactOptions,
    domain::{Failure, KindName, Reason, RetryPolicy},
    worker::{Context, Kind},
};
use serde::{Deserialize, Serialize};

/// At most two attempts, the second at once.
const TWICE: RetryPolicy = RetryPolicy::attempts(2).backoff(Duration::ZERO, Duration::ZERO);

/// Does nothing.
#[derive(Serialize, Deserialize)]
pub(crate) struct Noop;

impl Kind for Noop {
    const NAME: KindName = KindName::literal("noop");
    type Output = ();

    async fn run(self, _: Context) -> Result<(), Failure> {
        Ok(())
    }
}

/// Does what it is told.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Act {
    Echo,
    Panic,
    Fail,
    Fatal,
    Snooze,
    /// Says that it has started, then waits until it is told to stop and says that it has.
    Heed,
    /// Says that it has started, then ignores everything.
    Ignore,
    /// Reports a thousand times.
    Report,
    /// Writes an artifact.
    Write,
    /// Writes half an artifact, saves a checkpoint and fails; goes on from it the second time.
    Resume,
}

impl Kind for Act {
    const NAME: KindName = KindName::literal("act");
    const RETRY: RetryPolicy = TWICE;
    type Output = String;

    async fn run(self, context: Context) -> Result<String, Failure> {
        match self {
            Self::Echo => Ok(format!("attempt {}", context.job().attempt)),
            Self::Panic => panic!("out of ink"),
            Self::Fail => Err(Failure::retry("paper jam")),
            Self::Fatal => Err(Failure::fatal("no such book")),
            Self::Snooze => {
                Err(Failure::Snooze { wait: Duration::from_secs(60), reason: Reason::new("closed") })
            }
            Self::Heed => {
                context.text("started");
                context.cancelled().await;
                Err(Failure::Cancelled)
            }
            Self::Ignore => {
                context.text("started");
                std::future::pending().await
            }
            Self::Report => {
                (1..=1_000).for_each(|n| context.progress(n, 1_000, "counting"));
                Ok(String::new())
            }
            Self::Write => {
                let mut artifact = context.artifact(&"a.txt".parse().unwrap(), ArtifactOptions::default())?;
                artifact.write(b"hello").await?;
                artifact.finish().await?;
                Ok(String::new())
            }
            Self::Resume => {
                if let Some(page) = context.checkpoint::<u32>() {
                    return Ok(format!("page {page}"));
                }
                let mut artifact = context.artifact(&"a.txt".parse().unwrap(), ArtifactOptions::default())?;
                artifact.write(b"half").await?;
                artifact.finish().await?;
                context.save(&7_u32).await?;
                Err(Failure::retry("after page 7"))
            }
        }
    }
}

/// Takes longer than it may.
#[derive(Serialize, Deserialize)]
pub(crate) struct Slow;

impl Kind for Slow {
    const NAME: KindName = KindName::literal("slow");
    const RETRY: RetryPolicy = RetryPolicy::attempts(1);
    const TIMEOUT: Duration = Duration::from_millis(1);
    type Output = ();

    async fn run(self, _: Context) -> Result<(), Failure> {
        std::future::pending().await
    }
}
