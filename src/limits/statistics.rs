//! What a process was answered, counted a resource. Owns: the bound on how many resources are told apart.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{Decision, Resource};

/// How many resources are counted apart; the rest together.
const MOST_RESOURCES: usize = 256;
/// The name under which the rest is counted.
const REST: Resource = Resource::literal("_rest");

/// How one resource fared in this process.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ResourceStatistics {
    /// Which; `_rest` for all beyond the first 256.
    pub resource: Resource,
    /// Calls that were allowed.
    pub allowed: u64,
    /// Calls that were refused for want of tokens.
    pub denied: u64,
    /// Calls that were refused for being parked.
    pub parked: u64,
    /// Tokens left in the bucket that was asked last.
    pub level: u32,
    /// What that bucket holds.
    pub limit: u32,
}

#[derive(Debug, Default)]
pub(super) struct Counters(Mutex<BTreeMap<Resource, ResourceStatistics>>);

impl Counters {
    pub(super) fn count(&self, resource: &Resource, decision: &Decision) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = counted.contains_key(resource) || counted.len() < MOST_RESOURCES;
        let name = if known { resource } else { &REST };
        let one = counted.entry(name.clone()).or_insert_with(|| ResourceStatistics {
            resource: name.clone(),
            allowed: 0,
            denied: 0,
            parked: 0,
            level: 0,
            limit: 0,
        });
        let counter = match decision {
            Decision { allowed: true, .. } => &mut one.allowed,
            Decision { parked: Some(_), .. } => &mut one.parked,
            _ => &mut one.denied,
        };
        *counter += 1;
        (one.level, one.limit) = (decision.remaining, decision.limit);
    }

    pub(super) fn all(&self) -> Vec<ResourceStatistics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{domain::Timestamp, limits::level::Level};

    #[test]
    fn resources_beyond_the_bound_are_counted_together() {
        let counters = Counters::default();
        let decision = Level::default().take("1/s".parse().unwrap(), 1, Timestamp::from_millis(1));
        for n in 0..1_000 {
            counters.count(&format!("r{n}").parse().unwrap(), &decision);
        }
        let all = counters.all();
        assert_eq!(all.len(), MOST_RESOURCES + 1);
        assert_eq!(all.iter().map(|one| one.allowed).sum::<u64>(), 1_000);
    }
}
