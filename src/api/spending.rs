//! `/v1/spending` and `/v1/budgets`: what the tenant has spent on models, and what it may spend.

use std::collections::BTreeMap;

use axum::{Json, extract::State};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Routes,
    caller::Caller,
    extract::{Body, Query},
    page::{PageOf, PageQuery},
    problem::{Problem, ProblemType},
    state::ApiState,
};
use crate::{
    domain::{Day, TenantId, Timestamp},
    security::audit::{Action, Entry},
    spending::{DaySpending, Measure, ReportError, Standing, Totals},
};

/// What `/v1/spending` and `/v1/budgets` answer to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new().routes(routes!(get)).routes(routes!(tenants)).routes(routes!(budgets, set, reset))
}

/// Which days are meant.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct DaysQuery {
    /// The first day, in UTC; where it is not given, the first of the month
    #[param(value_type = Option<String>, format = Date, example = "2026-11-01")]
    from: Option<Day>,
    /// The last day; where it is not given, today. At most 400 days behind the first
    #[param(value_type = Option<String>, format = Date, example = "2026-11-30")]
    to: Option<Day>,
}

/// What was used, and what it has cost. Amounts of money are in the currency of the prices in `[models]`.
#[derive(Serialize, ToSchema)]
#[schema(as = SpendingTotals)]
pub(crate) struct TotalsDocument {
    /// Questions that were asked, those that failed included where they may have cost something.
    calls: u64,
    /// Questions that were answered from the cache, at no cost.
    cached_calls: u64,
    /// Of the calls, those whose tokens are estimated: the provider has not told them.
    estimated_calls: u64,
    /// Of these, those whose worker was killed: they count as what was set aside for them.
    lost_calls: u64,
    /// Of the calls, those whose cost nobody knows: the model has no price.
    unpriced_calls: u64,
    /// Tokens of the questions.
    input_tokens: u64,
    /// Those of them that the provider had in a cache of its own.
    provider_cached_tokens: u64,
    /// Tokens of the answers.
    output_tokens: u64,
    /// What all of it has cost; null where that of some call is not known.
    #[schema(required = true, example = "12.50")]
    cost: Option<String>,
    /// What the calls with a known price have cost.
    #[schema(example = "12.50")]
    known_cost: String,
    /// What the answers from the cache would have cost.
    #[schema(example = "0.75")]
    saved: String,
}

impl From<Totals> for TotalsDocument {
    fn from(totals: Totals) -> Self {
        Self {
            calls: totals.calls,
            cached_calls: totals.cached_calls,
            estimated_calls: totals.estimated_calls,
            lost_calls: totals.lost_calls,
            unpriced_calls: totals.unpriced_calls,
            input_tokens: totals.input_tokens,
            provider_cached_tokens: totals.provider_cached_tokens,
            output_tokens: totals.output_tokens,
            cost: totals.whole_cost().map(|cost| cost.to_string()),
            known_cost: totals.cost.to_string(),
            saved: totals.saved.to_string(),
        }
    }
}

/// What was spent on one model.
#[derive(Serialize, ToSchema)]
#[schema(as = ModelSpending)]
pub(crate) struct ModelDocument {
    /// Who serves it.
    provider: String,
    /// What it is called there.
    model: String,
    /// How much.
    #[serde(flatten)]
    totals: TotalsDocument,
}

/// What was spent in a day.
#[derive(Serialize, ToSchema)]
#[schema(as = DaySpending)]
pub(crate) struct DayDocument {
    /// Which.
    #[schema(value_type = String, format = Date)]
    day: Day,
    /// By provider and model.
    models: Vec<ModelDocument>,
}

impl From<DaySpending> for DayDocument {
    fn from(DaySpending { day, models }: DaySpending) -> Self {
        let models = models.into_iter().map(|model| ModelDocument {
            provider: model.name.provider,
            model: model.name.model,
            totals: model.totals.into(),
        });
        Self { day, models: models.collect() }
    }
}

/// What a tenant has spent.
#[derive(Serialize, ToSchema)]
#[schema(as = Spending)]
pub(crate) struct SpendingDocument {
    /// Who.
    pub(crate) tenant: String,
    /// The first day.
    #[schema(value_type = String, format = Date)]
    pub(crate) from: Day,
    /// The last day.
    #[schema(value_type = String, format = Date)]
    pub(crate) to: Day,
    /// All of it.
    pub(crate) total: TotalsDocument,
    /// Days on which something was spent, in order.
    pub(crate) days: Vec<DayDocument>,
}

