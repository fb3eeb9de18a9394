//! Many who follow one job by server-sent events: the memory that each of them takes of the server, and how long it takes until
//! an event has reached all of them.

use std::{net::SocketAddr, time::Instant};

use presswork::cli::CliError;
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
    task::JoinSet,
    time::{Duration, timeout},
};

use super::{
    super::{percentile, place::Place, rounded},
    Request,
    caller::{Caller, broken, connect, request},
    door::Door,
};

/// How many events are told.
const EVENTS: u32 = 20;
/// How long all may take to hear of one.
const HEARD_WITHIN: Duration = Duration::from_secs(30);

/// What many who follow cost.
#[derive(Debug, Serialize)]
pub(super) struct Streams {
    pub(super) subscribers: u16,
    pub(super) memory_each_kib: Option<f64>,
    pub(super) bare_memory_each_kib: Option<f64>,
    pub(super) event_to_all_ms: f64,
    pub(super) slowest_event_ms: f64,
    pub(super) bare_event_to_all_ms: f64,
    pub(super) bare_slowest_event_ms: f64,
}

/// What one side took.
struct Side {
    memory_each_kib: Option<f64>,
    p50_ms: f64,
    slowest_ms: f64,
}

pub(super) async fn measure(place: &Place, subscribers: u16) -> Result<Streams, CliError> {
    let door = Door::open(place, 0).await?;
    let (address, told) = (door.told.ours, &door.told);
    let proof = format!("authorization: Bearer {}\r\n", told.key);
    let follow = request("GET", &format!("/v1/jobs/{}/events", told.job), address, &proof, "");
    let tell = |number: u32| request("POST", "/bench/tell", address, "", &marker(number));
    let ours = side(&door, address, &follow, tell, subscribers).await?;
    drop(door);
    let door = Door::open(place, 0).await?;
    let address = door.told.bare;
    let follow = request("GET", "/events", address, "", "");
    let tell = |number: u32| request("POST", "/tell", address, "", &event(number));
    let bare = side(&door, address, &follow, tell, subscribers).await?;
    Ok(Streams {
        subscribers,
        memory_each_kib: ours.memory_each_kib,
        bare_memory_each_kib: bare.memory_each_kib,
        event_to_all_ms: ours.p50_ms,
        slowest_event_ms: ours.slowest_ms,
        bare_event_to_all_ms: bare.p50_ms,
        bare_slowest_event_ms: bare.slowest_ms,
    })
}

/// What an event is known by.
fn marker(number: u32) -> String {
    format!("event-{number}-")
}

/// An event of the size of ours.
fn event(number: u32) -> String {
    let message = marker(number);
    format!(
        "{{\"sequence\":{number},\"at\":\"2026-11-22T00:00:00.000000Z\",\"type\":\"progress\",\"done\":0,\"total\":0,\"percent\":0.0,\"message\":\"{message}\"}}"
    )
}

async fn side(
    door: &Door,
    address: SocketAddr,
    follow: &Request,
    tell: impl Fn(u32) -> Request,
    subscribers: u16,
) -> Result<Side, CliError> {
    let count = usize::from(subscribers);
    let (heard, mut ears) = mpsc::channel(count);
    let mut all = JoinSet::new();
    // One of them first: what the first request needs is nobody's own.
    all.spawn(hear(address, follow.clone(), heard.clone()));
    opened(&mut ears).await?;
    round(address, (0, tell(0)), &mut ears, 1).await?;
    let before = door.resident_bytes().await;
    for _ in 1..subscribers {
        all.spawn(hear(address, follow.clone(), heard.clone()));
    }
    for _ in 1..subscribers {
        opened(&mut ears).await?;
    }
    let mut took = Vec::new();
    for number in 1..=EVENTS {
        took.push(round(address, (number, tell(number)), &mut ears, count).await?);
    }
    let grown = door.resident_bytes().await.zip(before).map(|(after, before)| after.saturating_sub(before));
    let (p50_ms, slowest_ms) = (percentile(&mut took, 50), percentile(&mut took, 100));
    Ok(Side { memory_each_kib: grown.map(|grown| each_kib(grown, subscribers)), p50_ms, slowest_ms })
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn each_kib(bytes: u64, subscribers: u16) -> f64 {
    rounded(bytes as f64 / 1_024.0 / f64::from(subscribers.max(2) - 1))
}

/// What somebody who follows tells.
enum Heard {
    /// The stream is open.
    Opened,
    /// An event has come, the one of this number.
    Event(u32, Instant),
}

/// Follows, and tells of the opening and of each event that is new.
async fn hear(address: SocketAddr, follow: Request, heard: mpsc::Sender<Heard>) -> Result<(), CliError> {
    let mut stream = connect(address).await?;
    stream.write_all(&follow).await.map_err(broken)?;
    let (mut text, mut next) = (Vec::with_capacity(1_024), None::<u32>);
    loop {
        if stream.read_buf(&mut text).await.map_err(broken)? == 0 {
            return Err(CliError::unavailable("a stream of events ended"));
        }
        if next.is_none() && has(&text, b"\r\n\r\n") {
            if !text.starts_with(b"HTTP/1.1 200") {
                let told = String::from_utf8_lossy(&text).into_owned();
                return Err(CliError::unavailable(format_args!("a stream was refused: {told}")));
            }
            next = Some(0);
            // Whoever has stopped listening has failed, and says so.
            let _ = heard.send(Heard::Opened).await;
        }
        let Some(number) = &mut next else { continue };
        // The next one is told when all have heard of this one: behind it there is nothing.
        if let Some(found) = (*number..=EVENTS).rev().find(|found| has(&text, marker(*found).as_bytes())) {
            *number = found + 1;
            text.clear();
            let _ = heard.send(Heard::Event(found, Instant::now())).await;
        }
    }
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Waits until one more stream is open.
async fn opened(ears: &mut mpsc::Receiver<Heard>) -> Result<(), CliError> {
    loop {
        if let Heard::Opened = next(ears).await? {
            return Ok(());
        }
    }
}

/// Tells of an event; how long it took until so many have heard of it.
async fn round(
    address: SocketAddr,
    (number, tell): (u32, Request),
    ears: &mut mpsc::Receiver<Heard>,
    count: usize,
) -> Result<Duration, CliError> {
    let mut caller = Caller::connect(address, tell).await?;
    let begun = Instant::now();
    caller.ask().await?;
    let (mut last, mut left) = (begun, count);
    while left > 0 {
        match next(ears).await? {
            Heard::Event(heard, at) if heard == number => {
                last = last.max(at);
                left -= 1;
            }
            // One that came late hears of what was before.
            _ => {}
        }
    }
    Ok(last.saturating_duration_since(begun))
}

async fn next(ears: &mut mpsc::Receiver<Heard>) -> Result<Heard, CliError> {
    let heard = timeout(HEARD_WITHIN, ears.recv()).await;
    heard.ok().flatten().ok_or_else(|| CliError::unavailable("an event has not reached all who follow"))
}
