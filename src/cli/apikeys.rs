//! `apikeys create|list|show|revoke|rotate|check`: what apps prove with who they are.

use std::{io::BufRead as _, io::Read as _, str::FromStr, time::Duration};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    app::{App, blocking},
    choice::one_of,
    command::Command,
    error::{CliError, ErrorKind},
};
use crate::{
    api::ApiKeyDocument,
    config::TimeSpan,
    domain::{TenantId, Timestamp},
    engine::Engine,
    security::{
        Acting,
        access::{Grant, Grants, Role},
        api_keys::{AddressRange, ApiKey, ApiKeyText, ApiKeys, KeyUse, NewApiKey, Standing, find_keys},
    },
};

/// How many keys of a listing are read at once.
const PAGE: usize = 100;
/// The most bytes of a line that is searched for keys as one.
const MOST_LINE_BYTES: u64 = 1 << 20;
/// The most keys that one look reports.
const MOST_FOUND: usize = 10_000;

pub(super) struct ApiKeysCommand;

#[derive(Args)]
pub(super) struct ApiKeysArguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Makes a key of the tenant; its text is shown now and never again
    Create(CreateArguments),
    /// Lists the tenant's keys; those that have ended for 90 days more
    List,
    /// Shows what is known of a key, and how it was used
    Show(Named),
    /// Ends a key, at once and for good
    Revoke(Named),
    /// Makes a key like one that holds, which goes on for a while beside it
    Rotate {
        #[command(flatten)]
        named: Named,
        /// How long the old key goes on, 30d at most
        #[arg(long, default_value = "1d", value_name = "TIME")]
        overlap: TimeSpan,
    },
    /// Tells which API keys stand in a text, by their form and checksum, and whether they still hold; never shows one
    Check {
        /// A key or any text with keys in it; - reads standard input, as in `git log -p | presswork apikeys check -`
        #[arg(allow_hyphen_values = true)]
        text: String,
    },
}

#[derive(Args)]
struct Named {
    /// The key's id, as `apikeys list` shows it
    #[arg(value_name = "KEY")]
    id: String,
}

#[derive(Args)]
struct CreateArguments {
    /// What people are to call it
    name: String,
    /// What it allows, such as jobs:read or jobs:create:export; may be repeated
    #[arg(long, value_name = "PERMISSION", required_unless_present = "role")]
    permission: Vec<Grant>,
    /// Allows what this role does
    #[arg(long, value_parser = one_of::<Role>(Role::ALL.map(Role::name)))]
    role: Option<Role>,
    /// When it ends by itself: after a time such as 90d, or at one such as 2027-01-01T00:00:00Z [default: never]
    #[arg(long, value_name = "WHEN")]
    expires: Option<Ends>,
    /// From where it may be used, such as 203.0.113.0/24; may be repeated [default: from everywhere]
    #[arg(long, value_name = "CIDR")]
    from: Vec<AddressRange>,
}

/// When something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    After(Duration),
    At(Timestamp),
}

/// The text is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not an end: write a time from now, such as 90d, or one as RFC 3339 does, such as 2027-01-01T00:00:00Z"
)]
struct EndsError;

impl FromStr for Ends {
    type Err = EndsError;

    fn from_str(text: &str) -> Result<Self, EndsError> {
        let after = text.parse::<TimeSpan>().map(|span| Self::After(span.0));
        after.or_else(|_| text.parse().map(Self::At)).map_err(|_| EndsError)
    }
}

impl Command for ApiKeysCommand {
    const NAME: &'static str = "apikeys";
    const ABOUT: &'static str = "Makes, lists and revokes API keys, and recognises leaked ones";
    type Arguments = ApiKeysArguments;

