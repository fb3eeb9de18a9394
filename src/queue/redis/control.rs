//! Pauses and limits. Owns: how they are given to the shards. Must not know: how they are obeyed.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use redis::Value;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    RedisQueue,
    answer::{Answer, unreadable},
    scripts,
};
use crate::{
    domain::{KindLimits, KindName, LaneLimits, Rate, TenantId, TenantLimits},
    queue::{QueueError, Scope, checks::check_limits},
};

/// A scope as it is stored.
fn stored(scope: &Scope) -> String {
    match scope {
        Scope::Everything => "everything".to_owned(),
        Scope::Tenant(tenant) => format!("tenant:{tenant}"),
        Scope::Kind(kind) => format!("kind:{kind}"),
    }
}

fn scope(stored: &str) -> Option<Scope> {
    match stored.split_once(':') {
        Some(("tenant", name)) => name.parse().ok().map(Scope::Tenant),
        Some(("kind", name)) => name.parse().ok().map(Scope::Kind),
        _ => (stored == "everything").then_some(Scope::Everything),
    }
}

/// A shard's share of a cap on the whole queue: as even as can be, together the cap.
fn share(cap: u32, shards: u16, shard: u16) -> u32 {
    let (whole, rest) = (cap / u32::from(shards), cap % u32::from(shards));
    whole + u32::from(u32::from(shard) < rest)
}

/// Refuses a cap that leaves some shard without a job. None at all may run in any: that can be shared.
fn check_cap(kind: &KindName, cap: Option<u32>, shards: u16) -> Result<(), QueueError> {
    match cap {
        Some(cap @ 1..) if cap < u32::from(shards) => Err(QueueError::Invalid(format!(
            "{cap} jobs of kind {kind} can't be shared among the queue's {shards} shards: at least one job a shard, or 0"
        ))),
        _ => Ok(()),
    }
}

/// A limit as it is stored; empty where it is absent.
fn limit(limit: Option<impl ToString>) -> Vec<u8> {
    limit.map_or_else(Vec::new, |limit| limit.to_string().into_bytes())
}

/// A limit that is there by default, as it is stored.
fn defaulted(set: Option<u64>, default: Option<u64>) -> Vec<u8> {
    match set {
        None => b"-".to_vec(),
        set if set == default => Vec::new(),
        set => limit(set),
    }
}

fn rate(rate: Rate) -> String {
    format!("{} {}", rate.interval_micros(), rate.burst())
}

fn json<T: Serialize>(limits: &T) -> Result<Vec<u8>, QueueError> {
    serde_json::to_vec(limits).map_err(|error| QueueError::Invalid(error.to_string()))
}

/// What `limit_tenant` is told; nothing but absences for the defaults.
fn fields(limits: Option<&TenantLimits>) -> Result<Vec<Vec<u8>>, QueueError> {
    let Some(limits) = limits else { return Ok(vec![Vec::new(); 5]) };
    let defaults = TenantLimits::default();
    let mut fields = vec![
        json(limits)?,
        limit((limits.weight != defaults.weight).then_some(limits.weight)),
        limit(limits.max_running),
        defaulted(limits.max_waiting, defaults.max_waiting),
        defaulted(limits.max_waiting_bytes, defaults.max_waiting_bytes),
    ];
    for (kind, LaneLimits { rate: of_lane, max_running }) in &limits.kinds {
        fields.extend([kind.as_str().into(), limit(of_lane.map(rate)), limit(*max_running)]);
    }
    Ok(fields)
}

impl RedisQueue {
    /// Stops handing out jobs in the scope.
    pub(super) async fn pause_scope(&self, scope: &Scope) -> Result<(), QueueError> {
        self.on_all_shards("pause", scope).await
    }

    /// Hands them out again.
    pub(super) async fn resume_scope(&self, scope: &Scope) -> Result<(), QueueError> {
        self.on_all_shards("resume", scope).await
    }

    async fn on_all_shards(&self, what: &str, scope: &Scope) -> Result<(), QueueError> {
        let scope = stored(scope).into_bytes();
        let each = |shard| self.control(shard, what, vec![scope.clone()]);
        try_join_all((0..self.shards()).map(each)).await.map(drop)
    }

    /// The scopes that are paused, on any shard: a pause that reached only some of them can be seen and lifted.
    pub(super) async fn paused_scopes(&self) -> Result<Vec<Scope>, QueueError> {
        let mut scopes = BTreeSet::new();
        for shard in 0..self.shards() {
            let mut names = Answer::of(self.control(shard, "paused", Vec::new()).await?)?;
            while !names.is_empty() {
                let name = names.text().unwrap_or_default();
                match scope(&name) {
                    Some(scope) => drop(scopes.insert(scope)),
                    None => tracing::warn!(name, "a pause can't be read"),
                }
            }
        }
        Ok(scopes.into_iter().collect())
    }

