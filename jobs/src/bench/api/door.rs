//! The process that is measured: the whole API on an engine in the benchmark's place, and the bare routes beside it. Owns: how
//! it is started, what it tells, its end.

use std::{net::SocketAddr, path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use axum::{body::Bytes, extract::State, http::StatusCode};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use presswork::{
    api::{self, Api, ApiState, Problem, Routes},
    cli::{App, CliError},
    config::ApiSettings,
    domain::{EventBody, Progress, Rate, TenantId, TenantLimits, WorkerId},
    engine::Engine,
    limits::LimitRules,
    progress::Publication,
    queue::{Ask, Lease},
    security::{
        Acting,
        access::{Grant, Grants, Role},
        api_keys::NewApiKey,
        sessions::Beginning,
        users::NewUser,
    },
    worker::{Kind as _, Registry},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::TcpListener,
    process::{Child, Command},
    sync::OnceCell,
};
use tokio_util::sync::CancellationToken;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        noop::{Noop, noop, tenants},
        place::Place,
    },
    bare,
    caller::broken,
};
use crate::in_process::enqueue;

/// More than is asked for, as an operator would set it.
const PLENTY: usize = 100_000;
/// How many users are made at one time.
const AT_ONCE: usize = 32;

/// What the process tells once it is ready.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    /// Where the API listens.
    pub(super) ours: SocketAddr,
    /// Where the bare routes do.
    pub(super) bare: SocketAddr,
    /// An API key, good for all that is measured.
    pub(super) key: String,
    /// The job that is followed.
    pub(super) job: String,
    /// The cookies of browsers that are logged in.
    pub(super) cookies: Vec<String>,
}

/// The process, seen from the one that measures it. Dropped: it ends.
pub(super) struct Door {
    pub(super) told: Told,
    child: Child,
}

impl Door {
    /// Starts it in a place, with so many browsers logged in.
    pub(super) async fn open(place: &Place, sessions: u16) -> Result<Self, CliError> {
        let failed = |problem: &dyn std::fmt::Display| {
            CliError::unavailable(format_args!("the server that is to be measured failed: {problem}"))
        };
        let program = std::env::current_exe().map_err(|error| failed(&error))?;
        let log = place.folder().join("log");
        let told_to = std::fs::File::create(&log).map_err(|error| failed(&error))?;
        let mut command = Command::new(program);
        command.args(["bench", "api", "--serve", "--json", "--sessions", &sessions.max(1).to_string()]);
        // As `presswork api` writes it: a line a request.
        command.args(["--log", "info"]).arg("--data-dir").arg(place.folder().join("served"));
        if let Some(server) = &place.server {
            command.env("PRESSWORK_REDIS_URL", server.address());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(told_to).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| failed(&error))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line).await.map_err(|error| failed(&error))?;
        }
        match serde_json::from_str(&line) {
            Ok(told) => Ok(Self { told, child }),
            Err(_) => {
                let log = tokio::fs::read_to_string(&log).await.unwrap_or_default();
                Err(failed(&log.trim()))
            }
        }
    }

    /// The bytes of it that are resident now; `None` where the system does not tell.
    pub(super) async fn resident_bytes(&self) -> Option<u64> {
        let path = PathBuf::from(format!("/proc/{}/status", self.child.id()?));
        let status = tokio::fs::read_to_string(path).await.ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kibibytes * 1_024)
    }

    /// How long its threads have been on processors; `None` where the system does not tell.
    pub(super) async fn on_processors(&self) -> Option<Duration> {
        let threads = PathBuf::from(format!("/proc/{}/task", self.child.id()?));
        let mut threads = tokio::fs::read_dir(threads).await.ok()?;
        let mut sum = Duration::ZERO;
        while let Some(thread) = threads.next_entry().await.ok()? {
            let told = tokio::fs::read_to_string(thread.path().join("schedstat")).await.ok()?;
            sum += Duration::from_nanos(told.split(' ').next()?.parse().ok()?);
        }
        Some(sum)
    }
}

