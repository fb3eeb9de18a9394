//! Job kinds that do on purpose what handlers do by mistake.

use std::time::Duration;

use presswork::{
    artifact::ArtifactOptions,
    domain::{Failure, KindName, Reason, RetryPolicy},
    limits::Resource,
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
                let mut artifact =
                    context.artifact(&"a.txt".parse().unwrap(), ArtifactOptions::default()).await?;
                artifact.write(b"hello").await?;
                artifact.finish().await?;
                Ok(String::new())
            }
            Self::Resume => {
                if let Some(page) = context.checkpoint::<u32>() {
                    return Ok(format!("page {page}"));
                }
                let mut artifact =
                    context.artifact(&"a.txt".parse().unwrap(), ArtifactOptions::default()).await?;
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

/// The key of a provider that [`Uses`] calls.
pub(crate) const MODEL: Resource = Resource::literal("model:key");

/// Calls a provider: reserves, says that it is in, does what it is told.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) enum Uses {
    /// The provider answers; the actual cost of the estimate of 10.
    Fine(u32),
    /// The provider says "too many requests, come back in a minute".
    TooMany,
    /// Never settles.
    Forgets,
}

/// For how long [`Uses::TooMany`] parks.
pub(crate) const PARKED: Duration = Duration::from_secs(60);

impl Kind for Uses {
    const NAME: KindName = KindName::literal("uses");
    const RETRY: RetryPolicy = RetryPolicy::attempts(1);
    type Output = String;

    async fn run(self, context: Context) -> Result<String, Failure> {
        let reserve = context.reserve(&MODEL, 10).await?;
        context.text("in");
        match self {
            Self::Fine(actual) => reserve.settle(actual).await,
            Self::TooMany => return Err(context.park(&MODEL, PARKED).await),
            Self::Forgets => drop(reserve),
        }
        Ok(format!("attempt {}", context.job().attempt))
    }
}

/// Loads something through the cache: the tenant's name.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Remembers;

impl Kind for Remembers {
    const NAME: KindName = KindName::literal("remembers");
    type Output = (String, u64);

    async fn run(self, context: Context) -> Result<(String, u64), Failure> {
        let load = || async { Ok::<_, Failure>(context.job().tenant.to_string().into()) };
        let found = context.cache().get_or_load(&"name".parse().unwrap(), PARKED, load).await?;
        Ok((String::from_utf8(found.to_vec()).unwrap(), found.len() as u64))
    }
}