    async fn run(arguments: ApiKeysArguments, app: &App) -> Result<(), CliError> {
        match arguments.action {
            Action::Create(new) => create(app, new).await,
            Action::List => list(app, &app.existing_engine().await?).await,
            Action::Show(Named { id }) => {
                let engine = app.existing_engine().await?;
                let found = engine.api_keys.get(app.tenant(), &id).await?;
                let (key, used) = found.ok_or_else(|| no_key(app))?;
                tell(app, &engine, key, used)
            }
            Action::Revoke(Named { id }) => {
                let engine = app.existing_engine().await?;
                let revoked = engine.api_keys.revoke(app.tenant(), &id, &Acting::command_line()).await?;
                tell(app, &engine, revoked.ok_or_else(|| no_key(app))?, None)
            }
            Action::Rotate { named, overlap } => rotate(app, &named.id, overlap.0).await,
            Action::Check { text } => check(app, text).await,
        }
    }
}

/// A key that was made, in JSON.
#[derive(Serialize)]
struct Made<'a> {
    text: &'a str,
    key: ApiKeyDocument,
}

async fn create(app: &App, arguments: CreateArguments) -> Result<(), CliError> {
    let engine = app.engine().await?;
    let CreateArguments { name, permission, role, expires, from } = arguments;
    let role = role.map(Role::grants).unwrap_or_default();
    let grants: Grants = permission.into_iter().chain(role.0).collect();
    let expires_at = expires.map(|ends| match ends {
        Ends::After(wait) => engine.clock.now().after(wait),
        Ends::At(time) => time,
    });
    let new = NewApiKey { tenant: app.tenant().clone(), name, grants, from, expires_at };
    let (key, text) = engine.api_keys.create(new, &Acting::command_line()).await?;
    show_made(app, &engine, key, &text)
}

async fn rotate(app: &App, id: &str, overlap: Duration) -> Result<(), CliError> {
    if overlap > Duration::from_secs(30 * 86_400) {
        return Err(CliError::usage(
            "two keys side by side for longer than 30d are two keys: make another one",
        ));
    }
    let engine = app.existing_engine().await?;
    let rotated = engine.api_keys.rotate(app.tenant(), id, overlap, &Acting::command_line()).await?;
    let (key, text) = rotated.ok_or_else(|| no_key(app))?;
    app.output().note(format_args!("the old key goes on for {}", TimeSpan(overlap)));
    show_made(app, &engine, key, &text)
}

fn show_made(app: &App, engine: &Engine, key: ApiKey, text: &ApiKeyText) -> Result<(), CliError> {
    let output = app.output();
    output.note("the key's text is shown now and never again:");
    output.line(text.reveal())?;
    output.note(format_args!("{} ({}) acts for tenant {}", key.id, key.name, key.tenant));
    let key = ApiKeyDocument::new(key, None, engine.clock.now());
    output.document(&Made { text: text.reveal(), key })
}