/// Is that process, until the one that has started it hangs up.
pub(super) async fn serve(app: &App, sessions: u16) -> Result<(), CliError> {
    api::allow_files(PLENTY as u64).ok();
    let mut settings = app.settings().clone();
    settings.api = ApiSettings {
        most_connections: PLENTY,
        most_connections_per_address: Some(PLENTY),
        most_streams: PLENTY,
        ..settings.api
    };
    let engine = app.engine_with(&settings).await?;
    let owners = tenants(1)?;
    let owner = owners.first().cloned().ok_or_else(|| CliError::unavailable("no tenant"))?;
    let limits = TenantLimits { max_waiting: None, max_waiting_bytes: None, ..TenantLimits::default() };
    engine.queue.set_tenant_limits(&owner, Some(limits)).await?;
    // High, not lifted: each call takes its token.
    let rate = Some(Rate::per_second(1_000_000, 1_000_000));
    engine.rules.set(&owner, &LimitRules::API, rate).await?;
    let registry = Arc::new(Registry::new().register::<Noop>());
    let stopping = CancellationToken::new();
    let key = key(&engine, &owner).await?;
    let cookies = log_in(&engine, &owner, sessions).await?;
    let job = begin(&engine, &owner).await?;
    let bare = bare::start(&engine, registry.clone(), owner, stopping.clone()).await?;
    let api = Api::new(engine.clone(), registry, settings.api.clone(), app.version());
    let router = api.routes(routes_of_the_benchmark()).router(stopping.clone());
    let (listener, ours) = listen().await?;
    let (own, token) = (settings.api.clone(), stopping.clone());
    let served = tokio::spawn(async move { api::serve(listener, router, &own, token, Duration::ZERO).await });
    app.output().json_line(&Told { ours, bare, key, job: job.job.to_string(), cookies })?;
    let (mut nothing, mut input) = (Vec::new(), tokio::io::stdin());
    tokio::select! {
        // Whoever measures has ended.
        _ = input.read_to_end(&mut nothing) => {}
        () = engine.maintain() => {}
    }
    stopping.cancel();
    served.await.map_err(CliError::unavailable)?.map_err(broken)
}

/// A port of the loopback.
pub(super) async fn listen() -> Result<(TcpListener, SocketAddr), CliError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(broken)?;
    let address = listener.local_addr().map_err(broken)?;
    Ok((listener, address))
}

async fn key(engine: &Engine, owner: &TenantId) -> Result<String, CliError> {
    let grants = ["jobs:create", "jobs:read"].map(str::parse::<Grant>);
    let grants = grants.into_iter().collect::<Result<Grants, _>>().map_err(CliError::usage)?;
    let new = NewApiKey {
        tenant: owner.clone(),
        name: "benchmark".to_owned(),
        grants,
        from: Vec::new(),
        expires_at: None,
    };
    Ok(engine.api_keys.create(new, &Acting::system()).await?.1.reveal().to_owned())
}

/// Users, each with a browser that is logged in: past the password, whose hash is meant to take its time.
async fn log_in(engine: &Engine, owner: &TenantId, sessions: u16) -> Result<Vec<String>, CliError> {
    let one = |number| async move {
        let new = NewUser {
            tenant: owner.clone(),
            name: format!("user-{}-{number}", std::process::id()).parse().map_err(CliError::usage)?,
            role: Role::Producer,
            password: None,
            created_by: "benchmark".to_owned(),
        };
        let user = engine.identity.users.create(new).await.map_err(CliError::unavailable)?;
        let by = Beginning { method: "benchmark".to_owned(), address: None, agent: None };
        let (_, text) = engine.sessions.begin(&user, by).await?;
        Ok::<_, CliError>(format!("__Host-presswork={}", text.reveal()))
    };
    stream::iter(0..sessions).map(one).buffer_unordered(AT_ONCE).try_collect().await
}

/// The lease of the job that is followed.
static FOLLOWED: OnceCell<Lease> = OnceCell::const_new();

/// A job that runs as long as this process does.
async fn begin(engine: &Engine, owner: &TenantId) -> Result<Lease, CliError> {
    enqueue(engine, vec![noop(engine, owner)?]).await?;
    let ask = Ask { kinds: vec![Noop::NAME], most: 1, lease: Duration::from_secs(3_600) };
    let claimed = engine.queue.claim(&WorkerId::new("benchmark"), &ask).await?;
    let lease = claimed.into_iter().next().map(|claim| claim.lease);
    let lease = lease.ok_or_else(|| CliError::unavailable("the job that is to be followed is gone"))?;
    Ok(FOLLOWED.get_or_init(|| async { lease }).await.clone())
}

/// For whoever has proved who he is
#[utoipa::path(
    get,
    path = "/bench/known",
    responses((status = NO_CONTENT, description = "Known")),
    extensions(("x-permission" = json!("signed-in")))
)]
async fn known() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// For everybody
#[utoipa::path(
    get,
    path = "/bench/anybody",
    responses((status = NO_CONTENT, description = "Whoever it is")),
    extensions(("x-permission" = json!("public")), ("x-limit" = json!("none")))
)]
async fn anybody() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// Publishes what the body says as a worker does
#[utoipa::path(
    post,
    path = "/bench/tell",
    responses((status = NO_CONTENT, description = "Told")),
    extensions(("x-permission" = json!("public")), ("x-limit" = json!("none")))
)]
async fn tell(State(state): State<ApiState>, body: Bytes) -> Result<StatusCode, Problem> {
    let Some(Lease { tenant, job, epoch }) = FOLLOWED.get().cloned() else {
        return Err(Problem::not_found("such job"));
    };
    let message = String::from_utf8_lossy(&body).into_owned();
    let body = EventBody::Progress(Progress { message, ..Progress::default() });
    state.engine().progress.publish(vec![Publication { tenant, job, epoch, body }]).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn routes_of_the_benchmark() -> Routes {
    OpenApiRouter::<ApiState>::new().routes(routes!(known)).routes(routes!(anybody)).routes(routes!(tell))
}
