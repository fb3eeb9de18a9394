//! The shards of a namespace. Owns: their names, and on which of them a tenant lives. Other languages compute it too.

use crate::domain::TenantId;

/// The hash tag of a shard, with which each of its keys begins, and the one key that its scripts are given: `{pw:0}`.
pub fn tag(namespace: &str, shard: u16) -> String {
    format!("{{{namespace}:{shard}}}")
}

/// The shard on which a tenant lives: FNV-1a (64 bits) of its name, modulo the number of shards.
pub fn shard_of(tenant: &TenantId, shards: u16) -> u16 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = tenant.as_str().as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step);
    u16::try_from(hash % u64::from(shards.max(1))).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_lives_where_other_languages_look_for_it() {
        let shards = |shards| ["acme", "bolt", "a"].map(|name| shard_of(&name.parse().unwrap(), shards));
        assert_eq!(shards(1), [0, 0, 0]);
        // FNV-1a of "a" is 0xaf63dc4c8601ec8c.
        assert_eq!(shards(16)[2], 0xc);
        assert_eq!(tag("pw", 12), "{pw:12}");
    }
}