impl From<ReportError> for Problem {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Days(problem) => Self::at(ProblemType::Invalid, "from", problem),
            ReportError::Store(error) => error.into(),
        }
    }
}

/// See what the tenant has spent on models
///
/// By day, provider and model; in UTC, at most 400 days back. What is set aside for calls that are under way is not in it.
#[utoipa::path(
    get,
    path = "/v1/spending",
    tag = "spending",
    params(DaysQuery),
    responses(
        (status = OK, description = "What was spent", body = SpendingDocument),
    ),
    extensions(("x-permission" = json!("limits:read")))
)]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Query(DaysQuery { from, to }): Query<DaysQuery>,
) -> Result<Json<SpendingDocument>, Problem> {
    let report = state.engine().spending.report(caller.tenant(), from, to).await?;
    Ok(Json(SpendingDocument {
        tenant: caller.tenant().to_string(),
        from: report.from,
        to: report.to,
        total: report.total().into(),
        days: report.days.into_iter().map(DayDocument::from).collect(),
    }))
}

/// What one tenant has spent.
#[derive(Serialize, ToSchema)]
#[schema(as = TenantSpending)]
struct TenantDocument {
    /// Who.
    tenant: String,
    /// How much.
    #[serde(flatten)]
    totals: TotalsDocument,
}

/// See what each tenant has spent on models
///
/// By name; tenants that have never spent anything are not in it.
#[utoipa::path(
    get,
    path = "/v1/spending/tenants",
    tag = "spending",
    params(DaysQuery, PageQuery),
    responses(
        (status = OK, description = "A page of tenants", body = PageOf<TenantDocument>),
    ),
    extensions(("x-permission" = json!("tenants:manage")))
)]
async fn tenants(
    State(state): State<ApiState>,
    Query(DaysQuery { from, to }): Query<DaysQuery>,
    Query(page): Query<PageQuery>,
) -> Result<Json<PageOf<TenantDocument>>, Problem> {
    const LISTING: [&str; 1] = ["spending"];
    let limit = page.limit()?;
    let after = page.place(&LISTING)?.map(|name| name.parse::<TenantId>()).transpose();
    let after = after.map_err(|_| PageQuery::bad_cursor())?;
    let found = state.engine().spending.tenants(from, to, after.as_ref(), limit).await?;
    let document = |one: crate::spending::TenantSpending| TenantDocument {
        tenant: one.tenant.to_string(),
        totals: one.totals.into(),
    };
    let next = found.next.map(|tenant| PageQuery::seal(&LISTING, tenant.as_str()));
    Ok(Json(PageOf { items: found.items.into_iter().map(document).collect(), next }))
}

/// A budget, and how it stands.
#[derive(Serialize, ToSchema)]
#[schema(as = Budget)]
pub(crate) struct BudgetDocument {
    /// Which: `daily` and `monthly` are of money, `daily-tokens` and `monthly-tokens` of tokens. Days and months are UTC's.
    #[schema(value_type = String)]
    budget: Measure,
    /// How much may be spent; null where it is not limited.
    #[schema(required = true, example = "100.00")]
    amount: Option<String>,
    /// Whether that is the default.
    default: bool,
    /// How much is spent.
    #[schema(example = "12.50")]
    spent: String,
    /// How much is set aside for calls that are under way.
    #[schema(example = "0.40")]
    set_aside: String,
    /// When it begins anew.
    #[schema(value_type = String, format = DateTime)]
    resets_at: Timestamp,
}

/// What a tenant may spend.
#[derive(Serialize, ToSchema)]
#[schema(as = Budgets)]
pub(crate) struct BudgetsDocument {
    /// Whose budgets these are.
    tenant: String,
    /// All four.
    budgets: Vec<BudgetDocument>,
}

impl BudgetsDocument {
    /// How they stand; `default` is what holds for who has none of his own.
    pub(crate) fn new(
        tenant: &TenantId,
        standings: Vec<Standing>,
        default: &crate::spending::Budget,
    ) -> Self {
        let document = |standing: Standing| {
            let Standing { measure, limit, spent, reserved, resets_at } = standing;
            BudgetDocument {
                budget: measure,
                amount: limit.map(|limit| measure.show(limit)),
                default: default.0.get(&measure).copied() == limit,
                spent: measure.show(spent),
                set_aside: measure.show(reserved),
                resets_at,
            }
        };
        Self { tenant: tenant.to_string(), budgets: standings.into_iter().map(document).collect() }
    }
}

