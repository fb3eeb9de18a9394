//! What the same store does without a queue: bare rows in SQLite, bare commands of Redis. Must not know: the queue.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use presswork::{
    cli::CliError,
    store::{
        redis::Script,
        sqlite::{Database, Migrations},
    },
};
use redis::cmd;
use tokio::sync::mpsc;

use super::{
    per_second,
    place::{IN_FLIGHT, Server, away},
};

const PAYLOAD: [u8; 200] = [b'x'; 200];

/// SQLite: rows of the same size.
pub(super) struct Rows(Database);

impl Rows {
    pub(super) async fn open(path: PathBuf) -> Result<Self, CliError> {
        const TABLE: Migrations = Migrations {
            module: "bench",
            steps: &["CREATE TABLE bare (id INTEGER PRIMARY KEY, tenant TEXT, payload BLOB) STRICT"],
        };
        let opened = tokio::task::spawn_blocking(move || Database::open(&path, &[TABLE])).await;
        Ok(Self(opened.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?))
    }

    async fn insert(&self, count: usize) -> Result<(), CliError> {
        let inserted = self.0.write(move |connection| {
            let mut statement =
                connection.prepare_cached("INSERT INTO bare (tenant, payload) VALUES (?1, ?2)")?;
            (0..count).try_for_each(|_| statement.execute(("bench-0", PAYLOAD)).map(drop))
        });
        inserted.await.map_err(|error| failed(&error))
    }

    /// Rows a second in transactions of so many, several under way.
    pub(super) async fn bulk(&self, rows: usize, batch: usize) -> Result<f64, CliError> {
        let (begun, batches) = (Instant::now(), rows.div_ceil(batch));
        let all = stream::iter(0..batches).map(Ok);
        all.try_for_each_concurrent(IN_FLIGHT, |_| self.insert(batch)).await?;
        Ok(per_second(batches * batch, begun.elapsed()))
    }

    /// How long so many rows take one by one.
    pub(super) async fn one_by_one(&self, rows: usize) -> Result<Duration, CliError> {
        let begun = Instant::now();
        for _ in 0..rows {
            self.insert(1).await?;
        }
        Ok(begun.elapsed())
    }
}

fn failed(error: &dyn std::fmt::Display) -> CliError {
    CliError::unavailable(format_args!("the baseline failed: {error}"))
}

/// Payloads a second onto a bare list, as a pipeline of so many, several under way.
pub(super) async fn push_bulk(server: &Server, count: usize, batch: usize) -> Result<f64, CliError> {
    let client = redis::Client::open(server.url.as_str()).map_err(|error| away(&error))?;
    let connection = client.get_multiplexed_async_connection().await.map_err(|error| away(&error))?;
    let (key, batches) = (&server.key("baseline"), count.div_ceil(batch));
    let push = |_| {
        let mut connection = connection.clone();
        async move {
            let mut pipeline = redis::pipe();
            for _ in 0..batch {
                pipeline.rpush(key, &PAYLOAD).ignore();
            }
            pipeline.query_async::<()>(&mut connection).await
        }
    };
    let begun = Instant::now();
    let pushed = stream::iter(0..batches).map(Ok).try_for_each_concurrent(IN_FLIGHT, push).await;
    let elapsed = begun.elapsed();
    pushed.map_err(|error| away(&error))?;
    server.remove("baseline").await?;
    Ok(per_second(batches * batch, elapsed))
}

/// The least that a script which keeps a job would do: store its body, put its id on a list.
pub(super) struct SetAndPush(Script);

impl SetAndPush {
    pub(super) fn new() -> Self {
        let source = "redis.call('SET', KEYS[1] .. ':baseline:' .. ARGV[1], ARGV[2]) \
             return redis.call('RPUSH', KEYS[1] .. ':baseline', ARGV[1])";
        Self(Script::new("baseline", &[source]))
    }

    /// How long so many calls take one after the other, by the same client as the queue's.
    pub(super) async fn one_by_one(
        &self,
        server: &Server,
        from: usize,
        count: usize,
    ) -> Result<Duration, CliError> {
        let key = server.key("");
        let key = key.trim_end_matches(':').as_bytes();
        let begun = Instant::now();
        for number in from..from + count {
            let arguments = [format!("{number:016}").into_bytes(), PAYLOAD.to_vec()];
            server.redis.run(&self.0, key, &arguments).await.map_err(|error| away(&error))?;
        }
        Ok(begun.elapsed())
    }
}

/// From the call of RPUSH on one connection to the answer of BLPOP on another, `count` times.
pub(super) async fn hand_over(server: &Server, count: usize) -> Result<Vec<Duration>, CliError> {
    let client = redis::Client::open(server.url.as_str()).map_err(|error| away(&error))?;
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let mut waiting =
        client.get_multiplexed_async_connection_with_config(&config).await.map_err(|error| away(&error))?;
    let (key, (heard, mut hear)) = (server.key("hand-over"), mpsc::unbounded_channel());
    let list = key.clone();
    let listener = tokio::spawn(async move {
        for _ in 0..count {
            let popped = cmd("BLPOP").arg(&list).arg(0).query_async::<(String, Vec<u8>)>(&mut waiting).await;
            if heard.send(popped.map(|_| Instant::now())).is_err() {
                return;
            }
        }
    });
    let mut latencies = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        server.send::<()>(cmd("RPUSH").arg(&key).arg(&PAYLOAD)).await?;
        match hear.recv().await {
            Some(Ok(at)) => latencies.push(at.saturating_duration_since(begun)),
            Some(Err(error)) => return Err(away(&error)),
            None => break,
        }
    }
    listener.abort();
    Ok(latencies)
}