async fn list(app: &App, engine: &Engine) -> Result<(), CliError> {
    const HEADER: [&str; 7] = ["KEY", "NAME", "STANDS", "ENDS", "LAST USED", "FROM", "USES"];
    let (output, now) = (app.output(), engine.clock.now());
    let mut documents = output.list("keys")?;
    let (mut after, mut any) = (None, false);
    loop {
        let page = engine.api_keys.list(app.tenant(), after.as_deref(), PAGE).await?;
        let mut rows = Vec::new();
        for (key, used) in page.items {
            let ends =
                key.revoked_at.or(key.expires_at).map_or_else(|| "never".to_owned(), |end| end.to_string());
            let uses = used.as_ref().map_or(0, |used| used.uses);
            let last = used.as_ref().map_or_else(|| "never".to_owned(), |used| used.last_at.to_string());
            let from = used
                .as_ref()
                .and_then(|used| used.last_address)
                .map_or_else(String::new, |from| from.to_string());
            let stands = words(key.standing(now)).to_owned();
            rows.push(vec![key.id.clone(), key.name.clone(), stands, ends, last, from, uses.to_string()]);
            documents.item(&ApiKeyDocument::new(key, used, now))?;
        }
        if any {
            output.more_rows(&HEADER, &rows)?
        } else {
            output.table(&HEADER, &rows)?
        }
        any |= !rows.is_empty();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if !any {
        output.line(format_args!("tenant {} has no keys: `apikeys create NAME` makes one", app.tenant()))?;
    }
    documents.end(false)
}

fn tell(app: &App, engine: &Engine, key: ApiKey, used: Option<KeyUse>) -> Result<(), CliError> {
    let (output, now) = (app.output(), engine.clock.now());
    let or =
        |time: Option<Timestamp>, else_: &str| time.map_or_else(|| else_.to_owned(), |time| time.to_string());
    let names: Vec<&str> = key.grants.0.iter().map(Grant::as_str).collect();
    let ranges: Vec<String> = key.from.iter().map(ToString::to_string).collect();
    output.line(format_args!("{}  {}  {}", key.id, key.name, words(key.standing(now))))?;
    output.line(format_args!("tenant       {}", key.tenant))?;
    output.line(format_args!("allows       {}", names.join(" ")))?;
    output.line(format_args!(
        "from         {}",
        if ranges.is_empty() { "everywhere".to_owned() } else { ranges.join(" ") }
    ))?;
    output.line(format_args!("made         {} by {}", key.created_at, key.created_by))?;
    output.line(format_args!("ends         {}", or(key.expires_at, "never")))?;
    if let Some(at) = key.revoked_at {
        output.line(format_args!("revoked      {at}"))?;
    }
    if let Some(next) = &key.replaced_by {
        output.line(format_args!("replaced by  {next}"))?;
    }
    if let Some(KeyUse { last_at, last_address, uses }) = &used {
        let from = last_address.map_or_else(String::new, |address| format!(" from {address}"));
        output.line(format_args!("last used    {last_at}{from}; {uses} uses"))?;
    }
    output.document(&ApiKeyDocument::new(key, used, now))
}

/// A key that stands in a text.
#[derive(Serialize)]
struct Found {
    line: u64,
    id: String,
    /// `holds`, `expired`, `revoked`, `unknown` here; null where there are no records to ask.
    standing: Option<&'static str>,
    tenant: Option<TenantId>,
    name: Option<String>,
}

async fn check(app: &App, text: String) -> Result<(), CliError> {
    let (found, more) =
        blocking(move || if text == "-" { search(std::io::stdin().lock()) } else { search(text.as_bytes()) })
            .await??;
    // Form and checksum tell also where there is nothing to ask.
    let engine = match app.existing_engine().await {
        Ok(engine) => Some(engine),
        Err(error) => {
            app.output().note(format_args!("whether they hold can't be told here: {error}"));
            None
        }
    };
    let output = app.output();
    let mut documents = output.list("keys")?;
    let mut rows = Vec::new();
    for (line, text) in found {
        let known = match &engine {
            Some(engine) => engine.api_keys.find(&text).await?,
            None => None,
        };
        let standing = engine
            .as_ref()
            .map(|engine| known.as_ref().map_or("unknown", |key| words(key.standing(engine.clock.now()))));
        let (tenant, name) = known.map(|key| (key.tenant, key.name)).unzip();
        let one = Found { line, id: ApiKeys::id_of(&text), standing, tenant, name };
        documents.item(&one)?;
        rows.push(vec![
            line.to_string(),
            one.id,
            standing.unwrap_or("?").to_owned(),
            one.tenant.map_or_else(String::new, |tenant| tenant.to_string()),
            one.name.unwrap_or_default(),
        ]);
    }
    if rows.is_empty() {
        output.line("no API key: form and checksum of none fit")?;
    }
    output.table(&["LINE", "KEY", "STANDS", "TENANT", "NAME"], &rows)?;
    if rows.iter().any(|row| row[2] == "holds") {
        output.note("a key that others may have seen: `apikeys revoke KEY --tenant TENANT`, or rotate it with --overlap 0s");
    }
    documents.end(more)
}

/// The keys in a text, with their lines; and whether there are more than are reported.
fn search(mut text: impl std::io::BufRead) -> Result<(Vec<(u64, ApiKeyText)>, bool), CliError> {
    let (mut found, mut number, mut line) = (Vec::new(), 0, Vec::new());
    loop {
        line.clear();
        let read = text.by_ref().take(MOST_LINE_BYTES).read_until(b'\n', &mut line);
        let read = read.map_err(|error| CliError::unavailable(format_args!("standard input: {error}")))?;
        if read == 0 {
            return Ok((found, false));
        }
        number += 1;
        // What is no text around a key does not hide it.
        for (_, key) in find_keys(&String::from_utf8_lossy(&line)) {
            if found.len() >= MOST_FOUND {
                return Ok((found, true));
            }
            found.push((number, key));
        }
    }
}

const fn words(standing: Standing) -> &'static str {
    match standing {
        Standing::Holds => "holds",
        Standing::Expired => "expired",
        Standing::Revoked => "revoked",
    }
}