async fn document(state: &ApiState, tenant: &TenantId) -> Result<Json<BudgetsDocument>, Problem> {
    let spending = &state.engine().spending;
    let standings = spending.standings(tenant).await?;
    Ok(Json(BudgetsDocument::new(tenant, standings, spending.budgets().defaults())))
}

/// See what the tenant may spend on models, and how much of it is spent
#[utoipa::path(
    get,
    path = "/v1/budgets",
    tag = "spending",
    responses(
        (status = OK, description = "The budgets", body = BudgetsDocument),
    ),
    extensions(("x-permission" = json!("limits:read")))
)]
async fn budgets(State(state): State<ApiState>, caller: Caller) -> Result<Json<BudgetsDocument>, Problem> {
    document(&state, caller.tenant()).await
}

/// What may be spent: an amount of money such as `12.50`, or a number of tokens; null for no limit. What is left out gets its
/// default.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewBudgets)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct BudgetsBody {
    /// Money a day.
    #[schema(required = false, value_type = Option<String>, pattern = "^[0-9]{1,10}(\\.[0-9]{1,9})?$")]
    #[serde(default, deserialize_with = "given")]
    daily: Option<Option<String>>,
    /// Money a month.
    #[schema(required = false, value_type = Option<String>, pattern = "^[0-9]{1,10}(\\.[0-9]{1,9})?$")]
    #[serde(default, deserialize_with = "given")]
    monthly: Option<Option<String>>,
    /// Tokens a day.
    #[schema(required = false, value_type = Option<String>, pattern = "^[0-9]{1,18}$")]
    #[serde(default, deserialize_with = "given")]
    daily_tokens: Option<Option<String>>,
    /// Tokens a month.
    #[schema(required = false, value_type = Option<String>, pattern = "^[0-9]{1,18}$")]
    #[serde(default, deserialize_with = "given")]
    monthly_tokens: Option<Option<String>>,
}

/// Tells null from nothing.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Set what the tenant may spend
///
/// All of it: what is left out gets its default. In force everywhere within a second. Jobs that wait for their budget go on within
/// ten minutes.
#[utoipa::path(
    put,
    path = "/v1/budgets",
    tag = "spending",
    request_body = BudgetsBody,
    responses(
        (status = OK, description = "They are set", body = BudgetsDocument),
    ),
    extensions(("x-permission" = json!("limits:write")))
)]
async fn set(
    State(state): State<ApiState>,
    caller: Caller,
    Body(body): Body<BudgetsBody>,
) -> Result<Json<BudgetsDocument>, Problem> {
    let BudgetsBody { daily, monthly, daily_tokens, monthly_tokens } = body;
    let mut set = BTreeMap::new();
    for (measure, given) in Measure::ALL.into_iter().zip([daily, monthly, daily_tokens, monthly_tokens]) {
        let Some(given) = given else { continue };
        let read = given.as_deref().map(|text| measure.read(text)).transpose();
        let wrong = |problem| Problem::at(ProblemType::Unprocessable, format!("/{measure}"), problem);
        set.insert(measure, read.map_err(wrong)?);
    }
    state.engine().spending.budgets().set_all(caller.tenant(), &set).await?;
    let shown = |(measure, amount): (&Measure, &Option<u64>)| {
        let amount = amount.map_or_else(|| "none".to_owned(), |amount| measure.show(amount));
        format!("{measure} {amount}")
    };
    record(&state, &caller, &set.iter().map(shown).collect::<Vec<_>>().join(", ")).await;
    document(&state, caller.tenant()).await
}

/// Let the default budgets hold again
#[utoipa::path(
    delete,
    path = "/v1/budgets",
    tag = "spending",
    responses(
        (status = OK, description = "The defaults hold", body = BudgetsDocument),
    ),
    extensions(("x-permission" = json!("limits:write")))
)]
async fn reset(State(state): State<ApiState>, caller: Caller) -> Result<Json<BudgetsDocument>, Problem> {
    state.engine().spending.budgets().set_all(caller.tenant(), &BTreeMap::new()).await?;
    record(&state, &caller, "").await;
    document(&state, caller.tenant()).await
}

async fn record(state: &ApiState, caller: &Caller, set: &str) {
    let set = if set.is_empty() { "default" } else { set };
    let entry = Entry::new(Action::TenantChanged).to("budgets").with("set", set);
    state.record(entry, &caller.origin, Some(&caller.principal)).await;
}
