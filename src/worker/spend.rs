//! What a handler spends of its tenant's money. Owns: how a refusal becomes a job that is put off. Must not know: where accounts
//! are kept.

use std::time::Duration;

use super::context::Surroundings;
use crate::{
    domain::{Cost, Failure, Reason, TenantId, Timestamp},
    spending::{Estimate, ModelName, Refused, Reservation, Spending, Standing, Used},
    store::StoreError,
};

/// How often a job that waits for its budget looks whether somebody has raised it.
const LOOKS_AGAIN: Duration = Duration::from_secs(600);
/// How soon it looks where only calls that are under way stand in its way: most use less than was set aside for them.
const LOOKS_SOON: Duration = Duration::from_secs(10);

/// A call of a model that may be asked. Dropped without being settled, all that was set aside for it counts once its time is over.
#[must_use = "settle it when it is known what it has cost"]
#[derive(Debug)]
pub struct Spend {
    spending: Spending,
    reservation: Reservation,
}

impl Spend {
    /// Says what it has used; `None` where nothing was asked. Where it can't be told now all that was set aside counts: no reason
    /// to fail what was done.
    pub async fn settle(self, used: Option<&Used>) {
        let settled = match self.spending.settle(&self.reservation, used).await {
            // Once more: somebody else may have been in the way.
            Err(StoreError::Conflict { .. } | StoreError::Unavailable { .. }) => {
                self.spending.settle(&self.reservation, used).await
            }
            settled => settled,
        };
        if let Err(error) = settled {
            let tenant = &self.reservation.tenant;
            tracing::warn!(%error, %tenant, "a call of a model could not be booked: what was set aside for it counts");
        }
    }
}

/// Sets aside what a call may cost. It can be settled for as long as `hold`.
pub(super) async fn spend(
    surroundings: &Surroundings,
    tenant: &TenantId,
    estimate: &Estimate,
    hold: Duration,
) -> Result<Spend, Failure> {
    let Surroundings { spending, random, .. } = surroundings;
    let reserved = spending.reserve(tenant, estimate, hold).await.map_err(Failure::retry)?;
    let refused = match reserved {
        Ok(reservation) => return Ok(Spend { spending: spending.clone(), reservation }),
        Err(refused) => refused,
    };
    // By the clock by which a budget begins anew: with another one a job would wait for days, or ask again at once.
    let failure = judged(&refused, spending.now().await.map_err(Failure::retry)?);
    Err(match failure {
        // Not all at the same instant.
        Failure::Snooze { wait, reason } => {
            let most = u64::try_from(wait.as_micros() / 8).unwrap_or(u64::MAX);
            Failure::Snooze { wait: wait + Duration::from_micros(random.below(most.max(1))), reason }
        }
        failure => failure,
    })
}

/// Notes an answer that came from the cache.
pub(super) async fn spared(surroundings: &Surroundings, tenant: &TenantId, name: &ModelName, saved: Cost) {
    if let Err(error) = surroundings.spending.cached(tenant, name, saved).await {
        tracing::warn!(%error, %tenant, "an answer from the cache could not be noted");
    }
}

/// What the job does, and what people are told.
fn judged(refused: &Refused, now: Timestamp) -> Failure {
    match refused {
        Refused::NoPrice(ModelName { provider, model }) => Failure::fatal(format_args!(
            "the tenant has a budget of money and the model {model} of {provider} has no price: give it one in [models] \
             (price = {{ input = …, output = … }}), then put the job back: `presswork jobs retry`"
        )),
        Refused::TooLarge { wanted, standing } => {
            let Standing { measure, limit, .. } = standing;
            Failure::fatal(format_args!(
                "this call may use {}, more than the whole {} budget of {}: raise it with `presswork spending budget set \
                 {measure}`, or ask for a shorter answer",
                measure.show(*wanted),
                words(standing),
                measure.show(limit.unwrap_or(0)),
            ))
        }
        Refused::UsedUp { wanted, standing } => {
            let Standing { measure, limit, spent, reserved, resets_at } = standing;
            let limit = limit.unwrap_or(0);
            let is_only_reserved = spent.saturating_add(*wanted) <= limit;
            let reason = format!(
                "the {} budget of {} is used up: {} spent, {} set aside, {} wanted; goes on at {resets_at} or soon after it is raised",
                words(standing),
                measure.show(limit),
                measure.show(*spent),
                measure.show(*reserved),
                measure.show(*wanted),
            );
            let longest = if is_only_reserved { LOOKS_SOON } else { LOOKS_AGAIN };
            Failure::Snooze { wait: resets_at.since(now).min(longest), reason: Reason::new(reason) }
        }
        Refused::TooManyCalls => Failure::Snooze {
            wait: LOOKS_SOON,
            reason: Reason::new("as many calls of models are under way as a tenant may have"),
        },
    }
}

/// Which budget, for people.
fn words(standing: &Standing) -> &'static str {
    if standing.measure.is_daily() { "daily" } else { "monthly" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spending::Measure;

    fn standing(spent: u64, reserved: u64) -> Standing {
        let resets_at = "2026-11-23T00:00:00Z".parse().unwrap();
        Standing { measure: Measure::Daily, limit: Some(5_000_000_000), spent, reserved, resets_at }
    }

    #[test]
    fn a_job_waits_for_a_budget_that_is_used_up_and_looks_whether_it_was_raised() {
        let used_up =
            |spent, reserved| Refused::UsedUp { wanted: 1_000_000_000, standing: standing(spent, reserved) };
        let wait = |refused: &Refused, at: &str| match judged(refused, at.parse().unwrap()) {
            Failure::Snooze { wait, reason } => (wait, reason.to_string()),
            other => panic!("{other:?}"),
        };
        let (longest, reason) = wait(&used_up(4_500_000_000, 0), "2026-11-22T10:00:00Z");
        assert_eq!(longest, LOOKS_AGAIN);
        assert!(
            reason.contains("daily budget of 5.00 is used up: 4.50 spent, 0.00 set aside, 1.00 wanted"),
            "{reason}"
        );
        assert!(reason.contains("goes on at 2026-11-23T00:00:00"), "{reason}");
        assert_eq!(wait(&used_up(4_500_000_000, 0), "2026-11-22T23:59:00Z").0, Duration::from_secs(60));
        // Others hold it for now, and most give some of it back.
        assert_eq!(wait(&used_up(1_000_000_000, 3_500_000_000), "2026-11-22T10:00:00Z").0, LOOKS_SOON);
    }

    #[test]
    fn what_waiting_can_not_mend_says_how_it_is_mended() {
        let too_large = Refused::TooLarge { wanted: 9_000_000_000, standing: standing(0, 0) };
        let name = ModelName { provider: "openai".to_owned(), model: "m".to_owned() };
        for (refused, words) in
            [(too_large, "may use 9.00, more than"), (Refused::NoPrice(name), "has no price")]
        {
            let Failure::Fatal(reason) = judged(&refused, Timestamp::EPOCH) else { panic!("{refused:?}") };
            assert!(reason.as_str().contains(words), "{reason}");
        }
    }
}
