//! A connection that comes back. Owns: opening it once for all who wait, giving it up where it is of no use any more.
//! Must not know: which commands may be sent twice (it sends none twice).

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value, aio::MultiplexedConnection};
use tokio::{
    sync::Mutex,
    time::{Duration, Instant, sleep},
};

use super::{servers::Servers, url::Address};

/// How often one tries to get in before whoever waits is told, and how long one rests in between.
const TRIES: u32 = 3;
const REST: Duration = Duration::from_millis(50);
/// Who has waited so long for a server that hangs does not wait for it once more.
const HANGS: Duration = Duration::from_secs(1);
/// For so long a failure answers all who come: a server that is away is not stormed.
const AWAY: Duration = Duration::from_millis(100);

/// Whom a link leads to.
#[derive(Clone, Debug)]
pub(super) enum Target {
    /// The one that takes what is written, wherever it is now.
    Master,
    /// A node of a cluster.
    Node(Address),
}

/// A connection in use.
#[derive(Clone)]
pub(super) struct Live {
    number: u64,
    pub(super) address: Address,
    pub(super) connection: MultiplexedConnection,
}

/// A connection that comes back. Shared by many commands at once.
pub(super) struct Link {
    servers: Arc<Servers>,
    target: Target,
    live: RwLock<Option<Live>>,
    opening: Mutex<Option<(Instant, RedisError)>>,
    numbers: AtomicU64,
}

impl Link {
    pub(super) fn new(servers: Arc<Servers>, target: Target) -> Self {
        let (live, opening, numbers) = (RwLock::new(None), Mutex::new(None), AtomicU64::new(0));
        Self { servers, target, live, opening, numbers }
    }

    /// The connection, opened where there is none. An error means that nothing was sent.
    pub(super) async fn live(&self) -> Result<Live, RedisError> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let mut failed = self.opening.lock().await;
        // Somebody else may have opened it, or failed to, while this one waited.
        if let Some(live) = self.current() {
            return Ok(live);
        }
        if let Some((_, error)) = failed.as_ref().filter(|(at, _)| at.elapsed() < AWAY) {
            return Err(error.clone());
        }
        let (mut tries, begun) = (1, Instant::now());
        loop {
            match self.open().await {
                Ok(live) => {
                    *self.live.write().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
                    *failed = None;
                    return Ok(live);
                }
                Err(error) if tries == TRIES || begun.elapsed() > HANGS => {
                    *failed = Some((Instant::now(), error.clone()));
                    return Err(error);
                }
                Err(_) => sleep(REST * tries).await,
            }
            tries += 1;
        }
    }

    fn current(&self) -> Option<Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn open(&self) -> Result<Live, RedisError> {
        let address = match &self.target {
            Target::Master => self.servers.master().await?,
            Target::Node(address) => address.clone(),
        };
        let connection = self.servers.connect_plainly(&address).await?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        Ok(Live { number, address, connection })
    }

    /// Sends a command over a connection of this link, and gives it up where it is of no use any more. An error may mean
    /// that the command was run and its answer lost.
    pub(super) async fn send(&self, mut live: Live, command: &Cmd) -> Result<Value, RedisError> {
        let sent = live.connection.send_packed_command(command).await.and_then(Value::extract_error);
        self.judge(&live, sent)
    }

    /// The same behind an `ASKING`, for a slot that is on its way to this node.
    pub(super) async fn send_asking(&self, live: Live, command: &Cmd) -> Result<Value, RedisError> {
        let mut pipeline = redis::pipe();
        pipeline.cmd("ASKING").ignore().add_command(command.clone());
        let sent = pipeline.query_async::<Vec<Value>>(&mut live.connection.clone()).await;
        self.judge(&live, sent.map(|mut answers| answers.pop().unwrap_or(Value::Nil)))
    }

    fn judge(&self, used: &Live, sent: Result<Value, RedisError>) -> Result<Value, RedisError> {
        if sent.as_ref().is_err_and(is_of_no_use) {
            let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
            if live.as_ref().is_some_and(|live| live.number == used.number) {
                *live = None;
            }
        }
        sent
    }
}

/// Whether a connection that gave this error should be given up: it is cut, it hangs, or it leads to a server that has
/// become a replica. What was sent over it may have been run, or not.
pub fn is_of_no_use(error: &RedisError) -> bool {
    error.is_unrecoverable_error()
        || error.is_io_error()
        || matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown))
}
