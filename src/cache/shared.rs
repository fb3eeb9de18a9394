//! The level of the fleet, in Redis. Owns: the keys behind `{<namespace>:cache:<tenant>}` (named in `lua/prelude.lua`), the
//! form of a stored value. Must not know: memory, who waits for whom.

use std::{sync::LazyLock, time::Duration};

use bytes::{BufMut as _, Bytes, BytesMut};
use redis::{FromRedisValue as _, RedisError, Value, cmd};

use super::{key::Pattern, memory::Name};
use crate::{
    domain::TenantId,
    store::redis::{
        READ, Redis, Script,
        channels::{Ear, Listener},
    },
};

/// A script that stands in `lua/`, behind what all of them share.
macro_rules! script {
    ($name:literal) => {
        LazyLock::new(|| {
            let pieces =
                [READ, include_str!("lua/prelude.lua"), include_str!(concat!("lua/", $name, ".lua"))];
            Script::new(concat!("cache.", $name), &pieces)
        })
    };
}

static FETCH: LazyLock<Script> = script!("fetch");
static STORE: LazyLock<Script> = script!("store");
static HOLD: LazyLock<Script> = script!("hold");
static INVALIDATE: LazyLock<Script> = script!("invalidate");

/// Begins every value; rises with its form. Behind it: CRC-32 of names and value (4 bytes), then the value.
const MAGIC: &[u8; 4] = b"PWC1";
const HEADER: usize = 8;

/// Names the state in which a tenant's entries were seen: an invalidation makes it another.
pub(super) type Generation = Vec<u8>;

/// What an asking found.
pub(super) enum Fetched {
    /// An entry, with the time it has left.
    Hit(Bytes, Duration),
    /// None. Where the right to load was asked for, it is given.
    Miss(Generation),
    /// None, and somebody else loads it; his right ends by then.
    Taken(Duration),
    /// Something that is no entry, removed.
    Spoilt,
}

/// The fleet's entries.
#[derive(Debug)]
pub(super) struct Shared {
    redis: Redis,
    /// The most entries of a tenant.
    most_entries: usize,
    /// How long the right to load holds.
    hold: Duration,
}

impl Shared {
    pub(super) fn new(redis: Redis, most_entries: usize, hold: Duration) -> Self {
        Self { redis, most_entries, hold }
    }

    /// Looks for an entry; with a token asks for the right to load it where there is none.
    pub(super) async fn fetch(&self, name: &Name, token: Option<&str>) -> Result<Fetched, RedisError> {
        let token = token.unwrap_or_default();
        let words: [&[u8]; 3] = [name.1.as_str().as_bytes(), token.as_bytes(), &millis(self.hold)];
        let answer = self.run(&FETCH, &name.0, &words).await?;
        let (what, bytes, left) = <(u8, Bytes, i64)>::from_redis_value(answer)?;
        let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
        match what {
            1 => match open(name, &bytes) {
                Some(value) if !left.is_zero() => Ok(Fetched::Hit(value, left)),
                _ => {
                    let key = format!("{}:v:{}", self.tag(&name.0), name.1);
                    self.redis.command(cmd("DEL").arg(key)).await?;
                    Ok(Fetched::Spoilt)
                }
            },
            3 => Ok(Fetched::Taken(left)),
            _ => Ok(Fetched::Miss(bytes.to_vec())),
        }
    }

    /// Writes an entry, where a generation is given only while it holds; gives the right to load back. Whether it was
    /// written.
    pub(super) async fn store(
        &self,
        name: &Name,
        value: &[u8],
        lives: Duration,
        generation: Option<&Generation>,
        token: Option<&str>,
    ) -> Result<bool, RedisError> {
        let (stored, lives, most) = (close(name, value), millis(lives), self.most_entries.to_string());
        let words: [&[u8]; 6] = [
            name.1.as_str().as_bytes(),
            &stored,
            &lives,
            generation.map_or(b"*", |generation| generation),
            token.unwrap_or_default().as_bytes(),
            most.as_bytes(),
        ];
        bool::from_redis_value(self.run(&STORE, &name.0, &words).await?).map_err(Into::into)
    }

    /// Keeps the right to load.
    pub(super) async fn renew(&self, name: &Name, token: &str) -> Result<(), RedisError> {
        self.hold_for(name, token, self.hold).await
    }

