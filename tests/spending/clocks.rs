//! Processes whose clocks are wrong.

use std::{sync::Arc, time::Duration};

use presswork::{
    domain::{Clock as _, Day, ManualClock, SystemRandom, TenantId, Timestamp, clock::SystemClock},
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
        // Where the server's month ends meanwhile, a budget opens in time: what was seen then says nothing.
        for tenant in ["acme", "globex"] {
            let month = month_of(&records).await;
            let seen = seen_by_all(&records, &tenant.parse().unwrap()).await;
            if month_of(&records).await == month {
                let used_up = (40, 60, month, 1);
                assert_eq!(seen, [used_up; 3]);
                break;
            }
        }
    }
}

fn spending_at(records: &Arc<dyn Records>, time: Timestamp) -> Spending {
    Spending::new(Budget::default(), records, Arc::new(ManualClock::at(time)), Arc::new(SystemRandom))
}

/// When the server's month ends.
async fn month_of(records: &Arc<dyn Records>) -> Timestamp {
    let now = spending_at(records, SystemClock.now()).now().await.unwrap();
    Day::of(now).next_month().begins()
}

/// What a process sees that is refused: what is spent, what is set aside, when that ends, how many calls there were.
type Seen = (u64, u64, Timestamp, u64);

/// What is seen by those whose clocks are ahead, right and behind, once a tenant's month is used up.
async fn seen_by_all(records: &Arc<dyn Records>, tenant: &TenantId) -> [Seen; 3] {
    let right = SystemClock.now();
    let [good, ahead, behind] =
        [right, right.after(DAY * 40), right.before(DAY)].map(|time| spending_at(records, time));
    good.budgets().set(tenant, Measure::Monthly, Some(100)).await.unwrap();
    let reserved = ahead.reserve(tenant, &call(60), HOUR).await.unwrap().unwrap();
    let spent = good.reserve(tenant, &call(40), HOUR).await.unwrap().unwrap();
    assert_eq!(good.settle(&spent, Some(&used(40))).await.unwrap(), Settled::Settled);
    let mut seen = [(0, 0, right, 0); 3];
    for (spending, seen) in [&ahead, &good, &behind].into_iter().zip(&mut seen) {
        if let Err(Refused::UsedUp { standing, .. }) = spending.reserve(tenant, &call(1), HOUR).await.unwrap()
        {
            let calls = spending.report(tenant, None, None).await.unwrap().total().calls;
            *seen = (standing.spent, standing.reserved, standing.resets_at, calls);
        }
        let off = spending.now().await.unwrap().since(right);
        assert!(off < HOUR, "{off:?}");
    }
    // What is set aside is not taken for lost before its time, either.
    assert_eq!(good.settle(&reserved, Some(&used(1))).await.unwrap(), Settled::Settled);
    seen
}
