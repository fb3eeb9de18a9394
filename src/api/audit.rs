//! `/v1/audit`: who did what. A tenant sees what was about it; root sees all.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, SemaphorePermit};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Routes,
    caller::Caller,
    extract::Query,
    page::{PageOf, PageQuery},
    problem::{Problem, ProblemType},
    state::ApiState,
};
use crate::{
    domain::{TenantId, Timestamp},
    security::{
        access::Permission,
        audit::{Filter, Line, Outcome, Report, ShipError, Verdict, from_store},
    },
};

/// What `/v1/audit` answers to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(verify)).routes(routes!(report))
}

/// Who reaches beyond his tenant.
const ROOT: Permission = Permission::literal("tenants:manage");
/// How many pages a report reads at most, each of [`PAGE`] entries or of the batches that one call reads.
const MOST_PAGES: usize = 3_200;
/// How many entries are read at a time for a report.
const PAGE: usize = 500;
/// Checks and reports read much: one at a time, and others wait so long.
const TURN_WITHIN: std::time::Duration = std::time::Duration::from_secs(10);
static READING: Semaphore = Semaphore::const_new(1);

/// Which entries are wanted.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Of this action, such as `auth.login`; `auth.` for all that begin so
    #[param(max_length = 100)]
    action: Option<String>,
    /// By him: `user:…`, `key:…`, `anonymous`, `command-line`, `system`
    #[param(max_length = 300)]
    actor: Option<String>,
    /// Of this tenant: for who may see others
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// That ended so: done, refused or failed
    #[param(value_type = Option<String>)]
    outcome: Option<Outcome>,
    /// Not before this
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Before this
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// From this address
    #[param(value_type = Option<String>)]
    address: Option<std::net::IpAddr>,
    /// With this text anywhere
    #[param(max_length = 200)]
    text: Option<String>,
}

impl AuditQuery {
    /// The filter; `None` where another's tenant is asked for: that has no entries, whether it is there or not.
    fn filter(self, caller: &Caller) -> Option<Filter> {
        let tenant = if caller.principal.may(&ROOT) {
            self.tenant
        } else {
            let own = caller.tenant().clone();
            if self.tenant.is_some_and(|tenant| tenant != own) {
                return None;
            }
            Some(own)
        };
        Some(Filter {
            action: self.action,
            actor: self.actor,
            tenant,
            outcome: self.outcome,
            since: self.since,
            until: self.until,
            address: self.address.map(|address| address.to_string()),
            text: self.text,
        })
    }
}

/// An entry of the log.
#[derive(Serialize, ToSchema)]
struct EntryDocument {
    /// Which node recorded it
    node: String,
    /// Its number in that node's log
    seq: u64,
    /// When
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// What
    #[schema(example = "auth.login")]
    action: String,
    /// How it ended: done, refused or failed
    #[schema(value_type = String)]
    outcome: Outcome,
    /// By whom
    actor: String,
    /// Whose data
    tenant: Option<String>,
    /// What it was done to
    target: Option<String>,
    /// From where
    address: Option<String>,
    /// In which request
    request: Option<String>,
    /// What else there is to say
    detail: BTreeMap<String, String>,
    /// The hash of the entry, which the next one of the node names
    hash: String,
}

impl From<Line> for EntryDocument {
    fn from(line: Line) -> Self {
        Self {
            node: line.node,
            seq: line.seq,
            at: line.at,
            action: line.action,
            outcome: line.outcome,
            actor: line.actor,
            tenant: line.tenant,
            target: line.target,
            address: line.address,
            request: line.request,
            detail: line.detail,
            hash: line.hash.to_string(),
        }
    }
}

impl From<ShipError> for Problem {
    fn from(error: ShipError) -> Self {
        match error {
            ShipError::Store(error) => error.into(),
            ShipError::Files(_) => Self::unavailable(error),
        }
    }
}

/// Read the audit log
///
/// Newest first. What other nodes have recorded is here within seconds. A page may be short, or empty, and yet have a `next`:
/// one call reads a bounded part of the log, whatever is asked of it.
#[utoipa::path(
    get,
    path = "/v1/audit",
    tag = "audit",
    params(AuditQuery, PageQuery),
    responses(
        (status = OK, description = "A page of entries", body = PageOf<EntryDocument>),
    ),
    extensions(("x-permission" = json!("audit:read")))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<AuditQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Response, Problem> {
    let (limit, engine) = (page.limit()?, state.engine());
    let Some(filter) = query.filter(&caller) else {
        return Ok(Json(PageOf::<EntryDocument> { items: Vec::new(), next: None }).into_response());
    };
    if page.cursor().is_none() {
        // What this node has just recorded is looked for first of all.
        engine.audit.ship().await?;
    }
    let found = from_store(&engine.records, &filter, page.cursor(), limit).await?;
    let found = found.ok_or_else(PageQuery::bad_cursor)?;
    let items = found.lines.into_iter().map(EntryDocument::from).collect();
    Ok(Json(PageOf { items, next: found.next }).into_response())
}

/// A place where the log is not as it was written.
#[derive(Serialize, ToSchema)]
struct FindingDocument {
    /// The file
    file: String,
    /// The line in it; 0 where it is about the file
    line: u64,
    /// The entry, where that can be told
    seq: Option<u64>,
    /// What is wrong
    problem: String,
}