fn no_key(app: &App) -> CliError {
    let message = format_args!("tenant {} has no key of this id", app.tenant());
    CliError::new(ErrorKind::NotFound, message)
        .hint("`apikeys list` shows them; another tenant's with --tenant")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::stage::Stage, domain::SeededRandom};

    #[tokio::test]
    async fn a_key_is_made_listed_recognised_and_revoked_and_shown_once() {
        let stage = Stage::new();
        let made = stage
            .json::<ApiKeysCommand>("create printer --role producer --expires 90d --from 10.0.0.0/8")
            .await;
        let (text, id) = (made["text"].as_str().unwrap(), made["key"]["id"].as_str().unwrap());
        assert_eq!(
            (&made["key"]["created_by"], &made["key"]["from"][0]),
            (&"command line".into(), &"10.0.0.0/8".into())
        );
        let listed = stage.json::<ApiKeysCommand>("list").await;
        assert_eq!(listed["keys"][0]["id"], id);
        let standing = async || {
            let found = stage.json::<ApiKeysCommand>(&format!("check KEY={text}")).await;
            assert_eq!((&found["keys"][0]["id"], &found["keys"][0]["name"]), (&id.into(), &"printer".into()));
            found["keys"][0]["standing"].as_str().unwrap().to_owned()
        };
        assert_eq!(standing().await, "holds");
        for line in ["list".to_owned(), format!("show {id}"), format!("check {text}")] {
            for is_json in [true, false] {
                let (printed, ended) = stage.run::<ApiKeysCommand>(is_json, &line).await;
                ended.unwrap();
                assert!(printed.contains(id) && !printed.contains(&text[8..51]), "{printed}");
            }
        }
        stage.json::<ApiKeysCommand>(&format!("revoke {id}")).await;
        assert_eq!(standing().await, "revoked");
        let (_, ended) = stage.run::<ApiKeysCommand>(true, "show key_00000000000000000000").await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::NotFound);
        let other = ApiKeyText::new(&SeededRandom::new(7));
        let found = stage.json::<ApiKeysCommand>(&format!("check {}", other.reveal())).await;
        assert_eq!(found["keys"][0]["standing"], "unknown");
        assert_eq!(stage.json::<ApiKeysCommand>("check pw_live_x").await["keys"], serde_json::json!([]));
    }

    #[test]
    fn an_end_is_a_time_from_now_or_one_of_the_calendar() {
        assert_eq!("90d".parse(), Ok(Ends::After(Duration::from_secs(90 * 86_400))));
        let at = "2027-01-01T00:00:00Z".parse().unwrap();
        assert_eq!("2027-01-01T00:00:00Z".parse(), Ok(Ends::At(at)));
        assert_eq!("soon".parse::<Ends>(), Err(EndsError));
    }

    #[test]
    fn leaked_keys_are_found_with_their_lines_among_bytes_that_are_no_text() {
        let keys: Vec<_> = (1..3).map(|seed| ApiKeyText::new(&SeededRandom::new(seed))).collect();
        let mut text = b"+++ b/.env\n\xff\xfe KEY=".to_vec();
        text.extend_from_slice(keys[0].reveal().as_bytes());
        text.extend_from_slice(b"\xff\nnothing\n");
        text.extend_from_slice(keys[1].reveal().as_bytes());
        let (found, more) = search(&*text).unwrap();
        let found: Vec<_> = found.iter().map(|(line, key)| (*line, key.reveal())).collect();
        assert_eq!((found, more), (vec![(2, keys[0].reveal()), (4, keys[1].reveal())], false));
    }
}
