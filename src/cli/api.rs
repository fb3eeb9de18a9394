//! `api`: the HTTP API in the foreground, and the same beside a worker in `up`.

use std::{net::SocketAddr, time::Duration};

use clap::Args;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    app::{App, blocking},
    command::Command,
    error::{CliError, ErrorKind},
    verify,
};
use crate::{
    api::{self, Api, Tls},
    config::{ApiLayer, ApiSettings, Settings},
    engine::Engine,
    worker::shutdown,
};

/// How long a process that ends writes down what it has only counted, and the same again for its audit log.
pub(super) const SETTLES_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct ApiCommand;

#[derive(Args)]
pub(super) struct ApiArguments {
    #[command(flatten)]
    listen: Listen,
}

// What `up` takes, too. No doc comment: clap would take it for the command's description.
#[derive(Args, Clone)]
pub(super) struct Listen {
    /// Where the HTTP API listens, such as 127.0.0.1:8080
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Option<SocketAddr>,
}

impl Listen {
    /// What these flags say.
    pub(super) fn layer(&self) -> ApiLayer {
        ApiLayer { listen: self.listen, ..ApiLayer::default() }
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Told {
    Listening { address: SocketAddr },
}

impl Command for ApiCommand {
    const NAME: &'static str = "api";
    const ABOUT: &'static str = "Serves the HTTP API in the foreground until SIGTERM or ctrl-c";
    const LOG: &'static str = "info";
    type Arguments = ApiArguments;

    async fn run(arguments: ApiArguments, app: &App) -> Result<(), CliError> {
        let settings = app.settings().clone().api_under(arguments.listen.layer());
        let address = settings.api.listen.ok_or_else(|| {
            CliError::usage("where is the API to listen?")
                .hint("--listen 127.0.0.1:8080, or PRESSWORK_LISTEN")
        })?;
        verify::guard(&settings).await?;
        let signal = shutdown::signal()
            .map_err(|error| CliError::unavailable(format_args!("signals can't be listened for: {error}")))?;
        // A door that is not ready can be waited for; one that is not there can't be told from a broken one.
        let engine = Engine::connect_early(&settings).await?;
        let served = Served::start(app, &engine, &settings, address).await?;
        let stopping = served.stopping.clone();
        let ended = tokio::select! {
            ended = served.run() => ended,
            () = engine.maintain() => Err(CliError::new(ErrorKind::Bug, "maintenance ended")),
            () = async {
                signal.await;
                app.output().note("stopping: requests that have begun may end");
                stopping.cancel();
                std::future::pending::<()>().await;
            } => Ok(()),
        };
        engine.settle(SETTLES_WITHIN).await;
        ended
    }
}

/// The API, bound to its address.
pub(super) struct Served {
    listener: TcpListener,
    router: axum::Router,
    settings: ApiSettings,
    drain: Duration,
    pub(super) stopping: CancellationToken,
}

impl Served {
    /// Binds the address and tells it.
    pub(super) async fn start(
        app: &App,
        engine: &Engine,
        settings: &Settings,
        address: SocketAddr,
    ) -> Result<Self, CliError> {
        let own = settings.api.clone();
        let tls = blocking(move || Tls::open(&own)).await?;
        let tls = tls.map_err(|error| CliError::usage(error).hint("mend tls_cert and tls_key in [api]"))?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let listener = TcpListener::bind(address).await.map_err(|error| {
            CliError::unavailable(format_args!("the API can't listen on {address}: {error}"))
        })?;
        let address = listener.local_addr().unwrap_or(address);
        let stopping = CancellationToken::new();
        let api = Api::new(engine.clone(), app.registry().clone(), settings.api.clone(), app.version());
        let api = app.routes.iter().fold(api, |api, routes| api.routes(routes()));
        let router = api.router(stopping.clone());
        app.output().line(format_args!("the API listens on {scheme}://{address}"))?;
        app.output().json_line(&Told::Listening { address })?;
        Ok(Self { listener, router, settings: settings.api.clone(), drain: settings.drain, stopping })
    }

    /// Serves until it is told to stop.
    pub(super) async fn run(self) -> Result<(), CliError> {
        let Self { listener, router, settings, drain, stopping } = self;
        let served = api::serve(listener, router, &settings, stopping, drain).await;
        served.map_err(|error| CliError::unavailable(format_args!("the API ended: {error}")))
    }
}
