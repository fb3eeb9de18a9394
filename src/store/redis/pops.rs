//! Waiting for an element of a list, each on a connection of its own. Owns: those connections, and that no element
//! gets lost where somebody stops waiting.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, ProtocolVersion, RedisError, ServerErrorKind, Value, cmd,
};
use tokio::{
    task::{JoinError, JoinHandle},
    time::{Instant, sleep, timeout},
};

use super::{
    Redis,
    servers::{ANSWER_WITHIN, away},
    url::Address,
};

/// So many connections to a server are kept for later.
const MOST_IDLE: usize = 32;
/// How long one rests where the list's slot is on its way from node to node.
const REST: Duration = Duration::from_millis(100);

/// A connection on which one command at a time waits.
struct Dedicated {
    address: Address,
    connection: redis::aio::MultiplexedConnection,
    /// What the server calls it.
    id: i64,
}

/// Connections that wait for nothing now.
#[derive(Default)]
pub(super) struct Pops {
    idle: Mutex<HashMap<Address, Vec<Dedicated>>>,
}

impl Pops {
    fn take(&self, address: &Address) -> Option<Dedicated> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).get_mut(address)?.pop()
    }

    fn put_back(&self, dedicated: Dedicated) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = idle.entry(dedicated.address.clone()).or_default();
        if idle.len() < MOST_IDLE {
            idle.push(dedicated);
        }
    }

    /// Closes what leads to a server that has been lost.
    fn clear(&self, address: &Address) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).remove(address);
    }
}

type Answer = (Dedicated, Result<Option<Vec<u8>>, RedisError>);

/// One that waits. Where it is dropped before it has its answer, the waiting is called off, and an element that came all
/// the same is put back where it was.
struct Waiting {
    redis: Redis,
    list: Arc<[u8]>,
    address: Address,
    id: i64,
    answer: Option<JoinHandle<Answer>>,
}

/// Waits for the first element of a list; nothing where `patience` has passed.
pub(super) async fn pop(
    redis: &Redis,
    list: &[u8],
    patience: Duration,
) -> Result<Option<Vec<u8>>, RedisError> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        let mut waiting = Waiting::begin(redis, list, left).await?;
        let answered = match waiting.answer.as_mut() {
            Some(answer) => answer.await,
            None => return Ok(None),
        };
        waiting.answer = None;
        match waiting.end(answered).await {
            // The slot moves or has moved: the list is (or will be) elsewhere.
            Err(error) if is_elsewhere(&error) && Instant::now() < deadline => {
                sleep(REST).await;
                redis.look_for_slots().await?;
            }
            answer => return answer,
        }
    }
}

fn is_elsewhere(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain)
    )
}

impl Waiting {
    async fn begin(redis: &Redis, list: &[u8], patience: Duration) -> Result<Self, RedisError> {
        let address = redis.node(list).await?;
        let mut dedicated = match redis.pops().take(&address) {
            Some(dedicated) => dedicated,
            None => dedicate(redis, address).await?,
        };
        let mut command = cmd("BLPOP");
        command.arg(list).arg(patience.as_secs_f64());
        let (address, id) = (dedicated.address.clone(), dedicated.id);
        let answer = tokio::spawn(async move {
            let answered = ask(&mut dedicated, &command, patience + ANSWER_WITHIN).await;
            (dedicated, answered)
        });
        Ok(Self { redis: redis.clone(), list: list.into(), address, id, answer: Some(answer) })
    }

    async fn end(&self, answered: Result<Answer, JoinError>) -> Result<Option<Vec<u8>>, RedisError> {
        let (dedicated, answer) = answered.map_err(|_| away("the waiting for a list was ended"))?;
        match &answer {
            Err(error) if super::link::is_of_no_use(error) => self.redis.pops().clear(&self.address),
            _ => self.redis.pops().put_back(dedicated),
        }
        answer
    }
}

async fn dedicate(redis: &Redis, address: Address) -> Result<Dedicated, RedisError> {
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let mut connection = redis.servers().connect(&address, ProtocolVersion::RESP2, config).await?;
    let mut question = cmd("CLIENT");
    let asked = question.arg("ID").query_async(&mut connection);
    let id = timeout(ANSWER_WITHIN, asked).await.unwrap_or_else(|_| Err(away("does not answer")))?;
    Ok(Dedicated { address, connection, id })
}

async fn ask(
    dedicated: &mut Dedicated,
    command: &Cmd,
    within: Duration,
) -> Result<Option<Vec<u8>>, RedisError> {
    let asked = command.query_async::<Option<(Value, Vec<u8>)>>(&mut dedicated.connection);
    let answer = timeout(within, asked).await.unwrap_or_else(|_| Err(away("does not answer")))?;
    Ok(answer.map(|(_, element)| element))
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let Some(answer) = self.answer.take() else { return };
        // Without a runtime the connection ends with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (redis, list, address, id) =
            (self.redis.clone(), self.list.clone(), self.address.clone(), self.id);
        runtime.spawn(call_off(redis, list, address, id, answer));
    }
}

/// Ends a waiting nobody waits for any more. Where the server won't end it (it hangs, or we may not ask it to), the
/// connection is closed.
async fn call_off(redis: Redis, list: Arc<[u8]>, address: Address, id: i64, mut answer: JoinHandle<Answer>) {
    let mut unblock = cmd("CLIENT");
    unblock.arg("UNBLOCK").arg(id);
    // Asked of the server itself, wherever the list is now.
    let unblocked = redis.send_to(&address, &unblock).await.is_ok();
    let Ok(Ok((dedicated, answered))) =
        timeout(if unblocked { ANSWER_WITHIN } else { REST }, &mut answer).await
    else {
        answer.abort();
        return;
    };
    match answered {
        Ok(Some(element)) => {
            let mut push = cmd("LPUSH");
            push.arg(&*list).arg(element);
            // Where this fails the server is away, and who waits next looks for work in any case.
            let _ = redis.command(&push).await;
            // Whoever waited may be gone for good, and with it the list's name.
            let mut expire = cmd("PEXPIRE");
            expire.arg(&*list).arg(10_000);
            let _ = redis.command(&expire).await;
        }
        Ok(None) => {}
        Err(_) => return,
    }
    redis.pops().put_back(dedicated);
}