    /// Gives the right to load back.
    pub(super) async fn give_up(&self, name: &Name, token: &str) -> Result<(), RedisError> {
        self.hold_for(name, token, Duration::ZERO).await
    }

    async fn hold_for(&self, name: &Name, token: &str, time: Duration) -> Result<(), RedisError> {
        let words: [&[u8]; 3] = [name.1.as_str().as_bytes(), token.as_bytes(), &millis(time)];
        self.run(&HOLD, &name.0, &words).await.map(drop)
    }

    /// Removes entries, then tells every process. Told apart from the removal: the channel need not be on the node that
    /// has the tenant's entries. Where it can't be told the caller learns that nothing is certain, and repeats it.
    pub(super) async fn invalidate(
        &self,
        tenant: &TenantId,
        pattern: &Pattern,
        message: &[u8],
    ) -> Result<(), RedisError> {
        let (how, text): (&[u8], String) = if pattern.is_one_key() {
            (b"one", pattern.as_str().to_owned())
        } else {
            (b"many", pattern.in_redis())
        };
        let mut cursor = b"0".to_vec();
        loop {
            let words: [&[u8]; 3] = [text.as_bytes(), how, &cursor];
            cursor = Vec::from_redis_value(self.run(&INVALIDATE, tenant, &words).await?)?;
            if cursor == b"0" {
                break;
            }
        }
        self.redis.command(cmd("SPUBLISH").arg(self.channel()).arg(message)).await.map(drop)
    }

    /// Whether anybody answers.
    pub(super) async fn check(&self) -> Result<(), RedisError> {
        self.redis.command(cmd("EXISTS").arg(self.channel())).await.map(drop)
    }

    /// Hears of invalidations anywhere.
    pub(super) async fn listen(&self, listener: Listener) -> Result<Ear, RedisError> {
        self.redis.channels().listen(self.channel().as_bytes(), listener).await
    }

    pub(super) fn hold(&self) -> Duration {
        self.hold
    }

    async fn run(&self, script: &Script, tenant: &TenantId, words: &[&[u8]]) -> Result<Value, RedisError> {
        let arguments: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).collect();
        self.redis.run(script, self.tag(tenant).as_bytes(), &arguments).await
    }

    fn tag(&self, tenant: &TenantId) -> String {
        format!("{{{}:cache:{tenant}}}", self.redis.namespace())
    }

    fn channel(&self) -> String {
        format!("{}:cache", self.redis.namespace())
    }
}

fn millis(time: Duration) -> Vec<u8> {
    time.as_millis().to_string().into_bytes()
}

/// Of the names too: a value that was put under another key or another tenant's is no value.
fn checksum((tenant, key): &Name, value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for piece in [tenant.as_str().as_bytes(), b"\0", key.as_str().as_bytes(), b"\0", value] {
        hasher.update(piece);
    }
    hasher.finalize()
}

fn close(name: &Name, value: &[u8]) -> Bytes {
    let mut stored = BytesMut::with_capacity(HEADER + value.len());
    stored.put_slice(MAGIC);
    stored.put_u32(checksum(name, value));
    stored.put_slice(value);
    stored.freeze()
}

fn open(name: &Name, stored: &Bytes) -> Option<Bytes> {
    let (header, value) = stored.split_at_checked(HEADER)?;
    let sound = header[..4] == *MAGIC && header[4..] == checksum(name, value).to_be_bytes();
    sound.then(|| stored.slice(HEADER..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_under_its_own_name_only_and_whole_only() {
        let name = |tenant: &str, key: &str| (tenant.parse().unwrap(), key.parse().unwrap());
        let stored = close(&name("a", "k"), b"value");
        assert_eq!(open(&name("a", "k"), &stored).unwrap(), "value");
        for other in [name("b", "k"), name("a", "l")] {
            assert_eq!(open(&other, &stored), None);
        }
        for place in 0..stored.len() {
            let mut spoilt = stored.to_vec();
            spoilt[place] ^= 1;
            assert_eq!(open(&name("a", "k"), &spoilt.into()), None, "byte {place}");
            assert_eq!(open(&name("a", "k"), &stored.slice(..place)), None, "{place} bytes");
        }
    }
}
