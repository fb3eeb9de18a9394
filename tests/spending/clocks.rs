//! Processes whose clocks are wrong.

use std::{sync::Arc, time::Duration};

use presswork::{
    domain::{Clock as _, ManualClock, SystemRandom, TenantId, clock::SystemClock},
    spending::{Budget, Measure, Refused, Settled, Spending},
    store::{
        Records,
        redis::{Redis, RedisRecords},
    },
};

use super::worlds::{call, used};
use crate::servers;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// Forty days ahead it is another month, a day behind it is another day.
#[tokio::test]
async fn a_process_whose_clock_is_wrong_opens_no_budget_before_its_time() {
    for url in [servers::shared_server().url(), servers::shared_cluster_server().url()] {
        let redis = Redis::connect_with(&url, &servers::fresh_namespace(), 1).await.unwrap();
        let records: Arc<dyn Records> = Arc::new(RedisRecords::new(redis, None));
        let right = SystemClock.now();
        let at = |time| {
            let (clock, random) = (Arc::new(ManualClock::at(time)), Arc::new(SystemRandom));
            Spending::new(Budget::default(), &records, clock, random)
        };
        let [good, ahead, behind] = [right, right.after(DAY * 40), right.before(DAY)].map(at);
        let acme: TenantId = "acme".parse().unwrap();
        good.budgets().set(&acme, Measure::Monthly, Some(100)).await.unwrap();
        let reserved = ahead.reserve(&acme, &call(60), HOUR).await.unwrap().unwrap();
        let spent = good.reserve(&acme, &call(40), HOUR).await.unwrap().unwrap();
        assert_eq!(good.settle(&spent, Some(&used(40))).await.unwrap(), Settled::Settled);
        let next = presswork::domain::Day::of(right).next_month().begins();
        for spending in [&ahead, &good, &behind] {
            match spending.reserve(&acme, &call(1), HOUR).await.unwrap() {
                Err(Refused::UsedUp { standing, .. }) => {
                    assert_eq!((standing.spent, standing.reserved, standing.resets_at), (40, 60, next));
                }
                other => panic!("{other:?}"),
            }
            let off = spending.now().await.unwrap().since(right);
            assert!(off < HOUR, "{off:?}");
            assert_eq!(spending.report(&acme, None, None).await.unwrap().total().calls, 1);
        }
        // What is set aside is not taken for lost before its time, either.
        assert_eq!(good.settle(&reserved, Some(&used(1))).await.unwrap(), Settled::Settled);
    }
}