/// What a check of a node's log has found.
#[derive(Serialize, ToSchema)]
struct VerdictDocument {
    /// Whether all of it is as it was written
    whole: bool,
    /// Whose log it is: that of the node which answered
    node: Option<String>,
    /// How many files were read
    files: u64,
    /// How many entries were read
    entries: u64,
    /// The first entry's number
    first: Option<u64>,
    /// The last entry's number
    last: Option<u64>,
    /// The last entry that a signed checkpoint covers
    signed_until: Option<u64>,
    /// Whether a tail that was cut would show
    tail: String,
    /// Entries that were lost, by the log's own word
    lost: u64,
    /// How many breaks there are
    breaks: u64,
    /// The breaks, the first hundred
    findings: Vec<FindingDocument>,
    /// What the log tells of itself
    notes: Vec<String>,
}

impl From<Verdict> for VerdictDocument {
    fn from(verdict: Verdict) -> Self {
        let findings = verdict.findings.into_iter().map(|finding| FindingDocument {
            file: finding.file,
            line: finding.line,
            seq: finding.seq,
            problem: finding.problem,
        });
        Self {
            whole: verdict.whole,
            node: verdict.node,
            files: verdict.files,
            entries: verdict.entries,
            first: verdict.first,
            last: verdict.last,
            signed_until: verdict.signed_until,
            tail: verdict.tail,
            lost: verdict.lost,
            breaks: verdict.breaks,
            findings: findings.collect(),
            notes: verdict.notes,
        }
    }
}

/// Check the audit log
///
/// Of the node that answers; for root. Reads all of it: one at a time.
#[utoipa::path(
    get,
    path = "/v1/audit/verify",
    tag = "audit",
    responses(
        (status = OK, description = "What was found", body = VerdictDocument),
    ),
    extensions(("x-permission" = json!("audit:read")))
)]
async fn verify(State(state): State<ApiState>, caller: Caller) -> Result<Json<VerdictDocument>, Problem> {
    caller.needs(&ROOT)?;
    let _turn = turn().await?;
    let verdict = state.engine().audit.check().await?;
    Ok(Json(verdict.into()))
}

/// Of which time.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ReportQuery {
    /// Not before this
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Before this
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
}

/// A summary of entries.
#[derive(Serialize, ToSchema)]
struct ReportDocument {
    /// Whether all entries of that time were read; else the newest were
    complete: bool,
    /// How many entries were read
    entries: u64,
    /// The oldest
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// The newest
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// By action, and how it ended
    actions: BTreeMap<String, BTreeMap<String, u64>>,
    /// By who acted
    actors: BTreeMap<String, u64>,
    /// By day, in UTC
    days: BTreeMap<String, u64>,
    /// Logins that were refused, by account
    failed_logins: BTreeMap<String, u64>,
    /// Logins that were refused, by address
    failed_logins_from: BTreeMap<String, u64>,
    /// API keys that were used, by how often
    keys_used: BTreeMap<String, u64>,
    /// Changes of settings, tenants, keys, users and secrets
    changes: u64,
    /// Entries that were lost, by the log's own word
    lost: u64,
    /// Times that the log found itself broken
    broken: u64,
}

/// Sum up the audit log
///
/// Of the caller's tenant; for root, of all.
#[utoipa::path(
    get,
    path = "/v1/audit/report",
    tag = "audit",
    params(ReportQuery),
    responses(
        (status = OK, description = "The summary", body = ReportDocument),
    ),
    extensions(("x-permission" = json!("audit:read")))
)]
async fn report(
    State(state): State<ApiState>,
    caller: Caller,
    Query(query): Query<ReportQuery>,
) -> Result<Json<ReportDocument>, Problem> {
    let _turn = turn().await?;
    let tenant = (!caller.principal.may(&ROOT)).then(|| caller.tenant().clone());
    let filter = Filter { tenant, since: query.since, until: query.until, ..Filter::default() };
    let engine = state.engine();
    engine.audit.ship().await?;
    let (mut report, mut cursor, mut complete) = (Report::default(), None, false);
    for _ in 0..MOST_PAGES {
        let found = from_store(&engine.records, &filter, cursor.as_deref(), PAGE).await?.unwrap_or_default();
        found.lines.iter().for_each(|line| report.add(line));
        cursor = found.next;
        if cursor.is_none() {
            complete = true;
            break;
        }
    }
    let report = report.end();
    let named = |counts: BTreeMap<&'static str, u64>| {
        counts.into_iter().map(|(name, count)| (name.to_owned(), count))
    };
    Ok(Json(ReportDocument {
        complete,
        entries: report.entries,
        since: report.since,
        until: report.until,
        actions: report.actions.into_iter().map(|(name, counts)| (name, named(counts).collect())).collect(),
        actors: report.actors,
        days: report.days,
        failed_logins: report.failed_logins,
        failed_logins_from: report.failed_logins_from,
        keys_used: report.keys_used,
        changes: report.changes_total,
        lost: report.lost,
        broken: report.broken,
    }))
}

/// The turn to read; others wait for theirs as long as a request may.
async fn turn() -> Result<SemaphorePermit<'static>, Problem> {
    let turn = tokio::time::timeout(TURN_WITHIN, READING.acquire()).await;
    turn.ok().and_then(Result::ok).ok_or_else(|| {
        Problem::new(ProblemType::Unavailable, "the audit log is being read for somebody else: try again")
            .after(TURN_WITHIN)
    })
}
