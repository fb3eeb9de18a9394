//! Listening to a channel, on a connection of its own. Must not know: what is said there.

use std::time::Duration;

use futures_util::StreamExt as _;
use redis::{
    RedisError,
    aio::{PubSubSink, PubSubStream},
};
use tokio::time::{Instant, interval_at, timeout};

use super::Redis;

/// How often the server is asked whether it is there, and how long it may take to answer.
const BEAT: Duration = Duration::from_secs(5);

/// A subscription to one channel, which tells when it has ended.
pub struct Channel {
    sink: PubSubSink,
    stream: PubSubStream,
    next_beat: Instant,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Channel")
    }
}

impl Redis {
    /// Subscribes to a channel; once it answers, nothing that is published there is missed. On a cluster what any node
    /// publishes is heard.
    ///
    /// # Errors
    /// What the server or the way to it says.
    pub async fn listen(&self, channel: &str) -> Result<Channel, RedisError> {
        let (mut sink, stream) = self.client.get_async_pubsub().await?.split();
        sink.subscribe(channel).await?;
        Ok(Channel { sink, stream, next_beat: Instant::now() + BEAT })
    }
}

impl Channel {
    /// The next message. `None` once the connection is gone or the server has not answered for five seconds: what is
    /// published from then on is missed.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        let mut beats = interval_at(self.next_beat, BEAT);
        loop {
            tokio::select! {
                biased;
                message = self.stream.next() => return message.map(|message| message.get_payload_bytes().to_vec()),
                _ = beats.tick() => {
                    self.next_beat = Instant::now() + BEAT;
                    match timeout(BEAT, self.sink.ping::<redis::Value>()).await {
                        Ok(Ok(_)) => {}
                        _ => return None,
                    }
                }
            }
        }
    }
}
