//! The two ways into a queue: Rust's, and the shipped scripts'.

use std::fs;

use presswork::{
    domain::{JobId, NewJob, Payload, Random as _, SystemRandom, TenantId},
    progress::redis::RedisProgress,
    queue::redis::RedisQueue,
    store::redis::{Redis, Script},
};
use redis::{FromRedisValue as _, RedisError, Value};
use serde_json::{Value as Json, json};

/// A namespace of a Redis, and both ways into it.
pub(crate) struct Way {
    pub(crate) redis: Redis,
    pub(crate) queue: RedisQueue,
    pub(crate) progress: RedisProgress,
    enqueue: Script,
    replay: Script,
}

fn shipped(name: &'static str) -> Script {
    let file = format!("{}/deploy/{name}.lua", env!("CARGO_MANIFEST_DIR"));
    Script::new(name, &[&fs::read_to_string(file).unwrap()])
}

impl Way {
    pub(crate) fn over(redis: Redis) -> Self {
        Self {
            queue: RedisQueue::new(redis.clone(), None),
            progress: RedisProgress::new(redis.clone(), None),
            redis,
            enqueue: shipped("enqueue"),
            replay: shipped("replay"),
        }
    }

    async fn run(&self, script: &Script, tenant: &str, arguments: &[Vec<u8>]) -> Result<Value, RedisError> {
        // What is no tenant has no shard: the first one will refuse it.
        let shard = tenant.parse::<TenantId>().map_or(0, |tenant| self.redis.shard(&tenant));
        self.redis.run(script, self.redis.tag(shard).as_bytes(), arguments).await
    }

    /// What the script answers to jobs of one tenant, each with its payload.
    pub(crate) async fn enqueue(&self, jobs: &[(Json, &[u8])]) -> Result<Vec<Json>, RedisError> {
        let arguments: Vec<Vec<u8>> =
            jobs.iter().flat_map(|(job, payload)| [job.to_string().into_bytes(), payload.to_vec()]).collect();
        let tenant = jobs.first().map_or("", |(job, _)| job["tenant"].as_str().unwrap_or_default());
        self.enqueue_text(tenant, &arguments).await
    }

    /// The same for arguments of any sort.
    pub(crate) async fn enqueue_text(
        &self,
        tenant: &str,
        arguments: &[Vec<u8>],
    ) -> Result<Vec<Json>, RedisError> {
        let answer = self.run(&self.enqueue, tenant, arguments).await?;
        let texts = Vec::<String>::from_redis_value(answer)?;
        Ok(texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect())
    }

    /// What the script answers to one job with an empty payload.
    pub(crate) async fn enqueue_one(&self, job: Json) -> Json {
        self.enqueue(&[(job, b"{}")]).await.unwrap().remove(0)
    }

    /// What the script tells of a job.
    pub(crate) async fn replay(
        &self,
        tenant: &str,
        arguments: &[String],
    ) -> Result<Option<Json>, RedisError> {
        let whole: Vec<Vec<u8>> = [tenant]
            .into_iter()
            .chain(arguments.iter().map(String::as_str))
            .map(|word| word.into())
            .collect();
        let text = Option::<String>::from_redis_value(self.run(&self.replay, tenant, &whole).await?)?;
        Ok(text.map(|text| serde_json::from_str(&text).unwrap()))
    }
}

/// A new id, as other languages make them.
pub(crate) fn new_id() -> JobId {
    let mut bytes = [0; 16];
    SystemRandom.fill(&mut bytes);
    JobId::from_u128(u128::from_be_bytes(bytes))
}

/// The id as a UUID's text.
pub(crate) fn uuid(id: JobId) -> String {
    let hex = format!("{:032x}", id.as_u128());
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// An ordinary job of `acme`.
pub(crate) fn plain() -> NewJob {
    let payload = Payload { version: 1, bytes: r#"{"project":"novel"}"#.into() };
    NewJob::new(new_id(), "acme".parse().unwrap(), "export".parse().unwrap(), payload)
}

/// A job as a producer of another language writes it: only what is not the default.
pub(crate) fn written(job: &NewJob) -> Json {
    let mut text = json!({ "id": uuid(job.id), "tenant": job.tenant, "kind": job.kind });
    let usual = NewJob::new(job.id, job.tenant.clone(), job.kind.clone(), job.payload.clone());
    let mut put = |name: &str, value: Json| text[name] = value;
    if job.payload.version != 1 {
        put("version", json!(job.payload.version));
    }
    if job.priority != usual.priority {
        put("priority", json!(job.priority));
    }
    if job.cost != usual.cost {
        put("cost", json!(job.cost));
    }
    if job.max_attempts != usual.max_attempts {
        put("max_attempts", json!(job.max_attempts));
    }
    if let Some(at) = job.run_at {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of this century fit")]
        put("run_at", json!(at.as_micros() as f64 / 1e6));
    }
    if let Some(key) = &job.idempotency_key {
        put("idempotency_key", json!(key));
    }
    if let Some(unique) = &job.unique {
        put("unique", json!({ "key": unique.key, "window": unique.window.name() }));
    }
    if !job.after.is_empty() {
        put("after", json!(job.after));
    }
    if let Some(batch) = job.batch {
        put("batch", json!(batch));
    }
    text
}
