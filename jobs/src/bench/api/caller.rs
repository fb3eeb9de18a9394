//! A client of HTTP that costs next to nothing. Must not know: what it asks for.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use presswork::cli::CliError;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::Request;

/// A connection that sends one request again and again.
pub(super) struct Caller {
    stream: TcpStream,
    request: Request,
    answer: Vec<u8>,
}

/// A request as it is sent.
pub(super) fn request(method: &str, path: &str, address: SocketAddr, headers: &str, body: &str) -> Request {
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n{headers}content-length: {length}\r\n\r\n{body}"
    );
    text.into_bytes().into()
}

pub(super) fn broken(error: io::Error) -> CliError {
    CliError::unavailable(format_args!("the loopback can't be measured: {error}"))
}

/// A connection without delays.
pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, CliError> {
    let stream = TcpStream::connect(address).await.map_err(broken)?;
    stream.set_nodelay(true).map_err(broken)?;
    Ok(stream)
}

impl Caller {
    pub(super) async fn connect(address: SocketAddr, request: Request) -> Result<Self, CliError> {
        Ok(Self { stream: connect(address).await?, request, answer: Vec::with_capacity(4_096) })
    }

    /// Sends it and reads the whole answer, which must be a good one; how long that took.
    pub(super) async fn ask(&mut self) -> Result<Duration, CliError> {
        let (status, took) = self.try_ask().await?;
        if (200..300).contains(&status) {
            return Ok(took);
        }
        let told = String::from_utf8_lossy(&self.answer);
        Err(CliError::unavailable(format_args!("the server refused: {told}")))
    }

    /// The same whatever the answer is; its status, and how long that took.
    pub(super) async fn try_ask(&mut self) -> Result<(u16, Duration), CliError> {
        let begun = Instant::now();
        self.stream.write_all(&self.request).await.map_err(broken)?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await.map_err(broken)? == 0 {
                return Err(CliError::unavailable("the server hung up"));
            }
            if let Some(status) = whole(&self.answer) {
                return Ok((status, begun.elapsed()));
            }
        }
    }
}

/// The status of an answer, once all of it is there.
fn whole(answer: &[u8]) -> Option<u16> {
    const LENGTH: &[u8] = b"content-length:";
    let number = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.trim().parse::<usize>().ok();
    let status = u16::try_from(number(answer.get(9..12)?)?).ok()?;
    let (mut end, mut length) = (0, 0);
    // A line at a time: who measures is on the same processors as what he measures.
    loop {
        let line = &answer[end..];
        let line = &line[..=line.iter().position(|byte| *byte == b'\n')?];
        end += line.len();
        if line == b"\r\n" {
            return (answer.len() >= end + length).then_some(status);
        }
        if line.len() > LENGTH.len() && line[..LENGTH.len()].eq_ignore_ascii_case(LENGTH) {
            length = number(&line[LENGTH.len()..])?;
        }
    }
}

/// So many requests over so many connections; how long they took.
pub(super) async fn load(
    address: SocketAddr,
    request: &Request,
    connections: u16,
    requests: usize,
) -> Result<Duration, CliError> {
    let mut callers = Vec::new();
    for _ in 0..connections {
        callers.push(Caller::connect(address, request.clone()).await?);
    }
    let each = requests.div_ceil(usize::from(connections));
    let begun = Instant::now();
    let calling = callers.into_iter().map(|mut caller| {
        tokio::spawn(async move {
            for _ in 0..each {
                caller.ask().await?;
            }
            Ok::<_, CliError>(())
        })
    });
    for call in calling.collect::<Vec<_>>() {
        call.await.map_err(CliError::unavailable)??;
    }
    // Rounded up to whole connections: what was asked for more is not counted.
    let asked = each * usize::from(connections);
    Ok(begun.elapsed().mul_f64(fraction(requests, asked)))
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn fraction(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}
