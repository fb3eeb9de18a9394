//! What a tenant and a kind may use. Stored by the engines, changed at run time, in force from the next claim.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{bucket::Rate, names::KindName};

/// A tenant's limits. What is `None` is not limited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantLimits {
    /// Share of the workers beside other tenants': twice the weight, twice the service. 1 to 1,000.
    pub weight: u32,
    /// How many of its jobs may run at once, all kinds together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_running: Option<u32>,
    /// How many of its jobs may be unfinished and not running; more are refused at the door. Written even where it
    /// is `None`: left out it would be read back as the default.
    pub max_waiting: Option<u64>,
    /// How many bytes of payload those may have together. Written even where it is `None`.
    pub max_waiting_bytes: Option<u64>,
    /// Limits of single kinds.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<KindName, LaneLimits>,
}

impl Default for TenantLimits {
    /// Weight 1, at most 100,000 jobs and 1 GiB waiting, nothing else limited.
    fn default() -> Self {
        Self {
            weight: 1,
            max_running: None,
            max_waiting: Some(100_000),
            max_waiting_bytes: Some(1 << 30),
            kinds: BTreeMap::new(),
        }
    }
}

/// Limits of one tenant's jobs of one kind: of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LaneLimits {
    /// How many may start in a time; a token is taken in the same step as the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// How many may run at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_running: Option<u32>,
}

/// Limits of a kind, all tenants together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KindLimits {
    /// How many may run at once in the whole fleet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_running: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_survive_their_text_also_where_nothing_is_limited() {
        let unlimited =
            TenantLimits { max_waiting: None, max_waiting_bytes: None, ..TenantLimits::default() };
        for limits in [TenantLimits::default(), unlimited] {
            let json = serde_json::to_string(&limits).unwrap();
            assert_eq!(serde_json::from_str::<TenantLimits>(&json).unwrap(), limits, "{json}");
        }
        assert_eq!(serde_json::from_str::<TenantLimits>("{}").unwrap(), TenantLimits::default());
    }
}
