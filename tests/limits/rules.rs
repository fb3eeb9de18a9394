//! Which rate holds for whom.

use std::{sync::Arc, time::Duration};

use presswork::{
    domain::TenantId,
    limits::{LimitRules, Rules},
};

use super::worlds::{clock, rate, records};

#[tokio::test]
async fn what_is_set_for_a_tenant_beats_the_default_and_is_in_force_elsewhere_within_a_second() {
    let (clock, folder) = (clock(), tempfile::tempdir().unwrap());
    let open = || Rules::new(LimitRules::default(), records(folder.path(), clock.clone()), clock.clone());
    let (here, there) = (Arc::new(open()), open());
    let [acme, other]: [TenantId; 2] = ["acme", "other"].map(|name| name.parse().unwrap());
    let (generation, model) = (LimitRules::GENERATION, "model:tokens".parse().unwrap());
    for rules in [&*here, &there] {
        assert_eq!(rules.rate(&acme, &generation).await.unwrap(), Some(rate("10/min")));
        assert_eq!(rules.rate(&acme, &model).await.unwrap(), None);
    }
    here.set(&acme, &generation, Some(rate("30/min:5"))).await.unwrap();
    here.set(&acme, &model, Some(rate("90000/min"))).await.unwrap();
    here.set(&acme, &LimitRules::API, None).await.unwrap();
    assert_eq!(here.rate(&acme, &generation).await.unwrap(), Some(rate("30/min:5")));
    clock.advance(Duration::from_secs(1));
    for rules in [&*here, &there] {
        assert_eq!(rules.rate(&acme, &generation).await.unwrap(), Some(rate("30/min:5")));
        assert_eq!(rules.rate(&acme, &model).await.unwrap(), Some(rate("90000/min")));
        assert_eq!(rules.all(&acme).await.unwrap()[&LimitRules::API], None);
        assert_eq!(rules.rate(&other, &generation).await.unwrap(), Some(rate("10/min")));
    }
    for resource in [&generation, &model, &LimitRules::API] {
        there.reset(&acme, resource).await.unwrap();
    }
    assert_eq!(there.all(&acme).await.unwrap(), there.all(&other).await.unwrap());
}

#[test]
fn the_defaults_are_those_that_are_documented() {
    let json = serde_json::to_value(LimitRules::default()).unwrap();
    let documented = serde_json::json!({
        "anonymous": "60/min:10", "api": "100/min:100", "character": "50/min:50",
        "export": "20/min:20", "generation": "10/min:10",
    });
    assert_eq!(json, documented);
}
