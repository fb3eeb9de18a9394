//! What no HTTP client would send: bytes over a socket, and what comes back.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// How long an answer may take on a machine busy with other tests.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends the bytes and reads until the other end closes.
pub(crate) async fn send(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // It may be closed before all is sent.
    let _ = stream.write_all(bytes).await;
    rest(stream).await
}

/// What comes until the other end closes.
pub(crate) async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after an answer is an end, too.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it does not end");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Reads until this text has come.
pub(crate) async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = String::new();
    let reading = async {
        let mut piece = [0; 4096];
        while !answer.contains(end) {
            let count = stream.read(&mut piece).await.unwrap();
            assert!(count > 0, "it ended: {answer}");
            answer.push_str(&String::from_utf8_lossy(&piece[..count]));
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.expect("it does not come");
    answer
}

/// The status of an answer.
pub(crate) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

/// The body of the last answer.
pub(crate) fn body(answer: &str) -> &str {
    answer.rsplit("\r\n\r\n").next().unwrap_or_default()
}
