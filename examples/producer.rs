//! A producer: gives jobs to a fleet through Redis and waits for what becomes of them. Needs the crate feature `client`
//! alone.
//!
//! ```sh
//! cargo run -p presswork --no-default-features --features client --example producer -- redis://127.0.0.1:6379 acme
//! ```

use std::{error::Error, time::Duration};

use presswork::{
    client::Client,
    domain::{Priority, TenantId},
};
use serde::Serialize;

/// What the `count-words` kind of `own_kind.rs` takes.
#[derive(Serialize)]
struct CountWords {
    text: &'static str,
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let tenant: TenantId = arguments.next().unwrap_or_else(|| "default".to_owned()).parse()?;
    let client = Client::connect(&url).await?;

    let mut jobs = Vec::new();
    for text in ["To be, or not to be", "All the world's a stage", "Brevity is the soul of wit"] {
        let mut job = client.job(tenant.clone(), "count-words".parse()?, 1, &CountWords { text })?;
        job.priority = Priority::High;
        jobs.push(job);
    }
    // One round trip. A repeated call with the same jobs makes no second ones.
    for answer in client.enqueue(jobs.clone()).await? {
        println!("accepted {}", answer?.id());
    }
    for job in &jobs {
        let Some(ended) = client.wait_for(&tenant, job.id, Duration::from_secs(30)).await? else {
            println!("{} has not ended yet: is a worker running?", job.id);
            continue;
        };
        let result = ended.output.map(|output| output.result).unwrap_or_default();
        println!("{} {}: {result}", ended.id, ended.state);
    }
    Ok(())
}
