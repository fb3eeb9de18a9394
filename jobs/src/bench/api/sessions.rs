//! Many browsers that are logged in and ask at the same time, each with a cookie of its own.

use std::time::Instant;

use presswork::cli::CliError;
use serde::Serialize;

use super::{
    super::{per_second, percentile, place::Place},
    caller::{Caller, request},
    door::Door,
};

/// How often each asks.
const EACH: usize = 20;

/// What they were answered.
#[derive(Debug, Serialize)]
pub(super) struct Sessions {
    pub(super) sessions: u16,
    pub(super) session_requests_per_s: f64,
    pub(super) session_p50_ms: f64,
    pub(super) session_p99_ms: f64,
    pub(super) sessions_refused: usize,
}

pub(super) async fn measure(place: &Place, sessions: u16) -> Result<Sessions, CliError> {
    let door = Door::open(place, sessions).await?;
    let address = door.told.ours;
    let mut callers = Vec::new();
    for cookie in &door.told.cookies {
        let proof = format!("cookie: {cookie}\r\nsec-fetch-site: same-origin\r\n");
        let ask = request("GET", "/v1/sessions/current", address, &proof, "");
        callers.push(Caller::connect(address, ask).await?);
    }
    let begun = Instant::now();
    let asking = callers.into_iter().map(|mut caller| {
        tokio::spawn(async move {
            let mut answers = Vec::with_capacity(EACH);
            for _ in 0..EACH {
                answers.push(caller.try_ask().await?);
            }
            Ok::<_, CliError>(answers)
        })
    });
    let (mut latencies, mut refused) = (Vec::new(), 0);
    for asked in asking.collect::<Vec<_>>() {
        let answers = asked.await.map_err(CliError::unavailable)??;
        refused += usize::from(answers.iter().any(|(status, _)| *status != 200));
        latencies.extend(answers.into_iter().map(|(_, took)| took));
    }
    let elapsed = begun.elapsed();
    Ok(Sessions {
        sessions,
        session_requests_per_s: per_second(latencies.len(), elapsed),
        session_p50_ms: percentile(&mut latencies, 50),
        session_p99_ms: percentile(&mut latencies, 99),
        sessions_refused: refused,
    })
}
