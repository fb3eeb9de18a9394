//! What tests of work share: requests of any method, and a worker's part played by hand.

use std::time::Duration;

use presswork::{
    domain::{EventBody, JobId, Output, Progress, Verdict, WorkerId},
    progress::Publication,
    queue::{Ask, Lease},
    worker::Kind as _,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    servers::RedisServer,
    world::{Echo, World, answer},
};

impl World {
    /// The same on a Redis.
    pub(crate) async fn on(redis: &RedisServer) -> Self {
        let url = redis.url();
        Self::start_with(|settings| settings.redis_url = Some(url.parse().unwrap())).await
    }

    /// A request of any method, with a body or without.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        key: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = self.request(method, path, key);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        answer(request.send().await.unwrap()).await
    }

    /// A new job of kind `echo`.
    pub(crate) async fn job(&self, key: &str) -> JobId {
        let body = json!({ "kind": "echo", "payload": { "text": "hello" } });
        let (status, made) = self.post("/v1/jobs", key, &body).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        made["id"].as_str().unwrap().parse().unwrap()
    }

    /// Claims a job that waits.
    pub(crate) async fn claim(&self) -> Lease {
        let ask = Ask { kinds: vec![Echo::NAME], most: 1, lease: Duration::from_secs(600) };
        let claims = self.engine.queue.claim(&WorkerId::new("test"), &ask).await.unwrap();
        claims.into_iter().next().unwrap().lease
    }

    /// Ends an attempt.
    pub(crate) async fn settle(&self, lease: &Lease, verdict: Verdict) {
        self.engine.queue.settle(vec![(lease.clone(), verdict)]).await.unwrap();
    }

    /// Ends it well.
    pub(crate) async fn complete(&self, lease: &Lease) {
        self.settle(lease, Verdict::Done(Output { result: json!("done"), artifacts: Vec::new() })).await;
    }

    /// Publishes that it has got on.
    pub(crate) async fn report(&self, lease: &Lease, percent: f64) {
        let Lease { tenant, job, epoch } = lease.clone();
        let body = EventBody::Progress(Progress { done: 1, total: 2, percent, ..Progress::default() });
        self.engine.progress.publish(vec![Publication { tenant, job, epoch, body }]).await.unwrap();
    }
}
