//! How often somebody may try to log in: by account, by account from one address, and by address. A login that succeeds costs
//! nothing. The account's bucket has the name that was typed, whether there is such an account or not.

use std::{net::IpAddr, sync::Arc, time::Duration};

use crate::{
    domain::Rate,
    limits::{Bucket, LimitError, Limiter, Reservation, Reserved, Resource, Scope},
};

const LOGIN: Resource = Resource::literal("auth.login");
const CODE: Resource = Resource::literal("auth.code");
const LINK: Resource = Resource::literal("auth.link");

/// One account from one address: somebody who has forgotten his password gets through, who guesses does not.
const FROM_ADDRESS: Rate = Rate::per_minute(1, 10);
/// One account from everywhere: more, so that nobody locks another one out with a few guesses.
const ACCOUNT: Rate = Rate::per_minute(10, 100);
/// One address: an office behind one, but no list of accounts.
const ADDRESS: Rate = Rate::per_minute(10, 60);
/// Codes of one account: a million of them, three are right.
const CODES: Rate = Rate::per_minute(1, 5);
/// How long a try may take until it counts as failed.
const HOLD: Duration = Duration::from_secs(60);

/// Tries that were counted, until it is known that they were none.
pub(super) struct Taken(Vec<Reservation>);

#[derive(Clone)]
pub(super) struct Throttle(Arc<dyn Limiter>);

impl Throttle {
    pub(super) fn new(limiter: Arc<dyn Limiter>) -> Self {
        Self(limiter)
    }

    /// Counts a login, or says how long to wait.
    pub(super) async fn login(
        &self,
        who: &str,
        address: Option<IpAddr>,
    ) -> Result<Result<Taken, Duration>, LimitError> {
        let from = address.map_or_else(String::new, |address| Scope::Address(address).tag());
        let mut buckets = vec![
            (Bucket::new(Scope::Other(format!("login {from} {who}")), &LOGIN), FROM_ADDRESS),
            (Bucket::new(Scope::Other(format!("login {who}")), &LOGIN), ACCOUNT),
        ];
        buckets.extend(address.map(|address| (Bucket::new(Scope::Address(address), &LOGIN), ADDRESS)));
        self.take(buckets).await
    }

    /// Counts a code.
    pub(super) async fn code(&self, user: &str) -> Result<Result<Taken, Duration>, LimitError> {
        self.take(vec![(Bucket::new(Scope::Other(format!("code {user}")), &CODE), CODES)]).await
    }

    /// Counts the use of a link.
    pub(super) async fn link(&self, address: Option<IpAddr>) -> Result<Result<Taken, Duration>, LimitError> {
        let bucket = |address| (Bucket::new(Scope::Address(address), &LINK), ADDRESS);
        self.take(address.map(bucket).into_iter().collect()).await
    }

    /// It was no guess.
    pub(super) async fn give_back(&self, taken: &Taken) {
        for reservation in &taken.0 {
            if let Err(error) = self.0.settle(reservation, 0).await {
                tracing::debug!(%error, "a login that succeeded counts as a try");
            }
        }
    }

    async fn take(&self, buckets: Vec<(Bucket, Rate)>) -> Result<Result<Taken, Duration>, LimitError> {
        let mut taken = Taken(Vec::with_capacity(buckets.len()));
        for (bucket, rate) in buckets {
            match self.0.reserve(&bucket, rate, 1, HOLD).await? {
                Reserved::Granted { reservation, .. } => taken.0.push(reservation),
                Reserved::Denied(decision) => {
                    self.give_back(&taken).await;
                    return Ok(Err(decision.retry_after));
                }
            }
        }
        Ok(Ok(taken))
    }
}
