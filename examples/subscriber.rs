//! A subscriber: follows a job's progress from anywhere, from its first event on, or from where it had got to. Needs the
//! crate feature `client` alone.
//!
//! ```sh
//! cargo run -p presswork --no-default-features --features client --example subscriber -- \
//!     redis://127.0.0.1:6379 acme job_01kanp6f5rwe9b4p0e4y0m8sjg 0
//! ```

use std::error::Error;

use futures_util::StreamExt as _;
use presswork::{
    client::Client,
    domain::{EventBody, JobId, TenantId},
};

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, tenant, job, rest @ ..] = &arguments[..] else {
        return Err("usage: subscriber URL TENANT JOB [AFTER]".into());
    };
    let (tenant, job): (TenantId, JobId) = (tenant.parse()?, job.parse()?);
    let mut after: u64 = rest.first().map_or(Ok(0), |text| text.parse())?;
    let client = Client::connect(url).await?;

    loop {
        let mut events = client.follow(&tenant, job, after).await?;
        while let Some(event) = events.next().await {
            let Ok(event) = event else { break };
            after = event.sequence;
            match event.body {
                EventBody::State { state, .. } if event.body.is_last() => {
                    println!("{after}: {state}");
                    return Ok(());
                }
                EventBody::State { state, .. } => println!("{after}: {state}"),
                EventBody::Progress(progress) => {
                    println!("{after}: {} % {}", progress.percent, progress.message)
                }
                EventBody::Text { text } => println!("{after}: {text}"),
            }
        }
        // The way to Redis broke, or the job had ended before: look again from the last event seen.
        if client.inspect(&tenant, job).await?.is_none_or(|job| job.state.is_final()) {
            return Ok(());
        }
    }
}
