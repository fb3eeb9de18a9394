//! Opens batches. Owns: how one is written for its script. Must not know: what ends one.

use redis::Value;

use super::{
    RedisQueue,
    answer::{Answer, unreadable},
    body,
    enqueue::{read_answer, text, write_times_and_keys},
    scripts,
};
use crate::{
    domain::NewBatch,
    queue::{
        Opened, QueueError, Refusal,
        checks::{batch_problem, job_problem},
    },
};

/// Opens a batch and accepts its callback, or neither. Sent again like `enqueue`.
pub(super) async fn open_batch(
    queue: &RedisQueue,
    new: NewBatch,
) -> Result<Result<Opened, Refusal>, QueueError> {
    if let Some(problem) = batch_problem(&new).or_else(|| new.callback.as_ref().and_then(job_problem)) {
        return Ok(Err(Refusal::Invalid(problem)));
    }
    let mut arguments = queue.arguments();
    text(&mut arguments, &new.tenant);
    arguments.push(new.id.as_u128().to_be_bytes().to_vec());
    text(&mut arguments, new.size);
    if let Some(callback) = &new.callback {
        text(&mut arguments, &callback.kind);
        text(&mut arguments, callback.priority.rank());
        arguments.push(callback.id.as_u128().to_be_bytes().to_vec());
        arguments.push(body::encode(callback));
        write_times_and_keys(&mut arguments, callback);
    }
    let (shard, mut is_repeated) = (queue.shard_of(&new.tenant), false);
    let answer =
        queue.run_until_heard("open a batch", &scripts::OPEN, shard, &arguments, &mut is_repeated).await?;
    let mut answer = Answer::of(answer)?;
    let told = answer.value();
    match (&told, &new.callback) {
        (Some(Value::BulkString(word)), _) if word == b"now" => Ok(Ok(Opened::Now)),
        // By this very call, where its answer was lost.
        (Some(Value::BulkString(word)), _) if word == b"before" && is_repeated => Ok(Ok(Opened::Now)),
        (Some(Value::BulkString(word)), _) if word == b"before" => Ok(Ok(Opened::Before)),
        (_, Some(callback)) => {
            let limits = [answer.text(), answer.text()].map(|limit| limit.and_then(|text| text.parse().ok()));
            Ok(match read_answer(told, callback, limits)? {
                Err(refusal) => Err(refusal),
                Ok(known) => Err(Refusal::Invalid(format!(
                    "the callback stands for {}, which is there already and does not follow this batch",
                    known.id()
                ))),
            })
        }
        _ => Err(unreadable("the door answered a batch with something unknown")),
    }
}
