//! What only the engine can tell: what is stored, and how the servers are set up.

use super::{Found, Severity};
use crate::{
    config::Settings,
    engine::Engine,
    security::{KeyringError, api_keys::ApiKey},
    store::{Collection, StoreError, breaker, redis},
};

/// How many of a kind are looked at.
const MOST: usize = 10_000;
const PAGE: usize = 500;

pub(super) async fn check(found: &mut Found, settings: &Settings, engine: &Engine) {
    servers(found, engine).await;
    keys(found, settings, engine).await;
    if settings.api.listen.is_some() {
        admins(found, engine).await;
    }
    let endless = endless_keys(engine).await;
    let problem = match endless {
        Ok(0) => None,
        Ok(count) => Some(format!("{count} API keys never end by themselves")),
        Err(error) => Some(format!("API keys can't be looked at: {error}")),
    };
    let fix = "make new ones that end, give them to the apps, and revoke these";
    found.check("api-keys.endless", Severity::Low, problem, fix);
    found.unless(
        engine.audit.is_healthy(),
        "audit.broken",
        Severity::High,
        "the audit log could not keep its latest entry",
        "look at the log for why: mostly the disk is full",
    );
}

/// Providers make no admins, and a link is somebody's who is there already.
async fn admins(found: &mut Found, engine: &Engine) {
    let problem = match engine.identity.users.has_admin().await {
        Ok(true) => None,
        Ok(false) => {
            Some("no admin can log in: keys and users are made by the command line alone".to_owned())
        }
        Err(error) => Some(format!("it can't be told whether there is an admin: {error}")),
    };
    let fix = "`presswork users create NAME --admin` makes one; `users invite` gives him a one-time link for his password";
    found.check("users.no-admin", Severity::Medium, problem, fix);
}

async fn servers(found: &mut Found, engine: &Engine) {
    match engine.check_redis().await {
        Ok(None) => return,
        Ok(Some(findings)) => {
            for redis::Finding { severity, server, what, advice } in findings {
                let severity = match severity {
                    redis::Severity::Error => Severity::High,
                    redis::Severity::Warning => Severity::Medium,
                    redis::Severity::Unknown => Severity::Low,
                };
                found.check("redis.settings", severity, Some(format!("{server}: {what}")), advice);
            }
        }
        Err(error) => {
            found.check(
                "redis.away",
                Severity::High,
                Some(error.to_string()),
                "start it, or mend its address",
            );
        }
    }
    let health = engine.limiter.health();
    let problem = match health {
        breaker::Health::Well => None,
        breaker::Health::Away { cause, .. } => {
            Some(format!("limits are counted by each process alone: {cause}"))
        }
    };
    found.check("limits.alone", Severity::Medium, problem, "see why the Redis does not answer");
}

async fn keys(found: &mut Found, settings: &Settings, engine: &Engine) {
    let health = match engine.keyring.health().await {
        Ok(health) => health,
        Err(error) => {
            let fix = "mend what the message names";
            return found.check("keyring.unreadable", Severity::Critical, Some(error.to_string()), fix);
        }
    };
    let missing: Vec<String> = health.missing.iter().map(ToString::to_string).collect();
    let problem = (!missing.is_empty())
        .then(|| format!("data keys are wrapped with master keys that are not here: {}", missing.join(", ")));
    found.check("master-key.missing", Severity::Critical, problem, "give those master keys as well");
    let open = match unsealed(engine).await {
        Ok(tenants) if tenants.is_empty() => None,
        Ok(tenants) => Some(format!("what these tenants store is not sealed: {}", tenants.join(", "))),
        Err(error) => Some(format!("it can't be told who seals: {error}")),
    };
    let fix = "`presswork tenants` turns sealing on for a tenant";
    found.check("sealing.off", Severity::Medium, open, fix);
    // The default tenant's own place: it may be in no list yet.
    if health.sealing == 0 {
        let what = format!("no tenant seals what it stores, {} neither", settings.tenant);
        found.check("sealing.none", Severity::Medium, Some(what), fix);
    }
}

/// The first tenants that have a key and do not seal.
async fn unsealed(engine: &Engine) -> Result<Vec<String>, KeyringError> {
    let (mut open, mut after, mut seen) = (Vec::new(), None, 0);
    loop {
        let page = engine.keyring.list(after.as_ref()).await?;
        let Some(last) = page.last() else { return Ok(open) };
        after = Some(last.tenant.clone());
        seen += page.len();
        let names = page.iter().filter(|facts| !facts.seal).map(|facts| facts.tenant.to_string());
        open.extend(names.take(10_usize.saturating_sub(open.len())));
        if seen >= MOST || open.len() >= 10 {
            return Ok(open);
        }
    }
}

/// How many keys hold for ever.
async fn endless_keys(engine: &Engine) -> Result<usize, StoreError> {
    let keys = Collection::<ApiKey>::new(engine.records.clone(), "api_keys");
    let (mut endless, mut after, mut seen) = (0, None::<String>, 0);
    loop {
        let page = keys.list("", after.as_deref(), PAGE).await?;
        seen += page.items.len();
        let holds = |key: &ApiKey| key.expires_at.is_none() && key.revoked_at.is_none();
        endless += page.items.iter().filter(|item| holds(&item.value)).count();
        after = page.next;
        if after.is_none() || seen >= MOST {
            return Ok(endless);
        }
    }
}