    /// Sets a tenant's limits or restores the defaults.
    pub(super) async fn limit_tenant(
        &self,
        tenant: &TenantId,
        limits: Option<&TenantLimits>,
    ) -> Result<(), QueueError> {
        check_limits(limits)?;
        let mut arguments = vec![tenant.as_str().into()];
        arguments.append(&mut fields(limits)?);
        self.control(self.shard_of(tenant), "limit_tenant", arguments).await.map(drop)
    }

    /// A tenant's limits: those set, or the defaults.
    pub(super) async fn limits_of_tenant(&self, tenant: &TenantId) -> Result<TenantLimits, QueueError> {
        let answer =
            self.control(self.shard_of(tenant), "limits_of_tenant", vec![tenant.as_str().into()]).await?;
        read_limits(answer, || format!("the limits of tenant {tenant}"))
    }

    /// Sets a kind's limits: each shard has its share of the cap.
    pub(super) async fn limit_kind(&self, kind: &KindName, limits: KindLimits) -> Result<(), QueueError> {
        check_cap(kind, limits.max_running, self.shards())?;
        let json = if limits == KindLimits::default() { Vec::new() } else { json(&limits)? };
        let each = |shard| {
            let most = limit(limits.max_running.map(|cap| share(cap, self.shards(), shard)));
            self.control(shard, "limit_kind", vec![kind.as_str().into(), json.clone(), most])
        };
        try_join_all((0..self.shards()).map(each)).await.map(drop)
    }

    /// A kind's limits: those set, or none.
    pub(super) async fn limits_of_kind(&self, kind: &KindName) -> Result<KindLimits, QueueError> {
        let answer = self.control(0, "limits_of_kind", vec![kind.as_str().into()]).await?;
        read_limits(answer, || format!("the limits of kind {kind}"))
    }

    async fn control(&self, shard: u16, what: &str, more: Vec<Vec<u8>>) -> Result<Value, QueueError> {
        let mut arguments = vec![what.into()];
        arguments.extend(more);
        self.ask("control the queue", &scripts::CONTROL, shard, arguments).await
    }
}

/// Limits as they were set, or the defaults where nothing was.
fn read_limits<T: DeserializeOwned + Default>(
    answer: Value,
    what: impl FnOnce() -> String,
) -> Result<T, QueueError> {
    match answer {
        Value::Nil => Ok(T::default()),
        Value::BulkString(json) => serde_json::from_slice(&json).map_err(|_| unreadable(&what())),
        _ => Err(unreadable(&what())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_a_cap_make_up_the_cap() {
        for (cap, shards) in [(0, 1), (7, 1), (16, 16), (17, 16), (1_000, 16), (u32::MAX, 3)] {
            let shares: Vec<u64> = (0..shards).map(|shard| share(cap, shards, shard).into()).collect();
            assert_eq!(shares.iter().sum::<u64>(), u64::from(cap), "{cap} over {shards}");
            assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{shares:?}");
        }
    }

    #[test]
    fn a_cap_smaller_than_the_shards_is_refused_with_both_numbers() {
        let export = KindName::literal("export");
        let refused = check_cap(&export, Some(3), 16).unwrap_err().to_string();
        assert!(refused.contains("3 jobs of kind export") && refused.contains("16 shards"), "{refused}");
        for fine in [None, Some(0), Some(16), Some(17)] {
            assert!(check_cap(&export, fine, 16).is_ok(), "{fine:?}");
        }
        assert!(check_cap(&export, Some(1), 1).is_ok());
    }

    #[test]
    fn scopes_survive_their_text() {
        let export = Scope::Kind(KindName::literal("export"));
        for whole in [Scope::Everything, Scope::Tenant("acme".parse().unwrap()), export] {
            assert_eq!(scope(&stored(&whole)), Some(whole));
        }
        for wrong in ["", "all", "tenant:", "tenant:A", "kind:../x", "everything:x"] {
            assert_eq!(scope(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn scripts_are_told_only_what_differs_from_the_defaults() {
        let texts = |limits: Option<&TenantLimits>| -> Vec<String> {
            fields(limits).unwrap().into_iter().map(|field| String::from_utf8(field).unwrap()).collect()
        };
        assert_eq!(texts(None), ["", "", "", "", ""]);
        assert_eq!(texts(Some(&TenantLimits::default()))[1..], ["", "", "", ""]);
        let lane = LaneLimits { rate: Some(Rate::per_minute(20, 5)), max_running: None };
        let limits = TenantLimits {
            weight: 3,
            max_running: Some(0),
            max_waiting: None,
            max_waiting_bytes: Some(7),
            kinds: [(KindName::literal("export"), lane)].into(),
        };
        assert_eq!(texts(Some(&limits))[1..], ["3", "0", "-", "7", "export", "3000000 5", ""]);
    }
}
