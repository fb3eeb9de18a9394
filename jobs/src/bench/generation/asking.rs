//! The ways that an answer is read: by a bare client, by the model's client alone, by jobs whose text subscribers follow. Must not
//! know: what is made of the figures.

use std::{net::SocketAddr, sync::Arc};

use futures_util::{StreamExt as _, future::try_join_all};
use presswork::{
    cli::CliError,
    config::Settings,
    domain::{EventBody, Failure, JobId, KindName, RetryPolicy, TenantId, clock::SystemClock},
    security::outgoing::{Outgoing, OutgoingRules},
    worker::{Context, Kind, new_job},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::super::place::Place;
use crate::{
    asking::{Asker, Bill, Caching},
    in_process::{completed, enqueue},
    model::{Registry, Request},
};

/// What the provider's model is called.
const MODEL: &str = "bench";

/// Asks once, and passes on what comes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ask {
    number: u32,
}

impl Kind for Ask {
    const NAME: KindName = KindName::literal("bench-ask");
    const RETRY: RetryPolicy = RetryPolicy::attempts(1);
    type Output = Bill;

    async fn run(self, context: Context) -> Result<Bill, Failure> {
        let mut asker = Asker::new(&context, MODEL, Caching::Fresh, Bill::default())?;
        let request = request(self.number).map_err(Failure::fatal)?;
        asker.ask("the answer", &request, &mut |piece| context.text(piece)).await?;
        Ok(asker.bill().clone())
    }
}

fn request(number: u32) -> Result<Request, CliError> {
    Request::new(format!("Write a page about lighthouse {number}."), 100_000).map_err(CliError::usage)
}

/// Settings under which the provider's model may be asked.
pub(super) fn settings(settings: &Settings, provider: SocketAddr) -> Result<Settings, CliError> {
    Ok(Settings { models: Some(models(provider)), outgoing: rules(provider)?, ..settings.clone() })
}

fn models(provider: SocketAddr) -> serde_json::Value {
    serde_json::json!({ MODEL: {
        "provider": "openai", "model": "bench", "base_url": format!("http://{provider}/v1"),
        "price": { "input": 1, "output": 1 },
    } })
}

fn rules(provider: SocketAddr) -> Result<OutgoingRules, CliError> {
    let host = provider.to_string().parse().map_err(CliError::usage)?;
    Ok(OutgoingRules { allow: [host].into(), ..OutgoingRules::default() })
}

/// Reads so many answers at once and looks at nothing; how many bytes came.
pub(super) async fn bare(provider: SocketAddr, streams: u16) -> Result<usize, CliError> {
    let one = |number: u16| async move {
        let body = format!("{{\"model\":\"bench\",\"stream\":true,\"messages\":[],\"n\":{number}}}");
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {provider}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(provider).await.map_err(broken)?;
        stream.write_all(request.as_bytes()).await.map_err(broken)?;
        let (mut bytes, mut all) = (vec![0; 16 << 10], 0);
        loop {
            match stream.read(&mut bytes).await.map_err(broken)? {
                0 => return Ok(all),
                read => all += read,
            }
        }
    };
    Ok(in_tasks((0..streams).map(one)).await?.into_iter().sum())
}

/// The same through the model's client; how many bytes of text came.
pub(super) async fn client(provider: SocketAddr, streams: u16) -> Result<usize, CliError> {
    let outgoing = Outgoing::new(rules(provider)?);
    let registry = Registry::read(&models(provider)).map_err(CliError::usage)?;
    let configured = registry.get(MODEL).ok_or_else(|| CliError::usage("no model"))?;
    let model = configured.connect(None, &outgoing, Arc::new(SystemClock)).map_err(CliError::usage)?;
    let one = |number: u16| {
        let model = model.clone();
        async move {
            let mut answer = model.ask(&request(number.into())?);
            let mut all = 0;
            while let Some(piece) = answer.next().await.map_err(CliError::unavailable)? {
                all += piece.len();
            }
            Ok(all)
        }
    };
    Ok(in_tasks((0..streams).map(one)).await?.into_iter().sum())
}

/// The same as jobs, each followed by a subscriber; how many bytes of text the subscribers have read.
pub(super) async fn jobs(place: &Place, owners: &[TenantId], streams: u16) -> Result<usize, CliError> {
    let engine = &place.engine;
    let mut jobs = Vec::new();
    for (number, owner) in (0..u32::from(streams)).zip(owners.iter().cycle()) {
        let id = JobId::new(engine.clock.now(), &*engine.random);
        jobs.push(new_job(id, owner.clone(), &Ask { number })?);
    }
    let mut subscribers = Vec::new();
    for job in &jobs {
        let (engine, tenant, id) = (engine.clone(), job.tenant.clone(), job.id);
        subscribers.push(async move {
            let mut events = engine.progress.follow(&tenant, id, 0).await?;
            let mut all = 0;
            while let Some(event) = events.next().await {
                if let EventBody::Text { text } = event?.body {
                    all += text.len();
                }
            }
            completed(&engine, &tenant, id, "an answer").await?;
            Ok(all)
        });
    }
    enqueue(engine, jobs).await?;
    Ok(in_tasks(subscribers.into_iter()).await?.into_iter().sum())
}

/// Each in a task of its own.
async fn in_tasks<F>(work: impl Iterator<Item = F>) -> Result<Vec<usize>, CliError>
where
    F: Future<Output = Result<usize, CliError>> + Send + 'static,
{
    let tasks = try_join_all(work.map(tokio::spawn)).await;
    tasks.map_err(CliError::unavailable)?.into_iter().collect()
}

fn broken(error: std::io::Error) -> CliError {
    CliError::unavailable(format_args!("the loopback can't be measured: {error}"))
}
