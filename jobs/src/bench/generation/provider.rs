//! The provider that the benchmark asks: a process of its own that speaks OpenAI's chat completions and says the same words to
//! all at the same pace, so that what it takes is not counted. Owns: how it is started, what it says, its end.

use std::{convert::Infallible, net::SocketAddr, process::Stdio, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::header,
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::stream;
use presswork::cli::{App, CliError};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    net::TcpListener,
    process::{Child, Command},
    time::{MissedTickBehavior, interval},
};

/// How it speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// So many pieces to each.
    pub(super) pieces: u32,
    /// One after so long.
    pub(super) gap: Duration,
}

/// What it tells once it listens.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    address: SocketAddr,
}

/// What it says, piece by piece.
pub(super) const WORDS: [&str; 8] =
    ["The", " keeper", " of", " the", " light", " was", " not", " there.\n\n"];

/// The process. Dropped: it ends.
pub(super) struct Provider {
    pub(super) address: SocketAddr,
    _child: Child,
}

impl Provider {
    /// Starts it.
    pub(super) async fn start(seconds: u16, rate: u16) -> Result<Self, CliError> {
        let program = std::env::current_exe().map_err(failed)?;
        let mut command = Command::new(program);
        command.args(["bench", "generation", "--serve", "--json"]);
        command.args(["--seconds", &seconds.to_string(), "--rate", &rate.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(failed)?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line).await.map_err(failed)?;
        }
        let Told { address } = serde_json::from_str(&line).map_err(failed)?;
        Ok(Self { address, _child: child })
    }
}

/// Is that process, until the one that has started it hangs up.
pub(super) async fn serve(app: &App, pace: Pace) -> Result<(), CliError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let router = Router::new().route("/v1/chat/completions", post(answer)).with_state(pace);
    app.output().json_line(&Told { address })?;
    let hung_up = async {
        let mut nothing = Vec::new();
        let _ = tokio::io::stdin().read_to_end(&mut nothing).await;
    };
    tokio::select! {
        served = async { axum::serve(listener, router).await } => served.map_err(failed),
        () = hung_up => Ok(()),
    }
}

async fn answer(State(pace): State<Pace>) -> Response {
    let mut ticks = interval(pace.gap);
    // Who was held up goes on faster, so that each answer takes the same time.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let pieces = stream::unfold((0, ticks), move |(said, mut ticks)| async move {
        if said > pace.pieces {
            return None;
        }
        ticks.tick().await;
        let event = if said == pace.pieces { end(said) } else { piece(said) };
        Some((Ok::<_, Infallible>(event), (said + 1, ticks)))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces)).into_response()
}

/// As such servers say it, with all that stands around a word.
fn event(choice: &str, usage: &str) -> String {
    format!(
        "data: {{\"id\":\"chatcmpl-0a1b2c3d4e5f\",\"object\":\"chat.completion.chunk\",\"created\":1795000000,\"model\":\"bench\",\
         \"system_fingerprint\":\"fp_0a1b2c3d\",\"choices\":[{choice}]{usage}}}\n\n"
    )
}

fn piece(number: u32) -> Bytes {
    let word = WORDS[number as usize % WORDS.len()].replace('\n', "\\n");
    let delta = format!(
        "{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}},\"logprobs\":null,\"finish_reason\":null}}"
    );
    event(&delta, "").into()
}

fn end(pieces: u32) -> Bytes {
    let stop = event("{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}", "");
    let usage = format!(
        ",\"usage\":{{\"prompt_tokens\":20,\"completion_tokens\":{pieces},\"total_tokens\":{}}}",
        pieces + 20
    );
    format!("{stop}{}data: [DONE]\n\n", event("", &usage)).into()
}

fn failed(problem: impl std::fmt::Display) -> CliError {
    CliError::unavailable(format_args!("the benchmark's provider failed: {problem}"))
}
