//! What becomes of a large artifact when its attempt ends before the job does.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use presswork::{
    artifact::{ArtifactOptions, PART_BYTES},
    domain::{Encoding, Failure, KindName, RetryPolicy, State},
    testing::{Fault, Moment, TestEngine},
    worker::{Context, Kind, Registry},
};
use serde::{Deserialize, Serialize};

/// Writes more than two parts, all of them in each attempt.
#[derive(Debug, Serialize, Deserialize)]
struct Bulk {
    /// So many attempts fail when all is written.
    failing: u32,
}

fn content() -> Vec<u8> {
    (0..PART_BYTES as u64 * 5 / 2 / 8).flat_map(|n| (n * n).to_le_bytes()).collect()
}

impl Kind for Bulk {
    const NAME: KindName = KindName::literal("bulk");
    const RETRY: RetryPolicy =
        RetryPolicy::attempts(3).backoff(Duration::from_secs(60), Duration::from_secs(60));
    type Output = ();

    async fn run(self, context: Context) -> Result<(), Failure> {
        let options = ArtifactOptions {
            encoding: Encoding::None,
            source: Some("squares".to_owned()),
            ..ArtifactOptions::default()
        };
        let mut artifact = context.artifact(&"bulk.bin".parse().unwrap(), options).await?;
        artifact.write(&content()).await?;
        if context.job().attempt <= self.failing {
            return Err(Failure::retry("the ink ran dry"));
        }
        artifact.finish().await?;
        assert_eq!(context.checkpoint::<u32>(), None, "the handler's own is apart");
        Ok(())
    }
}

/// What is stored of tenants.
async fn keys(world: &TestEngine) -> Vec<String> {
    let listed = world.engine().storage.list(None);
    let all: Vec<String> = listed.map_ok(|object| object.location.to_string()).try_collect().await.unwrap();
    all.into_iter().filter(|key| !key.starts_with('.')).collect()
}

#[tokio::test]
async fn a_large_artifact_is_gone_on_with_and_published_once_whatever_kills_its_attempts() {
    let killed = |moment| (Some(Fault::Crash(moment)), 0);
    for (fault, failing) in [killed(Moment::Saved(1)), killed(Moment::Ended), (None, 1)] {
        let world = TestEngine::new(Registry::new().register::<Bulk>());
        let at_ended = fault == Some(Fault::Crash(Moment::Ended));
        fault.into_iter().for_each(|fault| world.inject(fault));
        let job = world.enqueue(&Bulk { failing }).await;
        world.drain().await;
        let done = world.job(job).await;
        assert_eq!((done.state, done.attempt), (State::Completed, 2), "{:?}", done.reason);
        assert!(world.artifact(job, "bulk.bin").await == content());
        let manifest = done.output.unwrap().artifacts.remove(0).manifest;
        assert!(!at_ended || manifest.contains("/000001/"), "{manifest}");
        if failing > 0 {
            // What the first attempt had on its way when it failed may still be coming.
            continue;
        }
        world.engine().sweep().await;
        let left = keys(&world).await;
        assert!(left.len() == 2 && left.contains(&manifest), "{left:?}");
    }
}
