//! Giving much work in one call. Must not know: what a job is beyond what one call for one job knows.

use std::fmt;

use axum::{
    Json,
    extract::{DefaultBodyLimit, State},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

use super::{
    MOST_AT_ONCE,
    create::{KeyHeader, NewJobBody, no_answer},
};
use crate::{
    api::{
        Routes,
        caller::Caller,
        extract::Body,
        problem::{Problem, ProblemBody, ProblemType},
        state::ApiState,
    },
    domain::{IdempotencyKey, JobId, NewJob},
    queue::Enqueued,
};

/// The most bytes of a call that brings many jobs.
const MOST_BYTES: usize = 8 << 20;

/// What brings many jobs at once.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(create_many).layer(DefaultBodyLimit::max(MOST_BYTES)))
}

/// Many jobs.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewJobs {
    /// The jobs: 1 to 1,000.
    #[schema(value_type = Vec<NewJobBody>, min_items = 1, max_items = 1000)]
    jobs: Few,
}

/// The jobs as they were sent, and not many more of them than are taken: whoever sends millions of crumbs is told so without
/// the memory for each of them.
struct Few(Vec<Box<RawValue>>);

impl<'de> Deserialize<'de> for Few {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FewVisitor)
    }
}

struct FewVisitor;

impl<'de> Visitor<'de> for FewVisitor {
    type Value = Few;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1 to {MOST_AT_ONCE} jobs")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Few, A::Error> {
        let mut jobs = Vec::new();
        // One more tells that there are too many.
        while jobs.len() <= MOST_AT_ONCE {
            let Some(job) = all.next_element()? else { return Ok(Few(jobs)) };
            jobs.push(job);
        }
        while all.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Few(jobs))
    }
}

/// What became of one of many jobs: it has an id, or a problem.
#[derive(Serialize, ToSchema)]
struct OneAccepted {
    /// Its id, where it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    id: Option<JobId>,
    /// Whether it was there before, where it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = bool, required = false)]
    duplicate: Option<bool>,
    /// Why it was refused, where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ProblemBody, required = false)]
    problem: Option<ProblemBody>,
}

/// What became of many jobs.
#[derive(Serialize, ToSchema)]
struct AllAccepted {
    /// How many are kept that were not there before.
    accepted: usize,
    /// How many were there before.
    duplicates: usize,
    /// How many were refused.
    refused: usize,
    /// Each, in the order in which they came.
    items: Vec<OneAccepted>,
}

/// Give much work at once
///
/// 1 to 1,000 jobs, at most 8 MiB, in one step of the queue; each is answered on its own and one that is refused does not hold
/// up the others. With an `Idempotency-Key` the n-th job (from 0) that has no key of its own gets the key `<key>.<n>`, so that
/// a repeated call makes none of them twice.
#[utoipa::path(
    post,
    path = "/v1/jobs/batch",
    tag = "jobs",
    params(("Idempotency-Key" = Option<String>, Header, description = "Your word for this very request")),
    request_body = NewJobs,
    responses(
        (status = OK, description = "What became of each", body = AllAccepted),
    ),
    extensions(("x-permission" = json!("jobs:create:*")))
)]
async fn create_many(
    State(state): State<ApiState>,
    caller: Caller,
    KeyHeader(key): KeyHeader,
    Body(NewJobs { jobs: Few(jobs) }): Body<NewJobs>,
) -> Result<Json<AllAccepted>, Problem> {
    if !(1..=MOST_AT_ONCE).contains(&jobs.len()) {
        let detail = format!("bring 1 to {MOST_AT_ONCE} jobs at once");
        return Err(Problem::at(ProblemType::Unprocessable, "/jobs", detail));
    }
    let mut read = Vec::with_capacity(jobs.len());
    for (place, text) in jobs.iter().enumerate() {
        read.push(one_of_many(&state, &caller, key.as_ref(), place, text).await);
    }
    let (mut wanted, mut problems) = (Vec::with_capacity(read.len()), Vec::with_capacity(read.len()));
    for job in read {
        problems.push(job.map(|job| wanted.push(job)).err());
    }
    let answers = if wanted.is_empty() { Vec::new() } else { state.engine().queue.enqueue(wanted).await? };
    let mut answers = answers.into_iter();
    let mut all =
        AllAccepted { accepted: 0, duplicates: 0, refused: 0, items: Vec::with_capacity(problems.len()) };
    for problem in problems {
        let answer = match problem {
            Some(problem) => Err(problem),
            None => answers.next().ok_or_else(no_answer)?.map_err(Problem::from),
        };
        all.count(answer);
    }
    Ok(Json(all))
}

async fn one_of_many(
    state: &ApiState,
    caller: &Caller,
    key: Option<&IdempotencyKey>,
    place: usize,
    text: &RawValue,
) -> Result<NewJob, Problem> {
    let wrong = |detail: &dyn std::fmt::Display| {
        Problem::at(ProblemType::Unprocessable, format!("/jobs/{place}"), detail)
    };
    let body: NewJobBody = serde_json::from_str(text.get()).map_err(|error| wrong(&error))?;
    let derived = key.filter(|_| body.idempotency_key.is_none());
    let derived =
        derived.map(|key| format!("{}.{place}", key.as_str()).parse::<IdempotencyKey>()).transpose();
    let derived = derived.map_err(|_| wrong(&"the Idempotency-Key is too long for so many jobs"))?;
    body.job(state, caller, derived).await
}

impl AllAccepted {
    fn count(&mut self, answer: Result<Enqueued, Problem>) {
        let item = match answer {
            Ok(answer) => {
                let duplicate = matches!(answer, Enqueued::Duplicate(_));
                *(if duplicate { &mut self.duplicates } else { &mut self.accepted }) += 1;
                OneAccepted { id: Some(answer.id()), duplicate: Some(duplicate), problem: None }
            }
            Err(problem) => {
                self.refused += 1;
                OneAccepted { id: None, duplicate: None, problem: Some(problem.to_body()) }
            }
        };
        self.items.push(item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_more_jobs_than_are_taken_only_one_more_is_kept() {
        let read = |count: usize| {
            let text = format!("{{\"jobs\":[{}]}}", vec!["1"; count].join(","));
            serde_json::from_str::<NewJobs>(&text).unwrap().jobs.0.len()
        };
        for count in [0, 1, MOST_AT_ONCE, MOST_AT_ONCE + 1] {
            assert_eq!(read(count), count);
        }
        assert_eq!(read(100 * MOST_AT_ONCE), MOST_AT_ONCE + 1);
        assert!(serde_json::from_str::<NewJobs>("{\"jobs\":7}").is_err());
        assert!(serde_json::from_str::<NewJobs>("{\"jobs\":[1,}").is_err());
    }
}
