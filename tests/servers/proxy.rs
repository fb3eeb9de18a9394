//! A way to a Redis server that breaks where it is told to. Owns: what is let through, and the bounds of requests and
//! replies (RESP2). Must not know: what they mean.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// Where a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server gets half of the request.
    Request,
    /// The server has run it, and the client never hears of it.
    Reply,
}

/// Listens on a port of its own and passes on to a server.
pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    /// The next one of these commands meets this.
    planned: Mutex<Option<(Cut, Vec<&'static str>)>>,
    /// How often that has happened.
    cuts: watch::Sender<usize>,
    /// Whether anything gets through.
    is_open: watch::Sender<bool>,
}

/// The commands that run scripts.
pub(crate) const SCRIPTS: [&str; 2] = ["EVAL", "EVALSHA"];

impl Proxy {
    /// A way to the server on this port of the loopback.
    pub(crate) async fn to(server: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            planned: Mutex::new(None),
            cuts: watch::Sender::new(0),
            is_open: watch::Sender::new(true),
        });
        let of_all = shared.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, server, of_all.clone()));
            }
        });
        Self { port, shared, accepting }
    }

    /// Where clients connect.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Cuts the connection at the next of these commands. A script that the server doesn't know, and so did not run, is not
    /// counted.
    pub(crate) fn cut_next(&self, cut: Cut, commands: &[&'static str]) {
        *self.shared.planned.lock().unwrap() = Some((cut, commands.to_vec()));
    }

    /// How many connections were cut.
    pub(crate) fn cuts(&self) -> usize {
        *self.shared.cuts.borrow()
    }

    /// Swallows all that is sent, both ways, until it is opened again; then it arrives.
    pub(crate) fn close(&self) {
        self.shared.is_open.send_replace(false);
    }

    /// Lets through what it holds and what will come.
    pub(crate) fn open(&self) {
        self.shared.is_open.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// The names of the commands of one connection that have no reply yet.
type Asked = Arc<Mutex<VecDeque<String>>>;

/// Ends, and with it both connections, when either side does.
async fn relay(client: TcpStream, server: u16, shared: Arc<Shared>) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
    // A request waits for nothing but the server.
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let asked = Asked::default();
    // An error is the end of a connection: what the test is about.
    let _ended: io::Result<()> = tokio::select! {
        ended = requests(from_client, to_server, &asked, &shared) => ended,
        ended = replies(from_server, to_client, &asked, &shared) => ended,
    };
}

async fn requests(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    asked: &Asked,
    shared: &Shared,
) -> io::Result<()> {
    let mut held = Vec::new();
    while from.read_buf(&mut held).await? > 0 {
        while let Some(length) = length_of(&held) {
            let request: Vec<u8> = held.drain(..length).collect();
            let name = name_of(&request);
            shared.passable().await;
            if shared.is_cut(Cut::Request, &name) {
                to.write_all(&request[..request.len() / 2]).await?;
                return to.flush().await;
            }
            asked.lock().unwrap().push_back(name);
            to.write_all(&request).await?;
        }
    }
    Ok(())
}

async fn replies(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    asked: &Asked,
    shared: &Shared,
) -> io::Result<()> {
    let mut held = Vec::new();
    while from.read_buf(&mut held).await? > 0 {
        while let Some(length) = length_of(&held) {
            let reply: Vec<u8> = held.drain(..length).collect();
            // What a server pushes without having been asked has no name.
            let name = asked.lock().unwrap().pop_front().unwrap_or_default();
            let was_run = !reply.starts_with(b"-NOSCRIPT");
            shared.passable().await;
            if was_run && shared.is_cut(Cut::Reply, &name) {
                return Ok(());
            }
            to.write_all(&reply).await?;
        }
    }
    Ok(())
}

impl Shared {
    async fn passable(&self) {
        // The sender is ours: it can't be gone.
        let _ = self.is_open.subscribe().wait_for(|is_open| *is_open).await;
    }

    fn is_cut(&self, here: Cut, name: &str) -> bool {
        let mut planned = self.planned.lock().unwrap();
        let meets = planned.as_ref().is_some_and(|(cut, names)| *cut == here && names.contains(&name));
        if meets {
            *planned = None;
            self.cuts.send_modify(|cuts| *cuts += 1);
        }
        meets
    }
}

/// The first word of a request.
fn name_of(request: &[u8]) -> String {
    let word = request.split(|byte| *byte == b'\n').nth(2).unwrap_or_default();
    String::from_utf8_lossy(word.strip_suffix(b"\r").unwrap_or(word)).to_ascii_uppercase()
}

/// How long the value at the beginning is; nothing where it has not arrived as a whole.
fn length_of(bytes: &[u8]) -> Option<usize> {
    let line = bytes.windows(2).position(|pair| pair == b"\r\n")? + 2;
    let number = || std::str::from_utf8(&bytes[1..line - 2]).ok()?.parse::<i64>().ok();
    match bytes[0] {
        b'$' => {
            let length = usize::try_from(number()?).map_or(line, |length| line + length + 2);
            (bytes.len() >= length).then_some(length)
        }
        b'*' => {
            let mut length = line;
            for _ in 0..number()?.max(0) {
                length += length_of(&bytes[length..])?;
            }
            Some(length)
        }
        _ => Some(line),
    }
}

#[test]
fn the_bounds_of_values_are_found() {
    for whole in
        ["+OK\r\n", "$-1\r\n", "$2\r\n\r\n\r\n", "*2\r\n:1\r\n*1\r\n$1\r\na\r\n", "*-1\r\n", "*0\r\n"]
    {
        let more = format!("{whole}$1\r\nx\r\n");
        assert_eq!(length_of(more.as_bytes()), Some(whole.len()), "{whole:?}");
        for end in 0..whole.len() {
            assert_eq!(length_of(&whole.as_bytes()[..end]), None, "{whole:?} to {end}");
        }
    }
    assert_eq!(name_of(b"*2\r\n$4\r\neval\r\n$1\r\nx\r\n"), "EVAL");
}
