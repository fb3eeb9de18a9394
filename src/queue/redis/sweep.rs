//! Keeps everything bounded, shard by shard. Owns: how their answers add up. Must not know: what is removed how.

use futures_util::future::try_join_all;

use super::{RedisQueue, answer::Answer, claim::log_troubles, scripts};
use crate::queue::{QueueError, Retention, Swept};

/// Sweeps a bounded batch of each shard.
pub(super) async fn sweep(queue: &RedisQueue, retention: &Retention) -> Result<Swept, QueueError> {
    let Retention { finished_before, most_finished } = retention;
    let mut arguments = queue.arguments();
    arguments.push(finished_before.as_micros().clamp(0, 1 << 53).to_string().into_bytes());
    arguments.push(most_finished.map(|most| most.to_string()).unwrap_or_default().into_bytes());
    let arguments = &arguments[..];
    let shards = (0..queue.shards()).map(|shard| queue.run("sweep", &scripts::SWEEP, shard, arguments));
    let mut swept = Swept::default();
    for answer in try_join_all(shards).await? {
        let mut answer = Answer::of(answer)?;
        let mut count = || answer.number().and_then(|number| usize::try_from(number).ok()).unwrap_or(0);
        swept.lapsed += count();
        swept.removed += count();
        log_troubles(&mut answer.array()?);
    }
    Ok(swept)
}
